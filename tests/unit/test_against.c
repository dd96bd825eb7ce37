/*
 * against: a position's figures as their definitions give them, the statistics over many, and the same bits
 * whatever is computed together.
 */
#include "base/json.h"
#include "base/par.h"
#include "base/rng.h"
#include "eval/against.h"
#include "eval/score.h"
#include "tap.h"
#include "text/tokenizer.h"

#include <stdlib.h>

#define V 1000

static void log_softmax(long double *y, const float *x)
{
	long double sum = 0;
	for (int i = 0; i < V; i++)
		sum += expl((long double)x[i]);
	for (int i = 0; i < V; i++)
		y[i] = (long double)x[i] - logl(sum);
}

static int top(const float *x)
{
	int best = V - 1;
	for (int i = V - 1; i >= 0; i--)
		if (x[i] >= x[best])
			best = i;
	return best;
}

static double definition(const float *x, const float *full, long double *q, long double *p)
{
	long double kl = 0;
	log_softmax(q, x);
	log_softmax(p, full);
	for (int i = 0; i < V; i++)
		kl += expl(p[i]) * (p[i] - q[i]);
	return (double)kl;
}

/* Logits as far apart as `noise`, around values as large as `scale`. */
static void draw(float *x, float *full, uint64_t seed, double scale, double noise)
{
	struct rng r;
	rng_init(&r, seed, 1);
	for (int i = 0; i < V; i++) {
		double z = rng_normal(&r) * scale;
		full[i] = (float)z;
		x[i] = (float)(z + noise * rng_normal(&r));
	}
}

static void test_row(double scale, double noise)
{
	float x[V], full[V];
	long double q[V], p[V];
	double worst = 0, worst_logp = 0;
	int tops = 1;
	for (uint64_t seed = 0; seed < 20; seed++) {
		draw(x, full, seed, scale, noise);
		double want = definition(x, full, q, p);
		for (uint32_t target = 0; target < V; target += 499) {
			struct against_row r = against_row(x, full, V, target);
			worst = fmax(worst, fabs(r.kl - want) / (want + 1e-3));
			worst_logp = fmax(worst_logp, fabs(r.logp / (double)q[target] - 1));
			worst_logp = fmax(worst_logp, fabs(r.full_logp / (double)p[target] - 1));
			tops &= r.same_top == (top(x) == top(full));
		}
	}
	/* Relative, and for the smallest ones absolute: they are differences of logarithms. */
	ok(worst < 1e-11, "logits of %g, %g apart: KL as defined, %.1e", scale, noise, worst);
	ok(worst_logp < 1e-13, "log-probabilities as defined, %.1e", worst_logp);
	ok(tops, "one token is on top of both or not");
}

static void test_edges(void)
{
	float x[V], full[V];
	draw(x, full, 1, 3, 1);
	struct against_row r = against_row(full, full, V, 7);
	ok(r.kl == 0 && r.logp == r.full_logp && r.same_top, "equal logits are 0 apart");
	for (int i = 0; i < V; i++)
		x[i] = full[i] = (float)(i % 7);
	full[V - 1] = x[V - 1] = 6; /* as large as id 6 */
	r = against_row(x, full, V, 0);
	ok(r.kl == 0 && r.same_top, "the lowest id wins ties");
	x[6] = 5;
	ok(!against_row(x, full, V, 0).same_top, "and no other one does");
	for (int i = 0; i < V; i++)
		full[i] = i < 2 ? 0 : -2000;
	memset(x, 0, sizeof x);
	ok_near(against_row(x, full, V, 0).kl, log(V / 2), 1e-13, "0 log 0 is 0");
	x[5] = -INFINITY;
	ok(isfinite(against_row(x, full, V, 0).kl), "what P never says may be impossible for Q");
	x[1] = -INFINITY;
	ok(isinf(against_row(x, full, V, 0).kl), "what P says may not");
	x[3] = NAN;
	ok(isnan(against_row(x, full, V, 0).kl), "what is no number shows");
}

#define N 201

static double num(const struct json *v, const char *key)
{
	return json_num(v, key, -1);
}

/* The mean of v and its error: the sample's standard deviation over the root of n. */
static double mean_of(const double *v, double *err)
{
	double sum = 0, squares = 0;
	for (int i = 0; i < N; i++)
		sum += v[i];
	for (int i = 0; i < N; i++)
		squares += (v[i] - sum / N) * (v[i] - sum / N);
	*err = sqrt(squares / (N - 1) / N);
	return sum / N;
}

