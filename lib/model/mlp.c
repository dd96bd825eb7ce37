/*
 * mlp: the feed-forward blocks: down(act(gate x) * up x) (Shazeer 2020, "GLU variants"), or down(act(up x)).
 */
#include "base/mem.h"
#include "model/block.h"
#include "tensor/kern.h"

struct mlp {
	size_t width, hidden;
	int gated;
	enum act_kind act;
	size_t up; /* linear: gate and up side by side when gated */
	size_t down;
};

struct mlp_state {
	float *up;   /* [T, 2I or I]: gate then up */
	float *act;  /* [T, I]: what goes into down */
	float *dact; /* [T, I] */
	float *dup;  /* [T, 2I or I] */
};

static void *mlp_build(struct net *n, size_t layer)
{
	const struct config *c = n->config;
	struct mlp *m = xmalloc(sizeof *m);
	size_t outs[2] = { c->mlp_width, c->mlp_width };
	static const enum role both[] = { ROLE_GATE, ROLE_UP }, up[] = { ROLE_UP }, down[] = { ROLE_DOWN };
	*m = (struct mlp){ .width = c->mlp_width, .hidden = c->hidden, .gated = c->gated, .act = c->act };
	m->up = net_linear(n, c->gated ? both : up, outs, c->gated ? 2 : 1, layer, c->hidden, c->mlp_bias,
		c->init_range);
	m->down = net_linear(n, down, &c->hidden, 1, layer, c->mlp_width, c->mlp_bias, net_residual_std(n));
	return m;
}

static size_t up_width(const struct mlp *m)
{
	return m->gated ? 2 * m->width : m->width;
}

static void mlp_place(
	const void *self, void *state, struct area *kept, struct area *scratch, size_t tokens, int train)
{
	const struct mlp *m = self;
	struct mlp_state *s = state;
	s->up = area_take(kept, mul_size(tokens, up_width(m)), sizeof(float));
	s->act = area_take(scratch, mul_size(tokens, m->width), sizeof(float));
	if (!train)
		return;
	s->dact = area_take(scratch, mul_size(tokens, m->width), sizeof(float));
	s->dup = area_take(scratch, mul_size(tokens, up_width(m)), sizeof(float));
}

/* act [T, I] from up [T, ...]. Recomputed for backward: it is cheaper to make than to keep. */
static void activate(const struct mlp *m, const struct mlp_state *s, size_t tokens)
{
	const struct kern *q = kern();
	size_t w = m->width, ld = up_width(m);
#pragma omp parallel for
	for (size_t t = 0; t < tokens; t++) {
		(m->act == ACT_SILU ? q->silu : q->gelu_tanh)(s->act + t * w, s->up + t * ld, w);
		if (m->gated)
			q->mul(s->act + t * w, s->act + t * w, s->up + t * ld + w, w);
	}
}

static void mlp_forward(const void *self, void *state, const struct pass *p, const float *x, float *y)
{
	const struct mlp *m = self;
	const struct mlp_state *s = state;
	linear_forward(p->work, m->up, p->tokens, x, m->hidden, s->up, up_width(m));
	activate(m, s, p->tokens);
	linear_forward(p->work, m->down, p->tokens, s->act, m->width, y, m->hidden);
}

/* dup from dact: with a = act(g), h = a * u: du = dh * a, dg = dh * u * act'(g). */
static void activate_back(const struct mlp *m, const struct mlp_state *s, size_t tokens)
{
	const struct kern *q = kern();
	size_t w = m->width, ld = up_width(m);
#pragma omp parallel for
	for (size_t t = 0; t < tokens; t++) {
		const float *g = s->up + t * ld;
		float *dh = s->dact + t * w, *dg = s->dup + t * ld;
		if (m->gated) {
			(m->act == ACT_SILU ? q->silu : q->gelu_tanh)(dg + w, g, w);
			q->mul(dg + w, dg + w, dh, w);
			q->mul(dh, dh, g + w, w);
		}
		(m->act == ACT_SILU ? q->silu_back : q->gelu_tanh_back)(dg, dh, g, w);
	}
}

static void mlp_backward(
	const void *self, void *state, const struct pass *p, const float *x, const float *dy, float *dx)
{
	const struct mlp *m = self;
	const struct mlp_state *s = state;
	activate(m, s, p->tokens);
	linear_backward(p->work, m->down, p->tokens, s->act, m->width, dy, m->hidden, s->dact, m->width);
	activate_back(m, s, p->tokens);
	linear_backward(p->work, m->up, p->tokens, x, m->hidden, s->dup, up_width(m), dx, m->hidden);
}

static size_t mlp_cache_width(const void *self)
{
	(void)self;
	return 0;
}

const struct block block_mlp = { .name = "mlp",
	.build = mlp_build,
	.state_size = sizeof(struct mlp_state),
	.place = mlp_place,
	.forward = mlp_forward,
	.backward = mlp_backward,
	.cache_width = mlp_cache_width };
