#include "model/config.h"
#include "base/hash.h"
#include "model/arch.h"

#include <math.h>
#include <stdlib.h>

/* --- config.json --- */

struct reading {
	const struct json *root;
	const char *name; /* of the file, for messages */
	struct err *e;
	int failed; /* the first failure sticks */
};

static void fail(struct reading *r, const char *key, const char *what)
{
	if (!r->failed)
		err_set(r->e, "%s: %s: %s", r->name, key, what);
	r->failed = 1;
}

static const struct json *get(const struct json *v, const char *key)
{
	const struct json *k = key ? json_get(v, key) : NULL;
	return k && k->type != JSON_NULL ? k : NULL;
}

/* A count in [1, max]; `fallback` when the key is absent or null. */
static size_t get_size(struct reading *r, const char *key, int64_t max, size_t fallback)
{
	const struct json *v = get(r->root, key);
	if (!v)
		return fallback;
	if (!v->is_int || v->i < 1 || v->i > max) {
		if (!r->failed)
			err_set(r->e, "%s: %s: wants a count from 1 to %lld", r->name, key, (long long)max);
		r->failed = 1;
		return 1;
	}
	return (size_t)v->i;
}

static double get_num(struct reading *r, const struct json *obj, const char *key, double fallback)
{
	const struct json *v = get(obj, key);
	if (!v)
		return fallback;
	if (v->type != JSON_NUMBER || !isfinite(v->d)) {
		fail(r, key, "wants a number");
		return fallback;
	}
	return v->d;
}

static int get_bool(struct reading *r, const struct json *obj, const char *key, int fallback)
{
	const struct json *v = get(obj, key);
	if (!v)
		return fallback;
	if (v->type != JSON_TRUE && v->type != JSON_FALSE) {
		fail(r, key, "wants true or false");
		return fallback;
	}
	return v->type == JSON_TRUE;
}

/* An id, or the first of a list of ids. */
static int64_t get_id(struct reading *r, const char *key, int64_t fallback)
{
	const struct json *v = json_get(r->root, key);
	if (!v)
		return fallback;
	if (v->type == JSON_ARRAY && v->n)
		v = &v->kids[0];
	if (v->type == JSON_NULL)
		return -1;
	if (!v->is_int) {
		fail(r, key, "wants an id or a list of ids");
		return -1;
	}
	return v->i < 0 ? -1 : v->i;
}

/* Chat models end a text by one of several ids. */
static void get_eos_list(struct reading *r, struct config *c)
{
	const struct json *v = json_get(r->root, "eos_token_id");
	for (size_t i = 0;
		json_is(v, JSON_ARRAY) && i < v->n && c->neos < sizeof c->eos_list / sizeof *c->eos_list; i++)
		if (v->kids[i].is_int && v->kids[i].i >= 0)
			c->eos_list[c->neos++] = v->kids[i].i;
}

static const struct arch *get_arch(struct reading *r)
{
	const struct json *v = get(r->root, "model_type"), *a = get(r->root, "architectures");
	if (json_is(v, JSON_STRING)) {
		const char *type = json_cstr(r->root, "model_type", "");
		const struct arch *arch = arch_find(type);
		if (!arch && !r->failed) {
			err_set(r->e, "%s: model_type: '%.64s' is not known", r->name, type);
			r->failed = 1;
		}
		return arch;
	}
	if (json_is(a, JSON_ARRAY) && a->n && a->kids[0].type == JSON_STRING) {
		for (size_t i = 0; i < arch_count; i++)
			if (str_is(a->kids[0].s, arch_table[i].class_name))
				return &arch_table[i];
	}
	fail(r, "model_type", "is missing");
	return NULL;
}

static void get_act(struct reading *r, struct config *c)
{
	static const struct {
		const char *name;
		enum act_kind act;
	} acts[] = { { "silu", ACT_SILU }, { "swish", ACT_SILU }, { "gelu_new", ACT_GELU_TANH },
		{ "gelu_pytorch_tanh", ACT_GELU_TANH }, { "gelu_python_tanh", ACT_GELU_TANH },
		{ "gelu_fast", ACT_GELU_TANH }, { "gelu_accurate", ACT_GELU_TANH } };
	const char *key = c->arch->keys->act;
	const struct json *v = get(r->root, key);
	if (!v)
		return;
	for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
		if (v->type == JSON_STRING && str_is(v->s, acts[i].name)) {
			c->act = acts[i].act;
			return;
		}
	}
	fail(r, key, "this activation is not known");
}

