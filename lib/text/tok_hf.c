/*
 * tokenizer.json of Hugging Face's tokenizers, models of type BPE. What is not known here is refused by its
 * name: ignoring a part would give other ids. `truncation` and `padding` concern batches, not ids, and are
 * passed over.
 */
#include "text/tok_impl.h"
#include "text/utf8.h"
#include "base/json.h"

#include <stdlib.h>

struct hf {
	struct tokenizer *t;
	const char *pattern; /* replaces the file's */
	int pattern_used;
	struct err *e;
};

/* --- small checks --------------------------------------------------------------------------------------- */

/* The key of v, printable. */
static const char *word(struct str s, char out[80])
{
	size_t n = s.n < 79 ? s.n : 79;
	if (n)
		memcpy(out, s.p, n);
	out[n] = 0;
	return out;
}

/* Every key of object v is one of the names, which end with NULL. */
static int only_keys(const struct json *v, const char *what, const char *const *names, struct err *e)
{
	char w[80];
	if (!json_is(v, JSON_OBJECT))
		return err_set(e, "%s is not an object", what);
	for (size_t i = 0; i < v->n; i++) {
		const char *const *k = names;
		while (*k && !str_is(v->kids[i].key, *k))
			k++;
		if (!*k)
			return err_set(e, "byte %zu: %s: \"%s\" is not supported", v->kids[i].at, what,
				word(v->kids[i].key, w));
	}
	return 0;
}
#define KEYS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static int is_null(const struct json *v)
{
	return !v || json_is(v, JSON_NULL);
}

/* Absent, null or a string; the string, or {0}. */
static int want_str(const struct json *v, const char *what, struct str *out, struct err *e)
{
	*out = (struct str){ 0 };
	if (is_null(v))
		return 0;
	if (!json_is(v, JSON_STRING))
		return err_set(e, "byte %zu: %s is not a string", v->at, what);
	*out = v->s;
	return 0;
}

static int want_bool(const struct json *v, const char *key, int fallback, int *out, struct err *e)
{
	const struct json *b = json_get(v, key);
	if (!is_null(b) && !json_is(b, JSON_TRUE) && !json_is(b, JSON_FALSE))
		return err_set(e, "byte %zu: %s is not true or false", b->at, key);
	*out = is_null(b) ? fallback : json_is(b, JSON_TRUE);
	return 0;
}

static int want_id(const struct json *v, const char *what, uint32_t *out, struct err *e)
{
	*out = 0;
	if (!json_is(v, JSON_NUMBER) || !v->is_int || v->i < 0 || v->i >= VOCAB_MAX)
		return err_set(e, "%s is not an id below %u", what, VOCAB_MAX);
	*out = (uint32_t)v->i;
	return 0;
}

static const char *type_of(const struct json *v)
{
	const struct json *t = json_get(v, "type");
	return json_is(t, JSON_STRING) ? t->s.p : "";
}

static int type_is(const struct json *v, const char *name)
{
	const struct json *t = json_get(v, "type");
	return json_is(t, JSON_STRING) && str_is(t->s, name);
}

static int refuse_type(const struct json *v, const char *what, struct err *e)
{
	char w[80];
	const struct json *t = json_get(v, "type");
	if (!json_is(t, JSON_STRING))
		return err_set(e, "%s has no type", what);
	return err_set(e, "byte %zu: %s of type \"%s\" is not supported", v->at, what, word(t->s, w));
}

/* A list of objects in v[key]. */
static const struct json *want_list(const struct json *v, const char *key, struct err *e)
{
	const struct json *l = json_get(v, key);
	if (json_is(l, JSON_ARRAY))
		return l;
	err_set(e, "%s is not a list", key);
	return NULL;
}

/* --- normalizer ----------------------------------------------------------------------------------------- */

