/*
 * stream: parameters on their way into a file: converted by all threads, written while the next ones are
 * made, from memory or from where they are stored (weights.h). Private to lib/model.
 */
#ifndef QUERN_STREAM_H
#define QUERN_STREAM_H

#include "model/model.h"

/* How a file wants a matrix. */
struct stream {
	enum quant type;
	size_t pairs;   /* not 0: rows in the order of rope_pair_row for heads of this size */
	int transposed; /* columns as rows */
};

/* Takes the next bytes of a tensor; -1 stops. */
typedef int stream_fn(void *ctx, const void *p, size_t n);

/* Rows are whole blocks of the type. What is stored in that type already goes over as it is. *bad is set
 * where blocks were wanted of values that are not finite. 0, or what give returned. */
int param_stream(const struct param *p, const struct stream *s, stream_fn *give, void *ctx, int *bad);

#endif
