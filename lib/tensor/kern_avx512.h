/*
 * kern_avx512: product and packing kernels for AVX-512, compiled by kern_avx512.c and, with the flag for it,
 * by kern_avx512bf16.c, where products of bf16 use vdpbf16ps, and by kern_amx.c, which has its own
 * (OWN_TILE_BF16).
 *
 * A tile is MR x NR = 14 x 32: 28 accumulators, two vectors of B, and A's elements as broadcasts: as many
 * independent sums as the registers hold, more than latency x ports of any core. Fewer rows have kernels of
 * their own, because decoding runs on tiles of one to a few rows.
 */
#include "base/mem.h"
#define SOFTMAX_STEP softmax_step_512
#define STREAM_BF16 stream_bf16
#define STREAM_END stream_flush
#include "tensor/kern_rows.h"
#include "tensor/kern_tile.h"

#include <immintrin.h>

#define MR 14
#define NR 32

INLINE void load_tile(__m512 s[MR][2], const float *c0, size_t ld0, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++) {
		s[i][0] = c0 ? _mm512_loadu_ps(c0 + i * ld0) : _mm512_setzero_ps();
		s[i][1] = c0 ? _mm512_loadu_ps(c0 + i * ld0 + 16) : _mm512_setzero_ps();
	}
}

INLINE void store_tile(__m512 s[MR][2], float *c, size_t ldc, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++) {
		_mm512_storeu_ps(c + i * ldc, s[i][0]);
		_mm512_storeu_ps(c + i * ldc + 16, s[i][1]);
	}
}

/* m is a constant wherever these are expanded. */
INLINE void rows_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, const size_t m)
{
	__m512 s[MR][2];
	const float *q[QUADS(MR)];
	load_tile(s, c0, ld0, m);
	UNROLL
	for (size_t i = 0; i < QUADS(m); i++)
		q[i] = a + 4 * i * ars;
	for (; k; k--, b += NR) {
		__m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			__m512 x = _mm512_set1_ps(q[i / 4][i % 4 * ars]);
			s[i][0] = _mm512_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm512_fmadd_ps(x, b1, s[i][1]);
		}
		UNROLL
		for (size_t i = 0; i < QUADS(m); i++)
			q[i] += aks;
	}
	store_tile(s, c, ldc, m);
}

#define CASES(f)                          \
	do {                              \
		switch (m) {              \
			TILE_CASE(f, 1);  \
			TILE_CASE(f, 2);  \
			TILE_CASE(f, 3);  \
			TILE_CASE(f, 4);  \
			TILE_CASE(f, 5);  \
			TILE_CASE(f, 6);  \
			TILE_CASE(f, 7);  \
			TILE_CASE(f, 8);  \
			TILE_CASE(f, 9);  \
			TILE_CASE(f, 10); \
			TILE_CASE(f, 11); \
			TILE_CASE(f, 12); \
			TILE_CASE(f, 13); \
			TILE_CASE(f, 14); \
		}                         \
	} while (0)

static void full_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m)
{
	CASES(rows_f32);
}

static void tile_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	TILE(full_f32);
}

#ifndef OWN_TILE_BF16

#ifdef __AVX512BF16__

INLINE void rows_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, const size_t m)
{
	__m512 s[MR][2];
	const uint16_t *q[QUADS(MR)];
	load_tile(s, c0, ld0, m);
	UNROLL
	for (size_t i = 0; i < QUADS(m); i++)
		q[i] = a + 8 * i * ars;
	for (k = (k + 1) / 2; k; k--, b += 2 * NR) {
		__m512bh b0 = (__m512bh)_mm512_loadu_si512(b), b1 = (__m512bh)_mm512_loadu_si512(b + NR);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			int pair;
			memcpy(&pair, q[i / 4] + i % 4 * 2 * ars, sizeof pair);
			__m512bh x = (__m512bh)_mm512_set1_epi32(pair);
			s[i][0] = _mm512_dpbf16_ps(s[i][0], x, b0);
			s[i][1] = _mm512_dpbf16_ps(s[i][1], x, b1);
		}
		UNROLL
		for (size_t i = 0; i < QUADS(m); i++)
			q[i] += 2 * aks;
	}
	store_tile(s, c, ldc, m);
}

#else

/* The halves of pairs as f32: the first of each, then the second. */
#define FIRST(x) _mm512_castsi512_ps(_mm512_slli_epi32(x, 16))
#define SECOND(x) _mm512_castsi512_ps(_mm512_and_si512(x, _mm512_set1_epi32((int)0xffff0000)))

