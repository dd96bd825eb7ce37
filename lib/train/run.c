#include "train/run.h"
#include "base/io.h"
#include "base/log.h"
#include "tensor/kern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* After so many skipped updates one behind another the run has diverged. */
#define MAX_SKIPPED 100

static void forget_events(struct run *r)
{
	r->wrote = 0;
	r->eval_loss = r->eval_bpb = NAN;
}

void run_init(struct run *r)
{
	*r = (struct run){ .log = { .fd = -1 }, .saved = UINT64_MAX };
	forget_events(r);
}

void run_release(struct run *r)
{
	trainer_release(&r->trainer);
	heldout_release(&r->heldout);
	run_state_release(&r->state);
	runlog_close(&r->log);
	rows_close(r->rows);
	run_init(r);
}

int run_finished(const struct run *r)
{
	const struct run_state *s = &r->state;
	const struct totals *t = &r->c.totals;
	return s->step >= s->limit || (!isnan(t->time) && s->seconds >= t->time) ||
	       (s->done && !isnan(t->epochs));
}

static char *log_path(const struct run *r)
{
	return path_join(r->c.dir, "log.jsonl");
}

int run_complete(const struct run *r, struct err *e)
{
	if (r->saved == UINT64_MAX || !run_finished(r))
		return 0;
	if (r->state.step == 0)
		return 1;
	char *path = log_path(r);
	int has = runlog_has(path, r->state.step, e);
	free(path);
	return has;
}

/* --- the data --- */

static void data_fingerprint(const struct rows *r, char hex[33])
{
	hash128_hex(rows_streamed(r) ? rows_info(r)->fingerprint : rows_fingerprint(r), hex);
}

int run_check_data(const struct run *r, struct err *e)
{
	char hex[33];
	data_fingerprint(r->rows, hex);
	if (rows_streamed(r->rows) != r->state.streamed)
		return err_set(e, "%s: this run was started on %s", r->c.data,
			r->state.streamed ? "a pipe" : "files");
	if (strcmp(hex, r->state.data) != 0)
		return err_set(e, "%s: not the data that this run was started on", r->c.data);
	return 0;
}

static int seek(struct run *r, struct err *e)
{
	struct run_state *s = &r->state;
	struct batch *b = &r->trainer.batch;
	if (!s->streamed) {
		rows_seek(r->rows, s->position);
		return 0;
	}
	if (s->ended) { /* the pass before is complete: what comes now is new */
		s->position = s->digest = 0;
		s->ended = 0;
		return 0;
	}
	int rc = 1;
	while (rows_position(r->rows) < s->position && rc > 0) {
		batch_reset(b);
		rc = rows_next(r->rows, b, e);
	}
	batch_reset(b);
	if (rc < 0)
		return -1;
	if (rows_position(r->rows) < s->position || rows_digest(r->rows) != s->digest)
		return err_set(e, "%s: does not begin with the %llu rows that step %llu had consumed",
			r->c.data, (unsigned long long)s->position, (unsigned long long)s->step);
	return 0;
}

int run_fill(struct run *r, struct err *e)
{
	struct batch *b = &r->trainer.batch;
	uint64_t end = totals_rows(&r->c.totals, r->rows);
	int rc = 1;
	batch_reset(b);
	while (rc > 0 && b->nrows < r->trainer.c.rows && rows_position(r->rows) < end)
		rc = rows_next(r->rows, b, e);
	return rc;
}

/* --- checkpoints and log --- */

static int save(struct run *r, struct err *e)
{
	const struct run_config *c = &r->c;
	struct run_state *s = &r->state;
	s->totals = c->totals;
	/* First the log: no line is missing that a run going on from here relies on. */
	int rc = runlog_sync(&r->log, e);
	if (rc == 0 && r->saved == s->step)
		rc = ckpt_save_state(c->dir, &r->trainer, s, c->save_dtype, e);
	else if (rc == 0)
		rc = ckpt_save(c->dir, &r->trainer, s, c->save_dtype, c->keep, e);
	if (rc < 0)
		return -1;
	r->saved = s->step;
	r->wrote = 1;
	return 0;
}

int run_save(struct run *r, struct err *e)
{
	forget_events(r);
	return save(r, e);
}

/* The line of the last update, with a measure of the held-out data where one is due. */
static int add_line(struct run *r, int last, struct err *e)
{
	const struct run_state *s = &r->state;
	uint64_t every = r->c.eval_every;
	if (s->step == 0)
		return 0;
	if (r->heldout.n && (last || (every && s->step % every == 0)))
		heldout_measure(&r->heldout, &r->trainer, &r->eval_loss, &r->eval_bpb);
	return runlog_add(&r->log, s, r->eval_loss, r->eval_bpb, r->c.second_log, e);
}

