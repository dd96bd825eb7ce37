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

/* Activations. */
struct mlp_state {
	void *up;  /* [T, 2I or I]: gate then up; training only */
	void *act; /* [T, I]: what goes into down; rows are act_ld apart */
	void *dup; /* as up; rows are act_ld apart */
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
	s->up = w->train ? area_take_act(kept, w, w->tokens, up_width(m)) : NULL;
	s->act = area_take_act(scratch, w, w->tokens, act_ld(w, m->width));
	if (w->train)
		s->dup = area_take_act(scratch, w, w->tokens, act_ld(w, up_width(m)));
}

static void act_forward(const struct mlp *m, float *y, const float *x, size_t n)
{
	(m->act == ACT_SILU ? kern()->silu : kern()->gelu_tanh)(y, x, n);
}

static void act_backward(const struct mlp *m, float *dx, const float *dy, const float *x, size_t n)
{
	(m->act == ACT_SILU ? kern()->silu_back : kern()->gelu_tanh_back)(dx, dy, x, n);
}

/* What works on a block of a product. */
struct mlp_call {
	const struct mlp *m;
	const struct mlp_state *s;
	const struct work *w;
	act_store_fn *store;
};

/* n values of up, rounded from what the product gave, as f32; stored for backward. */
static const float *round_up(const struct mlp_call *c, size_t at, const float *given, float *buf, size_t n)
{
	uint16_t half[ACT_CHUNK];
	if (c->s->up)
		c->store(c->w, act_at(c->w, c->s->up, at), given, n);
	if (c->w->compute == DTYPE_F32)
		return given;
	kern()->to_bf16(half, given, n);
	kern()->of_bf16(buf, half, n);
	return buf;
}

/* Columns [j, j + n) of row t, from what the product gave: up, and act. */
static void activate(
	const struct mlp_call *c, size_t t, size_t j, size_t n, const float *gate, const float *up)
{
	float a[ACT_CHUNK], buf[ACT_CHUNK];
	const struct mlp *m = c->m;
	size_t at = t * up_width(m) + j;
	act_forward(m, a, round_up(c, at, gate, buf, n), n);
	if (m->gated)
		kern()->mul(a, a, round_up(c, at + m->width, up, buf, n), n);
	c->store(c->w, act_at(c->w, c->s->act, t * act_ld(c->w, m->width) + j), a, n);
}

static void activate_block(const void *ctx, const struct gemm_block *b)
{
	for (size_t i = 0; i < b->rows; i++)
		for (size_t j = 0; j < b->cols; j += ACT_CHUNK) {
			const float *x = b->c + i * b->ldc + j;
			activate(ctx, b->row + i, b->col + j, least(ACT_CHUNK, b->cols - j), x, x + b->pitch);
		}
}

static void mlp_forward(
	const void *self, void *state, const struct pass *p, const void *x, const float *from, float *y)
{
	const struct mlp *m = self;
	const struct mlp_state *s = state;
	struct work *w = p->work;
	struct mlp_call c = { m, s, w, act_storing(p->tokens * m->width) };
	linear_forward_to(w, m->up, p->tokens, x, m->hidden,
		(struct sink){ .done = activate_block, .ctx = &c, .parts = m->gated ? 2 : 1 });
	linear_forward(w, m->down, p->tokens, s->act, act_ld(w, m->width), from, y, m->hidden);
}

/* Columns [j, j + n) of row t, dh the gradient of h: with a = act(g), h = a u: du = dh a, dg = dh u act'(g).
 * And h once more: that is cheaper than to keep it. */
static void activate_back(const struct mlp_call *c, size_t t, size_t j, size_t n, const float *dh)
{
	const struct kern *q = kern();
	const struct mlp *m = c->m;
	const struct work *w = c->w;
	float a[ACT_CHUNK], d[ACT_CHUNK], gbuf[ACT_CHUNK], ubuf[ACT_CHUNK];
	size_t at = t * up_width(m) + j, to = t * act_ld(w, up_width(m)) + j;
	const float *g = act_load(w, act_at(w, c->s->up, at), gbuf, n);
	act_forward(m, a, g, n);
	if (m->gated) {
		const float *u = act_load(w, act_at(w, c->s->up, at + m->width), ubuf, n);
		q->mul(d, a, dh, n);
		c->store(w, act_at(w, c->s->dup, to + m->width), d, n);
		q->mul(d, dh, u, n);
		q->mul(a, a, u, n);
		dh = d;
	}
	c->store(w, act_at(w, c->s->act, t * act_ld(w, m->width) + j), a, n);
	act_backward(m, a, dh, g, n);
	c->store(w, act_at(w, c->s->dup, to), a, n);
}

static void activate_back_block(const void *ctx, const struct gemm_block *b)
{
	for (size_t i = 0; i < b->rows; i++)
		for (size_t j = 0; j < b->cols; j += ACT_CHUNK)
			activate_back(ctx, b->row + i, b->col + j, least(ACT_CHUNK, b->cols - j),
				b->c + i * b->ldc + j);
}

static void mlp_backward(
	const void *self, void *state, const struct pass *p, const void *x, const void *dy, float *dx)
{
	const struct mlp *m = self;
	const struct mlp_state *s = state;
	struct work *w = p->work;
	struct mlp_call c = { m, s, w, act_storing(p->tokens * m->width) };
	linear_backward_input_to(w, m->down, p->tokens, dy, m->hidden,
		(struct sink){ .done = activate_back_block, .ctx = &c });
	linear_backward_weight(w, m->down, p->tokens, s->act, act_ld(w, m->width), dy, m->hidden);
	linear_backward(w, m->up, p->tokens, x, m->hidden, s->dup, act_ld(w, up_width(m)), dx, m->hidden);
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
