/*
 * expr: conditions over a document: its statistics, its JSON fields, and what a classifier says of it.
 * Compiled and type-checked once, then evaluated by any number of threads.
 *
 * The language is described in filter(1). In short: numbers, strings, booleans, null; || && ! == != < <= > >=
 * + - * / % in, not in; lists in brackets; functions. A name that is no statistic is a field. Fields have no
 * type before they are read: an absent field is null, an operation that has no meaning for its operands gives
 * null, and null is not true.
 */
#ifndef QUERN_EXPR_H
#define QUERN_EXPR_H

#include "base/err.h"
#include "base/mem.h"
#include "text/doc.h"
#include "text/textstat.h"

struct expr;

/* labels: names that a classifier gives, so that score, label, score_NAME and score("NAME") mean these; n =
 * 0: there is none, and they are fields. On failure NULL, and a message whose first line says what is wrong,
 * and whose further lines show where. */
struct expr *expr_new(const char *text, const struct str *labels, size_t n, struct err *e);
void expr_free(struct expr *x);
/* Bits of the statistics that it uses. */
uint64_t expr_stats(const struct expr *x);
int expr_uses_scores(const struct expr *x);
/* The i-th field that it names, {0} behind the last. At most 64 are told apart. */
struct str expr_field(const struct expr *x, size_t i);

/* Of one thread: where values come from. */
struct expr_env {
	struct textstat *stats;
	const struct doc *doc;
	size_t label;         /* index of the most probable label */
	const float *scores;  /* [labels] probabilities */
	uint64_t asked, seen; /* set by expr_true: fields that it looked for, and that the document has */
	int over_limit; /* set when a pattern took more steps than a match may, which counts as no match */
	/* private */
	struct arena arena;
	void *match;
};
void expr_env_release(struct expr_env *env);

int expr_true(const struct expr *x, struct expr_env *env);

#endif
