/*
 * gguf: the model files of llama.cpp: metadata and tensors, read where they are mapped, and written as a
 * stream. Versions 2 and 3, little-endian. Every length and offset is checked before it is used; nothing is
 * copied but names.
 *
 * Dimensions are given as elsewhere here, the outermost first; a file has them the other way round.
 */
#ifndef QUERN_GGUF_H
#define QUERN_GGUF_H

#include "base/cur.h"
#include "base/err.h"
#include "base/io.h"
#include "tensor/quant.h"

#define GGUF_MAX_DIMS 4

/* Types of metadata, as numbered in files. */
enum gguf_type {
	GGUF_U8,
	GGUF_I8,
	GGUF_U16,
	GGUF_I16,
	GGUF_U32,
	GGUF_I32,
	GGUF_F32,
	GGUF_BOOL,
	GGUF_STR,
	GGUF_ARRAY,
	GGUF_U64,
	GGUF_I64,
	GGUF_F64,
	GGUF_TYPES
};

struct gguf_tensor {
	const char *name;
	int quant; /* enum quant; -1: a type that is not read, of unknown size */
	uint32_t ggml_type;
	int ndim;
	size_t shape[GGUF_MAX_DIMS], count;
	const void *data; /* NULL when the type is unknown; may be unaligned */
};

struct gguf;
int gguf_is(const void *p, size_t n);                    /* by the magic */
struct gguf *gguf_open(const char *path, struct err *e); /* a regular file */
/* From memory; p stays the caller's and outlives it. name is for messages. */
struct gguf *gguf_parse(const void *p, size_t n, const char *name, struct err *e);
void gguf_close(struct gguf *g);             /* takes NULL */
const char *gguf_name(const struct gguf *g); /* of the file, for messages */

size_t gguf_count(const struct gguf *g);
const struct gguf_tensor *gguf_at(const struct gguf *g, size_t i);          /* in the order of the file */
const struct gguf_tensor *gguf_get(const struct gguf *g, const char *name); /* NULL when absent */

/* Metadata: 1 when found, 0 when absent, -1 and a message when it is something else. An integer of any width
 * (a list is fine when all are the same: a value for each layer); a number of any type. */
int gguf_int(const struct gguf *g, const char *key, int64_t *v, struct err *e);
int gguf_num(const struct gguf *g, const char *key, double *v, struct err *e);
int gguf_bool(const struct gguf *g, const char *key, int *v, struct err *e);
int gguf_str(const struct gguf *g, const char *key, struct str *v, struct err *e);

/* The items of a list, one after another. */
struct gguf_items {
	enum gguf_type type;
	size_t n; /* that are left */
	struct cur at;
};
/* of: GGUF_STR, or any type of number for a list of numbers. As above. */
int gguf_items(
	const struct gguf *g, const char *key, enum gguf_type of, struct gguf_items *it, struct err *e);
struct str gguf_next_str(struct gguf_items *it); /* a bug when none is left */
double gguf_next_num(struct gguf_items *it);

/* Writing: metadata and tensors are declared, then come the tensors' values in that order. */
struct gguf_writer;
struct gguf_writer *gguf_writer_new(void);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, int v);
void gguf_put_str(struct gguf_writer *w, const char *key, struct str v);
void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
/* A bug where rows are not whole blocks. */
void gguf_declare(struct gguf_writer *w, const char *name, enum quant q, int ndim, const size_t *shape);
/* Writes the header; then values of the tensors, converted to what was declared, whole blocks of one tensor a
 * call. */
int gguf_begin(struct gguf_writer *w, struct writer *out);
int gguf_values(struct gguf_writer *w, const float *x, size_t n);
/* The same in the format that was declared: n bytes, of one tensor. */
int gguf_bytes(struct gguf_writer *w, const void *p, size_t n);
/* A bug when values are missing. Frees w; the writer is the caller's to commit. */
void gguf_end(struct gguf_writer *w);
void gguf_writer_free(struct gguf_writer *w);

#endif
