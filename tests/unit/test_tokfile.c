/* Token streams: what is written comes back, in order and at random; damage anywhere is noticed. */
#include "base/die.h"
#include "base/json.h"
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
	ok(t && tok_reader_info(t)->vocab == info.vocab &&
			tok_reader_info(t)->fingerprint.hi == info.fingerprint.hi,
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
		bad |= starts[i] != at ||
		       !str_eq(tok_map_source(m, i), s.source ? str_of(s.source) : STR(""));
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

/* --- damage --------------------------------------------------------------------------------------------- */

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

/* --- several streams ------------------------------------------------------------------------------------ */

static void append(const char *path, const char *from)
{
	struct buf b = { 0 };
	file_read(path, &b, 1 << 30, &err);
	file_read(from, &b, 1 << 30, &err);
	put_file(path, b.p, b.n);
	buf_release(&b);
}

static void joined(void)
{
	struct tok_info info = { 1000, { 3, 4 } }, vocab = { 1001, { 3, 4 } }, tokenizer = { 1000, { 3, 5 } };
	char *all = path_of("all.tok"), *part = path_of("part.tok"), *other = path_of("other.tok");
	write_samples(all, info, 0, 40, 70000);
	write_samples(part, info, 40, 90, 70000);
	append(all, part);
	write_samples(part, info, 0, 0, 1);
	append(all, part);
	write_samples(part, info, 90, 91, 70000);
	append(all, part);
	read_samples(all, info, 91, 70000);
	map_samples(all, 1000, 91, 70000);

	struct tok_map *m = tok_map_open(all, &err);
	ok(m && tok_map_streams(m) == 4 && str_is(tok_map_provenance(m, 3), "{\"tool\":\"test\"}"),
		"four streams, each with its provenance");
	struct hash128 mapped = tok_map_fingerprint(m);
	tok_map_close(m);
	struct reader *r = reader_open(all, &err);
	struct tok_reader *t = tok_reader_new(r, &err);
	struct tok_doc d;
	while (tok_reader_doc(t, &d, &err) > 0)
		;
	struct hash128 read = tok_reader_fingerprint(t);
	ok(tok_reader_streams(t) == 4 && read.lo == mapped.lo && read.hi == mapped.hi,
		"both readers give one fingerprint");
	tok_reader_free(t);
	reader_close(r);

	for (int i = 0; i < 2; i++) {
		write_samples(other, i ? tokenizer : vocab, 0, 5, 50);
		write_samples(part, info, 0, 5, 50);
		append(part, other);
		ok(refused(part), "streams of different %s are refused", i ? "tokenizers" : "vocabularies");
	}
	write_samples(part, info, 0, 5, 50);
	struct buf b = { 0 };
	file_read(part, &b, 1 << 20, &err);
	buf_adds(&b, "\n");
	put_file(part, b.p, b.n);
	ok(refused(part), "a byte behind the end mark is refused");
	buf_release(&b);
	free(all);
	free(part);
	free(other);
}

/* The same content, cut into blocks in another way, has the same fingerprint. */
static void fingerprints(void)
{
	struct tok_digest a, b;
	tok_digest_init(&a);
	tok_digest_init(&b);
	const uint8_t ids[] = { 1, 0, 2, 0, 3, 0, 4, 0 }, mask[] = { 0x6 }, rest[] = { 0x1 };
	struct buf docs = { 0 }, none = { 0 }, names = { 0 }, out = { 0 };
	buf_add(&names, "web", 4);
	buf_add_u32(&docs, 0);
	buf_add_u32(&docs, 1);
	struct tok_block whole = { .tokens = 4, .docs = 1, .width = 2 };
	tok_block_add(&out, &whole, ids, &docs, mask, &names);
	tok_digest_block(&a, &whole, (const uint8_t *)out.p + TOK_BLOCK_SIZE);
	buf_reset(&out);
	struct tok_block first = { .tokens = 2, .docs = 1, .width = 2, .flags = TOK_CONTINUES };
	tok_block_add(&out, &first, ids, &docs, mask, &names);
	out.p[TOK_BLOCK_SIZE + first.mask_at] = 0x2; /* the bits of its two tokens */
	tok_digest_block(&b, &first, (const uint8_t *)out.p + TOK_BLOCK_SIZE);
	buf_reset(&out);
	struct tok_block second = { .tokens = 2, .width = 2, .first_token = 2, .first_doc = 1 };
	tok_block_add(&out, &second, ids + 4, &none, rest, &none);
	tok_digest_block(&b, &second, (const uint8_t *)out.p + TOK_BLOCK_SIZE);
	ok(a.sum.masked == 2 && b.sum.masked == 2, "masked tokens are counted");
	struct hash128 x = tok_digest_end(&a), y = tok_digest_end(&b);
	ok(x.lo == y.lo && x.hi == y.hi, "the fingerprint does not hang on the blocks");
	buf_release(&docs);
	buf_release(&names);
	buf_release(&out);
}

/* A block that claims the most the format allows, and more: refused without asking for that memory. */
static void huge_claims(void)
{
	char *path = path_of("huge.tok");
	struct buf head = { 0 }, block = { 0 }, none = { 0 }, out = { 0 };
	struct tok_head h = { { 70000, { 0, 0 } }, 4 };
	tok_head_add(&head, &h);
	const uint32_t claims[][3] = { { TOK_MAX_TOKENS, TOK_MAX_DOCS, TOK_MAX_NAMES }, { UINT32_MAX, 1, 0 },
		{ 1, UINT32_MAX, 0 }, { 1, 1, UINT32_MAX }, { 0, 0, 0 }, { 0, 1, 0 } };
	for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
		/* Through the writer of blocks for the checksum of its header, with nothing behind it. */
		struct tok_block b = { .width = 4 };
		buf_reset(&block);
		tok_block_add(&block, &b, NULL, &none, NULL, &none);
		uint8_t *p = (uint8_t *)block.p;
		for (int k = 0; k < 12; k++)
			p[4 + k] = (uint8_t)(claims[i][k / 4] >> k % 4 * 8);
		tok_block_seal(p);
		buf_reset(&out);
		buf_add(&out, head.p, head.n);
		buf_add(&out, block.p, block.n);
		put_file(path, out.p, out.n);
		ok(refused(path), "a block that claims %lu tokens, %lu documents, %lu bytes of names",
			(unsigned long)claims[i][0], (unsigned long)claims[i][1],
			(unsigned long)claims[i][2]);
	}
	buf_release(&head);
	buf_release(&block);
	buf_release(&out);
	free(path);
}

