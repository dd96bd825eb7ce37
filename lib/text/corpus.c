#include "text/corpus.h"
#include "base/die.h"
#include "base/mem.h"
#include "base/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BATCH ((size_t)1 << 20)

/* The documents of one file, numbers [first, first of the next part). */
struct part {
	enum { PART_STREAM, PART_FILE, PART_SPILL } kind;
	enum doc_format format;
	uint64_t first;
	size_t index; /* of its first document in the tables of the corpus; not for PART_STREAM */
	char *file;   /* PART_FILE: read again by name, with what shows that it is still the same */
	uint64_t size;
	struct timespec changed;
	struct tok_map *tok; /* PART_STREAM */
};

/* Files that are open for reading documents: a part has one place, so there are never more of them than this.
 */
enum { OPEN_FILES = 64 };
struct open_file {
	size_t part; /* number + 1, 0 free */
	int fd;
};

/* A document of a piped token stream as it lies in the spill: this head, ids, mask bytes if any, source. */
struct spilled {
	uint64_t n;
	uint32_t masked, source;
};

struct corpus {
	const struct corpus_options *o;
	enum corpus_kind kind;
	struct part *parts;
	size_t nparts, parts_cap;
	uint64_t docs, tokens;
	struct tok_info info;
	struct fingerprint *content; /* of documents; NULL when it has been asked for */
	struct hash128 content_hash;
	struct hash128 *prints; /* of token streams, a file each */
	size_t nprints, prints_cap;

	uint64_t *at; /* offset in the file or spill */
	uint32_t *len;
	size_t n, at_cap, len_cap;
	struct spill *spill;
	struct open_file open[OPEN_FILES];

	struct buf buf; /* the document given out last */
	uint32_t *ids;
	uint8_t *mask;
	size_t ids_cap, mask_cap;
};

struct corpus *corpus_new(const struct corpus_options *o)
{
	struct corpus *c = xcalloc(1, sizeof *c);
	c->o = o;
	c->content = fingerprint_new();
	return c;
}

void corpus_free(struct corpus *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->nparts; i++)
		tok_map_close(c->parts[i].tok);
	for (size_t i = 0; i < OPEN_FILES; i++)
		if (c->open[i].part)
			close(c->open[i].fd);
	free(c->parts);
	fingerprint_free(c->content);
	free(c->prints);
	free(c->at);
	free(c->len);
	spill_free(c->spill);
	buf_release(&c->buf);
	free(c->ids);
	free(c->mask);
	free(c);
}

enum corpus_kind corpus_kind(const struct corpus *c)
{
	return c->kind;
}

uint64_t corpus_docs(const struct corpus *c)
{
	return c->docs;
}

uint64_t corpus_tokens(const struct corpus *c)
{
	return c->tokens;
}

const struct tok_info *corpus_info(const struct corpus *c)
{
	return &c->info;
}

/* --- adding files --------------------------------------------------------------------------------------- */

static struct part *add_part(struct corpus *c, int kind)
{
	GROW(c->parts, c->parts_cap, c->nparts + 1);
	struct part *p = &c->parts[c->nparts++];
	*p = (struct part){ .kind = kind, .first = c->docs, .index = c->n };
	return p;
}

static void add_entry(struct corpus *c, uint64_t at, size_t len)
{
	GROW(c->at, c->at_cap, c->n + 1);
	GROW(c->len, c->len_cap, c->n + 1);
	c->at[c->n] = at;
	c->len[c->n++] = (uint32_t)len;
	c->docs++;
}

static int spill(struct corpus *c, const void *p, size_t n, uint64_t *at, struct err *e)
{
	if (!c->spill)
		c->spill = spill_new(c->o->temp, e);
	return c->spill ? spill_add(c->spill, p, n, at, e) : -1;
}

static int check_info(struct corpus *c, const char *file, const struct tok_info *info, struct err *e)
{
	if (c->nprints && !tok_info_equal(info, &c->info))
		return err_set(e, "%s: made with another tokenizer than the streams before it", file);
	c->info = *info;
	return 0;
}

static void add_print(struct corpus *c, struct hash128 h)
{
	GROW(c->prints, c->prints_cap, c->nprints + 1);
	c->prints[c->nprints++] = h;
}

static int add_mapped_stream(struct corpus *c, const char *file, struct err *e)
{
	struct tok_map *m = tok_map_open(file, e);
	if (!m)
		return -1;
	if (check_info(c, file, tok_map_info(m), e) < 0) {
		tok_map_close(m);
		return -1;
	}
	struct part *p = add_part(c, PART_STREAM);
	p->tok = m;
	c->docs += tok_map_docs(m);
	c->tokens += tok_map_tokens(m);
	add_print(c, tok_map_fingerprint(m));
	return 0;
}

static int spill_tokens(struct corpus *c, const struct tok_doc *d, struct err *e)
{
	struct spilled head = { d->n, d->mask != NULL, (uint32_t)d->source.n };
	uint64_t at, unused;
	if (spill(c, &head, sizeof head, &at, e) < 0 ||
		spill(c, d->ids, d->n * sizeof *d->ids, &unused, e) < 0 ||
		(d->mask && spill(c, d->mask, d->n, &unused, e) < 0) ||
		spill(c, d->source.p, d->source.n, &unused, e) < 0)
		return -1;
	add_entry(c, at, 0);
	c->tokens += d->n;
	return 0;
}

