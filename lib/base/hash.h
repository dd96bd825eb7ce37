/*
 * hash: xxHash's 64-bit and 128-bit functions under the names that the house uses. Pure, thread-safe.
 */
#ifndef QUERN_HASH_H
#define QUERN_HASH_H

#include <stddef.h>
#include <stdint.h>

/* XXH3, 64 bits. Values are stored in files (block checksums), so the function never changes. */
uint64_t hash64(const void *p, size_t n, uint64_t seed);

struct hash128 {
	uint64_t lo, hi;
};
struct hash128 hash128(const void *p, size_t n);
struct hash128 hash128_seeded(const void *p, size_t n, uint64_t seed);

/* Fingerprint of content given in pieces. */
struct fingerprint *fingerprint_new(void);
void fingerprint_add(struct fingerprint *f, const void *p, size_t n);
struct hash128 fingerprint_end(struct fingerprint *f); /* frees f */
void fingerprint_free(struct fingerprint *f);

/* 32 lower-case hexadecimal digits and a NUL, high half first. */
void hash128_hex(struct hash128 h, char out[33]);

/* A strong mix of one word (the finaliser of SplitMix64, Steele et al. 2014). */
static inline uint64_t mix64(uint64_t x)
{
	x ^= x >> 30;
	x *= UINT64_C(0xbf58476d1ce4e5b9);
	x ^= x >> 27;
	x *= UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

#endif
