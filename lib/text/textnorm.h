/*
 * textnorm: the normalizers of tokenizer files, a list of steps applied one after another.
 *
 * Bytes that are not UTF-8 pass through and separate what stands around them. Unicode forms are utf8proc's.
 */
#ifndef QUERN_TEXTNORM_H
#define QUERN_TEXTNORM_H

#include "base/buf.h"

enum norm_op {
	NORM_NFC,
	NORM_NFD,
	NORM_NFKC,
	NORM_NFKD,
	NORM_PREPEND,  /* a, in front of text that is not empty */
	NORM_REPLACE,  /* a by b */
	NORM_CHARSMAP, /* a is sentencepiece's precompiled map */
	NORM_SPACES    /* runs of spaces become one, those at the ends none; nor does a at the end
			  (sentencepiece) */
};
struct norm_step {
	enum norm_op kind;
	struct str a, b;
};
struct textnorm {
	struct norm_step *steps;
	size_t n, cap;
};

/* Called once before norm_apply on a list that has NORM_NFC (builds a table). */
void norm_init(void);
/* Does the list leave this text as it is, seen at little cost? (No steps, or NFC and nothing that it could
 * change.) */
int norm_is_identity(const struct textnorm *t, const char *text, size_t n);
/* Text through all steps into out (replaced); tmp is scratch. */
void norm_apply(const struct textnorm *t, const char *text, size_t n, struct buf *out, struct buf *tmp);
/* Is this a well-formed map for NORM_CHARSMAP? */
int charsmap_check(struct str map);
void charsmap_apply(struct str map, const char *text, size_t n, struct buf *out);

#endif
