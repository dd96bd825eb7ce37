/*
 * kern_qtile: tiles of quantised products, one source for the vector sets. AVX-512 with VNNI, or AVX2 with
 * AVX-VNNI, multiply bytes four at a time (vpdpbusd); the others widen them to 16 bits and multiply pairs
 * (vpmaddwd), which cannot overflow as vpmaddubsw could. A tile is two vectors wide. Per group it holds the
 * integer sums in registers besides the f32 ones.
 */
#include "tensor/kern_rows.h"
#include "tensor/kern_tile.h"

#include <immintrin.h>

#if defined(__AVX512F__)

#define VL 16
#define QMR 7
typedef __m512 qvf;
typedef __m512i qvi;
#define qvf_load _mm512_loadu_ps
#define qvf_store _mm512_storeu_ps
#define qvf_zero _mm512_setzero_ps
#define qvf_set _mm512_set1_ps
#define qvf_mul _mm512_mul_ps
#define qvf_fma _mm512_fmadd_ps
#define qvf_fnma _mm512_fnmadd_ps
#define qvf_of_i32 _mm512_cvtepi32_ps
#define qvf_of_f16(p) _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)(p)))
#define qvf_of_u8(p) \
	_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
#define qvf_of_i8(p) \
	_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
#define qvf_of_bf16(p)       \
	_mm512_castsi512_ps( \
		_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(p))), 16))
#define qvi_zero _mm512_setzero_si512
#define qvi_set _mm512_set1_epi32
#define qvi_add _mm512_add_epi32
#define qvi_nearest _mm512_cvtps_epi32
#define qvi_magnitude(x) _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff))
#define qvi_greater _mm512_max_epu32
#define qvi_greatest _mm512_reduce_max_epu32
#define qvi_total _mm512_reduce_add_epi32

#if defined(__AVX512VNNI__)
#define QNAME "vnni"
#define QUNIT 4
#define QACT int8_t
#define qvi_dot(s, w, x) _mm512_dpbusd_epi32(s, w, x)
#define qvi_bytes _mm512_loadu_si512
#define qvi_low(p) _mm512_and_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(15))
#define qvi_high(p) _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(p), 4), _mm512_set1_epi8(15))
#else
#define QNAME "maddwd"
#define QUNIT 2
#define QACT int16_t
#define qvi_dot(s, w, x) _mm512_add_epi32(s, _mm512_madd_epi16(w, x))
#define qvi_half(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define qvi_bytes(p) _mm512_cvtepu8_epi16(qvi_half(p))
#define qvi_low(p) _mm512_and_si512(qvi_bytes(p), _mm512_set1_epi16(15))
#define qvi_high(p) _mm512_srli_epi16(qvi_bytes(p), 4)
#endif

#else

#define VL 8
typedef __m256 qvf;
typedef __m256i qvi;
#define qvf_load _mm256_loadu_ps
#define qvf_store _mm256_storeu_ps
#define qvf_zero _mm256_setzero_ps
#define qvf_set _mm256_set1_ps
#define qvf_mul _mm256_mul_ps
#define qvf_fma _mm256_fmadd_ps
#define qvf_fnma _mm256_fnmadd_ps
#define qvf_of_i32 _mm256_cvtepi32_ps
#define qvf_of_f16(p) _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p)))
#define qvf_of_u8(p) \
	_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define qvf_of_i8(p) \
	_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define qvf_of_bf16(p)       \
	_mm256_castsi256_ps( \
		_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(p))), 16))
#define qvi_zero _mm256_setzero_si256
#define qvi_set _mm256_set1_epi32
#define qvi_add _mm256_add_epi32
#define qvi_nearest _mm256_cvtps_epi32
#define qvi_magnitude(x) _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff))
#define qvi_greater _mm256_max_epu32

