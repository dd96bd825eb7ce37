#include "train/optim.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/kern.h"

#include <stdlib.h>
#include <string.h>

/* Values that one thread updates at a time: enough to be worth it, few enough to share a small tensor out. */
#define CHUNK ((size_t)32 << 10)

/* The streams of rng.h that belong to the rounding of states. */
#define ROUNDING_STREAM UINT64_C(0x726f756e64000000) /* "round" */

static const struct optim_row *const table[] = { &optim_adamw, &optim_muon };

/* Tensors with fewer values stay f32: they take no memory, and norms and biases are sensitive. */
#define NARROW_FROM 4096

static enum moment_type type_of(const struct optim_config *c, const struct param *p)
{
	return p->count < NARROW_FROM || p->ndim < 2 ? MOMENT_F32 : (enum moment_type)c->moments;
}

static size_t count_states(const struct optim_config *c, const struct model *m, size_t *bytes)
{
	size_t n = 0;
	*bytes = 0;
	for (size_t p = 0; p < m->nparams; p++) {
		for (const char *const *k = table[c->kind]->kinds(&m->params[p]); *k; k++) {
			n++;
			*bytes =
				add_size(*bytes, moment_bytes(type_of(c, &m->params[p]), m->params[p].count));
		}
	}
	return n;
}

static size_t scratch_bytes(const struct optim_config *c, const struct model *m)
{
	return table[c->kind]->scratch ? table[c->kind]->scratch(c, m) : 0;
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
	o->nstates = count_states(c, m, &o->memory_bytes);
	o->states = xcalloc(o->nstates + 1, sizeof *o->states);
	o->first = xcalloc(m->nparams + 1, sizeof *o->first);
	o->memory = mem_alloc(o->memory_bytes);
	char *at = o->memory;
	size_t n = 0;
	for (size_t p = 0; p < m->nparams; p++) {
		enum moment_type t = type_of(c, &m->params[p]);
		o->first[p] = n;
		for (const char *const *k = o->row->kinds(&m->params[p]); *k; k++) {
			o->states[n] = (struct optim_state){ .kind = *k, .param = p };
			moment_place(
				&o->states[n++].m, t, strcmp(*k, "exp_avg_sq") != 0, m->params[p].count, at);
			at += moment_bytes(t, m->params[p].count);
		}
	}
	split_chunks(o);
	o->scratch_bytes = scratch_bytes(c, m);
	o->scratch = mem_alloc(o->scratch_bytes);
	return o;
}

void optim_free(struct optim *o)
{
	if (!o)
		return;
	mem_free(o->memory, o->memory_bytes);
	mem_free(o->scratch, o->scratch_bytes);
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
	size_t bytes;
	count_states(c, m, &bytes);
	return add_size(bytes, scratch_bytes(c, m));
}

uint64_t optim_key(const struct optim *o, size_t state, size_t at)
{
	return rng_at(o->c.seed, ROUNDING_STREAM + state, o->updates << 32 | at / MOMENT_BLOCK);
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
