/*
 * kern: the table of kernels, one row an instruction set, chosen once at run time.
 *
 * Intrinsics live only in kern_*.c. kern_rows.h is plain C compiled once per set (sums run in fixed lanes and
 * nothing is contracted, so these give the same bits under every set); products are written per set and may
 * differ between sets in the last bits. The environment variable QUERN_ISA forces a row ("scalar", "avx2",
 * "avx512", "avx512vnni", "avx512bf16", "amx"). Everything here is pure and thread-safe; nothing here starts
 * threads.
 *
 * To add a row: kern_NAME.c (with its compiler flags in the Makefile), a set in cpu.h, a line in kern.c's
 * table; tests/unit/test_kern.c then compares it with the scalar row.
 */
#ifndef QUERN_KERN_H
#define QUERN_KERN_H

#include "base/err.h"
#include "tensor/dtype.h"
#include "tensor/kern_qgemm.h"
#include <stddef.h>
#include <stdint.h>

/* The two directions of a format of stored weights, over whole blocks of any alignment (quant.h). */
struct quant_code {
	void (*to_f32)(float *y, const void *x, size_t blocks);
	void (*from_f32)(void *y, const float *x, size_t blocks);
};

#define MX_GROUP 32    /* values that share a power of two in mx_write's code */
#define MX_COLUMNS 128 /* most columns of mx_read_rows, which takes an even number */

struct kern {
	const char *name;
	int (*supported)(void); /* by processor and operating system (CPUID, XGETBV) */

	/*
	 * Product tiles: C[m, n] = C0 + A B, m <= mr, n <= nr, each element one sum over k from 0 upwards
	 * that starts at C0's element. C0 rows are ld0 apart: NULL for zero, C itself to go on with a sum, a
	 * bias with ld0 = 0. Units are elements in f32 and pairs of k in bf16, the last filled up with zero
	 * (k is the true number): A's unit x of row i stands at a + i * ars + x * aks, whether it was packed
	 * ([k][m]: ars 1, aks m) or lies as the producer left it ([m][k]: aks 1); B is packed [k][nr]. A and
	 * B are aligned to 4 bytes, B best to 64. Where pack_rows_bf16 is set, tile_bf16 takes rows alone
	 * (aks 1), and a sum runs in blocks of 32 k.
	 */
	size_t mr, nr;
	void (*tile_f32)(size_t k, const float *a, size_t ars, size_t aks, const float *b, const float *c0,
		size_t ld0, float *c, size_t ldc, size_t m, size_t n);
	size_t mr16, nr16;
	int native_bf16; /* faster than f32; elsewhere bf16 saves memory only */
	void (*tile_bf16)(size_t k, const uint16_t *a, size_t ars, size_t aks, const uint16_t *b,
		const float *c0, size_t ld0, float *c, size_t ldc, size_t m, size_t n);
	/* Packing for tiles, either side: y [k][width] (bf16: [ceil(k/2)][width][2]) from element (i, j) at
	 * x[i * ks + j * js], j < n <= width; columns from n on are zero. repack_bf16 starts from bf16. */
	void (*pack_f32)(float *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n);
	void (*pack_bf16)(
		uint16_t *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n);
	void (*repack_bf16)(
		uint16_t *y, size_t width, const uint16_t *x, size_t ks, size_t js, size_t k, size_t n);

	/* NULL, or A's packing for tile_bf16, in place of the above: y [n rows][ld pairs of k], of which
	 * ceil(k/2) are written. */
	void (*pack_rows_bf16)(
		uint16_t *y, size_t ld, const float *x, size_t ks, size_t js, size_t k, size_t n);
	void (*repack_rows_bf16)(
		uint16_t *y, size_t ld, const uint16_t *x, size_t ks, size_t js, size_t k, size_t n);
	/* NULL, or what a thread does before and after a series of tile_bf16: tiles_begin and tiles_end. */
	void (*tiles_on)(void);
	void (*tiles_off)(void);

	const struct kern_qgemm *qgemm; /* products with quantised weights */
	/* NULL, or what multiplies the same panels where there are many rows (its `least`). */
	const struct kern_qgemm *qgemm_many;

