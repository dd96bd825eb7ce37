/*
 * head: logits, log-probabilities of targets and their gradient, a piece of the rows at a time.
 */
#include "base/die.h"
#include "model/session.h"
#include "tensor/kern.h"

#include <string.h>

/* Copies rows of the hidden states together. */
static void pick(struct session *s, const uint32_t *rows, size_t n)
{
	size_t h = s->work.net->config->hidden;
#pragma omp parallel for if (n > 1)
	for (size_t i = 0; i < n; i++) {
		ASSERT(rows[i] < s->pass.tokens);
		memcpy(act_at(&s->work, s->picked, i * h), act_at(&s->work, s->hidden, rows[i] * h),
			h * dtype_size(s->work.compute));
	}
}

void model_logits(struct session *s, const size_t *rows, size_t n, float *out)
{
	const struct config *c = s->work.net->config;
	size_t total = rows ? n : s->pass.tokens;
	for (size_t at = 0; at < total; at += s->head_rows) {
		size_t m = total - at < s->head_rows ? total - at : s->head_rows;
		const void *x = act_at(&s->work, s->hidden, at * c->hidden);
		if (rows) {
			for (size_t i = 0; i < m; i++)
				s->rows[i] = (uint32_t)rows[at + i];
			pick(s, s->rows, m);
			x = s->picked;
		}
		linear_forward(
			&s->work, s->work.net->head, m, x, c->hidden, NULL, out + at * c->vocab, c->vocab);
	}
}

static int is_top(const float *x, size_t vocab, uint32_t target)
{
	if (x[target] != kern()->max(x, vocab))
		return 0;
	for (uint32_t j = 0; j < target; j++)
		if (x[j] == x[target])
			return 0;
	return 1;
}

/* One row: its results, then (with dlogp) its logits become their own gradient. With p = softmax(inv_temp x):
 * dlogp/dx = inv_temp (onehot - p), dlse/dx = inv_temp p. */
static void finish_row(const struct head_args *a, size_t vocab, size_t t, float *x)
{
	const struct kern *q = kern();
	uint32_t target = a->targets[t];
	float lse = q->lse(x, a->inv_temp, vocab);
	ASSERT(target < vocab);
	if (a->logp)
		a->logp[t] = x[target] * a->inv_temp - lse;
	if (a->lse)
		a->lse[t] = lse;
	if (a->top)
		a->top[t] = (unsigned char)is_top(x, vocab, target);
	if (!a->dlogp)
		return;
	float dlogp = a->dlogp[t], dlse = (a->dlse ? a->dlse[t] : 0) - 2 * a->zloss * lse * dlogp;
	if (a->inv_temp != 1)
		q->scale(x, a->inv_temp, x, vocab);
	q->exp_sum(x, x, lse, vocab);
	q->scale(x, a->inv_temp * (dlse - dlogp), x, vocab);
	x[target] += a->inv_temp * dlogp;
}

static size_t rows_with_targets(struct session *s, const uint32_t *targets)
{
	size_t n = 0;
	for (size_t t = 0; t < s->pass.tokens; t++)
		if (targets[t] != NO_TARGET)
			s->rows[n++] = (uint32_t)t;
	return n;
}

static void clear(float *x, size_t rows, size_t n)
{
#pragma omp parallel for
	for (size_t i = 0; i < rows; i++)
		memset(x + i * n, 0, n * sizeof *x);
}

/* Logits of rows [at, at + n) of those picked, and what follows from them. */
static void logits_piece(
	struct session *s, const struct head_args *a, const uint32_t *rows, size_t at, size_t n)
{
	const struct config *c = s->work.net->config;
	const void *x = act_at(&s->work, s->picked, at * c->hidden);
	linear_forward(&s->work, s->work.net->head, n, x, c->hidden, NULL, s->logits, c->vocab);
#pragma omp parallel for schedule(dynamic, 1)
	for (size_t i = 0; i < n; i++) {
		float *y = s->logits + i * c->vocab;
		finish_row(a, c->vocab, rows[at + i], y);
		if (a->dlogp && s->dlogits)
			act_store(&s->work,
				act_at(&s->work, s->dlogits, (at + i) * act_ld(&s->work, c->vocab)), y,
				c->vocab);
	}
}

void model_head(struct session *s, const struct head_args *a)
{
	const struct config *c = s->work.net->config;
	size_t h = c->hidden, total = rows_with_targets(s, a->targets);
	size_t ld = s->dlogits ? act_ld(&s->work, c->vocab) : c->vocab;
	ASSERT(!a->dlogp || s->work.train);
	if (a->dlogp)
		clear(s->dres, s->pass.tokens, h);
	for (size_t at = 0; at < total; at += s->head_rows) {
		const uint32_t *rows = s->rows + at;
		size_t m = least(s->head_rows, total - at);
		pick(s, rows, m);
		for (size_t z = 0; z < m; z += s->logit_rows)
			logits_piece(s, a, rows, z, least(s->logit_rows, m - z));
		if (!a->dlogp)
			continue;
		linear_backward(&s->work, s->work.net->head, m, s->picked, h,
			s->dlogits ? s->dlogits : s->logits, ld, s->dpicked, h);
#pragma omp parallel for
		for (size_t i = 0; i < m; i++)
			memcpy(s->dres + rows[i] * h, s->dpicked + i * h, h * sizeof *s->dres);
	}
}
