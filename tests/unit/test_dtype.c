/* Conversions between the types of tensors. */
#include "tap.h"

#include "tensor/dtype.h"

#include <stdlib.h>

static float through(float f, enum dtype t)
{
	unsigned char buf[9]; /* unaligned on purpose */
	float back;
	from_f32(buf + 1, &f, t, 1);
	to_f32(&back, buf + 1, t, 1);
	return back;
}

/* The nearest f16 by scaling in double: the spacing at |x| is 2^(e - 10), at least 2^-24. */
static float f16_reference(float f)
{
	double x = fabs((double)f);
	if (x >= 65520)
		return copysignf(INFINITY, f);
	int e;
	frexp(x, &e);
	double unit = ldexp(1, (e - 1 < -14 ? -14 : e - 1) - 10);
	return (float)copysign(nearbyint(x / unit) * unit, f);
}

static void test_f16(void)
{
	int all = 1, rounds = 1;
	for (unsigned h = 0; h < 65536; h++) {
		uint16_t in = (uint16_t)h, out;
		float f;
		to_f32(&f, &in, DTYPE_F16, 1);
		from_f32(&out, &f, DTYPE_F16, 1);
		int nan = (h & 0x7c00) == 0x7c00 && h & 0x3ff;
		all &= nan ? isnan(f) && (out & 0x7c00) == 0x7c00 && (out & 0x3ff) : out == in;
	}
	ok(all, "every f16 goes to f32 and back");
	for (uint32_t i = 0; i < 1000000; i++) {
		uint32_t u = i * 2654435761u;
		float f;
		memcpy(&f, &u, 4);
		/* mostly around the range of f16 */
		if (i % 4)
			f = ldexpf(f, -(int)(u >> 23 & 255) + 127 + (int)(i % 45) - 28);
		if (isnan(f))
			continue;
		if (through(f, DTYPE_F16) != f16_reference(f))
			rounds = 0;
	}
	ok(rounds, "f32 to f16 rounds to nearest even, subnormals and overflow included");
}

static void test_bf16(void)
{
	int all = 1;
	for (unsigned h = 0; h < 65536; h++) {
		uint16_t in = (uint16_t)h, out;
		float f;
		to_f32(&f, &in, DTYPE_BF16, 1);
		from_f32(&out, &f, DTYPE_BF16, 1);
		all &= isnan(f) ? isnan(f32_of_bf16(out)) : out == in;
	}
	ok(all, "every bf16 goes to f32 and back");
	ok(through(1.00390625f, DTYPE_BF16) == 1 && through(1.01171875f, DTYPE_BF16) == 1.015625f,
		"ties go to even");
	ok(through(3.4e38f, DTYPE_BF16) == INFINITY, "bf16 overflows to infinity");
}

static void test_specials(void)
{
	static const enum dtype types[] = { DTYPE_F32, DTYPE_BF16, DTYPE_F16, DTYPE_F64 };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		ok(isnan(through(NAN, types[i])) && through(INFINITY, types[i]) == INFINITY &&
				through(-INFINITY, types[i]) == -INFINITY &&
				signbit(through(-0.0f, types[i])) && through(-1.5f, types[i]) == -1.5f,
			"%s: NaN, infinities, minus zero", dtype_name(types[i]));
}

static void test_names(void)
{
	int all = 1;
	for (int t = 0; t < DTYPE_COUNT; t++)
		all &= dtype_parse(dtype_name((enum dtype)t), strlen(dtype_name((enum dtype)t))) == t;
	ok(all, "every name is parsed to its type");
	ok(dtype_parse("bfloat16", 8) == DTYPE_BF16 && dtype_parse("Float32", 7) == DTYPE_F32 &&
			dtype_parse("bf16", 4) == DTYPE_BF16,
		"other spellings");
	ok(dtype_parse("f3", 2) == -1 && dtype_parse("", 0) == -1 && dtype_parse("f322", 4) == -1,
		"unknown names");
	ok(dtype_size(DTYPE_BF16) == 2 && dtype_size(DTYPE_I64) == 8 && dtype_size(DTYPE_BOOL) == 1, "sizes");
}

int main(void)
{
	test_f16();
	test_bf16();
	test_specials();
	test_names();
	return tap_end();
}
