#include "base/rng.h"
#include "tap.h"

int main(void)
{
	/* Philox4x32-10 of a zero key and counter, from the known answers of Random123. */
	ok(rng_at(0, 0, 0) == UINT64_C(0xe169c58d6627e8d5) && rng_at(0, 0, 1) == UINT64_C(0x9b00dbd8bc57ac4c),
		"known answers");
	struct rng a, b;
	rng_init(&a, 42, 7);
	int same = 1;
	for (uint64_t i = 0; i < 100; i++)
		same &= rng_u64(&a) == rng_at(42, 7, i);
	ok(same && a.counter == 100, "a generator is its position");
	rng_init(&b, 42, 8);
	ok(rng_u64(&b) != rng_at(42, 7, 0) && rng_at(43, 7, 0) != rng_at(42, 7, 0),
		"streams and seeds differ");
	double sum = 0, square = 0, normal = 0, normal2 = 0;
	int inside = 1;
	enum { N = 200000 };
	for (int i = 0; i < N; i++) {
		double u = rng_uniform(&b), z = rng_normal(&b);
		inside &= u >= 0 && u < 1;
		sum += u;
		square += u * u;
		normal += z;
		normal2 += z * z;
	}
	ok(inside, "uniform is in [0, 1)");
	ok_near(sum / N, 0.5, 0.003, "mean of uniform");
	ok_near(square / N, 1 / 3.0, 0.003, "square of uniform");
	ok_near(normal / N, 0, 0.01, "mean of normal");
	ok_near(normal2 / N, 1, 0.015, "variance of normal");
	double both[2], cross = 0;
	sum = square = 0;
	for (uint64_t i = 0; i < N; i++) {
		rng_normals(42, 9, i, both);
		sum += both[0] + both[1];
		square += both[0] * both[0] + both[1] * both[1];
		cross += both[0] * both[1];
	}
	ok_near(sum / (2 * N), 0, 0.01, "mean of pairs of normals");
	ok_near(square / (2 * N), 1, 0.015, "their variance");
	ok_near(cross / N, 0, 0.01, "and they are independent");
	rng_init(&a, 42, 9);
	rng_normals(42, 9, 0, both);
	ok(rng_normal(&a) == both[0], "the first of a pair is what a generator draws there");
	int seen[6] = { 0 };
	for (int i = 0; i < 60000; i++) {
		uint64_t x = rng_below(&a, 6);
		if (x < 6)
			seen[x]++;
	}
	inside = 1;
	for (int i = 0; i < 6; i++)
		inside &= seen[i] > 9600 && seen[i] < 10400;
	ok(inside, "below: even");
	ok(rng_below(&a, 1) == 0 && rng_below(&a, UINT64_MAX) < UINT64_MAX, "below: limits");
	uint32_t v[1000];
	uint64_t total = 0;
	int moved = 0;
	for (uint32_t i = 0; i < 1000; i++)
		v[i] = i;
	rng_shuffle(&a, v, 1000);
	for (uint32_t i = 0; i < 1000; i++) {
		total += v[i];
		moved += v[i] != i;
	}
	ok(total == 499500 && moved > 980, "shuffle");
	rng_shuffle(&a, v, 0);
	return tap_end();
}