INLINE void rows_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, const size_t m)
{
	__m512 s[MR][2];
	const uint16_t *q[QUADS(MR)];
	load_tile(s, c0, ld0, m);
	UNROLL
	for (size_t i = 0; i < QUADS(m); i++)
		q[i] = a + 8 * i * ars;
	for (k = (k + 1) / 2; k; k--, b += 2 * NR) {
		__m512i p0 = _mm512_loadu_si512(b), p1 = _mm512_loadu_si512(b + NR);
		__m512 b0 = FIRST(p0), b1 = FIRST(p1);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			__m512 x = _mm512_set1_ps(f32_of_bf16(q[i / 4][i % 4 * 2 * ars]));
			s[i][0] = _mm512_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm512_fmadd_ps(x, b1, s[i][1]);
		}
		b0 = SECOND(p0), b1 = SECOND(p1);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			__m512 x = _mm512_set1_ps(f32_of_bf16(q[i / 4][i % 4 * 2 * ars + 1]));
			s[i][0] = _mm512_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm512_fmadd_ps(x, b1, s[i][1]);
		}
		UNROLL
		for (size_t i = 0; i < QUADS(m); i++)
			q[i] += 2 * aks;
	}
	store_tile(s, c, ldc, m);
}

#endif

static void full_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m)
{
	CASES(rows_bf16);
}

static void tile_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	TILE(full_bf16);
}

#endif

/* --- softmax of attention's block, 64 scores: kern_rows.h's, operation for operation --------------- */

INLINE __m512 exp16(__m512 x)
{
	x = _mm512_min_ps(_mm512_set1_ps(88.8f), x);
	__m512 magic = _mm512_set1_ps(12582912.0f);
	__m512 t = _mm512_fmadd_ps(x, _mm512_set1_ps(1.44269504f), magic), n = _mm512_sub_ps(t, magic);
	__m512 r = _mm512_fmadd_ps(
		n, _mm512_set1_ps(2.12194440e-4f), _mm512_fmadd_ps(n, _mm512_set1_ps(-0.693359375f), x));
	__m512 p = _mm512_fmadd_ps(_mm512_set1_ps(1.9875691500e-4f), r, _mm512_set1_ps(1.3981999507e-3f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
	__m512i two = _mm512_slli_epi32(_mm512_add_epi32(_mm512_castps_si512(t), _mm512_set1_epi32(127)), 23);
	__m512 y = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
	__mmask16 small = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-86.6f), _CMP_LT_OQ);
	return _mm512_maskz_mul_ps((__mmask16)~small, y, _mm512_castsi512_ps(two));
}

/* tree_sum's and row_max's tree, the last 16 lanes of it. */
#define TREE16(name, op)                                                                         \
	INLINE float name(__m512 x)                                                              \
	{                                                                                        \
		__m256 h = _mm256_##op(_mm512_extractf32x8_ps(x, 1), _mm512_castps512_ps256(x)); \
		__m128 q = _mm_##op(_mm256_extractf128_ps(h, 1), _mm256_castps256_ps128(h));     \
		q = _mm_##op(_mm_movehl_ps(q, q), q);                                            \
		return _mm_cvtss_f32(_mm_##op(_mm_movehdup_ps(q), q));                           \
	}
TREE16(sum16, add_ps)
TREE16(max16, max_ps)

static float softmax_64(float *x, float scale, float *m, float *l)
{
	__m512 v[4], k = _mm512_set1_ps(scale), lowest = _mm512_set1_ps(-(float)INFINITY);
	UNROLL
	for (size_t i = 0; i < 4; i++)
		v[i] = _mm512_loadu_ps(x + 16 * i);
	__m512 a = _mm512_max_ps(v[2], _mm512_max_ps(v[0], lowest)),
	       b = _mm512_max_ps(v[3], _mm512_max_ps(v[1], lowest));
	float top = max16(_mm512_max_ps(b, a)) * scale, old = *m, now = top > old ? top : old;
	UNROLL
	for (size_t i = 0; i < 4; i++) {
		v[i] = exp16(_mm512_sub_ps(_mm512_mul_ps(v[i], k), _mm512_set1_ps(now)));
		_mm512_storeu_ps(x + 16 * i, v[i]);
	}
	float shrink = now == old ? 1.0f : exp_f32(old - now);
	*m = now;
	*l = *l * shrink + sum16(_mm512_add_ps(_mm512_add_ps(v[0], v[2]), _mm512_add_ps(v[1], v[3])));
	return shrink;
}

static float softmax_step_512(float *x, size_t n, float scale, float *m, float *l)
{
	return n == 64 ? softmax_64(x, scale, m, l) : row_softmax_step(x, n, scale, m, l);
}

/* --- rounding ------------------------------------------------------------------------------------ */

/* As bf16_of: nearest even, NaN stays NaN; in the low half of each 32 bits. */
INLINE __m512i bf16_exact(__m512 x)
{
	__m512i u = _mm512_castps_si512(x);
	__m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
	__m512i r =
		_mm512_srli_epi32(_mm512_add_epi32(u, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff))), 16);
	__m512i nan = _mm512_or_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(0x40));
	return _mm512_mask_mov_epi32(r, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
}

