#include "tensor/dtype.h"
#include "base/die.h"
#include "tensor/kern.h"
#include "tensor/quant.h"

#include <string.h>

static const struct {
	const char *name;
	size_t size;
} dtypes[DTYPE_COUNT] = {
	[DTYPE_F32] = { "F32", 4 },
	[DTYPE_BF16] = { "BF16", 2 },
	[DTYPE_F16] = { "F16", 2 },
	[DTYPE_F64] = { "F64", 8 },
	[DTYPE_I64] = { "I64", 8 },
	[DTYPE_I32] = { "I32", 4 },
	[DTYPE_I16] = { "I16", 2 },
	[DTYPE_I8] = { "I8", 1 },
	[DTYPE_U8] = { "U8", 1 },
	[DTYPE_BOOL] = { "BOOL", 1 },
};

/* The spellings of PyTorch, numpy and command lines, besides those of safetensors. */
static const struct {
	const char *name;
	enum dtype t;
} aliases[] = {
	{ "float32", DTYPE_F32 },
	{ "float", DTYPE_F32 },
	{ "fp32", DTYPE_F32 },
	{ "bfloat16", DTYPE_BF16 },
	{ "float16", DTYPE_F16 },
	{ "half", DTYPE_F16 },
	{ "fp16", DTYPE_F16 },
	{ "float64", DTYPE_F64 },
	{ "double", DTYPE_F64 },
	{ "fp64", DTYPE_F64 },
	{ "int64", DTYPE_I64 },
	{ "int32", DTYPE_I32 },
	{ "int16", DTYPE_I16 },
	{ "int8", DTYPE_I8 },
	{ "uint8", DTYPE_U8 },
};

size_t dtype_size(enum dtype t)
{
	return dtypes[t].size;
}

const char *dtype_name(enum dtype t)
{
	return dtypes[t].name;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static int same_name(const char *name, const char *s, size_t n)
{
	if (strlen(name) != n)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (lower(name[i]) != lower(s[i]))
			return 0;
	return 1;
}

int dtype_parse(const char *s, size_t n)
{
	for (int t = 0; t < DTYPE_COUNT; t++)
		if (same_name(dtypes[t].name, s, n))
			return t;
	for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
		if (same_name(aliases[i].name, s, n))
			return (int)aliases[i].t;
	return -1;
}

static enum quant quant_of(enum dtype t)
{
	return t == DTYPE_F32 ? QUANT_F32 : t == DTYPE_BF16 ? QUANT_BF16 : QUANT_F16;
}

void to_f32(float *dst, const void *src, enum dtype t, size_t n)
{
	const unsigned char *p = src;
	ASSERT(t <= DTYPE_F64);
	if (!n)
		return;
	if (t != DTYPE_F64) {
		kern()->codes[quant_of(t)].to_f32(dst, src, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		double d;
		memcpy(&d, p + 8 * i, 8);
		dst[i] = (float)d;
	}
}

void from_f32(void *dst, const float *src, enum dtype t, size_t n)
{
	unsigned char *p = dst;
	ASSERT(t <= DTYPE_F64);
	if (!n)
		return;
	if (t != DTYPE_F64) {
		kern()->codes[quant_of(t)].from_f32(dst, src, n);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		double d = src[i];
		memcpy(p + 8 * i, &d, 8);
	}
}
