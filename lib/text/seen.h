/*
 * seen: what a stream has brought before, in little memory: a set of 128-bit hashes, and an index of band
 * keys, each with the number of the document that came first. Both want keys that are hashes: spread evenly.
 * A zeroed struct is empty. Not thread-safe.
 *
 * Tables are cut into parts that grow by a quarter one at a time, so memory stays within 1.4 times what is
 * used, also while growing. A part is sorted: every key lies at its place, which is in proportion to it, or
 * as little behind it as order allows. So a search for what is not there ends at the first larger key, and
 * parts may be nine tenths full.
 */
#ifndef QUERN_SEEN_H
#define QUERN_SEEN_H

#include "base/hash.h"

#include <stddef.h>
#include <stdint.h>

#define SEEN_PARTS 256
#define SEEN_NONE UINT32_MAX

/* 18 to 22 bytes a hash, 22 to 28 with documents. */
struct seen {
	int with_docs; /* remember the document, set before the first use */
	struct seen_part {
		struct hash128 *keys; /* {0, 0} is free */
		uint32_t *docs;       /* NULL without */
		size_t n, cap;
	} part[SEEN_PARTS];
};
/* The document that brought h first (0 without documents), or SEEN_NONE. */
uint32_t seen_get(const struct seen *s, struct hash128 h);
/* The same; a hash that is new is remembered as this document's. */
uint32_t seen_put(struct seen *s, struct hash128 h, uint32_t doc);
uint64_t seen_bytes(const struct seen *s);
void seen_release(struct seen *s);

/* Keys are told apart by 39 bits, so among M keys one that is absent finds a stranger's document with
 * probability M / 2^39: what is found must be checked. 7 to 8 bytes a key where a document has 15 keys or
 * more; in all never less than 48 to 96 bytes a document. */
#define BAND_PARTS 128
struct band_slot {
	uint16_t word[3];
};
struct band_index {
	struct band_part {
		struct band_slot *slots; /* document + 1, then the `low` lower bits of the key; 0 is free */
		size_t n, cap;
		unsigned low;
	} part[BAND_PARTS];
};
uint32_t band_get(const struct band_index *x, uint64_t key);
/* Keys that are about to be asked for: large tables are nowhere near the cache. */
void band_prefetch(const struct band_index *x, const uint64_t *keys, size_t n);
/* Keeps the first document of a key. */
void band_put(struct band_index *x, uint64_t key, uint32_t doc);
uint64_t band_bytes(const struct band_index *x);
void band_release(struct band_index *x);

#endif