static int add_piped_stream(struct corpus *c, struct reader *r, struct err *e)
{
	struct tok_reader *t = tok_reader_new(r, e);
	struct tok_doc d;
	int rc = t ? check_info(c, reader_name(r), tok_reader_info(t), e) : -1;
	add_part(c, PART_SPILL);
	while (rc == 0 && (rc = tok_reader_doc(t, &d, e)) > 0)
		rc = spill_tokens(c, &d, e);
	if (rc == 0)
		add_print(c, tok_reader_fingerprint(t));
	tok_reader_free(t);
	return rc;
}

/* What writing the batches of a file needs. */
struct adding {
	struct corpus *c;
	struct part *part;
	struct err *e;
};

static int add_doc(struct adding *a, const struct doc *d)
{
	struct corpus *c = a->c;
	uint64_t at = d->offset;
	if (d->bad)
		return c->o->bad && c->o->bad(c->o->ctx, d->bad) ? 0 : err_set(a->e, "%s", d->bad);
	if (a->part->kind == PART_SPILL && spill(c, d->raw.p, d->raw.n, &at, a->e) < 0)
		return -1;
	fingerprint_add(c->content, d->raw.p, d->raw.n);
	fingerprint_add(c->content, "\n", 1);
	add_entry(c, at, d->raw.n);
	return 0;
}

static int add_batch(void *ctx, struct doc_batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (add_doc(ctx, &b->docs[i]) < 0)
			return 1;
	return 0;
}

static void no_work(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx, (void)b, (void)thread;
}

/* Takes r over. plain: of a regular file that is not compressed, whose documents need no other place; else
 * NULL. */
static int add_documents(
	struct corpus *c, char *file, struct reader *r, const struct stat *plain, struct err *e)
{
	static const struct docs_job job = { no_work, add_batch, NULL };
	const char *start;
	ptrdiff_t n = reader_peek(r, &start, 4, e);
	if (n < 0) {
		reader_close(r);
		return -1;
	}
	enum doc_format format = c->o->format;
	if (format == DOC_AUTO)
		format = docs_format(file, start, (size_t)n);
	struct adding a = { c, add_part(c, plain ? PART_FILE : PART_SPILL), e };
	if (plain) {
		a.part->file = file;
		a.part->size = (uint64_t)plain->st_size;
		a.part->changed = plain->st_mtim;
	}
	a.part->format = format;
	struct doc_source *s = docs_open_reader(r, file, c->o->field, format, 1);
	int rc = docs_run(s, &job, &a, BATCH, c->o->threads, e);
	docs_close(s);
	return rc ? -1 : 0;
}

/* Whether documents of this file can be read from where they are. (Nothing but a regular file is opened
 * again.) */
static int is_plain(const char *file, struct stat *st)
{
	unsigned char magic[2] = { 0 };
	if (strcmp(file, "-") == 0 || stat(file, st) < 0 || !S_ISREG(st->st_mode))
		return 0;
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	int plain =
		fstat(fd, st) == 0 && pread(fd, magic, 2, 0) >= 0 && (magic[0] != 0x1f || magic[1] != 0x8b);
	close(fd);
	return plain;
}

int corpus_add(struct corpus *c, char *file, struct err *e)
{
	struct reader *r = reader_open(file, e);
	const char *start;
	if (!r)
		return -1;
	ASSERT(c->content);
	ptrdiff_t n = reader_peek(r, &start, 64, e);
	if (n < 0) {
		reader_close(r);
		return -1;
	}
	int stream = tok_is_stream(start, (size_t)n);
	enum corpus_kind kind = stream ? CORPUS_TOKENS : CORPUS_DOCS;
	if (c->kind != CORPUS_NONE && c->kind != kind) {
		err_set(e, "%s: holds %s, the files before it %s", reader_name(r),
			stream ? "a token stream" : "documents", stream ? "documents" : "token streams");
		reader_close(r);
		return -1;
	}
	c->kind = kind;
	struct stat st;
	int plain = is_plain(file, &st);
	if (!stream)
		return add_documents(c, file, r, plain ? &st : NULL, e);
	int rc = plain ? add_mapped_stream(c, file, e) : add_piped_stream(c, r, e);
	reader_close(r);
	return rc;
}

struct hash128 corpus_fingerprint(struct corpus *c)
{
	if (c->kind == CORPUS_TOKENS)
		return c->nprints == 1 ? c->prints[0] : hash128(c->prints, c->nprints * sizeof *c->prints);
	if (c->content)
		c->content_hash = fingerprint_end(c->content);
	c->content = NULL;
	return c->content_hash;
}

/* --- reading documents ---------------------------------------------------------------------------------- */

static struct part *part_of(struct corpus *c, uint64_t doc)
{
	ASSERT(doc < c->docs);
	size_t lo = 0,
	       hi = c->nparts; /* the last part with first <= doc; of equals, the one that is not empty */
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (c->parts[mid].first <= doc)
			lo = mid;
		else
			hi = mid;
	}
	return &c->parts[lo];
}

