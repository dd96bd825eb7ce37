/*
 * gguf_load: a model from a GGUF file. The metadata becomes the text of a config.json, which the one reader
 * of configurations checks; quantised weights become f32.
 */
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/gguf_model.h"
#include "model/load.h"
#include "model/weights.h"
#include "model/rope.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- the config --- */

/* Metadata of an architecture, read key by key; the first failure sticks. */
struct meta {
	const struct gguf *g;
	const char *arch;
	struct err *e;
	int failed;
	struct buf json;
};

static int get_num(struct meta *m, const char *key, double *v)
{
	char *full = xasprintf("%s.%s", m->arch, key);
	int rc = m->failed ? 0 : gguf_num(m->g, full, v, m->e);
	m->failed |= rc < 0;
	free(full);
	return rc > 0;
}

static int get_int(struct meta *m, const char *key, int64_t *v)
{
	char *full = xasprintf("%s.%s", m->arch, key);
	int rc = m->failed ? 0 : gguf_int(m->g, full, v, m->e);
	m->failed |= rc < 0;
	free(full);
	return rc > 0;
}

static int64_t want_int(struct meta *m, const char *key)
{
	int64_t v = 0;
	if (!get_int(m, key, &v) && !m->failed) {
		err_set(m->e, "%s: %s.%s is missing", gguf_name(m->g), m->arch, key);
		m->failed = 1;
	}
	return v;
}

static void put_key(struct meta *m, const char *key)
{
	buf_adds(&m->json, m->json.n > 1 ? "," : "");
	json_add_cstr(&m->json, key);
	buf_addc(&m->json, ':');
}

static void put_int(struct meta *m, const char *key, int64_t v)
{
	if (!key)
		return;
	put_key(m, key);
	json_add_int(&m->json, v);
}

/* Numbers of these files are f32: the shortest text that gives them. */
static void put_num(struct meta *m, const char *key, double v)
{
	put_key(m, key);
	json_add_f32(&m->json, (float)v);
}

static void put_text(struct meta *m, const char *key, const char *v)
{
	put_key(m, key);
	json_add_cstr(&m->json, v);
}

static void put_bool(struct meta *m, const char *key, int v)
{
	put_key(m, key);
	buf_adds(&m->json, v ? "true" : "false");
}

static int has(const struct meta *m, const char *name)
{
	return gguf_get(m->g, name) != NULL;
}

/* llama.cpp computes Mistral as a llama; quern writes its window down. */
static const struct arch *find_arch(struct meta *m)
{
	struct str name;
	int64_t window = 0;
	if (gguf_str(m->g, "general.architecture", &name, m->e) < 1) {
		err_set(m->e, "%s: general.architecture is missing", gguf_name(m->g));
		return NULL;
	}
	for (size_t i = 0; i < arch_count; i++) {
		const struct arch *a = &arch_table[i];
		if (!str_is(name, a->gguf))
			continue;
		m->arch = a->gguf;
		if (get_int(m, "attention.sliding_window", &window) && window > 0) {
			if (strcmp(a->gguf, "llama") == 0)
				return arch_find("mistral");
			if (strcmp(a->gguf, "olmo2") == 0) {
				err_set(m->e, "%s: olmo2 with a sliding window is OLMo 3, which is not known",
					gguf_name(m->g));
				return NULL;
			}
		}
		return m->failed ? NULL : a;
	}
	err_set(m->e, "%s: general.architecture: '%.*s' is not known", gguf_name(m->g),
		(int)(name.n < 64 ? name.n : 64), name.p);
	return NULL;
}

/* Half the rotated size where the factors of a llama3 scaling lie, 0: none. */
static const struct gguf_tensor *rope_factors(const struct gguf *g, size_t head_dim)
{
	const struct gguf_tensor *t = gguf_get(g, "rope_freqs.weight");
	return t && t->quant == QUANT_F32 && t->count == head_dim / 2 ? t : NULL;
}

/* Do these numbers give the file's factors? */
static int gives_factors(const struct rope_config *r, size_t head_dim, const float *factors)
{
	struct rope_config plain = { .enabled = 1, .theta = r->theta };
	double *base = xcalloc(head_dim, sizeof *base), *freq = base + head_dim / 2;
	int same = 1;
	rope_frequencies(&plain, head_dim, base);
	rope_frequencies(r, head_dim, freq);
	for (size_t i = 0; i < head_dim / 2; i++)
		same &= fabs(base[i] / freq[i] - (double)factors[i]) <= 1e-4 * (double)factors[i];
	free(base);
	return same;
}

