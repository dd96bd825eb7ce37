#include "text/tokfile.h"
#include "base/die.h"
#include "base/map.h"
#include "base/mem.h"
#include "text/tokblock.h"

#include <stdlib.h>

/* What this writer puts into one block: small enough to be read for one row of training, big enough to cost
 * nothing. */
enum { BLOCK_TOKENS = 1 << 16, BLOCK_DOCS = 1 << 16, BLOCK_NAMES = 1 << 16 };

/* --- writing -------------------------------------------------------------------------------------------- */

struct tok_writer {
	struct writer *w;
	struct tok_head head;
	struct tok_digest digest;
	/* The block being filled. */
	uint32_t tokens, ndocs;
	uint8_t *ids;  /* [BLOCK_TOKENS * width] */
	uint8_t *mask; /* [BLOCK_TOKENS / 8], a bit a token that the loss leaves out */
	int masked;
	struct buf docs, names;
	struct smap name_at; /* source -> 1 + its offset in names */
	struct buf out;
};

struct tok_writer *tok_writer_new(struct writer *w, const struct tok_info *info)
{
	ASSERT(info->vocab > 0);
	struct tok_writer *t = xcalloc(1, sizeof *t);
	t->w = w;
	t->head = (struct tok_head){ *info, info->vocab <= 65536 ? 2 : 4 };
	t->ids = xmalloc((size_t)BLOCK_TOKENS * t->head.width);
	t->mask = xcalloc(1, BLOCK_TOKENS / 8);
	tok_digest_init(&t->digest);
	tok_head_add(&t->out, &t->head);
	writer_add(w, t->out.p, t->out.n);
	return t;
}

/* Writes the block and starts the next one. continues: the last document has more tokens. */
static void end_block(struct tok_writer *t, int continues)
{
	if (t->tokens == 0 && t->ndocs == 0)
		return;
	struct tok_block b = { .tokens = t->tokens,
		.docs = t->ndocs,
		.flags = continues ? TOK_CONTINUES : 0,
		.first_token = t->digest.sum.tokens,
		.first_doc = t->digest.sum.docs,
		.width = t->head.width };
	buf_reset(&t->out);
	tok_block_add(&t->out, &b, t->ids, &t->docs, t->masked ? t->mask : NULL, &t->names);
	tok_digest_block(&t->digest, &b, (const uint8_t *)t->out.p + TOK_BLOCK_SIZE);
	writer_add(t->w, t->out.p, t->out.n);

	t->tokens = t->ndocs = 0;
	buf_reset(&t->docs);
	buf_reset(&t->names);
	if (t->name_at.n)
		smap_release(&t->name_at);
	if (t->masked)
		memset(t->mask, 0, BLOCK_TOKENS / 8);
	t->masked = 0;
}

static void start_doc(struct tok_writer *t, const char *source, size_t n)
{
	if (t->tokens == BLOCK_TOKENS || t->ndocs == BLOCK_DOCS || t->names.n + n + 1 > BLOCK_NAMES)
		end_block(t, 0);
	uint64_t name = 0;
	if (n) {
		int fresh;
		name = *smap_put(&t->name_at, source, n, t->names.n + 1, &fresh);
		if (fresh)
			buf_add(&t->names, source, n + 1);
	}
	buf_add_u32(&t->docs, t->tokens);
	buf_add_u32(&t->docs, (uint32_t)name);
	t->ndocs++;
}

/* Ids that fit into the block. */
static void put_ids(struct tok_writer *t, const uint32_t *ids, const uint8_t *mask, size_t n)
{
	uint8_t *p = t->ids + (size_t)t->tokens * t->head.width;
	if (t->head.width == 2) {
		for (size_t i = 0; i < n; i++) {
			p[2 * i] = (uint8_t)ids[i];
			p[2 * i + 1] = (uint8_t)(ids[i] >> 8);
		}
	} else {
		for (size_t i = 0; i < n; i++)
			for (int k = 0; k < 4; k++)
				p[4 * i + (size_t)k] = (uint8_t)(ids[i] >> 8 * k);
	}
	for (size_t i = 0; mask && i < n; i++) {
		size_t at = t->tokens + i;
		if (!mask[i]) {
			t->mask[at / 8] |= (uint8_t)(1 << at % 8);
			t->masked = 1;
		}
	}
	t->tokens += (uint32_t)n;
}

