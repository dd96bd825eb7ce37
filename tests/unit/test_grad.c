/*
 * Gradients by finite differences: for every parameter tensor of small models that together use every branch
 * of every block, the derivative of the loss along the gradient itself against a central difference.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"
#include "tap.h"

#include <stdlib.h>

#define T1 70 /* more than one block of keys */
#define T2 9

static uint32_t ids[T1 + T2];
static uint32_t targets[T1 + T2];
static float weight[T1 + T2], logp[T1 + T2], lse[T1 + T2], dlse[T1 + T2];

/* A loss that uses everything a head gives: -sum w (logp - z lse^2) + sum v lse, at a temperature. */
static double run(struct session *s, int grad)
{
	struct seq seqs[] = { { ids, T1, NULL }, { ids + T1, T2, NULL } };
	struct head_args a = {
		.targets = targets, .inv_temp = 0.8f, .logp = logp, .lse = lse, .zloss = 0.01f
	};
	double loss = 0;
	if (grad) {
		a.dlogp = weight;
		a.dlse = dlse;
	}
	model_forward(s, seqs, 2);
	model_head(s, &a);
	if (grad)
		model_backward(s);
	for (size_t t = 0; t < T1 + T2; t++) {
		if (targets[t] == NO_TARGET)
			continue;
		loss += (double)weight[t] * (double)logp[t] + (double)dlse[t] * (double)lse[t];
		loss -= 0.01 * (double)weight[t] * (double)lse[t] * (double)lse[t];
	}
	return loss;
}

static void fill(size_t vocab)
{
	struct rng r;
	rng_init(&r, 7, 0);
	for (size_t t = 0; t < T1 + T2; t++) {
		ids[t] = (uint32_t)rng_below(&r, vocab);
		targets[t] = t % 5 == 4 ? NO_TARGET : (uint32_t)rng_below(&r, vocab);
		weight[t] = -0.2f - (float)rng_uniform(&r);
		dlse[t] = (float)rng_uniform(&r) * 0.1f;
	}
}

/* Large random weights: small ones leave most derivatives near zero. */
static void scatter(struct model *m)
{
	struct rng r;
	rng_init(&r, 3, 1);
	for (size_t i = 0; i < m->count; i++)
		m->weights[i] += (float)rng_normal(&r) * 0.15f;
	m->version++;
}

static double loss_at(
	struct model *m, struct session *s, struct param *p, const float *w, const float *g, double step)
{
	for (size_t i = 0; i < p->count; i++)
		p->w[i] = (float)((double)w[i] + step * (double)g[i]);
	m->version++;
	return run(s, 0);
}

/* Derivative along the gradient: |g|, against (-L(+2h) + 8 L(+h) - 8 L(-h) + L(-2h)) / 12 h. */
static double error_of(struct model *m, struct session *s, struct param *p)
{
	size_t bytes = p->count * sizeof *p->w;
	float *w = memcpy(xmalloc(bytes), p->w, bytes), *g = xmalloc(bytes);
	double norm = 0;
	for (size_t i = 0; i < p->count; i++)
		norm += (double)p->g[i] * (double)p->g[i];
	norm = sqrt(norm);
	for (size_t i = 0; i < p->count; i++)
		g[i] = norm > 0 ? (float)((double)p->g[i] / norm) : 0;
	double h = 0.01;
	double d = (8 * (loss_at(m, s, p, w, g, h) - loss_at(m, s, p, w, g, -h)) -
			   (loss_at(m, s, p, w, g, 2 * h) - loss_at(m, s, p, w, g, -2 * h))) /
		   (12 * h);
	memcpy(p->w, w, bytes);
	m->version++;
	free(w);
	free(g);
	return fabs(d - norm) / (norm + 1e-3);
}

static void test_config(const char *what, const char *json)
{
	struct config c;
	struct err e = { "" };
	int rc = config_parse(&c, json, strlen(json), "config", &e);
	ok(rc == 0, "%s: config %s", what, e.msg);
	if (rc < 0)
		return;
	fill(c.vocab);
	struct model *m = model_new(&c);
	model_init(m, 5);
	scatter(m);
	model_want_grads(m);
	struct session *s = session_new(m, DTYPE_F32, T1 + T2, SESSION_TRAIN);
	run(s, 1);
	double worst = 0;
	const char *where = "";
	for (size_t i = 0; i < m->nparams; i++) {
		double err = error_of(m, s, &m->params[i]);
		if (!(err <= worst)) {
			worst = err;
			where = m->params[i].name;
		}
	}
	ok(worst < 2e-3, "%s: gradients of %zu tensors, worst %.1e (%s)", what, m->nparams, worst, where);
	session_free(s);
	model_free(m);
}

int main(void)
{
	test_config("gpt2",
		"{\"model_type\":\"gpt2\",\"n_embd\":24,\"n_layer\":2,\"n_head\":3,\"n_positions\":80,"
		"\"vocab_size\":31,\"scale_attn_by_inverse_layer_idx\":true}");
	test_config("llama with grouped heads and biases",
		"{\"model_type\":\"llama\",\"hidden_size\":20,\"num_hidden_layers\":2,\"num_attention_"
		"heads\":4,"
		"\"num_key_value_heads\":2,\"head_dim\":6,\"intermediate_size\":33,\"vocab_size\":31,"
		"\"attention_bias\":true,\"mlp_bias\":true,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4."
		"0,"
		"\"original_max_position_embeddings\":32},\"max_position_embeddings\":128}");
	test_config("mistral with a window, tied",
		"{\"model_type\":\"mistral\",\"hidden_size\":16,\"num_hidden_layers\":2,\"num_attention_"
		"heads\":2,"
		"\"num_key_value_heads\":1,\"intermediate_size\":20,\"vocab_size\":31,\"sliding_window\":5,"
		"\"tie_word_embeddings\":true,\"max_position_embeddings\":128}");
	test_config("qwen3",
		"{\"model_type\":\"qwen3\",\"hidden_size\":20,\"num_hidden_layers\":2,\"num_attention_"
		"heads\":4,"
		"\"num_key_value_heads\":2,\"head_dim\":8,\"intermediate_size\":28,\"vocab_size\":31,"
		"\"attention_bias\":true,\"max_position_embeddings\":128}");
	test_config("olmo2", "{\"model_type\":\"olmo2\",\"hidden_size\":24,\"num_hidden_layers\":2,\"num_"
			     "attention_heads\":4,"
			     "\"num_key_value_heads\":2,\"intermediate_size\":30,\"vocab_size\":31,\"max_"
			     "position_embeddings\":128}");
	return tap_end();
}
