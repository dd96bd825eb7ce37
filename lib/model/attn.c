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

/* Activations, but where it says float. */
struct attn_state {
	void *qkv;   /* [T, width], rotated */
	float *wide; /* the same as the product gives it, where norms want that */
	float *raw;  /* [T, q_width + kv_width]: q and k before their norms */
	float *q_stat, *k_stat;
	void *out;              /* [T, q_width] */
	float *lse;             /* [T, heads] */
	void *dout, *dqkv;      /* backward */
	float *dqkv_wide;       /* dqkv before the norms' way back */
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
	int normed = a->qk_norm != QK_NORM_NONE;
	s->qkv = area_take_act(kept, w, T, a->width);
	s->out = area_take_act(kept, w, T, a->q_width);
	s->seqs = area_take(scratch, T, sizeof *s->seqs);
	/* The one belongs to forward, the other to backward: they share their room. */
	s->wide = s->dqkv_wide = normed ? area_take(scratch, mul_size(T, a->width), f) : NULL;
	if (!w->train)
		return;
	s->lse = area_take(kept, mul_size(T, a->shape.heads), f);
	if (normed) {
		s->raw = area_take(kept, mul_size(T, a->q_width + a->kv_width), f);
		s->q_stat = area_take(kept, mul_size(T, 2 * q_groups(a)), f);
		s->k_stat = area_take(kept, mul_size(T, 2 * k_groups(a)), f);
	}
	s->dqkv = normed && w->compute == DTYPE_F32 ? s->dqkv_wide : area_take_act(scratch, w, T, a->width);
	s->dout = area_take_act(scratch, w, T, a->q_width);
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

/* What works on a block of a product, or on a head. */
struct attn_call {
	const struct attn *a;
	const struct attn_state *s;
	const struct pass *p;
	act_store_fn *store;
};

/* Columns [col, col + n) of row t of what the product gave, whole heads: queries and keys turn. Keys and
 * values become what a cache of 8 bits holds, with or without one. */
static void rotate(const struct attn_call *c, size_t t, size_t col, size_t n, float *x)
{
	const struct attn *a = c->a;
	size_t dim = a->shape.head_dim, turned = a->rotate ? a->q_width + a->kv_width : 0;
	if (col < turned)
		rope_rotate(x, least(n, turned - col) / dim, dim, c->p->angles + t * dim, 0);
	for (size_t i = 0; c->p->work->kv8 && i < n; i += dim)
		if (col + i >= a->q_width)
			kern()->mx_round(x + i, dim);
	c->store(c->p->work, act_at(c->p->work, c->s->qkv, t * a->width + col), x, n);
}

static void rotate_block(const void *ctx, const struct gemm_block *b)
{
	for (size_t i = 0; i < b->rows; i++)
		rotate(ctx, b->row + i, b->col, b->cols, b->c + i * b->ldc);
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

static void place_seqs(const struct attn *a, const struct attn_state *s, const struct pass *p)
{
	const struct work *w = p->work;
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
}

/* Queries, keys and values of x, and where they stand. */
static void project(const struct attn *a, const struct attn_state *s, const struct pass *p, const void *x)
{
	struct attn_call c = { a, s, p, act_storing(p->tokens * a->width) };
	if (s->wide) {
		linear_forward(p->work, a->qkv, p->tokens, x, a->hidden, NULL, s->wide, a->width);
		norm_qk(a, s, p, s->wide);
#pragma omp parallel for if (p->tokens > 1)
		for (size_t t = 0; t < p->tokens; t++)
			rotate(&c, t, 0, a->width, s->wide + t * a->width);
	} else {
		linear_forward_to(p->work, a->qkv, p->tokens, x, a->hidden,
			(struct sink){ .done = rotate_block, .ctx = &c, .unit = a->shape.head_dim });
	}
	place_seqs(a, s, p);
}

static void attn_remember(const void *self, void *state, const struct pass *p, const void *x)
{
	const struct attn *a = self;
	const struct attn_state *s = state;
	struct flash_shape shape = shape_in(a, p->work);
	struct flash_layout l = layout(a);
	project(a, s, p, x);
	flash_append(&shape, &l, s->seqs, p->nseqs);
}

static void attn_forward(
	const void *self, void *state, const struct pass *p, const void *x, const float *from, float *y)
{
	const struct attn *a = self;
	const struct attn_state *s = state;
	struct flash_shape shape = shape_in(a, p->work);
	struct flash_layout l = layout(a);
	project(a, s, p, x);
	flash_forward(&shape, &l, s->seqs, p->nseqs, s->qkv, s->out, s->lse);
	linear_forward(p->work, a->out, p->tokens, s->out, a->q_width, from, y, a->hidden);
}

static void round_dout(const void *ctx, const struct gemm_block *b)
{
	const struct attn_call *c = ctx;
	for (size_t i = 0; i < b->rows; i++)
		act_store(c->p->work, act_at(c->p->work, c->s->dout, (b->row + i) * c->a->q_width + b->col),
			b->c + i * b->ldc, b->cols);
}

/* The gradient of a head turns back. */
static void store_gradient(
	const void *ctx, enum flash_grad what, size_t head, size_t row, size_t n, float *x, size_t ldx)
{
	const struct attn_call *c = ctx;
	const struct attn *a = c->a;
	size_t dim = a->shape.head_dim, at = head * dim;
	if (what != FLASH_DQ)
		at += a->q_width + (what == FLASH_DV ? a->kv_width : 0);
	for (size_t t = row; t < row + n; t++, x += ldx) {
		if (a->rotate && what != FLASH_DV)
			rope_rotate(x, 1, dim, c->p->angles + t * dim, 1);
		if (c->s->dqkv_wide)
			memcpy(c->s->dqkv_wide + t * a->width + at, x, dim * sizeof *x);
		else
			c->store(c->p->work, act_at(c->p->work, c->s->dqkv, t * a->width + at), x, dim);
	}
}

static void attend_back(const struct attn *a, const struct attn_state *s, const struct pass *p)
{
	struct flash_shape shape = shape_in(a, p->work);
	struct flash_layout l = layout(a);
	for (size_t i = 0; i < p->nseqs; i++) {
		ASSERT(!p->seqs[i].cache);
		size_t at = p->first[i] * a->width + a->q_width;
		s->seqs[i] = (struct flash_seq){ .row = p->first[i],
			.n = p->seqs[i].n,
			.k = act_at(p->work, s->qkv, at),
			.v = act_at(p->work, s->qkv, at + a->kv_width) };
	}
	flash_backward(&shape, &l, s->seqs, p->nseqs, s->qkv, s->out, s->lse, s->dout, store_gradient,
		&(struct attn_call){ a, s, p, act_storing(p->tokens * a->width) });
}

/* Through the norms of q and k: dqkv from dqkv_wide. */
static void norm_back(const struct attn *a, const struct attn_state *s, const struct pass *p)
{
	size_t ld = a->q_width + a->kv_width, T = p->tokens;
	float *dq = s->dqkv_wide, *dk = dq + a->q_width;
	norm_backward(
		p->work, &a->q_norm, T, q_groups(a), s->raw, ld, s->q_stat, dq, a->width, dq, a->width, 0);
	norm_backward(p->work, &a->k_norm, T, k_groups(a), s->raw + a->q_width, ld, s->k_stat, dk, a->width,
		dk, a->width, 0);
	act_rows(p->work, T, a->width, s->dqkv_wide, s->dqkv);
}

static void attn_backward(
	const void *self, void *state, const struct pass *p, const void *x, const void *dy, float *dx)
{
	const struct attn *a = self;
	const struct attn_state *s = state;
	size_t T = p->tokens;
	linear_backward_input_to(p->work, a->out, T, dy, a->hidden,
		(struct sink){ .done = round_dout,
			.ctx = &(struct attn_call){ a, s, p, act_storing(T * a->q_width) } });
	linear_backward_weight(p->work, a->out, T, s->out, a->q_width, dy, a->hidden);
	attend_back(a, s, p);
	if (s->dqkv_wide)
		norm_back(a, s, p);
	linear_backward(p->work, a->qkv, T, x, a->hidden, s->dqkv, a->width, dx, a->hidden);
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
	.remember = attn_remember,
	.page_bytes = attn_page_bytes };
