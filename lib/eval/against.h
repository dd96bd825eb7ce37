/*
 * against: what a change of a model costs: its predictions held against those of the model that it was made
 * from, position by position over the whole vocabulary.
 *
 * The figures are those of llama-perplexity --kl-divergence; quern-eval(1) has the formulas.
 */
#ifndef QUERN_AGAINST_H
#define QUERN_AGAINST_H

#include "base/buf.h"
#include "model/model.h"

#include <stdint.h>

/* Of one position. With P the full model's distribution and Q the model's: */
struct against_row {
	double kl;              /* KL(P || Q), nats; 0 for equal logits, up to rounding never below */
	double logp, full_logp; /* of the right token: log Q, log P */
	int same_top;           /* one argmax (lowest id wins ties) */
};

/* x, full: logits of the model and of the full one. Sums of doubles in the order of ids. */
struct against_row against_row(const float *x, const float *full, size_t vocab, uint32_t target);

/* Sums for a mean and its standard error. */
struct against_sum {
	double x, xx;
};

struct divergence {
	struct against_sum kl, same_top, dlogp, dp2; /* log Q - log P, (Q - P)^2 of the right tokens */
	double full_nats;                            /* of the right tokens */
	double *values;                              /* [n]; KL of each position, for quantiles */
	size_t n, cap;
};
void divergence_add(struct divergence *d, const struct against_row *r);
void divergence_join(struct divergence *d, const struct divergence *more);
/* nats: of the model. Members of a JSON object, without braces; sorts values. What has no value is null. */
void divergence_json(struct buf *b, struct divergence *d, double nats);
void divergence_summary(struct buf *b, const struct divergence *d, double nats); /* after divergence_json */
void divergence_reset(struct divergence *d);
void divergence_release(struct divergence *d);

/* -1: the models' vocabularies differ, in size or by their tokenizers. */
int against_check(const struct model *m, const struct model *full, struct err *e);

struct against;
struct score_item;
/* longest: tokens of the longest item (n - 1 of them are input). */
struct against *against_new(struct model *m, struct model *full, enum dtype compute, size_t longest);
void against_free(struct against *a);
/* Fills in rows of the items, whose other results stay as they are. The same bits for any number of threads
 * and whatever items come together. */
void against_run(struct against *a, const struct score_item *items, size_t n);

#endif
