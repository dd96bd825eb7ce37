/* Weights where they are stored: sessions give the same bits as from f32 in memory, for every type of
 * products and of weights, in one pass and token by token; quantised ones stay near the model. */
#include "tap.h"

#include "base/mem.h"
#include "base/par.h"
#include "base/rng.h"
#include "model/arch.h"
#include "model/load.h"
#include "model/model.h"
#include "tensor/kern.h"
#include "tensor/quant.h"

#include <stdlib.h>
#include <unistd.h>

enum { T = 20, WEIGHTS = 6 };
static const char *const names[WEIGHTS] = { "f32", "bf16", "q8_0", "q4_0", "q4_k", "q6_k" };

static uint32_t ids[T];

static struct model *make(const char *preset)
{
	struct config c;
	struct err e;
	struct rng r;
	if (config_preset(&c, preset, &e) < 0) {
		printf("# %s\n", e.msg);
		exit(1);
	}
	struct model *m = model_new(&c);
	model_init(m, 11);
	rng_init(&r, 1, 2);
	for (size_t i = 0; i < m->count; i++)
		m->weights[i] += (float)rng_normal(&r) * 0.02f;
	for (size_t t = 0; t < T; t++)
		ids[t] = (uint32_t)rng_below(&r, c.vocab);
	return m;
}

/* Logits [T, V] in pieces of `piece` tokens (0: one pass without a cache). */
static float *logits(struct model *m, enum dtype compute, size_t piece)
{
	struct session *s = session_new(m, compute, T, 0);
	struct cache *c = piece ? cache_new(s) : NULL;
	size_t V = m->config.vocab;
	float *out = xcalloc(T * V, sizeof *out);
	for (size_t at = 0, n; at < T; at += n) {
		n = !piece ? T : T - at < piece ? T - at : piece;
		struct seq q = { ids + at, n, c };
		model_forward(s, &q, 1);
		model_logits(s, NULL, 0, out + at * V);
	}
	cache_free(c);
	session_free(s);
	return out;
}

static double distance(const float *a, const float *b, size_t n)
{
	double d = 0, size = 0;
	for (size_t i = 0; i < n; i++) {
		d += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
		size += (double)b[i] * b[i];
	}
	return sqrt(d / size);
}

static void test_type(struct model *stored, struct model *memory, const float *exact, int weights)
{
	/* Relative error of the logits; twice what was measured at most. */
	static const double bounds[WEIGHTS] = { 1e-6, 0.009, 0.036, 0.36, 0.36, 0.11 };
	size_t n = T * stored->config.vocab;
	enum dtype t = model_use(stored, -1, weights);
	const char *arch = stored->config.arch->model_type;
	model_use(memory, -1, weights);
	float *a = logits(stored, t, 0), *b = logits(memory, t, 0), *c = logits(stored, t, 1), *d;
	ok(memcmp(a, b, n * sizeof *a) == 0, "%s %s: stored and in memory give the same bits", arch,
		names[weights]);
	ok(memcmp(a, c, n * sizeof *a) == 0, "... and token by token");
	par_set_threads(1);
	d = logits(stored, t, 7);
	par_set_threads(3);
	ok(memcmp(a, d, n * sizeof *a) == 0, "... in pieces, with one thread");
	double far = distance(a, exact, n);
	ok(far <= bounds[weights], "... %.2g from f32", far);
	free(a);
	free(b);
	free(c);
	free(d);
}

static void test_preset(const char *preset, enum dtype file)
{
	char dir[] = "/tmp/weights.XXXXXX";
	struct err e = { "" };
	struct model *m = make(preset);
	if (!mkdtemp(dir) || model_save_dir(m, dir, file, 0, &e) < 0) {
		ok(0, "a model is saved: %s", e.msg);
		model_free(m);
		return;
	}
	struct model *stored = model_open(dir, &e), *memory = model_load(dir, &e);
	ok(stored && memory, "%s from %s opens %s", preset, dtype_name(file), e.msg);
	ok(memory->resident && stored->resident == stored->config.arch->conv1d,
		"... and stays where it is stored");
	float *exact = logits(memory, DTYPE_F32, 0);
	for (int w = 0; w < WEIGHTS; w++)
		test_type(stored, memory, exact, w);
	model_want_weights(stored);
	ok(memcmp(stored->weights, memory->weights, memory->count * sizeof *memory->weights) == 0,
		"... all of it in memory when wanted");
	free(exact);
	model_free(stored);
	model_free(memory);
	model_free(m);
	static const char *const files[] = { "config.json", "model.safetensors", "generation_config.json" };
	for (size_t i = 0; i < 3; i++) {
		char *path = xasprintf("%s/%s", dir, files[i]);
		unlink(path);
		free(path);
	}
	rmdir(dir);
}

