/*
 * Repetition inside a text: paragraphs, lines and n-grams of words seen before. Everything is compared by a
 * 64-bit hash. The rules are Gopher's (Rae et al. 2021, table A1) and FineWeb's, in the form that their
 * programs have.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "text/textstat.h"
#include "text/uclass.h"

/* A paragraph or line. */
struct piece {
	uint64_t hash;
	size_t chars;
};

static void add_piece(struct textstat *t, size_t n, const char *p, const char *end)
{
	GROW(t->pieces, t->pieces_cap, n + 1);
	size_t len = (size_t)(end - p);
	t->pieces[n] = (struct piece){ hash64(p, len, 0), uc_count(p, len) };
}

/* Is the hash in the table? Puts it there. 0 marks a free slot. */
static inline int seen(uint64_t *table, size_t mask, uint64_t hash)
{
	uint64_t h = mix64(hash) | 1;
	size_t at = (size_t)(h >> 16) & mask;
	for (; table[at]; at = (at + 1) & mask)
		if (table[at] == h)
			return 1;
	table[at] = h;
	return 0;
}

struct repeats {
	size_t n, chars;
};

/* How many of the first n pieces came before, and their code points. */
static struct repeats count_repeats(struct textstat *t, size_t n)
{
	struct repeats r = { 0 };
	size_t mask;
	uint64_t *table = textstat_table(t, 2 * n, sizeof *table, &mask);
	for (size_t i = 0; i < n; i++) {
		if (seen(table, mask, t->pieces[i].hash)) {
			r.n++;
			r.chars += t->pieces[i].chars;
		}
	}
	return r;
}

/* Cuts [p, end) at runs of `min` or more newlines; the number of pieces. */
static size_t split_newlines(struct textstat *t, const char *p, const char *end, size_t min)
{
	size_t n = 0;
	const char *start = p;
	while (p < end && (p = memchr(p, '\n', (size_t)(end - p)))) {
		const char *q = p;
		while (q < end && *q == '\n')
			q++;
		if ((size_t)(q - p) >= min) {
			add_piece(t, n++, start, p);
			start = q;
		}
		p = q;
	}
	add_piece(t, n++, start, end);
	return n;
}

void textstat_repeats(struct textstat *t)
{
	double chars = textstat_get(t, STAT_CHARS);
	const char *p = t->text, *end = p + t->n;
	size_t lines = split_newlines(t, p, end, 1);
	struct repeats r = count_repeats(t, lines);
	textstat_put(t, STAT_DUP_LINE_FRAC, ratio((double)r.n, (double)lines));
	textstat_put(t, STAT_DUP_LINE_CHAR_FRAC, ratio((double)r.chars, chars));
	/* Paragraphs, and they alone, are those of the text without the white space around it. */
	uc_strip(&p, &end);
	size_t paras = split_newlines(t, p, end, 2);
	r = count_repeats(t, paras);
	textstat_put(t, STAT_DUP_PARA_FRAC, ratio((double)r.n, (double)paras));
	textstat_put(t, STAT_DUP_PARA_CHAR_FRAC, ratio((double)r.chars, chars));
}

#define SHORT_LINE 30
void textstat_prose_lines(struct textstat *t)
{
	size_t n = 0, stopped = 0, shorts = 0, newlines = 0, len;
	const char *end = t->text + t->n;
	for (const char *p = t->text, *q; p <= end; p = q + 1) {
		q = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
		if (!q)
			q = end;
		else
			newlines++;
		const char *a = p, *b = q;
		uc_strip(&a, &b);
		if (a == b)
			continue;
		add_piece(t, n, p, q);
		stopped += (uc_class(uc_prev(p, q, &len)) & UC_STOP) != 0;
		shorts += t->pieces[n].chars <= SHORT_LINE;
		n++;
	}
	struct repeats r = count_repeats(t, n);
	textstat_put(t, STAT_TEXT_LINES, (double)n);
	textstat_put(t, STAT_LINE_PUNCT_RATIO, ratio((double)stopped, (double)n));
	textstat_put(t, STAT_SHORT_LINE_RATIO, ratio((double)shorts, (double)n));
	textstat_put(t, STAT_CHAR_DUP_RATIO,
		ratio((double)r.chars, textstat_get(t, STAT_CHARS) - (double)newlines));
}

