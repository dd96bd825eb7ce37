/* Products: right against double, and the same bits whatever the rows beside, the strides and the threads. */
#include "tap.h"

#include "amx_emu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "tensor/kern.h"

#include <stdlib.h>

static struct rng rng;

static float *numbers(size_t n)
{
	float *x = xmalloc((n + 1) * sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)rng_normal(&rng);
	return x;
}

/* One problem: a [m][k], b [n][k] as PyTorch's weights, c [m][ldc]. */
struct problem {
	enum dtype t;
	size_t m, n, k, ldc;
	float *a, *b, *bias, *c0;
};

static struct problem problem_new(enum dtype t, size_t m, size_t n, size_t k)
{
	return (struct problem){ t, m, n, k, n + 5, numbers(m * k), numbers(n * k), numbers(n),
		numbers(m * (n + 5)) };
}

static void problem_free(struct problem *p)
{
	free(p->a);
	free(p->b);
	free(p->bias);
	free(p->c0);
}

enum how { PLAIN, BIAS, ADD, BOTH, HOWS };

/* x [rows][columns] with element (i, j) at i * rs + j * cs. */
static float *spread(const float *x, size_t rows, size_t columns, size_t rs, size_t cs)
{
	float *y = xcalloc(rows * rs + columns * cs + 1, sizeof *y);
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < columns; j++)
			y[i * rs + j * cs] = x[i * columns + j];
	return y;
}

enum layout { ROWS, COLUMNS, APART, LAYOUTS };

static void strides(enum layout l, size_t rows, size_t columns, size_t *rs, size_t *cs)
{
	*rs = l == ROWS ? columns + columns % 2 + 2 : l == COLUMNS ? 1 : 2 * columns + 3;
	*cs = l == ROWS ? 1 : l == COLUMNS ? rows + 2 : 2;
}

/* x as bf16; x is freed. */
static void *halved(float *x, size_t n)
{
	uint16_t *y = xmalloc((n + 1) * sizeof *y);
	kern()->to_bf16(y, x, n);
	free(x);
	return y;
}

/* Rows of B with k contiguous: where they lie, or copied. */
struct lying {
	const char *p;
	size_t pitch, size; /* bytes of a row, of a number */
};

static const void *lying_rows(
	const void *ctx, size_t j, size_t n, size_t from, size_t k, void *buf, size_t *pitch)
{
	const struct lying *l = ctx;
	const char *at = l->p + j * l->pitch + from * l->size;
	*pitch = l->pitch;
	if (j % 64)
		return at;
	*pitch = k * l->size;
	for (size_t i = 0; i < n; i++)
		memcpy((char *)buf + i * *pitch, at + i * l->pitch, *pitch);
	return buf;
}

static int passed, differ;

/* The same product with panels that are filled from such rows, and with panels that are made in passing. */
static void compare_rows(const struct problem *p, const struct panels *packed, struct mat a, struct mat b,
	struct gemm_out o, const float *want)
{
	struct lying l = { b.p, b.cs * dtype_size(b.t), dtype_size(b.t) };
	struct row_source source = { lying_rows, &l, b.t };
	struct panels filled = *packed, none = { p->t, p->k, p->n, NULL, &source };
	size_t bytes = panels_bytes(p->t, p->k, p->n);
	filled.p = mem_alloc(bytes);
	panels_fill(&filled, &source);
	differ += memcmp(filled.p, packed->p, bytes) != 0;
	mem_free(filled.p, bytes);
	memcpy(o.c, p->c0, p->m * p->ldc * sizeof *o.c);
	gemm(p->m, a, &none, o);
	differ += memcmp(o.c, want, p->m * p->ldc * sizeof *o.c) != 0;
	passed++;
}

