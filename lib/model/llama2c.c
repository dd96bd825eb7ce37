/*
 * llama2c: the .bin files of llama2.c, read and written. Version 0 (legacy): seven ints, then float32
 * tensors, a kind of all layers one behind another, with tables of rotary angles that are not needed. Version
 * 1: magic "ak42", version, the same ints, a flag for the tied head, padding to 256 bytes.
 *
 * llama2.c turns neighbouring pairs (2i, 2i+1) where the checkpoint's layout turns (i, i + d/2): rows of q
 * and k are put in the other order on the way.
 */
#include "base/die.h"
#include "base/io.h"
#include "base/mem.h"
#include "model/load.h"
#include "model/rope.h"
#include "model/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC_V1 0x616b3432u
#define HEADER_V1 256
#define THETA 10000.0
#define EPS 1e-5f

struct header {
	int32_t dim, hidden, layers, heads, kv_heads, vocab, context;
};

/* One tensor in the file's order: its role, and what is done on the way. */
struct piece {
	enum role role;
	int layered, turned;
};

static const struct piece order_v0[] = { { ROLE_EMBED, 0, 0 }, { ROLE_ATTN_PRE, 1, 0 }, { ROLE_Q, 1, 1 },
	{ ROLE_K, 1, 1 }, { ROLE_V, 1, 0 }, { ROLE_O, 1, 0 }, { ROLE_MLP_PRE, 1, 0 }, { ROLE_GATE, 1, 0 },
	{ ROLE_DOWN, 1, 0 }, { ROLE_UP, 1, 0 }, { ROLE_FINAL_NORM, 0, 0 } };
static const struct piece order_v1[] = { { ROLE_ATTN_PRE, 1, 0 }, { ROLE_MLP_PRE, 1, 0 },
	{ ROLE_FINAL_NORM, 0, 0 }, { ROLE_EMBED, 0, 0 }, { ROLE_Q, 1, 1 }, { ROLE_K, 1, 1 }, { ROLE_V, 1, 0 },
	{ ROLE_O, 1, 0 }, { ROLE_GATE, 1, 0 }, { ROLE_DOWN, 1, 0 }, { ROLE_UP, 1, 0 } };
#define PIECES (sizeof order_v0 / sizeof *order_v0)

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int llama2c_is_v1(const void *p, size_t n)
{
	return n >= 4 && get_u32(p) == MAGIC_V1;
}

static struct param *find(const struct model *m, enum role role, size_t layer)
{
	char *name = arch_name(m->config.arch, role, layer, ".weight");
	struct param *p = model_param(m, name);
	free(name);
	ASSERT(p);
	return p;
}

static size_t freq_tables(const struct config *c)
{
	return mul_size(c->context, c->head_dim);
}

/* --- reading --- */

static int read_header(struct config *c, const uint8_t *p, int v1, const char *name, struct err *e)
{
	int32_t v[7];
	static const char *const what[] = { "dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads",
		"vocab_size", "max_seq_len" };
	size_t at = v1 ? 8 : 0;
	for (size_t i = 0; i < 7; i++) {
		v[i] = (int32_t)get_u32(p + at + 4 * i);
		/* A negative vocabulary says, in version 0, that the head is not the embedding. */
		int64_t bound = i == 5 && !v1 && v[i] < 0 ? -(int64_t)v[i] : v[i];
		if (bound < 1 || bound > 1 << 26)
			return err_set(e, "%s: byte %zu: %s is %ld: not a llama2.c model", name, at + 4 * i,
				what[i], (long)v[i]);
	}
	struct header h = { v[0], v[1], v[2], v[3], v[4], v[5], v[6] };
	int tied = v1 ? p[at + 28] != 0 : h.vocab > 0;
	struct buf b = { 0 };
	/* Through the one reader of configurations, which checks the rest. */
	buf_addf(&b,
		"{\"model_type\":\"llama\",\"hidden_size\":%ld,\"intermediate_size\":%ld,\"num_hidden_"
		"layers\":%ld,"
		"\"num_attention_heads\":%ld,\"num_key_value_heads\":%ld,\"vocab_size\":%ld,"
		"\"max_position_embeddings\":%ld,\"rms_norm_eps\":1e-5,\"rope_theta\":10000.0,"
		"\"tie_word_embeddings\":%s,\"bos_token_id\":1,\"eos_token_id\":2}",
		(long)h.dim, (long)h.hidden, (long)h.layers, (long)h.heads, (long)h.kv_heads,
		labs((long)h.vocab), (long)h.context, tied ? "true" : "false");
	int rc = config_parse(c, b.p, b.n, name, e);
	buf_release(&b);
	return rc;
}

static void read_tensor(struct param *p, const uint8_t *from, size_t head_dim, int turned)
{
	size_t cols = p->ndim == 2 ? p->shape[1] : 1;
	if (!turned) {
		to_f32(p->w, from, DTYPE_F32, p->count);
		return;
	}
	for (size_t r = 0; r < p->shape[0]; r++)
		to_f32(p->w + r * cols, from + rope_pair_row(r, head_dim) * cols * sizeof(float), DTYPE_F32,
			cols);
}

