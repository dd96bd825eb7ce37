/*
 * objective: what a run minimises. A const table; adding one is an obj_NAME.c with its row, declared below
 * and listed in objective.c, a word of OBJECTIVE_WORDS at the same index, a section in train(1) and a test of
 * its loss and gradient against a reference.
 *
 * An update's rows go through the engine in pieces that fit into the session (micro-batches); the loss
 * divides by what the whole update holds, so that pieces change nothing but the last bits.
 */
#ifndef QUERN_OBJECTIVE_H
#define QUERN_OBJECTIVE_H

#include "train/batch.h"

#define OBJECTIVE_WORDS "lm" /* in the table's order */

/* One micro-batch. */
struct objective_args {
	struct session *session;
	const struct batch *batch;
	size_t row, nrows;
	int backward; /* accumulate gradients, each target weighing `weight` */
	double weight;
	float zloss;
	float *logp, *lse, *dlogp; /* scratch, [inputs of the micro-batch] */
	double *row_logp;          /* NULL, or [rows of the batch]: log-probability of each row's targets */
};

/* Sums over targets, in the order of the rows. */
struct objective_sums {
	double nll;   /* of -log p */
	double zloss; /* of c * lse^2 */
};

struct objective {
	const char *name;
	void (*micro)(const struct objective_args *a, struct objective_sums *s);
};
extern const struct objective obj_lm;

const struct objective *objective_at(int kind);

#endif
