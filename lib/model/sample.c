#include "model/sample.h"
#include "base/die.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

struct sampler {
	struct sample_params p;
	size_t vocab;
	struct candidate *v;
	size_t n;
	int weighted, sorted;
	unsigned char *mark; /* [vocab], zero between calls */
	const uint32_t *past;
	size_t npast;
};

int sample_temp_ok(double temp)
{
	return temp == 0 || (temp >= 1e-30 && temp <= 1e6);
}

float sample_inv_temp(double temp)
{
	return temp == 0 ? 1 : (float)(1 / temp);
}

int sample_params_check(const struct sample_params *p, struct err *e)
{
	if (!sample_temp_ok(p->temp))
		return err_set(e, "temperature is " SAMPLE_TEMP_RANGE ", not %g", p->temp);
	if (!(p->top_p > 0 && p->top_p <= 1))
		return err_set(e, "top-p is above 0 and at most 1, not %g", p->top_p);
	if (!(p->min_p >= 0 && p->min_p <= 1))
		return err_set(e, "min-p is from 0 to 1, not %g", p->min_p);
	if (!(p->repeat_penalty > 0 && isfinite(p->repeat_penalty)))
		return err_set(e, "repetition penalty is above 0, not %g", p->repeat_penalty);
	return 0;
}

struct sampler *sampler_new(const struct sample_params *p, size_t vocab)
{
	struct sampler *s = xcalloc(1, sizeof *s);
	s->p = *p;
	s->vocab = vocab;
	s->v = xcalloc(vocab, sizeof *s->v);
	s->mark = xcalloc(vocab, 1);
	return s;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	free(s->v);
	free(s->mark);
	free(s);
}

/* --- order --- */

static int better(const struct candidate *a, const struct candidate *b)
{
	return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

static void sift(struct candidate *v, size_t n, size_t i)
{
	struct candidate x = v[i];
	for (;;) {
		size_t k = 2 * i + 1;
		if (k >= n)
			break;
		if (k + 1 < n && better(&v[k + 1], &v[k]))
			k++;
		if (!better(&v[k], &x))
			break;
		v[i] = v[k];
		i = k;
	}
	v[i] = x;
}

/* Keeps the best candidates, in falling order: at most `count`, and no more once their weights reach `mass`.
 * A heap, because a peaked distribution over a large vocabulary needs only its first few. */
static void keep_best(struct sampler *s, size_t count, double mass)
{
	double sum = 0;
	size_t n = s->n, kept = 0;
	if (!s->sorted)
		for (size_t i = n / 2; i-- > 0;)
			sift(s->v, n, i);
	while (kept < s->n && kept < count && (kept == 0 || sum < mass)) {
		if (s->sorted) {
			sum += s->v[kept].weight;
		} else {
			struct candidate best = s->v[0];
			s->v[0] = s->v[--n];
			s->v[n] = best;
			sift(s->v, n, 0);
			sum += best.weight;
		}
		kept++;
	}
	if (!s->sorted) {
		/* The best stand at the end, the very best last. */
		for (size_t i = 0; i < s->n / 2; i++) {
			struct candidate t = s->v[i];
			s->v[i] = s->v[s->n - 1 - i];
			s->v[s->n - 1 - i] = t;
		}
	}
	s->n = kept;
	s->sorted = 1;
}

static double weigh(struct sampler *s)
{
	double sum = 0;
	if (!s->weighted) {
		float max = s->v[0].logit;
		for (size_t i = 1; i < s->n; i++)
			if (s->v[i].logit > max)
				max = s->v[i].logit;
		for (size_t i = 0; i < s->n; i++)
			s->v[i].weight = exp((double)s->v[i].logit - (double)max);
		s->weighted = 1;
	}
	for (size_t i = 0; i < s->n; i++)
		sum += s->v[i].weight;
	return sum;
}

/* --- the chain --- */

/* Keskar et al. 2019 (CTRL), section 4.1, with Hugging Face's treatment of negative logits. First in the
 * chain: candidate i is still token i. */
static void repeat(struct sampler *s)
{
	float penalty = (float)s->p.repeat_penalty;
	size_t window = s->p.repeat_last_n && s->p.repeat_last_n < s->npast ? s->p.repeat_last_n : s->npast;
	const uint32_t *past = s->past + (s->npast - window);
	for (size_t i = 0; i < window; i++) {
		struct candidate *c = &s->v[past[i]];
		if (s->mark[past[i]])
			continue;
		s->mark[past[i]] = 1;
		c->logit = c->logit < 0 ? c->logit * penalty : c->logit / penalty;
	}
	for (size_t i = 0; i < window; i++)
		s->mark[past[i]] = 0;
}
static int repeat_on(const struct sample_params *p)
{
	return p->repeat_penalty != 1;
}

static void temperature(struct sampler *s)
{
	if (s->p.temp == 0) {
		keep_best(s, 1, 0);
		return;
	}
	/* From the highest logit downwards: a tiny temperature must not overflow. */
	float max = s->v[0].logit;
	for (size_t i = 1; i < s->n; i++)
		if (s->v[i].logit > max)
			max = s->v[i].logit;
	for (size_t i = 0; i < s->n; i++)
		s->v[i].logit = (float)(((double)s->v[i].logit - (double)max) / s->p.temp);
}
static int temperature_on(const struct sample_params *p)
{
	return p->temp != 1;
}

static void top_k(struct sampler *s)
{
	if (s->p.top_k < s->n)
		keep_best(s, s->p.top_k, INFINITY);
}
static int top_k_on(const struct sample_params *p)
{
	return p->top_k > 0;
}

/* Holtzman et al. 2020: the smallest set of best tokens whose probabilities sum to at least p. */
static void top_p(struct sampler *s)
{
	double total = weigh(s);
	keep_best(s, s->n, s->p.top_p * total);
}
static int top_p_on(const struct sample_params *p)
{
	return p->top_p < 1;
}

/* Nguyen et al. 2024: tokens of at least min-p times the best token's probability. */
static void min_p(struct sampler *s)
{
	size_t kept = 0;
	weigh(s);
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].weight >= s->p.min_p)
			s->v[kept++] = s->v[i];
	s->n = kept;
}
static int min_p_on(const struct sample_params *p)
{
	return p->min_p > 0;
}

