/*
 * session: what a session holds. Private to lib/model: session.c lays it out, forward.c and head.c compute in
 * it.
 */
#ifndef QUERN_SESSION_H
#define QUERN_SESSION_H

#include "model/block.h"

/* Logits that exist at a time, about: so many rows of hidden states go through the head together, never all
 * [T, V] of a large vocabulary. The fewer pieces, the fewer times the gradient of the head is walked: where
 * gradients are narrower than logits there are twice as many, and the logits come in pieces of such a piece.
 */
#define HEAD_LOGITS ((size_t)12 << 20)
#define HEAD_ROWS_MAX 1024
#define LOGIT_ROWS_MAX 256

struct step_state {
	void *block;      /* the block's own */
	float *x;         /* [T, h]: the residual stream before the step */
	void *normed;     /* [T, h]: pre(x), or x, as activations, made anew for backward; NULL: x itself
			     is what goes in */
	float *pre_stat;  /* [T, 2] */
	float *post_in;   /* [T, h]: what the block gave to post */
	float *post_stat; /* [T, 2] */
};

struct session {
	struct work work;
	size_t max_tokens, head_rows, logit_rows;
	int recompute;
	void *memory;
	size_t bytes;
	struct page_pool *pool; /* of its caches */

	struct pass pass;
	struct seq *seqs;
	size_t *first;
	uint32_t *ids, *positions; /* [T] */
	float *angles;
	double *freq;
	double rope_factor;

	struct step_state *steps;
	float *y;         /* [T, h]: what a step adds */
	float *last;      /* [T, h]: the residual stream behind the last step */
	void *hidden;     /* [T, h]: final(last), activations */
	float *last_stat; /* [T, 2] */

	/* [T, h]; training only. dres: the gradient of the residual stream, of `hidden` between head and
	 * backward; dy_act: what goes back into a block, as activations */
	float *dres, *dy, *dx;
	void *dy_act;

	uint32_t *rows; /* [T]: those that have a target */
	void *picked;   /* [head_rows, h], activations */
	float *logits;  /* [logit_rows, V] */
	float *dpicked; /* [head_rows, h]; training only */
	void *dlogits;  /* [head_rows, V], activations; training only; NULL: the logits become their gradient
			 */
};

#endif
