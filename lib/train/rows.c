#include "train/rows.h"
#include "base/die.h"
#include "base/mem.h"
#include "train/order.h"

#include <stdlib.h>
#include <sys/stat.h>

struct rows {
	struct rows_config c;
	char **files;
	size_t nfiles;
	struct tok_info info;
	uint64_t position, digest;
	struct packer packer;
	uint32_t *ids; /* tokens of the row, or of the window that is packed */
	uint8_t *flags;
	size_t n, ids_cap, flags_cap;

	/* mapped */
	struct tok_map **maps;
	uint64_t *first; /* [nfiles + 1]: number of each file's first token */
	uint64_t count, tokens;

	/* streamed */
	size_t file; /* the next one to open */
	struct reader *reader;
	struct tok_reader *stream;
	struct tok_doc doc; /* what is left of it */
	int doc_open, ended;
	size_t row; /* next packed row */
};

/* --- mapped files --- */

/* Tokens [at, at + n) of all files into ids and flags. */
static int map_read(struct rows *r, uint64_t at, size_t n, uint32_t *ids, uint8_t *flags, struct err *e)
{
	size_t f = 0;
	while (at >= r->first[f + 1])
		f++;
	while (n) {
		uint64_t left = r->first[f + 1] - at;
		size_t m = left < n ? (size_t)left : n;
		if (m && tok_map_read(r->maps[f], at - r->first[f], m, ids, flags, e) < 0)
			return -1;
		ids += m;
		flags += m;
		n -= m;
		at += m;
		f++;
	}
	return 0;
}

