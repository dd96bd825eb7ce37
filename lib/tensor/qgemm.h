/*
 * qgemm: products with quantised weights, packed for the processor's kernels (kern_qgemm.h: the forms and the
 * arithmetic). Activations are quantised to int8, row by row in groups of 32 k. As in gemm.h a row's result
 * does not depend on the rows beside it or on the number of threads; here not on the instruction set either.
 * Parallel inside (OpenMP); call from one thread.
 */
#ifndef QUERN_QGEMM_H
#define QUERN_QGEMM_H

#include "tensor/gemm.h"
#include "tensor/kern_qgemm.h"

struct qpanels {
	enum qform form;
	size_t k, n;                     /* B is [k, n] */
	void *p;                         /* qpanels_bytes(form, k, n), 64-byte aligned, owned by the caller */
	const struct row_source *source; /* without p, as in gemm.h: of blocks */
};

size_t qpanels_bytes(enum qform form, size_t k, size_t n);
/* Fills the panels from blocks in ggml's layout (Q8_0, Q4_0, Q4_K, Q6_K); k is a multiple of a block. */
void qpanels_fill(struct qpanels *p, const struct row_source *from);

/* C[m, n] = from + A B + bias, as gemm: a sum starts at from's element (without one: at the bias). A is f32
 * or bf16, contiguous in k. */
void qgemm(size_t m, struct mat a, const struct qpanels *b, struct gemm_out o);

/* Scratch that qgemm keeps between calls is freed here; for leak checkers. */
void qgemm_release(void);

#endif
