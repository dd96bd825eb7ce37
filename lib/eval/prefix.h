/*
 * prefix: keys and values of the tokens that several sequences begin with, computed and kept once. What one
 * call left is the start of the next: few-shot examples in front of every prompt are computed once a run.
 */
#ifndef QUERN_PREFIX_H
#define QUERN_PREFIX_H

#include "model/model.h"

struct prefix {
	struct session *session;
	size_t max_tokens; /* of one forward call */
	struct cache *cache;
	uint32_t *ids;
	size_t n, cap_ids;
	uint64_t computed; /* tokens that went through the model */
};

void prefix_init(struct prefix *p, struct session *s, size_t max_tokens);
/* Makes the cache hold exactly ids[0..n). */
void prefix_set(struct prefix *p, const uint32_t *ids, size_t n);
void prefix_release(struct prefix *p);

/* How many tokens two sequences have in common at their start. */
size_t common_prefix(const uint32_t *a, size_t n, const uint32_t *b, size_t m);

#endif
