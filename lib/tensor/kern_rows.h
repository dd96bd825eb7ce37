/*
 * kern_rows: the row kernels in plain C, included by every kern_ISA.c and compiled with its flags.
 *
 * The compiler vectorises these loops without -ffast-math, because a sum runs in LANES partial sums (element
 * i goes to lane i % LANES) that are added in a fixed tree: the same order, so the same bits, whatever the
 * vector length.
 */
#ifndef QUERN_KERN_ROWS_H
#define QUERN_KERN_ROWS_H

#include "tensor/dtype.h"
#include "tensor/kern.h"
#include "tensor/kern_moment.h"
#include "tensor/kern_quant.h"

#include <math.h>
#include <string.h>

#define LANES 32

static inline float bits_f32(uint32_t u)
{
	union {
		uint32_t u;
		float f;
	} x = { u };
	return x.f;
}

static inline uint32_t f32_bits(float f)
{
	union {
		float f;
		uint32_t u;
	} x = { f };
	return x.u;
}

#include "tensor/kern_mx.h"

/*
 * exp(x) = 2^n exp(r), n = round(x / ln 2), r = x - n ln 2 in two parts (Cody and Waite 1980),
 * exp(r) by the polynomial of Cephes' expf. Adding 1.5 * 2^23 rounds and leaves n in the low bits. From
 * n = 128 on, above 88.37, 2^n is infinite. fmaf is asked for, so that all sets give the same bits; where the
 * processor has none, the C library computes it.
 */
static inline float exp_f32(float x)
{
	x = x > 88.8f ? 88.8f : x;
	float t = fmaf(x, 1.44269504f, 12582912.0f);
	float n = t - 12582912.0f;
	float r = fmaf(n, 2.12194440e-4f, fmaf(n, -0.693359375f, x));
	float p = fmaf(1.9875691500e-4f, r, 1.3981999507e-3f);
	p = fmaf(p, r, 8.3334519073e-3f);
	p = fmaf(p, r, 4.1665795894e-2f);
	p = fmaf(p, r, 1.6666665459e-1f);
	p = fmaf(p, r, 5.0000001201e-1f);
	float y = (fmaf(p, r * r, r) + 1.0f) * bits_f32((f32_bits(t) + 127) << 23);
	return x < -86.6f ? 0.0f : y;
}

static inline float tree_sum(float *s)
{
	for (size_t w = LANES / 2; w; w /= 2)
		for (size_t j = 0; j < w; j++)
			s[j] += s[j + w];
	return s[0];
}

static inline float row_sum(const float *x, size_t n)
{
	float s[LANES] = { 0 };
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			s[j] += x[i + j];
	for (size_t j = 0; i + j < n; j++)
		s[j] += x[i + j];
	return tree_sum(s);
}

static float row_dot(const float *x, const float *y, size_t n)
{
	float s[LANES] = { 0 };
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			s[j] += x[i + j] * y[i + j];
	for (size_t j = 0; i + j < n; j++)
		s[j] += x[i + j] * y[i + j];
	return tree_sum(s);
}

static inline float row_max(const float *x, size_t n)
{
	float s[LANES];
	for (size_t j = 0; j < LANES; j++)
		s[j] = -(float)INFINITY;
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			s[j] = x[i + j] > s[j] ? x[i + j] : s[j];
	for (size_t j = 0; i + j < n; j++)
		s[j] = x[i + j] > s[j] ? x[i + j] : s[j];
	for (size_t w = LANES / 2; w; w /= 2)
		for (size_t j = 0; j < w; j++)
			s[j] = s[j + w] > s[j] ? s[j + w] : s[j];
	return s[0];
}

static void row_add(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += x[i];
}

static void row_axpy(float *y, float a, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] += a * x[i];
}

static void row_scale(float *y, float a, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = a * x[i];
}

static void row_mul(float *y, const float *x, const float *z, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * z[i];
}

static float row_exp_sum(float *y, const float *x, float shift, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = exp_f32(x[i] - shift);
	return row_sum(y, n);
}

static float row_lse(const float *x, float scale, size_t n)
{
	float s[LANES] = { 0 }, m = row_max(x, n) * scale;
	if (m == (float)INFINITY)
		return m;
	if (m == -(float)INFINITY) {
		float t = row_sum(x, n);
		return t != t ? t : m;
	}
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			s[j] += exp_f32(x[i + j] * scale - m);
	for (size_t j = 0; i + j < n; j++)
		s[j] += exp_f32(x[i + j] * scale - m);
	return m + logf(tree_sum(s));
}

struct sigmoid {
	float s, rest; /* sigmoid(x) and 1 - sigmoid(x), both to full relative precision */
};

static inline struct sigmoid sigmoid_f32(float x)
{
	float e = exp_f32(-fabsf(x)), big = 1.0f / (1.0f + e), small = e * big;
	return (struct sigmoid){ x < 0 ? small : big, x < 0 ? big : small };
}

