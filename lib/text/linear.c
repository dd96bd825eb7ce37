#include "text/linear.h"
#include "base/cur.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* --- features --- */

/* An n-gram is a sequence of word hashes; its length takes part, so that a pair is no word. */
static inline uint32_t bucket_of(uint64_t gram, uint64_t n, uint32_t buckets)
{
	return (uint32_t)((mix64(gram + n) >> 32) * buckets >> 32);
}

size_t linear_features(const struct linear_shape *s, const struct words *w, uint32_t **out, size_t *cap)
{
	size_t n = 0;
	GROW(*out, *cap, mul_size(w->n, s->ngram));
	uint32_t *f = *out;
	for (size_t i = 0; i < w->n; i++) {
		uint64_t gram = 0;
		size_t longest = w->n - i < s->ngram ? w->n - i : s->ngram;
		for (size_t k = 0; k < longest; k++) {
			gram = (gram + w->w[i + k].hash) * UINT64_C(0xd6e8feb86659fd93);
			f[n++] = bucket_of(gram, k, s->buckets);
		}
	}
	return n;
}

/* --- life --- */

struct linear *linear_new(struct linear_shape s, const struct str *label, size_t labels)
{
	struct linear *m = xcalloc(1, sizeof *m);
	m->shape = s;
	m->labels = labels;
	m->cols = labels == 2 ? 1 : labels;
	m->label = xcalloc(labels, sizeof *m->label);
	for (size_t i = 0; i < labels; i++)
		m->label[i] = (struct str){ xstrndup(label[i].p, label[i].n), label[i].n };
	m->about = xstrdup("{}");
	m->bias = xcalloc(m->cols, sizeof *m->bias);
	m->row = mem_alloc(mul_size(s.buckets, sizeof *m->row));
	return m;
}

void linear_free(struct linear *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->labels; i++)
		free((char *)(uintptr_t)m->label[i].p);
	free(m->label);
	free(m->about);
	free(m->bias);
	mem_free(m->row, m->shape.buckets * sizeof *m->row);
	if (m->weight)
		mem_free(m->weight, m->rows * m->cols * sizeof *m->weight);
	free(m);
}

/* --- file --- */

static const uint8_t MAGIC[8] = { 0x89, 'Q', 'L', 'C', '\r', '\n', 0x1a, '\n' };
#define VERSION 1
#define MAX_LABEL 4096

static void add_f32(struct buf *out, float f)
{
	uint32_t bits;
	memcpy(&bits, &f, sizeof bits);
	buf_add_u32(out, bits);
}

void linear_write(const struct linear *m, struct buf *out)
{
	size_t start = out->n;
	buf_add(out, MAGIC, sizeof MAGIC);
	buf_add_u32(out, VERSION);
	buf_add_u32(out, m->shape.words);
	buf_add_u32(out, m->shape.ngram);
	buf_add_u32(out, m->shape.buckets);
	buf_add_u32(out, (uint32_t)m->labels);
	buf_add_u32(out, (uint32_t)m->rows);
	buf_add_u32(out, (uint32_t)strlen(m->about));
	buf_adds(out, m->about);
	for (size_t i = 0; i < m->labels; i++) {
		buf_add_u32(out, (uint32_t)m->label[i].n);
		buf_add(out, m->label[i].p, m->label[i].n);
	}
	for (size_t i = 0; i < m->cols; i++)
		add_f32(out, m->bias[i]);
	for (size_t i = 0; i < m->shape.buckets; i += 8) {
		int bits = 0;
		for (size_t k = 0; k < 8 && i + k < m->shape.buckets; k++)
			bits |= (m->row[i + k] != 0) << k;
		buf_addc(out, bits);
	}
	/* In the order of buckets, which need not be that of rows. */
	for (size_t i = 0; i < m->shape.buckets; i++)
		for (size_t c = 0; m->row[i] && c < m->cols; c++)
			add_f32(out, m->weight[(m->row[i] - 1) * m->cols + c]);
	buf_add_u64(out, hash64(out->p + start, out->n - start, 0));
}

