/*
 * config: config.json in Hugging Face's keys, read into the terms of the engine, and written back.
 */
#ifndef QUERN_CONFIG_H
#define QUERN_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "tensor/dtype.h"

/* Nothing real comes near these; they keep every product of sizes inside 64 bits. */
#define CONFIG_MAX_VOCAB ((int64_t)1 << 28)
#define CONFIG_MAX_WIDTH ((int64_t)1 << 20)
#define CONFIG_MAX_LAYERS 4096
#define CONFIG_MAX_CONTEXT ((int64_t)1 << 30)
#define CONFIG_MAX_WEIGHTS 0x1p50

enum norm_kind { NORM_RMS, NORM_LAYER };
/* Of queries and keys: none, of each head (weight [head_dim]), of the whole projection. */
enum qk_norm { QK_NORM_NONE, QK_NORM_HEAD, QK_NORM_WHOLE };
enum act_kind { ACT_SILU, ACT_GELU_TANH };
enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_LLAMA3, ROPE_YARN, ROPE_DYNAMIC };

struct rope_config {
	int enabled; /* 0: learned positions (gpt2) */
	double theta;
	enum rope_scaling scaling;
	double factor, low_freq, high_freq, original_context; /* linear, dynamic: factor; llama3, yarn */
	double beta_fast, beta_slow, attention_factor, mscale, mscale_all_dim; /* yarn; 0: absent */
	int truncate;
};

struct config {
	const struct arch *arch; /* row of the architecture table (arch.h) */
	size_t vocab, hidden, layers, heads, kv_heads, head_dim, mlp_width;
	size_t context; /* most positions of a sequence */
	enum norm_kind norm;
	float norm_eps;
	int pre_norm, post_norm; /* x += post(F(pre(x))) */
	enum qk_norm qk_norm;
	enum act_kind act;
	int gated; /* mlp: down(act(gate x) * up x), else down(act(up x)) */
	int qkv_bias, o_bias, mlp_bias;
	int tied;                                    /* head is the embedding */
	int inverse_layer_scale;                     /* gpt2's scale_attn_by_inverse_layer_idx */
	size_t window;                               /* sliding window of the layers that slide, 0 none */
	unsigned char slides[CONFIG_MAX_LAYERS / 8]; /* a bit a layer; see config_window */
	struct rope_config rope;
	double init_range;
	int64_t bos, eos, pad; /* -1: none */
	int64_t eos_list[8];   /* eos_token_id as a list, eos first; carried along while its first is eos */
	size_t neos;
	enum dtype file_dtype; /* `dtype` / `torch_dtype`; of a loaded model that of its weights, f32 where
				  they differ */
};

/* From JSON text; name is for messages. Unknown model_type, missing and absurd values are errors that name
 * the key. */
int config_parse(struct config *c, const char *json, size_t n, const char *name, struct err *e);
/*
 * A preset: "ARCH:depth=N" with overrides, "qwen3:depth=8,dim=512,heads=8,kv_heads=2".
 * One dial sets the rest as nanochat's does:
 *
 *	layers	depth
 *	head_dim	128, 64 where dim is below 512; dim / heads where only heads is given
 *	dim	64 * depth, rounded up to whole heads; a dim that is given stays as it is
 *	heads	dim / head_dim		kv_heads	heads
 *	mlp	8/3 dim rounded up to a multiple of 64; 4 dim where the architecture has no gate
 *	context	2048		vocab	0: to be taken from the tokenizer
 *	tied	0 (gpt2: 1)	theta	the class default	eps	1e-5
 */
int config_preset(struct config *c, const char *spec, struct err *e);
/* The keys that transformers reads for this model_type, pretty-printed. dtype: type of the saved weights. */
void config_json(const struct config *c, enum dtype dtype, struct buf *b);
/* Sliding window of a layer, 0: it sees all of the past. */
size_t config_window(const struct config *c, size_t layer);
/* About how many weights the sizes make up; in floating point, so that nothing overflows. */
double config_weights(const struct config *c);
/* Fingerprint of what changes arithmetic. */
uint64_t config_hash(const struct config *c);

#endif
