#include "text/tokblock.h"
#include "base/cur.h"
#include "base/die.h"
#include "base/json.h"

#include <zlib.h>

/* 0x89 keeps the file from being taken for text; CR LF shows what a text-mode copy did to it. */
static const char magic[] = "\x89quern.tok\r\n";
enum { MAGIC_SIZE = sizeof magic - 1 };
static const char block_tag[] = "TBLK", end_tag[] = "TEND";

static uint32_t crc_of(const void *p, size_t n)
{
	return (uint32_t)crc32(crc32(0, NULL, 0), p, (uInt)n);
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static struct hash128 get_hash(struct cur *c)
{
	struct hash128 h;
	h.lo = cur_u64(c);
	h.hi = cur_u64(c);
	return h;
}

static void add_hash(struct buf *b, struct hash128 h)
{
	buf_add_u64(b, h.lo);
	buf_add_u64(b, h.hi);
}

static void add_padded(struct buf *b, const void *p, size_t n)
{
	static const char zero[8];
	buf_add(b, p, n);
	buf_add(b, zero, tok_padded(n) - n);
}

static int padding_is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = n; i < tok_padded(n); i++)
		if (p[i])
			return 0;
	return 1;
}

int tok_is_stream(const char *p, size_t n)
{
	return n >= TOK_TAG_SIZE && memcmp(p, magic, n < MAGIC_SIZE ? n : MAGIC_SIZE) == 0;
}

int tok_info_equal(const struct tok_info *a, const struct tok_info *b)
{
	return a->vocab == b->vocab && a->fingerprint.lo == b->fingerprint.lo &&
	       a->fingerprint.hi == b->fingerprint.hi;
}

enum tok_piece tok_piece_of(const uint8_t tag[TOK_TAG_SIZE])
{
	if (memcmp(tag, magic, TOK_TAG_SIZE) == 0)
		return TOK_PIECE_HEAD;
	if (memcmp(tag, block_tag, TOK_TAG_SIZE) == 0)
		return TOK_PIECE_BLOCK;
	return memcmp(tag, end_tag, TOK_TAG_SIZE) == 0 ? TOK_PIECE_END : TOK_PIECE_BAD;
}

/* --- header --------------------------------------------------------------------------------------------- */

const char *tok_head_parse(const uint8_t p[TOK_HEAD_SIZE], struct tok_head *h)
{
	if (!tok_is_stream((const char *)p, TOK_HEAD_SIZE))
		return "not a token stream";
	struct cur c;
	cur_init(&c, p, TOK_HEAD_SIZE);
	cur_bytes(&c, MAGIC_SIZE);
	unsigned version = cur_u16(&c);
	h->width = cur_u16(&c);
	h->info.vocab = cur_u32(&c);
	uint32_t flags = cur_u32(&c);
	h->info.fingerprint = get_hash(&c);
	uint32_t reserved = cur_u32(&c);
	if (cur_u32(&c) != crc_of(p, TOK_HEAD_SIZE - 4))
		return "damaged header (its checksum does not match)";
	if (version != TOK_VERSION)
		return "token stream of a version that this program does not know";
	if ((h->width != 2 && h->width != 4) || flags || reserved)
		return "bad header (width or reserved fields)";
	if (h->info.vocab == 0 || (h->width == 2 && h->info.vocab > 65536))
		return "bad header (vocabulary size)";
	return NULL;
}

void tok_head_add(struct buf *b, const struct tok_head *h)
{
	size_t at = b->n;
	buf_add(b, magic, MAGIC_SIZE);
	buf_add_u16(b, TOK_VERSION);
	buf_add_u16(b, (uint16_t)h->width);
	buf_add_u32(b, h->info.vocab);
	buf_add_u32(b, 0);
	add_hash(b, h->info.fingerprint);
	buf_add_u32(b, 0);
	buf_add_u32(b, crc_of(b->p + at, b->n - at));
}

/* --- block ---------------------------------------------------------------------------------------------- */

static void lay_out(struct tok_block *b)
{
	b->docs_at = tok_padded((size_t)b->tokens * b->width);
	b->mask_at = b->docs_at + (size_t)b->docs * 8;
	b->names_at = b->mask_at + (b->flags & TOK_MASK ? tok_padded(((size_t)b->tokens + 7) / 8) : 0);
	b->size = b->names_at + tok_padded(b->names_size);
}