static int read_floats(struct cur *c, float *v, size_t n)
{
	int finite = 1;
	for (size_t i = 0; i < n; i++) {
		v[i] = cur_f32(c);
		finite &= isfinite(v[i]) != 0;
	}
	return finite ? 0 : -1;
}

static int read_labels(struct cur *c, struct str *label, size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = c->at;
		label[i].n = cur_u32(c);
		if (c->failed || label[i].n == 0 || label[i].n > MAX_LABEL)
			return err_set(e, "byte %zu: length of label %zu", at, i);
		label[i].p = cur_bytes(c, label[i].n);
		if (!label[i].p)
			return err_set(e, "byte %zu: the file ends early", at);
		size_t shorter = i && label[i - 1].n < label[i].n ? label[i - 1].n : label[i].n;
		int order = i ? memcmp(label[i - 1].p, label[i].p, shorter) : -1;
		if (order > 0 || (order == 0 && label[i - 1].n >= label[i].n))
			return err_set(e, "byte %zu: labels are out of order", at);
	}
	return 0;
}

/* Which buckets have rows. */
static int read_rows(struct linear *m, struct cur *c, struct err *e)
{
	size_t at = c->at, n = ((size_t)m->shape.buckets + 7) / 8, rows = 0;
	const uint8_t *bits = cur_bytes(c, n);
	if (!bits)
		return err_set(e, "byte %zu: the file ends early", at);
	for (size_t i = 0; i < n * 8; i++) {
		if (!(bits[i / 8] >> i % 8 & 1))
			continue;
		if (i >= m->shape.buckets)
			return err_set(e, "byte %zu: more buckets than there are", at + i / 8);
		m->row[i] = (uint32_t)++rows;
	}
	return rows == m->rows ? 0
			       : err_set(e, "byte %zu: %zu rows are marked, %zu declared", at, rows, m->rows);
}

/* The sizes of everything follow from the first 36 bytes and the labels: checked before anything is
 * allocated. */
static struct linear *parse_body(struct cur *c, struct err *e)
{
	struct linear_shape s;
	uint32_t words = cur_u32(c);
	s.words = words ? WORDS_SPACE : WORDS_PUNCT;
	s.ngram = cur_u32(c);
	s.buckets = cur_u32(c);
	size_t labels = cur_u32(c), rows = cur_u32(c), about_n = cur_u32(c);
	const char *about = cur_bytes(c, about_n);
	if (c->failed)
		return err_set(e, "byte %zu: the file ends early", c->failed_at), NULL;
	if (words > 1 || s.ngram < 1 || s.ngram > LINEAR_MAX_NGRAM || s.buckets < 1 ||
		s.buckets > LINEAR_MAX_BUCKETS || labels < 2 || labels > LINEAR_MAX_LABELS ||
		rows > s.buckets)
		return err_set(e, "byte 12: sizes that no classifier has"), NULL;
	if (cur_left(c) / 5 < labels || cur_left(c) / 8 < s.buckets / 64)
		return err_set(e, "byte %zu: the file ends early", c->n), NULL;
	struct str *label = xcalloc(labels, sizeof *label);
	struct linear *m = NULL;
	if (read_labels(c, label, labels, e) < 0)
		goto done;
	size_t cols = labels == 2 ? 1 : labels, bits = ((size_t)s.buckets + 7) / 8;
	/* All of these are below 2^32 or bounded by what is left, so the products fit. */
	if (cur_left(c) < bits || cur_left(c) - bits != (rows + 1) * cols * sizeof(float)) {
		err_set(e, "byte %zu: %zu bytes are left where the weights of %zu rows belong", c->at,
			cur_left(c), rows);
		goto done;
	}
	m = linear_new(s, label, labels);
	free(m->about);
	m->about = xstrndup(about ? about : "", about_n);
	m->rows = rows;
	m->weight = mem_alloc(rows * cols * sizeof *m->weight);
	if (read_floats(c, m->bias, cols) < 0) {
		err_set(e, "a bias is no number");
	} else if (read_rows(m, c, e) == 0) {
		if (read_floats(c, m->weight, rows * cols) == 0)
			goto done;
		err_set(e, "a weight is no number");
	}
	linear_free(m);
	m = NULL;
done:
	free(label);
	return m;
}