#define QMR 3
#if defined(__AVXVNNI__)
#define QNAME "vnni"
#define QUNIT 4
#define QACT int8_t
#define qvi_dot(s, w, x) _mm256_dpbusd_avx_epi32(s, w, x)
#define qvi_bytes(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define qvi_low(p) _mm256_and_si256(qvi_bytes(p), _mm256_set1_epi8(15))
#define qvi_high(p) _mm256_and_si256(_mm256_srli_epi16(qvi_bytes(p), 4), _mm256_set1_epi8(15))
#else
#define QNAME "maddwd"
#define QUNIT 2
#define QACT int16_t
#define qvi_dot(s, w, x) _mm256_add_epi32(s, _mm256_madd_epi16(w, x))
#define qvi_half(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define qvi_bytes(p) _mm256_cvtepu8_epi16(qvi_half(p))
#define qvi_low(p) _mm256_and_si256(qvi_bytes(p), _mm256_set1_epi16(15))
#define qvi_high(p) _mm256_srli_epi16(qvi_bytes(p), 4)
#endif

#endif

#define QNR (2 * VL)
#define QUNITS (QGROUP / QUNIT)
#define QVECS (QGROUP / VL)

#if VL == 8

INLINE uint32_t qvi_greatest(qvi x)
{
	__m128i y = _mm_max_epu32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
	y = _mm_max_epu32(y, _mm_shuffle_epi32(y, 0x4e));
	return (uint32_t)_mm_cvtsi128_si32(_mm_max_epu32(y, _mm_shuffle_epi32(y, 0xb1)));
}

INLINE int32_t qvi_total(qvi x)
{
	__m128i y = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
	y = _mm_add_epi32(y, _mm_shuffle_epi32(y, 0x4e));
	return _mm_cvtsi128_si32(_mm_add_epi32(y, _mm_shuffle_epi32(y, 0xb1)));
}

#endif

/* int32 to QACT, of which they are. */
INLINE void qact_store(QACT *y, const qvi q[QVECS])
{
	UNROLL
	for (size_t v = 0; v < QVECS; v++) {
#if VL == 16 && QUNIT == 4
		_mm_storeu_si128((__m128i *)(y + VL * v), _mm512_cvtepi32_epi8(q[v]));
#elif VL == 16
		_mm256_storeu_si256((__m256i *)(y + VL * v), _mm512_cvtepi32_epi16(q[v]));
#else
		__m128i x = _mm_packs_epi32(_mm256_castsi256_si128(q[v]), _mm256_extracti128_si256(q[v], 1));
#if QUNIT == 4
		_mm_storel_epi64((__m128i *)(y + VL * v), _mm_packs_epi16(x, x));
#else
		_mm_storeu_si128((__m128i *)(y + VL * v), x);
#endif
#endif
	}
}

/* As kern_qscalar's. */
INLINE float qact_row(QACT *y, const void *x, enum dtype t, int32_t n[2])
{
	qvf v[QVECS];
	qvi q[QVECS], most = qvi_zero();
	UNROLL
	for (size_t i = 0; i < QVECS; i++) {
		v[i] = t == DTYPE_F32 ? qvf_load((const float *)x + VL * i)
				      : qvf_of_bf16((const uint16_t *)x + VL * i);
		most = qvi_greater(most, qvi_magnitude(v[i]));
	}
	uint32_t top = qvi_greatest(most);
	float scale = bits_f32(top) / 127.0f, r = 127.0f / bits_f32(top);
	if (top >= 0x7f800000 || bits_f32(top) < QTINY) {
		scale = top >= 0x7f800000 ? NAN : 0.0f;
		memset(v, 0, sizeof v);
		r = 0;
	}
	UNROLL
	for (size_t i = 0; i < QVECS; i++)
		q[i] = qvi_nearest(qvf_mul(v[i], qvf_set(r)));
	qact_store(y, q);
	if (QVECS == 2) {
		n[0] = qvi_total(q[0]);
		n[1] = qvi_total(q[QVECS - 1]);
	} else {
		n[0] = qvi_total(qvi_add(q[0], q[1]));
		n[1] = qvi_total(qvi_add(q[QVECS - 2], q[QVECS - 1]));
	}
	return scale;
}

#include "tensor/kern_qrows.h"

/* Bytes of a vector of weights: VL outputs' units. */
#define VBYTES (VL * QUNIT)

