#include "text/bpetrain.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/map.h"
#include "text/utf8.h"

#include <stdlib.h>

/* --- counted pieces ------------------------------------------------------------------------------------- */

struct word {
	uint64_t count, at; /* at: of its bytes */
	uint32_t n, hash;
};

/* A table of its own, because training on much text is as large as this: bytes in one run, 32 bytes a word
 * beside. */
struct bpe_words {
	struct word *words; /* [n], in the order in which they came */
	size_t n, cap;
	uint32_t *slots; /* index + 1, 0 free; a power of two, at most half full */
	size_t nslots;
	struct buf bytes;
	uint64_t total;
};

struct bpe_words *bpe_words_new(void)
{
	return xcalloc(1, sizeof(struct bpe_words));
}

static void grow_slots(struct bpe_words *w)
{
	ASSERT(w->n < UINT32_MAX - 1);
	free(w->slots);
	w->nslots = w->nslots ? w->nslots * 2 : 1024;
	w->slots = xcalloc(w->nslots, sizeof *w->slots);
	for (size_t i = 0; i < w->n; i++) {
		size_t at = w->words[i].hash & (w->nslots - 1);
		while (w->slots[at])
			at = (at + 1) & (w->nslots - 1);
		w->slots[at] = (uint32_t)i + 1;
	}
}

static void add_word(struct bpe_words *w, const char *piece, size_t n, uint32_t hash, uint64_t count)
{
	if (w->n + w->n >= w->nslots)
		grow_slots(w);
	w->total += count;
	size_t at = hash & (w->nslots - 1);
	for (; w->slots[at]; at = (at + 1) & (w->nslots - 1)) {
		struct word *t = &w->words[w->slots[at] - 1];
		if (t->hash == hash && t->n == n && memcmp(w->bytes.p + t->at, piece, n) == 0) {
			t->count += count;
			return;
		}
	}
	GROW(w->words, w->cap, w->n + 1);
	w->words[w->n] = (struct word){ count, w->bytes.n, (uint32_t)n, hash };
	w->slots[at] = (uint32_t)++w->n;
	buf_add(&w->bytes, piece, n);
}

void bpe_words_add(struct bpe_words *w, const char *piece, size_t n, uint64_t count)
{
	/* Lengths have 32 bits; training refuses as many bytes as that anyway. */
	if (n > INT32_MAX)
		n = INT32_MAX;
	if (n)
		add_word(w, piece, n, (uint32_t)(hash64(piece, n, 0) >> 16), count);
}

void bpe_words_join(struct bpe_words *into, struct bpe_words *from)
{
	for (size_t i = 0; i < from->n; i++) {
		const struct word *t = &from->words[i];
		add_word(into, from->bytes.p + t->at, t->n, t->hash, t->count);
	}
	bpe_words_free(from);
}

size_t bpe_words_distinct(const struct bpe_words *w)
{
	return w->n;
}

uint64_t bpe_words_total(const struct bpe_words *w)
{
	return w->total;
}

void bpe_words_free(struct bpe_words *w)
{
	if (!w)
		return;
	free(w->words);
	free(w->slots);
	buf_release(&w->bytes);
	free(w);
}

/* --- the state of training ------------------------------------------------------------------------------ */

/*
 * All words lie in one array of slots, one slot a byte, an END before, between and behind them. A token of
 * length n has its id in its first slot and, when n > 1, TAIL | n in its last one: so both neighbours are
 * found without a list. What was the first slot of a token that has been swallowed says TAIL, so that no
 * stale position is taken for a token.
 */
#define TAIL UINT32_C(0x80000000)
#define END UINT32_MAX

/* Positions of a pair that were found in one round wait in the queue together, as in Hugging Face's trainer.
 */
struct entry {
	uint64_t count, pair; /* pair: left << 32 | right */
	size_t at;            /* in pool */
	uint32_t n, index, round;
};

