/* Encoding: added tokens, normalizer, splitting, the cache of pieces, merging. */
#include "text/tok_impl.h"
#include "text/utf8.h"
#include "base/die.h"

#include <stdlib.h>

/*
 * Pieces of text repeat: nine of ten are in a cache that is keyed by their bytes. Two tables of fixed size,
 * filled as they come: one of 32-byte entries for pieces up to 15 bytes that make up to 3 ids, two in a set;
 * one of 128-byte entries for longer ones.
 */
#define SMALL_BITS 16 /* sets */
#define SMALL_IDS 3
#define BIG_BITS 13
#define BIG_BYTES 46
#define BIG_IDS 18

struct small {
	uint64_t lo, hi; /* the bytes, zero-padded, and the length in the top byte of hi; hi == 0: free */
	uint32_t id[SMALL_IDS];
	uint32_t n;
};
struct big {
	uint64_t hash;
	uint8_t len, n;
	char text[BIG_BYTES];
	uint32_t id[BIG_IDS];
};

struct level { /* scratch of one splitting step */
	struct splitter *splitter;
	struct buf text;
};

struct encoder {
	const struct tokenizer *t;
	struct small (*small)[2];
	struct big *big;
	struct ids symbols;
	struct bpe_scratch scratch;
	struct buf norm, tmp;
	struct level level[PRESPLIT_MAX];
	int at_start; /* nothing was before this text: Metaspace's "first" */
	struct ids *out;
	struct buf *text_out; /* encoder_normalize */
};

void ids_add(struct ids *a, uint32_t id)
{
	GROW(a->v, a->cap, a->n + 1);
	a->v[a->n++] = id;
}

void ids_release(struct ids *a)
{
	free(a->v);
	*a = (struct ids){ 0 };
}

struct encoder *encoder_new(const struct tokenizer *t)
{
	struct encoder *enc = xcalloc(1, sizeof *enc);
	enc->t = t;
	enc->small = mem_alloc(sizeof *enc->small << SMALL_BITS);
	enc->big = mem_alloc(sizeof *enc->big << BIG_BITS);
	for (size_t i = 0; i < t->nsplit; i++)
		if (t->split[i].rx)
			enc->level[i].splitter = splitter_new(t->split[i].rx);
	return enc;
}

void encoder_free(struct encoder *enc)
{
	if (!enc)
		return;
	for (size_t i = 0; i < PRESPLIT_MAX; i++) {
		splitter_free(enc->level[i].splitter);
		buf_release(&enc->level[i].text);
	}
	mem_free(enc->small, sizeof *enc->small << SMALL_BITS);
	mem_free(enc->big, sizeof *enc->big << BIG_BITS);
	ids_release(&enc->symbols);
	bpe_scratch_release(&enc->scratch);
	buf_release(&enc->norm);
	buf_release(&enc->tmp);
	free(enc);
}

uint64_t encoder_limited(const struct encoder *enc)
{
	uint64_t n = 0;
	for (size_t i = 0; i < enc->t->nsplit; i++)
		if (enc->level[i].splitter)
			n += splitter_limited(enc->level[i].splitter);
	return n;
}

/* --- one piece ------------------------------------------------------------------------------------------ */

/* The unknown token, if there is one. The piece began at out->v[from]: nothing is fused across pieces. */
static void put_unknown(const struct tokenizer *t, size_t from, struct ids *out)
{
	if (t->unk != NO_ID && !(t->fuse_unk && out->n > from && out->v[out->n - 1] == t->unk))
		ids_add(out, t->unk);
}

/* The bytes of one character as byte tokens, else the unknown token, as the libraries do. */
static void fall_back(const struct tokenizer *t, const char *p, size_t n, size_t from, struct ids *out)
{
	int all = t->byte_fallback;
	for (size_t i = 0; i < n; i++)
		all = all && t->byte_id[(unsigned char)p[i]] != NO_ID;
	if (all) {
		for (size_t i = 0; i < n; i++)
			ids_add(out, t->byte_id[(unsigned char)p[i]]);
	} else {
		put_unknown(t, from, out);
	}
}

