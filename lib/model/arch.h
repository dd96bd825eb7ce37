/*
 * arch: the table of architectures. A row says what config.json and the tensor names of one model_type mean:
 * key names, class defaults, name templates. The arithmetic itself is in the blocks (block.h).
 *
 * To add one: a row in arch.c, its blocks where they are new (block.h), a reference in
 * tests/ref/make_refs.py, a line in convert.1. All layers have the same two blocks, a name has one '*', a
 * tensor has one or two dimensions: experts, and layers that differ, want more of this table.
 */
#ifndef QUERN_ARCH_H
#define QUERN_ARCH_H

#include "model/config.h"

/* What a tensor is for. Names are templates without ".weight" and ".bias"; '*' stands for the layer's number.
 */
enum role {
	ROLE_EMBED,
	ROLE_POSITION,
	ROLE_FINAL_NORM,
	ROLE_HEAD,
	ROLE_ATTN_PRE,
	ROLE_ATTN_POST,
	ROLE_MLP_PRE,
	ROLE_MLP_POST,
	ROLE_Q,
	ROLE_K,
	ROLE_V,
	ROLE_QKV, /* instead of the three: one matrix */
	ROLE_O,
	ROLE_Q_NORM,
	ROLE_K_NORM,
	ROLE_GATE,
	ROLE_UP,
	ROLE_DOWN,
	ROLE_COUNT
};

/* Where a bias comes from: never, always, or as a key of the config says. */
enum bias_rule { BIAS_NEVER, BIAS_ALWAYS, BIAS_KEY };

/* When keys beyond the window's size decide which layers it holds for. */
enum window_rule {
	WINDOW_NEVER,
	WINDOW_ALWAYS, /* all layers when sliding_window is not null */
	WINDOW_QWEN    /* use_sliding_window, layers from max_window_layers on */
};

struct arch_keys {
	const char *hidden, *layers, *heads, *kv_heads, *head_dim, *mlp_width, *context, *norm_eps, *act;
};

struct arch {
	const char *model_type, *class_name; /* class_name: what `architectures` says */
	const struct arch_keys *keys;
	const struct block *mixer, *feed_forward; /* what a layer's two residual steps compute (block.h) */
	struct config base;         /* class defaults; 0 in kv_heads: heads, in head_dim: hidden / heads, in
				       mlp_width: 4 hidden */
	const char *prefix;         /* of all names but the head's; bare decoders are published without it */
	const char *const *names;   /* [ROLE_COUNT], NULL where the architecture has no such tensor */
	const char *const *ignored; /* suffixes of buffers that published files carry; NULL-terminated */
	int conv1d;                 /* matrices are stored [in, out] */
	const char *gguf;           /* its name in GGUF files */
	int gguf_pairs; /* there q and k turn neighbouring pairs (2i, 2i + 1): rows in another order */
	int pad_frozen; /* the reference gives the embedding of pad_token_id no gradient as an input */
	enum bias_rule qkv_bias, o_bias, mlp_bias; /* keys: attention_bias, attention_bias, mlp_bias */
	enum window_rule window;
};

extern const struct arch arch_table[];
extern const size_t arch_count;
const struct arch *arch_find(const char *model_type); /* NULL when unknown */

/* Name of a tensor: template with the layer's number, and ".weight" or ".bias" behind it; to be freed. */
char *arch_name(const struct arch *a, enum role role, size_t layer, const char *suffix);

#endif
