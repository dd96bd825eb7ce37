/* A llama2.c model of either version. */
#include "model/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	model_free(llama2c_read(data, n, "input", &e));
	return 0;
}
