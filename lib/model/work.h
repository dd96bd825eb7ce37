/*
 * work: what a session's computing needs: memory laid out up front, packed panels, and the primitives that
 * the blocks are made of (linear maps, norms), each forward beside its backward. Private to lib/model.
 *
 * All sums over rows (gradients of biases and norms) go in fixed chunks of ROW_CHUNK rows whose partial sums
 * are added in order, so they do not depend on the number of threads.
 */
#ifndef QUERN_WORK_H
#define QUERN_WORK_H

#include "model/weights.h"
#include "tensor/qgemm.h"

#define ROW_CHUNK 64
/* A weight gradient's sums go on from piece to piece of so many rows: what is packed of them stays in a
 * cache. */
#define GRAD_ROWS 1024

/* Hands out 64-byte aligned pieces of one allocation. Without a base it only measures. */
struct area {
	char *base;
	size_t used, peak;
};
void *area_take(struct area *a, size_t count, size_t size);
void area_rewind(struct area *a, size_t used); /* keeps the peak */

/* Panels of one linear map's weights: of numbers, or of its quantised parts. */
struct packed {
	struct panels panels;
	struct linear_part parts[PARTS_MOST];
	void *part_panels[PARTS_MOST];
	size_t nparts;
	size_t linear;    /* whose they are */
	uint64_t version; /* of the model's weights; 0: empty */
};

struct work {
	struct model *model;
	const struct net *net;
	enum dtype compute; /* of products, and of the activations that they read */
	int train, kv8;
	size_t tokens; /* most rows of a call */
	size_t passes; /* forward passes so far */
	/* Without training, each linear map keeps its panels [nlinears]. In training the weights move anyway:
	 * there is one place for each direction, packed when another map's turn comes. */
	struct packed *forward, *backward;
	float *given; /* [tokens, widest out]: what quantised products give, before it is handed on */
	void *rows;   /* panels: the right side of a weight gradient, GRAD_ROWS at most */
	size_t rows_bytes;
	float *partial; /* [chunks of rows, widest sum] */
};

/* Takes memory for panels and sums. */
void work_place(struct work *w, struct area *a);
/* Packs what is kept packed, where the weights have moved: for a forward pass of `tokens`. The first passes
 * of few tokens multiply sooner with weights where they are stored, if these need no quantising. */
void work_pack(struct work *w, size_t tokens);
/* Before a forward pass: the same, and counts it. */
void work_begin(struct work *w, size_t tokens);

/* Activations that products read are of type w->compute; the residual stream and what products give are f32.
 */
void *area_take_act(struct area *a, const struct work *w, size_t rows, size_t cols);
/* Element i of activations. */
void *act_at(const struct work *w, const void *x, size_t i);
/* n values as f32: in place, or in buf [n]. */
const float *act_load(const struct work *w, const void *x, float *buf, size_t n);
void act_store(const struct work *w, void *y, const float *x, size_t n);
/* How blocks of a product store their activations, `all` values: around the caches, if those would not hold
 * them. */
typedef void act_store_fn(const struct work *w, void *y, const float *x, size_t n);
act_store_fn *act_storing(size_t all);
/* Columns that elementwise work takes at a time. */
#define ACT_CHUNK 512
/* From row to row of activations n wide that products read: rows a multiple of 2 KiB apart would share few
 * sets of the caches. */
size_t act_ld(const struct work *w, size_t n);
/* x [rows, n] (f32) as activations: itself, or rounded into y. */
const void *act_rows(const struct work *w, size_t rows, size_t n, const float *x, void *y);

/* Weights and gradients by offset. */
const float *work_weight(const struct work *w, size_t offset);
float *work_grad(const struct work *w, size_t offset);

/* y [rows, out] = from + x [rows, in] W^T + b; x are activations, its rows ldx apart; from (f32; NULL: zero)
 * and y stand in rows of ldy. y may be from. */
void linear_forward(struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, const float *from,
	float *y, size_t ldy);
/* The same without `from`; what it gives is handed on, a block at a time (gemm.h). */
struct sink {
	gemm_done *done;
	const void *ctx;
	size_t parts, unit;
};
void linear_forward_to(struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, struct sink to);
/* Back, x and dy are activations: dx [rows, in] (f32, overwritten) = dy W, which may be handed on as well;
 * dW += dy^T x, db += column sums of dy; or both, dx before dW. */
void linear_backward_input(
	struct work *w, size_t linear, size_t rows, const void *dy, size_t lddy, float *dx, size_t lddx);
void linear_backward_input_to(
	struct work *w, size_t linear, size_t rows, const void *dy, size_t lddy, struct sink to);
void linear_backward_weight(
	struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, const void *dy, size_t lddy);
void linear_backward(struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, const void *dy,
	size_t lddy, float *dx, size_t lddx);

/* Norms over `groups` vectors of n->dim in each row, one behind another. y is of type t, f32 or w->compute.
 * stat [rows, groups, 2] keeps mean and reciprocal deviation for backward (NULL: not). y may be x. */
void norm_forward(const struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, void *y, enum dtype t, size_t ldy, float *stat);
/* dx = (add ? dx : 0) + ...; dx may be dy when not adding. */
void norm_backward(struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, const float *stat, const float *dy, size_t lddy, float *dx, size_t lddx, int add);

/* Sum over rows of activations x [rows, n] added to sum [n]. */
void add_rows(struct work *w, size_t rows, size_t n, const void *x, size_t ldx, float *sum);

#endif
