/*
 * tok_impl: the insides of a tokenizer, shared by its loaders (tok_*.c), the encoder and the writer. Not for
 * others.
 *
 * Every vocabulary is brought to one form: a vocab of byte strings, a merge table over ids, and around it
 * normalizer steps, splitting steps and added tokens as tokenizer.json has them. Byte models start from
 * single bytes; character models (sentencepiece) from UTF-8 characters, and fall back to byte tokens or to
 * the unknown token.
 *
 * To add a format: a loader here, its line in parse_any (tokenizer.c), a fuzz target, a test, a line of
 * tokenize.1.
 */
#ifndef QUERN_TOK_IMPL_H
#define QUERN_TOK_IMPL_H

#include "text/bpe.h"
#include "text/pretok.h"
#include "text/textnorm.h"
#include "text/tokenizer.h"
#include "text/trie.h"
#include "text/vocab.h"
#include "base/mem.h"

struct added {
	uint32_t id;
	struct str text;
	unsigned char special, normalized, lstrip, rstrip, single_word;
};

enum presplit_kind { SPLIT_REGEX, SPLIT_STRING, SPLIT_DIGITS, SPLIT_PREFIX_SPACE, SPLIT_METASPACE };
enum split_behavior { SPLIT_ISOLATED, SPLIT_REMOVED, SPLIT_PREVIOUS, SPLIT_NEXT, SPLIT_CONTIGUOUS };
enum { META_ALWAYS, META_FIRST, META_NEVER };
struct presplit {
	enum presplit_kind kind;
	enum split_behavior behavior;
	int invert;
	struct pretok *rx;
	struct str literal; /* SPLIT_STRING; SPLIT_METASPACE: the replacement */
	int scheme, cut;    /* SPLIT_METASPACE: prepend_scheme, split */
};

#define PRESPLIT_MAX 8

struct tokenizer {
	struct arena arena; /* strings of steps and added tokens */
	int byte_level;
	struct vocab vocab; /* byte models: raw bytes; character models: text with U+2581 for spaces */
	struct str *bytes;  /* [vocab.n]: what an id decodes to; shares memory with vocab or arena */
	struct bpe merges;
	uint32_t
		byte_id[256]; /* byte models: the single bytes; character models: <0xNN>; NO_ID when absent */
	int ignore_merges;    /* a piece that is in the vocabulary is that token */
	int byte_fallback, fuse_unk;
	uint32_t unk;          /* NO_ID: none */
	uint32_t first_pseudo; /* symbols from here on stand for characters without a token of their own */
	int cut_at_meta;       /* no token has U+2581 behind another character: text may be cut there */
	struct textnorm norm;
	struct presplit split[PRESPLIT_MAX];
	size_t nsplit;
	struct added *added;
	size_t nadded, added_cap;
	struct trie raw, normalized; /* values: places in added */
	int any_text_added;          /* an added token that is not special: matched always */
	int verbatim;           /* normalized added tokens are not normalized themselves (sentencepiece) */
	unsigned char *special; /* [vocab.n] */
	uint32_t *prefix, *suffix;
	size_t nprefix, nsuffix;
	int strip_first;     /* decoding leaves out a space at the start */
	const char *no_json; /* why tokenizer.json cannot say this model; NULL when it can */
	int64_t bos, eos;
};

/* All merges in the order of their ranks, to be freed. Equal ranks: the longest left half first (characters),
 * then by left and right id. */
struct merge *tok_merges(const struct tokenizer *t);

/* Lowest rank of a merge that makes each id, [vocab.n]; NO_ID: none does. To be freed. */
uint32_t *tok_ranks(const struct tokenizer *t);

#define META "\xe2\x96\x81"

struct tokenizer *tok_new(void);
/* What every loader does last: decoded bytes, tries, roles, the cut rule. -1 and a message when the parts
 * disagree. */
int tok_finish(struct tokenizer *t, struct err *e);
/* Copies text to the arena. */
struct str tok_keep(struct tokenizer *t, const char *p, size_t n);
/* Adds an added token; its id gets the text when it has none. -1 when id and text contradict what is there.
 */
int tok_add(struct tokenizer *t, struct added a, struct err *e);
void tok_norm_step(struct tokenizer *t, enum norm_op kind, struct str a, struct str b);
int tok_split_pattern(struct tokenizer *t, const char *pattern, unsigned flags, struct err *e);
/* GPT-2's byte alphabet: code point of each byte, and back (-1: not in it). */
uint32_t byte_to_char(unsigned char b);
int char_to_byte(uint32_t cp);
/* A token spelled in that alphabet to its bytes, appended; -1 when a character is not in it. */
int bytes_of_spelling(const char *p, size_t n, struct buf *out);
void spelling_of_bytes(const char *p, size_t n, struct buf *out);

/* Merge number `rank` of a list, halves spelled as in its file. */
int tok_add_merge(struct tokenizer *t, struct str a, struct str b, uint32_t rank, struct err *e);

/* Loaders: the whole file in memory; name for messages. NULL on failure. */
struct tokenizer *tok_load_hf(const char *p, size_t n, const char *pattern, struct err *e);
struct tokenizer *tok_load_ranks(
	const char *p, size_t n, const char *name, const char *pattern, struct err *e);
struct tokenizer *tok_load_gpt2(const char *vocab, size_t nvocab, const char *merges, size_t nmerges,
	const char *pattern, struct err *e);
struct tokenizer *tok_load_spm(const char *p, size_t n, struct err *e);
struct tokenizer *tok_load_llama2c(const char *p, size_t n, struct err *e);
struct tok_parts;
int tok_build_pieces(
	struct tokenizer *t, const struct tok_parts *p, struct err *e); /* those of sentencepiece */
/* Do these bytes look like that format? */
int tok_is_ranks(const char *p, size_t n);
int tok_is_spm(const char *p, size_t n);
int tok_is_llama2c(const char *p, size_t n);

#endif
