/*
 * die: messages on stderr and the three exits of a command. Only cmd/, opt.c and mem.c call the ones that
 * exit.
 *
 * A message is "NAME: text"; a format that ends in ':' gets the text of errno appended. Thread-safe.
 */
#ifndef QUERN_DIE_H
#define QUERN_DIE_H

#include "base/err.h"

#if defined(__GNUC__)
#define NORETURN __attribute__((noreturn))
#else
#define NORETURN
#endif

extern const char *prog_name; /* set once by cmd_init(); used in front of every message */
extern int verbosity;         /* -1 quiet (-q), 0 normal, 1 and up more (-v) */

/* Exit 1: bad input, I/O error. Temporary output files are removed on the way (see io.h). */
NORETURN void die(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Exit 2: wrong use of the command line. */
NORETURN void die_usage(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Prints and goes on; warn always, info unless -q, detail with -v. */
void warn(const char *fmt, ...) PRINTF_LIKE(1, 2);
void info(const char *fmt, ...) PRINTF_LIKE(1, 2);
void detail(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* A broken invariant: message with place, then abort(). */
NORETURN void bug_at(const char *file, int line, const char *what);
#define BUG(what) bug_at(__FILE__, __LINE__, what)
#define ASSERT(cond) ((cond) ? (void)0 : bug_at(__FILE__, __LINE__, #cond))

#endif
