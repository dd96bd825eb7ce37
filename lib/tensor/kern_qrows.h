/*
 * kern_qrows: the packing of both operands of quantised products in plain C, compiled once per instruction
 * set. A set defines QNR, QUNIT, QACT (the type of a packed activation) and qact_row first.
 */
#ifndef QUERN_KERN_QROWS_H
#define QUERN_KERN_QROWS_H

#include "tensor/kern_qgemm.h"
#include "tensor/kern_rows.h"

/* --- activations --- */

/* Puts the scale of row i of a group, and what its sums start with: n are the sums of both halves of it. */
static inline void qact_start(char *p, enum qform form, float scale, const int32_t n[2], size_t m)
{
	int32_t start[2] = { -128 * (n[0] + n[1]), 0 };
	float sum = scale * (float)(n[0] + n[1]);
	memcpy(p, &scale, sizeof scale);
	if (form == QFORM_4M) {
		memcpy(p + 4 * m, &sum, sizeof sum);
		return;
	}
	if (form == QFORM_4)
		start[0] = -8 * (n[0] + n[1]);
	if (form == QFORM_6) {
		start[0] = -32 * n[0];
		start[1] = -32 * n[1];
		memcpy(p + 8 * m, &start[1], 4);
	}
	memcpy(p + 4 * m, &start[0], 4);
}

static void pack_act(void *a, enum qform form, const void *x, enum dtype t, size_t ldx, size_t k, size_t m)
{
	char *y = a;
	size_t step = qact_bytes(form, sizeof(QACT), m, 1), size = dtype_size(t);
	for (size_t g = 0; g < k; g += QGROUP, y += step)
		for (size_t i = 0; i < m; i++) {
			const char *p = (const char *)x + (i * ldx + g) * size;
			float last[QGROUP] = { 0 };
			int32_t n[2];
			if (k - g < QGROUP)
				p = memcpy(last, p, (k - g) * size);
			float scale = qact_row((QACT *)(void *)y + i * QGROUP, p, t, n);
			qact_start(y + QGROUP * sizeof(QACT) * m + 4 * i, form, scale, n, m);
		}
}

/* --- weights, from ggml's blocks (ggml-common.h, ggml-quants.c) --- */

/* Puts n bytes of output j where tiles read them. */
static inline void put_bytes(uint8_t *y, const uint8_t *v, size_t n, size_t j)
{
	for (size_t u = 0; u < n / QUNIT; u++)
		memcpy(y + (u * QNR + j) * QUNIT, v + u * QUNIT, QUNIT);
}

/* block_q8_0: f16 d, i8 q[32] */
static inline void pack_q8(uint8_t *y, const uint8_t *block, size_t j)
{
	uint8_t v[32];
	memcpy(y + 32 * QNR + 2 * j, block, 2);
	for (size_t i = 0; i < 32; i++)
		v[i] = block[2 + i] ^ 0x80;
	put_bytes(y, v, 32, j);
}

/* block_q4_0: f16 d, nibbles[16] */
static inline void pack_q4(uint8_t *y, const uint8_t *block, size_t j)
{
	memcpy(y + 16 * QNR + 2 * j, block, 2);
	put_bytes(y, block + 2, 16, j);
}

/* block_q4_K: f16 d, e; 8 scales and mins of 6 bits in 12 bytes; of each two groups 32 bytes, low nibbles the
 * first one's. */
static inline void pack_q4k(uint8_t *y, const uint8_t *block, size_t g, size_t j)
{
	const uint8_t *s = block + 4, *q = block + 16 + g / 2 * 32;
	uint8_t v[16];
	for (size_t i = 0; i < 16; i++)
		v[i] = (uint8_t)(g % 2 ? q[i] >> 4 | (q[i + 16] & 0xf0) : (q[i] & 15) | q[i + 16] << 4);
	put_bytes(y, v, 16, j);
	y[16 * QNR + j] = g < 4 ? s[g] & 63 : (uint8_t)((s[g + 4] & 15) | (s[g - 4] >> 6) << 4);
	y[17 * QNR + j] = g < 4 ? s[g + 4] & 63 : (uint8_t)(s[g + 4] >> 4 | (s[g] >> 6) << 4);
}

/* block_q6_K: low nibbles [128], high pairs of bits [64], i8 scales [16], f16 d */
static inline void pack_q6k(uint8_t *y, const uint8_t *block, size_t g, size_t j)
{
	const uint8_t *low = block + g / 4 * 64 + g % 2 * 32, *high = block + 128 + g / 4 * 32;
	uint8_t v[32];
	unsigned nibble = g % 4 / 2 * 4, pair = g % 4 * 2;
	for (size_t i = 0; i < 32; i++)
		v[i] = (uint8_t)((low[i] >> nibble & 15) | (high[i] >> pair & 3) << 4);
	put_bytes(y, v, 32, j);
	y[32 * QNR + j] = block[192 + 2 * g];
	y[33 * QNR + j] = block[193 + 2 * g];
}

/* One group of n outputs; p is where their blocks of it begin. Returns the place behind it. */
static inline uint8_t *pack_group(
	uint8_t *y, enum qform form, const uint8_t *p, size_t row_bytes, size_t g, size_t n)
{
	size_t in = g % QSUPER, step = qpanel_bytes(form, QNR, 1);
	if (form == QFORM_4M || form == QFORM_6) {
		size_t head = form == QFORM_4M ? 4 * QNR : 2 * QNR;
		if (in == 0) {
			memset(y, 0, head);
			for (size_t j = 0; j < n; j++) {
				const uint8_t *block = p + j * row_bytes;
				memcpy(y + 2 * j, block + (form == QFORM_4M ? 0 : 208), 2);
				if (form == QFORM_4M)
					memcpy(y + 2 * QNR + 2 * j, block + 2, 2);
			}
			y += head;
		}
		step -= head;
	}
	if (n < QNR)
		memset(y, 0, step);
	for (size_t j = 0; j < n; j++) {
		const uint8_t *block = p + j * row_bytes;
		switch (form) {
		case QFORM_8:
			pack_q8(y, block, j);
			break;
		case QFORM_4:
			pack_q4(y, block, j);
			break;
		case QFORM_4M:
			pack_q4k(y, block, in, j);
			break;
		default:
			pack_q6k(y, block, in, j);
		}
	}
	return y + step;
}

static void pack_qpanel(
	void *panel, enum qform form, const void *blocks, size_t row_bytes, size_t from, size_t to, size_t n)
{
	static const size_t bytes[QFORMS] = { 34, 18, 144, 210 };
	size_t per = form == QFORM_8 || form == QFORM_4 ? 1 : QSUPER;
	uint8_t *y = (uint8_t *)panel + qpanel_bytes(form, QNR, from);
	const uint8_t *p = blocks;
	for (size_t g = from; g < to; g++)
		y = pack_group(y, form, p + (g - from) / per * bytes[form], row_bytes, g, n);
}

#endif
