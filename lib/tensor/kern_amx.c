#include "tensor/cpu.h" /* first: other processors compile this and nothing else */

#if defined(__x86_64__)

#define OWN_TILE_BF16
#include "base/die.h"
#include "tensor/kern_avx512.h"
#include "tensor/kern_qtile.h"

/*
 * Products of bf16 on AMX tiles (Intel SDM, volume 2, TDPBF16PS), and of quantised weights with many rows
 * (kern_qamx.h); everything else is AVX-512's. A tile is 32 x 32: 2 x 2 tile registers of 16
 * x 16 sums, two of A (16 rows of 16 pairs of k), two of B, whose panels [k/2][32][2] have the layout that
 * the instruction wants.
 *
 * A sum: for every 32 k, from 0 upwards, the even k and the odd k each make a chain of FMAs from zero; their
 * sum is added to what came before. Numbers below 2^-126 count as zero. The last block of k is filled up with
 * zeros. So an element's bits depend on its row, its column and k alone: the rows of a register do not meet.
 * vdpbf16ps runs one chain through all k, which gives other bits; so a single row (decoding) takes tiles as
 * well. It waits for memory in any case: a register of B is 1 KiB, and 16 cycles of products.
 *
 * The configuration of the registers belongs to the thread. It is loaded where a thread begins with a
 * series of tiles (tiles_begin: once in a parallel region of gemm or attention) and released at the end of it
 * (tiles_end): OpenMP's threads live on, and whatever runs in them between our products finds the tile unit
 * as if we had not been there, configures it as it likes, and is switched by the system without 8 KiB of
 * state. Nothing remembers that a configuration is loaded, so nobody can make such a memory wrong.
 */
#define MR16 32
#define NR16 32
#define DEEP 32 /* k of a register */

struct tile_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

static const struct tile_config config = {
	.palette = 1,
	.row_bytes = { 64, 64, 64, 64, 64, 64, 64, 64 },
	.rows = { 16, 16, 16, 16, 16, 16, 16, 16 },
};

static void tiles_on(void)
{
	_tile_loadconfig(&config);
}

static void tiles_off(void)
{
	_tile_release();
}

/* gcc's tile loads do not say that they read memory: writes must stay on their side of them. */
#define WRITTEN __asm__ volatile("" ::: "memory")

/* What a register cannot read where it lies. */
struct spare {
	_Alignas(64) uint16_t a[MR16][DEEP], b[DEEP / 2][2 * NR16];
};

/* m rows of `pairs` <= 16 pairs of k; the rest of each is zero. */
INLINE void spare_rows(struct spare *s, const uint16_t *a, size_t ars, size_t m, size_t pairs)
{
	for (size_t i = 0; i < m; i++)
		_mm512_store_si512(s->a[i], _mm512_maskz_loadu_epi32(first(pairs), a + 2 * i * ars));
}

static void spare_panel(struct spare *s, const uint16_t *b, size_t pairs)
{
	memcpy(s->b, b, pairs * sizeof *s->b);
	memset(s->b + pairs, 0, (DEEP / 2 - pairs) * sizeof *s->b);
}

/* Sums += A's block of rows by a block of B. The second 16 rows (`two`) begin at row `second`. */
INLINE void step(const uint16_t *a, size_t ars, size_t second, const uint16_t *b, const int two)
{
	WRITTEN;
	_tile_loadd(4, a, 4 * ars);
	_tile_loadd(6, b, 4 * NR16);
	_tile_dpbf16ps(0, 4, 6);
	_tile_loadd(7, b + NR16, 4 * NR16);
	_tile_dpbf16ps(1, 4, 7);
	if (two) {
		_tile_loadd(5, a + 2 * second * ars, 4 * ars);
		_tile_dpbf16ps(2, 5, 6);
		_tile_dpbf16ps(3, 5, 7);
	}
	WRITTEN;
}

INLINE void sums_load(const float *c0, size_t ld0, size_t second, const int two)
{
	if (!c0) {
		_tile_zero(0);
		_tile_zero(1);
		_tile_zero(2);
		_tile_zero(3);
		return;
	}
	_tile_loadd(0, c0, 4 * ld0);
	_tile_loadd(1, c0 + 16, 4 * ld0);
	if (two) {
		_tile_loadd(2, c0 + second * ld0, 4 * ld0);
		_tile_loadd(3, c0 + second * ld0 + 16, 4 * ld0);
	}
}

INLINE void sums_store(float *c, size_t ldc, size_t second, const int two)
{
	_tile_stored(0, c, 4 * ldc);
	_tile_stored(1, c + 16, 4 * ldc);
	if (two) {
		_tile_stored(2, c + second * ldc, 4 * ldc);
		_tile_stored(3, c + second * ldc + 16, 4 * ldc);
	}
}

/* All 32 columns of 16 rows or (`two`) of 16 < m <= 32, whose second 16 overlap the first where m is less
 * than 32: rows in both are made twice. Only m rows of A are read; fewer than 16 go through the spare. */
