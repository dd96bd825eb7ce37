/*
 * The line rules of C4 (Raffel et al. 2020, section 2.2, with those that are only in its program): what is
 * left of a text, and how many sentences that has.
 */
#include "text/textstat.h"
#include "text/uclass.h"

enum { HAS_LOREM = 1, HAS_JAVASCRIPT = 2, HAS_POLICY = 4, HAS_CURLY = 8 };

/* Phrases, in lower case. They are looked for at a letter that is rare in text, so that one walk finds them
 * all. */
static const struct phrase {
	const char *text;
	size_t anchor;
	int what;
} phrases[] = {
	{ "lorem ipsum", 7, HAS_LOREM },
	{ "javascript", 0, HAS_JAVASCRIPT },
	{ "terms of use", 7, HAS_POLICY },
	{ "privacy policy", 3, HAS_POLICY },
	{ "cookie policy", 3, HAS_POLICY },
	{ "uses cookies", 8, HAS_POLICY },
	{ "use of cookies", 10, HAS_POLICY },
	{ "use cookies", 7, HAS_POLICY },
};

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int phrase_at(const struct phrase *f, const char *start, const char *p, const char *end)
{
	size_t n = strlen(f->text);
	if ((size_t)(p - start) < f->anchor || (size_t)(end - p) < n - f->anchor)
		return 0;
	p -= f->anchor;
	for (size_t i = 0; i < n; i++)
		if (lower(p[i]) != f->text[i])
			return 0;
	return 1;
}

/* Bits of the phrases in a line, and of a curly bracket. */
static int find_phrases(const char *p, const char *end)
{
	static const char anchor[256] = { ['p'] = 1,
		['P'] = 1,
		['j'] = 1,
		['J'] = 1,
		['f'] = 1,
		['F'] = 1,
		['v'] = 1,
		['V'] = 1,
		['k'] = 1,
		['K'] = 1,
		['{'] = 1 };
	int found = 0;
	for (const char *start = p; p < end; p++) {
		if (!anchor[(unsigned char)*p])
			continue;
		if (*p == '{')
			found |= HAS_CURLY;
		for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
			if (phrases[i].text[phrases[i].anchor] == lower(*p) &&
				phrase_at(&phrases[i], start, p, end))
				found |= phrases[i].what;
	}
	return found;
}

/* Are there at least min_words words, and none longer than max_word? */
static int has_words(const struct c4_limits *c, const char *p, const char *end)
{
	size_t words = 0, chars = 0, len;
	int look_for_long = c->max_word && (size_t)(end - p) > c->max_word;
	for (int in_word = 0; p < end && (look_for_long || words < c->min_words); p += len) {
		if (uc_class(uc_next(p, end, &len)) & UC_SPACE) {
			in_word = 0;
			chars = 0;
			continue;
		}
		words += !in_word;
		in_word = 1;
		if (look_for_long && ++chars > c->max_word)
			return 0;
	}
	return words >= c->min_words;
}

/* Length of the citation mark at p, which is '[': [12], [edit], [citation needed]; else 0. */
static size_t citation(const char *p, const char *end)
{
	static const char *const named[] = { "[edit]", "[citation needed]" };
	for (int i = 0; i < 2; i++) {
		size_t n = strlen(named[i]);
		if ((size_t)(end - p) >= n && memcmp(p, named[i], n) == 0)
			return n;
	}
	size_t len;
	const char *q = p + 1;
	while (q < end && (uc_class(uc_next(q, end, &len)) & UC_DIGIT))
		q += len;
	return q < end && *q == ']' ? (size_t)(q + 1 - p) : 0;
}

/* Appends the line without citations. */
static void add_line(struct buf *out, const char *p, const char *end, int citations)
{
	while (citations && p < end) {
		const char *q = memchr(p, '[', (size_t)(end - p));
		if (!q)
			break;
		size_t n = citation(q, end);
		buf_add(out, p, (size_t)(q - p) + (n == 0));
		p = q + (n ? n : 1);
	}
	buf_add(out, p, (size_t)(end - p));
}

static int has_end_mark(const char *p, size_t n)
{
	if (n == 0 || !memchr(".?!\"'", p[n - 1], 5))
		return 0;
	return n < 3 || memcmp(p + n - 3, "...", 3) != 0;
}

/* What the walk has seen of the phrases that cost the whole document: once one is over its limit the text is
 * lost, and what follows no longer counts, so that the reason is the one that comes first. */
struct losses {
	size_t lorem, curly;
};

static int is_lost(const struct c4_limits *c, const struct losses *l)
{
	return (double)l->lorem > c->lorem || (double)l->curly > c->curly;
}

/* The tests of the phrases in a line, in the published order. Does it stay? */
static int passes_phrases(const struct c4_limits *c, int found, struct losses *l)
{
	int lost = is_lost(c, l);
	if ((found & HAS_LOREM) && !lost) {
		l->lorem++;
		lost = is_lost(c, l);
	}
	if ((found & HAS_JAVASCRIPT) && c->javascript)
		return 0;
	if ((found & HAS_CURLY) && !lost)
		l->curly++;
	return !((found & HAS_POLICY) && c->policy);
}

void textstat_c4(struct textstat *t)
{
	size_t lines = 0, sentences = 0;
	struct losses losses = { 0 };
	struct str left = { t->text, t->n }, line;
	struct buf *out = &t->c4_text;
	buf_reset(out);
	buf_reserve(out, t->n);
	while (uc_line(&left, &line)) {
		const char *p = line.p, *end = p + line.n;
		uc_strip(&p, &end);
		if (!has_words(&t->c4, p, end))
			continue;
		size_t start = out->n;
		if (lines)
			buf_addc(out, '\n');
		size_t at = out->n;
		add_line(out, p, end, t->c4.citations);
		const char *kept = out->p + at;
		size_t n = out->n - at;
		if ((t->c4.end_mark && !has_end_mark(kept, n)) ||
			!passes_phrases(&t->c4, find_phrases(kept, kept + n), &losses)) {
			out->n = start;
			continue;
		}
		lines++;
		sentences += words_sentences(&t->sentences, kept, n);
	}
	const char *p = out->p, *end = p + out->n;
	uc_strip(&p, &end);
	memmove(out->p, p, (size_t)(end - p));
	out->n = (size_t)(end - p);
	out->p[out->n] = 0;
	textstat_put(t, STAT_C4_LINES, (double)lines);
	textstat_put(t, STAT_C4_SENTENCES, (double)sentences);
	textstat_put(t, STAT_C4_LOREM_IPSUM, (double)losses.lorem);
	textstat_put(t, STAT_C4_CURLY_BRACKET, (double)losses.curly);
}
