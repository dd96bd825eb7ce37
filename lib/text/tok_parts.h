/*
 * tok_parts: a tokenizer as the lists that model files of llama.cpp (GGUF) hold, both ways: tokens with their
 * types, merges or scores, and the name of a splitting rule.
 *
 * To add a splitting rule that llama.cpp has a name for: a row of the table in tok_parts.c.
 */
#ifndef QUERN_TOK_PARTS_H
#define QUERN_TOK_PARTS_H

#include "base/mem.h"
#include "text/tokenizer.h"

/* Types of tokens, numbered as sentencepiece and GGUF do. */
enum part_type { PART_NORMAL = 1, PART_UNKNOWN, PART_CONTROL, PART_USER, PART_UNUSED, PART_BYTE };

struct tok_parts {
	struct arena arena; /* of what tokenizer_parts makes; what a caller brings is his */
	int byte_level;     /* GPT-2's byte alphabet and merges; else sentencepiece's pieces and scores */
	struct str pre;     /* name of the splitting rule; byte_level */
	struct str *tokens; /* [n] */
	int32_t *types;     /* [n]; NULL: all are normal */
	float *scores;      /* [n]; pieces */
	size_t n;
	struct str *merges; /* "left right", in the order of their ranks; byte_level */
	size_t nmerges;
	int space_prefix;     /* pieces: a space is put in front of the text */
	int64_t bos, eos;     /* -1: none */
	int add_bos, add_eos; /* put around a text; -1: as the rule or format has it by default */
};

/* NULL and a message where the lists contradict each other or the rule is not known. */
struct tokenizer *tokenizer_of_parts(const struct tok_parts *p, struct err *e);
/* The lists, with n tokens (those without a text are unused). -1 and the reason where they cannot say this
 * tokenizer: what is read back from them gives the same ids. *exact: it even is the same, to the fingerprint.
 */
int tokenizer_parts(const struct tokenizer *t, size_t n, struct tok_parts *p, int *exact, struct err *e);
void tok_parts_release(struct tok_parts *p);

#endif
