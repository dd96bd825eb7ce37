/*
 * cache: the parts of struct cache that blocks use. Private to lib/model; model.h has the rest.
 */
#ifndef QUERN_CACHE_H
#define QUERN_CACHE_H

#include "model/model.h"

/* Rows of a step's part of the cache from a position on; the step's cache_width apart, of the cache's type.
 */
void *cache_rows(const struct cache *c, size_t step, size_t position);
enum dtype cache_dtype(const struct cache *c);
size_t cache_room(const struct cache *c); /* positions in all */
void cache_advance(struct cache *c, size_t n);

#endif
