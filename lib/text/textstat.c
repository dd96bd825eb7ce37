#include "text/textstat.h"
#include "base/die.h"
#include "base/mem.h"
#include "text/uclass.h"

#include <stdlib.h>

const struct stat_info stat_table[STAT_COUNT] = {
	[STAT_BYTES] = { "bytes", "bytes of the text", 1 },
	[STAT_CHARS] = { "chars", "code points of the text", 1 },
	[STAT_LINES] = { "lines", "lines", 1 },
	[STAT_WORDS] = { "words", "words as --words counts them", 1 },
	[STAT_PLAIN_WORDS] = { "plain_words", "words that are not only punctuation", 1 },
	[STAT_MEAN_WORD_LENGTH] = { "mean_word_length", "mean length of the plain words" },
	[STAT_HASH_RATIO] = { "hash_ratio", "# signs to words" },
	[STAT_ELLIPSIS_RATIO] = { "ellipsis_ratio", "ellipses to words" },
	[STAT_BULLET_LINE_RATIO] = { "bullet_line_ratio", "share of lines that begin with a bullet or -" },
	[STAT_ELLIPSIS_LINE_RATIO] = { "ellipsis_line_ratio", "share of lines that end in an ellipsis" },
	[STAT_ALPHA_WORD_RATIO] = { "alpha_word_ratio", "share of words with a letter" },
	[STAT_STOP_WORDS] = { "stop_words", "how many of the be to of and that have with occur", 1 },
	[STAT_DUP_PARA_FRAC] = { "dup_para_frac", "share of paragraphs seen before" },
	[STAT_DUP_PARA_CHAR_FRAC] = { "dup_para_char_frac", "characters of these to those of the text" },
	[STAT_DUP_LINE_FRAC] = { "dup_line_frac", "share of lines seen before" },
	[STAT_DUP_LINE_CHAR_FRAC] = { "dup_line_char_frac", "characters of these to those of the text" },
	[STAT_TOP_2_GRAM] = { "top_2_gram",
		"characters of the most frequent pair of words to those of the text" },
	[STAT_TOP_3_GRAM] = { "top_3_gram", "the same for 3 words" },
	[STAT_TOP_4_GRAM] = { "top_4_gram", "the same for 4 words" },
	[STAT_DUP_5_GRAM] = { "dup_5_gram",
		"characters of 5 words in a row seen before to those of the text" },
	[STAT_DUP_6_GRAM] = { "dup_6_gram", "the same for 6 words" },
	[STAT_DUP_7_GRAM] = { "dup_7_gram", "the same for 7 words" },
	[STAT_DUP_8_GRAM] = { "dup_8_gram", "the same for 8 words" },
	[STAT_DUP_9_GRAM] = { "dup_9_gram", "the same for 9 words" },
	[STAT_DUP_10_GRAM] = { "dup_10_gram", "the same for 10 words" },
	[STAT_TEXT_LINES] = { "text_lines", "lines that are not blank", 1 },
	[STAT_LINE_PUNCT_RATIO] = { "line_punct_ratio",
		"share of these that end in a mark that ends sentences" },
	[STAT_SHORT_LINE_RATIO] = { "short_line_ratio", "share of these with at most 30 characters" },
	[STAT_CHAR_DUP_RATIO] = { "char_dup_ratio", "characters of these seen before to those of the text" },
	[STAT_LIST_RATIO] = { "list_ratio", "line ends to words" },
	[STAT_C4_LINES] = { "c4_lines", "lines that the C4 rules keep", 1 },
	[STAT_C4_SENTENCES] = { "c4_sentences", "sentences in them", 1 },
	[STAT_C4_LOREM_IPSUM] = { "c4_lorem_ipsum", "lines with lorem ipsum", 1 },
	[STAT_C4_CURLY_BRACKET] = { "c4_curly_bracket", "lines with {", 1 },
};

int stat_find(struct str name)
{
	for (int i = 0; i < STAT_COUNT; i++)
		if (str_is(name, stat_table[i].name))
			return i;
	return -1;
}

void textstat_init(struct textstat *t, enum words_mode mode)
{
	*t = (struct textstat){ .c4 = C4_LIMITS };
	words_init(&t->words, mode);
	words_init(&t->sentences, WORDS_PUNCT);
}

void textstat_release(struct textstat *t)
{
	words_release(&t->words);
	words_release(&t->sentences);
	buf_release(&t->c4_text);
	free(t->table);
	free(t->gram);
	free(t->before);
	free(t->pieces);
	*t = (struct textstat){ 0 };
}

void textstat_set(struct textstat *t, const char *text, size_t n)
{
	ASSERT(n <= WORDS_MAX_TEXT);
	t->text = text;
	t->n = n;
	t->known = 0;
	t->is_split = 0;
	t->gram_n = 0;
	textstat_put(t, STAT_BYTES, (double)n);
}

void textstat_put(struct textstat *t, enum stat s, double v)
{
	t->value[s] = v;
	t->known |= UINT64_C(1) << s;
}

