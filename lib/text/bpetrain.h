/*
 * bpetrain: learns byte-level BPE (Sennrich et al. 2016, over bytes) from counted pieces of text.
 *
 * Merges and ids are those of Hugging Face's BpeTrainer with the byte-level alphabet: special tokens first,
 * as given; then the 256 bytes in the order of their mapped characters ('!' is 0 without specials); then one
 * id a new token. The pair that occurs most often is merged, of equals the one with the lowest left, then
 * right id; "aaa" is merged from left to right. Counts have 64 bits. The result does not depend on the order
 * in which pieces were added.
 */
#ifndef QUERN_BPETRAIN_H
#define QUERN_BPETRAIN_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

/* Distinct pieces with their counts. One thread's own; join those of several threads at the end. */
struct bpe_words;
struct bpe_words *bpe_words_new(void);
void bpe_words_add(struct bpe_words *w, const char *piece, size_t n, uint64_t count);
void bpe_words_join(struct bpe_words *into, struct bpe_words *from); /* frees from */
size_t bpe_words_distinct(const struct bpe_words *w);
uint64_t bpe_words_total(const struct bpe_words *w); /* pieces, each as often as it was counted */
void bpe_words_free(struct bpe_words *w);

struct bpe_train {
	uint64_t vocab;         /* ids wanted: specials, 256 bytes, merges */
	uint64_t min_frequency; /* a pair that occurs less often is not merged; 0 and 1: any that occurs */
	const char *const *specials; /* not empty strings; the second of two equal ones is left out */
	size_t nspecials;
	/* Called now and then with the number of ids there are; may be NULL. */
	void (*tick)(void *ctx, uint64_t ids);
	void *ctx;
};

struct bpe_pair {
	uint32_t left, right, id; /* id: of the token they make */
};

struct bpe_model {
	struct str *tokens; /* [n], by id: specials as given, all others raw bytes; NUL-terminated */
	size_t n, nspecials;
	struct bpe_pair *merges; /* [nmerges], by rank */
	size_t nmerges;
	struct arena arena;
};

/* Trains; w is used up (freed). n is below o->vocab when no pair was left, and above it when o->vocab does
 * not even hold specials and bytes. -1: more than 2 GiB of distinct pieces. */
int bpe_train(struct bpe_words *w, const struct bpe_train *o, struct bpe_model *m, struct err *e);
void bpe_model_release(struct bpe_model *m);

#endif