static void symbols_of(const struct tokenizer *t, const char *p, size_t n, struct ids *s)
{
	s->n = 0;
	if (t->byte_level) {
		for (size_t i = 0; i < n; i++) {
			uint32_t id = t->byte_id[(unsigned char)p[i]];
			if (id != NO_ID)
				ids_add(s, id);
			else
				fall_back(t, p + i, 1, 0, s);
		}
		return;
	}
	for (size_t i = 0, len; i < n; i += len) {
		uint32_t cp;
		len = utf8_get(p + i, n - i, &cp);
		uint32_t id = vocab_find(&t->vocab, p + i, len);
		if (id != NO_ID)
			ids_add(s, id);
		else
			fall_back(t, p + i, len, 0, s);
	}
}

static size_t merge_piece(struct encoder *enc, const char *p, size_t n, struct ids *out)
{
	const struct tokenizer *t = enc->t;
	struct ids *s = &enc->symbols;
	size_t before = out->n;
	if (t->ignore_merges) {
		uint32_t id = vocab_find(&t->vocab, p, n);
		if (id != NO_ID) {
			ids_add(out, id);
			return 1;
		}
	}
	symbols_of(t, p, n, s);
	s->n = bpe_merge(&t->merges, &enc->scratch, s->v, s->n);
	for (size_t i = 0; i < s->n; i++) {
		struct str text = t->vocab.text[s->v[i]];
		if (s->v[i] >= t->first_pseudo)
			fall_back(t, text.p, text.n, before, out);
		else if (s->v[i] == t->unk && t->first_pseudo != NO_ID)
			put_unknown(t, before, out); /* behind a symbol that was left over */
		else
			ids_add(out, s->v[i]);
	}
	return out->n - before;
}

static void piece_big(struct encoder *enc, const char *p, size_t n)
{
	struct ids *out = enc->out;
	if (n > BIG_BYTES) {
		merge_piece(enc, p, n, out);
		return;
	}
	uint64_t h = hash64(p, n, 0);
	struct big *b = &enc->big[h >> (64 - BIG_BITS)];
	if (b->n && b->hash == h && b->len == n && memcmp(b->text, p, n) == 0) {
		GROW(out->v, out->cap, out->n + BIG_IDS);
		memcpy(out->v + out->n, b->id, b->n * sizeof *b->id);
		out->n += b->n;
		return;
	}
	size_t k = merge_piece(enc, p, n, out);
	if (!k || k > BIG_IDS)
		return;
	b->hash = h;
	b->len = (uint8_t)n;
	b->n = (uint8_t)k;
	memcpy(b->text, p, n);
	memcpy(b->id, out->v + out->n - k, k * sizeof *b->id);
}

/* The first n of 16 bytes, 0 < n < 16, and n itself in the last one: what a piece is known by. */
static inline void key_of(const char *p, size_t n, size_t room, uint64_t key[2])
{
	static const unsigned char mask[32] = { 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
		255, 255, 255, 255 };
	uint64_t m[2], len = (uint64_t)n << 56;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	len = n;
#endif
	if (room >= 16) {
		memcpy(key, p, 16);
		memcpy(m, mask + 16 - n, 16);
		key[0] &= m[0];
		key[1] &= m[1];
	} else {
		key[0] = key[1] = 0;
		memcpy(key, p, n);
	}
	key[1] |= len;
}

