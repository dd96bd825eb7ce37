/*
 * task: a task file (quern-task(5)): where its records are, how they become prompts, what is measured. The
 * keys are those of lm-eval's YAML, so that a task written for it is the same task here.
 */
#ifndef QUERN_TASK_H
#define QUERN_TASK_H

#include "eval/answer.h"
#include "eval/metric.h"
#include "eval/pyrandom.h"
#include "base/hash.h"
#include "model/sample.h"

struct task {
	char *name;
	enum task_kind kind;
	struct json **docs, **shots;
	size_t ndocs, cap_docs, nshots, cap_shots;
	struct hash128 hash; /* of the task file and its data */

	struct template *text, *target, *choice, *description, *count_text; /* NULL: not given */
	const struct json *choices;                                         /* doc_to_choice as a list */
	char *target_delimiter, *fewshot_delimiter;
	size_t num_fewshot;
	int first_n, shots_are_docs;
	uint64_t fewshot_seed;
	struct pyrandom rng;

	struct str *stops;
	size_t nstops, max_gen_toks;
	struct sample_params sample;

	struct answer_chain *chains; /* at least one */
	size_t nchains;
	struct metric **metrics;
	size_t nmetrics;
	struct arena arena;
};

struct task_overrides {
	uint64_t num_fewshot; /* UINT64_MAX: the task's */
	uint64_t limit;       /* records to use; UINT64_MAX: all */
	int skip_bad;
	uint64_t skipped; /* out: unreadable records */
};
/* Reads the file and its data. NULL and a message. */
struct task *task_load(const char *path, struct task_overrides *o, struct err *e);
void task_free(struct task *t);

/* One record as it goes to the model; everything points into the arena. */
struct task_item {
	struct str context;
	struct str *choices; /* TASK_CHOICE: without the delimiter */
	size_t nchoices;
	int64_t *gold;
	size_t ngold;
	struct str *targets; /* TASK_LIKELIHOOD, TASK_ROLLING: one; TASK_GENERATE: any is right */
	size_t ntargets;
	struct str counted; /* TASK_ROLLING: the text whose words and bytes count */
};
/* Must be called for i = 0, 1, ...: few-shot examples are drawn as it goes. */
int task_item(struct task *t, size_t i, struct arena *a, struct task_item *item, struct err *e);

#endif