/* The product with operands laid out as told, in f32 or (half) in bf16; the result is the caller's. */
static float *product(const struct problem *p, enum how how, enum layout la, enum layout lb, int half)
{
	size_t ars, acs, brs, bcs;
	strides(la, p->m, p->k, &ars, &acs);
	strides(lb, p->n, p->k, &bcs, &brs);
	void *a = spread(p->a, p->m, p->k, ars, acs), *b = spread(p->b, p->n, p->k, bcs, brs);
	if (half) {
		a = halved(a, p->m * ars + p->k * acs);
		b = halved(b, p->n * bcs + p->k * brs);
	}
	enum dtype t = half ? DTYPE_BF16 : DTYPE_F32;
	float *c = xmalloc((p->m * p->ldc + 1) * sizeof *c);
	memcpy(c, p->c0, p->m * p->ldc * sizeof *c);
	struct panels panels = { p->t, p->k, p->n, NULL };
	size_t bytes = panels_bytes(p->t, p->k, p->n);
	panels.p = mem_alloc(bytes);
	panels_pack(&panels, (struct mat){ b, t, brs, bcs });
	struct mat am = { a, t, ars, acs }, bm = { b, t, brs, bcs };
	struct gemm_out o = { c, p->ldc,
		how == ADD    ? c
		: how == BOTH ? p->c0
			      : NULL,
		p->ldc, how == BIAS || how == BOTH ? p->bias : NULL };
	gemm(p->m, am, &panels, o);
	if (brs == 1) {
		float *again = xmalloc((p->m * p->ldc + 1) * sizeof *again);
		o.from = o.from == c ? again : o.from;
		o.c = again;
		compare_rows(p, &panels, am, bm, o, c);
		free(again);
	}
	mem_free(panels.p, bytes);
	free(a);
	free(b);
	return c;
}

static int right(const struct problem *p, enum how how, const float *c)
{
	for (size_t i = 0; i < p->m; i++) {
		for (size_t j = 0; j < p->ldc; j++) {
			size_t at = i * p->ldc + j;
			if (j >= p->n) {
				if (c[at] != p->c0[at])
					return 0;
				continue;
			}
			double bias = how == BIAS || how == BOTH ? p->bias[j] : 0,
			       start = how == ADD || how == BOTH ? p->c0[at] : 0;
			double s = bias + start, size = fabs(bias) + fabs(start);
			for (size_t k = 0; k < p->k; k++) {
				float x = p->a[i * p->k + k], y = p->b[j * p->k + k];
				double t = p->t == DTYPE_BF16
						   ? (double)f32_of_bf16(bf16_of(x)) * f32_of_bf16(bf16_of(y))
						   : (double)x * y;
				s += t;
				size += fabs(t);
			}
			/* a sum of k roundings, each half an ulp of at most the sum of sizes; in practice far
			 * less */
			if (fabs(c[at] - s) > (4 + sqrt((double)p->k)) * 0x1p-24 * size)
				return 0;
		}
	}
	return 1;
}

static int same(const struct problem *p, const float *x, const float *y)
{
	return memcmp(x, y, p->m * p->ldc * sizeof *x) == 0;
}

static void test_shape(enum dtype t, size_t m, size_t n, size_t k)
{
	struct problem p = problem_new(t, m, n, k);
	int good = 1, layouts = 1;
	for (int how = 0; how < HOWS; how++) {
		float *c = product(&p, (enum how)how, ROWS, ROWS, 0);
		good &= right(&p, (enum how)how, c);
		for (int la = 0; la < LAYOUTS; la++)
			for (int lb = 0; lb < LAYOUTS; lb++) {
				for (int half = 0; half <= (t == DTYPE_BF16); half++) {
					float *d = product(
						&p, (enum how)how, (enum layout)la, (enum layout)lb, half);
					layouts &= same(&p, c, d);
					free(d);
				}
			}
		free(c);
	}
	ok(good, "%s %s %zu x %zu x %zu: right, with bias, added", kern()->name, dtype_name(t), m, n, k);
	ok(layouts, "... the same bits from every pair of layouts, packed before or not");
	problem_free(&p);
}

/* Rows one by one, and with more threads, against all at once. */
static void test_bits(enum dtype t, size_t m, size_t n, size_t k)
{
	struct problem p = problem_new(t, m, n, k);
	int rows = 1, threads = 1;
	for (int how = 0; how < HOWS; how++) {
		par_set_threads(1);
		float *c = product(&p, (enum how)how, ROWS, ROWS, 0);
		for (int j = 2; j <= 5; j++) {
			par_set_threads(j);
			float *d = product(&p, (enum how)how, ROWS, ROWS, 0);
			threads &= same(&p, c, d);
			free(d);
		}
		for (size_t i = 0; i < m; i += 1 + i / 3) {
			struct problem one = p;
			one.m = 1 + i % 3 > m - i ? 1 : 1 + i % 3;
			one.a += i * k;
			one.c0 += i * p.ldc;
			float *d = product(&one, (enum how)how, ROWS, ROWS, 0);
			rows &= same(&one, c + i * p.ldc, d);
			free(d);
		}
		free(c);
	}
	ok(rows, "%s %s %zu x %zu x %zu: a row's bits do not depend on the rows beside it", kern()->name,
		dtype_name(t), m, n, k);
	ok(threads, "... nor on the number of threads");
	problem_free(&p);
}

