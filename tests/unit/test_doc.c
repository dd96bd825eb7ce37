#include "text/doc.h"
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

static char path[] = "/tmp/quern-doc-XXXXXX";

static void put_file(const char *name, const char *bytes, size_t n)
{
	FILE *f = fopen(name, "wb");
	if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
		abort();
}

/* One batch of everything in a file with these bytes. */
static struct doc_source *load(
	const char *bytes, enum doc_format format, const char *field, int any, struct doc_batch *b)
{
	static char *files[1];
	struct err e;
	files[0] = path;
	put_file(path, bytes, strlen(bytes));
	struct doc_source *s = docs_open(files, 1, field, format, any);
	*b = (struct doc_batch){ 0 };
	if (docs_read(s, b, SIZE_MAX, &e) < 0)
		printf("# %s\n", e.msg);
	docs_parse(s, b);
	return s;
}

static void drop(struct doc_source *s, struct doc_batch *b)
{
	docs_close(s);
	doc_batch_release(b);
}

/* What the record becomes with these changes (key, value pairs; a NULL value removes; ends with NULL). */
static void changed(const char *record, const char *want, const char *const *pairs)
{
	struct doc_batch b;
	struct doc_source *s = load(record, DOC_JSONL, NULL, 0, &b);
	struct doc_field c[8];
	size_t n = 0;
	struct buf out = { 0 };
	for (; pairs[0]; pairs += 2, n++)
		c[n] = (struct doc_field){ str_of(pairs[0]), { pairs[1], pairs[1] ? strlen(pairs[1]) : 0 },
			0 };
	doc_add_changed(&out, &b.docs[0], c, n);
	ok_str(out.p, want, "change %s", record);
	buf_release(&out);
	drop(s, &b);
}

#define CHANGED(record, want, ...) changed(record, want "\n", (const char *const[]){ __VA_ARGS__, NULL })

static void test_jsonl(void)
{
	struct doc_batch b;
	struct buf out = { 0 };
	struct doc_source *s =
		load("\xef\xbb\xbf{\"text\":\"one\",\"id\":7}\n\n \t\r\n{\"id\":\"a\\nb\", \"text\": "
		     "\"t\\u00e9\\ud83d\\ude00\\ud800x\"}\r\n{\"text\":\"last\"}",
			DOC_JSONL, NULL, 0, &b);
	ok(b.n == 3, "three records, blank lines are none");
	ok(str_is(b.docs[0].text, "one") && b.docs[0].line == 1, "first record, behind the byte order mark");
	ok(str_is(b.docs[0].raw, "{\"text\":\"one\",\"id\":7}"), "raw without the mark");
	ok(b.docs[1].line == 4 && b.docs[1].number == 1, "line numbers count blank lines, records do not");
	ok(str_is(b.docs[1].text, "t\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbdx"), "escapes, pair, lone surrogate");
	ok(doc_get_str(&b.docs[1], "id", &out) == 0 && strcmp(out.p, "a\nb") == 0, "string field unescaped");
	ok(doc_get_str(&b.docs[0], "id", &out) == 0 && strcmp(out.p, "7") == 0, "number field as its text");
	ok(doc_get_str(&b.docs[0], "nope", &out) < 0, "absent field");
	buf_reset(&out);
	for (size_t i = 0; i < b.n; i++)
		doc_add(&out, &b.docs[i]);
	ok_str(out.p,
		"{\"text\":\"one\",\"id\":7}\n{\"id\":\"a\\nb\", \"text\": "
		"\"t\\u00e9\\ud83d\\ude00\\ud800x\"}\r\n"
		"{\"text\":\"last\"}\n",
		"records come back byte for byte");
	buf_release(&out);
	drop(s, &b);
}

static void test_bad(void)
{
	static const struct {
		const char *record, *what;
	} bad[] = {
		{ "{\"text\":1}", ":1: field \"text\" is not a string" },
		{ "{\"txt\":\"a\"}", ":1: no field \"text\"" },
		{ "{}", ":1: no field \"text\"" },
		{ "[1]", ":1: byte 0: not an object" },
		{ "{\"text\":\"a\"", ":1: byte 11: text ends early" },
		{ "{\"text\":\"a\"}x", ":1: byte 12: text goes on behind the value" },
		{ "{\"text\":\"a\",}", ":1: byte 12: object wants a key" },
		{ "{\"text\":\"\xff\"}", ":1: byte 9: string is not valid UTF-8" },
		{ "{\"text\":\"\xed\xa0\x80\"}", ":1: byte 9: string is not valid UTF-8" },
		{ "{\"text\":\"a\tb\"}", ":1: byte 10: control character in a string" },
		{ "{\"text\":\"\\x\"}", ":1: byte 10: unknown escape in a string" },
		{ "{\"text\":\"a\" \"b\":1}", ":1: byte 12: object wants ',' or '}'" },
		{ "\"text\":\"a\"", ":1: byte 0: not an object" },
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct doc_batch b;
		struct doc_source *s = load(bad[i].record, DOC_JSONL, NULL, 0, &b);
		const char *got = b.n == 1 && b.docs[0].bad ? b.docs[0].bad : "accepted";
		ok_str(strncmp(got, path, strlen(path)) == 0 ? got + strlen(path) : got, bad[i].what,
			"refused: %s", bad[i].record);
		ok(b.docs[0].text.n == 0 && b.docs[0].nfields == 0, "and empty");
		drop(s, &b);
	}
}

