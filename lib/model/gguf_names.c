#include "base/die.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/gguf_model.h"

#include <stdlib.h>
#include <string.h>

const char *const gguf_roles[ROLE_COUNT] = {
	[ROLE_EMBED] = "token_embd",
	[ROLE_POSITION] = "position_embd",
	[ROLE_FINAL_NORM] = "output_norm",
	[ROLE_HEAD] = "output",
	[ROLE_ATTN_PRE] = "blk.*.attn_norm",
	[ROLE_ATTN_POST] = "blk.*.post_attention_norm",
	[ROLE_MLP_PRE] = "blk.*.ffn_norm",
	[ROLE_MLP_POST] = "blk.*.post_ffw_norm",
	[ROLE_Q] = "blk.*.attn_q",
	[ROLE_K] = "blk.*.attn_k",
	[ROLE_V] = "blk.*.attn_v",
	[ROLE_QKV] = "blk.*.attn_qkv",
	[ROLE_O] = "blk.*.attn_output",
	[ROLE_Q_NORM] = "blk.*.attn_q_norm",
	[ROLE_K_NORM] = "blk.*.attn_k_norm",
	[ROLE_GATE] = "blk.*.ffn_gate",
	[ROLE_UP] = "blk.*.ffn_up",
	[ROLE_DOWN] = "blk.*.ffn_down",
};

static const char *const suffixes[] = { ".weight", ".bias" };

static void add_role(const struct model *m, const struct smap *names, struct gguf_param *list, enum role role)
{
	const char *t = gguf_roles[role], *star = strchr(t, '*');
	size_t layers = star ? m->config.layers : 1;
	for (size_t l = 0; l < layers; l++) {
		for (int bias = 0; bias < 2; bias++) {
			char *own = arch_name(m->config.arch, role, l, suffixes[bias]);
			const uint64_t *i = smap_get(names, own, strlen(own));
			free(own);
			if (!i)
				continue;
			list[*i] = (struct gguf_param){
				.name = star ? xasprintf("%.*s%zu%s%s", (int)(star - t), t, l, star + 1,
						       suffixes[bias])
					     : xasprintf("%s%s", t, suffixes[bias]),
				.role = role,
				.layer = l,
				.is_bias = bias,
			};
		}
	}
}

struct gguf_param *gguf_params(const struct model *m)
{
	struct gguf_param *list = xcalloc(m->nparams, sizeof *list);
	struct smap names = { 0 };
	for (size_t i = 0; i < m->nparams; i++)
		smap_put(&names, m->params[i].name, strlen(m->params[i].name), i, NULL);
	for (int role = 0; role < ROLE_COUNT; role++)
		if (m->config.arch->names[role])
			add_role(m, &names, list, (enum role)role);
	smap_release(&names);
	for (size_t i = 0; i < m->nparams; i++)
		ASSERT(list[i].name);
	return list;
}

void gguf_params_free(struct gguf_param *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(p[i].name);
	free(p);
}

int gguf_is_turned(const struct model *m, const struct gguf_param *p)
{
	return m->config.arch->gguf_pairs && (p->role == ROLE_Q || p->role == ROLE_K);
}
