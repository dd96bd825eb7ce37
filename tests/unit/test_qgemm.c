/* Quantised products: every row of the kernel table against the scalar one, bit for bit, on odd shapes; that
 * one against ggml's definition of the forms in double; rows and threads. */
#include "tap.h"

#include "amx_emu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tensor/dtype.h"
#include "tensor/kern.h"
#include "tensor/qgemm.h"

#include <stdlib.h>

static struct rng rng;

static const struct {
	const char *name;
	size_t values, bytes;
} blocks[QFORMS] = { { "Q8_0", 32, 34 }, { "Q4_0", 32, 18 }, { "Q4_K", 256, 144 }, { "Q6_K", 256, 210 } };

static void put_f16(unsigned char *p, float x)
{
	from_f32(p, &x, DTYPE_F16, 1);
}

static float f16(const unsigned char *p)
{
	float x;
	to_f32(&x, p, DTYPE_F16, 1);
	return x;
}

/* Any bytes are weights, but for the f16 scales, which shall be finite. */
static unsigned char *random_blocks(enum qform f, size_t n, size_t k, size_t *row)
{
	*row = (k + blocks[f].values - 1) / blocks[f].values * blocks[f].bytes;
	unsigned char *b = xmalloc(n * *row + 1);
	for (size_t i = 0; i < n * *row; i++)
		b[i] = (unsigned char)rng_u64(&rng);
	for (size_t i = 0; i < n * *row; i += blocks[f].bytes) {
		put_f16(b + i + (f == QFORM_6 ? 208 : 0), 0.01f * (float)rng_normal(&rng));
		if (f == QFORM_4M)
			put_f16(b + i + 2, 0.01f * (float)rng_normal(&rng));
	}
	return b;
}

/* Value k of a row, straight from ggml-quants.c. */
static double weight(enum qform f, const unsigned char *row, size_t k)
{
	const unsigned char *b = row + k / blocks[f].values * blocks[f].bytes;
	size_t i = k % blocks[f].values;
	if (f == QFORM_8)
		return (double)f16(b) * (signed char)b[2 + i];
	if (f == QFORM_4)
		return (double)f16(b) * ((i < 16 ? b[2 + i] & 15 : b[2 + i - 16] >> 4) - 8);
	if (f == QFORM_4M) {
		const unsigned char *s = b + 4, *q = b + 16 + i / 64 * 32;
		size_t g = i / 32;
		int sc = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
		int mn = g < 4 ? s[g + 4] & 63 : s[g + 4] >> 4 | (s[g] >> 6) << 4;
		int v = i % 64 < 32 ? q[i % 32] & 15 : q[i % 32] >> 4;
		return (double)f16(b) * sc * v - (double)f16(b + 2) * mn;
	}
	const unsigned char *ql = b + i / 128 * 64, *qh = b + 128 + i / 128 * 32;
	size_t l = i % 32, part = i % 128 / 32;
	int low = part < 2 ? ql[l + part * 32] & 15 : ql[l + (part - 2) * 32] >> 4;
	int high = qh[l] >> (2 * part) & 3;
	return (double)f16(b + 208) * (signed char)b[192 + i / 16] * ((low | high << 4) - 32);
}

struct problem {
	enum qform f;
	size_t m, n, k, ldc, row;
	unsigned char *blocks;
	float *a, *bias;
};

static struct problem problem_new(enum qform f, size_t m, size_t n, size_t k)
{
	struct problem p = { f, m, n, k, n + 3, 0, NULL, NULL, NULL };
	p.blocks = random_blocks(f, n, k, &p.row);
	p.a = xcalloc(m * k + 1, sizeof *p.a);
	p.bias = xcalloc(n, sizeof *p.bias);
	for (size_t i = 0; i < m * k; i++)
		p.a[i] = (float)rng_normal(&rng) * (i / 7 % 5 ? 1 : 30);
	for (size_t i = 0; i < n; i++)
		p.bias[i] = (float)rng_normal(&rng);
	return p;
}

static void problem_free(struct problem *p)
{
	free(p->blocks);
	free(p->a);
	free(p->bias);
}

static const void *rows(const void *ctx, size_t j, size_t n, size_t from, size_t k, void *buf, size_t *pitch)
{
	const struct problem *p = ctx;
	const unsigned char *at = p->blocks + j * p->row + from / blocks[p->f].values * blocks[p->f].bytes;
	(void)k;
	*pitch = p->row;
	if (j / 32 % 2 == 0)
		return at;
	/* made in the buffer */
	*pitch = (p->row < 1000 ? p->row : 1000);
	for (size_t i = 0; i < n; i++) {
		size_t left = p->row - from / blocks[p->f].values * blocks[p->f].bytes;
		memcpy((char *)buf + i * *pitch, at + i * p->row, left < *pitch ? left : *pitch);
	}
	return buf;
}

static int passed, differ;

/* Rows [i0, i0 + m) of the product, from f32 or bf16, starting at nothing, a bias, other values, or both. */
enum how { PLAIN, BIAS, FROM, BOTH, HOWS };