/*
 * The numbers of a llama3 scaling from its factors f, which are 1 for short waves, the factor s for long
 * ones, and between them 1 / f = (1 - t) / s + t with t = (M / wave - low) / (high - low): a line over 1 /
 * wave. Its two numbers say the three up to a common scale of M, low and high, so low is 1 (as in all that is
 * published).
 */
static int fit_factors(struct rope_config *r, size_t head_dim, const float *factors)
{
	double sx = 0, sy = 0, sxx = 0, sxy = 0, n = 0;
	for (size_t i = 0; i < head_dim / 2; i++) {
		double wave = 2 * 3.14159265358979323846 * pow(r->theta, 2.0 * (double)i / (double)head_dim);
		double f = (double)factors[i], t = (1 / f - 1 / r->factor) / (1 - 1 / r->factor);
		if (!(f > 1.0001 && f < r->factor * 0.9999))
			continue;
		sx += 1 / wave;
		sy += t;
		sxx += 1 / wave / wave;
		sxy += t / wave;
		n++;
	}
	double slope = (n * sxy - sx * sy) / (n * sxx - sx * sx), zero = (slope * sx - sy) / n;
	if (n < 2 || !(slope > 0) || !(zero > 0))
		return 0;
	r->low_freq = 1;
	r->high_freq = 1 + 1 / zero;
	r->original_context = round(slope / zero);
	/* As people write it, where that is meant. */
	if (fabs(r->high_freq - round(r->high_freq)) < 0.01)
		r->high_freq = round(r->high_freq);
	return gives_factors(r, head_dim, factors);
}

static void put_llama3(struct meta *m, double theta, size_t head_dim)
{
	const struct gguf_tensor *t = rope_factors(m->g, head_dim);
	float *factors = xcalloc(head_dim / 2, sizeof *factors);
	struct rope_config r = { .enabled = 1, .theta = theta, .scaling = ROPE_LLAMA3, .factor = 1 };
	quant_to_f32(QUANT_F32, factors, t->data, t->count);
	for (size_t i = 0; i < t->count; i++)
		r.factor = fmax(r.factor, (double)factors[i]);
	r.low_freq = 1;
	r.high_freq = 4;
	r.original_context = 8192;
	get_num(m, "rope.scaling.low_freq_factor", &r.low_freq);
	get_num(m, "rope.scaling.high_freq_factor", &r.high_freq);
	get_num(m, "rope.scaling.original_context_length", &r.original_context);
	if (!m->failed && !gives_factors(&r, head_dim, factors) && !fit_factors(&r, head_dim, factors)) {
		err_set(m->e, "%s: tensor 'rope_freqs.weight': these factors are not those of llama3 scaling",
			gguf_name(m->g));
		m->failed = 1;
	}
	free(factors);
	buf_adds(&m->json, ",\"rope_scaling\":{\"rope_type\":\"llama3\"");
	put_num(m, "factor", r.factor);
	put_num(m, "low_freq_factor", r.low_freq);
	put_num(m, "high_freq_factor", r.high_freq);
	put_num(m, "original_max_position_embeddings", r.original_context);
	buf_addc(&m->json, '}');
}

/* llama.cpp's attn_factor multiplies what YaRN gives by itself; Hugging Face's stands in place of it. */
static void put_yarn(struct meta *m, double factor)
{
	double v;
	int64_t n;
	put_num(m, "factor", factor);
	if (get_int(m, "rope.scaling.original_context_length", &n))
		put_int(m, "original_max_position_embeddings", n);
	if (get_num(m, "rope.scaling.yarn_beta_fast", &v))
		put_num(m, "beta_fast", v);
	if (get_num(m, "rope.scaling.yarn_beta_slow", &v))
		put_num(m, "beta_slow", v);
	if (get_num(m, "rope.scaling.attn_factor", &v) && v != 1)
		put_num(m, "attention_factor", v * (factor > 1 ? 0.1 * log(factor) + 1 : 1));
	else if (get_num(m, "rope.scaling.yarn_attn_factor", &v) && v != 1)
		put_num(m, "attention_factor", v);
}

