#include "model/work.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <string.h>

void *area_take(struct area *a, size_t count, size_t size)
{
	size_t bytes = add_size(mul_size(count, size), 63) / 64 * 64, at = a->used;
	a->used = add_size(a->used, bytes);
	if (a->used > a->peak)
		a->peak = a->used;
	return a->base ? a->base + at : NULL;
}

void area_rewind(struct area *a, size_t used)
{
	a->used = used;
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t chunks(size_t rows)
{
	return (rows + ROW_CHUNK - 1) / ROW_CHUNK;
}

const float *work_weight(const struct work *w, size_t offset)
{
	return w->model->weights + offset;
}

float *work_grad(const struct work *w, size_t offset)
{
	return w->model->grads + offset;
}

/* --- panels --- */

static void place_panels(struct panels *p, enum dtype t, size_t k, size_t n, struct area *a)
{
	void *at = area_take(a, panels_bytes(t, k, n), 1);
	if (p)
		*p = (struct panels){ t, k, n, at };
}

void work_place(struct work *w, struct area *a)
{
	const struct net *n = w->net;
	size_t widest = n->config->hidden;
	w->forward = area_take(a, n->nlinears, sizeof *w->forward);
	w->backward = w->train ? area_take(a, n->nlinears, sizeof *w->backward) : NULL;
	w->scratch_bytes = 0;
	for (size_t i = 0; i < n->nlinears; i++) {
		const struct linear *l = &n->linears[i];
		place_panels(w->forward ? &w->forward[i] : NULL, w->compute, l->in, l->out, a);
		if (!w->train)
			continue;
		place_panels(w->backward ? &w->backward[i] : NULL, w->compute, l->out, l->in, a);
		w->scratch_bytes = max_size(
			w->scratch_bytes, panels_bytes(w->compute, w->tokens, l->cs == 1 ? l->in : l->out));
		if (l->bias != NO_OFFSET)
			widest = max_size(widest, l->out);
	}
	if (!w->train)
		return;
	w->scratch.p = area_take(a, w->scratch_bytes, 1);
	/* A norm sums two gradients at once. */
	w->partial = area_take(a, mul_size(chunks(w->tokens), 2 * widest), sizeof *w->partial);
}

void work_pack(struct work *w)
{
	for (size_t i = 0; i < w->net->nlinears; i++) {
		const struct linear *l = &w->net->linears[i];
		panels_pack(&w->forward[i], work_weight(w, l->w), l->cs, l->rs);
		if (w->train)
			panels_pack(&w->backward[i], work_weight(w, l->w), l->rs, l->cs);
	}
}

/* --- linear maps --- */

void linear_forward(
	struct work *w, size_t linear, size_t rows, const float *x, size_t ldx, float *y, size_t ldy)
{
	const struct linear *l = &w->net->linears[linear];
	gemm(rows, x, ldx, 1, &w->forward[linear], l->bias == NO_OFFSET ? NULL : work_weight(w, l->bias), y,
		ldy, 0);
}

void linear_backward(struct work *w, size_t linear, size_t rows, const float *x, size_t ldx, const float *dy,
	size_t lddy, float *dx, size_t lddx)
{
	const struct linear *l = &w->net->linears[linear];
	if (dx)
		gemm(rows, dy, lddy, 1, &w->backward[linear], NULL, dx, lddx, 0);
	/* The gradient has the weight's layout: its rows are outputs, or inputs where W is stored [in, out].
	 */
	int transposed = l->cs != 1;
	struct panels *p = &w->scratch;
	p->dtype = w->compute;
	p->k = rows;
	p->n = transposed ? l->out : l->in;
	ASSERT(panels_bytes(p->dtype, p->k, p->n) <= w->scratch_bytes);
	panels_pack(p, transposed ? dy : x, transposed ? lddy : ldx, 1);
	if (transposed)
		gemm(l->in, x, 1, ldx, p, NULL, work_grad(w, l->w), l->cs, GEMM_ADD);
	else
		gemm(l->out, dy, 1, lddy, p, NULL, work_grad(w, l->w), l->rs, GEMM_ADD);
	if (l->bias != NO_OFFSET)
		add_rows(w, rows, l->out, dy, lddy, work_grad(w, l->bias));
}

/* --- sums over rows --- */

/* Adds the partial sums [count, n], ld apart, to sum in order; threads share out the columns. */
static void add_partial(const float *partial, size_t ld, size_t count, size_t n, float *sum)
{
#pragma omp parallel for
	for (size_t j = 0; j < n; j += ROW_CHUNK) {
		size_t m = n - j < ROW_CHUNK ? n - j : ROW_CHUNK;
		for (size_t i = 0; i < count; i++)
			kern()->add(sum + j, partial + i * ld + j, m);
	}
}

void add_rows(struct work *w, size_t rows, size_t n, const float *x, size_t ldx, float *sum)
{
	size_t count = chunks(rows);
#pragma omp parallel for
	for (size_t i = 0; i < count; i++) {
		float *p = w->partial + i * n;
		size_t end = (i + 1) * ROW_CHUNK < rows ? (i + 1) * ROW_CHUNK : rows;
		memset(p, 0, n * sizeof *p);
		for (size_t r = i * ROW_CHUNK; r < end; r++)
			kern()->add(p, x + r * ldx, n);
	}
	add_partial(w->partial, n, count, n, sum);
}

/* --- norms --- */

void norm_forward(const struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, float *y, size_t ldy, float *stat)
{
	const float *weight = work_weight(w, n->w), *bias = n->b == NO_OFFSET ? NULL : work_weight(w, n->b);
#pragma omp parallel for
	for (size_t i = 0; i < rows; i++)
		for (size_t g = 0; g < groups; g++)
			kern()->norm(y + i * ldy + g * n->dim, x + i * ldx + g * n->dim, weight, bias,
				n->kind == NORM_LAYER, n->eps, stat ? stat + 2 * (i * groups + g) : NULL,
				n->dim);
}

void norm_backward(struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, const float *stat, const float *dy, size_t lddy, float *dx, size_t lddx, int add)
{
	const float *weight = work_weight(w, n->w);
	size_t count = chunks(rows), dim = n->dim, width = n->b == NO_OFFSET ? dim : 2 * dim;
#pragma omp parallel for
	for (size_t c = 0; c < count; c++) {
		float *dw = w->partial + c * width, *db = n->b == NO_OFFSET ? NULL : dw + dim;
		size_t end = (c + 1) * ROW_CHUNK < rows ? (c + 1) * ROW_CHUNK : rows;
		memset(dw, 0, width * sizeof *dw);
		for (size_t i = c * ROW_CHUNK; i < end; i++)
			for (size_t g = 0; g < groups; g++)
				kern()->norm_back(dx + i * lddx + g * dim, add, dw, db, dy + i * lddy + g * dim,
					x + i * ldx + g * dim, weight, n->kind == NORM_LAYER,
					stat + 2 * (i * groups + g), dim);
	}
	add_partial(w->partial, width, count, dim, work_grad(w, n->w));
	if (n->b != NO_OFFSET)
		add_partial(w->partial + dim, width, count, dim, work_grad(w, n->b));
}
