/* Building a tokenizer: what its loaders share, and one from what training found. */
#include "text/tok_impl.h"
#include "text/utf8.h"

#include <stdlib.h>

/* --- for loaders --- */

struct tokenizer *tok_new(void)
{
	struct tokenizer *t = xcalloc(1, sizeof *t);
	memset(t->byte_id, 0xff, sizeof t->byte_id);
	t->unk = t->first_pseudo = NO_ID;
	t->bos = t->eos = -1;
	return t;
}

void tokenizer_free(struct tokenizer *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->nsplit; i++)
		pretok_free(t->split[i].rx);
	vocab_release(&t->vocab);
	bpe_release(&t->merges);
	trie_release(&t->raw);
	trie_release(&t->normalized);
	free(t->norm.steps);
	free(t->added);
	free(t->bytes);
	free(t->special);
	free(t->prefix);
	free(t->suffix);
	arena_release(&t->arena);
	free(t);
}

struct str tok_keep(struct tokenizer *t, const char *p, size_t n)
{
	return (struct str){ arena_strndup(&t->arena, p, n), n };
}

void tok_norm_step(struct tokenizer *t, enum norm_op kind, struct str a, struct str b)
{
	GROW(t->norm.steps, t->norm.cap, t->norm.n + 1);
	t->norm.steps[t->norm.n++] = (struct norm_step){ kind, tok_keep(t, a.p, a.n), tok_keep(t, b.p, b.n) };
}

int tok_split_pattern(struct tokenizer *t, const char *pattern, unsigned flags, struct err *e)
{
	struct pretok *p = pretok_new(pattern, flags, e);
	if (!p)
		return -1;
	if (t->nsplit == PRESPLIT_MAX) {
		pretok_free(p);
		return err_set(e, "more than %d splitting steps", PRESPLIT_MAX);
	}
	t->split[t->nsplit++] = (struct presplit){ .kind = SPLIT_REGEX, .rx = p };
	return 0;
}

/* The id of the vocabulary's entry that reads like this text in the file: byte models spell theirs. NO_ID:
 * none. */
static uint32_t spelled_id(const struct tokenizer *t, struct str s)
{
	struct buf b = { 0 };
	uint32_t id = NO_ID;
	if (!t->byte_level)
		return vocab_find(&t->vocab, s.p, s.n);
	if (bytes_of_spelling(s.p, s.n, &b) == 0)
		id = vocab_find(&t->vocab, b.p ? b.p : "", b.n);
	buf_release(&b);
	return id;
}

int tok_add(struct tokenizer *t, struct added a, struct err *e)
{
	int shown = a.text.n > 60 ? 60 : (int)a.text.n;
	if (!a.text.n)
		return err_set(e, "added token %u is empty", a.id);
	if (a.id >= VOCAB_MAX)
		return err_set(e, "added token \"%.*s\": id %u is out of range", shown, a.text.p, a.id);
	a.text = tok_keep(t, a.text.p, a.text.n);
	uint32_t id = spelled_id(t, a.text);
	if (vocab_has(&t->vocab, a.id)) {
		if (id != a.id && !str_eq(t->vocab.text[a.id], a.text))
			return err_set(e, "added token \"%.*s\": id %u belongs to another token", shown,
				a.text.p, a.id);
	} else {
		if (id != NO_ID)
			return err_set(e, "added token \"%.*s\": id is %u here and %u in the vocabulary",
				shown, a.text.p, a.id, id);
		/* Not to be found by its bytes: pieces of plain text never become added tokens. */
		vocab_add(&t->vocab, a.id, a.text.p, a.text.n, 0);
	}
	GROW(t->added, t->added_cap, t->nadded + 1);
	t->added[t->nadded++] = a;
	return 0;
}

static int by_id(const void *a, const void *b)
{
	const struct added *x = a, *y = b;
	return x->id < y->id ? -1 : x->id > y->id;
}

static int64_t role(const struct tokenizer *t, const char *const *names)
{
	for (; *names; names++)
		for (size_t i = 0; i < t->nadded; i++)
			if (t->added[i].special && str_is(t->added[i].text, *names))
				return t->added[i].id;
	return -1;
}

static void find_roles(struct tokenizer *t)
{
	static const char *const bos[] = { "<|begin_of_text|>", "<s>", "<bos>", "<|startoftext|>", "<|bos|>",
		"<｜begin▁of▁sentence｜>", "<|endoftext|>", NULL };
	static const char *const eos[] = { "<|end_of_text|>", "</s>", "<eos>", "<|endoftext|>", "<|eos|>",
		"<｜end▁of▁sentence｜>", "<|im_end|>", "<|eot_id|>", NULL };
	if (t->bos < 0 && t->nprefix)
		t->bos = t->prefix[0];
	if (t->bos < 0)
		t->bos = role(t, bos);
	if (t->eos < 0)
		t->eos = role(t, eos);
	if (t->eos < 0 && t->nadded == 1 && t->added[0].special)
		t->eos = t->added[0].id; /* what else should the only special token be */
}

