/*
 * gguf_tok: the tokenizer in the metadata of GGUF files: lists under tokenizer.ggml.*, as llama.cpp has them.
 * A tokenizer of which they say less than all (flags of added tokens) is written as
 * tokenizer.huggingface.json too, a key that the format has for that, and which is read first.
 */
#include "base/mem.h"
#include "model/gguf_model.h"
#include "text/tok_parts.h"

#include <stdlib.h>

#define HF_KEY "tokenizer.huggingface.json"

/* --- reading --- */

static int read_strs(const struct gguf *g, const char *key, struct str **v, size_t *n, struct err *e)
{
	struct gguf_items it;
	int rc = gguf_items(g, key, GGUF_STR, &it, e);
	if (rc < 1)
		return rc;
	*n = it.n;
	*v = xcalloc(it.n, sizeof **v);
	for (size_t i = 0; i < *n; i++)
		(*v)[i] = gguf_next_str(&it);
	return 1;
}

/* A number for each token. */
static int read_nums(const struct gguf *g, const char *key, struct tok_parts *p, int is_type, struct err *e)
{
	struct gguf_items it;
	int rc = gguf_items(g, key, GGUF_F32, &it, e);
	if (rc < 1)
		return rc;
	if (it.n != p->n)
		return err_set(e, "%s: %s: %zu for %zu tokens", gguf_name(g), key, it.n, p->n);
	if (is_type)
		p->types = xcalloc(p->n, sizeof *p->types);
	else
		p->scores = xcalloc(p->n, sizeof *p->scores);
	for (size_t i = 0; i < p->n; i++) {
		double v = gguf_next_num(&it);
		if (is_type)
			p->types[i] = v >= PART_NORMAL && v <= PART_BYTE ? (int32_t)v : PART_NORMAL;
		else
			p->scores[i] = (float)v;
	}
	return 1;
}

static int read_parts(const struct gguf *g, struct tok_parts *p, struct err *e)
{
	int64_t id;
	if (read_strs(g, "tokenizer.ggml.tokens", &p->tokens, &p->n, e) < 1)
		return err_set(e, "%s: tokenizer.ggml.tokens is missing", gguf_name(g));
	if (read_nums(g, "tokenizer.ggml.token_type", p, 1, e) < 0 ||
		read_nums(g, "tokenizer.ggml.scores", p, 0, e) < 0 ||
		read_strs(g, "tokenizer.ggml.merges", &p->merges, &p->nmerges, e) < 0 ||
		gguf_str(g, "tokenizer.ggml.pre", &p->pre, e) < 0 ||
		gguf_bool(g, "tokenizer.ggml.add_space_prefix", &p->space_prefix, e) < 0 ||
		gguf_bool(g, "tokenizer.ggml.add_bos_token", &p->add_bos, e) < 0 ||
		gguf_bool(g, "tokenizer.ggml.add_eos_token", &p->add_eos, e) < 0)
		return -1;
	if (!p->byte_level && !p->scores)
		return err_set(e, "%s: tokenizer.ggml.scores is missing", gguf_name(g));
	if (gguf_int(g, "tokenizer.ggml.bos_token_id", &id, e) > 0)
		p->bos = id;
	if (gguf_int(g, "tokenizer.ggml.eos_token_id", &id, e) > 0)
		p->eos = id;
	return 0;
}

static struct tokenizer *of_lists(const struct gguf *g, int byte_level, struct err *e)
{
	struct tok_parts p = { .byte_level = byte_level,
		.space_prefix = 1,
		.bos = byte_level ? -1 : 1,
		.eos = byte_level ? -1 : 2,
		.add_bos = -1,
		.add_eos = -1 };
	struct tokenizer *t = NULL;
	if (read_parts(g, &p, e) == 0 && !(t = tokenizer_of_parts(&p, e)))
		err_prefix(e, "%s: tokenizer", gguf_name(g));
	free(p.tokens);
	free(p.types);
	free(p.scores);
	free(p.merges);
	return t;
}

