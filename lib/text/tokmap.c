#include "base/die.h"
#include "base/mem.h"
#include "text/tokblock.h"
#include "text/tokfile.h"

#include <stdlib.h>
#include <sys/mman.h>

/* One block, where it lies and what it starts with, counted over the whole file. */
struct entry {
	uint64_t at; /* of its header */
	uint64_t first_token, first_doc;
	uint8_t width, checked, continued;
};

struct stream {
	struct str provenance; /* in the mapping */
	struct hash128 content;
};

struct tok_map {
	struct map_file map;
	char *name;
	struct tok_info info;
	struct entry *blocks; /* [nblocks + 1]: the last one marks the end */
	size_t nblocks, blocks_cap;
	struct stream *streams;
	size_t nstreams, streams_cap;
	uint64_t tokens, docs, masked;
	struct hash128 content;
	size_t last;          /* the block found last: reading on is then no search */
	size_t touched, here; /* here: the block looked at last */
};

/* Pages of the mapping count as this process's memory until they are given back: that is done when about this
 * much was read. They stay in the system's cache. */
#define RESIDENT_MAX ((size_t)64 << 20)
/* What one look at a place may bring in: the kernel maps as much as a huge page with it. */
#define AROUND ((size_t)2 << 20)

static void touch(struct tok_map *m)
{
	m->touched += AROUND;
	if (m->touched < RESIDENT_MAX)
		return;
	madvise((void *)(uintptr_t)m->map.p, m->map.n, MADV_DONTNEED);
	m->touched = 0;
}

static int bad_at(const struct tok_map *m, uint64_t at, const char *why, struct err *e)
{
	return err_set(e, "%s: byte %llu: %s", m->name, (unsigned long long)at, why);
}

/* --- the walk over the headers -------------------------------------------------------------------------- */

/* Where the walk is in a stream, and what its blocks have summed up to. */
struct walk {
	size_t at;
	unsigned width;
	int continued; /* the last document goes on in the next block */
	struct tok_end sum;
};

static int walk_head(struct tok_map *m, struct walk *w, struct err *e)
{
	struct tok_head h;
	if (m->map.n - w->at < TOK_HEAD_SIZE)
		return bad_at(m, m->map.n, "token stream is cut short inside its header", e);
	const char *why = tok_head_parse(m->map.p + w->at, &h);
	if (!why && m->nstreams && !tok_info_equal(&h.info, &m->info))
		why = "this stream was made with another tokenizer than the one before it";
	if (why)
		return bad_at(m, w->at, why, e);
	m->info = h.info;
	w->width = h.width;
	w->at += TOK_HEAD_SIZE;
	return 0;
}

static int walk_block(struct tok_map *m, struct walk *w, struct err *e)
{
	struct tok_block b;
	if (m->map.n - w->at < TOK_BLOCK_SIZE)
		return bad_at(m, m->map.n, "token stream is cut short inside the header of a block", e);
	const char *why = tok_block_parse(m->map.p + w->at, w->width, &b);
	if (!why && (b.first_token != w->sum.tokens || b.first_doc != w->sum.docs))
		why = "bad block (a block before it is missing)";
	if (why)
		return bad_at(m, w->at, why, e);
	if (m->map.n - w->at - TOK_BLOCK_SIZE < b.size)
		return bad_at(m, m->map.n, "token stream is cut short inside a block", e);
	GROW(m->blocks, m->blocks_cap, m->nblocks + 2);
	m->blocks[m->nblocks++] = (struct entry){ .at = w->at,
		.first_token = m->tokens + w->sum.tokens,
		.first_doc = m->docs + w->sum.docs,
		.width = (uint8_t)w->width,
		.continued = (uint8_t)w->continued };
	w->continued = (b.flags & TOK_CONTINUES) != 0;
	w->sum.tokens += b.tokens;
	w->sum.docs += b.docs;
	w->sum.blocks++;
	w->at += TOK_BLOCK_SIZE + b.size;
	return 0;
}

