/*
 * trainer: a model with all that one update of it needs. Memory is allocated once; an update allocates
 * nothing. Parallel inside; one thread calls.
 */
#ifndef QUERN_TRAINER_H
#define QUERN_TRAINER_H

#include "train/batch.h"
#include "train/guard.h"
#include "train/objective.h"
#include "train/optim.h"

struct trainer_config {
	int objective; /* index into OBJECTIVE_WORDS */
	size_t rows;   /* of one update */
	size_t micro;  /* of them, that go through the engine at once */
	size_t context;
	enum dtype compute;
	int recompute; /* SESSION_RECOMPUTE */
	double clip;   /* 0: none */
	double zloss;
	int guard;
	struct optim_config optim;
};

struct trainer {
	struct trainer_config c;
	struct model *model;
	struct session *session;
	struct optim *optim;
	struct guard guard;
	struct batch batch; /* the caller fills it */
	float *logp, *lse, *dlogp;
};

/* What an update (or a pass without one) found. */
struct update {
	double loss; /* mean -log p of the targets; NAN when there are none */
	double zloss;
	double grad_norm; /* before clipping */
	int skipped;      /* by the guard, or because there was nothing to learn from */
};

/* The model stays the caller's and outlives it. */
void trainer_init(struct trainer *t, const struct trainer_config *c, struct model *m);
void trainer_release(struct trainer *t);

/* Loss and, with `backward`, the gradients of the rows in t->batch. row_logp as in objective.h, or NULL. */
void trainer_pass(struct trainer *t, int backward, double *row_logp, struct update *u);
/* Pass, guard, clip, optimiser. */
void trainer_update(struct trainer *t, double lr, struct update *u);

/* Bytes: weights, gradients, optimiser, activations. For --dry-run. */
struct trainer_memory {
	size_t weights, grads, optim, session;
};
struct trainer_memory trainer_memory(const struct trainer_config *c, const struct model *m);

#endif
