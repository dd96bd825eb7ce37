/* Attention against a plain double-precision one, and the same bits cached or not, whatever stands beside. */
#include "tap.h"

#include "amx_emu.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tensor/flash.h"
#include "tensor/kern.h"

#include <stdlib.h>

static struct rng rng;

static float *numbers(size_t n)
{
	float *x = xmalloc((n + 1) * sizeof *x);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)rng_normal(&rng);
	return x;
}

#define MAX_SEQS 4

/* Sequences one behind another in q [rows][heads][d]; k and v [rows][kv_heads][d]. */
struct setup {
	struct flash_shape s;
	struct flash_layout l;
	size_t nseqs, rows, qsize, outsize, kvsize;
	struct flash_seq seqs[MAX_SEQS];
	float *q, *k, *v, *dout;
	uint16_t *hq, *hk, *hv, *hdout; /* the same in bf16 */
};

static uint16_t *halved(const float *x, size_t n)
{
	uint16_t *y = xmalloc((n + 1) * sizeof *y);
	kern()->to_bf16(y, x, n);
	return y;
}

static struct setup setup_new(struct flash_shape s, const size_t *lengths, size_t nseqs)
{
	struct setup t = { .s = s, .nseqs = nseqs };
	/* heads and rows do not quite touch */
	t.l.q_head_stride = s.head_dim + 1;
	t.l.q_stride = s.heads * t.l.q_head_stride + 2;
	t.l.out_head_stride = s.head_dim;
	t.l.out_stride = s.heads * s.head_dim + 3;
	t.l.kv_head_stride = s.head_dim + 2;
	t.l.kv_stride = s.kv_heads * t.l.kv_head_stride + 1;
	for (size_t i = 0; i < nseqs; i++) {
		t.seqs[i] = (struct flash_seq){ .row = t.rows, .n = lengths[i] };
		t.rows += lengths[i];
	}
	t.qsize = t.rows * t.l.q_stride;
	t.outsize = t.rows * t.l.out_stride;
	t.kvsize = t.rows * t.l.kv_stride;
	t.q = numbers(t.qsize);
	t.k = numbers(t.kvsize);
	t.v = numbers(t.kvsize);
	t.dout = numbers(t.outsize);
	t.hq = halved(t.q, t.qsize);
	for (size_t r = 0; s.kv8 && r < t.rows; r++)
		for (size_t h = 0; h < s.kv_heads; h++) {
			kern()->mx_round(t.k + r * t.l.kv_stride + h * t.l.kv_head_stride, s.head_dim);
			kern()->mx_round(t.v + r * t.l.kv_stride + h * t.l.kv_head_stride, s.head_dim);
		}
	t.hk = halved(t.k, t.kvsize);
	t.hv = halved(t.v, t.kvsize);
	t.hdout = halved(t.dout, t.outsize);
	return t;
}

static void setup_free(struct setup *t)
{
	free(t->q);
	free(t->k);
	free(t->v);
	free(t->dout);
	free(t->hq);
	free(t->hk);
	free(t->hv);
	free(t->hdout);
}

/* x from an element on, in the arithmetic's type. */
static const void *in(const struct setup *t, const float *x, const uint16_t *half, size_t at)
{
	return t->s.t == DTYPE_BF16 ? (const void *)(half + at) : x + at;
}

/* What forward and backward leave. */
struct result {
	float *out, *lse, *dq, *dk, *dv;
};

struct gradients {
	const struct setup *t;
	struct result *r;
};

static void store(
	const void *ctx, enum flash_grad what, size_t head, size_t row, size_t n, float *x, size_t ldx)
{
	const struct gradients *g = ctx;
	const struct flash_layout *l = &g->t->l;
	float *to = what == FLASH_DQ ? g->r->dq : what == FLASH_DK ? g->r->dk : g->r->dv;
	size_t stride = what == FLASH_DQ ? l->q_stride : l->kv_stride;
	to += row * stride + head * (what == FLASH_DQ ? l->q_head_stride : l->kv_head_stride);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < g->t->s.head_dim; j++)
			to[i * stride + j] += x[i * ldx + j]; /* once alone: it began at 0 */
}

