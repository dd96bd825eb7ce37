#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "train/rows.h"
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

#define VOCAB 5000

static char path[2][64];

/* Writes documents of the given lengths; ids count up from `first`, so that every token is known by its id.
 */
static void write_tok(const char *name, const size_t *len, size_t n, uint32_t first)
{
	struct err e;
	struct writer *w = writer_open(name, &e);
	struct tok_writer *t = tok_writer_new(w, &(struct tok_info){ .vocab = VOCAB });
	uint32_t id = first;
	for (size_t d = 0; d < n; d++) {
		uint32_t *ids = xcalloc(len[d] + 1, sizeof *ids);
		uint8_t *mask = xcalloc(len[d] + 1, 1);
		for (size_t i = 0; i < len[d]; i++) {
			mask[i] = id % 10 != 3;
			ids[i] = id++;
		}
		tok_writer_doc(t, ids, mask, len[d], NULL, &e);
		free(ids);
		free(mask);
	}
	tok_writer_end(t, "{}", &e);
	ok(writer_commit(w, 0, &e) == 0, "wrote %s", name);
}

static struct rows *open_rows(int files, size_t context, enum packing p, int shuffle)
{
	static char *names[2];
	names[0] = path[0];
	names[1] = path[1];
	struct rows_config c = { context, p, shuffle, 42 };
	struct err e = { { 0 } };
	struct rows *r = rows_open(names, (size_t)files, &c, &e);
	ok(r != NULL, "opened (%s)", e.msg);
	return r;
}

static void test_wrapped(void)
{
	/* Tokens 0..6 | 7 | 8..12 ; context 4: rows 0-4, 4-8, 8-12. */
	write_tok(path[0], (size_t[]){ 7, 1, 5 }, 3, 0);
	struct rows *r = open_rows(1, 4, PACK_WRAPPED, 0);
	struct batch b;
	struct err e;
	batch_init(&b, 3, 4, VOCAB);
	ok(rows_count(r) == 3 && rows_tokens(r) == 12, "three rows, twelve tokens");
	for (int i = 0; i < 3; i++)
		rows_next(r, &b, &e);
	ok(b.nrows == 3 && b.tokens == 12, "all taken");
	ok(b.rows[0].inputs == 4 && b.rows[1].inputs == 2 && b.rows[2].inputs == 4,
		"parts without targets are left out");
	ok(b.ids[4] == 4 && b.ids[5] == 5 && b.targets[5] == 6,
		"a row begins with the last token of the one before");
	ok(b.targets[2] == NO_TARGET && b.targets[3] == 4, "a masked token is no target");
	int starts = 0;
	for (size_t i = 0; i < b.n; i++)
		starts += b.targets[i] == 7 || b.targets[i] == 8;
	ok(starts == 0, "a document's first token is never a target");
	batch_reset(&b);
	ok(rows_next(r, &b, &e) == 1 && b.ids[0] == 0, "the next pass begins again");
	rows_close(r);
	batch_release(&b);

	batch_init(&b, 1, 4, 6);
	r = open_rows(1, 4, PACK_WRAPPED, 0);
	ok(rows_next(r, &b, &e) == 1, "ids below the vocabulary");
	batch_reset(&b);
	ok(rows_next(r, &b, &e) == -1, "an id outside the vocabulary is refused: %s", e.msg);
	rows_close(r);
	batch_release(&b);
}

static size_t lens[2][700];

static size_t random_files(void)
{
	struct rng g;
	rng_init(&g, 7, 0);
	size_t inputs = 0;
	for (int f = 0; f < 2; f++)
		for (size_t d = 0; d < 700; d++) {
			lens[f][d] = d % 50 == 49 ? rng_below(&g, 90) : rng_below(&g, 20);
			inputs += lens[f][d] ? lens[f][d] - 1 : 0;
		}
	for (int f = 0; f < 2; f++) {
		/* Ids wrap below VOCAB by keeping documents short enough: see sum of lengths. */
		uint32_t id = 0;
		struct err e;
		struct writer *w = writer_open(path[f], &e);
		struct tok_writer *t = tok_writer_new(w, &(struct tok_info){ .vocab = VOCAB });
		for (size_t d = 0; d < 700; d++) {
			uint32_t ids[100];
			for (size_t i = 0; i < lens[f][d]; i++)
				ids[i] = id++ % VOCAB;
			tok_writer_doc(t, ids, NULL, lens[f][d], NULL, &e);
		}
		tok_writer_end(t, "{}", &e);
		writer_commit(w, 0, &e);
	}
	return inputs;
}

