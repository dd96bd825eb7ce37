/*
 * perplexity: the loss of documents, each cut into windows of the model's context (window.h); with a second
 * model also how far the two are apart (against.h).
 *
 * Tokens that the loss mask leaves out count nowhere. Bits per byte leave out the nats of special tokens,
 * which have no bytes in the text; the bytes of tokens that cannot be scored count.
 */
#ifndef QUERN_PERPLEXITY_H
#define QUERN_PERPLEXITY_H

#include "eval/against.h"
#include "model/model.h"

#include <stdint.h>

struct loss_total {
	uint64_t docs, tokens, scored, bytes;
	double nats;                   /* of all scored tokens */
	double byte_nats;              /* of those that are no special tokens */
	struct divergence *divergence; /* from the full model; NULL without */
};

struct perplexity;
/* full: the model that m is held against (against_check), or NULL. done: called for each document in order
 * with its own totals. */
struct perplexity *perplexity_new(struct model *m, struct model *full, enum dtype compute, size_t context,
	size_t stride, void (*done)(void *ctx, void *user, const struct loss_total *doc), void *ctx);
/* A document; ids and mask (NULL: all count) are copied. bytes: of its text, UINT64_MAX: of what the
 * tokenizer decodes. user comes back with its totals. */
void perplexity_add(
	struct perplexity *p, const uint32_t *ids, const uint8_t *mask, size_t n, uint64_t bytes, void *user);
void perplexity_flush(struct perplexity *p); /* scores what has been gathered */
void perplexity_free(struct perplexity *p);

#endif
