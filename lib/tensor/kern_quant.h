/*
 * kern_quant: the directions of the formats of stored weights (quant.h) in plain C, compiled once per
 * instruction set like kern_rows.h, which includes this. Every one gives the bytes, or the values, of ggml's
 * reference functions (quantize_row_*_ref, dequantize_row_*).
 *
 * The fits of the K formats add up values one after another, and their bytes hang on that order. So it is
 * kept, and the vectors go across: LANES sub-blocks are fitted side by side, element i of each in one vector.
 */
#ifndef QUERN_KERN_QUANT_H
#define QUERN_KERN_QUANT_H

#include "tensor/dtype.h"
#include "tensor/kern.h"
#include "tensor/quant.h"

#include <math.h>
#include <string.h>

#define QK 32    /* values of a block of the older formats */
#define QK_K 256 /* of a K block */
#define SIDE 16  /* sub-blocks that are fitted side by side */

/* --- numbers --- */

static void code_f32_out(float *y, const void *x, size_t n)
{
	memcpy(y, x, n * sizeof *y);
}

static void code_f32_in(void *y, const float *x, size_t n)
{
	memcpy(y, x, n * sizeof *x);
}

static void code_f16_out(float *y, const void *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h;
		memcpy(&h, (const char *)x + 2 * i, sizeof h);
		y[i] = f32_of_f16(h);
	}
}

static void code_f16_in(void *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h = f16_of(x[i]);
		memcpy((char *)y + 2 * i, &h, sizeof h);
	}
}

static void code_bf16_out(float *y, const void *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h;
		memcpy(&h, (const char *)x + 2 * i, sizeof h);
		y[i] = f32_of_bf16(h);
	}
}

static void code_bf16_in(void *y, const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint16_t h = bf16_of(x[i]);
		memcpy((char *)y + 2 * i, &h, sizeof h);
	}
}

static inline float get_f16(const uint8_t *p)
{
	return f32_of_f16((uint16_t)(p[0] | p[1] << 8));
}

static inline void put_f16(uint8_t *p, float f)
{
	uint16_t h = f16_of(f);
	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
}

/* Of |f| <= 2^22: adding 1.5 * 2^23 rounds to even and leaves the integer in the low bits. */
static inline int32_t nearest(float f)
{
	union {
		float f;
		uint32_t u;
	} x = { f + 12582912.0f };
	return (int32_t)(x.u & 0x007fffff) - 0x00400000;
}

static inline int32_t clamp(int32_t v, int32_t lo, int32_t hi)
{
	v = v < lo ? lo : v;
	return v > hi ? hi : v;
}

/* Towards zero; 0 where that is no byte, as after a division by a scale too small to have an inverse. */
static inline int32_t cut(float f)
{
	return (int32_t)(f > -128.5f && f < 128.5f ? f : 0.0f);
}

/* --- blocks of 32 with one scale --- */

static inline void extremes(const float *x, float *min, float *max)
{
	float lo[QK], hi[QK];
	memcpy(lo, x, sizeof lo);
	memcpy(hi, x, sizeof hi);
	for (size_t w = QK / 2; w; w /= 2) {
		for (size_t j = 0; j < w; j++) {
			lo[j] = lo[j + w] < lo[j] ? lo[j + w] : lo[j];
			hi[j] = hi[j + w] > hi[j] ? hi[j + w] : hi[j];
		}
	}
	*min = lo[0];
	*max = hi[0];
}

/* The value farthest from zero; the first one where two signs are equally far. */
static inline float farthest(const float *x)
{
	float min, max;
	extremes(x, &min, &max);
	for (size_t j = 0; max == -min && j < QK; j++)
		if (fabsf(x[j]) == max)
			return x[j];
	return max > -min ? max : min;
}

static void code_q8_0_out(float *y, const void *x, size_t blocks)
{
	const uint8_t *p = x;
	for (; blocks; blocks--, p += 2 + QK, y += QK) {
		float d = get_f16(p);
		for (size_t j = 0; j < QK; j++)
			y[j] = (float)(int8_t)p[2 + j] * d;
	}
}

