#include "base/io.h"
#include "base/die.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define CHUNK ((size_t)256 << 10)

/* --- input ------------------------------------------------------------------------------------- */

volatile sig_atomic_t io_interrupted;

struct reader {
	int fd, gz, eof; /* eof: of the decompressed stream */
	int raw_eof, in_member;
	char *name;
	uint64_t taken, raw_taken, raw_size;
	char *buf; /* [at, end) is unread */
	size_t at, end, cap;
	unsigned char *raw; /* compressed bytes, gz only */
	z_stream z;
};

static ptrdiff_t read_fd(struct reader *r, void *p, size_t n, struct err *e)
{
	for (;;) {
		ssize_t got = read(r->fd, p, n);
		if (got >= 0) {
			r->raw_taken += (uint64_t)got;
			return got;
		}
		if (errno != EINTR || io_interrupted)
			return err_set(e, "%s: cannot read:", r->name);
	}
}

/* One step of decompression into [end, cap). */
static int fill_gz(struct reader *r, struct err *e)
{
	size_t before = r->end;
	while (r->end == before && !r->eof) {
		if (r->z.avail_in == 0 && !r->raw_eof) {
			ptrdiff_t got = read_fd(r, r->raw, CHUNK, e);
			if (got < 0)
				return -1;
			r->raw_eof = got == 0;
			r->z.next_in = r->raw;
			r->z.avail_in = (uInt)got;
		}
		if (r->z.avail_in == 0) {
			if (r->in_member)
				return err_set(e, "%s: byte %llu: gzip data ends early", r->name,
					(unsigned long long)r->raw_taken);
			r->eof = 1;
			break;
		}
		if (!r->in_member) {
			inflateReset(&r->z);
			r->in_member = 1;
		}
		size_t room = r->cap - r->end;
		r->z.next_out = (Bytef *)(r->buf + r->end);
		r->z.avail_out = room > UINT_MAX ? UINT_MAX : (uInt)room;
		uInt had = r->z.avail_out;
		int rc = inflate(&r->z, Z_NO_FLUSH);
		r->end += had - r->z.avail_out;
		if (rc == Z_STREAM_END)
			r->in_member = 0;
		else if (rc != Z_OK && rc != Z_BUF_ERROR)
			return err_set(e, "%s: byte %llu: damaged gzip data (%s)", r->name,
				(unsigned long long)(r->raw_taken - r->z.avail_in),
				r->z.msg ? r->z.msg : "zlib error");
	}
	return 0;
}

/* Gets more bytes behind `end`; what is unread moves to the front first when there is little room. */
static int fill(struct reader *r, struct err *e)
{
	if (r->eof)
		return 0;
	if (r->at == r->end)
		r->at = r->end = 0;
	if (r->cap - r->end < CHUNK / 2) {
		if (r->at >= r->cap / 2) {
			memmove(r->buf, r->buf + r->at, r->end - r->at);
			r->end -= r->at;
			r->at = 0;
		} else {
			GROW(r->buf, r->cap, add_size(r->cap, CHUNK));
		}
	}
	if (r->gz)
		return fill_gz(r, e);
	ptrdiff_t got = read_fd(r, r->buf + r->end, r->cap - r->end, e);
	if (got < 0)
		return -1;
	if (got == 0)
		r->eof = 1;
	r->end += (size_t)got;
	return 0;
}

static const unsigned char gzip_magic[] = { 0x1f, 0x8b, 8 };

int is_gzip(const void *p, size_t n)
{
	return n >= 2 && memcmp(p, gzip_magic, n < 3 ? n : 3) == 0;
}

