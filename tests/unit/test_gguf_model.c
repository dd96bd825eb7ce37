/* Models through GGUF files: every architecture out and back, the types of the tensors, what other writers
 * put down in other ways, and what is refused. */
#include "base/io.h"
#include "base/mem.h"
#include "model/load.h"
#include "model/net.h"
#include "tap.h"
#include "tensor/gguf.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <unistd.h>

static char path[64];

static struct model *make(const char *json)
{
	struct config c;
	struct err e = { "" };
	if (config_parse(&c, json, strlen(json), "config", &e) < 0) {
		printf("# %s\n", e.msg);
		return NULL;
	}
	struct model *m = model_new(&c);
	model_init(m, 3);
	/* Vectors too: a bias of zero would not show that it is left out. */
	for (size_t i = 0; i < m->count; i++)
		m->weights[i] += (float)(i % 7) / 16;
	return m;
}

static struct gguf *put_file(const struct model *m, enum quant q, int pure)
{
	struct err e = { "" };
	if (gguf_write(m, path, q, pure, &e) < 0) {
		printf("# %s\n", e.msg);
		return NULL;
	}
	return gguf_open(path, &e);
}

#define SIZES                                                                                            \
	"\"vocab_size\":9,\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_heads\":4,"         \
	"\"num_key_value_heads\":2,\"intermediate_size\":24,\"max_position_embeddings\":64,\"bos_token_" \
	"id\":1,"                                                                                        \
	"\"eos_token_id\":[2,4],\"pad_token_id\":null"

static void round_trip(const char *json)
{
	struct err e = { "" };
	struct model *m = make(json);
	struct gguf *g = m ? put_file(m, QUANT_F32, 0) : NULL;
	gguf_close(g);
	struct model *back = g ? model_load(path, &e) : NULL;
	ok(back && back->count == m->count &&
			memcmp(back->weights, m->weights, m->count * sizeof *m->weights) == 0,
		"the weights of %s %s", json, e.msg);
	struct buf x = { 0 }, y = { 0 };
	if (back) {
		/* The standard deviation of the first weights is not in these files. */
		back->config.init_range = m->config.init_range;
		config_json(&m->config, DTYPE_F32, &x);
		config_json(&back->config, DTYPE_F32, &y);
		ok_str(y.p, x.p, "and the config");
	}
	buf_release(&x);
	buf_release(&y);
	model_free(back);
	model_free(m);
}

static void test_round_trips(void)
{
	round_trip("{\"model_type\":\"gpt2\",\"vocab_size\":9,\"n_embd\":8,\"n_layer\":2,\"n_head\":2,\"n_"
		   "positions\":5,"
		   "\"n_inner\":12,\"bos_token_id\":3,\"eos_token_id\":3}");
	round_trip("{\"model_type\":\"gpt2\",\"vocab_size\":9,\"n_embd\":8,\"n_layer\":1,\"n_head\":2,\"n_"
		   "positions\":5,"
		   "\"tie_word_embeddings\":false}");
	round_trip("{\"model_type\":\"llama\"," SIZES ",\"tie_word_embeddings\":true,\"rms_norm_eps\":1e-5}");
	round_trip("{\"model_type\":\"llama\"," SIZES
		   ",\"head_dim\":6,\"attention_bias\":true,\"mlp_bias\":true}");
	round_trip("{\"model_type\":\"llama\"," SIZES
		   ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2.5}}");
	round_trip("{\"model_type\":\"llama\"," SIZES
		   ",\"rope_theta\":500000,\"head_dim\":32,\"rope_scaling\":{\"rope_"
		   "type\":\"llama3\",\"factor\":8,\"low_freq_factor\":2,\"high_freq_factor\":5,\"original_"
		   "max_position_"
		   "embeddings\":48}}");
	round_trip(
		"{\"model_type\":\"qwen2\"," SIZES ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4,"
		"\"original_max_position_embeddings\":16}}");
	round_trip("{\"model_type\":\"mistral\"," SIZES ",\"sliding_window\":7}");
	round_trip("{\"model_type\":\"qwen3\"," SIZES ",\"head_dim\":8}");
	round_trip("{\"model_type\":\"olmo2\"," SIZES "}");
	round_trip("{\"model_type\":\"olmo2\"," SIZES ",\"tie_word_embeddings\":true}");
}

/* --- types --- */

