#include "train/order.h"
#include "base/die.h"
#include "base/rng.h"

/* The stream of rng.h that belongs to the order of rows. */
#define ORDER_STREAM UINT64_C(0x6f72646572) /* "order" */
#define ROUNDS 6

/* A Feistel network permutes [0, 4^half); walking its cycle until the value is below n permutes [0, n) (Black
 * & Rogaway 2002, "Ciphers with arbitrary finite domains", section 4). The domain is less than 4 n: few
 * steps. */
uint64_t order_at(uint64_t seed, uint64_t pass, uint64_t n, uint64_t i)
{
	ASSERT(i < n);
	unsigned half = 1;
	while (half < 32 && (UINT64_C(1) << 2 * half) < n)
		half++;
	uint64_t mask = (UINT64_C(1) << half) - 1;
	uint64_t key = rng_at(seed, ORDER_STREAM, pass);
	do {
		uint64_t left = i >> half, right = i & mask;
		for (uint64_t r = 0; r < ROUNDS; r++) {
			uint64_t next = left ^ (rng_at(key, r, right) & mask);
			left = right;
			right = next;
		}
		i = left << half | right;
	} while (i >= n);
	return i;
}
