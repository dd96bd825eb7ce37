/*
 * regexp: regular expressions over UTF-8 text (PCRE2, Unicode classes), with bounded work: a pattern that
 * backtracks without end gives up as "no match". Malformed UTF-8 matches nothing but does no harm. Immutable
 * and shareable.
 */
#ifndef QUERN_REGEXP_H
#define QUERN_REGEXP_H

#include "base/buf.h"
#include "base/err.h"

#define REGEXP_GROUPS 32

struct regexp;
struct regexp *regexp_new(const char *pattern, size_t n, struct err *e);
void regexp_free(struct regexp *r); /* takes NULL */
size_t regexp_groups(const struct regexp *r);
/* The first match at or after `from`; groups[0] is the whole, groups[i] the i-th group ({NULL, 0}: took no
 * part). 1 found, 0 not. */
int regexp_find(const struct regexp *r, struct str s, size_t from, struct str groups[REGEXP_GROUPS]);
/* Where the search goes on behind that match; an empty match steps over one character. */
size_t regexp_next(struct str s, struct str match);
/* Every match replaced; $1 or \1 in `with` is the first group. Appends to out. */
void regexp_replace(const struct regexp *r, struct str s, struct str with, struct buf *out);

#endif
