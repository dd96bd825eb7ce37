#include "train/sched.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Each row: the rate as a share of the way from min_lr (0) to lr (1). */

static double cosine(const struct sched *s, uint64_t step, double x)
{
	(void)s, (void)step;
	return 0.5 * (1 + cos(PI * x));
}

static double linear(const struct sched *s, uint64_t step, double x)
{
	(void)s, (void)step;
	return 1 - x;
}

/* Warm up, stay, decay by 1 - sqrt (Haegele et al. 2024, "Scaling laws beyond fixed training durations",
 * section 4). */
static double wsd(const struct sched *s, uint64_t step, double x)
{
	(void)step;
	double start = 1 - s->decay_fraction;
	return x <= start ? 1 : 1 - sqrt((x - start) / s->decay_fraction);
}

static double constant(const struct sched *s, uint64_t step, double x)
{
	(void)s, (void)step, (void)x;
	return 1;
}

/* sqrt(warmup / (s + 1)) (Vaswani et al. 2017, equation 3, scaled to reach lr at the end of the warm-up). */
static double inverse_sqrt(const struct sched *s, uint64_t step, double x)
{
	(void)x;
	double w = s->warmup ? (double)s->warmup : 1;
	return sqrt(w / ((double)step + 1));
}

static const struct {
	double (*factor)(const struct sched *s, uint64_t step, double x);
	int uses_share;
} table[] = { { cosine, 1 }, { linear, 1 }, { wsd, 1 }, { constant, 0 }, { inverse_sqrt, 0 } };

int sched_uses_share(const struct sched *s)
{
	return table[s->kind].uses_share;
}

double sched_share(const struct sched *s, uint64_t step, uint64_t steps)
{
	if (step <= s->warmup)
		return 0;
	return step >= steps ? 1 : (double)(step - s->warmup) / (double)(steps - s->warmup);
}

double sched_lr(const struct sched *s, uint64_t step, double x)
{
	if (step < s->warmup)
		return s->lr * ((double)step + 1) / (double)s->warmup;
	return s->min_lr + (s->lr - s->min_lr) * table[s->kind].factor(s, step, x);
}