static void code_q8_0_in(void *y, const float *x, size_t blocks)
{
	uint8_t *p = y;
	for (; blocks; blocks--, p += 2 + QK, x += QK) {
		float d = fabsf(farthest(x)) / 127, id = d != 0 ? 1.0f / d : 0.0f;
		put_f16(p, d);
		/* roundf: the largest number below a half, added away from zero, then cut. */
		for (size_t j = 0; j < QK; j++)
			p[2 + j] = (uint8_t)(int8_t)cut(x[j] * id + copysignf(0x1.fffffep-2f, x[j]));
	}
}

/* Low halves of 16 bytes, then high ones. */
static inline void put_nibbles(uint8_t *p, const uint8_t *v)
{
	for (size_t j = 0; j < QK / 2; j++)
		p[j] = (uint8_t)((v[j] & 15) | (v[j + QK / 2] & 15) << 4);
}

static inline void get_nibbles(uint8_t *v, const uint8_t *p)
{
	for (size_t j = 0; j < QK / 2; j++) {
		v[j] = p[j] & 15;
		v[j + QK / 2] = p[j] >> 4;
	}
}

/* Bit 4 of each value: bit j of a little-endian word. */
static inline void put_fifth(uint8_t *p, const uint8_t *v)
{
	for (size_t i = 0; i < QK / 8; i++) {
		unsigned b = 0;
		for (size_t j = 0; j < 8; j++)
			b |= (unsigned)(v[8 * i + j] >> 4 & 1) << j;
		p[i] = (uint8_t)b;
	}
}

static inline void add_fifth(uint8_t *v, const uint8_t *p)
{
	for (size_t j = 0; j < QK; j++)
		v[j] = (uint8_t)(v[j] | (p[j / 8] >> j % 8 & 1) << 4);
}

/* Values around zero: d (q - half). */
static inline void centred_in(uint8_t *p, const float *x, int half, int five)
{
	uint8_t v[QK];
	float d = farthest(x) / (float)-half, id = d != 0 ? 1.0f / d : 0.0f;
	put_f16(p, d);
	for (size_t j = 0; j < QK; j++) {
		int32_t q = cut(x[j] * id + ((float)half + 0.5f));
		v[j] = (uint8_t)(q < 2 * half - 1 ? q : 2 * half - 1);
	}
	if (five)
		put_fifth(p + 2, v);
	put_nibbles(p + (five ? 6 : 2), v);
}

static inline void centred_out(float *y, const uint8_t *p, int half, int five)
{
	uint8_t v[QK];
	float d = get_f16(p);
	get_nibbles(v, p + (five ? 6 : 2));
	if (five)
		add_fifth(v, p + 2);
	for (size_t j = 0; j < QK; j++)
		y[j] = (float)(v[j] - half) * d;
}

/* Values from a minimum up: d q + m. */
static inline void based_in(uint8_t *p, const float *x, int top, int five)
{
	uint8_t v[QK];
	float min, max;
	extremes(x, &min, &max);
	float d = (max - min) / (float)top, id = d != 0 ? 1.0f / d : 0.0f;
	put_f16(p, d);
	put_f16(p + 2, min);
	for (size_t j = 0; j < QK; j++) {
		int32_t q = cut((x[j] - min) * id + 0.5f);
		v[j] = (uint8_t)(q < top || five ? q : top);
	}
	if (five)
		put_fifth(p + 4, v);
	put_nibbles(p + (five ? 8 : 4), v);
}

static inline void based_out(float *y, const uint8_t *p, int five)
{
	uint8_t v[QK];
	float d = get_f16(p), m = get_f16(p + 2);
	get_nibbles(v, p + (five ? 8 : 4));
	if (five)
		add_fifth(v, p + 4);
	for (size_t j = 0; j < QK; j++)
		y[j] = (float)v[j] * d + m;
}

static void code_q4_0_in(void *y, const float *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		centred_in((uint8_t *)y + 18 * i, x + QK * i, 8, 0);
}

static void code_q4_0_out(float *y, const void *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		centred_out(y + QK * i, (const uint8_t *)x + 18 * i, 8, 0);
}

static void code_q4_1_in(void *y, const float *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		based_in((uint8_t *)y + 20 * i, x + QK * i, 15, 0);
}

static void code_q4_1_out(float *y, const void *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		based_out(y + QK * i, (const uint8_t *)x + 20 * i, 0);
}

static void code_q5_0_in(void *y, const float *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		centred_in((uint8_t *)y + 22 * i, x + QK * i, 16, 1);
}

