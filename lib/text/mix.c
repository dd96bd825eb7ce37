#include "text/mix.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct source {
	struct mix_source s;
	uint64_t given_size, given_docs, pass; /* pass: from 0 */
	uint32_t *order;                       /* of the pass */
	uint64_t size;                         /* of the next document */
	double key;                            /* its turn */
};

struct mix {
	uint64_t seed;
	double max_repeat;
	struct source *sources;
	size_t n, cap;
	int started;
};

struct mix *mix_new(uint64_t seed, double max_repeat)
{
	struct mix *m = xcalloc(1, sizeof *m);
	m->seed = seed;
	m->max_repeat = max_repeat;
	return m;
}

size_t mix_add(struct mix *m, const struct mix_source *s)
{
	ASSERT(s->weight > 0 && s->docs > 0 && s->docs < UINT32_MAX && s->size > 0);
	GROW(m->sources, m->cap, m->n + 1);
	m->sources[m->n] = (struct source){ .s = *s };
	return m->n++;
}

void mix_free(struct mix *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->sources[i].order);
	free(m->sources);
	free(m);
}

static void start_pass(struct mix *m, struct source *x)
{
	size_t n = (size_t)x->s.docs;
	if (!x->order)
		x->order = xreallocarray(NULL, n, sizeof *x->order);
	for (size_t i = 0; i < n; i++)
		x->order[i] = (uint32_t)i;
	struct rng r;
	rng_init(&r, m->seed, hash64(x->s.name, strlen(x->s.name), x->pass));
	rng_shuffle(&r, x->order, n);
}

static uint64_t next_doc(const struct source *x)
{
	return x->order[x->given_docs % x->s.docs];
}

/* Finds the next document of a source and its turn. */
static int prepare(struct mix *m, struct source *x, struct err *e)
{
	x->pass = x->given_docs / x->s.docs;
	if (x->given_docs % x->s.docs == 0)
		start_pass(m, x);
	x->size = 1;
	if (x->s.length && x->s.length(x->s.ctx, next_doc(x), &x->size, e) < 0)
		return -1;
	x->key = ((double)x->given_size + 0.5 * (double)x->size) / x->s.weight;
	return 0;
}

static int exceeds(const struct mix *m, const struct source *x)
{
	return (double)(x->given_size + x->size) > m->max_repeat * (double)x->s.size ||
	       (double)(x->given_docs + 1) > ceil(m->max_repeat * (double)x->s.docs);
}

int mix_next(struct mix *m, struct mix_pick *p, struct err *e)
{
	ASSERT(m->n > 0);
	if (!m->started) {
		for (size_t i = 0; i < m->n; i++)
			if (prepare(m, &m->sources[i], e) < 0)
				return -1;
		m->started = 1;
	}
	struct source *best = m->sources;
	for (size_t i = 1; i < m->n; i++) {
		struct source *x = &m->sources[i];
		if (x->key < best->key || (x->key == best->key && x->pass < best->pass))
			best = x;
	}
	*p = (struct mix_pick){ (size_t)(best - m->sources), next_doc(best), best->size };
	if (exceeds(m, best))
		return 0;
	best->given_size += best->size;
	best->given_docs++;
	return prepare(m, best, e) < 0 ? -1 : 1;
}

double mix_limit(const struct mix *m)
{
	double sum = 0, least = INFINITY;
	for (size_t i = 0; i < m->n; i++) {
		const struct mix_source *s = &m->sources[i].s;
		sum += s->weight;
		least = fmin(least, (double)s->size / s->weight);
	}
	return m->max_repeat * least * sum;
}

double mix_share(const struct mix *m, size_t source)
{
	double sum = 0;
	for (size_t i = 0; i < m->n; i++)
		sum += m->sources[i].s.weight;
	return m->sources[source].s.weight / sum;
}

size_t mix_sources(const struct mix *m)
{
	return m->n;
}

void mix_temper(double *weight, size_t n, double t)
{
	double most = 0;
	for (size_t i = 0; i < n; i++)
		most = fmax(most, weight[i]);
	/* The largest stays, so that a low temperature does not make all of them vanish. Rounded, because pow
	 * differs in its last bit from one machine to the next. */
	for (size_t i = 0; i < n; i++)
		if (weight[i] > 0)
			weight[i] = fmax(1, nearbyint(pow(weight[i] / most, 1 / t) * 0x1p40));
}
