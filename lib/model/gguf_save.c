/*
 * gguf_save: a model as a GGUF file that llama.cpp runs, with the types that its own quantize gives the
 * tensors.
 */
#include "base/die.h"
#include "base/mem.h"
#include "model/gguf_model.h"
#include "model/load.h"
#include "model/net.h"
#include "model/rope.h"
#include "model/stream.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- what llama.cpp computes --- */

static int is_arch(const struct config *c, const char *gguf)
{
	return strcmp(c->arch->gguf, gguf) == 0;
}

static const char *misfit(const struct config *c)
{
	if (c->arch->window == WINDOW_QWEN && c->window)
		return "no sliding windows in this architecture";
	if (c->inverse_layer_scale)
		return "no scale_attn_by_inverse_layer_idx";
	if (c->o_bias && !is_arch(c, "llama") && !is_arch(c, "gpt2"))
		return "no bias behind attention in this architecture";
	if (c->heads * c->head_dim != c->hidden && !is_arch(c, "llama") && !is_arch(c, "qwen3"))
		return "only heads that make up the width in this architecture";
	if (c->act != c->arch->base.act)
		return "another activation in this architecture";
	if (c->rope.scaling == ROPE_LLAMA3 && !is_arch(c, "llama"))
		return "no llama3 scaling of positions in this architecture";
	if (c->rope.scaling == ROPE_YARN && !c->rope.truncate)
		return "only truncated YaRN";
	if (c->rope.scaling == ROPE_YARN && ((c->rope.beta_fast != 0 && c->rope.beta_fast != 32) ||
						    (c->rope.beta_slow != 0 && c->rope.beta_slow != 1)))
		return "only YaRN from 32 turns to 1 in this architecture";
	return NULL;
}

/* --- metadata --- */

struct meta {
	struct gguf_writer *w;
	const struct config *c;
};

static void put_int(const struct meta *m, const char *key, size_t v)
{
	char *full = xasprintf("%s.%s", m->c->arch->gguf, key);
	gguf_put_u32(m->w, full, (uint32_t)v);
	free(full);
}

static void put_num(const struct meta *m, const char *key, double v)
{
	char *full = xasprintf("%s.%s", m->c->arch->gguf, key);
	gguf_put_f32(m->w, full, (float)v);
	free(full);
}

static void put_scaling(const struct meta *m, const char *type)
{
	char *full = xasprintf("%s.rope.scaling.type", m->c->arch->gguf);
	gguf_put_str(m->w, full, str_of(type));
	free(full);
	put_num(m, "rope.scaling.factor", m->c->rope.factor);
}

/* What cosines and sines are multiplied with, over what llama.cpp makes of the factor by itself. */
static double yarn_excess(const struct config *c)
{
	double *freq = xcalloc(c->head_dim, sizeof *freq),
	       own = rope_frequencies(&c->rope, c->head_dim, freq);
	free(freq);
	return own / (c->rope.factor > 1 ? 0.1 * log(c->rope.factor) + 1 : 1);
}

static void put_rope(const struct meta *m)
{
	const struct rope_config *r = &m->c->rope;
	put_int(m, "rope.dimension_count", m->c->head_dim);
	put_num(m, "rope.freq_base", r->theta);
	switch (r->scaling) {
	case ROPE_NONE:
	case ROPE_DYNAMIC: /* within the context, as it is read here */
		break;
	case ROPE_LINEAR:
		put_scaling(m, "linear");
		break;
	case ROPE_LLAMA3: /* llama.cpp takes the tensor of factors; these say where they came from */
		put_int(m, "rope.scaling.original_context_length", (size_t)r->original_context);
		put_num(m, "rope.scaling.low_freq_factor", r->low_freq);
		put_num(m, "rope.scaling.high_freq_factor", r->high_freq);
		break;
	case ROPE_YARN:
		put_scaling(m, "yarn");
		put_int(m, "rope.scaling.original_context_length", (size_t)r->original_context);
		if (fabs(yarn_excess(m->c) - 1) > 1e-7)
			put_num(m, "rope.scaling.attn_factor", yarn_excess(m->c));
		break;
	}
}