static void test_formats(void)
{
	struct doc_batch b;
	struct buf out = { 0 };
	struct doc_source *s = load("one\r\n\ntwo \xff", DOC_LINES, NULL, 0, &b);
	ok(b.n == 3 && str_is(b.docs[0].text, "one") && b.docs[1].text.n == 0, "lines, empty ones too");
	doc_add(&out, &b.docs[0]);
	ok_str(out.p, "one\r\n", "a line comes back as it was");
	buf_reset(&out);
	doc_add_changed(&out, &b.docs[2], &(struct doc_field){ STR("n"), STR("1"), 0 }, 1);
	ok_str(out.p, "{\"text\": \"two \\ufffd\", \"n\": 1}\n", "a changed line becomes JSON");
	drop(s, &b);
	s = load("one\ntwo\n", DOC_TEXT, NULL, 0, &b);
	ok(b.n == 1 && str_is(b.docs[0].text, "one\ntwo\n"), "text is one document");
	buf_reset(&out);
	doc_add(&out, &b.docs[0]);
	ok_str(out.p, "{\"text\": \"one\\ntwo\\n\"}\n", "text goes out as JSON");
	drop(s, &b);
	s = load("", DOC_TEXT, NULL, 0, &b);
	ok(b.n == 0, "an empty file holds no document");
	drop(s, &b);
	s = load("{\"messages\":[ {\"a\":1} ]}", DOC_JSONL, "messages", 1, &b);
	ok(b.n == 1 && str_is(b.docs[0].text, "[ {\"a\":1} ]"), "any type: the JSON text");
	drop(s, &b);
	buf_release(&out);
}

static void test_changes(void)
{
	CHANGED("{\"text\":\"a\",\"id\":1}", "{\"text\":\"a\",\"id\":2}", "id", "2");
	CHANGED("{\"text\": \"a\"}", "{\"text\": \"a\", \"k\": true}", "k", "true");
	CHANGED("{\"text\":\"a\"}", "{\"text\":\"a\",\"k\":true,\"l\":0}", "k", "true", "l", "0");
	CHANGED("{\"id\":1, \"text\":\"a\", \"z\":2}", "{\"text\":\"a\", \"z\":2}", "id", NULL);
	CHANGED("{\"id\":1, \"text\":\"a\", \"z\":2}", "{\"id\":1, \"z\":2}", "text", NULL);
	CHANGED("{\"id\":1, \"text\":\"a\", \"z\":2}", "{\"id\":1, \"text\":\"a\"}", "z", NULL);
	CHANGED("{ \"text\":\"a\" }", "{  }", "text", NULL);
	CHANGED(" {\"text\":\"a\"} ", " {\"b\":1} ", "text", NULL, "b", "1");
	CHANGED("{\"k\":1,\"text\":\"a\",\"k\":2}", "{\"k\":1,\"text\":\"a\",\"k\":3}", "k", "3");
	CHANGED("{\"k\":1,\"text\":\"a\",\"k\":2}", "{\"text\":\"a\"}", "k", NULL);
	CHANGED("{\"text\":\"a\",\"\\u006b\":2}", "{\"text\":\"a\",\"\\u006b\":3}", "k", "3");
	CHANGED("{\"text\":\"a\"}", "{\"text\":\"a\",\"k\":2}", "k", "1", "k", "2");
}

static void test_batches(void)
{
	char *files[2] = { path, path };
	struct doc_batch b = { 0 };
	struct err e;
	size_t n = 0, batches = 0;
	put_file(path, "{\"text\":\"a\"}\n{\"text\":\"b\"}\n", 26);
	struct doc_source *s = docs_open(files, 2, NULL, DOC_JSONL, 0);
	ok(docs_size(s) == 52, "size of all files");
	while (docs_read(s, &b, 1, &e) > 0) {
		n += b.n;
		batches++;
	}
	ok(n == 4 && batches == 4, "a batch holds at least a record");
	ok(docs_offset(s) == 52 && docs_read(s, &b, 1, &e) == 0, "the end is final");
	drop(s, &b);
	char missing[] = "/nonexistent/x.jsonl";
	files[1] = missing;
	s = docs_open(files, 2, NULL, DOC_AUTO, 0);
	b = (struct doc_batch){ 0 };
	ok(docs_read(s, &b, SIZE_MAX, &e) == 1, "records before the failure");
	ok(docs_read(s, &b, SIZE_MAX, &e) == -1 && strstr(e.msg, "/nonexistent/x.jsonl: cannot open: "),
		"then %s", e.msg);
	drop(s, &b);
}

int main(void)
{
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	test_jsonl();
	test_bad();
	test_formats();
	test_changes();
	test_batches();
	unlink(path);
	return tap_end();
}
