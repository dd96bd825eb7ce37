/*
 * attn: causal attention with grouped key and value heads (Ainslie et al. 2023), norms on queries and keys,
 * rotary positions, sliding windows, and a cache of the past.
 */
#include "base/die.h"
#include "base/mem.h"
#include "model/block.h"
#include "model/cache.h"
#include "tensor/flash.h"
#include "tensor/kern.h"

#include <math.h>
#include <string.h>

struct attn {
	struct flash_shape shape;
	size_t hidden, width, q_width, kv_width; /* width = q_width + 2 kv_width: a row of q, k, v */
	int rotate;
	enum qk_norm qk_norm;
	struct norm q_norm, k_norm;
	size_t qkv, out; /* linears */
};

struct attn_state {
	void *qkv;   /* [T, width], rotated; activations */
	float *wide; /* the same in f32, as the product gives it; NULL: qkv is f32 */
	float *raw;  /* [T, q_width + kv_width]: q and k before their norms */
	float *q_stat, *k_stat;
	void *out;              /* [T, q_width], activations */
	float *lse;             /* [T, heads] */
	float *dqkv, *dout;     /* backward */
	void *dqkv_act;         /* dqkv as activations; NULL: it is f32 */
	struct flash_seq *seqs; /* [T] */
};

static void *attn_build(struct net *n, size_t layer)
{
	const struct config *c = n->config;
	struct attn *a = xcalloc(1, sizeof *a);
	static const enum role fused[] = { ROLE_QKV }, split[] = { ROLE_Q, ROLE_K, ROLE_V },
			       out[] = { ROLE_O };
	a->hidden = c->hidden;
	a->q_width = mul_size(c->heads, c->head_dim);
	a->kv_width = mul_size(c->kv_heads, c->head_dim);
	a->width = a->q_width + 2 * a->kv_width;
	a->rotate = c->rope.enabled;
	a->qk_norm = c->qk_norm;
	a->shape = (struct flash_shape){ .heads = c->heads,
		.kv_heads = c->kv_heads,
		.head_dim = c->head_dim,
		.scale = (float)(1 / sqrt((double)c->head_dim) /
				 (c->inverse_layer_scale ? (double)layer + 1 : 1)),
		.window = config_window(c, layer) };
	size_t outs[] = { a->q_width, a->kv_width, a->kv_width };
	int is_fused = c->arch->names[ROLE_QKV] != NULL;
	a->qkv = net_linear(n, is_fused ? fused : split, is_fused ? &a->width : outs, is_fused ? 1 : 3, layer,
		c->hidden, c->qkv_bias, c->init_range);
	if (c->qk_norm != QK_NORM_NONE) {
		int whole = c->qk_norm == QK_NORM_WHOLE;
		a->q_norm = net_norm(n, NORM_RMS, ROLE_Q_NORM, layer, whole ? a->q_width : c->head_dim);
		a->k_norm = net_norm(n, NORM_RMS, ROLE_K_NORM, layer, whole ? a->kv_width : c->head_dim);
	}
	a->out = net_linear(n, out, &c->hidden, 1, layer, a->q_width, c->o_bias, net_residual_std(n));
	return a;
}

/* How many vectors of a row each norm takes. */
static size_t q_groups(const struct attn *a)
{
	return a->q_width / a->q_norm.dim;
}

static size_t k_groups(const struct attn *a)
{
	return a->kv_width / a->k_norm.dim;
}

static void attn_place(
	const void *self, void *state, const struct work *w, struct area *kept, struct area *scratch)
{
	const struct attn *a = self;
	struct attn_state *s = state;
	size_t f = sizeof(float), T = w->tokens;
	int wide = w->compute != DTYPE_F32;
	s->qkv = area_take_act(kept, w, T, a->width);
	/* wide belongs to forward, dqkv to backward: they share their room. */
	float *room = wide || w->train ? area_take(scratch, mul_size(T, a->width), f) : NULL;
	s->wide = wide ? room : NULL;
	s->out = area_take_act(kept, w, T, a->q_width);
	s->seqs = area_take(scratch, T, sizeof *s->seqs);
	if (!w->train)
		return;
	s->lse = area_take(kept, mul_size(T, a->shape.heads), f);
	if (a->qk_norm != QK_NORM_NONE) {
		s->raw = area_take(kept, mul_size(T, a->q_width + a->kv_width), f);
		s->q_stat = area_take(kept, mul_size(T, 2 * q_groups(a)), f);
		s->k_stat = area_take(kept, mul_size(T, 2 * k_groups(a)), f);
	}
	s->dqkv = room;
	s->dqkv_act = wide ? area_take_act(scratch, w, T, a->width) : NULL;
	s->dout = area_take(scratch, mul_size(T, a->q_width), f);
}

/* qkv [T, width] in place. */
static void norm_qk(const struct attn *a, const struct attn_state *s, const struct pass *p, float *qkv)
{
	size_t ld = a->q_width + a->kv_width;
	if (s->raw)
#pragma omp parallel for if (p->tokens > 1)
		for (size_t t = 0; t < p->tokens; t++)
			memcpy(s->raw + t * ld, qkv + t * a->width, ld * sizeof *s->raw);
	norm_forward(p->work, &a->q_norm, p->tokens, q_groups(a), qkv, a->width, qkv, DTYPE_F32, a->width,
		s->q_stat);
	norm_forward(p->work, &a->k_norm, p->tokens, k_groups(a), qkv + a->q_width, a->width,
		qkv + a->q_width, DTYPE_F32, a->width, s->k_stat);
}