static void stream_bf16(uint16_t *y, const float *x, size_t n)
{
	size_t i = least(n, (64 - (uintptr_t)y % 64) % 64 / sizeof *y);
	row_to_bf16(y, x, i);
	for (; i + 32 <= n; i += 32) {
		__m256i lo = _mm512_cvtepi32_epi16(bf16_exact(_mm512_loadu_ps(x + i)));
		__m256i hi = _mm512_cvtepi32_epi16(bf16_exact(_mm512_loadu_ps(x + i + 16)));
		_mm512_stream_si512(
			(__m512i *)(void *)(y + i), _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1));
	}
	row_to_bf16(y + i, x + i, n - i);
}

static void stream_flush(void)
{
	_mm_sfence();
}

/* --- packing ------------------------------------------------------------------------------------- */

#ifdef __AVX512BF16__

/* 32 values in order: lo's 16, then hi's, as bf16. */
INLINE __m512i bf16_in_order(__m512 lo, __m512 hi)
{
	return (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
}

INLINE __m512i bf16_wide(__m512 x)
{
	return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x));
}

#else

INLINE __m512i bf16_wide(__m512 x)
{
	return bf16_exact(x);
}

INLINE __m512i bf16_in_order(__m512 lo, __m512 hi)
{
	__m256i l = _mm512_cvtepi32_epi16(bf16_wide(lo)), h = _mm512_cvtepi32_epi16(bf16_wide(hi));
	return _mm512_inserti64x4(_mm512_castsi256_si512(l), h, 1);
}

#endif

/* r[i] element j becomes r[j] element i, elements of 32 bits. */
INLINE void transpose16(__m512i r[16])
{
	__m512i t[16];
	UNROLL
	for (size_t i = 0; i < 16; i += 4) {
		__m512i x0 = _mm512_unpacklo_epi32(r[i], r[i + 1]),
			x1 = _mm512_unpackhi_epi32(r[i], r[i + 1]);
		__m512i x2 = _mm512_unpacklo_epi32(r[i + 2], r[i + 3]),
			x3 = _mm512_unpackhi_epi32(r[i + 2], r[i + 3]);
		t[i] = _mm512_unpacklo_epi64(x0, x2);
		t[i + 1] = _mm512_unpackhi_epi64(x0, x2);
		t[i + 2] = _mm512_unpacklo_epi64(x1, x3);
		t[i + 3] = _mm512_unpackhi_epi64(x1, x3);
	}
	/* t[4 q + c] holds, in its 128-bit lane g, rows 4 q .. 4 q + 3 of column 4 g + c. */
	UNROLL
	for (size_t c = 0; c < 4; c++) {
		__m512i x0 = _mm512_shuffle_i32x4(t[c], t[4 + c], 0x44),
			x1 = _mm512_shuffle_i32x4(t[c], t[4 + c], 0xee);
		__m512i x2 = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0x44),
			x3 = _mm512_shuffle_i32x4(t[8 + c], t[12 + c], 0xee);
		r[c] = _mm512_shuffle_i32x4(x0, x2, 0x88);
		r[4 + c] = _mm512_shuffle_i32x4(x0, x2, 0xdd);
		r[8 + c] = _mm512_shuffle_i32x4(x1, x3, 0x88);
		r[12 + c] = _mm512_shuffle_i32x4(x1, x3, 0xdd);
	}
}

INLINE __mmask16 first(size_t n)
{
	return (__mmask16)(n < 16 ? (1u << n) - 1 : 0xffff);
}

INLINE __m512 load_first(const float *x, size_t n)
{
	return n >= 16 ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(first(n), x);
}

/* Columns of y are rows of x (ks == 1): 16 x 16 blocks are turned in registers. Rows of x past n count as
 * zero. */
static void pack_rows_f32(float *y, size_t width, const float *x, size_t js, size_t k, size_t n)
{
	for (size_t j = 0; j < width; j += 16) {
		size_t have = n > j ? least(n - j, 16) : 0;
		__mmask16 mask = first(width - j);
		for (size_t i = 0; i < k; i += 16) {
			size_t deep = least(k - i, 16);
			__m512i r[16];
			UNROLL
			for (size_t t = 0; t < 16; t++)
				r[t] = t < have ? _mm512_castps_si512(load_first(x + (j + t) * js + i, deep))
						: _mm512_setzero_si512();
			transpose16(r);
			float *to = y + i * width + j;
			if (deep == 16) {
				UNROLL
				for (size_t t = 0; t < 16; t++)
					_mm512_mask_storeu_epi32(to + t * width, mask, r[t]);
			} else {
				for (size_t t = 0; t < deep; t++)
					_mm512_mask_storeu_epi32(to + t * width, mask, r[t]);
			}
		}
	}
}

