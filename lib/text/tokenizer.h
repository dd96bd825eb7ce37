/*
 * tokenizer: text to ids and back, whatever file the vocabulary came from.
 *
 * A tokenizer is immutable after loading and may be shared by threads; an encoder holds the cache and scratch
 * of one thread. Ids, vocabulary and added tokens are those of the reference library for the same file.
 */
#ifndef QUERN_TOKENIZER_H
#define QUERN_TOKENIZER_H

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "text/bpetrain.h"

struct ids {
	uint32_t *v;
	size_t n, cap;
};
void ids_add(struct ids *a, uint32_t id);
void ids_release(struct ids *a);

struct tokenizer;

/* path: tokenizer.json, *.tiktoken, a folder (tokenizer.json, or vocab.json/encoder.json +
 * merges.txt/vocab.bpe, or tokenizer.model, or tokenizer.bin), a sentencepiece .model, llama2.c's
 * tokenizer.bin; any of them gzipped. pattern: a known name or a regular expression that replaces the file's
 * (needed for rank files of unknown name), or NULL. */
struct tokenizer *tokenizer_load(const char *path, const char *pattern, struct err *e);
/* The text of a tokenizer.json in memory (checkpoints carry it in their metadata). */
struct tokenizer *tokenizer_parse(const char *json, size_t n, struct err *e);
/* What bpe_train made, byte-level, split by a pattern (a known name or a regular expression). */
struct tokenizer *tokenizer_build(const struct bpe_model *m, const char *pattern, struct err *e);
void tokenizer_free(struct tokenizer *t);

/* Ids are below this (added tokens included). */
uint32_t tokenizer_vocab(const struct tokenizer *t);
/* Of what decides ids: vocabulary, merges or scores, pattern, normalizer, added tokens; not of the file's
 * layout. */
struct hash128 tokenizer_fingerprint(const struct tokenizer *t);
/* A tokenizer.json that Hugging Face tokenizers loads with identical ids, and that tokenizer_parse reads back
 * with the same fingerprint. -1 where the model cannot be said in that format. */
int tokenizer_json(const struct tokenizer *t, struct buf *b, struct err *e);
/* llama2.c's tokenizer.bin with `vocab` entries (the model's vocab_size; those beyond the tokenizer's are
 * empty). -1 where that format cannot say the tokenizer. */
int tokenizer_llama2c(const struct tokenizer *t, size_t vocab, struct buf *b, struct err *e);

/* Special ids by role; -1 when there is none. A config.json or generation_config may override them. */
int64_t tokenizer_bos(const struct tokenizer *t);
int64_t tokenizer_eos(const struct tokenizer *t);
/* Id of a token by its text (vocabulary or added token), -1 when absent. */
int64_t tokenizer_id(const struct tokenizer *t, const char *s, size_t n);
/* The bytes that id stands for; {0} for an id that has no token. is_special: it is a special added token. */
struct str tokenizer_bytes(const struct tokenizer *t, uint32_t id, int *is_special);

/* What the post-processor puts around one sequence (Llama 3: BOS in front); NULL and 0 when nothing. */
const uint32_t *tokenizer_prefix(const struct tokenizer *t, size_t *n);
const uint32_t *tokenizer_suffix(const struct tokenizer *t, size_t *n);

struct encoder;
struct encoder *encoder_new(const struct tokenizer *t); /* t outlives it */
void encoder_free(struct encoder *enc);

enum { ENCODE_SPECIAL = 1 }; /* special tokens in the text become their ids; without it they are text */
/* Appends the ids of text (any bytes; what is not UTF-8 is treated as the manual says). Nothing is added. */
void encoder_encode(struct encoder *enc, const char *text, size_t n, int flags, struct ids *out);
/* Texts that a regular expression's limits cut short so far: their rest was encoded in one piece. */
uint64_t encoder_limited(const struct encoder *enc);
/* The text after the tokenizer's own normalizer: what decoding gives back. */
void encoder_normalize(struct encoder *enc, const char *text, size_t n, int flags, struct buf *out);

/* Appends the bytes of ids, as the file's decoder puts them together. skip_special leaves special tokens out.
 */
void tokenizer_decode(
	const struct tokenizer *t, const uint32_t *ids, size_t n, int skip_special, struct buf *out);

#endif
