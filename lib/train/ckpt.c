#include "train/ckpt.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/version.h"
#include "tensor/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STATE_FILE "state.safetensors"
#define STATE_FORMAT 1

void run_state_release(struct run_state *s)
{
	free(s->options);
	s->options = NULL;
}

/* --- the folder --- */

char *ckpt_path(const char *run, uint64_t step)
{
	return xasprintf("%s/step-%llu", run, (unsigned long long)step);
}

/* N of "step-N", -1 for any other name. */
static int64_t step_of(const char *name)
{
	if (strncmp(name, "step-", 5) != 0 || name[5] < '0' || name[5] > '9' || (name[5] == '0' && name[6]))
		return -1;
	char *end;
	errno = 0;
	long long n = strtoll(name + 5, &end, 10);
	return *end || errno ? -1 : n;
}

static int has_state(const char *run, uint64_t step)
{
	char *dir = ckpt_path(run, step), *file = path_join(dir, STATE_FILE);
	int there = path_exists(file);
	free(file);
	free(dir);
	return there;
}

int ckpt_find(const char *run, uint64_t *step, struct err *e)
{
	DIR *d = opendir(run);
	if (!d)
		return errno == ENOENT ? 0 : err_set(e, "%s: cannot read:", run);
	int found = 0;
	for (struct dirent *f; (f = readdir(d));) {
		int64_t n = step_of(f->d_name);
		if (n < 0 || (found && (uint64_t)n < *step) || !has_state(run, (uint64_t)n))
			continue;
		*step = (uint64_t)n;
		found = 1;
	}
	closedir(d);
	return found;
}