static struct result run(const struct setup *t, int backward)
{
	struct result r = { numbers(t->outsize), numbers(t->rows * t->s.heads),
		xcalloc(t->qsize, sizeof(float)), xcalloc(t->kvsize, sizeof(float)),
		xcalloc(t->kvsize, sizeof(float)) };
	struct flash_seq seqs[MAX_SEQS];
	for (size_t i = 0; i < t->nseqs; i++) {
		size_t at = t->seqs[i].row * t->l.kv_stride;
		seqs[i] = t->seqs[i];
		seqs[i].k = in(t, t->k, t->hk, at);
		seqs[i].v = in(t, t->v, t->hv, at);
	}
	memset(r.out, 0, t->outsize * sizeof *r.out);
	const void *q = in(t, t->q, t->hq, 0);
	uint16_t *half = xcalloc(t->outsize, sizeof *half);
	void *out = t->s.t == DTYPE_BF16 ? (void *)half : r.out;
	flash_forward(&t->s, &t->l, seqs, t->nseqs, q, out, r.lse);
	if (backward)
		flash_backward(&t->s, &t->l, seqs, t->nseqs, q, out, r.lse, in(t, t->dout, t->hdout, 0),
			store, &(struct gradients){ t, &r });
	if (t->s.t == DTYPE_BF16)
		kern()->of_bf16(r.out, half, t->outsize);
	free(half);
	return r;
}

static void result_free(struct result *r)
{
	free(r->out);
	free(r->lse);
	free(r->dq);
	free(r->dk);
	free(r->dv);
}

static int result_same(const struct setup *t, const struct result *a, const struct result *b)
{
	return memcmp(a->out, b->out, t->outsize * 4) == 0 &&
	       memcmp(a->lse, b->lse, t->rows * t->s.heads * 4) == 0 &&
	       memcmp(a->dq, b->dq, t->qsize * 4) == 0 && memcmp(a->dk, b->dk, t->kvsize * 4) == 0 &&
	       memcmp(a->dv, b->dv, t->kvsize * 4) == 0;
}

/* One query of one head in double: adds to dq, dk, dv; the worst error of out and lse is returned. */
static double reference_row(const struct setup *t, const struct flash_seq *f, size_t h, size_t i,
	const struct result *r, double *dq, double *dk, double *dv)
{
	size_t d = t->s.head_dim, kvh = h / (t->s.heads / t->s.kv_heads), hi = t->s.not_causal ? f->n : i + 1;
	size_t lo = t->s.window && i + 1 > t->s.window ? i + 1 - t->s.window : 0;
	size_t at = (f->row + i) * t->l.q_stride + h * t->l.q_head_stride;
	size_t oat = (f->row + i) * t->l.out_stride + h * t->l.out_head_stride;
	double *p = xcalloc(f->n, sizeof *p), sum = 0, top = -INFINITY, worst = 0, delta = 0;
	for (size_t j = lo; j < hi; j++) {
		size_t kv = (f->row + j) * t->l.kv_stride + kvh * t->l.kv_head_stride;
		for (size_t x = 0; x < d; x++)
			p[j] += (double)t->s.scale * t->q[at + x] * t->k[kv + x];
		top = fmax(top, p[j]);
	}
	for (size_t j = lo; j < hi; j++)
		sum += p[j] = exp(p[j] - top);
	worst = fabs(r->lse[(f->row + i) * t->s.heads + h] - (top + log(sum)));
	for (size_t x = 0; x < d; x++) {
		double o = 0;
		for (size_t j = lo; j < hi; j++)
			o += p[j] / sum * t->v[(f->row + j) * t->l.kv_stride + kvh * t->l.kv_head_stride + x];
		worst = fmax(worst, fabs(o - r->out[oat + x]));
		delta += o * t->dout[oat + x];
	}
	for (size_t j = lo; j < hi; j++) {
		size_t kv = (f->row + j) * t->l.kv_stride + kvh * t->l.kv_head_stride;
		double dp = 0, w = p[j] / sum;
		for (size_t x = 0; x < d; x++)
			dp += (double)t->dout[oat + x] * t->v[kv + x];
		double ds = w * (dp - delta) * t->s.scale;
		for (size_t x = 0; x < d; x++) {
			dq[at + x] += ds * t->k[kv + x];
			dk[kv + x] += ds * t->q[at + x];
			dv[kv + x] += w * t->dout[oat + x];
		}
	}
	free(p);
	return worst;
}

/* |a - b|2 / |b|2 */
static double distance(const float *a, const double *b, size_t n)
{
	double s = 0, size = 1e-30;
	for (size_t i = 0; i < n; i++) {
		s += (a[i] - b[i]) * (a[i] - b[i]);
		size += b[i] * b[i];
	}
	return sqrt(s / size);
}

static const char *arithmetic(const struct setup *t)
{
	return t->s.t == DTYPE_BF16 ? " in bf16" : "";
}

