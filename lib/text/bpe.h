/*
 * bpe: the merge table of byte-pair encoding, and merging by it.
 *
 * Of the neighbouring pairs that the table holds, the one of lowest rank is merged, the leftmost of equal
 * rank, until none is left: merge lists (rank: place in the list), tiktoken's ranks (rank: id of the result)
 * and sentencepiece's scores (rank: place in the order of falling scores) are all said in this way. The time
 * is O(n log n) in the length. The table is immutable after building and shared by threads.
 */
#ifndef QUERN_BPE_H
#define QUERN_BPE_H

#include "text/vocab.h"

struct merge {
	uint32_t left, right; /* left == NO_ID: a free slot */
	uint32_t rank, id;
};
struct bpe {
	struct merge *slots; /* a power of two */
	size_t nslots, n;
};

/* A pair that is there already is replaced. */
void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id);
const struct merge *bpe_find(const struct bpe *b, uint32_t left, uint32_t right); /* NULL when absent */
void bpe_release(struct bpe *b);

/* Adds, for every token of two or more symbols, each way to cut it in two known parts: what rank files leave
 * implicit. rank[id] is the rank of merging into id, NO_ID for tokens that no merge makes. `cut` says where a
 * token may be cut: cut(p, n, i) for 0 < i < n. */
void bpe_add_splits(struct bpe *b, const struct vocab *v, const uint32_t *rank,
	int (*cut)(const char *p, size_t n, size_t i));

/* Scratch of one thread. A zeroed struct is empty. */
struct bpe_scratch {
	void *mem;
	size_t cap; /* bytes */
};
/* Merges s[0..n) in place; the new count. */
size_t bpe_merge(const struct bpe *b, struct bpe_scratch *x, uint32_t *s, size_t n);
void bpe_scratch_release(struct bpe_scratch *x);

#endif
