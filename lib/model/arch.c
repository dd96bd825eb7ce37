#include "model/arch.h"
#include "base/mem.h"
#include "model/block.h"

#include <stdlib.h>
#include <string.h>

static const struct arch_keys keys_gpt2 = { .hidden = "n_embd",
	.layers = "n_layer",
	.heads = "n_head",
	.mlp_width = "n_inner",
	.context = "n_positions",
	.norm_eps = "layer_norm_epsilon",
	.act = "activation_function" };

static const struct arch_keys keys_llama = { .hidden = "hidden_size",
	.layers = "num_hidden_layers",
	.heads = "num_attention_heads",
	.kv_heads = "num_key_value_heads",
	.head_dim = "head_dim",
	.mlp_width = "intermediate_size",
	.context = "max_position_embeddings",
	.norm_eps = "rms_norm_eps",
	.act = "hidden_act" };

static const char *const names_gpt2[ROLE_COUNT] = {
	[ROLE_EMBED] = "transformer.wte",
	[ROLE_POSITION] = "transformer.wpe",
	[ROLE_FINAL_NORM] = "transformer.ln_f",
	[ROLE_HEAD] = "lm_head",
	[ROLE_ATTN_PRE] = "transformer.h.*.ln_1",
	[ROLE_MLP_PRE] = "transformer.h.*.ln_2",
	[ROLE_QKV] = "transformer.h.*.attn.c_attn",
	[ROLE_O] = "transformer.h.*.attn.c_proj",
	[ROLE_UP] = "transformer.h.*.mlp.c_fc",
	[ROLE_DOWN] = "transformer.h.*.mlp.c_proj",
};

/* Llama and all that kept its names: Mistral, Qwen. */
#define NAMES_LLAMA                                                                                      \
	[ROLE_EMBED] = "model.embed_tokens", [ROLE_FINAL_NORM] = "model.norm", [ROLE_HEAD] = "lm_head",  \
	[ROLE_Q] = "model.layers.*.self_attn.q_proj", [ROLE_K] = "model.layers.*.self_attn.k_proj",      \
	[ROLE_V] = "model.layers.*.self_attn.v_proj", [ROLE_O] = "model.layers.*.self_attn.o_proj",      \
	[ROLE_Q_NORM] = "model.layers.*.self_attn.q_norm",                                               \
	[ROLE_K_NORM] = "model.layers.*.self_attn.k_norm", [ROLE_GATE] = "model.layers.*.mlp.gate_proj", \
	[ROLE_UP] = "model.layers.*.mlp.up_proj", [ROLE_DOWN] = "model.layers.*.mlp.down_proj"

static const char *const names_llama[ROLE_COUNT] = {
	NAMES_LLAMA,
	[ROLE_ATTN_PRE] = "model.layers.*.input_layernorm",
	[ROLE_MLP_PRE] = "model.layers.*.post_attention_layernorm",
};

/* The same word, another place: here post_attention_layernorm norms what attention gives. */
static const char *const names_olmo2[ROLE_COUNT] = {
	NAMES_LLAMA,
	[ROLE_ATTN_POST] = "model.layers.*.post_attention_layernorm",
	[ROLE_MLP_POST] = "model.layers.*.post_feedforward_layernorm",
};

static const char *const ignored_gpt2[] = { ".attn.bias", ".attn.masked_bias", NULL };
static const char *const ignored_llama[] = { "rotary_emb.inv_freq", NULL };

/* What the RMS-norm, rotary, gated family shares. */
#define BASE_LLAMA                                                                                \
	.hidden = 4096, .layers = 32, .heads = 32, .norm = NORM_RMS, .act = ACT_SILU, .gated = 1, \
	.rope = { .enabled = 1, .theta = 10000, .truncate = 1 }, .init_range = 0.02