static const char *const scaling_names[] = { [ROPE_NONE] = "default",
	[ROPE_LINEAR] = "linear",
	[ROPE_LLAMA3] = "llama3",
	[ROPE_YARN] = "yarn",
	[ROPE_DYNAMIC] = "dynamic" };

/* transformers 5 writes one dict `rope_parameters`, published files `rope_theta` and `rope_scaling`; the
 * latter wins over the former, inner keys over outer. A dict per layer type is read by its full_attention. */
static void get_rope(struct reading *r, struct config *c)
{
	struct rope_config *p = &c->rope;
	const struct json *d = get(r->root, "rope_scaling");
	if (!d || (d->type == JSON_OBJECT && !d->n))
		d = get(r->root, "rope_parameters");
	if (d && d->type != JSON_OBJECT) {
		fail(r, "rope_scaling", "wants an object");
		return;
	}
	if (get(d, "full_attention"))
		d = get(d, "full_attention");
	p->theta = get_num(r, d, "rope_theta", get_num(r, r->root, "rope_theta", p->theta));
	if (!(p->theta > 1 && p->theta < 1e15))
		fail(r, "rope_theta", "wants a number above 1");
	double partial =
		get_num(r, d, "partial_rotary_factor", get_num(r, r->root, "partial_rotary_factor", 1));
	if (partial != 1)
		fail(r, "partial_rotary_factor", "only 1 is known for this model_type");
	const struct json *type = get(d, "rope_type") ? get(d, "rope_type") : get(d, "type");
	if (!type)
		return;
	int found = 0;
	for (size_t i = 0; i < sizeof scaling_names / sizeof *scaling_names; i++) {
		if (type->type == JSON_STRING && str_is(type->s, scaling_names[i])) {
			p->scaling = (enum rope_scaling)i;
			found = 1;
		}
	}
	if (!found)
		fail(r, "rope_type", "this scaling of positions is not known");
	if (p->scaling == ROPE_NONE)
		return;
	p->original_context = get_num(r, d, "original_max_position_embeddings",
		get_num(r, r->root, "original_max_position_embeddings", (double)c->context));
	if (!(p->original_context >= 1 && p->original_context <= (double)CONFIG_MAX_CONTEXT))
		fail(r, "original_max_position_embeddings", "wants a count");
	p->factor = get_num(
		r, d, "factor", p->scaling == ROPE_YARN ? (double)c->context / p->original_context : 0);
	if (!(p->factor > 0))
		fail(r, "rope_scaling", "wants a factor above 0");
	p->low_freq = get_num(r, d, "low_freq_factor", 1);
	p->high_freq = get_num(r, d, "high_freq_factor", 4);
	if (p->scaling == ROPE_LLAMA3 && !(p->high_freq > p->low_freq && p->low_freq > 0))
		fail(r, "high_freq_factor", "must be above low_freq_factor");
	p->beta_fast = get_num(r, d, "beta_fast", 0);
	p->beta_slow = get_num(r, d, "beta_slow", 0);
	p->attention_factor = get_num(r, d, "attention_factor", 0);
	p->mscale = get_num(r, d, "mscale", 0);
	p->mscale_all_dim = get_num(r, d, "mscale_all_dim", 0);
	p->truncate = get_bool(r, d, "truncate", 1);
}

size_t config_window(const struct config *c, size_t layer)
{
	return c->slides[layer / 8] >> layer % 8 & 1 ? c->window : 0;
}

static void set_slides(struct config *c, size_t layer, int slides)
{
	unsigned char bit = (unsigned char)(1u << layer % 8);
	c->slides[layer / 8] =
		(unsigned char)(slides ? c->slides[layer / 8] | bit : c->slides[layer / 8] & ~bit);
}

/* `layer_types` decides where the class reads it (Qwen), elsewhere it must say what is computed. */
static void get_layer_types(struct reading *r, struct config *c)
{
	const struct json *types = get(r->root, "layer_types");
	if (!types)
		return;
	if (types->type != JSON_ARRAY || types->n < c->layers) {
		fail(r, "layer_types", "wants a name for each layer");
		return;
	}
	for (size_t i = 0; i < c->layers; i++) {
		const struct json *t = &types->kids[i];
		int slides = t->type == JSON_STRING && str_is(t->s, "sliding_attention");
		if (!slides && !(t->type == JSON_STRING &&
				       (str_is(t->s, "full_attention") || str_is(t->s, "attention"))))
			fail(r, "layer_types", "only full_attention and sliding_attention are known here");
		if (slides && !c->window)
			fail(r, "layer_types", "sliding_attention without a sliding_window");
		else if (c->arch->window == WINDOW_QWEN)
			set_slides(c, i, slides);
		else if (slides != (config_window(c, i) != 0))
			fail(r, "layer_types", "does not fit sliding_window");
	}
}

