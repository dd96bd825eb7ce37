#include "base/mem.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "text/tokfile.h"
#include "train/totals.h"
#include "train/trainer.h"
#include "tap.h"

#include <stdlib.h>

enum { ROWS = 6, CONTEXT = 24, VOCAB = 61 };

static struct model *make_model(void)
{
	struct config c;
	struct err e;
	ok(config_preset(&c, "llama:depth=2,dim=32,heads=2,context=24,vocab=61", &e) == 0, "preset");
	struct model *m = model_new(&c);
	model_init(m, 9);
	return m;
}

static struct trainer_config config(size_t micro)
{
	return (struct trainer_config){
		.rows = ROWS,
		.micro = micro,
		.context = CONTEXT,
		.compute = DTYPE_F32,
		.optim = { 0, 0.9, 0.95, 1e-8, 0.1, 0.95, 0, 1, DTYPE_F32 },
	};
}

/* Rows with documents of uneven length, where two of three tokens are masked in some. */
static void fill(struct batch *b)
{
	struct rng g;
	struct err e;
	rng_init(&g, 3, 0);
	batch_reset(b);
	for (int r = 0; r < ROWS; r++) {
		uint32_t ids[CONTEXT + 1];
		uint8_t flags[CONTEXT + 1];
		for (int i = 0; i <= CONTEXT; i++) {
			ids[i] = (uint32_t)rng_below(&g, VOCAB);
			flags[i] = (uint8_t)((rng_below(&g, 9) == 0 ? TOK_DOC_START : 0) |
					     (r % 2 && i % 3 ? TOK_NO_LOSS : 0));
		}
		batch_begin_row(b);
		batch_add_span(b, ids, flags, CONTEXT + 1, &e);
	}
}

/* Gradients of the batch in micro-batches of `micro` rows; the loss. */
static double gradients(size_t micro, double zloss, float **grads, size_t *n)
{
	struct model *m = make_model();
	struct trainer t;
	struct trainer_config c = config(micro);
	struct update u;
	double row[ROWS] = { 0 }, sum = 0;
	c.zloss = zloss;
	trainer_init(&t, &c, m);
	fill(&t.batch);
	trainer_pass(&t, 1, row, &u);
	for (int r = 0; r < ROWS; r++)
		sum -= row[r];
	ok_near(sum / (double)t.batch.ntargets, u.loss, 1e-12, "rows' log-probabilities sum up to the loss");
	*n = m->count;
	*grads = xmalloc(m->count * sizeof(float));
	memcpy(*grads, m->grads, m->count * sizeof(float));
	trainer_release(&t);
	model_free(m);
	return u.loss + u.zloss;
}

static double distance(const float *a, const float *b, size_t n)
{
	double d = 0, s = 0;
	for (size_t i = 0; i < n; i++) {
		d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
		s += (double)b[i] * (double)b[i];
	}
	return sqrt(d / s);
}

static void test_accumulation(void)
{
	size_t n;
	float *whole, *pieces;
	for (int z = 0; z < 2; z++) {
		double a = gradients(ROWS, z * 1e-2, &whole, &n);
		for (size_t micro = 1; micro < ROWS; micro += 3) {
			double b = gradients(micro, z * 1e-2, &pieces, &n);
			ok_near(b, a, 1e-6, "loss in pieces of %zu rows", micro);
			ok_near(distance(pieces, whole, n), 0, 2e-6, "gradient in pieces of %zu rows", micro);
			free(pieces);
		}
		free(whole);
	}
}

/* The whole objective, masks, documents and z-loss included, against finite differences along a random
 * direction. */
static void test_gradient(void)
{
	struct model *m = make_model();
	struct trainer t;
	struct trainer_config c = config(4);
	struct update u, up, down;
	struct rng g;
	c.zloss = 1e-2;
	trainer_init(&t, &c, m);
	fill(&t.batch);
	trainer_pass(&t, 1, NULL, &u);
	float *v = xmalloc(m->count * sizeof(float)), *w = xmalloc(m->count * sizeof(float));
	double slope = 0, h = 1e-3;
	rng_init(&g, 8, 0);
	memcpy(w, m->weights, m->count * sizeof(float));
	for (size_t i = 0; i < m->count; i++) {
		v[i] = (float)rng_normal(&g);
		slope += (double)v[i] * (double)m->grads[i];
	}
	for (int sign = -1; sign <= 1; sign += 2) {
		for (size_t i = 0; i < m->count; i++)
			m->weights[i] = w[i] + (float)(sign * h) * v[i];
		m->version++;
		trainer_pass(&t, 0, NULL, sign > 0 ? &up : &down);
	}
	double diff = (up.loss + up.zloss - down.loss - down.zloss) / (2 * h);
	ok_near(diff / slope, 1, 2e-3, "finite difference of loss and z-loss");
	free(v);
	free(w);
	trainer_release(&t);
	model_free(m);
}

static void test_update(void)
{
	struct model *m = make_model();
	struct trainer t;
	struct trainer_config c = config(ROWS);
	struct update u;
	double first = 0;
	c.clip = 1;
	trainer_init(&t, &c, m);
	fill(&t.batch);
	for (int i = 0; i < 60; i++) {
		trainer_update(&t, 0.01, &u);
		first = i ? first : u.loss;
	}
	ok(u.loss < first / 3, "one batch is learnt by heart: %.3f -> %.3f", first, u.loss);
	ok(t.optim->updates == 60 && !u.skipped, "every update counted");

	float before = m->weights[7];
	m->weights[100] = NAN;
	m->version++;
	trainer_update(&t, 0.01, &u);
	ok(u.skipped && m->weights[7] == before && t.optim->updates == 60,
		"a loss that is not finite changes nothing");
	batch_reset(&t.batch);
	batch_begin_row(&t.batch);
	trainer_update(&t, 0.01, &u);
	ok(u.skipped && isnan(u.loss), "nor does a batch without targets");
	trainer_release(&t);
	model_free(m);
}

static void test_totals(void)
{
	struct sched s = { .kind = 2, .lr = 1, .warmup = 2, .decay_fraction = 0.5 };
	struct totals a = { 20, UINT64_MAX, NAN, NAN }, b = { 40, UINT64_MAX, NAN, NAN };
	struct err e;
	uint64_t limit;
	ok(totals_same_past(&s, &a, 20, &b, 40, 11), "wsd before its decay: a longer total changes nothing");
	ok(!totals_same_past(&s, &a, 20, &b, 40, 14), "inside the decay it does");
	s.kind = 0;
	ok(!totals_same_past(&s, &a, 20, &b, 40, 4), "cosine: it does");
	ok(totals_same_past(&s, &a, 20, &b, 40, 2), "but not within the warm-up");
	s.kind = 3;
	b.time = 60;
	ok(totals_same_past(&s, &a, 20, &b, 40, 20), "constant: never");
	b = (struct totals){ UINT64_MAX, 1000, NAN, NAN };
	ok(totals_limit(&b, NULL, 4, 32, &limit, &e) == 0 && limit == 8, "tokens of a stream");
	b.epochs = 2;
	ok(totals_limit(&b, NULL, 4, 32, &limit, &e) < 0, "two passes over a stream: %s", e.msg);
	b = (struct totals){ UINT64_MAX, UINT64_MAX, NAN, 10 };
	s.kind = 1;
	ok_near(totals_lr(&b, &s, UINT64_MAX, 5, 2.5), 0.75, 1e-12, "by time: the share that is used");
}

int main(void)
{
	test_accumulation();
	test_gradient();
	test_update();
	test_totals();
	gemm_release();
	return tap_end();
}
