/*
 * work: what a session's computing needs: memory laid out up front, packed panels, and the primitives that
 * the blocks are made of (linear maps, norms), each forward beside its backward. Private to lib/model.
 *
 * All sums over rows (gradients of biases and norms) go in fixed chunks of ROW_CHUNK rows whose partial sums
 * are added in order, so they do not depend on the number of threads.
 */
#ifndef QUERN_WORK_H
#define QUERN_WORK_H

#include "model/net.h"
#include "tensor/gemm.h"

#define ROW_CHUNK 64

/* Hands out 64-byte aligned pieces of one allocation. Without a base it only measures. */
struct area {
	char *base;
	size_t used, peak;
};
void *area_take(struct area *a, size_t count, size_t size);
void area_rewind(struct area *a, size_t used); /* keeps the peak */

struct work {
	struct model *model;
	const struct net *net;
	enum dtype compute;
	int train;
	size_t tokens;                     /* most rows of a call */
	struct panels *forward, *backward; /* [nlinears]; backward only when training */
	struct panels scratch;             /* the row-side operand of a weight gradient, packed */
	size_t scratch_bytes;
	float *partial; /* [chunks of rows, widest sum] */
};

/* Takes memory for panels and sums. */
void work_place(struct work *w, struct area *a);
/* Packs the weights. */
void work_pack(struct work *w);

/* Weights and gradients by offset. */
const float *work_weight(const struct work *w, size_t offset);
float *work_grad(const struct work *w, size_t offset);

/* y [rows, out] = x [rows, in] W^T + b; rows of x are ldx apart, of y ldy. */
void linear_forward(
	struct work *w, size_t linear, size_t rows, const float *x, size_t ldx, float *y, size_t ldy);
/* dx [rows, in] (overwritten; NULL: not wanted) = dy W; dW += dy^T x; db += column sums of dy. */
void linear_backward(struct work *w, size_t linear, size_t rows, const float *x, size_t ldx, const float *dy,
	size_t lddy, float *dx, size_t lddx);

/* Norms over `groups` vectors of n->dim in each row, one behind another. stat [rows, groups, 2] keeps mean
 * and reciprocal deviation for backward. y may be x. */
void norm_forward(const struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, float *y, size_t ldy, float *stat);
/* dx = (add ? dx : 0) + ...; dx may be dy when not adding. */
void norm_backward(struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, const float *stat, const float *dy, size_t lddy, float *dx, size_t lddx, int add);

/* Sum over rows of x [rows, n] added to sum [n]. */
void add_rows(struct work *w, size_t rows, size_t n, const float *x, size_t ldx, float *sum);

#endif
