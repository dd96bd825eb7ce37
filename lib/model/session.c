#include "model/session.h"
#include "model/cache.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <stdlib.h>

static float *take(struct area *a, size_t rows, size_t cols)
{
	return area_take(a, mul_size(rows, cols), sizeof(float));
}

/* The memory of one step but for its x. */
static void place_step(struct session *s, size_t i, struct area *kept, struct area *scratch)
{
	const struct step *t = &s->work.net->steps[i];
	struct step_state *st = &s->steps[i];
	const struct work *w = &s->work;
	size_t h = w->net->config->hidden, T = s->max_tokens;
	if (t->has_pre || w->compute != DTYPE_F32)
		st->normed = area_take_act(scratch, w, T, h);
	if (t->has_pre)
		st->pre_stat = w->train ? take(kept, T, 2) : NULL;
	if (t->has_post) {
		st->post_in = take(kept, T, h);
		st->post_stat = w->train ? take(kept, T, 2) : NULL;
	}
	t->block->place(t->self, st->block, w, kept, scratch);
}

/* What backward needs stays, when training; else, and where it is computed again, all steps use the same
 * room. */
static void place_steps(struct session *s, struct area *a, struct area *scratch)
{
	for (size_t i = 0; s->work.train && i < s->work.net->nsteps; i++)
		s->steps[i].x = take(a, s->max_tokens, s->work.net->config->hidden);
	size_t start = a->used, end = start;
	for (size_t i = 0; i < s->work.net->nsteps; i++) {
		area_rewind(scratch, 0);
		if (!s->work.train || s->recompute)
			area_rewind(a, start);
		place_step(s, i, a, scratch);
		end = a->used > end ? a->used : end;
	}
	area_rewind(a, end);
}

/* Gives every pointer of the session its place: run once without a base to learn the size. */
static void place(struct session *s, struct area *a, struct area *scratch)
{
	const struct config *c = s->work.net->config;
	size_t T = s->max_tokens, h = c->hidden;
	work_place(&s->work, a);
	s->seqs = area_take(a, T, sizeof *s->seqs);
	s->first = area_take(a, T, sizeof *s->first);
	s->ids = area_take(a, T, sizeof *s->ids);
	s->positions = area_take(a, T, sizeof *s->positions);
	s->rows = area_take(a, T, sizeof *s->rows);
	s->freq = area_take(a, c->head_dim, sizeof *s->freq);
	s->angles = c->rope.enabled ? take(a, T, c->head_dim) : NULL;
	s->y = c->post_norm ? take(a, T, h) : NULL;
	s->last = take(a, T, h);
	s->hidden = area_take_act(a, &s->work, T, h);
	s->picked = area_take_act(a, &s->work, s->head_rows, h);
	s->logits = take(a, s->logit_rows, c->vocab);
	if (s->work.train) {
		s->last_stat = take(a, T, 2);
		s->dres = take(a, T, h);
		s->dy = c->post_norm ? take(a, T, h) : NULL;
		s->dx = take(a, T, h);
		s->dpicked = take(a, s->head_rows, h);
		if (s->work.compute != DTYPE_F32) {
			s->dy_act = area_take_act(a, &s->work, T, h);
			s->dlogits = area_take_act(a, &s->work, s->head_rows, act_ld(&s->work, c->vocab));
		}
	}
	place_steps(s, a, scratch);
	for (size_t i = 0; !s->work.train && i < s->work.net->nsteps; i++)
		s->steps[i].x = s->last; /* one residual stream, changed in place */
}

static size_t head_rows(const struct net *n, size_t max_tokens, size_t logits, size_t max)
{
	return least(max_tokens, most(64, least(max, logits / n->config->vocab)));
}

static struct session *start(const struct net *n, enum dtype compute, size_t max_tokens, int flags)
{
	struct session *s = xcalloc(1, sizeof *s);
	ASSERT(max_tokens > 0 && max_tokens < NO_TARGET);
	s->max_tokens = max_tokens;
	int narrow = (flags & SESSION_TRAIN) && compute != DTYPE_F32;
	s->head_rows = head_rows(n, max_tokens, HEAD_LOGITS * (narrow ? 2 : 1), HEAD_ROWS_MAX);
	s->logit_rows = narrow ? head_rows(n, max_tokens, HEAD_LOGITS / 2, LOGIT_ROWS_MAX) : s->head_rows;
	s->recompute = flags & SESSION_RECOMPUTE;
	s->work = (struct work){
		.net = n, .compute = compute, .train = flags & SESSION_TRAIN, .tokens = max_tokens
	};
	s->steps = xcalloc(n->nsteps, sizeof *s->steps);
	for (size_t i = 0; i < n->nsteps; i++)
		s->steps[i].block = xcalloc(1, n->steps[i].block->state_size);
	return s;
}

static size_t measure(struct session *s, size_t *scratch_at)
{
	struct area a = { 0 }, scratch = { 0 };
	place(s, &a, &scratch);
	*scratch_at = a.peak;
	return add_size(a.peak, scratch.peak);
}

enum dtype default_compute(void)
{
	return kern()->native_bf16 ? DTYPE_BF16 : DTYPE_F32;
}

struct session *session_new(struct model *m, enum dtype compute, size_t max_tokens, int flags)
{
	struct session *s = start(m->net, compute, max_tokens, flags);
	size_t scratch_at;
	ASSERT(!(flags & SESSION_TRAIN) || m->grads);
	s->work.model = m;
	s->work.kv8 = m->kv8 && !s->work.train;
	s->bytes = measure(s, &scratch_at);
	s->memory = mem_alloc(s->bytes);
	struct area a = { .base = s->memory }, scratch = { .base = (char *)s->memory + scratch_at };
	place(s, &a, &scratch);
	if (m->config.rope.enabled)
		s->rope_factor = rope_frequencies(&m->config.rope, m->config.head_dim, s->freq);
	if (!s->work.train)
		s->pool = page_pool_new(&s->work);
	return s;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->work.net->nsteps; i++)
		free(s->steps[i].block);
	free(s->steps);
	page_pool_free(s->pool);
	mem_free(s->memory, s->bytes);
	free(s);
}

size_t session_bytes(const struct config *c, enum dtype compute, size_t max_tokens, int flags)
{
	struct net *n = net_new(c);
	struct session *s = start(n, compute, max_tokens, flags);
	size_t scratch_at, bytes = measure(s, &scratch_at);
	session_free(s);
	net_free(n);
	return bytes;
}
