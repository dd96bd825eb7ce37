#include "base/cur.h"

#include <string.h>

void cur_init(struct cur *c, const void *p, size_t n)
{
	*c = (struct cur){ .p = p, .n = n };
}

size_t cur_left(const struct cur *c)
{
	return c->n - c->at;
}

const void *cur_bytes(struct cur *c, size_t n)
{
	if (c->failed || n > c->n - c->at) {
		if (!c->failed) {
			c->failed = 1;
			c->failed_at = c->at;
		}
		return NULL;
	}
	const void *p = c->p + c->at;
	c->at += n;
	return p;
}

static uint64_t read_le(struct cur *c, size_t bytes)
{
	const uint8_t *p = cur_bytes(c, bytes);
	uint64_t v = 0;
	if (p)
		for (size_t i = 0; i < bytes; i++)
			v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t cur_u8(struct cur *c)
{
	return (uint8_t)read_le(c, 1);
}

uint16_t cur_u16(struct cur *c)
{
	return (uint16_t)read_le(c, 2);
}

uint32_t cur_u32(struct cur *c)
{
	return (uint32_t)read_le(c, 4);
}

uint64_t cur_u64(struct cur *c)
{
	return read_le(c, 8);
}

float cur_f32(struct cur *c)
{
	uint32_t u = cur_u32(c);
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}
