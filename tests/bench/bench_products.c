/*
 * bench_products: the products of one training step of GPT-2 124M (4 rows of 1024, bf16), every shape
 * measured and counted as often as the step has it, packing of both sides in: forward, the input's gradient,
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

enum { RUNS = 3, TOKENS = 4096 };

static const struct map {
	const char *name;
	size_t in, out, times, rows; /* rows that go through at once: the head's logits never exist for all */
} maps[] = {
	{ "qkv", 768, 2304, 12, TOKENS },
	{ "attention out", 768, 768, 12, TOKENS },
	{ "mlp up", 768, 3072, 12, TOKENS },
	{ "mlp down", 3072, 768, 12, TOKENS },
	{ "head", 768, 50257, 1, 256 },
};

static float *random_floats(size_t n)
{
	float *x = mem_alloc(n * sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)(rng_at(42, 0, i) >> 40) * 0x1p-24f - 0.5f;
	return x;
}

static struct panels panels(size_t k, size_t n)
{
	return (struct panels){ DTYPE_BF16, k, n, mem_alloc(panels_bytes(DTYPE_BF16, k, n)) };
}

static void panels_release(struct panels *p)
{
	mem_free(p->p, panels_bytes(p->dtype, p->k, p->n));
}

struct seconds {
	double forward, input, weight;
};

/* The weight is [out, in]; its panels are packed once a step, whatever the number of passes. */
static struct seconds once(const struct map *m, const float *x, const float *w, float *y, float *dx,
	float *dw, struct panels *fore, struct panels *back, struct panels *scratch)
{
	size_t passes = TOKENS / m->rows;
	double t0 = now_seconds();
	panels_pack(fore, w, 1, m->in);
	for (size_t i = 0; i < passes; i++)
		gemm(m->rows, x, m->in, 1, fore, NULL, y, m->out, 0);
	double t1 = now_seconds();
	panels_pack(back, w, m->in, 1);
	for (size_t i = 0; i < passes; i++)
		gemm(m->rows, y, m->out, 1, back, NULL, dx, m->in, 0);
	double t2 = now_seconds();
	for (size_t i = 0; i < passes; i++) {
		panels_pack(scratch, x, m->in, 1);
		gemm(m->out, y, 1, m->out, scratch, NULL, dw, m->in, GEMM_ADD);
	}
	return (struct seconds){ t1 - t0, t2 - t1, now_seconds() - t2 };
}

static double measure(const struct map *m, int verbose)
{
	size_t nx = m->rows * m->in, nw = m->in * m->out, ny = m->rows * m->out;
	float *x = random_floats(nx), *w = random_floats(nw), *y = random_floats(ny), *dx = random_floats(nx),
	      *dw = random_floats(nw);
	struct panels fore = panels(m->in, m->out), back = panels(m->out, m->in),
		      scratch = panels(m->rows, m->in);
	struct seconds s = { 0, 0, 0 };
	for (int r = -1; r < RUNS; r++) {
		struct seconds t = once(m, x, w, y, dx, dw, &fore, &back, &scratch);
		if (r < 0)
			continue;
		s.forward += t.forward / RUNS;
		s.input += t.input / RUNS;
		s.weight += t.weight / RUNS;
	}
	double flop = 2.0 * TOKENS * (double)(m->in * m->out) * 1e-9;
	if (verbose)
		fprintf(stderr,
			"%-14s %5zu -> %5zu: forward %6.1f, input's gradient %6.1f, weight's %6.1f GFLOP/s\n",
			m->name, m->in, m->out, flop / s.forward, flop / s.input, flop / s.weight);
	mem_free(x, nx * 4);
	mem_free(w, nw * 4);
	mem_free(y, ny * 4);
	mem_free(dx, nx * 4);
	mem_free(dw, nw * 4);
	panels_release(&fore);
	panels_release(&back);
	panels_release(&scratch);
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