/* --- n-grams of words --- */

/* Code points before every word. */
static const uint32_t *chars_before(struct textstat *t, const struct words *s)
{
	GROW(t->before, t->before_cap, s->n + 1);
	t->before[0] = 0;
	for (size_t i = 0; i < s->n; i++)
		t->before[i + 1] = t->before[i] + s->w[i].chars;
	return t->before;
}

struct gram_slot {
	uint64_t hash;
	uint32_t count, first;
};

/* Code points of the most frequent n-gram, blanks between its words included, times its count: of several,
 * the one that comes first. An n-gram that occurs once counts as well. */
static double top_gram(struct textstat *t, const struct words *s, size_t n)
{
	if (s->n < n)
		return 0;
	const uint32_t *before = chars_before(t, s);
	size_t mask, grams = s->n - n + 1;
	struct gram_slot *table = textstat_table(t, 2 * grams, sizeof *table, &mask), best = { 0 };
	for (size_t i = 0; i < grams; i++) {
		/* Of a sequence, not of the words written together. */
		uint64_t h = 0;
		for (size_t k = 0; k < n; k++)
			h = (h + s->w[i + k].hash) * UINT64_C(0xd6e8feb86659fd93);
		h = mix64(h) | 1;
		size_t at = (size_t)(h >> 16) & mask;
		while (table[at].hash && table[at].hash != h)
			at = (at + 1) & mask;
		struct gram_slot *g = &table[at];
		if (!g->hash)
			*g = (struct gram_slot){ h, 0, (uint32_t)i };
		g->count++;
		if (g->count > best.count || (g->count == best.count && g->first < best.first))
			best = *g;
	}
	size_t chars = before[best.first + n] - before[best.first] + n - 1;
	return (double)chars * best.count;
}

/* Hashes of the n-grams written together, from those of n - 1 words. */
static void lengthen_grams(struct textstat *t, const struct words *s, size_t n)
{
	GROW(t->gram, t->gram_cap, s->n);
	if (t->gram_n == 0 || t->gram_n > n) {
		for (size_t i = 0; i < s->n; i++)
			t->gram[i] = s->w[i].hash;
		t->gram_n = 1;
	}
	for (; t->gram_n < n; t->gram_n++) {
		size_t k = t->gram_n;
		for (size_t i = 0; i + k < s->n; i++)
			t->gram[i] = t->gram[i] * s->w[i + k].pow + s->w[i + k].hash;
	}
}

/* Code points of the n-grams that came before; behind one that did, the search goes on n words later. */
static double dup_grams(struct textstat *t, const struct words *s, size_t n)
{
	if (s->n < n)
		return 0;
	lengthen_grams(t, s, n);
	const uint32_t *before = chars_before(t, s);
	size_t mask, grams = s->n - n + 1, chars = 0;
	uint64_t *table = textstat_table(t, 2 * grams, sizeof *table, &mask);
	for (size_t i = 0; i < grams;) {
		if (seen(table, mask, t->gram[i])) {
			chars += before[i + n] - before[i];
			i += n;
		} else {
			i++;
		}
	}
	return (double)chars;
}

void textstat_grams(struct textstat *t, enum stat s)
{
	const struct words *w = textstat_words(t);
	double chars = s <= STAT_TOP_4_GRAM ? top_gram(t, w, (size_t)(s - STAT_TOP_2_GRAM + 2))
					    : dup_grams(t, w, (size_t)(s - STAT_DUP_5_GRAM + 5));
	textstat_put(t, s, ratio(chars, textstat_get(t, STAT_CHARS)));
}