/* QUNIT activations in every lane. */
INLINE qvi act_at(const QACT *a)
{
	int x;
	memcpy(&x, a, sizeof x);
	return qvi_set(x);
}

INLINE void dot_rows(qvi n[QMR][2], qvi w0, qvi w1, const QACT *a, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++) {
		qvi x = act_at(a + QGROUP * i);
		n[i][0] = qvi_dot(n[i][0], w0, x);
		n[i][1] = qvi_dot(n[i][1], w1, x);
	}
}

INLINE void dot_bytes(qvi n[QMR][2], const uint8_t *w, const QACT *a, const size_t units, const size_t m)
{
	for (size_t u = 0; u < units; u++, w += 2 * VBYTES, a += QUNIT)
		dot_rows(n, qvi_bytes(w), qvi_bytes(w + VBYTES), a, m);
}

INLINE void dot_nibbles(qvi n[QMR][2], const uint8_t *w, const QACT *a, const size_t m)
{
	for (size_t u = 0; u < QUNITS / 2; u++, w += 2 * VBYTES, a += QUNIT) {
		dot_rows(n, qvi_low(w), qvi_low(w + VBYTES), a, m);
		dot_rows(n, qvi_high(w), qvi_high(w + VBYTES), a + QGROUP / 2, m);
	}
}

INLINE void dots_begin(qvi n[QMR][2], const int32_t *start, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++)
		n[i][0] = n[i][1] = start ? qvi_set(start[i]) : qvi_zero();
}

/* s += integer sum * (scale of the row * scale of the output) */
INLINE void dots_end(qvf s[QMR][2], qvi n[QMR][2], const float *scale, qvf d0, qvf d1, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++) {
		qvf x = qvf_set(scale[i]);
		s[i][0] = qvf_fma(qvf_of_i32(n[i][0]), qvf_mul(x, d0), s[i][0]);
		s[i][1] = qvf_fma(qvf_of_i32(n[i][1]), qvf_mul(x, d1), s[i][1]);
	}
}

/* m and form are constants wherever this is expanded. */
INLINE void qtile_rows(size_t groups, const void *av, const void *bv, const float *c0, size_t ld0, float *c,
	size_t ldc, const size_t m, const enum qform form)
{
	const char *at = av;
	const uint8_t *w = bv;
	qvf s[QMR][2], d0 = qvf_zero(), d1 = d0, e0 = d0, e1 = d0;
	UNROLL
	for (size_t i = 0; i < m; i++) {
		s[i][0] = c0 ? qvf_load(c0 + i * ld0) : qvf_zero();
		s[i][1] = c0 ? qvf_load(c0 + i * ld0 + VL) : qvf_zero();
	}
	for (size_t g = 0; g < groups; g++) {
		const QACT *a = (const QACT *)(const void *)at;
		const float *scale = (const float *)(const void *)(a + QGROUP * m), *start = scale + m;
		const int32_t *first = (const int32_t *)(const void *)start;
		qvi n[QMR][2];
		if ((form == QFORM_4M || form == QFORM_6) && g % QSUPER == 0) {
			d0 = qvf_of_f16(w), d1 = qvf_of_f16(w + 2 * VL), w += 2 * QNR;
			if (form == QFORM_4M)
				e0 = qvf_of_f16(w), e1 = qvf_of_f16(w + 2 * VL), w += 2 * QNR;
		}
		if (form == QFORM_8) {
			dots_begin(n, first, m);
			dot_bytes(n, w, a, QUNITS, m);
			w += 32 * QNR;
			dots_end(s, n, scale, qvf_of_f16(w), qvf_of_f16(w + 2 * VL), m);
			w += 2 * QNR;
		} else if (form == QFORM_4) {
			dots_begin(n, first, m);
			dot_nibbles(n, w, a, m);
			w += 16 * QNR;
			dots_end(s, n, scale, qvf_of_f16(w), qvf_of_f16(w + 2 * VL), m);
			w += 2 * QNR;
		} else if (form == QFORM_4M) {
			dots_begin(n, NULL, m);
			dot_nibbles(n, w, a, m);
			w += 16 * QNR;
			dots_end(s, n, scale, qvf_mul(d0, qvf_of_u8(w)), qvf_mul(d1, qvf_of_u8(w + VL)), m);
			qvf m0 = qvf_mul(e0, qvf_of_u8(w + QNR)), m1 = qvf_mul(e1, qvf_of_u8(w + QNR + VL));
			UNROLL
			for (size_t i = 0; i < m; i++) {
				qvf x = qvf_set(start[i]);
				s[i][0] = qvf_fnma(x, m0, s[i][0]);
				s[i][1] = qvf_fnma(x, m1, s[i][1]);
			}
			w += 2 * QNR;
		} else {
			const uint8_t *sc = w + 32 * QNR;
			dots_begin(n, first, m);
			dot_bytes(n, w, a, QUNITS / 2, m);
			dots_end(s, n, scale, qvf_mul(d0, qvf_of_i8(sc)), qvf_mul(d1, qvf_of_i8(sc + VL)), m);
			dots_begin(n, first + m, m);
			dot_bytes(n, w + 16 * QNR, a + QGROUP / 2, QUNITS / 2, m);
			sc += QNR;
			dots_end(s, n, scale, qvf_mul(d0, qvf_of_i8(sc)), qvf_mul(d1, qvf_of_i8(sc + VL)), m);
			w += 34 * QNR;
		}
		at += qact_bytes(form, sizeof(QACT), m, 1);
	}
	UNROLL
	for (size_t i = 0; i < m; i++) {
		qvf_store(c + i * ldc, s[i][0]);
		qvf_store(c + i * ldc + VL, s[i][1]);
	}
}

