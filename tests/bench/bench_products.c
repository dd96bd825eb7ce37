/*
 * bench_products: the products of one training step of GPT-2 124M (4 rows of 1024, bf16), every shape
 * measured and counted as often as the step has it, packing in: forward, the input's gradient,
 * the weight's. Prints the rate of them all in GFLOP/s, with -v each one's on stderr.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tensor/gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 3, TOKENS = 4096, GRAD_ROWS = 1024 };

static const struct map {
	const char *name;
	/* Rows that go through at once, forward and back: the head's logits never exist for all. */
	size_t in, out, times, rows, back;
	int turned; /* the weight is [in, out] */
} maps[] = {
	{ "qkv", 768, 2304, 12, TOKENS, TOKENS, 1 },
	{ "attention out", 768, 768, 12, TOKENS, TOKENS, 1 },
	{ "mlp up", 768, 3072, 12, TOKENS, TOKENS, 1 },
	{ "mlp down", 3072, 768, 12, TOKENS, TOKENS, 1 },
	{ "head", 768, 50257, 1, 128, 512, 0 },
};

struct operands {
	uint16_t *x, *dy;       /* [rows, in], [back, out] */
	float *w, *y, *dx, *dw; /* [out, in] or [in, out]; [rows, out]; [back, in]; as w */
	struct panels forward, backward, rows;
};

/* From row to row: as act_ld (model/work.c). */
static size_t ld_of(size_t n)
{
	return n * 2 % 2048 ? n : n + 32;
}

struct seconds {
	double forward, input, weight;
};

static uint16_t *random_halves(size_t n)
{
	uint16_t *x = mem_alloc(n * sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = bf16_of((float)(rng_at(42, 0, i) >> 40) * 0x1p-24f - 0.5f);
	return x;
}

static float *random_floats(size_t n)
{
	float *x = mem_alloc(n * sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(rng_at(43, 0, i) >> 40) * 0x1p-24f - 0.5f;
	return x;
}

static struct panels panels_new(size_t k, size_t n)
{
	return (struct panels){ DTYPE_BF16, k, n, mem_alloc(panels_bytes(DTYPE_BF16, k, n)) };
}

static void panels_free(struct panels *p)
{
	mem_free(p->p, panels_bytes(p->dtype, p->k, p->n));
}

static void operands_new(struct operands *o, const struct map *m)
{
	o->x = random_halves(m->back * ld_of(m->in));
	o->dy = random_halves(m->back * ld_of(m->out));
	o->w = random_floats(m->in * m->out);
	o->y = random_floats(m->rows * m->out);
	o->dx = random_floats(m->back * m->in);
	o->dw = random_floats(m->in * m->out);
	o->forward = panels_new(m->in, m->out);
	o->backward = panels_new(m->out, m->in);
	o->rows = panels_new(GRAD_ROWS, m->turned ? m->out : m->in);
}

static void operands_free(struct operands *o, const struct map *m)
{
	mem_free(o->x, m->back * ld_of(m->in) * 2);
	mem_free(o->dy, m->back * ld_of(m->out) * 2);
	mem_free(o->w, m->in * m->out * 4);
	mem_free(o->y, m->rows * m->out * 4);
	mem_free(o->dx, m->back * m->in * 4);
	mem_free(o->dw, m->in * m->out * 4);
	panels_free(&o->forward);
	panels_free(&o->backward);
	panels_free(&o->rows);
}

/* The gradient of the weight from rows [at, at + n). */
static void weight_gradient(const struct map *m, struct operands *o, size_t at, size_t n)
{
	struct mat x = { o->x + at * ld_of(m->in), DTYPE_BF16, ld_of(m->in), 1 },
		   dy = { o->dy + at * ld_of(m->out), DTYPE_BF16, ld_of(m->out), 1 };
	struct mat down = m->turned ? x : dy, across = m->turned ? dy : x;
	size_t ld = m->turned ? m->out : m->in;
	o->rows.k = n;
	panels_pack(&o->rows, across);
	gemm(m->turned ? m->in : m->out, (struct mat){ down.p, down.t, 1, down.rs }, &o->rows,
		(struct gemm_out){ .c = o->dw, .ldc = ld, .from = o->dw, .ldfrom = ld });
}

/* As linear_forward and linear_backward (model/work.c) have them: the weight is packed once a step each way,
 * however often rows pass; its gradient is made in pieces of GRAD_ROWS. */
static struct seconds once(const struct map *m, struct operands *o)
{
	size_t in = m->in, out = m->out, ws = m->turned ? out : 1, wl = m->turned ? 1 : in;
	struct mat w = { o->w, DTYPE_F32, ws, wl },
		   wt = { o->w, DTYPE_F32, wl, ws }; /* [in, out], [out, in] */
	struct mat x = { o->x, DTYPE_BF16, ld_of(in), 1 }, dy = { o->dy, DTYPE_BF16, ld_of(out), 1 };
	double t0 = now_seconds();
	panels_pack(&o->forward, w);
	for (size_t i = 0; i < TOKENS; i += m->rows)
		gemm(m->rows, x, &o->forward, (struct gemm_out){ .c = o->y, .ldc = out });
	double t1 = now_seconds();
	panels_pack(&o->backward, wt);
	for (size_t i = 0; i < TOKENS; i += m->back)
		gemm(m->back, dy, &o->backward, (struct gemm_out){ .c = o->dx, .ldc = in });
	double t2 = now_seconds();
	for (size_t i = 0; i < TOKENS; i += m->back)
		for (size_t at = 0; at < m->back; at += GRAD_ROWS)
			weight_gradient(m, o, at, least(GRAD_ROWS, m->back - at));
	return (struct seconds){ t1 - t0, t2 - t1, now_seconds() - t2 };
}

/* Seconds of this map's products in a step; a first call warms up. */
static double measure(const struct map *m, int verbose)
{
	struct operands o;
	struct seconds s = { 0, 0, 0 };
	operands_new(&o, m);
	once(m, &o);
	for (int r = 0; r < RUNS; r++) {
		struct seconds t = once(m, &o);
		s.forward += t.forward / RUNS;
		s.input += t.input / RUNS;
		s.weight += t.weight / RUNS;
	}
	operands_free(&o, m);
	double flop = 2.0 * TOKENS * (double)(m->in * m->out) * 1e-9;
	if (verbose)
		fprintf(stderr,
			"%-14s %5zu -> %5zu: forward %6.1f, input's gradient %6.1f, weight's %6.1f GFLOP/s\n",
			m->name, m->in, m->out, flop / s.forward, flop / s.input, flop / s.weight);
	return (s.forward + s.input + s.weight) * (double)m->times;
}

int main(int argc, char **argv)
{
	int verbose = argc > 1 && strcmp(argv[1], "-v") == 0;
	double flop = 0, seconds = 0;
	par_set_threads(par_threads());
	for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) {
		seconds += measure(&maps[i], verbose);
		flop += 6.0 * TOKENS * (double)(maps[i].in * maps[i].out * maps[i].times) * 1e-9;
	}
	printf("%.1f\n", flop / seconds);
	gemm_release();
	return 0;
}
