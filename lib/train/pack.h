/*
 * pack: which documents share a row. Documents come in order, each is cut into parts of at most C + 1 tokens
 * (C inputs; a part begins with the last token of the one before, so nothing is lost), and every PACK_WINDOW
 * parts are packed together: the same rows whether the documents come from a file or a pipe.
 */
#ifndef QUERN_PACK_H
#define QUERN_PACK_H

#include <stddef.h>
#include <stdint.h>

#define PACKING_WORDS "wrapped|bfd|none"
enum packing {
	PACK_WRAPPED, /* rows of C + 1 tokens straight through the stream; does not come here */
	PACK_BFD,     /* best fit, longest part first (Ding et al. 2024, "Fewer truncations improve language
			 modeling") */
	PACK_NONE     /* a part a row */
};
#define PACK_WINDOW 1024

struct part {
	uint64_t at; /* first token, wherever the caller counts from */
	uint32_t n;  /* tokens, at least 2 */
};

struct packer {
	enum packing packing;
	size_t context;
	/* Packed rows: row r has parts [row_end[r - 1], row_end[r]) (from 0 for r = 0). */
	struct part *parts;
	size_t nparts, parts_cap;
	size_t *row_end;
	size_t nrows, rows_cap;
	/* The window that is being filled, and scratch. */
	struct part *window;
	size_t nwindow, window_cap;
	struct bin *bins;
	size_t bins_cap;
	uint32_t *scratch;
	size_t scratch_cap;
};

void packer_init(struct packer *p, enum packing packing, size_t context);
void packer_release(struct packer *p);
/* A document of n tokens. 1 when the window is full: packer_flush is due. */
int packer_add(struct packer *p, uint64_t at, uint64_t n);
/* Packs the window: its rows are appended, ordered by their first part. */
void packer_flush(struct packer *p);
/* Forgets the packed rows, keeps the memory. */
void packer_reset(struct packer *p);

#endif