static void row_silu(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * sigmoid_f32(x[i]).s;
}

static void row_silu_back(float *dx, const float *dy, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct sigmoid g = sigmoid_f32(x[i]);
		dx[i] = dy[i] * (g.s * (1.0f + x[i] * g.rest));
	}
}

/* x (1 + tanh u) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks & Gimpel 2016). */
#define GELU_2A 1.5957691216f
#define GELU_B 0.044715f

static void row_gelu_tanh(float *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * sigmoid_f32(GELU_2A * (x[i] + GELU_B * x[i] * x[i] * x[i])).s;
}

static void row_gelu_tanh_back(float *dx, const float *dy, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float q = x[i] * x[i];
		struct sigmoid g = sigmoid_f32(GELU_2A * (x[i] + GELU_B * q * x[i]));
		dx[i] = dy[i] * (g.s * (1.0f + x[i] * g.rest * (GELU_2A * (1.0f + 3.0f * GELU_B * q))));
	}
}

static void row_adamw(float *w, float *m, float *v, const float *g, size_t n, float gscale, float lr,
	float beta1, float beta2, float eps, float decay, float c1, float c2)
{
	float step = lr / c1, root = 1.0f / sqrtf(c2);
	for (size_t i = 0; i < n; i++) {
		float d = g[i] * gscale;
		float mi = m[i] + (1.0f - beta1) * (d - m[i]);
		float vi = beta2 * v[i] + (1.0f - beta2) * (d * d);
		m[i] = mi;
		v[i] = vi;
		w[i] = w[i] - decay * w[i] - step * mi / (sqrtf(vi) * root + eps);
	}
}

static void row_to_bf16(uint16_t *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = bf16_of(x[i]);
}

static void row_of_bf16(float *y, const uint16_t *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = f32_of_bf16(x[i]);
}

/* sum of (x - mean)^2 */
static float square_sum(const float *x, float mean, size_t n)
{
	float s[LANES] = { 0 };
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++)
			s[j] += (x[i + j] - mean) * (x[i + j] - mean);
	for (size_t j = 0; i + j < n; j++)
		s[j] += (x[i + j] - mean) * (x[i + j] - mean);
	return tree_sum(s);
}

static inline void norm_apply(void *y, const int half, const float *x, const float *w, const float *b,
	float mean, float r, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		float v = (x[i] - mean) * r * w[i];
		v = b ? v + b[i] : v;
		if (half)
			((uint16_t *)y)[i] = bf16_of(v);
		else
			((float *)y)[i] = v;
	}
}

static void row_norm(void *y, enum dtype t, const float *x, const float *w, const float *b, int centred,
	float eps, float *stat, size_t n)
{
	float mean = centred ? row_sum(x, n) / (float)n : 0.0f;
	float r = 1.0f / sqrtf(square_sum(x, mean, n) / (float)n + eps);
	if (t == DTYPE_BF16)
		norm_apply(y, 1, x, w, b, mean, r, n);
	else
		norm_apply(y, 0, x, w, b, mean, r, n);
	if (stat) {
		stat[0] = mean;
		stat[1] = r;
	}
}

/* sum of dy w and of dy w u, u = (x - mean) r */
static void norm_sums(
	const float *dy, const float *x, const float *w, const float *stat, size_t n, float *g, float *gu)
{
	float s[LANES] = { 0 }, t[LANES] = { 0 }, mean = stat[0], r = stat[1];
	size_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (size_t j = 0; j < LANES; j++) {
			float d = dy[i + j] * w[i + j];
			s[j] += d;
			t[j] += d * ((x[i + j] - mean) * r);
		}
	for (size_t j = 0; i + j < n; j++) {
		float d = dy[i + j] * w[i + j];
		s[j] += d;
		t[j] += d * ((x[i + j] - mean) * r);
	}
	*g = tree_sum(s);
	*gu = tree_sum(t);
}

static void row_norm_back(float *dx, int add, float *dw, float *db, const float *dy, const float *x,
	const float *w, int centred, const float *stat, size_t n)
{
	float mean = stat[0], r = stat[1], g, gu;
	norm_sums(dy, x, w, stat, n, &g, &gu);
	g = centred ? g / (float)n : 0.0f;
	gu /= (float)n;
	for (size_t i = 0; i < n; i++)
		dw[i] += dy[i] * ((x[i] - mean) * r);
	if (db)
		row_add(db, dy, n);
	if (add)
		for (size_t i = 0; i < n; i++)
			dx[i] += r * (dy[i] * w[i] - (x[i] - mean) * r * gu - g);
	else
		for (size_t i = 0; i < n; i++)
			dx[i] = r * (dy[i] * w[i] - (x[i] - mean) * r * gu - g);
}

