/*
 * map: open-addressing hash maps that grow: 64-bit keys, and byte-string keys (copied). Iteration is by
 * insertion order, so that results never hang on the hash. A zeroed struct is an empty map. One writer or
 * many readers.
 */
#ifndef QUERN_MAP_H
#define QUERN_MAP_H

#include "base/buf.h"
#include "base/mem.h"

struct map_entry {
	uint64_t key, value;
};
struct map {
	struct map_entry *entries; /* [n], insertion order; no deletion */
	size_t n, cap;
	uint32_t *slots; /* index + 1, 0 free */
	size_t nslots;
};
/* Pointer to the value, NULL when absent; valid until the next insertion. */
uint64_t *map_get(const struct map *m, uint64_t key);
/* The value of key, inserted as `value` when absent; *fresh (may be NULL) says which. At most 2^32-2 entries.
 */
uint64_t *map_put(struct map *m, uint64_t key, uint64_t value, int *fresh);
void map_reserve(struct map *m, size_t n);
void map_release(struct map *m);

struct smap_entry {
	struct str key; /* NUL-terminated copy in the arena */
	uint64_t hash, value;
};
struct smap {
	struct smap_entry *entries;
	size_t n, cap;
	uint32_t *slots;
	size_t nslots;
	struct arena arena;
};
uint64_t *smap_get(const struct smap *m, const char *key, size_t n);
uint64_t *smap_put(struct smap *m, const char *key, size_t n, uint64_t value, int *fresh);
void smap_reserve(struct smap *m, size_t n);
void smap_release(struct smap *m);

#endif
