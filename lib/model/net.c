#include "model/net.h"
#include "base/die.h"
#include "base/mem.h"
#include "model/block.h"

#include <math.h>
#include <stdlib.h>

static size_t add_param(struct net *n, struct param p)
{
	GROW(n->params, n->params_cap, n->nparams + 1);
	p.count = p.ndim == 1 ? p.shape[0] : mul_size(p.shape[0], p.shape[1]);
	p.offset = n->count;
	p.file_type = "F32";
	n->count = add_size(n->count, p.count);
	n->params[n->nparams++] = p;
	return p.offset;
}

size_t net_vector(
	struct net *n, enum role role, size_t layer, const char *suffix, size_t dim, enum param_init init)
{
	struct param p = { .name = arch_name(n->config->arch, role, layer, suffix),
		.ndim = 1,
		.shape = { dim, 1 },
		.group = PARAM_VECTOR,
		.init = init };
	return add_param(n, p);
}

size_t net_matrix(struct net *n, enum role role, size_t layer, enum param_group group, size_t rows,
	size_t cols, double std)
{
	struct param p = { .name = arch_name(n->config->arch, role, layer, ".weight"),
		.ndim = 2,
		.shape = { rows, cols },
		.group = group,
		.init = INIT_NORMAL,
		.std = std };
	return add_param(n, p);
}

struct norm net_norm(struct net *n, enum norm_kind kind, enum role role, size_t layer, size_t dim)
{
	struct norm m = { .kind = kind, .dim = dim, .eps = n->config->norm_eps, .b = NO_OFFSET };
	m.w = net_vector(n, role, layer, ".weight", dim, INIT_ONE);
	if (kind == NORM_LAYER)
		m.b = net_vector(n, role, layer, ".bias", dim, INIT_ZERO);
	return m;
}

static size_t add_linear(struct net *n, struct linear l)
{
	GROW(n->linears, n->linears_cap, n->nlinears + 1);
	n->linears[n->nlinears] = l;
	return n->nlinears++;
}

size_t net_linear(struct net *n, const enum role *roles, const size_t *outs, size_t nroles, size_t layer,
	size_t in, int bias, double std)
{
	int conv1d = n->config->arch->conv1d;
	struct linear l = {
		.in = in, .w = n->count, .bias = NO_OFFSET, .param = n->nparams, .nparams = nroles
	};
	/* The matrices stand one behind another: one view covers them. */
	for (size_t i = 0; i < nroles; i++) {
		ASSERT(!conv1d || nroles == 1);
		net_matrix(
			n, roles[i], layer, PARAM_MATRIX, conv1d ? in : outs[i], conv1d ? outs[i] : in, std);
		l.out += outs[i];
	}
	l.rs = conv1d ? 1 : in;
	l.cs = conv1d ? l.out : 1;
	if (bias) {
		l.bias = n->count;
		for (size_t i = 0; i < nroles; i++)
			net_vector(n, roles[i], layer, ".bias", outs[i], INIT_ZERO);
	}
	return add_linear(n, l);
}

double net_residual_std(const struct net *n)
{
	const struct config *c = n->config;
	return c->arch->conv1d ? c->init_range / sqrt(2 * (double)c->layers) : c->init_range;
}

static void add_step(struct net *n, const struct block *b, size_t layer, enum role pre, enum role post)
{
	const struct config *c = n->config;
	struct step s = { .block = b, .has_pre = c->pre_norm, .has_post = c->post_norm };
	if (s.has_pre)
		s.pre = net_norm(n, c->norm, pre, layer, c->hidden);
	s.self = b->build(n, layer);
	if (s.has_post)
		s.post = net_norm(n, c->norm, post, layer, c->hidden);
	GROW(n->steps, n->steps_cap, n->nsteps + 1);
	n->steps[n->nsteps++] = s;
}

struct net *net_new(const struct config *c)
{
	struct net *n = xcalloc(1, sizeof *n);
	n->config = c;
	n->position = NO_OFFSET;
	n->embed = net_matrix(n, ROLE_EMBED, 0, PARAM_EMBED, c->vocab, c->hidden, c->init_range);
	if (!c->rope.enabled)
		n->position =
			net_matrix(n, ROLE_POSITION, 0, PARAM_EMBED, c->context, c->hidden, c->init_range);
	for (size_t i = 0; i < c->layers; i++) {
		add_step(n, c->arch->mixer, i, ROLE_ATTN_PRE, ROLE_ATTN_POST);
		add_step(n, c->arch->feed_forward, i, ROLE_MLP_PRE, ROLE_MLP_POST);
	}
	n->final = net_norm(n, c->norm, ROLE_FINAL_NORM, 0, c->hidden);
	struct linear head = { c->hidden, c->vocab, n->embed, c->hidden, 1, NO_OFFSET, 0, 1 };
	if (!c->tied)
		head.param = n->nparams,
		head.w = net_matrix(n, ROLE_HEAD, 0, PARAM_HEAD, c->vocab, c->hidden, c->init_range);
	n->head = add_linear(n, head);
	return n;
}

void net_free(struct net *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->nparams; i++)
		free(n->params[i].name);
	for (size_t i = 0; i < n->nsteps; i++)
		free(n->steps[i].self);
	free(n->params);
	free(n->linears);
	free(n->steps);
	free(n);
}
