/*
 * bench_model: one training step of the headline model (12.2M Llama, 8 rows of 512) by its parts, prefill and
 * decoding, with GFLOP/s by the count of 6 (training) or 2 (inference) operations a weight and token,
 * attention added.
 *
 *	bench_model [ARCH [BATCH [CONTEXT [DTYPE]]]]
 */
#include "base/die.h"
#include "base/opt.h"
#include "base/par.h"
#include "base/rng.h"
#include "model/model.h"
#include "measure.h"
#include "tensor/kern.h"

#include <stdio.h>

enum { RUNS = 5 };

int main(int argc, char **argv)
{
	const char *spec =
		argc > 1 ? argv[1]
			 : "llama:depth=6,dim=384,heads=6,head_dim=64,mlp=1024,tied=1,vocab=4096,context=512";
	uint64_t rows = 8, len = 512;
	if ((argc > 2 && parse_count(argv[2], &rows)) || (argc > 3 && parse_count(argv[3], &len)))
		return 2;
	enum dtype dtype = argc > 4 && strcmp(argv[4], "f32") == 0 ? DTYPE_F32 : DTYPE_BF16;
	struct config c;
	struct err e;
	par_set_threads(par_threads());
	if (config_preset(&c, spec, &e) < 0) {
		fprintf(stderr, "bench_model: %s\n", e.msg);
		return 2;
	}
	struct model *m = model_new(&c);
	model_init(m, 1);
	model_want_grads(m);
	size_t tokens = (size_t)(rows * len);
	uint32_t *ids = xcalloc(tokens, sizeof *ids), *targets = xcalloc(tokens, sizeof *targets);
	float *logp = xcalloc(tokens, sizeof *logp), *dlogp = xcalloc(tokens, sizeof *dlogp);
	struct seq *seqs = xcalloc((size_t)rows, sizeof *seqs);
	for (size_t i = 0; i < tokens; i++) {
		ids[i] = (uint32_t)(rng_at(1, 0, i) % c.vocab);
		targets[i] = (uint32_t)(rng_at(2, 0, i) % c.vocab);
		dlogp[i] = -1.0f / (float)tokens;
	}
	for (size_t i = 0; i < rows; i++)
		seqs[i] = (struct seq){ ids + i * len, (size_t)len, NULL };
	struct session *s = session_new(m, dtype, tokens, SESSION_TRAIN);
	struct head_args a = { .targets = targets, .inv_temp = 1, .logp = logp, .dlogp = dlogp };
	double f[RUNS], h[RUNS], b[RUNS], all[RUNS];
	for (int r = -1; r < RUNS; r++) {
		double t0 = now_seconds();
		m->version++; /* as after an update: panels are packed again */
		model_forward(s, seqs, (size_t)rows);
		double t1 = now_seconds();
		model_head(s, &a);
		double t2 = now_seconds();
		model_backward(s);
		double t3 = now_seconds();
		if (r >= 0) {
			f[r] = t1 - t0;
			h[r] = t2 - t1;
			b[r] = t3 - t2;
			all[r] = t3 - t0;
		}
	}
	double step = median(all, RUNS),
	       flop = 6.0 * (double)m->count + 6.0 * (double)(c.layers * c.hidden) * (double)len;
	printf("%s, %zu tokens, %s, %s: forward %.3f, head %.3f, backward %.3f, step %.3f s: %.0f tokens/s, "
	       "%.0f GFLOP/s\n",
		spec, tokens, dtype == DTYPE_BF16 ? "bf16" : "f32", kern()->name, median(f, RUNS),
		median(h, RUNS), median(b, RUNS), step, (double)tokens / step,
		flop * (double)tokens / step * 1e-9);
	session_free(s);
	/* Prefill of one row, then decoding behind it. */
	s = session_new(m, dtype, (size_t)len, 0);
	struct cache *k = cache_new(s);
	double pre[RUNS], dec[RUNS];
	for (int r = -1; r < RUNS; r++) {
		cache_truncate(k, 0);
		double t0 = now_seconds();
		model_forward(s, &(struct seq){ ids, (size_t)len - 64, k }, 1);
		double t1 = now_seconds();
		for (size_t i = 0; i < 64; i++)
			model_forward(s, &(struct seq){ ids + len - 64 + i, 1, k }, 1);
		if (r >= 0) {
			pre[r] = t1 - t0;
			dec[r] = now_seconds() - t1;
		}
	}
	printf("  prefill %.0f tokens/s, decode %.0f tokens/s (without the head)\n",
		(double)(len - 64) / median(pre, RUNS), 64 / median(dec, RUNS));
	cache_free(k);
	session_free(s);
	model_free(m);
	free(seqs);
	free(dlogp);
	free(logp);
	free(targets);
	free(ids);
	return 0;
}
