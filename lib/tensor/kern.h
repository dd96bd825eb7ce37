/*
 * kern: the table of kernels, one row an instruction set, chosen once at run time.
 *
 * Intrinsics live only in kern_*.c. kern_rows.h is plain C compiled once per set (sums run in 16 fixed lanes, so
 * these give the same bits under every set that has FMA or not alike); products are written per set. The environment
 * variable QUERN_ISA forces a row ("scalar", "avx2", "avx512", "avx512bf16"). Everything here is pure and
 * thread-safe; nothing here starts threads.
 */
#ifndef QUERN_KERN_H
#define QUERN_KERN_H

#include <stddef.h>
#include <stdint.h>

struct kern {
	const char *name;
	int (*supported)(void); /* by processor and operating system (CPUID, XGETBV) */

	/* Product tiles. C[m <= mr, n <= nr] (+)= A B with A packed [k][mr], B packed [k][nr]; for bf16 pairs of k:
	 * [ceil(k/2)][mr][2] and [ceil(k/2)][nr][2]. */
	size_t mr, nr;
	void (*tile_f32)(size_t k, const float *a, const float *b, float *c, size_t ldc, size_t m, size_t n, int add);
	size_t mr16, nr16;
	void (*tile_bf16)(size_t k, const uint16_t *a, const uint16_t *b, float *c, size_t ldc, size_t m, size_t n,
		int add);

	/* Rows of n values. */
	float (*sum)(const float *x, size_t n);
	float (*dot)(const float *x, const float *y, size_t n);
	float (*max)(const float *x, size_t n);
	void (*add)(float *y, const float *x, size_t n);	       /* y += x */
	void (*axpy)(float *y, float a, const float *x, size_t n);     /* y += a x */
	void (*scale)(float *y, float a, const float *x, size_t n);    /* y = a x */
	void (*mul)(float *y, const float *x, const float *z, size_t n); /* y = x z */
	/* y = exp(x - shift), returns the sum; relative error of each below 2e-7. */
	float (*exp_sum)(float *y, const float *x, float shift, size_t n);
	/* log sum exp(scale * x): the one definition behind every log-probability (train, eval, generate). */
	float (*lse)(const float *x, float scale, size_t n);
	/* Activations and their derivative products: y = f(x); dx = dy * f'(x). */
	void (*silu)(float *y, const float *x, size_t n);
	void (*silu_back)(float *dx, const float *dy, const float *x, size_t n);
	void (*gelu_tanh)(float *y, const float *x, size_t n);
	void (*gelu_tanh_back)(float *dx, const float *dy, const float *x, size_t n);
	/* One AdamW update of n values (Loshchilov & Hutter 2019, alg. 2): decay is lr * weight_decay; c1, c2 the bias
	 * corrections 1 - beta^t; gscale multiplies the gradient first (clipping). */
	void (*adamw)(float *w, float *m, float *v, const float *g, size_t n, float gscale, float lr, float beta1,
		float beta2, float eps, float decay, float c1, float c2);
	void (*to_bf16)(uint16_t *y, const float *x, size_t n);
};

/* The row in use: the best supported one, or QUERN_ISA's. An unknown or unsupported QUERN_ISA is fatal in cmd. */
const struct kern *kern(void);
/* Selects by name (NULL: best); -1 when unknown or not supported here. Not while other threads compute. */
int kern_select(const char *name);
/* All rows, best last; NULL-terminated. For tests and -v. */
extern const struct kern *const kern_table[];

#endif
