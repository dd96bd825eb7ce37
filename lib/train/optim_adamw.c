/* AdamW: Loshchilov & Hutter 2019, "Decoupled weight decay regularization", algorithm 2. */

#include "tensor/kern.h"
#include "train/optim.h"

#include <math.h>

/* What all tensors of an update share. */
struct rates {
	float lr, b1, b2, eps, c1, c2, gscale;
};

/* Values [at, at + n) of a tensor; a block of them where the states are narrow. */
static void piece(
	const struct optim *o, const struct rates *r, size_t param, size_t at, size_t n, float decay)
{
	float m[MOMENT_BLOCK], v[MOMENT_BLOCK];
	const struct param *p = &o->m->params[param];
	size_t s = o->first[param];
	struct moment *first = &o->states[s].m, *second = &o->states[s + 1].m;
	float *mp = moment_read(first, at, n, m), *vp = moment_read(second, at, n, v);
	kern()->adamw(
		p->w + at, mp, vp, p->g + at, n, r->gscale, r->lr, r->b1, r->b2, r->eps, decay, r->c1, r->c2);
	if (first->type == MOMENT_F32)
		return;
	moment_write(first, at, n, mp, optim_key(o, s, at));
	moment_write(second, at, n, vp, optim_key(o, s + 1, at));
}

void optim_adamw_chunks(struct optim *o, double lr, float gscale)
{
	/* The corrections are those of the betas as floats: 1 - 0.999f is off by 1e-5, and must be so on both
	 * sides. */
	struct rates r = { .lr = (float)lr, (float)o->c.beta1, (float)o->c.beta2, (float)o->c.eps };
	r.c1 = (float)(1 - pow((double)r.b1, (double)o->updates));
	r.c2 = (float)(1 - pow((double)r.b2, (double)o->updates));
	r.gscale = gscale;
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < o->nchunks; i++) {
		const struct optim_chunk *c = &o->chunks[i];
		double decay = o->m->params[c->param].ndim >= 2 ? lr * o->c.weight_decay : 0;
		int narrow = o->states[o->first[c->param]].m.type != MOMENT_F32;
		size_t step = narrow ? MOMENT_BLOCK : c->n, end = c->at + c->n;
		for (size_t at = c->at; at < end; at += step)
			piece(o, &r, c->param, at, end - at < step ? end - at : step, (float)decay);
	}
}

static const char *const *kinds(const struct param *p)
{
	static const char *const names[] = { "exp_avg", "exp_avg_sq", NULL };
	(void)p;
	return names;
}

static int all(const struct param *p)
{
	(void)p;
	return 1;
}

const struct optim_row optim_adamw = { "adamw", kinds, all, NULL, optim_adamw_chunks };