/* A GGUF file is used as it is: blocks in the types that it has, rows of turned pairs. */
static void test_gguf(enum quant q, double bound)
{
	char path[64];
	struct err e = { "" };
	struct model *m = make("llama:depth=2,dim=256,heads=8,kv_heads=2,mlp=512,vocab=500,context=64");
	snprintf(path, sizeof path, "/tmp/weights.%d.gguf", (int)getpid());
	int rc = gguf_write(m, path, q, 0, &e);
	struct model *stored = rc < 0 ? NULL : model_open(path, &e),
		     *memory = rc < 0 ? NULL : model_load(path, &e);
	ok(stored && memory && !stored->resident, "%s.gguf opens and stays stored %s", quant_formats[q].name,
		e.msg);
	if (stored && memory) {
		size_t n = T * stored->config.vocab;
		enum dtype t = model_use(stored, -1, -1);
		float *a = logits(stored, t, 0), *b = logits(stored, t, 3),
		      *exact = logits(memory, DTYPE_F32, 0);
		ok(memcmp(a, b, n * sizeof *a) == 0, "... the same bits in pieces");
		double far = distance(a, exact, n);
		ok(far <= bound, "... %.2g from its own numbers in f32", far);
		free(b);
		model_use(stored, 0, 0);
		b = logits(stored, DTYPE_F32, 0);
		ok(memcmp(b, exact, n * sizeof *b) == 0,
			"... which are the numbers that it gives when asked for f32");
		model_want_weights(stored);
		ok(memcmp(stored->weights, memory->weights, memory->count * sizeof *memory->weights) == 0,
			"... and all of it in memory when wanted");
		free(a);
		free(b);
		free(exact);
	}
	model_free(stored);
	model_free(memory);
	model_free(m);
	unlink(path);
}

/* The order of files with turned pairs. */
static void test_pairs(void)
{
	struct model *m = make("llama:depth=1,dim=64,heads=2,kv_heads=2,mlp=96,vocab=300,context=64"),
		     *n = make("llama:depth=1,dim=64,heads=2,kv_heads=2,mlp=96,vocab=300,context=64");
	struct param *q = model_param(n, "model.layers.0.self_attn.q_proj.weight");
	float *turned = xcalloc(q->count, sizeof *turned);
	for (size_t r = 0; r < 64; r++) {
		size_t i = r % 32, to = r / 32 * 32 + (i < 16 ? 2 * i : 2 * (i - 16) + 1);
		memcpy(turned + to * 64, q->w + r * 64, 64 * sizeof *turned);
	}
	q->stored = turned;
	q->stored_type = QUANT_F32;
	q->pairs = 32;
	n->resident = 0;
	for (int w = 0; w < WEIGHTS; w++) {
		enum dtype t = model_use(m, -1, w);
		model_use(n, -1, w);
		float *a = logits(m, t, 0), *b = logits(n, t, 0);
		ok(memcmp(a, b, T * 300 * sizeof *a) == 0, "%s: rows of turned pairs are found", names[w]);
		free(a);
		free(b);
	}
	model_free(m);
	model_free(n);
	free(turned);
}

int main(void)
{
	par_set_threads(3);
	test_preset("llama:depth=2,dim=256,heads=8,kv_heads=2,mlp=512,vocab=500,context=64", DTYPE_BF16);
	test_preset("llama:depth=1,dim=96,heads=3,mlp=160,vocab=333,context=64,tied=0", DTYPE_F32);
	test_preset("qwen3:depth=1,dim=48,heads=3,head_dim=32,mlp=64,vocab=100,context=64", DTYPE_F16);
	test_preset("gpt2:depth=1,dim=96,heads=3,vocab=100,context=64", DTYPE_BF16);
	test_pairs();
	test_gguf(QUANT_F16, 0.012);
	test_gguf(QUANT_Q8_0, 0.03);
	test_gguf(QUANT_Q4_0, 0.03);
	test_gguf(QUANT_Q5_1, 0.03);
	test_gguf(QUANT_Q4_K, 0.03);
	return tap_end();
}