int tok_writer_doc(struct tok_writer *t, const uint32_t *ids, const uint8_t *mask, size_t n,
	const char *source, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] >= t->head.info.vocab)
			return err_set(e, "id %lu is not below the vocabulary's size, %lu",
				(unsigned long)ids[i], (unsigned long)t->head.info.vocab);
	size_t len = source ? strlen(source) : 0;
	if (len > TOK_MAX_SOURCE)
		return err_set(e, "a source name of %zu bytes (at most %d are allowed)", len, TOK_MAX_SOURCE);
	start_doc(t, source, len);
	while (n) {
		if (t->tokens == BLOCK_TOKENS)
			end_block(t, 1);
		size_t m = BLOCK_TOKENS - t->tokens < n ? BLOCK_TOKENS - t->tokens : n;
		put_ids(t, ids, mask, m);
		ids += m;
		mask = mask ? mask + m : NULL;
		n -= m;
	}
	return writer_check(t->w, e);
}

int tok_writer_end(struct tok_writer *t, const char *provenance, struct err *e)
{
	ASSERT(strlen(provenance) <= TOK_MAX_PROVENANCE);
	end_block(t, 0);
	struct tok_end end = t->digest.sum;
	end.content = tok_digest_end(&t->digest);
	buf_reset(&t->out);
	tok_end_add(&t->out, &end, provenance);
	writer_add(t->w, t->out.p, t->out.n);
	int rc = writer_check(t->w, e);
	tok_writer_free(t);
	return rc;
}

void tok_writer_free(struct tok_writer *t)
{
	if (!t)
		return;
	tok_digest_release(&t->digest);
	smap_release(&t->name_at);
	buf_release(&t->docs);
	buf_release(&t->names);
	buf_release(&t->out);
	free(t->ids);
	free(t->mask);
	free(t);
}

/* --- reading in order ----------------------------------------------------------------------------------- */

struct tok_reader {
	struct reader *r;
	struct tok_info info;
	unsigned width;
	uint64_t given;
	int ended; /* a proper end was reached */
	/* The block in hand; document `doc` is the next one to give out. */
	struct tok_block block;
	struct buf payload;
	uint32_t doc;
	struct tok_digest digest; /* of the stream being read */
	/* The document being given out. */
	uint32_t *ids;
	uint8_t *mask;
	size_t n, ids_cap, mask_cap;
	int masked;
	struct buf source;
	/* Of the streams that have ended. */
	struct buf *provenance;
	size_t streams, provenance_cap;
	struct hash128 *content;
	size_t content_cap;
};

static int bad_at(const struct tok_reader *t, uint64_t at, const char *why, struct err *e)
{
	return err_set(e, "%s: byte %llu: %s", reader_name(t->r), (unsigned long long)at, why);
}

/* Reads exactly n bytes behind what is in b. Memory grows with what really comes, not with what was promised.
 */
static int take(struct tok_reader *t, struct buf *b, size_t n, const char *what, struct err *e)
{
	while (n) {
		size_t m = n < (size_t)1 << 18 ? n : (size_t)1 << 18;
		buf_reserve(b, m);
		ptrdiff_t got = reader_read(t->r, b->p + b->n, m, e);
		if (got < 0)
			return -1;
		b->n += (size_t)got;
		n -= (size_t)got;
		if ((size_t)got < m)
			return err_set(e, "%s: byte %llu: token stream is cut short inside %s",
				reader_name(t->r), (unsigned long long)reader_offset(t->r), what);
	}
	return 0;
}

/* The header whose tag is already in t->payload. */
static int read_head(struct tok_reader *t, int first, struct err *e)
{
	uint64_t at = reader_offset(t->r) - t->payload.n;
	if (take(t, &t->payload, TOK_HEAD_SIZE - t->payload.n, "its header", e) < 0)
		return -1;
	struct tok_head h;
	const char *why = tok_head_parse((const uint8_t *)t->payload.p, &h);
	if (!why && !first && !tok_info_equal(&h.info, &t->info))
		why = "this stream was made with another tokenizer than the one before it";
	if (why)
		return bad_at(t, at, why, e);
	t->info = h.info;
	t->width = h.width;
	tok_digest_release(&t->digest);
	tok_digest_init(&t->digest);
	return 0;
}

