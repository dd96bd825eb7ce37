#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <xxhash.h>

uint64_t hash64(const void *p, size_t n, uint64_t seed)
{
	return XXH3_64bits_withSeed(p, n, seed);
}

struct hash128 hash128_seeded(const void *p, size_t n, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(p, n, seed);
	return (struct hash128){ h.low64, h.high64 };
}

struct hash128 hash128(const void *p, size_t n)
{
	return hash128_seeded(p, n, 0);
}

/* The state is xxHash's own; the cast keeps its header out of ours. */
struct fingerprint *fingerprint_new(void)
{
	XXH3_state_t *s = XXH3_createState();
	if (!s)
		mem_exhausted("hash state");
	XXH3_128bits_reset(s);
	return (struct fingerprint *)s;
}

void fingerprint_add(struct fingerprint *f, const void *p, size_t n)
{
	XXH3_128bits_update((XXH3_state_t *)f, p, n);
}

struct hash128 fingerprint_end(struct fingerprint *f)
{
	XXH128_hash_t h = XXH3_128bits_digest((XXH3_state_t *)f);
	fingerprint_free(f);
	return (struct hash128){ h.low64, h.high64 };
}

void fingerprint_free(struct fingerprint *f)
{
	XXH3_freeState((XXH3_state_t *)f);
}

void hash128_hex(struct hash128 h, char out[33])
{
	snprintf(out, 33, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}