/* Queries and keys of all rows turn, all heads in one go: they stand side by side. Then keys and values
 * become what a cache of 8 bits holds, with or without one, and x [T, width] activations y (NULL: x stays
 * what it is). */
static void rotate(const struct attn *a, float *x, void *y, const struct pass *p, int inverse)
{
	size_t heads = a->shape.heads + a->shape.kv_heads, dim = a->shape.head_dim;
#pragma omp parallel for if (p->tokens > 1)
	for (size_t t = 0; t < p->tokens; t++) {
		if (a->rotate)
			rope_rotate(x + t * a->width, heads, dim, p->angles + t * dim, inverse);
		for (size_t h = 0; p->work->kv8 && h < 2 * a->shape.kv_heads; h++)
			kern()->mx_round(x + t * a->width + a->q_width + h * dim, dim);
		if (y)
			act_store(p->work, act_at(p->work, y, t * a->width), x + t * a->width, a->width);
	}
}

static struct flash_layout layout(const struct attn *a)
{
	size_t d = a->shape.head_dim;
	return (struct flash_layout){ a->width, d, a->width, d, a->q_width, d };
}

/* Attention multiplies in the precision of the products. */
static struct flash_shape shape_in(const struct attn *a, const struct work *w)
{
	struct flash_shape s = a->shape;
	s.t = w->compute;
	s.kv8 = w->kv8;
	return s;
}

static void attend(const struct attn *a, const struct attn_state *s, const struct pass *p)
{
	const struct work *w = p->work;
	struct flash_shape shape = shape_in(a, w);
	struct flash_layout l = layout(a);
	for (size_t i = 0; i < p->nseqs; i++) {
		struct cache *c = p->seqs[i].cache;
		size_t at = p->first[i] * a->width + a->q_width;
		s->seqs[i] = (struct flash_seq){ .row = p->first[i],
			.n = p->seqs[i].n,
			.past = c ? cache_len(c) : 0,
			.k = act_at(w, s->qkv, at),
			.v = act_at(w, s->qkv, at + a->kv_width),
			.pages = c ? cache_pages(c) : NULL,
			.at = c ? cache_step_at(c, p->step) : 0 };
	}
	flash_forward(&shape, &l, s->seqs, p->nseqs, s->qkv, s->out, s->lse);
}

static void attn_forward(
	const void *self, void *state, const struct pass *p, const void *x, const float *from, float *y)
{
	const struct attn *a = self;
	const struct attn_state *s = state;
	float *qkv = s->wide ? s->wide : s->qkv;
	linear_forward(p->work, a->qkv, p->tokens, x, a->hidden, NULL, qkv, a->width);
	if (a->qk_norm != QK_NORM_NONE)
		norm_qk(a, s, p, qkv);
	rotate(a, qkv, s->wide ? s->qkv : NULL, p, 0);
	attend(a, s, p);
	linear_forward(p->work, a->out, p->tokens, s->out, a->q_width, from, y, a->hidden);
}

static void attend_back(const struct attn *a, const struct attn_state *s, const struct pass *p)
{
	const struct work *w = p->work;
	struct flash_shape shape = shape_in(a, w);
	struct flash_layout l = layout(a);
	size_t n = 0;
	memset(s->dqkv, 0, p->tokens * a->width * sizeof *s->dqkv);
	for (size_t i = 0; i < p->nseqs; i++) {
		ASSERT(!p->seqs[i].cache);
		size_t at = p->first[i] * a->width + a->q_width;
		s->seqs[n++] = (struct flash_seq){ .row = p->first[i],
			.n = p->seqs[i].n,
			.k = act_at(w, s->qkv, at),
			.v = act_at(w, s->qkv, at + a->kv_width),
			.dk = s->dqkv + at,
			.dv = s->dqkv + at + a->kv_width };
	}
	flash_backward(&shape, &l, s->seqs, n, s->qkv, s->out, s->lse, s->dout, s->dqkv);
}

static void attn_backward(
	const void *self, void *state, const struct pass *p, const void *x, const void *dy, float *dx)
{
	const struct attn *a = self;
	const struct attn_state *s = state;
	size_t raw_ld = a->q_width + a->kv_width, T = p->tokens;
	int normed = a->qk_norm != QK_NORM_NONE;
	linear_backward(p->work, a->out, T, s->out, a->q_width, dy, a->hidden, s->dout, a->q_width);
	attend_back(a, s, p);
	rotate(a, s->dqkv, normed ? NULL : s->dqkv_act, p, 1);
	if (normed) {
		float *dq = s->dqkv, *dk = s->dqkv + a->q_width;
		norm_backward(p->work, &a->q_norm, T, q_groups(a), s->raw, raw_ld, s->q_stat, dq, a->width,
			dq, a->width, 0);
		norm_backward(p->work, &a->k_norm, T, k_groups(a), s->raw + a->q_width, raw_ld, s->k_stat, dk,
			a->width, dk, a->width, 0);
		act_rows(p->work, T, a->width, s->dqkv, s->dqkv_act);
	}
	linear_backward(p->work, a->qkv, T, x, a->hidden, s->dqkv_act ? s->dqkv_act : s->dqkv, a->width, dx,
		a->hidden);
}

static size_t attn_page_bytes(const void *self, const struct work *w)
{
	struct flash_shape s = shape_in(self, w);
	return flash_page_bytes(&s);
}

const struct block block_attention = { .name = "attention",
	.build = attn_build,
	.state_size = sizeof(struct attn_state),
	.place = attn_place,
	.forward = attn_forward,
	.backward = attn_backward,
	.page_bytes = attn_page_bytes };