static int add_normalizer(struct hf *h, const struct json *v)
{
	struct err *e = h->e;
	struct tokenizer *t = h->t;
	static const struct {
		const char *name;
		enum norm_op kind;
	} forms[] = { { "NFC", NORM_NFC }, { "NFD", NORM_NFD }, { "NFKC", NORM_NFKC },
		{ "NFKD", NORM_NFKD } };
	struct str a, b;
	if (is_null(v))
		return 0;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		if (type_is(v, forms[i].name)) {
			tok_norm_step(t, forms[i].kind, STR(""), STR(""));
			return only_keys(v, "normalizer", KEYS("type"), e);
		}
	}
	if (type_is(v, "Sequence")) {
		const struct json *l = want_list(v, "normalizers", e);
		if (!l || only_keys(v, "normalizer", KEYS("type", "normalizers"), e))
			return -1;
		for (size_t i = 0; i < l->n; i++)
			if (add_normalizer(h, &l->kids[i]))
				return -1;
		return 0;
	}
	if (type_is(v, "Prepend")) {
		if (only_keys(v, "normalizer", KEYS("type", "prepend"), e) ||
			want_str(json_get(v, "prepend"), "prepend", &a, e))
			return -1;
		tok_norm_step(t, NORM_PREPEND, a, STR(""));
		return 0;
	}
	if (type_is(v, "Replace")) {
		const struct json *p = json_get(v, "pattern");
		if (only_keys(v, "normalizer", KEYS("type", "pattern", "content"), e) ||
			only_keys(p, "normalizer Replace: pattern", KEYS("String"), e) ||
			want_str(json_get(p, "String"), "pattern", &a, e) ||
			want_str(json_get(v, "content"), "content", &b, e))
			return -1;
		if (!a.n)
			return err_set(e, "byte %zu: normalizer Replace: the pattern is empty", v->at);
		tok_norm_step(t, NORM_REPLACE, a, b);
		return 0;
	}
	return refuse_type(v, "normalizer", e);
}

/* --- pre-tokenizer -------------------------------------------------------------------------------------- */

static struct presplit *new_split(struct hf *h, enum presplit_kind kind)
{
	struct tokenizer *t = h->t;
	if (t->nsplit == PRESPLIT_MAX) {
		err_set(h->e, "more than %d splitting steps", PRESPLIT_MAX);
		return NULL;
	}
	struct presplit *s = &t->split[t->nsplit++];
	*s = (struct presplit){ .kind = kind };
	return s;
}

static int add_regex(struct hf *h, const char *pattern, unsigned flags)
{
	if (h->pattern) {
		if (h->pattern_used++)
			return err_set(h->e, "--pattern cannot replace several patterns");
		return tok_split_pattern(h->t, h->pattern, 0, h->e);
	}
	return tok_split_pattern(h->t, pattern, flags, h->e);
}

static int behavior_of(const struct json *v, struct presplit *s, struct err *e)
{
	static const char *const names[] = { "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext",
		"Contiguous" };
	const struct json *b = json_get(v, "behavior");
	for (int i = 0; json_is(b, JSON_STRING) && i < 5; i++) {
		if (str_is(b->s, names[i])) {
			s->behavior = (enum split_behavior)i;
			return 0;
		}
	}
	return err_set(e, "byte %zu: pre_tokenizer: unknown behavior", v->at);
}

static int add_split(struct hf *h, const struct json *v)
{
	struct err *e = h->e;
	const struct json *p = json_get(v, "pattern"), *rx = json_get(p, "Regex"),
			  *lit = json_get(p, "String");
	struct presplit *s;
	int invert;
	if (only_keys(v, "pre_tokenizer Split", KEYS("type", "pattern", "behavior", "invert"), e) ||
		only_keys(p, "pre_tokenizer Split: pattern", KEYS("Regex", "String"), e) ||
		want_bool(v, "invert", 0, &invert, e))
		return -1;
	if (json_is(rx, JSON_STRING)) {
		if (memchr(rx->s.p, 0, rx->s.n))
			return err_set(e, "byte %zu: a pattern with a NUL is not supported", rx->at);
		if (add_regex(h, rx->s.p, PRETOK_LINES))
			return -1;
		s = &h->t->split[h->t->nsplit - 1];
	} else if (json_is(lit, JSON_STRING) && lit->s.n) {
		if (!(s = new_split(h, SPLIT_STRING)))
			return -1;
		s->literal = tok_keep(h->t, lit->s.p, lit->s.n);
	} else {
		return err_set(e, "byte %zu: pre_tokenizer Split: no pattern", v->at);
	}
	s->invert = invert;
	if (behavior_of(v, s, e))
		return -1;
	if (s->rx && s->behavior != SPLIT_ISOLATED && s->behavior != SPLIT_REMOVED &&
		pretok_matches_empty(s->rx))
		return err_set(e,
			"byte %zu: pre_tokenizer Split: a pattern that matches nothing is not supported with "
			"this behavior",
			v->at);
	/* A known pattern matches everything, so that taking the matches is the same as cutting at them. */
	if (s->rx && s->invert && s->behavior == SPLIT_REMOVED && pretok_tiles(s->rx)) {
		s->invert = 0;
		s->behavior = SPLIT_ISOLATED;
	}
	return 0;
}

