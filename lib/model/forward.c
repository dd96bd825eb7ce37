/*
 * forward: the decoder from ids to hidden states, and back. x += post(F(pre(x))) for every step of the net.
 */
#include "base/die.h"
#include "model/cache.h"
#include "model/session.h"
#include "model/weights.h"
#include "tensor/kern.h"

#include <string.h>

/* Columns that one thread sums at a time. */
#define COLUMNS 64

static void add_residual(const struct session *s, const float *x, const float *y, float *out)
{
	size_t h = s->work.net->config->hidden;
#pragma omp parallel for if (s->pass.tokens > 1)
	for (size_t t = 0; t < s->pass.tokens; t++) {
		if (out != x)
			memcpy(out + t * h, x + t * h, h * sizeof *out);
		kern()->add(out + t * h, y + t * h, h);
	}
}

/* --- embeddings --- */

static void embed(const struct session *s, float *x)
{
	const struct net *n = s->work.net;
	size_t h = n->config->hidden;
	const struct param *table = param_at(n, n->embed);
	const float *places = n->position == NO_OFFSET ? NULL : work_weight(&s->work, n->position);
#pragma omp parallel for if (s->pass.tokens > 1)
	for (size_t t = 0; t < s->pass.tokens; t++) {
		param_row(table, s->ids[t], 0, h, x + t * h);
		if (places)
			kern()->add(x + t * h, places + s->positions[t] * h, h);
	}
}

/* Threads share out the columns, so that every element adds its rows in order. Rows of index `frozen` are
 * left out. */
static void add_by_index(
	const float *dx, const uint32_t *index, size_t rows, size_t h, int64_t frozen, float *grad)
{
#pragma omp parallel for
	for (size_t j = 0; j < h; j += COLUMNS) {
		size_t m = h - j < COLUMNS ? h - j : COLUMNS;
		for (size_t t = 0; t < rows; t++)
			if (index[t] != frozen)
				kern()->add(grad + index[t] * h + j, dx + t * h + j, m);
	}
}

static void embed_backward(struct session *s, const float *dx)
{
	const struct net *n = s->work.net;
	const struct config *c = n->config;
	size_t h = c->hidden, T = s->pass.tokens;
	add_by_index(dx, s->ids, T, h, c->arch->pad_frozen ? c->pad : -1, work_grad(&s->work, n->embed));
	if (n->position != NO_OFFSET)
		add_by_index(dx, s->positions, T, h, -1, work_grad(&s->work, n->position));
}

/* --- forward --- */

static void begin_pass(struct session *s, const struct seq *seqs, size_t nseqs)
{
	const struct config *c = s->work.net->config;
	struct pass *p = &s->pass;
	*p = (struct pass){ .work = &s->work, .seqs = s->seqs, .first = s->first, .angles = s->angles };
	for (size_t i = 0; i < nseqs; i++) {
		size_t past = seqs[i].cache ? cache_len(seqs[i].cache) : 0;
		if (!seqs[i].n)
			continue;
		ASSERT(seqs[i].n <= s->max_tokens - p->tokens);
		ASSERT(past + seqs[i].n <= c->context);
		s->seqs[p->nseqs] = seqs[i];
		s->first[p->nseqs++] = p->tokens;
		if (seqs[i].cache)
			cache_extend(seqs[i].cache, seqs[i].n);
		for (size_t t = 0; t < seqs[i].n; t++) {
			ASSERT(seqs[i].ids[t] < c->vocab);
			s->ids[p->tokens] = seqs[i].ids[t];
			s->positions[p->tokens++] = (uint32_t)(past + t);
		}
	}
	if (!c->rope.enabled)
		return;
#pragma omp parallel for if (p->tokens > 1)
	for (size_t t = 0; t < p->tokens; t++)
		rope_angles(
			s->freq, s->rope_factor, c->head_dim, s->positions[t], s->angles + t * c->head_dim);
}

/* Makes what goes into a step's block. */
static const void *step_input(struct session *s, size_t i)
{
	const struct step *t = &s->work.net->steps[i];
	struct step_state *st = &s->steps[i];
	size_t h = s->work.net->config->hidden, T = s->pass.tokens;
	if (!t->has_pre)
		return act_rows(&s->work, T, h, st->x, st->normed);
	norm_forward(&s->work, &t->pre, T, 1, st->x, h, st->normed, s->work.compute, h, st->pre_stat);
	return st->normed;
}

