#include "base/io.h"
#include "base/mem.h"
#include "base/spill.h"
#include "tap.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[] = "/tmp/quern-io-XXXXXX";

static void write_file(const char *name, const void *p, size_t n)
{
	struct err e;
	struct writer *w = writer_open(name, &e);
	if (!w || writer_add(w, p, n) < 0 || writer_commit(w, 0, &e) < 0)
		printf("# %s\n", e.msg);
}

static void raw_file(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(name, "wb");
	if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		abort();
}

/* Lines around the size of the reader's buffer; the same from plain and gzip files. */
static void test_lines(const char *name)
{
	static const size_t lengths[] = { 0, 1, 7, 65535, 131072, 262143, 262144, 300000, 3, 600001, 0, 12 };
	enum { N = sizeof lengths / sizeof *lengths };
	struct buf b = { 0 };
	struct err e;
	struct str line;
	for (size_t i = 0; i < N; i++) {
		buf_reserve(&b, lengths[i] + 1);
		memset(b.p + b.n, 'a' + (int)i, lengths[i]);
		b.n += lengths[i];
		buf_add(&b, "\n", i + 1 < N);
	}
	write_file(name, b.p, b.n);
	struct reader *r = reader_open(name, &e);
	int good = r != NULL;
	for (size_t i = 0; i < N && good; i++) {
		good = reader_line(r, &line, &e) == 1 && line.n == lengths[i];
		for (size_t k = 0; k < line.n && good; k++)
			good = line.p[k] == (char)('a' + (int)i);
	}
	ok(good && reader_line(r, &line, &e) == 0 && reader_offset(r) == b.n, "%s: lines of every length",
		name);
	reader_close(r);
	r = reader_open(name, &e);
	struct buf all = { 0 };
	ok(reader_all(r, &all, SIZE_MAX / 2, &e) == 0 &&
			str_eq((struct str){ all.p, all.n }, (struct str){ b.p, b.n }),
		"%s: all of it", name);
	struct stat st;
	ok(stat(name, &st) == 0 && reader_raw_size(r) == (uint64_t)st.st_size &&
			reader_raw_offset(r) == (uint64_t)st.st_size,
		"%s: progress ends at its size", name);
	reader_close(r);
	buf_reset(&all);
	ok(file_read(name, &all, 1000, &e) < 0 && strstr(e.msg, "larger than the 1000 bytes"), "%s: cap",
		name);
	r = reader_open(name, &e);
	int rc = 1;
	while ((rc = reader_line_max(r, &line, 500000, &e)) > 0)
		;
	ok(rc < 0 && strstr(e.msg, ": a line longer than the 500000 bytes allowed"), "%s: cap of a line",
		name);
	reader_close(r);
	buf_release(&all);
	buf_release(&b);
}

static void test_gzip(void)
{
	struct buf a = { 0 }, got = { 0 };
	struct err e;
	write_file("m.gz", "hello ", 6);
	ok(file_read("m.gz", &a, 1 << 20, &e) == 0 && strcmp(a.p, "hello ") == 0, "one member");
	struct map_file m;
	map_open(&m, "m.gz", &e);
	struct buf two = { 0 };
	buf_add(&two, m.p, m.n);
	buf_add(&two, m.p, m.n);
	ok(m.n > 8 && memcmp(m.p + 4, "\0\0\0\0", 4) == 0, "no time stamp");
	raw_file("two", two.p, two.n);
	ok(file_read("two", &got, 1 << 20, &e) == 0 && strcmp(got.p, "hello hello ") == 0,
		"two members, by their magic");
	int caught = 0;
	for (size_t n = 2; n < two.n; n++) {
		if (n == m.n)
			continue;
		raw_file("cut", two.p, n);
		buf_reset(&got);
		caught += file_read("cut", &got, 1 << 20, &e) < 0 && strncmp(e.msg, "cut: byte ", 10) == 0;
	}
	ok(caught == (int)two.n - 3, "every truncation is noticed");
	two.p[m.n - 6] ^= 1;
	raw_file("cut", two.p, two.n);
	ok(file_read("cut", &got, 1 << 20, &e) < 0, "a wrong checksum: %s", e.msg);
	raw_file("cut", "\x1f\x8b", 2);
	ok(file_read("cut", &got, 1 << 20, &e) < 0 && strstr(e.msg, "gzip data ends early"), "two bytes: %s",
		e.msg);
	buf_reset(&got);
	raw_file("cut", "\x1f\x8b\0\0", 4);
	ok(file_read("cut", &got, 1 << 20, &e) == 0 && got.n == 4, "no method of gzip: not gzip");
	map_close(&m);
	buf_release(&two);
	buf_release(&got);
	buf_release(&a);
}

