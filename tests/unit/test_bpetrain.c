/* Training of byte-level BPE against Hugging Face's trainer and against recounting everything at each merge.
 */
#include "base/die.h"
#include "base/rng.h"
#include "tap.h"
#include "text/bpetrain.h"

#include <stdlib.h>

struct counted {
	const char *text;
	uint64_t count;
};
struct vector {
	const char *name;
	uint64_t vocab, min_frequency;
	const char *const *specials;
	size_t nspecials;
	const struct counted *words;
	size_t nwords;
	const struct bpe_pair *merges;
	size_t nmerges;
};
#include "bpetrain_vectors.h"

static struct err err;

static struct bpe_model train(const struct counted *words, size_t n, const struct bpe_train *o)
{
	struct bpe_words *w = bpe_words_new();
	for (size_t i = 0; i < n; i++)
		bpe_words_add(w, words[i].text, strlen(words[i].text), words[i].count);
	struct bpe_model m;
	if (bpe_train(w, o, &m, &err) < 0)
		die("%s", err.msg);
	return m;
}

static int same_merges(const struct bpe_model *m, const struct bpe_pair *want, size_t n)
{
	return m->nmerges == n && (n == 0 || memcmp(m->merges, want, n * sizeof *want) == 0);
}

static void references(void)
{
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		const struct vector *v = &vectors[i];
		struct bpe_train o = { v->vocab, v->min_frequency, v->specials, v->nspecials, NULL, NULL };
		struct bpe_model m = train(v->words, v->nwords, &o);
		ok(same_merges(&m, v->merges, v->nmerges), "%s: %zu merges are the reference's", v->name,
			v->nmerges);
		bpe_model_release(&m);
	}
}

/* --- the slow way ----------------------------------------------------------------------------------------
 */

enum { WORDS = 150, LONGEST = 9, STEPS = 120, IDS = 256 + STEPS };

static uint32_t slow[WORDS][LONGEST];
static size_t slow_n[WORDS];

/* The most frequent pair of all words, the lowest of equals; 0 when there is none. */
static uint64_t best_pair(const uint64_t *count, uint32_t *left, uint32_t *right)
{
	static uint64_t table[IDS][IDS];
	memset(table, 0, sizeof table);
	for (size_t w = 0; w < WORDS; w++)
		for (size_t i = 0; i + 1 < slow_n[w]; i++)
			table[slow[w][i]][slow[w][i + 1]] += count[w];
	uint64_t best = 0;
	for (uint32_t a = 0; a < IDS; a++)
		for (uint32_t b = 0; b < IDS; b++)
			if (table[a][b] > best) {
				best = table[a][b];
				*left = a;
				*right = b;
			}
	return best;
}

/* Words without a doubled letter have no runs, so that every merge makes a new token. */
static void slow_way(void)
{
	static char text[WORDS][LONGEST + 1];
	static uint64_t count[WORDS];
	static struct counted words[WORDS], backwards[WORDS];
	struct rng r;
	rng_init(&r, 3, 0);
	for (size_t w = 0; w < WORDS; w++) {
		slow_n[w] = 2 + (size_t)rng_below(&r, LONGEST - 1);
		for (size_t i = 0; i < slow_n[w]; i++) {
			text[w][i] = (char)('a' + (i * 5 + rng_below(&r, 5)) % 25);
			slow[w][i] = (uint32_t)(text[w][i] - '!');
		}
		count[w] = 1 + rng_below(&r, 20) * (w % 7 == 0 ? UINT64_C(5000000000) : 1);
		words[w] = backwards[WORDS - 1 - w] = (struct counted){ text[w], count[w] };
	}
	static struct bpe_pair want[STEPS];
	for (uint32_t s = 0; s < STEPS; s++) {
		uint32_t a = 0, b = 0;
		best_pair(count, &a, &b);
		want[s] = (struct bpe_pair){ a, b, 256 + s };
		for (size_t w = 0; w < WORDS; w++) {
			size_t to = 0;
			for (size_t i = 0; i < slow_n[w]; i++) {
				int hit = i + 1 < slow_n[w] && slow[w][i] == a && slow[w][i + 1] == b;
				slow[w][to++] = hit ? 256 + s : slow[w][i];
				i += (size_t)hit;
			}
			slow_n[w] = to;
		}
	}
	struct bpe_train o = { .vocab = IDS };
	struct bpe_model m = train(words, WORDS, &o);
	ok(same_merges(&m, want, STEPS), "merges are those of recounting, with counts beyond 32 bits");
	bpe_model_release(&m);
	m = train(backwards, WORDS, &o);
	ok(same_merges(&m, want, STEPS), "words in another order: same merges");
	bpe_model_release(&m);

	struct bpe_words *one = bpe_words_new(), *two = bpe_words_new();
	for (size_t w = 0; w < WORDS; w++) {
		bpe_words_add(w % 2 ? one : two, text[w], strlen(text[w]), count[w] / 2);
		bpe_words_add(two, text[w], strlen(text[w]), count[w] - count[w] / 2);
	}
	bpe_words_join(one, two);
	bpe_train(one, &o, &m, &err);
	ok(same_merges(&m, want, STEPS), "counted in two tables and joined: same merges");
	bpe_model_release(&m);
}

static void vocabulary(void)
{
	static const char *const specials[] = { "<|end|>", "x", "<|end|>", "\xe4\xb8\xad" };
	static const struct counted words[] = { { "ab", 3 }, { "xab", 2 }, { "q", 9 } };
	struct bpe_train o = { .vocab = 4096, .specials = specials, .nspecials = 4 };
	struct bpe_model m = train(words, 3, &o);
	ok(m.nspecials == 3 && m.n == 3 + 255 + 2 && m.nmerges == 2, "stops early: %zu tokens", m.n);
	ok(str_is(m.tokens[0], "<|end|>") && str_is(m.tokens[1], "x") && str_is(m.tokens[2], "\xe4\xb8\xad"),
		"specials come first, doubled ones once");
	ok(str_is(m.tokens[3], "!") && str_is(m.tokens[m.n - 1], "xab"), "then bytes, then merges");
	ok(m.merges[1].left == 1, "a special token of one character is its byte");
	bpe_model_release(&m);

	struct bpe_train tiny = { .vocab = 10 };
	m = train(words, 3, &tiny);
	ok(m.n == 256 && m.nmerges == 0, "a vocabulary below 256 holds the bytes");
	bpe_model_release(&m);
	m = train(NULL, 0, &tiny);
	ok(m.n == 256 && m.nmerges == 0, "nothing to learn from");
	ok(str_is(m.tokens[198], "\n") && str_is(m.tokens[220], " "),
		"bytes in the order of their characters");
	bpe_model_release(&m);
}

/* One piece of a million bytes: time follows the merges that happen, not the length of the piece. */
static void long_piece(void)
{
	size_t n = 1000000;
	char *p = malloc(n);
	struct rng r;
	rng_init(&r, 9, 0);
	for (size_t i = 0; i < n; i++)
		p[i] = "ACGT"[rng_below(&r, 4)];
	struct bpe_words *w = bpe_words_new();
	bpe_words_add(w, p, n, 1);
	free(p);
	struct bpe_train o = { .vocab = 2000 };
	struct bpe_model m;
	ok(bpe_train(w, &o, &m, &err) == 0 && m.n == 2000, "a piece of %zu bytes", n);
	bpe_model_release(&m);
}

int main(void)
{
	prog_name = "test_bpetrain";
	references();
	slow_way();
	vocabulary();
	long_piece();
	return tap_end();
}
