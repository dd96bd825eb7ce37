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

/* Activations, but for what products give. */
struct mlp_state {
	void *up;    /* [T, 2I or I]: gate then up */
	float *wide; /* the same in f32, as the product gives it; NULL: up is f32 */
	void *act;   /* [T, I]: what goes into down */
	float *dact; /* [T, I] */
	void *dup;   /* [T, 2I or I] */
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
	const void *self, void *state, const struct work *w, struct area *kept, struct area *scratch)
{
	const struct mlp *m = self;
	struct mlp_state *s = state;
	s->up = area_take_act(kept, w, w->tokens, up_width(m));
	s->act = area_take_act(scratch, w, w->tokens, m->width);
	/* wide belongs to forward, dact to backward: they share their room. */
	int wide = w->compute != DTYPE_F32;
	size_t width = wide ? up_width(m) : w->train ? m->width : 0;
	float *room = area_take(scratch, mul_size(w->tokens, width), sizeof(float));
	s->wide = wide ? room : NULL;
	if (!w->train)
		return;
	s->dact = room;
	s->dup = area_take_act(scratch, w, w->tokens, up_width(m));
}

static void act_forward(const struct mlp *m, float *y, const float *x, size_t n)
{
	(m->act == ACT_SILU ? kern()->silu : kern()->gelu_tanh)(y, x, n);
}

static void act_backward(const struct mlp *m, float *dx, const float *dy, const float *x, size_t n)
{
	(m->act == ACT_SILU ? kern()->silu_back : kern()->gelu_tanh_back)(dx, dy, x, n);
}

/* n values of up, rounded from what the product gave (wide; NULL: they are there), as f32. */
static const float *up_load(const struct work *w, void *up, const float *wide, float *buf, size_t n)
{
	if (wide)
		act_store(w, up, wide, n);
	return act_load(w, up, buf, n);
}

/* Columns [j, j + n) of row t: act from up. */
static void activate(const struct mlp *m, const struct mlp_state *s, const struct work *w, const float *wide,
	size_t t, size_t j, size_t n)
{
	float a[ACT_CHUNK], buf[ACT_CHUNK];
	size_t at = t * up_width(m) + j, width = m->width;
	act_forward(m, a, up_load(w, act_at(w, s->up, at), wide ? wide + at : NULL, buf, n), n);
	if (m->gated)
		kern()->mul(a, a,
			up_load(w, act_at(w, s->up, at + width), wide ? wide + at + width : NULL, buf, n), n);
	act_store(w, act_at(w, s->act, t * width + j), a, n);
}

/* act [T, I] from up [T, ...]. Made again for backward: that is cheaper than to keep it. */
static void activate_all(const struct mlp *m, const struct mlp_state *s, const struct work *w,
	const float *wide, size_t tokens)
{
#pragma omp parallel for if (tokens > 1)
	for (size_t t = 0; t < tokens; t++)
		for (size_t j = 0; j < m->width; j += ACT_CHUNK)
			activate(m, s, w, wide, t, j, m->width - j < ACT_CHUNK ? m->width - j : ACT_CHUNK);
}

static void mlp_forward(
	const void *self, void *state, const struct pass *p, const void *x, const float *from, float *y)
{
	const struct mlp *m = self;
	const struct mlp_state *s = state;
	size_t width = up_width(m);
	float *up = s->wide ? s->wide : s->up;
	linear_forward(p->work, m->up, p->tokens, x, m->hidden, NULL, up, width);
	activate_all(m, s, p->work, s->wide, p->tokens);
	linear_forward(p->work, m->down, p->tokens, s->act, m->width, from, y, m->hidden);
}

/* Columns [j, j + n) of row t: with a = act(g), h = a u: du = dh a, dg = dh u act'(g). */
static void activate_back(
	const struct mlp *m, const struct mlp_state *s, const struct work *w, size_t t, size_t j, size_t n)
{
	const struct kern *q = kern();
	float a[ACT_CHUNK], d[ACT_CHUNK], gbuf[ACT_CHUNK], ubuf[ACT_CHUNK];
	size_t at = t * up_width(m) + j;
	const float *g = act_load(w, act_at(w, s->up, at), gbuf, n), *dh = s->dact + t * m->width + j;
	if (m->gated) {
		const float *u = act_load(w, act_at(w, s->up, at + m->width), ubuf, n);
		act_forward(m, a, g, n);
		q->mul(d, a, dh, n);
		act_store(w, act_at(w, s->dup, at + m->width), d, n);
		q->mul(d, dh, u, n);
		dh = d;
	}
	act_backward(m, a, dh, g, n);
	act_store(w, act_at(w, s->dup, at), a, n);
}

static void activate_back_all(
	const struct mlp *m, const struct mlp_state *s, const struct work *w, size_t tokens)
{
#pragma omp parallel for
	for (size_t t = 0; t < tokens; t++)
		for (size_t j = 0; j < m->width; j += ACT_CHUNK)
			activate_back(m, s, w, t, j, m->width - j < ACT_CHUNK ? m->width - j : ACT_CHUNK);
}

static void mlp_backward(
	const void *self, void *state, const struct pass *p, const void *x, const void *dy, float *dx)
{
	const struct mlp *m = self;
	const struct mlp_state *s = state;
	activate_all(m, s, p->work, NULL, p->tokens);
	linear_backward(p->work, m->down, p->tokens, s->act, m->width, dy, m->hidden, s->dact, m->width);
	activate_back_all(m, s, p->work, p->tokens);
	linear_backward(p->work, m->up, p->tokens, x, m->hidden, s->dup, up_width(m), dx, m->hidden);
}

static size_t mlp_page_bytes(const void *self, const struct work *w)
{
	(void)self;
	(void)w;
	return 0;
}

const struct block block_mlp = { .name = "mlp",
	.build = mlp_build,
	.state_size = sizeof(struct mlp_state),
	.place = mlp_place,
	.forward = mlp_forward,
	.backward = mlp_backward,
	.page_bytes = mlp_page_bytes };