int ckpt_lock(const char *run, struct err *e)
{
	char *path = path_join(run, ".lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	free(path);
	if (fd < 0)
		return err_set(e, "%s: cannot create its lock:", run);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	if (fcntl(fd, F_SETLK, &l) == 0)
		return 0; /* the descriptor stays open: closing it would let go */
	int taken = errno == EACCES || errno == EAGAIN;
	if (taken)
		err_set(e, "%s: another trainer is at work here", run);
	else
		err_set(e, "%s: cannot lock:", run);
	close(fd);
	return -1;
}

/* Removes a folder and the files in it (checkpoints hold no folders). */
static void remove_dir(const char *path)
{
	DIR *d = opendir(path);
	if (!d)
		return;
	for (struct dirent *f; (f = readdir(d));) {
		if (strcmp(f->d_name, ".") == 0 || strcmp(f->d_name, "..") == 0)
			continue;
		char *file = path_join(path, f->d_name);
		unlink(file);
		free(file);
	}
	closedir(d);
	rmdir(path);
}

/* RUN/latest -> step-N by rename, so that it never dangles or misses. */
static int point_latest(const char *run, uint64_t step, struct err *e)
{
	char *link = path_join(run, "latest"), *temp = xasprintf("%s/.latest.%ld.tmp", run, (long)getpid());
	char *target = xasprintf("step-%llu", (unsigned long long)step);
	char now[PATH_MAX];
	ssize_t n = readlink(link, now, sizeof now - 1);
	int rc = 0;
	if (n < 0 || strncmp(now, target, (size_t)n) != 0 || target[n]) {
		unlink(temp);
		if (symlink(target, temp) < 0 || rename(temp, link) < 0) {
			rc = err_set(e, "%s: cannot set the link:", link);
			unlink(temp);
		} else {
			rc = path_sync(run, e);
		}
	}
	free(target);
	free(temp);
	free(link);
	return rc;
}

/* A checkpoint that goes away loses its name first: half of it is never mistaken for a whole one. */
static void remove_step(const char *run, uint64_t step)
{
	char *path = ckpt_path(run, step);
	char *temp = xasprintf("%s/.step-%llu.%ld.tmp", run, (unsigned long long)step, (long)getpid());
	if (rename(path, temp) == 0)
		remove_dir(temp);
	free(temp);
	free(path);
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void remove_older(const char *run, uint64_t keep)
{
	uint64_t *steps = NULL;
	size_t n = 0, cap = 0;
	DIR *d = opendir(run);
	if (!d)
		return;
	for (struct dirent *f; (f = readdir(d));) {
		int64_t s = step_of(f->d_name);
		if (s < 0 || !has_state(run, (uint64_t)s))
			continue;
		GROW(steps, cap, n + 1);
		steps[n++] = (uint64_t)s;
	}
	closedir(d);
	if (n)
		qsort(steps, n, sizeof *steps, by_number);
	for (size_t i = 0; i + keep < n; i++)
		remove_step(run, steps[i]);
	free(steps);
}

/* Removes temporary files, and in the run's own folder temporary checkpoints. */
static int clean_dir(const char *dir, struct err *e)
{
	DIR *d = opendir(dir);
	if (!d)
		return err_set(e, "%s: cannot read:", dir);
	for (struct dirent *f; (f = readdir(d));) {
		if (f->d_name[0] != '.' || !str_ends(f->d_name, ".tmp"))
			continue;
		char *path = path_join(dir, f->d_name);
		if (unlink(path) < 0)
			remove_dir(path);
		free(path);
	}
	closedir(d);
	return 0;
}

int ckpt_clean(const char *run, struct err *e)
{
	uint64_t step;
	int rc = clean_dir(run, e);
	if (rc == 0)
		rc = ckpt_find(run, &step, e);
	if (rc <= 0)
		return rc;
	char *newest = ckpt_path(run, step);
	rc = clean_dir(newest, e);
	free(newest);
	return rc < 0 ? -1 : point_latest(run, step, e);
}

/* --- writing --- */

static void add_key(struct buf *b, const char *key)
{
	buf_addc(b, b->n > 1 ? ',' : '{');
	json_add_cstr(b, key);
	buf_addc(b, ':');
}

static void add_u64(struct buf *b, const char *key, uint64_t v)
{
	add_key(b, key);
	if (v == UINT64_MAX)
		buf_adds(b, "null");
	else
		buf_addf(b, "%llu", (unsigned long long)v);
}

static void add_num(struct buf *b, const char *key, double v)
{
	add_key(b, key);
	json_add_num(b, v);
}

static void add_nums(struct buf *b, const char *key, const double *v, size_t n)
{
	add_key(b, key);
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(b, ',');
		json_add_num(b, v[i]);
	}
	buf_addc(b, ']');
}

static void state_json(const struct trainer *t, const struct run_state *s, struct buf *b)
{
	size_t seen = t->guard.seen < GUARD_WINDOW ? t->guard.seen : GUARD_WINDOW;
	char digest[17];
	snprintf(digest, sizeof digest, "%016llx", (unsigned long long)s->digest);
	add_u64(b, "format", STATE_FORMAT);
	add_key(b, "version");
	json_add_cstr(b, QUERN_VERSION);
	add_key(b, "isa");
	json_add_cstr(b, s->isa);
	add_u64(b, "step", s->step);
	add_u64(b, "tokens", s->tokens);
	add_u64(b, "updates", t->optim->updates);
	add_u64(b, "skipped", s->skipped);
	/* The clock only where results hang on it: other runs write the same bytes each time. */
	if (!isnan(s->totals.time))
		add_num(b, "seconds", s->seconds);
	add_u64(b, "position", s->position);
	add_key(b, "digest");
	json_add_cstr(b, digest);
	add_key(b, "data");
	json_add_cstr(b, s->data);
	add_u64(b, "streamed", (uint64_t)s->streamed);
	add_u64(b, "ended", (uint64_t)s->ended);
	add_u64(b, "done", (uint64_t)s->done);
	add_num(b, "loss", s->loss);
	add_num(b, "grad_norm", s->grad_norm);
	add_num(b, "lr", s->lr);
	add_u64(b, "total_steps", s->totals.steps);
	add_u64(b, "total_tokens", s->totals.tokens);
	add_num(b, "total_epochs", s->totals.epochs);
	add_num(b, "total_time", s->totals.time);
	add_u64(b, "limit", s->limit);
	add_key(b, "origin");
	json_add_cstr(b, s->origin);
	add_u64(b, "guard_seen", t->guard.seen);
	add_nums(b, "guard_loss", t->guard.loss, seen);
	add_nums(b, "guard_norm", t->guard.norm, seen);
	add_key(b, "options");
	buf_adds(b, s->options);
	buf_addc(b, '}');
}

static const enum dtype moment_dtypes[] = { DTYPE_F32, DTYPE_BF16, DTYPE_U8 };

static void declare(
	struct safetensors_writer *w, const char *kind, enum dtype t, const struct param *p, size_t blocks)
{
	char *name = xasprintf("%s.%s", kind, p->name);
	safetensors_writer_declare(w, name, t, p->ndim, p->shape);
	free(name);
	if (!blocks)
		return;
	name = xasprintf("%s_scale.%s", kind, p->name);
	safetensors_writer_declare(w, name, DTYPE_F32, 1, &blocks);
	free(name);
}

static int write_moment(struct safetensors_writer *w, const struct moment *m)
{
	int rc = safetensors_writer_data(w, m->v, m->count * dtype_size(moment_dtypes[m->type]));
	return rc == 0 && m->scale ? safetensors_writer_f32(w, m->scale, moment_blocks(m)) : rc;
}

static int write_state(
	const char *path, const struct trainer *t, const struct run_state *s, int master, struct err *e)
{
	struct writer *w = writer_open(path, e);
	if (!w)
		return -1;
	const struct model *m = t->model;
	const struct optim *o = t->optim;
	struct safetensors_writer *st = safetensors_writer_new();
	struct buf json = { 0 };
	state_json(t, s, &json);
	safetensors_writer_meta(st, "run", json.p, json.n);
	buf_release(&json);
	for (size_t i = 0; i < o->nstates; i++)
		declare(st, o->states[i].kind, moment_dtypes[o->states[i].m.type],
			&m->params[o->states[i].param], moment_blocks(&o->states[i].m));
	for (size_t i = 0; master && i < m->nparams; i++)
		declare(st, "master", DTYPE_F32, &m->params[i], 0);
	/* The writer's first failure sticks; writer_commit reports it. */
	int rc = safetensors_writer_begin(st, w);
	for (size_t i = 0; rc == 0 && i < o->nstates; i++)
		rc = write_moment(st, &o->states[i].m);
	for (size_t i = 0; rc == 0 && master && i < m->nparams; i++)
		rc = safetensors_writer_f32(st, m->params[i].w, m->params[i].count);
	if (rc == 0)
		safetensors_writer_end(st);
	else
		safetensors_writer_free(st);
	return writer_commit(w, 1, e);
}

/* What a checkpoint holds, in dir. The two large files are written, and waited for, side by side. */
static int write_all(
	const char *dir, const struct trainer *t, const struct run_state *s, enum dtype dtype, struct err *e)
{
	char *state = path_join(dir, STATE_FILE);
	struct err state_e;
	int rc = 0, state_rc = 0;
#pragma omp parallel sections
	{
#pragma omp section
		state_rc = write_state(state, t, s, dtype != DTYPE_F32, &state_e);
#pragma omp section
		rc = model_save_dir(t->model, dir, dtype, 1, e);
	}
	free(state);
	if (rc == 0 && state_rc < 0) {
		*e = state_e;
		rc = -1;
	}
	return rc == 0 ? path_sync(dir, e) : rc;
}

int ckpt_save(const char *run, const struct trainer *t, const struct run_state *s, enum dtype dtype,
	uint64_t keep, struct err *e)
{
	char *path = ckpt_path(run, s->step);
	char *temp = xasprintf("%s/.step-%llu.%ld.tmp", run, (unsigned long long)s->step, (long)getpid());
	remove_dir(temp);
	int rc = path_mkdir(temp, e);
	if (rc == 0)
		rc = write_all(temp, t, s, dtype, e);
	if (rc == 0 && rename(temp, path) < 0)
		rc = err_set(e, "%s: cannot rename:", path);
	if (rc < 0)
		remove_dir(temp);
	if (rc == 0)
		rc = path_sync(run, e);
	if (rc == 0)
		rc = point_latest(run, s->step, e);
	if (rc == 0 && keep)
		remove_older(run, keep);
	free(temp);
	free(path);
	return rc;
}

int ckpt_save_state(
	const char *run, const struct trainer *t, const struct run_state *s, enum dtype dtype, struct err *e)
{
	char *dir = ckpt_path(run, s->step), *state = path_join(dir, STATE_FILE);
	int rc = write_state(state, t, s, dtype != DTYPE_F32, e);
	if (rc == 0)
		rc = path_sync(dir, e);
	free(state);
	free(dir);
	return rc;
}

/* --- reading --- */

static struct safetensors *open_state(
	const char *run, uint64_t step, struct arena *a, struct json **json, char **name, struct err *e)
{
	char *dir = ckpt_path(run, step);
	*name = path_join(dir, STATE_FILE);
	free(dir);
	struct safetensors *st = safetensors_open(*name, e);
	if (!st)
		return NULL;
	const char *text = safetensors_meta(st, "run");
	*json = text ? json_parse(a, text, strlen(text), JSON_STRICT, e) : NULL;
	if (!*json || json_int(*json, "format", 0) != STATE_FORMAT) {
		err_set(e, "%s: no state of a run that this version can read", *name);
		safetensors_close(st);
		return NULL;
	}
	return st;
}

static uint64_t get_u64(const struct json *v, const char *key)
{
	int64_t i = json_int(v, key, -1);
	return i < 0 ? UINT64_MAX : (uint64_t)i;
}

int ckpt_read_state(const char *run, uint64_t step, struct run_state *s, struct arena *a,
	struct json **options, struct err *e)
{
	struct json *j;
	char *name;
	struct safetensors *st = open_state(run, step, a, &j, &name, e);
	int rc = -1;
	if (st) {
		*s = (struct run_state){
			.step = get_u64(j, "step"),
			.tokens = get_u64(j, "tokens"),
			.seconds = json_num(j, "seconds", 0),
			.skipped = get_u64(j, "skipped"),
			.position = get_u64(j, "position"),
			.digest = strtoull(json_cstr(j, "digest", "0"), NULL, 16),
			.streamed = json_int(j, "streamed", 0) != 0,
			.ended = json_int(j, "ended", 0) != 0,
			.done = json_int(j, "done", 0) != 0,
			.loss = json_num(j, "loss", NAN),
			.grad_norm = json_num(j, "grad_norm", NAN),
			.lr = json_num(j, "lr", NAN),
			.rate = NAN,
			.totals = { get_u64(j, "total_steps"), get_u64(j, "total_tokens"),
				json_num(j, "total_epochs", NAN), json_num(j, "total_time", NAN) },
			.limit = get_u64(j, "limit"),
		};
		snprintf(s->isa, sizeof s->isa, "%s", json_cstr(j, "isa", ""));
		snprintf(s->origin, sizeof s->origin, "%s", json_cstr(j, "origin", ""));
		snprintf(s->data, sizeof s->data, "%s", json_cstr(j, "data", ""));
		*options = json_get(j, "options");
		rc = *options && s->step == step && s->position != UINT64_MAX && s->tokens != UINT64_MAX
			     ? 0
			     : err_set(e, "%s: damaged", name);
		safetensors_close(st);
	}
	free(name);
	return rc;
}

/* Tensor KIND[_scale].NAME, of count values. */
static int read_tensor(const struct safetensors *st, const char *file, const char *kind, const char *suffix,
	const char *name, enum dtype t, size_t count, void *to, struct err *e)
{
	char *key = xasprintf("%s%s.%s", kind, suffix, name);
	const struct tensor_view *v = safetensors_get(st, key);
	int rc = 0;
	if (!v || v->dtype != t || v->count != count)
		rc = err_set(e, "%s: tensor %s is missing or has another type or shape", file, key);
	else
		memcpy(to, v->data, count * dtype_size(t));
	free(key);
	return rc;
}

static int read_moment(const struct safetensors *st, const char *file, const struct optim_state *s,
	const char *name, struct err *e)
{
	const struct moment *m = &s->m;
	int rc = read_tensor(st, file, s->kind, "", name, moment_dtypes[m->type], m->count, m->v, e);
	if (rc == 0 && m->scale)
		rc = read_tensor(st, file, s->kind, "_scale", name, DTYPE_F32, moment_blocks(m), m->scale, e);
	return rc;
}

static int read_window(const struct json *j, const char *key, size_t seen, double *to)
{
	const struct json *v = json_get(j, key);
	size_t n = seen < GUARD_WINDOW ? seen : GUARD_WINDOW;
	if (!json_is(v, JSON_ARRAY) || v->n != n)
		return -1;
	for (size_t i = 0; i < n; i++)
		to[i] = v->kids[i].d;
	return 0;
}

static int read_trainer(const struct safetensors *st, const char *name, const struct json *j,
	struct trainer *t, struct err *e)
{
	struct optim *o = t->optim;
	struct model *m = t->model;
	o->updates = get_u64(j, "updates");
	t->guard.seen = (size_t)get_u64(j, "guard_seen");
	if (o->updates == UINT64_MAX || read_window(j, "guard_loss", t->guard.seen, t->guard.loss) < 0 ||
		read_window(j, "guard_norm", t->guard.seen, t->guard.norm) < 0)
		return err_set(e, "%s: damaged", name);
	for (size_t i = 0; i < o->nstates; i++)
		if (read_moment(st, name, &o->states[i], m->params[o->states[i].param].name, e) < 0)
			return -1;
	/* Narrow checkpoints keep the full weights here. */
	char *master = xasprintf("master.%s", m->params[0].name);
	int narrow = safetensors_get(st, master) != NULL;
	free(master);
	for (size_t i = 0; narrow && i < m->nparams; i++)
		if (read_tensor(st, name, "master", "", m->params[i].name, DTYPE_F32, m->params[i].count,
			    m->params[i].w, e) < 0)
			return -1;
	m->version++;
	return 0;
}

int ckpt_read_trainer(const char *run, uint64_t step, struct trainer *t, struct err *e)
{
	struct arena a = { 0 };
	struct json *j;
	char *name;
	struct safetensors *st = open_state(run, step, &a, &j, &name, e);
	int rc = st ? read_trainer(st, name, j, t, e) : -1;
	safetensors_close(st);
	arena_release(&a);
	free(name);
	return rc;
}
