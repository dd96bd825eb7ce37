/*
 * The promise of one engine: the log-probability of a token is the same bits in one pass and token by token,
 * alone and beside others, with and without training, for any number of threads.
 */
#include "base/par.h"
#include "base/rng.h"
#include "model/model.h"
#include "tap.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define T 150
static uint32_t ids[T + 1];

static struct model *make(const char *preset)
{
	struct config c;
	struct err e;
	if (config_preset(&c, preset, &e) < 0) {
		printf("# %s\n", e.msg);
		exit(1);
	}
	struct model *m = model_new(&c);
	struct rng r;
	model_init(m, 11);
	rng_init(&r, 1, 2);
	for (size_t i = 0; i < m->count; i++)
		m->weights[i] += (float)rng_normal(&r) * 0.1f;
	for (size_t t = 0; t <= T; t++)
		ids[t] = (uint32_t)rng_below(&r, c.vocab);
	model_want_grads(m);
	return m;
}

/* Log-probabilities of ids[1..T] in one pass, n copies of other text in front. */
static void score(struct model *m, enum dtype t, size_t before, int flags, float *logp)
{
	struct session *s = session_new(m, t, T + before, flags);
	struct seq seqs[] = { { ids + 3, before, NULL }, { ids, T, NULL } };
	uint32_t targets[2 * T];
	float all[2 * T], dlogp[2 * T];
	for (size_t i = 0; i < T + before; i++) {
		targets[i] = i < before ? NO_TARGET : ids[i - before + 1];
		dlogp[i] = -1;
	}
	model_forward(s, seqs, 2);
	struct head_args a = {
		.targets = targets, .inv_temp = 1, .logp = all, .dlogp = flags ? dlogp : NULL
	};
	model_head(s, &a);
	if (flags)
		model_backward(s);
	memcpy(logp, all + before, T * sizeof *logp);
	session_free(s);
}

/* The same in pieces of `piece` tokens through a cache. */
static void score_cached(struct model *m, enum dtype t, size_t piece, float *logp)
{
	struct session *s = session_new(m, t, piece, 0);
	struct cache *c = cache_new(s), *d = cache_new(s);
	for (size_t at = 0; at < T; at += piece) {
		size_t n = T - at < piece ? T - at : piece;
		struct seq q = { ids + at, n, c };
		model_forward(s, &q, 1);
		struct head_args a = { .targets = ids + at + 1, .inv_temp = 1, .logp = logp + at };
		model_head(s, &a);
		/* A copy goes on where the original stood; a cut one too. */
		cache_copy(d, c);
		struct cache *swap = c;
		c = d;
		d = swap;
	}
	cache_free(c);
	cache_free(d);
	session_free(s);
}

/* The past in 8 bits: the same with and without a cache, and near to what it is else. */
static void test_kv8(const char *preset, enum dtype t)
{
	struct model *m = make(preset);
	float plain[T], want[T], got[T];
	double off = 0;
	score(m, t, 0, 0, plain);
	model_use_cache(m, 1);
	score(m, t, 0, 0, want);
	score_cached(m, t, 1, got);
	int same = memcmp(want, got, sizeof want) == 0;
	score_cached(m, t, 50, got);
	ok(same && memcmp(want, got, sizeof want) == 0,
		"%s %s: same bits with a past in 8 bits as without one", preset,
		t == DTYPE_F32 ? "f32" : "bf16");
	for (size_t i = 0; i < T; i++)
		off = fmax(off, fabs((double)(want[i] - plain[i])));
	ok(off > 0 && off < 0.06, "and within %.2g of the log-probabilities without rounding", off);
	model_free(m);
}

static void test_bits(const char *preset, enum dtype t)
{
	struct model *m = make(preset);
	const char *name = t == DTYPE_F32 ? "f32" : "bf16";
	size_t bytes = m->count * sizeof *m->grads;
	float want[T], got[T], *grads = malloc(bytes);
	par_set_threads(1);
	score(m, t, 0, SESSION_TRAIN, want);
	memcpy(grads, m->grads, bytes);
	memset(m->grads, 0, bytes);
	score(m, t, 0, SESSION_TRAIN | SESSION_RECOMPUTE, got);
	ok(memcmp(want, got, sizeof want) == 0 && memcmp(grads, m->grads, bytes) == 0,
		"%s %s: same bits and gradients when steps are computed again", preset, name);
	memset(m->grads, 0, bytes);
	par_set_threads(3);
	score(m, t, 0, SESSION_TRAIN, got);
	ok(memcmp(want, got, sizeof want) == 0, "%s %s: same bits with 1 and 3 threads", preset, name);
	ok(memcmp(grads, m->grads, bytes) == 0, "%s %s: same gradients with 1 and 3 threads", preset, name);
	score(m, t, 37, 0, got);
	ok(memcmp(want, got, sizeof want) == 0, "%s %s: same bits beside another sequence", preset, name);
	score_cached(m, t, 1, got);
	ok(memcmp(want, got, sizeof want) == 0, "%s %s: same bits token by token", preset, name);
	score_cached(m, t, 64, got);
	ok(memcmp(want, got, sizeof want) == 0, "%s %s: same bits in pieces of 64", preset, name);
	free(grads);
	model_free(m);
}

