/*
 * cache: the parts of struct cache that forward and blocks use, and the pool that pages come from. Private to
 * lib/model; model.h has the rest.
 *
 * A cache is a list of pages of FLASH_BLOCK positions, of all steps. Copies share pages; whoever writes into
 * one that is shared takes a copy first (cache_extend).
 */
#ifndef QUERN_CACHE_H
#define QUERN_CACHE_H

#include "model/model.h"

/* Pages of a session and of its caches; of one thread. */
struct page_pool;
struct work;
struct page_pool *page_pool_new(const struct work *w);
void page_pool_free(struct page_pool *p); /* when all caches are freed */

/* Makes room for n positions behind the last one, in pages of its own. */
void cache_extend(struct cache *c, size_t n);
/* Page i of the cache is at [i], positions [i * FLASH_BLOCK, ...). */
char *const *cache_pages(const struct cache *c);
size_t cache_step_at(const struct cache *c, size_t step); /* where a page has a step's part */
void cache_advance(struct cache *c, size_t n);

#endif
