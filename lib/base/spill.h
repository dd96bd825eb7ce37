/*
 * spill: bytes that wait on disk instead of in memory: an unnamed temporary file that is appended to and read
 * back at any place. It vanishes with the process, however that ends. One spill belongs to one thread at a
 * time.
 */
#ifndef QUERN_SPILL_H
#define QUERN_SPILL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct spill;

/* dir: NULL means $TMPDIR, else /tmp. NULL on failure. */
struct spill *spill_new(const char *dir, struct err *e);
/* Appends; the offset of the first byte goes to *at. -1 on failure (a full disk). */
int spill_add(struct spill *s, const void *p, size_t n, uint64_t *at, struct err *e);
/* Reads back n bytes that were added. -1 on failure. */
int spill_get(struct spill *s, uint64_t at, void *p, size_t n, struct err *e);
uint64_t spill_size(const struct spill *s);
void spill_free(struct spill *s); /* takes NULL */

#endif