/* Packs one file's documents. */
static int plan_file(struct rows *r, size_t f, struct err *e)
{
	enum { STEP = 4096 };
	uint64_t docs = tok_map_docs(r->maps[f]), starts[STEP + 1];
	for (uint64_t d = 0; d < docs; d += STEP) {
		size_t n = docs - d < STEP ? (size_t)(docs - d) : STEP;
		if (tok_map_doc_starts(r->maps[f], d, n, starts, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++)
			if (packer_add(&r->packer, r->first[f] + starts[i], starts[i + 1] - starts[i]))
				packer_flush(&r->packer);
	}
	return 0;
}

static int plan(struct rows *r, struct err *e)
{
	uint64_t n = r->first[r->nfiles], C = r->c.context;
	if (r->c.packing == PACK_WRAPPED) {
		r->count = n < 2 ? 0 : (n - 1 + C - 1) / C;
		r->tokens = n < 2 ? 0 : n - 1;
		return 0;
	}
	for (size_t f = 0; f < r->nfiles; f++)
		if (plan_file(r, f, e) < 0)
			return -1;
	packer_flush(&r->packer);
	r->count = r->packer.nrows;
	for (size_t i = 0; i < r->packer.nparts; i++)
		r->tokens += r->packer.parts[i].n - 1;
	return 0;
}

static int open_maps(struct rows *r, struct err *e)
{
	r->maps = xcalloc(r->nfiles, sizeof(*r->maps));
	r->first = xcalloc(r->nfiles + 1, sizeof *r->first);
	for (size_t f = 0; f < r->nfiles; f++) {
		r->maps[f] = tok_map_open(r->files[f], e);
		if (!r->maps[f])
			return -1;
		const struct tok_info *info = tok_map_info(r->maps[f]);
		if (f == 0)
			r->info = *info;
		else if (!tok_info_equal(info, &r->info))
			return err_set(
				e, "%s: another tokenizer or vocabulary than %s", r->files[f], r->files[0]);
		r->first[f + 1] = r->first[f] + tok_map_tokens(r->maps[f]);
	}
	GROW(r->ids, r->ids_cap, r->c.context + 1);
	GROW(r->flags, r->flags_cap, r->c.context + 1);
	return plan(r, e);
}

static int read_wrapped(struct rows *r, uint64_t row, struct batch *b, struct err *e)
{
	uint64_t at = row * r->c.context, left = r->first[r->nfiles] - at;
	size_t n = left < r->c.context + 1 ? (size_t)left : r->c.context + 1;
	b->tokens += n - 1;
	if (map_read(r, at, n, r->ids, r->flags, e) < 0)
		return -1;
	return batch_add_span(b, r->ids, r->flags, n, e);
}

/* The parts of packed row `row`: read from the maps, or from the window that is in ids and flags. */
static int read_packed(struct rows *r, size_t row, int mapped, struct batch *b, struct err *e)
{
	const struct packer *p = &r->packer;
	for (size_t i = row ? p->row_end[row - 1] : 0; i < p->row_end[row]; i++) {
		const struct part *t = &p->parts[i];
		uint32_t *ids = r->ids + (mapped ? 0 : t->at);
		uint8_t *flags = r->flags + (mapped ? 0 : t->at);
		if (mapped && map_read(r, t->at, t->n, ids, flags, e) < 0)
			return -1;
		b->tokens += t->n - 1;
		if (batch_add_part(b, ids, flags, t->n, e) < 0)
			return -1;
	}
	return 0;
}

static int next_mapped(struct rows *r, struct batch *b, struct err *e)
{
	uint64_t pass = r->position / r->count, row = r->position % r->count;
	if (r->c.shuffle)
		row = order_at(r->c.seed, pass, r->count, row);
	batch_begin_row(b);
	return r->c.packing == PACK_WRAPPED ? read_wrapped(r, row, b, e)
					    : read_packed(r, (size_t)row, 1, b, e);
}

/* --- streams --- */

static int open_stream(struct rows *r, struct err *e)
{
	const char *name = r->nfiles ? r->files[r->file] : "-";
	r->reader = reader_open(name, e);
	if (!r->reader)
		return -1;
	r->stream = tok_reader_new(r->reader, e);
	if (!r->stream)
		return -1;
	const struct tok_info *info = tok_reader_info(r->stream);
	if (r->file == 0)
		r->info = *info;
	else if (!tok_info_equal(info, &r->info))
		return err_set(e, "%s: another tokenizer or vocabulary than %s", name, r->files[0]);
	r->file++;
	return 0;
}

static void close_stream(struct rows *r)
{
	tok_reader_free(r->stream);
	reader_close(r->reader);
	r->stream = NULL;
	r->reader = NULL;
}

/* The next document of all streams into r->doc. 1, 0 at the end, -1. */
static int next_doc(struct rows *r, struct err *e)
{
	for (;;) {
		int rc = tok_reader_doc(r->stream, &r->doc, e);
		if (rc != 0)
			return rc;
		if (r->file >= (r->nfiles ? r->nfiles : 1)) {
			r->ended = 1;
			return 0;
		}
		close_stream(r);
		if (open_stream(r, e) < 0)
			return -1;
	}
}

/* Moves n tokens of r->doc behind what is in ids and flags. */
static void take(struct rows *r, size_t n)
{
	struct tok_doc *d = &r->doc;
	GROW(r->ids, r->ids_cap, r->n + n);
	GROW(r->flags, r->flags_cap, r->n + n);
	for (size_t i = 0; i < n; i++) {
		r->ids[r->n + i] = d->ids[i];
		r->flags[r->n + i] = d->mask && !d->mask[i] ? TOK_NO_LOSS : 0;
	}
	if (n && !r->doc_open)
		r->flags[r->n] |= TOK_DOC_START;
	r->doc_open = n < d->n;
	r->n += n;
	d->ids += n;
	d->n -= n;
	if (d->mask)
		d->mask += n;
}

static int stream_wrapped(struct rows *r, struct batch *b, struct err *e)
{
	size_t want = r->c.context + 1;
	while (r->n < want && !r->ended) {
		if (!r->doc_open) {
			int rc = next_doc(r, e);
			if (rc < 0)
				return -1;
			if (rc == 0)
				break;
		}
		take(r, r->doc.n < want - r->n ? r->doc.n : want - r->n);
	}
	if (r->n < 2)
		return 0;
	batch_begin_row(b);
	b->tokens += r->n - 1;
	if (batch_add_span(b, r->ids, r->flags, r->n, e) < 0)
		return -1;
	r->ids[0] = r->ids[r->n - 1];
	r->flags[0] = r->flags[r->n - 1];
	r->n = 1;
	return 1;
}

static int fill_window(struct rows *r, struct err *e)
{
	packer_reset(&r->packer);
	r->row = r->n = 0;
	for (int full = 0; !full;) {
		int rc = next_doc(r, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		size_t at = r->n, n = r->doc.n;
		take(r, n);
		full = packer_add(&r->packer, at, n);
	}
	packer_flush(&r->packer);
	return 0;
}

static int stream_packed(struct rows *r, struct batch *b, struct err *e)
{
	while (r->row == r->packer.nrows) {
		if (r->ended)
			return 0;
		if (fill_window(r, e) < 0)
			return -1;
	}
	batch_begin_row(b);
	return read_packed(r, r->row++, 0, b, e) < 0 ? -1 : 1;
}

/* --- both --- */

/* Regular and not compressed: can be mapped. A name that cannot be looked at fails later, with a message. */
static int mappable(const char *path)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return 0;
	if (stat(path, &st) < 0)
		return 1;
	if (!S_ISREG(st.st_mode))
		return 0;
	unsigned char magic[2] = { 0 };
	FILE *f = fopen(path, "rb");
	if (f) {
		if (fread(magic, 1, 2, f) < 2)
			magic[0] = 0;
		fclose(f);
	}
	return !(magic[0] == 0x1f && magic[1] == 0x8b);
}

struct rows *rows_open(char **files, size_t n, const struct rows_config *c, struct err *e)
{
	struct rows *r = xcalloc(1, sizeof *r);
	r->c = *c;
	r->files = files;
	r->nfiles = n;
	packer_init(&r->packer, c->packing, c->context);
	int mapped = n > 0;
	for (size_t f = 0; f < n; f++)
		mapped &= mappable(files[f]);
	if ((mapped ? open_maps(r, e) : open_stream(r, e)) < 0) {
		rows_close(r);
		return NULL;
	}
	return r;
}

void rows_close(struct rows *r)
{
	if (!r)
		return;
	for (size_t f = 0; r->maps && f < r->nfiles; f++)
		tok_map_close(r->maps[f]);
	close_stream(r);
	packer_release(&r->packer);
	free(r->maps);
	free(r->first);
	free(r->ids);
	free(r->flags);
	free(r);
}

int rows_streamed(const struct rows *r)
{
	return !r->maps;
}

const struct tok_info *rows_info(const struct rows *r)
{
	return &r->info;
}

uint64_t rows_count(const struct rows *r)
{
	return r->count;
}

uint64_t rows_tokens(const struct rows *r)
{
	return r->tokens;
}

struct hash128 rows_fingerprint(const struct rows *r)
{
	struct fingerprint *f = fingerprint_new();
	for (size_t i = 0; i < r->nfiles; i++) {
		struct hash128 h = tok_map_fingerprint(r->maps[i]);
		fingerprint_add(f, &h, sizeof h);
	}
	return fingerprint_end(f);
}

int rows_next(struct rows *r, struct batch *b, struct err *e)
{
	int rc;
	if (r->maps)
		rc = r->count == 0 ? 0 : next_mapped(r, b, e) < 0 ? -1 : 1;
	else
		rc = r->c.packing == PACK_WRAPPED ? stream_wrapped(r, b, e) : stream_packed(r, b, e);
	if (rc < 0) {
		const char *name = r->reader ? reader_name(r->reader) : NULL;
		if (name && e && !strstr(e->msg, name))
			err_prefix(e, "%s", name);
		return -1;
	}
	if (rc > 0) {
		r->position++;
		if (!r->maps)
			r->digest = batch_digest_row(b, r->digest);
	}
	return rc;
}

uint64_t rows_position(const struct rows *r)
{
	return r->position;
}

uint64_t rows_digest(const struct rows *r)
{
	return r->digest;
}

void rows_seek(struct rows *r, uint64_t position)
{
	ASSERT(r->maps);
	r->position = position;
}
