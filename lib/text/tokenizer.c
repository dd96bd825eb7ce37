#include "text/tok_impl.h"
#include "text/utf8.h"
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"

#include <stdlib.h>

#define FILE_MAX ((size_t)1 << 30)

/* --- building ------------------------------------------------------------------------------------------- */

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

void tok_norm_step(struct tokenizer *t, enum norm_kind kind, struct str a, struct str b)
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
	struct textnorm unmeta = { &step, 1, 1 };
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

/* --- GPT-2's byte alphabet ------------------------------------------------------------------------------ */

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