struct pair {
	uint64_t count;
	size_t fill;      /* where in pool its next position goes */
	uint32_t fresh;   /* positions found in this round */
	uint32_t entries; /* put into the queue so far */
};

struct spot {
	uint32_t index, position;
};

struct trainer {
	const struct bpe_train *o;
	struct bpe_model *m;
	struct smap ids;  /* bytes of a token -> id */
	uint32_t *length; /* [m->n] of a token in bytes */
	size_t tokens_cap, merges_cap, length_cap;

	uint32_t *slots;
	uint32_t *starts; /* [nwords + 1] first slot of each word */
	uint64_t *counts; /* [nwords] */
	size_t nwords;
	uint32_t *word_at; /* [slots / 64 + 1] a word at or before that slot */

	struct map pairs;   /* pair -> index */
	struct pair *state; /* [pairs.n] */
	size_t state_cap;
	struct entry *heap;
	size_t nheap, heap_cap;
	uint32_t *pool; /* positions of all entries */
	size_t npool, pool_cap;

	/* The round: what the merge of one pair has made. */
	uint32_t round;
	uint32_t *touched; /* pairs with fresh positions */
	size_t ntouched, touched_cap;
	struct spot *spots;
	size_t nspots, spots_cap;
};

/* The byte-level alphabet in the order of its characters: those that print, then the others from U+0100 on.
 */
static int prints(unsigned b)
{
	return (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);
}

/* The next id. key: the bytes that lead to it, empty when none do. */
static uint32_t add_token(struct trainer *t, struct str text, struct str key)
{
	uint32_t id = (uint32_t)t->m->n++;
	GROW(t->m->tokens, t->tokens_cap, t->m->n);
	t->m->tokens[id] = (struct str){ arena_strndup(&t->m->arena, text.p, text.n), text.n };
	GROW(t->length, t->length_cap, t->m->n);
	t->length[id] = (uint32_t)key.n;
	if (key.n)
		smap_put(&t->ids, key.p, key.n, id, NULL);
	return id;
}

/* The bytes that a special token's text stands for when it is read as byte-level characters; 0 when some
 * character is none. A merge that would make such a token gets the special token's id, as in Hugging Face's
 * vocabulary. */
static int unmap(const char *s, struct buf *out)
{
	uint32_t byte_of[0x144];
	for (unsigned b = 0, next = 0x100; b < 256; b++)
		byte_of[prints(b) ? b : next++] = b | 0x100;
	buf_reset(out);
	for (size_t n = strlen(s), at = 0, k; at < n; at += k) {
		uint32_t cp;
		k = utf8_get(s + at, n - at, &cp);
		if (cp >= 0x144 || (cp < 0x100 && !prints(cp)))
			return 0;
		buf_addc(out, (int)(byte_of[cp] & 0xff));
	}
	return 1;
}

/* Ids before the first merge; byte_id[b] is the id of byte b. */
static void start_vocabulary(struct trainer *t, uint32_t byte_id[256])
{
	struct buf key = { 0 };
	struct smap seen = { 0 };
	for (size_t i = 0; i < t->o->nspecials; i++) {
		const char *s = t->o->specials[i];
		int fresh;
		smap_put(&seen, s, strlen(s), 0, &fresh);
		if (!fresh)
			continue;
		if (!unmap(s, &key))
			buf_reset(&key);
		add_token(t, str_of(s), (struct str){ key.p, key.n });
	}
	t->m->nspecials = t->m->n;
	for (int printing = 1; printing >= 0; printing--) {
		for (unsigned b = 0; b < 256; b++) {
			if (prints(b) != printing)
				continue;
			char c = (char)b;
			struct str byte = { &c, 1 };
			const uint64_t *id = smap_get(&t->ids, &c, 1);
			byte_id[b] = id ? (uint32_t)*id : add_token(t, byte, byte);
		}
	}
	smap_release(&seen);
	buf_release(&key);
}

