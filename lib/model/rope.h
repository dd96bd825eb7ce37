/*
 * rope: rotary positions (Su et al. 2021) with the scalings of long-context models, in the half layout (pairs
 * i, i + d/2). Frequencies are computed in double. Private to lib/model.
 */
#ifndef QUERN_ROPE_H
#define QUERN_ROPE_H

#include "model/config.h"

/* freq [dim / 2] for the positions' angles; returns what cos and sin are multiplied with. */
double rope_frequencies(const struct rope_config *r, size_t dim, double *freq);
/* cos [dim / 2] then sin [dim / 2] of a position. */
void rope_angles(const double *freq, double factor, size_t dim, size_t position, float *out);
/* Files that turn neighbouring pairs (2i, 2i + 1) where the engine turns (i, i + dim / 2) have the rows of q
 * and k in another order: the file's row for row r. */
size_t rope_pair_row(size_t r, size_t dim);
size_t rope_row_of_pair(size_t r, size_t dim); /* and back */
/* Rotates `heads` vectors of dim; inverse: by the opposite angle, which is the derivative's transpose. */
void rope_rotate(float *x, size_t heads, size_t dim, const float *angles, int inverse);

#endif
