/*
 * utf8: UTF-8 decoding that never fails, and the character classes that splitting patterns speak of.
 *
 * A byte that is not part of a well-formed sequence (RFC 3629: no surrogates, no overlong forms, at most
 * U+10FFFF) is one character of its own, UTF8_BAD. Pure and thread-safe.
 */
#ifndef QUERN_UTF8_H
#define QUERN_UTF8_H

#include "base/buf.h"

#define UTF8_BAD 0xfffdu /* what the decoder gives for a bad byte: the replacement character */

/* Length of the character at p[0..n), n > 0, and its code point. A bad byte has length 1; so has no good
 * U+FFFD. */
size_t utf8_get(const char *p, size_t n, uint32_t *cp);
/* Length of the character that ends at p + n, n > 0. */
size_t utf8_get_back(const char *p, size_t n, uint32_t *cp);
/* Writes a code point, 1 to 4 bytes; the length. */
size_t utf8_put(uint32_t cp, char out[4]);
/* Length of the longest well-formed prefix. */
size_t utf8_valid(const char *p, size_t n);
/* How many bytes at the end begin a character that more bytes could complete: 0 to 3. For streams of text. */
size_t utf8_partial(const char *p, size_t n);
/* Length of the longest prefix of ASCII bytes. */
size_t utf8_ascii(const char *p, size_t n);

/* Character classes, bits. Unassigned code points and bad bytes have none. */
enum uni_class {
	UNI_LETTER = 1,   /* \p{L} */
	UNI_NUMBER = 2,   /* \p{N} */
	UNI_SPACE = 4,    /* White_Space: \s */
	UNI_MARK = 8,     /* \p{M} */
	UNI_UPPER = 16,   /* \p{Lu} \p{Lt} \p{Lm} \p{Lo} \p{M}: may begin a word in o200k's pattern */
	UNI_LOWER = 32,   /* \p{Ll} \p{Lm} \p{Lo} \p{M}: may go on with it */
	UNI_NEWLINE = 64, /* \r \n */
	UNI_WORD = 128    /* \w: Alphabetic, \p{M}, \p{Nd}, \p{Pc}, joiners */
};
unsigned uni_class(uint32_t cp);
/* Version of the Unicode data behind uni_class and the normalizers, such as "15.0.0". */
const char *uni_version(void);

#endif
