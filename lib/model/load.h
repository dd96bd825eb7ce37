/*
 * load: the readers and writers of single formats behind model_load. Private to lib/model, but for
 * llama2c_write, which convert calls.
 */
#ifndef QUERN_LOAD_H
#define QUERN_LOAD_H

#include "model/model.h"
#include "tensor/quant.h"
#include "tensor/safetensors.h"

int dir_has(const char *dir, const char *file);
/* The checkpoint of a run: what `latest` points to, else the newest complete step-N. To be freed; NULL: none.
 */
char *run_checkpoint(const char *run);

/* Reads the weights of m (a shell: see net.h) out of n files; name is for messages about what is missing. */
int load_weights(struct model *m, struct safetensors **files, const char **file_names, size_t n,
	const char *name, struct err *e);

/* llama2.c's .bin files, versions 0 (legacy, no magic) and 1, float32. */
int llama2c_is_v1(const void *p, size_t n);
struct model *llama2c_read(const void *p, size_t n, const char *name, struct err *e);
/* -1 where llama2.c's fixed arithmetic (rotary base 10000, no biases, ...) is not the model's. */
int llama2c_write(const struct model *m, const char *path, int version, struct err *e);

struct gguf;
struct model *gguf_read(const struct gguf *g, struct err *e);
/* Writes m with its matrices in a type, enum quant (the mixture that llama.cpp makes of it, see convert(1);
 * with `pure` all of them alike), or -1: each as it is stored. -1 where llama.cpp does not compute what m
 * does. */
int gguf_write(const struct model *m, const char *path, int quant, int pure, struct err *e);

#endif