static void put_rope(struct meta *m, size_t head_dim)
{
	double theta = 10000, factor = 0;
	int64_t rotated;
	struct str type = STR("linear");
	char *key = xasprintf("%s.rope.scaling.type", m->arch);
	if (!m->failed)
		m->failed = gguf_str(m->g, key, &type, m->e) < 0;
	free(key);
	get_num(m, "rope.freq_base", &theta);
	if (get_int(m, "rope.dimension_count", &rotated) && (uint64_t)rotated != head_dim && !m->failed) {
		err_set(m->e, "%s: %s.rope.dimension_count: only whole heads (%zu) are known to rotate",
			gguf_name(m->g), m->arch, head_dim);
		m->failed = 1;
	}
	put_num(m, "rope_theta", theta);
	if (!get_num(m, "rope.scaling.factor", &factor))
		get_num(m, "rope.scale_linear", &factor);
	if (rope_factors(m->g, head_dim)) {
		put_llama3(m, (double)(float)theta, head_dim);
		return;
	}
	if (str_is(type, "none") || factor == 0)
		return;
	buf_adds(&m->json, ",\"rope_scaling\":{\"rope_type\":");
	json_add_str(&m->json, type.p, type.n);
	if (str_is(type, "yarn"))
		put_yarn(m, factor);
	else
		put_num(m, "factor", factor);
	buf_addc(&m->json, '}');
}

/* A head of its own, or a copy of the embedding. */
static int is_tied(const struct gguf *g)
{
	const struct gguf_tensor *x = gguf_get(g, "token_embd.weight"), *y = gguf_get(g, "output.weight");
	if (!x || !y)
		return !y;
	return x->quant == y->quant && x->quant >= 0 && x->count == y->count &&
	       memcmp(x->data, y->data, quant_bytes((enum quant)x->quant, x->count)) == 0;
}

static int64_t get_id(struct meta *m, const char *key)
{
	int64_t id = -1;
	if (!m->failed)
		m->failed = gguf_int(m->g, key, &id, m->e) < 0;
	return id;
}

static void put_id(struct meta *m, const char *key, int64_t id)
{
	put_key(m, key);
	if (id < 0)
		buf_adds(&m->json, "null");
	else
		json_add_int(&m->json, id);
}

static void put_ids(struct meta *m)
{
	int64_t eos = get_id(m, "tokenizer.ggml.eos_token_id"),
		eot = get_id(m, "tokenizer.ggml.eot_token_id");
	put_id(m, "bos_token_id", get_id(m, "tokenizer.ggml.bos_token_id"));
	put_id(m, "pad_token_id", get_id(m, "tokenizer.ggml.padding_token_id"));
	if (eos < 0 || eot < 0 || eot == eos) {
		put_id(m, "eos_token_id", eos);
		return;
	}
	put_key(m, "eos_token_id");
	buf_addf(&m->json, "[%lld,%lld]", (long long)eos, (long long)eot);
}

