/* The order of a mixture: shares of every prefix, passes that are permutations, limits, and documents by
 * number. */
#include "base/die.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"
#include "text/corpus.h"
#include "text/mix.h"

#include <stdlib.h>
#include <unistd.h>

static struct err err;

/* Document lengths of a made-up source: skewed, some of them 0. */
static int length_of(void *ctx, uint64_t doc, uint64_t *size, struct err *e)
{
	(void)e;
	const uint64_t *salt = ctx;
	uint64_t x = rng_at(1, *salt, doc);
	*size = x % 7 == 0 ? 0 : x % 11 == 0 ? 500 : x % 90;
	return 0;
}

static uint64_t total_of(uint64_t *salt, uint64_t docs)
{
	uint64_t sum = 0, n;
	for (uint64_t i = 0; i < docs; i++) {
		length_of(salt, i, &n, NULL);
		sum += n;
	}
	return sum;
}

enum { SOURCES = 4, LONGEST = 500 };
static uint64_t salts[SOURCES] = { 10, 11, 12, 13 };
static const uint64_t docs_of[SOURCES] = { 900, 300, 40, 3000 };
static const double weight_of[SOURCES] = { 0.5, 0.3, 0.01, 0.19 };
static const char *const name_of[SOURCES] = { "web", "books", "rare", "code" };

static struct mix *make(uint64_t seed, double max_repeat, int by_size)
{
	struct mix *m = mix_new(seed, max_repeat);
	for (size_t i = 0; i < SOURCES; i++) {
		struct mix_source s = { name_of[i], weight_of[i], docs_of[i], total_of(&salts[i], docs_of[i]),
			length_of, &salts[i] };
		if (by_size)
			s.weight = (double)s.size;
		mix_add(m, &s);
	}
	return m;
}

static void shares(void)
{
	struct mix *m = make(42, INFINITY, 0);
	struct mix_pick p;
	uint64_t given[SOURCES] = { 0 }, total = 0;
	double worst = 0;
	for (int i = 0; i < 20000; i++) {
		if (mix_next(m, &p, &err) != 1)
			break;
		given[p.source] += p.size;
		total += p.size;
		for (size_t k = 0; k < SOURCES; k++)
			worst = fmax(worst, fabs((double)given[k] - weight_of[k] * (double)total));
	}
	ok(total > 500000 && worst <= LONGEST,
		"no source is more than a document ahead or behind: %.0f tokens", worst);
	mix_free(m);
}

static void passes(void)
{
	struct mix *m = make(7, INFINITY, 0);
	struct mix_pick p;
	static uint8_t seen[SOURCES][3000];
	static uint32_t order[2][300];
	uint64_t given[SOURCES] = { 0 };
	int repeated = 0;
	for (int i = 0; i < 20000; i++) {
		mix_next(m, &p, &err);
		uint64_t pass = given[p.source] / docs_of[p.source];
		repeated += seen[p.source][p.doc] != pass % 250;
		seen[p.source][p.doc] = (uint8_t)((pass + 1) % 250);
		if (p.source == 1 && pass < 2)
			order[pass][given[1] % 300] = (uint32_t)p.doc;
		given[p.source]++;
	}
	ok(given[1] > 600 && !repeated, "inside a pass every document comes once");
	ok(memcmp(order[0], order[1], sizeof order[0]) != 0, "another pass, another order");
	mix_free(m);
}

static void limits(void)
{
	for (int r = 1; r <= 3; r++) {
		struct mix *m = make(1, r, 1);
		struct mix_pick p;
		uint64_t given[SOURCES] = { 0 };
		int rc;
		while ((rc = mix_next(m, &p, &err)) == 1)
			given[p.source]++;
		int all = rc == 0;
		for (size_t i = 0; i < SOURCES; i++)
			all &= given[i] == docs_of[i] * (uint64_t)r;
		ok(all, "by size, %d times: every document %d times, empty ones too", r, r);
		mix_free(m);
	}
	struct mix *m = make(1, 1.5, 0);
	struct mix_pick p;
	uint64_t total = 0, rare = 0, size = total_of(&salts[2], docs_of[2]);
	while (mix_next(m, &p, &err) == 1) {
		total += p.size;
		rare += p.source == 2 ? p.size : 0;
	}
	double limit = mix_limit(m);
	ok((double)rare <= 1.5 * (double)size, "no more than max_repeat");
	ok(fabs((double)total - limit) < 2 * LONGEST / 0.01, "the limit is known before: %.0f, %.0f", limit,
		(double)total);
	ok_near(mix_share(m, 1), 0.3, 1e-12, "share");
	mix_free(m);

	double w[] = { 90, 10, 0 };
	mix_temper(w, 3, 2);
	ok_near(w[0] / w[1], 3, 1e-9, "temperature 2: square roots");
	ok(w[2] == 0, "nothing stays nothing");
	double cold[] = { 90, 10 };
	mix_temper(cold, 2, 1e-9);
	ok(cold[0] > 1e9 * cold[1], "a low temperature leaves the largest alone");
}

