#include "text/minhash.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* --- shingles
 * ------------------------------------------------------------------------------------------------- */

enum { BREAK, JOIN, ALONE }; /* a character is no part of a word, of one, or a word of its own */

static int is_unspaced(uint32_t c)
{
	return (c >= 0x0e00 && c <= 0x0eff) ||   /* Thai, Lao */
	       (c >= 0x1000 && c <= 0x109f) ||   /* Myanmar */
	       (c >= 0x1780 && c <= 0x17ff) ||   /* Khmer */
	       (c >= 0x2e80 && c <= 0x30ff) ||   /* radicals, Hiragana, Katakana */
	       (c >= 0x31f0 && c <= 0x9fff) ||   /* Katakana extensions, Han */
	       (c >= 0xf900 && c <= 0xfaff) ||   /* Han, compatibility */
	       (c >= 0x1b000 && c <= 0x1b16f) || /* Kana */
	       (c >= 0x20000 && c <= 0x3ffff);   /* Han */
}

/* Class of a character outside ASCII and its lower case. */
static int classify(uint32_t *c)
{
	unsigned k = uni_class(*c);
	if (!(k & (UNI_LETTER | UNI_NUMBER | UNI_MARK)))
		return BREAK;
	if (is_unspaced(*c))
		return k & UNI_MARK ? JOIN : ALONE;
	*c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)*c);
	return JOIN;
}

/* Lower case of ASCII letters and digits, 0 for what breaks a word. */
static const unsigned char fold[128] = {
	['0'] = '0',
	['1'] = '1',
	['2'] = '2',
	['3'] = '3',
	['4'] = '4',
	['5'] = '5',
	['6'] = '6',
	['7'] = '7',
	['8'] = '8',
	['9'] = '9',
	['a'] = 'a',
	['b'] = 'b',
	['c'] = 'c',
	['d'] = 'd',
	['e'] = 'e',
	['f'] = 'f',
	['g'] = 'g',
	['h'] = 'h',
	['i'] = 'i',
	['j'] = 'j',
	['k'] = 'k',
	['l'] = 'l',
	['m'] = 'm',
	['n'] = 'n',
	['o'] = 'o',
	['p'] = 'p',
	['q'] = 'q',
	['r'] = 'r',
	['s'] = 's',
	['t'] = 't',
	['u'] = 'u',
	['v'] = 'v',
	['w'] = 'w',
	['x'] = 'x',
	['y'] = 'y',
	['z'] = 'z',
	['A'] = 'a',
	['B'] = 'b',
	['C'] = 'c',
	['D'] = 'd',
	['E'] = 'e',
	['F'] = 'f',
	['G'] = 'g',
	['H'] = 'h',
	['I'] = 'i',
	['J'] = 'j',
	['K'] = 'k',
	['L'] = 'l',
	['M'] = 'm',
	['N'] = 'n',
	['O'] = 'o',
	['P'] = 'p',
	['Q'] = 'q',
	['R'] = 'r',
	['S'] = 's',
	['T'] = 't',
	['U'] = 'u',
	['V'] = 'v',
	['W'] = 'w',
	['X'] = 'x',
	['Y'] = 'y',
	['Z'] = 'z',
};

/* A window of n words as a polynomial in BASE mod 2^64, rolled from word to word. */
#define BASE UINT64_C(0x9e3779b97f4a7c15)
struct window {
	uint64_t words[SHINGLE_MAX], sum, drop; /* drop = BASE^n: weight of the word that leaves */
	size_t n, count;
	struct shingles *out;
};

static void push_word(struct window *w, uint64_t word)
{
	uint64_t h = mix64(word), *slot = &w->words[w->count % w->n];
	w->sum = w->sum * BASE + h;
	if (w->count >= w->n)
		w->sum -= *slot * w->drop;
	*slot = h;
	if (++w->count >= w->n)
		w->out->v[w->out->n++] = (uint32_t)(mix64(w->sum) >> 32);
}

/* FNV-1a a character (Fowler, Noll, Vo), with a multiplier for 64 bits that spreads further. */
#define WORD_START UINT64_C(0xcbf29ce484222325)
#define WORD_STEP(h, c) (((h) ^ (c)) * UINT64_C(0x9fb21c651e98df25))

static void scan_words(struct window *w, const char *p, size_t n)
{
	uint64_t h = WORD_START;
	for (size_t i = 0; i < n;) {
		unsigned char b = (unsigned char)p[i];
		uint32_t c;
		int kind;
		if (b < 0x80) {
			c = fold[b];
			kind = c ? JOIN : BREAK;
			i++;
		} else {
			i += utf8_get(p + i, n - i, &c);
			kind = classify(&c);
		}
		if (kind == JOIN) {
			h = WORD_STEP(h, c);
			continue;
		}
		if (h != WORD_START)
			push_word(w, h);
		h = WORD_START;
		if (kind == ALONE)
			push_word(w, WORD_STEP(h, c));
	}
	if (h != WORD_START)
		push_word(w, h);
}