static int add_byte_level(struct hf *h, const struct json *v)
{
	int prefix, regex, trim;
	if (only_keys(v, "pre_tokenizer ByteLevel",
		    KEYS("type", "add_prefix_space", "trim_offsets", "use_regex"), h->e) ||
		want_bool(v, "add_prefix_space", 1, &prefix, h->e) ||
		want_bool(v, "use_regex", 1, &regex, h->e) || want_bool(v, "trim_offsets", 1, &trim, h->e))
		return -1;
	h->t->byte_level = 1;
	if (prefix && !new_split(h, SPLIT_PREFIX_SPACE))
		return -1;
	return regex ? add_regex(h, "gpt2", 0) : 0;
}

static int add_metaspace(struct hf *h, const struct json *v)
{
	struct err *e = h->e;
	struct str r, scheme;
	int cut;
	if (only_keys(v, "pre_tokenizer Metaspace", KEYS("type", "replacement", "prepend_scheme", "split"),
		    e) ||
		want_str(json_get(v, "replacement"), "replacement", &r, e) ||
		want_str(json_get(v, "prepend_scheme"), "prepend_scheme", &scheme, e) ||
		want_bool(v, "split", 1, &cut, e))
		return -1;
	struct presplit *s = new_split(h, SPLIT_METASPACE);
	if (!s)
		return -1;
	if (!str_is(r, META))
		return err_set(
			e, "byte %zu: Metaspace: a replacement other than U+2581 is not supported", v->at);
	s->literal = tok_keep(h->t, r.p, r.n);
	s->cut = cut;
	s->scheme = !scheme.p || str_is(scheme, "always") ? META_ALWAYS
		    : str_is(scheme, "first")             ? META_FIRST
							  : META_NEVER;
	if (s->scheme == META_NEVER && !str_is(scheme, "never"))
		return err_set(e, "byte %zu: Metaspace: unknown prepend_scheme", v->at);
	return 0;
}

static int add_pretok(struct hf *h, const struct json *v)
{
	struct err *e = h->e;
	if (is_null(v))
		return 0;
	if (h->t->byte_level && !type_is(v, "Sequence"))
		return err_set(e, "byte %zu: pre_tokenizer: a step behind ByteLevel is not supported", v->at);
	if (type_is(v, "Sequence")) {
		const struct json *l = want_list(v, "pretokenizers", e);
		if (!l || only_keys(v, "pre_tokenizer", KEYS("type", "pretokenizers"), e))
			return -1;
		for (size_t i = 0; i < l->n; i++)
			if (add_pretok(h, &l->kids[i]))
				return -1;
		return 0;
	}
	if (type_is(v, "Split"))
		return add_split(h, v);
	if (type_is(v, "ByteLevel"))
		return add_byte_level(h, v);
	if (type_is(v, "Metaspace"))
		return add_metaspace(h, v);
	if (type_is(v, "Digits")) {
		int each;
		struct presplit *s = new_split(h, SPLIT_DIGITS);
		if (!s || only_keys(v, "pre_tokenizer Digits", KEYS("type", "individual_digits"), e) ||
			want_bool(v, "individual_digits", 0, &each, e))
			return -1;
		s->behavior = each ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS;
		return 0;
	}
	return refuse_type(v, "pre_tokenizer", e);
}

/* --- model ---------------------------------------------------------------------------------------------- */

/* A token's spelling in the file to the bytes that it stands for; a spelling outside the byte alphabet stays.
 */
static struct str spelled(const struct tokenizer *t, struct str s, struct buf *b, int *raw)
{
	buf_reset(b);
	*raw = 0;
	if (!t->byte_level || (*raw = bytes_of_spelling(s.p, s.n, b) != 0))
		return s;
	return (struct str){ b->p ? b->p : "", b->n };
}

static int add_vocab(struct hf *h, const struct json *v)
{
	struct buf b = { 0 };
	char w[80];
	int rc = 0;
	if (!json_is(v, JSON_OBJECT))
		return err_set(h->e, "model: vocab is not an object");
	for (size_t i = 0; i < v->n && !rc; i++) {
		uint32_t id;
		int raw;
		rc = want_id(&v->kids[i], "model: vocab: a token's number", &id, h->e);
		if (rc)
			break;
		struct str s = spelled(h->t, v->kids[i].key, &b, &raw);
		if (!raw && vocab_find(&h->t->vocab, s.p, s.n) != NO_ID)
			rc = err_set(h->e, "byte %zu: model: vocab: \"%s\" is there twice", v->kids[i].at,
				word(v->kids[i].key, w));
		else if (vocab_add(&h->t->vocab, id, s.p, s.n, !raw))
			rc = err_set(h->e, "byte %zu: model: vocab: id %u of \"%s\" is used twice",
				v->kids[i].at, id, word(v->kids[i].key, w));
	}
	buf_release(&b);
	return rc;
}