/* Which layers see a window only. */
static void get_window(struct reading *r, struct config *c)
{
	const struct json *v = json_get(r->root, "sliding_window");
	size_t from = 0;
	if (v)
		c->window = v->type == JSON_NULL ? 0 : get_size(r, "sliding_window", CONFIG_MAX_CONTEXT, 0);
	if (c->arch->window == WINDOW_NEVER ||
		(c->arch->window == WINDOW_QWEN && !get_bool(r, r->root, "use_sliding_window", 0)))
		c->window = 0;
	if (c->window && c->arch->window == WINDOW_QWEN) {
		const struct json *m = get(r->root, "max_window_layers");
		if (m && (!m->is_int || m->i < 0))
			fail(r, "max_window_layers", "wants a count");
		from = m && m->i >= 0 ? (size_t)m->i : 28;
	}
	for (size_t i = from; c->window && i < c->layers; i++)
		set_slides(c, i, 1);
	get_layer_types(r, c);
}

/* Switches that would change the arithmetic into something that is not computed here. */
static void refuse_variants(struct reading *r)
{
	if (!get_bool(r, r->root, "scale_attn_weights", 1))
		fail(r, "scale_attn_weights", "false is not known");
	if (get_bool(r, r->root, "add_cross_attention", 0))
		fail(r, "add_cross_attention", "only decoders are known");
	if (get(r->root, "quantization_config"))
		fail(r, "quantization_config", "quantised checkpoints are not read");
}

double config_weights(const struct config *c)
{
	double h = (double)c->hidden, attn = (double)c->heads * (double)c->head_dim;
	double layer = (4 * attn + 3 * (double)c->mlp_width) * h;
	return layer * (double)c->layers + (2 * (double)c->vocab + (double)c->context) * h;
}

static void check(struct reading *r, struct config *c)
{
	const struct arch_keys *k = c->arch->keys;
	if (!c->kv_heads)
		c->kv_heads = c->heads;
	if (!c->mlp_width)
		c->mlp_width = 4 * c->hidden;
	if (!c->head_dim) {
		if (c->hidden % c->heads)
			fail(r, k->heads, "does not divide the hidden size");
		c->head_dim = c->hidden / c->heads;
	}
	if (c->heads % c->kv_heads)
		fail(r, k->kv_heads ? k->kv_heads : k->heads, "does not divide the number of heads");
	if (c->rope.enabled && c->head_dim % 2)
		fail(r, k->head_dim ? k->head_dim : k->heads, "heads of odd size cannot rotate");
	if (config_weights(c) > CONFIG_MAX_WEIGHTS)
		fail(r, k->hidden, "the sizes together make up more weights than any machine holds");
	if (!(c->norm_eps >= 0 && c->norm_eps < 1))
		fail(r, k->norm_eps, "wants a number from 0 to 1");
	if (!(c->init_range >= 0 && c->init_range < 100))
		fail(r, "initializer_range", "wants a small positive number");
}

static int biased(struct reading *r, enum bias_rule rule, const char *key)
{
	return rule == BIAS_KEY ? get_bool(r, r->root, key, 0) : rule == BIAS_ALWAYS;
}

