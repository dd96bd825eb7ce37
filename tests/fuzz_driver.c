/*
 * fuzz_driver: runs a fuzz target without a fuzzing engine.
 *
 *	FUZZER [-r RUNS] [-s SEED] [-t SECONDS] CORPUS...
 *
 * Replays every file (folders: their files), then feeds RUNS inputs made from them by truncation, byte
 * damage, splices and repeats, until SECONDS are over. The input in work is kept in FUZZER.crash, so that
 * what broke the target can be replayed. Output is TAP.
 */
#include "base/buf.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/rng.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct buf *seeds;
static size_t nseeds, cap_seeds;
static char *crash_name;

static void add_file(const char *path)
{
	struct buf b = { 0 };
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	for (ssize_t got = 1; got > 0;) {
		buf_reserve(&b, 65536);
		got = read(fd, b.p + b.n, 65536);
		if (got > 0)
			b.n += (size_t)got;
	}
	close(fd);
	GROW(seeds, cap_seeds, nseeds + 1);
	seeds[nseeds++] = b;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_path(const char *path)
{
	DIR *d = opendir(path);
	if (!d) {
		add_file(path);
		return;
	}
	char **names = NULL;
	size_t n = 0, cap = 0;
	for (struct dirent *f; (f = readdir(d));) {
		if (f->d_name[0] == '.')
			continue;
		GROW(names, cap, n + 1);
		names[n++] = path_join(path, f->d_name);
	}
	closedir(d);
	/* Sorted, so that a run is the same on every file system. */
	if (n)
		qsort(names, n, sizeof *names, by_name);
	for (size_t i = 0; i < n; i++) {
		add_file(names[i]);
		free(names[i]);
	}
	free(names);
}

static void mutate(struct rng *r, struct buf *out)
{
	static const unsigned char magic[] = { 0, 1, 0x7f, 0x80, 0xff, '"', '{', '}', '[', ']', ',', ':',
		'\\', '-' };
	const struct buf *s = &seeds[rng_below(r, nseeds)];
	buf_reset(out);
	buf_add(out, s->n ? s->p : "", s->n);
	for (uint64_t k = 1 + rng_below(r, 8); k > 0; k--) {
		size_t at = out->n ? (size_t)rng_below(r, out->n) : 0;
		switch (rng_below(r, 6)) {
		case 0:
			out->n = at;
			break;
		case 1:
			if (out->n)
				out->p[at] ^= (char)(1u << rng_below(r, 8));
			break;
		case 2:
			if (out->n)
				out->p[at] = (char)magic[rng_below(r, sizeof magic)];
			break;
		case 3: { /* splice: the tail of another seed */
			const struct buf *o = &seeds[rng_below(r, nseeds)];
			size_t from = o->n ? (size_t)rng_below(r, o->n) : 0;
			out->n = at;
			buf_add(out, o->n ? o->p + from : "", o->n - from);
			break;
		}
		case 4: /* eight random bytes: lengths and offsets */
			for (size_t i = at; i < out->n && i < at + 8; i++)
				out->p[i] = (char)rng_u64(r);
			break;
		case 5: { /* repeat a piece */
			size_t n = out->n - at < 32 ? out->n - at : 32;
			char piece[32];
			memcpy(piece, out->p ? out->p + at : "", n);
			buf_add(out, piece, n);
			break;
		}
		}
	}
}

static void run_one(const char *p, size_t n)
{
	/* An exact-size copy, so that a read past the end is seen by the sanitizer. */
	uint8_t *copy = xmalloc(n);
	memcpy(copy, p, n);
	int fd = open(crash_name, O_WRONLY | O_CREAT | O_TRUNC, 0666);
	if (fd >= 0) {
		ssize_t put = write(fd, p, n);
		(void)put;
		close(fd);
	}
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

int main(int argc, char **argv)
{
	uint64_t runs = 2000, seed = 1;
	double seconds = 1e9, start = now_seconds();
	int c;
	while ((c = getopt(argc, argv, "r:s:t:")) != -1) {
		if ((c == 'r' && parse_count(optarg, &runs) == 0) ||
			(c == 's' && parse_count(optarg, &seed) == 0) ||
			(c == 't' && parse_duration(optarg, &seconds) == 0))
			continue;
		fprintf(stderr, "usage: %s [-r RUNS] [-s SEED] [-t SECONDS] CORPUS...\n", argv[0]);
		return 2;
	}
	crash_name = xasprintf("%s.crash", argv[0]);
	for (int i = optind; i < argc; i++)
		add_path(argv[i]);
	for (size_t i = 0; i < nseeds; i++)
		run_one(seeds[i].n ? seeds[i].p : "", seeds[i].n);
	printf("ok 1 - %zu corpus files replayed\n", nseeds);
	struct rng r;
	rng_init(&r, seed, 0);
	struct buf b = { 0 };
	uint64_t done = 0;
	for (; nseeds && done < runs && now_seconds() - start < seconds; done++) {
		mutate(&r, &b);
		run_one(b.n ? b.p : "", b.n);
	}
	printf("ok 2 - %llu damaged inputs\n1..2\n", (unsigned long long)done);
	unlink(crash_name);
	buf_release(&b);
	for (size_t i = 0; i < nseeds; i++)
		buf_release(&seeds[i]);
	free(seeds);
	free(crash_name);
	return 0;
}
