#include "base/rng.h"

#include <math.h>

static void philox_round(uint32_t c[4], const uint32_t k[2])
{
	uint64_t a = (uint64_t)0xD2511F53u * c[0], b = (uint64_t)0xCD9E8D57u * c[2];
	uint32_t c1 = c[1], c3 = c[3];
	c[0] = (uint32_t)(b >> 32) ^ c1 ^ k[0];
	c[1] = (uint32_t)b;
	c[2] = (uint32_t)(a >> 32) ^ c3 ^ k[1];
	c[3] = (uint32_t)a;
}

/* Two outputs; the block number and the stream are the 128-bit counter. */
static void philox(uint64_t seed, uint64_t stream, uint64_t block, uint64_t out[2])
{
	uint32_t c[4] = { (uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
		(uint32_t)(stream >> 32) };
	uint32_t k[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };
	for (int i = 0; i < 10; i++) {
		philox_round(c, k);
		k[0] += 0x9E3779B9u;
		k[1] += 0xBB67AE85u;
	}
	out[0] = (uint64_t)c[1] << 32 | c[0];
	out[1] = (uint64_t)c[3] << 32 | c[2];
}

uint64_t rng_at(uint64_t seed, uint64_t stream, uint64_t counter)
{
	uint64_t out[2];
	philox(seed, stream, counter >> 1, out);
	return out[counter & 1];
}

void rng_init(struct rng *r, uint64_t seed, uint64_t stream)
{
	*r = (struct rng){ seed, stream, 0 };
}

uint64_t rng_u64(struct rng *r)
{
	return rng_at(r->seed, r->stream, r->counter++);
}

static double uniform_of(uint64_t u)
{
	return (double)(u >> 11) * 0x1p-53;
}

double rng_uniform(struct rng *r)
{
	return uniform_of(rng_u64(r));
}

/* The high and low halves of a 64 x 64 bit product, without a 128-bit type. */
static uint64_t mul_hi(uint64_t a, uint64_t b, uint64_t *lo)
{
	uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
	uint64_t t = a0 * b0, u = a1 * b0 + (t >> 32), v = a0 * b1 + (uint32_t)u;
	*lo = v << 32 | (uint32_t)t;
	return a1 * b1 + (u >> 32) + (v >> 32);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	uint64_t lo, hi = mul_hi(rng_u64(r), n, &lo);
	if (lo < n) {
		uint64_t t = (0 - n) % n;
		while (lo < t)
			hi = mul_hi(rng_u64(r), n, &lo);
	}
	return hi;
}

double rng_normal(struct rng *r)
{
	double u = 1.0 - rng_uniform(r), v = rng_uniform(r);
	return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void rng_normals(uint64_t seed, uint64_t stream, uint64_t pair, double z[2])
{
	uint64_t u[2];
	philox(seed, stream, pair, u);
	double length = sqrt(-2.0 * log(1.0 - uniform_of(u[0]))),
	       angle = 6.283185307179586 * uniform_of(u[1]);
	z[0] = length * cos(angle);
	z[1] = length * sin(angle);
}

void rng_shuffle(struct rng *r, uint32_t *a, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = (size_t)rng_below(r, i);
		uint32_t t = a[i - 1];
		a[i - 1] = a[j];
		a[j] = t;
	}
}
