#include "tensor/quant.h"
#include "base/die.h"
#include "tensor/kern.h"

#include <string.h>

const struct quant_format quant_formats[QUANT_COUNT] = {
	[QUANT_F32] = { "F32", 0, 1, 4 },
	[QUANT_F16] = { "F16", 1, 1, 2 },
	[QUANT_BF16] = { "BF16", 30, 1, 2 },
	[QUANT_Q8_0] = { "Q8_0", 8, 32, 34 },
	[QUANT_Q4_0] = { "Q4_0", 2, 32, 18 },
	[QUANT_Q4_1] = { "Q4_1", 3, 32, 20 },
	[QUANT_Q5_0] = { "Q5_0", 6, 32, 22 },
	[QUANT_Q5_1] = { "Q5_1", 7, 32, 24 },
	[QUANT_Q4_K] = { "Q4_K", 12, 256, 144 },
	[QUANT_Q5_K] = { "Q5_K", 13, 256, 176 },
	[QUANT_Q6_K] = { "Q6_K", 14, 256, 210 },
};

/* Values that one thread takes at a time: whole blocks of every format. */
#define PIECE ((size_t)1 << 16)

int quant_of_ggml(uint32_t ggml_type)
{
	for (int q = 0; q < QUANT_COUNT; q++)
		if (quant_formats[q].ggml_type == ggml_type)
			return q;
	return -1;
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

int quant_parse(const char *name)
{
	for (int q = 0; q < QUANT_COUNT; q++) {
		const char *s = quant_formats[q].name;
		size_t i = 0;
		while (s[i] && upper(name[i]) == s[i])
			i++;
		if (!s[i] && !name[i])
			return q;
	}
	return -1;
}

size_t quant_bytes(enum quant q, size_t n)
{
	return n / quant_formats[q].values * quant_formats[q].bytes;
}

void quant_to_f32(enum quant q, float *y, const void *x, size_t n)
{
	const struct quant_format *f = &quant_formats[q];
	size_t pieces = (n + PIECE - 1) / PIECE;
	ASSERT(n % f->values == 0);
#pragma omp parallel for if (pieces > 1)
	for (size_t i = 0; i < pieces; i++) {
		size_t at = i * PIECE, m = n - at < PIECE ? n - at : PIECE;
		kern()->codes[q].to_f32(y + at, (const char *)x + quant_bytes(q, at), m / f->values);
	}
}

void quant_from_f32(enum quant q, void *y, const float *x, size_t n)
{
	const struct quant_format *f = &quant_formats[q];
	size_t pieces = (n + PIECE - 1) / PIECE;
	ASSERT(n % f->values == 0);
#pragma omp parallel for if (pieces > 1)
	for (size_t i = 0; i < pieces; i++) {
		size_t at = i * PIECE, m = n - at < PIECE ? n - at : PIECE;
		kern()->codes[q].from_f32((char *)y + quant_bytes(q, at), x + at, m / f->values);
	}
}
