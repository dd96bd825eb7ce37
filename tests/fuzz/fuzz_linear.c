/* Classifier files. The checksum is put right first: what it guards must hold without it. */
#include "text/linear.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	if (n < 8)
		return 0;
	uint8_t *copy = xmalloc(n);
	memcpy(copy, data, n);
	uint64_t sum = hash64(copy, n - 8, 0);
	for (int i = 0; i < 8; i++)
		copy[n - 8 + (size_t)i] = (uint8_t)(sum >> 8 * i);
	struct linear *m = linear_parse(copy, n, &e);
	if (m) {
		uint32_t features[] = { 0, m->shape.buckets - 1, m->shape.buckets / 2 };
		struct linear_scratch s = { 0 };
		float *score = xcalloc(m->labels, sizeof *score);
		linear_score(m, features, 3, &s, score);
		free(score);
		linear_scratch_release(&s);
		linear_free(m);
	}
	free(copy);
	return 0;
}
