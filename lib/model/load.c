/*
 * load: model_load: directories, runs, single files.
 */
#include "model/load.h"
#include "base/die.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "model/weights.h"
#include "tensor/gguf.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_JSON ((size_t)64 << 20) /* an index of a very large model */
#define MAX_TEXT ((size_t)16 << 20)
#define INDEX "model.safetensors.index.json"

/* --- weights --- */

static int has_suffix(const char *s, const char *const *list)
{
	for (; list && *list; list++)
		if (str_ends(s, *list))
			return 1;
	return 0;
}

#define UNKNOWN (NO_OFFSET - 1)

/* Index of the parameter that a tensor of a file is for: by its name, or by its name with the prefix that
 * bare decoders are published without. NO_OFFSET: a buffer or a tied head's copy, left aside; UNKNOWN:
 * neither. */
static size_t find_param(const struct model *m, const struct smap *names, const char *name)
{
	const struct arch *a = m->config.arch;
	char *longer = xasprintf("%s%s", a->prefix, name), *head = arch_name(a, ROLE_HEAD, 0, ".weight");
	const uint64_t *i = smap_get(names, name, strlen(name));
	size_t found = UNKNOWN;
	if (!i)
		i = smap_get(names, longer, strlen(longer));
	if (i)
		found = (size_t)*i;
	else if (has_suffix(name, a->ignored) || (m->config.tied && strcmp(name, head) == 0))
		found = NO_OFFSET;
	free(longer);
	free(head);
	return found;
}

static void add_shape(struct buf *b, int ndim, const size_t *shape)
{
	buf_addc(b, '[');
	for (int i = 0; i < ndim; i++)
		buf_addf(b, "%s%zu", i ? "," : "", shape[i]);
	buf_addc(b, ']');
}

static int check_tensor(const struct param *p, const struct tensor_view *t, const char *file, struct err *e)
{
	if (t->ndim != p->ndim || memcmp(t->shape, p->shape, (size_t)p->ndim * sizeof *p->shape) != 0) {
		struct buf is = { 0 }, want = { 0 };
		add_shape(&is, t->ndim, t->shape);
		add_shape(&want, p->ndim, p->shape);
		err_set(e, "%s: tensor '%s' is %s, the config wants %s", file, t->name, is.p, want.p);
		buf_release(&is);
		buf_release(&want);
		return -1;
	}
	if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_BF16 && t->dtype != DTYPE_F16 && t->dtype != DTYPE_F64)
		return err_set(e, "%s: tensor '%s': weights of type %s are not read", file, t->name,
			dtype_name(t->dtype));
	return 0;
}

/* views[i]: the tensor of parameter i. */
static int bind_tensors(const struct model *m, struct safetensors **files, const char **file_names, size_t n,
	const char *name, const struct tensor_view **views, struct err *e)
{
	struct smap names = { 0 };
	const struct tensor_view *head = NULL;
	int rc = 0;
	for (size_t i = 0; i < m->nparams; i++)
		smap_put(&names, m->params[i].name, strlen(m->params[i].name), i, NULL);
	for (size_t f = 0; rc == 0 && f < n; f++) {
		for (size_t i = 0; rc == 0 && i < safetensors_count(files[f]); i++) {
			const struct tensor_view *t = safetensors_at(files[f], i);
			size_t at = find_param(m, &names, t->name);
			if (at == UNKNOWN)
				rc = err_set(e, "%s: tensor '%s' has no place in a %s of this config",
					file_names[f], t->name, m->config.arch->model_type);
			else if (at == NO_OFFSET)
				head = str_ends(t->name, "lm_head.weight") ? t : head;
			else if (views[at])
				rc = err_set(e, "%s: tensor '%s' is there twice", file_names[f], t->name);
			else if ((rc = check_tensor(&m->params[at], t, file_names[f], e)) == 0)
				views[at] = t;
		}
	}
	/* Tied weights may be saved under the head's name alone. */
	if (rc == 0 && head && !views[0] && (rc = check_tensor(&m->params[0], head, name, e)) == 0)
		views[0] = head;
	for (size_t i = 0; rc == 0 && i < m->nparams; i++)
		if (!views[i])
			rc = err_set(e, "%s: tensor '%s' is missing", name, m->params[i].name);
	smap_release(&names);
	return rc;
}

