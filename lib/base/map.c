#include "base/map.h"
#include "base/die.h"
#include "base/hash.h"

#include <stdlib.h>

/* Slots are a power of two, at most half full; probing is linear. */
static size_t slots_for(size_t n)
{
	size_t s = 16;
	while (s < add_size(n, n))
		s *= 2;
	return s;
}

static uint32_t *find(const struct map *m, uint64_t key)
{
	size_t mask = m->nslots - 1, at = (size_t)mix64(key) & mask;
	while (m->slots[at] && m->entries[m->slots[at] - 1].key != key)
		at = (at + 1) & mask;
	return &m->slots[at];
}

void map_reserve(struct map *m, size_t n)
{
	size_t want = slots_for(n);
	if (want <= m->nslots)
		return;
	ASSERT(n < UINT32_MAX - 1);
	free(m->slots);
	m->nslots = want;
	m->slots = xcalloc(want, sizeof *m->slots);
	for (size_t i = 0; i < m->n; i++)
		*find(m, m->entries[i].key) = (uint32_t)i + 1;
}

uint64_t *map_get(const struct map *m, uint64_t key)
{
	if (!m->nslots)
		return NULL;
	uint32_t slot = *find(m, key);
	return slot ? &m->entries[slot - 1].value : NULL;
}

uint64_t *map_put(struct map *m, uint64_t key, uint64_t value, int *fresh)
{
	map_reserve(m, m->n + 1);
	uint32_t *slot = find(m, key);
	if (fresh)
		*fresh = !*slot;
	if (!*slot) {
		GROW(m->entries, m->cap, m->n + 1);
		m->entries[m->n] = (struct map_entry){ key, value };
		*slot = (uint32_t)++m->n;
	}
	return &m->entries[*slot - 1].value;
}

void map_release(struct map *m)
{
	free(m->entries);
	free(m->slots);
	*m = (struct map){ 0 };
}

static uint32_t *sfind(const struct smap *m, const char *key, size_t n, uint64_t hash)
{
	size_t mask = m->nslots - 1, at = (size_t)hash & mask;
	for (; m->slots[at]; at = (at + 1) & mask) {
		const struct smap_entry *e = &m->entries[m->slots[at] - 1];
		if (e->hash == hash && e->key.n == n && memcmp(e->key.p, key, n) == 0)
			break;
	}
	return &m->slots[at];
}

void smap_reserve(struct smap *m, size_t n)
{
	size_t want = slots_for(n);
	if (want <= m->nslots)
		return;
	ASSERT(n < UINT32_MAX - 1);
	free(m->slots);
	m->nslots = want;
	m->slots = xcalloc(want, sizeof *m->slots);
	for (size_t i = 0; i < m->n; i++) {
		size_t at = (size_t)m->entries[i].hash & (want - 1);
		while (m->slots[at])
			at = (at + 1) & (want - 1);
		m->slots[at] = (uint32_t)i + 1;
	}
}

uint64_t *smap_get(const struct smap *m, const char *key, size_t n)
{
	if (!m->nslots)
		return NULL;
	uint32_t slot = *sfind(m, key, n, hash64(key, n, 0));
	return slot ? &m->entries[slot - 1].value : NULL;
}

uint64_t *smap_put(struct smap *m, const char *key, size_t n, uint64_t value, int *fresh)
{
	smap_reserve(m, m->n + 1);
	uint64_t hash = hash64(key, n, 0);
	uint32_t *slot = sfind(m, key, n, hash);
	if (fresh)
		*fresh = !*slot;
	if (!*slot) {
		GROW(m->entries, m->cap, m->n + 1);
		m->entries[m->n] =
			(struct smap_entry){ { arena_strndup(&m->arena, key, n), n }, hash, value };
		*slot = (uint32_t)++m->n;
	}
	return &m->entries[*slot - 1].value;
}

void smap_release(struct smap *m)
{
	free(m->entries);
	free(m->slots);
	arena_release(&m->arena);
	*m = (struct smap){ 0 };
}
