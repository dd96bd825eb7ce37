#include "text/trie.h"
#include "base/die.h"
#include "base/mem.h"

#include <stdlib.h>

static uint32_t child_of(const struct trie *t, uint32_t at, unsigned char byte)
{
	uint32_t k = t->nodes[at].child;
	while (k && t->nodes[k].byte != byte)
		k = t->nodes[k].sibling;
	return k;
}

static uint32_t node_new(struct trie *t, unsigned char byte)
{
	ASSERT(t->n < UINT32_MAX);
	GROW(t->nodes, t->cap, t->n + 1);
	t->nodes[t->n] = (struct trie_node){ 0, 0, 0, byte };
	return (uint32_t)t->n++;
}

void trie_add(struct trie *t, const char *p, size_t n, uint32_t value)
{
	if (!n)
		return;
	if (!t->n)
		node_new(t, 0);
	unsigned char lead = (unsigned char)p[0];
	t->only = t->count == 0 || t->only == lead ? lead : -1;
	t->first[lead] = 1;
	uint32_t at = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t k = child_of(t, at, (unsigned char)p[i]);
		if (!k) {
			k = node_new(t, (unsigned char)p[i]);
			t->nodes[k].sibling = t->nodes[at].child;
			t->nodes[at].child = k;
		}
		at = k;
	}
	if (!t->nodes[at].value)
		t->nodes[at].value = value + 1;
	t->count++;
}

size_t trie_match(const struct trie *t, const char *p, size_t n, uint32_t *value)
{
	size_t best = 0;
	uint32_t at = 0;
	if (!t->count)
		return 0;
	for (size_t i = 0; i < n; i++) {
		at = child_of(t, at, (unsigned char)p[i]);
		if (!at)
			break;
		if (t->nodes[at].value) {
			best = i + 1;
			*value = t->nodes[at].value - 1;
		}
	}
	return best;
}

size_t trie_find(const struct trie *t, const char *text, size_t n, size_t at, size_t *len, uint32_t *value)
{
	if (!t->count)
		return n;
	for (; at < n; at++) {
		if (t->only >= 0) {
			const char *p = memchr(text + at, t->only, n - at);
			if (!p)
				return n;
			at = (size_t)(p - text);
		} else if (!t->first[(unsigned char)text[at]]) {
			continue;
		}
		*len = trie_match(t, text + at, n - at, value);
		if (*len)
			return at;
	}
	return n;
}

void trie_release(struct trie *t)
{
	free(t->nodes);
	*t = (struct trie){ 0 };
}
