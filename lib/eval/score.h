/*
 * score: log-probabilities of given tokens. Items are packed into batches of whatever fits; a token's number
 * does not depend on what stands beside it, nor on whether a common start was computed once for several
 * items.
 */
#ifndef QUERN_SCORE_H
#define QUERN_SCORE_H

#include "model/model.h"

struct score_item {
	const uint32_t *ids; /* the whole sequence; each id < the model's vocab */
	size_t n;
	size_t first;             /* ids[first..n) are scored; 1 <= first < n */
	float inv_temp;           /* of logits * inv_temp; usually 1 */
	float *logp;              /* [n - first] out, or NULL */
	double sum;               /* out: in order, nats */
	int greedy;               /* out: every scored token is the argmax (lowest id wins ties) */
	struct against_row *rows; /* [n - first] out of against_run alone */
};

struct scorer;
/* longest: tokens of the longest item (n - 1 of them are input). */
struct scorer *scorer_new(struct model *m, enum dtype compute, size_t longest);
void scorer_free(struct scorer *s);
void scorer_run(struct scorer *s, struct score_item *items, size_t n);
/* Tokens that went through the model so far. */
uint64_t scorer_tokens(const struct scorer *s);

#endif
