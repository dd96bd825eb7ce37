#include "model/sample.h"
#include "tap.h"

#include "sample_vectors.h"

#define N_VECTORS (sizeof sample_vectors / sizeof *sample_vectors)

static void against_reference(void)
{
	for (size_t i = 0; i < N_VECTORS; i++) {
		struct sampler *s = sampler_new(&sample_vectors[i].p, SAMPLE_V);
		const struct candidate *v;
		double total, got[SAMPLE_V] = { 0 }, worst = 0;
		size_t n = sampler_chain(
			s, sample_vectors[i].logits, sample_vectors[i].past, SAMPLE_PAST, &v, &total);
		for (size_t k = 0; k < n; k++)
			got[v[k].id] = v[k].weight / total;
		for (size_t k = 0; k < SAMPLE_V; k++)
			worst = fmax(worst, fabs(got[k] - sample_vectors[i].prob[k]));
		ok_near(worst, 0, 2e-6, "chain %zu gives the reference's probabilities", i);
		sampler_free(s);
	}
}

/* Chi-square of draws against the chain's own probabilities: 24 cells, 23 degrees of freedom, 0.1 %
 * point 49.7. */
static void draws(void)
{
	enum { N = 200000 };
	for (size_t i = 0; i < N_VECTORS; i++) {
		struct sampler *s = sampler_new(&sample_vectors[i].p, SAMPLE_V);
		unsigned count[SAMPLE_V] = { 0 };
		struct rng r;
		double x2 = 0;
		int outside = 0;
		rng_init(&r, 42, i);
		for (int k = 0; k < N; k++)
			count[sampler_draw(
				s, sample_vectors[i].logits, sample_vectors[i].past, SAMPLE_PAST, &r)]++;
		for (size_t k = 0; k < SAMPLE_V; k++) {
			double want = N * sample_vectors[i].prob[k];
			if (want > 0)
				x2 += (count[k] - want) * (count[k] - want) / want;
			else
				outside |= count[k] != 0;
		}
		ok(x2 < 49.7 && !outside, "draws of chain %zu: chi-square %.1f", i, x2);
		sampler_free(s);
	}
}

static void edges(void)
{
	struct sample_params p = SAMPLE_PARAMS_INIT;
	struct err e;
	float logits[5] = { 1, 3, 3, -INFINITY, NAN };
	struct rng r;
	rng_init(&r, 1, 1);
	p.temp = 0;
	struct sampler *s = sampler_new(&p, 5);
	ok(sampler_draw(s, logits, NULL, 0, &r) == 1, "greedy: the lower id wins a tie");
	ok(r.counter == 0, "greedy draws no random number");
	uint32_t top[3];
	sampler_top(s, logits, 3, top);
	ok(top[0] == 1 && top[1] == 2 && top[2] == 0, "top in falling order");
	sampler_free(s);

	p.temp = 1e-30;
	s = sampler_new(&p, 5);
	int only = 1;
	for (int i = 0; i < 100; i++) {
		uint32_t t = sampler_draw(s, logits, NULL, 0, &r);
		only &= t == 1 || t == 2;
	}
	ok(only, "a tiny temperature leaves the best");
	float bad[5] = { NAN, NAN, NAN, -INFINITY, INFINITY };
	ok(sampler_draw(s, bad, NULL, 0, &r) == NO_TOKEN, "no token where no logit is a number");
	sampler_free(s);

	p.temp = 1;
	s = sampler_new(&p, 5);
	int never = 1;
	for (int i = 0; i < 1000; i++)
		never &= sampler_draw(s, logits, NULL, 0, &r) < 3;
	ok(never, "-inf and NaN are never drawn");
	sampler_free(s);

	static const struct sample_params wrong[] = { { -1, 0, 1, 0, 1, 0 }, { NAN, 0, 1, 0, 1, 0 },
		{ 1, 0, 0, 0, 1, 0 }, { 1, 0, 1.5, 0, 1, 0 }, { 1, 0, 1, -1, 1, 0 }, { 1, 0, 1, 0, 0, 0 } };
	int refused = 1;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		refused &= sample_params_check(&wrong[i], &e) < 0;
	ok(refused, "values without sense are refused");
}

int main(void)
{
	against_reference();
	draws();
	edges();
	return tap_end();
}
