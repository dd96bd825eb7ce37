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
	DTYPE_F64, /* the last that is a floating-point number */
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

/* Written as choices, so that loops over them become vectors. */
static inline float f32_of_f16(uint16_t h)
{
	union {
		uint32_t u;
		float f;
	} x, small;
	uint32_t sign = (uint32_t)(h & 0x8000u) << 16, a = h & 0x7fffu;
	x.u = (a << 13) + (a >= 0x7c00 ? 0x70000000 : 0x38000000);
	small.f = (float)(int32_t)a * 0x1p-24f; /* subnormal: exact */
	x.u = sign | (a < 0x400 ? small.u : x.u);
	return x.f;
}

static inline uint16_t f16_of(float f)
{
	union {
		float f;
		uint32_t u;
	} x = { f }, small;
	uint32_t sign = x.u >> 16 & 0x8000, a = x.u & 0x7fffffff;
	x.u = a;
	small.f = x.f + 0.5f; /* below 2^-14: its last bit is then f32's, rounded */
	uint32_t h = (a + 0xfff + (a >> 13 & 1) - 0x38000000) >> 13;
	h = a < 0x38800000 ? small.u - 0x3f000000 : h;
	h = a >= 0x477ff000 ? 0x7c00 : h; /* from the middle between the largest f16 and the next: infinity */
	h = a > 0x7f800000 ? 0x7e00 | (a >> 13 & 0x1ff) : h;
	return (uint16_t)(sign | h);
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
