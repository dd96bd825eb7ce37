/*
 * gemm: matrix products whose every output element is one sum over k from 0 upwards, so that a row's result
 * does not depend on the rows beside it, on the tile sizes or on the number of threads. One row (decoding)
 * and a thousand give the same bits. Parallel inside (OpenMP); call from one thread.
 *
 * The right-hand matrix is repacked once into panels in the layout of the product kernel; f32 or bf16 (then
 * both sides are rounded to bf16, nearest even, and sums are f32).
 */
#ifndef QUERN_GEMM_H
#define QUERN_GEMM_H

#include "tensor/dtype.h"
#include <stddef.h>

struct panels {
	enum dtype dtype; /* DTYPE_F32 or DTYPE_BF16: the arithmetic */
	size_t k, n;      /* B is [k, n] */
	void *p;          /* panels_bytes(dtype, k, n), 64-byte aligned, owned by the caller */
};

size_t panels_bytes(enum dtype dtype, size_t k, size_t n);
/* Fills panels p (dtype, k, n, p->p set) from B(i, j) = b[i * rs + j * cs], f32. */
void panels_pack(struct panels *p, const float *b, size_t rs, size_t cs);

enum { GEMM_ADD = 1 /* C += instead of C = (the sum continues from C's element); not with a bias */ };
/* C[m, n] = A[m, k] B[k, n] (+ bias[n]); A(i, j) = a[i * ars + j * acs], C rows are ldc apart. */
void gemm(size_t m, const float *a, size_t ars, size_t acs, const struct panels *b, const float *bias,
	float *c, size_t ldc, int flags);

/* Scratch that gemm keeps between calls (packed A) is freed here; for leak checkers. */
void gemm_release(void);

#endif
