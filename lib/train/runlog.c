#include "train/runlog.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

/* Step of a line that this file wrote, -1 for anything else. */
static int64_t line_step(struct str s)
{
	static const char lead[] = "{\"step\":";
	size_t n = sizeof lead - 1;
	if (s.n < n + 2 || memcmp(s.p, lead, n) != 0 || s.p[s.n - 1] != '}')
		return -1;
	int64_t v = 0;
	for (; n < s.n && s.p[n] >= '0' && s.p[n] <= '9' && v < INT64_MAX / 10 - 1; n++)
		v = v * 10 + (s.p[n] - '0');
	return v;
}

/* The clock of a line; what cannot be read stays as it was. */
static void line_clock(struct str line, struct log_past *past)
{
	struct arena a = { 0 };
	const struct json *j = json_parse(&a, line.p, line.n, JSON_STRICT, NULL);
	if (j) {
		past->seconds = json_num(j, "seconds", past->seconds);
		past->rate = json_num(j, "tokens_per_s", past->rate);
	}
	arena_release(&a);
}

/* Length of what stays, and where its last line begins. */
static int keep_lines(const char *path, uint64_t step, struct log_past *past, uint64_t *length,
	uint64_t *last, struct err *e)
{
	struct reader *r = reader_open(path, e);
	if (!r)
		return -1;
	struct str line;
	int rc;
	struct buf newest = { 0 };
	*length = 0;
	while ((rc = reader_line(r, &line, e)) > 0) {
		int64_t s = line_step(line);
		/* A last line without its newline was cut short. */
		if (s < 0 || (uint64_t)s > step || reader_offset(r) == *length + line.n)
			break;
		past->kept |= (uint64_t)s == step;
		*last = *length;
		*length = reader_offset(r);
		buf_reset(&newest);
		buf_add(&newest, line.p, line.n);
	}
	if (newest.n)
		line_clock((struct str){ newest.p, newest.n }, past);
	buf_release(&newest);
	reader_close(r);
	return rc < 0 ? -1 : 0;
}

int runlog_open(struct runlog *l, const char *path, uint64_t step, struct log_past *past, struct err *e)
{
	uint64_t length = 0, last = 0;
	*past = (struct log_past){ 0, 0, NAN };
	*l = (struct runlog){ .path = xstrdup(path), .fd = -1 };
	if (path_exists(path) && keep_lines(path, step, past, &length, &last, e) < 0)
		return -1;
	l->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	off_t size = l->fd < 0 ? 0 : lseek(l->fd, 0, SEEK_END);
	if (l->fd < 0 || size < 0)
		return err_set(e, "%s: cannot open:", path);
	if ((uint64_t)size > length && ftruncate(l->fd, (off_t)length) < 0)
		return err_set(e, "%s: cannot cut:", path);
	l->last = last;
	return 0;
}

int runlog_has(const char *path, uint64_t step, struct err *e)
{
	uint64_t length, last;
	struct log_past past = { 0, 0, NAN };
	if (!path_exists(path))
		return 0;
	return keep_lines(path, step, &past, &length, &last, e) < 0 ? -1 : past.kept;
}

static void field(struct buf *b, const char *key, double v)
{
	buf_addf(b, ",\"%s\":", key);
	json_add_num(b, v);
}

/* Times need no 17 digits. */
static double round_to(double v, double unit)
{
	return floor(v / unit + 0.5) * unit;
}

int runlog_add(struct runlog *l, const struct run_state *s, double eval_loss, double eval_bpb,
	const char *extra, struct err *e)
{
	struct buf b = { 0 };
	buf_addf(&b, "{\"step\":%llu,\"tokens\":%llu", (unsigned long long)s->step,
		(unsigned long long)s->tokens);
	field(&b, "loss", s->loss);
	field(&b, "grad_norm", s->grad_norm);
	field(&b, "lr", s->lr);
	field(&b, "tokens_per_s", round_to(s->rate, 1));
	field(&b, "seconds", round_to(s->seconds * 1000, 1) / 1000);
	if (!isnan(eval_loss))
		field(&b, "eval_loss", eval_loss);
	if (!isnan(eval_bpb))
		field(&b, "eval_bpb", eval_bpb);
	buf_addc(&b, '}');
	int rc = extra ? log_append(extra, &b, e) : 0;
	buf_addc(&b, '\n');
	off_t at = lseek(l->fd, 0, SEEK_END);
	if (at >= 0)
		l->last = (uint64_t)at;
	errno = ENOSPC; /* what a short write means */
	if (rc == 0 && write(l->fd, b.p, b.n) != (ssize_t)b.n)
		rc = err_set(e, "%s: cannot write:", l->path);
	buf_release(&b);
	return rc;
}

int runlog_undo(struct runlog *l, struct err *e)
{
	return ftruncate(l->fd, (off_t)l->last) < 0 ? err_set(e, "%s: cannot cut:", l->path) : 0;
}

int runlog_sync(struct runlog *l, struct err *e)
{
	return fsync(l->fd) < 0 ? err_set(e, "%s: cannot sync:", l->path) : 0;
}

void runlog_close(struct runlog *l)
{
	if (l->fd >= 0)
		close(l->fd);
	free(l->path);
	*l = (struct runlog){ .fd = -1 };
}