/* Turns on decompression when the first bytes say so. No more of them is waited for than it takes to tell. */
static int detect_gz(struct reader *r, struct err *e)
{
	while (r->end < sizeof gzip_magic && !r->eof && memcmp(r->buf, gzip_magic, r->end) == 0)
		if (fill(r, e) < 0)
			return -1;
	if (!is_gzip(r->buf, r->end))
		return 0;
	r->raw = xmalloc(r->cap > CHUNK ? r->cap : CHUNK);
	memcpy(r->raw, r->buf, r->end);
	if (inflateInit2(&r->z, 15 + 16) != Z_OK)
		return err_set(e, "%s: cannot start zlib", r->name);
	r->z.next_in = r->raw;
	r->z.avail_in = (uInt)r->end;
	r->gz = 1;
	r->in_member = 1;
	r->raw_eof = r->eof;
	r->eof = 0;
	r->at = r->end = 0;
	return 0;
}

/* Has this stdin had a reader? One takes more than it gives out: what a second would find is chance. */
static int stdin_taken(const struct stat *st)
{
	static struct stat last;
	static int taken;
	int again = taken && last.st_dev == st->st_dev && last.st_ino == st->st_ino;
	taken = 1;
	last = *st;
	return again;
}

struct reader *reader_open(const char *path, struct err *e)
{
	struct reader *r = xcalloc(1, sizeof *r);
	if (!path || strcmp(path, "-") == 0) {
		r->name = xstrdup("stdin");
		r->fd = STDIN_FILENO;
	} else {
		r->name = xstrdup(path);
		r->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (r->fd < 0) {
			err_set(e, "%s: cannot open:", path);
			reader_close(r);
			return NULL;
		}
	}
	struct stat st;
	if (fstat(r->fd, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			err_set(e, "%s: is a directory", r->name);
			reader_close(r);
			return NULL;
		}
		if (S_ISREG(st.st_mode))
			r->raw_size = (uint64_t)st.st_size;
		if (r->fd == STDIN_FILENO && stdin_taken(&st)) {
			err_set(e, "stdin: can be read only once");
			reader_close(r);
			return NULL;
		}
	}
	r->cap = CHUNK;
	r->buf = xmalloc(r->cap);
	if (detect_gz(r, e) < 0) {
		reader_close(r);
		return NULL;
	}
	return r;
}

const char *reader_name(const struct reader *r)
{
	return r->name;
}

uint64_t reader_offset(const struct reader *r)
{
	return r->taken;
}

uint64_t reader_raw_offset(const struct reader *r)
{
	return r->raw_taken - (r->gz ? r->z.avail_in : r->end - r->at);
}

uint64_t reader_raw_size(const struct reader *r)
{
	return r->raw_size;
}

ptrdiff_t reader_read(struct reader *r, void *p, size_t n, struct err *e)
{
	size_t got = 0;
	while (got < n) {
		if (r->at == r->end) {
			if (fill(r, e) < 0)
				return -1;
			if (r->at == r->end)
				break;
		}
		size_t m = r->end - r->at < n - got ? r->end - r->at : n - got;
		memcpy((char *)p + got, r->buf + r->at, m);
		r->at += m;
		got += m;
	}
	r->taken += got;
	return (ptrdiff_t)got;
}

ptrdiff_t reader_peek(struct reader *r, const char **p, size_t n, struct err *e)
{
	while (r->end - r->at < n && !r->eof)
		if (fill(r, e) < 0)
			return -1;
	size_t have = r->end - r->at;
	*p = r->buf + r->at;
	return (ptrdiff_t)(have < n ? have : n);
}

int reader_line_max(struct reader *r, struct str *line, size_t max, struct err *e)
{
	size_t seen = 0; /* bytes already searched for the newline */
	for (;;) {
		char *nl = memchr(r->buf + r->at + seen, '\n', r->end - r->at - seen);
		size_t n = nl ? (size_t)(nl - (r->buf + r->at)) : r->end - r->at;
		if (n > max)
			return err_set(e, "%s: byte %llu: a line longer than the %zu bytes allowed", r->name,
				(unsigned long long)r->taken, max);
		if (nl || (r->eof && n)) {
			*line = (struct str){ r->buf + r->at, n };
			n += nl != NULL;
			r->at += n;
			r->taken += n;
			return 1;
		}
		if (r->eof)
			return 0;
		seen = n;
		if (fill(r, e) < 0)
			return -1;
	}
}