static float *product_of(const struct problem *p, enum how how, enum dtype t, size_t i0, size_t m)
{
	struct row_source source = { rows, p, DTYPE_F32 };
	struct qpanels b = { p->f, p->k, p->n, NULL, NULL };
	size_t bytes = qpanels_bytes(b.form, b.k, b.n);
	b.p = mem_alloc(bytes);
	qpanels_fill(&b, &source);
	float *c = xcalloc(m * p->ldc, sizeof *c), *from = xcalloc(m * p->n, sizeof *from);
	void *a = xmalloc(m * p->k * dtype_size(t) + 1);
	from_f32(a, p->a + i0 * p->k, t, m * p->k);
	for (size_t i = 0; i < m * p->n; i++)
		from[i] = (float)((i + i0 * p->n) % 17);
	struct gemm_out o = { c, p->ldc, how >= FROM ? from : NULL, p->n,
		how == BIAS || how == BOTH ? p->bias : NULL };
	qgemm(m, (struct mat){ a, t, p->k, 1 }, &b, o);
	struct qpanels none = { p->f, p->k, p->n, NULL, &source };
	o.c = xcalloc(m * p->ldc, sizeof *o.c);
	qgemm(m, (struct mat){ a, t, p->k, 1 }, &none, o);
	differ += memcmp(o.c, c, m * p->ldc * sizeof *c) != 0;
	passed++;
	free(o.c);
	mem_free(b.p, bytes);
	free(from);
	free(a);
	return c;
}

static float *product(const struct problem *p, enum how how, size_t i0, size_t m)
{
	return product_of(p, how, DTYPE_F32, i0, m);
}

/* The activations as they are quantised: nearest even of x / (max |x| / 127). */
static int right(const struct problem *p, const float *c)
{
	for (size_t i = 0; i < p->m; i++) {
		double *a = xcalloc(p->k, sizeof *a);
		for (size_t g = 0; g < p->k; g += 32) {
			size_t n = p->k - g < 32 ? p->k - g : 32;
			const float *x = p->a + i * p->k + g;
			float top = 0;
			for (size_t k = 0; k < n; k++)
				top = fabsf(x[k]) > top ? fabsf(x[k]) : top;
			for (size_t k = 0; k < n; k++)
				a[g + k] = (double)(top / 127) * nearbyintf(x[k] * (127 / top));
		}
		for (size_t j = 0; j < p->ldc; j++) {
			double s = j < p->n ? p->bias[j] : 0, size = fabs(s);
			for (size_t k = 0; j < p->n && k < p->k; k++) {
				double t = a[k] * weight(p->f, p->blocks + j * p->row, k);
				s += t;
				size += fabs(t);
			}
			if (fabs(c[i * p->ldc + j] - s) > 1e-6 * size) {
				printf("# %zu %zu: %g, want %g\n", i, j, (double)c[i * p->ldc + j], s);
				free(a);
				return 0;
			}
		}
		free(a);
	}
	return 1;
}

static int same(const struct problem *p, const float *x, const float *y, size_t m)
{
	return memcmp(x, y, m * p->ldc * sizeof *x) == 0;
}

static void test_shape(enum qform f, size_t m, size_t n, size_t k)
{
	struct problem p = problem_new(f, m, n, k);
	float *want[HOWS], *narrow;
	kern_select("scalar");
	par_set_threads(1);
	for (int how = 0; how < HOWS; how++)
		want[how] = product(&p, (enum how)how, 0, m);
	narrow = product_of(&p, BIAS, DTYPE_BF16, 0, m);
	ok(right(&p, want[BIAS]), "%s %zu x %zu x %zu: scalar, as ggml defines it", blocks[f].name, m, n, k);
	for (size_t i = 1; kern_table[i]; i++) {
		int good = 1;
		if (kern_select(kern_table[i]->name) < 0)
			continue;
		for (int how = 0; how <= HOWS; how++) {
			float *d = how < HOWS ? product(&p, (enum how)how, 0, m)
					      : product_of(&p, BIAS, DTYPE_BF16, 0, m);
			good &= same(&p, how < HOWS ? want[how] : narrow, d, m);
			free(d);
		}
		ok(good, "... the same bits under %s (%s)", kern()->name, kern()->qgemm->name);
	}
	for (size_t i = 0; i < m * k; i++)
		p.a[i] = f32_of_bf16(bf16_of(p.a[i]));
	float *wide = product(&p, BIAS, 0, m);
	ok(same(&p, narrow, wide, m), "... bf16 activations are those numbers");
	for (int how = 0; how < HOWS; how++)
		free(want[how]);
	free(narrow);
	free(wide);
	problem_free(&p);
}

