/*
 * totals: how long a run is, in whatever units it was said, and how much of it is over.
 */
#ifndef QUERN_TOTALS_H
#define QUERN_TOTALS_H

#include "train/rows.h"
#include "train/sched.h"

struct totals {
	uint64_t steps, tokens; /* UINT64_MAX: not given */
	double epochs, time;    /* NAN: not given; time in seconds */
};

int totals_given(const struct totals *t);
/* Updates of `batch` rows that the totals amount to, the smallest of those given; UINT64_MAX when it cannot
 * be known (time alone; one pass over a stream). -1: the totals make no sense for these rows. r NULL: a
 * stream. */
int totals_limit(const struct totals *t, const struct rows *r, size_t batch, size_t context, uint64_t *limit,
	struct err *e);
/* Rows after which mapped files end; UINT64_MAX: they begin again. */
uint64_t totals_rows(const struct totals *t, const struct rows *r);
/* Learning rate of update `step`, `seconds` into the run. */
double totals_lr(
	const struct totals *t, const struct sched *s, uint64_t limit, uint64_t step, double seconds);
/* Would the updates before `step` have had the same learning rates? Then a run may go on with other totals.
 */
int totals_same_past(const struct sched *s, const struct totals *a, uint64_t limit_a, const struct totals *b,
	uint64_t limit_b, uint64_t step);

#endif