/* Both halves of a merge, "a b" or ["a", "b"]. */
static int halves(const struct json *m, struct str *a, struct str *b)
{
	if (json_is(m, JSON_ARRAY) && m->n == 2 && json_is(&m->kids[0], JSON_STRING) &&
		json_is(&m->kids[1], JSON_STRING)) {
		*a = m->kids[0].s;
		*b = m->kids[1].s;
		return 0;
	}
	const char *space = json_is(m, JSON_STRING) && m->s.n ? memchr(m->s.p, ' ', m->s.n) : NULL;
	if (!space)
		return -1;
	*a = (struct str){ m->s.p, (size_t)(space - m->s.p) };
	*b = (struct str){ space + 1, m->s.n - a->n - 1 };
	return b->n && memchr(b->p, ' ', b->n) ? -1 : 0;
}

int tok_add_merge(struct tokenizer *t, struct str a, struct str b, uint32_t rank, struct err *e)
{
	struct buf x = { 0 };
	char w[80];
	uint32_t left = NO_ID, right = NO_ID, id = NO_ID;
	if (t->byte_level ? bytes_of_spelling(a.p, a.n, &x) == 0 : (buf_add(&x, a.p, a.n), 1)) {
		size_t n = x.n;
		left = vocab_find(&t->vocab, x.p ? x.p : "", n);
		if (t->byte_level ? bytes_of_spelling(b.p, b.n, &x) == 0 : (buf_add(&x, b.p, b.n), 1)) {
			right = vocab_find(&t->vocab, x.p ? x.p + n : "", x.n - n);
			id = vocab_find(&t->vocab, x.p ? x.p : "", x.n);
		}
	}
	buf_release(&x);
	if (left == NO_ID || right == NO_ID || id == NO_ID)
		return err_set(e, "merge %u: %s \"%s\" is not in the vocabulary", rank,
			left == NO_ID    ? "left"
			: right == NO_ID ? "right"
					 : "the result of",
			word(left == NO_ID ? a : b, w));
	bpe_add(&t->merges, left, right, rank, id);
	return 0;
}

static int add_merges(struct hf *h, const struct json *v)
{
	if (!json_is(v, JSON_ARRAY))
		return err_set(h->e, "model: merges is not a list");
	if (v->n >= NO_ID)
		return err_set(h->e, "model: too many merges");
	for (size_t i = 0; i < v->n; i++) {
		struct str a, b;
		if (halves(&v->kids[i], &a, &b))
			return err_set(h->e, "byte %zu: model: merge %zu is not a pair", v->kids[i].at, i);
		if (tok_add_merge(h->t, a, b, (uint32_t)i, h->e))
			return err_prefix(h->e, "model");
	}
	return 0;
}

/* <0xNN> of character models. */
static void find_byte_tokens(struct tokenizer *t)
{
	static const char hex[] = "0123456789ABCDEF";
	for (int c = 0; c < 256; c++) {
		char name[] = { '<', '0', 'x', hex[c >> 4], hex[c & 15], '>' };
		t->byte_id[c] = vocab_find(&t->vocab, name, sizeof name);
	}
}

static int add_model(struct hf *h, const struct json *v)
{
	struct tokenizer *t = h->t;
	struct err *e = h->e;
	struct str unk, sub, end;
	const struct json *dropout = json_get(v, "dropout");
	if (json_get(v, "type") && !type_is(v, "BPE"))
		return refuse_type(v, "model", e);
	if (only_keys(v, "model",
		    KEYS("type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
			    "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"),
		    e) ||
		want_str(json_get(v, "unk_token"), "unk_token", &unk, e) ||
		want_str(json_get(v, "continuing_subword_prefix"), "continuing_subword_prefix", &sub, e) ||
		want_str(json_get(v, "end_of_word_suffix"), "end_of_word_suffix", &end, e) ||
		want_bool(v, "fuse_unk", 0, &t->fuse_unk, e) ||
		want_bool(v, "byte_fallback", 0, &t->byte_fallback, e) ||
		want_bool(v, "ignore_merges", 0, &t->ignore_merges, e))
		return -1;
	if (sub.n || end.n)
		return err_set(e, "model: %s is not supported",
			sub.n ? "continuing_subword_prefix" : "end_of_word_suffix");
	if (!is_null(dropout) && !(json_is(dropout, JSON_NUMBER) && dropout->d == 0))
		return err_set(e, "model: dropout is not supported");
	if (add_vocab(h, json_get(v, "vocab")) || add_merges(h, json_get(v, "merges")))
		return -1;
	if (unk.n && (t->unk = vocab_find(&t->vocab, unk.p, unk.n)) == NO_ID)
		return err_set(e, "model: unk_token is not in the vocabulary");
	if (!t->byte_level && t->byte_fallback)
		find_byte_tokens(t);
	if (t->byte_level && t->byte_fallback)
		return err_set(e, "model: byte_fallback in a byte-level model is not supported");
	return 0;
}

