#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "train/optim.h"
#include "tap.h"

#include <stdlib.h>

/* A model of three tensors: a wide matrix, a tall one, a vector. */
#define COUNT (24 * 40 + 70 * 33 + 50)
static const size_t shapes[3][2] = { { 24, 40 }, { 70, 33 }, { 50, 1 } };

static void make_model(struct model *m, struct param p[3])
{
	struct rng g;
	rng_init(&g, 5, 0);
	*m = (struct model){ .params = p, .nparams = 3, .count = COUNT };
	m->weights = mem_alloc(COUNT * sizeof(float));
	m->grads = mem_alloc(COUNT * sizeof(float));
	for (size_t i = 0; i < COUNT; i++)
		m->weights[i] = (float)rng_normal(&g);
	size_t at = 0;
	for (int i = 0; i < 3; i++) {
		p[i] = (struct param){ .ndim = i < 2 ? 2 : 1, .shape = { shapes[i][0], shapes[i][1] } };
		p[i].group = i < 2 ? PARAM_MATRIX : PARAM_VECTOR;
		p[i].count = shapes[i][0] * shapes[i][1];
		p[i].w = m->weights + at;
		p[i].g = m->grads + at;
		at += p[i].count;
	}
}

static void drop_model(struct model *m)
{
	mem_free(m->weights, COUNT * sizeof(float));
	mem_free(m->grads, COUNT * sizeof(float));
}

static void make_grads(struct model *m, int step)
{
	struct rng g;
	rng_init(&g, 6, (uint64_t)step);
	for (size_t i = 0; i < COUNT; i++)
		m->grads[i] = (float)(0.1 * rng_normal(&g));
}

static const struct optim_config adamw = { 0, 0.9, 0.999, 1e-8, 0.1, 0.95, MUON_MATCH_RMS, 1, DTYPE_F32 };

/* The algorithms again, in double and as plainly as they can be written. */

static void ref_adamw(double *w, double *m, double *v, const float *g, size_t n, int t, double lr, double wd)
{
	for (size_t i = 0; i < n; i++) {
		m[i] = 0.9 * m[i] + 0.1 * (double)g[i];
		v[i] = 0.999 * v[i] + 0.001 * (double)g[i] * (double)g[i];
		double mh = m[i] / (1 - pow(0.9, t)), vh = v[i] / (1 - pow(0.999, t));
		w[i] -= lr * (mh / (sqrt(vh) + 1e-8) + wd * w[i]);
	}
}

static void mat_mul(double *c, const double *a, const double *b, size_t m, size_t k, size_t n)
{
	for (size_t i = 0; i < m; i++)
		for (size_t j = 0; j < n; j++) {
			double s = 0;
			for (size_t q = 0; q < k; q++)
				s += a[i * k + q] * b[q * n + j];
			c[i * n + j] = s;
		}
}

static void ref_muon(
	double *w, double *buf, const float *g, size_t rows, size_t cols, double lr, double wd, int scale)
{
	enum { MAX = 70 * 70 };
	static double x[MAX], xt[MAX], a[MAX], aa[MAX], y[MAX];
	size_t n = rows * cols;
	double norm = 0;
	for (size_t i = 0; i < n; i++) {
		buf[i] = 0.95 * buf[i] + 0.05 * (double)g[i];
		x[i] = 0.05 * (double)g[i] + 0.95 * buf[i];
		norm += x[i] * x[i];
	}
	for (size_t i = 0; i < n; i++)
		x[i] /= sqrt(norm);
	/* (x x^T) x = x (x^T x): no need for the transposed case here. */
	for (int s = 0; s < 5; s++) {
		for (size_t i = 0; i < rows; i++)
			for (size_t j = 0; j < cols; j++)
				xt[j * rows + i] = x[i * cols + j];
		mat_mul(a, x, xt, rows, cols, rows);
		mat_mul(aa, a, a, rows, rows, rows);
		for (size_t i = 0; i < rows * rows; i++)
			a[i] = -4.7750 * a[i] + 2.0315 * aa[i];
		mat_mul(y, a, x, rows, rows, cols);
		for (size_t i = 0; i < n; i++)
			x[i] = 3.4445 * x[i] + y[i];
	}
	double r = (double)rows, c = (double)cols;
	double f = scale == MUON_ORIGINAL ? sqrt(fmax(1, r / c)) : 0.2 * sqrt(fmax(r, c));
	for (size_t i = 0; i < n; i++)
		w[i] = w[i] * (1 - lr * wd) - lr * f * x[i];
}

