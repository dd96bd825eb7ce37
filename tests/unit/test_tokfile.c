/* Token streams: what is written comes back, in order and at random; damage anywhere is noticed. */
#include "base/die.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"
#include "text/tokblock.h"
#include "text/tokfile.h"

#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/quern-tokfile.XXXXXX";
static struct err err;

static char *path_of(const char *name)
{
	return path_join(dir, name);
}

/* Document i of a made-up corpus: lengths from 0 up to several blocks, some masked, four sources or none. */
struct sample {
	uint32_t *ids;
	uint8_t *mask;
	size_t n;
	const char *source;
};

static struct sample sample_of(uint64_t i, uint32_t vocab, size_t longest)
{
	static const char *const names[] = { NULL, "web", "books", "code", "caf\xc3\xa9 \"quoted\"" };
	struct rng r;
	rng_init(&r, 7, i);
	struct sample s = { .source = names[rng_below(&r, 5)] };
	uint64_t kind = rng_below(&r, 10);
	s.n = (size_t)(kind == 0 ? 0 : rng_below(&r, kind == 1 ? longest : 50));
	s.ids = xcalloc(s.n, sizeof *s.ids);
	s.mask = i % 3 == 1 ? xcalloc(s.n, 1) : NULL;
	for (size_t k = 0; k < s.n; k++) {
		s.ids[k] = (uint32_t)rng_below(&r, vocab);
		if (s.mask)
			s.mask[k] = rng_below(&r, 4) != 0;
	}
	return s;
}

static void sample_release(struct sample *s)
{
	free(s->ids);
	free(s->mask);
}

static void write_samples(const char *path, struct tok_info info, uint64_t from, uint64_t to, size_t longest)
{
	struct writer *w = writer_open(path, &err);
	struct tok_writer *t = tok_writer_new(w, &info);
	int rc = 0;
	for (uint64_t i = from; i < to; i++) {
		struct sample s = sample_of(i, info.vocab, longest);
		rc |= tok_writer_doc(t, s.ids, s.mask, s.n, s.source, &err);
		sample_release(&s);
	}
	rc |= tok_writer_end(t, "{\"tool\":\"test\"}", &err);
	rc |= writer_commit(w, 0, &err);
	ok(rc == 0, "wrote %s", path);
}

/* Whether the document is sample i. */
static int same_doc(const struct tok_doc *d, const struct sample *s)
{
	if (d->n != s->n || !str_eq(d->source, s->source ? str_of(s->source) : (struct str){ 0 }))
		return 0;
	for (size_t k = 0; k < s->n; k++)
		if (d->ids[k] != s->ids[k] || (d->mask ? d->mask[k] : 1) != (s->mask ? s->mask[k] : 1))
			return 0;
	return 1;
}

static void read_samples(const char *path, struct tok_info info, uint64_t to, size_t longest)
{
	struct reader *r = reader_open(path, &err);
	struct tok_reader *t = tok_reader_new(r, &err);
	ok(t && tok_reader_info(t)->vocab == info.vocab && tok_reader_info(t)->fingerprint.hi == info.fingerprint.hi,
		"header");
	struct tok_doc d;
	uint64_t same = 0, n = 0;
	int rc = -1;
	while (t && (rc = tok_reader_doc(t, &d, &err)) > 0) {
		struct sample s = sample_of(n++, info.vocab, longest);
		same += (uint64_t)same_doc(&d, &s);
		sample_release(&s);
	}
	ok(rc == 0 && n == to && same == to, "%d documents come back (%s)", (int)same, rc ? err.msg : "ok");
	tok_reader_free(t);
	reader_close(r);
}

