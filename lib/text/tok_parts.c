#include "text/tok_parts.h"
#include "text/tok_impl.h"

#include <stdlib.h>

/* Splitting rules by llama.cpp's names: a known pattern, and what else the name stands for. The first row of
 * its kind is what is written. */
static const struct rule {
	const char *name, *pattern;
	int nfc, ignore_merges, digits, add_bos;
} rules[] = {
	{ "gpt-2", "gpt2", 0, 0, 0, 0 },
	{ "llama-bpe", "llama3", 0, 1, 0, 1 },
	{ "dbrx", "llama3", 0, 0, 0, 0 },
	{ "qwen2", "qwen", 1, 0, 0, 0 },
	{ "stablelm2", "qwen", 0, 0, 0, 0 },
	{ "gpt-4o", "o200k", 0, 0, 0, 0 },
	{ "smollm", "gpt2", 0, 0, 1, 0 },
	{ "llama3", "llama3", 0, 1, 0, 1 },
	{ "llama-v3", "llama3", 0, 1, 0, 1 },
	{ "smaug-bpe", "llama3", 0, 0, 0, 0 },
	{ "deepseek-r1-qwen", "qwen", 1, 0, 0, 0 },
	{ "olmo", "gpt2", 0, 0, 0, 0 },
	{ "phi-2", "gpt2", 0, 0, 0, 0 },
};
#define NRULES (sizeof rules / sizeof *rules)

/* --- from the lists --- */

static enum part_type type_of(const struct tok_parts *p, size_t i)
{
	return p->types ? (enum part_type)p->types[i] : PART_NORMAL;
}

static int add_token(struct tokenizer *t, const struct tok_parts *p, size_t i, struct buf *b, struct err *e)
{
	struct str s = p->tokens[i];
	struct added a = { .id = (uint32_t)i, .text = s };
	switch (type_of(p, i)) {
	case PART_UNUSED:
		return 0;
	case PART_UNKNOWN:
	case PART_CONTROL:
		a.special = 1;
		return tok_add(t, a, e);
	case PART_USER:
		return tok_add(t, a, e);
	default:
		break;
	}
	buf_reset(b);
	int spelled = bytes_of_spelling(s.p, s.n, b) == 0;
	if (!s.n || s.n > 65536)
		return err_set(e, "token %zu is %s", i, s.n ? "too long" : "empty");
	if (spelled && vocab_find(&t->vocab, b->p, b->n) != NO_ID)
		return err_set(e, "token %zu was there before", i);
	vocab_add(&t->vocab, (uint32_t)i, spelled ? b->p : s.p, spelled ? b->n : s.n, spelled);
	return 0;
}

/* Ordinary tokens first: an added one must not take their text. */
static int add_tokens(struct tokenizer *t, const struct tok_parts *p, struct err *e)
{
	struct buf b = { 0 };
	int rc = 0;
	for (int special = 0; rc == 0 && special < 2; special++)
		for (size_t i = 0; rc == 0 && i < p->n; i++) {
			enum part_type type = type_of(p, i);
			int is_special = type != PART_NORMAL && type != PART_BYTE;
			rc = is_special == special ? add_token(t, p, i, &b, e) : 0;
		}
	buf_release(&b);
	return rc;
}

static int add_merges(struct tokenizer *t, const struct tok_parts *p, struct err *e)
{
	for (size_t i = 0; i < p->nmerges; i++) {
		struct str s = p->merges[i];
		/* The space between, not one that the left half begins with. */
		const char *space = s.n > 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
		if (!space)
			return err_set(e, "merge %zu is no pair", i);
		struct str a = { s.p, (size_t)(space - s.p) }, b = { space + 1, s.n - a.n - 1 };
		if (tok_add_merge(t, a, b, (uint32_t)i, e))
			return -1;
	}
	return 0;
}

static const struct rule *rule_named(struct str name)
{
	for (size_t i = 0; i < NRULES; i++)
		if (str_is(name, rules[i].name))
			return &rules[i];
	return NULL;
}

static int build_bytes(struct tokenizer *t, const struct tok_parts *p, const struct rule *r, struct err *e)
{
	t->byte_level = 1;
	t->ignore_merges = r->ignore_merges;
	if (r->nfc)
		tok_norm_step(t, NORM_NFC, STR(""), STR(""));
	if (r->digits)
		t->split[t->nsplit++] = (struct presplit){ .kind = SPLIT_DIGITS, .behavior = SPLIT_ISOLATED };
	return add_tokens(t, p, e) || add_merges(t, p, e) || tok_split_pattern(t, r->pattern, 0, e) ||
			       tok_finish(t, e)
		       ? -1
		       : 0;
}

