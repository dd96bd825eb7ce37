/*
 * tap: the test protocol (Test Anything Protocol) for unit tests, read by prove.
 * A test program calls ok() and friends in any order and ends with `return tap_end();`.
 */
#ifndef QUERN_TAP_H
#define QUERN_TAP_H

#include <math.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

#define ok(cond, ...)                                                       \
	do {                                                                \
		int pass_ = (cond) != 0;                                    \
		printf("%sok %d - ", pass_ ? "" : "not ", ++tap_count);     \
		printf(__VA_ARGS__);                                        \
		putchar('\n');                                              \
		if (!pass_) {                                               \
			tap_failed++;                                       \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #cond); \
		}                                                           \
	} while (0)
#define ok_str(got, want, ...)                                        \
	do {                                                          \
		const char *g_ = (got), *w_ = (want);                 \
		int same_ = strcmp(g_, w_) == 0;                      \
		ok(same_, __VA_ARGS__);                               \
		if (!same_)                                           \
			printf("# got  '%s'\n# want '%s'\n", g_, w_); \
	} while (0)
#define ok_near(got, want, tol, ...)                                                 \
	do {                                                                         \
		double g_ = (got), w_ = (want), t_ = (tol);                          \
		int near_ = fabs(g_ - w_) <= t_;                                     \
		ok(near_, __VA_ARGS__);                                              \
		if (!near_)                                                          \
			printf("# got %.9g, want %.9g, tolerance %g\n", g_, w_, t_); \
	} while (0)
/* What cannot run here: counted and printed at the end of `make check`. */
#define skip(...)                                     \
	do {                                          \
		printf("ok %d # SKIP ", ++tap_count); \
		printf(__VA_ARGS__);                  \
		putchar('\n');                        \
	} while (0)

static inline int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed != 0;
}

#endif
