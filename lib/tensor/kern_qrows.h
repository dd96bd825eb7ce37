/*
 * kern_qrows: the packing of both operands of quantised products in plain C, compiled once per instruction
 * set. A set defines QNR, QUNIT and QACT (the type of a packed activation) first.
 */
#ifndef QUERN_KERN_QROWS_H
#define QUERN_KERN_QROWS_H

#include "tensor/kern_qgemm.h"
#include "tensor/kern_rows.h"

#define QUNITS (QGROUP / QUNIT)
/* Scales below make no difference to any sum, and their reciprocals would overflow. */
#define QTINY 1e-30f

/* --- activations --- */

/* As ggml's q8_0: scale = max |x| / 127, q = x / scale to the nearest even integer; the scale stays f32. */
static inline float qact_row(int32_t q[QGROUP], const float *x)
{
	uint32_t top = 0;
	for (size_t j = 0; j < QGROUP; j++) {
		uint32_t u = f32_bits(x[j]) & 0x7fffffff;
		top = u > top ? u : top;
	}
	if (top >= 0x7f800000 || bits_f32(top) < QTINY) {
		memset(q, 0, QGROUP * sizeof *q);
		return top >= 0x7f800000 ? NAN : 0.0f;
	}
	float r = 127.0f / bits_f32(top);
	for (size_t j = 0; j < QGROUP; j++)
		q[j] = (int32_t)(f32_bits(x[j] * r + 12582912.0f) - 0x4b400000);
	return bits_f32(top) / 127.0f;
}

static inline int32_t qact_sum(const int32_t *q, size_t n)
{
	int32_t s = 0;
	for (size_t j = 0; j < n; j++)
		s += q[j];
	return s;
}

static inline void put_i32(char *p, int32_t x)
{
	memcpy(p, &x, sizeof x);
}

static inline void put_f32(char *p, float x)
{
	memcpy(p, &x, sizeof x);
}

/* Row i of one group of a tile of m. */
static inline void qact_pack_group(char *y, enum qform form, const float *x, size_t m, size_t i)
{
	int32_t q[QGROUP];
	QACT v[QGROUP];
	float scale = qact_row(q, x);
	for (size_t j = 0; j < QGROUP; j++)
		v[j] = (QACT)q[j];
	for (size_t u = 0; u < QUNITS; u++)
		memcpy(y + (u * m + i) * sizeof v[0] * QUNIT, v + u * QUNIT, sizeof v[0] * QUNIT);
	char *p = y + QGROUP * m * sizeof v[0] + 4 * i;
	put_f32(p, scale);
	p += 4 * m;
	switch (form) {
	case QFORM_8:
		put_i32(p, -128 * qact_sum(q, 32));
		break;
	case QFORM_4:
		put_i32(p, -8 * qact_sum(q, 32));
		break;
	case QFORM_4M:
		put_f32(p, scale * (float)qact_sum(q, 32));
		break;
	default:
		put_i32(p, -32 * qact_sum(q, 16));
		put_i32(p + 4 * m, -32 * qact_sum(q + 16, 16));
	}
}

/* n <= QGROUP values as f32: in place, or in buf. */
static inline const float *act_group(const char *x, enum dtype t, size_t n, float buf[QGROUP])
{
	uint16_t h[QGROUP] = { 0 };
	if (t == DTYPE_F32 && n == QGROUP)
		return (const float *)(const void *)x;
	if (t == DTYPE_F32) {
		memset(buf, 0, QGROUP * sizeof *buf);
		memcpy(buf, x, n * sizeof *buf);
		return buf;
	}
	memcpy(h, x, n * sizeof *h);
	for (size_t j = 0; j < QGROUP; j++)
		buf[j] = f32_of_bf16(h[j]);
	return buf;
}

static void pack_act(void *a, enum qform form, const void *x, enum dtype t, size_t ldx, size_t k, size_t m)
{
	char *y = a;
	float buf[QGROUP];
	size_t step = qact_bytes(form, sizeof(QACT), m, 1), size = dtype_size(t);
	for (size_t g = 0; g < k; g += QGROUP, y += step)
		for (size_t i = 0; i < m; i++)
			qact_pack_group(y, form,
				act_group((const char *)x + (i * ldx + g) * size, t,
					k - g < QGROUP ? k - g : QGROUP, buf),
				m, i);
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