static const char *type_of(const struct gguf *g, const char *name)
{
	const struct gguf_tensor *t = g ? gguf_get(g, name) : NULL;
	return t ? quant_formats[t->quant].name : "none";
}

static void check_types(
	const char *what, const struct model *m, enum quant q, int pure, const char *const (*want)[2])
{
	struct gguf *g = put_file(m, q, pure);
	for (size_t i = 0; want[i][0]; i++)
		ok(strcmp(type_of(g, want[i][0]), want[i][1]) == 0, "%s: %s is %s, not %s", what, want[i][0],
			type_of(g, want[i][0]), want[i][1]);
	gguf_close(g);
}
#define WANT(...) ((const char *const[][2]){ __VA_ARGS__, { NULL, NULL } })

static void test_types(void)
{
	struct model *m =
		make("{\"model_type\":\"llama\",\"vocab_size\":9,\"hidden_size\":256,\"num_hidden_layers\":8,"
		     "\"num_attention_heads\":4,\"intermediate_size\":256,\"tie_word_embeddings\":true}");
	check_types("f16", m, QUANT_F16, 0,
		WANT({ "token_embd.weight", "F16" }, { "output_norm.weight", "F32" },
			{ "blk.7.ffn_up.weight", "F16" }));
	check_types("q8_0", m, QUANT_Q8_0, 0,
		WANT({ "token_embd.weight", "Q8_0" }, { "blk.0.attn_norm.weight", "F32" },
			{ "blk.0.attn_v.weight", "Q8_0" }));
	check_types("q4_0", m, QUANT_Q4_0, 0,
		WANT({ "token_embd.weight", "Q6_K" }, { "output.weight", "none" },
			{ "blk.0.attn_v.weight", "Q4_0" }, { "blk.0.ffn_down.weight", "Q4_0" }));
	check_types("q4_0 alone", m, QUANT_Q4_0, 1,
		WANT({ "token_embd.weight", "Q4_0" }, { "blk.0.ffn_down.weight", "Q4_0" },
			{ "output_norm.weight", "F32" }));
	check_types("q4_k", m, QUANT_Q4_K, 0,
		WANT({ "token_embd.weight", "Q6_K" }, { "blk.0.attn_v.weight", "Q6_K" },
			{ "blk.1.attn_v.weight", "Q4_K" }, { "blk.3.ffn_down.weight", "Q6_K" },
			{ "blk.2.ffn_down.weight", "Q4_K" }, { "blk.7.ffn_down.weight", "Q6_K" },
			{ "blk.0.attn_q.weight", "Q4_K" }));
	check_types("q4_k alone", m, QUANT_Q4_K, 1,
		WANT({ "token_embd.weight", "Q4_K" }, { "blk.0.attn_v.weight", "Q4_K" }));
	model_free(m);
	m = make("{\"model_type\":\"llama\",\"vocab_size\":9,\"hidden_size\":96,\"num_hidden_layers\":1,"
		 "\"num_attention_heads\":4,\"intermediate_size\":40,\"tie_word_embeddings\":false}");
	check_types("rows that do not fit", m, QUANT_Q4_K, 0,
		WANT({ "token_embd.weight", "Q5_0" }, { "output.weight", "Q8_0" },
			{ "blk.0.attn_q.weight", "Q5_0" }, { "blk.0.ffn_down.weight", "F16" },
			{ "blk.0.ffn_up.weight", "Q5_0" }));
	check_types("a head that does not", m, QUANT_Q4_0, 0,
		WANT({ "token_embd.weight", "Q4_0" }, { "output.weight", "Q8_0" },
			{ "blk.0.ffn_down.weight", "F16" }));
	model_free(m);
	m = make("{\"model_type\":\"gpt2\",\"vocab_size\":9,\"n_embd\":256,\"n_layer\":1,\"n_head\":2,\"n_"
		 "positions\":5}");
	check_types("gpt2", m, QUANT_Q6_K, 0,
		WANT({ "position_embd.weight", "F32" }, { "blk.0.attn_qkv.weight", "Q6_K" },
			{ "blk.0.attn_qkv.bias", "F32" }));
	model_free(m);
}

