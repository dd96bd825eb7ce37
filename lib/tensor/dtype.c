#include "tensor/dtype.h"
#include "base/die.h"

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

static float f32_of_bits(uint32_t u)
{
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}

static uint32_t bits_of_f32(float f)
{
	uint32_t u;
	memcpy(&u, &f, sizeof u);
	return u;
}

static float f32_of_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, e = h >> 10 & 31, m = h & 0x3ff;
	if (e == 31)
		return f32_of_bits(sign | 0x7f800000 | m << 13);
	if (e)
		return f32_of_bits(sign | (e + 112) << 23 | m << 13);
	/* Subnormal: m * 2^-24 is exact in f32. */
	float f = (float)m * 0x1p-24f;
	return sign ? -f : f;
}

static uint16_t f16_of(float f)
{
	uint32_t u = bits_of_f32(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
	if (a > 0x7f800000)
		return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x1ff));
	if (a >= 0x477ff000) /* 65520, the middle between the largest f16 and the next: to infinity */
		return (uint16_t)(sign | 0x7c00);
	if (a < 0x38800000) { /* below 2^-14: adding 2^-1 puts the f16 subnormal's last bit at f32's, rounded
			       */
		float r = f32_of_bits(a) + 0.5f;
		return (uint16_t)(sign | (bits_of_f32(r) - 0x3f000000));
	}
	a += 0xfff + (a >> 13 & 1);
	return (uint16_t)(sign | (a - 0x38000000) >> 13);
}

void to_f32(float *dst, const void *src, enum dtype t, size_t n)
{
	const unsigned char *p = src;
	switch (t) {
	case DTYPE_F32:
		if (n)
			memcpy(dst, src, n * sizeof *dst);
		break;
	case DTYPE_BF16:
		for (size_t i = 0; i < n; i++) {
			uint16_t h;
			memcpy(&h, p + 2 * i, 2);
			dst[i] = f32_of_bf16(h);
		}
		break;
	case DTYPE_F16:
		for (size_t i = 0; i < n; i++) {
			uint16_t h;
			memcpy(&h, p + 2 * i, 2);
			dst[i] = f32_of_f16(h);
		}
		break;
	case DTYPE_F64:
		for (size_t i = 0; i < n; i++) {
			double d;
			memcpy(&d, p + 8 * i, 8);
			dst[i] = (float)d;
		}
		break;
	default:
		BUG("to_f32 of a type that is no floating-point number");
	}
}

void from_f32(void *dst, const float *src, enum dtype t, size_t n)
{
	unsigned char *p = dst;
	switch (t) {
	case DTYPE_F32:
		if (n)
			memcpy(dst, src, n * sizeof *src);
		break;
	case DTYPE_BF16:
		for (size_t i = 0; i < n; i++) {
			uint16_t h = bf16_of(src[i]);
			memcpy(p + 2 * i, &h, 2);
		}
		break;
	case DTYPE_F16:
		for (size_t i = 0; i < n; i++) {
			uint16_t h = f16_of(src[i]);
			memcpy(p + 2 * i, &h, 2);
		}
		break;
	case DTYPE_F64:
		for (size_t i = 0; i < n; i++) {
			double d = src[i];
			memcpy(p + 8 * i, &d, 8);
		}
		break;
	default:
		BUG("from_f32 to a type that is no floating-point number");
	}
}
