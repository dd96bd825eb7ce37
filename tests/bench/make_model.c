/*
 * make_model: a model of random weights as a Hugging Face directory, for benchmarks.
 *
 *	make_model SPEC f32|bf16|f16 DIR [TOKENIZER]	SPEC as train's --arch
 */
#include "model/model.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <string.h>

static int fail(const char *what, const struct err *e)
{
	fprintf(stderr, "make_model: %s\n", e ? e->msg : what);
	return 1;
}

int main(int argc, char **argv)
{
	struct config c;
	struct err e;
	int t = argc > 3 ? dtype_parse(argv[2], strlen(argv[2])) : -1;
	if (t < 0)
		return fail("usage: make_model SPEC f32|bf16|f16 DIR [TOKENIZER]", NULL);
	if (config_preset(&c, argv[1], &e) < 0)
		return fail(NULL, &e);
	struct model *m = model_new(&c);
	model_init(m, 42);
	if (argc > 4 && !(m->tokenizer = model_tokenizer(argv[4], NULL, &e)))
		return fail(NULL, &e);
	if (model_save_new_dir(m, argv[3], (enum dtype)t, &e) < 0)
		return fail(NULL, &e);
	printf("%zu\n", m->count);
	model_free(m);
	return 0;
}