static void put_config(const struct meta *m)
{
	const struct config *c = m->c;
	gguf_put_str(m->w, "general.architecture", str_of(c->arch->gguf));
	gguf_put_str(m->w, "general.type", STR("model"));
	put_int(m, "vocab_size", c->vocab);
	put_int(m, "context_length", c->context);
	put_int(m, "embedding_length", c->hidden);
	put_int(m, "block_count", c->layers);
	put_int(m, "feed_forward_length", c->mlp_width);
	put_int(m, "attention.head_count", c->heads);
	put_int(m, "attention.head_count_kv", c->kv_heads);
	put_num(m, c->norm == NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon",
		(double)c->norm_eps);
	if (c->heads * c->head_dim != c->hidden) {
		put_int(m, "attention.key_length", c->head_dim);
		put_int(m, "attention.value_length", c->head_dim);
	}
	if (c->window)
		put_int(m, "attention.sliding_window", c->window);
	if (c->rope.enabled)
		put_rope(m);
}

/* --- types of tensors --- */

struct saving {
	const struct model *m;
	struct gguf_param *list;
	int quant; /* enum quant; -1: what every matrix is stored in */
	int pure;
	int copies_head; /* llama.cpp wants a head of its own where the model has none */
	struct gguf_writer *w;
};

static enum quant stored_type(const struct model *m, const struct param *p)
{
	enum dtype t = m->config.file_dtype;
	if (p->stored)
		return p->stored_type;
	return t == DTYPE_BF16 ? QUANT_BF16 : t == DTYPE_F16 ? QUANT_F16 : QUANT_F32;
}

/* llama_ftype: what most of the file is; the K types stand for their medium mixtures. */
static uint32_t file_type(const struct saving *s)
{
	static const uint32_t types[QUANT_COUNT] = { [QUANT_F32] = 0,
		[QUANT_F16] = 1,
		[QUANT_BF16] = 32,
		[QUANT_Q8_0] = 7,
		[QUANT_Q4_0] = 2,
		[QUANT_Q4_1] = 3,
		[QUANT_Q5_0] = 8,
		[QUANT_Q5_1] = 9,
		[QUANT_Q4_K] = 15,
		[QUANT_Q5_K] = 17,
		[QUANT_Q6_K] = 18 };
	/* Of a file that is kept as it is, a matrix that no mixture favours says what most of them are. */
	size_t i = 0;
	while (s->list[i].role != ROLE_O)
		i++;
	return types[s->quant < 0 ? stored_type(s->m, &s->m->params[i]) : (enum quant)s->quant];
}

