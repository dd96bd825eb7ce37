/* Completion and answer, split at the first NUL, through every verifier; the equality of answers is
 * symmetric. */
#include "eval/verify.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const specs[] = { "math", "string:contains", "regex:(-?[0-9.,]+)" };
	const char *p = (const char *)data;
	const char *cut = n ? memchr(p, 0, n) : NULL;
	struct str a = { p, cut ? (size_t)(cut - p) : n }, b = { cut ? cut + 1 : p, cut ? n - a.n - 1 : n };
	struct err e;
	for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
		struct verifier v;
		if (verifier_init(&v, specs[i], &e) < 0)
			abort();
		double r = verifier_score(&v, a, b);
		if (!(r >= 0 && r <= 1))
			abort();
		verifier_release(&v);
	}
	if (n && math_equal(a, b) != math_equal(b, a))
		abort();
	return 0;
}
