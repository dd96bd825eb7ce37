/* sentencepiece models. */
#include "toktry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	struct tokenizer *t =
		tok_is_spm((const char *)data, n) ? tok_load_spm((const char *)data, n, &e) : NULL;
	if (t)
		try_tokenizer(t, data, n);
	tokenizer_free(t);
	return 0;
}
