/*
 * Muon: momentum, orthogonalised by Newton-Schulz (Jordan et al. 2024, "Muon: an optimizer for hidden layers
 * in neural networks"), for the matrices inside the blocks; embeddings, head and vectors are AdamW's.
 *
 * The update is scaled by sqrt(max(1, rows / columns)) (Jordan), or by 0.2 sqrt(max(rows, columns)), which
 * gives it AdamW's size, so that both can share a rate (Liu et al. 2025, "Muon is scalable for LLM training",
 * section 2.2). Rows and columns are those of the tensor in the checkpoint.
 *
 * Small matrices go one a thread, large ones one after another by all threads: the bits are the same.
 */

#include "base/mem.h"
#include "train/optim.h"
#include "train/polar.h"

#include <math.h>
#include <omp.h>

#define NORM_EPS 1e-7
#define SMALL ((size_t)512 << 10) /* values of a matrix that one thread takes alone */
#define SQUARE 16                 /* side of the pieces that a transposition goes in */

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

static size_t shorter(const struct param *p)
{
	return p->shape[0] < p->shape[1] ? p->shape[0] : p->shape[1];
}

/* Scratch of one matrix: what polar wants, and the matrix itself behind it. */
static size_t matrix_bytes(const struct optim_config *c, const struct param *p)
{
	size_t s = shorter(p), z = (mul_size(p->count, sizeof(float)) + 63) / 64 * 64;
	return add_size((polar_bytes(c->compute, p->count / s, s) + 63) / 64 * 64, z);
}

/* Bytes that each thread gets for its small matrices, and in *all those of the largest matrix. */
static size_t thread_bytes(const struct optim_config *c, const struct model *m, size_t *all)
{
	size_t small = 0;
	*all = 0;
	for (size_t i = 0; i < m->nparams; i++) {
		const struct param *p = &m->params[i];
		size_t n = is_muon(p) ? matrix_bytes(c, p) : 0;
		if (n > *all)
			*all = n;
		if (n > small && p->count <= SMALL)
			small = n;
	}
	return small;
}

static size_t scratch(const struct optim_config *c, const struct model *m)
{
	size_t all, small = thread_bytes(c, m, &all), each = mul_size(small, (size_t)omp_get_max_threads());
	return all > each ? all : each;
}

/* y [cols, rows] = x^T, x [rows, cols] */
static void transpose(float *y, const float *x, size_t rows, size_t cols)
{
#pragma omp parallel for schedule(static)
	for (size_t r0 = 0; r0 < rows; r0 += SQUARE)
		for (size_t c0 = 0; c0 < cols; c0 += SQUARE)
			for (size_t c = c0; c < cols && c < c0 + SQUARE; c++)
				for (size_t r = r0; r < rows && r < r0 + SQUARE; r++)
					y[c * rows + r] = x[r * cols + c];
}

/* Nesterov's momentum of matrix i into u. */
static void momentum(const struct optim *o, size_t i, float *u, float gscale)
{
	const struct param *p = &o->m->params[i];
	struct moment *state = &o->states[o->first[i]].m;
	float mu = (float)o->c.momentum, nu = 1 - mu;
#pragma omp parallel for schedule(static)
	for (size_t at = 0; at < p->count; at += MOMENT_BLOCK) {
		size_t n = p->count - at < MOMENT_BLOCK ? p->count - at : MOMENT_BLOCK;
		float space[MOMENT_BLOCK], *buf = moment_read(state, at, n, space);
		for (size_t e = 0; e < n; e++) {
			float g = p->g[at + e] * gscale;
			buf[e] += nu * (g - buf[e]);
			u[at + e] = g + mu * (buf[e] - g);
		}
		moment_write(state, at, n, buf, optim_key(o, o->first[i], at));
	}
}

static void add_update(const struct optim *o, struct param *p, const float *x, double lr)
{
	double a = (double)p->shape[0], b = (double)p->shape[1];
	double scale = o->c.muon_scale == MUON_ORIGINAL ? sqrt(a > b ? a / b : 1) : 0.2 * sqrt(a > b ? a : b);
	float step = (float)(lr * scale), keep = (float)(1 - lr * o->c.weight_decay);
#pragma omp parallel for simd schedule(static)
	for (size_t i = 0; i < p->count; i++)
		p->w[i] = keep * p->w[i] - step * x[i];
}

static void scale(float *x, float by, size_t n)
{
#pragma omp parallel for simd schedule(static)
	for (size_t i = 0; i < n; i++)
		x[i] *= by;
}

/* By all threads, or from within a parallel region by one. */
static void one_matrix(const struct optim *o, size_t i, char *space, double lr, float gscale)
{
	struct param *p = &o->m->params[i];
	size_t rows = p->shape[0], cols = p->shape[1], s = shorter(p), l = p->count / s;
	int flip = rows < cols;
	/* The front of polar's scratch holds the matrix on its way there and back. */
	float *front = (float *)(void *)space;
	float *z = (float *)(void *)(space + (polar_bytes(o->c.compute, l, s) + 63) / 64 * 64);
	float *u = flip ? front : z;
	momentum(o, i, u, gscale);
	double norm = sqrt(sum_squares(u, p->count));
	scale(u, (float)(1 / (norm > NORM_EPS ? norm : NORM_EPS)), p->count);
	if (flip)
		transpose(z, u, rows, cols);
	polar(o->c.compute, z, l, s, space);
	if (flip)
		transpose(u, z, cols, rows);
	add_update(o, p, u, lr);
}

static void step(struct optim *o, double lr, float gscale)
{
	size_t all, each = thread_bytes(&o->c, o->m, &all);
	/* No more threads than there was scratch for. */
	int threads = each ? (int)(o->scratch_bytes / each) : 1;
	threads = threads < omp_get_max_threads() ? threads : omp_get_max_threads();
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
	for (size_t i = 0; i < o->m->nparams; i++)
		if (is_muon(&o->m->params[i]) && o->m->params[i].count <= SMALL)
			one_matrix(o, i, o->scratch + (size_t)omp_get_thread_num() * each, lr, gscale);
	for (size_t i = 0; i < o->m->nparams; i++)
		if (is_muon(&o->m->params[i]) && o->m->params[i].count > SMALL)
			one_matrix(o, i, o->scratch, lr, gscale);
	optim_adamw_chunks(o, lr * o->c.adam_lr, gscale);
}

const struct optim_row optim_muon = { "muon", kinds, is_adamw, scratch, step };