static void put_around(uint32_t **list, size_t *n, int64_t id)
{
	*list = xreallocarray(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = (uint32_t)id;
}

static int add_roles(struct tokenizer *t, const struct tok_parts *p, int bos_by_default, struct err *e)
{
	const int64_t ids[] = { p->bos, p->eos };
	for (size_t i = 0; i < 2; i++)
		if (ids[i] >= 0 &&
			!vocab_has(&t->vocab, (uint64_t)ids[i] < VOCAB_MAX ? (uint32_t)ids[i] : NO_ID))
			return err_set(e, "the %s of the text, id %lld, is no token", i ? "end" : "begin",
				(long long)ids[i]);
	t->bos = p->bos;
	t->eos = p->eos;
	if ((p->add_bos < 0 ? bos_by_default : p->add_bos) && p->bos >= 0)
		put_around(&t->prefix, &t->nprefix, p->bos);
	if (p->add_eos > 0 && p->eos >= 0)
		put_around(&t->suffix, &t->nsuffix, p->eos);
	return 0;
}

struct tokenizer *tokenizer_of_parts(const struct tok_parts *p, struct err *e)
{
	const struct rule *r = p->byte_level ? rule_named(p->pre) : NULL;
	if (p->byte_level && !r) {
		err_set(e, "the splitting rule '%.*s' is not known", (int)(p->pre.n < 64 ? p->pre.n : 64),
			p->pre.p ? p->pre.p : "");
		return NULL;
	}
	if (p->n >= VOCAB_MAX) {
		err_set(e, "more than %u tokens", VOCAB_MAX);
		return NULL;
	}
	struct tokenizer *t = tok_new();
	int rc = p->byte_level ? build_bytes(t, p, r, e) : tok_build_pieces(t, p, e);
	if (rc == 0)
		rc = add_roles(t, p, r ? r->add_bos : 1, e);
	if (rc == 0)
		return t;
	tokenizer_free(t);
	return NULL;
}

/* --- to the lists --- */

/* Does every token come out of its own bytes by merging? Then looking pieces up first changes nothing. */
static int merges_suffice(const struct tokenizer *t)
{
	struct bpe_scratch scratch = { 0 };
	uint32_t *s = NULL;
	size_t cap = 0;
	int suffice = 1;
	for (uint32_t i = 0; suffice && i < t->vocab.n; i++) {
		struct str text = t->vocab.text[i];
		if (!text.n || vocab_find(&t->vocab, text.p, text.n) != i)
			continue;
		GROW(s, cap, text.n);
		for (size_t k = 0; k < text.n; k++)
			s[k] = t->byte_id[(unsigned char)text.p[k]];
		suffice = bpe_merge(&t->merges, &scratch, s, text.n) == 1 && s[0] == i;
	}
	bpe_scratch_release(&scratch);
	free(s);
	return suffice;
}

static const struct rule *rule_like(const struct presplit *s, int nfc, int digits, int ignore_merges)
{
	for (size_t i = 0; i < NRULES; i++) {
		const struct rule *r = &rules[i];
		if (r->nfc == nfc && r->digits == digits && r->ignore_merges == ignore_merges &&
			strcmp(pretok_known(r->pattern), pretok_text(s->rx)) == 0)
			return r;
	}
	return NULL;
}

static const struct rule *rule_of(const struct tokenizer *t)
{
	int digits =
		t->nsplit == 2 && t->split[0].kind == SPLIT_DIGITS && t->split[0].behavior == SPLIT_ISOLATED;
	int nfc = t->norm.n == 1 && t->norm.steps[0].kind == NORM_NFC;
	const struct presplit *s = t->nsplit ? &t->split[t->nsplit - 1] : NULL;
	if (t->norm.n != (size_t)nfc || t->nsplit != 1 + (size_t)digits || s->kind != SPLIT_REGEX ||
		s->behavior != SPLIT_ISOLATED || s->invert)
		return NULL;
	const struct rule *r = rule_like(s, nfc, digits, t->ignore_merges);
	return r || !t->ignore_merges || !merges_suffice(t) ? r : rule_like(s, nfc, digits, 0);
}

/* Pieces: a space in front (or not), spaces as U+2581, nothing else. */
static int is_plain_pieces(const struct tokenizer *t, int *space_prefix)
{
	const struct norm_step *s = t->norm.steps;
	*space_prefix = t->norm.n == 2 && s[0].kind == NORM_PREPEND && str_is(s[0].a, META);
	size_t first = *space_prefix ? 1 : 0;
	return !t->nsplit && t->norm.n == first + 1 && s[first].kind == NORM_REPLACE &&
	       str_is(s[first].a, " ") && str_is(s[first].b, META);
}

static struct str keep(struct tok_parts *p, struct str s)
{
	return (struct str){ arena_strndup(&p->arena, s.p, s.n), s.n };
}

static struct str spelling(struct tok_parts *p, const struct tokenizer *t, uint32_t id, struct buf *b)
{
	struct str s = t->vocab.text[id];
	if (!t->byte_level || vocab_find(&t->vocab, s.p, s.n) != id)
		return keep(p, s);
	buf_reset(b);
	spelling_of_bytes(s.p, s.n, b);
	return keep(p, (struct str){ b->p, b->n });
}

static void list_tokens(struct tok_parts *p, const struct tokenizer *t, size_t n)
{
	struct buf b = { 0 };
	p->n = n;
	p->tokens = arena_alloc(&p->arena, mul_size(n, sizeof *p->tokens));
	p->types = arena_alloc(&p->arena, mul_size(n, sizeof *p->types));
	for (size_t i = 0; i < n; i++) {
		int is_there = i < tokenizer_vocab(t) && vocab_has(&t->vocab, (uint32_t)i);
		p->types[i] = is_there ? PART_NORMAL : PART_UNUSED;
		if (is_there) {
			p->tokens[i] = spelling(p, t, (uint32_t)i, &b);
			continue;
		}
		buf_reset(&b);
		buf_addf(&b, "[PAD%zu]", i);
		p->tokens[i] = keep(p, (struct str){ b.p, b.n });
	}
	for (size_t i = 0; i < t->nadded; i++)
		p->types[t->added[i].id] = t->added[i].special ? PART_CONTROL : PART_USER;
	for (size_t i = 0; !t->byte_level && i < 256; i++)
		if (t->byte_id[i] != NO_ID)
			p->types[t->byte_id[i]] = PART_BYTE;
	if (!t->byte_level && t->unk != NO_ID)
		p->types[t->unk] = PART_UNKNOWN;
	buf_release(&b);
}

static void list_merges(struct tok_parts *p, const struct tokenizer *t)
{
	struct merge *m = tok_merges(t);
	struct buf b = { 0 };
	p->nmerges = t->merges.n;
	p->merges = arena_alloc(&p->arena, mul_size(p->nmerges, sizeof *p->merges));
	for (size_t i = 0; i < p->nmerges; i++) {
		struct str x = t->vocab.text[m[i].left], y = t->vocab.text[m[i].right];
		buf_reset(&b);
		spelling_of_bytes(x.p, x.n, &b);
		buf_addc(&b, ' ');
		spelling_of_bytes(y.p, y.n, &b);
		p->merges[i] = keep(p, (struct str){ b.p, b.n });
	}
	buf_release(&b);
	free(m);
}

static void list_scores(struct tok_parts *p, const struct tokenizer *t)
{
	uint32_t *rank = tok_ranks(t);
	p->scores = arena_alloc(&p->arena, mul_size(p->n, sizeof *p->scores));
	for (size_t i = 0; i < p->n; i++) {
		uint32_t r = i < t->vocab.n ? rank[i] : NO_ID;
		p->scores[i] = r == NO_ID ? -(float)t->merges.n : -(float)r;
	}
	free(rank);
}

/* The same vocabulary, and the same merges in the same order. */
static int same_ids(const struct tokenizer *x, const struct tokenizer *y)
{
	int same = tokenizer_vocab(x) == tokenizer_vocab(y) && x->merges.n == y->merges.n &&
		   x->unk == y->unk && x->byte_fallback == y->byte_fallback;
	for (uint32_t i = 0; same && i < tokenizer_vocab(x); i++)
		same = str_eq(x->vocab.text[i], y->vocab.text[i]) && x->special[i] == y->special[i];
	struct merge *a = tok_merges(x), *b = tok_merges(y);
	for (size_t i = 0; same && i < x->merges.n; i++)
		same = a[i].left == b[i].left && a[i].right == b[i].right && a[i].id == b[i].id;
	free(a);
	free(b);
	return same;
}

static int list_roles(struct tok_parts *p, const struct tokenizer *t, struct err *e)
{
	p->bos = t->bos;
	p->eos = t->eos;
	p->add_bos = t->nprefix != 0;
	p->add_eos = t->nsuffix != 0;
	if (t->nprefix > 1 || t->nsuffix > 1 || (t->nprefix && (int64_t)t->prefix[0] != t->bos) ||
		(t->nsuffix && (int64_t)t->suffix[0] != t->eos))
		return err_set(e, "the tokenizer puts more around a text than its begin and end");
	return 0;
}

static int check_back(const struct tok_parts *p, const struct tokenizer *t, int *exact, struct err *e)
{
	struct tokenizer *back = tokenizer_of_parts(p, e);
	if (!back)
		return -1;
	struct hash128 x = tokenizer_fingerprint(t), y = tokenizer_fingerprint(back);
	*exact = x.lo == y.lo && x.hi == y.hi;
	int same = *exact || same_ids(t, back);
	tokenizer_free(back);
	return same ? 0 : err_set(e, "the tokenizer's merges are not those that scores would give");
}

int tokenizer_parts(const struct tokenizer *t, size_t n, struct tok_parts *p, int *exact, struct err *e)
{
	const struct rule *r = t->byte_level ? rule_of(t) : NULL;
	*p = (struct tok_parts){ .byte_level = t->byte_level };
	if (t->byte_level ? !r : !is_plain_pieces(t, &p->space_prefix))
		return err_set(e, "llama.cpp has no name for how the tokenizer normalizes and splits text");
	if (n < tokenizer_vocab(t))
		return err_set(e, "the tokenizer has more ids than the model");
	list_tokens(p, t, n);
	if (r) {
		p->pre = str_of(r->name);
		list_merges(p, t);
	} else {
		list_scores(p, t);
	}
	return list_roles(p, t, e) < 0 ? -1 : check_back(p, t, exact, e);
}

void tok_parts_release(struct tok_parts *p)
{
	arena_release(&p->arena);
	*p = (struct tok_parts){ 0 };
}