static void code_q5_0_out(float *y, const void *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		centred_out(y + QK * i, (const uint8_t *)x + 22 * i, 16, 1);
}

static void code_q5_1_in(void *y, const float *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		based_in((uint8_t *)y + 24 * i, x + QK * i, 31, 1);
}

static void code_q5_1_out(float *y, const void *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		based_out(y + QK * i, (const uint8_t *)x + 24 * i, 1);
}

/* --- fits side by side --- */

#define EACH for (size_t l = 0; l < SIDE; l++)

/* SIDE sub-blocks of n values, one behind another, to [n][SIDE]. */
static inline void lay_across(float (*t)[SIDE], const float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		EACH t[i][l] = x[l * n + i];
}

/* ggml's make_qx_quants with weights x^2: the scale of q in [-32, 31] for 16 values, and in q + 32 what was
 * chosen with it. */
static inline void fit_centred(float *scale, int32_t (*q)[SIDE], const float (*x)[SIDE])
{
	float amax[SIDE] = { 0 }, max[SIDE] = { 0 }, best[SIDE] = { 0 }, inverse[SIDE];
	for (size_t i = 0; i < 16; i++) {
		EACH
		{
			float a = fabsf(x[i][l]);
			max[l] = a > amax[l] ? x[i][l] : max[l];
			amax[l] = a > amax[l] ? a : amax[l];
		}
	}
	for (int step = -10; step <= 9; step++) {
		float sum_lx[SIDE] = { 0 }, sum_l2[SIDE] = { 0 }, is[SIDE];
		if (step == 0)
			continue;
		/* The first one, without a shift, is taken as it is. */
		EACH is[l] = -(step == -10 ? 32.0f : 32.0f + 0.1f * (float)step) / max[l];
		for (size_t i = 0; i < 16; i++) {
			EACH
			{
				float v = x[i][l], n = (float)clamp(nearest(is[l] * v), -32, 31), w = v * v;
				sum_lx[l] += w * v * n;
				sum_l2[l] += w * n * n;
			}
		}
		EACH
		{
			float s = sum_l2[l] != 0 ? sum_lx[l] / sum_l2[l] : 0.0f;
			int better =
				step == -10 || (sum_l2[l] > 0 && sum_lx[l] * sum_lx[l] > best[l] * sum_l2[l]);
			scale[l] = better ? s : scale[l];
			best[l] = better ? s * sum_lx[l] : best[l];
			inverse[l] = better ? is[l] : inverse[l];
		}
	}
	for (size_t i = 0; i < 16; i++)
		EACH q[i][l] = amax[l] < 1e-15f ? 0 : 32 + clamp(nearest(inverse[l] * x[i][l]), -32, 31);
	EACH scale[l] = amax[l] < 1e-15f ? 0.0f : scale[l];
}

/* ggml's make_qkx2_quants with weights mean + |x|: scale and minimum (its negative) of q in [0, top] for 32
 * values, and the q that were chosen with them. */
