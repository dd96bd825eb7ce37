/*
 * minhash: near duplicates by the Jaccard similarity of their sets of word n-grams ("shingles").
 *
 * A document becomes a sorted set of 64-bit shingle hashes; the set a sketch of k values of which two sets
 * share a fraction J in the mean; the sketch `bands` keys of `rows` values each. Two documents that share a
 * key are candidates: at similarity J with probability 1 - (1 - J^rows)^bands (Broder 1997; Leskovec et al.,
 * "Mining of Massive Datasets", 3.4). A candidate is settled by the Jaccard of the sets themselves.
 *
 * Pure functions.
 */
#ifndef QUERN_MINHASH_H
#define QUERN_MINHASH_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* A set of shingles: n sorted distinct values. */
struct shingles {
	uint64_t *v, *tmp; /* tmp: room for sorting */
	size_t n, cap, tmp_cap;
};

/* The word n-grams of a text, n in [1, SHINGLE_MAX]. A word is a run of letters, marks and digits, compared
 * in lower case; in scripts written without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) each character is a
 * word. A text of fewer than n words, but at least one, has one shingle: all of its words. Returns the number
 * of words. */
#define SHINGLE_MAX 64
size_t shingles_of_text(struct shingles *s, struct str text, unsigned n);
void shingles_release(struct shingles *s);
/* The upper halves of the hashes, in order, into out[n]: enough for comparing two sets, half the room. */
void shingles_halve(const struct shingles *s, uint32_t *out);
/* |a and b| / |a or b| of two sorted sets; 0 when both are empty. */
double shingles_jaccard(const uint32_t *a, size_t na, const uint32_t *b, size_t nb);

/* Sketch of a non-empty set: k values such that those of two sets agree with probability J each. */
void minhash_sketch(const uint64_t *set, size_t n, uint64_t seed, uint64_t *sketch, size_t k);
/* One key for each band: rows consecutive values of the sketch (bands x rows of them), and the band's number.
 */
void minhash_bands(const uint64_t *sketch, size_t bands, size_t rows, uint64_t *keys);
/* The shape for a threshold in (0, 1]: as many rows as MINHASH_BANDS bands and MINHASH_VALUES values allow
 * for finding a pair at the threshold with probability MINHASH_FOUND, and as few bands as reach it. More rows
 * leave fewer candidates to compare, but every value costs time and every band memory. */
#define MINHASH_BANDS 32
#define MINHASH_VALUES 112
#define MINHASH_FOUND 0.97
void minhash_shape(double threshold, size_t *bands, size_t *rows);
double minhash_found(double jaccard, size_t bands, size_t rows);

#endif
