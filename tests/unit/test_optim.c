#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "train/optim.h"
#include "train/polar.h"
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

static const struct optim_config adamw = { 0, 0.9, 0.999, 1e-8, 0.1, 0.95, MUON_MATCH_RMS, 1, DTYPE_F32,
	MOMENT_F32, 9 };

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

/* Odd shapes, panels that the last tile fills in part, sides that one tile covers: all threads together or
 * one of them, the same bits; f32 follows the formula in double; bf16 stays near it. */
static void test_polar(size_t l, size_t s)
{
	size_t n = l * s;
	float *z = mem_alloc(n * sizeof *z), *alone = mem_alloc(n * sizeof *z);
	double *x = xcalloc(n, sizeof *x), *y = xcalloc(n, sizeof *y), *g = xcalloc(s * s, sizeof *g);
	double *gg = xcalloc(s * s, sizeof *gg), norm = 0, off[2] = { 0, 0 }, size = 0;
	struct rng r;
	rng_init(&r, l, s);
	for (size_t i = 0; i < n; i++) {
		x[i] = rng_normal(&r);
		norm += x[i] * x[i];
	}
	float *start = mem_alloc(n * sizeof *start);
	for (size_t i = 0; i < n; i++)
		start[i] = (float)(x[i] / sqrt(norm));
	for (size_t i = 0; i < n; i++)
		x[i] = (double)start[i];
	for (int step = 0; step < 5; step++) {
		for (size_t i = 0; i < s; i++)
			for (size_t j = 0; j < s; j++) {
				g[i * s + j] = 0;
				for (size_t q = 0; q < l; q++)
					g[i * s + j] += x[q * s + i] * x[q * s + j];
			}
		mat_mul(gg, g, g, s, s, s);
		for (size_t i = 0; i < s * s; i++)
			g[i] = -4.7750 * g[i] + 2.0315 * gg[i];
		mat_mul(y, x, g, l, s, s);
		for (size_t i = 0; i < n; i++)
			x[i] = 3.4445 * x[i] + y[i];
	}
	for (int t = 0; t < 2; t++) {
		enum dtype d = t ? DTYPE_BF16 : DTYPE_F32;
		void *space = mem_alloc(polar_bytes(d, l, s));
		memcpy(z, start, n * sizeof *z);
		memcpy(alone, start, n * sizeof *z);
		par_set_threads(3);
		polar(d, z, l, s, space);
		par_set_threads(1);
		polar(d, alone, l, s, space);
		ok(memcmp(z, alone, n * sizeof *z) == 0, "%zu x %zu: same bits for any threads", l, s);
		for (size_t i = 0; i < n; i++) {
			off[t] += ((double)z[i] - x[i]) * ((double)z[i] - x[i]);
			size += t ? 0 : x[i] * x[i];
		}
		mem_free(space, polar_bytes(d, l, s));
	}
	ok_near(sqrt(off[0] / size), 0, 1e-5, "%zu x %zu: f32", l, s);
	/* Each step's polynomial is rounded to 8 bits; with one singular value that is all that there is. */
	ok_near(sqrt(off[1] / size), 0, s == 1 ? 0.05 : 0.03, "%zu x %zu: bf16", l, s);
	mem_free(start, n * sizeof *start);
	mem_free(z, n * sizeof *z);
	mem_free(alone, n * sizeof *z);
	free(x);
	free(y);
	free(g);
	free(gg);
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

/* Narrow states move the weights by almost as much, take the memory that is said, and are the same bits for
 * any threads; small tensors are not touched. */
static void test_narrow(struct optim_config c, double tol)
{
	struct param p = { .ndim = 2, .shape = { 130, 61 }, .count = 130 * 61, .group = PARAM_MATRIX };
	struct model m = { .params = &p, .nparams = 1, .count = p.count };
	float *w[2];
	p.g = mem_alloc(p.count * sizeof(float));
	for (int narrow = 0; narrow < 2; narrow++) {
		struct optim_config one = c;
		one.moments = narrow ? c.moments : MOMENT_F32;
		p.w = w[narrow] = mem_alloc(p.count * sizeof(float));
		struct optim *o = optim_new(&one, &m);
		for (int t = 1; t <= 40; t++) {
			struct rng r;
			rng_init(&r, 8, (uint64_t)t);
			for (size_t i = 0; i < p.count; i++)
				p.g[i] = (float)(0.02 * (double)(i % 7) + 0.1 * rng_normal(&r));
			optim_step(o, 0.01, 1);
		}
		ok(optim_bytes(&one, &m) == o->memory_bytes + o->scratch_bytes,
			"--dry-run says what is taken");
		if (narrow)
			ok(o->memory_bytes <
					p.count * (c.kind ? 4 : 8) * (c.moments == MOMENT_BF16 ? 0.51 : 0.27),
				"%zu bytes of states", o->memory_bytes);
		optim_free(o);
	}
	double off = 0, size = 0;
	for (size_t i = 0; i < p.count; i++) {
		off += pow((double)w[1][i] - (double)w[0][i], 2);
		size += pow((double)w[0][i], 2);
	}
	ok(off > 0, "narrow states are in use");
	ok_near(sqrt(off / size), 0, tol, "optimiser %d, states %d: near those of f32", c.kind, c.moments);
	for (int i = 0; i < 2; i++)
		mem_free(w[i], p.count * sizeof(float));
	mem_free(p.g, p.count * sizeof(float));
	ok(bits(c, 1) == bits(c, 3), "optimiser %d, states %d: same bits for any threads", c.kind, c.moments);
}

int main(void)
{
	static const size_t sides[][2] = { { 1, 1 }, { 50, 1 }, { 33, 33 }, { 70, 33 }, { 300, 97 } };
	for (size_t i = 0; i < 5; i++)
		test_polar(sides[i][0], sides[i][1]);
	struct optim_config muon = adamw, jordan, adamw_narrow = adamw, muon_narrow;
	muon.kind = 1;
	muon.adam_lr = 0.3;
	muon_narrow = muon;
	jordan = muon;
	jordan.muon_scale = MUON_ORIGINAL;
	run(adamw, 2e-6);
	run(muon, 3e-5);
	run(jordan, 3e-5);
	ok(bits(adamw, 1) == bits(adamw, 2) && bits(adamw, 1) == bits(adamw, 5),
		"adamw: same bits for any threads");
	ok(bits(muon, 1) == bits(muon, 2) && bits(muon, 1) == bits(muon, 5),
		"muon: same bits for any threads");

	for (int t = MOMENT_BF16; t <= MOMENT_8BIT; t++) {
		adamw_narrow.moments = muon_narrow.moments = t;
		test_narrow(adamw_narrow, 0.05);
		test_narrow(muon_narrow, 0.05);
	}

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
