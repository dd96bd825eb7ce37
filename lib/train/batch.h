/*
 * batch: the rows of one update as the engine wants them: inputs, targets and sequences, one behind another.
 *
 * A row of context C holds at most C inputs. Every part of a document in it is a sequence of its own
 * (positions from 0, no attention to its neighbours): n consecutive tokens of a document give n - 1 inputs
 * and their n - 1 targets, so a document's first token is never a target. Memory is allocated once, for the
 * largest batch.
 */
#ifndef QUERN_BATCH_H
#define QUERN_BATCH_H

#include "base/err.h"
#include "model/model.h"

struct batch_row {
	size_t input, inputs; /* first index into ids and targets, count */
	size_t seq, seqs;
};

struct batch {
	size_t context, max_rows;
	uint32_t vocab;
	uint32_t *ids, *targets; /* [n]; a target that the loss leaves out is NO_TARGET */
	size_t n;
	struct seq *seqs;
	size_t nseqs;
	struct batch_row *rows;
	size_t nrows;
	size_t ntargets;
	uint64_t tokens; /* of the data that these rows take: what a run counts */
};

void batch_init(struct batch *b, size_t max_rows, size_t context, uint32_t vocab);
void batch_release(struct batch *b);
void batch_reset(struct batch *b);

/* Begins a row (at most max_rows); the parts that follow belong to it. */
void batch_begin_row(struct batch *b);
/* n consecutive tokens of one document; flags as in tokfile.h. A part without inputs is left out. -1: an id
 * outside the vocabulary. */
int batch_add_part(struct batch *b, const uint32_t *ids, const uint8_t *flags, size_t n, struct err *e);
/* n consecutive tokens of a stream, cut into parts where a document starts. */
int batch_add_span(struct batch *b, const uint32_t *ids, const uint8_t *flags, size_t n, struct err *e);
/* Folds the last row into a running digest. */
uint64_t batch_digest_row(const struct batch *b, uint64_t digest);

#endif
