/*
 * cur: a bounds-checked cursor over bytes with a sticky first error.
 *
 * Reads past the end return 0 and mark the cursor failed at that offset; a parser reads on and checks
 * `failed` once a structure. Little-endian. Never reads outside [p, p + n).
 */
#ifndef QUERN_CUR_H
#define QUERN_CUR_H

#include <stddef.h>
#include <stdint.h>

struct cur {
	const uint8_t *p;
	size_t n, at;
	int failed;       /* set by the first read that did not fit */
	size_t failed_at; /* its offset */
};

void cur_init(struct cur *c, const void *p, size_t n);
size_t cur_left(const struct cur *c);
uint8_t cur_u8(struct cur *c);
uint16_t cur_u16(struct cur *c);
uint32_t cur_u32(struct cur *c);
uint64_t cur_u64(struct cur *c);
float cur_f32(struct cur *c);
/* The next n bytes, or NULL (and failed) when there are fewer. */
const void *cur_bytes(struct cur *c, size_t n);

#endif