	/* Rows of n values. */
	float (*sum)(const float *x, size_t n);
	float (*dot)(const float *x, const float *y, size_t n);
	float (*max)(const float *x, size_t n);          /* NaN is passed over; -inf when nothing is left */
	void (*add)(float *y, const float *x, size_t n); /* y += x */
	void (*axpy)(float *y, float a, const float *x, size_t n);       /* y += a x */
	void (*scale)(float *y, float a, const float *x, size_t n);      /* y = a x */
	void (*mul)(float *y, const float *x, const float *z, size_t n); /* y = x z */
	/* y = exp(x - shift), returns the sum; relative error of each below 2e-7; below 2.5e-38 it is 0,
	 * above 88.37 infinite. */
	float (*exp_sum)(float *y, const float *x, float shift, size_t n);
	/* log sum exp(scale * x): the one definition behind every log-probability (train, eval, generate). */
	float (*lse)(const float *x, float scale, size_t n);
	/* Activations and their derivative products: y = f(x); dx = dy * f'(x). */
	void (*silu)(float *y, const float *x, size_t n);
	void (*silu_back)(float *dx, const float *dy, const float *x, size_t n);
	void (*gelu_tanh)(float *y, const float *x, size_t n);
	void (*gelu_tanh_back)(float *dx, const float *dy, const float *x, size_t n);
	/* One AdamW update of n values (Loshchilov & Hutter 2019, alg. 2): decay is lr * weight_decay; c1, c2
	 * the bias corrections 1 - beta^t; gscale multiplies the gradient first (clipping). */
	void (*adamw)(float *w, float *m, float *v, const float *g, size_t n, float gscale, float lr,
		float beta1, float beta2, float eps, float decay, float c1, float c2);
	void (*to_bf16)(uint16_t *y, const float *x, size_t n);
	/* The same around the caches, for what no cache would hold until it is read. Other threads see it
	 * behind stream_end (NULL: nothing to do) and a barrier. */
	void (*stream_bf16)(uint16_t *y, const float *x, size_t n);
	void (*stream_end)(void);
	void (*of_bf16)(float *y, const uint16_t *x, size_t n);
	/* To one of the two neighbours in bf16, the nearer the likelier: x is the mean of what may come out.
	 * For finite values; key says which random numbers. */
	void (*random_bf16)(uint16_t *y, const float *x, uint64_t key, size_t n);
	/* The 8-bit code of kern_moment.h: a block's values as shares of the largest magnitude, which is
	 * returned. Without a sign they are at least 0, and what is above 0 stays so. */
	float (*code8_write)(uint8_t *q, const float *x, int is_signed, size_t n);
	void (*code8_read)(float *y, const uint8_t *q, float scale, int is_signed, size_t n);
	/* The 8-bit code of kern_mx.h. mx_write: a group of n <= MX_GROUP values as multiples q of a power of
	 * two, which it returns as a float's exponent; mx_round: what reading gives of n values, a group
	 * behind another. mx_powers: exponents as floats. mx_read_*: y [rows][n], f32 or bf16,
	 * is q times power[column], or times power[row], or power[2 row + column % 2] where `pair` is 2 and
	 * not 1. */
	unsigned (*mx_write)(int8_t *q, const float *x, size_t n);
	void (*mx_round)(float *x, size_t n);
	void (*mx_powers)(float *y, const uint8_t *e, size_t n);
	void (*mx_read_columns)(
		void *y, enum dtype t, const int8_t *q, const float *power, size_t n, size_t rows);
	void (*mx_read_rows)(void *y, enum dtype t, const int8_t *q, const float *power, size_t pair,
		size_t n, size_t rows);
	/* Norms (Zhang & Sennrich 2019; Ba et al. 2016): y = (x - mean) r w + b, r = 1 / sqrt(mean((x -
	 * mean)^2) + eps); mean is 0 unless `centred`; b may be NULL. stat (may be NULL) gets mean and r. y
	 * is of type t, f32 or bf16; it may be x. */
	void (*norm)(void *y, enum dtype t, const float *x, const float *w, const float *b, int centred,
		float eps, float *stat, size_t n);
	/* With u = (x - mean) r and g = dy w: dx (added to if `add`) = r (g - u mean(g u) [- mean(g)]); dw +=
	 * dy u; db (may be NULL) += dy. */
	void (*norm_back)(float *dx, int add, float *dw, float *db, const float *dy, const float *x,
		const float *w, int centred, const float *stat, size_t n);
	/* Rotary embedding of 2 * half values: pairs (x[i], x[half + i]) turn by the angle of cosine c[i] and
	 * sine sign * s[i]; sign is 1, or -1 for the way back. */
	void (*rotate)(float *x, const float *c, const float *s, float sign, size_t half);
	/* One step of a softmax with a running maximum: with y = scale x (n values, scale > 0), x becomes
	 * exp(y - m'), m' = max(m, max y), m and l become m' and l exp(m - m') + sum x; returns exp(m - m'),
	 * what sums made so far are to be scaled by. */
	float (*softmax_step)(float *x, size_t n, float scale, float *m, float *l);
	/* Its way back: p holds scores and becomes exp(scale p - lse); dp becomes p (dp - delta). */
	void (*softmax_back)(float *p, float *dp, size_t n, float scale, float lse, float delta);

	const struct quant_code *codes; /* by enum quant; the same bytes under every set */
};

static inline void stream_end(const struct kern *k)
{
	if (k->stream_end)
		k->stream_end();
}

/* Around calls of tile_bf16, in the thread that makes them; short, for registers are held in between. */
static inline void tiles_begin(const struct kern *k)
{
	if (k->tiles_on)
		k->tiles_on();
}

static inline void tiles_end(const struct kern *k)
{
	if (k->tiles_off)
		k->tiles_off();
}

/* The row in use: the best supported one, or QUERN_ISA's (the best one when that cannot be had: see
 * kern_check). */
const struct kern *kern(void);
/* -1 with a message when QUERN_ISA names a row that is unknown or not supported here. For commands, before
 * they compute. */
int kern_check(struct err *e);
/* Which row is in use and why, in words; valid until the next call. For -v. */
const char *kern_describe(void);
/* Selects by name (NULL: best); -1 when unknown or not supported here. Not while other threads compute;
 * packed panels belong to the row that packed them. */
int kern_select(const char *name);
/* All rows, best last; NULL-terminated. For tests and -v. */
extern const struct kern *const kern_table[];

#endif
