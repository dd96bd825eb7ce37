#include "tensor/kern_qscalar.h"
#include "tensor/kern_rows.h"

#define MR 4
#define NR 16

static int supported(void)
{
	return 1;
}

static void put(const float s[MR][NR], float *c, size_t ldc, size_t m, size_t n)
{
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++)
			c[i * ldc + j] = s[i][j];
}

static void get(float s[MR][NR], const float *c0, size_t ld0, size_t m, size_t n)
{
	memset(s, 0, sizeof(float[MR][NR]));
	for (size_t i = 0; c0 && i < m; i++)
		for (size_t j = 0; j < n; j++)
			s[i][j] = c0[i * ld0 + j];
}

static void tile_f32(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	float s[MR][NR];
	get(s, c0, ld0, m, n);
	for (; k; k--, a += aks, b += NR)
		for (size_t i = 0; i < m; i++)
			for (size_t j = 0; j < NR; j++)
				s[i][j] += a[i * ars] * b[j];
	put((const float(*)[NR])s, c, ldc, m, n);
}

static void tile_bf16(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b, const float *c0,
	size_t ld0, float *c, size_t ldc, size_t m, size_t n)
{
	float s[MR][NR];
	get(s, c0, ld0, m, n);
	for (k = (k + 1) / 2; k; k--, a += 2 * aks, b += 2 * NR)
		for (size_t h = 0; h < 2; h++)
			for (size_t i = 0; i < m; i++)
				for (size_t j = 0; j < NR; j++)
					s[i][j] +=
						f32_of_bf16(a[2 * i * ars + h]) * f32_of_bf16(b[2 * j + h]);
	put((const float(*)[NR])s, c, ldc, m, n);
}

extern const struct kern kern_scalar;
const struct kern kern_scalar = {
	.name = "scalar",
	.supported = supported,
	.mr = MR,
	.nr = NR,
	.tile_f32 = tile_f32,
	.mr16 = MR,
	.nr16 = NR,
	.tile_bf16 = tile_bf16,
	.pack_f32 = pack_any_f32,
	.qgemm = &qgemm_row,
	.pack_bf16 = pack_any_bf16,
	.repack_bf16 = repack_any_bf16,
	KERN_ROWS,
};