static struct json *members(struct buf *b, struct arena *a, struct divergence *d, double nats)
{
	struct err e;
	buf_reset(b);
	buf_addc(b, '{');
	divergence_json(b, d, nats);
	buf_addc(b, '}');
	return json_parse(a, b->p, b->n, JSON_STRICT, &e);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void test_statistics(void)
{
	struct divergence d = { 0 }, part = { 0 };
	struct buf b = { 0 }, again = { 0 };
	struct arena a = { 0 };
	double kl[N], same[N], dlogp[N], dp2[N], logp[N], full[N], err;
	struct rng r;
	rng_init(&r, 5, 5);
	for (int i = 0; i < N; i++) {
		struct against_row row = { .kl = exp(rng_normal(&r)), .logp = -exp(rng_normal(&r)) };
		row.full_logp = row.logp + 0.1 * rng_normal(&r) - 0.05;
		row.same_top = i % 5 != 0;
		kl[i] = row.kl, same[i] = row.same_top, logp[i] = row.logp, full[i] = row.full_logp;
		dlogp[i] = logp[i] - full[i];
		dp2[i] = pow(exp(logp[i]) - exp(full[i]), 2);
		divergence_add(&part, &row);
		if (i % 50 == 49 || i == N - 1) {
			divergence_join(&d, &part);
			divergence_reset(&part);
		}
	}
	double nats = -mean_of(logp, &err) * N, ratio = exp(-mean_of(dlogp, &err));
	struct json *v = members(&b, &a, &d, nats);
	ok_near(num(v, "perplexity_ratio_stderr"), ratio * err, 1e-14, "the error of the ratio");
	ok_near(num(v, "perplexity_ratio"), ratio, 1e-14, "the ratio of the perplexities");
	ok_near(num(v, "logprob_diff"), mean_of(dlogp, &err), 1e-15, "mean difference of log-probability");
	ok_near(num(v, "logprob_diff_stderr"), err, 1e-15, "and its error");
	ok_near(num(v, "kl"), mean_of(kl, &err), 1e-14, "mean KL");
	ok_near(num(v, "kl_stderr"), err, 1e-14, "and its error");
	ok_near(num(v, "same_top"), mean_of(same, &err), 1e-15, "share of the same top token");
	ok_near(num(v, "same_top_stderr"), err, 1e-15, "and its error");
	double rms = sqrt(mean_of(dp2, &err));
	ok_near(num(v, "rms_dp"), 100 * rms, 1e-13, "RMS of the difference of probability");
	ok_near(num(v, "rms_dp_stderr"), 100 * err / (2 * rms), 1e-13, "and its error");
	ok_near(num(v, "perplexity"), exp(nats / N), 1e-13, "the model's perplexity");
	ok_near(num(v, "perplexity_full"), exp(-mean_of(full, &err)), 1e-12, "the full model's");
	qsort(kl, N, sizeof *kl, by_value);
	ok_near(num(v, "kl_median"), kl[100], 0, "median");
	ok_near(num(v, "kl_p99"), kl[198], 1e-14, "99 %% of 201 values: the 199th");
	ok_near(num(v, "kl_p999"), kl[199] + 0.8 * (kl[200] - kl[199]), 1e-13, "99.9 %%: between two");
	ok_near(num(v, "kl_max"), kl[200], 0, "maximum");
	members(&again, &a, &d, nats);
	ok(b.n == again.n && memcmp(b.p, again.p, b.n) == 0, "asked twice, the same is said");
	struct against_row one = { .kl = 2, .logp = -1, .full_logp = -1, .same_top = 1 };
	divergence_reset(&d);
	v = members(&b, &a, &d, 0);
	ok(json_is(json_get(v, "kl"), JSON_NULL) && json_is(json_get(v, "kl_max"), JSON_NULL) &&
			json_is(json_get(v, "rms_dp"), JSON_NULL) &&
			json_is(json_get(v, "perplexity"), JSON_NULL),
		"nothing of no positions");
	divergence_add(&d, &one);
	v = members(&b, &a, &d, 1);
	ok(num(v, "kl_median") == 2 && num(v, "kl_p999") == 2 && num(v, "rms_dp") == 0 &&
			json_is(json_get(v, "kl_stderr"), JSON_NULL) &&
			json_is(json_get(v, "rms_dp_stderr"), JSON_NULL),
		"one position has no error");
	divergence_add(&d, &one);
	v = members(&b, &a, &d, 2);
	ok(num(v, "kl_stderr") == 0 && num(v, "rms_dp_stderr") == 0, "equal ones have an error of 0");
	divergence_release(&d);
	divergence_release(&part);
	buf_release(&b);
	buf_release(&again);
	arena_release(&a);
}

/* --- two models --- */

#define VOCAB 5000 /* so that the logits of a pass come in several pieces */
#define ITEMS 40
#define LENGTH 150 /* tokens of an item */

static struct model *make(const char *preset, uint64_t seed)
{
	struct config c;
	struct err e;
	if (config_preset(&c, preset, &e) < 0) {
		printf("# %s\n", e.msg);
		exit(1);
	}
	struct model *m = model_new(&c);
	model_init(m, seed);
	return m;
}

/* Every row of items, `together` at a time. */
static void measure(struct model *m, struct model *full, struct score_item *items, size_t together,
	int threads, struct against_row *rows)
{
	struct against *a = against_new(m, full, DTYPE_F32, LENGTH);
	par_set_threads(threads);
	memset(rows, 0, ITEMS * LENGTH * sizeof *rows);
	for (size_t i = 0; i < ITEMS; i++)
		items[i].rows = rows + i * LENGTH + items[i].first;
	for (size_t i = 0; i < ITEMS; i += together)
		against_run(a, items + i, ITEMS - i < together ? ITEMS - i : together);
	against_free(a);
}

static int same_rows(const struct against_row *a, const struct against_row *b)
{
	int same = 1;
	for (size_t i = 0; i < ITEMS * LENGTH; i++)
		same &= a[i].kl == b[i].kl && a[i].logp == b[i].logp && a[i].full_logp == b[i].full_logp &&
			a[i].same_top == b[i].same_top;
	return same;
}

/* Log-probabilities as eval --loss computes them. */
static double apart_from_scorer(
	struct model *m, struct score_item *items, const struct against_row *rows, int full)
{
	static float logp[LENGTH];
	struct scorer *s = scorer_new(m, DTYPE_F32, LENGTH);
	double worst = 0;
	for (size_t i = 0; i < ITEMS; i++) {
		items[i].logp = logp;
		scorer_run(s, &items[i], 1);
		for (size_t t = items[i].first; t < items[i].n; t++) {
			const struct against_row *r = &rows[i * LENGTH + t];
			worst = fmax(worst,
				fabs((double)logp[t - items[i].first] - (full ? r->full_logp : r->logp)));
		}
		items[i].logp = NULL;
	}
	scorer_free(s);
	return worst;
}

static void test_models(void)
{
	static uint32_t ids[ITEMS * LENGTH];
	static struct against_row want[ITEMS * LENGTH], got[ITEMS * LENGTH];
	struct model *m = make("llama:depth=1,dim=16,heads=2,vocab=5000,context=256", 1);
	struct model *full = make("gpt2:depth=1,dim=24,heads=2,vocab=5000,context=256", 2);
	struct score_item items[ITEMS];
	struct rng r;
	rng_init(&r, 3, 3);
	for (size_t i = 0; i < ITEMS * LENGTH; i++)
		ids[i] = (uint32_t)rng_below(&r, VOCAB);
	for (size_t i = 0; i < ITEMS; i++)
		items[i] = (struct score_item){
			.ids = ids + i * LENGTH, .n = LENGTH - i, .first = 1 + i % 3 * 40, .inv_temp = 1
		};
	measure(m, full, items, ITEMS, 1, want);
	ok(apart_from_scorer(m, items, want, 0) < 1e-5, "log-probabilities are the scorer's");
	ok(apart_from_scorer(full, items, want, 1) < 1e-5, "the full model's too");
	ok(want[1].kl > 0 && want[LENGTH + 40].kl == 0 && want[LENGTH + 41].kl > 0, "only what is scored");
	measure(m, full, items, ITEMS, 3, got);
	ok(same_rows(want, got), "the same bits with 3 threads");
	measure(m, full, items, 1, 2, got);
	ok(same_rows(want, got), "the same bits one by one");
	measure(full, full, items, ITEMS, 2, got);
	double most = 0;
	for (size_t i = 0; i < ITEMS * LENGTH; i++)
		most = fmax(most, fabs(got[i].kl) + fabs(got[i].logp - got[i].full_logp));
	ok(most == 0, "a model against itself is 0 apart");
	model_free(m);
	model_free(full);
}

static struct tokenizer *words(const char *vocab)
{
	struct err e;
	struct buf b = { 0 };
	buf_addf(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":%s,\"merges\":[]}}", vocab);
	struct tokenizer *t = tokenizer_parse(b.p, b.n, &e);
	if (!t)
		printf("# %s\n", e.msg);
	buf_release(&b);
	return t;
}

static void test_check(void)
{
	struct err e;
	struct model *a = make("llama:depth=1,dim=16,heads=2,vocab=50", 1);
	struct model *b = make("gpt2:depth=1,dim=16,heads=2,vocab=50", 1);
	struct model *c = make("llama:depth=1,dim=16,heads=2,vocab=51", 1);
	ok(against_check(a, b, &e) == 0, "two architectures, one vocabulary");
	ok(against_check(a, c, &e) == -1, "another size");
	ok_str(e.msg, "the models' vocabularies differ: 50 and 51 tokens", "is said");
	a->tokenizer = words("{\"a\":0,\"b\":1}");
	ok(a->tokenizer && against_check(a, b, &e) == 0, "one of them has no tokenizer");
	b->tokenizer = words("{\"a\":0,\"b\":1}");
	ok(b->tokenizer && against_check(a, b, &e) == 0, "the same tokenizer");
	tokenizer_free(b->tokenizer);
	b->tokenizer = words("{\"b\":0,\"a\":1}");
	ok(b->tokenizer && against_check(a, b, &e) == -1, "another tokenizer");
	ok_str(e.msg, "the models' tokenizers differ", "is said");
	model_free(a);
	model_free(b);
	model_free(c);
}

int main(void)
{
	test_row(2, 1);
	test_row(5, 1e-3);
	test_row(20, 3);
	test_edges();
	test_statistics();
	test_models();
	test_check();
	return tap_end();
}
