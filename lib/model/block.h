/*
 * block: what stands inside a residual step. A row is a forward beside its backward, with its parameters and
 * the memory that both need. Private to lib/model.
 *
 * To add one: a file with a `const struct block`, its roles in arch.h, its name in the rows of arch.c that
 * have it, and in tests/unit/test_grad.c a config that takes every branch of it.
 */
#ifndef QUERN_BLOCK_H
#define QUERN_BLOCK_H

#include "model/net.h"
#include "model/rope.h"
#include "model/work.h"

/* What a forward or backward call works on: the tokens of all sequences, one behind another. */
struct pass {
	struct work *work;
	size_t tokens;
	const struct seq *seqs;
	size_t nseqs;
	const size_t *first; /* [nseqs]: a sequence's first row; none is empty */
	const float *angles; /* [tokens, head_dim]: cosines, then sines, of each row's position; NULL without
				rope */
	size_t step;         /* index of the step that computes */
};

struct block {
	const char *name;
	/* Adds the parameters of a layer to the table; returns how they are wired (freed with free). */
	void *(*build)(struct net *n, size_t layer);
	/* Size of the struct that `place` fills with pointers. */
	size_t state_size;
	/* Takes memory for up to w->tokens rows: `kept` lives from forward to backward, `scratch` for one
	 * call. */
	void (*place)(
		const void *self, void *state, const struct work *w, struct area *kept, struct area *scratch);
	/* y [T, h] = from (NULL: zero) + F(x [T, h]); x keeps its values until backward when training, and is
	 * of the products' type (work.h), from and y are f32. y may be from. */
	void (*forward)(const void *self, void *state, const struct pass *p, const void *x, const float *from,
		float *y);
	/* dx [T, h] (f32, overwritten) from dy [T, h] (as x); accumulates into the gradients. */
	void (*backward)(const void *self, void *state, const struct pass *p, const void *x, const void *dy,
		float *dx);
	/* The part of forward that fills caches; NULL where the block keeps nothing. */
	void (*remember)(const void *self, void *state, const struct pass *p, const void *x);
	/* What a page of the past keeps for it (cache.h), a multiple of 64. */
	size_t (*page_bytes)(const void *self, const struct work *w);
};

extern const struct block block_attention, block_mlp;

#endif
