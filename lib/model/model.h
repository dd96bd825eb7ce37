/*
 * model: one decoder, its weights, and the one forward pass that training, scoring, prefill and decoding
 * share.
 *
 * Weights stay in the layout and under the names of the checkpoint (GPT-2's Conv1D too: products take
 * strides). The parameter table, made from the config by the architecture's row, drives init, load, save,
 * optimiser and convert.
 *
 * A session is one timeline of computation: scratch, activations kept for backward, packed panels. The
 * log-probability of a token is the same bits in every session of the same weights, whatever stands beside
 * it.
 *
 * Shapes: T tokens of all sequences of a call, one behind another; h hidden; V vocabulary. Parallel inside; a
 * session belongs to one thread.
 */
#ifndef QUERN_MODEL_H
#define QUERN_MODEL_H

#include "base/err.h"
#include "model/config.h"
#include "tensor/dtype.h"
#include "tensor/quant.h"

/* --- parameters --- */

enum param_group { PARAM_MATRIX, PARAM_EMBED, PARAM_HEAD, PARAM_VECTOR };
enum param_init { INIT_NORMAL, INIT_ZERO, INIT_ONE };

struct param {
	char *name; /* as in the checkpoint */
	int ndim;
	size_t shape[2], count;
	enum param_group group;
	enum param_init init;
	const char *file_type; /* as stored where it was read from: "BF16", "Q4_K"; else "F32" */
	double std;            /* of INIT_NORMAL */
	float *w;              /* master weights, f32; of a matrix that is stored: nothing is there */
	const void *stored;    /* where the values lie in a mapped file; NULL: in w alone */
	enum quant stored_type;
	size_t pairs;  /* not 0: stored rows are in the order of rope_pair_row for heads of this size */
	float *g;      /* gradient, NULL until model_want_grads */
	size_t offset; /* of w[0] in the model's one array of weights (and of g) */
};

struct model {
	struct config config;
	struct param *params;
	size_t nparams;         /* tensors */
	size_t count;           /* values in all */
	float *weights, *grads; /* [count] */
	int resident;           /* weights are all there; else matrices are where they are stored */
	int type;               /* what sessions hold matrices in: an enum quant; -1: as stored */
	int kv8;                /* sessions that do not train round keys and values to 8 bits */
	struct model_source {
		void *p;
		void (*close)(void *);
	} * held; /* what stored values lie in */
	size_t nheld, held_cap;
	uint64_t version;            /* whoever changes weights adds one: sessions then repack */
	struct tokenizer *tokenizer; /* NULL when the checkpoint has none; owned */
	char *generation_config;     /* JSON text or NULL; owned */
	char *chat_template;         /* NULL or text; owned; carried along */
	struct net *net;             /* how the parameters are wired; of lib/model alone */
};

/* Zeroed weights for a config. */
struct model *model_new(const struct config *c);
/* Normal with the table's std, from a stream of its own for every tensor: order and threads do not matter. */
void model_init(struct model *m, uint64_t seed);
void model_want_grads(struct model *m); /* allocates and zeroes */
void model_free(struct model *m);
struct param *model_param(const struct model *m, const char *name); /* NULL when absent */

struct tok_info;
/* Is a token stream one for this model? -1: its vocabulary is larger, or both say their tokenizers and these
 * differ. name is the stream's, for the message. */
int model_check_stream(const struct model *m, const struct tok_info *info, const char *name, struct err *e);

/* MODEL as quern-checkpoint(5) says: Hugging Face directory (also sharded), run directory, .safetensors with
 * config in its metadata, .gguf, llama2.c .bin, "-". Missing, superfluous and misshapen tensors are errors
 * that name them.
 */
struct model *model_load(const char *path, struct err *e);
/* The same without f32 copies of matrices: sessions that do not train pack theirs from where they are stored.
 * For commands that only compute: all else wants model_want_weights first. */
struct model *model_open(const char *path, struct err *e);
/* All weights in memory, as f32. */
void model_want_weights(struct model *m);
/* TOKENIZER as CLI.md defines it: whatever tokenizer_load reads, and what a run, a .safetensors or a .gguf
 * carries. pattern as there. */
struct tokenizer *model_tokenizer(const char *path, const char *pattern, struct err *e);
/* A Hugging Face directory that AutoModelForCausalLM loads: config.json, model.safetensors, tokenizer.json
 * (when there is one), generation_config.json. Written into `dir`, which exists; each file by rename, synced
 * if `sync`. */