#define QTILE_CASE(form, M)                                         \
	case M:                                                     \
		qtile_rows(groups, a, b, c0, ld0, c, ldc, M, form); \
		break

#if QMR == 7
#define QTILE_CASES(form)            \
	switch (m) {                 \
		QTILE_CASE(form, 1); \
		QTILE_CASE(form, 2); \
		QTILE_CASE(form, 3); \
		QTILE_CASE(form, 4); \
		QTILE_CASE(form, 5); \
		QTILE_CASE(form, 6); \
		QTILE_CASE(form, 7); \
	}
#else
#define QTILE_CASES(form)            \
	switch (m) {                 \
		QTILE_CASE(form, 1); \
		QTILE_CASE(form, 2); \
		QTILE_CASE(form, 3); \
	}
#endif

#define QTILE(name, form)                                                                                    \
	static void name##_full(size_t groups, const void *a, const void *b, const float *c0, size_t ld0,    \
		float *c, size_t ldc, size_t m)                                                              \
	{                                                                                                    \
		QTILE_CASES(form)                                                                            \
	}                                                                                                    \
	static void name(size_t groups, const void *a, const void *b, const float *c0, size_t ld0, float *c, \
		size_t ldc, size_t m, size_t n)                                                              \
	{                                                                                                    \
		if (n == QNR) {                                                                              \
			name##_full(groups, a, b, c0, ld0, c, ldc, m);                                       \
			return;                                                                              \
		}                                                                                            \
		float buf[QMR * QNR] = { 0 };                                                                \
		c0 = edge_begin(buf, QNR, c0, ld0, m, n);                                                    \
		name##_full(groups, a, b, c0, QNR, buf, QNR, m);                                             \
		edge_end(buf, QNR, c, ldc, m, n);                                                            \
	}

QTILE(qtile_8, QFORM_8)
QTILE(qtile_4, QFORM_4)
QTILE(qtile_4m, QFORM_4M)
QTILE(qtile_6, QFORM_6)

static const struct kern_qgemm qgemm_row = {
	.name = QNAME,
	.mr = QMR,
	.nr = QNR,
	.unit = QUNIT,
	.act = sizeof(QACT),
	.tile = { qtile_8, qtile_4, qtile_4m, qtile_6 },
	.pack_act = pack_act,
	.pack = pack_qpanel,
};
