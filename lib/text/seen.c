#include "text/seen.h"
#include "base/die.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* A place in proportion to 32 bits of the key: any size will do, and a larger table holds its entries in the
 * same order. */
static size_t place(uint32_t tag, size_t cap)
{
	return (size_t)((uint64_t)tag * cap >> 32);
}

static size_t next_cap(size_t cap)
{
	return cap + cap / 4 + 8;
}

static int is_full(size_t n, size_t cap)
{
	return n + 1 > cap - cap / 10;
}

/* Slots behind the last place, for what is pushed beyond it; the very last one stays free and ends every
 * search. */
static size_t slots_of(size_t cap)
{
	return cap ? cap + cap / 64 + 16 : 0;
}

/* --- hashes ------------------------------------------------------------------------------------ */

/* {0, 0} is the mark of a free slot. */
static struct hash128 as_key(struct hash128 h)
{
	if (!(h.lo | h.hi))
		h.lo = SEEN_PARTS;
	return h;
}

static int is_free(struct hash128 h)
{
	return !(h.lo | h.hi);
}

static int is_less(struct hash128 a, struct hash128 b)
{
	return a.hi != b.hi ? a.hi < b.hi : a.lo < b.lo;
}

/* Where h is, or where it belongs. */
static size_t seen_find(const struct seen_part *t, struct hash128 h)
{
	size_t at = place((uint32_t)(h.hi >> 32), t->cap);
	while (!is_free(t->keys[at]) && is_less(t->keys[at], h))
		at++;
	return at;
}

static int seen_is(const struct seen_part *t, size_t at, struct hash128 h)
{
	return t->keys[at].lo == h.lo && t->keys[at].hi == h.hi;
}

/* Puts h at its slot, pushing the larger ones behind it on. 0 when there is no room for that. */
static int seen_insert(struct seen_part *t, size_t at, struct hash128 h, uint32_t doc)
{
	size_t end = at;
	while (!is_free(t->keys[end]))
		end++;
	if (end + 1 >= slots_of(t->cap))
		return 0;
	memmove(t->keys + at + 1, t->keys + at, (end - at) * sizeof *t->keys);
	t->keys[at] = h;
	if (t->docs) {
		memmove(t->docs + at + 1, t->docs + at, (end - at) * sizeof *t->docs);
		t->docs[at] = doc;
	}
	t->n++;
	return 1;
}

static void seen_table(struct seen_part *t, size_t cap, int with_docs)
{
	ASSERT(cap < UINT32_MAX);
	*t = (struct seen_part){ .cap = cap, .keys = xcalloc(slots_of(cap), sizeof *t->keys) };
	if (with_docs)
		t->docs = xcalloc(slots_of(cap), sizeof *t->docs);
}

static void seen_drop(struct seen_part *t)
{
	free(t->keys);
	free(t->docs);
}

/* What is in `old` into the empty table t, in order: each to its place or behind the one before. 0 when there
 * is no room. */
static int seen_fill(struct seen_part *t, const struct seen_part *old)
{
	size_t at = 0;
	for (size_t i = 0; i < slots_of(old->cap); i++) {
		if (is_free(old->keys[i]))
			continue;
		size_t home = place((uint32_t)(old->keys[i].hi >> 32), t->cap);
		at = home > at ? home : at;
		if (at + 1 >= slots_of(t->cap))
			return 0;
		t->keys[at] = old->keys[i];
		if (t->docs)
			t->docs[at] = old->docs[i];
		at++;
	}
	t->n = old->n;
	return 1;
}

static void seen_grow(struct seen_part *t, int with_docs)
{
	struct seen_part old = *t;
	seen_table(t, next_cap(old.cap), with_docs);
	while (!seen_fill(t, &old)) {
		size_t cap = t->cap;
		seen_drop(t);
		seen_table(t, next_cap(cap), with_docs);
	}
	seen_drop(&old);
}

