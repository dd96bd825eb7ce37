/*
 * kern_tile: what the product kernels of the vector sets share. A set defines MR, NR, and full_f32 and
 * full_bf16, which make tiles of m <= MR rows and exactly NR columns.
 */
#ifndef QUERN_KERN_TILE_H
#define QUERN_KERN_TILE_H

#include <stddef.h>
#include <string.h>

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif
#define INLINE static inline __attribute__((always_inline))

/* A tile with fewer than nr columns is made in a buffer with all of them. */
static inline const float *edge_begin(float *buf, size_t nr, const float *c0, size_t ld0, size_t m, size_t n)
{
	if (!c0)
		return NULL;
	for (size_t i = 0; i < m; i++)
		memcpy(buf + i * nr, c0 + i * ld0, n * sizeof *buf);
	return buf;
}

static inline void edge_end(const float *buf, size_t nr, float *c, size_t ldc, size_t m, size_t n)
{
	for (size_t i = 0; i < m; i++)
		memcpy(c + i * ldc, buf + i * nr, n * sizeof *buf);
}

/* Defines tile_NAME for tables from full_NAME. */
#define DEFINE_TILE(NAME, TYPE, MR_, NR_)                                                            \
	static void tile_##NAME(size_t k, const TYPE *a, const TYPE *b, const float *c0, size_t ld0, \
		float *c, size_t ldc, size_t m, size_t n)                                            \
	{                                                                                            \
		if (n == (NR_)) {                                                                    \
			full_##NAME(k, a, b, c0, ld0, c, ldc, m);                                    \
			return;                                                                      \
		}                                                                                    \
		float buf[(MR_) * (NR_)] = { 0 };                                                    \
		c0 = edge_begin(buf, NR_, c0, ld0, m, n);                                            \
		full_##NAME(k, a, b, c0, NR_, buf, NR_, m);                                          \
		edge_end(buf, NR_, c, ldc, m, n);                                                    \
	}

#endif
