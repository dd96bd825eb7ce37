/*
 * metric: what is counted of an item, and how items become one number with its standard error: lm-eval's
 * names, definitions and order of summation. To add one: a row in metric.c, a case in test_task.c, a line in
 * quern-task(5).
 */
#ifndef QUERN_METRIC_H
#define QUERN_METRIC_H

#include "base/json.h"

enum task_kind { TASK_CHOICE = 1, TASK_LIKELIHOOD = 2, TASK_ROLLING = 4, TASK_GENERATE = 8 };

/* What came out for one item; which fields are set depends on the kind. */
struct outcome {
	enum task_kind kind;
	/* TASK_CHOICE: per choice; TASK_LIKELIHOOD, TASK_ROLLING: one */
	size_t n;
	const double *ll;            /* sum of log-probabilities, nats */
	const unsigned char *greedy; /* every token was the argmax */
	const struct str *choices;   /* the texts, without the delimiter */
	const int64_t *gold;         /* indices of right choices; -1: none of them */
	size_t ngold;
	/* TASK_LIKELIHOOD: the continuation; TASK_ROLLING: the text whose words and bytes count */
	struct str text;
	/* TASK_GENERATE */
	struct str answer; /* filtered */
	const struct str *targets;
	size_t ntargets;
};

struct metric;
/* One element of metric_list; a verifier's name (with its arguments) is a metric too. NULL and a message. */
struct metric *metric_new(const struct json *spec, enum task_kind kind, struct err *e);
void metric_free(struct metric *m);
const char *metric_name(const struct metric *m);
/* The metrics of a kind where the task names none, as a JSON list. */
const char *metric_defaults(enum task_kind kind);

/* Items' values in order. */
struct tally {
	double *value, *weight;
	size_t n, cap, cap_weight;
};
/* Adds the item; returns its value. */
double metric_score(const struct metric *m, const struct outcome *o, struct tally *t);
/* The number, and its standard error (NAN where there is none). bootstrap: resamples, for what has no closed
 * form; lm-eval's random numbers. Parallel inside. */
double metric_total(const struct metric *m, const struct tally *t, size_t bootstrap, double *err);
void tally_release(struct tally *t);

#endif