const struct arch arch_table[] = {
	{ .model_type = "gpt2",
		.gguf = "gpt2",
		.class_name = "GPT2LMHeadModel",
		.mixer = &block_attention,
		.feed_forward = &block_mlp,
		.keys = &keys_gpt2,
		.base = { .vocab = 50257,
			.hidden = 768,
			.layers = 12,
			.heads = 12,
			.context = 1024,
			.norm = NORM_LAYER,
			.norm_eps = 1e-5,
			.pre_norm = 1,
			.act = ACT_GELU_TANH,
			.tied = 1,
			.init_range = 0.02,
			.bos = 50256,
			.eos = 50256,
			.pad = -1 },
		.prefix = "transformer.",
		.names = names_gpt2,
		.ignored = ignored_gpt2,
		.conv1d = 1,
		.qkv_bias = BIAS_ALWAYS,
		.o_bias = BIAS_ALWAYS,
		.mlp_bias = BIAS_ALWAYS },
	{ .model_type = "llama",
		.gguf = "llama",
		.gguf_pairs = 1,
		.class_name = "LlamaForCausalLM",
		.mixer = &block_attention,
		.feed_forward = &block_mlp,
		.keys = &keys_llama,
		.base = { BASE_LLAMA, .vocab = 32000, .mlp_width = 11008, .context = 2048, .norm_eps = 1e-6,
			.pre_norm = 1, .bos = 1, .eos = 2, .pad = -1 },
		.prefix = "model.",
		.names = names_llama,
		.ignored = ignored_llama,
		.pad_frozen = 1,
		.qkv_bias = BIAS_KEY,
		.o_bias = BIAS_KEY,
		.mlp_bias = BIAS_KEY },
	{ .model_type = "mistral",
		.gguf = "llama",
		.gguf_pairs = 1,
		.class_name = "MistralForCausalLM",
		.mixer = &block_attention,
		.feed_forward = &block_mlp,
		.keys = &keys_llama,
		.base = { BASE_LLAMA, .vocab = 32000, .kv_heads = 8, .mlp_width = 14336, .context = 131072,
			.window = 4096, .norm_eps = 1e-6, .pre_norm = 1, .bos = 1, .eos = 2, .pad = -1 },
		.prefix = "model.",
		.names = names_llama,
		.ignored = ignored_llama,
		.pad_frozen = 1,
		.window = WINDOW_ALWAYS },
	{ .model_type = "qwen2",
		.gguf = "qwen2",
		.class_name = "Qwen2ForCausalLM",
		.mixer = &block_attention,
		.feed_forward = &block_mlp,
		.keys = &keys_llama,
		.base = { BASE_LLAMA, .vocab = 151936, .kv_heads = 32, .mlp_width = 22016, .context = 32768,
			.norm_eps = 1e-6, .pre_norm = 1, .bos = -1, .eos = -1, .pad = -1, .window = 4096 },
		.prefix = "model.",
		.names = names_llama,
		.ignored = ignored_llama,
		.pad_frozen = 1,
		.qkv_bias = BIAS_ALWAYS,
		.window = WINDOW_QWEN },
	{ .model_type = "qwen3",
		.gguf = "qwen3",
		.class_name = "Qwen3ForCausalLM",
		.mixer = &block_attention,
		.feed_forward = &block_mlp,
		.keys = &keys_llama,
		.base = { BASE_LLAMA, .vocab = 151936, .kv_heads = 32, .head_dim = 128, .mlp_width = 22016,
			.context = 32768, .norm_eps = 1e-6, .pre_norm = 1, .bos = -1, .eos = -1, .pad = -1,
			.window = 4096, .qk_norm = QK_NORM_HEAD },
		.prefix = "model.",
		.names = names_llama,
		.ignored = ignored_llama,
		.pad_frozen = 1,
		.qkv_bias = BIAS_KEY,
		.o_bias = BIAS_KEY,
		.window = WINDOW_QWEN },
	{ .model_type = "olmo2",
		.gguf = "olmo2",
		.class_name = "Olmo2ForCausalLM",
		.mixer = &block_attention,
		.feed_forward = &block_mlp,
		.keys = &keys_llama,
		.base = { BASE_LLAMA, .vocab = 50304, .mlp_width = 11008, .context = 2048, .norm_eps = 1e-5,
			.post_norm = 1, .qk_norm = QK_NORM_WHOLE, .bos = -1, .eos = 50279, .pad = 1 },
		.prefix = "model.",
		.names = names_olmo2,
		.ignored = ignored_llama,
		.pad_frozen = 1,
		.qkv_bias = BIAS_KEY,
		.o_bias = BIAS_KEY },
};
const size_t arch_count = sizeof arch_table / sizeof *arch_table;

const struct arch *arch_find(const char *model_type)
{
	for (size_t i = 0; i < arch_count; i++)
		if (strcmp(arch_table[i].model_type, model_type) == 0)
			return &arch_table[i];
	return NULL;
}

char *arch_name(const struct arch *a, enum role role, size_t layer, const char *suffix)
{
	const char *t = a->names[role], *star = strchr(t, '*');
	if (!star)
		return xasprintf("%s%s", t, suffix);
	return xasprintf("%.*s%zu%s%s", (int)(star - t), t, layer, star + 1, suffix);
}