struct tokenizer *gguf_tokenizer(const struct gguf *g, struct err *e)
{
	struct str model, json;
	int rc = gguf_str(g, HF_KEY, &json, e);
	if (rc > 0) {
		struct tokenizer *t = tokenizer_parse(json.p, json.n, e);
		if (!t)
			err_prefix(e, "%s: " HF_KEY, gguf_name(g));
		return t;
	}
	if (rc == 0)
		rc = gguf_str(g, "tokenizer.ggml.model", &model, e);
	if (rc < 1 || str_is(model, "none") || str_is(model, "no_vocab"))
		return NULL;
	if (!str_is(model, "gpt2") && !str_is(model, "llama")) {
		err_set(e, "%s: tokenizer.ggml.model: '%.*s' is not known", gguf_name(g),
			(int)(model.n < 64 ? model.n : 64), model.p);
		return NULL;
	}
	return of_lists(g, str_is(model, "gpt2"), e);
}

/* --- writing --- */

static void put_id(struct gguf_writer *w, const char *key, int64_t id)
{
	if (id >= 0)
		gguf_put_u32(w, key, (uint32_t)id);
}

/* The model's own end comes first, unless it is the tokenizer's that is put behind texts. A second one is
 * what llama.cpp calls the end of a turn. */
static void put_eos(struct gguf_writer *w, const struct model *m)
{
	const struct config *c = &m->config;
	size_t suffix = 0;
	int64_t own = m->tokenizer ? tokenizer_eos(m->tokenizer) : -1;
	if (m->tokenizer)
		tokenizer_suffix(m->tokenizer, &suffix);
	put_id(w, "tokenizer.ggml.eos_token_id", c->eos >= 0 && !suffix ? c->eos : own);
	if (c->neos > 1 && c->eos_list[0] == c->eos && !suffix)
		put_id(w, "tokenizer.ggml.eot_token_id", c->eos_list[1]);
}

static void put_parts(struct gguf_writer *w, const struct tok_parts *p)
{
	gguf_put_str(w, "tokenizer.ggml.model", p->byte_level ? STR("gpt2") : STR("llama"));
	gguf_put_str(w, "tokenizer.ggml.pre", p->byte_level ? p->pre : STR("default"));
	gguf_put_strs(w, "tokenizer.ggml.tokens", p->tokens, p->n);
	gguf_put_i32s(w, "tokenizer.ggml.token_type", p->types, p->n);
	if (p->byte_level)
		gguf_put_strs(w, "tokenizer.ggml.merges", p->merges, p->nmerges);
	else
		gguf_put_f32s(w, "tokenizer.ggml.scores", p->scores, p->n);
	if (!p->byte_level)
		gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", p->space_prefix);
	gguf_put_bool(w, "tokenizer.ggml.add_bos_token", p->add_bos);
	gguf_put_bool(w, "tokenizer.ggml.add_eos_token", p->add_eos);
}

int gguf_put_tokenizer(struct gguf_writer *w, const struct model *m, struct err *e)
{
	const struct config *c = &m->config;
	struct tok_parts p;
	struct buf json = { 0 };
	struct err ignored;
	int exact = 0;
	if (!m->tokenizer) {
		gguf_put_str(w, "tokenizer.ggml.model", STR("none"));
	} else {
		int rc = tokenizer_parts(m->tokenizer, c->vocab, &p, &exact, e);
		if (rc == 0)
			put_parts(w, &p);
		tok_parts_release(&p);
		if (rc < 0)
			return -1;
		if (!exact && tokenizer_json(m->tokenizer, &json, &ignored) == 0)
			gguf_put_str(w, HF_KEY, (struct str){ json.p, json.n });
		buf_release(&json);
	}
	int64_t bos = m->tokenizer ? tokenizer_bos(m->tokenizer) : -1;
	put_id(w, "tokenizer.ggml.bos_token_id", bos >= 0 ? bos : c->bos);
	put_eos(w, m);
	put_id(w, "tokenizer.ggml.padding_token_id", c->pad);
	if (m->chat_template)
		gguf_put_str(w, "tokenizer.chat_template", str_of(m->chat_template));
	return 0;
}
