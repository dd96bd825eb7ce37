#include "model/model.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/weights.h"
#include "text/tokenizer.h"
#include "text/tokfile.h"

#include <stdlib.h>
#include <string.h>

struct model *model_shell(const struct config *c)
{
	struct model *m = xcalloc(1, sizeof *m);
	ASSERT(c->vocab > 0);
	m->config = *c;
	m->net = net_new(&m->config);
	m->params = m->net->params;
	m->nparams = m->net->nparams;
	m->count = m->net->count;
	m->version = 1;
	m->type = -1;
	return m;
}

struct model *model_new(const struct config *c)
{
	struct model *m = model_shell(c);
	model_alloc(m);
	return m;
}

void model_want_grads(struct model *m)
{
	if (m->grads) {
		memset(m->grads, 0, m->count * sizeof *m->grads);
		return;
	}
	m->grads = mem_alloc(mul_size(m->count, sizeof *m->grads));
	for (size_t i = 0; i < m->nparams; i++)
		m->params[i].g = m->grads + m->params[i].offset;
}

void model_free(struct model *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->nheld; i++)
		m->held[i].close(m->held[i].p);
	free(m->held);
	mem_free(m->weights, m->count * sizeof *m->weights);
	mem_free(m->grads, m->count * sizeof *m->grads);
	net_free(m->net);
	tokenizer_free(m->tokenizer);
	free(m->generation_config);
	free(m->chat_template);
	free(m);
}

struct param *model_param(const struct model *m, const char *name)
{
	for (size_t i = 0; i < m->nparams; i++)
		if (strcmp(m->params[i].name, name) == 0)
			return &m->params[i];
	return NULL;
}

int model_check_stream(const struct model *m, const struct tok_info *info, const char *name, struct err *e)
{
	const struct hash128 *its = &info->fingerprint;
	if (info->vocab > m->config.vocab)
		return err_set(e, "%s: vocabulary of %lu does not fit the model's %zu", name,
			(unsigned long)info->vocab, m->config.vocab);
	if (!m->tokenizer || (its->lo == 0 && its->hi == 0))
		return 0;
	struct hash128 own = tokenizer_fingerprint(m->tokenizer);
	if (its->lo != own.lo || its->hi != own.hi)
		return err_set(e, "%s: made with another tokenizer than the model's", name);
	return 0;
}

/* Values that one thread fills at a time; even. */
#define INIT_PIECE 4096

static void init_normal(const struct param *p, uint64_t seed, size_t from, size_t to)
{
	uint64_t stream = hash64(p->name, strlen(p->name), 0);
	for (size_t i = from; i < to; i += 2) {
		double z[2];
		rng_normals(seed, stream, i / 2, z);
		p->w[i] = (float)(p->std * z[0]);
		if (i + 1 < to)
			p->w[i + 1] = (float)(p->std * z[1]);
	}
}

void model_init(struct model *m, uint64_t seed)
{
	for (size_t k = 0; k < m->nparams; k++) {
		const struct param *p = &m->params[k];
		size_t pieces = (p->count + INIT_PIECE - 1) / INIT_PIECE;
		if (p->init != INIT_NORMAL) {
			for (size_t i = 0; i < p->count; i++)
				p->w[i] = p->init == INIT_ONE;
			continue;
		}
#pragma omp parallel for
		for (size_t i = 0; i < pieces; i++)
			init_normal(p, seed, i * INIT_PIECE,
				(i + 1) * INIT_PIECE < p->count ? (i + 1) * INIT_PIECE : p->count);
	}
	m->version++;
}