int reader_line(struct reader *r, struct str *line, struct err *e)
{
	return reader_line_max(r, line, SIZE_MAX, e);
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	if (r->gz)
		inflateEnd(&r->z);
	if (r->fd > STDIN_FILENO)
		close(r->fd);
	free(r->raw);
	free(r->buf);
	free(r->name);
	free(r);
}

int reader_all(struct reader *r, struct buf *b, size_t max, struct err *e)
{
	size_t start = b->n;
	for (;;) {
		buf_reserve(b, CHUNK);
		ptrdiff_t got = reader_read(r, b->p + b->n, CHUNK, e);
		if (got < 0)
			return -1;
		b->n += (size_t)got;
		b->p[b->n] = 0;
		if (got == 0)
			return 0;
		if (b->n - start > max)
			return err_set(e, "%s: larger than the %zu bytes allowed here", r->name, max);
	}
}

int file_read(const char *path, struct buf *b, size_t max, struct err *e)
{
	struct reader *r = reader_open(path, e);
	if (!r)
		return -1;
	int rc = reader_all(r, b, max, e);
	reader_close(r);
	return rc;
}

int map_open(struct map_file *m, const char *path, struct err *e)
{
	*m = (struct map_file){ 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, "%s: cannot open:", path);
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return err_set(e, "%s: not a regular file", path);
	}
	m->n = (size_t)st.st_size;
	int rc = 0;
	if (m->n) {
		void *p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p == MAP_FAILED)
			rc = err_set(e, "%s: cannot map:", path);
		else
			m->p = p;
	}
	close(fd);
	return rc;
}

void map_close(struct map_file *m)
{
	if (m->p)
		munmap((void *)(uintptr_t)m->p, m->n);
	*m = (struct map_file){ 0 };
}

/* --- output ------------------------------------------------------------------------------------ */

/* Temporary names that a signal handler may remove: plain arrays, a slot is live when its flag is set last.
 */
#define MAX_TEMPS 16
static char temp_names[MAX_TEMPS][PATH_MAX];
static volatile sig_atomic_t temp_live[MAX_TEMPS];

int io_register_temp(const char *path)
{
	int slot = -1;
	size_t n = strlen(path);
#pragma omp critical(io_temps)
	for (int i = 0; i < MAX_TEMPS; i++) {
		if (!temp_live[i] && n < PATH_MAX) {
			memcpy(temp_names[i], path, n + 1);
			temp_live[i] = 1;
			slot = i;
			break;
		}
	}
	return slot;
}

static int temp_registered(const char *path)
{
	int found = 0;
#pragma omp critical(io_temps)
	for (int i = 0; i < MAX_TEMPS; i++)
		found |= temp_live[i] && strcmp(temp_names[i], path) == 0;
	return found;
}

void io_forget_temp(int slot)
{
	if (slot >= 0)
		temp_live[slot] = 0;
}

void io_remove_temps(void)
{
	/* Files first: a folder is removed when it is empty. */
	for (int i = 0; i < MAX_TEMPS; i++)
		if (temp_live[i] && unlink(temp_names[i]) == 0)
			temp_live[i] = 0;
	for (int i = 0; i < MAX_TEMPS; i++) {
		if (temp_live[i])
			rmdir(temp_names[i]);
		temp_live[i] = 0;
	}
}

struct writer {
	int fd, gz, failed, temp_slot;
	char *name;
	char *temp, *place; /* the temporary name, and what it becomes; NULL: written in place */
	uint64_t given;
	char *buf;
	size_t n;
	z_stream z;
	unsigned char *zbuf;
	struct err err;
};

static int write_fd(struct writer *w, const void *p, size_t n)
{
	const char *s = p;
	while (n) {
		ssize_t put = write(w->fd, s, n);
		if (put < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EPIPE && !w->temp)
				io_closed_pipe();
			w->failed = 1;
			return err_set(&w->err, "%s: cannot write:", w->name);
		}
		s += put;
		n -= (size_t)put;
	}
	return 0;
}

