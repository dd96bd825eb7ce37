#include "train/optim.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <stdlib.h>

/* Values that one thread updates at a time: enough to be worth it, few enough to share a small tensor out. */
#define CHUNK ((size_t)32 << 10)

static const struct optim_row *const table[] = { &optim_adamw, &optim_muon };

static size_t count_states(const struct optim_row *row, const struct model *m, size_t *values)
{
	size_t n = 0;
	*values = 0;
	for (size_t p = 0; p < m->nparams; p++) {
		for (const char *const *k = row->kinds(&m->params[p]); *k; k++) {
			n++;
			*values = add_size(*values, m->params[p].count);
		}
	}
	return n;
}

static void split_chunks(struct optim *o)
{
	size_t cap = 0;
	for (size_t p = 0; p < o->m->nparams; p++) {
		const struct param *q = &o->m->params[p];
		if (!o->row->adamw(q))
			continue;
		for (size_t at = 0; at < q->count; at += CHUNK) {
			GROW(o->chunks, cap, o->nchunks + 1);
			o->chunks[o->nchunks++] =
				(struct optim_chunk){ p, at, q->count - at < CHUNK ? q->count - at : CHUNK };
		}
	}
}

struct optim *optim_new(const struct optim_config *c, struct model *m)
{
	struct optim *o = xcalloc(1, sizeof *o);
	o->c = *c;
	o->m = m;
	o->row = table[c->kind];
	o->nstates = count_states(o->row, m, &o->memory_count);
	o->states = xcalloc(o->nstates + 1, sizeof *o->states);
	o->first = xcalloc(m->nparams + 1, sizeof *o->first);
	o->memory = mem_alloc(mul_size(o->memory_count, sizeof(float)));
	float *v = o->memory;
	size_t n = 0;
	for (size_t p = 0; p < m->nparams; p++) {
		o->first[p] = n;
		for (const char *const *k = o->row->kinds(&m->params[p]); *k; k++) {
			o->states[n++] = (struct optim_state){ *k, p, v };
			v += m->params[p].count;
		}
	}
	split_chunks(o);
	if (o->row->open)
		o->row->open(o);
	return o;
}

void optim_free(struct optim *o)
{
	if (!o)
		return;
	if (o->row->close)
		o->row->close(o);
	mem_free(o->memory, o->memory_count * sizeof(float));
	free(o->states);
	free(o->first);
	free(o->chunks);
	free(o);
}

void optim_step(struct optim *o, double lr, float gscale)
{
	o->updates++;
	o->row->step(o, lr, gscale);
	o->m->version++;
}

size_t optim_bytes(const struct optim_config *c, const struct model *m)
{
	size_t values;
	count_states(table[c->kind], m, &values);
	return mul_size(values, sizeof(float));
}

double sum_squares(const float *x, size_t n)
{
	enum { SLICES = 256, BLOCK = 4096 };
	double part[SLICES];
	const struct kern *k = kern();
	size_t blocks = (n + BLOCK - 1) / BLOCK, per = (blocks + SLICES - 1) / SLICES;
#pragma omp parallel for schedule(static)
	for (int s = 0; s < SLICES; s++) {
		part[s] = 0;
		for (size_t b = (size_t)s * per; b < (size_t)(s + 1) * per && b < blocks; b++) {
			const float *y = x + b * BLOCK;
			part[s] += (double)k->dot(y, y, n - b * BLOCK < BLOCK ? n - b * BLOCK : BLOCK);
		}
	}
	double sum = 0;
	for (int s = 0; s < SLICES; s++)
		sum += part[s];
	return sum;
}
