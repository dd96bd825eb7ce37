#include "base/spill.h"
#include "base/buf.h"
#include "base/die.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)

struct spill {
	int fd;
	char *dir;
	char *tail; /* [0, n): the bytes behind `written` */
	size_t n;
	uint64_t written;
};

struct spill *spill_new(const char *dir, struct err *e)
{
	if (!dir)
		dir = getenv("TMPDIR");
	if (!dir || !*dir)
		dir = "/tmp";
	char *name = xasprintf("%s%squern.XXXXXX", dir, str_ends(dir, "/") ? "" : "/");
	int fd = mkstemp(name);
	if (fd < 0) {
		err_set(e, "%s: cannot create a temporary file:", dir);
		free(name);
		return NULL;
	}
	unlink(name);
	free(name);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	struct spill *s = xcalloc(1, sizeof *s);
	s->fd = fd;
	s->dir = xstrdup(dir);
	s->tail = xmalloc(CHUNK);
	return s;
}

static int write_out(struct spill *s, const char *p, size_t n, struct err *e)
{
	while (n) {
		ssize_t put = pwrite(s->fd, p, n, (off_t)s->written);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return err_set(e, "%s: cannot write a temporary file:", s->dir);
		s->written += (uint64_t)put;
		p += put;
		n -= (size_t)put;
	}
	return 0;
}

int spill_add(struct spill *s, const void *p, size_t n, uint64_t *at, struct err *e)
{
	*at = s->written + s->n;
	if (n > CHUNK - s->n) {
		if (write_out(s, s->tail, s->n, e) < 0)
			return -1;
		s->n = 0;
		if (n > CHUNK)
			return write_out(s, p, n, e);
	}
	if (n)
		memcpy(s->tail + s->n, p, n);
	s->n += n;
	return 0;
}

int spill_get(struct spill *s, uint64_t at, void *p, size_t n, struct err *e)
{
	char *out = p;
	ASSERT(at <= spill_size(s) && n <= spill_size(s) - at);
	while (n && at < s->written) {
		size_t m = s->written - at < n ? (size_t)(s->written - at) : n;
		ssize_t got = pread(s->fd, out, m, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(e, "%s: cannot read a temporary file:", s->dir);
		if (got == 0)
			return err_set(e, "%s: a temporary file was cut short", s->dir);
		at += (uint64_t)got;
		out += got;
		n -= (size_t)got;
	}
	if (n)
		memcpy(out, s->tail + (at - s->written), n);
	return 0;
}

uint64_t spill_size(const struct spill *s)
{
	return s->written + s->n;
}

void spill_free(struct spill *s)
{
	if (!s)
		return;
	close(s->fd);
	free(s->dir);
	free(s->tail);
	free(s);
}
