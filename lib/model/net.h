/*
 * net: how the parameters of a model are wired: the table of parameters, and views on it (linear maps, norms)
 * that the blocks compute with. Made from a config alone, without weights. Private to lib/model.
 */
#ifndef QUERN_NET_H
#define QUERN_NET_H

#include "model/arch.h"
#include "model/model.h"

#define NO_OFFSET SIZE_MAX

/* y = W x + b over the weights array: W(o, i) = weights[w + o * rs + i * cs]. Checkpoint layouts are strides
 * (GPT-2 stores [in, out]), and neighbouring matrices with the same input are one view (q, k, v; gate, up).
 */
struct linear {
	size_t in, out;
	size_t w, rs, cs;
	size_t bias;           /* offset of b, NO_OFFSET: none */
	size_t param, nparams; /* the matrices */
};

struct norm {
	enum norm_kind kind;
	size_t dim;
	float eps;
	size_t w, b; /* offsets; b NO_OFFSET for RMS */
};

/* x += post(F(pre(x))): one residual step. */
struct step {
	const struct block *block;
	void *self; /* what block->build made */
	int has_pre, has_post;
	struct norm pre, post;
};

struct net {
	const struct config *config;
	struct param *params;
	size_t nparams, params_cap, count;
	struct linear *linears;
	size_t nlinears, linears_cap;
	struct step *steps;
	size_t nsteps, steps_cap;
	size_t embed, position; /* offsets; position NO_OFFSET: none */
	struct norm final;
	size_t head; /* index of its linear */
};

/* config outlives the net. */
struct net *net_new(const struct config *config);
void net_free(struct net *n);

/* A model without memory for its weights (weights.h), so that a loader can check a file against the table
 * first. */
struct model *model_shell(const struct config *c);

/* For the builders of blocks. A parameter's offset; ndim 1 has rows only. */
size_t net_vector(
	struct net *n, enum role role, size_t layer, const char *suffix, size_t dim, enum param_init init);
size_t net_matrix(struct net *n, enum role role, size_t layer, enum param_group group, size_t rows,
	size_t cols, double std);
struct norm net_norm(struct net *n, enum norm_kind kind, enum role role, size_t layer, size_t dim);
/* Index of one view on the matrices (and biases) of n roles with outs[i] outputs each. */
size_t net_linear(struct net *n, const enum role *roles, const size_t *outs, size_t nroles, size_t layer,
	size_t in, int bias, double std);
/* Deviation of the weights that end a residual step: GPT-2 divides by the root of their number (Radford et
 * al. 2019). */
double net_residual_std(const struct net *n);

#endif
