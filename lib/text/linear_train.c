#include "base/die.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/spill.h"
#include "text/linear.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

/* Documents whose gradients are taken at the same weights. Fixed: a number of threads must not change the
 * result. */
#define BATCH 16

struct example {
	uint64_t at; /* of its features in the spill */
	uint32_t n, label;
};

struct trainer {
	struct linear_config c;
	struct spill *spill;
	struct example *docs;
	size_t ndocs, cap_docs;
	struct smap labels;
	uint32_t *count; /* [buckets] occurrences */
	uint64_t features;
	struct fingerprint *data;
};

struct trainer *trainer_new(const struct linear_config *c, const char *temp, struct err *e)
{
	struct spill *spill = spill_new(temp, e);
	if (!spill)
		return NULL;
	struct trainer *t = xcalloc(1, sizeof *t);
	t->c = *c;
	t->spill = spill;
	t->count = mem_alloc(mul_size(c->shape.buckets, sizeof *t->count));
	t->data = fingerprint_new();
	return t;
}

void trainer_free(struct trainer *t)
{
	if (!t)
		return;
	spill_free(t->spill);
	free(t->docs);
	smap_release(&t->labels);
	mem_free(t->count, t->c.shape.buckets * sizeof *t->count);
	if (t->data)
		fingerprint_free(t->data);
	free(t);
}