double ratio(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

void *textstat_table(struct textstat *t, size_t n, size_t size, size_t *mask)
{
	size_t slots = 16;
	while (slots < n)
		slots *= 2;
	GROW(t->table, t->table_cap, mul_size(slots, size) / sizeof *t->table);
	memset(t->table, 0, slots * size);
	*mask = slots - 1;
	return t->table;
}

const struct words *textstat_words(struct textstat *t)
{
	if (!t->is_split)
		words_split(&t->words, t->text, t->n);
	t->is_split = 1;
	return &t->words;
}

static int is_stop_word(const char *p, size_t n, unsigned *which)
{
	static const char word[8][5] = { "the", "be", "to", "of", "and", "that", "have", "with" };
	for (unsigned i = 0; i < 8; i++) {
		if (strlen(word[i]) == n && memcmp(p, word[i], n) == 0) {
			*which = i;
			return 1;
		}
	}
	return 0;
}

static void count_words(struct textstat *t)
{
	const struct words *s = textstat_words(t);
	size_t plain = 0, letters = 0, chars = 0;
	unsigned stop = 0, found = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct word *w = &s->w[i];
		if (!(w->flags & WORD_MARKS)) {
			plain++;
			chars += w->chars;
		}
		letters += (w->flags & WORD_LETTER) != 0;
		unsigned k;
		if (w->n - 2 <= 2 && stop != 0xff && is_stop_word(t->text + w->at, w->n, &k))
			stop |= 1u << k;
	}
	for (; stop; stop &= stop - 1)
		found++;
	textstat_put(t, STAT_WORDS, (double)s->n);
	textstat_put(t, STAT_PLAIN_WORDS, (double)plain);
	textstat_put(t, STAT_MEAN_WORD_LENGTH, ratio((double)chars, (double)plain));
	textstat_put(t, STAT_ALPHA_WORD_RATIO, ratio((double)letters, (double)s->n));
	textstat_put(t, STAT_STOP_WORDS, found);
}

/* # and ellipses, as Python's str.count counts them. */
static void count_symbols(struct textstat *t)
{
	size_t hashes = 0, ellipses = 0;
	const char *end = t->text + t->n;
	for (const char *p = t->text; p < end && (p = memchr(p, '#', (size_t)(end - p))); p++)
		hashes++;
	for (const char *p = t->text; p < end && (p = memchr(p, '.', (size_t)(end - p)));) {
		size_t run = 1;
		while (p + run < end && p[run] == '.')
			run++;
		ellipses += run / 3;
		p += run;
	}
	for (const char *p = t->text; p < end && (p = memchr(p, 0xe2, (size_t)(end - p))); p++)
		ellipses += end - p > 2 && memcmp(p, "…", 3) == 0;
	double words = textstat_get(t, STAT_WORDS);
	textstat_put(t, STAT_HASH_RATIO, ratio((double)hashes, words));
	textstat_put(t, STAT_ELLIPSIS_RATIO, ratio((double)ellipses, words));
}

static void count_newlines(struct textstat *t)
{
	size_t newlines = 0;
	for (size_t i = 0; i < t->n; i++)
		newlines += t->text[i] == '\n';
	textstat_put(t, STAT_LIST_RATIO, ratio((double)newlines, textstat_get(t, STAT_WORDS)));
}

static void count_lines(struct textstat *t)
{
	size_t lines = 0, bullets = 0, ellipses = 0;
	struct str left = { t->text, t->n }, line;
	while (uc_line(&left, &line)) {
		const char *p = line.p, *end = p + line.n;
		uc_strip(&p, &end);
		lines++;
		bullets += p < end && (*p == '-' || (end - p > 2 && memcmp(p, "•", 3) == 0));
		ellipses += end - p > 2 && (memcmp(end - 3, "...", 3) == 0 || memcmp(end - 3, "…", 3) == 0);
	}
	textstat_put(t, STAT_LINES, (double)lines);
	textstat_put(t, STAT_BULLET_LINE_RATIO, ratio((double)bullets, (double)lines));
	textstat_put(t, STAT_ELLIPSIS_LINE_RATIO, ratio((double)ellipses, (double)lines));
}

double textstat_get(struct textstat *t, enum stat s)
{
	if (t->known >> s & 1)
		return t->value[s];
	switch (s) {
	case STAT_BYTES:
	case STAT_COUNT:
		BUG("statistic");
	case STAT_CHARS:
		textstat_put(t, s, (double)uc_count(t->text, t->n));
		break;
	case STAT_LINES:
	case STAT_BULLET_LINE_RATIO:
	case STAT_ELLIPSIS_LINE_RATIO:
		count_lines(t);
		break;
	case STAT_WORDS:
	case STAT_PLAIN_WORDS:
	case STAT_MEAN_WORD_LENGTH:
	case STAT_ALPHA_WORD_RATIO:
	case STAT_STOP_WORDS:
		count_words(t);
		break;
	case STAT_HASH_RATIO:
	case STAT_ELLIPSIS_RATIO:
		count_symbols(t);
		break;
	case STAT_DUP_PARA_FRAC:
	case STAT_DUP_PARA_CHAR_FRAC:
	case STAT_DUP_LINE_FRAC:
	case STAT_DUP_LINE_CHAR_FRAC:
		textstat_repeats(t);
		break;
	case STAT_TOP_2_GRAM:
	case STAT_TOP_3_GRAM:
	case STAT_TOP_4_GRAM:
	case STAT_DUP_5_GRAM:
	case STAT_DUP_6_GRAM:
	case STAT_DUP_7_GRAM:
	case STAT_DUP_8_GRAM:
	case STAT_DUP_9_GRAM:
	case STAT_DUP_10_GRAM:
		textstat_grams(t, s);
		break;
	case STAT_TEXT_LINES:
	case STAT_LINE_PUNCT_RATIO:
	case STAT_SHORT_LINE_RATIO:
	case STAT_CHAR_DUP_RATIO:
		textstat_prose_lines(t);
		break;
	case STAT_LIST_RATIO:
		count_newlines(t);
		break;
	case STAT_C4_LINES:
	case STAT_C4_SENTENCES:
	case STAT_C4_LOREM_IPSUM:
	case STAT_C4_CURLY_BRACKET:
		textstat_c4(t);
		break;
	}
	return t->value[s];
}
