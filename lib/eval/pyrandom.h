/*
 * pyrandom: Python's random.Random (MT19937, Matsumoto and Nishimura 1998), so that few-shot examples and
 * bootstrap samples are those of lm-eval for the same seed. Nothing else draws from it: our own choices come
 * from rng.h.
 */
#ifndef QUERN_PYRANDOM_H
#define QUERN_PYRANDOM_H

#include <stddef.h>
#include <stdint.h>

struct pyrandom {
	uint32_t state[624];
	unsigned at;
};

void pyrandom_seed(struct pyrandom *r, uint64_t seed);   /* Random(seed) */
double pyrandom_double(struct pyrandom *r);              /* random(): [0, 1) */
uint32_t pyrandom_below(struct pyrandom *r, uint32_t n); /* randrange(n), n > 0 */
void pyrandom_sample(
	struct pyrandom *r, uint32_t n, uint32_t k, uint32_t *out); /* sample(range(n), k), k <= n */

#endif