const char *tok_block_parse(const uint8_t p[TOK_BLOCK_SIZE], unsigned width, struct tok_block *b)
{
	struct cur c;
	cur_init(&c, p, TOK_BLOCK_SIZE);
	cur_bytes(&c, TOK_TAG_SIZE);
	b->tokens = cur_u32(&c);
	b->docs = cur_u32(&c);
	b->names_size = cur_u32(&c);
	b->flags = cur_u32(&c);
	b->crc = cur_u32(&c);
	b->first_token = cur_u64(&c);
	b->first_doc = cur_u64(&c);
	uint32_t reserved = cur_u32(&c);
	b->width = width;
	if (cur_u32(&c) != crc_of(p, TOK_BLOCK_SIZE - 4))
		return "damaged block (the checksum of its header does not match)";
	if (b->tokens > TOK_MAX_TOKENS || b->docs > TOK_MAX_DOCS || b->names_size > TOK_MAX_NAMES)
		return "bad block (larger than the format allows)";
	if (b->flags & ~(uint32_t)(TOK_MASK | TOK_CONTINUES) || reserved)
		return "bad block (unknown flags)";
	if (b->tokens == 0 && b->docs == 0)
		return "bad block (empty)";
	if (b->first_token > UINT64_MAX - b->tokens || b->first_doc > UINT64_MAX - b->docs)
		return "bad block (position)";
	lay_out(b);
	return NULL;
}

static const char *check_docs(const struct tok_block *b, const uint8_t *payload, int continued)
{
	const uint8_t *names = payload + b->names_at;
	for (uint32_t i = 0; i < b->names_size; i++)
		if (!names[i] && (i == 0 || !names[i - 1]))
			return "bad block (an empty source name)";
	if (b->names_size && names[b->names_size - 1] != 0)
		return "bad block (source names)";
	uint32_t last = 0;
	for (uint32_t i = 0; i < b->docs; i++) {
		const uint8_t *d = payload + b->docs_at + (size_t)i * 8;
		uint32_t start = get_u32(d), name = get_u32(d + 4);
		if (start < last || start > b->tokens)
			return "bad block (document table)";
		/* A name starts the table or follows a NUL. */
		if (name && (name > b->names_size || (name > 1 && names[name - 2])))
			return "bad block (source of a document)";
		last = start;
	}
	int inside = b->docs == 0 || tok_block_start(b, payload, 0) > 0;
	if (inside != continued)
		return "bad block (it does not go on where the one before it ended)";
	if ((b->flags & TOK_CONTINUES) && (b->tokens == 0 || (b->docs && last == b->tokens)))
		return "bad block (an empty document cannot go on)";
	return NULL;
}

static const char *check_ids(const struct tok_block *b, const uint8_t *payload, uint32_t vocab)
{
	uint32_t max = 0;
	if (b->width == 2) {
		for (size_t i = 0; i < b->tokens; i++) {
			uint32_t id = payload[2 * i] | (uint32_t)payload[2 * i + 1] << 8;
			max = id > max ? id : max;
		}
	} else {
		for (size_t i = 0; i < b->tokens; i++) {
			uint32_t id = get_u32(payload + 4 * i);
			max = id > max ? id : max;
		}
	}
	return b->tokens && max >= vocab ? "bad block (an id outside the vocabulary)" : NULL;
}

const char *tok_block_check(const struct tok_block *b, const uint8_t *payload, uint32_t vocab, int continued)
{
	if (crc_of(payload, b->size) != b->crc)
		return "damaged block (its checksum does not match)";
	const char *why = check_docs(b, payload, continued);
	if (!why)
		why = check_ids(b, payload, vocab);
	if (!why && (!padding_is_zero(payload, (size_t)b->tokens * b->width) ||
			    !padding_is_zero(payload + b->names_at, b->names_size)))
		why = "bad block (padding)";
	if (!why && (b->flags & TOK_MASK))
		for (uint32_t i = b->tokens; i < (b->names_at - b->mask_at) * 8; i++)
			if (tok_block_masked(b, payload, i))
				why = "bad block (padding)";
	return why;
}