static size_t entry_of(const struct part *p, uint64_t doc)
{
	return p->index + (size_t)(doc - p->first);
}

int corpus_length(struct corpus *c, uint64_t doc, uint64_t *tokens, struct err *e)
{
	struct part *p = part_of(c, doc);
	if (p->kind == PART_STREAM) {
		uint64_t starts[2];
		if (tok_map_doc_starts(p->tok, doc - p->first, 1, starts, e) < 0)
			return -1;
		*tokens = starts[1] - starts[0];
		return 0;
	}
	struct spilled head;
	if (spill_get(c->spill, c->at[entry_of(p, doc)], &head, sizeof head, e) < 0)
		return -1;
	*tokens = head.n;
	return 0;
}

static int read_spilled(struct corpus *c, uint64_t at, struct tok_doc *d, struct err *e)
{
	struct spilled head;
	if (spill_get(c->spill, at, &head, sizeof head, e) < 0)
		return -1;
	size_t n = (size_t)head.n;
	at += sizeof head;
	GROW(c->ids, c->ids_cap, n + 1);
	GROW(c->mask, c->mask_cap, n + 1);
	buf_reset(&c->buf);
	buf_reserve(&c->buf, head.source);
	if (spill_get(c->spill, at, c->ids, n * sizeof *c->ids, e) < 0)
		return -1;
	at += n * sizeof *c->ids;
	if (head.masked && spill_get(c->spill, at, c->mask, n, e) < 0)
		return -1;
	at += head.masked ? n : 0;
	if (spill_get(c->spill, at, c->buf.p, head.source, e) < 0)
		return -1;
	c->buf.p[head.source] = 0;
	*d = (struct tok_doc){ c->ids, head.masked ? c->mask : NULL, n, { c->buf.p, head.source } };
	return 0;
}

int corpus_read_tokens(struct corpus *c, uint64_t doc, struct tok_doc *d, struct err *e)
{
	struct part *p = part_of(c, doc);
	if (p->kind != PART_STREAM)
		return read_spilled(c, c->at[entry_of(p, doc)], d, e);
	uint64_t starts[2];
	if (tok_map_doc_starts(p->tok, doc - p->first, 1, starts, e) < 0)
		return -1;
	size_t n = (size_t)(starts[1] - starts[0]);
	GROW(c->ids, c->ids_cap, n + 1);
	GROW(c->mask, c->mask_cap, n + 1);
	if (tok_map_read(p->tok, starts[0], n, c->ids, c->mask, e) < 0)
		return -1;
	uint8_t any = 0;
	for (size_t i = 0; i < n; i++) {
		any |= c->mask[i];
		c->mask[i] = !(c->mask[i] & TOK_NO_LOSS);
	}
	*d = (struct tok_doc){ c->ids, any & TOK_NO_LOSS ? c->mask : NULL, n,
		tok_map_source(p->tok, doc - p->first) };
	return 0;
}

static int changed(const struct part *p, struct err *e)
{
	return err_set(e, "%s: the file changes while it is read", p->file);
}

/* The file of a part, open; -1 on failure. */
static int file_of(struct corpus *c, const struct part *p, struct err *e)
{
	size_t number = (size_t)(p - c->parts) + 1;
	struct open_file *o = &c->open[number % OPEN_FILES];
	if (o->part == number)
		return o->fd;
	if (o->part)
		close(o->fd);
	o->part = 0;
	o->fd = open(p->file, O_RDONLY | O_CLOEXEC);
	if (o->fd < 0)
		return err_set(e, "%s: cannot open:", p->file);
	o->part = number;
	struct stat st;
	if (fstat(o->fd, &st) < 0 || (uint64_t)st.st_size != p->size ||
		st.st_mtim.tv_sec != p->changed.tv_sec || st.st_mtim.tv_nsec != p->changed.tv_nsec)
		return changed(p, e);
	return o->fd;
}

static int read_file(struct corpus *c, const struct part *p, uint64_t at, char *to, size_t n, struct err *e)
{
	int fd = file_of(c, p, e);
	if (fd < 0)
		return -1;
	while (n) {
		ssize_t got = pread(fd, to, n, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(e, "%s: cannot read:", p->file);
		if (got == 0)
			return changed(p, e);
		at += (uint64_t)got;
		to += got;
		n -= (size_t)got;
	}
	return 0;
}

int corpus_read_doc(struct corpus *c, uint64_t doc, struct buf *out, struct err *e)
{
	struct part *p = part_of(c, doc);
	size_t i = entry_of(p, doc), n = c->len[i];
	buf_reset(&c->buf);
	buf_reserve(&c->buf, n);
	int rc = p->kind == PART_FILE ? read_file(c, p, c->at[i], c->buf.p, n, e)
				      : spill_get(c->spill, c->at[i], c->buf.p, n, e);
	if (rc < 0)
		return -1;
	struct doc d = { .format = p->format, .raw = { c->buf.p, n }, .text = { c->buf.p, n } };
	doc_add(out, &d);
	return 0;
}
