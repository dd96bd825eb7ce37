/*
 * vocab: ids and their bytes, both ways. Ids need not be dense; a byte string leads to the first id that was
 * given it. Immutable after building, then shared by threads.
 */
#ifndef QUERN_VOCAB_H
#define QUERN_VOCAB_H

#include "base/buf.h"
#include "base/mem.h"

#define NO_ID UINT32_MAX
/* Ids at or above this are refused: no vocabulary is near, and tables are indexed by id. */
#define VOCAB_MAX (1u << 22)

struct vocab {
	struct str *text; /* [n]; p == NULL: no token has this id */
	size_t n, cap;
	uint32_t *slots; /* id + 1, 0 free; a power of two, at most half full */
	size_t nslots, used;
	struct arena arena;
};

/* Gives id the bytes (copied); `find` makes them lead to it. Returns -1 when the id is taken. id < VOCAB_MAX.
 */
int vocab_add(struct vocab *v, uint32_t id, const char *p, size_t n, int find);
uint32_t vocab_find(const struct vocab *v, const char *p, size_t n); /* NO_ID when absent */
static inline int vocab_has(const struct vocab *v, uint32_t id)
{
	return id < v->n && v->text[id].p;
}
void vocab_release(struct vocab *v);

#endif
