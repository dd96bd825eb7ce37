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

/* A's rows are reached from every fourth one by strides of 1, 2 and 3 rows, which addresses can hold. */
#define QUADS(m) (((m) + 3) / 4)

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

/* The body of a tile function, from one that makes all NR columns. */
#define TILE(full)                                                   \
	do {                                                         \
		if (n == NR) {                                       \
			full(k, a, ars, aks, b, c0, ld0, c, ldc, m); \
			break;                                       \
		}                                                    \
		float buf[MR * NR] = { 0 };                          \
		c0 = edge_begin(buf, NR, c0, ld0, m, n);             \
		full(k, a, ars, aks, b, c0, NR, buf, NR, m);         \
		edge_end(buf, NR, c, ldc, m, n);                     \
	} while (0)

/* One number of rows: a constant wherever f is expanded. */
#define TILE_CASE(f, M)                                   \
	case M:                                           \
		f(k, a, ars, aks, b, c0, ld0, c, ldc, M); \
		break

#endif