static const struct tensor_view *find_tensor(struct safetensors **files, size_t n, const char *name)
{
	const struct tensor_view *t = NULL;
	for (size_t i = 0; !t && i < n; i++)
		t = safetensors_get(files[i], name);
	return t;
}

/* transformers ties what is equal only: weights with a head of their own have one, whatever the config says.
 */
static void settle_tied(struct config *c, struct safetensors **files, size_t n)
{
	char *embed = arch_name(c->arch, ROLE_EMBED, 0, ".weight"),
	     *head = arch_name(c->arch, ROLE_HEAD, 0, ".weight");
	const struct tensor_view *x = find_tensor(files, n, embed), *y = find_tensor(files, n, head);
	if (!x)
		x = find_tensor(files, n, embed + strlen(c->arch->prefix));
	if (c->tied && x && y && x->dtype == y->dtype && x->count == y->count &&
		memcmp(x->data, y->data, x->count * dtype_size(x->dtype)) != 0)
		c->tied = 0;
	free(embed);
	free(head);
}

#define PIECE ((size_t)1 << 18)

static void copy_tensor(const struct param *p, const struct tensor_view *t)
{
	size_t pieces = (p->count + PIECE - 1) / PIECE, size = dtype_size(t->dtype);
#pragma omp parallel for if (pieces > 1)
	for (size_t i = 0; i < pieces; i++) {
		size_t at = i * PIECE, n = p->count - at < PIECE ? p->count - at : PIECE;
		to_f32(p->w + at, (const char *)t->data + at * size, t->dtype, n);
	}
}

static int quant_of(enum dtype t)
{
	return t == DTYPE_F32 ? QUANT_F32 : t == DTYPE_BF16 ? QUANT_BF16 : t == DTYPE_F16 ? QUANT_F16 : -1;
}

/* f64 does not stay either. */
static int stays_stored(const struct model *m, const struct tensor_view *const *views)
{
	for (size_t i = 0; i < m->nparams; i++)
		if (quant_of(views[i]->dtype) < 0)
			return 0;
	return weights_stay(m);
}

int load_weights(struct model *m, struct safetensors **files, const char **file_names, size_t n,
	const char *name, struct err *e)
{
	const struct tensor_view **views = xcalloc(m->nparams, sizeof *views);
	int rc = bind_tensors(m, files, file_names, n, name, views, e);
	if (rc == 0) {
		int stored = stays_stored(m, views);
		(stored ? model_alloc_vectors : model_alloc)(m);
		m->config.file_dtype = views[0]->dtype;
		for (size_t i = 0; i < m->nparams; i++) {
			if (stored)
				param_store(
					&m->params[i], views[i]->data, (enum quant)quant_of(views[i]->dtype));
			else
				copy_tensor(&m->params[i], views[i]);
			m->params[i].file_type = dtype_name(views[i]->dtype);
			/* Written in one type again, nothing may be lost. */
			if (views[i]->dtype != views[0]->dtype)
				m->config.file_dtype = DTYPE_F32;
		}
	}
	free(views);
	return rc;
}

static void close_file(void *p)
{
	safetensors_close(p);
}

/* The files' tensors stay where they are as long as the model wants them. */
static void hold_files(struct model *m, struct safetensors **files, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		model_hold(m, files[i], close_file);
		files[i] = NULL;
	}
}

/* --- what stands beside the weights --- */

/* The text of an optional JSON file; 0 also when it is not there (text stays NULL). */
static int read_text(const char *dir, const char *file, char **text, struct err *e)
{
	char *path = path_join(dir, file);
	struct buf b = { 0 };
	int rc = 0;
	if (path_exists(path)) {
		rc = file_read(path, &b, MAX_TEXT, e);
		if (rc == 0)
			*text = xstrndup(b.p ? b.p : "", b.n);
		buf_release(&b);
	}
	free(path);
	return rc;
}

