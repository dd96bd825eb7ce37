/* A tokenizer from what training found. */
#include "text/tok_impl.h"

static int build(struct tokenizer *t, const struct bpe_model *m, const char *pattern, struct err *e)
{
	t->byte_level = 1;
	for (size_t i = 0; i < m->n; i++) {
		struct str s = m->tokens[i];
		if (i < m->nspecials) {
			if (tok_add(t, (struct added){ .id = (uint32_t)i, .text = s, .special = 1 }, e))
				return -1;
		} else {
			vocab_add(&t->vocab, (uint32_t)i, s.p, s.n, 1);
		}
	}
	for (size_t i = 0; i < m->nmerges; i++)
		bpe_add(&t->merges, m->merges[i].left, m->merges[i].right, (uint32_t)i, m->merges[i].id);
	if (tok_split_pattern(t, pattern, PRETOK_LINES, e))
		return -1;
	return tok_finish(t, e);
}

struct tokenizer *tokenizer_build(const struct bpe_model *m, const char *pattern, struct err *e)
{
	struct tokenizer *t = tok_new();
	if (build(t, m, pattern, e)) {
		tokenizer_free(t);
		return NULL;
	}
	return t;
}