/* Least significant digit first, 11 bits a pass; v ends up in s->v. */
static void sort_large(struct shingles *s)
{
	GROW(s->tmp, s->tmp_cap, s->n);
	uint32_t *from = s->v, *to = s->tmp;
	for (int shift = 0; shift < 33; shift += 11) {
		size_t at[2048] = { 0 }, sum = 0;
		for (size_t i = 0; i < s->n; i++)
			at[from[i] >> shift & 2047]++;
		for (size_t d = 0; d < 2048; d++) {
			size_t count = at[d];
			at[d] = sum;
			sum += count;
		}
		for (size_t i = 0; i < s->n; i++)
			to[at[from[i] >> shift & 2047]++] = from[i];
		uint32_t *t = from;
		from = to;
		to = t;
	}
	/* Three passes: the result lies in tmp. */
	size_t cap = s->cap;
	s->tmp = s->v;
	s->v = from;
	s->cap = s->tmp_cap;
	s->tmp_cap = cap;
}

/* Shell's sort with Ciura's gaps (2001). */
static void sort_small(uint32_t *v, size_t n)
{
	static const size_t gaps[] = { 301, 132, 57, 23, 10, 4, 1 };
	for (size_t g = 0; g < sizeof gaps / sizeof *gaps; g++) {
		size_t gap = gaps[g];
		for (size_t i = gap; i < n; i++) {
			uint32_t x = v[i];
			size_t j = i;
			for (; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static void sort_unique(struct shingles *s)
{
	if (s->n > 400)
		sort_large(s);
	else
		sort_small(s->v, s->n);
	size_t m = 0;
	for (size_t i = 0; i < s->n; i++)
		if (m == 0 || s->v[m - 1] != s->v[i])
			s->v[m++] = s->v[i];
	s->n = m;
}

size_t shingles_of_text(struct shingles *s, struct str text, unsigned n)
{
	ASSERT(n >= 1 && n <= SHINGLE_MAX);
	struct window w = { .drop = 1, .n = n, .out = s };
	for (unsigned i = 0; i < n; i++)
		w.drop *= BASE;
	/* Each word but one needs a byte between it and the next, or (alone) at least three bytes. */
	GROW(s->v, s->cap, text.n / 2 + 1);
	s->n = 0;
	scan_words(&w, text.p, text.n);
	if (w.count > 0 && w.count < n)
		s->v[s->n++] = (uint32_t)(mix64(w.sum + w.count) >> 32);
	sort_unique(s);
	return w.count;
}

void shingles_release(struct shingles *s)
{
	free(s->v);
	free(s->tmp);
	*s = (struct shingles){ 0 };
}

double shingles_jaccard(const uint32_t *a, size_t na, const uint32_t *b, size_t nb)
{
	size_t i = 0, j = 0, common = 0;
	while (i < na && j < nb) {
		uint32_t x = a[i], y = b[j];
		common += x == y;
		i += x <= y;
		j += y <= x;
	}
	return na + nb ? (double)common / (double)(na + nb - common) : 0;
}

/* --- sketches
 * ------------------------------------------------------------------------------------------------- */

/* Dahlgaard, Knudsen, Thorup, "Fast similarity sketching" (FOCS 2017): in round i every element throws the
 * value (i, random) at a random bin, from round k on at bin i - k; a bin keeps its least value; the first
 * round after which no bin is empty is the last. About k log k throws, or one a member of a larger set, where
 * k hash functions would need k a member; J is estimated without bias and no worse. */
void minhash_sketch(const uint32_t *set, size_t n, uint64_t seed, uint64_t *sketch, size_t k)
{
	ASSERT(n > 0 && k > 0 && k < UINT32_MAX / 2);
	for (size_t b = 0; b < k; b++)
		sketch[b] = UINT64_MAX;
	for (size_t round = 0, empty = k; empty; round++) {
		uint64_t salt = mix64(seed + (round + 1) * BASE);
		for (size_t i = 0; i < n; i++) {
			uint64_t h = mix64(salt ^ set[i] * BASE);
			size_t bin = round < k ? (size_t)((h & UINT32_MAX) * k >> 32) : round - k;
			uint64_t value = (uint64_t)round << 32 | h >> 32;
			sketch[bin] = value < sketch[bin] ? value : sketch[bin];
		}
		empty = 0;
		for (size_t b = 0; b < k; b++)
			empty += sketch[b] == UINT64_MAX;
	}
}

void minhash_bands(const uint64_t *sketch, size_t bands, size_t rows, uint64_t *keys)
{
	for (size_t b = 0; b < bands; b++)
		keys[b] = hash64(sketch + b * rows, rows * sizeof *sketch, b);
}

double minhash_found(double jaccard, size_t bands, size_t rows)
{
	return 1 - pow(1 - pow(jaccard, (double)rows), (double)bands);
}

void minhash_shape(double threshold, size_t *bands, size_t *rows)
{
	ASSERT(threshold > 0 && threshold <= 1);
	*rows = 1;
	while (*rows < 32 && minhash_found(threshold, MINHASH_BANDS, *rows + 1) >= MINHASH_FOUND)
		++*rows;
	*bands = MINHASH_BANDS;
	while (*bands > 1 && minhash_found(threshold, *bands - 1, *rows) >= MINHASH_FOUND)
		--*bands;
}