static void row_rotate(float *x, const float *c, const float *s, float sign, size_t half)
{
	float *y = x + half;
	for (size_t i = 0; i < half; i++) {
		float a = x[i], b = y[i], t = s[i] * sign;
		x[i] = a * c[i] - b * t;
		y[i] = b * c[i] + a * t;
	}
}

static inline float softmax_step(float *x, size_t n, float scale, float *m, float *l)
{
	float top = row_max(x, n) * scale, old = *m;
	float now = top > old ? top : old;
	float shrink = exp_f32(old - now);
	for (size_t i = 0; i < n; i++)
		x[i] = exp_f32(x[i] * scale - now);
	*m = now;
	*l = *l * shrink + row_sum(x, n);
	return shrink;
}

static float row_softmax_step(float *x, size_t n, float scale, float *m, float *l)
{
	/* Attention's block: a constant for the compiler. */
	return n == 64 ? softmax_step(x, 64, scale, m, l) : softmax_step(x, n, scale, m, l);
}

static void row_softmax_back(float *p, float *dp, size_t n, float scale, float lse, float delta)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = exp_f32(p[i] * scale - lse);
		dp[i] = p[i] * (dp[i] - delta);
	}
}

/* Packing of a single row or column whose k is contiguous, as decoding has it: a copy. Whether it was one. */
static inline int pack_line_f32(float *y, size_t width, const float *x, size_t ks, size_t k, size_t n)
{
	if (width != 1 || n != 1 || ks != 1)
		return 0;
	memcpy(y, x, k * sizeof *y);
	return 1;
}

static inline int pack_line_bf16(uint16_t *y, size_t width, const float *x, size_t ks, size_t k, size_t n)
{
	if (width != 1 || n != 1 || ks != 1)
		return 0;
	row_to_bf16(y, x, k);
	if (k % 2)
		y[k] = 0;
	return 1;
}

/* Packing from any strides; the sets have faster ways when one of them is 1. */
static inline void pack_any_f32(
	float *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	for (size_t i = 0; i < k; i++)
		for (size_t j = 0; j < width; j++)
			y[i * width + j] = j < n ? x[i * ks + j * js] : 0.0f;
}

/* From row `rows` (even) and column `columns` on; x is f32, or bf16 (`half`). */
static inline void pack_rest_16(uint16_t *y, size_t width, const void *x, size_t ks, size_t js, size_t k,
	size_t n, size_t rows, size_t columns, const int half)
{
	for (size_t i = rows; i < k + k % 2; i++)
		for (size_t j = columns; j < width; j++) {
			uint16_t v = 0;
			if (i < k && j < n)
				v = half ? ((const uint16_t *)x)[i * ks + j * js]
					 : bf16_of(((const float *)x)[i * ks + j * js]);
			y[(i / 2 * width + j) * 2 + i % 2] = v;
		}
}

static inline void pack_any_bf16(
	uint16_t *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	pack_rest_16(y, width, x, ks, js, k, n, 0, 0, 0);
}

static inline void repack_any_bf16(
	uint16_t *y, size_t width, const uint16_t *x, size_t ks, size_t js, size_t k, size_t n)
{
	pack_rest_16(y, width, x, ks, js, k, n, 0, 0, 1);
}

/* What the rows of the table have in common, from the names that every set gives its functions. mr16, nr16:
 * the tile of bf16. */
#define KERN_TILES(mr16_, nr16_)                                                                        \
	.mr = MR, .nr = NR, .tile_f32 = tile_f32, .mr16 = mr16_, .nr16 = nr16_, .tile_bf16 = tile_bf16, \
	.pack_f32 = pack_f32, .pack_bf16 = pack_bf16, .repack_bf16 = repack_bf16, .qgemm = &qgemm_row

/* A set that can do better names its own: stores that go around the caches, sums in registers. */
#ifndef SOFTMAX_STEP
#define SOFTMAX_STEP row_softmax_step
#endif
#ifndef STREAM_BF16
#define STREAM_BF16 row_to_bf16
#define STREAM_END NULL
#endif

#define KERN_ROWS                                                                                         \
	.sum = row_sum, .dot = row_dot, .max = row_max, .add = row_add, .axpy = row_axpy,                 \
	.scale = row_scale, .mul = row_mul, .exp_sum = row_exp_sum, .lse = row_lse, .silu = row_silu,     \
	.silu_back = row_silu_back, .gelu_tanh = row_gelu_tanh, .gelu_tanh_back = row_gelu_tanh_back,     \
	.adamw = row_adamw, .to_bf16 = row_to_bf16, .stream_bf16 = STREAM_BF16, .stream_end = STREAM_END, \
	.of_bf16 = row_of_bf16, .norm = row_norm, .norm_back = row_norm_back, .rotate = row_rotate,       \
	.softmax_step = SOFTMAX_STEP, .softmax_back = row_softmax_back, KERN_MOMENT, KERN_MX,             \
	.codes = quant_codes

#endif
