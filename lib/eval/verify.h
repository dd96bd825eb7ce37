/*
 * verify: rewards of completions by rule. A verifier is a row of a const table; what it is given after the
 * colon ("regex:PATTERN") is parsed once. To add one: a file verify_NAME.c with its row, declared below and
 * listed in verify.c, cases in test_verify.c, a line in eval(1).
 *
 * Scoring is pure and thread-safe: completions come from a model that may be looking for holes.
 */
#ifndef QUERN_VERIFY_H
#define QUERN_VERIFY_H

#include "base/buf.h"
#include "base/err.h"

struct verifier_kind {
	const char *name;
	const char *args; /* what may follow the colon, for messages; NULL: nothing */
	/* State from args (NULL when there is no colon); -1 and a message. */
	int (*init)(void **state, const char *args, struct err *e);
	int (*needs_answer)(const void *state);
	double (*score)(const void *state, struct str completion, struct str answer);
	void (*release)(void *state);
};

struct verifier {
	const struct verifier_kind *kind;
	void *state;
};

/* spec: NAME or NAME:ARGS. */
int verifier_init(struct verifier *v, const char *spec, struct err *e);
int verifier_needs_answer(const struct verifier *v);
/* In [0, 1]. answer is ignored by verifiers that need none. */
double verifier_score(const struct verifier *v, struct str completion, struct str answer);
void verifier_release(struct verifier *v);
/* "math, string, ...": for messages and -h. */
const char *verifier_names(void);

extern const struct verifier_kind verify_math, verify_string, verify_regex;

/* Of verify_math, for its tests and for answers in other places. */
/* The final answer of a worked solution: \boxed{}, ####, "answer is", else the last number; {NULL, 0} when
 * none. */
struct str math_extract(struct str text);
/* Equal by value (numbers, fractions, percentages, intervals, sets), else by normalised text. */
int math_equal(struct str a, struct str b);

#endif