struct tok_reader *tok_reader_new(struct reader *r, struct err *e)
{
	const char *p;
	ptrdiff_t n = reader_peek(r, &p, TOK_HEAD_SIZE, e);
	if (n < 0)
		return NULL;
	struct tok_reader *t = xcalloc(1, sizeof *t);
	t->r = r;
	int rc;
	if (n == 0)
		rc = bad_at(t, reader_offset(r), "empty, not a token stream", e);
	else if (n < TOK_TAG_SIZE || tok_piece_of((const uint8_t *)p) != TOK_PIECE_HEAD)
		rc = bad_at(t, reader_offset(r), "not a token stream", e);
	else
		rc = read_head(t, 1, e);
	if (rc < 0) {
		tok_reader_free(t);
		return NULL;
	}
	return t;
}

const struct tok_info *tok_reader_info(const struct tok_reader *t)
{
	return &t->info;
}

static int read_block(struct tok_reader *t, struct err *e)
{
	uint64_t at = reader_offset(t->r) - t->payload.n;
	int continued = t->digest.sum.blocks && (t->block.flags & TOK_CONTINUES);
	if (take(t, &t->payload, TOK_BLOCK_SIZE - t->payload.n, "the header of a block", e) < 0)
		return -1;
	const char *why = tok_block_parse((const uint8_t *)t->payload.p, t->width, &t->block);
	if (!why &&
		(t->block.first_token != t->digest.sum.tokens || t->block.first_doc != t->digest.sum.docs))
		why = "bad block (a block before it is missing)";
	if (why)
		return bad_at(t, at, why, e);
	buf_reset(&t->payload);
	if (take(t, &t->payload, t->block.size, "a block", e) < 0)
		return -1;
	why = tok_block_check(&t->block, (const uint8_t *)t->payload.p, t->info.vocab, continued);
	if (why)
		return bad_at(t, at, why, e);
	tok_digest_block(&t->digest, &t->block, (const uint8_t *)t->payload.p);
	t->doc = 0;
	return 0;
}

static int read_end(struct tok_reader *t, struct err *e)
{
	uint64_t at = reader_offset(t->r) - t->payload.n;
	if (take(t, &t->payload, TOK_END_SIZE - t->payload.n, "its end mark", e) < 0)
		return -1;
	struct tok_end end;
	const char *why = tok_end_parse((const uint8_t *)t->payload.p, &end);
	if (why)
		return bad_at(t, at, why, e);
	buf_reset(&t->payload);
	if (take(t, &t->payload, tok_padded(end.provenance_size), "its end mark", e) < 0)
		return -1;
	const struct tok_end *sum = &t->digest.sum;
	why = tok_end_check(&end, (const uint8_t *)t->payload.p);
	if (!why && sum->blocks && (t->block.flags & TOK_CONTINUES))
		why = "bad end mark (inside a document)";
	if (!why && (end.tokens != sum->tokens || end.docs != sum->docs || end.masked != sum->masked ||
			    end.blocks != sum->blocks))
		why = "bad end mark (its counts are not those of the blocks)";
	if (why)
		return bad_at(t, at, why, e);
	struct hash128 content = tok_digest_end(&t->digest);
	if (content.lo != end.content.lo || content.hi != end.content.hi)
		return bad_at(t, at, "bad end mark (its fingerprint is not that of the blocks)", e);
	GROW(t->provenance, t->provenance_cap, t->streams + 1);
	GROW(t->content, t->content_cap, t->streams + 1);
	t->provenance[t->streams] = (struct buf){ 0 };
	buf_add(&t->provenance[t->streams], t->payload.p, end.provenance_size);
	t->content[t->streams++] = content;
	t->block = (struct tok_block){ 0 };
	t->doc = 0;
	return 0;
}