/* In bf16 a factor is off by up to 2^-9, and errors of many terms cancel. */
static void test_values(const char *what, const struct setup *t)
{
	double *dq = xcalloc(t->qsize, sizeof *dq), *dk = xcalloc(t->kvsize, sizeof *dk),
	       *dv = xcalloc(t->kvsize, sizeof *dv), worst = 0, tol = t->s.t == DTYPE_BF16 ? 1e-2 : 1e-6;
	struct result r = run(t, 1);
	for (size_t s = 0; s < t->nseqs; s++)
		for (size_t h = 0; h < t->s.heads; h++)
			for (size_t i = 0; i < t->seqs[s].n; i++)
				worst = fmax(worst, reference_row(t, &t->seqs[s], h, i, &r, dq, dk, dv));
	double eq = distance(r.dq, dq, t->qsize), ek = distance(r.dk, dk, t->kvsize),
	       ev = distance(r.dv, dv, t->kvsize);
	ok(worst < 4 * tol, "%s: %s%s: output and log-sum-exp, error %.2g", kern()->name, what, arithmetic(t),
		worst);
	ok(eq < tol && ek < tol && ev < tol, "%s: %s%s: gradients of q, k, v, relative errors %.2g %.2g %.2g",
		kern()->name, what, arithmetic(t), eq, ek, ev);
	free(dq);
	free(dk);
	free(dv);
	result_free(&r);
}

static void test_threads(const char *what, const struct setup *t)
{
	par_set_threads(1);
	struct result one = run(t, 1);
	int right = 1;
	for (int j = 2; j <= 4; j++) {
		par_set_threads(j);
		struct result more = run(t, 1);
		right &= result_same(t, &one, &more);
		result_free(&more);
	}
	ok(right, "%s: %s%s: the same bits from 1 to 4 threads", kern()->name, what, arithmetic(t));
	result_free(&one);
}

/* Pages for a sequence, full of NaNs: what no position filled must not count. */
static char **pages_new(const struct flash_shape *s, size_t n)
{
	size_t count = n / FLASH_BLOCK + 1, bytes = flash_page_bytes(s);
	char **pages = xcalloc(count + 1, sizeof *pages);
	for (size_t i = 0; i < count; i++) {
		pages[i] = mem_alloc(bytes + 64);
		memset(pages[i], 0xff, bytes + 64);
	}
	return pages;
}

static void pages_free(char **pages, const struct flash_shape *s)
{
	for (size_t i = 0; pages[i]; i++)
		mem_free(pages[i], flash_page_bytes(s) + 64);
	free(pages);
}

/* Queries [at, at + n) of f, behind the positions in pages: the bits of the whole? */
static int piece_same(const struct setup *t, const struct result *whole, const struct flash_seq *f,
	char *const *pages, size_t at, size_t n)
{
	struct flash_seq part = { .n = n, .past = at, .pages = pages, .at = 64 };
	/* what lies behind the last key must not be read */
	size_t kv = (f->row + at) * t->l.kv_stride, bytes = (n * t->l.kv_stride - 1) * dtype_size(t->s.t);
	char *k = xmalloc(bytes), *v = xmalloc(bytes);
	part.k = memcpy(k, in(t, t->k, t->hk, kv), bytes);
	part.v = memcpy(v, in(t, t->v, t->hv, kv), bytes);
	float *out = xcalloc(n * t->l.out_stride, sizeof *out), *lse = xcalloc(n * t->s.heads, sizeof *lse);
	uint16_t *half = xcalloc(n * t->l.out_stride, sizeof *half);
	flash_forward(&t->s, &t->l, &part, 1, in(t, t->q, t->hq, (f->row + at) * t->l.q_stride),
		t->s.t == DTYPE_BF16 ? (void *)half : out, lse);
	if (t->s.t == DTYPE_BF16)
		kern()->of_bf16(out, half, n * t->l.out_stride);
	free(half);
	free(k);
	free(v);
	int right = memcmp(lse, whole->lse + (f->row + at) * t->s.heads, n * t->s.heads * sizeof *lse) == 0;
	for (size_t i = 0; i < n; i++)
		for (size_t h = 0; h < t->s.heads; h++) {
			size_t o = i * t->l.out_stride + h * t->l.out_head_stride;
			right &= memcmp(out + o, whole->out + (f->row + at) * t->l.out_stride + o,
					 t->s.head_dim * sizeof *out) == 0;
		}
	free(out);
	free(lse);
	return right;
}

/* The first `at` positions in pieces of `step`, then n. */
static int cached_same(const struct setup *t, const struct result *whole, const struct flash_seq *f,
	size_t step, size_t at, size_t n)
{
	char **pages = pages_new(&t->s, f->n);
	int right = 1;
	for (size_t i = 0; i < at; i += step)
		right &= piece_same(t, whole, f, pages, i, least(step, at - i));
	right &= piece_same(t, whole, f, pages, at, n);
	pages_free(pages, &t->s);
	return right;
}

