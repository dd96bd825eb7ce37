#include "base/die.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *prog_name = "quern";
int verbosity;

static void say(const char *fmt, va_list ap)
{
	char line[4096];
	int saved = errno;
	size_t n = (size_t)snprintf(line, sizeof line, "%s: ", prog_name);
	int m = vsnprintf(line + n, sizeof line - n, fmt, ap);
	if (m < 0)
		m = 0;
	n += (size_t)m;
	if (n > sizeof line - 2)
		n = sizeof line - 2;
	size_t len = strlen(fmt);
	if (len && fmt[len - 1] == ':') {
		snprintf(line + n, sizeof line - 1 - n, " %s", strerror(saved));
		n = strlen(line);
	}
	line[n++] = '\n';
	/* One write a message, so that lines of several processes in a pipeline do not mix. */
	fwrite(line, 1, n, stderr);
}

#define SAY(fmt)                   \
	do {                       \
		va_list ap;        \
		va_start(ap, fmt); \
		say(fmt, ap);      \
		va_end(ap);        \
	} while (0)

void die(const char *fmt, ...)
{
	SAY(fmt);
	exit(1);
}

void die_usage(const char *fmt, ...)
{
	SAY(fmt);
	fprintf(stderr, "%s: see %s --help\n", prog_name, prog_name);
	exit(2);
}

void warn(const char *fmt, ...)
{
	SAY(fmt);
}

void info(const char *fmt, ...)
{
	if (verbosity >= 0)
		SAY(fmt);
}

void detail(const char *fmt, ...)
{
	if (verbosity > 0)
		SAY(fmt);
}

void bug_at(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s: bug at %s:%d: %s\n", prog_name, file, line, what);
	abort();
}