static int put(struct writer *w, const void *p, size_t n, int flush)
{
	if (!w->gz)
		return write_fd(w, p, n);
	w->z.next_in = (Bytef *)(uintptr_t)p;
	w->z.avail_in = (uInt)n;
	for (;;) {
		w->z.next_out = w->zbuf;
		w->z.avail_out = (uInt)CHUNK;
		int rc = deflate(&w->z, flush);
		if (rc == Z_STREAM_ERROR)
			BUG("deflate");
		if (write_fd(w, w->zbuf, CHUNK - w->z.avail_out) < 0)
			return -1;
		if (w->z.avail_out)
			return 0;
	}
}

/* The temporary name beside a file's place. File systems take names of 255 bytes: a long one is cut. */
static char *temp_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	int dir = slash ? (int)(slash - path + 1) : 0;
	return xasprintf("%.*s.%.200s.%ld.tmp", dir, path, path + dir, (long)getpid());
}

/* The descriptor that a path names, -1 for none. To open such a path again would begin at the file's start,
 * and its folder is no place for a temporary file. */
static int named_descriptor(const char *path)
{
	static const char *const folders[] = { "/dev/fd/", "/proc/self/fd/" };
	if (strcmp(path, "/dev/stdout") == 0)
		return STDOUT_FILENO;
	if (strcmp(path, "/dev/stderr") == 0)
		return STDERR_FILENO;
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
		size_t n = strlen(folders[i]);
		if (strncmp(path, folders[i], n) != 0 || !isdigit((unsigned char)path[n]))
			continue;
		char *end;
		long fd = strtol(path + n, &end, 10);
		if (!*end && fd <= INT_MAX)
			return (int)fd;
	}
	return -1;
}

/* A file under its temporary name. What an earlier process of this number left there goes; what this process
 * still writes there stays. */
static int open_temp(struct writer *w)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, fd;
	if (temp_registered(w->temp)) {
		errno = EBUSY;
		return -1;
	}
	w->temp_slot = io_register_temp(w->temp);
	fd = open(w->temp, flags, 0666);
	if (fd < 0 && errno == EEXIST && unlink(w->temp) == 0)
		fd = open(w->temp, flags, 0666);
	if (fd < 0) {
		io_forget_temp(w->temp_slot);
		w->temp_slot = -1;
	}
	return fd;
}

/* Opens what w->name names; the descriptor, or -1 with errno. A link is followed, as the shell's > does. */
static int open_named(struct writer *w)
{
	struct stat st;
	int fd = named_descriptor(w->name);
	if (fd >= 0)
		return fcntl(fd, F_DUPFD_CLOEXEC, 0);
	int exists = stat(w->name, &st) == 0;
	if (!*w->name || (exists && S_ISDIR(st.st_mode))) {
		errno = *w->name ? EISDIR : ENOENT;
		return -1;
	}
	if (exists && !S_ISREG(st.st_mode))
		return open(w->name, O_WRONLY | O_CLOEXEC);
	/* A file that may not be written is not replaced either. */
	if (exists && access(w->name, W_OK) < 0)
		return -1;
	char *real = exists ? realpath(w->name, NULL) : NULL;
	w->place = real ? real : xstrdup(w->name);
	w->temp = temp_name(w->place);
	fd = open_temp(w);
	if (fd < 0) {
		free(w->temp);
		w->temp = NULL;
	}
	return fd;
}

