/*
 * rng: counter-based random numbers, Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
 * 1, 2, 3"). A generator is a seed, a stream and a counter: it can be saved, copied, and moved to any
 * position at once, and two streams of one seed are independent. Numbers are the same on every machine. One
 * struct belongs to one thread.
 */
#ifndef QUERN_RNG_H
#define QUERN_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t seed, stream, counter; /* counter: 64-bit outputs drawn so far */
};

void rng_init(struct rng *r, uint64_t seed, uint64_t stream);
/* The output at a position, without a state. */
uint64_t rng_at(uint64_t seed, uint64_t stream, uint64_t counter);
uint64_t rng_u64(struct rng *r);
double rng_uniform(struct rng *r);             /* in [0, 1), 53 bits */
uint64_t rng_below(struct rng *r, uint64_t n); /* in [0, n) without bias (Lemire 2019); n > 0 */
double rng_normal(struct rng *r);              /* mean 0, variance 1 (Box-Muller); takes two outputs */
/* Both normals of a position (in pairs) in a stream, for large tensors. */
void rng_normals(uint64_t seed, uint64_t stream, uint64_t pair, double z[2]);
void rng_shuffle(struct rng *r, uint32_t *a, size_t n); /* Fisher-Yates */

#endif
