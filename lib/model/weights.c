#include "model/weights.h"
#include "base/die.h"
#include "base/mem.h"
#include "model/rope.h"
#include "tensor/kern.h"

#include <stdlib.h>
#include <string.h>

static void point(struct model *m)
{
	for (size_t i = 0; i < m->nparams; i++)
		m->params[i].w = m->weights + m->params[i].offset;
}

void model_alloc(struct model *m)
{
	m->weights = mem_alloc(mul_size(m->count, sizeof *m->weights));
	m->resident = 1;
	point(m);
}

void model_alloc_vectors(struct model *m)
{
	m->weights = mem_reserve(mul_size(m->count, sizeof *m->weights));
	m->resident = 0;
	point(m);
}

int weights_stay(const struct model *m)
{
	return !m->config.arch->conv1d && m->net->position == NO_OFFSET;
}

void model_hold(struct model *m, void *p, void (*close)(void *))
{
	GROW(m->held, m->held_cap, m->nheld + 1);
	m->held[m->nheld++] = (struct model_source){ p, close };
}

static size_t columns(const struct param *p)
{
	return p->ndim == 1 ? p->shape[0] : p->shape[1];
}

void param_store(struct param *p, const void *stored, enum quant type)
{
	p->stored = stored;
	p->stored_type = type;
	if (p->ndim == 1)
		param_row(p, 0, 0, p->count, p->w);
}

static const char *stored_at(const struct param *p, size_t row, size_t from)
{
	size_t r = p->pairs ? rope_pair_row(row, p->pairs) : row;
	return (const char *)p->stored + r * quant_bytes(p->stored_type, columns(p)) +
	       quant_bytes(p->stored_type, from);
}

const void *param_stored(const struct param *p, size_t row)
{
	return stored_at(p, row, 0);
}

void param_row(const struct param *p, size_t row, size_t from, size_t n, float *out)
{
	if (p->stored)
		kern()->codes[p->stored_type].to_f32(
			out, stored_at(p, row, from), n / quant_formats[p->stored_type].values);
	else
		memcpy(out, p->w + row * columns(p) + from, n * sizeof *out);
}

void model_want_weights(struct model *m)
{
	if (m->resident)
		return;
	size_t bytes = m->count * sizeof *m->weights;
	float *old = m->weights;
	model_alloc(m);
	for (size_t i = 0; i < m->nparams; i++) {
		struct param *p = &m->params[i];
		size_t rows = !p->stored ? 0 : p->ndim == 1 ? 1 : p->shape[0];
		if (!p->stored)
			memcpy(p->w, old + p->offset, p->count * sizeof *p->w);
#pragma omp parallel for
		for (size_t r = 0; r < rows; r++)
			param_row(p, r, 0, columns(p), p->w + r * columns(p));
		p->stored = NULL;
	}
	mem_free(old, bytes);
	for (size_t i = 0; i < m->nheld; i++)
		m->held[i].close(m->held[i].p);
	m->nheld = 0;
	m->version++;
}

const struct param *param_at(const struct net *n, size_t offset)
{
	size_t i = 0;
	while (n->params[i].offset != offset)
		i++;
	return &n->params[i];
}

enum dtype model_use(struct model *m, int dtype, int weights)
{
	static const enum quant types[] = { QUANT_F32, QUANT_BF16, QUANT_Q8_0, QUANT_Q4_0, QUANT_Q4_K,
		QUANT_Q6_K };
	m->type = weights < 0 ? -1 : (int)types[weights];
	if (weights == 0 || weights == 1)
		dtype = weights;
	return dtype < 0 ? default_compute() : dtype ? DTYPE_BF16 : DTYPE_F32;
}

void model_use_cache(struct model *m, int kv8)
{
	m->kv8 = kv8;
}

/* --- linear maps --- */

static int form_of(enum quant q)
{
	return q == QUANT_Q8_0   ? QFORM_8
	       : q == QUANT_Q4_0 ? QFORM_4
	       : q == QUANT_Q4_K ? QFORM_4M
	       : q == QUANT_Q6_K ? QFORM_6
				 : -1;
}

static int is_number(enum quant q)
{
	return quant_formats[q].values == 1;
}

