/*
 * The spellings in which checkpoints are published: without the decoder's prefix, with buffers and copies
 * that mean nothing, in other types; and what is refused.
 */
#include "base/io.h"
#include "model/model.h"
#include "tap.h"
#include "tensor/safetensors.h"

#include <stdlib.h>
#include <unistd.h>

static char path[64];

/* How a copy of a model is spelled. */
struct spelling {
	const char *strip;    /* prefix taken off names */
	const char *drop;     /* tensor left out */
	const char *rename;   /* tensor ... */
	const char *as;       /* ... under this name */
	const char *extra[2]; /* tensors of one value added */
	enum dtype type;
	const char *wide; /* tensor in f32 among the others of `type` */
};

static enum dtype type_of(const struct spelling *s, const char *name)
{
	return s->wide && strcmp(name, s->wide) == 0 ? DTYPE_F32 : s->type;
}

static const char *name_of(const struct spelling *s, const char *name)
{
	size_t n = s->strip ? strlen(s->strip) : 0;
	if (s->rename && strcmp(name, s->rename) == 0)
		return s->as;
	return n && strncmp(name, s->strip, n) == 0 ? name + n : name;
}

static void write_values(struct safetensors_writer *out, const struct param *p, enum dtype type)
{
	if (type == DTYPE_I32)
		safetensors_writer_data(out, p->w, p->count * sizeof *p->w);
	else
		safetensors_writer_f32(out, p->w, p->count);
}

static void write_model(const struct model *m, const struct spelling *s)
{
	struct err e;
	struct buf config = { 0 };
	struct writer *w = writer_open(path, &e);
	struct safetensors_writer *out = safetensors_writer_new();
	size_t one = 1;
	float value = 5;
	config_json(&m->config, DTYPE_F32, &config);
	safetensors_writer_meta(out, "config", config.p, config.n);
	for (size_t i = 0; i < m->nparams; i++)
		if (!s->drop || strcmp(m->params[i].name, s->drop) != 0)
			safetensors_writer_declare(out, name_of(s, m->params[i].name),
				type_of(s, m->params[i].name), m->params[i].ndim, m->params[i].shape);
	for (size_t i = 0; i < 2 && s->extra[i]; i++)
		safetensors_writer_declare(out, s->extra[i], DTYPE_F32, 1, &one);
	safetensors_writer_begin(out, w);
	for (size_t i = 0; i < m->nparams; i++)
		if (!s->drop || strcmp(m->params[i].name, s->drop) != 0)
			write_values(out, &m->params[i], s->type);
	for (size_t i = 0; i < 2 && s->extra[i]; i++)
		safetensors_writer_f32(out, &value, 1);
	safetensors_writer_end(out);
	if (writer_commit(w, 0, &e) < 0)
		printf("# %s\n", e.msg);
	buf_release(&config);
}

static struct model *make(const char *preset)
{
	struct config c;
	struct err e;
	if (config_preset(&c, preset, &e) < 0)
		return NULL;
	struct model *m = model_new(&c);
	model_init(m, 1);
	/* Values that every type holds exactly. */
	for (size_t i = 0; i < m->count; i++)
		m->weights[i] = (float)(i % 251) / 64 - 1;
	return m;
}

static void accept(const char *what, const struct model *m, struct spelling s)
{
	struct err e = { "" };
	write_model(m, &s);
	struct model *got = model_load(path, &e);
	ok(got && memcmp(got->weights, m->weights, m->count * sizeof *m->weights) == 0, "%s %s", what, e.msg);
	ok(got && got->config.file_dtype == (s.wide ? DTYPE_F32 : s.type), "%s: its type is kept", what);
	int same = got != NULL;
	for (size_t i = 0; got && i < got->nparams; i++)
		same &= strcmp(got->params[i].file_type, dtype_name(type_of(&s, got->params[i].name))) == 0;
	ok(same, "%s: that of every tensor", what);
	model_free(got);
}

