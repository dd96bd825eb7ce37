/*
 * dtype: element types of tensors in files and in arithmetic, and conversions.
 */
#ifndef QUERN_DTYPE_H
#define QUERN_DTYPE_H

#include <stddef.h>
#include <stdint.h>

enum dtype {
	DTYPE_F32,
	DTYPE_BF16,
	DTYPE_F16,
	DTYPE_F64,
	DTYPE_I64,
	DTYPE_I32,
	DTYPE_I16,
	DTYPE_I8,
	DTYPE_U8,
	DTYPE_BOOL,
	DTYPE_COUNT
};

size_t dtype_size(enum dtype t);
const char *dtype_name(enum dtype t); /* safetensors' spelling: "F32", "BF16", ... */
int dtype_parse(const char *s,
	size_t n); /* the dtype, -1 when unknown; any letter case; also "float32", "bfloat16" */

/* To f32 from DTYPE_F32, BF16, F16, F64 (unaligned source), and back (round to nearest even; overflow of F16
 * gives infinity; NaN stays NaN). Serial; pure. */
void to_f32(float *dst, const void *src, enum dtype t, size_t n);
void from_f32(void *dst, const float *src, enum dtype t, size_t n);

static inline uint16_t bf16_of(float f)
{
	union {
		float f;
		uint32_t u;
	} x = { f };
	if ((x.u & 0x7fffffffu) > 0x7f800000u) /* NaN: keep it one */
		return (uint16_t)(x.u >> 16 | 0x40);
	return (uint16_t)((x.u + 0x7fffu + (x.u >> 16 & 1)) >> 16);
}

static inline float f32_of_bf16(uint16_t h)
{
	union {
		uint32_t u;
		float f;
	} x = { (uint32_t)h << 16 };
	return x.f;
}

#endif
