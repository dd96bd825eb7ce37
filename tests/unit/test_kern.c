/* Every row of the kernel table against the scalar one and against double precision, on odd sizes. */
#include "tap.h"

#include "amx_emu.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/dtype.h"
#include "tensor/kern.h"

#include <stdint.h>
#include <stdlib.h>

#define GUARD 12345.0f
#define SPECIALS 8

static struct rng rng;

static float number(void)
{
	return (float)rng_normal(&rng);
}

static float *numbers(size_t n)
{
	float *x = xmalloc((n + 1) * sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = number();
	return x;
}

static int same(const void *a, const void *b, size_t n)
{
	return memcmp(a, b, n) == 0;
}

/* --- tiles --- */

/* A tile against sums in double; also that nothing outside [m, n] is written. start: 0 zero, 1 a bias, 2 C;
 * rows: A is not packed, but lies in rows. */
static int tile_right(const struct kern *kn, int bf16, size_t k, size_t m, size_t n, int start, int rows)
{
	size_t nr = bf16 ? kn->nr16 : kn->nr, ldc = nr + 3;
	float *a = numbers(m * k), *b = numbers(nr * k), *bias = numbers(nr), *c = numbers((m + 1) * ldc);
	float *old = xmalloc((m + 1) * ldc * sizeof *old);
	for (size_t i = 0; i < (m + 1) * ldc; i++)
		if (i / ldc >= m || i % ldc >= n)
			c[i] = GUARD;
	memcpy(old, c, (m + 1) * ldc * sizeof *c);
	size_t lda = k + 5 - k % 2, pa_bytes = (m * lda + m) * 4;
	float *pa = mem_alloc(pa_bytes), *pb = mem_alloc((nr * k + nr) * 4);
	const float *c0 = start == 0 ? NULL : start == 1 ? bias : c;
	size_t ld0 = start == 2 ? ldc : 0;
	if (bf16) {
		uint16_t *ha = (uint16_t *)(void *)pa, *hb = (uint16_t *)(void *)pb;
		for (size_t i = 0; rows && i < m; i++)
			kn->to_bf16(ha + i * (lda + 1), a + i * k, k);
		size_t ars = (lda + 1) / 2, aks = 1;
		if (!rows && kn->pack_rows_bf16) {
			kn->pack_rows_bf16(ha, ars, a, 1, k, k, m);
		} else if (!rows) {
			kn->pack_bf16(ha, m, a, 1, k, k, m);
			ars = 1;
			aks = m;
		}
		kn->pack_bf16(hb, nr, b, 1, k, k, n);
		tiles_begin(kn);
		kn->tile_bf16(k, ha, ars, aks, hb, c0, ld0, c, ldc, m, n);
		tiles_end(kn);
	} else {
		for (size_t i = 0; rows && i < m; i++)
			memcpy(pa + i * lda, a + i * k, k * sizeof *pa);
		if (!rows)
			kn->pack_f32(pa, m, a, 1, k, k, m);
		kn->pack_f32(pb, nr, b, 1, k, k, n);
		kn->tile_f32(k, pa, rows ? lda : 1, rows ? 1 : m, pb, c0, ld0, c, ldc, m, n);
	}
	int right = 1;
	for (size_t i = 0; i < (m + 1) * ldc; i++) {
		size_t r = i / ldc, j = i % ldc;
		if (r >= m || j >= n) {
			right &= c[i] == GUARD;
			continue;
		}
		double s = start == 0 ? 0 : start == 1 ? bias[j] : old[i], size = fabs(s);
		for (size_t x = 0; x < k; x++) {
			float p = a[r * k + x], q = b[j * k + x];
			double t = bf16 ? (double)f32_of_bf16(bf16_of(p)) * f32_of_bf16(bf16_of(q))
					: (double)p * q;
			s += t;
			size += fabs(t);
		}
		right &= fabs(c[i] - s) <= (double)(k + 1) * 0x1p-24 * size;
	}
	mem_free(pa, pa_bytes);
	mem_free(pb, (nr * k + nr) * 4);
	free(a);
	free(b);
	free(bias);
	free(c);
	free(old);
	return right;
}

static void test_tiles(const struct kern *kn, int bf16)
{
	static const size_t ks[] = { 0, 1, 2, 3, 16, 37, 96 };
	size_t mr = bf16 ? kn->mr16 : kn->mr, nr = bf16 ? kn->nr16 : kn->nr;
	size_t ns[] = { 1, nr / 2 + 1, nr - 1, nr };
	int right = 1;
	for (size_t m = 1; m <= mr; m++)
		for (size_t n = 0; n < 4; n++)
			for (size_t k = 0; k < sizeof ks / sizeof *ks; k++)
				for (int how = 0; how < 6; how++)
					right &= tile_right(kn, bf16, ks[k], m, ns[n], how % 3, how / 3);
	ok(right, "%s: %s tiles of every size, within k roundings of double", kn->name,
		bf16 ? "bf16" : "f32");
}

/* --- packing --- */

/* Rows of ld pairs against the same packed for columns; what lies behind each row stays. */
static int rows_same(const uint16_t *rows, size_t ld, const uint16_t *packed, size_t k, size_t n)
{
	int right = 1;
	for (size_t j = 0; j < n; j++)
		for (size_t i = 0; i < 2 * ld; i++)
			right &= rows[2 * j * ld + i] ==
				 (i < k + k % 2 ? packed[(i / 2 * n + j) * 2 + i % 2] : 0xbeef);
	return right;
}

/* x as f32 and as bf16 into rows. */
static int pack_rows_right(
	const struct kern *kn, const float *x, const uint16_t *half, size_t ks, size_t js, size_t k, size_t n)
{
	size_t ld = k / 2 + 3, size = 2 * ld * n;
	uint16_t *rows = xcalloc(size + 1, sizeof *rows), *want = xcalloc((k + 1) * n + 1, sizeof *want);
	int right = 1;
	kern_table[0]->pack_bf16(want, n, x, ks, js, k, n);
	for (int from_half = 0; from_half < 2; from_half++) {
		for (size_t i = 0; i < size; i++)
			rows[i] = 0xbeef;
		if (from_half)
			kn->repack_rows_bf16(rows, ld, half, ks, js, k, n);
		else
			kn->pack_rows_bf16(rows, ld, x, ks, js, k, n);
		right &= rows_same(rows, ld, want, k, n);
	}
	free(rows);
	free(want);
	return right;
}

static int pack_same(const struct kern *kn, size_t width, size_t n, size_t k, size_t ks, size_t js)
{
	const struct kern *plain = kern_table[0];
	float *x = numbers(k * ks + n * js + 1);
	/* exactly the last element ends the allocation, so that a sanitizer sees a read past it */
	size_t used = k && n ? (k - 1) * ks + (n - 1) * js + 1 : 0;
	float *tight = xmalloc(used * sizeof *x + 1);
	memcpy(tight, x, used * sizeof *x);
	if (used)
		tight[used / 2] = NAN;
	if (used > 3)
		tight[used / 3] = -INFINITY;
	size_t bytes = (k + 1) * width * 4;
	char *got = mem_alloc(bytes), *want = mem_alloc(bytes);
	kn->pack_f32((float *)(void *)got, width, tight, ks, js, k, n);
	plain->pack_f32((float *)(void *)want, width, tight, ks, js, k, n);
	int right = same(got, want, bytes);
	kn->pack_bf16((uint16_t *)(void *)got, width, tight, ks, js, k, n);
	plain->pack_bf16((uint16_t *)(void *)want, width, tight, ks, js, k, n);
	right &= same(got, want, bytes);
	uint16_t *half = xmalloc(used * sizeof *half + 1);
	plain->to_bf16(half, tight, used);
	memset(got, 0, bytes);
	memset(want, 0, bytes);
	plain->pack_bf16((uint16_t *)(void *)want, width, tight, ks, js, k, n);
	kn->repack_bf16((uint16_t *)(void *)got, width, half, ks, js, k, n);
	right &= same(got, want, bytes);
	if (kn->pack_rows_bf16)
		right &= pack_rows_right(kn, tight, half, ks, js, k, n);
	free(half);
	mem_free(got, bytes);
	mem_free(want, bytes);
	free(tight);
	free(x);
	return right;
}

static void test_packing(const struct kern *kn)
{
	static const size_t widths[] = { 1, 3, 6, 8, 14, 16, 32 }, ks[] = { 0, 1, 2, 7, 8, 17, 32, 35, 64 };
	int right = 1;
	for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
		for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
			for (size_t n = 0; n <= widths[w]; n += n + 5 < widths[w] ? 5 : 1) {
				right &= pack_same(kn, widths[w], n, ks[i], widths[w] + 2, 1);
				right &= pack_same(kn, widths[w], n, ks[i], 1, ks[i] + 3);
				right &= pack_same(kn, widths[w], n, ks[i], 3, 2);
			}
	ok(right, "%s: packing from all strides, bits as scalar", kn->name);
}

/* --- rows --- */

/* All results of the row kernels on x, y, z of n values, one behind another. */
static void all_rows(
	const struct kern *kn, const float *x, const float *y, const float *z, size_t n, float *out)
{
	float *o = out;
	*o++ = kn->sum(x, n);
	*o++ = kn->dot(x, y, n);
	*o++ = kn->max(x, n);
	*o++ = kn->lse(x, 0.7f, n);
#define NEXT (memcpy(o, y, n * sizeof *o), o += n, o - n)
	kn->add(NEXT, x, n);
	kn->axpy(NEXT, 0.3f, x, n);
	kn->scale(NEXT, 0.3f, x, n);
	kn->mul(NEXT, x, z, n);
	float *e = NEXT;
	*o++ = kn->exp_sum(e, x, 0.5f, n);
	kn->silu(NEXT, x, n);
	kn->silu_back(NEXT, y, x, n);
	kn->gelu_tanh(NEXT, x, n);
	kn->gelu_tanh_back(NEXT, y, x, n);
	float *w = NEXT, *m = NEXT, *v = NEXT;
	kn->mul(v, v, v, n);
	kn->adamw(w, m, v, x, n, 0.9f, 1e-2f, 0.9f, 0.95f, 1e-8f, 1e-3f, 0.2f, 0.1f);
	float *s = NEXT, *p = NEXT, *dp = NEXT;
	o[0] = 0.2f;
	o[1] = 3;
	o[2] = kn->softmax_step(s, n, 0.8f, &o[0], &o[1]);
	o += 3;
	kn->softmax_back(p, dp, n, 0.8f, 1.5f, 0.3f);
	float *g = NEXT, *dx = NEXT, *dw = NEXT, *db = NEXT;
	kn->norm(g, DTYPE_F32, x, y, z, 1, 1e-5f, o, n);
	kn->norm_back(dx, 1, dw, db, y, x, z, 1, o, n);
	o += 2;
	g = NEXT, dx = NEXT, dw = NEXT;
	kn->norm(g, DTYPE_F32, x, y, NULL, 0, 1e-5f, o, n);
	kn->norm_back(dx, 0, dw, NULL, y, x, z, 0, o, n);
	o += 2;
	kn->rotate(NEXT, x, z, -1, n / 2);
	float *h = NEXT;
	memset(h, 0, n * sizeof *h);
	kn->to_bf16((uint16_t *)(void *)h, x, n);
	float *c = NEXT;
	memcpy(c, x, n * sizeof *c);
	kn->mx_round(c, n);
	int8_t *q = (int8_t *)NEXT;
	memset(q, 0, n * sizeof *c);
	for (size_t i = 0; i < n; i += MX_GROUP)
		q[n + i / MX_GROUP] = (int8_t)kn->mx_write(q + i, x + i, least(MX_GROUP, n - i));
	float *powers = NEXT;
	kn->mx_powers(powers, (const uint8_t *)q, n);
	size_t whole = least(n / 4 * 2, MX_COLUMNS);
	kn->mx_read_columns(NEXT, DTYPE_F32, q, z, whole, 2);
	kn->mx_read_columns(NEXT, DTYPE_BF16, q, z, whole, 2);
	kn->mx_read_rows(NEXT, DTYPE_F32, q, z, 1, whole, 2);
	kn->mx_read_rows(NEXT, DTYPE_BF16, q, z, n > 3 ? 2 : 1, whole, 2);
#undef NEXT
}

/* Against its definition; and coding is exact the second time, also for what has no bits to spare. */
static void test_mx(void)
{
	static const float scales[] = { 1, 1e-20f, 1e-30f, 1e-38f, 1e-44f, 1e30f, 3e37f, 0 };
	const struct kern *kn = kern_table[0];
	double worst = 0;
	int right = 1;
	for (size_t s = 0; s < sizeof scales / sizeof *scales; s++)
		for (size_t i = 0; i < 200; i++) {
			float *x = numbers(MX_GROUP), y[MX_GROUP], again[MX_GROUP], back[MX_GROUP],
			      largest = 0;
			int8_t q[MX_GROUP];
			for (size_t j = 0; j < MX_GROUP; j++) {
				/* the largest on either side of where it rounds to 128 */
				x[j] = j       ? x[j] / 8
				       : i % 4 ? x[j]
					       : 0.5f * (127.4f + 0.05f * (float)(i % 5)) / 64;
				x[j] *= scales[s];
				largest = fmaxf(largest, fabsf(x[j]));
			}
			memcpy(y, x, sizeof y);
			kn->mx_round(y, MX_GROUP);
			for (size_t j = 0; j < MX_GROUP && largest > 1e-30f; j++)
				worst = fmax(worst, fabs((double)(y[j] - x[j])) / largest);
			memcpy(again, y, sizeof y);
			kn->mx_round(again, MX_GROUP);
			right &= memcmp(y, again, sizeof y) == 0;
			unsigned e = kn->mx_write(q, x, MX_GROUP);
			uint8_t power = (uint8_t)e;
			float p;
			kn->mx_powers(&p, &power, 1);
			for (size_t j = 0; j < MX_GROUP; j++) {
				back[j] = (float)q[j] * p;
				right &= q[j] != -128 && back[j] == y[j];
			}
			free(x);
		}
	ok(right, "8 bits of a shared power: what was rounded is exact");
	ok(worst > 1.0 / 256 && worst <= 1.0 / 127, "and off by half a step at most: %.4f of the largest",
		worst);
	float bad[MX_GROUP] = { 1, NAN }, p;
	int8_t q[MX_GROUP];
	uint8_t e = (uint8_t)kn->mx_write(q, bad, MX_GROUP);
	kn->mx_powers(&p, &e, 1);
	kn->mx_round(bad, MX_GROUP);
	ok(isinf(p) && isnan(bad[0]), "what is no number shows");
}

static void test_rows(const struct kern *kn)
{
	int right = 1;
	for (size_t n = 1; n < 600; n += n < 70 ? 1 : 53) {
		size_t total = 33 * n + 12;
		float *x = numbers(n), *y = numbers(n), *z = numbers(n);
		float *got = xcalloc(total, sizeof *got), *want = xcalloc(total, sizeof *want);
		all_rows(kn, x, y, z, n, got);
		all_rows(kern_table[0], x, y, z, n, want);
		if (!same(got, want, total * sizeof *got)) {
			right = 0;
			printf("# n = %zu differs\n", n);
		}
		free(x);
		free(y);
		free(z);
		free(got);
		free(want);
	}
	ok(right, "%s: row kernels give the bits of scalar", kn->name);
}

static double relative(double got, double want)
{
	return fabs(got - want) / fabs(want);
}

static void test_exp(const struct kern *kn)
{
	enum { N = 4096 };
	static float x[N], y[N];
	double worst = 0;
	int zeros = 1;
	for (int part = 0; part < 50; part++) {
		for (size_t i = 0; i < N; i++)
			x[i] = -86.5f + (float)(part * N + (int)i) * (174.8f / (50 * N));
		kn->exp_sum(y, x, 0, N);
		for (size_t i = 0; i < N; i++)
			worst = fmax(worst, relative(y[i], exp(x[i])));
	}
	ok(worst < 2e-7, "%s: exp over [-86.5, 88.3], relative error %.2g", kn->name, worst);
	for (size_t i = 0; i < N; i++)
		x[i] = -86.7f - (float)i;
	kn->exp_sum(y, x, 0, N);
	for (size_t i = 0; i < N; i++)
		zeros &= y[i] == 0;
	ok(zeros, "%s: exp below its range is zero", kn->name);
	float in[SPECIALS] = { -INFINITY, INFINITY, NAN, 0, -0.0f, 89, 88.37f, 1e-30f };
	kn->exp_sum(y, in, 0, SPECIALS);
	ok(y[0] == 0 && y[1] == INFINITY && isnan(y[2]) && y[3] == 1 && y[4] == 1 && y[5] == INFINITY &&
			y[6] < INFINITY && y[7] == 1,
		"%s: exp of infinities, NaN, zeros and the limit", kn->name);
}

static void test_lse(const struct kern *kn)
{
	double worst = 0;
	for (size_t n = 1; n < 6000; n = n * 2 + 1) {
		float *x = numbers(n);
		double s = 0;
		for (size_t i = 0; i < n; i++)
			s += exp((double)(x[i] *= 8) * 1.25);
		worst = fmax(worst, fabs(kn->lse(x, 1.25f, n) - log(s)) / fmax(1, fabs(log(s))));
		free(x);
	}
	ok(worst < 4e-7, "%s: log-sum-exp, error %.2g", kn->name, worst);
	float none[] = { -INFINITY, -INFINITY }, inf[] = { 1, INFINITY }, nan[] = { 1, NAN },
	      big[] = { 1e30f, -1e30f };
	float nans[] = { NAN, NAN };
	ok(kn->lse(none, 1, 2) == -INFINITY && kn->lse(inf, 1, 2) == INFINITY && isnan(kn->lse(nan, 1, 2)) &&
			isnan(kn->lse(nans, 1, 2)) && kn->lse(big, 1, 2) == 1e30f,
		"%s: log-sum-exp of infinities and NaN", kn->name);
}

/* Values and slopes against double precision. */
static void test_activations(const struct kern *kn)
{
	enum { N = 4001 };
	static float x[N], y[N], dy[N], one[N], dx[N];
	double silu = 0, gelu = 0;
	for (size_t i = 0; i < N; i++) {
		x[i] = ((float)i - 2000) / 100;
		one[i] = 1;
	}
	kn->silu(y, x, N);
	kn->silu_back(dx, one, x, N);
	for (size_t i = 0; i < N; i++) {
		double s = 1 / (1 + exp(-(double)x[i]));
		silu = fmax(silu, fabs(y[i] - x[i] * s) / fmax(1e-3, fabs(x[i] * s)));
		silu = fmax(silu, fabs(dx[i] - s * (1 + x[i] * (1 - s))));
	}
	ok(silu < 4e-7, "%s: SiLU and its derivative, error %.2g", kn->name, silu);
	kn->gelu_tanh(y, x, N);
	kn->gelu_tanh_back(dy, one, x, N);
	for (size_t i = 0; i < N; i++) {
		double t = x[i], u = 0.7978845608028654 * (t + 0.044715 * t * t * t), h = tanh(u);
		double slope = 0.5 * (1 + h) +
			       0.5 * t * (1 - h * h) * 0.7978845608028654 * (1 + 3 * 0.044715 * t * t);
		gelu = fmax(gelu, fabs(y[i] - 0.5 * t * (1 + h)) / fmax(1, fabs(t)));
		gelu = fmax(gelu, fabs(dy[i] - slope));
	}
	ok(gelu < 8e-7, "%s: GELU and its derivative, error %.2g", kn->name, gelu);
}

static void test_adamw(const struct kern *kn)
{
	float w = 0.5f, m = 0.1f, v = 0.02f, g = -0.3f;
	double lr = 0.01, b1 = 0.9, b2 = 0.95, gs = 0.5 * -0.3f;
	double m1 = b1 * 0.1f + (1 - b1) * gs, v1 = b2 * 0.02f + (1 - b2) * gs * gs;
	double w1 = 0.5 - 0.001 * 0.5 - lr * (m1 / 0.19) / (sqrt(v1 / 0.0975) + 1e-8);
	kn->adamw(&w, &m, &v, &g, 1, 0.5f, 0.01f, 0.9f, 0.95f, 1e-8f, 0.001f, 0.19f, 0.0975f);
	ok(relative(w, w1) < 3e-7 && relative(m, m1) < 3e-7 && relative(v, v1) < 3e-7,
		"%s: AdamW as the paper has it", kn->name);
}

/* The mean is far from 0 and the weights are not 1. */
static void test_norm(const struct kern *kn, int centred)
{
	enum { N = 77 };
	float x[N], w[N], b[N], dy[N], y[N], dx[N], dw[N] = { 0 }, db[N] = { 0 }, stat[2];
	double mean = 0, var = 0, g = 0, gu = 0, forward = 0, back = 0;
	for (size_t i = 0; i < N; i++) {
		mean += (x[i] = number() + 2) / N;
		w[i] = number() + 1;
		b[i] = number();
		dy[i] = number();
	}
	mean = centred ? mean : 0;
	for (size_t i = 0; i < N; i++)
		var += (x[i] - mean) * (x[i] - mean) / N;
	double r = 1 / sqrt(var + 1e-5);
	for (size_t i = 0; i < N; i++) {
		g += (double)dy[i] * w[i] / N;
		gu += (double)dy[i] * w[i] * (x[i] - mean) * r / N;
	}
	kn->norm(y, DTYPE_F32, x, w, b, centred, 1e-5f, stat, N);
	kn->norm_back(dx, 0, dw, db, dy, x, w, centred, stat, N);
	for (size_t i = 0; i < N; i++) {
		double u = (x[i] - mean) * r;
		forward = fmax(forward, fabs(y[i] - (u * w[i] + b[i])));
		back = fmax(back, fabs(dx[i] - r * ((double)dy[i] * w[i] - u * gu - (centred ? g : 0))));
		back = fmax(back, fabs(dw[i] - dy[i] * u));
		back = fmax(back, fabs(db[i] - dy[i]));
	}
	ok(forward < 2e-6 && back < 2e-6, "%s: %s and its way back, errors %.2g, %.2g", kn->name,
		centred ? "LayerNorm" : "RMSNorm", forward, back);
}

static void test_softmax(const struct kern *kn)
{
	enum { N = 192 };
	float x[N], m = -1e30f, l = 0;
	double s = 0, worst = 0;
	for (size_t i = 0; i < N; i++)
		s += exp((x[i] = 6 * number()) * 0.5);
	float copy[N], hidden[3] = { -INFINITY, -INFINITY, -INFINITY };
	memcpy(copy, x, sizeof x);
	float shrink = kn->softmax_step(hidden, 3, 1, &m, &l);
	ok(shrink == 1 && l == 0 && m == -1e30f && hidden[1] == 0, "%s: a block without keys changes nothing",
		kn->name);
	for (size_t i = 0; i < N; i += 64)
		kn->softmax_step(copy + i, 64, 0.5f, &m, &l);
	worst = fabs(m + log(l) - log(s));
	ok(worst < 1e-6, "%s: softmax with a running maximum, error %.2g", kn->name, worst);
}

static void test_bf16(const struct kern *kn)
{
	float x[] = { 1, -1, 0, -0.0f, INFINITY, -INFINITY, 3.4e38f, 1.00390625f, 1.01171875f, 1e-40f, NAN,
		-NAN, 1e-45f };
	enum { N = sizeof x / sizeof *x };
	uint16_t y[N];
	int right = 1;
	kn->to_bf16(y, x, N);
	for (size_t i = 0; i < N; i++)
		right &= y[i] == bf16_of(x[i]);
	right &= isnan(f32_of_bf16(y[10])) && isnan(f32_of_bf16(y[11])) && f32_of_bf16(y[6]) == INFINITY;
	right &= f32_of_bf16(y[7]) == 1 && f32_of_bf16(y[8]) == 1.015625f; /* halves go to even */
	ok(right, "%s: bf16 rounds to nearest even, keeps NaN and infinity", kn->name);
	/* Around the caches: the same, wherever a row begins and ends. */
	enum { MOST = 200 };
	float many[MOST];
	uint16_t got[MOST + 2], want[MOST];
	int same_bits = 1;
	for (size_t i = 0; i < MOST; i++)
		many[i] = i % 5 ? 100 * number() : x[i / 5 % N];
	kn->to_bf16(want, many, MOST);
	for (size_t from = 0; from < 70; from++)
		for (size_t n = 0; n + from <= MOST; n += 1 + n / 9) {
			memset(got, 0x55, sizeof got);
			kn->stream_bf16(got + 1 + from, many + from, n);
			stream_end(kn);
			same_bits &= memcmp(got + 1 + from, want + from, n * sizeof *got) == 0 &&
				     got[from] == 0x5555 && got[1 + from + n] == 0x5555;
		}
	ok(same_bits, "%s: the same around the caches", kn->name);
}

/* --- narrow moments --- */

/* The smallest distance of t from any value of the code. */
static double code_distance(double t, int is_signed)
{
	uint8_t q[256];
	float v[256];
	double best = 2;
	for (int i = 0; i < 256; i++)
		q[i] = (uint8_t)i;
	kern_table[0]->code8_read(v, q, 1, is_signed, 256);
	for (int i = 0; i < 256; i++)
		best = fmin(best, fabs((double)v[i] - t));
	return best;
}

static void test_code8(const struct kern *kn, int is_signed)
{
	enum { N = 256 };
	uint8_t q[N], all[N];
	float x[N], y[N];
	int steps = 0, near = 1, positive = 1;
	for (int i = 0; i < N; i++)
		all[i] = (uint8_t)i;
	kn->code8_read(y, all, 1, is_signed, N);
	for (int i = 1; i < N; i++)
		steps += y[i] > y[i - 1];
	ok(steps == 255 && y[255] == 1 && y[is_signed ? 127 : 0] == 0, "%s: 256 values in order", kn->name);
	/* The first and last of each side, as the paper's authors' library has them. */
	ok_near(y[254], is_signed ? 1 - 0.45 / 64 : 1 - 0.45 / 128, 1e-7, "%s: below one", kn->name);
	ok_near(y[is_signed ? 128 : 1] / (is_signed ? 0.55e-6 : 0.325e-6), 1, 1e-6, "%s: above zero",
		kn->name);
	kn->code8_write(q, y, is_signed, N);
	ok(same(q, all, N), "%s: every value is its own code", kn->name);
	for (int r = 0; r < 200; r++) {
		for (int i = 0; i < N; i++) {
			x[i] = expf(-16 * (float)rng_uniform(&rng)) * 3.0f;
			x[i] = is_signed && rng_u64(&rng) & 1 ? -x[i] : x[i];
		}
		size_t n = (size_t)(1 + rng_below(&rng, N));
		float scale = kn->code8_write(q, x, is_signed, n);
		ok(same(&scale, &(float){ kern_table[0]->code8_write(all, x, is_signed, n) }, 4) &&
				same(q, all, n),
			"%s: the scalar row's code", kn->name);
		kn->code8_read(y, q, scale, is_signed, n);
		for (size_t i = 0; i < n; i++) {
			double t = (double)x[i] / (double)scale, got = (double)y[i] / (double)scale;
			near &= fabs(got - t) <= code_distance(t, is_signed) + 2e-6 * fabs(t) + 1e-9 ||
				(!is_signed && t < 0.2e-6);
			positive &= is_signed || y[i] > 0;
		}
	}
	ok(near, "%s: the nearest value", kn->name);
	ok(positive, "%s: what is above zero stays so", kn->name);
	float none[3] = { 0, 0, 0 };
	ok(kn->code8_write(q, none, is_signed, 3) == 0, "%s: a block of zeros", kn->name);
	kn->code8_read(y, q, 0, is_signed, 3);
	ok(y[0] == 0 && y[2] == 0, "%s: and back", kn->name);
}

static void test_random_bf16(const struct kern *kn)
{
	enum { N = 4096 };
	static float x[N], back[N];
	static uint16_t y[N], z[N];
	for (size_t i = 0; i < N; i++)
		x[i] = 1.0f + 0x1p-7f * 0.3f;
	kn->random_bf16(y, x, 77, N);
	kern_table[0]->random_bf16(z, x, 77, N);
	ok(same(y, z, sizeof y), "%s: the scalar row's rounding", kn->name);
	kn->random_bf16(z, x, 78, N);
	ok(!same(y, z, sizeof y), "%s: another key, other numbers", kn->name);
	kn->of_bf16(back, y, N);
	int up = 0, between = 1;
	for (size_t i = 0; i < N; i++) {
		up += back[i] == 1.0f + 0x1p-7f;
		between &= back[i] == 1.0f || back[i] == 1.0f + 0x1p-7f;
	}
	ok(between, "%s: one of the two neighbours", kn->name);
	/* Four standard deviations of 4096 draws. */
	ok_near(up / (double)N, 0.3, 0.029, "%s: as often as near", kn->name);
	for (size_t i = 0; i < N; i++)
		x[i] = back[i];
	kn->random_bf16(z, x, 5, N);
	ok(same(y, z, sizeof y), "%s: what bf16 holds stays", kn->name);
}

int main(void)
{
	amx_emu_begin();
	rng_init(&rng, 1, 0);
	setenv("QUERN_ISA", "scalar", 1);
	struct err e;
	ok(kern_check(&e) == 0 && strcmp(kern()->name, "scalar") == 0, "QUERN_ISA forces a row");
	setenv("QUERN_ISA", "avx1024", 1);
	ok(kern_check(&e) < 0, "an unknown QUERN_ISA is refused");
	ok_str(e.msg, "QUERN_ISA: no instruction set is called 'avx1024'", "... and named");
	unsetenv("QUERN_ISA");
	ok(kern_check(&e) == 0 && kern_select(NULL) == 0 && kern()->supported(), "the best row is chosen");
	ok(kern_select("no such set") == -1, "an unknown name is refused");
	test_mx();
	for (size_t i = 0; kern_table[i]; i++) {
		const struct kern *kn = kern_table[i];
		if (kern_select(kn->name) < 0) {
			skip("%s: this machine cannot run it", kn->name);
			continue;
		}
		test_tiles(kn, 0);
		test_tiles(kn, 1);
		test_packing(kn);
		test_rows(kn);
		test_exp(kn);
		test_lse(kn);
		test_activations(kn);
		test_adamw(kn);
		test_code8(kn, 0);
		test_code8(kn, 1);
		test_random_bf16(kn);
		test_norm(kn, 0);
		test_norm(kn, 1);
		test_softmax(kn);
		test_bf16(kn);
	}
	return tap_end();
}