/* A config that says tied beside a head of its own: what differs is not tied, what is equal is. */
static void test_tied_by_word(void)
{
	struct err e = { "" };
	struct model *m = make("llama:depth=1,dim=8,heads=2,vocab=9,context=4,tied=0");
	struct param *head = model_param(m, "lm_head.weight"), *embed = &m->params[0];
	m->config.tied = 1;
	write_model(m, &(struct spelling){ .strip = "model." });
	struct model *got = model_load(path, &e);
	ok(got && !got->config.tied && memcmp(got->weights, m->weights, m->count * sizeof *m->weights) == 0,
		"another head than the embedding is read, whatever the config says %s", e.msg);
	model_free(got);
	memcpy(head->w, embed->w, embed->count * sizeof *embed->w);
	write_model(m, &(struct spelling){ 0 });
	got = model_load(path, &e);
	ok(got && got->config.tied && got->count == m->count - head->count, "an equal one is a copy %s",
		e.msg);
	model_free(got);
	model_free(m);
}

static void refuse(const char *why, const struct model *m, struct spelling s)
{
	struct err e = { "" };
	write_model(m, &s);
	struct model *got = model_load(path, &e);
	ok(!got && strncmp(e.msg, path, strlen(path)) == 0 && strstr(e.msg, why), "refused: %s", e.msg);
	model_free(got);
}

int main(void)
{
	snprintf(path, sizeof path, "/tmp/quern-test_load.%ld.safetensors", (long)getpid());
	struct model *gpt2 = make("gpt2:depth=1,dim=8,heads=2,vocab=9,context=4");
	struct model *tied = make("llama:depth=2,dim=8,heads=2,vocab=9,context=4,tied=1");
	struct model *untied = make("olmo2:depth=1,dim=8,heads=2,vocab=9,context=4");
	struct model *gpt2_untied = make("gpt2:depth=1,dim=8,heads=2,vocab=9,context=4,tied=0");
	accept("gpt2 with a head", gpt2_untied, (struct spelling){ 0 });
	accept("as it is", gpt2, (struct spelling){ 0 });
	accept("without prefix, with masks", gpt2,
		(struct spelling){
			.strip = "transformer.", .extra = { "h.0.attn.bias", "h.0.attn.masked_bias" } });
	accept("without prefix, tied", tied, (struct spelling){ .strip = "model.", .type = DTYPE_BF16 });
	accept("with rotary frequencies", tied,
		(struct spelling){
			.extra = { "model.layers.0.self_attn.rotary_emb.inv_freq" }, .type = DTYPE_F16 });
	accept("a tied head's copy", tied, (struct spelling){ .extra = { "lm_head.weight" } });
	accept("bare, with rotary frequencies", tied,
		(struct spelling){ .strip = "model.", .extra = { "rotary_emb.inv_freq" } });
	accept("a tied embedding under the head's name", tied,
		(struct spelling){
			.rename = "model.embed_tokens.weight", .as = "lm_head.weight", .type = DTYPE_F64 });
	accept("post-norms", untied, (struct spelling){ 0 });
	accept("norms in a wider type", tied,
		(struct spelling){ .type = DTYPE_BF16, .wide = "model.norm.weight" });
	refuse("'lm_head.weight' is missing", untied, (struct spelling){ .drop = "lm_head.weight" });
	refuse("'model.layers.1.mlp.up_proj.weight' is missing", tied,
		(struct spelling){ .drop = "model.layers.1.mlp.up_proj.weight" });
	refuse("'model.layers.2.mlp.up_proj.weight' has no place", tied,
		(struct spelling){ .extra = { "model.layers.2.mlp.up_proj.weight" } });
	refuse("'norm.weight' is there twice", tied, (struct spelling){ .extra = { "norm.weight" } });
	refuse("'norm.weight' is [1], the config wants [8]", tied,
		(struct spelling){ .drop = "model.norm.weight", .extra = { "norm.weight" } });
	refuse("weights of type I32 are not read", gpt2, (struct spelling){ .type = DTYPE_I32 });
	test_tied_by_word();
	unlink(path);
	model_free(gpt2);
	model_free(gpt2_untied);
	model_free(tied);
	model_free(untied);
	return tap_end();
}
