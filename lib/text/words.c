#include "text/words.h"
#include "base/mem.h"
#include "text/uclass.h"
#include "text/words_en.h"

#include <stdlib.h>

void words_init(struct words *s, enum words_mode mode)
{
	*s = (struct words){ 0 };
	uc_init();
	if (mode == WORDS_PUNCT)
		s->en = words_en_new();
}

void words_release(struct words *s)
{
	free(s->w);
	free(s->spare);
	words_en_free(s->en);
	*s = (struct words){ 0 };
}

/* WORD_BASE to the power n, by squaring: words are short, the loop runs three or four times. */
static uint64_t power(size_t n)
{
	uint64_t r = 1;
	for (uint64_t b = WORD_BASE; n; n >>= 1, b *= b)
		if (n & 1)
			r *= b;
	return r;
}

/* Powers up to the length of nearly every word. */
#define POWERS 32
static inline uint64_t power_of(size_t n)
{
	static _Thread_local uint64_t known[POWERS];
	if (n >= POWERS)
		return power(n);
	if (!known[n])
		known[n] = power(n);
	return known[n];
}

/* What is learnt of a word while its bytes are read. */
struct measure {
	uint64_t hash;
	uint32_t chars;
	unsigned any, all; /* classes of any, of all characters */
	unsigned one;      /* classes of the last character */
};

static inline size_t measure_high(struct measure *m, const char *p, const char *end)
{
	size_t len;
	unsigned k = uc_class(uc_next(p, end, &len));
	for (size_t i = 0; i < len; i++)
		m->hash = m->hash * WORD_BASE + (unsigned char)p[i] + 1;
	m->chars++;
	m->any |= k;
	m->all &= k;
	m->one = k;
	return len;
}

static inline void measure_ascii(struct measure *m, unsigned char c)
{
	unsigned k = uc_table[c];
	m->hash = m->hash * WORD_BASE + c + 1;
	m->chars++;
	m->any |= k;
	m->all &= k;
	m->one = k;
}

static inline void append(struct words *s, size_t at, size_t n, const struct measure *m, unsigned flags)
{
	if (s->n == s->cap)
		GROW(s->w, s->cap, s->n + 1);
	if (m->any & UC_LETTER)
		flags |= WORD_LETTER;
	if (m->all & UC_MARK)
		flags |= WORD_MARKS;
	if (m->all & UC_PUNCT)
		flags |= WORD_PUNCT;
	if (m->chars == 1 && (m->one & UC_SENT))
		flags |= WORD_SENT;
	s->w[s->n++] = (struct word){ (uint32_t)at, (uint32_t)n, m->chars, flags, m->hash, power_of(n) };
}

static void measure(struct measure *m, const char *p, size_t n)
{
	*m = (struct measure){ .all = ~0u };
	for (const char *end = p + n; p < end;) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x80) {
			measure_ascii(m, c);
			p++;
		} else {
			p += measure_high(m, p, end);
		}
	}
}

void words_push(struct words *s, size_t at, size_t n)
{
	struct measure m;
	measure(&m, s->text + at, n);
	append(s, at, n, &m, 0);
}

uint64_t word_hash(const char *p, size_t n)
{
	uint64_t h = 0;
	for (size_t i = 0; i < n; i++)
		h = h * WORD_BASE + (unsigned char)p[i] + 1;
	return h;
}

/* White space from p: its end. */
static const char *skip_space(const char *p, const char *end)
{
	while (p < end) {
		unsigned char c = (unsigned char)*p;
		size_t len = 1;
		unsigned k = c < 0x80 ? uc_table[c] : uc_class(uc_next(p, end, &len));
		if (!(k & UC_SPACE))
			break;
		p += len;
	}
	return p;
}

/* What is not white space from p: its end, measured on the way. */
static const char *skip_piece(struct measure *m, const char *p, const char *end)
{
	*m = (struct measure){ .all = ~0u };
	while (p < end) {
		unsigned char c = (unsigned char)*p;
		if (c < 0x80) {
			if (uc_table[c] & UC_SPACE)
				break;
			measure_ascii(m, c);
			p++;
		} else {
			size_t len;
			if (uc_class(uc_next(p, end, &len)) & UC_SPACE)
				break;
			p += measure_high(m, p, end);
		}
	}
	return p;
}

static void split_space(struct words *s, const char *text, size_t n)
{
	for (const char *p = text, *end = text + n; (p = skip_space(p, end)) < end;) {
		struct measure m;
		const char *q = skip_piece(&m, p, end);
		append(s, (size_t)(p - text), (size_t)(q - p), &m, 0);
		p = q;
	}
}

/* A blank that follows a word belongs to it; other white space is a token of its own. */
static void split_punct(struct words *s, const char *text, size_t n)
{
	const char *p = text, *end = text + n;
	while (p < end) {
		const char *q = skip_space(p, end);
		if (p > text && q > p && *p == ' ')
			p++;
		if (q > p) {
			struct measure blank = { 0 };
			append(s, (size_t)(p - text), (size_t)(q - p), &blank, WORD_BLANK);
		}
		if (q == end)
			break;
		struct measure m;
		p = skip_piece(&m, q, end);
		size_t at = (size_t)(q - text), len = (size_t)(p - q);
		if (m.chars == len && (m.all & EN_ALPHA) && !words_en_known(m.hash))
			append(s, at, len, &m, 0);
		else
			words_en_piece(s, at, len, m.hash);
	}
	words_en_specials(s);
}

void words_tokens(struct words *s, const char *text, size_t n)
{
	s->n = 0;
	s->text = text;
	if (n <= WORDS_MAX_TEXT)
		split_punct(s, text, n);
}

void words_split(struct words *s, const char *text, size_t n)
{
	if (!s->en) {
		s->n = 0;
		s->text = text;
		if (n <= WORDS_MAX_TEXT)
			split_space(s, text, n);
		return;
	}
	words_tokens(s, text, n);
	size_t kept = 0;
	for (size_t i = 0; i < s->n; i++)
		if (!(s->w[i].flags & WORD_BLANK))
			s->w[kept++] = s->w[i];
	s->n = kept;
}

size_t words_sentences(struct words *s, const char *text, size_t n)
{
	if (!s->en)
		s->en = words_en_new();
	words_tokens(s, text, n);
	size_t sentences = 1;
	int ended = 0;
	for (size_t i = 0; i < s->n; i++) {
		unsigned f = s->w[i].flags;
		if (ended && !(f & (WORD_PUNCT | WORD_SENT))) {
			sentences++;
			ended = 0;
		} else if (f & WORD_SENT) {
			ended = 1;
		}
	}
	return sentences;
}
