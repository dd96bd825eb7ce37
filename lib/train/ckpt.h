/*
 * ckpt: checkpoints of a run. RUN/step-N/ is a Hugging Face directory plus state.safetensors (what the
 * optimiser remembers, the place in the data, the recorded options); RUN/latest is a link to the newest.
 *
 * A checkpoint is built under a temporary name, synced, and renamed; the link is replaced after that, older
 * checkpoints are removed after that: whenever the process ends, what is there under its name is complete.
 */
#ifndef QUERN_CKPT_H
#define QUERN_CKPT_H

#include "base/json.h"
#include "train/totals.h"
#include "train/trainer.h"

/* What a run knows besides weights and optimiser. */
struct run_state {
	uint64_t step;   /* updates done */
	uint64_t tokens; /* of the data, taken in all */
	double seconds;  /* spent training, over all parts of the run; kept by runs of a given time only */
	uint64_t skipped;

	uint64_t position; /* rows taken: mapped files in all, a stream in this pass */
	uint64_t digest;   /* stream: of those rows */
	int streamed;
	int ended;     /* stream: this pass took everything */
	char data[33]; /* mapped files: fingerprint of their content; stream: of its tokenizer */
	int done;      /* the total that was asked for is reached */

	/* The last update, for its line in the log. The rate, tokens a second, is not kept. */
	double loss, grad_norm, lr, rate;

	struct totals totals;
	uint64_t limit; /* updates, as they follow from the totals; UINT64_MAX: not known */

	char origin[48]; /* "arch " or "init " and a fingerprint */
	char isa[32];    /* kernels in use: other ones round differently */
	char *options;   /* JSON of opt_record; owned */
};

void run_state_release(struct run_state *s);

/* Number of the newest complete checkpoint: 1 found, 0 none, -1 the folder cannot be read. */
int ckpt_find(const char *run, uint64_t *step, struct err *e);
/* RUN/step-N, to be freed. */
char *ckpt_path(const char *run, uint64_t step);

/* Refuses a second trainer in the same folder. The lock lives until the process ends. */
int ckpt_lock(const char *run, struct err *e);
/* Removes what killed processes left behind, and sets `latest` right. Under the lock. */
int ckpt_clean(const char *run, struct err *e);

/* Writes RUN/step-N; then `latest`; then removes all but the newest `keep` (0: keeps all). On failure nothing
 * but the temporary folder was touched, and that is removed. */
int ckpt_save(const char *run, const struct trainer *t, const struct run_state *s, enum dtype dtype,
	uint64_t keep, struct err *e);
/* Rewrites the state in RUN/step-N: the weights are what they were, the rest may not be. */
int ckpt_save_state(
	const char *run, const struct trainer *t, const struct run_state *s, enum dtype dtype, struct err *e);

/* What the options and totals were, before a model is there. */
int ckpt_read_state(const char *run, uint64_t step, struct run_state *s, struct arena *a,
	struct json **options, struct err *e);
/* Optimiser, guard and (where the model was saved in a narrower type) weights. */
int ckpt_read_trainer(const char *run, uint64_t step, struct trainer *t, struct err *e);

#endif
