/*
 * uclass: code points and the classes of them that words, sentences and the filter rules are made of.
 *
 * Some classes are Unicode's (utf8proc), some are Python's (what str.split, str.splitlines and str.isalpha
 * call white space, line end, letter: the published rules were defined by programs in that language), some
 * are the lists of the rules themselves. uc_init() fills the table of the first 65,536 code points once; it
 * may be called by any thread, any number of times, and must come first.
 */
#ifndef QUERN_UCLASS_H
#define QUERN_UCLASS_H

#include "base/buf.h"
#include "text/utf8.h"

#include <stddef.h>
#include <stdint.h>

enum uclass {
	UC_SPACE = 1 << 0,  /* Python's str.isspace */
	UC_BREAK = 1 << 1,  /* ends a line for str.splitlines; a subset of UC_SPACE */
	UC_LETTER = 1 << 2, /* general category L* */
	UC_PUNCT = 1 << 3,  /* general category P* */
	UC_DIGIT = 1 << 4,  /* general category Nd */
	UC_MARK = 1 << 5,   /* a word of these alone is no word: marks, control characters, sentence ends */
	UC_STOP = 1 << 6,   /* ends a line of prose for the FineWeb rules */
	UC_SENT = 1 << 7,   /* ends a sentence */
	/* Classes of the English word splitter (words_en.c). */
	EN_ALPHA = 1 << 8, /* a letter of the scripts it knows */
	EN_LOWER = 1 << 9, /* lower case or caseless */
	EN_UPPER = 1 << 10,
	EN_QUOTE = 1 << 11,
	EN_PUNCT = 1 << 12,
	EN_ICON = 1 << 13, /* symbols, emoji */
	EN_CURRENCY = 1 << 14
};

extern uint16_t uc_table[0x10000];
void uc_init(void);
unsigned uc_class_high(uint32_t c); /* of code points above the table */

static inline unsigned uc_class(uint32_t c)
{
	return c < 0x10000 ? uc_table[c] : uc_class_high(c);
}

/* The code point at p < end and its length; a byte that is no UTF-8 is one of its own (utf8.h). */
static inline uint32_t uc_next(const char *p, const char *end, size_t *len)
{
	uint32_t c = (unsigned char)*p;
	*len = 1;
	if (c >= 0x80)
		*len = utf8_get(p, (size_t)(end - p), &c);
	return c;
}

/* The code point that ends at p > start. */
static inline uint32_t uc_prev(const char *start, const char *p, size_t *len)
{
	uint32_t c = (unsigned char)p[-1];
	*len = 1;
	if (c >= 0x80)
		*len = utf8_get_back(start, (size_t)(p - start), &c);
	return c;
}

/* Code points of UTF-8 text; a stray continuation byte counts with the character before it. */
static inline size_t uc_count(const char *p, size_t n)
{
	size_t chars = 0;
	for (size_t i = 0; i < n; i++)
		chars += ((unsigned char)p[i] & 0xc0) != 0x80;
	return chars;
}

/* [*p, *end) without the white space at either side, as Python's str.strip. */
void uc_strip(const char **p, const char **end);

/* Takes the next line off *text, its end not part of it, as Python's str.splitlines. 0 at the end. */
int uc_line(struct str *text, struct str *line);

#endif