struct linear *linear_parse(const void *p, size_t n, struct err *e)
{
	struct cur c;
	if (n < sizeof MAGIC || memcmp(p, MAGIC, sizeof MAGIC) != 0) {
		err_set(e, "byte 0: not a classifier (.qlc)");
		return NULL;
	}
	if (n < 44) {
		err_set(e, "byte %zu: the file ends early", n);
		return NULL;
	}
	cur_init(&c, p, n - 8);
	cur_bytes(&c, sizeof MAGIC);
	uint32_t version = cur_u32(&c);
	if (version != VERSION) {
		err_set(e, "byte 8: version %u, this program reads version %d", (unsigned)version, VERSION);
		return NULL;
	}
	struct cur tail;
	cur_init(&tail, (const char *)p + n - 8, 8);
	if (cur_u64(&tail) != hash64(p, n - 8, 0)) {
		err_set(e, "byte %zu: damaged or cut short (checksum)", n - 8);
		return NULL;
	}
	return parse_body(&c, e);
}

struct linear *linear_load(const char *path, struct err *e)
{
	struct buf b = { 0 };
	struct linear *m = NULL;
	if (file_read(path, &b, (size_t)1 << 40, e) == 0) {
		m = linear_parse(b.p, b.n, e);
		if (!m)
			err_prefix(e, "%s", path);
	}
	buf_release(&b);
	return m;
}

/* --- scores --- */

void linear_scratch_release(struct linear_scratch *s)
{
	free(s->features);
	free(s->sum);
	*s = (struct linear_scratch){ 0 };
}

static size_t softmax(const double *sum, size_t n, float *score)
{
	size_t best = 0;
	double total = 0;
	for (size_t c = 1; c < n; c++)
		if (sum[c] > sum[best])
			best = c;
	for (size_t c = 0; c < n; c++)
		total += exp(sum[c] - sum[best]);
	for (size_t c = 0; c < n; c++)
		score[c] = (float)(exp(sum[c] - sum[best]) / total);
	return best;
}

size_t linear_score(
	const struct linear *m, const uint32_t *feature, size_t n, struct linear_scratch *s, float *score)
{
	size_t used = 0, cols = m->cols;
	if (!s->sum)
		s->sum = xcalloc(cols, sizeof *s->sum);
	memset(s->sum, 0, cols * sizeof *s->sum);
	for (size_t i = 0; i < n; i++) {
		uint32_t r = m->row[feature[i]];
		if (!r)
			continue;
		used++;
		const float *w = m->weight + (size_t)(r - 1) * cols;
		for (size_t c = 0; c < cols; c++)
			s->sum[c] += (double)w[c];
	}
	double scale = used ? 1 / sqrt((double)used) : 0;
	for (size_t c = 0; c < cols; c++)
		s->sum[c] = s->sum[c] * scale + (double)m->bias[c];
	if (cols > 1)
		return softmax(s->sum, cols, score);
	double p = 1 / (1 + exp(-s->sum[0]));
	score[0] = (float)(1 - p);
	score[1] = (float)p;
	return p > 0.5;
}

size_t linear_judge(const struct linear *m, const struct words *w, struct linear_scratch *s, float *score)
{
	size_t n = linear_features(&m->shape, w, &s->features, &s->cap);
	return linear_score(m, s->features, n, s, score);
}
