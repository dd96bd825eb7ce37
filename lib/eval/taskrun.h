/*
 * taskrun: a task over a model: requests as lm-eval makes them (data.md's conventions are in quern-task(5)),
 * scores as JSON lines.
 */
#ifndef QUERN_TASKRUN_H
#define QUERN_TASKRUN_H

#include "eval/task.h"
#include "model/model.h"

struct task_options {
	struct model *model; /* with a tokenizer */
	enum dtype compute;
	size_t context;   /* most tokens that go through the model for one item */
	size_t parallel;  /* completions decoded together */
	size_t bootstrap; /* resamples for standard errors without closed form */
	uint64_t seed;
	int per_item;
	void (*emit)(void *ctx, const struct buf *line, int is_total); /* a JSON line, without its newline */
	void (*tick)(void *ctx, size_t done, size_t total);
	void *ctx;
};
int task_run(struct task *t, const struct task_options *o, struct err *e);

#endif
