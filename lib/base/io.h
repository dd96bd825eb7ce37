/*
 * io: input that may be gzip or a pipe, output that appears complete or not at all, mapped files.
 *
 * Names: NULL or "-" is stdin or stdout. Errors come back as -1 with a message that names the file. One
 * reader or writer belongs to one thread at a time.
 */
#ifndef QUERN_IO_H
#define QUERN_IO_H

#include "base/buf.h"
#include "base/err.h"

#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* --- input --- */

struct reader;

/* Set by a signal handler (installed without SA_RESTART) of a command that wants to end in good order: a read
 * that was blocked then fails. */
extern volatile sig_atomic_t io_interrupted;

/* Opens for buffered reading; gzip (also several members) is recognised by its magic. NULL on failure. stdin
 * can be opened once in a process. */
struct reader *reader_open(const char *path, struct err *e);
/* Do these bytes begin a gzip file? Its two bytes of magic and the one method that there is: two alone also
 * begin every 65536th safetensors file. */
int is_gzip(const void *p, size_t n);
/* Name for messages: the path, or "stdin". Lives as long as the reader. */
const char *reader_name(const struct reader *r);
/* Bytes taken so far, after decompression. */
uint64_t reader_offset(const struct reader *r);
/* Bytes consumed from the file itself (before decompression) and its size, 0 when unknown: for progress. */
uint64_t reader_raw_offset(const struct reader *r);
uint64_t reader_raw_size(const struct reader *r);
/* Reads up to n bytes; the count, 0 at the end, -1 on an error. Short counts happen only at the end. */
ptrdiff_t reader_read(struct reader *r, void *p, size_t n, struct err *e);
/* Looks at up to n bytes (n <= 64 Ki) without taking them; the count, -1 on an error. */
ptrdiff_t reader_peek(struct reader *r, const char **p, size_t n, struct err *e);
/* The next line without its '\n' (a '\r' stays). 1 a line, 0 the end, -1 an error. `*line` is valid until the
 * next call. */
int reader_line(struct reader *r, struct str *line, struct err *e);
/* The same with a cap: a line of more than max bytes is an error. */
int reader_line_max(struct reader *r, struct str *line, size_t max, struct err *e);
void reader_close(struct reader *r); /* takes NULL */

/* Reads everything that is left, into b (appended). A cap protects against endless input: more than max bytes
 * fails. */
int reader_all(struct reader *r, struct buf *b, size_t max, struct err *e);
/* A whole file (also gzip, also "-"). */
int file_read(const char *path, struct buf *b, size_t max, struct err *e);

struct map_file {
	const uint8_t *p;
	size_t n;
};
int map_open(struct map_file *m, const char *path, struct err *e); /* read-only mapping of a regular file */
void map_close(struct map_file *m);

/* --- output --- */

struct writer;

/* Opens for buffered writing. A file is written under a temporary name beside its place (".NAME.PID.tmp") and
 * appears by rename in writer_commit; a link is followed; a name that ends in ".gz" is compressed. Devices,
 * pipes and descriptors (/dev/stdout, /dev/fd/N) are written in place. Two writers of one name do not go
 * together, and a file without write permission is not replaced. */
struct writer *writer_open(const char *path, struct err *e);
const char *writer_name(const struct writer *w);
uint64_t writer_offset(const struct writer *w); /* bytes given so far */
/* The first failure sticks: later calls do nothing, writer_commit reports it. -1 on failure. */
int writer_add(struct writer *w, const void *p, size_t n);
/* -1 and the message of the first failure, when there was one: for those who stop before writer_commit. */
int writer_check(const struct writer *w, struct err *e);
/* Pushes what is buffered to the file or pipe now (for streams that somebody waits for). */
int writer_flush(struct writer *w);
/* Flushes, checks, closes (for files: fsync if `sync`), renames. Frees w in any case. */
int writer_commit(struct writer *w, int sync, struct err *e);
/* Closes and removes the temporary file. Takes NULL. */
void writer_abort(struct writer *w);

/* Removes the temporary files of every writer still open; async-signal-safe. die() and signals end up here.
 */
void io_remove_temps(void);
/* Marks a path (a file, or a folder that is empty by then) for removal by io_remove_temps; `io_forget_temp`
 * undoes it. */
int io_register_temp(const char *path);
void io_forget_temp(int slot);

/* fsync of a file or directory by name. */
int path_sync(const char *path, struct err *e);
int path_exists(const char *path);
int path_is_dir(const char *path);
/* mkdir; an existing directory is fine. */
int path_mkdir(const char *path, struct err *e);
/* dir + "/" + name, to be freed. */
char *path_join(const char *dir, const char *name);

/* SIGPIPE ends quietly: a write that fails with EPIPE calls this. */
void io_closed_pipe(void);

#endif
