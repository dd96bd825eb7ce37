/*
 * kern_qscalar: quantised products as kern_qgemm.h defines them, plainly: the reference that the other sets
 * are held against, bit for bit.
 */
#define QMR 4
#define QNR 16
#define QUNIT 1
#define QACT int8_t

#include "tensor/kern_rows.h"

/* A group of a row, as ggml's q8_0: scale = max |x| / 127, q = x / scale to the nearest even integer; but the
 * scale, which is returned, stays f32. n: the sums of both halves. */
static float qact_row(int8_t q[QGROUP], const void *x, enum dtype t, int32_t n[2])
{
	float v[QGROUP];
	uint32_t top = 0;
	to_f32(v, x, t, QGROUP);
	n[0] = n[1] = 0;
	for (size_t j = 0; j < QGROUP; j++) {
		uint32_t u = f32_bits(v[j]) & 0x7fffffff;
		top = u > top ? u : top;
	}
	if (top >= 0x7f800000 || bits_f32(top) < QTINY) {
		memset(q, 0, QGROUP);
		return top >= 0x7f800000 ? NAN : 0.0f;
	}
	float r = 127.0f / bits_f32(top);
	for (size_t j = 0; j < QGROUP; j++) {
		int32_t i = (int32_t)(f32_bits(v[j] * r + 12582912.0f) - 0x4b400000);
		q[j] = (int8_t)i;
		n[j / (QGROUP / 2)] += i;
	}
	return bits_f32(top) / 127.0f;
}

#include "tensor/kern_qrows.h"

static float f16_at(const uint8_t *p)
{
	float f;
	to_f32(&f, p, DTYPE_F16, 1);
	return f;
}

/* Sum over k in [from, to) of a group of q (output j) times activations (row i). */
static int32_t q_dot(
	const uint8_t *w, int nibbles, const int8_t *a, size_t i, size_t j, size_t from, size_t to)
{
	int32_t n = 0;
	for (size_t k = from; k < to; k++) {
		int q = nibbles ? w[k % 16 * QNR + j] >> k / 16 * 4 & 15 : w[k * QNR + j];
		n += q * a[QGROUP * i + k];
	}
	return n;
}

/* One element's sum goes on with one group. head: what stands above the group's scales. */
static float q_step(float s, enum qform form, const uint8_t *w, const uint8_t *head, const char *at, size_t m,
	size_t i, size_t j)
{
	const int8_t *a = (const int8_t *)at;
	float scale, start;
	int32_t first[2];
	memcpy(&scale, at + 32 * m + 4 * i, 4);
	memcpy(&first[0], at + 36 * m + 4 * i, 4);
	memcpy(&start, at + 36 * m + 4 * i, 4);
	const uint8_t *sc = w + (form == QFORM_8 || form == QFORM_6 ? 32 : 16) * QNR;
	switch (form) {
	case QFORM_8:
	case QFORM_4:
		return fmaf((float)(first[0] + q_dot(w, form == QFORM_4, a, i, j, 0, 32)),
			scale * f16_at(sc + 2 * j), s);
	case QFORM_4M:
		s = fmaf(
			(float)q_dot(w, 1, a, i, j, 0, 32), scale * (f16_at(head + 2 * j) * (float)sc[j]), s);
		return fmaf(-start, f16_at(head + 2 * QNR + 2 * j) * (float)sc[QNR + j], s);
	default:
		memcpy(&first[1], at + 40 * m + 4 * i, 4);
		for (size_t h = 0; h < 2; h++)
			s = fmaf((float)(first[h] + q_dot(w, 0, a, i, j, 16 * h, 16 * h + 16)),
				scale * (f16_at(head + 2 * j) * (float)(int8_t)sc[h * QNR + j]), s);
		return s;
	}
}

static void q_any(enum qform form, size_t groups, const void *a, const void *b, const float *c0, size_t ld0,
	float *c, size_t ldc, size_t m, size_t n)
{
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++) {
			float s = c0 ? c0[i * ld0 + j] : 0.0f;
			const uint8_t *w = b, *head = NULL;
			size_t step = qpanel_bytes(form, QNR, 2) - qpanel_bytes(form, QNR, 1);
			for (size_t g = 0; g < groups; g++, w += step) {
				if (g % QSUPER == 0) {
					head = w;
					w += qpanel_bytes(form, QNR, 1) - step;
				}
				s = q_step(s, form, w, head, (const char *)a + g * qact_bytes(form, 1, m, 1),
					m, i, j);
			}
			c[i * ldc + j] = s;
		}
}

#define QTILE(name, form)                                                                                    \
	static void name(size_t groups, const void *a, const void *b, const float *c0, size_t ld0, float *c, \
		size_t ldc, size_t m, size_t n)                                                              \
	{                                                                                                    \
		q_any(form, groups, a, b, c0, ld0, c, ldc, m, n);                                            \
	}

QTILE(qtile_8, QFORM_8)
QTILE(qtile_4, QFORM_4)
QTILE(qtile_4m, QFORM_4M)
QTILE(qtile_6, QFORM_6)

static const struct kern_qgemm qgemm_row = {
	.name = "plain",
	.mr = QMR,
	.nr = QNR,
	.unit = QUNIT,
	.act = sizeof(QACT),
	.tile = { qtile_8, qtile_4, qtile_4m, qtile_6 },
	.pack_act = pack_act,
	.pack = pack_qpanel,
};
