/*
 * bench_kern: the product kernels beside the same tile in the first-level cache on one thread, and
 * the row kernels. Prints medians. bench_peak has what the processor can do at most. Usage: bench_kern [ISA
 * ...]
 */
#include "base/par.h"
#include "base/rng.h"
#include "measure.h"
#include "tensor/flash.h"
#include "tensor/gemm.h"
#include "tensor/kern.h"

#include <stdio.h>

/* Median seconds of a call, at least 5 calls and about 0.3 s. */
#define MEDIAN(result, call)                                    \
	do {                                                    \
		double t_[101], sum_ = 0;                       \
		int n_ = 0;                                     \
		call;                                           \
		while (n_ < 101 && (n_ < 5 || sum_ < 0.3)) {    \
			double t0_ = now_seconds();             \
			call;                                   \
			sum_ += t_[n_++] = now_seconds() - t0_; \
		}                                               \
		(result) = median(t_, (size_t)n_);              \
	} while (0)

static float *random_floats(size_t n)
{
	float *x = mem_alloc(n * sizeof *x);
	struct rng r;
	rng_init(&r, 42, n);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)rng_uniform(&r) - 0.5f;
	return x;
}

static void *random_of(enum dtype t, size_t n)
{
	float *x = random_floats(n);
	if (t == DTYPE_F32)
		return x;
	uint16_t *y = mem_alloc(n * sizeof *y);
	kern()->to_bf16(y, x, n);
	mem_free(x, n * sizeof *x);
	return y;
}

/* The tile kernel on operands in the first-level cache: the most that a product can reach. */
static double tile_rate(enum dtype t)
{
	const struct kern *k = kern();
	enum { K = 128, TIMES = 2000 };
	size_t mr = t == DTYPE_BF16 ? k->mr16 : k->mr, nr = t == DTYPE_BF16 ? k->nr16 : k->nr;
	float *a = random_floats(mr * K), *b = random_floats(nr * K), *c = random_floats(mr * nr);
	uint16_t *pa = mem_alloc(mr * K * 2), *pb = mem_alloc(nr * K * 2);
	k->to_bf16(pa, a, mr * K);
	k->to_bf16(pb, b, nr * K);
	double s;
	int rows = k->pack_rows_bf16 != NULL;
	tiles_begin(k);
	if (t == DTYPE_BF16)
		MEDIAN(s, for (int i = 0; i < TIMES; i++) k->tile_bf16(
				  K, pa, rows ? K / 2 : 1, rows ? 1 : mr, pb, NULL, 0, c, nr, mr, nr));
	else
		MEDIAN(s,
			for (int i = 0; i < TIMES; i++) k->tile_f32(K, a, 1, mr, b, NULL, 0, c, nr, mr, nr));
	tiles_end(k);
	mem_free(a, mr * K * 4);
	mem_free(b, nr * K * 4);
	mem_free(c, mr * nr * 4);
	mem_free(pa, mr * K * 2);
	mem_free(pb, nr * K * 2);
	return 2.0 * (double)(mr * nr) * K * TIMES / s / 1e9;
}

static void bench_gemm(enum dtype t, size_t m, size_t n, size_t k, int turned, double tile)
{
	/* A as a producer leaves it: in the arithmetic's type. */
	void *a = random_of(t, m * k);
	float *w = random_floats(n * k), *c = random_floats(m * n);
	struct panels p = { t, k, n, NULL };
	size_t bytes = panels_bytes(t, k, n);
	p.p = mem_alloc(bytes);
	printf("%-4s %5zu x %5zu x %5zu %s", dtype_name(t), m, n, k, turned ? "dW" : "  ");
	for (int threads = 1; threads <= par_threads(); threads *= 2) {
		par_set_threads(threads);
		double s, packing;
		MEDIAN(packing, panels_pack(&p, (struct mat){ w, DTYPE_F32, 1, k }));
		MEDIAN(s, gemm(m, (struct mat){ a, t, turned ? 1 : k, turned ? m : 1 }, &p,
				  (struct gemm_out){ c, n, turned ? c : NULL, n, NULL }));
		double rate = 2.0 * (double)m * (double)n * (double)k / s / 1e9;
		if (m <= 16)
			printf("  %dT %6.1f us %5.1f GB/s", threads, s * 1e6, (double)bytes / s / 1e9);
		else
			printf("  %dT %6.1f GFLOP/s %3.0f %%", threads, rate, 100 * rate / tile / threads);
		printf(" pack %4.1f GB/s", (double)(n * k) * 4 / packing / 1e9);
	}
	printf("\n");
	mem_free(a, m * k * dtype_size(t));
	mem_free(w, n * k * 4);
	mem_free(c, m * n * 4);
	mem_free(p.p, bytes);
}

static void bench_products(void)
{
	static const size_t shapes[][3] = {
		{ 1024, 768, 768 },
		{ 1024, 3072, 768 },
		{ 1024, 768, 3072 },
		{ 4096, 384, 384 },
		{ 4096, 1536, 384 },
		{ 4096, 768, 768 },
		{ 256, 512, 512 },
		{ 1024, 16384, 768 },
		{ 1, 4096, 4096 },
		{ 4, 4096, 4096 },
		{ 8, 4096, 4096 },
	};
	static const size_t turned[][3] = { { 384, 384, 4096 }, { 768, 768, 4096 }, { 1536, 384, 4096 } };
	for (int i = 0; i < 2; i++) {
		enum dtype t = i ? DTYPE_BF16 : DTYPE_F32;
		double tile = tile_rate(t);
		printf("%-4s tile in L1: %.1f GFLOP/s\n", dtype_name(t), tile);
		for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++)
			bench_gemm(t, shapes[j][0], shapes[j][1], shapes[j][2], 0, tile);
		for (size_t j = 0; j < sizeof turned / sizeof *turned; j++)
			bench_gemm(t, turned[j][0], turned[j][1], turned[j][2], 1, tile);
	}
}

