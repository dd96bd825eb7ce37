/*
 * bench_optim: one update of all weights by every optimiser, without forward and backward pass.
 *
 *	bench_optim [ARCH]
 */
#include "base/par.h"
#include "base/rng.h"
#include "measure.h"
#include "tensor/kern.h"
#include "train/optim.h"

#include <stdio.h>

enum { RUNS = 9 };

static void measure(struct model *m, const char *what, int kind, enum dtype compute, int moments)
{
	struct optim_config c = { kind, 0.9, 0.95, 1e-8, 0.1, 0.95, MUON_MATCH_RMS, 1, compute, moments, 1 };
	struct optim *o = optim_new(&c, m);
	double t[RUNS];
	for (int r = -1; r < RUNS; r++) {
		double t0 = now_seconds();
		optim_step(o, 1e-4, 1);
		if (r >= 0)
			t[r] = now_seconds() - t0;
	}
	double middle = median(t, RUNS);
	printf("  %-24s %8.2f ms (%.2f - %.2f), %.1f MB\n", what, middle * 1e3, t[0] * 1e3, t[RUNS - 1] * 1e3,
		(double)optim_bytes(&c, m) * 1e-6);
	optim_free(o);
}

int main(int argc, char **argv)
{
	const char *spec =
		argc > 1 ? argv[1]
			 : "llama:depth=6,dim=384,heads=6,head_dim=64,mlp=1024,tied=1,vocab=4096,context=512";
	struct config c;
	struct err e;
	par_set_threads(par_threads());
	if (config_preset(&c, spec, &e) < 0) {
		fprintf(stderr, "bench_optim: %s\n", e.msg);
		return 2;
	}
	struct model *m = model_new(&c);
	model_init(m, 1);
	model_want_grads(m);
	for (size_t i = 0; i < m->count; i++)
		m->grads[i] = (float)(rng_at(1, 0, i) >> 40) * 0x1p-24f - 0.5f;
	printf("%s: %zu values, %s, %d threads\n", spec, m->count, kern()->name, par_threads());
	double t0 = now_seconds();
	double norm = 0;
	for (int r = 0; r < RUNS; r++)
		norm += sum_squares(m->grads, m->count);
	printf("  %-24s %8.2f ms (%g)\n", "norm of the gradient", (now_seconds() - t0) / RUNS * 1e3,
		norm / RUNS);
	measure(m, "adamw", 0, DTYPE_F32, MOMENT_F32);
	measure(m, "adamw, bf16 states", 0, DTYPE_F32, MOMENT_BF16);
	measure(m, "adamw, 8-bit states", 0, DTYPE_F32, MOMENT_8BIT);
	measure(m, "muon, f32 products", 1, DTYPE_F32, MOMENT_F32);
	measure(m, "muon, bf16 products", 1, DTYPE_BF16, MOMENT_F32);
	measure(m, "muon, bf16, 8-bit states", 1, DTYPE_BF16, MOMENT_8BIT);
	model_free(m);
	return 0;
}
