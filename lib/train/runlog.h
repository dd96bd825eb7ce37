/*
 * runlog: log.jsonl of a run, one object a line. A run that goes on cuts off what lies behind its checkpoint,
 * so that no step is there twice.
 */
#ifndef QUERN_RUNLOG_H
#define QUERN_RUNLOG_H

#include "train/ckpt.h"

struct runlog {
	char *path;
	int fd;
	uint64_t last; /* where its last line begins */
};

/* What a log that was there says. */
struct log_past {
	int kept;             /* the line of the step that was asked for is there */
	double seconds, rate; /* of the last line that stays; 0 and NAN without one */
};

/* Creates the file, or keeps its lines up to `step`. A line is written last of all that belongs to its step,
 * so what is there is whole. */
int runlog_open(struct runlog *l, const char *path, uint64_t step, struct log_past *past, struct err *e);
/* Only looks: 1 when the file has the line of `step`, 0 when not, -1 unreadable. */
int runlog_has(const char *path, uint64_t step, struct err *e);
/* The line of the last update in s, as one write; eval_loss and eval_bpb NAN: not measured. Also to `extra`
 * (a path) unless NULL. */
int runlog_add(struct runlog *l, const struct run_state *s, double eval_loss, double eval_bpb,
	const char *extra, struct err *e);
/* Takes the last line back, to be written anew. */
int runlog_undo(struct runlog *l, struct err *e);
int runlog_sync(struct runlog *l, struct err *e);
void runlog_close(struct runlog *l);

#endif
