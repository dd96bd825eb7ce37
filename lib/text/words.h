/*
 * words: text cut into words, either at white space, or as the English word tokenizer of spaCy cuts it, where
 * punctuation marks are words and "don't" is two.
 *
 * A splitter holds the words of one text at a time and belongs to one thread.
 */
#ifndef QUERN_WORDS_H
#define QUERN_WORDS_H

#include "base/buf.h"

enum words_mode { WORDS_PUNCT, WORDS_SPACE }; /* OPT_CHOICE "punct|space" */

enum word_flags {
	WORD_LETTER = 1, /* has a letter */
	WORD_MARKS = 2,  /* nothing but marks (UC_MARK) */
	WORD_PUNCT = 4,  /* nothing but punctuation (category P*) */
	WORD_SENT = 8,   /* one character, and it ends a sentence */
	WORD_BLANK = 16  /* white space: only among words_tokens */
};

/*
 * The hash of a word is the value of its bytes as digits of a number in base WORD_BASE, modulo 2^64, so that
 * the hash of two words written together is h1 * pow2 + h2: n-grams need no second look at the text. `pow` is
 * WORD_BASE to the number of bytes. Mix before use: its low bits depend on few of the text's bits. It is
 * stored in classifiers and therefore never changes.
 */
#define WORD_BASE UINT64_C(0x9e3779b97f4a7c15)
struct word {
	uint32_t at, n; /* place in the text and length, bytes */
	uint32_t chars; /* code points */
	uint32_t flags;
	uint64_t hash, pow;
};

struct words {
	struct word *w;
	size_t n;
	/* private */
	size_t cap;
	struct word *spare;
	size_t spare_cap;
	struct words_en *en;
	const char *text;
};

void words_init(struct words *s, enum words_mode mode);
void words_release(struct words *s);

#define WORDS_MAX_TEXT UINT32_MAX /* longer text is not split: the callers refuse it */
/* Replaces s->w with the words of text[0..n). */
void words_split(struct words *s, const char *text, size_t n);
/* The same with white space that is more than one blank kept as WORD_BLANK (mode punct only). */
void words_tokens(struct words *s, const char *text, size_t n);
/* Sentences of a text that is not empty: a mark that ends sentences, further marks, then anything else. Uses
 * s->w. */
size_t words_sentences(struct words *s, const char *text, size_t n);

/* For words_en.c: appends text[at, at + n). */
void words_push(struct words *s, size_t at, size_t n);
uint64_t word_hash(const char *p, size_t n);

#endif
