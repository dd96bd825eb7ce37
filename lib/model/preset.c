/*
 * preset: configs by name and one dial. The rule stands in config.h.
 */
#include "base/opt.h"
#include "model/arch.h"

#define UNSET UINT64_MAX

struct preset {
	uint64_t depth, dim, heads, kv_heads, head_dim, mlp, context, vocab, tied;
	double theta, eps;
};

static int set_key(struct preset *p, const char *key, size_t n, const char *value)
{
	const struct {
		const char *key;
		uint64_t *v;
	} counts[] = { { "depth", &p->depth }, { "dim", &p->dim }, { "heads", &p->heads },
		{ "kv_heads", &p->kv_heads }, { "head_dim", &p->head_dim }, { "mlp", &p->mlp },
		{ "context", &p->context }, { "vocab", &p->vocab }, { "tied", &p->tied } };
	struct str k = { key, n };
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
		if (str_is(k, counts[i].key))
			return parse_count(value, counts[i].v);
	if (str_is(k, "theta"))
		return parse_num(value, &p->theta);
	return str_is(k, "eps") ? parse_num(value, &p->eps) : -1;
}

/* "key=value,key=value" behind the colon. */
static int read_keys(struct preset *p, const char *spec, const char *list, struct err *e)
{
	while (*list) {
		size_t n = strcspn(list, ","), key = strcspn(list, "=");
		char value[32];
		if (key >= n || n - key > sizeof value)
			return err_set(e, "%s: '%.*s' wants KEY=VALUE", spec, (int)n, list);
		memcpy(value, list + key + 1, n - key - 1);
		value[n - key - 1] = 0;
		if (set_key(p, list, key, value) < 0)
			return err_set(e,
				"%s: '%.*s' is not understood (depth, dim, heads, kv_heads, head_dim, mlp, "
				"context, vocab, "
				"tied, theta, eps)",
				spec, (int)n, list);
		list += n + (list[n] == ',');
	}
	return 0;
}

static void set_default(uint64_t *v, uint64_t value)
{
	if (*v == UNSET)
		*v = value;
}

static uint64_t round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* What was not given, from what was. Sizes are in range afterwards, or check_range says which is not. */
static void turn_dial(struct preset *p, const struct arch *a)
{
	int given = p->dim != UNSET;
	set_default(&p->dim, 64 * p->depth);
	if (p->heads != UNSET && p->heads)
		set_default(&p->head_dim, p->dim / p->heads);
	set_default(&p->head_dim, p->dim < 512 ? 64 : 128);
	if (!given && p->head_dim && p->head_dim <= (uint64_t)CONFIG_MAX_WIDTH)
		p->dim = round_up(p->dim, p->head_dim);
	set_default(&p->heads, p->head_dim ? p->dim / p->head_dim : 0);
	set_default(&p->kv_heads, p->heads);
	if (p->dim <= (uint64_t)CONFIG_MAX_WIDTH)
		set_default(&p->mlp, a->base.gated ? round_up((p->dim * 8 + 2) / 3, 64) : 4 * p->dim);
	set_default(&p->context, 2048);
	set_default(&p->vocab, 0);
	set_default(&p->tied, (uint64_t)a->base.tied);
}

static int check_range(const struct preset *p, const char *spec, struct err *e)
{
	const struct {
		const char *key;
		uint64_t v, min, max;
	} ranges[] = { { "dim", p->dim, 1, CONFIG_MAX_WIDTH }, { "heads", p->heads, 1, CONFIG_MAX_WIDTH },
		{ "head_dim", p->head_dim, 1, CONFIG_MAX_WIDTH },
		{ "kv_heads", p->kv_heads, 1, CONFIG_MAX_WIDTH }, { "mlp", p->mlp, 1, CONFIG_MAX_WIDTH },
		{ "context", p->context, 1, CONFIG_MAX_CONTEXT }, { "vocab", p->vocab, 0, CONFIG_MAX_VOCAB },
		{ "tied", p->tied, 0, 1 } };
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (ranges[i].v < ranges[i].min || ranges[i].v > ranges[i].max)
			return err_set(e, "%s: %s is from %llu to %llu, not %llu", spec, ranges[i].key,
				(unsigned long long)ranges[i].min, (unsigned long long)ranges[i].max,
				(unsigned long long)ranges[i].v);
	return 0;
}

/* Why the sizes do not fit each other or the architecture; NULL when they do. */
static const char *misfit(const struct preset *p, const struct arch *a)
{
	if (p->heads % p->kv_heads)
		return "kv_heads does not divide heads";
	if (!a->keys->head_dim && p->heads * p->head_dim != p->dim)
		return "heads of head_dim do not make up dim";
	if (!a->keys->kv_heads && p->kv_heads != p->heads)
		return "this architecture has no kv_heads of their own";
	if (a->base.rope.enabled && p->head_dim % 2)
		return "heads of odd size cannot rotate";
	if (a->base.rope.enabled && !(p->theta > 1 && p->theta < 1e15))
		return "theta wants a number above 1";
	return p->eps > 0 && p->eps < 1 ? NULL : "eps wants a number from 0 to 1";
}

static void fill(struct config *c, const struct preset *p, const struct arch *a)
{
	*c = a->base;
	c->arch = a;
	c->layers = (size_t)p->depth;
	c->hidden = (size_t)p->dim;
	c->heads = (size_t)p->heads;
	c->head_dim = (size_t)p->head_dim;
	c->kv_heads = (size_t)p->kv_heads;
	c->mlp_width = (size_t)p->mlp;
	c->context = (size_t)p->context;
	c->vocab = (size_t)p->vocab;
	c->tied = (int)p->tied;
	c->qkv_bias = a->qkv_bias == BIAS_ALWAYS;
	c->o_bias = a->o_bias == BIAS_ALWAYS;
	c->mlp_bias = a->mlp_bias == BIAS_ALWAYS;
	c->window = 0;
	c->norm_eps = (float)p->eps;
	if (a->base.rope.enabled)
		c->rope.theta = p->theta;
	c->bos = c->eos = c->pad = -1;
	c->file_dtype = DTYPE_F32;
}

int config_preset(struct config *c, const char *spec, struct err *e)
{
	size_t n = strcspn(spec, ":");
	char type[32] = "";
	if (n < sizeof type)
		memcpy(type, spec, n);
	const struct arch *a = arch_find(type);
	if (!a)
		return err_set(e, "%s: '%.*s' is no architecture's name", spec, (int)n, spec);
	struct preset p = { UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, UNSET, a->base.rope.theta,
		1e-5 };
	if (read_keys(&p, spec, spec + n + (spec[n] == ':'), e) < 0)
		return -1;
	if (p.depth < 1 || p.depth > CONFIG_MAX_LAYERS)
		return err_set(e, "%s: wants depth=N, N from 1 to %d", spec, CONFIG_MAX_LAYERS);
	turn_dial(&p, a);
	if (check_range(&p, spec, e) < 0)
		return -1;
	const char *why = misfit(&p, a);
	if (why)
		return err_set(e, "%s: %s", spec, why);
	fill(c, &p, a);
	if (config_weights(c) > CONFIG_MAX_WEIGHTS)
		return err_set(e, "%s: makes up more weights than any machine holds", spec);
	return 0;
}