/* Blocks go from file to file as they are; rows that change places go with them. */
static void test_kept(void)
{
	struct err e = { "" };
	struct model *m =
		make("{\"model_type\":\"llama\"," SIZES ",\"hidden_size\":256,\"intermediate_size\":64}");
	char *other = xasprintf("%s.other", path);
	struct buf a = { 0 }, b = { 0 };
	gguf_close(put_file(m, QUANT_Q4_K, 0));
	struct model *q = model_open(path, &e);
	ok(q && gguf_write(q, other, -1, 0, &e) == 0 && file_read(path, &a, SIZE_MAX / 2, &e) == 0 &&
			file_read(other, &b, SIZE_MAX / 2, &e) == 0 && a.n == b.n &&
			memcmp(a.p, b.p, a.n) == 0,
		"quantised weights are kept as they are %s", e.msg);
	model_free(q);
	q = model_open(path, &e);
	struct model *whole = model_load(path, &e);
	buf_reset(&a);
	buf_reset(&b);
	ok(q && whole && gguf_write(q, other, QUANT_BF16, 0, &e) == 0 &&
			file_read(other, &a, SIZE_MAX / 2, &e) == 0 &&
			gguf_write(whole, other, QUANT_BF16, 0, &e) == 0 &&
			file_read(other, &b, SIZE_MAX / 2, &e) == 0 && a.n == b.n &&
			memcmp(a.p, b.p, a.n) == 0,
		"from where they are stored, or from memory: the same bytes %s", e.msg);
	model_free(q);
	model_free(whole);
	model_free(m);
	unlink(other);
	free(other);
	buf_release(&a);
	buf_release(&b);
}

static void test_quantised(void)
{
	struct err e = { "" };
	struct model *m =
		make("{\"model_type\":\"llama\"," SIZES ",\"hidden_size\":64,\"intermediate_size\":64}");
	gguf_close(put_file(m, QUANT_Q8_0, 0));
	struct model *q = model_load(path, &e);
	double diff = 0, norm = 0;
	for (size_t i = 0; q && i < m->count; i++) {
		double d = (double)q->weights[i] - (double)m->weights[i];
		diff += d * d;
		norm += (double)m->weights[i] * (double)m->weights[i];
	}
	ok(q && diff > 0 && sqrt(diff / norm) < 0.01, "quantised weights become f32 again %s", e.msg);
	ok(q && q->config.file_dtype == DTYPE_F32 &&
			strcmp(model_param(q, "lm_head.weight")->file_type, "Q8_0") == 0,
		"their types are known");
	model_free(q);
	/* Values that bf16 holds: vectors in f32 do not make the model wider. */
	for (size_t i = 0; i < m->count; i++)
		m->weights[i] = (float)(i % 64) / 64;
	gguf_close(put_file(m, QUANT_BF16, 0));
	q = model_load(path, &e);
	ok(q && q->config.file_dtype == DTYPE_BF16,
		"vectors that fit the matrices' type leave it the model's");
	model_free(q);
	m->params[1].w[0] = 1.0f / 3;
	gguf_close(put_file(m, QUANT_BF16, 0));
	q = model_load(path, &e);
	ok(q && q->config.file_dtype == DTYPE_F32 && model_param(q, m->params[1].name)->w[0] == 1.0f / 3,
		"one that does not makes it f32");
	model_free(q);
	model_free(m);
}

/* --- refusals --- */

static void refuse_writing(const char *json, enum quant q, const char *why)
{
	struct err e = { "" };
	struct model *m = make(json);
	unlink(path);
	ok(m && gguf_write(m, path, q, 0, &e) < 0 && strstr(e.msg, why) && !path_exists(path),
		"not written: %s", e.msg);
	model_free(m);
}

