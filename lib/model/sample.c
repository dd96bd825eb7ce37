#include "model/sample.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <math.h>
#include <stdlib.h>

/*
 * Logits stay in an array of the vocabulary until something truncates; then there is a list of candidates,
 * and what follows costs as much as the list is long.
 */
struct sampler {
	struct sample_params p;
	size_t vocab;
	float *logit;  /* [vocab] after penalty and temperature; -inf where the model gave no number */
	float max;     /* of them */
	float *weight; /* [vocab] exp(logit - max), once weighed */
	double *sums;  /* of the weights of each chunk */
	int weighed, listed, sorted;
	struct candidate *v; /* [vocab] */
	size_t n;
	unsigned char *mark; /* [vocab], zero between calls */
	const uint32_t *past;
	size_t npast;
};

#define CHUNK 1024

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

static size_t chunks(const struct sampler *s)
{
	return (s->vocab + CHUNK - 1) / CHUNK;
}

static size_t chunk_len(const struct sampler *s, size_t c)
{
	return s->vocab - c * CHUNK < CHUNK ? s->vocab - c * CHUNK : CHUNK;
}

struct sampler *sampler_new(const struct sample_params *p, size_t vocab)
{
	struct sampler *s = xcalloc(1, sizeof *s);
	s->p = *p;
	s->vocab = vocab;
	s->logit = xcalloc(vocab, sizeof *s->logit);
	s->weight = xcalloc(vocab, sizeof *s->weight);
	s->sums = xcalloc(chunks(s), sizeof *s->sums);
	s->v = xcalloc(vocab, sizeof *s->v);
	s->mark = xcalloc(vocab, 1);
	return s;
}

