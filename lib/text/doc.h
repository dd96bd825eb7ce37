/*
 * doc: streams of documents: JSON Lines with a text field, plain text files (a file a document), or lines.
 *
 * A reader gathers raw records in batches (serial), a batch is parsed (in parallel: each batch by one
 * thread), a writer gives untouched bytes back. JSON records are scanned, never rebuilt: every field that is
 * not changed keeps its bytes. Messages are "FILE:LINE: what is wrong".
 *
 * JSONL: one object a line, strict RFC 8259 in valid UTF-8; lines of white space alone are no records (but
 * count as lines), a carriage return before the newline stays in `raw`, a byte order mark at the start of a
 * file is dropped. Text and lines are bytes of any kind. An empty file holds no document. A record has at
 * most 1 GiB.
 */
#ifndef QUERN_DOC_H
#define QUERN_DOC_H

#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/mem.h"

/* OPT_CHOICE "auto|jsonl|text|lines"; DOC_AUTO_LINES as DOC_AUTO, but what is not JSONL is lines (prompts).
 */
enum doc_format { DOC_AUTO, DOC_JSONL, DOC_TEXT, DOC_LINES, DOC_AUTO_LINES };

/* A field of a JSON record: spans of the raw line. `value` is the JSON text (a string has its quotes). */
struct doc_field {
	struct str key, value; /* key unescaped */
	size_t at;             /* offset of the key's quote in the line; unused in changes */
};

struct doc {
	enum doc_format format; /* never DOC_AUTO */
	uint64_t number;        /* record number over all input, from 0, bad records counted */
	const char *file;       /* name for messages */
	uint64_t line;          /* of the record in its file, from 1 */
	uint64_t offset;        /* of `raw` in its file, after decompression */
	struct str raw;         /* JSONL, lines: the line without '\n'; text: all of it */
	struct str text;        /* unescaped; a line without its '\r'; {0} when `bad` */
	struct doc_field *fields;
	size_t nfields; /* JSONL only */
	char *bad;      /* NULL, or why this record cannot be used ("FILE:LINE: ...") */
};

struct doc_batch {
	struct doc *docs;
	size_t n, cap;
	struct buf bytes;   /* raw records */
	struct arena arena; /* unescaped text, fields, messages */
	void *user;         /* of the command */
};

struct doc_source;

/* What DOC_AUTO is for a file of that name ("-" is stdin) whose first bytes are these. */
enum doc_format docs_format(const char *file, const char *start, size_t n);
/* files: n names ("-" or none: stdin). field: name of the text field (NULL: "text"; a key such as "messages"
 * whose value is not a string gives its JSON text when `any_type`). files and field must outlive the source.
 * Opens lazily, in order. Formats: DOC_AUTO goes by name (.jsonl, .json, also with .gz, are JSONL, all else
 * is text), and for stdin, /dev/... and whatever is no regular file by the first byte ('{' is JSONL). Where
 * no text is asked for, a token stream is an error. */
struct doc_source *docs_open(char **files, size_t n, const char *field, enum doc_format format, int any_type);
/* The same over one file that somebody has opened and looked into (reader_peek): takes r over. name as above.
 */
struct doc_source *docs_open_reader(
	struct reader *r, char *name, const char *field, enum doc_format format, int any_type);
/* Empties the batch and fills it with records of about max_bytes (at least one). 1 some, 0 the end, -1 failed
 * (unreadable file, message): records before the failure are handed out first, and both ends are final. */
int docs_read(struct doc_source *s, struct doc_batch *b, size_t max_bytes, struct err *e);
/* Parses every record of the batch: fields, text, bad. Thread-safe for different batches. */
void docs_parse(const struct doc_source *s, struct doc_batch *b);
/* Progress, from any thread: bytes of the files taken, and in total (0 unknown). */
uint64_t docs_offset(const struct doc_source *s);
uint64_t docs_size(const struct doc_source *s);
void docs_close(struct doc_source *s);

void doc_batch_reset(struct doc_batch *b); /* keeps memory */
void doc_batch_release(struct doc_batch *b);

/* The last field of that name, NULL when absent. */
const struct doc_field *doc_get(const struct doc *d, const char *key);
/* Its string value unescaped into b (replacing it), or its JSON text when it is not a string. -1 when absent.
 */
int doc_get_str(const struct doc *d, const char *key, struct buf *b);

/* One record: JSONL and lines as they came, text as {"text": ...} so that its end stays known. */
void doc_add(struct buf *out, const struct doc *d);
/* The record as JSON with changes: for each of n fields, an existing one has its value replaced in place, a
 * new one is appended (a value with p == NULL removes the field). Values are JSON text. All other bytes stay.
 * Text and lines become {"text": ...}. Not for a bad record. */
void doc_add_changed(struct buf *out, const struct doc *d, const struct doc_field *changes, size_t n);

/* The ordered pipeline over documents: batches are read, parsed and worked on in parallel, and written in
 * order. Batches are used again: `user` stays with one and goes to `release` at the end (which may be NULL).
 */
struct docs_job {
	void (*work)(void *ctx, struct doc_batch *b, int thread);
	int (*write)(void *ctx, struct doc_batch *b); /* non-zero ends the run */
	void (*release)(void *user);
};
/* 0 at the end of input, -1 when reading failed (message), else what write returned. */
int docs_run(struct doc_source *s, const struct docs_job *job, void *ctx, size_t batch_bytes, int threads,
	struct err *e);

#endif