int trainer_add(struct trainer *t, struct str label, const uint32_t *feature, size_t n, struct err *e)
{
	if (t->ndocs >= UINT32_MAX || n > UINT32_MAX)
		return err_set(e, "more training data than a classifier can take");
	uint64_t *l = smap_put(&t->labels, label.p, label.n, t->labels.n, NULL);
	if (t->labels.n > LINEAR_MAX_LABELS)
		return err_set(e, "more than %d labels", LINEAR_MAX_LABELS);
	GROW(t->docs, t->cap_docs, t->ndocs + 1);
	struct example *x = &t->docs[t->ndocs++];
	*x = (struct example){ .n = (uint32_t)n, .label = (uint32_t)*l };
	if (spill_add(t->spill, feature, n * sizeof *feature, &x->at, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		t->count[feature[i]] += t->count[feature[i]] < UINT32_MAX;
	t->features += n;
	fingerprint_add(t->data, label.p, label.n);
	fingerprint_add(t->data, feature, n * sizeof *feature);
	return 0;
}

static int by_bytes(const void *pa, const void *pb)
{
	const struct smap_entry *a = *(const struct smap_entry *const *)pa,
				*b = *(const struct smap_entry *const *)pb;
	size_t n = a->key.n < b->key.n ? a->key.n : b->key.n;
	int c = memcmp(a->key.p, b->key.p, n);
	return c ? c : (a->key.n > b->key.n) - (a->key.n < b->key.n);
}

/* The empty classifier: labels in order, rows for the buckets seen often enough. Documents get their label's
 * place. */
static struct linear *start_model(struct trainer *t)
{
	size_t n = t->labels.n;
	const struct smap_entry **sorted = xcalloc(n, sizeof *sorted);
	struct str *label = xcalloc(n, sizeof *label);
	uint32_t *place = xcalloc(n, sizeof *place);
	for (size_t i = 0; i < n; i++)
		sorted[i] = &t->labels.entries[i];
	qsort(sorted, n, sizeof *sorted, by_bytes);
	for (size_t i = 0; i < n; i++) {
		label[i] = sorted[i]->key;
		place[sorted[i]->value] = (uint32_t)i;
	}
	for (size_t i = 0; i < t->ndocs; i++)
		t->docs[i].label = place[t->docs[i].label];
	struct linear *m = linear_new(t->c.shape, label, n);
	for (size_t i = 0; i < t->c.shape.buckets; i++)
		if (t->count[i] >= t->c.min_count && t->count[i] > 0)
			m->row[i] = (uint32_t)++m->rows;
	m->weight = mem_alloc(mul_size(mul_size(m->rows, m->cols), sizeof *m->weight));
	free(sorted);
	free(label);
	free(place);
	return m;
}

/* One batch: its documents' features, and the derivative of the loss by each of their sums. */
struct batch {
	const struct example *doc[BATCH];
	uint32_t *feature[BATCH];
	size_t cap[BATCH], n[BATCH]; /* features that have rows, as rows */
	double scale[BATCH];
	float *gradient[BATCH]; /* [cols], times scale */
	size_t docs;
};

static int load_batch(struct trainer *t, const struct linear *m, struct batch *b, struct err *e)
{
	for (size_t i = 0; i < b->docs; i++) {
		const struct example *x = b->doc[i];
		GROW(b->feature[i], b->cap[i], x->n);
		if (x->n && spill_get(t->spill, x->at, b->feature[i], x->n * sizeof **b->feature, e) < 0)
			return -1;
		size_t n = 0;
		for (size_t k = 0; k < x->n; k++) {
			uint32_t r = m->row[b->feature[i][k]];
			if (r)
				b->feature[i][n++] = r - 1;
		}
		b->n[i] = n;
		b->scale[i] = n ? 1 / sqrt((double)n) : 0;
	}
	return 0;
}

/* Probabilities of document i of the batch into its gradient, less 1 at its label; its loss. */
static double forward(const struct linear *m, struct batch *b, size_t i, double *sum, int *right)
{
	size_t cols = m->cols;
	uint32_t label = b->doc[i]->label;
	for (size_t c = 0; c < cols; c++)
		sum[c] = 0;
	for (size_t k = 0; k < b->n[i]; k++) {
		const float *w = m->weight + (size_t)b->feature[i][k] * cols;
		for (size_t c = 0; c < cols; c++)
			sum[c] += (double)w[c];
	}
	for (size_t c = 0; c < cols; c++)
		sum[c] = sum[c] * b->scale[i] + (double)m->bias[c];
	if (cols == 1) {
		double z = label ? sum[0] : -sum[0], p = 1 / (1 + exp(-z));
		*right = z > 0;
		b->gradient[i][0] = (float)(label ? p - 1 : 1 - p);
		return z > -30 ? log1p(exp(-z)) : -z;
	}
	double top = sum[0], total = 0;
	size_t best = 0;
	for (size_t c = 1; c < cols; c++) {
		if (sum[c] > top) {
			top = sum[c];
			best = c;
		}
	}
	for (size_t c = 0; c < cols; c++)
		total += exp(sum[c] - top);
	for (size_t c = 0; c < cols; c++)
		b->gradient[i][c] = (float)(exp(sum[c] - top) / total - (c == label));
	*right = best == label;
	return log(total) + top - sum[label];
}

/* AdaGrad (Duchi et al. 2011): every weight has its own step, the longer the rarer its feature. */
static inline void step(float *w, float *squares, float g, float lr)
{
	*squares += g * g;
	*w -= lr * g / sqrtf(*squares + 1e-12f);
}

/* Applies the batch to the rows [first, end), document after document: any split of the rows gives the same
 * bits. */
static void update(
	struct linear *m, float *squares, const struct batch *b, float lr, size_t first, size_t end)
{
	size_t cols = m->cols;
	for (size_t i = 0; i < b->docs; i++) {
		float scale = (float)b->scale[i];
		for (size_t k = 0; k < b->n[i]; k++) {
			size_t r = b->feature[i][k];
			if (r < first || r >= end)
				continue;
			for (size_t c = 0; c < cols; c++)
				step(&m->weight[r * cols + c], &squares[r * cols + c],
					b->gradient[i][c] * scale, lr);
		}
	}
}

static void update_bias(struct linear *m, float *squares, const struct batch *b, float lr)
{
	for (size_t i = 0; i < b->docs; i++)
		for (size_t c = 0; c < m->cols; c++)
			step(&m->bias[c], &squares[c], b->gradient[i][c], lr);
}

struct learner {
	struct linear *m;
	float *squares, *bias_squares;
	struct batch b;
	double loss[BATCH];
	int right[BATCH];
};

static void learn_batch(struct learner *l, float lr)
{
	struct linear *m = l->m;
	struct batch *b = &l->b;
#pragma omp parallel
	{
		double *sum = xcalloc(m->cols, sizeof *sum);
#pragma omp for schedule(dynamic)
		for (size_t i = 0; i < b->docs; i++)
			l->loss[i] = forward(m, b, i, sum, &l->right[i]);
		size_t id = (size_t)omp_get_thread_num(), n = (size_t)omp_get_num_threads();
		update(m, l->squares, b, lr, m->rows * id / n, m->rows * (id + 1) / n);
		free(sum);
	}
	update_bias(m, l->bias_squares, b, lr);
}

static int learn(struct trainer *t, struct learner *l, void (*tick)(void *, uint64_t, uint64_t), void *ctx,
	struct linear_report *report, struct err *e)
{
	size_t n = t->ndocs;
	uint64_t total = (uint64_t)n * t->c.epochs, done = 0;
	uint32_t *order = xcalloc(n, sizeof *order);
	struct rng rng;
	int rc = 0;
	rng_init(&rng, t->c.seed, 0);
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (uint32_t epoch = 0; epoch < t->c.epochs && rc == 0; epoch++) {
		double loss = 0;
		uint64_t right = 0;
		rng_shuffle(&rng, order, n);
		for (size_t at = 0; at < n && rc == 0; at += BATCH) {
			l->b.docs = n - at < BATCH ? n - at : BATCH;
			for (size_t i = 0; i < l->b.docs; i++)
				l->b.doc[i] = &t->docs[order[at + i]];
			rc = load_batch(t, l->m, &l->b, e);
			if (rc == 0)
				learn_batch(l, (float)(t->c.lr * (1 - (double)done / (double)total)));
			for (size_t i = 0; i < l->b.docs; i++) {
				loss += l->loss[i];
				right += (uint64_t)l->right[i];
			}
			done += l->b.docs;
			if (tick)
				tick(ctx, done, total);
		}
		report->loss = loss / (double)n;
		report->accuracy = (double)right / (double)n;
	}
	free(order);
	return rc;
}

struct linear *trainer_run(struct trainer *t, void (*tick)(void *, uint64_t, uint64_t), void *ctx,
	struct linear_report *report, struct err *e)
{
	if (t->labels.n < 2) {
		err_set(e, t->ndocs ? "all documents have one label: nothing to tell apart"
				    : "no documents to learn from");
		return NULL;
	}
	struct learner l = { .m = start_model(t) };
	size_t weights = mul_size(mul_size(l.m->rows, l.m->cols), sizeof *l.squares);
	l.squares = mem_alloc(weights);
	l.bias_squares = xcalloc(l.m->cols, sizeof *l.bias_squares);
	for (int i = 0; i < BATCH; i++)
		l.b.gradient[i] = xcalloc(l.m->cols, sizeof **l.b.gradient);
	*report = (struct linear_report){ .docs = t->ndocs, .features = t->features };
	hash128_hex(fingerprint_end(t->data), report->data);
	t->data = NULL;
	int rc = learn(t, &l, tick, ctx, report, e);
	mem_free(l.squares, weights);
	free(l.bias_squares);
	for (int i = 0; i < BATCH; i++) {
		free(l.b.gradient[i]);
		free(l.b.feature[i]);
	}
	if (rc < 0) {
		linear_free(l.m);
		return NULL;
	}
	return l.m;
}
