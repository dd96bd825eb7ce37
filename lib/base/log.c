#include "base/log.h"
#include "base/die.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

double now_seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_start(struct progress *p, double total, const char *unit)
{
	*p = (struct progress){ .start = now_seconds(), .total = total, .unit = unit };
	p->shown = verbosity >= 0 && isatty(STDERR_FILENO) ? 0 : -1;
}

void progress_tick(struct progress *p, double done, const char *note)
{
	double now = now_seconds();
	if (p->shown < 0 || now - p->last < 0.2)
		return;
	p->last = now;
	double spent = now - p->start, rate = spent > 0 ? done / spent : 0;
	char a[32], b[32], c[32];
	fprintf(stderr, "\r%s: %s %s, %s/s", prog_name, human_count(done, a), p->unit, human_count(rate, b));
	if (p->total > 0 && rate > 0)
		fprintf(stderr, ", %.0f%%, %s left", 100 * done / p->total,
			human_seconds((p->total - done) / rate, c));
	fprintf(stderr, "%s%s\033[K", note && *note ? ", " : "", note ? note : "");
	fflush(stderr);
	p->shown = 1;
}

void progress_end(struct progress *p)
{
	if (p->shown > 0)
		fprintf(stderr, "\r\033[K");
	p->shown = -1;
}

static char *scaled(double n, const char *const *unit, char *out)
{
	int i = 0;
	while (n >= 999.5 && i < 5) {
		n /= 1000;
		i++;
	}
	snprintf(out, 32,
		i == 0      ? "%.0f%s"
		: n < 9.995 ? "%.2f%s"
		: n < 99.95 ? "%.1f%s"
			    : "%.0f%s",
		n, unit[i]);
	return out;
}

char *human_bytes(double n, char *out)
{
	static const char *const unit[] = { " B", " kB", " MB", " GB", " TB", " PB" };
	return scaled(n, unit, out);
}

char *human_count(double n, char *out)
{
	static const char *const unit[] = { "", "k", "M", "G", "T", "P" };
	return scaled(n, unit, out);
}

char *human_seconds(double s, char *out)
{
	if (s < 0)
		s = 0;
	if (s < 60)
		snprintf(out, 32, s < 9.95 ? "%.1f s" : "%.0f s", s);
	else if (s < 3600)
		snprintf(out, 32, "%dm %02ds", (int)(s / 60), (int)s % 60);
	else if (s < 1e8)
		snprintf(out, 32, "%dh %02dm", (int)(s / 3600), (int)(s / 60) % 60);
	else
		snprintf(out, 32, "years");
	return out;
}

int log_check(const char *path, struct err *e)
{
	struct stat st;
	int bad;
	if (stat(path, &st) == 0) {
		bad = access(path, W_OK) < 0;
		if (S_ISDIR(st.st_mode)) {
			errno = EISDIR;
			bad = 1;
		}
	} else {
		const char *slash = strrchr(path, '/');
		char *dir = xasprintf("%.*s.", slash ? (int)(slash - path) + 1 : 0, path);
		bad = !*path || access(dir, W_OK) < 0;
		int why = errno;
		free(dir);
		errno = why;
	}
	return bad ? err_set(e, "%s: cannot open:", path) : 0;
}

int log_append(const char *path, const struct buf *line, struct err *e)
{
	struct buf b = { 0 };
	buf_add(&b, line->p, line->n);
	buf_addc(&b, '\n');
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0) {
		buf_release(&b);
		return err_set(e, "%s: cannot open:", path);
	}
	/* One write, so that the lines of several processes do not mix; a short one means a full disk. */
	errno = ENOSPC;
	int bad = write(fd, b.p, b.n) != (ssize_t)b.n;
	int why = errno;
	if (close(fd) < 0 && !bad) {
		bad = 1;
		why = errno;
	}
	buf_release(&b);
	errno = why;
	return bad ? err_set(e, "%s: cannot write:", path) : 0;
}