static void test_bits(enum qform f, size_t m, size_t n, size_t k)
{
	struct problem p = problem_new(f, m, n, k);
	int rows = 1, threads = 1;
	par_set_threads(1);
	float *c = product(&p, BIAS, 0, m);
	for (int j = 2; j <= 5; j++) {
		par_set_threads(j);
		float *d = product(&p, BIAS, 0, m);
		threads &= same(&p, c, d, m);
		free(d);
	}
	for (size_t i = 0; i < m; i += 1 + i / 3) {
		size_t count = 1 + i % 9 > m - i ? 1 : 1 + i % 9;
		float *d = product(&p, BIAS, i, count);
		rows &= same(&p, c + i * p.ldc, d, count);
		free(d);
	}
	free(c);
	ok(rows, "%s %s %zu x %zu x %zu: a row's bits do not depend on the rows beside it", kern()->name,
		blocks[f].name, m, n, k);
	ok(threads, "... nor on the number of threads");
	problem_free(&p);
}

/* Bytes at the ends of their ranges, where a multiplication might saturate. */
static void test_extremes(void)
{
	enum { K = 64, N = 33 };
	struct problem p = problem_new(QFORM_8, 2, N, K);
	for (size_t i = 0; i < K; i++) {
		p.a[i] = 1;
		p.a[K + i] = i % 2 ? -1 : 1;
	}
	for (size_t j = 0; j < N; j++)
		for (size_t g = 0; g < K / 32; g++) {
			unsigned char *b = p.blocks + j * p.row + g * 34;
			put_f16(b, 1);
			for (size_t i = 0; i < 32; i++)
				b[2 + i] = (unsigned char)(j % 2 ? 0x80 : i % 2 ? 0x80 : 0x7f);
		}
	for (size_t i = 0; kern_table[i]; i++) {
		if (kern_select(kern_table[i]->name) < 0)
			continue;
		float *c = product(&p, PLAIN, 0, 2);
		ok(c[0] == -0.5f * K && c[1] == -128 * K && c[p.ldc] == 127.5f * K && c[p.ldc + 1] == 0,
			"%s: -128 and 127 neither saturate nor wrap", kern()->name);
		free(c);
	}
	problem_free(&p);
}

/* Zeros, tiny and huge numbers, infinity and NaN. */
static void test_special(void)
{
	static const struct {
		float value;
		int finite;
	} cases[] = { { 0, 1 }, { 1e-44f, 1 }, { 1e-38f, 1 }, { 3e38f, 1 }, { INFINITY, 0 }, { -INFINITY, 0 },
		{ NAN, 0 } };
	struct problem p = problem_new(QFORM_4, 3, 17, 96);
	for (size_t j = 0; j < p.n * p.row; j += 18)
		put_f16(p.blocks + j, 0x1p-14f);
	for (size_t i = 0; kern_table[i]; i++) {
		if (kern_select(kern_table[i]->name) < 0)
			continue;
		int good = 1;
		for (size_t s = 0; s < sizeof cases / sizeof *cases; s++) {
			for (size_t k = 0; k < 32; k++)
				p.a[p.k + 32 + k] = k == 5 ? cases[s].value : 0;
			float *c = product(&p, PLAIN, 0, 3);
			for (size_t j = 0; j < p.n; j++) {
				good &= isfinite(c[j]) && isfinite(c[2 * p.ldc + j]);
				good &= !isfinite(c[p.ldc + j]) == !cases[s].finite;
			}
			free(c);
		}
		ok(good, "%s: what is not finite stays so, in its own row; the rest does not become it",
			kern()->name);
	}
	problem_free(&p);
}

int main(void)
{
	amx_emu_begin();
	static const size_t shapes[][3] = { { 1, 1, 32 }, { 2, 33, 64 }, { 5, 16, 288 }, { 9, 47, 512 },
		{ 16, 40, 96 }, { 23, 129, 768 }, { 33, 70, 256 + 160 }, { 3, 64, 2048 + 32 } };
	rng_init(&rng, 3, 0);
	for (int f = 0; f < QFORMS; f++)
		for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
			test_shape((enum qform)f, shapes[s][0], shapes[s][1], shapes[s][2]);
	/* k that ends inside a block of activations and weights. */
	test_shape(QFORM_8, 4, 20, 45);
	for (size_t i = 0; kern_table[i]; i++) {
		if (kern_select(kern_table[i]->name) < 0) {
			skip("%s: this machine cannot run it", kern_table[i]->name);
			continue;
		}
		for (int f = 0; f < QFORMS; f++)
			test_bits((enum qform)f, 40, 75, 512);
		test_bits(QFORM_8, 6, 450, 3200);
	}
	/* More rows than one chunk holds. */
	kern_select(NULL);
	test_bits(QFORM_8, 1100, 40, 5120);
	par_set_threads(2);
	test_extremes();
	test_special();
	struct qpanels none = { QFORM_8, 32, 0, NULL };
	qgemm(0, (struct mat){ NULL, DTYPE_F32, 32, 1 }, &none, (struct gemm_out){ 0 });
	ok(passed && !differ, "panels made in passing: the same bits (%d of %d products differ)", differ,
		passed);
	qgemm_release();
	return tap_end();
}