/* --- added tokens, post-processor, decoder -------------------------------------------------------------- */

static int add_added(struct hf *h, const struct json *v)
{
	if (is_null(v))
		return 0;
	if (!json_is(v, JSON_ARRAY))
		return err_set(h->e, "added_tokens is not a list");
	for (size_t i = 0; i < v->n; i++) {
		const struct json *k = &v->kids[i];
		struct added a = { 0 };
		int b[5];
		if (only_keys(k, "added_tokens",
			    KEYS("id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"),
			    h->e) ||
			want_id(json_get(k, "id"), "added_tokens: id", &a.id, h->e) ||
			want_str(json_get(k, "content"), "content", &a.text, h->e) ||
			want_bool(k, "special", 0, &b[0], h->e) ||
			want_bool(k, "normalized", 1, &b[1], h->e) ||
			want_bool(k, "lstrip", 0, &b[2], h->e) || want_bool(k, "rstrip", 0, &b[3], h->e) ||
			want_bool(k, "single_word", 0, &b[4], h->e))
			return -1;
		a.special = (unsigned char)b[0];
		a.normalized = (unsigned char)b[1];
		a.lstrip = (unsigned char)b[2];
		a.rstrip = (unsigned char)b[3];
		a.single_word = (unsigned char)b[4];
		if (tok_add(h->t, a, h->e))
			return err_prefix(h->e, "byte %zu", k->at);
	}
	return 0;
}

/* An id that the post-processor adds, behind the text or in front of it. */
static int put_id(struct hf *h, int behind, const struct json *v, const char *what)
{
	struct tokenizer *t = h->t;
	uint32_t id, **list = behind ? &t->suffix : &t->prefix;
	size_t *n = behind ? &t->nsuffix : &t->nprefix;
	if (want_id(v, what, &id, h->e))
		return -1;
	if (!vocab_has(&t->vocab, id))
		return err_set(h->e, "byte %zu: %s: no token has the id %u", v->at, what, id);
	*list = xreallocarray(*list, *n + 1, sizeof **list);
	(*list)[(*n)++] = id;
	return 0;
}

static int add_template(struct hf *h, const struct json *v)
{
	const struct json *l = want_list(v, "single", h->e), *tokens = json_get(v, "special_tokens");
	int seen = 0;
	if (!l || only_keys(v, "post_processor", KEYS("type", "single", "pair", "special_tokens"), h->e))
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		const struct json *sp = json_get(&l->kids[i], "SpecialToken"), *name = json_get(sp, "id"),
				  *ids;
		if (json_get(&l->kids[i], "Sequence")) {
			if (seen++)
				return err_set(h->e, "post_processor: the text twice is not supported");
			continue;
		}
		ids = json_is(name, JSON_STRING) ? json_get(json_get(tokens, name->s.p), "ids") : NULL;
		if (!json_is(ids, JSON_ARRAY))
			return err_set(
				h->e, "byte %zu: post_processor: unknown special token", l->kids[i].at);
		for (size_t k = 0; k < ids->n; k++)
			if (put_id(h, seen, &ids->kids[k], "post_processor: ids"))
				return -1;
	}
	return seen ? 0 : err_set(h->e, "post_processor: the template has no place for the text");
}

/* RobertaProcessing and BertProcessing: ["token", id] in front and behind. */
static int add_cls_sep(struct hf *h, const struct json *v)
{
	const struct json *cls = json_get(v, "cls"), *sep = json_get(v, "sep");
	if (only_keys(v, "post_processor", KEYS("type", "cls", "sep", "trim_offsets", "add_prefix_space"),
		    h->e))
		return -1;
	if (!json_is(cls, JSON_ARRAY) || cls->n != 2 || !json_is(sep, JSON_ARRAY) || sep->n != 2)
		return err_set(h->e, "byte %zu: post_processor: no cls or sep", v->at);
	return put_id(h, 0, &cls->kids[1], "post_processor: cls") ||
			       put_id(h, 1, &sep->kids[1], "post_processor: sep")
		       ? -1
		       : 0;
}