/* A source's order is its own: other sources do not change it. */
static void independence(void)
{
	struct mix *m = make(5, INFINITY, 0), *alone = mix_new(5, INFINITY);
	struct mix_source s = { name_of[1], 1, docs_of[1], total_of(&salts[1], docs_of[1]), length_of,
		&salts[1] };
	mix_add(alone, &s);
	struct mix_pick p, q;
	int same = 1;
	for (int i = 0; i < 500; i++) {
		do
			mix_next(m, &p, &err);
		while (p.source != 1);
		mix_next(alone, &q, &err);
		same &= p.doc == q.doc;
	}
	ok(same, "another source does not change the order of one");
	mix_free(m);
	mix_free(alone);
}

/* --- documents by number -------------------------------------------------------------------------------- */

static int never(void *ctx, const char *message)
{
	(void)ctx, (void)message;
	return 0;
}

static void put(const char *path, const char *text)
{
	struct writer *w = writer_open(path, &err);
	if (!w || writer_add(w, text, strlen(text)) < 0 || writer_commit(w, 0, &err) < 0)
		die("%s", err.msg);
}

static void corpora(void)
{
	char dir[] = "/tmp/quern-mix.XXXXXX";
	if (!mkdtemp(dir))
		die("%s: cannot create:", dir);
	char *a = path_join(dir, "a.jsonl"), *b = path_join(dir, "b.txt"), *c = path_join(dir, "c.jsonl.gz"),
	     *d = path_join(dir, "d.tok");
	put(a, "\xef\xbb\xbf{\"text\":\"0\"}\n\n  \n{\"text\": \"1\"}\r\n{\"text\":\"2\"}");
	put(b, "three\n");
	put(c, "{\"text\":\"4\"}\n{\"text\":\"5\"}\n");
	struct corpus_options o = { .field = "text", .threads = 2, .bad = never };
	struct corpus *x = corpus_new(&o);
	ok(corpus_add(x, a, &err) == 0 && corpus_add(x, b, &err) == 0 && corpus_add(x, c, &err) == 0 &&
			corpus_docs(x) == 6,
		"documents of a mapped, a plain and a compressed file");
	static const char *const want[] = { "{\"text\":\"0\"}\n", "{\"text\": \"1\"}\r\n",
		"{\"text\":\"2\"}\n", "{\"text\": \"three\\n\"}\n", "{\"text\":\"4\"}\n",
		"{\"text\":\"5\"}\n" };
	struct buf out = { 0 };
	int same = 1;
	for (uint64_t i = 6; i-- > 0;) {
		buf_reset(&out);
		same &= corpus_read_doc(x, i, &out, &err) == 0 && strcmp(out.p, want[i]) == 0;
	}
	ok(same, "come back by number, byte for byte");
	struct corpus *y = corpus_new(&o);
	corpus_add(y, b, &err);
	put(b, "other and longer\n");
	ok(corpus_read_doc(y, 0, &out, &err) < 0 && strstr(err.msg, "b.txt: the file changes"),
		"a file that has changed is noticed");
	corpus_free(y);

	struct tok_info info = { 100, { 1, 1 } };
	struct writer *w = writer_open(d, &err);
	struct tok_writer *t = tok_writer_new(w, &info);
	tok_writer_end(t, "{}", &err);
	writer_commit(w, 0, &err);
	ok(corpus_add(x, d, &err) < 0 && strstr(err.msg, "d.tok: holds a token stream"),
		"kinds do not mix: %s", err.msg);
	corpus_free(x);
	buf_release(&out);
	char *files[] = { a, b, c, d };
	for (int i = 0; i < 4; i++) {
		unlink(files[i]);
		free(files[i]);
	}
	rmdir(dir);
}

int main(void)
{
	prog_name = "test_mix";
	shares();
	passes();
	limits();
	independence();
	corpora();
	return tap_end();
}
