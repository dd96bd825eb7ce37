/*
 * sample: from logits to a token: a chain of samplers, each a row of a const table, then one draw.
 *
 * Order: repetition penalty, temperature, top-k, top-p, min-p; what is left is renormalised. The order and
 * each step's definition are those of transformers' logits processors (ties: lower id first, so that top-k
 * keeps exactly k). To add one: a parameter, a function, a row in sample.c, a case in test_sample.c, a line
 * in generate(1).
 *
 * A sampler is scratch of one thread; all its randomness comes from the rng it is given.
 */
#ifndef QUERN_SAMPLE_H
#define QUERN_SAMPLE_H

#include "base/err.h"
#include "base/rng.h"
#include <stddef.h>
#include <stdint.h>

struct sample_params {
	double temp;           /* 0: the most probable token; else from 1e-30 to 1e6 */
	size_t top_k;          /* 0: off */
	double top_p;          /* 1: off */
	double min_p;          /* 0: off */
	double repeat_penalty; /* 1: off */
	size_t repeat_last_n;  /* tokens of the past that are penalised; 0: all of them */
};
#define SAMPLE_PARAMS_INIT ((struct sample_params){ 0.8, 0, 1, 0, 1, 64 })
/* -1 and a message where a value makes no sense. */
int sample_params_check(const struct sample_params *p, struct err *e);

#define SAMPLE_TEMP_RANGE "0, or from 1e-30 to 1e6"
/* Can logits be divided by it in single precision? */
int sample_temp_ok(double temp);
/* What logits are multiplied by for log-probabilities: temperature 0 counts as 1. */
float sample_inv_temp(double temp);

struct candidate {
	uint32_t id;
	float logit;   /* after penalty and temperature */
	double weight; /* exp(logit - highest logit) */
};

#define NO_TOKEN UINT32_MAX
struct sampler;
struct sampler *sampler_new(const struct sample_params *p, size_t vocab);
void sampler_free(struct sampler *s);
/* One token; past[0..n) is what the repetition penalty sees, prompt included. NO_TOKEN when no logit is a
 * number. */
uint32_t sampler_draw(struct sampler *s, const float *logits, const uint32_t *past, size_t n, struct rng *r);
/* What the chain leaves: candidates in *v until the next call, their count, the sum of their weights. At
 * temperature 0 the one. */
size_t sampler_chain(struct sampler *s, const float *logits, const uint32_t *past, size_t n,
	const struct candidate **v, double *total);
/* The k largest logits in falling order (k <= vocab) as they come from the model, ids into top. */
void sampler_top(struct sampler *s, const float *logits, size_t k, uint32_t *top);

#endif
