/*
 * pretok: cuts text into the pieces that byte-pair encoding works on, one after another, nothing lost.
 *
 * A rule is a known pattern (its own hand-written scanner) or any regular expression (PCRE2). A rule is
 * immutable and shared by threads; a splitter is one thread's state. A piece is a match of the pattern, or
 * what lies between two matches.
 *
 * To add a known pattern: a row in the table of pretok.c (name, exact text) and its scanner in pretok_scan.c.
 */
#ifndef QUERN_PRETOK_H
#define QUERN_PRETOK_H

#include "base/buf.h"
#include "base/err.h"

struct pretok;

/* Of a pattern's origin: in tokenizer.json (Oniguruma's Ruby syntax) ^ and $ match at lines, else only at the
 * ends. */
enum { PRETOK_LINES = 1 };

/* pattern: a known name (gpt2 gpt4 cl100k o200k llama3 qwen) or a regular expression; an expression that is
 * the exact text of a known pattern gets its scanner. NULL: a malformed expression, or one whose meaning
 * PCRE2 would change. */
struct pretok *pretok_new(const char *pattern, unsigned flags, struct err *e);
/* As pretok_new, but the pattern is an expression even if it reads like a name; may hold any bytes but NUL.
 */
struct pretok *pretok_regex(const char *pattern, unsigned flags, struct err *e);
void pretok_free(struct pretok *p);
/* The regular expression as tokenizer.json holds it, one text for all spellings of a known pattern. */
const char *pretok_text(const struct pretok *p);
/* Is every piece a match, whatever the text? (True of the known patterns.) */
int pretok_tiles(const struct pretok *p);
int pretok_matches_empty(const struct pretok *p); /* can it match nothing at all? */
/* The expression behind a known name, NULL when there is none. */
const char *pretok_known(const char *name);

struct splitter;
struct splitter *splitter_new(const struct pretok *p); /* p outlives it */
void splitter_free(struct splitter *s);
/* End of the piece that starts at text[at], at < n. Text is walked from its start to its end, one text at a
 * time. *match (may be NULL) says whether the piece is a match. */
size_t splitter_next(struct splitter *s, const char *text, size_t n, size_t at, int *match);
/* Texts whose rest was left in one piece because the expression ran past its limits (PCRE2 only). */
uint64_t splitter_limited(const struct splitter *s);

#endif
