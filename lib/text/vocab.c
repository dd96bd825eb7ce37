#include "text/vocab.h"
#include "base/die.h"
#include "base/hash.h"

#include <stdlib.h>

static uint32_t *slot_of(const struct vocab *v, const char *p, size_t n)
{
	size_t mask = v->nslots - 1, at = (size_t)hash64(p, n, 0) & mask;
	while (v->slots[at] && !str_eq(v->text[v->slots[at] - 1], (struct str){ p, n }))
		at = (at + 1) & mask;
	return &v->slots[at];
}

static void grow_slots(struct vocab *v)
{
	if (v->nslots && (v->used + 1) * 2 <= v->nslots)
		return;
	uint32_t *old = v->slots;
	size_t nold = v->nslots;
	v->nslots = nold ? nold * 2 : 1024;
	v->slots = xcalloc(v->nslots, sizeof *v->slots);
	for (size_t i = 0; i < nold; i++)
		if (old[i])
			*slot_of(v, v->text[old[i] - 1].p, v->text[old[i] - 1].n) = old[i];
	free(old);
}

int vocab_add(struct vocab *v, uint32_t id, const char *p, size_t n, int find)
{
	ASSERT(id < VOCAB_MAX);
	if (vocab_has(v, id))
		return -1;
	if (id >= v->n) {
		GROW(v->text, v->cap, (size_t)id + 1);
		memset(v->text + v->n, 0, (id + 1 - v->n) * sizeof *v->text);
		v->n = (size_t)id + 1;
	}
	v->text[id] = (struct str){ arena_strndup(&v->arena, p, n), n };
	if (!find)
		return 0;
	grow_slots(v);
	uint32_t *slot = slot_of(v, p, n);
	if (!*slot) {
		*slot = id + 1;
		v->used++;
	}
	return 0;
}

uint32_t vocab_find(const struct vocab *v, const char *p, size_t n)
{
	return v->nslots ? *slot_of(v, p, n) - 1 : NO_ID;
}

void vocab_release(struct vocab *v)
{
	free(v->text);
	free(v->slots);
	arena_release(&v->arena);
	*v = (struct vocab){ 0 };
}