static int open_log(struct run *r, struct err *e)
{
	struct log_past past;
	struct run_state *s = &r->state;
	char *path = log_path(r);
	int rc = runlog_open(&r->log, path, s->step, &past, e);
	free(path);
	if (rc < 0)
		return -1;
	s->rate = past.rate;
	if (isnan(s->totals.time))
		s->seconds = past.seconds;
	/* Killed between the checkpoint and its line in the log: the line comes now, with the clock of the
	 * line before. */
	return past.kept ? 0 : add_line(r, run_finished(r), e);
}

static int create(struct run *r, struct err *e)
{
	struct run_state *s = &r->state;
	uint64_t step;
	if (path_mkdir(r->c.dir, e) < 0 || ckpt_lock(r->c.dir, e) < 0)
		return -1;
	int found = ckpt_find(r->c.dir, &step, e);
	if (found != 0)
		return found < 0 ? -1 : err_set(e, "%s: another trainer has just started here", r->c.dir);
	s->loss = s->grad_norm = s->lr = s->rate = NAN;
	if (r->rows) {
		s->streamed = rows_streamed(r->rows);
		data_fingerprint(r->rows, s->data);
	}
	return 0;
}

int run_open(struct run *r, struct err *e)
{
	int goes_on = r->saved != UINT64_MAX;
	if ((goes_on ? ckpt_read_trainer(r->c.dir, r->saved, &r->trainer, e) : create(r, e)) < 0)
		return -1;
	snprintf(r->state.isa, sizeof r->state.isa, "%s", kern()->name);
	return open_log(r, e);
}

int run_start(struct run *r, struct err *e)
{
	if (r->saved != UINT64_MAX && r->rows && seek(r, e) < 0)
		return -1;
	r->started = now_seconds();
	r->seconds_before = r->state.seconds;
	return 0;
}

/* --- updates --- */

/* Skipped updates leave the weights alone; when nothing else comes any more, the run has diverged. */
static int count_skipped(struct run *r, const struct update *u, struct err *e)
{
	if (!u->skipped || r->trainer.batch.ntargets == 0) {
		r->skipped_in_a_row = 0;
		return 0;
	}
	r->state.skipped++;
	if (++r->skipped_in_a_row < MAX_SKIPPED)
		return 0;
	return err_set(e,
		"step %llu: %d updates in a row were skipped, the last with loss %g and gradient %g",
		(unsigned long long)r->state.step, MAX_SKIPPED, u->loss, u->grad_norm);
}

static int one_update(struct run *r, double began, struct update *u, struct err *e)
{
	struct run_state *s = &r->state;
	s->lr = totals_lr(&r->c.totals, &r->c.sched, s->limit, s->step, s->seconds);
	trainer_update(&r->trainer, s->lr, u);
	double now = now_seconds();
	s->step++;
	s->tokens += r->trainer.batch.tokens;
	s->position = rows_position(r->rows);
	s->digest = rows_digest(r->rows);
	s->seconds = r->seconds_before + now - r->started;
	s->loss = u->loss;
	s->grad_norm = u->grad_norm;
	s->rate = (double)r->trainer.batch.tokens / (now - began);
	return count_skipped(r, u, e);
}

/* The end of a stream without a known number of updates: the rest is an update of its own, and the pass is
 * complete. 1 when there was a rest, else 0. */
static int end_pass(struct run *r, double began, struct update *u, struct err *e)
{
	int rest = r->trainer.batch.nrows > 0;
	if (rest && one_update(r, began, u, e) < 0)
		return -1;
	r->state.ended = 1;
	r->state.done = !isnan(r->c.totals.epochs);
	if (save(r, e) < 0)
		return -1;
	if (!rest && r->heldout.n && runlog_undo(&r->log, e) < 0)
		return -1;
	if ((rest || r->heldout.n) && add_line(r, 1, e) < 0)
		return -1;
	return rest;
}

int run_step(struct run *r, struct update *u, struct err *e)
{
	struct run_state *s = &r->state;
	uint64_t every = r->c.save_every;
	forget_events(r);
	if (run_finished(r) || s->ended)
		return 0;
	double began = now_seconds();
	int rc = run_fill(r, e);
	if (rc < 0)
		return io_interrupted ? 0 : -1;
	if (rc == 0 && s->limit == UINT64_MAX)
		return end_pass(r, began, u, e);
	/* What is left over is good enough for the last update only: more may come for the others. */
	if (rc == 0 && (s->step + 1 < s->limit || r->trainer.batch.nrows == 0)) {
		r->cut_short = 1;
		return 0;
	}
	if (one_update(r, began, u, e) < 0)
		return -1;
	int last = run_finished(r);
	if ((last || (every && s->step % every == 0)) && save(r, e) < 0)
		return -1;
	return add_line(r, last, e) < 0 ? -1 : 1;
}