void tok_block_add(struct buf *out, struct tok_block *b, const uint8_t *ids, const struct buf *docs,
	const uint8_t *mask, const struct buf *names)
{
	b->flags = (b->flags & ~(uint32_t)TOK_MASK) | (mask ? TOK_MASK : 0);
	b->names_size = (uint32_t)names->n;
	lay_out(b);
	size_t head = out->n, payload = head + TOK_BLOCK_SIZE;
	static const char zero[TOK_BLOCK_SIZE];
	buf_reserve(out, TOK_BLOCK_SIZE + b->size);
	buf_add(out, zero, TOK_BLOCK_SIZE);
	add_padded(out, ids, (size_t)b->tokens * b->width);
	buf_add(out, docs->p, docs->n);
	if (mask)
		add_padded(out, mask, ((size_t)b->tokens + 7) / 8);
	add_padded(out, names->p, names->n);
	ASSERT(out->n == payload + b->size);
	b->crc = crc_of(out->p + payload, b->size);

	struct buf h = { 0 };
	buf_add(&h, block_tag, TOK_TAG_SIZE);
	buf_add_u32(&h, b->tokens);
	buf_add_u32(&h, b->docs);
	buf_add_u32(&h, b->names_size);
	buf_add_u32(&h, b->flags);
	buf_add_u32(&h, b->crc);
	buf_add_u64(&h, b->first_token);
	buf_add_u64(&h, b->first_doc);
	buf_add_u64(&h, 0); /* reserved, and the checksum's place */
	ASSERT(h.n == TOK_BLOCK_SIZE);
	memcpy(out->p + head, h.p, h.n);
	tok_block_seal((uint8_t *)out->p + head);
	buf_release(&h);
}

void tok_block_seal(uint8_t p[TOK_BLOCK_SIZE])
{
	uint32_t crc = crc_of(p, TOK_BLOCK_SIZE - 4);
	for (int i = 0; i < 4; i++)
		p[TOK_BLOCK_SIZE - 4 + i] = (uint8_t)(crc >> 8 * i);
}

uint32_t tok_block_start(const struct tok_block *b, const uint8_t *payload, uint32_t doc)
{
	return get_u32(payload + b->docs_at + (size_t)doc * 8);
}

struct str tok_block_source(const struct tok_block *b, const uint8_t *payload, uint32_t doc)
{
	uint32_t name = get_u32(payload + b->docs_at + (size_t)doc * 8 + 4);
	return name ? str_of((const char *)payload + b->names_at + name - 1) : (struct str){ 0 };
}

void tok_block_ids(const struct tok_block *b, const uint8_t *payload, uint32_t at, uint32_t n, uint32_t *ids)
{
	const uint8_t *p = payload + (size_t)at * b->width;
	if (b->width == 2) {
		for (size_t i = 0; i < n; i++)
			ids[i] = p[2 * i] | (uint32_t)p[2 * i + 1] << 8;
	} else {
		for (size_t i = 0; i < n; i++)
			ids[i] = get_u32(p + 4 * i);
	}
}

/* --- end mark ------------------------------------------------------------------------------------------- */

const char *tok_end_parse(const uint8_t p[TOK_END_SIZE], struct tok_end *end)
{
	struct cur c;
	cur_init(&c, p, TOK_END_SIZE);
	cur_bytes(&c, TOK_TAG_SIZE);
	end->provenance_size = cur_u32(&c);
	end->tokens = cur_u64(&c);
	end->docs = cur_u64(&c);
	end->masked = cur_u64(&c);
	end->blocks = cur_u64(&c);
	end->content = get_hash(&c);
	end->provenance_crc = cur_u32(&c);
	if (cur_u32(&c) != crc_of(p, TOK_END_SIZE - 4))
		return "damaged end mark (its checksum does not match)";
	if (end->provenance_size > TOK_MAX_PROVENANCE)
		return "bad end mark (larger than the format allows)";
	return NULL;
}

const char *tok_end_check(const struct tok_end *end, const uint8_t *provenance)
{
	const char *p = (const char *)provenance;
	size_t n = end->provenance_size;
	if (crc_of(p, tok_padded(n)) != end->provenance_crc)
		return "damaged end mark (the checksum of its provenance does not match)";
	if (n == 0 || p[0] != '{' || json_skip(p, n, 0, NULL) != n || !padding_is_zero(provenance, n))
		return "bad end mark (its provenance is not a JSON object)";
	return NULL;
}

