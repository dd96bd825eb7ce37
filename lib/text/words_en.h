/*
 * words_en: how spaCy's English tokenizer splits what stands between white space: prefixes, suffixes,
 * infixes, URLs, and special cases (contractions, abbreviations, emoticons), which also hold inside a longer
 * piece.
 *
 * Tables are built once for the process; words_en_new is cheap and gives what one thread needs.
 */
#ifndef QUERN_WORDS_EN_H
#define QUERN_WORDS_EN_H

#include "text/words.h"

struct words_en *words_en_new(void);
void words_en_free(struct words_en *en);

/* May a piece with this word_hash be a special case? */
#define WORDS_EN_FILTER 65536
extern uint64_t words_en_filter[WORDS_EN_FILTER / 64];
static inline int words_en_known(uint64_t hash)
{
	return words_en_filter[hash >> 54] >> (hash >> 48 & 63) & 1;
}

/* Appends the words of text[at, at + n), a piece without white space. `hash` is its word_hash. */
void words_en_piece(struct words *s, size_t at, size_t n, uint64_t hash);
/* Joins or recuts words that together spell a special case; called once the whole text is split. */
void words_en_specials(struct words *s);

#endif
