/*
 * qgemm: products with quantised weights, packed for the processor's kernels (kern_qgemm.h: the forms and the
 * arithmetic). Activations are quantised to int8, row by row in groups of 32 k. As in gemm.h a row's result
 * does not depend on the rows beside it or on the number of threads; here not on the instruction set either.
 * Parallel inside (OpenMP); call from one thread.
 */
#ifndef QUERN_QGEMM_H
#define QUERN_QGEMM_H

#include "tensor/kern_qgemm.h"

struct qpanels {
	enum qform form;
	size_t k, n; /* B is [k, n] */
	void *p;     /* qpanels_bytes(form, k, n), 64-byte aligned, owned by the caller */
};

size_t qpanels_bytes(enum qform form, size_t k, size_t n);
/* Fills outputs [j0, j0 + n) from blocks in ggml's layout (Q8_0, Q4_0, Q4_K, Q6_K), an output's row_bytes
 * behind the one before; k is a multiple of a block. j0 is a multiple of QPANEL. */
#define QPANEL 32
void qpanels_pack(struct qpanels *p, size_t j0, size_t n, const void *blocks, size_t row_bytes);

/* C[m, n] = A[m, k] B[k, n] (+ bias[n]); rows of A are lda apart, of C ldc. */
void qgemm(size_t m, const float *a, size_t lda, const struct qpanels *b, const float *bias, float *c,
	size_t ldc);

/* Scratch that qgemm keeps between calls is freed here; for leak checkers. */
void qgemm_release(void);

#endif
