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

/* Gives rows [j, j + n) of the transposed B, k values of each from `from` on (a multiple of ROWS_DEEP; k is
 * that or what is left): where they lie, or made in buf, the rows *pitch bytes apart. Called by many threads.
 */
#define ROWS_DEEP 512
#define ROWS_MOST 32
typedef const void *rows_fn(
	const void *ctx, size_t j, size_t n, size_t from, size_t k, void *buf, size_t *pitch);
struct row_source {
	rows_fn *rows;
	const void *ctx;
	enum dtype type; /* of numbers: f32, or bf16 for panels of bf16 */
};

struct panels {
	enum dtype dtype; /* DTYPE_F32 or DTYPE_BF16: the arithmetic */
	size_t k, n;      /* B is [k, n] */
	void *p;          /* panels_bytes(dtype, k, n), 64-byte aligned, owned by the caller */
	/* Without p, a product makes its panels from here as it passes by, again for every block of rows of
	 * A: for few rows, and weights that are not multiplied often. The same bits. */
	const struct row_source *source;
};

/* A matrix where it lies: element (i, j) is p[i * rs + j * cs], of type t: f32, or bf16 for products in bf16.
 */
struct mat {
	const void *p;
	enum dtype t;
	size_t rs, cs;
};

size_t panels_bytes(enum dtype dtype, size_t k, size_t n);
/* Fills panels p (dtype, k, n, p->p set) from B [k, n]. */
void panels_pack(struct panels *p, struct mat b);

/* As panels_pack, from rows that are made a piece at a time. */
void panels_fill(struct panels *p, const struct row_source *from);

/* A block of C, in the cache of the thread that made it: rows [row, row + rows) of columns [col, col + cols).
 * Of a C in parts, the same columns of each part, counted from the part's first, `pitch` apart. */
struct gemm_block {
	size_t row, rows, col, cols;
	float *c; /* may be written to */
	size_t ldc, pitch;
};
/* Called by many threads, once for every block; may use stream_bf16 (kern.h). */
typedef void gemm_done(const void *ctx, const struct gemm_block *b);

/* C[m, n] = from + A B + bias; rows of C are ldc apart. from may be c: C += A B. */
struct gemm_out {
	float *c;
	size_t ldc;
	const float *from; /* NULL: zero; rows ldfrom apart */
	size_t ldfrom;
	const float *bias; /* [n] or NULL */
	/* With `done`, C (and from) is NULL: its blocks are handed on instead, begin at a column that is a
	 * multiple of `unit`, and have whole units. */
	gemm_done *done;
	const void *ctx;
	size_t parts, unit; /* 0: as 1 */
};
/* A [m, k] in the arithmetic's type and contiguous in k is read where it lies (bf16: k and rs even, p aligned
 * to 4); anything else is packed first. Every sum starts at from's element (without one: at the bias). */
void gemm(size_t m, struct mat a, const struct panels *b, struct gemm_out o);

/* Scratch that gemm keeps between calls (packed A) is freed here; for leak checkers. */
void gemm_release(void);

#endif
