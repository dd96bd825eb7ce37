/*
 * textstat: numbers about one text, which the filter rules compare with their thresholds.
 *
 * A statistic is computed when it is first asked for; those that come from the same walk over the text come
 * together. Lengths are in code points unless a name says bytes; a share whose whole is empty is 0. One
 * struct belongs to one thread and keeps its memory from text to text.
 *
 * To add a statistic: a member here, its row in stat_table, its computation in the function of its group, and
 * its case in textstat_get, which calls that. There is room for 64.
 */
#ifndef QUERN_TEXTSTAT_H
#define QUERN_TEXTSTAT_H

#include "text/words.h"

enum stat {
	STAT_BYTES,
	STAT_CHARS,
	STAT_LINES,
	STAT_WORDS,
	STAT_PLAIN_WORDS,
	STAT_MEAN_WORD_LENGTH,
	STAT_HASH_RATIO,
	STAT_ELLIPSIS_RATIO,
	STAT_BULLET_LINE_RATIO,
	STAT_ELLIPSIS_LINE_RATIO,
	STAT_ALPHA_WORD_RATIO,
	STAT_STOP_WORDS,
	STAT_DUP_PARA_FRAC,
	STAT_DUP_PARA_CHAR_FRAC,
	STAT_DUP_LINE_FRAC,
	STAT_DUP_LINE_CHAR_FRAC,
	STAT_TOP_2_GRAM,
	STAT_TOP_3_GRAM,
	STAT_TOP_4_GRAM,
	STAT_DUP_5_GRAM,
	STAT_DUP_6_GRAM,
	STAT_DUP_7_GRAM,
	STAT_DUP_8_GRAM,
	STAT_DUP_9_GRAM,
	STAT_DUP_10_GRAM,
	STAT_TEXT_LINES,
	STAT_LINE_PUNCT_RATIO,
	STAT_SHORT_LINE_RATIO,
	STAT_CHAR_DUP_RATIO,
	STAT_LIST_RATIO,
	STAT_C4_LINES,
	STAT_C4_SENTENCES,
	STAT_C4_LOREM_IPSUM,
	STAT_C4_CURLY_BRACKET,
	STAT_COUNT
};

struct stat_info {
	const char *name, *help;
	int is_count; /* a whole number */
};
extern const struct stat_info stat_table[STAT_COUNT];
/* The statistic of that name, -1 when there is none. */
int stat_find(struct str name);

/* What the C4 rules ask of a line; a test is off when its limit is 0. */
struct c4_limits {
	size_t max_word; /* code points; a line with a longer word goes */
	size_t min_words;
	int end_mark;   /* a line must end in . ? ! or a quote, and not in ... */
	int citations;  /* [1], [edit], [citation needed] are cut out */
	int javascript; /* a line that names it goes */
	int policy;     /* a line about cookies, terms of use or privacy policies goes */
	/* Lines with lorem ipsum, with a curly bracket, above which the text is lost; INFINITY: any number.
	 */
	double lorem, curly;
};
#define C4_LIMITS ((struct c4_limits){ .max_word = 1000, .min_words = 3, 1, 1, 1, 1 })

struct textstat {
	double value[STAT_COUNT];
	uint64_t known; /* bit of every statistic that is in value */
	const char *text;
	size_t n;
	struct words words;     /* of the text, once split */
	struct words sentences; /* of a line, for the C4 rules */
	struct c4_limits c4;
	struct buf c4_text; /* the text as the C4 rules leave it, valid once a STAT_C4_* is known */
	/* scratch */
	int is_split;
	uint64_t *table; /* hash table of any kind */
	size_t table_cap;
	uint64_t *gram; /* [words] hashes of n-grams of gram_n words written together */
	size_t gram_cap, gram_n;
	uint32_t *before; /* [words + 1] code points of the words before */
	size_t before_cap;
	struct piece *pieces;
	size_t pieces_cap;
};

void textstat_init(struct textstat *t, enum words_mode mode);
void textstat_release(struct textstat *t);
/* Starts on a text of at most WORDS_MAX_TEXT bytes, which must stay while statistics are asked for. */
void textstat_set(struct textstat *t, const char *text, size_t n);
double textstat_get(struct textstat *t, enum stat s);
/* The words of the text. */
const struct words *textstat_words(struct textstat *t);

/* For the files that compute groups of statistics. */
void textstat_put(struct textstat *t, enum stat s, double v);
double ratio(double part, double whole);
/* A zeroed table of at least n slots of `size` bytes; its length is a power of two, *mask is that less one.
 */
void *textstat_table(struct textstat *t, size_t n, size_t size, size_t *mask);
void textstat_grams(struct textstat *t, enum stat s); /* repeat.c: STAT_TOP_* and STAT_DUP_*_GRAM */
void textstat_repeats(struct textstat *t);            /* repeat.c: STAT_DUP_PARA_*, STAT_DUP_LINE_* */
void textstat_prose_lines(struct textstat *t);        /* repeat.c: STAT_TEXT_LINES .. STAT_CHAR_DUP_RATIO */
void textstat_c4(struct textstat *t);                 /* c4.c: STAT_C4_* */

#endif