/* out [T, h] = x + post(F(in)), in from step_input; out may be x. */
static void step_output(struct session *s, size_t i, const void *in, float *out)
{
	const struct step *t = &s->work.net->steps[i];
	struct step_state *st = &s->steps[i];
	size_t h = s->work.net->config->hidden, T = s->pass.tokens;
	s->pass.step = i;
	if (!t->has_post) {
		t->block->forward(t->self, st->block, &s->pass, in, st->x, out);
		return;
	}
	t->block->forward(t->self, st->block, &s->pass, in, NULL, st->post_in);
	norm_forward(&s->work, &t->post, T, 1, st->post_in, h, s->y, DTYPE_F32, h, st->post_stat);
	add_residual(s, st->x, s->y, out);
}

/* From the ids through the first `end` steps. */
static void run_steps(struct session *s, const struct seq *seqs, size_t nseqs, size_t end)
{
	const struct net *n = s->work.net;
	begin_pass(s, seqs, nseqs);
	work_begin(&s->work, s->pass.tokens);
	embed(s, n->nsteps ? s->steps[0].x : s->last);
	for (size_t i = 0; i < end; i++)
		step_output(s, i, step_input(s, i), i + 1 < n->nsteps ? s->steps[i + 1].x : s->last);
}

static void advance_caches(struct session *s)
{
	for (size_t i = 0; i < s->pass.nseqs; i++)
		if (s->seqs[i].cache)
			cache_advance(s->seqs[i].cache, s->seqs[i].n);
}

void model_forward(struct session *s, const struct seq *seqs, size_t nseqs)
{
	const struct net *n = s->work.net;
	size_t h = n->config->hidden;
	run_steps(s, seqs, nseqs, n->nsteps);
	norm_forward(&s->work, &n->final, s->pass.tokens, 1, s->last, h, s->hidden, s->work.compute, h,
		s->last_stat);
	advance_caches(s);
}

void model_prefill(struct session *s, const struct seq *seqs, size_t nseqs)
{
	const struct net *n = s->work.net;
	size_t last = n->nsteps;
	while (last && !n->steps[last - 1].block->remember)
		last--;
	run_steps(s, seqs, nseqs, last ? last - 1 : 0);
	if (last) {
		const struct step *t = &n->steps[last - 1];
		const void *in = step_input(s, last - 1);
		s->pass.step = last - 1;
		t->block->remember(t->self, s->steps[last - 1].block, &s->pass, in);
	}
	advance_caches(s);
}

void session_pack(struct session *s, size_t tokens)
{
	work_pack(&s->work, tokens);
}

/* --- backward --- */

/* s->dres: the gradient behind step i on entry, before it on exit. */
static void step_backward(struct session *s, size_t i)
{
	const struct step *t = &s->work.net->steps[i];
	struct step_state *st = &s->steps[i];
	size_t h = s->work.net->config->hidden, T = s->pass.tokens;
	const float *dy = s->dres;
	const void *in = step_input(s, i);
	/* What the last step keeps is still there from forward. */
	if (s->recompute && i + 1 < s->work.net->nsteps)
		step_output(s, i, in, s->dx);
	s->pass.step = i;
	if (t->has_post) {
		norm_backward(
			&s->work, &t->post, T, 1, st->post_in, h, st->post_stat, s->dres, h, s->dy, h, 0);
		dy = s->dy;
	}
	t->block->backward(t->self, st->block, &s->pass, in, act_rows(&s->work, T, h, dy, s->dy_act), s->dx);
	if (t->has_pre)
		norm_backward(&s->work, &t->pre, T, 1, st->x, h, st->pre_stat, s->dx, h, s->dres, h, 1);
	else
		add_residual(s, s->dres, s->dx, s->dres);
}

void model_backward(struct session *s)
{
	const struct net *n = s->work.net;
	size_t h = n->config->hidden;
	ASSERT(s->work.train);
	norm_backward(
		&s->work, &n->final, s->pass.tokens, 1, s->last, h, s->last_stat, s->dres, h, s->dres, h, 0);
	for (size_t i = n->nsteps; i-- > 0;)
		step_backward(s, i);
	embed_backward(s, s->dres);
}