static void read_config(struct reading *r, struct config *c)
{
	const struct arch *a = get_arch(r);
	if (!a)
		return;
	const struct arch_keys *k = a->keys;
	*c = a->base;
	c->arch = a;
	c->vocab = get_size(r, "vocab_size", CONFIG_MAX_VOCAB, c->vocab);
	c->hidden = get_size(r, k->hidden, CONFIG_MAX_WIDTH, c->hidden);
	c->layers = get_size(r, k->layers, CONFIG_MAX_LAYERS, c->layers);
	c->heads = get_size(r, k->heads, CONFIG_MAX_WIDTH, c->heads);
	/* The class default of kv_heads holds only beside the default number of heads; null means heads. */
	const struct json *kv = k->kv_heads ? json_get(r->root, k->kv_heads) : NULL;
	c->kv_heads =
		kv && kv->type == JSON_NULL ? 0 : get_size(r, k->kv_heads, CONFIG_MAX_WIDTH, c->kv_heads);
	const struct json *hd = k->head_dim ? json_get(r->root, k->head_dim) : NULL;
	c->head_dim =
		hd && hd->type == JSON_NULL ? 0 : get_size(r, k->head_dim, CONFIG_MAX_WIDTH, c->head_dim);
	c->mlp_width = get_size(r, k->mlp_width, CONFIG_MAX_WIDTH, c->mlp_width);
	c->context = get_size(r, k->context, CONFIG_MAX_CONTEXT, c->context);
	c->norm_eps = (float)get_num(r, r->root, k->norm_eps, c->norm_eps);
	c->init_range = get_num(r, r->root, "initializer_range", c->init_range);
	c->tied = get_bool(r, r->root, "tie_word_embeddings", c->tied);
	c->qkv_bias = biased(r, a->qkv_bias, "attention_bias");
	c->o_bias = biased(r, a->o_bias, "attention_bias");
	c->mlp_bias = biased(r, a->mlp_bias, "mlp_bias");
	c->inverse_layer_scale = get_bool(r, r->root, "scale_attn_by_inverse_layer_idx", 0);
	c->bos = get_id(r, "bos_token_id", c->bos);
	c->eos = get_id(r, "eos_token_id", c->eos);
	get_eos_list(r, c);
	c->pad = get_id(r, "pad_token_id", c->pad);
	const struct json *type = get(r->root, "dtype") ? get(r->root, "dtype") : get(r->root, "torch_dtype");
	int dtype = json_is(type, JSON_STRING) ? dtype_parse(type->s.p, type->s.n) : -1;
	c->file_dtype = dtype < 0 ? DTYPE_F32 : (enum dtype)dtype;
	get_act(r, c);
	if (c->rope.enabled)
		get_rope(r, c);
	get_window(r, c);
	refuse_variants(r);
	check(r, c);
}

int config_parse(struct config *c, const char *json, size_t n, const char *name, struct err *e)
{
	struct arena a = { 0 };
	struct reading r = { .name = name, .e = e };
	r.root = json_parse(&a, json, n, JSON_LAX, e);
	if (!r.root) {
		err_prefix(e, "%s", name);
		r.failed = 1;
	} else if (r.root->type != JSON_OBJECT) {
		err_set(e, "%s: is no JSON object", name);
		r.failed = 1;
	} else {
		read_config(&r, c);
	}
	arena_release(&a);
	return r.failed ? -1 : 0;
}

/* --- writing --- */

static void add_key(struct buf *b, const char *key)
{
	buf_adds(b, b->n > 1 ? ",\n  " : "\n  ");
	json_add_cstr(b, key);
	buf_adds(b, ": ");
}

static void add_int(struct buf *b, const char *key, int64_t v)
{
	add_key(b, key);
	json_add_int(b, v);
}

/* Python tells 1 from 1.0, and some configuration classes check: a number that is no count gets its point. */
static void add_num(struct buf *b, const char *key, double v)
{
	add_key(b, key);
	size_t at = b->n;
	json_add_num(b, v);
	if (!strpbrk(b->p + at, ".eE"))
		buf_adds(b, ".0");
}

static void add_str(struct buf *b, const char *key, const char *v)
{
	add_key(b, key);
	json_add_cstr(b, v);
}

static void add_bool(struct buf *b, const char *key, int v)
{
	add_key(b, key);
	buf_adds(b, v ? "true" : "false");
}

static void add_id(struct buf *b, const char *key, int64_t id)
{
	add_key(b, key);
	if (id < 0)
		buf_adds(b, "null");
	else
		json_add_int(b, id);
}

static void add_eos(struct buf *b, const struct config *c)
{
	if (c->neos < 2 || c->eos_list[0] != c->eos) {
		add_id(b, "eos_token_id", c->eos);
		return;
	}
	add_key(b, "eos_token_id");
	for (size_t i = 0; i < c->neos; i++)
		buf_addf(b, "%s%lld", i ? ", " : "[", (long long)c->eos_list[i]);
	buf_addc(b, ']');
}

static void add_count(struct buf *b, const char *key, size_t v)
{
	if (key)
		add_int(b, key, (int64_t)v);
}