uint32_t seen_get(const struct seen *s, struct hash128 h)
{
	h = as_key(h);
	const struct seen_part *t = &s->part[h.lo % SEEN_PARTS];
	if (!t->cap)
		return SEEN_NONE;
	size_t at = seen_find(t, h);
	if (!seen_is(t, at, h))
		return SEEN_NONE;
	return t->docs ? t->docs[at] : 0;
}

uint32_t seen_put(struct seen *s, struct hash128 h, uint32_t doc)
{
	h = as_key(h);
	struct seen_part *t = &s->part[h.lo % SEEN_PARTS];
	if (is_full(t->n, t->cap))
		seen_grow(t, s->with_docs);
	for (;;) {
		size_t at = seen_find(t, h);
		if (seen_is(t, at, h))
			return t->docs ? t->docs[at] : 0;
		if (seen_insert(t, at, h, doc))
			return SEEN_NONE;
		seen_grow(t, s->with_docs);
	}
}

uint64_t seen_bytes(const struct seen *s)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < SEEN_PARTS; i++)
		sum += slots_of(s->part[i].cap) *
		       (sizeof(struct hash128) + (s->with_docs ? sizeof(uint32_t) : 0));
	return sum;
}

void seen_release(struct seen *s)
{
	for (size_t i = 0; i < SEEN_PARTS; i++)
		seen_drop(&s->part[i]);
	*s = (struct seen){ 0 };
}

/* --- bands ------------------------------------------------------------------------------------- */

/*
 * Where an entry lies tells the upper bits of its key: no entry is REACH or more slots behind its place, so
 * that keys met in one search differ by less than REACH places. `low` bits hold twice that, for a comparison
 * modulo 2^low that knows which is larger. The larger the part, the fewer they are, and the more of the 48
 * are left for the document's number; a part whose numbers would not fit grows.
 */
#define REACH_BITS 11
#define REACH ((size_t)1 << REACH_BITS)
#define SLOT_BITS 48

static unsigned low_bits(size_t cap)
{
	unsigned log = 0;
	while (cap >> (log + 1))
		log++;
	return log < REACH_BITS ? 33 : 33 + REACH_BITS - log;
}

static inline uint64_t slot_get(const struct band_slot *s)
{
	return (uint64_t)s->word[0] | (uint64_t)s->word[1] << 16 | (uint64_t)s->word[2] << 32;
}

static inline void slot_put(struct band_slot *s, uint64_t v)
{
	*s = (struct band_slot){ { (uint16_t)v, (uint16_t)(v >> 16), (uint16_t)(v >> 32) } };
}

/* An entry's key less this one: its sign is right, and 0 means equal, where their places are near. */
static inline int64_t difference(uint64_t v, uint32_t tag, unsigned low)
{
	return (int64_t)((v - tag) << (64 - low));
}

/* The key of the entry at a slot: of those with these lower bits, the largest whose place is not behind it.
 */
static uint32_t tag_at(const struct band_part *t, size_t at, uint64_t v)
{
	uint64_t most = (((uint64_t)at + 1) << 32) - 1, mask = (UINT64_C(1) << t->low) - 1;
	most = at < t->cap ? most / t->cap : UINT32_MAX;
	return (uint32_t)(most - ((most - v) & mask));
}

/* Where the key is, or where it belongs. */
static size_t band_find(const struct band_part *t, uint32_t tag)
{
	size_t at = place(tag, t->cap);
	for (uint64_t v; (v = slot_get(&t->slots[at])) && difference(v, tag, t->low) < 0;)
		at++;
	return at;
}

static int band_is(const struct band_part *t, size_t at, uint32_t tag)
{
	uint64_t v = slot_get(&t->slots[at]);
	return v && difference(v, tag, t->low) == 0;
}

static uint64_t entry_of(const struct band_part *t, uint32_t tag, uint32_t doc)
{
	return ((uint64_t)doc + 1) << t->low | (tag & ((UINT64_C(1) << t->low) - 1));
}