/* --- pairs and their queue ------------------------------------------------------------------------------ */

/* Whether a comes out of the queue before b: more often, then the lower pair, then the older positions. */
static int before(const struct entry *a, const struct entry *b)
{
	if (a->count != b->count)
		return a->count > b->count;
	return a->pair != b->pair ? a->pair < b->pair : a->round < b->round;
}

static void sift_down(struct trainer *t, size_t i)
{
	struct entry x = t->heap[i];
	for (size_t kid; (kid = 2 * i + 1) < t->nheap; i = kid) {
		if (kid + 1 < t->nheap && before(&t->heap[kid + 1], &t->heap[kid]))
			kid++;
		if (!before(&t->heap[kid], &x))
			break;
		t->heap[i] = t->heap[kid];
	}
	t->heap[i] = x;
}

static void push(struct trainer *t, struct entry x)
{
	GROW(t->heap, t->heap_cap, t->nheap + 1);
	size_t i = t->nheap++;
	for (size_t up; i && before(&x, &t->heap[up = (i - 1) / 2]); i = up)
		t->heap[i] = t->heap[up];
	t->heap[i] = x;
}

/* The pair that is merged next, in *top; 0 when none is left. Counts in the queue may be old: they are
 * brought up to date when they come to the top. */
static int pop(struct trainer *t, struct entry *top)
{
	while (t->nheap) {
		struct entry *first = t->heap;
		uint64_t count = t->state[first->index].count;
		if (first->count != count) {
			first->count = count;
			sift_down(t, 0);
			continue;
		}
		*top = *first;
		t->heap[0] = t->heap[--t->nheap];
		if (t->nheap)
			sift_down(t, 0);
		return top->count > 0 && top->count >= t->o->min_frequency;
	}
	return 0;
}

static struct pair *pair_of(struct trainer *t, uint32_t left, uint32_t right, uint32_t *index)
{
	int fresh;
	*index = (uint32_t)*map_put(&t->pairs, (uint64_t)left << 32 | right, t->pairs.n, &fresh);
	if (fresh) {
		GROW(t->state, t->state_cap, t->pairs.n);
		t->state[*index] = (struct pair){ 0 };
	}
	return &t->state[*index];
}

/* A pair that stands at a position now. */
static void found(struct trainer *t, uint32_t left, uint32_t right, uint32_t position, uint64_t count)
{
	uint32_t index;
	struct pair *p = pair_of(t, left, right, &index);
	p->count += count;
	if (!p->fresh) {
		GROW(t->touched, t->touched_cap, t->ntouched + 1);
		t->touched[t->ntouched++] = index;
	}
	p->fresh++;
	GROW(t->spots, t->spots_cap, t->nspots + 1);
	t->spots[t->nspots++] = (struct spot){ index, position };
}

static void lost(struct trainer *t, uint32_t left, uint32_t right, uint64_t count)
{
	uint32_t index;
	struct pair *p = pair_of(t, left, right, &index);
	ASSERT(p->count >= count);
	p->count -= count;
}

/* Puts what the round has found into the queue, the positions of a pair in ascending order. A pair that is
 * gone again (its count is 0) waits for the round that finds it anew. */
static void end_round(struct trainer *t)
{
	GROW(t->pool, t->pool_cap, t->npool + t->nspots);
	for (size_t i = 0; i < t->ntouched; i++) {
		uint32_t index = t->touched[i];
		struct pair *p = &t->state[index];
		p->fill = t->npool;
		if (p->count) {
			push(t, (struct entry){ p->count, t->pairs.entries[index].key, t->npool, p->fresh,
					index, t->round });
			p->entries++;
			t->npool += p->fresh;
		}
		p->fresh = 0;
	}
	for (size_t i = 0; i < t->nspots; i++) {
		struct pair *p = &t->state[t->spots[i].index];
		if (p->count)
			t->pool[p->fill++] = t->spots[i].position;
	}
	t->ntouched = t->nspots = 0;
	t->round++;
}

