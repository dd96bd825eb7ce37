#include "text/bpe.h"
#include "base/die.h"
#include "base/hash.h"

#include <stdlib.h>

/* Up to here the lowest rank is looked for by walking all pairs; above, in a heap. */
#define SHORT 48

static inline size_t slot_of(const struct bpe *b, uint32_t left, uint32_t right)
{
	uint64_t h = ((uint64_t)left << 32 | right) * UINT64_C(0x9e3779b97f4a7c15);
	return (size_t)(h ^ h >> 29) & (b->nslots - 1);
}

const struct merge *bpe_find(const struct bpe *b, uint32_t left, uint32_t right)
{
	if (!b->nslots)
		return NULL;
	for (size_t at = slot_of(b, left, right);; at = (at + 1) & (b->nslots - 1)) {
		const struct merge *m = &b->slots[at];
		if (m->left == left && m->right == right)
			return m;
		if (m->left == NO_ID)
			return NULL;
	}
}

static void put(struct bpe *b, struct merge m)
{
	size_t at = slot_of(b, m.left, m.right);
	for (; b->slots[at].left != NO_ID; at = (at + 1) & (b->nslots - 1)) {
		struct merge *old = &b->slots[at];
		if (old->left == m.left && old->right == m.right) {
			*old = m;
			return;
		}
	}
	b->slots[at] = m;
	b->n++;
}

void bpe_add(struct bpe *b, uint32_t left, uint32_t right, uint32_t rank, uint32_t id)
{
	ASSERT(left != NO_ID && right != NO_ID);
	if ((b->n + 1) * 3 > b->nslots * 2) {
		struct bpe old = *b;
		b->nslots = old.nslots ? old.nslots * 2 : 1024;
		b->slots = xreallocarray(NULL, b->nslots, sizeof *b->slots);
		memset(b->slots, 0xff, b->nslots * sizeof *b->slots);
		b->n = 0;
		for (size_t i = 0; i < old.nslots; i++)
			if (old.slots[i].left != NO_ID)
				put(b, old.slots[i]);
		free(old.slots);
	}
	put(b, (struct merge){ left, right, rank, id });
}

void bpe_release(struct bpe *b)
{
	free(b->slots);
	*b = (struct bpe){ 0 };
}

void bpe_add_splits(struct bpe *b, const struct vocab *v, const uint32_t *rank,
	int (*cut)(const char *p, size_t n, size_t i))
{
	for (uint32_t id = 0; id < v->n; id++) {
		struct str t = v->text[id];
		if (!t.p || rank[id] == NO_ID || vocab_find(v, t.p, t.n) != id)
			continue;
		for (size_t i = 1; i < t.n; i++) {
			if (!cut(t.p, t.n, i))
				continue;
			uint32_t left = vocab_find(v, t.p, i);
			uint32_t right = left == NO_ID ? NO_ID : vocab_find(v, t.p + i, t.n - i);
			if (right != NO_ID)
				bpe_add(b, left, right, rank[id], id);
		}
	}
}

static size_t merge_short(const struct bpe *b, uint32_t *s, size_t n)
{
	const struct merge *pair[SHORT]; /* of s[i] and s[i + 1] */
	for (size_t i = 0; i + 1 < n; i++)
		pair[i] = bpe_find(b, s[i], s[i + 1]);
	while (n > 1) {
		size_t best = n;
		uint32_t rank = NO_ID;
		for (size_t i = 0; i + 1 < n; i++) {
			if (pair[i] && pair[i]->rank < rank) {
				rank = pair[i]->rank;
				best = i;
			}
		}
		if (best == n)
			break;
		s[best] = pair[best]->id;
		memmove(s + best + 1, s + best + 2, (n - best - 2) * sizeof *s);
		if (n - best > 2)
			memmove(pair + best + 1, pair + best + 2, (n - best - 3) * sizeof *pair);
		n--;
		if (best > 0)
			pair[best - 1] = bpe_find(b, s[best - 1], s[best]);
		if (best + 1 < n)
			pair[best] = bpe_find(b, s[best], s[best + 1]);
	}
	return n;
}

/* --- long words: a linked list of symbols and a heap of candidate pairs --------------------------------- */

struct node {
	uint32_t id, prev, next; /* NO_ID at the ends; id == NO_ID: merged away */
};
struct candidate {
	uint64_t key;         /* rank << 32 | place of the left symbol */
	uint32_t left, right; /* ids when it was pushed: another pair there by now makes it void */
};
struct heap {
	struct candidate *v;
	size_t n;
};

static void push(struct heap *h, struct candidate c)
{
	size_t i = h->n++;
	while (i > 0 && h->v[(i - 1) / 2].key > c.key) {
		h->v[i] = h->v[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	h->v[i] = c;
}

static struct candidate pop(struct heap *h)
{
	struct candidate top = h->v[0], last = h->v[--h->n];
	size_t i = 0;
	for (;;) {
		size_t kid = 2 * i + 1;
		if (kid >= h->n)
			break;
		if (kid + 1 < h->n && h->v[kid + 1].key < h->v[kid].key)
			kid++;
		if (h->v[kid].key >= last.key)
			break;
		h->v[i] = h->v[kid];
		i = kid;
	}
	h->v[i] = last;
	return top;
}

static void consider(const struct bpe *b, struct heap *h, const struct node *s, uint32_t left)
{
	if (left == NO_ID || s[left].next == NO_ID)
		return;
	uint32_t r = s[s[left].next].id;
	const struct merge *m = bpe_find(b, s[left].id, r);
	if (m)
		push(h, (struct candidate){ (uint64_t)m->rank << 32 | left, s[left].id, r });
}

static size_t merge_long(const struct bpe *b, struct bpe_scratch *x, uint32_t *s, size_t n)
{
	ASSERT(n < NO_ID);
	/* Every merge pushes at most two pairs, and there are at most n - 1 of either. */
	size_t heap_bytes = mul_size(3 * n, sizeof(struct candidate)),
	       need = add_size(heap_bytes, mul_size(n, sizeof(struct node)));
	if (need > x->cap) {
		free(x->mem);
		x->mem = xmalloc(need);
		x->cap = need;
	}
	struct heap h = { x->mem, 0 };
	struct node *list = (struct node *)((char *)x->mem + heap_bytes);
	for (uint32_t i = 0; i < n; i++)
		list[i] = (struct node){ s[i], i ? i - 1 : NO_ID, i + 1 < n ? i + 1 : NO_ID };
	for (uint32_t i = 0; i + 1 < n; i++)
		consider(b, &h, list, i);
	while (h.n) {
		struct candidate c = pop(&h);
		uint32_t at = (uint32_t)c.key, next = list[at].next;
		if (list[at].id != c.left || next == NO_ID || list[next].id != c.right)
			continue;
		list[at].id = bpe_find(b, c.left, c.right)->id;
		list[at].next = list[next].next;
		list[next].id = NO_ID;
		if (list[at].next != NO_ID)
			list[list[at].next].prev = at;
		consider(b, &h, list, list[at].prev);
		consider(b, &h, list, at);
	}
	size_t k = 0;
	for (uint32_t i = 0; i != NO_ID; i = list[i].next)
		s[k++] = list[i].id;
	return k;
}

size_t bpe_merge(const struct bpe *b, struct bpe_scratch *x, uint32_t *s, size_t n)
{
	return n <= SHORT ? merge_short(b, s, n) : merge_long(b, x, s, n);
}

void bpe_scratch_release(struct bpe_scratch *x)
{
	free(x->mem);
	*x = (struct bpe_scratch){ 0 };
}
