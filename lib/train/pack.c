#include "train/pack.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* A row being filled; rows with equal room form a list. */
struct bin {
	uint32_t next, row;
};

void packer_init(struct packer *p, enum packing packing, size_t context)
{
	*p = (struct packer){ .packing = packing, .context = context };
}

void packer_release(struct packer *p)
{
	free(p->parts);
	free(p->row_end);
	free(p->window);
	free(p->bins);
	free(p->scratch);
	*p = (struct packer){ 0 };
}

void packer_reset(struct packer *p)
{
	p->nparts = p->nrows = 0;
}

int packer_add(struct packer *p, uint64_t at, uint64_t n)
{
	while (n >= 2) {
		uint64_t m = n < p->context + 1 ? n : p->context + 1;
		GROW(p->window, p->window_cap, p->nwindow + 1);
		p->window[p->nwindow++] = (struct part){ at, (uint32_t)m };
		at += m - 1;
		n -= m - 1;
	}
	return p->nwindow >= PACK_WINDOW;
}

static int longest_first(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	return x->at < y->at ? -1 : x->at > y->at;
}

/* The smallest room >= want that some row has; context + 1 when there is none. Bit r of `has`: a row with
 * room r. */
static size_t best_room(const uint32_t *has, size_t want, size_t context)
{
	size_t w = want / 32, words = context / 32 + 1;
	uint32_t bits = has[w] & (UINT32_MAX << want % 32);
	while (!bits) {
		if (++w == words)
			return context + 1;
		bits = has[w];
	}
	size_t room = w * 32;
	while (!(bits & 1)) {
		bits >>= 1;
		room++;
	}
	return room;
}

/* row[i] for the parts of the (sorted) window; the number of rows. */
static size_t best_fit(struct packer *p, uint32_t *row)
{
	size_t C = p->context, nbins = 0;
	uint32_t *has = p->scratch, *head = has + C / 32 + 1;
	memset(has, 0, (C / 32 + 1) * sizeof *has);
	for (size_t r = 0; r <= C; r++)
		head[r] = NONE;
	for (size_t i = 0; i < p->nwindow; i++) {
		size_t need = p->window[i].n - 1, room = best_room(has, need, C);
		uint32_t bin;
		if (room > C) {
			GROW(p->bins, p->bins_cap, nbins + 1);
			bin = (uint32_t)nbins++;
			room = C;
		} else {
			bin = head[room];
			head[room] = p->bins[bin].next;
			if (head[room] == NONE)
				has[room / 32] &= ~(UINT32_C(1) << room % 32);
		}
		room -= need;
		p->bins[bin].next = head[room];
		head[room] = bin;
		has[room / 32] |= UINT32_C(1) << room % 32;
		row[i] = bin;
	}
	return nbins;
}

/* Parts sorted by (row, place in the stream), where `row` counts rows by their first part. */
struct placed {
	struct part part;
	uint32_t bin;
};

static int by_place(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	return x->part.at < y->part.at ? -1 : x->part.at > y->part.at;
}

static void flush_bfd(struct packer *p)
{
	size_t n = p->nwindow, C = p->context;
	GROW(p->scratch, p->scratch_cap, C / 32 + 1 + C + 1 + n);
	uint32_t *row = p->scratch + C / 32 + 1 + C + 1;
	qsort(p->window, n, sizeof *p->window, longest_first);
	size_t nbins = best_fit(p, row);
	struct placed *in = xreallocarray(NULL, n + 1, sizeof *in);
	size_t *at = xcalloc(nbins + 1, sizeof *at);
	for (size_t i = 0; i < n; i++)
		in[i] = (struct placed){ p->window[i], row[i] };
	qsort(in, n, sizeof *in, by_place);
	for (size_t b = 0; b < nbins; b++)
		p->bins[b].row = NONE;
	size_t rows = 0;
	for (size_t i = 0; i < n; i++) {
		struct bin *b = &p->bins[in[i].bin];
		if (b->row == NONE)
			b->row = (uint32_t)rows++;
		at[b->row + 1]++;
	}
	for (size_t r = 0; r < rows; r++) {
		at[r + 1] += at[r];
		p->row_end[p->nrows + r] = p->nparts + at[r + 1];
	}
	for (size_t i = 0; i < n; i++)
		p->parts[p->nparts + at[p->bins[in[i].bin].row]++] = in[i].part;
	p->nrows += rows;
	p->nparts += n;
	free(in);
	free(at);
}

void packer_flush(struct packer *p)
{
	GROW(p->parts, p->parts_cap, p->nparts + p->nwindow);
	GROW(p->row_end, p->rows_cap, p->nrows + p->nwindow);
	if (p->packing == PACK_BFD) {
		flush_bfd(p);
	} else {
		for (size_t i = 0; i < p->nwindow; i++) {
			p->parts[p->nparts++] = p->window[i];
			p->row_end[p->nrows++] = p->nparts;
		}
	}
	p->nwindow = 0;
}