/* Character models: what ids decode to, with spaces for U+2581. Byte tokens were set by the loader. */
static void decode_table(struct tokenizer *t)
{
	struct norm_step step = { NORM_REPLACE, STR(META), STR(" ") };
	struct textnorm unmeta = { .steps = &step, .n = 1 };
	struct buf b = { 0 }, tmp = { 0 };
	t->bytes = xcalloc(t->vocab.n, sizeof *t->bytes);
	for (size_t i = 0; i < t->vocab.n; i++) {
		t->bytes[i] = t->vocab.text[i];
		if (t->byte_level || !t->bytes[i].p)
			continue;
		norm_apply(&unmeta, t->bytes[i].p, t->bytes[i].n, &b, &tmp);
		if (b.n != t->bytes[i].n)
			t->bytes[i] = tok_keep(t, b.p, b.n);
	}
	for (int c = 0; c < 256; c++)
		if (t->byte_id[c] != NO_ID)
			t->bytes[t->byte_id[c]] = tok_keep(t, (char[]){ (char)c }, 1);
	buf_release(&b);
	buf_release(&tmp);
}

/* Does some token have U+2581 behind another character? Then text must not be cut in front of it. */
static int meta_inside(const struct vocab *v)
{
	for (size_t i = 0; i < v->n; i++) {
		struct str s = v->text[i];
		for (size_t k = 1; s.p && k + 3 <= s.n; k++)
			if (memcmp(s.p + k, META, 3) == 0 && (k < 3 || memcmp(s.p + k - 3, META, 3) != 0))
				return 1;
	}
	return 0;
}

int tok_finish(struct tokenizer *t, struct err *e)
{
	if (!t->vocab.n)
		return err_set(e, "the vocabulary is empty");
	struct buf b = { 0 }, tmp = { 0 };
	norm_init();
	if (t->nadded)
		qsort(t->added, t->nadded, sizeof *t->added, by_id);
	t->special = xcalloc(t->vocab.n, 1);
	for (size_t i = 0; i < t->nadded; i++) {
		const struct added *a = &t->added[i];
		t->special[a->id] = a->special;
		t->any_text_added |= !a->special;
		if (a->normalized && t->norm.n && !t->verbatim) {
			norm_apply(&t->norm, a->text.p, a->text.n, &b, &tmp);
			trie_add(&t->normalized, b.p, b.n, (uint32_t)i);
		} else {
			trie_add(a->normalized ? &t->normalized : &t->raw, a->text.p, a->text.n, (uint32_t)i);
		}
	}
	buf_release(&b);
	buf_release(&tmp);
	if (t->byte_level)
		for (int c = 0; c < 256; c++)
			t->byte_id[c] = vocab_find(&t->vocab, (char[]){ (char)c }, 1);
	decode_table(t);
	find_roles(t);
	t->cut_at_meta = !t->byte_level && vocab_find(&t->vocab, META, 3) != NO_ID && !meta_inside(&t->vocab);
	return 0;
}

/* --- GPT-2's byte alphabet --- */

/* Printable bytes stand for themselves; the others are numbered from U+0100 in their order. */
static int is_plain(unsigned b)
{
	return (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
}

uint32_t byte_to_char(unsigned char b)
{
	if (is_plain(b))
		return b;
	return 0x100 + (b <= 0x20 ? b : b <= 0xa0 ? b - 0x7f + 33u : 67);
}

int char_to_byte(uint32_t cp)
{
	if (cp < 0x100)
		return is_plain(cp) ? (int)cp : -1;
	if (cp > 0x143)
		return -1;
	cp -= 0x100;
	return cp <= 0x20 ? (int)cp : cp < 67 ? (int)(cp - 33 + 0x7f) : 0xad;
}

int bytes_of_spelling(const char *p, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n;) {
		uint32_t cp;
		i += utf8_get(p + i, n - i, &cp);
		int b = char_to_byte(cp);
		if (b < 0)
			return -1;
		buf_addc(out, b);
	}
	return 0;
}

void spelling_of_bytes(const char *p, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		char c[4];
		buf_add(out, c, utf8_put(byte_to_char((unsigned char)p[i]), c));
	}
}

/* --- from training --- */

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
