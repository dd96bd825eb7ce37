/*
 * pretok_rx: splitting by any regular expression, through PCRE2 (JIT where it has one).
 *
 * Tokenizer files speak Oniguruma or Rust's fancy-regex. What PCRE2 reads in another way is rewritten (\s is
 * White_Space, \w and \b are Oniguruma's, a script goes by its Script property) or refused (class
 * intersections, nested classes, \h, most [:names:] and others), so that an accepted expression means the
 * same.
 *
 * Backtracking is bounded: a match attempt may take RX_STEPS steps; when it would take more, the rest of that
 * text is one piece. Bytes that are not UTF-8 match nothing and cut the text: a run of them is a piece.
 */
#ifndef QUERN_PRETOK_RX_H
#define QUERN_PRETOK_RX_H

#include "base/buf.h"
#include "base/err.h"

#define RX_STEPS 10000000

struct rx;
struct rx_state; /* one thread's */

/* ^ and $ match at lines. */
struct rx *rx_new(const char *pattern, struct err *e);
int rx_matches_empty(const struct rx *r); /* can it match nothing at all? */
void rx_free(struct rx *r);
struct rx_state *rx_state_new(const struct rx *r);
void rx_state_free(struct rx_state *s);
/* End of the piece at text[at]; texts are walked in order, as in splitter_next. */
size_t rx_next(struct rx_state *s, const char *text, size_t n, size_t at, int *match);
/* The pattern with \A and \z for ^ and $, and \w spelled out: what tiktoken means by them, said so that it
 * holds everywhere. */
void rx_absolute(const char *pattern, struct buf *out);
uint64_t rx_limited(const struct rx_state *s);

#endif