/* --- writing that fails --------------------------------------------------------------------------------- */

static void bad_writes(void)
{
	struct tok_info info = { 10, { 0, 0 } };
	char *path = path_of("w.tok"), *name = xmalloc(TOK_MAX_SOURCE + 2);
	memset(name, 'x', TOK_MAX_SOURCE + 1);
	name[TOK_MAX_SOURCE + 1] = 0;
	uint32_t ids[] = { 1, 9, 10 };
	struct writer *w = writer_open(path, &err);
	struct tok_writer *t = tok_writer_new(w, &info);
	ok(tok_writer_doc(t, ids, NULL, 3, NULL, &err) < 0 && strstr(err.msg, "id 10"), "refuses an id: %s",
		err.msg);
	ok(tok_writer_doc(t, ids, NULL, 2, name, &err) < 0, "refuses a long source name");
	ok(tok_writer_doc(t, ids, NULL, 2, name + 1, &err) == 0, "takes the longest source name");
	ok(tok_writer_end(t, "{}", &err) == 0 && writer_commit(w, 0, &err) == 0,
		"and goes on after a refusal");
	struct tok_map *m = tok_map_open(path, &err);
	ok(m && tok_map_docs(m) == 1 && tok_map_source(m, 0).n == TOK_MAX_SOURCE, "with what was good");
	tok_map_close(m);
	free(name);
	free(path);

	if (!path_exists("/dev/full")) {
		skip("no /dev/full");
		return;
	}
	w = writer_open("/dev/full", &err);
	t = tok_writer_new(w, &info);
	int rc = 0;
	for (int i = 0; i < 200000 && rc == 0; i++)
		rc = tok_writer_doc(t, ids, NULL, 2, NULL, &err);
	ok(rc < 0 && strstr(err.msg, "/dev/full: cannot write: No space left"), "disk full: %s", err.msg);
	ok(tok_writer_end(t, "{}", &err) < 0 && writer_commit(w, 0, &err) < 0, "and it stays so");
}

/* --- somebody else's reader ----------------------------------------------------------------------------- */

static void add_json(struct buf *b, const struct sample *s)
{
	buf_adds(b, "{\"ids\": [");
	for (size_t i = 0; i < s->n; i++)
		buf_addf(b, "%s%lu", i ? ", " : "", (unsigned long)s->ids[i]);
	buf_adds(b, "], \"source\": ");
	json_add_cstr(b, s->source ? s->source : "");
	buf_adds(b, ", \"out\": [");
	const char *comma = "";
	for (size_t i = 0; s->mask && i < s->n; i++) {
		if (!s->mask[i]) {
			buf_addf(b, "%s%zu", comma, i);
			comma = ", ";
		}
	}
	buf_adds(b, "]}\n");
}

/* tests/ref/read_tok.py was written from the manual page alone. */
static void python(void)
{
	if (system("python3 -c 'import zlib' 2>/dev/null") != 0 || !path_exists("tests/ref/read_tok.py")) {
		skip("reader in Python: no python3, or not in the project's folder");
		return;
	}
	char *path = path_of("py.tok"), *part = path_of("part.tok"), *json = path_of("py.json");
	char *cmd = xasprintf("python3 tests/ref/read_tok.py %s >%s 2>/dev/null", path, json);
	for (int wide = 0; wide < 2; wide++) {
		struct tok_info info = { wide ? 70000 : 300, { 8, 9 } };
		struct buf want = { 0 }, got = { 0 };
		write_samples(path, info, 0, 60, 100000);
		write_samples(part, info, 60, 70, 100);
		append(path, part);
		for (uint64_t i = 0; i < 70; i++) {
			struct sample s = sample_of(i, info.vocab, i < 60 ? 100000 : 100);
			add_json(&want, &s);
			sample_release(&s);
		}
		int rc = system(cmd);
		file_read(json, &got, 1 << 30, &err);
		ok(rc == 0 && got.n == want.n && memcmp(got.p, want.p, got.n) == 0,
			"a reader in Python reads %d-byte ids", wide ? 4 : 2);
		buf_release(&want);
		buf_release(&got);
	}
	struct buf b = { 0 };
	file_read(part, &b, 1 << 20, &err);
	int missed = 0;
	for (size_t n = 1; n < b.n; n += b.n / 5) {
		put_file(path, b.p, n);
		missed += system(cmd) == 0;
	}
	ok(!missed, "and notices truncation");
	buf_release(&b);
	free(cmd);
	free(path);
	free(part);
	free(json);
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
	joined();
	fingerprints();
	huge_claims();
	bad_writes();
	python();
	char *cmd = xasprintf("rm -rf %s", dir);
	if (system(cmd) != 0)
		warn("%s: cannot remove", dir);
	free(cmd);
	return tap_end();
}
