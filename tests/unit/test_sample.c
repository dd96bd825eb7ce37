#include "model/sample.h"
#include "tap.h"

#include "sample_vectors.h"

#include <stdlib.h>

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

/* --- a large vocabulary: by sorting all of it, the plain way --- */

#define BIG 5000
static float big[BIG];

static int by_logit(const void *a, const void *b)
{
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	return big[i] != big[k] ? (big[i] < big[k]) - (big[i] > big[k]) : (i > k) - (i < k);
}

static size_t plain_chain(const struct sample_params *p, double *prob)
{
	static uint32_t order[BIG];
	double w[BIG], total = 0, sum = 0;
	size_t n = p->top_k ? p->top_k : BIG, kept = 0;
	for (uint32_t i = 0; i < BIG; i++)
		order[i] = i;
	qsort(order, BIG, sizeof *order, by_logit);
	for (size_t i = 0; i < n; i++)
		total += w[i] = exp(((double)big[order[i]] - (double)big[order[0]]) / p->temp);
	while (kept < n && (kept == 0 || p->top_p == 1 || sum < p->top_p * total))
		sum += w[kept++];
	while (kept > 1 && w[kept - 1] < p->min_p)
		sum -= w[--kept];
	for (size_t i = 0; i < BIG; i++)
		prob[i] = 0;
	for (size_t i = 0; i < kept; i++)
		prob[order[i]] = w[i] / sum;
	return kept;
}

static void large(void)
{
	static const struct sample_params params[] = { { 1, 0, 1, 0, 1, 0 }, { 0.7, 0, 1, 0, 1, 0 },
		{ 1, 1, 1, 0, 1, 0 }, { 1, 100, 1, 0, 1, 0 }, { 0.5, 4999, 1, 0, 1, 0 },
		{ 1, 0, 0.95, 0, 1, 0 }, { 2, 0, 0.999, 0, 1, 0 }, { 1, 0, 0.01, 0, 1, 0 },
		{ 1, 0, 1, 0.03, 1, 0 }, { 1.3, 500, 0.8, 0.01, 1, 0 } };
	static double prob[BIG], got[BIG];
	struct rng r;
	rng_init(&r, 3, 0);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (float)(i % 7 ? 3 * rng_normal(&r) : floor(4 * rng_normal(&r)) / 2); /* with ties */
	for (size_t j = 0; j < sizeof params / sizeof *params; j++) {
		struct sampler *s = sampler_new(&params[j], BIG);
		const struct candidate *v;
		double total, worst = 0, x2 = 0, part[16] = { 0 };
		unsigned count[16] = { 0 };
		size_t want = plain_chain(&params[j], prob), n = sampler_chain(s, big, NULL, 0, &v, &total);
		memset(got, 0, sizeof got);
		for (size_t i = 0; i < n; i++)
			got[v[i].id] = v[i].weight / total;
		for (size_t i = 0; i < BIG; i++) {
			worst = fmax(worst, fabs(got[i] - prob[i]));
			part[i / 320] += prob[i];
		}
		ok(n == want, "chain %zu over %d logits keeps %zu, the plain way %zu", j, BIG, n, want);
		ok_near(worst, 0, 1e-6, "with the same probabilities");
		for (int i = 0; i < 3000; i++)
			count[sampler_draw(s, big, NULL, 0, &r) / 320]++;
		for (int i = 0; i < 16; i++)
			x2 += part[i] > 0    ? pow(count[i] - 3000 * part[i], 2) / (3000 * part[i])
			      : count[i] > 0 ? 1e9
					     : 0;
		ok(x2 < 37.7, "its draws: chi-square %.1f", x2); /* 15 degrees of freedom, 0.1 % */
		sampler_free(s);
	}
	struct sampler *s = sampler_new(&params[0], BIG);
	static uint32_t top[BIG], order[BIG];
	for (uint32_t i = 0; i < BIG; i++)
		order[i] = i;
	qsort(order, BIG, sizeof *order, by_logit);
	sampler_top(s, big, BIG, top);
	ok(memcmp(top, order, sizeof top) == 0, "all of them in falling order");
	sampler_top(s, big, 50, top);
	ok(memcmp(top, order, 50 * sizeof *top) == 0, "the best 50");
	sampler_free(s);
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
	uint32_t all[5];
	sampler_top(s, logits, 5, all);
	ok(all[2] == 0 && all[3] == 3 && all[4] == 4, "what is no number stands last");
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
	large();
	edges();
	return tap_end();
}
