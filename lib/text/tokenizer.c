#include "text/tok_impl.h"
#include "base/io.h"
#include "base/json.h"

#include <stdlib.h>

#define FILE_MAX ((size_t)1 << 30)

/* --- what a tokenizer is -------------------------------------------------------------------------------- */

uint32_t tokenizer_vocab(const struct tokenizer *t)
{
	uint64_t n = t->first_pseudo != NO_ID ? t->first_pseudo : t->vocab.n;
	return (uint32_t)n;
}

int64_t tokenizer_bos(const struct tokenizer *t)
{
	return t->bos;
}

int64_t tokenizer_eos(const struct tokenizer *t)
{
	return t->eos;
}

int64_t tokenizer_id(const struct tokenizer *t, const char *s, size_t n)
{
	for (size_t i = 0; i < t->nadded; i++)
		if (str_eq(t->added[i].text, (struct str){ s, n }))
			return t->added[i].id;
	uint32_t id = vocab_find(&t->vocab, s, n);
	return id == NO_ID || id >= t->first_pseudo ? -1 : (int64_t)id;
}

struct str tokenizer_bytes(const struct tokenizer *t, uint32_t id, int *is_special)
{
	int known = id < tokenizer_vocab(t);
	if (is_special)
		*is_special = known && t->special[id];
	return known ? t->bytes[id] : (struct str){ 0 };
}

const uint32_t *tokenizer_prefix(const struct tokenizer *t, size_t *n)
{
	*n = t->nprefix;
	return t->nprefix ? t->prefix : NULL;
}

const uint32_t *tokenizer_suffix(const struct tokenizer *t, size_t *n)
{
	*n = t->nsuffix;
	return t->nsuffix ? t->suffix : NULL;
}

void tokenizer_decode(
	const struct tokenizer *t, const uint32_t *ids, size_t n, int skip_special, struct buf *out)
{
	int first = t->strip_first;
	for (size_t i = 0; i < n; i++) {
		int special;
		struct str s = tokenizer_bytes(t, ids[i], &special);
		if (!s.p || (special && skip_special))
			continue;
		if (first && s.n && s.p[0] == ' ')
			s = (struct str){ s.p + 1, s.n - 1 };
		first = 0;
		buf_add(out, s.p, s.n);
	}
}

/* --- fingerprint ---------------------------------------------------------------------------------------- */

static void put_u32(struct fingerprint *f, uint32_t v)
{
	unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
		(unsigned char)(v >> 24) };
	fingerprint_add(f, b, sizeof b);
}

static void put_str(struct fingerprint *f, struct str s)
{
	put_u32(f, (uint32_t)s.n);
	fingerprint_add(f, s.p, s.n);
}

struct ranked {
	struct merge m;
	size_t left_n; /* bytes of the left half, in character models */
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->m.rank != y->m.rank)
		return x->m.rank < y->m.rank ? -1 : 1;
	if (x->left_n != y->left_n)
		return x->left_n > y->left_n ? -1 : 1;
	if (x->m.left != y->m.left)
		return x->m.left < y->m.left ? -1 : 1;
	return x->m.right < y->m.right ? -1 : x->m.right > y->m.right;
}

struct merge *tok_merges(const struct tokenizer *t)
{
	struct ranked *r = xreallocarray(NULL, t->merges.n + 1, sizeof *r);
	struct merge *m = xreallocarray(NULL, t->merges.n + 1, sizeof *m);
	size_t k = 0;
	for (size_t i = 0; i < t->merges.nslots; i++) {
		const struct merge *s = &t->merges.slots[i];
		if (s->left != NO_ID)
			r[k++] = (struct ranked){ *s, t->byte_level ? 0 : t->vocab.text[s->left].n };
	}
	qsort(r, k, sizeof *r, by_rank);
	for (size_t i = 0; i < k; i++)
		m[i] = r[i].m;
	free(r);
	return m;
}

struct hash128 tokenizer_fingerprint(const struct tokenizer *t)
{
	struct fingerprint *f = fingerprint_new();
	uint32_t vocab = tokenizer_vocab(t);
	put_u32(f,
		(uint32_t)(t->byte_level | t->ignore_merges << 1 | t->byte_fallback << 2 | t->fuse_unk << 3));
	put_u32(f, t->unk);
	for (uint32_t i = 0; i < vocab; i++) {
		if (t->vocab.text[i].p) {
			put_u32(f, i);
			put_str(f, t->vocab.text[i]);
		}
	}
	struct merge *m = tok_merges(t);
	for (size_t i = 0; i < t->merges.n; i++) {
		put_u32(f, m[i].left);
		put_u32(f, m[i].right);
		put_u32(f, m[i].id);
	}
	free(m);
	for (size_t i = 0; i < t->norm.n; i++) {
		put_u32(f, t->norm.steps[i].kind);
		put_str(f, t->norm.steps[i].a);
		put_str(f, t->norm.steps[i].b);
	}
	for (size_t i = 0; i < t->nsplit; i++) {
		const struct presplit *p = &t->split[i];
		put_u32(f, (uint32_t)p->kind | (uint32_t)p->behavior << 8 | (uint32_t)p->invert << 16 |
				   (uint32_t)p->scheme << 20 | (uint32_t)p->cut << 24);
		put_str(f, p->rx ? str_of(pretok_text(p->rx)) : p->literal);
	}
	for (size_t i = 0; i < t->nadded; i++) {
		const struct added *a = &t->added[i];
		put_u32(f, a->id);
		put_str(f, a->text);
		put_u32(f, (uint32_t)(a->special | a->normalized << 1 | a->lstrip << 2 | a->rstrip << 3 |
				      a->single_word << 4));
	}
	return fingerprint_end(f);
}