struct gradients {
	size_t width, kv_width, d;
	float *x[3];
};

static void store(
	const void *ctx, enum flash_grad what, size_t head, size_t row, size_t n, float *x, size_t ldx)
{
	const struct gradients *g = ctx;
	size_t width = what == FLASH_DQ ? g->width : g->kv_width;
	for (size_t i = 0; i < n; i++)
		memcpy(g->x[what] + (row + i) * width + head * g->d, x + i * ldx, g->d * sizeof *x);
}

static void bench_flash(size_t seqs, size_t n, size_t heads, size_t kv_heads, size_t d, enum dtype t)
{
	size_t w = heads * d, kw = kv_heads * d, rows = seqs * n;
	struct flash_shape s = {
		.heads = heads, .kv_heads = kv_heads, .head_dim = d, .scale = 0.125f, .t = t
	};
	struct flash_layout l = { w, d, kw, d };
	size_t size = dtype_size(t);
	void *q = random_of(t, rows * w), *out = random_of(t, rows * w), *k = random_of(t, rows * kw),
	     *v = random_of(t, rows * kw);
	void *dout = random_of(t, rows * w);
	float *lse = random_floats(rows * heads);
	struct gradients g = { w, kw, d,
		{ random_floats(rows * w), random_floats(rows * kw), random_floats(rows * kw) } };
	struct flash_seq *f = xcalloc(seqs, sizeof *f);
	for (size_t i = 0; i < seqs; i++)
		f[i] = (struct flash_seq){ i * n, n, 0, (char *)k + i * n * kw * size,
			(char *)v + i * n * kw * size };
	double work =
		2.0 * (double)(seqs * heads * n) * (double)(n + 1) * (double)d; /* both products, causal */
	printf("attention %s %zu x %zu, %zu/%zu heads of %zu:", dtype_name(t), seqs, n, heads, kv_heads, d);
	for (int threads = 1; threads <= par_threads(); threads *= 2) {
		par_set_threads(threads);
		double forward, backward;
		MEDIAN(forward, flash_forward(&s, &l, f, seqs, q, out, lse));
		MEDIAN(backward, flash_backward(&s, &l, f, seqs, q, out, lse, dout, store, &g));
		printf("  %dT forward %.1f ms %.1f GFLOP/s, backward %.1f ms %.1f GFLOP/s", threads,
			forward * 1e3, work / forward / 1e9, backward * 1e3, 2.5 * work / backward / 1e9);
	}
	printf("\n");
	mem_free(q, rows * w * size);
	mem_free(out, rows * w * size);
	mem_free(dout, rows * w * size);
	mem_free(lse, rows * heads * 4);
	mem_free(k, rows * kw * size);
	mem_free(v, rows * kw * size);
	for (int i = 0; i < 3; i++)
		mem_free(g.x[i], rows * (i ? kw : w) * 4);
	free(f);
}

static float sink;

static void bench_rows(void)
{
	enum { N = 4096, TIMES = 200 };
	const struct kern *k = kern();
	float *x = random_floats(N), *y = random_floats(N), *z = random_floats(N), *w = random_floats(N);
	uint16_t *h = mem_alloc(N * 2);
	double s;
#define ROW(name, call)                                             \
	do {                                                        \
		MEDIAN(s, for (int i_ = 0; i_ < TIMES; i_++) call); \
		printf(" %s %.2f", name, s / TIMES / N * 1e9);      \
	} while (0)
	printf("rows of %d, ns a value:", N);
	ROW("sum", sink += k->sum(x, N));
	ROW("dot", sink += k->dot(x, y, N));
	ROW("max", sink += k->max(x, N));
	ROW("add", k->add(y, x, N));
	ROW("exp", sink += k->exp_sum(z, x, 1, N));
	ROW("lse", sink += k->lse(x, 1, N));
	ROW("silu", k->silu(z, x, N));
	ROW("silu_back", k->silu_back(z, x, x, N));
	ROW("gelu", k->gelu_tanh(z, x, N));
	ROW("gelu_back", k->gelu_tanh_back(z, x, x, N));
	ROW("adamw", k->adamw(w, y, z, x, N, 1, 1e-3f, 0.9f, 0.95f, 1e-8f, 0, 0.1f, 0.1f));
	ROW("bf16", k->to_bf16(h, x, N));
	printf("\n");
	mem_free(x, N * 4);
	mem_free(y, N * 4);
	mem_free(z, N * 4);
	mem_free(w, N * 4);
	mem_free(h, N * 2);
}

static void bench(void)
{
	printf("# %s\n", kern()->name);
	bench_products();
	bench_rows();
	for (int i = 0; i <= kern()->native_bf16; i++) {
		enum dtype t = i ? DTYPE_BF16 : DTYPE_F32;
		bench_flash(8, 512, 6, 6, 64, t);
		bench_flash(4, 1024, 12, 12, 64, t);
		bench_flash(2, 2048, 8, 2, 128, t);
	}
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2)
		bench();
	for (int i = 1; i < argc; i++) {
		if (kern_select(argv[i]) == 0)
			bench();
		else
			printf("# %s: cannot run here\n", argv[i]);
	}
	return 0;
}