static inline void fit_based(float *scale, float *low, int32_t (*q)[SIDE], const float (*x)[SIDE], float top,
	float first, int steps)
{
	float w[QK][SIDE], min[SIDE], max[SIDE], sum_x2[SIDE] = { 0 }, sum_w[SIDE], sum_x[SIDE];
	float error[SIDE] = { 0 }, inverse[SIDE], base[SIDE], same[SIDE];
	for (size_t i = 0; i < QK; i++)
		EACH sum_x2[l] += x[i][l] * x[i][l];
	EACH sum_x2[l] = sqrtf(sum_x2[l] / QK);
	for (size_t i = 0; i < QK; i++)
		EACH w[i][l] = sum_x2[l] + fabsf(x[i][l]);
	EACH
	{
		min[l] = max[l] = x[0][l];
		sum_w[l] = w[0][l];
		sum_x[l] = w[0][l] * x[0][l];
	}
	for (size_t i = 1; i < QK; i++) {
		EACH
		{
			min[l] = x[i][l] < min[l] ? x[i][l] : min[l];
			max[l] = x[i][l] > max[l] ? x[i][l] : max[l];
			sum_w[l] += w[i][l];
			sum_x[l] += w[i][l] * x[i][l];
		}
	}
	EACH
	{
		min[l] = min[l] > 0 ? 0 : min[l];
		same[l] = max[l] == min[l];
		low[l] = base[l] = min[l];
		inverse[l] = top / (max[l] - min[l]);
		scale[l] = 1 / inverse[l];
	}
	for (size_t i = 0; i < QK; i++) {
		EACH
		{
			float n = (float)clamp(nearest(inverse[l] * (x[i][l] - min[l])), 0, (int32_t)top);
			float d = scale[l] * n + min[l] - x[i][l];
			error[l] += w[i][l] * (d * d);
		}
	}
	for (int step = 0; step <= steps; step++) {
		float is[SIDE], sum_l[SIDE] = { 0 }, sum_l2[SIDE] = { 0 }, sum_xl[SIDE] = { 0 },
				err[SIDE] = { 0 };
		float s[SIDE], m[SIDE], det[SIDE];
		EACH is[l] = (first + 0.1f * (float)step + top) / (max[l] - low[l]);
		for (size_t i = 0; i < QK; i++) {
			EACH
			{
				float n = (float)clamp(nearest(is[l] * (x[i][l] - low[l])), 0, (int32_t)top);
				float wn = w[i][l] * n;
				sum_l[l] += wn;
				sum_l2[l] += wn * n;
				sum_xl[l] += wn * x[i][l];
			}
		}
		EACH
		{
			det[l] = sum_w[l] * sum_l2[l] - sum_l[l] * sum_l[l];
			s[l] = (sum_w[l] * sum_xl[l] - sum_x[l] * sum_l[l]) / det[l];
			m[l] = (sum_l2[l] * sum_x[l] - sum_l[l] * sum_xl[l]) / det[l];
			s[l] = m[l] > 0 ? sum_xl[l] / sum_l2[l] : s[l];
			m[l] = m[l] > 0 ? 0 : m[l];
		}
		for (size_t i = 0; i < QK; i++) {
			EACH
			{
				float n = (float)clamp(nearest(is[l] * (x[i][l] - low[l])), 0, (int32_t)top);
				float d = s[l] * n + m[l] - x[i][l];
				err[l] += w[i][l] * (d * d);
			}
		}
		EACH
		{
			int better = det[l] > 0 && err[l] < error[l];
			inverse[l] = better ? is[l] : inverse[l];
			base[l] = better ? low[l] : base[l];
			error[l] = better ? err[l] : error[l];
			scale[l] = better ? s[l] : scale[l];
			low[l] = better ? m[l] : low[l];
		}
	}
	for (size_t i = 0; i < QK; i++)
		EACH q[i][l] =
			same[l] != 0 ? 0 : clamp(nearest(inverse[l] * (x[i][l] - base[l])), 0, (int32_t)top);
	EACH
	{
		scale[l] = same[l] != 0 ? 0.0f : scale[l];
		low[l] = same[l] != 0 ? -min[l] : -low[l];
	}
}

/* --- K blocks: d, dmin, eight scales and minima of six bits each, values --- */

static inline void get_scale(unsigned *scale, unsigned *min, const uint8_t *p, size_t j)
{
	*scale = j < 4 ? p[j] & 63u : (p[j + 4] & 15u) | (unsigned)(p[j - 4] >> 6) << 4;
	*min = j < 4 ? p[j + 4] & 63u : (unsigned)p[j + 4] >> 4 | (unsigned)(p[j] >> 6) << 4;
}

static inline void put_scale(uint8_t *p, size_t j, unsigned scale, unsigned min)
{
	if (j < 4) {
		p[j] = (uint8_t)scale;
		p[j + 4] = (uint8_t)min;
	} else {
		p[j + 4] = (uint8_t)((scale & 15) | (min & 15) << 4);
		p[j - 4] = (uint8_t)(p[j - 4] | scale >> 4 << 6);
		p[j] = (uint8_t)(p[j] | min >> 4 << 6);
	}
}

/* The scale of a sub-block as a part of the largest, in six bits. */
static inline unsigned six_bits(float inverse, float v)
{
	unsigned n = (uint8_t)nearest(inverse * v);
	return n < 63 ? n : 63;
}

