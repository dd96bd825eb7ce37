#include "model/arch.h"
#include "tap.h"

static int parse(struct config *c, const char *json, struct err *e)
{
	e->msg[0] = 0;
	return config_parse(c, json, strlen(json), "config.json", e);
}

static void test_reading(void)
{
	struct config c;
	struct err e;
	ok(parse(&c,
		   "{\"model_type\":\"llama\",\"hidden_size\":64,\"num_attention_heads\":4,\"eos_token_id\":["
		   "5,6]}",
		   &e) == 0,
		"llama %s", e.msg);
	ok(c.head_dim == 16 && c.kv_heads == 4 && !c.tied && c.layers == 32 && c.eos == 5 && c.bos == 1,
		"derived sizes and class defaults");
	struct buf text = { 0 };
	config_json(&c, DTYPE_F32, &text);
	ok(strstr(text.p, "\"eos_token_id\": [5, 6]") != NULL, "a list of ends is carried along");
	buf_release(&text);
	ok(parse(&c, "{\"architectures\":[\"GPT2LMHeadModel\"],\"n_inner\":null}", &e) == 0 &&
			c.mlp_width == 3072 && c.tied && c.norm == NORM_LAYER && !c.rope.enabled &&
			c.qkv_bias && c.o_bias && c.mlp_bias,
		"gpt2 by its class, all at defaults");
	ok(parse(&c, "{\"model_type\":\"llama\",\"rope_theta\":5,\"rope_parameters\":{\"rope_theta\":7}}",
		   &e) == 0 &&
			c.rope.theta == 7,
		"inner keys win over outer");
	ok(parse(&c,
		   "{\"model_type\":\"llama\",\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":2},"
		   "\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":3}}",
		   &e) == 0 &&
			c.rope.scaling == ROPE_DYNAMIC && c.rope.factor == 3,
		"rope_scaling wins over rope_parameters");
	ok(parse(&c,
		   "{\"model_type\":\"llama\",\"rope_scaling\":{},\"rope_parameters\":{\"rope_type\":"
		   "\"linear\","
		   "\"rope_theta\":7,\"factor\":2}}",
		   &e) == 0 &&
			c.rope.scaling == ROPE_LINEAR && c.rope.theta == 7,
		"an empty rope_scaling does not");
	ok(parse(&c,
		   "{\"model_type\":\"gpt2\",\"activation_function\":\"gelu_accurate\",\"tie_word_"
		   "embeddings\":false}",
		   &e) == 0 &&
			!c.tied && c.act == ACT_GELU_TANH,
		"gpt2 with a head of its own");
	ok(parse(&c,
		   "{\"model_type\":\"qwen3\",\"num_hidden_layers\":3,\"use_sliding_window\":true,\"sliding_"
		   "window\":8,"
		   "\"max_window_layers\":2}",
		   &e) == 0 &&
			config_window(&c, 1) == 0 && config_window(&c, 2) == 8,
		"the window of upper layers");
	ok(parse(&c,
		   "{\"model_type\":\"qwen3\",\"num_hidden_layers\":3,\"use_sliding_window\":true,\"sliding_"
		   "window\":8,"
		   "\"layer_types\":[\"sliding_attention\",\"full_attention\",\"sliding_attention\"]}",
		   &e) == 0 &&
			config_window(&c, 0) == 8 && config_window(&c, 1) == 0 && config_window(&c, 2) == 8,
		"layer_types say which layers slide");
	text = (struct buf){ 0 };
	struct config back;
	config_json(&c, DTYPE_F32, &text);
	ok(config_parse(&back, text.p, text.n, "written", &e) == 0 && config_hash(&back) == config_hash(&c) &&
			memcmp(back.slides, c.slides, sizeof c.slides) == 0,
		"and are written");
	buf_release(&text);
	ok(parse(&c, "{\"model_type\":\"qwen3\"}", &e) == 0 && c.head_dim == 128 &&
			c.qk_norm == QK_NORM_HEAD && !c.qkv_bias && !c.window,
		"qwen3");
	ok(parse(&c, "{\"model_type\":\"qwen2\"}", &e) == 0 && c.qkv_bias && !c.o_bias, "qwen2");
	ok(parse(&c, "{\"model_type\":\"mistral\"}", &e) == 0 && c.window == 4096 && c.kv_heads == 8,
		"mistral");
	ok(parse(&c, "{\"model_type\":\"mistral\",\"sliding_window\":null}", &e) == 0 && !c.window,
		"mistral without window");
	ok(parse(&c, "{\"model_type\":\"olmo2\"}", &e) == 0 && c.post_norm && !c.pre_norm &&
			c.qk_norm == QK_NORM_WHOLE && c.norm_eps == 1e-5f,
		"olmo2");
}

static void refuse(const char *json, const char *why)
{
	struct config c;
	struct err e;
	int rc = parse(&c, json, &e);
	ok(rc < 0 && strncmp(e.msg, "config.json: ", 13) == 0 && strstr(e.msg, why), "refused: %s", e.msg);
}

