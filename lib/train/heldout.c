#include "train/heldout.h"
#include "base/die.h"
#include "base/mem.h"
#include "text/doc.h"
#include "text/tokenizer.h"
#include "text/tokfile.h"
#include "text/window.h"

#include <math.h>
#include <stdlib.h>

void heldout_release(struct heldout *h)
{
	free(h->ids);
	free(h->flags);
	*h = (struct heldout){ 0 };
}

/* Appends a document; 0 when there is no room for more. */
static int add(struct heldout *h, const uint32_t *ids, const uint8_t *mask, size_t n, uint64_t max)
{
	if (max && h->n + n > max)
		n = (size_t)max - h->n;
	GROW(h->ids, h->cap, h->n + n);
	GROW(h->flags, h->flags_cap, h->n + n);
	for (size_t i = 0; i < n; i++) {
		h->ids[h->n + i] = ids[i];
		h->flags[h->n + i] =
			(uint8_t)((i == 0 ? TOK_DOC_START : 0) | (mask && !mask[i] ? TOK_NO_LOSS : 0));
	}
	h->n += n;
	return !max || h->n < max;
}

static int add_stream(struct heldout *h, struct reader *r, const struct model *m, uint64_t max, struct err *e)
{
	struct tok_reader *t = tok_reader_new(r, e);
	if (!t)
		return -1;
	struct tok_doc d;
	int rc = model_check_stream(m, tok_reader_info(t), reader_name(r), e);
	while (rc == 0 && (rc = tok_reader_doc(t, &d, e)) > 0)
		rc = add(h, d.ids, d.mask, d.n, max) ? 0 : 1;
	tok_reader_free(t);
	return rc < 0 ? -1 : 0;
}

static int add_docs(struct heldout *h, const char *file, const struct model *m, uint64_t max, struct err *e)
{
	if (!m->tokenizer)
		return err_set(e, "%s: documents can only be measured by a model with a tokenizer", file);
	char *name = xstrdup(file);
	struct doc_source *s = docs_open(&name, 1, NULL, DOC_AUTO, 0);
	struct encoder *enc = encoder_new(m->tokenizer);
	struct doc_batch b = { 0 };
	struct ids ids = { 0 };
	int rc, room = 1;
	while (room && (rc = docs_read(s, &b, (size_t)1 << 20, e)) > 0) {
		docs_parse(s, &b);
		for (size_t i = 0; i < b.n && room; i++) {
			if (b.docs[i].bad) {
				rc = err_set(e, "%s", b.docs[i].bad);
				goto end;
			}
			ids.n = 0;
			encoder_encode(enc, b.docs[i].text.p, b.docs[i].text.n, 0, &ids);
			room = add(h, ids.v, NULL, ids.n, max);
		}
		doc_batch_reset(&b);
	}
end:
	ids_release(&ids);
	doc_batch_release(&b);
	encoder_free(enc);
	docs_close(s);
	free(name);
	return rc < 0 ? -1 : 0;
}

static int special(const struct model *m, uint32_t id, size_t *bytes)
{
	int is = 0;
	*bytes = tokenizer_bytes(m->tokenizer, id, &is).n;
	return is;
}

int heldout_load(struct heldout *h, const char *const *files, size_t n, const struct model *m,
	uint64_t max_tokens, struct err *e)
{
	*h = (struct heldout){ 0 };
	for (size_t f = 0; f < n && (!max_tokens || h->n < max_tokens); f++) {
		struct reader *r = reader_open(files[f], e);
		const char *p;
		ptrdiff_t got = r ? reader_peek(r, &p, 64, e) : -1;
		int stream = got > 0 && tok_is_stream(p, (size_t)got);
		int rc = got < 0 ? -1 : stream ? add_stream(h, r, m, max_tokens, e) : 0;
		reader_close(r);
		if (rc == 0 && !stream)
			rc = add_docs(h, files[f], m, max_tokens, e);
		if (rc < 0)
			return -1;
	}
	for (size_t i = 0; i < h->n; i++) {
		size_t bytes = 0;
		if (h->ids[i] >= m->config.vocab)
			return err_set(e, "%s: token %lu is outside the model's vocabulary of %zu", files[0],
				(unsigned long)h->ids[i], m->config.vocab);
		if (m->tokenizer && !special(m, h->ids[i], &bytes))
			h->bytes += bytes;
	}
	return h->n < 2 ? err_set(e, "%s: nothing to measure", files[0]) : 0;
}

/* The windows behind *w that fit into one forward pass, as rows of the trainer's batch; 0 when there are
 * none. */
static int fill(const struct heldout *h, struct batch *b, struct window *w, size_t rows)
{
	struct err e;
	batch_reset(b);
	while (b->nrows < rows && window_next(w, h->n, b->context, b->context)) {
		batch_begin_row(b);
		if (batch_add_span(b, h->ids + w->start, h->flags + w->start, w->end - w->start, &e) < 0)
			BUG(e.msg);
	}
	return b->nrows > 0;
}

void heldout_measure(const struct heldout *h, struct trainer *t, double *loss, double *bpb)
{
	struct batch *b = &t->batch;
	double nll = 0, text_nll = 0;
	size_t targets = 0, bytes;
	struct window w = { 0 };
	while (fill(h, b, &w, t->c.micro)) {
		if (b->n == 0)
			continue;
		model_forward(t->session, b->seqs, b->nseqs);
		model_head(t->session,
			&(struct head_args){ .targets = b->targets, .inv_temp = 1, .logp = t->logp });
		for (size_t i = 0; i < b->n; i++) {
			if (b->targets[i] == NO_TARGET)
				continue;
			targets++;
			nll -= (double)t->logp[i];
			if (h->bytes && !special(t->model, b->targets[i], &bytes))
				text_nll -= (double)t->logp[i];
		}
	}
	batch_reset(b);
	*loss = targets ? nll / (double)targets : NAN;
	*bpb = h->bytes && targets ? text_nll / log(2) / (double)h->bytes : NAN;
}