/* The ids of one piece; `room` bytes from p on may be read. */
static inline void piece(struct encoder *enc, const char *p, size_t n, size_t room)
{
	if (n > 15) {
		piece_big(enc, p, n);
		return;
	}
	uint64_t key[2];
	key_of(p, n, room, key);
	uint64_t h = (key[0] ^ key[1] * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
	struct small *set = enc->small[(h ^ h >> 32) * UINT64_C(0x94d049bb133111eb) >> (64 - SMALL_BITS)];
	struct ids *out = enc->out;
	GROW(out->v, out->cap, out->n + SMALL_IDS);
	for (int i = 0; i < 2; i++) {
		if (set[i].lo != key[0] || set[i].hi != key[1])
			continue;
		if (set[i].n > SMALL_IDS) { /* the long spelling of a short piece */
			piece_big(enc, p, n);
			return;
		}
		memcpy(out->v + out->n, set[i].id, sizeof set[i].id);
		out->n += set[i].n;
		return;
	}
	size_t k = merge_piece(enc, p, n, out);
	set[1] = set[0];
	set[0] = (struct small){ key[0], key[1], { 0 }, (uint32_t)k };
	if (k <= SMALL_IDS)
		memcpy(set[0].id, out->v + out->n - k, k * sizeof *set[0].id);
}

/* --- splitting ------------------------------------------------------------------------------------------ */

static void split(struct encoder *enc, size_t step, const char *text, size_t n, size_t room);

/* Spans of one splitting step as they come, put together by its behavior. */
struct spans {
	struct encoder *enc;
	size_t step;
	const char *text;
	size_t room;
	size_t from, to; /* the span held back, none when from == to */
	int last_match, held_match;
};

static void emit(struct spans *s, size_t from, size_t to)
{
	if (from > 0)
		s->enc->at_start = 0;
	if (to > from)
		split(s->enc, s->step + 1, s->text + from, to - from, s->room - from);
}

/* The next span [from, to) of the text. The rules are those of tokenizers' SplitDelimiterBehavior. */
static void span(struct spans *s, enum split_behavior how, size_t from, size_t to, int match)
{
	int join = 0;
	if (how == SPLIT_PREVIOUS)
		join = match && !s->last_match;
	else if (how == SPLIT_NEXT)
		join = !match && s->held_match;
	else if (how == SPLIT_CONTIGUOUS)
		join = match == s->last_match;
	if (how == SPLIT_REMOVED && match)
		return;
	if (!join) {
		emit(s, s->from, s->to);
		s->from = from;
		s->held_match = match;
	} else {
		s->held_match = 0;
	}
	s->to = to;
	s->last_match = match;
}

/* End of the span at text[at] under a step, and whether it is a match. */
static size_t next_span(struct encoder *enc, size_t step, const char *text, size_t n, size_t at, int *match)
{
	const struct presplit *p = &enc->t->split[step];
	if (p->kind == SPLIT_REGEX)
		return splitter_next(enc->level[step].splitter, text, n, at, match);
	if (p->kind == SPLIT_STRING) {
		for (size_t i = at; i + p->literal.n <= n; i++) {
			if (memcmp(text + i, p->literal.p, p->literal.n) == 0) {
				*match = i == at;
				return i == at ? at + p->literal.n : i;
			}
		}
		*match = 0;
		return n;
	}
	uint32_t cp; /* SPLIT_DIGITS */
	size_t end = at + utf8_get(text + at, n - at, &cp);
	*match = (uni_class(cp) & UNI_NUMBER) != 0;
	while (!*match && end < n) {
		size_t len = utf8_get(text + end, n - end, &cp);
		if (uni_class(cp) & UNI_NUMBER)
			break;
		end += len;
	}
	return end;
}

/* Replaces spaces by the replacement, puts one in front, and cuts in front of each. */
static void metaspace(struct encoder *enc, size_t step, const char *text, size_t n)
{
	const struct presplit *p = &enc->t->split[step];
	struct buf *b = &enc->level[step].text;
	struct str r = p->literal;
	buf_reset(b);
	int leads = n && (text[0] == ' ' || (n >= r.n && memcmp(text, r.p, r.n) == 0));
	if (n && !leads && (p->scheme == META_ALWAYS || (p->scheme == META_FIRST && enc->at_start)))
		buf_add(b, r.p, r.n);
	for (size_t i = 0; i < n; i++) {
		if (text[i] == ' ')
			buf_add(b, r.p, r.n);
		else
			buf_addc(b, text[i]);
	}
	size_t from = 0;
	for (size_t i = r.n; p->cut && i + r.n <= b->n; i++) {
		if (i > from && memcmp(b->p + i, r.p, r.n) == 0) {
			split(enc, step + 1, b->p + from, i - from, b->n - from);
			from = i;
		}
	}
	if (b->n > from)
		split(enc, step + 1, b->p + from, b->n - from, b->n - from);
}

/* Character models without splitting steps: text is cut where no token could reach across. */
static void cut_at_meta(struct encoder *enc, const char *text, size_t n)
{
	size_t from = 0;
	for (size_t at = 3; at + 3 <= n; at++) {
		const char *p = memchr(text + at, META[0], n - 2 - at);
		if (!p)
			break;
		at = (size_t)(p - text);
		if (memcmp(p, META, 3) == 0 && memcmp(p - 3, META, 3) != 0) {
			piece(enc, text + from, at - from, n - from);
			from = at;
		}
	}
	piece(enc, text + from, n - from, n - from);
}

static void split(struct encoder *enc, size_t step, const char *text, size_t n, size_t room)
{
	const struct tokenizer *t = enc->t;
	if (step == t->nsplit) {
		if (t->cut_at_meta)
			cut_at_meta(enc, text, n);
		else
			piece(enc, text, n, room);
		return;
	}
	const struct presplit *p = &t->split[step];
	if (p->kind == SPLIT_METASPACE) {
		metaspace(enc, step, text, n);
		return;
	}
	if (p->kind == SPLIT_PREFIX_SPACE) {
		struct buf *b = &enc->level[step].text;
		if (!n || text[0] == ' ') {
			split(enc, step + 1, text, n, room);
			return;
		}
		buf_reset(b);
		buf_addc(b, ' ');
		buf_add(b, text, n);
		split(enc, step + 1, b->p, b->n, b->n);
		return;
	}
	if (p->kind == SPLIT_REGEX && p->behavior == SPLIT_ISOLATED) {
		struct splitter *s = enc->level[step].splitter;
		int last = step + 1 == t->nsplit && !t->cut_at_meta;
		for (size_t at = 0, end; at < n; at = end) {
			end = splitter_next(s, text, n, at, NULL);
			enc->at_start &= at == 0;
			if (last)
				piece(enc, text + at, end - at, room - at);
			else
				split(enc, step + 1, text + at, end - at, room - at);
		}
		return;
	}
	struct spans s = { enc, step, text, room, 0, 0, 0, 0 };
	for (size_t at = 0, end; at < n; at = end) {
		int match;
		end = next_span(enc, step, text, n, at, &match);
		span(&s, p->behavior, at, end, match ^ p->invert);
	}
	emit(&s, s.from, s.to);
}

/* --- added tokens --------------------------------------------------------------------------------------- */

static int is_space_at(const char *p, size_t n, size_t *len)
{
	uint32_t cp;
	*len = utf8_get(p, n, &cp);
	return (uni_class(cp) & UNI_SPACE) != 0;
}

/* Finds the next added token that counts at or after text[*at]; what was passed over stays in front of it. */
static const struct added *next_added(const struct tokenizer *t, const struct trie *trie, const char *text,
	size_t n, size_t at, int flags, size_t *start, size_t *end)
{
	for (;;) {
		size_t len = 0;
		uint32_t which = 0, cp;
		size_t i = trie_find(trie, text, n, at, &len, &which);
		if (i == n)
			return NULL;
		const struct added *a = &t->added[which];
		at = i + len;
		if (a->special && !(flags & ENCODE_SPECIAL))
			continue;
		if (a->single_word) {
			utf8_get_back(text, i, &cp);
			if (i && (uni_class(cp) & UNI_WORD))
				continue;
			if (at < n && (utf8_get(text + at, n - at, &cp), uni_class(cp) & UNI_WORD))
				continue;
		}
		*start = i;
		*end = at;
		return a;
	}
}

typedef void text_fn(struct encoder *enc, const char *text, size_t n, int flags);
typedef void token_fn(struct encoder *enc, const struct added *a);

/* Cuts text at the added tokens of one trie: `on_text` for what lies between, `on_token` for them. */
static void cut_added(struct encoder *enc, const struct trie *trie, const char *text, size_t n, int flags,
	text_fn *on_text, token_fn *on_token)
{
	const struct tokenizer *t = enc->t;
	size_t from = 0, at = 0, start, end, len;
	const struct added *a;
	uint32_t cp;
	while ((a = next_added(t, trie, text, n, at, flags, &start, &end))) {
		/* The library's own arithmetic: a match inside white space that the token before has
		 * swallowed still counts, unless it swallows to its left itself. */
		at = end;
		if (a->lstrip && start < from)
			start = from;
		while (a->lstrip && start > from) {
			len = utf8_get_back(text + from, start - from, &cp);
			if (!(uni_class(cp) & UNI_SPACE))
				break;
			start -= len;
		}
		while (a->rstrip && end < n && is_space_at(text + end, n - end, &len))
			end += len;
		if (start > from)
			on_text(enc, text + from, start - from, flags);
		if (start < end)
			on_token(enc, a);
		enc->at_start = 0;
		from = end;
	}
	if (n > from)
		on_text(enc, text + from, n - from, flags);
}

/* Can matching change anything? Special tokens that are not allowed only hide others. */
static int wants_cut(const struct encoder *enc, const struct trie *trie, int flags)
{
	return trie->count && ((flags & ENCODE_SPECIAL) || enc->t->any_text_added);
}

static void put_token(struct encoder *enc, const struct added *a)
{
	ids_add(enc->out, a->id);
}

static void put_text(struct encoder *enc, const char *text, size_t n, int flags)
{
	(void)flags;
	split(enc, 0, text, n, n);
	enc->at_start = 0;
}

static void normalize_then_put(struct encoder *enc, const char *text, size_t n, int flags)
{
	const struct tokenizer *t = enc->t;
	if (!norm_is_identity(&t->norm, text, n)) {
		norm_apply(&t->norm, text, n, &enc->norm, &enc->tmp);
		text = enc->norm.p;
		n = enc->norm.n;
	}
	if (wants_cut(enc, &t->normalized, flags))
		cut_added(enc, &t->normalized, text, n, flags, put_text, put_token);
	else if (n)
		put_text(enc, text, n, flags);
}

void encoder_encode(struct encoder *enc, const char *text, size_t n, int flags, struct ids *out)
{
	enc->out = out;
	enc->at_start = 1;
	if (wants_cut(enc, &enc->t->raw, flags))
		cut_added(enc, &enc->t->raw, text, n, flags, normalize_then_put, put_token);
	else if (n)
		normalize_then_put(enc, text, n, flags);
	enc->out = NULL;
}

/* --- the text that decoding gives back ------------------------------------------------------------------ */

static void text_token(struct encoder *enc, const struct added *a)
{
	buf_add(enc->text_out, a->text.p, a->text.n);
}

static void text_text(struct encoder *enc, const char *text, size_t n, int flags)
{
	const struct tokenizer *t = enc->t;
	(void)flags;
	norm_apply(&t->norm, text, n, &enc->norm, &enc->tmp);
	if (t->nsplit && t->split[0].kind == SPLIT_PREFIX_SPACE && enc->norm.n && enc->norm.p[0] != ' ')
		buf_addc(enc->text_out, ' ');
	buf_add(enc->text_out, enc->norm.p, enc->norm.n);
}

void encoder_normalize(struct encoder *enc, const char *text, size_t n, int flags, struct buf *out)
{
	const struct tokenizer *t = enc->t;
	struct norm_step spaces = { NORM_REPLACE, STR(META), STR(" ") };
	struct textnorm unmeta = { .steps = &spaces, .n = 1 };
	struct buf b = { 0 };
	enc->text_out = &b;
	if (wants_cut(enc, &t->raw, flags))
		cut_added(enc, &t->raw, text, n, flags, text_text, text_token);
	else if (n)
		text_text(enc, text, n, flags);
	enc->text_out = NULL;
	if (!t->byte_level) {
		norm_apply(&unmeta, b.p, b.n, &enc->norm, &enc->tmp);
		buf_reset(&b);
		buf_add(&b, enc->norm.p, enc->norm.n);
	}
	size_t skip = 0;
	for (size_t i = 0; i < t->norm.n; i++)
		skip |= t->norm.steps[i].kind == NORM_PREPEND && t->strip_first && b.n && b.p[0] == ' ';
	if (b.n)
		buf_add(out, b.p + skip, b.n - skip);
	buf_release(&b);
}