/* Header of a K block from the fits of its eight sub-blocks; what its values become with it. */
static inline void based_header(uint8_t *p, uint8_t *v, const float *x, const float *scale, const float *low,
	const int32_t (*q)[SIDE], size_t lane, int32_t top)
{
	float max_scale = 0, max_low = 0;
	for (size_t j = 0; j < 8; j++) {
		max_scale = scale[lane + j] > max_scale ? scale[lane + j] : max_scale;
		max_low = low[lane + j] > max_low ? low[lane + j] : max_low;
	}
	float by_scale = max_scale > 0 ? 63.0f / max_scale : 0, by_low = max_low > 0 ? 63.0f / max_low : 0;
	for (size_t j = 0; j < 8; j++)
		put_scale(p + 4, j, six_bits(by_scale, scale[lane + j]), six_bits(by_low, low[lane + j]));
	put_f16(p, max_scale / 63.0f);
	put_f16(p + 2, max_low / 63.0f);
	float d = get_f16(p), dmin = get_f16(p + 2);
	for (size_t j = 0; j < 8; j++, x += QK, v += QK) {
		unsigned s, m;
		get_scale(&s, &m, p + 4, j);
		float ds = d * (float)s, dm = dmin * (float)m;
		for (size_t i = 0; i < QK; i++)
			v[i] = (uint8_t)(ds != 0 ? clamp(nearest((x[i] + dm) / ds), 0, top) : q[i][lane + j]);
	}
}

/* Pairs of 32 values share 32 bytes: low halves, then high ones. */
static inline void put_k_nibbles(uint8_t *p, const uint8_t *v)
{
	for (size_t j = 0; j < QK_K; j += 64, p += 32)
		for (size_t i = 0; i < 32; i++)
			p[i] = (uint8_t)((v[j + i] & 15) | (v[j + i + 32] & 15) << 4);
}

static inline void based_k_in(
	uint8_t *p, const float *x, size_t blocks, size_t bytes, float top, float first, int steps)
{
	float t[QK][SIDE], scale[SIDE], low[SIDE], last[2 * QK_K];
	int32_t q[QK][SIDE];
	uint8_t v[QK_K];
	for (size_t i = 0; i < blocks; i += 2, x += 2 * QK_K) {
		const float *from = x;
		if (i + 1 == blocks) { /* an odd one out: twice */
			memcpy(last, x, QK_K * sizeof *x);
			memcpy(last + QK_K, x, QK_K * sizeof *x);
			from = last;
		}
		lay_across(t, from, QK);
		fit_based(scale, low, q, (const float(*)[SIDE])t, top, first, steps);
		for (size_t k = 0; k < 2 && i + k < blocks; k++, p += bytes) {
			based_header(p, v, x + k * QK_K, scale, low, (const int32_t(*)[SIDE])q, 8 * k,
				(int32_t)top);
			if (top > 15)
				for (size_t j = 0; j < 32; j++) {
					unsigned b = 0;
					for (size_t n = 0; n < 8; n++)
						b |= (unsigned)(v[32 * n + j] >> 4 & 1) << n;
					p[16 + j] = (uint8_t)b;
				}
			put_k_nibbles(p + (top > 15 ? 48 : 16), v);
		}
	}
}

static inline void based_k_out(float *y, const uint8_t *p, int five)
{
	float d = get_f16(p), dmin = get_f16(p + 2);
	const uint8_t *q = p + (five ? 48 : 16);
	for (size_t j = 0; j < 8; j++, y += QK) {
		unsigned s, m;
		get_scale(&s, &m, p + 4, j);
		float ds = d * (float)s, dm = dmin * (float)m;
		for (size_t i = 0; i < QK; i++) {
			int v = q[j / 2 * 32 + i] >> (j % 2 * 4) & 15;
			if (five)
				v += (p[16 + i] >> j & 1) << 4;
			y[i] = ds * (float)v - dm;
		}
	}
}

static void code_q4_k_in(void *y, const float *x, size_t blocks)
{
	based_k_in(y, x, blocks, 144, 15, -1.0f, 20);
}

static void code_q4_k_out(float *y, const void *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		based_k_out(y + QK_K * i, (const uint8_t *)x + 144 * i, 0);
}

static void code_q5_k_in(void *y, const float *x, size_t blocks)
{
	based_k_in(y, x, blocks, 176, 31, -0.5f, 15);
}

static void code_q5_k_out(float *y, const void *x, size_t blocks)
{
	for (size_t i = 0; i < blocks; i++)
		based_k_out(y + QK_K * i, (const uint8_t *)x + 176 * i, 1);
}