/* --- words and merges ----------------------------------------------------------------------------------- */

/* Lays the words of two bytes and more out in slots, frees w, and finds the first pairs. */
static int lay_out(struct trainer *t, struct bpe_words *w, const uint32_t byte_id[256], struct err *e)
{
	size_t size = 1;
	for (size_t i = 0; i < w->n; i++) {
		if (w->words[i].n < 2)
			continue;
		size += (size_t)w->words[i].n + 1;
		t->nwords++;
		if (size > (size_t)INT32_MAX) {
			bpe_words_free(w);
			return err_set(e, "more than 2 GiB of distinct pieces of text to learn from");
		}
	}
	t->slots = xmalloc(mul_size(size, sizeof *t->slots));
	t->counts = xmalloc(mul_size(t->nwords, sizeof *t->counts));
	t->starts = xmalloc(mul_size(t->nwords + 1, sizeof *t->starts));
	t->word_at = xmalloc(mul_size(size / 64 + 1, sizeof *t->word_at));
	uint32_t at = 0, word = 0;
	t->slots[at++] = END;
	for (size_t i = 0; i < w->n; i++) {
		const struct word *x = &w->words[i];
		const uint8_t *bytes = (const uint8_t *)w->bytes.p + x->at;
		if (x->n < 2)
			continue;
		t->starts[word] = at;
		t->counts[word++] = x->count;
		for (uint32_t k = 0; k < x->n; k++)
			t->slots[at++] = byte_id[bytes[k]];
		t->slots[at++] = END;
	}
	t->starts[word] = at;
	bpe_words_free(w);
	word = 0;
	for (size_t i = 0; i < size / 64 + 1; i++) {
		while (word + 1 < t->nwords && t->starts[word + 1] <= i * 64)
			word++;
		t->word_at[i] = word;
	}
	for (word = 0; word < t->nwords; word++)
		for (at = t->starts[word]; t->slots[at + 1] != END; at++)
			found(t, t->slots[at], t->slots[at + 1], at, t->counts[word]);
	end_round(t);
	free(t->spots);
	t->spots = NULL;
	t->spots_cap = 0;
	return 0;
}

static uint32_t word_of(const struct trainer *t, uint32_t position)
{
	uint32_t w = t->word_at[position / 64];
	while (t->starts[w + 1] <= position)
		w++;
	return w;
}

/* Makes one token of the two that begin at `at`, and tells of the pairs that go and come with that. */
static void merge_at(struct trainer *t, uint32_t at, uint32_t word, const struct bpe_pair *m)
{
	uint64_t count = t->counts[word];
	uint32_t right = at + t->length[m->left], next = right + t->length[m->right];
	if (t->slots[at - 1] != END) {
		uint32_t tail = t->slots[at - 1];
		uint32_t prev = tail & TAIL ? at - (tail & ~TAIL) : at - 1;
		lost(t, t->slots[prev], m->left, count);
		found(t, t->slots[prev], m->id, prev, count);
	}
	if (t->slots[next] != END) {
		lost(t, m->right, t->slots[next], count);
		found(t, m->id, t->slots[next], at, count);
	}
	t->slots[right] = TAIL;
	t->slots[next - 1] = TAIL | (next - at);
	t->slots[at] = m->id;
}

static int stands_at(const struct trainer *t, uint32_t at, const struct bpe_pair *m)
{
	return t->slots[at] == m->left && t->slots[at + t->length[m->left]] == m->right;
}

static void merge_in_word(struct trainer *t, uint32_t word, const struct bpe_pair *m)
{
	for (uint32_t at = t->starts[word]; t->slots[at] != END; at += t->length[t->slots[at]])
		if (stands_at(t, at, m))
			merge_at(t, at, word, m);
}

