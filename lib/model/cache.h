/*
 * cache: the parts of struct cache that blocks use. Private to lib/model; model.h has the rest.
 */
#ifndef QUERN_CACHE_H
#define QUERN_CACHE_H

#include "model/model.h"

/* Rows of a step's part of the cache from a position on; the step's cache_width apart. */
float *cache_rows(const struct cache *c, size_t step, size_t position);
size_t cache_room(const struct cache *c); /* positions in all */
void cache_advance(struct cache *c, size_t n);

#endif
