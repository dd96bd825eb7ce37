/*
 * sched: the learning rate of every update. A const table of schedules; adding one is a row in sched.c, a
 * word of SCHED_WORDS, a line in train(1) and a case in tests/unit/test_sched.c.
 *
 * Update s (from 0) has lr * (s + 1) / warmup while s < warmup; then the schedule at x, the share of what
 * follows. Pure, thread-safe.
 */
#ifndef QUERN_SCHED_H
#define QUERN_SCHED_H

#include <stdint.h>

#define SCHED_WORDS "cosine|linear|wsd|constant|inverse-sqrt" /* in the table's order */

struct sched {
	int kind; /* index into SCHED_WORDS */
	double lr, min_lr;
	uint64_t warmup;       /* updates */
	double decay_fraction; /* wsd: the last part of x in which the rate falls */
};

/* Does the rate hang on x at all? (If not, a run needs no total.) */
int sched_uses_share(const struct sched *s);
/* (s - warmup) / (steps - warmup), within [0, 1]. */
double sched_share(const struct sched *s, uint64_t step, uint64_t steps);
double sched_lr(const struct sched *s, uint64_t step, double x);

#endif
