#include "train/batch.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/tokfile.h"

#include <stdlib.h>

void batch_init(struct batch *b, size_t max_rows, size_t context, uint32_t vocab)
{
	size_t n = mul_size(max_rows, context);
	*b = (struct batch){ .context = context, .max_rows = max_rows, .vocab = vocab };
	b->ids = xcalloc(n, sizeof *b->ids);
	b->targets = xcalloc(n, sizeof *b->targets);
	b->seqs = xcalloc(n, sizeof *b->seqs);
	b->rows = xcalloc(max_rows, sizeof *b->rows);
}

void batch_release(struct batch *b)
{
	free(b->ids);
	free(b->targets);
	free(b->seqs);
	free(b->rows);
	*b = (struct batch){ 0 };
}

void batch_reset(struct batch *b)
{
	b->n = b->nseqs = b->nrows = b->ntargets = 0;
	b->tokens = 0;
}

void batch_begin_row(struct batch *b)
{
	ASSERT(b->nrows < b->max_rows);
	b->rows[b->nrows++] = (struct batch_row){ .input = b->n, .seq = b->nseqs };
}

int batch_add_part(struct batch *b, const uint32_t *ids, const uint8_t *flags, size_t n, struct err *e)
{
	if (n < 2)
		return 0;
	struct batch_row *row = &b->rows[b->nrows - 1];
	ASSERT(row->inputs + n - 1 <= b->context);
	for (size_t i = 0; i < n; i++)
		if (ids[i] >= b->vocab)
			return err_set(e, "token %lu is outside the model's vocabulary of %lu",
				(unsigned long)ids[i], (unsigned long)b->vocab);
	for (size_t i = 0; i + 1 < n; i++) {
		int scored = !(flags[i + 1] & TOK_NO_LOSS);
		b->ids[b->n + i] = ids[i];
		b->targets[b->n + i] = scored ? ids[i + 1] : NO_TARGET;
		b->ntargets += (size_t)scored;
	}
	b->seqs[b->nseqs++] = (struct seq){ .ids = b->ids + b->n, .n = n - 1 };
	b->n += n - 1;
	row->inputs += n - 1;
	row->seqs++;
	return 0;
}

int batch_add_span(struct batch *b, const uint32_t *ids, const uint8_t *flags, size_t n, struct err *e)
{
	size_t start = 0;
	for (size_t i = 1; i <= n; i++) {
		if (i < n && !(flags[i] & TOK_DOC_START))
			continue;
		if (batch_add_part(b, ids + start, flags + start, i - start, e) < 0)
			return -1;
		start = i;
	}
	return 0;
}

uint64_t batch_digest_row(const struct batch *b, uint64_t digest)
{
	const struct batch_row *r = &b->rows[b->nrows - 1];
	digest = hash64(b->ids + r->input, r->inputs * sizeof *b->ids, digest);
	return hash64(b->targets + r->input, r->inputs * sizeof *b->targets, digest);
}
