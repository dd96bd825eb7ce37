/* Rank files. */
#include "toktry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	struct tokenizer *t = tok_load_ranks((const char *)data, n, "fuzz", "gpt4", &e);
	if (t)
		try_tokenizer(t, data, n);
	tokenizer_free(t);
	return 0;
}
