#include "train/guard.h"

#include <math.h>

static int outlier(const double *v, size_t n, double x)
{
	double sum = 0, sq = 0;
	for (size_t i = 0; i < n; i++)
		sum += v[i];
	double mean = sum / (double)n;
	for (size_t i = 0; i < n; i++)
		sq += (v[i] - mean) * (v[i] - mean);
	return x - mean > GUARD_SIGMA * sqrt(sq / (double)(n - 1));
}

int guard_step(struct guard *g, double loss, double norm)
{
	if (!isfinite(loss) || !isfinite(norm))
		return 1;
	if (!g->window)
		return 0;
	size_t n = g->seen < GUARD_WINDOW ? g->seen : GUARD_WINDOW;
	int bad = n >= GUARD_WINDOW / 2 && (outlier(g->loss, n, loss) || outlier(g->norm, n, norm));
	g->loss[g->seen % GUARD_WINDOW] = loss;
	g->norm[g->seen % GUARD_WINDOW] = norm;
	g->seen++;
	return bad;
}
