/*
 * tokfile: the token stream format, specified in tok(5).
 *
 * A stream is: header (magic, version, width, vocabulary size, tokenizer fingerprint), checksummed blocks (tokens,
 * document starts, source, loss mask), end mark (counts, content fingerprint, provenance). Streams of one tokenizer
 * may be concatenated. All integers little-endian. Nothing in a file is trusted before it is checked.
 */
#ifndef QUERN_TOKFILE_H
#define QUERN_TOKFILE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/io.h"

struct tok_info {
	uint32_t vocab;		    /* every id is below it */
	struct hash128 fingerprint; /* of the tokenizer; zero: unknown (made by --from-ids) */
};

/* --- writing -------------------------------------------------------------------------------------------------- */

struct tok_writer;
/* Writes the header. w stays the caller's. 2-byte ids when vocab <= 65536. */
struct tok_writer *tok_writer_new(struct writer *w, const struct tok_info *info);
/* One document: n ids; mask[i] non-zero: the loss counts token i (NULL: all); source: its name or NULL. -1 when an
 * id is not below vocab (message) or the writer failed. */
int tok_writer_doc(struct tok_writer *t, const uint32_t *ids, const uint8_t *mask, size_t n, const char *source,
	struct err *e);
/* Last block and end mark. provenance: JSON object text (tool, version, options). Frees t. */
int tok_writer_end(struct tok_writer *t, const char *provenance, struct err *e);
void tok_writer_free(struct tok_writer *t);

/* --- reading in order ----------------------------------------------------------------------------------------- */

struct tok_doc {
	const uint32_t *ids; /* valid until the next call */
	const uint8_t *mask; /* NULL: all tokens count */
	size_t n;
	struct str source; /* empty when unknown */
};

struct tok_reader;
/* r stays the caller's; it may hold several streams one behind another (then all must agree in tok_info). */
struct tok_reader *tok_reader_new(struct reader *r, struct err *e);
const struct tok_info *tok_reader_info(const struct tok_reader *t);
/* The next document. 1, 0 at a proper end mark, -1 damaged, cut short, or different tokenizer. */
int tok_reader_doc(struct tok_reader *t, struct tok_doc *d, struct err *e);
uint64_t tok_reader_tokens(const struct tok_reader *t); /* given out so far */
void tok_reader_free(struct tok_reader *t);

/* --- mapped, at random ---------------------------------------------------------------------------------------- */

/* Per-token flags of tok_map_read. */
enum { TOK_DOC_START = 1, TOK_NO_LOSS = 2 };

struct tok_map;
/* Maps a file and checks its structure (headers, blocks, end mark, counts); block checksums are verified when a block
 * is first read. */
struct tok_map *tok_map_open(const char *path, struct err *e);
const struct tok_info *tok_map_info(const struct tok_map *m);
uint64_t tok_map_tokens(const struct tok_map *m);
uint64_t tok_map_docs(const struct tok_map *m);
/* Content fingerprint of the stream (from its end marks): what a run records instead of a file name. */
struct hash128 tok_map_fingerprint(const struct tok_map *m);
/* Tokens [at, at + n) into ids and flags (either may be NULL). -1: damaged block. Not thread-safe. */
int tok_map_read(struct tok_map *m, uint64_t at, size_t n, uint32_t *ids, uint8_t *flags, struct err *e);
/* Documents [doc, doc + n): their first tokens' positions, n + 1 values (the last one is the end). */
int tok_map_doc_starts(struct tok_map *m, uint64_t doc, size_t n, uint64_t *starts, struct err *e);
/* Source name of a document; empty when unknown. */
struct str tok_map_source(struct tok_map *m, uint64_t doc);
void tok_map_close(struct tok_map *m);

/* "quern.tok" header seen at the start of these bytes (for commands that take documents or streams). */
int tok_is_stream(const char *p, size_t n);

#endif
