/*
 * kern_qgemm: what a row of the kernel table has for products with quantised weights, and how their operands
 * are laid out.
 *
 * Weights are unsigned integers with a scale for every group of 32 k (ggml's forms); activations are int8
 * with a scale for every row and group. A group's products are summed in integers, exactly, and the groups
 * from 0 upwards in f32:
 *
 *	s = fma(integer sum, activation scale * weight scale, s) [, s = fma(-(activation scale * sum of
 * activations), weight min, s)]
 *
 * So an output's bits depend on its row and its weights alone, and are the same under every instruction set.
 */
#ifndef QUERN_KERN_QGEMM_H
#define QUERN_KERN_QGEMM_H

#include "tensor/dtype.h"
#include <stddef.h>
#include <stdint.h>

#define QGROUP 32 /* k that share a scale */
#define QSUPER 8  /* groups that share what is above the scales, in forms that have that */
/* Activations below it count as zero: they make no difference to any sum, and 127 / x would overflow. */
#define QTINY 1e-30f

/*
 * Forms of weights. A panel holds nr outputs; group by group, behind every QSUPER-th a head:
 *
 *	form     value                         head            group
 *	QFORM_8  d (q - 128)                   -               u8 q [32/unit][nr][unit], f16 d [nr]
 *	QFORM_4  d (q - 8)                     -               nibbles [16/unit][nr][unit], f16 d [nr]
 *	QFORM_4M d sc q - e mn                 f16 d, e [nr]   nibbles as above, u8 sc, mn [nr]
 *	QFORM_6  d sc (q - 32), sc of 16 k     f16 d [nr]      u8 q as above, i8 sc [2][nr]
 *
 * A low nibble belongs to k, the high one to k + 16. They hold exactly ggml's Q8_0, Q4_0, Q4_K, Q6_K.
 *
 * A tile of m rows of activations: group by group, int8 (or int16, as wide as `act` says) [m][32], f32 scale
 * [m], and what the form starts its sums with: i32 -(offset * sum) [m], of 16 k each in QFORM_6
 * [2][m], or f32 scale * sum [m] in QFORM_4M.
 */
enum qform { QFORM_8, QFORM_4, QFORM_4M, QFORM_6, QFORMS };

typedef void qtile(size_t groups, const void *a, const void *b, const float *c0, size_t ld0, float *c,
	size_t ldc, size_t m, size_t n);

struct kern_qgemm {
	const char *name; /* of the multiplication */
	size_t least;     /* rows that it is for */
	size_t mr, nr, unit, act;
	/* C[m, n] = C0 + A B as in struct kern, k in whole groups. */
	qtile *tile[QFORMS];
	/* NULL, or what a thread does before and after a series of tiles. */
	void (*tiles_on)(void);
	void (*tiles_off)(void);
	/* A tile of m rows, ldx apart, of k values, f32 or bf16; what is missing of the last group counts as
	 * zero. A group with a value that is not finite makes NaN. */
	void (*pack_act)(
		void *a, enum qform form, const void *x, enum dtype t, size_t ldx, size_t k, size_t m);
	/* Groups [from, to) of a panel (at its beginning; from a multiple of QSUPER) of n <= nr outputs,
	 * whose blocks from there on stand in ggml's layout, an output's row_bytes behind the one before.
	 * Outputs from n on are zero. */
	void (*pack)(void *panel, enum qform form, const void *blocks, size_t row_bytes, size_t from,
		size_t to, size_t n);
};

/* Bytes of `groups` groups of a panel (nr outputs), and of a tile of m rows. */
static inline size_t qpanel_bytes(enum qform f, size_t nr, size_t groups)
{
	static const unsigned char head[QFORMS] = { 0, 0, 4, 2 }, group[QFORMS] = { 34, 18, 18, 34 };
	return nr * (groups * group[f] + (groups + QSUPER - 1) / QSUPER * head[f]);
}

static inline size_t qact_bytes(enum qform f, size_t act, size_t m, size_t groups)
{
	return m * groups * (QGROUP * act + 4 + (f == QFORM_6 ? 8 : 4));
}

#endif
