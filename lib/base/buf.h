/*
 * buf: a growable byte buffer, always NUL-terminated after its content, and a counted string.
 * A zeroed struct is an empty buffer. Not thread-safe.
 */
#ifndef QUERN_BUF_H
#define QUERN_BUF_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view of bytes owned by somebody else; not NUL-terminated. */
struct str {
	const char *p;
	size_t n;
};
#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
static inline struct str str_of(const char *s)
{
	return (struct str){ s, strlen(s) };
}
static inline int str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline int str_is(struct str a, const char *lit)
{
	return str_eq(a, str_of(lit));
}
int str_ends(const char *s, const char *suffix);
/* Without the spaces, tabs and line ends at both ends. */
struct str str_trim(struct str s);

struct buf {
	char *p;
	size_t n, cap;
};

void buf_reserve(struct buf *b, size_t more); /* room for `more` bytes beyond n, and the NUL */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_addc(struct buf *b, int c);
void buf_reset(struct buf *b); /* n = 0, keeps the memory */
void buf_release(struct buf *b);

/* Little-endian integers, for the writers of binary formats. */
void buf_add_u16(struct buf *b, uint16_t v);
void buf_add_u32(struct buf *b, uint32_t v);
void buf_add_u64(struct buf *b, uint64_t v);

#endif