static void test_writer(void)
{
	struct err e;
	struct buf b = { 0 };
	write_file("keep", "old", 3);
	struct writer *w = writer_open("keep", &e);
	writer_add(w, "new", 3);
	ok(file_read("keep", &b, 100, &e) == 0 && strcmp(b.p, "old") == 0,
		"nothing appears before the commit");
	writer_abort(w);
	buf_reset(&b);
	ok(file_read("keep", &b, 100, &e) == 0 && strcmp(b.p, "old") == 0 &&
			system("test -z \"$(find . -name .keep*)\"") == 0,
		"nor after an abort, and nothing is left");
	ok(!writer_open("no/such/x", &e) && strstr(e.msg, "no/such/x: cannot create: "), "%s", e.msg);
	ok(!writer_open(".", &e) && strstr(e.msg, ".: cannot create: Is a directory"), "%s", e.msg);
	ok(!writer_open("", &e) && strstr(e.msg, ": cannot create: No such file"), "%s", e.msg);
	w = writer_open("/dev/full", &e);
	char *big = xcalloc(1, 1 << 20);
	ok(w && writer_add(w, big, 1 << 20) < 0, "a full disk fails at the write");
	ok(writer_commit(w, 0, &e) < 0 && strstr(e.msg, "/dev/full: cannot write: "), "and at the commit: %s",
		e.msg);
	w = writer_open("/dev/full", &e);
	ok(writer_add(w, "x", 1) == 0 && writer_commit(w, 0, &e) < 0, "a small one only there");
	free(big);
	ok(!reader_open("nope", &e) && strncmp(e.msg, "nope: cannot open: ", 19) == 0, "%s", e.msg);
	ok(!reader_open(".", &e) && strcmp(e.msg, ".: is a directory") == 0, "%s", e.msg);
	buf_release(&b);
}

/* Where a file appears. */
static void test_places(void)
{
	struct err e;
	struct buf b = { 0 };
	char name[252];
	write_file("target", "old", 3);
	ok(symlink("target", "link") == 0, "a link");
	write_file("link", "new", 3);
	ok(file_read("target", &b, 100, &e) == 0 && strcmp(b.p, "new") == 0, "is followed");
	ok(system("test -h link") == 0, "and stays one");
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = 0;
	write_file(name, "x", 1);
	ok(path_exists(name), "the longest names have room for a temporary one");
	char *stale = xasprintf(".late.%ld.tmp", (long)getpid());
	write_file(stale, "of another process", 18);
	struct writer *w = writer_open("late", &e);
	ok(w != NULL, "what an earlier process left is no hindrance");
	ok(!writer_open("late", &e) && strstr(e.msg, "late: is an output of this command already"), "%s",
		e.msg);
	writer_add(w, "x", 1);
	ok(writer_commit(w, 1, &e) == 0 && path_exists("late") && !path_exists(stale), "the first is kept");
	free(stale);
	if (geteuid() != 0) {
		chmod("late", 0444);
		ok(!writer_open("late", &e) && strstr(e.msg, "late: cannot create: Permission denied"), "%s",
			e.msg);
	}
	buf_release(&b);
}

