/*
 * trie: finds the leftmost, then longest, of a set of byte strings in text. Immutable after building.
 */
#ifndef QUERN_TRIE_H
#define QUERN_TRIE_H

#include "base/buf.h"

struct trie_node {
	uint32_t child, sibling; /* 0: none */
	uint32_t value;          /* + 1; 0: no string ends here */
	unsigned char byte;
};
struct trie {
	struct trie_node *nodes; /* nodes[0] is the root */
	size_t n, cap;
	unsigned char first[256]; /* a string starts with this byte */
	int only;                 /* the one such byte, -1 when there are several */
	size_t count;
};

/* A zeroed struct is empty. The first value of a string stays. Empty strings are not added. */
void trie_add(struct trie *t, const char *p, size_t n, uint32_t value);
/* The longest string at the start of p: its length, 0 when none. */
size_t trie_match(const struct trie *t, const char *p, size_t n, uint32_t *value);
/* The next match at or after text[at]: its start (n when there is none), length and value. */
size_t trie_find(const struct trie *t, const char *text, size_t n, size_t at, size_t *len, uint32_t *value);
void trie_release(struct trie *t);

#endif