/* Q6_K: low halves [128], high pairs of bits [64], scales [16], d. Value 128 h + 32 g + i has its low half in
 * byte 64 h + 32 (g % 2) + i and its high bits at 2 g of byte 32 h + i. */
static inline void q6_k_scales(
	uint8_t *p, uint8_t *v, const float *x, const float *scale, const int32_t (*q)[SIDE])
{
	float max_abs = 0, max = 0;
	for (size_t j = 0; j < SIDE; j++) {
		float a = fabsf(scale[j]);
		max = a > max_abs ? scale[j] : max;
		max_abs = a > max_abs ? a : max_abs;
	}
	if (max_abs < 1e-15f) {
		memset(p, 0, 210);
		memset(v, 0, QK_K);
		return;
	}
	float inverse = -128.0f / max;
	put_f16(p + 208, 1 / inverse);
	for (size_t j = 0; j < SIDE; j++) {
		int32_t s = nearest(inverse * scale[j]);
		p[192 + j] = (uint8_t)(int8_t)(s < 127 ? s : 127);
		float d = get_f16(p + 208) * (float)(int8_t)p[192 + j];
		for (size_t i = 0; i < 16; i++)
			v[16 * j + i] =
				(uint8_t)(d != 0 ? 32 + clamp(nearest(x[16 * j + i] / d), -32, 31) : q[i][j]);
	}
}

static void code_q6_k_in(void *y, const float *x, size_t blocks)
{
	float t[16][SIDE], scale[SIDE];
	int32_t q[16][SIDE];
	uint8_t v[QK_K], *p = y;
	for (; blocks; blocks--, x += QK_K, p += 210) {
		lay_across(t, x, 16);
		fit_centred(scale, q, (const float(*)[SIDE])t);
		q6_k_scales(p, v, x, scale, (const int32_t(*)[SIDE])q);
		for (size_t h = 0; h < 2; h++) {
			const uint8_t *u = v + 128 * h;
			for (size_t i = 0; i < 32; i++) {
				p[64 * h + i] = (uint8_t)((u[i] & 15) | (u[i + 64] & 15) << 4);
				p[64 * h + 32 + i] = (uint8_t)((u[i + 32] & 15) | (u[i + 96] & 15) << 4);
				p[128 + 32 * h + i] = (uint8_t)(u[i] >> 4 | u[i + 32] >> 4 << 2 |
								u[i + 64] >> 4 << 4 | u[i + 96] >> 4 << 6);
			}
		}
	}
}

static void code_q6_k_out(float *y, const void *x, size_t blocks)
{
	const uint8_t *p = x;
	for (; blocks; blocks--, p += 210, y += QK_K) {
		float d = get_f16(p + 208);
		for (size_t h = 0; h < 2; h++) {
			for (size_t g = 0; g < 4; g++) {
				const uint8_t *low = p + 64 * h + 32 * (g % 2), *high = p + 128 + 32 * h;
				for (size_t i = 0; i < 32; i++) {
					int v = (low[i] >> (g / 2 * 4) & 15) | (high[i] >> (2 * g) & 3) << 4;
					int8_t s = (int8_t)p[192 + 8 * h + 2 * g + i / 16];
					y[128 * h + 32 * g + i] = d * (float)s * (float)(v - 32);
				}
			}
		}
	}
}

#undef EACH

static const struct quant_code quant_codes[QUANT_COUNT] = {
	[QUANT_F32] = { code_f32_out, code_f32_in },
	[QUANT_F16] = { code_f16_out, code_f16_in },
	[QUANT_BF16] = { code_bf16_out, code_bf16_in },
	[QUANT_Q8_0] = { code_q8_0_out, code_q8_0_in },
	[QUANT_Q4_0] = { code_q4_0_out, code_q4_0_in },
	[QUANT_Q4_1] = { code_q4_1_out, code_q4_1_in },
	[QUANT_Q5_0] = { code_q5_0_out, code_q5_0_in },
	[QUANT_Q5_1] = { code_q5_1_out, code_q5_1_in },
	[QUANT_Q4_K] = { code_q4_k_out, code_q4_k_in },
	[QUANT_Q5_K] = { code_q5_k_out, code_q5_k_in },
	[QUANT_Q6_K] = { code_q6_k_out, code_q6_k_in },
};

#endif