/* Where handed on blocks go: C [m][ldc] and how often each element came. */
struct handed {
	const struct problem *p;
	size_t parts, unit;
	float *c;
	unsigned char *times;
};

static void take(const void *ctx, const struct gemm_block *b)
{
	const struct handed *h = ctx;
	size_t each = h->p->n / h->parts;
	for (size_t i = 0; i < b->rows; i++)
		for (size_t q = 0; q < h->parts; q++)
			for (size_t j = 0; j < b->cols; j++) {
				size_t at = (b->row + i) * h->p->ldc + q * each + b->col + j;
				h->c[at] = b->c[i * b->ldc + q * b->pitch + j];
				h->times[at]++;
			}
	if (b->col % h->unit || (b->cols % h->unit && b->col + b->cols != each))
		for (size_t i = 0; i < b->rows; i++)
			h->times[(b->row + i) * h->p->ldc]++;
}

/* Blocks handed on have the bits of a C in memory, and come once. */
static void test_done(enum dtype t, size_t m, size_t n, size_t k, size_t parts, size_t unit)
{
	struct problem p = problem_new(t, m, n, k);
	size_t bytes = panels_bytes(t, k, n), once = 0;
	struct panels panels = { t, k, n, mem_alloc(bytes) };
	panels_pack(&panels, (struct mat){ p.b, DTYPE_F32, 1, k });
	float *c = product(&p, BIAS, ROWS, ROWS, 0);
	int good = 1;
	for (int threads = 1; threads <= 3; threads++) {
		struct handed h = { &p, parts, unit, xmalloc(m * p.ldc * sizeof *c), xcalloc(m, p.ldc) };
		memcpy(h.c, p.c0, m * p.ldc * sizeof *c);
		par_set_threads(threads);
		gemm(m, (struct mat){ p.a, DTYPE_F32, k, 1 }, &panels,
			(struct gemm_out){
				.bias = p.bias, .done = take, .ctx = &h, .parts = parts, .unit = unit });
		good &= same(&p, c, h.c);
		for (size_t i = 0; i < m * p.ldc; i++)
			once += h.times[i] == (i % p.ldc < n);
		free(h.c);
		free(h.times);
	}
	ok(good, "%s %s %zu x %zu x %zu in blocks of %zu parts, units of %zu: the same bits", kern()->name,
		dtype_name(t), m, n, k, parts, unit);
	ok(once == 3 * m * p.ldc, "... each element once, in whole units");
	free(c);
	mem_free(panels.p, bytes);
	problem_free(&p);
}

int main(void)
{
	amx_emu_begin();
	static const size_t shapes[][3] = {
		{ 1, 1, 1 },
		{ 1, 33, 5 },
		{ 2, 32, 64 },
		{ 15, 31, 17 },
		{ 29, 70, 3 },
		{ 37, 47, 129 },
		{ 5, 3, 800 },
	};
	rng_init(&rng, 2, 0);
	for (size_t i = 0; kern_table[i]; i++) {
		if (kern_select(kern_table[i]->name) < 0) {
			skip("%s: this machine cannot run it", kern_table[i]->name);
			continue;
		}
		for (int t = 0; t < 2; t++) {
			enum dtype type = t ? DTYPE_BF16 : DTYPE_F32;
			for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
				test_shape(type, shapes[s][0], shapes[s][1], shapes[s][2]);
			test_bits(type, 180, 75, 101);
			test_bits(type, 17, 450, 901);
			test_done(type, 400, 1056, 40, 1, 1);
			test_done(type, 200, 1200, 33, 1, 48);
			test_done(type, 190, 1280, 40, 2, 1);
			test_done(type, 30, 210, 2100, 3, 7);
		}
	}
	/* More rows than one chunk holds. */
	kern_select(NULL);
	test_bits(DTYPE_F32, 1500, 40, 1201);
	test_bits(DTYPE_BF16, 30, 40, 4500);
	struct panels none = { DTYPE_F32, 4, 0, NULL };
	gemm(0, (struct mat){ NULL, DTYPE_F32, 4, 1 }, &none, (struct gemm_out){ 0 });
	ok(passed && !differ, "panels made in passing: the same bits (%d of %d products differ)", differ,
		passed);
	gemm_release();
	return tap_end();
}
