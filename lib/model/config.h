/*
 * config: config.json in Hugging Face's keys, read into the terms of the engine, and written back.
 */
#ifndef QUERN_CONFIG_H
#define QUERN_CONFIG_H

#include "base/buf.h"
#include "base/err.h"
#include "base/json.h"
#include "tensor/dtype.h"

enum norm_kind { NORM_RMS, NORM_LAYER };
enum qk_norm {
	QK_NORM_NONE,
	QK_NORM_HEAD /* per head, weight [head_dim] */,
	QK_NORM_WHOLE /* whole projection */
};
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
	size_t vocab, hidden, layers, heads, kv_heads, head_dim, mlp_width, context;
	enum norm_kind norm;
	float norm_eps;
	int pre_norm, post_norm; /* x += post(F(pre(x))) */
	enum qk_norm qk_norm;
	enum act_kind act;
	int gated; /* mlp: down(act(gate x) * up x), else down(act(up x)) */
	int qkv_bias, o_bias, mlp_bias;
	int tied;                /* head is the embedding */
	int inverse_layer_scale; /* gpt2's scale_attn_by_inverse_layer_idx */
	size_t window;           /* sliding window of layers >= window_from, 0 none */
	size_t window_from;
	struct rope_config rope;
	double init_range;
	int64_t bos, eos, pad; /* -1: none */
	enum dtype file_dtype; /* `dtype` / `torch_dtype` */
			       /* Sequences of one model that is larger than `context` are refused. */
};

/* From JSON text; name is for messages. Unknown model_type, missing and absurd values are errors that name
 * the key. */
int config_parse(struct config *c, const char *json, size_t n, const char *name, struct err *e);
/* "llama:depth=6" or "qwen3:depth=8,dim=512,heads=8,...": a preset with overrides. vocab 0: taken from the
 * tokenizer later. One dial (depth) sets the rest as nanochat does: dim = 64 * depth, head_dim 128 (64 below
 * 512), context 2048. */
int config_preset(struct config *c, const char *spec, struct err *e);
/* The keys that transformers reads for this model_type, pretty-printed. dtype: what the weights are saved as.
 */
void config_json(const struct config *c, enum dtype dtype, struct buf *b);
/* Fingerprint of what changes arithmetic. */
uint64_t config_hash(const struct config *c);

#endif