static int walk_end(struct tok_map *m, struct walk *w, struct err *e)
{
	const uint8_t *p = m->map.p + w->at;
	size_t left = m->map.n - w->at;
	struct tok_end end;
	const char *why = left < TOK_END_SIZE ? NULL : tok_end_parse(p, &end);
	if (left < TOK_END_SIZE || (!why && left - TOK_END_SIZE < tok_padded(end.provenance_size)))
		return bad_at(m, m->map.n, "token stream is cut short inside its end mark", e);
	if (!why)
		why = tok_end_check(&end, p + TOK_END_SIZE);
	if (!why && w->continued)
		why = "bad end mark (inside a document)";
	if (!why && (end.tokens != w->sum.tokens || end.docs != w->sum.docs || end.blocks != w->sum.blocks))
		why = "bad end mark (its counts are not those of the blocks)";
	if (why)
		return bad_at(m, w->at, why, e);
	GROW(m->streams, m->streams_cap, m->nstreams + 1);
	m->streams[m->nstreams++] =
		(struct stream){ { (const char *)p + TOK_END_SIZE, end.provenance_size }, end.content };
	m->tokens += end.tokens;
	m->docs += end.docs;
	m->masked += end.masked;
	w->at += TOK_END_SIZE + tok_padded(end.provenance_size);
	return 0;
}

/* The stream that begins at *at: header, blocks, end mark. */
static int walk_stream(struct tok_map *m, size_t *at, struct err *e)
{
	struct walk w = { .at = *at };
	if (walk_head(m, &w, e) < 0)
		return -1;
	for (;;) {
		touch(m);
		if (m->map.n - w.at < TOK_TAG_SIZE)
			return bad_at(m, m->map.n, "token stream is cut short (it has no end mark)", e);
		enum tok_piece piece = tok_piece_of(m->map.p + w.at);
		if (piece == TOK_PIECE_END)
			break;
		if (piece != TOK_PIECE_BLOCK)
			return bad_at(m, w.at, "damaged token stream (neither a block nor an end mark)", e);
		if (walk_block(m, &w, e) < 0)
			return -1;
	}
	if (walk_end(m, &w, e) < 0)
		return -1;
	*at = w.at;
	return 0;
}

static int walk(struct tok_map *m, struct err *e)
{
	const uint8_t *p = m->map.p;
	if (m->map.n == 0)
		return bad_at(m, 0, "empty, not a token stream", e);
	if (m->map.n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return bad_at(
			m, 0, "compressed: a token stream that is mapped must be decompressed first", e);
	if (m->map.n < TOK_TAG_SIZE || tok_piece_of(p) != TOK_PIECE_HEAD)
		return bad_at(m, 0, "not a token stream", e);
	for (size_t at = 0; at < m->map.n;) {
		if (at && (m->map.n - at < TOK_TAG_SIZE || tok_piece_of(p + at) != TOK_PIECE_HEAD))
			return bad_at(m, at, "something follows the end mark that is no token stream", e);
		if (walk_stream(m, &at, e) < 0)
			return -1;
	}
	GROW(m->blocks, m->blocks_cap, m->nblocks + 1);
	m->blocks[m->nblocks] = (struct entry){ .first_token = m->tokens, .first_doc = m->docs };
	struct hash128 *content = xcalloc(m->nstreams, sizeof *content);
	for (size_t i = 0; i < m->nstreams; i++)
		content[i] = m->streams[i].content;
	m->content = tok_join_contents(content, m->nstreams);
	free(content);
	return 0;
}

struct tok_map *tok_map_open(const char *path, struct err *e)
{
	struct tok_map *m = xcalloc(1, sizeof *m);
	m->name = xstrdup(path);
	if (map_open(&m->map, path, e) < 0 || walk(m, e) < 0) {
		tok_map_close(m);
		return NULL;
	}
	return m;
}

/* --- reading -------------------------------------------------------------------------------------------- */

/* The block of which [first, next first) of the key holds x; `docs` chooses the key. */
static size_t find_block(struct tok_map *m, uint64_t x, int docs)
{
#define KEY(i) (docs ? m->blocks[i].first_doc : m->blocks[i].first_token)
	if (m->last < m->nblocks && KEY(m->last) <= x && x < KEY(m->last + 1))
		return m->last;
	size_t lo = 0,
	       hi = m->nblocks; /* the last block with key <= x; of equals, the one that is not empty */
	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		if (KEY(mid) <= x)
			lo = mid;
		else
			hi = mid;
	}
#undef KEY
	return m->last = lo;
}

