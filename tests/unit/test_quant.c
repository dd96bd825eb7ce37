/* The formats of stored weights against the bytes of ggml's reference functions, under every instruction set.
 */
#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "tap.h"
#include "tensor/kern.h"
#include "tensor/quant.h"
#include "tensor/safetensors.h"

#include <stdlib.h>

static void test_table(void)
{
	for (int q = 0; q < QUANT_COUNT; q++)
		ok(quant_parse(quant_formats[q].name) == q && quant_of_ggml(quant_formats[q].ggml_type) == q,
			"%s is found by its name and by its number", quant_formats[q].name);
	ok(quant_parse("q4_k") == QUANT_Q4_K && quant_parse("q4") < 0 && quant_parse("q4_k_m") < 0 &&
			quant_parse("") < 0 && quant_of_ggml(5) < 0,
		"others are not");
	ok(quant_bytes(QUANT_Q6_K, 512) == 420 && quant_bytes(QUANT_BF16, 3) == 6, "sizes");
}

static void check(const struct safetensors *ref, enum quant q, const char *isa)
{
	const char *name = quant_formats[q].name;
	const struct tensor_view *x = safetensors_get(ref, "x"), *want = safetensors_get(ref, name);
	char *f32 = xasprintf("%s.f32", name);
	const struct tensor_view *back = safetensors_get(ref, f32);
	size_t n = x->count;
	char *bytes = xcalloc(n, sizeof(float));
	float *values = xcalloc(n, sizeof *values), *in = xcalloc(n, sizeof *in);
	memcpy(in, x->data, n * sizeof *in);
	quant_from_f32(q, bytes, in, n);
	ok(want->count == quant_bytes(q, n) && memcmp(bytes, want->data, want->count) == 0,
		"%s, %s: the bytes", isa, name);
	/* From an odd address, as a file may have it. */
	memmove(bytes + 1, bytes, want->count);
	quant_to_f32(q, values, bytes + 1, n);
	if (back)
		ok(memcmp(values, back->data, n * sizeof *values) == 0, "%s, %s: the values", isa, name);
	/* A part of an odd number of blocks, as it stands in the whole. */
	size_t part = 3 * quant_formats[q].values;
	quant_from_f32(q, bytes, in, part);
	ok(memcmp(bytes, want->data, quant_bytes(q, part)) == 0, "%s, %s: three blocks alone", isa, name);
	free(f32);
	free(bytes);
	free(values);
	free(in);
}

static void test_reference(void)
{
	struct err e = { "" };
	struct safetensors *ref = safetensors_open("tests/ref/quant.safetensors", &e);
	ok(ref != NULL, "the reference is there %s", e.msg);
	if (!ref)
		return;
	for (size_t i = 0; kern_table[i]; i++) {
		if (kern_select(kern_table[i]->name) < 0) {
			skip("%s: not supported here", kern_table[i]->name);
			continue;
		}
		for (int q = 0; q < QUANT_COUNT; q++)
			if (safetensors_get(ref, quant_formats[q].name))
				check(ref, (enum quant)q, kern_table[i]->name);
	}
	kern_select(NULL);
	safetensors_close(ref);
}

/* What roundf does, done by adding almost a half. */
static void test_rounding(void)
{
	struct rng r;
	float x[32] = { 127 }; /* a scale of one */
	size_t wrong = 0;
	rng_init(&r, 1, 1);
	for (size_t i = 0; i < 20000; i++) {
		unsigned char block[34];
		for (size_t j = 1; j < 32; j++) {
			float half = floorf((float)(rng_uniform(&r) * 252)) - 126 + 0.5f;
			float f = j % 3 == 0   ? half
				  : j % 3 == 1 ? nextafterf(half, 0)
					       : (float)(rng_uniform(&r) * 254 - 127);
			x[j] = f;
		}
		quant_from_f32(QUANT_Q8_0, block, x, 32);
		for (size_t j = 0; j < 32; j++)
			wrong += (signed char)block[2 + j] != (int)roundf(x[j]);
	}
	ok(wrong == 0, "halves are rounded away from zero: %zu are not", wrong);
}

static void test_threads(void)
{
	size_t n = (size_t)1 << 19;
	float *x = xcalloc(n, sizeof *x), *y = xcalloc(n, sizeof *y), *z = xcalloc(n, sizeof *z);
	char *one = xcalloc(n, sizeof *x), *three = xcalloc(n, sizeof *x);
	struct rng r;
	rng_init(&r, 2, 2);
	for (size_t i = 0; i < n; i++)
		x[i] = (float)rng_normal(&r);
	for (int q = 0; q < QUANT_COUNT; q++) {
		par_set_threads(1);
		quant_from_f32((enum quant)q, one, x, n);
		quant_to_f32((enum quant)q, y, one, n);
		par_set_threads(3);
		quant_from_f32((enum quant)q, three, x, n);
		quant_to_f32((enum quant)q, z, one, n);
		ok(memcmp(one, three, quant_bytes((enum quant)q, n)) == 0 && memcmp(y, z, n * sizeof *y) == 0,
			"%s: 1 and 3 threads make the same bytes", quant_formats[q].name);
	}
	free(x);
	free(y);
	free(z);
	free(one);
	free(three);
}

int main(void)
{
	test_table();
	test_reference();
	test_rounding();
	test_threads();
	return tap_end();
}
