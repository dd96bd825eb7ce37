#include "train/trainer.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

static int session_flags(const struct trainer_config *c)
{
	return SESSION_TRAIN | (c->recompute ? SESSION_RECOMPUTE : 0);
}

void trainer_init(struct trainer *t, const struct trainer_config *c, struct model *m)
{
	size_t n = mul_size(c->micro, c->context);
	*t = (struct trainer){ .c = *c, .model = m };
	model_want_grads(m);
	t->session = session_new(m, c->compute, n, session_flags(c));
	t->optim = optim_new(&c->optim, m);
	t->guard.window = c->guard;
	batch_init(&t->batch, c->rows, c->context, (uint32_t)m->config.vocab);
	t->logp = mem_alloc(n * sizeof(float));
	t->lse = mem_alloc(n * sizeof(float));
	t->dlogp = mem_alloc(n * sizeof(float));
}

void trainer_release(struct trainer *t)
{
	size_t n = t->c.micro * t->c.context;
	session_free(t->session);
	optim_free(t->optim);
	batch_release(&t->batch);
	mem_free(t->logp, n * sizeof(float));
	mem_free(t->lse, n * sizeof(float));
	mem_free(t->dlogp, n * sizeof(float));
	*t = (struct trainer){ 0 };
}

static void zero(float *x, size_t n)
{
	enum { PIECE = 1 << 18 };
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < n; i += PIECE)
		memset(x + i, 0, (n - i < PIECE ? n - i : PIECE) * sizeof *x);
}

void trainer_pass(struct trainer *t, int backward, double *row_logp, struct update *u)
{
	const struct batch *b = &t->batch;
	const struct objective *o = objective_at(t->c.objective);
	double weight = b->ntargets ? 1 / (double)b->ntargets : 0;
	struct objective_sums s = { 0 };
	struct objective_args a = {
		.session = t->session,
		.batch = b,
		.backward = backward,
		.weight = weight,
		.zloss = (float)t->c.zloss,
		.logp = t->logp,
		.lse = t->lse,
		.dlogp = t->dlogp,
		.row_logp = row_logp,
	};
	if (backward)
		zero(t->model->grads, t->model->count);
	for (size_t row = 0; row < b->nrows; row += a.nrows) {
		a.row = row;
		a.nrows = b->nrows - row < t->c.micro ? b->nrows - row : t->c.micro;
		o->micro(&a, &s);
	}
	*u = (struct update){ .loss = b->ntargets ? s.nll * weight : NAN, .zloss = s.zloss * weight };
	if (backward)
		u->grad_norm = sqrt(sum_squares(t->model->grads, t->model->count));
}

void trainer_update(struct trainer *t, double lr, struct update *u)
{
	trainer_pass(t, 1, NULL, u);
	if (guard_step(&t->guard, u->loss, u->grad_norm)) {
		u->skipped = 1;
		return;
	}
	double scale = t->c.clip > 0 ? t->c.clip / (u->grad_norm + 1e-6) : 1;
	optim_step(t->optim, lr, (float)(scale < 1 ? scale : 1));
}

struct trainer_memory trainer_memory(const struct trainer_config *c, const struct model *m)
{
	size_t w = mul_size(m->count, sizeof(float));
	return (struct trainer_memory){ w, w, optim_bytes(&c->optim, m),
		session_bytes(&m->config, c->compute, mul_size(c->micro, c->context), session_flags(c)) };
}
