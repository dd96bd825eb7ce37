#include "text/seen.h"
#include "base/die.h"
#include "base/mem.h"

#include <stdlib.h>

/* Linear probing from a place in proportion to 32 bits of the key, so that any size will do and a larger
 * table holds its entries in nearly the same order. At most four fifths full. */
static size_t place(uint32_t tag, size_t cap)
{
	return (size_t)((uint64_t)tag * cap >> 32);
}

static size_t next_cap(size_t cap)
{
	return cap + cap / 4 + 8;
}

static int is_full(size_t n, size_t cap)
{
	return n + 1 > cap - cap / 5;
}

static size_t seen_find(const struct seen_part *t, struct hash128 h)
{
	size_t at = place((uint32_t)(h.hi >> 32), t->cap);
	while ((t->keys[at].lo | t->keys[at].hi) && (t->keys[at].lo != h.lo || t->keys[at].hi != h.hi))
		at = at + 1 == t->cap ? 0 : at + 1;
	return at;
}

static void seen_grow(struct seen_part *t, int with_docs)
{
	struct seen_part old = *t;
	t->cap = next_cap(old.cap);
	ASSERT(t->cap < UINT32_MAX);
	t->keys = xcalloc(t->cap, sizeof *t->keys);
	t->docs = with_docs ? xcalloc(t->cap, sizeof *t->docs) : NULL;
	for (size_t i = 0; i < old.cap; i++) {
		if (!(old.keys[i].lo | old.keys[i].hi))
			continue;
		size_t at = seen_find(t, old.keys[i]);
		t->keys[at] = old.keys[i];
		if (with_docs)
			t->docs[at] = old.docs[i];
	}
	free(old.keys);
	free(old.docs);
}

/* {0, 0} is the mark of a free slot. */
static struct hash128 as_key(struct hash128 h)
{
	if (!(h.lo | h.hi))
		h.lo = SEEN_PARTS;
	return h;
}

uint32_t seen_get(const struct seen *s, struct hash128 h)
{
	h = as_key(h);
	const struct seen_part *t = &s->part[h.lo % SEEN_PARTS];
	if (!t->cap)
		return SEEN_NONE;
	size_t at = seen_find(t, h);
	if (!(t->keys[at].lo | t->keys[at].hi))
		return SEEN_NONE;
	return t->docs ? t->docs[at] : 0;
}

uint32_t seen_put(struct seen *s, struct hash128 h, uint32_t doc)
{
	h = as_key(h);
	struct seen_part *t = &s->part[h.lo % SEEN_PARTS];
	if (is_full(t->n, t->cap))
		seen_grow(t, s->with_docs);
	size_t at = seen_find(t, h);
	if (t->keys[at].lo | t->keys[at].hi)
		return t->docs ? t->docs[at] : 0;
	t->keys[at] = h;
	if (t->docs)
		t->docs[at] = doc;
	t->n++;
	return SEEN_NONE;
}

uint64_t seen_bytes(const struct seen *s)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < SEEN_PARTS; i++)
		sum += s->part[i].cap * (sizeof(struct hash128) + (s->with_docs ? sizeof(uint32_t) : 0));
	return sum;
}

void seen_release(struct seen *s)
{
	for (size_t i = 0; i < SEEN_PARTS; i++) {
		free(s->part[i].keys);
		free(s->part[i].docs);
	}
	*s = (struct seen){ 0 };
}

static size_t band_find(const struct band_part *t, uint32_t tag)
{
	size_t at = place(tag, t->cap);
	while (t->slots[at] && t->slots[at] >> 32 != tag)
		at = at + 1 == t->cap ? 0 : at + 1;
	return at;
}

static void band_grow(struct band_part *t)
{
	struct band_part old = *t;
	t->cap = next_cap(old.cap);
	ASSERT(t->cap < UINT32_MAX);
	t->slots = xcalloc(t->cap, sizeof *t->slots);
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i])
			t->slots[band_find(t, (uint32_t)(old.slots[i] >> 32))] = old.slots[i];
	free(old.slots);
}

void band_prefetch(const struct band_index *x, const uint64_t *keys, size_t n)
{
#if defined(__GNUC__)
	for (size_t i = 0; i < n; i++) {
		const struct band_part *t = &x->part[keys[i] % SEEN_PARTS];
		if (t->cap)
			__builtin_prefetch(&t->slots[place((uint32_t)(keys[i] >> 32), t->cap)]);
	}
#else
	(void)x, (void)keys, (void)n;
#endif
}

uint32_t band_get(const struct band_index *x, uint64_t key)
{
	const struct band_part *t = &x->part[key % SEEN_PARTS];
	if (!t->cap)
		return SEEN_NONE;
	/* A free slot is 0 and gives 0 - 1. */
	return (uint32_t)t->slots[band_find(t, (uint32_t)(key >> 32))] - 1;
}

void band_put(struct band_index *x, uint64_t key, uint32_t doc)
{
	struct band_part *t = &x->part[key % SEEN_PARTS];
	uint32_t tag = (uint32_t)(key >> 32);
	ASSERT(doc < SEEN_NONE);
	if (is_full(t->n, t->cap))
		band_grow(t);
	uint64_t *slot = &t->slots[band_find(t, tag)];
	if (*slot)
		return;
	*slot = (uint64_t)tag << 32 | (doc + 1);
	t->n++;
}

uint64_t band_bytes(const struct band_index *x)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < SEEN_PARTS; i++)
		sum += x->part[i].cap * sizeof(uint64_t);
	return sum;
}

void band_release(struct band_index *x)
{
	for (size_t i = 0; i < SEEN_PARTS; i++)
		free(x->part[i].slots);
	*x = (struct band_index){ 0 };
}
