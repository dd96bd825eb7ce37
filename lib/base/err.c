#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, const char *fmt, ...)
{
	int saved = errno;
	if (!e)
		return -1;
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	size_t len = strlen(fmt);
	if (len && fmt[len - 1] == ':' && n >= 0 && (size_t)n < sizeof e->msg - 1)
		snprintf(e->msg + n, sizeof e->msg - (size_t)n, " %s", strerror(saved));
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char old[sizeof e->msg], pre[512];
	memcpy(old, e->msg, sizeof old);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(pre, sizeof pre, fmt, ap);
	va_end(ap);
	size_t n = strlen(pre);
	memcpy(e->msg, pre, n);
	snprintf(e->msg + n, sizeof e->msg - n, ": %.*s", (int)(sizeof old - n - 3), old);
	return -1;
}