/* --- loading -------------------------------------------------------------------------------------------- */

/* bos_token and eos_token of a tokenizer_config.json that stands beside; they name roles and change no ids.
 */
static void read_roles(struct tokenizer *t, const char *dir)
{
	static const char *const keys[] = { "bos_token", "eos_token" };
	char *path = path_join(dir, "tokenizer_config.json");
	struct arena a = { 0 };
	struct err ignored;
	struct json *v = path_exists(path) ? json_load(&a, path, FILE_MAX, JSON_LAX, &ignored) : NULL;
	for (int i = 0; v && i < 2; i++) {
		struct json *name = json_get(v, keys[i]);
		if (json_is(name, JSON_OBJECT))
			name = json_get(name, "content");
		int64_t id = json_is(name, JSON_STRING) ? tokenizer_id(t, name->s.p, name->s.n) : -1;
		if (id >= 0)
			*(i ? &t->eos : &t->bos) = id;
	}
	arena_release(&a);
	free(path);
}

static struct tokenizer *load_pair(const char *vocab, const char *merges, const char *pattern, struct err *e)
{
	struct buf v = { 0 }, m = { 0 };
	struct tokenizer *t = NULL;
	if (file_read(vocab, &v, FILE_MAX, e) == 0 && file_read(merges, &m, FILE_MAX, e) == 0) {
		t = tok_load_gpt2(v.p, v.n, m.p, m.n, pattern, e);
		if (!t)
			err_prefix(e, "%s", vocab);
	}
	buf_release(&v);
	buf_release(&m);
	return t;
}

static const char *const pairs[][2] = { { "vocab.json", "merges.txt" }, { "encoder.json", "vocab.bpe" } };

static struct tokenizer *load_folder(const char *dir, const char *pattern, struct err *e)
{
	static const char *const names[] = { "tokenizer.json", "tokenizer.json.gz", "tokenizer.model",
		"tokenizer.bin" };
	struct tokenizer *t = NULL;
	int found = 0;
	for (size_t i = 0; i < 2 && !found; i++) { /* tokenizer.json first, then pairs, then the others */
		char *path = path_join(dir, names[i]);
		if ((found = path_exists(path)))
			t = tokenizer_load(path, pattern, e);
		free(path);
	}
	for (size_t i = 0; i < 2 && !found; i++) {
		char *v = path_join(dir, pairs[i][0]), *m = path_join(dir, pairs[i][1]);
		if ((found = path_exists(v) && path_exists(m)))
			t = load_pair(v, m, pattern, e);
		free(v);
		free(m);
	}
	for (size_t i = 2; i < 4 && !found; i++) {
		char *path = path_join(dir, names[i]);
		if ((found = path_exists(path)))
			t = tokenizer_load(path, pattern, e);
		free(path);
	}
	if (!found)
		err_set(e,
			"%s: no tokenizer in this folder (tokenizer.json, vocab.json with merges.txt, "
			"tokenizer.model)",
			dir);
	if (t)
		read_roles(t, dir);
	return t;
}

/* vocab.json or encoder.json named alone, also with something in front: its merges lie beside. */
static struct tokenizer *load_half(const char *path, const char *pattern, int *is_half, struct err *e)
{
	for (size_t i = 0; i < 2; i++) {
		if (!str_ends(path, pairs[i][0]))
			continue;
		*is_half = 1;
		char *merges =
			xasprintf("%.*s%s", (int)(strlen(path) - strlen(pairs[i][0])), path, pairs[i][1]);
		struct tokenizer *t = load_pair(path, merges, pattern, e);
		free(merges);
		return t;
	}
	return NULL;
}

static struct tokenizer *parse_any(const struct buf *b, const char *name, const char *pattern, struct err *e)
{
	size_t i = 0;
	while (i < b->n && strchr(" \t\r\n", b->p[i]) && b->p[i])
		i++;
	if (i < b->n && b->p[i] == '{')
		return tok_load_hf(b->p, b->n, pattern, e);
	if (tok_is_ranks(b->p, b->n))
		return tok_load_ranks(b->p, b->n, name, pattern, e);
	if (pattern && (tok_is_spm(b->p, b->n) || tok_is_llama2c(b->p, b->n))) {
		err_set(e, "a sentencepiece vocabulary has no splitting pattern to replace");
		return NULL;
	}
	if (tok_is_spm(b->p, b->n))
		return tok_load_spm(b->p, b->n, e);
	if (tok_is_llama2c(b->p, b->n))
		return tok_load_llama2c(b->p, b->n, e);
	err_set(e,
		"not a tokenizer (tokenizer.json, rank file, sentencepiece model, llama2.c's tokenizer.bin)");
	return NULL;
}

struct tokenizer *tokenizer_load(const char *path, const char *pattern, struct err *e)
{
	if (path_is_dir(path))
		return load_folder(path, pattern, e);
	int is_half = 0;
	struct tokenizer *t = load_half(path, pattern, &is_half, e);
	if (is_half)
		return t;
	struct buf b = { 0 };
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	if (file_read(path, &b, FILE_MAX, e) == 0) {
		t = parse_any(&b, name, pattern, e);
		if (!t)
			err_prefix(e, "%s", path);
	}
	buf_release(&b);
	if (t && strcmp(name, "tokenizer.json") == 0) {
		char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
		read_roles(t, dir);
		free(dir);
	}
	return t;
}

struct tokenizer *tokenizer_parse(const char *json, size_t n, struct err *e)
{
	return tok_load_hf(json, n, NULL, e);
}