void sampler_free(struct sampler *s)
{
	if (!s)
		return;
	free(s->logit);
	free(s->weight);
	free(s->sums);
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

/* Keeps the best of the list, in falling order: at most `count`, and no more once their weights reach `mass`.
 * A heap: a peaked distribution needs only its first few. */
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

/* --- weights and the list --- */

/* The weights of the list or of all; their sum. */
static double weigh(struct sampler *s)
{
	double sum = 0;
	if (!s->listed) {
		for (size_t c = 0; c < chunks(s) && !s->weighed; c++)
			s->sums[c] = (double)kern()->exp_sum(
				s->weight + c * CHUNK, s->logit + c * CHUNK, s->max, chunk_len(s, c));
		for (size_t c = 0; c < chunks(s); c++)
			sum += s->sums[c];
	} else {
		for (size_t i = 0; i < s->n; i++) {
			if (!s->weighed)
				s->v[i].weight = exp((double)s->v[i].logit - (double)s->max);
			sum += s->v[i].weight;
		}
	}
	s->weighed = 1;
	return sum;
}

static void list(struct sampler *s, float lowest)
{
	s->n = 0;
	s->listed = 1;
	for (size_t i = 0; i < s->vocab; i++)
		if (s->logit[i] >= lowest && s->logit[i] > -INFINITY)
			s->v[s->n++] = (struct candidate){ (uint32_t)i, s->logit[i],
				s->weighed ? (double)s->weight[i] : 0 };
}

/* Lists enough of the best that `count` of them, and `mass` of the weights, are among them: logits are
 * counted by their distance from the highest, in steps. What keep_best takes out of that list it would take
 * out of all. */
static void shortlist(struct sampler *s, size_t count, double mass)
{
	enum { STEPS = 256 };
	const float per_step = 0.125f;
	size_t counts[STEPS + 1] = { 0 }, n = 0, step = 0;
	double masses[STEPS + 1] = { 0 }, sum = 0;
	for (size_t i = 0; i < s->vocab; i++) {
		float x = (s->max - s->logit[i]) / per_step;
		size_t k = x < STEPS ? (size_t)x : STEPS;
		counts[k]++;
		masses[k] += s->weighed ? (double)s->weight[i] : 0;
	}
	for (; step < STEPS && (n < count && (sum < mass || n == 0)); step++) {
		n += counts[step];
		sum += masses[step];
	}
	/* One step more than needed, for what rounding moved. */
	list(s, step < STEPS ? s->max - per_step * (float)(step + 1) : -INFINITY);
}

/* --- the chain --- */

/* Keskar et al. 2019 (CTRL), section 4.1, with Hugging Face's treatment of negative logits. */
static void repeat(struct sampler *s)
{
	float penalty = (float)s->p.repeat_penalty;
	size_t window = s->p.repeat_last_n && s->p.repeat_last_n < s->npast ? s->p.repeat_last_n : s->npast;
	const uint32_t *past = s->past + (s->npast - window);
	for (size_t i = 0; i < window; i++) {
		float *x = &s->logit[past[i]];
		if (s->mark[past[i]])
			continue;
		s->mark[past[i]] = 1;
		*x = *x < 0 ? *x * penalty : *x / penalty;
	}
	for (size_t i = 0; i < window; i++)
		s->mark[past[i]] = 0;
	s->max = -INFINITY;
	for (size_t i = 0; i < s->vocab; i++)
		s->max = s->logit[i] > s->max ? s->logit[i] : s->max;
}
static int repeat_on(const struct sample_params *p)
{
	return p->repeat_penalty != 1;
}

static void temperature(struct sampler *s)
{
	float temp = (float)s->p.temp;
	if (s->p.temp == 0) {
		list(s, s->max);
		s->n = 1; /* the lowest id of equals */
		return;
	}
	/* From the highest logit downwards: a tiny temperature must not overflow. */
	for (size_t i = 0; i < s->vocab; i++)
		s->logit[i] = (s->logit[i] - s->max) / temp;
	s->max = 0;
}
static int temperature_on(const struct sample_params *p)
{
	return p->temp != 1;
}

static void top_k(struct sampler *s)
{
	if (!s->listed)
		shortlist(s, s->p.top_k, INFINITY);
	keep_best(s, s->p.top_k, INFINITY);
}
static int top_k_on(const struct sample_params *p)
{
	return p->top_k > 0;
}

/* Holtzman et al. 2020: the smallest set of best tokens whose probabilities sum to at least p. */
static void top_p(struct sampler *s)
{
	double mass = s->p.top_p * weigh(s);
	if (!s->listed)
		shortlist(s, SIZE_MAX, mass);
	keep_best(s, s->n, mass);
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
	if (!s->listed)
		list(s, s->max + (float)log(s->p.min_p) - 0.01f);
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

/* Only numbers count: NaN and the infinities become -inf. 0 when all are that. */
static int load(struct sampler *s, const float *logits)
{
	float max = -INFINITY;
	s->weighed = s->listed = s->sorted = 0;
	for (size_t i = 0; i < s->vocab; i++) {
		float x = isfinite(logits[i]) ? logits[i] : -INFINITY;
		s->logit[i] = x;
		max = x > max ? x : max;
	}
	s->max = max;
	return max > -INFINITY;
}

/* Runs the chain; the sum of the weights that it leaves, 0 where no logit is a number. */
static double run(struct sampler *s, const float *logits, const uint32_t *past, size_t n)
{
	s->past = past;
	s->npast = n;
	if (!load(s, logits))
		return 0;
	for (size_t i = 0; i < sizeof chain / sizeof *chain; i++)
		if (chain[i].on(&s->p))
			chain[i].apply(s);
	return weigh(s);
}

size_t sampler_chain(struct sampler *s, const float *logits, const uint32_t *past, size_t n,
	const struct candidate **v, double *total)
{
	*total = run(s, logits, past, n);
	*v = s->v;
	if (*total > 0 && !s->listed)
		list(s, -INFINITY);
	return *total > 0 ? s->n : 0;
}

/* Where x in [0, total) falls among the weights of all. */
static uint32_t find(const struct sampler *s, double x)
{
	size_t c = 0, last = 0;
	while (c + 1 < chunks(s) && x >= s->sums[c])
		x -= s->sums[c++];
	/* The chunk's sum and its weights may differ by rounding: the last one that counts takes what is
	 * left. */
	for (size_t i = c * CHUNK; i < c * CHUNK + chunk_len(s, c); i++) {
		if (s->weight[i] == 0)
			continue;
		last = i;
		x -= (double)s->weight[i];
		if (x < 0)
			break;
	}
	return (uint32_t)last;
}

uint32_t sampler_draw(struct sampler *s, const float *logits, const uint32_t *past, size_t n, struct rng *r)
{
	double total = run(s, logits, past, n), sum = 0;
	if (!(total > 0))
		return NO_TOKEN;
	if (s->p.temp == 0)
		return s->v[0].id;
	double x = rng_uniform(r) * total;
	if (!s->listed)
		return find(s, x);
	size_t last = 0;
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].weight == 0)
			continue;
		last = i;
		sum += s->v[i].weight;
		if (x < sum)
			break;
	}
	return s->v[last].id;
}

void sampler_top(struct sampler *s, const float *logits, size_t k, uint32_t *top)
{
	ASSERT(k <= s->vocab);
	load(s, logits);
	shortlist(s, k, INFINITY);
	keep_best(s, k, INFINITY);
	for (size_t i = 0; i < s->n; i++)
		top[i] = s->v[i].id;
	/* What is no number stands last, in the order of ids. */
	for (size_t i = 0, n = s->n; n < k; i++)
		if (s->logit[i] == -INFINITY)
			top[n++] = (uint32_t)i;
}
