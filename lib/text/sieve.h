/*
 * sieve: the steps that documents are sent through, in the order in which they were given: rule sets and
 * conditions.
 *
 * A step sees the text as the steps before it left it: the C4 rules rewrite what they keep. The sieve is
 * built by one thread and then read by all; every thread judges with a worker of its own.
 */
#ifndef QUERN_SIEVE_H
#define QUERN_SIEVE_H

#include "text/expr.h"
#include "text/linear.h"
#include "text/rules.h"

struct sieve_step {
	size_t first, n;   /* rules of the table */
	int rewrites;      /* they are C4's */
	struct expr *expr; /* else a condition, */
	const char *text;  /* as it was written */
};

struct sieve {
	struct limits limits;
	enum words_mode words;
	const struct linear *model; /* NULL: none */
	struct sieve_step *steps;
	size_t n, cap;
	uint64_t stats; /* bits of the statistics that the steps use */
};

void sieve_init(struct sieve *s, enum words_mode words, const struct linear *model);
void sieve_release(struct sieve *s);
/* Adds the sets of a list "gopher,c4". */
int sieve_add_sets(struct sieve *s, const char *list, struct err *e);
/* Adds a condition that must be true. The text must outlive the sieve. */
int sieve_add_expr(struct sieve *s, const char *text, struct err *e);

/* Why documents go: rules by their place in the table, then steps. */
size_t sieve_reasons(const struct sieve *s);
/* "SET/RULE" or the condition; appended. */
void sieve_reason(const struct sieve *s, size_t reason, struct buf *out);

#define SIEVE_KEPT SIZE_MAX
struct verdict {
	size_t reason;   /* SIEVE_KEPT, or the first that drops the document */
	double value;    /* of that rule's statistic; NaN for a condition */
	int rewritten;   /* text differs from the document's */
	struct str text; /* valid until the worker's next document */
};

struct sieve_worker {
	const struct sieve *s;
	struct textstat stats;
	struct expr_env env;
	struct buf text;    /* rewritten */
	int scored;         /* scores are those of the current text */
	size_t label;       /* the most probable */
	float *scores;      /* [labels] */
	struct words words; /* in the classifier's mode, where that is not the statistics' */
	struct linear_scratch scratch;
	uint64_t *asked, *seen; /* [steps] fields that were looked for, that some document had */
};

void sieve_worker_init(struct sieve_worker *w, const struct sieve *s);
void sieve_worker_release(struct sieve_worker *w);
/* Starts on a document; its statistics and scores can then be asked for, before sieve_judge. */
void sieve_begin(struct sieve_worker *w, const struct doc *d);
/* Label and scores of the current text, into w->label and w->scores. */
void sieve_scores(struct sieve_worker *w);
struct verdict sieve_judge(struct sieve_worker *w, const struct doc *d);

#endif
