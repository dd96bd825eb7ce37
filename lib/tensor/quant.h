/*
 * quant: the formats of stored weights: plain numbers, and blocks of quantised ones, byte for byte as ggml
 * defines and makes them.
 *
 * A row of a matrix is whole blocks. A block of the older formats (Q8_0, Q4_0, ...) has one scale, in f16; a
 * K block has 256 values in sub-blocks whose scales are quantised themselves. The work is done by the kernel
 * table; the bytes are the same under every instruction set and for any number of threads.
 *
 * To add a format: a word here, its row in quant.c (id as ggml_type has it), its two directions in
 * kern_quant.h (the same order), vectors in tests/ref/make_quant.py.
 */
#ifndef QUERN_QUANT_H
#define QUERN_QUANT_H

#include <stddef.h>
#include <stdint.h>

enum quant {
	QUANT_F32,
	QUANT_F16,
	QUANT_BF16,
	QUANT_Q8_0,
	QUANT_Q4_0,
	QUANT_Q4_1,
	QUANT_Q5_0,
	QUANT_Q5_1,
	QUANT_Q4_K,
	QUANT_Q5_K,
	QUANT_Q6_K,
	QUANT_COUNT
};

struct quant_format {
	const char *name;     /* upper case, as ggml prints it */
	uint32_t ggml_type;   /* in GGUF files */
	size_t values, bytes; /* of a block */
};
extern const struct quant_format quant_formats[QUANT_COUNT];

int quant_of_ggml(uint32_t ggml_type); /* -1 when unknown */
int quant_parse(const char *name);     /* any letter case; -1 when unknown */
/* Bytes of n values, which are whole blocks. */
size_t quant_bytes(enum quant q, size_t n);

/* n values, whole blocks. x may be unaligned. Parallel inside. Values that are not finite make blocks that
 * mean nothing in the quantised formats. */
void quant_to_f32(enum quant q, float *y, const void *x, size_t n);
void quant_from_f32(enum quant q, void *y, const float *x, size_t n);

#endif