struct writer *writer_open(const char *path, struct err *e)
{
	struct writer *w = xcalloc(1, sizeof *w);
	w->temp_slot = -1;
	w->buf = xmalloc(CHUNK);
	if (!path || strcmp(path, "-") == 0) {
		w->name = xstrdup("stdout");
		w->fd = STDOUT_FILENO;
		return w;
	}
	w->name = xstrdup(path);
	w->fd = open_named(w);
	if (w->fd < 0) {
		err_set(e, errno == EBUSY ? "%s: is an output of this command already" : "%s: cannot create:",
			path);
		writer_abort(w);
		return NULL;
	}
	if (str_ends(path, ".gz")) {
		w->gz = 1;
		w->zbuf = xmalloc(CHUNK);
		/* No time stamp, no name: the same work gives the same bytes. */
		if (deflateInit2(&w->z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
			mem_exhausted("zlib");
	}
	return w;
}

const char *writer_name(const struct writer *w)
{
	return w->name;
}

uint64_t writer_offset(const struct writer *w)
{
	return w->given;
}

int writer_add(struct writer *w, const void *p, size_t n)
{
	const char *s = p;
	w->given += n;
	while (n && !w->failed) {
		if (!w->n && n >= CHUNK && !w->gz) { /* from where it lies */
			size_t whole = n / CHUNK * CHUNK;
			put(w, s, whole, Z_NO_FLUSH);
			s += whole;
			n -= whole;
			continue;
		}
		size_t m = CHUNK - w->n < n ? CHUNK - w->n : n;
		memcpy(w->buf + w->n, s, m);
		w->n += m;
		s += m;
		n -= m;
		if (w->n == CHUNK) {
			put(w, w->buf, w->n, Z_NO_FLUSH);
			w->n = 0;
		}
	}
	return w->failed ? -1 : 0;
}

int writer_check(const struct writer *w, struct err *e)
{
	if (w->failed && e)
		*e = w->err;
	return w->failed ? -1 : 0;
}

int writer_flush(struct writer *w)
{
	if (!w->failed)
		put(w, w->buf, w->n, Z_SYNC_FLUSH);
	w->n = 0;
	return w->failed ? -1 : 0;
}

static void writer_free(struct writer *w)
{
	if (w->gz)
		deflateEnd(&w->z);
	free(w->zbuf);
	free(w->buf);
	free(w->temp);
	free(w->place);
	free(w->name);
	free(w);
}

int writer_commit(struct writer *w, int sync, struct err *e)
{
	if (!w->failed)
		put(w, w->buf, w->n, Z_FINISH);
	if (!w->failed && sync && w->temp && fsync(w->fd) < 0) {
		w->failed = 1;
		err_set(&w->err, "%s: cannot write:", w->name);
	}
	/* The close of stdout is checked too: a full disk may show only there. */
	int rc = close(w->fd);
	w->fd = -1;
	if (!w->failed && rc < 0) {
		w->failed = 1;
		err_set(&w->err, "%s: cannot write:", w->name);
	}
	if (!w->failed && w->temp && rename(w->temp, w->place) < 0) {
		w->failed = 1;
		err_set(&w->err, "%s: cannot rename:", w->name);
	}
	if (w->failed) {
		if (e)
			*e = w->err;
		writer_abort(w);
		return -1;
	}
	io_forget_temp(w->temp_slot);
	writer_free(w);
	return 0;
}

void writer_abort(struct writer *w)
{
	if (!w)
		return;
	if (w->fd > STDERR_FILENO)
		close(w->fd);
	if (w->temp)
		unlink(w->temp);
	io_forget_temp(w->temp_slot);
	writer_free(w);
}

void io_closed_pipe(void)
{
	/* The reader went away: an ordinary event. End as SIGPIPE's default would, without a message. */
	io_remove_temps();
	signal(SIGPIPE, SIG_DFL);
	raise(SIGPIPE);
}

int path_sync(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, "%s: cannot open:", path);
	/* Some file systems refuse fsync on a directory with EINVAL: they order renames themselves. */
	int rc = fsync(fd) < 0 && errno != EINVAL ? err_set(e, "%s: cannot sync:", path) : 0;
	close(fd);
	return rc;
}

int path_exists(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0;
}

int path_is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int path_mkdir(const char *path, struct err *e)
{
	if (mkdir(path, 0777) == 0 || (errno == EEXIST && path_is_dir(path)))
		return 0;
	return err_set(e, "%s: cannot create directory:", path);
}

char *path_join(const char *dir, const char *name)
{
	return xasprintf("%s%s%s", dir, str_ends(dir, "/") ? "" : "/", name);
}
