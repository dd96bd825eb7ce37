/*
 * safetensors: the checkpoint file format (8-byte header length, JSON header, data), read by mapping and
 * written as a stream. Headers, offsets, shapes and overlaps are checked before use. "-" reads a pipe into
 * memory.
 */
#ifndef QUERN_SAFETENSORS_H
#define QUERN_SAFETENSORS_H

#include "base/err.h"
#include "base/io.h"
#include "tensor/dtype.h"

#define TENSOR_MAX_DIMS 8

struct tensor_view {
	const char *name;
	enum dtype dtype;
	int ndim;
	size_t shape[TENSOR_MAX_DIMS];
	size_t count;     /* elements */
	const void *data; /* may be unaligned */
};

struct safetensors;
struct safetensors *safetensors_open(const char *path, struct err *e);
/* From memory; p stays the caller's and outlives it. name is for messages. */
struct safetensors *safetensors_parse(const void *p, size_t n, const char *name, struct err *e);
size_t safetensors_count(const struct safetensors *s);
const struct tensor_view *safetensors_at(const struct safetensors *s, size_t i); /* in file order */
const struct tensor_view *safetensors_get(
	const struct safetensors *s, const char *name);                     /* NULL when absent */
const char *safetensors_meta(const struct safetensors *s, const char *key); /* NULL when absent */
void safetensors_close(struct safetensors *s);

/* Writing: declare all tensors, then give their data in that order. */
struct safetensors_writer;
struct safetensors_writer *safetensors_writer_new(void);
void safetensors_writer_meta(struct safetensors_writer *s, const char *key, const char *value, size_t n);
void safetensors_writer_declare(
	struct safetensors_writer *s, const char *name, enum dtype t, int ndim, const size_t *shape);
/* Header (padded with spaces to 8 bytes) to w; then the data of each tensor by safetensors_writer_data. */
int safetensors_writer_begin(struct safetensors_writer *s, struct writer *w);
int safetensors_writer_data(struct safetensors_writer *s, const void *data, size_t bytes);
/* The same from f32, converted to the declared dtype in pieces. */
int safetensors_writer_f32(struct safetensors_writer *s, const float *data, size_t count);
/* A bug when data is missing. Frees s; the writer is the caller's to commit. */
void safetensors_writer_end(struct safetensors_writer *s);
void safetensors_writer_free(struct safetensors_writer *s);

#endif
