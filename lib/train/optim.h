/*
 * optim: the update of all weights from their gradients. A const table of optimisers; adding one is an
 * optim_NAME.c with its row, declared below and listed in optim.c, a word of OPTIM_WORDS at the same index, a
 * line in train(1) and a case in tests/unit/test_optim.c.
 *
 * The result does not depend on the number of threads. Parallel inside; call from one thread; no allocation
 * in a step.
 */
#ifndef QUERN_OPTIM_H
#define QUERN_OPTIM_H

#include "model/model.h"
#include "train/moment.h"

#define OPTIM_WORDS "adamw|muon" /* in the table's order */
#define MUON_SCALE_WORDS "match-rms|original"
enum muon_scale { MUON_MATCH_RMS, MUON_ORIGINAL };

struct optim_config {
	int kind; /* index into OPTIM_WORDS */
	double beta1, beta2, eps;
	double weight_decay; /* of tensors of two or more dimensions */
	double momentum;     /* muon */
	int muon_scale;
	double adam_lr;     /* muon: what AdamW uses for the rest, as a multiple of the rate */
	enum dtype compute; /* muon: of its products */
	int moments;        /* index into MOMENT_WORDS; small tensors stay f32 */
	uint64_t seed;      /* of rounding to bf16 */
};

/* One array that an optimiser remembers of a tensor; checkpoints keep it as KIND.NAME. */
struct optim_state {
	const char *kind; /* "exp_avg", "exp_avg_sq", "momentum_buffer" */
	size_t param;
	struct moment m; /* as many values as the tensor */
};

struct optim {
	struct optim_config c;
	struct model *m;
	const struct optim_row *row;
	uint64_t updates; /* applied so far: part of the state */
	struct optim_state *states;
	size_t nstates;
	size_t *first; /* [nparams]: index of each tensor's first state */
	char *memory;
	size_t memory_bytes;
	struct optim_chunk *chunks; /* pieces of the tensors that AdamW updates */
	size_t nchunks;
	char *scratch; /* of the row, aligned to 64 bytes */
	size_t scratch_bytes;
};

struct optim_row {
	const char *name;
	/* Names of the states that a tensor needs, NULL-terminated; "exp_avg_sq" has no sign. */
	const char *const *(*kinds)(const struct param *p);
	int (*adamw)(const struct param *p);                                    /* is the tensor AdamW's? */
	size_t (*scratch)(const struct optim_config *c, const struct model *m); /* bytes; may be NULL */
	void (*step)(struct optim *o, double lr, float gscale);
};
extern const struct optim_row optim_adamw, optim_muon;

struct optim *optim_new(const struct optim_config *c, struct model *m);
void optim_free(struct optim *o); /* takes NULL */
/* One update with the gradients times gscale; the model's version goes up. */
void optim_step(struct optim *o, double lr, float gscale);
/* Bytes of states and scratch, before anything is allocated. */
size_t optim_bytes(const struct optim_config *c, const struct model *m);

/* --- for the rows --- */

struct optim_chunk {
	size_t param, at, n;
};
/* AdamW over the tensors that the row gives to it. */
void optim_adamw_chunks(struct optim *o, double lr, float gscale);
/* Key of the random numbers with which values from `at` on of a state are written in this update. */
uint64_t optim_key(const struct optim *o, size_t state, size_t at);

/* Sum of squares in an order that depends on n alone; parallel. */
double sum_squares(const float *x, size_t n);

#endif
