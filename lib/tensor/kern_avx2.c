#include "tensor/cpu.h" /* first: other processors compile this and nothing else */

#if defined(__x86_64__)

#include "tensor/kern_qtile.h"
#include "tensor/kern_rows.h"
#include "tensor/kern_tile.h"

#include <immintrin.h>

/* A tile of 6 x 16: 12 accumulators of 8, two vectors of B and two for A's elements fill the 16 registers. */
#define MR 6
#define NR 16

INLINE void load_tile(__m256 s[MR][2], const float *c0, size_t ld0, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++) {
		s[i][0] = c0 ? _mm256_loadu_ps(c0 + i * ld0) : _mm256_setzero_ps();
		s[i][1] = c0 ? _mm256_loadu_ps(c0 + i * ld0 + 8) : _mm256_setzero_ps();
	}
}

INLINE void store_tile(__m256 s[MR][2], float *c, size_t ldc, const size_t m)
{
	UNROLL
	for (size_t i = 0; i < m; i++) {
		_mm256_storeu_ps(c + i * ldc, s[i][0]);
		_mm256_storeu_ps(c + i * ldc + 8, s[i][1]);
	}
}

/* m is a constant wherever these are expanded. */
INLINE void rows_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, const size_t m)
{
	__m256 s[MR][2];
	const float *q[QUADS(MR)];
	load_tile(s, c0, ld0, m);
	UNROLL
	for (size_t i = 0; i < QUADS(m); i++)
		q[i] = a + 4 * i * ars;
	for (; k; k--, b += NR) {
		__m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			__m256 x = _mm256_broadcast_ss(q[i / 4] + i % 4 * ars);
			s[i][0] = _mm256_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm256_fmadd_ps(x, b1, s[i][1]);
		}
		UNROLL
		for (size_t i = 0; i < QUADS(m); i++)
			q[i] += aks;
	}
	store_tile(s, c, ldc, m);
}

/* The halves of pairs as f32: the first of each, then the second. */
#define FIRST(x) _mm256_castsi256_ps(_mm256_slli_epi32(x, 16))
#define SECOND(x) _mm256_castsi256_ps(_mm256_and_si256(x, _mm256_set1_epi32((int)0xffff0000)))

INLINE void rows_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, const size_t m)
{
	__m256 s[MR][2];
	const uint16_t *q[QUADS(MR)];
	load_tile(s, c0, ld0, m);
	UNROLL
	for (size_t i = 0; i < QUADS(m); i++)
		q[i] = a + 8 * i * ars;
	for (k = (k + 1) / 2; k; k--, b += 2 * NR) {
		__m256i p0 = _mm256_loadu_si256((const __m256i *)(const void *)b);
		__m256i p1 = _mm256_loadu_si256((const __m256i *)(const void *)(b + NR));
		__m256 b0 = FIRST(p0), b1 = FIRST(p1);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			__m256 x = _mm256_set1_ps(f32_of_bf16(q[i / 4][i % 4 * 2 * ars]));
			s[i][0] = _mm256_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm256_fmadd_ps(x, b1, s[i][1]);
		}
		b0 = SECOND(p0), b1 = SECOND(p1);
		UNROLL
		for (size_t i = 0; i < m; i++) {
			__m256 x = _mm256_set1_ps(f32_of_bf16(q[i / 4][i % 4 * 2 * ars + 1]));
			s[i][0] = _mm256_fmadd_ps(x, b0, s[i][0]);
			s[i][1] = _mm256_fmadd_ps(x, b1, s[i][1]);
		}
		UNROLL
		for (size_t i = 0; i < QUADS(m); i++)
			q[i] += 2 * aks;
	}
	store_tile(s, c, ldc, m);
}

#define CASES(f)                         \
	do {                             \
		switch (m) {             \
			TILE_CASE(f, 1); \
			TILE_CASE(f, 2); \
			TILE_CASE(f, 3); \
			TILE_CASE(f, 4); \
			TILE_CASE(f, 5); \
			TILE_CASE(f, 6); \
		}                        \
	} while (0)

static void full_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m)
{
	CASES(rows_f32);
}

static void full_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m)
{
	CASES(rows_bf16);
}

static void tile_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	TILE(full_f32);
}

static void tile_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	TILE(full_bf16);
}

/* --- packing ------------------------------------------------------------------------------------- */

