#include "train/moment.h"
#include "base/mem.h"
#include "tensor/kern.h"

static size_t blocks_of(size_t count)
{
	return count / MOMENT_BLOCK + (count % MOMENT_BLOCK != 0);
}

size_t moment_blocks(const struct moment *m)
{
	return m->scale ? blocks_of(m->count) : 0;
}

static size_t value_bytes(enum moment_type t, size_t count)
{
	static const size_t sizes[] = { 4, 2, 1 };
	return add_size(mul_size(sizes[t], count), 63) / 64 * 64;
}

size_t moment_bytes(enum moment_type t, size_t count)
{
	size_t scales = t == MOMENT_8BIT ? mul_size(blocks_of(count), sizeof(float)) : 0;
	return add_size(value_bytes(t, count), add_size(scales, 63) / 64 * 64);
}

void moment_place(struct moment *m, enum moment_type t, int is_signed, size_t count, void *memory)
{
	char *p = memory;
	*m = (struct moment){ t, is_signed, count, p, NULL };
	if (t == MOMENT_8BIT)
		m->scale = (float *)(void *)(p + value_bytes(t, count));
}

float *moment_read(const struct moment *m, size_t at, size_t n, float *to)
{
	if (m->type == MOMENT_F32)
		return (float *)m->v + at;
	if (m->type == MOMENT_BF16)
		kern()->of_bf16(to, (const uint16_t *)m->v + at, n);
	else
		kern()->code8_read(
			to, (const uint8_t *)m->v + at, m->scale[at / MOMENT_BLOCK], m->is_signed, n);
	return to;
}

void moment_write(struct moment *m, size_t at, size_t n, const float *from, uint64_t key)
{
	if (m->type == MOMENT_BF16)
		kern()->random_bf16((uint16_t *)m->v + at, from, key, n);
	else if (m->type == MOMENT_8BIT)
		m->scale[at / MOMENT_BLOCK] =
			kern()->code8_write((uint8_t *)m->v + at, from, m->is_signed, n);
}
