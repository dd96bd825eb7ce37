/*
 * guard: skips updates that look broken. A loss or gradient norm that is not finite is always skipped; with a
 * window, also one more than GUARD_SIGMA standard deviations above the mean of the last GUARD_WINDOW steps
 * (as OLMo does; it judges once half the window is filled).
 */
#ifndef QUERN_GUARD_H
#define QUERN_GUARD_H

#include <stddef.h>

#define GUARD_WINDOW 128
#define GUARD_SIGMA 6.0

struct guard {
	int window; /* 0: only non-finite values are bad */
	double loss[GUARD_WINDOW],
		norm[GUARD_WINDOW]; /* ring, the oldest at (seen % GUARD_WINDOW) once it is full */
	size_t seen;                /* steps so far */
};

/* 1: this step must not change the weights. Takes it into the window when it is finite. */
int guard_step(struct guard *g, double loss, double norm);

#endif
