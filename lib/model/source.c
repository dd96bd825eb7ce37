/*
 * source: what the name of a MODEL stands for, and the tokenizer in it, without reading weights.
 */
#include "base/io.h"
#include "base/mem.h"
#include "model/gguf_model.h"
#include "model/load.h"
#include "text/tokenizer.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

int dir_has(const char *dir, const char *file)
{
	char *path = path_join(dir, file);
	int found = path_exists(path);
	free(path);
	return found;
}

char *run_checkpoint(const char *run)
{
	char *latest = path_join(run, "latest"), *best = NULL;
	if (dir_has(latest, "config.json"))
		return latest;
	free(latest);
	DIR *d = opendir(run);
	struct dirent *f;
	unsigned long long best_step = 0;
	while (d && (f = readdir(d)) != NULL) {
		char *end;
		if (strncmp(f->d_name, "step-", 5) != 0 || f->d_name[5] < '0' || f->d_name[5] > '9')
			continue;
		unsigned long long step = strtoull(f->d_name + 5, &end, 10);
		char *path = path_join(run, f->d_name);
		if (*end || (best && step < best_step) || !dir_has(path, "config.json") ||
			!dir_has(path, "model.safetensors")) {
			free(path);
			continue;
		}
		free(best);
		best = path;
		best_step = step;
	}
	if (d)
		closedir(d);
	return best;
}

static struct tokenizer *carried_tokenizer(const char *path, const char *pattern, struct err *e)
{
	struct safetensors *s = safetensors_open(path, e);
	const char *text = s ? safetensors_meta(s, "tokenizer") : NULL;
	struct tokenizer *t = NULL;
	if (s && !text)
		err_set(e, "%s: has no tokenizer in its metadata", path);
	else if (s && pattern)
		err_set(e, "%s: --pattern wants the tokenizer in a file of its own", path);
	else if (s && !(t = tokenizer_parse(text, strlen(text), e)))
		err_prefix(e, "%s: tokenizer", path);
	safetensors_close(s);
	return t;
}

/* GGUF by its magic; a directory or a pipe is none. */
static int is_gguf_file(const char *path)
{
	struct map_file f;
	int is = map_open(&f, path, NULL) == 0 && gguf_is(f.p, f.n);
	map_close(&f);
	return is;
}

static struct tokenizer *gguf_file_tokenizer(const char *path, const char *pattern, struct err *e)
{
	struct gguf *g = gguf_open(path, e);
	struct tokenizer *t = NULL;
	e->msg[0] = g ? 0 : e->msg[0];
	if (g && pattern)
		err_set(e, "%s: --pattern wants the tokenizer in a file of its own", path);
	else if (g && !(t = gguf_tokenizer(g, e)) && !e->msg[0])
		err_set(e, "%s: has no tokenizer in its metadata", path);
	gguf_close(g);
	return t;
}

struct tokenizer *model_tokenizer(const char *path, const char *pattern, struct err *e)
{
	if (str_ends(path, ".safetensors"))
		return carried_tokenizer(path, pattern, e);
	if (is_gguf_file(path))
		return gguf_file_tokenizer(path, pattern, e);
	int is_run = path_is_dir(path) && !dir_has(path, "config.json") && !dir_has(path, "tokenizer.json");
	char *checkpoint = is_run ? run_checkpoint(path) : NULL;
	struct tokenizer *t = tokenizer_load(checkpoint ? checkpoint : path, pattern, e);
	free(checkpoint);
	return t;
}
