/*
 * completions: records that generate wrote, one at a time: what a verifier or a model adds to them.
 */
#ifndef QUERN_COMPLETIONS_H
#define QUERN_COMPLETIONS_H

#include "eval/score.h"
#include "eval/verify.h"
#include "text/doc.h"
#include "text/tokenizer.h"

/* Appends the record with `reward` (the sum of the verifiers', also given back) and `reward_parts` (each
 * verifier's under its name; the second of a name is NAME_2). answer_field: a string, a number or a list of
 * which any is right. -1: the record cannot be verified. Thread-safe. */
int completion_verify(const struct doc *d, const struct verifier *v, size_t n, const char *answer_field,
	struct buf *out, double *reward, struct err *e);

/* The tokens of a completion, to be scored. */
struct rescore {
	struct ids ids; /* prompt_tokens, tokens */
	size_t first;   /* of tokens in ids */
	double temp;    /* of the record, 1 when absent */
	float *logp;    /* [ids.n - first] */
	size_t cap_logp;
};
/* Reads a record; vocab and context are the model's. -1: it cannot be scored. */
int rescore_read(struct rescore *r, const struct doc *d, size_t vocab, size_t context, struct err *e);
/* An item for scorer_run; only where there are tokens. */
struct score_item rescore_item(struct rescore *r);
void rescore_release(struct rescore *r);

#endif
