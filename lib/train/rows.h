/*
 * rows: the rows of a training run, by number, out of token files or a pipe.
 *
 * Regular files that are not compressed are mapped: their rows have numbers [0, count) a pass, and are taken
 * in a seeded order of each pass or as they stand. Anything else (stdin, a fifo, a .gz) is taken as it comes,
 * once. Row r of wrapped packing is the tokens [r C, r C + C] of all files one behind another; the last one
 * may be shorter. One thread at a time.
 */
#ifndef QUERN_ROWS_H
#define QUERN_ROWS_H

#include "text/tokfile.h"
#include "train/batch.h"
#include "train/pack.h"

struct rows_config {
	size_t context;
	enum packing packing;
	int shuffle; /* mapped only */
	uint64_t seed;
};

struct rows;
/* n == 0: stdin. The names stay the caller's and outlive it. */
struct rows *rows_open(char **files, size_t n, const struct rows_config *c, struct err *e);
void rows_close(struct rows *r); /* takes NULL */

int rows_streamed(const struct rows *r);
const struct tok_info *rows_info(const struct rows *r);
/* Mapped only: rows and counted tokens of one pass, and the fingerprint of the content. */
uint64_t rows_count(const struct rows *r);
uint64_t rows_tokens(const struct rows *r);
struct hash128 rows_fingerprint(const struct rows *r);

/* Appends the next row to b. 1; 0 at the end of a stream (mapped rows go on with the next pass); -1
 * unreadable. */
int rows_next(struct rows *r, struct batch *b, struct err *e);
/* Rows given out so far, and their digest (streams only). */
uint64_t rows_position(const struct rows *r);
uint64_t rows_digest(const struct rows *r);
/* Mapped: the next row is number `position`, counted over all passes. */
void rows_seek(struct rows *r, uint64_t position);

#endif