static int check_json(const char *text, const char *dir, const char *file, struct err *e)
{
	struct arena a = { 0 };
	int ok = !text || json_parse(&a, text, strlen(text), JSON_LAX, e) != NULL;
	arena_release(&a);
	return ok ? 0 : err_prefix(e, "%s/%s", dir, file);
}

/* tokenizer_config.json's chat_template: a text, or a list of {name, template} of which "default" counts. */
static int template_of_config(const char *dir, char **text, struct err *e)
{
	char *config = NULL;
	struct arena a = { 0 };
	if (read_text(dir, "tokenizer_config.json", &config, e) < 0)
		return -1;
	if (!config)
		return 0;
	int rc = 0;
	const struct json *root = json_parse(&a, config, strlen(config), JSON_LAX, e), *t = NULL;
	if (!root)
		rc = err_prefix(e, "%s/tokenizer_config.json", dir);
	else
		t = json_get(root, "chat_template");
	if (json_is(t, JSON_ARRAY)) {
		const struct json *list = t;
		t = NULL;
		for (size_t i = 0; i < list->n; i++)
			if (strcmp(json_cstr(&list->kids[i], "name", ""), "default") == 0)
				t = json_get(&list->kids[i], "template");
	}
	if (json_is(t, JSON_STRING))
		*text = xstrndup(t->s.p, t->s.n);
	arena_release(&a);
	free(config);
	return rc;
}

static int has_tokenizer(const char *dir)
{
	static const char *const files[] = { "tokenizer.json", "tokenizer.model", "merges.txt", "vocab.bpe" };
	int found = 0;
	for (size_t i = 0; !found && i < sizeof files / sizeof *files; i++)
		found = dir_has(dir, files[i]);
	return found;
}

static int check_vocab(const struct model *m, const char *name, struct err *e)
{
	if (m->tokenizer && tokenizer_vocab(m->tokenizer) > m->config.vocab)
		return err_set(e, "%s: the tokenizer has %u ids, vocab_size is %zu", name,
			(unsigned)tokenizer_vocab(m->tokenizer), m->config.vocab);
	return 0;
}

static int load_extras(struct model *m, const char *dir, struct err *e)
{
	if (has_tokenizer(dir)) {
		m->tokenizer = tokenizer_load(dir, NULL, e);
		if (!m->tokenizer || check_vocab(m, dir, e) < 0)
			return -1;
	}
	if (read_text(dir, "generation_config.json", &m->generation_config, e) < 0 ||
		check_json(m->generation_config, dir, "generation_config.json", e) < 0 ||
		read_text(dir, "chat_template.jinja", &m->chat_template, e) < 0)
		return -1;
	return m->chat_template ? 0 : template_of_config(dir, &m->chat_template, e);
}

/* --- directories --- */

struct shards {
	struct safetensors **files;
	const char **names;
	size_t n, files_cap, names_cap;
};

static int open_shard(struct shards *s, const char *dir, const char *file, struct err *e)
{
	GROW(s->files, s->files_cap, s->n + 1);
	GROW(s->names, s->names_cap, s->n + 1);
	char *path = path_join(dir, file);
	struct safetensors *f = safetensors_open(path, e);
	if (!f) {
		free(path);
		return -1;
	}
	s->files[s->n] = f;
	s->names[s->n++] = path;
	return 0;
}

static void close_shards(struct shards *s)
{
	for (size_t i = 0; i < s->n; i++) {
		safetensors_close(s->files[i]);
		free((void *)(uintptr_t)s->names[i]);
	}
	free(s->files);
	free(s->names);
}

/* The files that the index names. They must lie in the folder itself: an index is input, and may not reach
 * out. */