/*
 * Usually the positions of an entry are all there are of its pair. Where two merges make the same token (runs
 * such as
 * "-----"), a pair can be in the queue more than once; Hugging Face's trainer remembers words, not positions,
 * and so merges every occurrence in the words of the entry that comes first. As there, the count of a merged
 * pair stays as it was, so that a second entry is still taken for what the first one found.
 */
static void merge(struct trainer *t, const struct entry *top, const struct bpe_pair *m)
{
	uint32_t done = UINT32_MAX;
	for (uint32_t i = 0; i < top->n; i++) {
		uint32_t at = t->pool[top->at + i];
		if (t->state[top->index].entries == 1) {
			if (stands_at(t, at, m))
				merge_at(t, at, word_of(t, at), m);
		} else if (word_of(t, at) != done) {
			done = word_of(t, at);
			merge_in_word(t, done, m);
		}
	}
}

/* The id of left and right together: a new one, unless those bytes have one. */
static uint32_t join(struct trainer *t, uint32_t left, uint32_t right, struct buf *bytes)
{
	/* A special token that merges arrived at is its bytes, not its text. */
	buf_reset(bytes);
	for (int i = 0; i < 2; i++) {
		struct str s = t->m->tokens[i ? right : left];
		struct buf key = { 0 };
		if ((i ? right : left) < t->m->nspecials && unmap(s.p, &key))
			s = (struct str){ key.p, key.n };
		buf_add(bytes, s.p, s.n);
		buf_release(&key);
	}
	struct str text = { bytes->p, bytes->n };
	const uint64_t *id = smap_get(&t->ids, text.p, text.n);
	return id ? (uint32_t)*id : add_token(t, text, text);
}

/* A pair may have been merged more than once (see above): its last place counts, as in Hugging Face's model.
 */
static void drop_repeats(struct bpe_model *m)
{
	struct map seen = { 0 };
	size_t to = m->nmerges;
	for (size_t i = m->nmerges; i-- > 0;) {
		int fresh;
		map_put(&seen, (uint64_t)m->merges[i].left << 32 | m->merges[i].right, 0, &fresh);
		if (fresh)
			m->merges[--to] = m->merges[i];
	}
	map_release(&seen);
	m->nmerges -= to;
	if (to)
		memmove(m->merges, m->merges + to, m->nmerges * sizeof *m->merges);
}

static void trainer_release(struct trainer *t)
{
	smap_release(&t->ids);
	map_release(&t->pairs);
	free(t->length);
	free(t->slots);
	free(t->starts);
	free(t->counts);
	free(t->word_at);
	free(t->state);
	free(t->heap);
	free(t->pool);
	free(t->touched);
	free(t->spots);
}

int bpe_train(struct bpe_words *w, const struct bpe_train *o, struct bpe_model *m, struct err *e)
{
	*m = (struct bpe_model){ 0 };
	struct trainer t = { .o = o, .m = m };
	uint32_t byte_id[256];
	struct buf bytes = { 0 };
	struct entry top;
	start_vocabulary(&t, byte_id);
	int rc = lay_out(&t, w, byte_id, e);
	while (rc == 0 && m->n < o->vocab && pop(&t, &top)) {
		uint32_t left = (uint32_t)(top.pair >> 32), right = (uint32_t)top.pair;
		struct bpe_pair p = { left, right, join(&t, left, right, &bytes) };
		GROW(m->merges, t.merges_cap, m->nmerges + 1);
		m->merges[m->nmerges++] = p;
		merge(&t, &top, &p);
		end_round(&t);
		if (o->tick && m->nmerges % 256 == 0)
			o->tick(o->ctx, m->n);
	}
	if (rc == 0)
		drop_repeats(m);
	buf_release(&bytes);
	trainer_release(&t);
	return rc;
}

void bpe_model_release(struct bpe_model *m)
{
	free(m->tokens);
	free(m->merges);
	arena_release(&m->arena);
	*m = (struct bpe_model){ 0 };
}
