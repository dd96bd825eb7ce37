/*
 * mix: which document of which source comes next.
 *
 * A sequence of documents, decided by the seed, the sources and their weights alone: not by how much of it is
 * taken, nor by threads. Inside a pass a source gives every document once, in an order of that pass. Sources
 * take turns so that every prefix has nearly the shares that were asked for: a document of size n takes the
 * place between d and d + n of its source (d: what that source has given before), and the document whose
 * middle comes first in (d + n / 2) / weight is next; of equals, the one of the lower pass, then of the
 * source added first. So no source is ever more than about one document ahead or behind.
 */
#ifndef QUERN_MIX_H
#define QUERN_MIX_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mix_source {
	const char *name; /* names its random stream; outlives the mix */
	double weight;    /* > 0, in any unit */
	uint64_t docs;    /* > 0, below 2^32 */
	uint64_t size;    /* of all documents: tokens, or their number; > 0 */
	/* Of one document; NULL: 1 each. -1 on failure. */
	int (*length)(void *ctx, uint64_t doc, uint64_t *size, struct err *e);
	void *ctx;
};

struct mix;
/* max_repeat: no source gives more than that many times its size (INFINITY: no limit). */
struct mix *mix_new(uint64_t seed, double max_repeat);
size_t mix_add(struct mix *m, const struct mix_source *s); /* its number, from 0 */
void mix_free(struct mix *m);

struct mix_pick {
	size_t source;
	uint64_t doc, size;
};
/* The next document. 1, or -1 when a length failed. 0 when it would be one more than max_repeat allows: the
 * sequence ends there for all sources, so that the shares hold; *p says whose document it would have been. */
int mix_next(struct mix *m, struct mix_pick *p, struct err *e);

/* How much the sequence can give before max_repeat ends it, in units of size; INFINITY without a limit. */
double mix_limit(const struct mix *m);
/* Share of a source in the sum of weights. */
double mix_share(const struct mix *m, size_t source);
size_t mix_sources(const struct mix *m);

/* Weights tempered as multilingual models do: the share p of each becomes proportional to p^(1/t). */
void mix_temper(double *weight, size_t n, double t);

#endif
