/* AdamW: Loshchilov & Hutter 2019, "Decoupled weight decay regularization", algorithm 2. */

#include "tensor/kern.h"
#include "train/optim.h"

#include <math.h>

void optim_adamw_chunks(struct optim *o, double lr, float gscale)
{
	/* The corrections are those of the betas as floats: 1 - 0.999f is off by 1e-5, and must be so on both
	 * sides. */
	float b1 = (float)o->c.beta1, b2 = (float)o->c.beta2;
	float c1 = (float)(1 - pow((double)b1, (double)o->updates));
	float c2 = (float)(1 - pow((double)b2, (double)o->updates));
	const struct kern *k = kern();
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < o->nchunks; i++) {
		const struct optim_chunk *c = &o->chunks[i];
		struct param *p = &o->m->params[c->param];
		struct optim_state *s = &o->states[o->first[c->param]];
		double decay = p->ndim >= 2 ? lr * o->c.weight_decay : 0;
		k->adamw(p->w + c->at, s[0].v + c->at, s[1].v + c->at, p->g + c->at, c->n, gscale, (float)lr,
			b1, b2, (float)o->c.eps, (float)decay, c1, c2);
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

const struct optim_row optim_adamw = { "adamw", kinds, all, NULL, NULL, optim_adamw_chunks };
