/* tokenizer.json: a file that loads encodes any text, decodes, and is written so that it reads back. */
#include "toktry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	struct tokenizer *t = tokenizer_parse((const char *)data, n, &e);
	if (t)
		try_tokenizer(t, data, n);
	tokenizer_free(t);
	return 0;
}