static void test_refusals(void)
{
	refuse("", "byte 0");
	refuse("[]", "no JSON object");
	refuse("{}", "model_type: is missing");
	refuse("{\"model_type\":\"t5\"}", "'t5' is not known");
	refuse("{\"model_type\":\"llama\",\"hidden_size\":0}", "hidden_size: wants a count");
	refuse("{\"model_type\":\"llama\",\"vocab_size\":\"many\"}", "vocab_size");
	refuse("{\"model_type\":\"llama\",\"num_hidden_layers\":1e3}", "num_hidden_layers");
	refuse("{\"model_type\":\"llama\",\"num_key_value_heads\":5}",
		"num_key_value_heads: does not divide");
	refuse("{\"model_type\":\"llama\",\"num_attention_heads\":24,\"num_key_value_heads\":24}",
		"does not divide");
	refuse("{\"model_type\":\"llama\",\"head_dim\":7}", "odd size");
	refuse("{\"model_type\":\"llama\",\"hidden_act\":\"relu\"}", "hidden_act");
	refuse("{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":2}}",
		"rope_type");
	refuse("{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"linear\"}}", "factor");
	refuse("{\"model_type\":\"llama\",\"partial_rotary_factor\":0.5}", "partial_rotary_factor");
	refuse("{\"model_type\":\"llama\",\"rms_norm_eps\":-1}", "rms_norm_eps");
	refuse("{\"model_type\":\"llama\",\"quantization_config\":{}}", "quantization_config");
	refuse("{\"model_type\":\"gpt2\",\"tie_word_embeddings\":1}", "tie_word_embeddings");
	refuse("{\"model_type\":\"llama\",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":2,"
	       "\"original_max_position_embeddings\":1e300}}",
		"original_max_position_embeddings");
	refuse("{\"model_type\":\"qwen3\",\"num_hidden_layers\":1,\"layer_types\":[\"sliding_attention\"]}",
		"sliding_attention without a sliding_window");
	refuse("{\"model_type\":\"mistral\",\"num_hidden_layers\":1,\"layer_types\":[\"full_attention\"]}",
		"layer_types: does not fit sliding_window");
	refuse("{\"model_type\":\"gpt2\",\"add_cross_attention\":true}", "add_cross_attention");
	refuse("{\"model_type\":\"qwen3\",\"layer_types\":[\"full_attention\"]}", "layer_types");
	refuse("{\"model_type\":\"llama\",\"intermediate_size\":1048576,\"num_hidden_layers\":4096,"
	       "\"hidden_size\":1048576}",
		"more weights than any machine holds");
}

static void test_presets(void)
{
	struct config c;
	struct err e = { "" };
	ok(config_preset(&c, "llama:depth=6,vocab=4096,context=512,tied=1", &e) == 0, "the small model %s",
		e.msg);
	ok(c.hidden == 384 && c.heads == 6 && c.head_dim == 64 && c.mlp_width == 1024 && c.layers == 6 &&
			c.tied && c.context == 512,
		"depth sets width, heads and mlp");
	ok(config_preset(&c, "llama:depth=20", &e) == 0 && c.hidden == 1280 && c.head_dim == 128 &&
			c.heads == 10 && c.mlp_width == 3456 && c.context == 2048 && c.vocab == 0 &&
			!c.tied && c.bos == -1,
		"a large one");
	ok(config_preset(&c, "llama:depth=9", &e) == 0 && c.hidden == 640 && c.heads == 5,
		"width is whole heads");
	ok(config_preset(&c, "gpt2:depth=12", &e) == 0 && c.hidden == 768 && c.mlp_width == 3072 && c.tied &&
			c.qkv_bias,
		"gpt2");
	ok(config_preset(&c, "qwen3:depth=2,dim=96,heads=4,kv_heads=2,head_dim=32,mlp=200,theta=1e6", &e) ==
				0 &&
			c.heads * c.head_dim == 128 && c.hidden == 96 && c.rope.theta == 1e6,
		"overrides");
	static const char *const bad[] = { "", "llama", "bert:depth=6", "llama:depth=0",
		"llama:depth=6,width=7", "llama:depth=6,heads=0", "llama:depth=6,kv_heads=4",
		"llama:depth=6,tied=2", "gpt2:depth=2,dim=100,heads=3", "llama:depth", "llama:depth=9999999",
		"llama:depth=2,head_dim=3" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		e.msg[0] = 0;
		ok(config_preset(&c, bad[i], &e) < 0 && e.msg[0], "refused: %s", e.msg);
	}
}

static void test_writing(void)
{
	for (size_t i = 0; i < arch_count; i++) {
		struct config c, d;
		struct err e = { "" };
		struct buf a = { 0 }, b = { 0 };
		char json[64];
		snprintf(json, sizeof json, "{\"model_type\":\"%s\"}", arch_table[i].model_type);
		parse(&c, json, &e);
		config_json(&c, DTYPE_BF16, &a);
		ok(config_parse(&d, a.p, a.n, "written", &e) == 0, "%s is written and read back %s",
			arch_table[i].model_type, e.msg);
		config_json(&d, DTYPE_BF16, &b);
		ok_str(a.p, b.p, "as the same text");
		ok(config_hash(&c) == config_hash(&d) && d.file_dtype == DTYPE_BF16,
			"and the same arithmetic");
		d.norm_eps *= 2;
		ok(config_hash(&c) != config_hash(&d), "another one is told apart");
		buf_release(&a);
		buf_release(&b);
	}
}

int main(void)
{
	test_reading();
	test_refusals();
	test_presets();
	test_writing();
	return tap_end();
}