/* The next block. 1, 0 at the end of everything, -1. */
static int next_block(struct tok_reader *t, struct err *e)
{
	for (;;) {
		int between = t->digest.ids == NULL; /* behind an end mark */
		buf_reset(&t->payload);
		buf_reserve(&t->payload, TOK_TAG_SIZE);
		ptrdiff_t got = reader_read(t->r, t->payload.p, TOK_TAG_SIZE, e);
		if (got < 0)
			return -1;
		if (got == 0 && between)
			return 0;
		t->payload.n = (size_t)got;
		if (got < TOK_TAG_SIZE)
			return bad_at(t, reader_offset(t->r),
				between ? "something follows the end mark that is no token stream"
					: "token stream is cut short (it has no end mark)",
				e);
		enum tok_piece piece = tok_piece_of((const uint8_t *)t->payload.p);
		if (piece == TOK_PIECE_BLOCK && !between)
			return read_block(t, e) < 0 ? -1 : 1;
		if (piece == TOK_PIECE_END && !between) {
			if (read_end(t, e) < 0)
				return -1;
		} else if (piece == TOK_PIECE_HEAD && between) {
			if (read_head(t, 0, e) < 0)
				return -1;
		} else {
			return bad_at(t, reader_offset(t->r) - TOK_TAG_SIZE,
				between ? "something follows the end mark that is no token stream"
					: "damaged token stream (neither a block nor an end mark)",
				e);
		}
	}
}

/* Appends tokens [from, to) of the block to the document. */
static void add_piece(struct tok_reader *t, uint32_t from, uint32_t to)
{
	const uint8_t *payload = (const uint8_t *)t->payload.p;
	uint32_t n = to - from;
	GROW(t->ids, t->ids_cap, t->n + n + 1); /* not NULL for an empty document */
	tok_block_ids(&t->block, payload, from, n, t->ids + t->n);
	GROW(t->mask, t->mask_cap, t->n + n + 1);
	if (t->block.flags & TOK_MASK) {
		for (uint32_t i = 0; i < n; i++) {
			int out = tok_block_masked(&t->block, payload, from + i);
			t->mask[t->n + i] = !out;
			t->masked |= out;
		}
	} else {
		memset(t->mask + t->n, 1, n);
	}
	t->n += n;
}

int tok_reader_doc(struct tok_reader *t, struct tok_doc *d, struct err *e)
{
	while (!t->ended && t->doc == t->block.docs) {
		int rc = next_block(t, e);
		if (rc < 0)
			return -1;
		t->ended = rc == 0;
	}
	if (t->ended)
		return 0;
	const uint8_t *payload = (const uint8_t *)t->payload.p;
	struct str source = tok_block_source(&t->block, payload, t->doc);
	buf_reset(&t->source);
	buf_add(&t->source, source.p, source.n);
	t->n = 0;
	t->masked = 0;
	uint32_t from = tok_block_start(&t->block, payload, t->doc++);
	for (;;) {
		int last = t->doc == t->block.docs;
		add_piece(t, from, last ? t->block.tokens : tok_block_start(&t->block, payload, t->doc));
		if (!last || !(t->block.flags & TOK_CONTINUES))
			break;
		int rc = next_block(t, e); /* never 0: an end mark inside a document is refused */
		if (rc <= 0)
			return -1;
		payload = (const uint8_t *)t->payload.p;
		from = 0;
	}
	*d = (struct tok_doc){ t->ids, t->masked ? t->mask : NULL, t->n, { t->source.p, t->source.n } };
	t->given += t->n;
	return 1;
}

uint64_t tok_reader_tokens(const struct tok_reader *t)
{
	return t->given;
}

size_t tok_reader_streams(const struct tok_reader *t)
{
	return t->streams;
}

struct str tok_reader_provenance(const struct tok_reader *t, size_t stream)
{
	return (struct str){ t->provenance[stream].p, t->provenance[stream].n };
}

struct hash128 tok_reader_fingerprint(const struct tok_reader *t)
{
	return tok_join_contents(t->content, t->streams);
}

void tok_reader_free(struct tok_reader *t)
{
	if (!t)
		return;
	tok_digest_release(&t->digest);
	for (size_t i = 0; i < t->streams; i++)
		buf_release(&t->provenance[i]);
	free(t->provenance);
	free(t->content);
	buf_release(&t->payload);
	buf_release(&t->source);
	free(t->ids);
	free(t->mask);
	free(t);
}
