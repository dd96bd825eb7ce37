/*
 * run: a training run in its folder: updates, and with them the checkpoints, measures and log lines that are
 * due, from where its state stands to its total, to the end of its data, or to where its caller stops asking.
 *
 * A checkpoint knows the place in the data, the totals and the options, so a run goes on from its newest one
 * with the same bits. The log is synced before a checkpoint is written, and the line of an update is added
 * after it: what is missing behind a kill is at most the line of the newest checkpoint, and run_open adds it.
 */
#ifndef QUERN_RUN_H
#define QUERN_RUN_H

#include "train/ckpt.h"
#include "train/heldout.h"
#include "train/rows.h"
#include "train/runlog.h"

struct run_config {
	const char *dir;
	const char *data;       /* name of the data, for messages */
	const char *second_log; /* gets the lines of log.jsonl too; NULL: none */
	uint64_t save_every;    /* updates between checkpoints; 0: only the last */
	uint64_t keep;          /* newest checkpoints that stay; 0: all */
	enum dtype save_dtype;
	uint64_t eval_every; /* updates between measures of the held-out data; 0: only at the end */
	struct sched sched;
	struct totals totals;
};

struct run {
	struct run_config c;
	struct rows *rows; /* NULL: a stream that nobody needed yet */
	struct trainer trainer;
	struct heldout heldout; /* n == 0: nothing is measured */
	struct run_state state;
	struct runlog log;
	uint64_t saved; /* step of the newest checkpoint, UINT64_MAX: none */
	int cut_short;  /* the stream ended before the total */

	/* What the last call did besides its update. */
	int wrote;                  /* a checkpoint */
	double eval_loss, eval_bpb; /* a measure; NAN: none */

	double started, seconds_before; /* the clock */
	unsigned skipped_in_a_row;
};

/* The caller fills in what the calls below need: c, rows, trainer, heldout; and state and saved from the
 * checkpoint when the run goes on, state.limit, state.origin and state.options in any case. */
void run_init(struct run *r);
/* Also closes the rows. The trainer's model stays the caller's. */
void run_release(struct run *r);

/* Is the total reached? Needs c.totals and state. */
int run_finished(const struct run *r);
/* 1: this run has its last checkpoint, and the line of that is in its log: nothing is left to do. -1: the log
 * cannot be read. */
int run_complete(const struct run *r, struct err *e);
/* -1: the rows are not those that the run was started on. */
int run_check_data(const struct run *r, struct err *e);

/* Takes the trainer out of the newest checkpoint, or makes the folder of a new run and locks it; opens the
 * log. */
int run_open(struct run *r, struct err *e);
/* Puts the rows where the checkpoint left them (a stream is read up to there), and starts the clock. */
int run_start(struct run *r, struct err *e);
/* One update, and what is due behind it. 1; 0: the run is over, its rows have ended or (io_interrupted) were
 * interrupted, and no update was made; -1: failed. */
int run_step(struct run *r, struct update *u, struct err *e);
/* A checkpoint of this step; where there is one, its state is renewed. */
int run_save(struct run *r, struct err *e);

/* Rows of the next update into the trainer's batch. 1; 0: the stream ended first; -1 unreadable. */
int run_fill(struct run *r, struct err *e);

#endif