static int add_post(struct hf *h, const struct json *v)
{
	if (is_null(v) || type_is(v, "ByteLevel")) /* ByteLevel: offsets only */
		return 0;
	if (type_is(v, "Sequence")) {
		const struct json *l = want_list(v, "processors", h->e);
		for (size_t i = 0; l && i < l->n; i++)
			if (add_post(h, &l->kids[i]))
				return -1;
		return l ? 0 : -1;
	}
	if (h->t->nprefix || h->t->nsuffix)
		return err_set(h->e, "byte %zu: post_processor: several templates are not supported", v->at);
	if (type_is(v, "TemplateProcessing"))
		return add_template(h, v);
	if (type_is(v, "RobertaProcessing") || type_is(v, "BertProcessing"))
		return add_cls_sep(h, v);
	return refuse_type(v, "post_processor", h->e);
}

/* The steps that decoding a character model takes; others would give another text. */
static int decoder_step(struct hf *h, const struct json *v)
{
	struct str a, b;
	const struct json *p = json_get(v, "pattern");
	if (type_is(v, "ByteFallback") || type_is(v, "Fuse"))
		return 0;
	if (type_is(v, "Replace")) {
		if (want_str(json_get(p, "String"), "pattern", &a, h->e) ||
			want_str(json_get(v, "content"), "content", &b, h->e))
			return -1;
		if (str_is(a, META) && str_is(b, " "))
			return 0;
	}
	if (type_is(v, "Strip") && want_str(json_get(v, "content"), "content", &a, h->e) == 0 &&
		str_is(a, " ") && json_int(v, "start", 0) <= 1 && json_int(v, "stop", 0) == 0) {
		h->t->strip_first |= json_int(v, "start", 0) == 1;
		return 0;
	}
	if (type_is(v, "Metaspace")) {
		struct str scheme;
		if (want_str(json_get(v, "prepend_scheme"), "prepend_scheme", &scheme, h->e))
			return -1;
		h->t->strip_first |= !str_is(scheme, "never");
		return 0;
	}
	return err_set(h->e, "byte %zu: decoder step \"%.40s\" is not supported", v->at, type_of(v));
}

static int add_decoder(struct hf *h, const struct json *v)
{
	if (is_null(v))
		return 0;
	if (h->t->byte_level)
		return type_is(v, "ByteLevel") ? 0 : refuse_type(v, "decoder of a byte-level model", h->e);
	if (!type_is(v, "Sequence"))
		return decoder_step(h, v);
	const struct json *l = want_list(v, "decoders", h->e);
	for (size_t i = 0; l && i < l->n; i++)
		if (decoder_step(h, &l->kids[i]))
			return -1;
	return l ? 0 : -1;
}

static int build(struct hf *h, const struct json *v)
{
	/* The pre-tokenizer comes first: it says whether the vocabulary is spelled in bytes. */
	if (only_keys(v, "tokenizer.json",
		    KEYS("version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
			    "post_processor", "decoder", "model"),
		    h->e))
		return -1;
	if (!json_is(json_get(v, "model"), JSON_OBJECT))
		return err_set(h->e, "no \"model\": not a tokenizer.json");
	if (add_pretok(h, json_get(v, "pre_tokenizer")) || add_normalizer(h, json_get(v, "normalizer")) ||
		add_model(h, json_get(v, "model")) || add_added(h, json_get(v, "added_tokens")) ||
		add_post(h, json_get(v, "post_processor")) || add_decoder(h, json_get(v, "decoder")))
		return -1;
	if (h->pattern && !h->pattern_used)
		return err_set(h->e, "this tokenizer has no pattern to replace");
	return tok_finish(h->t, h->e);
}

struct tokenizer *tok_load_hf(const char *p, size_t n, const char *pattern, struct err *e)
{
	struct arena a = { 0 };
	struct hf h = { tok_new(), pattern, 0, e };
	struct json *v = json_parse(&a, p, n, JSON_STRICT, e);
	int rc = v ? build(&h, v) : -1;
	arena_release(&a);
	if (rc) {
		tokenizer_free(h.t);
		return NULL;
	}
	return h.t;
}
