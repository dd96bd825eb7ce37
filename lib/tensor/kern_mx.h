/*
 * kern_mx: values in 8 bits of which a group of MX_GROUP shares a power of two, as in MXINT8 (Open Compute
 * Project 2023, "OCP Microscaling Formats", section 5.2), but where the largest would not fit, the power is
 * the next one. A multiple of a power of two with 7 bits is exact in bf16, and coding it again gives it back.
 *
 * Plain C for the compiler, included by kern_rows.h; integers decide, so every set gives the same.
 */
#ifndef QUERN_KERN_MX_H
#define QUERN_KERN_MX_H

/* The power of n <= MX_GROUP values, as a float's exponent: 64 to 127 of it make the largest. 0: they are
 * zero, or as good as; MX_BROKEN: one of them is no number. */
#define MX_BROKEN 255
static inline unsigned mx_power(const float *x, size_t n)
{
	uint32_t top = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t u = f32_bits(x[i]) & 0x7fffffff;
		top = u > top ? u : top;
	}
	if (top >= 0x7f800000)
		return MX_BROKEN;
	/* 127.5 rounds to 128, which has no place. */
	unsigned e = (top + 0x10000) >> 23;
	return e > 6 ? e - 6 : 0;
}

/* Rounded to integers, as they stand in the low bits of a float. */
#define MX_ROUND 12582912.0f

static unsigned mx_write(int8_t *q, const float *x, size_t n)
{
	unsigned e = mx_power(x, n);
	float inverse = e && e != MX_BROKEN ? bits_f32((254 - e) << 23) : 0;
	for (size_t i = 0; i < n; i++)
		q[i] = (int8_t)(f32_bits(x[i] * inverse + MX_ROUND) & 0xff);
	if (e == MX_BROKEN)
		memset(q, 1, n);
	return e;
}

static void mx_round(float *x, size_t n)
{
	for (size_t at = 0; at < n; at += MX_GROUP) {
		size_t m = n - at < MX_GROUP ? n - at : MX_GROUP;
		unsigned e = mx_power(x + at, m);
		float power = e == MX_BROKEN ? (float)NAN : bits_f32(e << 23);
		float inverse = e && e != MX_BROKEN ? bits_f32((254 - e) << 23) : 0;
		for (size_t i = at; i < at + m; i++)
			x[i] = ((x[i] * inverse + MX_ROUND) - MX_ROUND) * power;
	}
}

/* MX_BROKEN is infinity. */
static void mx_powers(float *y, const uint8_t *e, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = bits_f32((uint32_t)e[i] << 23);
}

static inline void mx_read_f32(
	float *restrict y, const int8_t *restrict q, const float *restrict power, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (float)q[i] * power[i];
}

/* Exact: the bits that are cut off are zero. */
static inline void mx_read_bf16(
	uint16_t *restrict y, const int8_t *restrict q, const float *restrict power, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = (uint16_t)(f32_bits((float)q[i] * power[i]) >> 16);
}

static void mx_read_columns(void *y, enum dtype t, const int8_t *q, const float *power, size_t n, size_t rows)
{
	for (size_t at = 0; at < rows * n; at += n)
		if (t == DTYPE_F32)
			mx_read_f32((float *)y + at, q + at, power, n);
		else
			mx_read_bf16((uint16_t *)y + at, q + at, power, n);
}

static void mx_read_rows(
	void *y, enum dtype t, const int8_t *q, const float *power, size_t pair, size_t n, size_t rows)
{
	float wide[MX_COLUMNS];
	for (size_t r = 0; r < rows; r++) {
		for (size_t i = 0; i < n; i += 2) {
			wide[i] = power[r * pair];
			wide[i + 1] = power[r * pair + pair - 1];
		}
		if (t == DTYPE_F32)
			mx_read_f32((float *)y + r * n, q + r * n, wide, n);
		else
			mx_read_bf16((uint16_t *)y + r * n, q + r * n, wide, n);
	}
}

#define KERN_MX                                                             \
	.mx_write = mx_write, .mx_round = mx_round, .mx_powers = mx_powers, \
	.mx_read_columns = mx_read_columns, .mx_read_rows = mx_read_rows

#endif