static void put_config(struct meta *m, const struct arch *a)
{
	const struct arch_keys *k = a->keys;
	const struct gguf_tensor *embed = gguf_get(m->g, "token_embd.weight");
	int64_t hidden = want_int(m, "embedding_length"), heads = want_int(m, "attention.head_count");
	int64_t kv_heads = heads, head_dim = heads > 0 ? hidden / heads : 0, value_dim, window;
	double eps = (double)a->base.norm_eps;
	get_int(m, "attention.head_count_kv", &kv_heads);
	get_int(m, "attention.key_length", &head_dim);
	value_dim = head_dim;
	if (get_int(m, "attention.value_length", &value_dim) && value_dim != head_dim && !m->failed) {
		err_set(m->e, "%s: %s.attention.value_length: only that of the keys is known",
			gguf_name(m->g), m->arch);
		m->failed = 1;
	}
	get_num(m,
		a->base.norm == NORM_RMS ? "attention.layer_norm_rms_epsilon"
					 : "attention.layer_norm_epsilon",
		&eps);
	buf_addc(&m->json, '{');
	put_text(m, "model_type", a->model_type);
	put_int(m, "vocab_size", embed && embed->ndim == 2 ? (int64_t)embed->shape[0] : 0);
	put_int(m, k->hidden, hidden);
	put_int(m, k->layers, want_int(m, "block_count"));
	put_int(m, k->heads, heads);
	put_int(m, k->kv_heads, kv_heads);
	put_int(m, k->head_dim, head_dim);
	put_int(m, k->mlp_width, want_int(m, "feed_forward_length"));
	put_int(m, k->context, want_int(m, "context_length"));
	put_num(m, k->norm_eps, eps);
	put_bool(m, "tie_word_embeddings", is_tied(m->g));
	put_bool(m, "attention_bias", has(m, "blk.0.attn_q.bias"));
	put_bool(m, "mlp_bias", has(m, "blk.0.ffn_up.bias"));
	put_ids(m);
	if (a->window == WINDOW_ALWAYS && get_int(m, "attention.sliding_window", &window))
		put_int(m, "sliding_window", window);
	if (a->base.rope.enabled && head_dim > 0 && head_dim <= CONFIG_MAX_WIDTH)
		put_rope(m, (size_t)head_dim);
	buf_addc(&m->json, '}');
}

static int read_config(struct config *c, const struct gguf *g, struct err *e)
{
	struct meta m = { .g = g, .e = e };
	const struct arch *a = find_arch(&m);
	if (a)
		put_config(&m, a);
	int rc = !a || m.failed ? -1 : config_parse(c, m.json.p, m.json.n, gguf_name(g), e);
	buf_release(&m.json);
	return rc;
}

/* --- weights --- */

/* Stored the other way round: GPT-2's Conv1D. */
static int is_transposed(const struct model *m, const struct param *p)
{
	return m->config.arch->conv1d && p->group == PARAM_MATRIX;
}

static int check_tensor(const struct model *m, const struct param *p, const struct gguf_tensor *t,
	const char *file, struct err *e)
{
	size_t rows = p->shape[0], cols = p->ndim == 2 ? p->shape[1] : 1;
	if (is_transposed(m, p)) {
		rows = p->shape[1];
		cols = p->shape[0];
	}
	if (t->quant < 0)
		return err_set(e, "%s: tensor '%s': weights of ggml type %lu are not read", file, t->name,
			(unsigned long)t->ggml_type);
	if (t->ndim != p->ndim || t->shape[0] != rows || (t->ndim == 2 && t->shape[1] != cols))
		return err_set(e, "%s: tensor '%s' is [%zu,%zu], its metadata wants [%zu,%zu]", file, t->name,
			t->shape[0], t->ndim == 2 ? t->shape[1] : 1, rows, cols);
	return 0;
}

/* tensors[i]: that of parameter i. */
static int bind_tensors(const struct model *m, const struct gguf *g, const struct gguf_param *list,
	const struct gguf_tensor **tensors, struct err *e)
{
	struct smap names = { 0 };
	int rc = 0;
	for (size_t i = 0; i < m->nparams; i++)
		smap_put(&names, list[i].name, strlen(list[i].name), i, NULL);
	for (size_t i = 0; rc == 0 && i < gguf_count(g); i++) {
		const struct gguf_tensor *t = gguf_at(g, i);
		const uint64_t *at = smap_get(&names, t->name, strlen(t->name));
		if (at && (rc = check_tensor(m, &m->params[*at], t, gguf_name(g), e)) == 0)
			tensors[*at] = t;
		else if (!at && strcmp(t->name, "rope_freqs.weight") != 0 &&
			 !(m->config.tied && strcmp(t->name, "output.weight") == 0))
			rc = err_set(e, "%s: tensor '%s' has no place in a %s of this metadata", gguf_name(g),
				t->name, m->config.arch->model_type);
	}
	for (size_t i = 0; rc == 0 && i < m->nparams; i++)
		if (!tensors[i])
			rc = err_set(e, "%s: tensor '%s' is missing", gguf_name(g), list[i].name);
	smap_release(&names);
	return rc;
}

