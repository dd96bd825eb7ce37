#include "model/cache.h"
#include "base/die.h"
#include "base/mem.h"
#include "model/block.h"

#include <stdlib.h>
#include <string.h>

struct cache {
	const struct net *net;
	size_t capacity, len;
	float *data;
	size_t bytes;
	struct part {
		size_t at, width; /* offset in data, floats a position */
	} parts[];                /* [nsteps] */
};

struct cache *cache_new(const struct model *m, size_t capacity)
{
	const struct net *n = m->net;
	struct cache *c = xcalloc(1, add_size(sizeof *c, mul_size(n->nsteps, sizeof *c->parts)));
	size_t floats = 0;
	c->net = n;
	c->capacity = capacity;
	for (size_t i = 0; i < n->nsteps; i++) {
		size_t width = n->steps[i].block->cache_width(n->steps[i].self);
		c->parts[i] = (struct part){ floats, width };
		floats = add_size(floats, mul_size(width, capacity));
	}
	c->bytes = mul_size(floats, sizeof *c->data);
	c->data = mem_alloc(c->bytes);
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

float *cache_rows(const struct cache *c, size_t step, size_t position)
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
	ASSERT(dst->net == src->net && src->len <= dst->capacity);
	for (size_t i = 0; i < src->net->nsteps; i++)
		memcpy(cache_rows(dst, i, 0), cache_rows(src, i, 0),
			src->len * src->parts[i].width * sizeof *src->data);
	dst->len = src->len;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	mem_free(c->data, c->bytes);
	free(c);
}
