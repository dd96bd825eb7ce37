/*
 * tok_bin: llama2.c's tokenizer.bin, written. Scores are the ranks of merges, falling.
 */
#include "text/tok_impl.h"

#include <stdlib.h>

uint32_t *tok_ranks(const struct tokenizer *t)
{
	struct merge *m = tok_merges(t);
	uint32_t *rank = xmalloc(mul_size(t->vocab.n, sizeof *rank));
	for (size_t i = 0; i < t->vocab.n; i++)
		rank[i] = NO_ID;
	for (size_t i = 0; i < t->merges.n; i++)
		if (m[i].id < t->vocab.n && m[i].rank < rank[m[i].id])
			rank[m[i].id] = m[i].rank;
	free(m);
	return rank;
}

/* Text of an id as the file has it: spaces as they are, line breaks around begin and end. */
static void add_text(const struct tokenizer *t, uint32_t id, struct buf *b)
{
	struct str s = t->vocab.text[id];
	int control = id == 1 || id == 2;
	if (control)
		buf_addc(b, '\n');
	for (size_t i = 0; i < s.n;) {
		int space = s.n - i >= 3 && memcmp(s.p + i, META, 3) == 0;
		buf_addc(b, space ? ' ' : s.p[i]);
		i += space ? 3 : 1;
	}
	if (control)
		buf_addc(b, '\n');
}

static void add_f32(struct buf *b, float f)
{
	uint32_t u;
	memcpy(&u, &f, sizeof u);
	buf_add_u32(b, u);
}

static void write_entries(const struct tokenizer *t, size_t vocab, struct buf *b)
{
	uint32_t *rank = tok_ranks(t), longest = 1;
	struct buf text = { 0 }, entries = { 0 };
	for (size_t id = 0; id < vocab; id++) {
		buf_reset(&text);
		if (vocab_has(&t->vocab, (uint32_t)id))
			add_text(t, (uint32_t)id, &text);
		uint32_t r = id < t->vocab.n ? rank[id] : NO_ID;
		add_f32(&entries, r == NO_ID ? -(float)t->merges.n : -(float)r);
		buf_add_u32(&entries, (uint32_t)text.n);
		if (text.n)
			buf_add(&entries, text.p, text.n);
		longest = text.n > longest ? (uint32_t)text.n : longest;
	}
	buf_add_u32(b, longest);
	buf_add(b, entries.p, entries.n);
	buf_release(&text);
	buf_release(&entries);
	free(rank);
}

int tokenizer_llama2c(const struct tokenizer *t, size_t vocab, struct buf *b, struct err *e)
{
	struct err why = { "" };
	struct buf own = { 0 };
	int same = 0;
	if (t->byte_level || t->vocab.n > vocab)
		return err_set(e, "llama2.c's tokenizer.bin cannot say this vocabulary");
	/* The format has no place for normalizers, added tokens or merges that scores do not imply: what it
	 * would read back must be the same tokenizer. */
	write_entries(t, t->vocab.n, &own);
	struct tokenizer *back = tok_load_llama2c(own.p, own.n, &why);
	if (back) {
		struct hash128 x = tokenizer_fingerprint(t), y = tokenizer_fingerprint(back);
		same = x.lo == y.lo && x.hi == y.hi;
	}
	tokenizer_free(back);
	buf_release(&own);
	if (!same)
		return err_set(e, "llama2.c's tokenizer.bin cannot say this vocabulary");
	write_entries(t, vocab, b);
	return 0;
}