/* Block i ready to be read, checked when it is the first time. */
static const uint8_t *block_at(struct tok_map *m, size_t i, struct tok_block *b, struct err *e)
{
	struct entry *t = &m->blocks[i];
	const uint8_t *p = m->map.p + t->at, *payload = p + TOK_BLOCK_SIZE;
	if (i != m->here)
		touch(m);
	m->here = i;
	const char *why = tok_block_parse(p, t->width, b);
	if (!why && !t->checked)
		why = tok_block_check(b, payload, m->info.vocab, t->continued);
	if (why) {
		bad_at(m, t->at, why, e);
		return NULL;
	}
	t->checked = 1;
	return payload;
}

/* The first document of the block that starts at token `at` of it or later. */
static uint32_t first_start(const struct tok_block *b, const uint8_t *payload, uint32_t at)
{
	uint32_t lo = 0, hi = b->docs;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (tok_block_start(b, payload, mid) < at)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void read_flags(
	const struct tok_block *b, const uint8_t *payload, uint32_t from, uint32_t n, uint8_t *flags)
{
	memset(flags, 0, n);
	for (uint32_t d = first_start(b, payload, from); d < b->docs; d++) {
		uint32_t start = tok_block_start(b, payload, d);
		if (start >= from + n)
			break;
		flags[start - from] = TOK_DOC_START;
	}
	if (b->flags & TOK_MASK)
		for (uint32_t i = 0; i < n; i++)
			if (tok_block_masked(b, payload, from + i))
				flags[i] |= TOK_NO_LOSS;
}

int tok_map_read(struct tok_map *m, uint64_t at, size_t n, uint32_t *ids, uint8_t *flags, struct err *e)
{
	ASSERT(at <= m->tokens && n <= m->tokens - at);
	while (n) {
		size_t i = find_block(m, at, 0);
		struct tok_block b;
		const uint8_t *payload = block_at(m, i, &b, e);
		if (!payload)
			return -1;
		uint32_t from = (uint32_t)(at - m->blocks[i].first_token);
		uint32_t k = b.tokens - from < n ? b.tokens - from : (uint32_t)n;
		if (ids) {
			tok_block_ids(&b, payload, from, k, ids);
			ids += k;
		}
		if (flags) {
			read_flags(&b, payload, from, k, flags);
			flags += k;
		}
		at += k;
		n -= k;
	}
	return 0;
}

int tok_map_doc_starts(struct tok_map *m, uint64_t doc, size_t n, uint64_t *starts, struct err *e)
{
	ASSERT(doc <= m->docs && n <= m->docs - doc);
	for (uint64_t d = doc; d <= doc + n;) {
		if (d == m->docs) {
			*starts = m->tokens;
			break;
		}
		size_t i = find_block(m, d, 1);
		struct tok_block b;
		const uint8_t *payload = block_at(m, i, &b, e);
		if (!payload)
			return -1;
		const struct entry *t = &m->blocks[i];
		for (; d <= doc + n && d - t->first_doc < b.docs; d++)
			*starts++ =
				t->first_token + tok_block_start(&b, payload, (uint32_t)(d - t->first_doc));
	}
	return 0;
}

struct str tok_map_source(struct tok_map *m, uint64_t doc)
{
	ASSERT(doc < m->docs);
	size_t i = find_block(m, doc, 1);
	struct tok_block b;
	const uint8_t *payload = block_at(m, i, &b, NULL);
	if (!payload)
		return (struct str){ 0 };
	return tok_block_source(&b, payload, (uint32_t)(doc - m->blocks[i].first_doc));
}

const struct tok_info *tok_map_info(const struct tok_map *m)
{
	return &m->info;
}

uint64_t tok_map_tokens(const struct tok_map *m)
{
	return m->tokens;
}

uint64_t tok_map_docs(const struct tok_map *m)
{
	return m->docs;
}

uint64_t tok_map_masked(const struct tok_map *m)
{
	return m->masked;
}

struct hash128 tok_map_fingerprint(const struct tok_map *m)
{
	return m->content;
}

size_t tok_map_streams(const struct tok_map *m)
{
	return m->nstreams;
}

struct str tok_map_provenance(const struct tok_map *m, size_t stream)
{
	return m->streams[stream].provenance;
}

void tok_map_close(struct tok_map *m)
{
	if (!m)
		return;
	map_close(&m->map);
	free(m->blocks);
	free(m->streams);
	free(m->name);
	free(m);
}
