/*
 * corpus: the documents of several files, by number: what is sampled from.
 *
 * A file holds documents (doc.h) or token streams (tokfile.h), told by its first bytes; one corpus holds one
 * kind. Files are read once, in order, when they are added: every record is checked then. What stays in
 * memory is where each document lies (12 bytes a document; nothing for those of a token stream in a regular
 * file); a document is read again when it is asked for. Pipes and compressed files go to a temporary file
 * first. Not thread-safe.
 */
#ifndef QUERN_CORPUS_H
#define QUERN_CORPUS_H

#include "base/err.h"
#include "text/doc.h"
#include "text/tokfile.h"

enum corpus_kind { CORPUS_NONE, CORPUS_DOCS, CORPUS_TOKENS };

struct corpus_options {
	const char *field; /* as docs_open; a field of any type will do */
	enum doc_format format;
	int threads;
	const char *temp; /* folder of temporary files; NULL: as spill_new */
	/* Told of every record that cannot be used; non-zero: leave it out and go on. NULL: none is left out.
	 */
	int (*bad)(void *ctx, const char *message);
	void *ctx;
};

struct corpus;
struct corpus *corpus_new(const struct corpus_options *o); /* o outlives it */
void corpus_free(struct corpus *c);
/* Adds the documents of a file ("-" is stdin). -1: unreadable, damaged, of the other kind, of another
 * tokenizer. The name outlives the corpus. */
int corpus_add(struct corpus *c, char *file, struct err *e);

enum corpus_kind corpus_kind(const struct corpus *c);
uint64_t corpus_docs(const struct corpus *c);
uint64_t corpus_tokens(const struct corpus *c);             /* token streams only */
const struct tok_info *corpus_info(const struct corpus *c); /* token streams only */
/* Of the content of its files, in order; no file is added after that. */
struct hash128 corpus_fingerprint(struct corpus *c);

/* Of token streams: the number of tokens of a document, and the document (valid until the next call). */
int corpus_length(struct corpus *c, uint64_t doc, uint64_t *tokens, struct err *e);
int corpus_read_tokens(struct corpus *c, uint64_t doc, struct tok_doc *d, struct err *e);
/* Of documents: appends the record as doc_add does. */
int corpus_read_doc(struct corpus *c, uint64_t doc, struct buf *out, struct err *e);

#endif
