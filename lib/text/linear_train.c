#include "base/die.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "base/spill.h"
#include "text/linear.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

struct example {
	uint64_t at; /* of its features in the spill */
	uint32_t n, label;
};

struct linear_trainer {
	struct linear_config c;
	struct spill *spill;
	struct example *docs;
	size_t ndocs, cap_docs;
	struct smap labels;
	uint32_t *count; /* [buckets] occurrences */
	uint64_t features;
	struct fingerprint *data;
};

struct linear_trainer *linear_trainer_new(const struct linear_config *c, const char *temp, struct err *e)
{
	struct spill *spill = spill_new(temp, e);
	if (!spill)
		return NULL;
	struct linear_trainer *t = xcalloc(1, sizeof *t);
	t->c = *c;
	t->spill = spill;
	t->count = mem_alloc(mul_size(c->shape.buckets, sizeof *t->count));
	t->data = fingerprint_new();
	return t;
}

void linear_trainer_free(struct linear_trainer *t)
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

int linear_trainer_add(
	struct linear_trainer *t, struct str label, const uint32_t *feature, size_t n, struct err *e)
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
static struct linear *start_model(struct linear_trainer *t)
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

/* Documents on their way from the temporary file to the learner. */
#define CHUNK 64
struct chunk {
	const struct example *doc[CHUNK];
	size_t n;
	uint32_t *feature[CHUNK]; /* as they were added; then the rows of those that have one, */
	size_t cap[CHUNK], used[CHUNK];
};

struct learner {
	struct linear_trainer *t;
	struct linear *m;
	float *pair; /* [rows][2][cols] weights and sums of squared gradients: side by side for the cache */
	float *bias; /* [2][cols] */
	double *sum; /* [cols] */
	uint32_t *order, epoch;
	struct rng rng;
	size_t at; /* in the order, of the next chunk */
	uint64_t done, total, right;
	double loss;
	struct chunk *idle[64];
	size_t nidle;
	pthread_mutex_t lock; /* guards idle */
	void (*tick)(void *ctx, uint64_t done, uint64_t total);
	void *tick_ctx;
	int failed;
	struct err *e;
};

