/*
 * moment: what an optimiser remembers of a tensor, in f32, in bf16, or in 8 bits.
 *
 * bf16 is rounded at random (to a neighbour, nearer ones more often, so that small changes are not lost); the
 * numbers come from a seed and the count of updates, so that they are the same in every run.
 *
 * 8 bits are a code by blocks: the largest magnitude of a block, and for each value one of 256 shares of it
 * that are denser towards zero (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization"; blocks
 * of 256 as its authors' later library has them). Values that are never negative get twice as fine a code,
 * and one above zero never becomes zero: AdamW divides by them.
 */
#ifndef QUERN_MOMENT_H
#define QUERN_MOMENT_H

#include <stddef.h>
#include <stdint.h>

#define MOMENT_WORDS "f32|bf16|8bit" /* in the order of moment_type */
enum moment_type { MOMENT_F32, MOMENT_BF16, MOMENT_8BIT };
#define MOMENT_BLOCK 256 /* values that are read and written at once; pieces begin at its multiples */

struct moment {
	enum moment_type type;
	int is_signed;
	size_t count;
	void *v;      /* count values: float, bf16, or codes */
	float *scale; /* 8 bits: of each block; NULL otherwise */
};

/* Blocks that have a scale: none unless 8 bits. */
size_t moment_blocks(const struct moment *m);
/* Bytes of v and scale. */
size_t moment_bytes(enum moment_type t, size_t count);
/* Lays the moment out in zeroed memory of moment_bytes, aligned to 64 bytes. All values are zero. */
void moment_place(struct moment *m, enum moment_type t, int is_signed, size_t count, void *memory);
/* Values [at, at + n), n <= MOMENT_BLOCK, at a multiple of it. f32: a pointer to the values themselves; else
 * to, filled in. */
float *moment_read(const struct moment *m, size_t at, size_t n, float *to);
/* Writes back what moment_read gave. key: any number that no other write of the run shares. */
void moment_write(struct moment *m, size_t at, size_t n, const float *from, uint64_t key);

#endif
