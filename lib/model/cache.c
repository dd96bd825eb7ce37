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

/* Stands in front of a page's data. */
struct page {
	union {
		struct page *next; /* while it is free */
		size_t users;
	};
};
#define HEADER 64

struct page_pool {
	size_t bytes; /* of a page, its header counted */
	struct page *free;
	struct slab {
		char *p;
		size_t bytes;
	} * slabs;
	size_t nslabs, cap_slabs, next_slab; /* pages of the next one */
	size_t at[];                         /* [nsteps]: where a step's part is */
};

struct cache {
	struct page_pool *pool;
	size_t capacity, len;
	char **pages; /* [npages], of room for capacity */
	size_t npages;
};

/* --- pool --- */

struct page_pool *page_pool_new(const struct net *n, enum dtype compute)
{
	struct page_pool *p = xcalloc(1, add_size(sizeof *p, mul_size(n->nsteps, sizeof *p->at)));
	p->bytes = HEADER;
	p->next_slab = SLAB_FIRST;
	for (size_t i = 0; i < n->nsteps; i++) {
		p->at[i] = p->bytes;
		p->bytes = add_size(p->bytes, n->steps[i].block->page_bytes(n->steps[i].self, compute));
	}
	return p;
}

void page_pool_free(struct page_pool *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->nslabs; i++)
		mem_free(p->slabs[i].p, p->slabs[i].bytes);
	free(p->slabs);
	free(p);
}

static void grow(struct page_pool *p)
{
	GROW(p->slabs, p->cap_slabs, p->nslabs + 1);
	struct slab *s = &p->slabs[p->nslabs++];
	s->bytes = mul_size(p->next_slab, p->bytes);
	s->p = mem_alloc(s->bytes);
	for (size_t i = p->next_slab; i-- > 0;) {
		struct page *q = (struct page *)(void *)(s->p + i * p->bytes);
		q->next = p->free;
		p->free = q;
	}
	p->next_slab = least(2 * p->next_slab, SLAB_MOST);
}

static struct page *header(char *page)
{
	return (struct page *)(void *)page;
}

static char *page_take(struct page_pool *p)
{
	if (!p->free)
		grow(p);
	struct page *q = p->free;
	p->free = q->next;
	q->users = 1;
	return (char *)q;
}

static void page_drop(struct page_pool *p, char *page)
{
	struct page *q = header(page);
	if (--q->users)
		return;
	q->next = p->free;
	p->free = q;
}

/* --- caches --- */

struct cache *cache_new(const struct session *s, size_t capacity)
{
	struct cache *c = xcalloc(1, sizeof *c);
	c->pool = s->pool;
	c->capacity = capacity;
	c->pages = xcalloc(div_up(capacity, FLASH_BLOCK), sizeof *c->pages);
	return c;
}

size_t cache_len(const struct cache *c)
{
	return c->len;
}

size_t cache_room(const struct cache *c)
{
	return c->capacity;
}

char *const *cache_pages(const struct cache *c)
{
	return c->pages;
}

size_t cache_step_at(const struct cache *c, size_t step)
{
	return c->pool->at[step];
}

void cache_extend(struct cache *c, size_t n)
{
	ASSERT(n <= c->capacity - c->len);
	char **last = c->npages ? &c->pages[c->npages - 1] : NULL;
	if (n && c->len % FLASH_BLOCK && header(*last)->users > 1) {
		char *own = page_take(c->pool);
		memcpy(own + HEADER, *last + HEADER, c->pool->bytes - HEADER);
		page_drop(c->pool, *last);
		*last = own;
	}
	while (c->npages < div_up(c->len + n, FLASH_BLOCK))
		c->pages[c->npages++] = page_take(c->pool);
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
		page_drop(c->pool, c->pages[--c->npages]);
}

void cache_copy(struct cache *dst, const struct cache *src)
{
	ASSERT(dst->pool == src->pool && src->len <= dst->capacity);
	cache_truncate(dst, 0);
	for (size_t i = 0; i < src->npages; i++) {
		header(src->pages[i])->users++;
		dst->pages[dst->npages++] = src->pages[i];
	}
	dst->len = src->len;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	cache_truncate(c, 0);
	free(c->pages);
	free(c);
}
