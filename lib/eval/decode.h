/*
 * decode: completions of prompts, several sequences a forward call, in order of prompt and sample.
 *
 * A finished sequence makes room for the next one at once; prompts that start together are computed together.
 * A prompt is computed once, whatever the number of its samples; what it shares with the prompt before, not
 * at all. Every completion draws from a random stream of its own: neither the batch nor the threads nor the
 * prompts around it change it. Log-probabilities are of softmax(logits / temperature) before penalties and
 * truncation (temperature 0 counts as 1), the bits that score.h gives for the same tokens.
 */
#ifndef QUERN_DECODE_H
#define QUERN_DECODE_H

#include "eval/textout.h"
#include "model/model.h"
#include "model/sample.h"
#include "text/tokenizer.h"

struct decode_params {
	struct sample_params sample;
	const struct str *stops;
	size_t nstops;
	const uint32_t *eos; /* tokens that end a completion */
	size_t neos;
	size_t max_tokens; /* 0: completions are empty and end by their length */
	size_t context;    /* most tokens of prompt and completion together */
	size_t parallel;   /* sequences decoded together */
	size_t top;        /* the K best log-probabilities of every token */
	int text_alone; /* text is what the completion's tokens decode to without the prompt's before them */
	uint64_t seed;
};

enum finish { FINISH_NOT, FINISH_STOP, FINISH_LENGTH };

struct decode_prompt {
	const uint32_t *ids; /* 1 <= n < context; valid until the last of its completions is done */
	size_t n, samples;
	uint64_t number; /* of the prompt: decides the random streams */
	void *user;
};

struct completion {
	struct decode_prompt prompt;
	size_t sample;       /* 0 ... samples - 1 */
	uint64_t seed;       /* a run over this prompt alone with this seed gives this completion first */
	const uint32_t *ids; /* [n] */
	size_t n;
	float *logp;       /* [n] */
	uint32_t *top_ids; /* [n, top] */
	float *top_logp;
	struct textout text; /* special tokens left out */
	enum finish finish;

	/* of decode.c */
	struct completion *next;
	struct rng rng;
	struct ids all; /* prompt and completion side by side */
	size_t cap_logp, cap_top_ids, cap_top_logp, shown;
};

struct decode_io {
	/* The next prompt: 1, 0 at the end, -1 failed. */
	int (*next)(void *ctx, struct decode_prompt *p);
	/* Of the oldest completion that is not done, whenever its text has grown; may be NULL. */
	void (*grown)(void *ctx, const struct completion *c);
	/* In order of prompt and sample. Non-zero ends the run. */
	int (*done)(void *ctx, const struct completion *c);
	void *ctx;
};

struct decode_stats {
	uint64_t prompt_tokens, tokens; /* through the model; completion tokens */
	double prompt_seconds, seconds;
	double pack_seconds; /* for weights made ready, in neither of these */
};

/* Runs until there are no more prompts. -1: a callback failed (its own message) or e. */
int decode_run(struct model *m, enum dtype compute, const struct decode_params *p, const struct decode_io *io,
	struct decode_stats *stats, struct err *e);

/* eos ids of a checkpoint: generation_config's list, else the config's, else the tokenizer's. */
void model_eos(const struct model *m, struct ids *out);
/* The id that stands before a text without context: BOS, else EOS, else -1. */
int64_t model_first_token(const struct model *m);
/* Appends the tokenizer's post-processor prefix (BOS), once: not when ids already begin with it, and text. */
void encode_with_prefix(
	const struct model *m, struct encoder *enc, struct str text, int flags, struct ids *out);

#endif
