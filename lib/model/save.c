/*
 * save: model_save_dir and model_save_file: what Hugging Face libraries load as it stands.
 */
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/stream.h"
#include "tensor/safetensors.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int give(void *ctx, const void *p, size_t n)
{
	return safetensors_writer_data(ctx, p, n);
}

static int write_weights(const struct model *m, enum dtype t, struct safetensors_writer *s, struct writer *w)
{
	struct stream as = { .type = t == DTYPE_BF16 ? QUANT_BF16 : t == DTYPE_F16 ? QUANT_F16 : QUANT_F32 };
	int rc = 0, bad = 0;
	ASSERT(t <= DTYPE_F16);
	/* transformers refuses a file whose metadata does not name a framework's layout. */
	safetensors_writer_meta(s, "format", "pt", 2);
	for (size_t i = 0; i < m->nparams; i++)
		safetensors_writer_declare(s, m->params[i].name, t, m->params[i].ndim, m->params[i].shape);
	rc = safetensors_writer_begin(s, w);
	for (size_t i = 0; rc == 0 && i < m->nparams; i++)
		rc = param_stream(&m->params[i], &as, give, s, &bad);
	if (rc == 0)
		safetensors_writer_end(s);
	else
		safetensors_writer_free(s);
	return rc;
}

static int save_text(const char *dir, const char *file, const char *p, size_t n, int sync, struct err *e)
{
	char *path = path_join(dir, file);
	struct writer *w = writer_open(path, e);
	free(path);
	if (!w)
		return -1;
	writer_add(w, p, n);
	return writer_commit(w, sync, e);
}

static int save_buf(const char *dir, const char *file, struct buf *b, int sync, struct err *e)
{
	int rc = save_text(dir, file, b->p ? b->p : "", b->n, sync, e);
	buf_release(b);
	return rc;
}

/* What a directory holds besides may be of another model: an old tokenizer must not stay beside new weights.
 */
static int drop(const char *dir, const char *file, struct err *e)
{
	char *path = path_join(dir, file);
	int rc = path_exists(path) && unlink(path) < 0 ? err_set(e, "%s: cannot remove:", path) : 0;
	free(path);
	return rc;
}

/* A role's token: the tokenizer's own, else the config's where that is a special token. */
static void add_token(
	struct buf *b, const struct tokenizer *t, const char *key, int64_t id, int64_t from_config)
{
	int special = 1;
	if (id < 0) {
		id = from_config;
		if (id < 0 || id >= (int64_t)tokenizer_vocab(t))
			return;
		tokenizer_bytes(t, (uint32_t)id, &special);
	}
	if (!special)
		return;
	struct str s = tokenizer_bytes(t, (uint32_t)id, NULL);
	buf_adds(b, ",\n  ");
	json_add_cstr(b, key);
	buf_adds(b, ": ");
	json_add_str(b, s.p, s.n);
}

/* transformers' AutoTokenizer wants to be told which class reads a tokenizer.json. */
static void tokenizer_config(const struct model *m, struct buf *b)
{
	const struct tokenizer *t = m->tokenizer;
	buf_adds(b, "{\n  \"tokenizer_class\": \"PreTrainedTokenizerFast\",\n  "
		    "\"clean_up_tokenization_spaces\": false");
	buf_addf(b, ",\n  \"model_max_length\": %zu", m->config.context);
	add_token(b, t, "bos_token", tokenizer_bos(t), m->config.bos);
	add_token(b, t, "eos_token", tokenizer_eos(t), m->config.eos);
	add_token(b, t, "pad_token", -1, m->config.pad);
	buf_adds(b, "\n}\n");
}

static int save_tokenizer(const struct model *m, const char *dir, int sync, struct err *e)
{
	struct buf b = { 0 };
	if (!m->tokenizer)
		return drop(dir, "tokenizer.json", e) < 0 || drop(dir, "tokenizer_config.json", e) < 0 ? -1
												       : 0;
	if (tokenizer_json(m->tokenizer, &b, e) < 0) {
		buf_release(&b);
		return err_prefix(e, "%s/tokenizer.json", dir);
	}
	if (save_buf(dir, "tokenizer.json", &b, sync, e) < 0)
		return -1;
	tokenizer_config(m, &b);
	return save_buf(dir, "tokenizer_config.json", &b, sync, e);
}

static void add_id(struct buf *b, const char *key, int64_t id)
{
	if (id >= 0)
		buf_addf(b, "%s\n  \"%s\": %lld", b->n > 1 ? "," : "", key, (long long)id);
}

static int save_generation_config(const struct model *m, const char *dir, int sync, struct err *e)
{
	struct buf b = { 0 };
	if (m->generation_config)
		return save_text(dir, "generation_config.json", m->generation_config,
			strlen(m->generation_config), sync, e);
	buf_addc(&b, '{');
	add_id(&b, "bos_token_id", m->config.bos);
	add_id(&b, "eos_token_id", m->config.eos);
	add_id(&b, "pad_token_id", m->config.pad);
	buf_adds(&b, "\n}\n");
	return save_buf(dir, "generation_config.json", &b, sync, e);
}