static double worst(const struct model *m, const double *w)
{
	double d = 0;
	for (size_t i = 0; i < COUNT; i++)
		d = fmax(d, fabs((double)m->weights[i] - w[i]));
	return d;
}

static void run(struct optim_config c, double tol)
{
	static double w[COUNT], a[COUNT], b[COUNT];
	struct model m;
	struct param p[3];
	make_model(&m, p);
	for (size_t i = 0; i < COUNT; i++) {
		w[i] = (double)m.weights[i];
		a[i] = b[i] = 0;
	}
	struct optim *o = optim_new(&c, &m);
	for (int t = 1; t <= 10; t++) {
		make_grads(&m, t);
		optim_step(o, 0.01, 0.5f);
		for (size_t i = 0; i < COUNT; i++)
			m.grads[i] *= 0.5f;
		for (int i = 0; i < 3; i++) {
			size_t at = (size_t)(p[i].w - m.weights);
			if (c.kind == 1 && i < 2)
				ref_muon(w + at, a + at, p[i].g, p[i].shape[0], p[i].shape[1], 0.01, 0.1,
					c.muon_scale);
			else
				ref_adamw(w + at, a + at, b + at, p[i].g, p[i].count, t, 0.01 * c.adam_lr,
					i < 2 ? 0.1 : 0);
		}
	}
	ok(o->updates == 10 && m.version == 10, "updates are counted");
	ok_near(worst(&m, w), 0, tol, "optimiser %d follows its published formula", c.kind);
	optim_free(o);
	drop_model(&m);
}

static uint64_t bits(struct optim_config c, int threads)
{
	struct model m;
	struct param p[3];
	par_set_threads(threads);
	make_model(&m, p);
	struct optim *o = optim_new(&c, &m);
	for (int t = 1; t <= 3; t++) {
		make_grads(&m, t);
		optim_step(o, 0.01, 1);
	}
	uint64_t h = 0;
	for (size_t i = 0; i < COUNT; i++) {
		uint32_t u;
		memcpy(&u, &m.weights[i], 4);
		h = h * 31 + u;
	}
	optim_free(o);
	drop_model(&m);
	return h;
}

int main(void)
{
	struct optim_config muon = adamw, jordan;
	muon.kind = 1;
	muon.adam_lr = 0.3;
	jordan = muon;
	jordan.muon_scale = MUON_ORIGINAL;
	run(adamw, 2e-6);
	run(muon, 3e-5);
	run(jordan, 3e-5);
	ok(bits(adamw, 1) == bits(adamw, 2) && bits(adamw, 1) == bits(adamw, 5),
		"adamw: same bits for any threads");
	ok(bits(muon, 1) == bits(muon, 2) && bits(muon, 1) == bits(muon, 5),
		"muon: same bits for any threads");

	static float x[300001];
	double want = 0;
	for (size_t i = 0; i < 300001; i++) {
		x[i] = (float)(i % 17) * 0.25f;
		want += (double)x[i] * (double)x[i];
	}
	par_set_threads(1);
	double one = sum_squares(x, 300001);
	par_set_threads(3);
	ok(one == sum_squares(x, 300001), "sum of squares: same bits for any threads");
	ok_near(one / want, 1, 1e-6, "sum of squares");
	gemm_release();
	return tap_end();
}
