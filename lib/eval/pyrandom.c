#include "eval/pyrandom.h"
#include "base/die.h"
#include "base/mem.h"

#include <stdlib.h>

static void init_genrand(struct pyrandom *r, uint32_t s)
{
	r->state[0] = s;
	for (uint32_t i = 1; i < 624; i++)
		r->state[i] = 1812433253u * (r->state[i - 1] ^ r->state[i - 1] >> 30) + i;
	r->at = 624;
}

/* init_by_array with the seed's 32-bit words, as CPython's random_seed. */
void pyrandom_seed(struct pyrandom *r, uint64_t seed)
{
	uint32_t key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) }, n = key[1] ? 2 : 1, i = 1, j = 0;
	uint32_t *s = r->state;
	init_genrand(r, 19650218u);
	for (int k = 624; k; k--) {
		s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1664525u) + key[j] + j;
		if (++i == 624) {
			s[0] = s[623];
			i = 1;
		}
		j = j + 1 == n ? 0 : j + 1;
	}
	for (int k = 623; k; k--) {
		s[i] = (s[i] ^ (s[i - 1] ^ s[i - 1] >> 30) * 1566083941u) - i;
		if (++i == 624) {
			s[0] = s[623];
			i = 1;
		}
	}
	s[0] = 0x80000000u;
}

static uint32_t next(struct pyrandom *r)
{
	uint32_t *s = r->state;
	if (r->at == 624) {
		for (int i = 0; i < 624; i++) {
			uint32_t y = (s[i] & 0x80000000u) | (s[i == 623 ? 0 : i + 1] & 0x7fffffffu);
			s[i] = s[i < 227 ? i + 397 : i - 227] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0);
		}
		r->at = 0;
	}
	uint32_t y = s[r->at++];
	y ^= y >> 11;
	y ^= y << 7 & 0x9d2c5680u;
	y ^= y << 15 & 0xefc60000u;
	return y ^ y >> 18;
}

double pyrandom_double(struct pyrandom *r)
{
	uint32_t a = next(r) >> 5, b = next(r) >> 6;
	return ((double)a * 67108864.0 + (double)b) * (1.0 / 9007199254740992.0);
}

uint32_t pyrandom_below(struct pyrandom *r, uint32_t n)
{
	int bits = 0;
	for (uint32_t m = n; m; m >>= 1)
		bits++;
	uint32_t x;
	do
		x = next(r) >> (32 - bits);
	while (x >= n);
	return x;
}

void pyrandom_sample(struct pyrandom *r, uint32_t n, uint32_t k, uint32_t *out)
{
	/* setsize of CPython's sample: a pool for small populations, a set of the selected for large ones. */
	uint64_t setsize = 21;
	ASSERT(k <= n);
	if (k > 5) {
		uint64_t power = 1;
		while (power < (uint64_t)k * 3)
			power *= 4;
		setsize += power;
	}
	if (n <= setsize) {
		uint32_t *pool = xcalloc(n, sizeof *pool);
		for (uint32_t i = 0; i < n; i++)
			pool[i] = i;
		for (uint32_t i = 0; i < k; i++) {
			uint32_t j = pyrandom_below(r, n - i);
			out[i] = pool[j];
			pool[j] = pool[n - i - 1];
		}
		free(pool);
		return;
	}
	unsigned char *taken = xcalloc(n, 1);
	for (uint32_t i = 0; i < k; i++) {
		uint32_t j;
		do
			j = pyrandom_below(r, n);
		while (taken[j]);
		taken[j] = 1;
		out[i] = j;
	}
	free(taken);
}
