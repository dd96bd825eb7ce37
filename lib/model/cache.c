#include "model/cache.h"
#include "base/die.h"
#include "base/mem.h"
#include "model/session.h"

#include <stdlib.h>
#include <string.h>

struct cache {
	const struct net *net;
	enum dtype dtype;
	size_t capacity, len;
	char *data;
	size_t bytes;
	struct part {
		size_t at, width; /* in bytes: offset in data, a position's */
	} parts[];                /* [nsteps] */
};

struct cache *cache_new(const struct session *s, size_t capacity)
{
	const struct net *n = s->work.net;
	struct cache *c = xcalloc(1, add_size(sizeof *c, mul_size(n->nsteps, sizeof *c->parts)));
	c->net = n;
	c->dtype = s->work.compute;
	c->capacity = capacity;
	for (size_t i = 0; i < n->nsteps; i++) {
		size_t width =
			mul_size(n->steps[i].block->cache_width(n->steps[i].self), dtype_size(c->dtype));
		c->parts[i] = (struct part){ c->bytes, width };
		c->bytes = add_size(c->bytes, (mul_size(width, capacity) + 63) / 64 * 64);
	}
	c->data = mem_alloc(c->bytes);
	return c;
}

size_t cache_len(const struct cache *c)
{
	return c->len;
}

enum dtype cache_dtype(const struct cache *c)
{
	return c->dtype;
}

size_t cache_room(const struct cache *c)
{
	return c->capacity;
}

void *cache_rows(const struct cache *c, size_t step, size_t position)
{
	return c->data + c->parts[step].at + position * c->parts[step].width;
}

void cache_advance(struct cache *c, size_t n)
{
	c->len += n;
}

void cache_truncate(struct cache *c, size_t len)
{
	ASSERT(len <= c->len);
	c->len = len;
}

void cache_copy(struct cache *dst, const struct cache *src)
{
	ASSERT(dst->net == src->net && dst->dtype == src->dtype && src->len <= dst->capacity);
	for (size_t i = 0; i < src->net->nsteps; i++)
		memcpy(cache_rows(dst, i, 0), cache_rows(src, i, 0), src->len * src->parts[i].width);
	dst->len = src->len;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	mem_free(c->data, c->bytes);
	free(c);
}