INLINE void full_bf16(size_t k, const uint16_t *a, size_t ars, const uint16_t *b, const float *c0, size_t ld0,
	float *c, size_t ldc, size_t m, const int two)
{
	struct spare s;
	size_t second = m - 16, pairs = (k + 1) / 2;
	WRITTEN;
	sums_load(c0, ld0, second, two);
	if (m < 16)
		memset(s.a, 0, 16 * sizeof *s.a);
	for (; pairs >= 16; pairs -= 16, a += DEEP, b += DEEP * NR16) {
		if (m >= 16) {
			step(a, ars, second, b, two);
			continue;
		}
		spare_rows(&s, a, ars, m, 16);
		step(s.a[0], DEEP / 2, 0, b, 0);
	}
	if (pairs) {
		spare_rows(&s, a, ars, m, pairs);
		spare_panel(&s, b, pairs);
		step(s.a[0], DEEP / 2, second, s.b[0], two);
	}
	sums_store(c, ldc, second, two);
}

static void tile_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	ASSERT(aks == 1);
	if (m >= 16 && n == NR16) {
		if (m == 16)
			full_bf16(k, a, ars, b, c0, ld0, c, ldc, m, 0);
		else
			full_bf16(k, a, ars, b, c0, ld0, c, ldc, m, 1);
		return;
	}
	_Alignas(64) float buf[MR16 * NR16];
	if (c0) {
		memset(buf, 0, sizeof buf);
		c0 = edge_begin(buf, NR16, c0, ld0, m, n);
	}
	if (m <= 16)
		full_bf16(k, a, ars, b, c0, NR16, buf, NR16, m, 0);
	else
		full_bf16(k, a, ars, b, c0, NR16, buf, NR16, m, 1);
	edge_end(buf, NR16, c, ldc, m, n);
}

#include "tensor/kern_qamx.h"

/* --- packing of A ---------------------------------------------------------------------------------- */

/* Rows of y are rows of x (ks == 1). */
INLINE void rows_of_rows(uint16_t *y, size_t ld, const void *x, size_t js, size_t k, size_t n, const int half)
{
	for (size_t j = 0; j < n; j++)
		for (size_t i = 0; i < k; i += 32) {
			size_t deep = least(k - i, 32);
			_mm512_mask_storeu_epi32(y + 2 * j * ld + i, first((deep + 1) / 2),
				load_pairs(element(x, j * js, half), i, deep, half));
		}
}

/* Rows of y are columns of x (js == 1): blocks of 16 pairs of k by 16 rows are turned in registers. */
INLINE void rows_of_columns(
	uint16_t *y, size_t ld, const void *x, size_t ks, size_t k, size_t n, const int half)
{
	for (size_t j = 0; j < n; j += 16) {
		__mmask16 have = first(n - j);
		for (size_t i = 0; i < k; i += 32) {
			size_t deep = least(k - i, 32);
			__m512i r[16];
			UNROLL
			for (size_t t = 0; t < 16; t++) {
				size_t at = i + 2 * t;
				__mmask16 both = at + 1 < k ? have : 0;
				const void *p = element(x, at * ks + j, half);
				r[t] = _mm512_setzero_si512();
				if (at < k)
					r[t] = load_wide(p, have, half);
				if (both)
					r[t] = _mm512_or_si512(r[t],
						_mm512_slli_epi32(
							load_wide(element(p, ks, half), both, half), 16));
			}
			transpose16(r);
			for (size_t t = 0; t < least(n - j, 16); t++)
				_mm512_mask_storeu_epi32(
					y + 2 * (j + t) * ld + i, first((deep + 1) / 2), r[t]);
		}
	}
}

INLINE void pack_rows(
	uint16_t *y, size_t ld, const void *x, size_t ks, size_t js, size_t k, size_t n, const int half)
{
	if (ks == 1) {
		rows_of_rows(y, ld, x, js, k, n, half);
	} else if (js == 1) {
		rows_of_columns(y, ld, x, ks, k, n, half);
	} else {
		for (size_t j = 0; j < n; j++)
			pack_rest_16(y + 2 * j * ld, 1, element(x, j * js, half), ks, 1, k, 1, 0, 0, half);
	}
}

static void pack_rows_bf16(uint16_t *y, size_t ld, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	pack_rows(y, ld, x, ks, js, k, n, 0);
}

static void repack_rows_bf16(
	uint16_t *y, size_t ld, const uint16_t *x, size_t ks, size_t js, size_t k, size_t n)
{
	pack_rows(y, ld, x, ks, js, k, n, 1);
}

static int supported(void)
{
	return cpu_has(CPU_AMX);
}

extern const struct kern kern_amx;
const struct kern kern_amx = {
	.name = "amx",
	.supported = supported,
	KERN_TILES(MR16, NR16),
	.native_bf16 = 1,
	.pack_rows_bf16 = pack_rows_bf16,
	.repack_rows_bf16 = repack_rows_bf16,
	.tiles_on = tiles_on,
	.tiles_off = tiles_off,
	KERN_ROWS,
	.qgemm_many = &qamx_row,
};

#endif