/* Every input with a target, in whatever order: their number and a sum that does not depend on it. */
static uint64_t drain(struct rows *r, uint64_t rows, size_t C, size_t *inputs, size_t *over)
{
	struct batch b;
	struct err e;
	uint64_t sum = 0;
	batch_init(&b, 1, C, VOCAB);
	*inputs = *over = 0;
	for (uint64_t i = 0; i < rows && rows_next(r, &b, &e) == 1; i++) {
		for (size_t k = 0; k < b.n; k++)
			sum += ((uint64_t)b.ids[k] + 1) * (b.targets[k] == NO_TARGET ? 7 : b.targets[k] + 3);
		for (size_t s = 0; s < b.nseqs; s++)
			for (size_t k = 1; k < b.seqs[s].n; k++)
				*over += b.seqs[s].ids[k] != (b.seqs[s].ids[k - 1] + 1) % VOCAB;
		*inputs += b.n;
		batch_reset(&b);
	}
	batch_release(&b);
	return sum;
}

static void test_packings(void)
{
	size_t inputs = random_files(), got, over;
	uint64_t sums[3];
	for (int p = PACK_WRAPPED; p <= PACK_NONE; p++) {
		struct rows *r = open_rows(2, 32, (enum packing)p, 1);
		uint64_t n = rows_count(r);
		sums[p] = drain(r, n, 32, &got, &over);
		ok(got == inputs && over == 0, "packing %d: every target once, documents whole", p);
		ok(p == PACK_NONE || n < inputs / 32 * 5 / 4, "packing %d: %lu rows for %lu targets", p,
			(unsigned long)n, (unsigned long)inputs);
		if (p == PACK_BFD)
			ok((double)rows_tokens(r) / (double)(n * 32) > 0.97, "best fit fills its rows");
		rows_close(r);
	}
	ok(sums[0] == sums[1] && sums[1] == sums[2], "the same targets whatever the packing");
}

/* Rows of the pipe against rows of the files in order. */
static void test_stream(enum packing p)
{
	int fd[2], saved = dup(0);
	struct buf bytes = { 0 };
	struct err e;
	struct rows *file = open_rows(2, 32, p, 0);
	file_read(path[0], &bytes, SIZE_MAX / 2, &e);
	file_read(path[1], &bytes, SIZE_MAX / 2, &e);
	if (pipe(fd) < 0 || fork() == 0) {
		size_t at = 0;
		while (at < bytes.n) {
			ssize_t put = write(fd[1], bytes.p + at, bytes.n - at);
			at += put > 0 ? (size_t)put : bytes.n;
		}
		_exit(0);
	}
	close(fd[1]);
	dup2(fd[0], 0);
	close(fd[0]);
	struct rows *r = rows_open(NULL, 0, &(struct rows_config){ 32, p, 1, 42 }, &e);
	ok(r && rows_streamed(r), "packing %d: a pipe is a stream", (int)p);
	struct batch a, b;
	batch_init(&a, 1, 32, VOCAB);
	batch_init(&b, 1, 32, VOCAB);
	uint64_t n = 0, differ = 0;
	while (rows_next(r, &b, &e) == 1) {
		rows_next(file, &a, &e);
		differ += a.n != b.n || memcmp(a.ids, b.ids, a.n * sizeof *a.ids) != 0 ||
			  memcmp(a.targets, b.targets, a.n * sizeof *a.ids) != 0 || a.nseqs != b.nseqs ||
			  a.tokens != b.tokens;
		batch_reset(&a);
		batch_reset(&b);
		n++;
	}
	ok(n == rows_count(file) && differ == 0, "packing %d: the same %lu rows from pipe and files", (int)p,
		(unsigned long)n);
	batch_release(&a);
	batch_release(&b);
	rows_close(r);
	rows_close(file);
	dup2(saved, 0);
	close(saved);
	buf_release(&bytes);
}

int main(void)
{
	snprintf(path[0], sizeof path[0], "/tmp/quern-batch-%ld-a.tok", (long)getpid());
	snprintf(path[1], sizeof path[1], "/tmp/quern-batch-%ld-b.tok", (long)getpid());
	test_wrapped();
	test_packings();
	for (int p = PACK_WRAPPED; p <= PACK_NONE; p++)
		test_stream((enum packing)p);
	unlink(path[0]);
	unlink(path[1]);
	return tap_end();
}