/* The type that sessions hold a parameter's weights in. */
static enum quant type_of(const struct model *m, const struct param *p, size_t in)
{
	enum quant q = m->type >= 0 ? (enum quant)m->type : p->stored ? p->stored_type : QUANT_F32;
	if (is_number(q) || in % quant_formats[QUANT_Q8_0].values != 0)
		return QUANT_F32;
	/* What has no form of panels, or does not fit the rows, goes into the finest one. */
	return form_of(q) < 0 || in % quant_formats[q].values != 0 ? QUANT_Q8_0 : q;
}

size_t linear_parts(const struct model *m, const struct linear *l, struct linear_part parts[PARTS_MOST])
{
	size_t n = 0, at = 0, numbers = 0;
	ASSERT(l->nparams <= PARTS_MOST);
	for (size_t i = 0; i < l->nparams; i++) {
		const struct param *p = &m->params[l->param + i];
		size_t outs = l->cs == 1 ? p->shape[0] : l->out;
		enum quant q = type_of(m, p, l->in);
		numbers += is_number(q);
		q = is_number(q) ? QUANT_Q8_0 : q;
		if (n && parts[n - 1].type == q)
			parts[n - 1].n += outs;
		else
			parts[n++] = (struct linear_part){ at, outs, q, (enum qform)form_of(q) };
		at += outs;
	}
	return numbers == l->nparams ? 0 : n;
}

int linear_lies(const struct model *m, const struct linear *l)
{
	struct linear_part parts[PARTS_MOST];
	int numbers = linear_parts(m, l, parts) == 0, lies = 1;
	for (size_t i = 0; i < l->nparams; i++) {
		const struct param *p = &m->params[l->param + i];
		lies &= p->stored && (numbers || p->stored_type == type_of(m, p, l->in));
	}
	return lies;
}

/* The parameter of an output, and its row in that. */
static const struct param *row_of(const struct linear_rows *w, size_t *row)
{
	const struct param *p = &w->m->params[w->l->param];
	for (; *row >= p->shape[0]; p++)
		*row -= p->shape[0];
	return p;
}

static void row_numbers(const struct linear_rows *w, size_t row, size_t from, size_t k, float *out)
{
	const struct linear *l = w->l;
	if (l->cs == 1) {
		const struct param *p = row_of(w, &row);
		param_row(p, row, from, k, out);
		return;
	}
	const float *at = w->m->weights + l->w + row * l->rs + from * l->cs;
	for (size_t i = 0; i < k; i++)
		out[i] = at[i * l->cs];
}

const void *linear_numbers(
	const void *ctx, size_t j, size_t n, size_t from, size_t k, void *buf, size_t *pitch)
{
	float *out = buf;
	*pitch = k * sizeof *out;
	for (size_t i = 0; i < n; i++)
		row_numbers(ctx, j + i, from, k, out + i * k);
	return buf;
}

/* Row `row` of a linear map where it is stored in blocks of a type already, NULL elsewhere. */
static const char *blocks_at(const struct linear_rows *w, enum quant q, size_t row, size_t from)
{
	if (w->l->cs != 1)
		return NULL;
	const struct param *p = row_of(w, &row);
	return p->stored && p->stored_type == q ? stored_at(p, row, from) : NULL;
}

const void *linear_blocks(
	const void *ctx, size_t j, size_t n, size_t from, size_t k, void *buf, size_t *pitch)
{
	const struct linear_rows *w = ctx;
	enum quant q = w->part->type;
	size_t bytes = quant_bytes(q, k), first = w->part->at + j, row = first;
	const struct param *p = w->l->cs == 1 ? row_of(w, &row) : NULL;
	const char *lies = blocks_at(w, q, first, from);
	if (lies && !p->pairs && row + n <= p->shape[0] && (uintptr_t)lies % sizeof(uint16_t) == 0) {
		*pitch = quant_bytes(q, w->l->in);
		return lies;
	}
	*pitch = bytes;
	for (size_t i = 0; i < n; i++) {
		char *to = (char *)buf + i * bytes;
		const char *x = blocks_at(w, q, first + i, from);
		if (x) {
			memcpy(to, x, bytes);
		} else {
			float v[ROWS_DEEP];
			row_numbers(w, first + i, from, k, v);
			kern()->codes[q].from_f32(to, v, k / quant_formats[q].values);
		}
	}
	return buf;
}
