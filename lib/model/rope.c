#include "model/rope.h"
#include "tensor/kern.h"

#include <math.h>

#define PI 3.14159265358979323846

/* Llama 3: long waves are stretched, short ones kept, those between blended. */
static double llama3_frequency(const struct rope_config *r, double f)
{
	double wave = 2 * PI / f, m = r->original_context;
	if (wave < m / r->high_freq)
		return f;
	if (wave > m / r->low_freq)
		return f / r->factor;
	double t = (m / wave - r->low_freq) / (r->high_freq - r->low_freq);
	return (1 - t) * f / r->factor + t * f;
}

static double yarn_mscale(double factor, double scale)
{
	return factor <= 1 ? 1 : 0.1 * scale * log(factor) + 1;
}

/* YaRN (Peng et al. 2023, eq. 17 - 20): a ramp over the dimensions, from those that turn beta_fast times in
 * the original context to those that turn beta_slow times. */
static double yarn_frequencies(const struct rope_config *r, size_t dim, double *freq)
{
	double d = (double)dim, fast = r->beta_fast != 0 ? r->beta_fast : 32,
	       slow = r->beta_slow != 0 ? r->beta_slow : 1;
	double lo = d * log(r->original_context / (fast * 2 * PI)) / (2 * log(r->theta));
	double hi = d * log(r->original_context / (slow * 2 * PI)) / (2 * log(r->theta));
	if (r->truncate) {
		lo = floor(lo);
		hi = ceil(hi);
	}
	lo = fmax(lo, 0);
	hi = fmin(hi, d - 1);
	if (lo == hi)
		hi += 0.001;
	for (size_t i = 0; i < dim / 2; i++) {
		double ramp = fmin(fmax(((double)i - lo) / (hi - lo), 0), 1);
		freq[i] = freq[i] / r->factor * ramp + freq[i] * (1 - ramp);
	}
	if (r->attention_factor != 0)
		return r->attention_factor;
	if (r->mscale != 0 && r->mscale_all_dim != 0)
		return yarn_mscale(r->factor, r->mscale) / yarn_mscale(r->factor, r->mscale_all_dim);
	return yarn_mscale(r->factor, 1);
}

double rope_frequencies(const struct rope_config *r, size_t dim, double *freq)
{
	for (size_t i = 0; i < dim / 2; i++)
		freq[i] = pow(r->theta, -2.0 * (double)i / (double)dim);
	switch (r->scaling) {
	case ROPE_NONE:
	case ROPE_DYNAMIC: /* stretches only beyond the context, and no sequence goes beyond it */
		break;
	case ROPE_LINEAR:
		for (size_t i = 0; i < dim / 2; i++)
			freq[i] /= r->factor;
		break;
	case ROPE_LLAMA3:
		for (size_t i = 0; i < dim / 2; i++)
			freq[i] = llama3_frequency(r, freq[i]);
		break;
	case ROPE_YARN:
		return yarn_frequencies(r, dim, freq);
	}
	return 1;
}

void rope_angles(const double *freq, double factor, size_t dim, size_t position, float *out)
{
	for (size_t i = 0; i < dim / 2; i++) {
		double a = (double)position * freq[i];
		out[i] = (float)(cos(a) * factor);
		out[dim / 2 + i] = (float)(sin(a) * factor);
	}
}

size_t rope_pair_row(size_t r, size_t dim)
{
	size_t head = r / dim, i = r % dim, half = dim / 2;
	return head * dim + (i < half ? 2 * i : 2 * (i - half) + 1);
}

size_t rope_row_of_pair(size_t r, size_t dim)
{
	size_t head = r / dim, i = r % dim;
	return head * dim + i / 2 + i % 2 * (dim / 2);
}

void rope_rotate(float *x, size_t heads, size_t dim, const float *angles, int inverse)
{
	size_t half = dim / 2;
	for (size_t h = 0; h < heads; h++, x += dim)
		kern()->rotate(x, angles, angles + half, inverse ? -1.0f : 1.0f, half);
}
