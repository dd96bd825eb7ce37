/*
 * textnorm: the normalizers of tokenizer files, a list of steps applied one after another.
 *
 * Bytes that are not UTF-8 pass through and separate what stands around them. Unicode forms are utf8proc's.
 */
#ifndef QUERN_TEXTNORM_H
#define QUERN_TEXTNORM_H

#include "base/buf.h"
#include "text/trie.h"

enum norm_op {
	NORM_NFC,
	NORM_NFD,
	NORM_NFKC,
	NORM_NFKD,
	NORM_PREPEND, /* a, in front of text that is not empty */
	NORM_REPLACE, /* a by b */
	/* sentencepiece's: a is its precompiled map, or empty. Where b is not empty, runs of spaces become
	 * one, and those at the ends none; nor does b, what will stand for a space, at the end. */
	NORM_SENTENCEPIECE
};
struct norm_step {
	enum norm_op kind;
	struct str a, b;
};
struct textnorm {
	struct norm_step *steps;
	size_t n, cap;
	const struct trie *keep; /* strings that NORM_SENTENCEPIECE's map leaves alone; NULL: none */
};

/* Called once before norm_apply on a list that has NORM_NFC (builds a table). */
void norm_init(void);
/* Does the list leave this text as it is, seen at little cost? (No steps, or NFC and nothing that it could
 * change.) */
int norm_is_identity(const struct textnorm *t, const char *text, size_t n);
/* Text through all steps into out (replaced); tmp is scratch. */
void norm_apply(const struct textnorm *t, const char *text, size_t n, struct buf *out, struct buf *tmp);
/* Is this a well-formed map for NORM_SENTENCEPIECE? */
int charsmap_check(struct str map);
/* What stands at p (n > 0) by the map, or by none where it is empty: a key of it or a character. Its length,
 * and in *to what it becomes. */
size_t charsmap_prefix(struct str map, const char *p, size_t n, struct str *to);

#endif
