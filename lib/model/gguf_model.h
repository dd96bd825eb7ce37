/*
 * gguf_model: what load and save of GGUF files share: names, and the tokenizer both ways. Private to
 * lib/model.
 */
#ifndef QUERN_GGUF_MODEL_H
#define QUERN_GGUF_MODEL_H

#include "model/arch.h"
#include "model/model.h"
#include "tensor/gguf.h"

/* Names of tensors by role, '*' for the layer, the same for all architectures. */
extern const char *const gguf_roles[ROLE_COUNT];

/* A parameter of a model and its tensor in a GGUF file. */
struct gguf_param {
	char *name; /* the tensor's */
	enum role role;
	size_t layer;
	int is_bias;
};
/* One for each parameter, in their order; to be freed by gguf_params_free. */
struct gguf_param *gguf_params(const struct model *m);
void gguf_params_free(struct gguf_param *p, size_t n);
/* Rows of q and k, in which pairs stand side by side in the file. */
int gguf_is_turned(const struct model *m, const struct gguf_param *p);

/* The tokenizer in the metadata: NULL and no error (e->msg empty) when there is none. */
struct tokenizer *gguf_tokenizer(const struct gguf *g, struct err *e);
/* -1 where llama.cpp has no way to say it. vocab: the model's vocab_size. */
int gguf_put_tokenizer(struct gguf_writer *w, const struct model *m, struct err *e);

#endif
