/*
 * polar: a matrix moved towards the nearest one with orthonormal columns, by five quintic Newton-Schulz steps
 * (Jordan et al. 2024, "Muon"): Z <- a Z + Z (b G + c G G), G = Z^T Z.
 *
 * G and its polynomial are symmetric: only tiles that reach the diagonal are computed, the others are their
 * mirror. The tall side stands along the rows, so that both operands of G are packed without transposing.
 */
#ifndef QUERN_POLAR_H
#define QUERN_POLAR_H

#include "tensor/dtype.h"
#include <stddef.h>

/* Bytes of scratch for z [l, s]; enough for l * s floats in front, which the caller may use between calls. */
size_t polar_bytes(enum dtype t, size_t l, size_t s);
/* z [l, s], s <= l, its Frobenius norm at most 1; products in t (DTYPE_F32 or DTYPE_BF16), sums and z itself
 * in f32. scratch is aligned to 64 bytes. By all threads together, or, called from within a parallel region,
 * by the calling one; the result does not depend on that. */
void polar(enum dtype t, float *z, size_t l, size_t s, void *scratch);

#endif