static void test_cached(const char *what, const struct setup *t)
{
	struct result whole = run(t, 0);
	int right = 1;
	for (size_t s = 0; s < t->nseqs; s++)
		for (size_t at = 0; at < t->seqs[s].n; at += 1 + at / 5)
			for (size_t n = 1; at + n <= t->seqs[s].n; n = n * 4 + 1)
				right &= cached_same(
					t, &whole, &t->seqs[s], at % 7 ? at % 90 + 1 : at + 1, at, n);
	ok(right, "%s: %s%s%s: queries with a cached past give the bits of the whole", kern()->name, what,
		arithmetic(t), t->s.kv8 ? ", pages of 8 bits" : "");
	result_free(&whole);
}

static const struct {
	const char *what;
	struct flash_shape s;
	size_t lengths[MAX_SEQS], nseqs;
} cases[] = {
	{ "heads of 64",
		{ .heads = 2, .kv_heads = 2, .head_dim = 64, .scale = 0.125f, .window = 0, .not_causal = 0 },
		{ 130, 1, 65 }, 3 },
	{ "an odd head",
		{ .heads = 2, .kv_heads = 1, .head_dim = 7, .scale = 0.4f, .window = 0, .not_causal = 0 },
		{ 71, 64 }, 2 },
	{ "groups of 3, heads of 48",
		{ .heads = 6, .kv_heads = 2, .head_dim = 48, .scale = 0.15f, .window = 0, .not_causal = 0 },
		{ 5, 150 }, 2 },
	{ "many rows",
		{ .heads = 1, .kv_heads = 1, .head_dim = 16, .scale = 0.25f, .window = 0, .not_causal = 0 },
		{ 300 }, 1 },
	{ "one wide head",
		{ .heads = 1, .kv_heads = 1, .head_dim = 128, .scale = 0.09f, .window = 0, .not_causal = 0 },
		{ 90 }, 1 },
	{ "window of 20",
		{ .heads = 2, .kv_heads = 1, .head_dim = 33, .scale = 0.2f, .window = 20, .not_causal = 0 },
		{ 200, 19 }, 2 },
	{ "window of 64",
		{ .heads = 1, .kv_heads = 1, .head_dim = 32, .scale = 0.2f, .window = 64, .not_causal = 0 },
		{ 260 }, 1 },
	{ "both directions",
		{ .heads = 2, .kv_heads = 2, .head_dim = 32, .scale = 0.2f, .window = 0, .not_causal = 1 },
		{ 77, 64 }, 2 },
};

static void test_extremes(void)
{
	struct flash_shape s = { .heads = 1, .kv_heads = 1, .head_dim = 8, .scale = 1 };
	size_t n = 70;
	struct setup t = setup_new(s, &n, 1);
	for (size_t i = 0; i < t.qsize; i++)
		t.q[i] *= 1e4f;
	struct result r = run(&t, 1);
	int finite = 1;
	for (size_t i = 0; i < n; i++)
		for (size_t x = 0; x < 8; x++)
			finite &= isfinite(r.out[i * t.l.out_stride + x]) &&
				  isfinite(r.dq[i * t.l.q_stride + x]);
	ok(finite, "%s: scores of tens of thousands give finite numbers", kern()->name);
	result_free(&r);
	t.k[10 * t.l.kv_stride] = NAN;
	r = run(&t, 0);
	ok(isfinite(r.out[0]) && isnan(r.out[10 * t.l.out_stride]) && isnan(r.out[69 * t.l.out_stride]),
		"%s: NaN in a key reaches the queries that see it, and shows", kern()->name);
	result_free(&r);
	setup_free(&t);
}

int main(void)
{
	amx_emu_begin();
	rng_init(&rng, 3, 0);
	for (size_t i = 0; kern_table[i]; i++) {
		if (kern_select(kern_table[i]->name) < 0) {
			skip("%s: this machine cannot run it", kern_table[i]->name);
			continue;
		}
		for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
			struct setup t = setup_new(cases[c].s, cases[c].lengths, cases[c].nseqs);
			for (int half = 0; half < 2; half++) {
				t.s.t = half ? DTYPE_BF16 : DTYPE_F32;
				test_values(cases[c].what, &t);
				test_threads(cases[c].what, &t);
				if (!t.s.not_causal)
					test_cached(cases[c].what, &t);
			}
			setup_free(&t);
			struct flash_shape s = cases[c].s;
			s.kv8 = 1;
			t = setup_new(s, cases[c].lengths, cases[c].nseqs);
			for (int half = 0; half < 2 && !s.not_causal; half++) {
				t.s.t = half ? DTYPE_BF16 : DTYPE_F32;
				test_cached(cases[c].what, &t);
			}
			setup_free(&t);
		}
		test_extremes();
	}
	flash_release();
	return tap_end();
}
