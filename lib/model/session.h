/*
 * session: what a session holds. Private to lib/model: session.c lays it out, forward.c and head.c compute in
 * it.
 */
#ifndef QUERN_SESSION_H
#define QUERN_SESSION_H

#include "model/block.h"

/* Rows of hidden states that go through the head at a time: [HEAD_ROWS, V] logits exist, never [T, V]. */
#define HEAD_ROWS 256

struct step_state {
	void *block;      /* the block's own */
	float *x;         /* [T, h]: the residual stream before the step */
	float *normed;    /* [T, h]: pre(x) */
	float *pre_stat;  /* [T, 2] */
	float *post_in;   /* [T, h]: what the block gave to post */
	float *post_stat; /* [T, 2] */
};

struct session {
	struct work work;
	size_t max_tokens, head_rows;
	uint64_t packed; /* version of the weights in the panels, 0 none */
	void *memory;
	size_t bytes;

	struct pass pass;
	struct seq *seqs;
	size_t *first;
	uint32_t *ids, *positions; /* [T] */
	float *angles;
	double *freq;
	double rope_factor;

	struct step_state *steps;
	float *y;                  /* [T, h]: what a step adds */
	float *last;               /* [T, h]: the residual stream behind the last step */
	float *hidden, *last_stat; /* [T, h], [T, 2]: final(last) */

	float *dhidden, *dres, *dy, *dx; /* [T, h]; training only */

	uint32_t *rows; /* [T]: those that have a target */
	float *picked;  /* [head_rows, h] */
	float *logits;  /* [head_rows, V] */
	float *dpicked; /* [head_rows, h]; training only */
};

#endif
