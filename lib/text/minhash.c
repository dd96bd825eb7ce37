#include "text/minhash.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* --- shingles ---------------------------------------------------------------------------------- */

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

/* A window of n words as a polynomial in BASE mod 2^64, rolled from word to word. */
#define BASE UINT64_C(0x9e3779b97f4a7c15)
struct window {
	uint64_t words[SHINGLE_MAX], sum, drop; /* drop = BASE^n: weight of the word that leaves */
	size_t n, at, count;
	struct shingles *out;
};

static void push_word(struct window *w, uint64_t h)
{
	uint64_t *slot = &w->words[w->at];
	w->at = w->at + 1 == w->n ? 0 : w->at + 1;
	w->sum = w->sum * BASE + h - *slot * w->drop; /* slots start as 0 */
	*slot = h;
	if (++w->count >= w->n)
		w->out->v[w->out->n++] = mix64(w->sum);
}

/* The bytes of a word in lower case, hashed eight at a time. */
struct word {
	uint64_t h, chunk;
	size_t n; /* bytes; n % 8 of them are in chunk */
};

static inline uint64_t word_step(uint64_t h, uint64_t chunk)
{
	h = (h ^ chunk) * UINT64_C(0x9fb21c651e98df25);
	return h ^ h >> 32;
}

/* len bytes, 1 to 8, in the low end of x, all else 0. */
static inline void word_add(struct word *w, uint64_t x, size_t len)
{
	size_t fill = w->n % 8;
	w->chunk |= x << 8 * fill;
	w->n += len;
	if (fill + len < 8)
		return;
	w->h = word_step(w->h, w->chunk);
	w->chunk = fill ? x >> (64 - 8 * fill) : 0;
}