struct model *llama2c_read(const void *data, size_t n, const char *name, struct err *e)
{
	const uint8_t *p = data;
	int v1 = llama2c_is_v1(p, n);
	struct config c;
	if (n < (v1 ? HEADER_V1 : 28)) {
		err_set(e, "%s: byte %zu: the header is cut short", name, n);
		return NULL;
	}
	if (v1 && get_u32(p + 4) != 1) {
		err_set(e,
			"%s: byte 4: llama2.c version %lu is not read (version 2 is int8: export it in "
			"float32)",
			name, (unsigned long)get_u32(p + 4));
		return NULL;
	}
	if (read_header(&c, p, v1, name, e) < 0)
		return NULL;
	struct model *m = model_shell(&c);
	size_t at = v1 ? HEADER_V1 : 28, tables = v1 ? 0 : freq_tables(&c);
	uint64_t want = at + (uint64_t)sizeof(float) * (m->count + tables);
	if (n != want) {
		err_set(e, "%s: %zu bytes, its header wants %llu", name, n, (unsigned long long)want);
		model_free(m);
		return NULL;
	}
	model_alloc(m);
	for (size_t i = 0; i < PIECES; i++) {
		const struct piece *t = v1 ? &order_v1[i] : &order_v0[i];
		for (size_t l = 0; l < (t->layered ? c.layers : 1); l++) {
			struct param *to = find(m, t->role, l);
			read_tensor(to, p + at, c.head_dim, t->turned);
			at += to->count * sizeof(float);
		}
	}
	at += tables * sizeof(float);
	if (!c.tied)
		read_tensor(find(m, ROLE_HEAD, 0), p + at, c.head_dim, 0);
	return m;
}

/* --- writing --- */

static int check_fits(const struct config *c, const char *path, struct err *e)
{
	const char *why = NULL;
	if (strcmp(c->arch->model_type, "llama") != 0)
		why = "only the llama architecture";
	else if (c->qkv_bias || c->o_bias || c->mlp_bias)
		why = "no biases";
	else if (c->heads * c->head_dim != c->hidden)
		why = "only heads that make up the width";
	else if (c->rope.theta != THETA || c->rope.scaling != ROPE_NONE)
		why = "only rotary base 10000 without scaling";
	else if (c->act != ACT_SILU)
		why = "only SiLU";
	else if (c->norm_eps != EPS)
		why = "only norms with epsilon 1e-5";
	else if (c->context > INT32_MAX)
		why = "no such context";
	return why ? err_set(e, "%s: cannot be written: llama2.c has %s", path, why) : 0;
}

static void write_floats(struct writer *w, const float *p, size_t n)
{
	struct buf b = { 0 };
	for (size_t i = 0; i < n; i++) {
		uint32_t u;
		memcpy(&u, p + i, sizeof u);
		buf_add_u32(&b, u);
		if (b.n >= 1 << 16 || i + 1 == n) {
			writer_add(w, b.p, b.n);
			buf_reset(&b);
		}
	}
	buf_release(&b);
}

static void write_tensor(struct writer *w, const struct param *p, size_t head_dim, int turned)
{
	if (!turned) {
		write_floats(w, p->w, p->count);
		return;
	}
	size_t rows = p->shape[0], cols = p->shape[1], *from = xcalloc(rows, sizeof *from);
	for (size_t r = 0; r < rows; r++)
		from[rope_pair_row(r, head_dim)] = r;
	for (size_t r = 0; r < rows; r++)
		write_floats(w, p->w + from[r] * cols, cols);
	free(from);
}

/* Cosines, then sines, of every position: [context, head_dim / 2] each. llama2.c skips them; its size check
 * wants them. */
static void write_freq_tables(struct writer *w, const struct config *c)
{
	size_t half = c->head_dim / 2;
	float *row = xcalloc(half, sizeof *row);
	for (int sine = 0; sine < 2; sine++) {
		for (size_t t = 0; t < c->context; t++) {
			for (size_t i = 0; i < half; i++) {
				double a = (double)t * pow(THETA, -2.0 * (double)i / (double)c->head_dim);
				row[i] = (float)(sine ? sin(a) : cos(a));
			}
			write_floats(w, row, half);
		}
	}
	free(row);
}

static void write_header(struct writer *w, const struct config *c, int version)
{
	struct buf b = { 0 };
	if (version == 1) {
		buf_add_u32(&b, MAGIC_V1);
		buf_add_u32(&b, 1);
	}
	buf_add_u32(&b, (uint32_t)c->hidden);
	buf_add_u32(&b, (uint32_t)c->mlp_width);
	buf_add_u32(&b, (uint32_t)c->layers);
	buf_add_u32(&b, (uint32_t)c->heads);
	buf_add_u32(&b, (uint32_t)c->kv_heads);
	buf_add_u32(&b, version == 0 && !c->tied ? 0 - (uint32_t)c->vocab : (uint32_t)c->vocab);
	buf_add_u32(&b, (uint32_t)c->context);
	if (version == 1) {
		buf_addc(&b, c->tied);
		while (b.n < HEADER_V1)
			buf_addc(&b, 0);
	}
	writer_add(w, b.p, b.n);
	buf_release(&b);
}

int llama2c_write(const struct model *m, const char *path, int version, struct err *e)
{
	const struct config *c = &m->config;
	ASSERT(version == 0 || version == 1);
	if (check_fits(c, path, e) < 0)
		return -1;
	struct writer *w = writer_open(path, e);
	if (!w)
		return -1;
	write_header(w, c, version);
	for (size_t i = 0; i < PIECES; i++) {
		const struct piece *t = version ? &order_v1[i] : &order_v0[i];
		for (size_t l = 0; l < (t->layered ? c->layers : 1); l++)
			write_tensor(w, find(m, t->role, l), c->head_dim, t->turned);
	}
	if (version == 0)
		write_freq_tables(w, c);
	if (!c->tied)
		write_tensor(w, find(m, ROLE_HEAD, 0), c->head_dim, 0);
	return writer_commit(w, 0, e);
}
