/*
 * linear: a classifier of texts that is linear in hashed n-grams of words: the class of fastText's supervised
 * models (Joulin et al. 2016), with the embedding and the output layer multiplied out. The weights of a label
 * are one number a feature, so that with two labels a feature costs one addition.
 *
 * Features are the words and the n-grams of 2 .. ngram words, each hashed into one of `buckets`; of these
 * only the ones that were seen in training (at least min_count times) have weights and count. Scores are the
 * softmax of bias[c] + sum of weight[f][c] / sqrt(number of features); with two labels the sigmoid of one
 * such sum, which is that of the second label.
 *
 * The file format is described in filter(1). A loaded classifier is read-only and shared by threads.
 */
#ifndef QUERN_LINEAR_H
#define QUERN_LINEAR_H

#include "base/buf.h"
#include "base/err.h"
#include "text/words.h"

#define LINEAR_MAX_NGRAM 8
#define LINEAR_MAX_LABELS 65535
#define LINEAR_MAX_BUCKETS (UINT32_C(1) << 30)

struct linear_shape {
	enum words_mode words;
	uint32_t ngram, buckets;
};

/* Buckets of the features of a text, in order; grows *out. The count. */
size_t linear_features(const struct linear_shape *s, const struct words *w, uint32_t **out, size_t *cap);

struct linear {
	struct linear_shape shape;
	size_t labels, cols; /* cols: 1 for two labels, else the number of labels */
	struct str *label;   /* [labels] in ascending order of bytes */
	char *about;         /* JSON: what made it */
	float *bias;         /* [cols] */
	uint32_t *row;       /* [buckets] row + 1 of the bucket, 0 when it has no weights */
	size_t rows;
	float *weight; /* [rows][cols] */
};

/* A classifier without rows, all zero. The labels are copied. */
struct linear *linear_new(struct linear_shape s, const struct str *label, size_t labels);
void linear_free(struct linear *m);

struct linear *linear_load(const char *path, struct err *e);
/* The same from memory; messages have no file name. */
struct linear *linear_parse(const void *p, size_t n, struct err *e);
void linear_write(const struct linear *m, struct buf *out);

/* Scratch of one thread. */
struct linear_scratch {
	uint32_t *features;
	size_t cap;
	double *sum; /* [cols] */
};
void linear_scratch_release(struct linear_scratch *s);

/* Probabilities of the labels given the buckets of a text; the most probable label, the first of equals. */
size_t linear_score(
	const struct linear *m, const uint32_t *feature, size_t n, struct linear_scratch *s, float *score);
/* The same from the words, which must be split in m's mode. */
size_t linear_judge(const struct linear *m, const struct words *w, struct linear_scratch *s, float *score);

/* --- training --- */

struct linear_config {
	struct linear_shape shape;
	double lr;
	uint32_t epochs, min_count;
	uint64_t seed;
};
struct linear_report {
	uint64_t docs, features;
	double loss, accuracy; /* of the last pass, each document before it was learnt from */
	char data[33];         /* fingerprint of labels and features, in order */
};

/* Documents are added one after the other, then learnt from in passes of seeded random order. Their features
 * wait in a temporary file (folder `temp`, see spill.h), so that memory does not grow with the text. */
struct linear_trainer *linear_trainer_new(const struct linear_config *c, const char *temp, struct err *e);
int linear_trainer_add(
	struct linear_trainer *t, struct str label, const uint32_t *feature, size_t n, struct err *e);
/* Learns; the result does not depend on the number of threads. `tick` (may be NULL) is called with documents
 * done. Once a trainer. NULL on failure: fewer than two labels, or the temporary file. */
struct linear *linear_trainer_run(struct linear_trainer *t, int threads,
	void (*tick)(void *ctx, uint64_t done, uint64_t total), void *ctx, struct linear_report *report,
	struct err *e);
void linear_trainer_free(struct linear_trainer *t);

#endif