static int open_index(struct shards *s, const char *dir, const char *index, struct err *e)
{
	struct arena a = { 0 };
	struct smap seen = { 0 };
	int rc = -1;
	const struct json *root = json_load(&a, index, MAX_JSON, JSON_LAX, e),
			  *map = json_get(root, "weight_map");
	if (!root)
		goto out;
	if (!json_is(map, JSON_OBJECT) || !map->n) {
		err_set(e, "%s: wants a weight_map", index);
		goto out;
	}
	for (size_t i = 0; i < map->n; i++) {
		const struct json *v = &map->kids[i];
		int fresh;
		if (v->type != JSON_STRING || !v->s.n || memchr(v->s.p, '/', v->s.n) ||
			memchr(v->s.p, 0, v->s.n) || v->s.p[0] == '.') {
			err_set(e, "%s: byte %zu: a shard must be a file name in the same folder", index,
				v->at);
			goto out;
		}
		smap_put(&seen, v->s.p, v->s.n, 0, &fresh);
		if (!fresh)
			continue;
		char *name = arena_strndup(&a, v->s.p, v->s.n);
		if (open_shard(s, dir, name, e) < 0)
			goto out;
	}
	rc = 0;
out:
	smap_release(&seen);
	arena_release(&a);
	return rc;
}

static int open_shards(struct shards *s, const char *dir, struct err *e)
{
	char *one = path_join(dir, "model.safetensors"), *index = path_join(dir, INDEX);
	int rc;
	if (path_exists(one))
		rc = open_shard(s, dir, "model.safetensors", e);
	else if (path_exists(index))
		rc = open_index(s, dir, index, e);
	else
		rc = err_set(e, "%s: has neither model.safetensors nor " INDEX, dir);
	free(one);
	free(index);
	return rc;
}

static int read_config(struct config *c, const char *dir, struct err *e)
{
	char *path = path_join(dir, "config.json");
	struct buf b = { 0 };
	int rc = file_read(path, &b, MAX_TEXT, e);
	if (rc == 0)
		rc = config_parse(c, b.p ? b.p : "", b.n, path, e);
	buf_release(&b);
	free(path);
	return rc;
}

static struct model *load_dir(const char *dir, struct err *e)
{
	struct config c;
	struct shards s = { 0 };
	struct model *m = NULL;
	if (read_config(&c, dir, e) == 0 && open_shards(&s, dir, e) == 0) {
		settle_tied(&c, s.files, s.n);
		m = model_shell(&c);
		if (load_weights(m, s.files, s.names, s.n, dir, e) < 0 || load_extras(m, dir, e) < 0) {
			model_free(m);
			m = NULL;
		} else {
			hold_files(m, s.files, s.n);
		}
	}
	close_shards(&s);
	return m;
}

static struct model *load_any_dir(const char *path, struct err *e)
{
	if (dir_has(path, "config.json"))
		return load_dir(path, e);
	char *dir = run_checkpoint(path);
	if (!dir) {
		err_set(e, "%s: has no config.json and no checkpoint of a run", path);
		return NULL;
	}
	struct model *m = load_dir(dir, e);
	free(dir);
	return m;
}

/* --- single files --- */

static char *copy_meta(const struct safetensors *s, const char *key)
{
	const char *v = safetensors_meta(s, key);
	return v ? xstrdup(v) : NULL;
}

static struct model *load_single(struct safetensors **file, const char *name, struct err *e)
{
	struct config c;
	struct safetensors *s = *file;
	const char *config = safetensors_meta(s, "config"), *tokenizer = safetensors_meta(s, "tokenizer");
	if (!config) {
		err_set(e,
			"%s: has no config in its metadata (a shard of a directory? then name the directory)",
			name);
		return NULL;
	}
	if (config_parse(&c, config, strlen(config), "config", e) < 0) {
		err_prefix(e, "%s", name);
		return NULL;
	}
	settle_tied(&c, &s, 1);
	struct model *m = model_shell(&c);
	int rc = load_weights(m, &s, &name, 1, name, e);
	if (rc == 0 && tokenizer) {
		m->tokenizer = tokenizer_parse(tokenizer, strlen(tokenizer), e);
		rc = m->tokenizer ? check_vocab(m, name, e) : err_prefix(e, "%s: tokenizer", name);
	}
	m->generation_config = copy_meta(s, "generation_config");
	m->chat_template = copy_meta(s, "chat_template");
	if (rc < 0) {
		model_free(m);
		return NULL;
	}
	hold_files(m, file, 1);
	return m;
}

