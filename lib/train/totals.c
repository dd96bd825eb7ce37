#include "train/totals.h"

#include <math.h>

int totals_given(const struct totals *t)
{
	return t->steps != UINT64_MAX || t->tokens != UINT64_MAX || !isnan(t->epochs) || !isnan(t->time);
}

static uint64_t steps_of(double n)
{
	return n < 0x1p62 ? (uint64_t)ceil(n) : UINT64_MAX;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t totals_rows(const struct totals *t, const struct rows *r)
{
	if (isnan(t->epochs) || !r || rows_streamed(r))
		return UINT64_MAX;
	return steps_of(t->epochs * (double)rows_count(r));
}

int totals_limit(const struct totals *t, const struct rows *r, size_t batch, size_t context, uint64_t *limit,
	struct err *e)
{
	*limit = t->steps;
	double per_row = (double)context;
	int streamed = !r || rows_streamed(r);
	if (!streamed && rows_count(r))
		per_row = (double)rows_tokens(r) / (double)rows_count(r);
	if (t->tokens != UINT64_MAX)
		*limit = lesser(*limit, steps_of((double)t->tokens / (per_row * (double)batch)));
	if (isnan(t->epochs))
		return 0;
	if (streamed)
		return t->epochs == 1 ? 0 : err_set(e, "--epochs: a pipe passes only once");
	*limit = lesser(*limit, steps_of((double)totals_rows(t, r) / (double)batch));
	return 0;
}

double totals_lr(const struct totals *t, const struct sched *s, uint64_t limit, uint64_t step, double seconds)
{
	double x = limit != UINT64_MAX ? sched_share(s, step, limit) : 0;
	if (!isnan(t->time))
		x = fmax(x, fmin(1, seconds / t->time));
	return sched_lr(s, step, x);
}

int totals_same_past(const struct sched *s, const struct totals *a, uint64_t limit_a, const struct totals *b,
	uint64_t limit_b, uint64_t step)
{
	int same_time = a->time == b->time || (isnan(a->time) && isnan(b->time));
	if (!same_time && sched_uses_share(s) && step > s->warmup)
		return 0;
	for (uint64_t i = 0; i < step; i++)
		if (totals_lr(a, s, limit_a, i, 0) != totals_lr(b, s, limit_b, i, 0))
			return 0;
	return 1;
}
