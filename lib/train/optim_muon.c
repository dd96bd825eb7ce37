/*
 * Muon: momentum, orthogonalised by Newton-Schulz (Jordan et al. 2024, "Muon: an optimizer for hidden layers
 * in neural networks"), for the matrices inside the blocks; embeddings, head and vectors are AdamW's.
 *
 * The update is scaled by sqrt(max(1, rows / columns)) (Jordan), or by 0.2 sqrt(max(rows, columns)), which
 * gives it AdamW's size, so that both can share a rate (Liu et al. 2025, "Muon is scalable for LLM training",
 * section 2.2). Rows and columns are those of the tensor in the checkpoint.
 */

#include "base/die.h"
#include "base/mem.h"
#include "tensor/gemm.h"
#include "train/optim.h"

#include <math.h>
#include <stdlib.h>

#define NS_STEPS 5
#define NS_A 3.4445f
#define NS_B (-4.7750f)
#define NS_C 2.0315f
#define NS_EPS 1e-7

/* X is [s, l], s <= l; the Gram matrix and its polynomial are [s, s]. */
struct scratch {
	float *x, *y, *gram, *poly;
	void *panels;
	size_t bytes_x, bytes_gram, bytes_panels;
};

static int is_muon(const struct param *p)
{
	return p->group == PARAM_MATRIX && p->ndim == 2;
}

static int is_adamw(const struct param *p)
{
	return !is_muon(p);
}

static const char *const *kinds(const struct param *p)
{
	static const char *const muon[] = { "momentum_buffer", NULL };
	return is_muon(p) ? muon : optim_adamw.kinds(p);
}

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void open_scratch(struct optim *o)
{
	struct scratch *w = xcalloc(1, sizeof *w);
	enum dtype t = o->c.compute;
	for (size_t i = 0; i < o->m->nparams; i++) {
		const struct param *p = &o->m->params[i];
		if (!is_muon(p))
			continue;
		size_t s = p->shape[0] < p->shape[1] ? p->shape[0] : p->shape[1], l = p->count / s;
		w->bytes_x = larger(w->bytes_x, mul_size(p->count, sizeof(float)));
		w->bytes_gram = larger(w->bytes_gram, s * s * sizeof(float));
		w->bytes_panels = larger(w->bytes_panels, panels_bytes(t, l, s));
		w->bytes_panels = larger(w->bytes_panels, panels_bytes(t, s, s));
		w->bytes_panels = larger(w->bytes_panels, panels_bytes(t, s, l));
	}
	w->x = mem_alloc(w->bytes_x);
	w->y = mem_alloc(w->bytes_x);
	w->gram = mem_alloc(w->bytes_gram);
	w->poly = mem_alloc(w->bytes_gram);
	w->panels = mem_alloc(w->bytes_panels);
	o->scratch = w;
}

static void close_scratch(struct optim *o)
{
	struct scratch *w = o->scratch;
	mem_free(w->x, w->bytes_x);
	mem_free(w->y, w->bytes_x);
	mem_free(w->gram, w->bytes_gram);
	mem_free(w->poly, w->bytes_gram);
	mem_free(w->panels, w->bytes_panels);
	free(w);
}

/* c[m, n] = a[m, k] b, b(i, j) = b[i * rs + j * cs]. */
static void product(const struct optim *o, size_t m, size_t k, size_t n, const float *a, const float *b,
	size_t rs, size_t cs, float *c)
{
	struct panels p = { o->c.compute, k, n, ((struct scratch *)o->scratch)->panels };
	panels_pack(&p, (struct mat){ b, DTYPE_F32, rs, cs });
	gemm(m, (struct mat){ a, DTYPE_F32, k, 1 }, &p, (struct gemm_out){ .c = c, .ldc = n });
}

/* y = alpha x + beta y */
static void blend(float *y, float beta, const float *x, float alpha, size_t n)
{
#pragma omp parallel for simd schedule(static)
	for (size_t i = 0; i < n; i++)
		y[i] = alpha * x[i] + beta * y[i];
}

/* x [s, l] towards the nearest matrix with orthonormal rows: x <- a x + (b G + c G G) x with G = x x^T. */
static void orthogonalise(const struct optim *o, size_t s, size_t l)
{
	struct scratch *w = o->scratch;
	float *x = w->x, *y = w->y;
	for (int step = 0; step < NS_STEPS; step++) {
		product(o, s, l, s, x, x, 1, l, w->gram);
		product(o, s, s, s, w->gram, w->gram, s, 1, w->poly);
		blend(w->poly, NS_C, w->gram, NS_B, s * s);
		product(o, s, s, l, w->poly, x, l, 1, y);
		blend(y, 1, x, NS_A, s * l);
		float *t = x;
		x = y;
		y = t;
	}
	if (x != w->x) {
		w->y = w->x;
		w->x = x;
	}
}

/* Nesterov's momentum into w->x, with the longer side along the rows. */
static void momentum(const struct optim *o, const struct param *p, float *buf, float gscale)
{
	struct scratch *w = o->scratch;
	size_t rows = p->shape[0], cols = p->shape[1], flip = rows > cols;
	float mu = (float)o->c.momentum, nu = 1 - mu;
#pragma omp parallel for schedule(static)
	for (size_t r = 0; r < rows; r++) {
		for (size_t c = 0; c < cols; c++) {
			size_t i = r * cols + c;
			float g = p->g[i] * gscale;
			buf[i] += nu * (g - buf[i]);
			w->x[flip ? c * rows + r : i] = g + mu * (buf[i] - g);
		}
	}
	double norm = sqrt(sum_squares(w->x, p->count));
	float scale = (float)(1 / (norm > NS_EPS ? norm : NS_EPS));
	blend(w->x, scale, w->x, 0, p->count);
}

static void update(const struct optim *o, struct param *p, double lr)
{
	const float *x = ((struct scratch *)o->scratch)->x;
	size_t rows = p->shape[0], cols = p->shape[1], flip = rows > cols;
	double a = (double)rows, b = (double)cols;
	double scale = o->c.muon_scale == MUON_ORIGINAL ? sqrt(a > b ? a / b : 1) : 0.2 * sqrt(a > b ? a : b);
	float step = (float)(lr * scale), keep = (float)(1 - lr * o->c.weight_decay);
#pragma omp parallel for schedule(static)
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < cols; c++)
			p->w[r * cols + c] =
				keep * p->w[r * cols + c] - step * x[flip ? c * rows + r : r * cols + c];
}

static void step(struct optim *o, double lr, float gscale)
{
	for (size_t i = 0; i < o->m->nparams; i++) {
		struct param *p = &o->m->params[i];
		if (!is_muon(p))
			continue;
		momentum(o, p, o->states[o->first[i]].v, gscale);
		size_t s = p->shape[0] < p->shape[1] ? p->shape[0] : p->shape[1];
		orthogonalise(o, s, p->count / s);
		update(o, p, lr);
	}
	optim_adamw_chunks(o, lr * o->c.adam_lr, gscale);
}

const struct optim_row optim_muon = { "muon", kinds, is_adamw, open_scratch, close_scratch, step };
