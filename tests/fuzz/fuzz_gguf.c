/* A GGUF file, and the model and tokenizer in it. */
#include "model/gguf_model.h"
#include "model/load.h"
#include "tensor/gguf.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	struct gguf *g = gguf_parse(data, n, "input", &e);
	volatile unsigned sum = 0;
	if (!g)
		return 0;
	for (size_t i = 0; i < gguf_count(g); i++) {
		const struct gguf_tensor *t = gguf_at(g, i);
		const unsigned char *p = t->data;
		for (size_t b = 0; p && b < quant_bytes((enum quant)t->quant, t->count); b++)
			sum += p[b];
		if (gguf_get(g, t->name) != t)
			__builtin_trap();
	}
	tokenizer_free(gguf_tokenizer(g, &e));
	model_free(gguf_read(g, &e));
	gguf_close(g);
	return 0;
}
