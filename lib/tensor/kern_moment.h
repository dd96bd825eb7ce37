/*
 * kern_moment: narrow types of what an optimiser remembers, in plain C; a part of kern_rows.h.
 *
 * The 8-bit code (Dettmers et al. 2022, "dynamic tree quantization"): magnitudes in seven decades, decade d =
 * 0 .. 6 being 10^(d-6) [0.1, 1], cut into 2^d equal cells whose middles are the values (2^(d+1) cells where
 * there is no sign), and 0 and 1. Codes are in the order of their values: 127 is 0 with a sign, 0 without
 * one.
 */
#ifndef QUERN_KERN_MOMENT_H
#define QUERN_KERN_MOMENT_H

#include "tensor/dtype.h"
#include "tensor/kern.h"

#include <math.h>

#define CELL(top, n, j) (float)((top) * (0.1 + 0.9 * ((j) + 0.5) / (n)))
#define CELLS2(top, n, j) CELL(top, n, j), CELL(top, n, (j) + 1)
#define CELLS4(top, n, j) CELLS2(top, n, j), CELLS2(top, n, (j) + 2)
#define CELLS8(top, n, j) CELLS4(top, n, j), CELLS4(top, n, (j) + 4)
#define CELLS16(top, n, j) CELLS8(top, n, j), CELLS8(top, n, (j) + 8)
#define CELLS32(top, n, j) CELLS16(top, n, j), CELLS16(top, n, (j) + 16)
#define CELLS64(top, n, j) CELLS32(top, n, j), CELLS32(top, n, (j) + 32)
#define CELLS128(top, n, j) CELLS64(top, n, j), CELLS64(top, n, (j) + 64)

/* Magnitudes, with a sign beside them and without. */
static const float code8_coarse[129] = { 0, CELL(1e-6, 1, 0), CELLS2(1e-5, 2, 0), CELLS4(1e-4, 4, 0),
	CELLS8(1e-3, 8, 0), CELLS16(1e-2, 16, 0), CELLS32(1e-1, 32, 0), CELLS64(1.0, 64, 0), 1 };
static const float code8_fine[256] = { 0, CELLS2(1e-6, 2, 0), CELLS4(1e-5, 4, 0), CELLS8(1e-4, 8, 0),
	CELLS16(1e-3, 16, 0), CELLS32(1e-2, 32, 0), CELLS64(1e-1, 64, 0), CELLS128(1.0, 128, 0), 1 };

static void row_code8_read(float *y, const uint8_t *q, float scale, int is_signed, size_t n)
{
	if (is_signed)
		for (size_t i = 0; i < n; i++)
			y[i] = (q[i] < 127 ? -scale : scale) *
			       code8_coarse[q[i] < 127 ? 127 - q[i] : q[i] - 127];
	else
		for (size_t i = 0; i < n; i++)
			y[i] = scale * code8_fine[q[i]];
}

/* Place of the magnitude t, 0 <= t <= 1, among code8_coarse or code8_fine, zero left out: the nearest one.
 * Decades meet halfway between the last value of one and the first of the next. */
static inline int code8_place(float t, float least)
{
	float n = least, low = 0, per = least / 0.9f * 1e6f;
#define DECADE(edge, d)                                  \
	do {                                             \
		float f = least * (float)(1 << (d));     \
		int up = t >= (edge) * (1 + 1.8f / f);   \
		n = up ? f : n;                          \
		low = up ? f - least : low;              \
		per = up ? f / 0.9f / ((edge)*10) : per; \
	} while (0)
	DECADE(1e-6f, 1);
	DECADE(1e-5f, 2);
	DECADE(1e-4f, 3);
	DECADE(1e-3f, 4);
	DECADE(1e-2f, 5);
	DECADE(1e-1f, 6);
#undef DECADE
	float p = t * per - n / 9.0f;
	p = p > 0 ? p : 0;
	p = p < n - 1 ? p : n - 1;
	return (int)(p + low) + 1;
}

static inline float code8_scale(const float *x, size_t n)
{
	float s[32] = { 0 };
	size_t i = 0;
	for (; i + 32 <= n; i += 32)
		for (size_t j = 0; j < 32; j++)
			s[j] = fabsf(x[i + j]) > s[j] ? fabsf(x[i + j]) : s[j];
	for (size_t j = 0; i + j < n; j++)
		s[j] = fabsf(x[i + j]) > s[j] ? fabsf(x[i + j]) : s[j];
	for (size_t w = 16; w; w /= 2)
		for (size_t j = 0; j < w; j++)
			s[j] = s[j + w] > s[j] ? s[j + w] : s[j];
	return s[0];
}

static float row_code8_write(uint8_t *q, const float *x, int is_signed, size_t n)
{
	float scale = code8_scale(x, n), by = scale > 0 ? scale : 1;
	if (is_signed)
		for (size_t i = 0; i < n; i++) {
			float t = fabsf(x[i]) / by;
			int p = code8_place(t, 1);
			p = t < 0.275e-6f ? 0 : p;
			p = x[i] > 0 && t > 1 - 0.225f / 64 ? 128 : p;
			q[i] = (uint8_t)(127 + (x[i] < 0 ? -p : p));
		}
	else
		for (size_t i = 0; i < n; i++) {
			float t = x[i] / by;
			int p = code8_place(t, 2);
			p = x[i] > 0 ? p : 0;
			q[i] = (uint8_t)(t > 1 - 0.225f / 128 ? 255 : p);
		}
	return scale;
}

/* Adds 16 random bits below what stays. They are a hash of key and place: MurmurHash3's finaliser (Appleby).
 */
static void row_random_bf16(uint16_t *y, const float *x, uint64_t key, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		union {
			float f;
			uint32_t u;
		} b = { x[i] };
		uint32_t h = (uint32_t)key + (uint32_t)i * 0x9e3779b9u;
		h = (h ^ h >> 16) * 0x85ebca6bu;
		h = (h ^ h >> 13 ^ (uint32_t)(key >> 32)) * 0xc2b2ae35u;
		y[i] = (uint16_t)((b.u + (h >> 16)) >> 16);
	}
}

#define KERN_MOMENT \
	.code8_read = row_code8_read, .code8_write = row_code8_write, .random_bf16 = row_random_bf16

#endif
