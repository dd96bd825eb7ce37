/*
 * tokblock: the pieces of a token stream as bytes (tok(5)), shared by its writer and its two readers.
 *
 * Parsers take exactly the bytes of one piece and return NULL, or what is wrong with it (a constant text).
 * They allocate nothing and trust nothing: after a NULL, every count is inside its limit and every offset
 * inside the piece.
 */
#ifndef QUERN_TOKBLOCK_H
#define QUERN_TOKBLOCK_H

#include "base/buf.h"
#include "base/hash.h"
#include "text/tokfile.h"

#include <stddef.h>
#include <stdint.h>

enum {
	TOK_VERSION = 1,
	TOK_HEAD_SIZE = 48,
	TOK_BLOCK_SIZE = 48, /* header of a block */
	TOK_END_SIZE = 64,   /* end mark without its provenance */
	TOK_TAG_SIZE = 4,    /* what tells the pieces apart */

	TOK_MAX_TOKENS = 1 << 20, /* a block */
	TOK_MAX_DOCS = 1 << 20,
	TOK_MAX_NAMES = 1 << 20,      /* bytes of a block's names */
	TOK_MAX_PROVENANCE = 1 << 20, /* bytes */

	TOK_MASK = 1,     /* block flags: a loss mask is there */
	TOK_CONTINUES = 2 /* the last document goes on in the next block */
};

enum tok_piece { TOK_PIECE_BAD, TOK_PIECE_HEAD, TOK_PIECE_BLOCK, TOK_PIECE_END };
enum tok_piece tok_piece_of(const uint8_t tag[TOK_TAG_SIZE]);

struct tok_head {
	struct tok_info info;
	unsigned width;
};
const char *tok_head_parse(const uint8_t p[TOK_HEAD_SIZE], struct tok_head *h);
void tok_head_add(struct buf *b, const struct tok_head *h);

struct tok_block {
	uint32_t tokens, docs, names_size, flags, crc;
	uint64_t first_token, first_doc; /* counted in its stream */
	unsigned width;
	/* Offsets inside the payload, and its size. */
	size_t docs_at, mask_at, names_at, size;
};
const char *tok_block_parse(const uint8_t p[TOK_BLOCK_SIZE], unsigned width, struct tok_block *b);
/* Checksum and inner consistency of the payload (b->size bytes). `continued`: the block before it says
 * TOK_CONTINUES. */
const char *tok_block_check(const struct tok_block *b, const uint8_t *payload, uint32_t vocab, int continued);
/* Header and payload. ids: tokens * width bytes; docs: pairs (start, 1 + offset of its name or 0); mask: bits
 * or NULL; names: as stored. */
void tok_block_add(struct buf *out, struct tok_block *b, const uint8_t *ids, const struct buf *docs,
	const uint8_t *mask, const struct buf *names);

/* Writes the checksum of a block's header, whose fields are there. */
void tok_block_seal(uint8_t p[TOK_BLOCK_SIZE]);

/* Of a checked payload. */
uint32_t tok_block_start(const struct tok_block *b, const uint8_t *payload, uint32_t doc);
struct str tok_block_source(const struct tok_block *b, const uint8_t *payload, uint32_t doc);
void tok_block_ids(const struct tok_block *b, const uint8_t *payload, uint32_t at, uint32_t n, uint32_t *ids);
static inline int tok_block_masked(const struct tok_block *b, const uint8_t *payload, uint32_t i)
{
	return payload[b->mask_at + i / 8] >> (i % 8) & 1;
}

struct tok_end {
	uint32_t provenance_size, provenance_crc;
	uint64_t tokens, docs, masked, blocks;
	struct hash128 content;
};
const char *tok_end_parse(const uint8_t p[TOK_END_SIZE], struct tok_end *end);
const char *tok_end_check(const struct tok_end *end, const uint8_t *provenance);
void tok_end_add(struct buf *out, struct tok_end *end, const char *provenance);
/* Bytes that n take with their padding. */
static inline size_t tok_padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* The counts and the content fingerprint of one stream, from its checked blocks in order. */
struct tok_digest {
	struct fingerprint *ids, *docs;
	struct tok_end sum; /* tokens, docs, masked, blocks so far */
	/* The open document. */
	int open;
	uint64_t length, run, runs; /* run: tokens of the masked run that is open */
	struct buf source;
};
/* The fingerprint of n streams one behind another, from theirs. */
struct hash128 tok_join_contents(const struct hash128 *content, size_t n);
void tok_digest_init(struct tok_digest *d);
void tok_digest_block(struct tok_digest *d, const struct tok_block *b, const uint8_t *payload);
/* The content fingerprint; releases d. */
struct hash128 tok_digest_end(struct tok_digest *d);
void tok_digest_release(struct tok_digest *d);

#endif