/* Layers whose values and down projections get six bits in the mixtures. */
static int more_bits(size_t layer, size_t layers)
{
	return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

static enum quant mixed(const struct saving *s, enum role role, size_t layer, size_t cols)
{
	const struct config *c = &s->m->config;
	enum quant q = (enum quant)s->quant;
	int is_mixture = q == QUANT_Q4_K || q == QUANT_Q5_K;
	if (role == ROLE_HEAD || (role == ROLE_EMBED && c->tied && !s->copies_head)) {
		if (cols % quant_formats[q].values)
			return QUANT_Q8_0;
		return q == QUANT_Q8_0 ? q : QUANT_Q6_K;
	}
	if ((role == ROLE_V || role == ROLE_QKV || role == ROLE_DOWN) && is_mixture &&
		more_bits(layer, c->layers))
		return QUANT_Q6_K;
	/* The values of Llama 70B serve eight heads. */
	if (role == ROLE_V && q == QUANT_Q4_K && c->layers == 80 && c->heads != c->kv_heads &&
		is_arch(c, "llama"))
		return QUANT_Q5_K;
	return q;
}

/* For rows that are no whole blocks. */
static enum quant fallback(enum quant q, size_t cols)
{
	if (cols % quant_formats[q].values == 0)
		return q;
	q = q == QUANT_Q4_K ? QUANT_Q5_0 : q == QUANT_Q5_K ? QUANT_Q5_1 : q == QUANT_Q6_K ? QUANT_Q8_0 : q;
	return cols % quant_formats[q].values ? QUANT_F16 : q;
}

static int is_transposed(const struct saving *s, const struct param *p)
{
	return s->m->config.arch->conv1d && p->group == PARAM_MATRIX;
}

static enum quant choose(const struct saving *s, const struct param *p, enum role role, size_t layer)
{
	size_t cols = p->shape[is_transposed(s, p) ? 0 : 1];
	if (p->ndim == 1 || role == ROLE_POSITION)
		return QUANT_F32;
	if (s->quant < 0)
		return fallback(stored_type(s->m, p), cols);
	if (quant_formats[s->quant].values == 1)
		return (enum quant)s->quant;
	return fallback(s->pure ? (enum quant)s->quant : mixed(s, role, layer, cols), cols);
}

/* --- tensors --- */

static void declare(
	const struct saving *s, const struct param *p, const char *name, enum role role, size_t layer)
{
	size_t shape[2] = { p->shape[0], p->shape[1] };
	if (is_transposed(s, p)) {
		shape[0] = p->shape[1];
		shape[1] = p->shape[0];
	}
	gguf_declare(s->w, name, choose(s, p, role, layer), p->ndim, shape);
}

static void declare_all(const struct saving *s)
{
	const struct config *c = &s->m->config;
	size_t half = c->head_dim / 2;
	for (size_t i = 0; i < s->m->nparams; i++)
		declare(s, &s->m->params[i], s->list[i].name, s->list[i].role, s->list[i].layer);
	if (s->copies_head)
		declare(s, &s->m->params[0], "output.weight", ROLE_HEAD, 0);
	if (c->rope.scaling == ROPE_LLAMA3)
		gguf_declare(s->w, "rope_freqs.weight", QUANT_F32, 1, &half);
}

static int give(void *ctx, const void *p, size_t n)
{
	return gguf_bytes(ctx, p, n);
}

static int write_tensor(const struct saving *s, size_t at, int *bad)
{
	const struct param *p = &s->m->params[at];
	struct stream as = { .type = choose(s, p, s->list[at].role, s->list[at].layer),
		.pairs = gguf_is_turned(s->m, &s->list[at]) ? s->m->config.head_dim : 0,
		.transposed = is_transposed(s, p) };
	return param_stream(p, &as, give, s->w, bad);
}

static int write_head(const struct saving *s, int *bad)
{
	struct stream as = { .type = choose(s, &s->m->params[0], ROLE_HEAD, 0) };
	return param_stream(&s->m->params[0], &as, give, s->w, bad);
}

/* What llama.cpp divides frequencies by. */
static int write_factors(const struct saving *s)
{
	const struct config *c = &s->m->config;
	size_t half = c->head_dim / 2;
	struct rope_config plain = c->rope;
	double *base = xcalloc(2 * half, sizeof *base), *freq = base + half;
	float *factors = xcalloc(half, sizeof *factors);
	plain.scaling = ROPE_NONE;
	rope_frequencies(&plain, c->head_dim, base);
	rope_frequencies(&c->rope, c->head_dim, freq);
	for (size_t i = 0; i < half; i++)
		factors[i] = (float)(base[i] / freq[i]);
	int rc = gguf_values(s->w, factors, half);
	free(base);
	free(factors);
	return rc;
}

static int write_all(const struct saving *s, struct writer *out, struct err *e)
{
	const char *name = NULL;
	int rc = gguf_begin(s->w, out), bad = 0;
	for (size_t i = 0; rc == 0 && !bad && i < s->m->nparams; i++) {
		rc = write_tensor(s, i, &bad);
		name = s->m->params[i].name;
	}
	if (rc == 0 && !bad && s->copies_head)
		rc = write_head(s, &bad);
	if (rc == 0 && !bad && s->m->config.rope.scaling == ROPE_LLAMA3)
		rc = write_factors(s);
	/* Blocks have no way to say an infinity, and make one of it for all. */
	return bad ? err_set(e,
			     "%s: tensor '%s' holds values that are no numbers: no blocks can be made of it",
			     writer_name(out), name)
		   : rc;
}

static int prepare(const struct saving *s, const char *path, struct err *e)
{
	const struct model *m = s->m;
	const char *why = misfit(&m->config);
	struct meta meta = { s->w, &m->config };
	if (why)
		return err_set(e, "%s: cannot be written: llama.cpp has %s", path, why);
	put_config(&meta);
	gguf_put_u32(s->w, "general.file_type", file_type(s));
	gguf_put_u32(s->w, "general.quantization_version", 2);
	if (gguf_put_tokenizer(s->w, m, e) < 0)
		return err_prefix(e, "%s: cannot be written", path);
	declare_all(s);
	return 0;
}

int gguf_write(const struct model *m, const char *path, int quant, int pure, struct err *e)
{
	struct saving s = { .m = m, .quant = quant, .pure = pure, .w = gguf_writer_new() };
	s.list = gguf_params(m);
	s.copies_head = m->config.tied && is_arch(&m->config, "olmo2");
	struct writer *out = NULL;
	int rc = prepare(&s, path, e);
	if (rc == 0 && !(out = writer_open(path, e)))
		rc = -1;
	int bad = rc == 0 ? write_all(&s, out, e) : 0;
	if (rc == 0 && bad == 0)
		gguf_end(s.w);
	else
		gguf_writer_free(s.w);
	gguf_params_free(s.list, m->nparams);
	if (bad && writer_check(out, e) == 0) {
		writer_abort(out);
		return -1;
	}
	return out ? writer_commit(out, 0, e) : -1;
}