static const struct {
	int (*on)(const struct sample_params *p);
	void (*apply)(struct sampler *s);
} chain[] = {
	{ repeat_on, repeat },
	{ temperature_on, temperature },
	{ top_k_on, top_k },
	{ top_p_on, top_p },
	{ min_p_on, min_p },
};

/* Only finite logits become candidates of value: NaN and -inf stand last, and all of them means failure. */
static int load(struct sampler *s, const float *logits)
{
	int any = 0;
	s->n = s->vocab;
	s->weighted = s->sorted = 0;
	for (size_t i = 0; i < s->vocab; i++) {
		s->v[i] = (struct candidate){ (uint32_t)i, isfinite(logits[i]) ? logits[i] : -INFINITY, 0 };
		any |= isfinite(logits[i]);
	}
	return any;
}

size_t sampler_chain(struct sampler *s, const float *logits, const uint32_t *past, size_t n,
	const struct candidate **v, double *total)
{
	s->past = past;
	s->npast = n;
	*v = s->v;
	*total = 0;
	if (!load(s, logits))
		return 0;
	for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
		if (chain[i].on(&s->p))
			chain[i].apply(s);
	*total = weigh(s);
	return s->n;
}

uint32_t sampler_draw(struct sampler *s, const float *logits, const uint32_t *past, size_t n, struct rng *r)
{
	const struct candidate *v;
	double total, sum = 0;
	size_t left = sampler_chain(s, logits, past, n, &v, &total);
	if (!left)
		return NO_TOKEN;
	if (s->p.temp == 0)
		return v[0].id;
	double x = rng_uniform(r) * total;
	size_t last = 0;
	for (size_t i = 0; i < left; i++) {
		if (v[i].weight == 0)
			continue;
		last = i;
		sum += v[i].weight;
		if (x < sum)
			break;
	}
	return v[last].id;
}

void sampler_top(struct sampler *s, const float *logits, size_t k, uint32_t *top)
{
	ASSERT(k <= s->vocab);
	load(s, logits);
	keep_best(s, k, INFINITY);
	for (size_t i = 0; i < k; i++)
		top[i] = s->v[i].id;
}
