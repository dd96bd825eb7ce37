/* A safetensors file, and where its metadata holds a config, the model in it. */
#include "base/err.h"
#include "model/config.h"
#include "model/load.h"
#include "model/net.h"
#include "tensor/safetensors.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void load(struct safetensors *s, const char *text)
{
	struct config c;
	struct err e;
	const char *name = "input";
	if (config_parse(&c, text, strlen(text), name, &e) < 0 || c.layers > 64)
		return;
	struct model *m = model_shell(&c);
	load_weights(m, &s, &name, 1, name, &e);
	model_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct err e;
	struct safetensors *s = safetensors_parse(data, n, "input", &e);
	volatile unsigned sum = 0;
	if (!s)
		return 0;
	for (size_t i = 0; i < safetensors_count(s); i++) {
		const struct tensor_view *t = safetensors_at(s, i);
		const unsigned char *p = t->data;
		for (size_t b = 0; b < t->count * dtype_size(t->dtype); b++)
			sum += p[b];
		if (safetensors_get(s, t->name) != t)
			__builtin_trap();
	}
	if (safetensors_meta(s, "config"))
		load(s, safetensors_meta(s, "config"));
	safetensors_close(s);
	return 0;
}