void tok_end_add(struct buf *out, struct tok_end *end, const char *provenance)
{
	struct buf tail = { 0 };
	add_padded(&tail, provenance, strlen(provenance));
	end->provenance_size = (uint32_t)strlen(provenance);
	end->provenance_crc = crc_of(tail.p, tail.n);
	size_t at = out->n;
	buf_add(out, end_tag, TOK_TAG_SIZE);
	buf_add_u32(out, end->provenance_size);
	buf_add_u64(out, end->tokens);
	buf_add_u64(out, end->docs);
	buf_add_u64(out, end->masked);
	buf_add_u64(out, end->blocks);
	add_hash(out, end->content);
	buf_add_u32(out, end->provenance_crc);
	buf_add_u32(out, crc_of(out->p + at, out->n - at));
	buf_add(out, tail.p, tail.n);
	buf_release(&tail);
}

/* --- content fingerprint -------------------------------------------------------------------------------- */

void tok_digest_init(struct tok_digest *d)
{
	*d = (struct tok_digest){ .ids = fingerprint_new(), .docs = fingerprint_new() };
}

static void add_words(struct fingerprint *f, uint64_t a, uint64_t b)
{
	uint8_t bytes[16];
	for (int i = 0; i < 8; i++) {
		bytes[i] = (uint8_t)(a >> 8 * i);
		bytes[8 + i] = (uint8_t)(b >> 8 * i);
	}
	fingerprint_add(f, bytes, sizeof bytes);
}

/* A masked run is told when it ends: its first token, counted in the document, and its length. */
static void end_run(struct tok_digest *d)
{
	if (d->run) {
		add_words(d->docs, d->length - d->run, d->run);
		d->runs++;
	}
	d->run = 0;
}

static void end_doc(struct tok_digest *d)
{
	if (!d->open)
		return;
	end_run(d);
	add_words(d->docs, d->runs, d->length);
	add_words(d->docs, d->source.n, 0);
	fingerprint_add(d->docs, d->source.p, d->source.n);
	d->open = 0;
}

static void add_tokens(
	struct tok_digest *d, const struct tok_block *b, const uint8_t *payload, uint32_t from, uint32_t to)
{
	if (!(b->flags & TOK_MASK)) {
		if (to > from)
			end_run(d);
		d->length += to - from;
		return;
	}
	for (uint32_t i = from; i < to; i++) {
		if (tok_block_masked(b, payload, i)) {
			d->run++;
			d->sum.masked++;
		} else {
			end_run(d);
		}
		d->length++;
	}
}

void tok_digest_block(struct tok_digest *d, const struct tok_block *b, const uint8_t *payload)
{
	fingerprint_add(d->ids, payload, (size_t)b->tokens * b->width);
	uint32_t first = b->docs ? tok_block_start(b, payload, 0) : b->tokens;
	add_tokens(d, b, payload, 0, first);
	for (uint32_t i = 0; i < b->docs; i++) {
		end_doc(d);
		struct str source = tok_block_source(b, payload, i);
		buf_reset(&d->source);
		buf_add(&d->source, source.p, source.n);
		d->open = 1;
		d->length = d->runs = 0;
		uint32_t end = i + 1 < b->docs ? tok_block_start(b, payload, i + 1) : b->tokens;
		add_tokens(d, b, payload, tok_block_start(b, payload, i), end);
	}
	if (!(b->flags & TOK_CONTINUES))
		end_doc(d);
	d->sum.tokens += b->tokens;
	d->sum.docs += b->docs;
	d->sum.blocks++;
}

struct hash128 tok_digest_end(struct tok_digest *d)
{
	end_doc(d);
	struct buf b = { 0 };
	add_hash(&b, fingerprint_end(d->ids));
	add_hash(&b, fingerprint_end(d->docs));
	struct hash128 h = hash128(b.p, b.n);
	buf_release(&b);
	d->ids = d->docs = NULL;
	tok_digest_release(d);
	return h;
}

struct hash128 tok_join_contents(const struct hash128 *content, size_t n)
{
	if (n == 1)
		return content[0];
	struct buf b = { 0 };
	for (size_t i = 0; i < n; i++)
		add_hash(&b, content[i]);
	struct hash128 h = hash128(b.p, b.n);
	buf_release(&b);
	return h;
}

void tok_digest_release(struct tok_digest *d)
{
	fingerprint_free(d->ids);
	fingerprint_free(d->docs);
	buf_release(&d->source);
	*d = (struct tok_digest){ 0 };
}