/* As bf16_of: nearest even, NaN stays NaN; in the low half of each 32 bits. */
INLINE __m256i bf16_wide(__m256 x)
{
	__m256i u = _mm256_castps_si256(x);
	__m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
	__m256i r =
		_mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
	__m256i nan = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
	return _mm256_blendv_epi8(r, nan, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

/* 16 values at x as 8 pairs of bf16. */
INLINE __m256i bf16_pairs(const float *x)
{
	__m256i p = _mm256_packus_epi32(bf16_wide(_mm256_loadu_ps(x)), bf16_wide(_mm256_loadu_ps(x + 8)));
	return _mm256_permute4x64_epi64(p, 0xd8);
}

/* r[i] element j becomes r[j] element i, elements of 32 bits. */
INLINE void transpose8(__m256i r[8])
{
	__m256i t[8];
	UNROLL
	for (size_t i = 0; i < 8; i += 4) {
		__m256i x0 = _mm256_unpacklo_epi32(r[i], r[i + 1]),
			x1 = _mm256_unpackhi_epi32(r[i], r[i + 1]);
		__m256i x2 = _mm256_unpacklo_epi32(r[i + 2], r[i + 3]),
			x3 = _mm256_unpackhi_epi32(r[i + 2], r[i + 3]);
		t[i] = _mm256_unpacklo_epi64(x0, x2);
		t[i + 1] = _mm256_unpackhi_epi64(x0, x2);
		t[i + 2] = _mm256_unpacklo_epi64(x1, x3);
		t[i + 3] = _mm256_unpackhi_epi64(x1, x3);
	}
	UNROLL
	for (size_t c = 0; c < 4; c++) {
		r[c] = _mm256_permute2x128_si256(t[c], t[4 + c], 0x20);
		r[4 + c] = _mm256_permute2x128_si256(t[c], t[4 + c], 0x31);
	}
}

/* n <= 8 elements of 32 bits; fewer than 8 go by a buffer. */
INLINE void store_first(void *y, __m256i x, size_t n)
{
	if (n >= 8) {
		_mm256_storeu_si256(y, x);
	} else {
		_Alignas(32) char buf[32];
		_mm256_store_si256((__m256i *)(void *)buf, x);
		memcpy(y, buf, n * 4);
	}
}

/* Columns of y are rows of x (ks == 1): 8 x 8 blocks are turned in registers. Whole blocks of k only; returns
 * how much of k that was. */
static size_t pack_rows_f32(float *y, size_t width, const float *x, size_t js, size_t k, size_t n)
{
	size_t i = 0;
	for (; i + 8 <= k; i += 8) {
		for (size_t j = 0; j < width; j += 8) {
			__m256i r[8];
			UNROLL
			for (size_t t = 0; t < 8; t++)
				r[t] = j + t < n ? _mm256_castps_si256(_mm256_loadu_ps(x + (j + t) * js + i))
						 : _mm256_setzero_si256();
			transpose8(r);
			UNROLL
			for (size_t t = 0; t < 8; t++)
				store_first(y + (i + t) * width + j, r[t], width - j);
		}
	}
	return i;
}

/* x in elements of f32, or of bf16 (`half`). */
INLINE const void *element(const void *x, size_t i, const int half)
{
	return (const char *)x + i * (half ? sizeof(uint16_t) : sizeof(float));
}

INLINE size_t pack_rows_16(
	uint16_t *y, size_t width, const void *x, size_t js, size_t k, size_t n, const int half)
{
	size_t i = 0;
	for (; i + 16 <= k; i += 16) {
		for (size_t j = 0; j < width; j += 8) {
			__m256i r[8];
			UNROLL
			for (size_t t = 0; t < 8; t++) {
				const void *at = element(x, (j + t) * js + i, half);
				r[t] = j + t >= n ? _mm256_setzero_si256()
				       : half     ? _mm256_loadu_si256(at)
						  : bf16_pairs(at);
			}
			transpose8(r);
			UNROLL
			for (size_t t = 0; t < 8; t++)
				store_first(y + ((i / 2 + t) * width + j) * 2, r[t], width - j);
		}
	}
	return i;
}

static void pack_f32(float *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	if (pack_line_f32(y, width, x, ks, k, n))
		return;
	if (js == 1) {
		for (size_t i = 0; i < k; i++) {
			memcpy(y + i * width, x + i * ks, n * sizeof *y);
			memset(y + i * width + n, 0, (width - n) * sizeof *y);
		}
		return;
	}
	size_t done = ks == 1 ? pack_rows_f32(y, width, x, js, k, n) : 0;
	pack_any_f32(y + done * width, width, x + done * ks, ks, js, k - done, n);
}

/* 8 values, as bf16 in the low half of 32 bits. */
INLINE __m256i load_wide(const void *x, const int half)
{
	return half ? _mm256_cvtepu16_epi32(_mm_loadu_si128(x)) : bf16_wide(_mm256_loadu_ps(x));
}

/* Columns of y are columns of x (js == 1); whole blocks of 8 columns, how many of them is returned. */
INLINE size_t pack_columns_16(
	uint16_t *y, size_t width, const void *x, size_t ks, size_t k, size_t n, const int half)
{
	size_t j = 0;
	for (; j + 8 <= n; j += 8) {
		for (size_t i = 0; i < k; i += 2) {
			__m256i p = load_wide(element(x, i * ks + j, half), half);
			if (i + 1 < k) {
				__m256i q = load_wide(element(x, (i + 1) * ks + j, half), half);
				p = _mm256_or_si256(p, _mm256_slli_epi32(q, 16));
			}
			store_first(y + (i / 2 * width + j) * 2, p, 8);
		}
	}
	return j;
}

INLINE void pack_16(
	uint16_t *y, size_t width, const void *x, size_t ks, size_t js, size_t k, size_t n, const int half)
{
	size_t rows = 0, columns = 0;
	if (js == 1)
		columns = pack_columns_16(y, width, x, ks, k, n, half);
	else if (ks == 1)
		rows = pack_rows_16(y, width, x, js, k, n, half);
	pack_rest_16(y, width, x, ks, js, k, n, rows, columns, half);
}

static void pack_bf16(uint16_t *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	if (!pack_line_bf16(y, width, x, ks, k, n))
		pack_16(y, width, x, ks, js, k, n, 0);
}

static void repack_bf16(
	uint16_t *y, size_t width, const uint16_t *x, size_t ks, size_t js, size_t k, size_t n)
{
	pack_16(y, width, x, ks, js, k, n, 1);
}

static int supported(void)
{
	return cpu_has(CPU_AVX2);
}

extern const struct kern kern_avx2;
const struct kern kern_avx2 = {
	.name = "avx2",
	.supported = supported,
	KERN_TILES(MR, NR),
	KERN_ROWS,
};

#endif
