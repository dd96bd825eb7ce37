#include "model/cache.h"
#include "base/die.h"
#include "base/mem.h"
#include "model/session.h"
#include "tensor/flash.h"

#include <stdlib.h>
#include <string.h>

/* Pages are taken from the system so many at a time, more and more. */
#define SLAB_FIRST 2
#define SLAB_MOST 64

struct page {
	union {
		struct page *next; /* while it is free */
		size_t users;
	};
	char *data; /* untouched until it is filled, by the threads that fill it */
};

struct page_pool {
	size_t bytes; /* of a page */
	struct page *free;
	struct slab {
		char *data;
		size_t bytes;
		struct page *pages;
	} * slabs;
	size_t nslabs, cap_slabs, next_slab; /* pages of the next one */
	size_t at[];                         /* [nsteps]: where a step's part is */
};

struct cache {
	struct page_pool *pool;
	size_t len;
	size_t npages, cap_pages, cap_data;
	struct page **pages; /* [npages] */
	char **data;         /* theirs */
};

/* --- pool --- */

struct page_pool *page_pool_new(const struct work *w)
{
	const struct net *n = w->net;
	struct page_pool *p = xcalloc(1, add_size(sizeof *p, mul_size(n->nsteps, sizeof *p->at)));
	p->next_slab = SLAB_FIRST;
	for (size_t i = 0; i < n->nsteps; i++) {
		p->at[i] = p->bytes;
		p->bytes = add_size(p->bytes, n->steps[i].block->page_bytes(n->steps[i].self, w));
	}
	return p;
}

void page_pool_free(struct page_pool *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nslabs; i++) {
		mem_free(p->slabs[i].data, p->slabs[i].bytes);
		free(p->slabs[i].pages);
	}
	free(p->slabs);
	free(p);
}

static void grow(struct page_pool *p)
{
	GROW(p->slabs, p->cap_slabs, p->nslabs + 1);
	struct slab *s = &p->slabs[p->nslabs++];
	s->bytes = mul_size(p->next_slab, p->bytes);
	s->data = mem_alloc(s->bytes);
	s->pages = xcalloc(p->next_slab, sizeof *s->pages);
	for (size_t i = p->next_slab; i-- > 0;) {
		s->pages[i] = (struct page){ { p->free }, s->data + i * p->bytes };
		p->free = &s->pages[i];
	}
	p->next_slab = least(2 * p->next_slab, SLAB_MOST);
}

static struct page *page_take(struct page_pool *p)
{
	if (!p->free)
		grow(p);
	struct page *q = p->free;
	p->free = q->next;
	q->users = 1;
	return q;
}

static void page_drop(struct page_pool *p, struct page *q)
{
	if (--q->users)
		return;
	q->next = p->free;
	p->free = q;
}

/* --- caches --- */

struct cache *cache_new(const struct session *s)
{
	struct cache *c = xcalloc(1, sizeof *c);
	c->pool = s->pool;
	return c;
}

size_t cache_len(const struct cache *c)
{
	return c->len;
}

char *const *cache_pages(const struct cache *c)
{
	return c->data;
}

size_t cache_step_at(const struct cache *c, size_t step)
{
	return c->pool->at[step];
}

static void add(struct cache *c, struct page *p)
{
	GROW(c->data, c->cap_data, c->npages + 1);
	GROW(c->pages, c->cap_pages, c->npages + 1);
	c->data[c->npages] = p->data;
	c->pages[c->npages++] = p;
}

static void drop_last(struct cache *c)
{
	page_drop(c->pool, c->pages[--c->npages]);
}

void cache_extend(struct cache *c, size_t n)
{
	struct page *last = c->npages ? c->pages[c->npages - 1] : NULL;
	if (n && c->len % FLASH_BLOCK && last->users > 1) {
		struct page *own = page_take(c->pool);
		memcpy(own->data, last->data, c->pool->bytes);
		drop_last(c);
		add(c, own);
	}
	while (c->npages < div_up(c->len + n, FLASH_BLOCK))
		add(c, page_take(c->pool));
}

void cache_advance(struct cache *c, size_t n)
{
	c->len += n;
}

void cache_truncate(struct cache *c, size_t len)
{
	ASSERT(len <= c->len);
	c->len = len;
	while (c->npages > div_up(len, FLASH_BLOCK))
		drop_last(c);
}

void cache_copy(struct cache *dst, const struct cache *src)
{
	ASSERT(dst->pool == src->pool);
	cache_truncate(dst, 0);
	for (size_t i = 0; i < src->npages; i++) {
		src->pages[i]->users++;
		add(dst, src->pages[i]);
	}
	dst->len = src->len;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_truncate(c, 0);
	free(c->pages);
	free(c->data);
	free(c);
}
