/*
 * log: the progress line of long work on a terminal, metrics as JSON lines, and sizes and durations for
 * people.
 */
#ifndef QUERN_LOG_H
#define QUERN_LOG_H

#include "base/buf.h"
#include "base/err.h"

/* Seconds of a clock that only goes forward. */
double now_seconds(void);

/* A line on stderr that rewrites itself a few times a second, only when stderr is a terminal and not -q.
 * `done` of `total` in `unit`s ("MB", "tokens"); total 0 when unknown. Not thread-safe. */
struct progress {
	double start, last;
	double total;
	const char *unit;
	int shown;
};
void progress_start(struct progress *p, double total, const char *unit);
void progress_tick(struct progress *p, double done, const char *note);
void progress_end(struct progress *p); /* wipes the line */

/* "1.2 GB", "340 kB"; "2h 05m", "3m 20s", "4.1 s"; "12.3M". Written into out (at least 32 bytes), which is
 * returned. */
char *human_bytes(double n, char *out);
char *human_seconds(double s, char *out);
char *human_count(double n, char *out);

/* Can such a file be appended to? Nothing is created. -1 when not: better known before the work than after.
 */
int log_check(const char *path, struct err *e);

/* Appends one line (a JSON object, newline added) to the file with a single write; creates it. -1 on failure.
 */
int log_append(const char *path, const struct buf *line, struct err *e);

#endif