/* Copies of a past go on apart, whatever they share; a cut one too. */
static void test_copies(enum dtype t)
{
	enum { BEFORE = 70 }; /* a page and a part of one */
	struct model *m = make("llama:depth=2,dim=64,heads=4,vocab=300,context=256");
	struct session *s = session_new(m, t, T, 0);
	float *want = malloc(m->config.vocab * sizeof *want), *got = malloc(m->config.vocab * sizeof *got);
	struct cache *c[3] = { cache_new(s), cache_new(s), cache_new(s) };
	uint32_t other[T];
	struct seq before = { ids, BEFORE, c[0] }, next = { ids + BEFORE, T - BEFORE, NULL };
	for (size_t i = 0; i < T; i++)
		other[i] = ids[T - 1 - i];
	model_prefill(s, &before, 1);
	cache_copy(c[1], c[0]);
	cache_copy(c[2], c[0]);
	next.cache = c[0];
	model_forward(s, &next, 1);
	model_logits(s, (size_t[]){ T - BEFORE - 1 }, 1, want);
	cache_truncate(c[0], 0);
	model_forward(s, &before, 1);
	model_forward(s, &next, 1);
	model_logits(s, (size_t[]){ T - BEFORE - 1 }, 1, got);
	ok(memcmp(want, got, m->config.vocab * sizeof *got) == 0, "%s: a past alone is that of a whole pass",
		t == DTYPE_F32 ? "f32" : "bf16");
	next.cache = c[2];
	struct seq apart = { other, 20, c[1] };
	model_forward(s, &apart, 1);
	cache_truncate(c[0], 3);
	cache_free(c[0]);
	model_forward(s, &next, 1);
	model_logits(s, (size_t[]){ T - BEFORE - 1 }, 1, got);
	ok(memcmp(want, got, m->config.vocab * sizeof *got) == 0,
		"%s: a copied past is not touched by what others go on with",
		t == DTYPE_F32 ? "f32" : "bf16");
	cache_copy(c[1], c[2]);
	cache_truncate(c[1], BEFORE);
	apart.ids = ids + BEFORE;
	apart.n = T - BEFORE;
	model_forward(s, &apart, 1);
	model_logits(s, (size_t[]){ T - BEFORE - 1 }, 1, got);
	ok(memcmp(want, got, m->config.vocab * sizeof *got) == 0, "nor by being cut");
	cache_free(c[1]);
	cache_free(c[2]);
	session_free(s);
	model_free(m);
	free(want);
	free(got);
}

static void test_bytes(void)
{
	struct model *m = make("llama:depth=1,vocab=50,context=256");
	size_t f32 = session_bytes(&m->config, DTYPE_F32, 64, SESSION_TRAIN);
	size_t bf16 = session_bytes(&m->config, DTYPE_BF16, 64, SESSION_TRAIN);
	ok(bf16 < f32 && f32 > 64 * 64 * 4, "a session's size is known before it is made");
	model_free(m);
}

/* Greedy text of the published 260K-parameter model, token by token through a cache. */
static void test_story(void)
{
	static const char dir[] = "../shared/data/models/stories260K.bin";
	static const char want[] = "Once upon a time, there was a little girl named Lily";
	struct err e = { "" };
	if (access(dir, R_OK) != 0) {
		skip("the story: no ../shared");
		return;
	}
	struct model *m = model_load(dir, &e);
	struct tokenizer *t = tokenizer_load("../shared/data/models/stories260K-tokenizer.bin", NULL, &e);
	ok(m && t, "the model and its tokenizer load %s", e.msg);
	if (!m || !t)
		return;
	struct session *s = session_new(m, DTYPE_F32, 1, 0);
	struct cache *c = cache_new(s);
	float *logits = malloc(m->config.vocab * sizeof *logits);
	uint32_t story[40] = { 1 };
	for (size_t i = 0; i + 1 < 40; i++) {
		struct seq q = { story + i, 1, c };
		model_forward(s, &q, 1);
		model_logits(s, NULL, 0, logits);
		for (uint32_t v = 1; v < m->config.vocab; v++)
			if (logits[v] > logits[story[i + 1]])
				story[i + 1] = v;
	}
	struct buf text = { 0 };
	tokenizer_decode(t, story, 40, 1, &text);
	text.p[strlen(want) < text.n ? strlen(want) : text.n] = 0;
	ok_str(text.p, want, "it tells its story");
	buf_release(&text);
	free(logits);
	cache_free(c);
	session_free(s);
	tokenizer_free(t);
	model_free(m);
}

int main(void)
{
	test_story();
	static const char *const presets[] = {
		"llama:depth=2,dim=48,heads=4,kv_heads=2,vocab=300,context=256",
		"gpt2:depth=2,dim=36,heads=3,vocab=300,context=256",
		"qwen3:depth=1,dim=40,heads=5,head_dim=16,vocab=300", "olmo2:depth=1,dim=48,heads=3,vocab=300"
	};
	for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
		test_bits(presets[i], DTYPE_F32);
		test_bits(presets[i], DTYPE_BF16);
		test_kv8(presets[i], DTYPE_F32);
		test_kv8(presets[i], DTYPE_BF16);
	}
	test_copies(DTYPE_F32);
	test_copies(DTYPE_BF16);
	test_bytes();
	return tap_end();
}