static void word_end(struct word *w, struct window *out)
{
	if (!w->n)
		return;
	push_word(out, mix64(word_step(w->h, w->chunk) + w->n));
	*w = (struct word){ 0 };
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
#define HIGH EACH(0x80)

/* Up to eight bytes, the first one lowest, zeros behind the end. */
static inline uint64_t load(const unsigned char *p, size_t n)
{
	uint64_t x = 0;
	if (n >= 8)
		return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
		       (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
		       (uint64_t)p[7] << 56;
	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << 8 * i;
	return x;
}

/* The high bit of each byte that is an ASCII letter or digit. Bytes of seven bits are compared by
 * subtraction. */
static inline uint64_t alnum(uint64_t x)
{
	uint64_t a = x & ~HIGH, l = a | EACH(0x20);
	uint64_t letter = ((l | HIGH) - EACH('a')) & ~((l | HIGH) - EACH('z' + 1));
	uint64_t digit = ((a | HIGH) - EACH('0')) & ~((a | HIGH) - EACH('9' + 1));
	return (letter | digit) & ~x & HIGH;
}

/* Number of the lowest byte whose high bit is set in m, 8 when there is none. */
static inline size_t first_byte(uint64_t m)
{
#if defined(__GNUC__)
	return m ? (size_t)__builtin_ctzll(m) / 8 : 8;
#else
	size_t k = 0;
	while (k < 8 && !(m >> (8 * k + 7) & 1))
		k++;
	return k;
#endif
}

/* A character outside ASCII; its length. */
static size_t scan_other(struct window *w, struct word *word, const char *p, size_t n)
{
	uint32_t c;
	char bytes[8] = { 0 };
	size_t len = utf8_get(p, n, &c);
	int kind = classify(&c);
	if (kind != JOIN)
		word_end(word, w);
	if (kind != BREAK) {
		size_t m = utf8_put(c, bytes);
		word_add(word, load((const unsigned char *)bytes, sizeof bytes), m);
	}
	if (kind == ALONE)
		word_end(word, w);
	return len;
}

static void scan_words(struct window *w, const char *p, size_t n)
{
	struct word word = { 0 };
	for (size_t i = 0; i < n;) {
		uint64_t x = load((const unsigned char *)p + i, n - i), in = alnum(x);
		if (in & 0x80) {
			/* Letters fold, digits have the bit already. */
			size_t len = first_byte(~in & HIGH);
			word_add(&word, (x | EACH(0x20)) & UINT64_MAX >> (64 - 8 * len), len);
			i += len;
		} else if (x & 0x80) {
			i += scan_other(w, &word, p + i, n - i);
		} else {
			word_end(&word, w);
			size_t len = first_byte(in | (x & HIGH));
			i += len < n - i ? len : n - i;
		}
	}
	word_end(&word, w);
}

static void insertion_sort(uint64_t *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		uint64_t x = v[i];
		size_t j = i;
		for (; j > 0 && v[j - 1] > x; j--)
			v[j] = v[j - 1];
		v[j] = x;
	}
}

/* Hashes are spread evenly: one pass by their upper bits into about n places leaves little to sort. */
#define SPREAD_MAX 4096
static void sort_spread(struct shingles *s)
{
	uint32_t at[SPREAD_MAX];
	int bits = 1;
	while ((size_t)1 << bits < s->n)
		bits++;
	size_t places = (size_t)1 << bits;
	uint32_t sum = 0;
	memset(at, 0, places * sizeof *at);
	for (size_t i = 0; i < s->n; i++)
		at[s->v[i] >> (64 - bits)]++;
	for (size_t d = 0; d < places; d++) {
		uint32_t count = at[d];
		at[d] = sum;
		sum += count;
	}
	for (size_t i = 0; i < s->n; i++)
		s->tmp[at[s->v[i] >> (64 - bits)]++] = s->v[i];
	insertion_sort(s->tmp, s->n);
}

/* By the upper 33 bits, three passes of 11, least significant first; then the few that agree in these by all.
 */
static void sort_large(struct shingles *s)
{
	enum { DIGITS = 1 << 11 };
	uint64_t *from = s->v, *to = s->tmp;
	for (int shift = 31; shift < 64; shift += 11) {
		size_t at[DIGITS] = { 0 }, sum = 0;
		for (size_t i = 0; i < s->n; i++)
			at[from[i] >> shift & (DIGITS - 1)]++;
		for (size_t d = 0; d < DIGITS; d++) {
			size_t count = at[d];
			at[d] = sum;
			sum += count;
		}
		for (size_t i = 0; i < s->n; i++)
			to[at[from[i] >> shift & (DIGITS - 1)]++] = from[i];
		uint64_t *t = from;
		from = to;
		to = t;
	}
	insertion_sort(s->tmp, s->n);
}

/* Sorts v by way of tmp, and drops what repeats. */
static void sort_unique(struct shingles *s)
{
	GROW(s->tmp, s->tmp_cap, s->n);
	if (s->n <= SPREAD_MAX)
		sort_spread(s);
	else
		sort_large(s);
	size_t m = 0;
	for (size_t i = 0; i < s->n; i++)
		if (m == 0 || s->v[m - 1] != s->tmp[i])
			s->v[m++] = s->tmp[i];
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
		s->v[s->n++] = mix64(w.sum + w.count);
	sort_unique(s);
	return w.count;
}

void shingles_release(struct shingles *s)
{
	free(s->v);
	free(s->tmp);
	*s = (struct shingles){ 0 };
}

void shingles_halve(const struct shingles *s, uint32_t *out)
{
	for (size_t i = 0; i < s->n; i++)
		out[i] = (uint32_t)(s->v[i] >> 32);
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

/* --- sketches ---------------------------------------------------------------------------------- */

/* Dahlgaard, Knudsen, Thorup, "Fast similarity sketching" (FOCS 2017): in round i every element throws the
 * value (i, random) at a random bin, from round k on at bin i - k; a bin keeps its least value; the first
 * round after which no bin is empty is the last. About k log k throws, or one a member of a larger set, where
 * k hash functions would need k a member; J is estimated without bias and no worse. */
void minhash_sketch(const uint64_t *set, size_t n, uint64_t seed, uint64_t *sketch, size_t k)
{
	size_t empty = k;
	ASSERT(n > 0 && k > 0 && k < UINT32_MAX / 2);
	for (size_t b = 0; b < k; b++)
		sketch[b] = UINT64_MAX;
	for (size_t round = 0; empty; round++) {
		uint64_t salt = mix64(seed + (round + 1) * BASE);
		for (size_t i = 0; i < n; i++) {
			uint64_t h = mix64(salt ^ set[i]);
			size_t bin = round < k ? (size_t)((h & UINT32_MAX) * k >> 32) : round - k;
			uint64_t value = (uint64_t)round << 32 | h >> 32, old = sketch[bin];
			sketch[bin] = value < old ? value : old;
			empty -= old == UINT64_MAX;
		}
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

/* The fewest bands that find a pair at the threshold; MINHASH_BANDS where more would be needed. */
static size_t bands_for(double threshold, size_t rows)
{
	size_t bands = 1;
	while (bands < MINHASH_BANDS && minhash_found(threshold, bands, rows) < MINHASH_FOUND)
		bands++;
	return bands;
}

void minhash_shape(double threshold, size_t *bands, size_t *rows)
{
	ASSERT(threshold > 0 && threshold <= 1);
	*rows = 1;
	*bands = bands_for(threshold, 1);
	for (size_t r = 2; r <= 32; r++) {
		size_t b = bands_for(threshold, r);
		if (b * r > MINHASH_VALUES || minhash_found(threshold, b, r) < MINHASH_FOUND)
			break;
		*rows = r;
		*bands = b;
	}
}
