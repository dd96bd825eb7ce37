#include "model/stream.h"
#include "base/mem.h"
#include "model/rope.h"
#include "model/weights.h"
#include "tensor/kern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GROUP ((size_t)1 << 14) /* values that one thread makes at a time */
#define PIECE ((size_t)1 << 21) /* and that are written at a time */

struct job {
	const struct param *p;
	const struct stream *s;
	size_t rows, cols, bytes; /* of the file's tensor, and of a row */
	size_t group, piece;      /* in rows */
	int bad;
};

static size_t at_least_one(size_t n)
{
	return n ? n : 1;
}

static struct job plan(const struct param *p, const struct stream *s)
{
	struct job j = { .p = p, .s = s, .rows = p->shape[0], .cols = p->shape[1] };
	if (p->ndim == 1) { /* whole, or value by value where they change places */
		j.rows = s->pairs ? p->count : 1;
		j.cols = s->pairs ? 1 : p->count;
	} else if (s->transposed) {
		j.rows = p->shape[1];
		j.cols = p->shape[0];
	}
	j.bytes = quant_bytes(s->type, j.cols);
	j.group = at_least_one(GROUP / j.cols);
	j.piece = at_least_one(PIECE / j.cols / j.group) * j.group;
	return j;
}

/* The parameter's row for one of the file. */
static size_t own_row(const struct job *j, size_t row)
{
	return j->s->pairs ? rope_row_of_pair(row, j->s->pairs) : row;
}

static void take_row(const struct job *j, size_t row, float *out)
{
	const struct param *p = j->p;
	if (p->ndim == 1)
		memcpy(out, p->w + own_row(j, row) * j->cols, j->cols * sizeof *out);
	else if (!j->s->transposed)
		param_row(p, own_row(j, row), 0, j->cols, out);
	else
		for (size_t i = 0; i < j->cols; i++)
			out[i] = p->w[i * j->rows + row];
}

/* Rows [row, row + n) into out. */
static void make_rows(struct job *j, size_t row, size_t n, char *out, float *scratch)
{
	enum quant q = j->s->type;
	size_t blocks = quant_formats[q].values, finite = 1;
	if (j->p->ndim == 2 && j->p->stored && j->p->stored_type == q && !j->s->transposed) {
		for (size_t i = 0; i < n; i++)
			memcpy(out + i * j->bytes, param_stored(j->p, own_row(j, row + i)), j->bytes);
		return;
	}
	for (size_t i = 0; i < n; i++)
		take_row(j, row + i, scratch + i * j->cols);
	for (size_t i = 0; blocks > 1 && i < n * j->cols; i++)
		finite &= isfinite(scratch[i]) != 0;
	if (!finite) {
#pragma omp atomic write
		j->bad = 1;
	}
	kern()->codes[q].from_f32(out, scratch, n * j->cols / blocks);
}

/* Piece k into `next`, while one of the threads first writes what is in `last`. */
static int make_piece(struct job *j, size_t k, char *next, const char *last, stream_fn *give, void *ctx)
{
	size_t from = k * j->piece, n = j->rows - from < j->piece ? j->rows - from : j->piece;
	size_t groups = (n + j->group - 1) / j->group;
	int rc = 0;
#pragma omp parallel if (groups > 1)
	{
		float *scratch = xreallocarray(NULL, j->group, mul_size(j->cols, sizeof *scratch));
#pragma omp single nowait
		if (k)
			rc = give(ctx, last, j->piece * j->bytes);
#pragma omp for schedule(dynamic)
		for (size_t g = 0; g < groups; g++) {
			size_t at = g * j->group, m = n - at < j->group ? n - at : j->group;
			make_rows(j, from + at, m, next + at * j->bytes, scratch);
		}
		free(scratch);
	}
	return rc;
}

/* Lies it somewhere as the file wants it? */
static const void *lies(const struct param *p, const struct stream *s)
{
	if (s->transposed || s->pairs != (p->stored ? p->pairs : 0))
		return NULL;
	return p->stored && p->stored_type == s->type ? p->stored
	       : !p->stored && s->type == QUANT_F32   ? p->w
						      : NULL;
}

int param_stream(const struct param *p, const struct stream *s, stream_fn *give, void *ctx, int *bad)
{
	struct job j = plan(p, s);
	const void *whole = lies(p, s);
	if (whole)
		return give(ctx, whole, j.rows * j.bytes);
	size_t pieces = (j.rows + j.piece - 1) / j.piece;
	char *buf[2];
	int rc = 0;
	for (size_t i = 0; i < 2; i++)
		buf[i] = xreallocarray(NULL, j.piece < j.rows ? j.piece : j.rows, j.bytes);
	for (size_t k = 0; rc == 0 && k < pieces; k++)
		rc = make_piece(&j, k, buf[k % 2], buf[(k + 1) % 2], give, ctx);
	if (rc == 0)
		rc = give(ctx, buf[(pieces - 1) % 2], (j.rows - (pieces - 1) * j.piece) * j.bytes);
	free(buf[0]);
	free(buf[1]);
	*bad |= j.bad;
	return rc;
}