/* Reading at random gives what reading in order gives. */
static void map_samples(const char *path, uint32_t vocab, uint64_t to, size_t longest)
{
	struct tok_map *m = tok_map_open(path, &err);
	ok(m && tok_map_docs(m) == to, "map: %s", m ? "documents" : err.msg);
	if (!m)
		return;
	uint64_t total = tok_map_tokens(m);
	uint32_t *ids = xcalloc(total, sizeof *ids), *got = xcalloc(total, sizeof *got);
	uint8_t *flags = xcalloc(total, 1), *gotf = xcalloc(total, 1);
	uint64_t *starts = xcalloc(to + 1, sizeof *starts), *some = xcalloc(to + 1, sizeof *some);
	ok(tok_map_doc_starts(m, 0, to, starts, &err) == 0 && starts[to] == total, "map: document starts");
	int bad = 0;
	uint64_t masked = 0;
	for (uint64_t i = 0, at = 0; i < to; i++) {
		struct sample s = sample_of(i, vocab, longest);
		bad |= starts[i] != at || !str_eq(tok_map_source(m, i), s.source ? str_of(s.source) : STR(""));
		for (size_t k = 0; k < s.n; k++, at++) {
			ids[at] = s.ids[k];
			flags[at] |= s.mask && !s.mask[k] ? TOK_NO_LOSS : 0;
			masked += s.mask && !s.mask[k];
		}
		if (s.n)
			flags[at - s.n] |= TOK_DOC_START;
		sample_release(&s);
	}
	ok(!bad && tok_map_masked(m) == masked, "map: starts, sources and masked tokens");
	struct rng r;
	rng_init(&r, 1, 1);
	bad = 0;
	for (int i = 0; i < 500; i++) {
		uint64_t at = rng_below(&r, total + 1), n = rng_below(&r, i % 10 ? 3000 : total + 1);
		n = n < total - at ? n : total - at;
		bad |= tok_map_read(m, at, n, got, gotf, &err) < 0;
		bad |= memcmp(got, ids + at, n * sizeof *got) || memcmp(gotf, flags + at, n);
		uint64_t doc = rng_below(&r, to + 1), k = rng_below(&r, to - doc + 1);
		bad |= tok_map_doc_starts(m, doc, k, some, &err) < 0;
		bad |= memcmp(some, starts + doc, (k + 1) * sizeof *some) != 0;
	}
	ok(!bad, "map: 500 random pieces are those of reading in order");
	free(ids);
	free(got);
	free(flags);
	free(gotf);
	free(starts);
	free(some);
	tok_map_close(m);
}

static void round_trip(uint32_t vocab, uint64_t docs, size_t longest)
{
	struct tok_info info = { vocab, { 5, 6 } };
	char *path = path_of("a.tok");
	write_samples(path, info, 0, docs, longest);
	read_samples(path, info, docs, longest);
	map_samples(path, vocab, docs, longest);
	free(path);
}

/* --- damage ---------------------------------------------------------------------------------------------------- */

static int read_all(const char *path, struct err *e)
{
	struct reader *r = reader_open(path, e);
	struct tok_reader *t = tok_reader_new(r, e);
	struct tok_doc d;
	int rc = t ? 1 : -1;
	while (rc > 0)
		rc = tok_reader_doc(t, &d, e);
	tok_reader_free(t);
	reader_close(r);
	return rc;
}

static int map_all(const char *path, struct err *e)
{
	struct tok_map *m = tok_map_open(path, e);
	if (!m)
		return -1;
	size_t n = (size_t)tok_map_tokens(m);
	uint32_t *ids = xcalloc(n, sizeof *ids);
	uint64_t *starts = xcalloc((size_t)tok_map_docs(m) + 1, sizeof *starts);
	int rc = tok_map_read(m, 0, n, ids, NULL, e);
	if (rc == 0)
		rc = tok_map_doc_starts(m, 0, (size_t)tok_map_docs(m), starts, e);
	free(ids);
	free(starts);
	tok_map_close(m);
	return rc;
}

static void put_file(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		die("%s: cannot write:", path);
}

/* Both readers refuse, and say where. */
static int refused(const char *path)
{
	struct err a = { "" }, b = { "" };
	if (read_all(path, &a) >= 0 || map_all(path, &b) >= 0)
		return 0;
	return strstr(a.msg, ": byte ") && strstr(b.msg, ": byte ");
}

static void damage(void)
{
	struct tok_info info = { 300, { 1, 2 } };
	char *path = path_of("small.tok"), *bad = path_of("bad.tok");
	write_samples(path, info, 0, 12, 90);
	struct buf b = { 0 };
	file_read(path, &b, 1 << 20, &err);
	ok(read_all(path, &err) == 0 && map_all(path, &err) == 0, "a small stream of %zu bytes is fine", b.n);
	size_t missed = 0;
	for (size_t n = 0; n < b.n; n++) {
		put_file(bad, b.p, n);
		missed += !refused(bad);
	}
	ok(missed == 0, "cut short at any of %zu bytes: noticed by both readers", b.n);
	for (size_t bit = 0; bit < b.n * 8; bit++) {
		b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
		put_file(bad, b.p, b.n);
		missed += !refused(bad);
		b.p[bit / 8] = (char)(b.p[bit / 8] ^ 1 << bit % 8);
	}
	ok(missed == 0, "any flipped bit: noticed by both readers");
	buf_release(&b);
	free(path);
	free(bad);
}

int main(void)
{
	prog_name = "test_tokfile";
	if (!mkdtemp(dir))
		die("%s: cannot create:", dir);
	round_trip(300, 200, 1000);
	round_trip(65536, 60, 300000);
	round_trip(65537, 60, 300000);
	damage();
	char *cmd = xasprintf("rm -rf %s", dir);
	if (system(cmd) != 0)
		warn("%s: cannot remove", dir);
	free(cmd);
	return tap_end();
}