static void give_chunk(void *ctx, void *item)
{
	struct learner *l = ctx;
	struct chunk *c = item;
	pthread_mutex_lock(&l->lock);
	if (l->nidle < sizeof l->idle / sizeof *l->idle) {
		l->idle[l->nidle++] = c;
		c = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	if (!c)
		return;
	for (size_t i = 0; i < CHUNK; i++)
		free(c->feature[i]);
	free(c);
}

static struct chunk *take_chunk(struct learner *l)
{
	struct chunk *c = NULL;
	pthread_mutex_lock(&l->lock);
	if (l->nidle)
		c = l->idle[--l->nidle];
	pthread_mutex_unlock(&l->lock);
	return c ? c : xcalloc(1, sizeof *c);
}

static void *read_chunk(void *ctx)
{
	struct learner *l = ctx;
	size_t n = l->t->ndocs;
	if (l->failed)
		return NULL;
	if (l->at == n) {
		/* Every thread of the pipeline comes here at the end. */
		if (l->epoch + 1 >= l->t->c.epochs)
			return NULL;
		l->epoch++;
		rng_shuffle(&l->rng, l->order, n);
		l->at = 0;
	}
	struct chunk *c = take_chunk(l);
	for (c->n = 0; c->n < CHUNK && l->at < n; c->n++) {
		const struct example *x = c->doc[c->n] = &l->t->docs[l->order[l->at++]];
		GROW(c->feature[c->n], c->cap[c->n], x->n);
		if (x->n && spill_get(l->t->spill, x->at, c->feature[c->n], x->n * sizeof **c->feature,
				    l->e) < 0) {
			l->failed = 1;
			give_chunk(l, c);
			return NULL;
		}
	}
	return c;
}

/* Looks the rows up: misses of the cache that the learner is spared. */
static void map_chunk(void *ctx, void *item, int thread)
{
	const struct learner *l = ctx;
	struct chunk *c = item;
	(void)thread;
	for (size_t i = 0; i < c->n; i++) {
		uint32_t *f = c->feature[i];
		size_t used = 0;
		for (size_t k = 0; k < c->doc[i]->n; k++) {
			uint32_t r = l->m->row[f[k]];
			if (r)
				f[used++] = r - 1;
		}
		c->used[i] = used;
	}
}

/* Turns the sums into the derivatives of the loss by them: probability less 1 at the label; returns the loss.
 */
static double derive(double *sum, size_t cols, uint32_t label, int *right)
{
	if (cols == 1) {
		double z = label ? sum[0] : -sum[0], p = 1 / (1 + exp(-z));
		*right = z > 0;
		sum[0] = label ? p - 1 : 1 - p;
		return z > -30 ? log1p(exp(-z)) : -z;
	}
	double total = 0, own = sum[label];
	size_t best = 0;
	for (size_t c = 1; c < cols; c++)
		if (sum[c] > sum[best])
			best = c;
	double top = sum[best];
	for (size_t c = 0; c < cols; c++)
		total += exp(sum[c] - top);
	for (size_t c = 0; c < cols; c++)
		sum[c] = exp(sum[c] - top) / total - (c == label);
	*right = best == label;
	return log(total) + top - own;
}

/* AdaGrad (Duchi et al. 2011): every weight has its own step, the longer the rarer its feature. pair:
 * weights, then sums of squares. */
static inline void step(float *pair, size_t cols, const double *gradient, float scale, float lr)
{
	for (size_t c = 0; c < cols; c++) {
		float g = (float)gradient[c] * scale;
		pair[cols + c] += g * g;
		pair[c] -= lr * g / sqrtf(pair[cols + c] + 1e-12f);
	}
}

static void learn_doc(struct learner *l, const uint32_t *row, size_t n, uint32_t label, float lr)
{
	size_t cols = l->m->cols;
	double *sum = l->sum, scale = n ? 1 / sqrt((double)n) : 0;
	int right;
	memset(sum, 0, cols * sizeof *sum);
	for (size_t k = 0; k < n; k++) {
		const float *w = l->pair + (size_t)row[k] * 2 * cols;
		for (size_t c = 0; c < cols; c++)
			sum[c] += (double)w[c];
	}
	for (size_t c = 0; c < cols; c++)
		sum[c] = sum[c] * scale + (double)l->bias[c];
	l->loss += derive(sum, cols, label, &right);
	l->right += (uint64_t)right;
	for (size_t k = 0; k < n; k++)
		step(l->pair + (size_t)row[k] * 2 * cols, cols, sum, (float)scale, lr);
	step(l->bias, cols, sum, 1, lr);
}

/* One after the other, in order: the result depends on no thread. */
static int learn_chunk(void *ctx, void *item)
{
	struct learner *l = ctx;
	struct chunk *c = item;
	for (size_t i = 0; i < c->n; i++) {
		/* The report is of the last pass. */
		if (l->done % l->t->ndocs == 0) {
			l->loss = 0;
			l->right = 0;
		}
		float lr = (float)(l->t->c.lr * (1 - (double)l->done / (double)l->total));
		learn_doc(l, c->feature[i], c->used[i], c->doc[i]->label, lr);
		l->done++;
	}
	give_chunk(l, c);
	if (l->tick)
		l->tick(l->tick_ctx, l->done, l->total);
	return 0;
}

static int learn(struct learner *l, int threads)
{
	static const struct pipeline p = { read_chunk, map_chunk, learn_chunk, give_chunk };
	size_t n = l->t->ndocs;
	l->total = (uint64_t)n * l->t->c.epochs;
	l->order = xcalloc(n, sizeof *l->order);
	for (size_t i = 0; i < n; i++)
		l->order[i] = (uint32_t)i;
	rng_init(&l->rng, l->t->c.seed, 0);
	rng_shuffle(&l->rng, l->order, n);
	pthread_mutex_init(&l->lock, NULL);
	pipeline_run(&p, l, threads);
	for (size_t i = 0; i < l->nidle; i++) {
		for (size_t k = 0; k < CHUNK; k++)
			free(l->idle[i]->feature[k]);
		free(l->idle[i]);
	}
	pthread_mutex_destroy(&l->lock);
	free(l->order);
	return l->failed ? -1 : 0;
}

struct linear *linear_trainer_run(struct linear_trainer *t, int threads,
	void (*tick)(void *, uint64_t, uint64_t), void *ctx, struct linear_report *report, struct err *e)
{
	if (t->labels.n < 2) {
		err_set(e, t->ndocs ? "all documents have one label: nothing to tell apart"
				    : "no documents to learn from");
		return NULL;
	}
	struct linear *m = start_model(t);
	size_t cols = m->cols, pairs = mul_size(mul_size(m->rows, 2 * cols), sizeof(float));
	struct learner l = { .t = t, .m = m, .tick = tick, .tick_ctx = ctx, .e = e };
	l.pair = mem_alloc(pairs);
	l.bias = xcalloc(2 * cols, sizeof *l.bias);
	l.sum = xcalloc(cols, sizeof *l.sum);
	*report = (struct linear_report){ .docs = t->ndocs, .features = t->features };
	hash128_hex(fingerprint_end(t->data), report->data);
	t->data = NULL;
	int rc = learn(&l, threads);
	report->loss = l.loss / (double)t->ndocs;
	report->accuracy = (double)l.right / (double)t->ndocs;
	memcpy(m->bias, l.bias, cols * sizeof *m->bias);
	for (size_t r = 0; r < m->rows; r++)
		memcpy(m->weight + r * cols, l.pair + r * 2 * cols, cols * sizeof *m->weight);
	mem_free(l.pair, pairs);
	free(l.bias);
	free(l.sum);
	if (rc == 0)
		return m;
	linear_free(m);
	return NULL;
}