static void add_rope(struct buf *b, const struct rope_config *p)
{
	add_num(b, "rope_theta", p->theta);
	add_key(b, "rope_scaling");
	if (p->scaling == ROPE_NONE) {
		buf_adds(b, "null");
		return;
	}
	struct buf d = { 0 };
	buf_addc(&d, '{');
	add_str(&d, "rope_type", scaling_names[p->scaling]);
	add_num(&d, "factor", p->factor);
	if (p->scaling == ROPE_LLAMA3) {
		add_num(&d, "low_freq_factor", p->low_freq);
		add_num(&d, "high_freq_factor", p->high_freq);
	}
	if (p->scaling == ROPE_LLAMA3 || p->scaling == ROPE_YARN)
		add_int(&d, "original_max_position_embeddings", (int64_t)p->original_context);
	if (p->scaling == ROPE_YARN) {
		const struct {
			const char *key;
			double v;
		} yarn[] = { { "beta_fast", p->beta_fast }, { "beta_slow", p->beta_slow },
			{ "attention_factor", p->attention_factor }, { "mscale", p->mscale },
			{ "mscale_all_dim", p->mscale_all_dim } };
		for (size_t i = 0; i < sizeof yarn / sizeof *yarn; i++)
			if (yarn[i].v != 0)
				add_num(&d, yarn[i].key, yarn[i].v);
		if (!p->truncate)
			add_bool(&d, "truncate", 0);
	}
	for (const char *s = d.p; *s; s++) {
		buf_addc(b, *s);
		if (*s == '\n')
			buf_adds(b, "  ");
	}
	buf_adds(b, "\n  }");
	buf_release(&d);
}

/* The first layer that slides; where one behind it does not, the list of all. */
static void add_layer_windows(struct buf *b, const struct config *c)
{
	size_t first = 0, i;
	while (first < c->layers && !config_window(c, first))
		first++;
	for (i = first; i < c->layers && config_window(c, i); i++)
		;
	add_bool(b, "use_sliding_window", c->window != 0);
	add_count(b, "max_window_layers", first);
	if (i == c->layers)
		return;
	add_key(b, "layer_types");
	for (i = 0; i < c->layers; i++)
		buf_addf(b, "%s\"%s\"", i ? ", " : "[",
			config_window(c, i) ? "sliding_attention" : "full_attention");
	buf_addc(b, ']');
}

static const char *act_name(const struct config *c)
{
	if (c->act == ACT_SILU)
		return "silu";
	return c->arch->conv1d ? "gelu_new" : "gelu_pytorch_tanh";
}

static const char *torch_name(enum dtype t)
{
	return t == DTYPE_BF16  ? "bfloat16"
	       : t == DTYPE_F16 ? "float16"
	       : t == DTYPE_F64 ? "float64"
				: "float32";
}

void config_json(const struct config *c, enum dtype dtype, struct buf *b)
{
	const struct arch *a = c->arch;
	const struct arch_keys *k = a->keys;
	struct buf o = { 0 };
	buf_addc(&o, '{');
	add_key(&o, "architectures");
	buf_adds(&o, "[\n    ");
	json_add_cstr(&o, a->class_name);
	buf_adds(&o, "\n  ]");
	add_str(&o, "model_type", a->model_type);
	add_count(&o, "vocab_size", c->vocab);
	add_count(&o, k->hidden, c->hidden);
	add_count(&o, k->layers, c->layers);
	add_count(&o, k->heads, c->heads);
	add_count(&o, k->kv_heads, c->kv_heads);
	add_count(&o, k->head_dim, c->head_dim);
	add_count(&o, k->mlp_width, c->mlp_width);
	add_count(&o, k->context, c->context);
	add_str(&o, k->act, act_name(c));
	add_key(&o, k->norm_eps);
	json_add_f32(&o, c->norm_eps);
	if (a->qkv_bias == BIAS_KEY)
		add_bool(&o, "attention_bias", c->qkv_bias);
	if (a->mlp_bias == BIAS_KEY)
		add_bool(&o, "mlp_bias", c->mlp_bias);
	if (c->rope.enabled)
		add_rope(&o, &c->rope);
	if (c->inverse_layer_scale)
		add_bool(&o, "scale_attn_by_inverse_layer_idx", 1);
	if (a->window != WINDOW_NEVER)
		add_id(&o, "sliding_window", c->window ? (int64_t)c->window : -1);
	if (a->window == WINDOW_QWEN)
		add_layer_windows(&o, c);
	add_num(&o, "initializer_range", c->init_range);
	add_bool(&o, "tie_word_embeddings", c->tied);
	add_id(&o, "bos_token_id", c->bos);
	add_eos(&o, c);
	add_id(&o, "pad_token_id", c->pad);
	add_str(&o, "torch_dtype", torch_name(dtype));
	buf_adds(&o, "\n}\n");
	buf_add(b, o.p, o.n);
	buf_release(&o);
}

uint64_t config_hash(const struct config *c)
{
	struct config d = *c;
	struct buf b = { 0 };
	/* These change what is trained or said, not what is computed. */
	d.bos = d.eos = d.pad = -1;
	d.init_range = 0;
	config_json(&d, DTYPE_F32, &b);
	uint64_t h = hash64(b.p, b.n, 0);
	buf_release(&b);
	return h;
}