static struct model *load_safetensors(struct safetensors *s, const char *name, struct err *e)
{
	struct model *m = s ? load_single(&s, name, e) : NULL;
	safetensors_close(s);
	return m;
}

static void close_gguf(void *p)
{
	gguf_close(p);
}

static struct model *load_gguf(struct gguf *g, struct err *e)
{
	struct model *m = g ? gguf_read(g, e) : NULL;
	if (m && !m->resident)
		model_hold(m, g, close_gguf);
	else
		gguf_close(g);
	return m;
}

/* What comes down a pipe is in memory as a whole before it is looked at. */
static struct model *load_pipe(const char *path, const char *name, struct err *e)
{
	struct buf b = { 0 };
	struct model *m = NULL;
	if (file_read(path, &b, SIZE_MAX / 4, e) == 0)
		m = gguf_is(b.p, b.n)
			    ? load_gguf(gguf_parse(b.p, b.n, name, e), e)
			    : load_safetensors(safetensors_parse(b.p ? b.p : "", b.n, name, e), name, e);
	if (m)
		model_want_weights(m); /* b goes */
	buf_release(&b);
	return m;
}

/* llama2.c keeps its tokenizer beside the model under a fixed name; one that fits is taken. */
static void add_llama2c_tokenizer(struct model *m, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup("."),
	     *file = path_join(dir, "tokenizer.bin");
	struct err ignored;
	if (path_exists(file))
		m->tokenizer = tokenizer_load(file, NULL, &ignored);
	if (m->tokenizer && tokenizer_vocab(m->tokenizer) != m->config.vocab) {
		tokenizer_free(m->tokenizer);
		m->tokenizer = NULL;
	}
	free(file);
	free(dir);
}

static struct model *load_compressed_llama2c(const char *path, struct err *e)
{
	struct buf b = { 0 };
	struct model *m = NULL;
	if (file_read(path, &b, SIZE_MAX / 4, e) == 0)
		m = llama2c_read((const uint8_t *)b.p, b.n, path, e);
	buf_release(&b);
	return m;
}

/* A regular file, by what stands in it; a name only tells a legacy llama2.c file, which has no magic. */
static struct model *load_file(const char *path, struct err *e)
{
	struct map_file f;
	struct model *m = NULL;
	int compressed = str_ends(path, ".bin.gz"), llama2c = compressed || str_ends(path, ".bin");
	if (map_open(&f, path, e) < 0)
		return NULL;
	if (gguf_is(f.p, f.n))
		m = load_gguf(gguf_open(path, e), e);
	else if (compressed && is_gzip(f.p, f.n))
		m = load_compressed_llama2c(path, e);
	else if (llama2c_is_v1(f.p, f.n) || llama2c)
		m = llama2c_read(f.p, f.n, path, e);
	else
		m = load_safetensors(safetensors_open(path, e), path, e);
	map_close(&f);
	if (m && !m->tokenizer && llama2c)
		add_llama2c_tokenizer(m, path);
	return m;
}

struct model *model_open(const char *path, struct err *e)
{
	struct stat st;
	if (strcmp(path, "-") == 0)
		return load_pipe("-", "stdin", e);
	if (stat(path, &st) < 0) {
		err_set(e, "%s: cannot open:", path);
		return NULL;
	}
	if (S_ISDIR(st.st_mode))
		return load_any_dir(path, e);
	return S_ISREG(st.st_mode) ? load_file(path, e) : load_pipe(path, path, e);
}

struct model *model_load(const char *path, struct err *e)
{
	struct model *m = model_open(path, e);
	if (m)
		model_want_weights(m);
	return m;
}