int model_save_dir(const struct model *m, const char *dir, enum dtype t, int sync, struct err *e);
/* The same into a folder that appears by rename, complete or not at all; an existing folder is refused unless
 * it is empty. */
int model_save_new_dir(const struct model *m, const char *dir, enum dtype t, struct err *e);
/* One safetensors file with config and tokenizer in its metadata. */
int model_save_file(const struct model *m, const char *path, enum dtype t, struct err *e);

/* --- computing --- */

/* Keys and values of a sequence's past, in the type that a session's products read, or 8 bits (kv8). */
struct cache;
struct session;
/* Of a session that does not train, and freed before it. It grows by what goes through the model. */
struct cache *cache_new(const struct session *s);
size_t cache_len(const struct cache *c);
void cache_truncate(struct cache *c, size_t len);
/* dst becomes what src is, of the same session. Nothing is copied until one of them goes on. */
void cache_copy(struct cache *dst, const struct cache *src);
void cache_free(struct cache *c);

struct seq {
	const uint32_t *ids; /* n ids, each < vocab (checked by the caller) */
	size_t n;
	struct cache *cache; /* NULL: starts at position 0 and leaves nothing behind; else appended to */
};

/* What train, eval and generate compute in unless told: bf16 where the processor has it, else f32. */
enum dtype default_compute(void);

/* For the options --dtype f32|bf16 and --weights f32|bf16|q8_0|q4_0|q4_k|q6_k (their indices; -1: not given):
 * what sessions hold the matrices in from now on, and what products compute in. */
enum dtype model_use(struct model *m, int dtype, int weights);
/* For the option --kv-cache-dtype auto|int8. */
void model_use_cache(struct model *m, int kv8);

enum {
	SESSION_TRAIN = 1,    /* keeps activations, for model_backward */
	SESSION_RECOMPUTE = 2 /* keeps only what enters each residual step; backward makes the rest again */
};
/* compute: DTYPE_F32 or DTYPE_BF16. max_tokens: most tokens of one forward call. SESSION_TRAIN wants the
 * model's gradients (model_want_grads) to be there. */
struct session *session_new(struct model *m, enum dtype compute, size_t max_tokens, int flags);
void session_free(struct session *s);

/* Runs the decoder. A sequence with its past is at most config.context long; all of them
 * together are at most max_tokens; anything else is a bug of the caller. The final normed hidden states [T,
 * h] stay in the session, for the head. */
void model_forward(struct session *s, const struct seq *seqs, size_t nseqs);
/* The same for its caches alone: what no later position reads is left out, and there are no hidden states. */
void model_prefill(struct session *s, const struct seq *seqs, size_t nseqs);
/* What the next forward pass of so many tokens would begin with: packing weights that are not packed yet. The
 * first passes of few tokens do without. For who wants to say when, or to measure it apart. */
void session_pack(struct session *s, size_t tokens);
/* Logits of n rows (NULL: all T, in order) into out [n, V]. */
void model_logits(struct session *s, const size_t *rows, size_t n, float *out);

/* The head over targets, in chunks over the vocabulary's product (no [T, V] tensor): for each of the T rows
 * with targets[t] != NO_TARGET, logp[t] = log softmax(logits * inv_temp)[targets[t]], lse[t] (NULL: not
 * wanted) its log-sum-exp, top[t] (NULL: not wanted) 1 when the target is the argmax (lowest id wins ties).
 *
 * With dlogp (SESSION_TRAIN): dlogp[t] = dLoss/dlogp[t], dlse[t] (may be NULL) = dLoss/dlse[t]; the head's
 * gradients are accumulated and the gradient of the hidden states is left for model_backward. */
#define NO_TARGET UINT32_MAX
struct head_args {
	const uint32_t *targets;   /* [T] */
	float inv_temp;            /* 1 for training */
	float *logp, *lse;         /* [T] */
	unsigned char *top;        /* [T] */
	const float *dlogp, *dlse; /* [T] */
	float zloss; /* coefficient c of c * lse^2 a target row, weighted by -dlogp[t]; its value is not in
			logp */
};
void model_head(struct session *s, const struct head_args *a);
/* From the head's gradient down to the embeddings; accumulates into the parameters' gradients. */
void model_backward(struct session *s);

/* Bytes that a session of these sizes takes (train --dry-run). */
size_t session_bytes(const struct config *c, enum dtype compute, size_t max_tokens, int flags);

#endif
