/*
 * pytext: text as Python's str sees it, for templates and what compares with them.
 */
#ifndef QUERN_PYTEXT_H
#define QUERN_PYTEXT_H

#include "base/buf.h"

/* White space as str.strip and \s see it, of which Unicode's White_Space lacks U+001C-1F. Length of the space
 * that starts at p (0: none). */
size_t space_len(const char *p, size_t n);
struct str strip_left(struct str s);
struct str strip_right(struct str s);

/* s with its first character and the rest in upper (1) or lower (0) case, by Unicode's simple mappings. */
void add_case(struct buf *out, struct str s, int upper_first, int upper_rest);

#endif