/* Up to 32 values of a row, as bf16, from bf16 itself (`half`) or f32; those past n are zero. */
INLINE __m512i load_pairs(const void *row, size_t at, size_t n, const int half)
{
	if (half) {
		const uint16_t *x = (const uint16_t *)row + at;
		return n >= 32 ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi16((1u << n) - 1, x);
	}
	const float *x = (const float *)row + at;
	return bf16_in_order(load_first(x, n), n > 16 ? load_first(x + 16, n - 16) : _mm512_setzero_ps());
}

/* x in elements of f32, or of bf16 (`half`). */
INLINE const void *element(const void *x, size_t i, const int half)
{
	return (const char *)x + i * (half ? sizeof(uint16_t) : sizeof(float));
}

INLINE void pack_rows_16(
	uint16_t *y, size_t width, const void *x, size_t js, size_t k, size_t n, const int half)
{
	for (size_t j = 0; j < width; j += 16) {
		size_t have = n > j ? least(n - j, 16) : 0;
		__mmask16 mask = first(width - j);
		for (size_t i = 0; i < k; i += 32) {
			size_t deep = least(k - i, 32);
			__m512i r[16];
			UNROLL
			for (size_t t = 0; t < 16; t++)
				r[t] = t < have ? load_pairs(element(x, (j + t) * js, half), i, deep, half)
						: _mm512_setzero_si512();
			transpose16(r);
			uint16_t *to = y + (i / 2 * width + j) * 2;
			for (size_t t = 0; t < (deep + 1) / 2; t++)
				_mm512_mask_storeu_epi32(to + t * width * 2, mask, r[t]);
		}
	}
}

/* Columns of y are columns of x (js == 1). */
static void pack_columns_f32(float *y, size_t width, const float *x, size_t ks, size_t k, size_t n)
{
	for (size_t j = 0; j < width; j += 16) {
		__mmask16 have = n > j ? first(n - j) : 0, mask = first(width - j);
		for (size_t i = 0; i < k; i++)
			_mm512_mask_storeu_ps(
				y + i * width + j, mask, _mm512_maskz_loadu_ps(have, x + i * ks + j));
	}
}

/* 16 values, as bf16 in the low half of 32 bits. */
INLINE __m512i load_wide(const void *x, __mmask16 have, const int half)
{
	return half ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(have, x))
		    : bf16_wide(_mm512_maskz_loadu_ps(have, x));
}

INLINE void pack_columns_16(
	uint16_t *y, size_t width, const void *x, size_t ks, size_t k, size_t n, const int half)
{
	for (size_t j = 0; j < width; j += 16) {
		__mmask16 have = n > j ? first(n - j) : 0, mask = first(width - j);
		for (size_t i = 0; i < k; i += 2) {
			__m512i p = load_wide(element(x, i * ks + j, half), have, half);
			if (i + 1 < k)
				p = _mm512_or_si512(
					p, _mm512_slli_epi32(
						   load_wide(element(x, (i + 1) * ks + j, half), have, half),
						   16));
			_mm512_mask_storeu_epi32(y + (i / 2 * width + j) * 2, mask, p);
		}
	}
}

static void pack_f32(float *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	if (pack_line_f32(y, width, x, ks, k, n))
		return;
	if (js == 1)
		pack_columns_f32(y, width, x, ks, k, n);
	else if (ks == 1)
		pack_rows_f32(y, width, x, js, k, n);
	else
		pack_any_f32(y, width, x, ks, js, k, n);
}

static void pack_bf16(uint16_t *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	if (pack_line_bf16(y, width, x, ks, k, n))
		return;
	if (js == 1)
		pack_columns_16(y, width, x, ks, k, n, 0);
	else if (ks == 1)
		pack_rows_16(y, width, x, js, k, n, 0);
	else
		pack_any_bf16(y, width, x, ks, js, k, n);
}

static void repack_bf16(
	uint16_t *y, size_t width, const uint16_t *x, size_t ks, size_t js, size_t k, size_t n)
{
	if (js == 1)
		pack_columns_16(y, width, x, ks, k, n, 1);
	else if (ks == 1)
		pack_rows_16(y, width, x, js, k, n, 1);
	else
		repack_any_bf16(y, width, x, ks, js, k, n);
}