static int save_weights(const struct model *m, const char *dir, enum dtype t, int sync, struct err *e)
{
	char *path = path_join(dir, "model.safetensors");
	struct writer *w = writer_open(path, e);
	free(path);
	if (!w)
		return -1;
	write_weights(m, t, safetensors_writer_new(), w);
	return writer_commit(w, sync, e);
}

int model_save_dir(const struct model *m, const char *dir, enum dtype t, int sync, struct err *e)
{
	struct buf b = { 0 };
	if (save_weights(m, dir, t, sync, e) < 0 || save_tokenizer(m, dir, sync, e) < 0 ||
		save_generation_config(m, dir, sync, e) < 0)
		return -1;
	if (m->chat_template ? save_text(dir, "chat_template.jinja", m->chat_template,
				       strlen(m->chat_template), sync, e)
			     : drop(dir, "chat_template.jinja", e))
		return -1;
	config_json(&m->config, t, &b);
	if (save_buf(dir, "config.json", &b, sync, e) < 0)
		return -1;
	return sync ? path_sync(dir, e) : 0;
}

/* The files that model_save_dir writes: what may have to be removed again. */
static const char *const dir_files[] = { "model.safetensors", "tokenizer.json", "tokenizer_config.json",
	"generation_config.json", "chat_template.jinja", "config.json" };
#define DIR_FILES (sizeof dir_files / sizeof *dir_files)

static void remove_dir(const char *dir)
{
	for (size_t i = 0; i < DIR_FILES; i++) {
		char *path = path_join(dir, dir_files[i]);
		unlink(path);
		free(path);
	}
	rmdir(dir);
}

/* Writes the folder under a temporary name, which goes away with the process, then renames it. */
static int save_and_rename(
	const struct model *m, const char *temp, const char *place, enum dtype t, struct err *e)
{
	int slots[DIR_FILES + 1];
	if (path_mkdir(temp, e) < 0)
		return err_set(e, "%s: cannot create:", place);
	slots[DIR_FILES] = io_register_temp(temp);
	for (size_t i = 0; i < DIR_FILES; i++) {
		char *path = path_join(temp, dir_files[i]);
		slots[i] = io_register_temp(path);
		free(path);
	}
	int rc = model_save_dir(m, temp, t, 0, e);
	if (rc == 0 && rename(temp, place) < 0)
		rc = err_set(e, "%s: cannot rename:", place);
	if (rc < 0)
		remove_dir(temp);
	for (size_t i = 0; i <= DIR_FILES; i++)
		io_forget_temp(slots[i]);
	return rc;
}

int model_save_new_dir(const struct model *m, const char *dir, enum dtype t, struct err *e)
{
	size_t n = strlen(dir);
	while (n > 1 && dir[n - 1] == '/')
		n--;
	char *place = xstrndup(dir, n), *slash = strrchr(place, '/');
	size_t folder = slash ? (size_t)(slash - place + 1) : 0;
	char *temp = xasprintf("%.*s.%s.%ld.tmp", (int)folder, place, place + folder, (long)getpid());
	int rc;
	/* rename replaces an empty folder, and no other. */
	if (path_exists(place) && (!path_is_dir(place) || rmdir(place) < 0))
		rc = err_set(e, "%s: is there already", dir);
	else
		rc = save_and_rename(m, temp, place, t, e);
	free(temp);
	free(place);
	return rc;
}

static void add_meta(struct safetensors_writer *s, const char *key, const char *text)
{
	if (text)
		safetensors_writer_meta(s, key, text, strlen(text));
}

int model_save_file(const struct model *m, const char *path, enum dtype t, struct err *e)
{
	struct buf config = { 0 }, tokenizer = { 0 };
	if (m->tokenizer && tokenizer_json(m->tokenizer, &tokenizer, e) < 0) {
		buf_release(&tokenizer);
		return err_prefix(e, "%s", path);
	}
	struct safetensors_writer *s = safetensors_writer_new();
	config_json(&m->config, t, &config);
	safetensors_writer_meta(s, "config", config.p, config.n);
	if (tokenizer.n)
		safetensors_writer_meta(s, "tokenizer", tokenizer.p, tokenizer.n);
	add_meta(s, "generation_config", m->generation_config);
	add_meta(s, "chat_template", m->chat_template);
	buf_release(&config);
	buf_release(&tokenizer);
	struct writer *w = writer_open(path, e);
	if (!w) {
		safetensors_writer_free(s);
		return -1;
	}
	write_weights(m, t, s, w);
	return writer_commit(w, 0, e);
}