static void test_not_written(void)
{
	refuse_writing("{\"model_type\":\"qwen2\"," SIZES ",\"use_sliding_window\":true,\"sliding_window\":3,"
		       "\"max_window_layers\":1}",
		QUANT_F32, "no sliding windows");
	refuse_writing(
		"{\"model_type\":\"qwen3\"," SIZES ",\"attention_bias\":true}", QUANT_F32, "no bias behind");
	refuse_writing("{\"model_type\":\"qwen2\"," SIZES ",\"head_dim\":6}", QUANT_F32,
		"heads that make up the width");
	refuse_writing("{\"model_type\":\"llama\"," SIZES ",\"hidden_act\":\"gelu_new\"}", QUANT_F32,
		"another activation");
	refuse_writing("{\"model_type\":\"qwen3\"," SIZES
		       ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}",
		QUANT_F32, "no llama3 scaling");
	refuse_writing("{\"model_type\":\"llama\"," SIZES
		       ",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":8,\"beta_fast\":16}}",
		QUANT_F32, "only YaRN from 32");
	refuse_writing("{\"model_type\":\"gpt2\",\"vocab_size\":9,\"n_embd\":8,\"n_layer\":1,\"n_head\":2,"
		       "\"scale_attn_by_inverse_layer_idx\":true}",
		QUANT_F32, "no scale_attn");
	struct err e = { "" };
	struct model *m =
		make("{\"model_type\":\"llama\"," SIZES ",\"hidden_size\":64,\"intermediate_size\":64}");
	m->params[3].w[1] = NAN;
	ok(gguf_write(m, path, QUANT_F16, 0, &e) == 0, "numbers may be none");
	ok(gguf_write(m, path, QUANT_Q8_0, 0, &e) < 0 && strstr(e.msg, m->params[3].name), "not written: %s",
		e.msg);
	model_free(m);
}

/* A copy of the file with texts replaced by others of the same length. */
static char *replaced(const char *const (*by)[2])
{
	struct err e = { "" };
	struct buf b = { 0 };
	char *other = xasprintf("%s.other", path);
	file_read(path, &b, SIZE_MAX / 2, &e);
	for (; (*by)[0]; by++)
		for (size_t i = 0, n = strlen((*by)[0]); i + n <= b.n; i++)
			if (memcmp(b.p + i, (*by)[0], n) == 0)
				memcpy(b.p + i, (*by)[1], n);
	struct writer *w = writer_open(other, &e);
	writer_add(w, b.p, b.n);
	writer_commit(w, 0, &e);
	buf_release(&b);
	return other;
}

static void refuse_with(const char *from, const char *to, const char *why)
{
	struct err e = { "" };
	char *other = replaced(WANT({ from, to }));
	struct model *m = model_load(other, &e);
	ok(!m && strncmp(e.msg, other, strlen(other)) == 0 && strstr(e.msg, why), "refused: %s", e.msg);
	model_free(m);
	unlink(other);
	free(other);
}

/* Other writers leave the factors of llama3 scaling alone. */
static void test_factors(void)
{
	struct err e = { "" };
	struct model *m = make(
		"{\"model_type\":\"llama\"," SIZES ",\"rope_theta\":500000,\"head_dim\":64,\"rope_scaling\":"
		"{\"rope_type\":\"llama3\",\"factor\":32,\"low_freq_factor\":2,\"high_freq_factor\":8,"
		"\"original_max_position_embeddings\":4096}}");
	gguf_close(put_file(m, QUANT_F32, 0));
	char *other = replaced(WANT({ "scaling.low_freq", "scaling.low_xxxx" },
		{ "scaling.high_freq", "scaling.high_xxxx" }, { "scaling.original", "scaling.xxxxxxxx" }));
	struct model *back = model_load(other, &e);
	ok(back && back->config.rope.scaling == ROPE_LLAMA3 && back->config.rope.factor == 32 &&
			back->config.rope.low_freq == 1 && back->config.rope.high_freq == 4 &&
			back->config.rope.original_context == 2048,
		"its numbers are found again, up to a common factor %s", e.msg);
	model_free(back);
	unlink(other);
	free(other);
	model_free(m);
}

static void test_refusals(void)
{
	struct model *m = make("{\"model_type\":\"llama\"," SIZES
			       ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2.5},\"head_dim\":6}");
	gguf_close(put_file(m, QUANT_F32, 0));
	refuse_with("general.architecture", "general.architecturf", "general.architecture is missing");
	refuse_with("llama.block_count", "llama.block_coins", "llama.block_count is missing");
	refuse_with("blk.1.ffn_up", "blk.2.ffn_up", "'blk.2.ffn_up.weight' has no place in a llama");
	refuse_with("linear", "lineal", "rope_type: this scaling of positions is not known");
	refuse_with("llama.attention.head_count_kv", "llama.attention.head_count_ky",
		"is [12,16], its metadata wants [24,16]");
	model_free(m);
}

int main(void)
{
	snprintf(path, sizeof path, "/tmp/quern-test_gguf_model.%ld.gguf", (long)getpid());
	test_round_trips();
	test_types();
	test_quantised();
	test_kept();
	test_not_written();
	test_factors();
	test_refusals();
	unlink(path);
	return tap_end();
}
