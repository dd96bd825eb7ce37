/*
 * tokfile: the token stream format, specified in tok(5).
 *
 * A stream is: header (magic, version, width, vocabulary size, tokenizer fingerprint), checksummed blocks
 * (tokens, document starts, source, loss mask), end mark (counts, content fingerprint, provenance). Streams
 * of one tokenizer may be concatenated. All integers little-endian. Nothing in a file is trusted before it is
 * checked; messages are "FILE: byte N: what is wrong".
 */
#ifndef QUERN_TOKFILE_H
#define QUERN_TOKFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"

struct tok_info {
	uint32_t vocab;             /* every id is below it */
	struct hash128 fingerprint; /* of the tokenizer; zero: unknown (made by --from-ids) */
};

/* Made with the same tokenizer: streams of both may stand one behind another. */
int tok_info_equal(const struct tok_info *a, const struct tok_info *b);

/* --- writing -------------------------------------------------------------------------------------------- */

enum { TOK_MAX_SOURCE = 4095 };

struct tok_writer;
/* Writes the header. w stays the caller's. 2-byte ids when vocab <= 65536; vocab > 0. */
struct tok_writer *tok_writer_new(struct writer *w, const struct tok_info *info);
/* One document: n ids (n may be 0); mask[i] non-zero: the loss counts token i (NULL: all); source: its name,
 * at most TOK_MAX_SOURCE bytes, or NULL or "". -1 when an id is not below vocab or the name is too long (then
 * nothing of this document was written, and the message names no place) or the writer failed. */
int tok_writer_doc(struct tok_writer *t, const uint32_t *ids, const uint8_t *mask, size_t n,
	const char *source, struct err *e);
/* Last block and end mark. provenance: JSON object text (tool, version, options; at most 1 MiB). Frees t. */
int tok_writer_end(struct tok_writer *t, const char *provenance, struct err *e);
void tok_writer_free(struct tok_writer *t);

/* --- reading in order ----------------------------------------------------------------------------------- */

struct tok_doc {
	const uint32_t *ids; /* valid until the next call */
	const uint8_t *mask; /* [n] 1: the loss counts it, 0: not; NULL: all tokens count */
	size_t n;
	struct str source; /* empty when unknown; else followed by a NUL */
};

struct tok_reader;
/* Reads the header. r stays the caller's; it may hold several streams one behind another (then all must agree
 * in tok_info). */
struct tok_reader *tok_reader_new(struct reader *r, struct err *e);
const struct tok_info *tok_reader_info(const struct tok_reader *t);
/* The next document. 1, 0 at a proper end mark, -1 damaged, cut short, or different tokenizer. */
int tok_reader_doc(struct tok_reader *t, struct tok_doc *d, struct err *e);
uint64_t tok_reader_tokens(const struct tok_reader *t); /* given out so far */
/* After tok_reader_doc gave 0: number of streams, provenance and content fingerprint as tok_map_fingerprint
 * has it. */
size_t tok_reader_streams(const struct tok_reader *t);
struct str tok_reader_provenance(const struct tok_reader *t, size_t stream);
struct hash128 tok_reader_fingerprint(const struct tok_reader *t);
void tok_reader_free(struct tok_reader *t);

/* --- mapped, at random ---------------------------------------------------------------------------------- */

/* Per-token flags of tok_map_read. */
enum { TOK_DOC_START = 1, TOK_NO_LOSS = 2 };

struct tok_map;
/* Maps a file and checks its structure (headers, blocks, end mark, counts); block checksums are verified when
 * a block is first read. */
struct tok_map *tok_map_open(const char *path, struct err *e);
const struct tok_info *tok_map_info(const struct tok_map *m);
uint64_t tok_map_tokens(const struct tok_map *m);
uint64_t tok_map_docs(const struct tok_map *m);
/* Content fingerprint of the stream (from its end marks; of several streams, the hash of theirs in order):
 * what a run records instead of a file name. */
struct hash128 tok_map_fingerprint(const struct tok_map *m);
uint64_t tok_map_masked(const struct tok_map *m); /* tokens that the loss leaves out */
/* Streams in the file (more than one behind `cat`), and the provenance of each: JSON object text. */
size_t tok_map_streams(const struct tok_map *m);
struct str tok_map_provenance(const struct tok_map *m, size_t stream);
/* Tokens [at, at + n), which must lie inside, into ids and flags (either may be NULL). -1: damaged block. Not
 * thread-safe. */
int tok_map_read(struct tok_map *m, uint64_t at, size_t n, uint32_t *ids, uint8_t *flags, struct err *e);
/* Documents [doc, doc + n), which must lie inside: their first tokens' positions, n + 1 values (the last one
 * is the end). */
int tok_map_doc_starts(struct tok_map *m, uint64_t doc, size_t n, uint64_t *starts, struct err *e);
/* Source name of a document; empty when unknown (or its block is damaged). Valid as long as the map. */
struct str tok_map_source(struct tok_map *m, uint64_t doc);
void tok_map_close(struct tok_map *m);

/* A token stream starts with these bytes, 4 at least: also one that was cut short inside its magic (for
 * commands that take documents or streams). */
int tok_is_stream(const char *p, size_t n);

#endif