static void load_tensor(const struct model *m, const struct param *p, const struct gguf_param *as,
	const struct gguf_tensor *t)
{
	size_t rows = t->shape[0], cols = t->ndim == 2 ? t->shape[1] : 1;
	int turned = gguf_is_turned(m, as);
	if (!turned && !is_transposed(m, p)) {
		quant_to_f32((enum quant)t->quant, p->w, t->data, t->count);
		return;
	}
	float *w = mem_alloc(mul_size(t->count, sizeof *w));
	quant_to_f32((enum quant)t->quant, w, t->data, t->count);
#pragma omp parallel for if (p->count > 1 << 16)
	for (size_t r = 0; r < (turned ? rows : cols); r++) {
		if (turned)
			memcpy(p->w + r * cols, w + rope_pair_row(r, m->config.head_dim) * cols,
				cols * sizeof *w);
		else
			for (size_t i = 0; i < rows; i++)
				p->w[r * rows + i] = w[i * cols + r];
	}
	mem_free(w, t->count * sizeof *w);
}

/* Does the type of one hold all values of the other? */
static int holds(enum dtype t, const struct param *p)
{
	size_t cols = p->ndim == 1 ? p->shape[0] : p->shape[1];
	float *row = xcalloc(cols, sizeof *row);
	int same = 1;
	for (size_t r = 0; same && r < p->count / cols; r++) {
		param_row(p, r, 0, cols, row);
		for (size_t i = 0; same && i < cols; i++) {
			uint16_t h;
			float back;
			from_f32(&h, row + i, t, 1);
			to_f32(&back, &h, t, 1);
			same = back == row[i];
		}
	}
	free(row);
	return same;
}

/* The type of the matrices, where it holds the vectors too, which these files keep in f32. */
static enum dtype plain_type(const struct model *m, const struct gguf_tensor **tensors)
{
	int q = tensors[0]->quant;
	enum dtype t = q == QUANT_F16 ? DTYPE_F16 : q == QUANT_BF16 ? DTYPE_BF16 : DTYPE_F32;
	for (size_t i = 0; t != DTYPE_F32 && i < m->nparams; i++)
		if (tensors[i]->quant != q && (tensors[i]->quant != QUANT_F32 || !holds(t, &m->params[i])))
			t = DTYPE_F32;
	return t;
}

static int load_weights_of(struct model *m, const struct gguf *g, struct err *e)
{
	struct gguf_param *list = gguf_params(m);
	const struct gguf_tensor **tensors = xcalloc(m->nparams, sizeof *tensors);
	int rc = bind_tensors(m, g, list, tensors, e);
	if (rc == 0) {
		int stored = weights_stay(m);
		(stored ? model_alloc_vectors : model_alloc)(m);
		for (size_t i = 0; i < m->nparams; i++) {
			struct param *p = &m->params[i];
			if (stored && p->ndim == 2) {
				p->pairs = gguf_is_turned(m, &list[i]) ? m->config.head_dim : 0;
				param_store(p, tensors[i]->data, (enum quant)tensors[i]->quant);
			} else {
				load_tensor(m, p, &list[i], tensors[i]);
			}
			m->params[i].file_type = quant_formats[tensors[i]->quant].name;
		}
		m->config.file_dtype = plain_type(m, tensors);
	}
	gguf_params_free(list, m->nparams);
	free(tensors);
	return rc;
}

static int load_extras(struct model *m, const struct gguf *g, struct err *e)
{
	struct str template;
	e->msg[0] = 0;
	m->tokenizer = gguf_tokenizer(g, e);
	if (!m->tokenizer && e->msg[0])
		return -1;
	if (m->tokenizer && tokenizer_vocab(m->tokenizer) > m->config.vocab)
		return err_set(e, "%s: the tokenizer has %u ids, the embedding %zu", gguf_name(g),
			(unsigned)tokenizer_vocab(m->tokenizer), m->config.vocab);
	int rc = gguf_str(g, "tokenizer.chat_template", &template, e);
	if (rc > 0)
		m->chat_template = xstrndup(template.p ? template.p : "", template.n);
	return rc < 0 ? -1 : 0;
}

struct model *gguf_read(const struct gguf *g, struct err *e)
{
	struct config c;
	if (read_config(&c, g, e) < 0)
		return NULL;
	struct model *m = model_shell(&c);
	if (load_weights_of(m, g, e) < 0 || load_extras(m, g, e) < 0) {
		model_free(m);
		return NULL;
	}
	return m;
}