/* A descriptor that is a file: in place, from where it stands. */
static void test_descriptor(void)
{
	struct err e;
	struct buf b = { 0 };
	int fd = open("log", O_RDWR | O_CREAT, 0666);
	char *name = xasprintf("/dev/fd/%d", fd);
	ok(fd >= 0 && write(fd, "one ", 4) == 4, "an open file");
	struct writer *w = writer_open(name, &e);
	writer_add(w, "two", 3);
	ok(w && writer_commit(w, 0, &e) == 0, "written by its descriptor");
	ok(file_read("log", &b, 100, &e) == 0 && strcmp(b.p, "one two") == 0, "behind what was there");
	ok(!writer_open("/dev/fd/999", &e) && strstr(e.msg, "/dev/fd/999: cannot create: Bad file"), "%s",
		e.msg);
	close(fd);
	free(name);
	buf_release(&b);
}

static void test_pipe(void)
{
	/* A reader of a pipe sees lines as they come. */
	int fd[2];
	struct err e;
	struct str line;
	if (pipe(fd) < 0)
		abort();
	fflush(stdout);
	if (fork() == 0) {
		_exit(write(fd[1], "one\ntwo", 7) == 7 && write(fd[1], " more\n", 6) == 6 ? 0 : 1);
	}
	close(fd[1]);
	dup2(fd[0], 0);
	struct reader *r = reader_open("-", &e);
	ok(r && strcmp(reader_name(r), "stdin") == 0, "stdin has a name");
	ok(reader_line(r, &line, &e) == 1 && str_is(line, "one"), "first line");
	ok(reader_line(r, &line, &e) == 1 && str_is(line, "two more"), "a line in two pieces");
	ok(reader_line(r, &line, &e) == 0 && reader_raw_size(r) == 0, "the end, of unknown size");
	reader_close(r);
	wait(NULL);
}

static void test_spill(void)
{
	struct err e;
	struct spill *s = spill_new(".", &e);
	uint64_t at[64];
	int good = s != NULL && system("test -z \"$(ls -A quern.*  2>/dev/null)\"") == 0;
	ok(good, "a temporary file without a name");
	char *p = xmalloc(3 << 20), *q = xmalloc(3 << 20);
	for (size_t i = 0; i < 64; i++) {
		size_t n = i * i * 500 % (3 << 20);
		memset(p, (int)i, n);
		good &= spill_add(s, p, n, &at[i], &e) == 0;
	}
	for (size_t i = 64; i-- > 0;) {
		size_t n = i * i * 500 % (3 << 20);
		memset(p, (int)i, n);
		good &= spill_get(s, at[i], q, n, &e) == 0 && memcmp(p, q, n) == 0;
	}
	ok(good, "reads back what was added, flushed or not");
	ok(spill_get(s, at[63] - 100, q, 200, &e) == 0 && q[99] == 62 && q[100] == 63, "across the flush");
	spill_free(s);
	ok(!spill_new("/no/such", &e) && strstr(e.msg, "/no/such: cannot create a temporary file: "), "%s",
		e.msg);
	free(p);
	free(q);
}

static void test_temps(void)
{
	struct err e;
	path_mkdir("made", &e);
	path_mkdir("kept", &e);
	io_register_temp("made");
	io_forget_temp(io_register_temp("kept"));
	io_register_temp("made/file");
	struct writer *w = writer_open("made/file", &e);
	ok(writer_commit(w, 0, &e) == 0, "a file in a folder, both marked");
	io_remove_temps();
	ok(!path_exists("made") && path_exists("kept"), "are removed, the folder last");
}

int main(void)
{
	if (!mkdtemp(dir) || chdir(dir) < 0)
		return 1;
	test_lines("plain");
	test_lines("packed.gz");
	test_gzip();
	test_writer();
	test_places();
	test_descriptor();
	test_spill();
	test_pipe();
	test_temps();
	char *rm = xasprintf("rm -rf %s", dir);
	int rc = system(rm);
	free(rm);
	return tap_end() || rc != 0;
}