static int doc_fits(const struct band_part *t, uint32_t doc)
{
	return ((uint64_t)doc + 1) >> (SLOT_BITS - t->low) == 0;
}

/* Is there room for an entry of this place at this slot? */
static int is_near(const struct band_part *t, size_t home, size_t at)
{
	return at - home < REACH && at + 1 < slots_of(t->cap);
}

/* As seen_insert. All that is pushed on has its place at or behind that of the key. */
static int band_insert(struct band_part *t, size_t at, uint32_t tag, uint32_t doc)
{
	size_t end = at;
	while (slot_get(&t->slots[end]))
		end++;
	if (!is_near(t, place(tag, t->cap), end))
		return 0;
	memmove(t->slots + at + 1, t->slots + at, (end - at) * sizeof *t->slots);
	slot_put(&t->slots[at], entry_of(t, tag, doc));
	t->n++;
	return 1;
}

static void band_table(struct band_part *t, size_t cap)
{
	ASSERT(cap < UINT32_MAX);
	*t = (struct band_part){ xcalloc(slots_of(cap), sizeof *t->slots), 0, cap, low_bits(cap) };
}

/* As seen_fill. */
static int band_fill(struct band_part *t, const struct band_part *old)
{
	size_t at = 0;
	for (size_t i = 0; i < slots_of(old->cap); i++) {
		uint64_t v = slot_get(&old->slots[i]);
		if (!v)
			continue;
		uint32_t tag = tag_at(old, i, v);
		size_t home = place(tag, t->cap);
		at = home > at ? home : at;
		if (!is_near(t, home, at))
			return 0;
		slot_put(&t->slots[at++], entry_of(t, tag, (uint32_t)(v >> old->low) - 1));
	}
	t->n = old->n;
	return 1;
}

static void band_grow(struct band_part *t)
{
	struct band_part old = *t;
	band_table(t, next_cap(old.cap));
	while (!band_fill(t, &old)) {
		size_t cap = t->cap;
		free(t->slots);
		band_table(t, next_cap(cap));
	}
	free(old.slots);
}

/* The part of a key, and the 32 bits by which the part knows it. */
static size_t part_of(uint64_t key)
{
	return key % BAND_PARTS;
}

static uint32_t tag_of(uint64_t key)
{
	return (uint32_t)(key >> 32);
}

void band_prefetch(const struct band_index *x, const uint64_t *keys, size_t n)
{
#if defined(__GNUC__)
	for (size_t i = 0; i < n; i++) {
		const struct band_part *t = &x->part[part_of(keys[i])];
		if (t->cap)
			__builtin_prefetch(&t->slots[place(tag_of(keys[i]), t->cap)]);
	}
#else
	(void)x, (void)keys, (void)n;
#endif
}

uint32_t band_get(const struct band_index *x, uint64_t key)
{
	const struct band_part *t = &x->part[part_of(key)];
	if (!t->cap)
		return SEEN_NONE;
	size_t at = band_find(t, tag_of(key));
	return band_is(t, at, tag_of(key)) ? (uint32_t)(slot_get(&t->slots[at]) >> t->low) - 1 : SEEN_NONE;
}

void band_put(struct band_index *x, uint64_t key, uint32_t doc)
{
	struct band_part *t = &x->part[part_of(key)];
	ASSERT(doc < SEEN_NONE);
	while (is_full(t->n, t->cap) || !doc_fits(t, doc))
		band_grow(t);
	for (;;) {
		size_t at = band_find(t, tag_of(key));
		if (band_is(t, at, tag_of(key)) || band_insert(t, at, tag_of(key), doc))
			return;
		band_grow(t);
	}
}

uint64_t band_bytes(const struct band_index *x)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < BAND_PARTS; i++)
		sum += slots_of(x->part[i].cap) * sizeof(struct band_slot);
	return sum;
}

void band_release(struct band_index *x)
{
	for (size_t i = 0; i < BAND_PARTS; i++)
		free(x->part[i].slots);
	*x = (struct band_index){ 0 };
}
