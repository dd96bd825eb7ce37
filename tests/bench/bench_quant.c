/*
 * bench_quant: products with quantised weights: prefill beside the processor's peak of integer
 * multiplication, decoding beside the memory's read bandwidth, both measured in the same run. Medians.
 */
#include "base/par.h"
#include "base/rng.h"
#include "measure.h"
#include "tensor/gemm.h"
#include "tensor/kern.h"
#include "tensor/qgemm.h"

#include <stdio.h>

enum { RUNS = 9 };

static float *random_floats(size_t n)
{
	float *x = mem_alloc(n * sizeof *x);
	struct rng r;
	rng_init(&r, 42, n);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)rng_uniform(&r) - 0.5f;
	return x;
}

static const char *const names[QFORMS] = { "q8_0", "q4_0", "q4_k", "q6_k" };

static void bench_prefill(enum qform f, size_t m, size_t n, size_t k, double top)
{
	struct qpanels b = { f, k, n, NULL };
	size_t bytes = qpanels_bytes(f, k, n);
	float *a = random_floats(m * k), *c = random_floats(m * n);
	double t[RUNS];
	b.p = mem_alloc(bytes);
	memset(b.p, 17, bytes);
	qgemm(m, (struct mat){ a, DTYPE_F32, k, 1 }, &b, (struct gemm_out){ .c = c, .ldc = n });
	for (int r = 0; r < RUNS; r++) {
		double t0 = now_seconds();
		qgemm(m, (struct mat){ a, DTYPE_F32, k, 1 }, &b, (struct gemm_out){ .c = c, .ldc = n });
		t[r] = now_seconds() - t0;
	}
	double rate = 2.0 * (double)m * (double)n * (double)k / median(t, RUNS) / 1e9;
	printf("%s %4zu x %5zu x %5zu: %7.1f GOP/s %3.0f %%\n", names[f], m, n, k, rate,
		top > 0 ? 100 * rate / top : 0);
	mem_free(a, m * k * 4);
	mem_free(c, m * n * 4);
	mem_free(b.p, bytes);
}

/* As a decoder does: every layer's products in turn, m rows, so that no weight is in a cache. */
static void bench_decode(int f, size_t m, size_t width, size_t mlp, size_t layers, double read)
{
	const size_t shape[4][2] = { { 3 * width, width }, { width, width }, { 2 * mlp, width },
		{ width, mlp } };
	size_t bytes = 0, at = 0;
	for (int i = 0; i < 4; i++)
		bytes += layers * (f < 0 ? panels_bytes(DTYPE_BF16, shape[i][1], shape[i][0])
					 : qpanels_bytes((enum qform)f, shape[i][1], shape[i][0]));
	char *p = mem_alloc(bytes);
	memset(p, 17, bytes);
	float *a = random_floats(m * 2 * mlp), *c = random_floats(m * 2 * mlp);
	double t[RUNS];
	for (int r = -1; r < RUNS; r++) {
		double t0 = now_seconds();
		at = 0;
		for (size_t l = 0; l < layers * 4; l++) {
			size_t n = shape[l % 4][0], k = shape[l % 4][1];
			if (f < 0) {
				struct panels b = { DTYPE_BF16, k, n, p + at };
				gemm(m, (struct mat){ a, DTYPE_F32, k, 1 }, &b,
					(struct gemm_out){ .c = c, .ldc = n });
				at += panels_bytes(DTYPE_BF16, k, n);
			} else {
				struct qpanels b = { (enum qform)f, k, n, p + at };
				qgemm(m, (struct mat){ a, DTYPE_F32, k, 1 }, &b,
					(struct gemm_out){ .c = c, .ldc = n });
				at += qpanels_bytes(b.form, k, n);
			}
		}
		if (r >= 0)
			t[r] = now_seconds() - t0;
	}
	double rate = (double)bytes / median(t, RUNS) / 1e9;
	printf("%s %zu rows, %zu layers of %zu/%zu, %.0f MB: %.2f ms, %.1f GB/s, %.0f %%\n",
		f < 0 ? "bf16" : names[f], m, layers, width, mlp, (double)bytes / 1e6, t[RUNS / 2] * 1e3,
		rate, 100 * rate / read);
	mem_free(p, bytes);
	mem_free(a, m * 2 * mlp * 4);
	mem_free(c, m * 2 * mlp * 4);
}

int main(int argc, char **argv)
{
	int few = argc > 1;
	(void)argv;
	setvbuf(stdout, NULL, _IOLBF, 0);
	char *x = memory_new();
	for (int threads = few ? par_threads() : 1; threads <= par_threads(); threads *= 2) {
		par_set_threads(threads);
		double top = peak("int8", threads);
		printf("# %s (%s), %d threads: int8 %.0f GOP/s\n", kern()->name, kern()->qgemm->name, threads,
			top);
		for (int f = 0; f < QFORMS; f++) {
			bench_prefill((enum qform)f, 16, 2560, 768, top);
			bench_prefill((enum qform)f, 512, 768, 768, top);
			bench_prefill((enum qform)f, 512, 5120, 768, top);
			bench_prefill((enum qform)f, 512, 768, 2560, top);
			bench_prefill((enum qform)f, 512, 2048, 8192, top);
		}
		printf("int8 %.0f GOP/s\n", peak("int8", threads));
		for (int f = -1; f < QFORMS; f++) {
			double read = memory_rate(x, READ, threads);
			printf("read %.1f GB/s\n", read);
			for (size_t m = 1; m <= (few ? 1 : 4); m *= 2)
				bench_decode(f, m, 768, 2560, 24, read);
			bench_decode(f, 1, 2048, 8192, 4, read);
		}
	}
	mem_free(x, MEMORY_BYTES);
	return 0;
}
