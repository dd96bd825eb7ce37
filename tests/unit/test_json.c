#include "base/json.h"
#include "tap.h"
#include "text/doc.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static struct arena arena;

static struct json *parse(const char *text, int flags, struct err *e)
{
	return json_parse(&arena, text, strlen(text), flags, e);
}

static void test_values(void)
{
	struct err e;
	struct json *v =
		parse(" {\"a\": [1, -2.5e3, \"x\\u0000\\ud83d\\ude00\\udc00\"], \"b\": null, \"a\": true,"
		      "\"big\": 9223372036854775808, \"min\": -9223372036854775808}\n",
			JSON_STRICT, &e);
	ok(json_is(v, JSON_OBJECT) && v->n == 5, "an object of five members, repeated keys counted");
	ok(json_bool(v, "a", 0) == 1, "the last of repeated keys wins");
	struct json *list = &v->kids[0];
	ok(list->n == 3 && list->kids[0].is_int && list->kids[0].i == 1, "integer");
	ok(!list->kids[1].is_int && list->kids[1].d == -2500, "double");
	ok(str_eq(list->kids[2].s, (struct str){ "x\0\xf0\x9f\x98\x80\xef\xbf\xbd", 9 }),
		"NUL, surrogate pair, lone surrogate");
	ok(json_get(v, "b")->type == JSON_NULL && json_num(v, "b", 7) == 7, "null gives the fallback");
	ok(!json_get(v, "big")->is_int && json_get(v, "min")->i == INT64_MIN, "limits of int64");
	ok(json_int(v, "big", -1) == -1, "an integer too large gives the fallback");
	ok_str(json_cstr(v, "nope", "x"), "x", "absent string");
	ok(json_get(NULL, "a") == NULL && json_get(list, "a") == NULL, "no members in other types");
	ok(v->at == 1 && list->at == 7, "offsets for messages");
	ok(!parse("NaN", JSON_STRICT, &e) && parse("[NaN,-Infinity]", JSON_LAX, &e), "NaN only when lax");
}

static void nested(char *t, size_t depth)
{
	memset(t, '[', depth);
	memset(t + depth, ']', depth);
	t[2 * depth] = 0;
}

static void test_depth(void)
{
	char t[2 * JSON_MAX_DEPTH + 64], o[sizeof t + 8];
	struct err e;
	struct json_members m;
	struct str k, v;
	nested(t, JSON_MAX_DEPTH);
	ok(parse(t, 0, &e) != NULL && json_skip(t, strlen(t), 0, &e) == strlen(t), "deepest nesting");
	snprintf(o, sizeof o, "{\"a\":%s}", t);
	ok(!parse(o, 0, &e), "one deeper is refused");
	ok(json_members_start(&m, o, strlen(o), &e) == 0 && json_members_next(&m, &k, &v, &e) == -1,
		"by the walk over members too: %s", e.msg);
	nested(t, JSON_MAX_DEPTH + 1);
	ok(!parse(t, 0, &e) && json_skip(t, strlen(t), 0, &e) == 0, "also as an array: %s", e.msg);
}

static void test_write(void)
{
	static const double doubles[] = { 0, 1, -1.5, 0.1, 1e300, 5e-324, 1 / 3.0, 123456789012345678.0 };
	struct buf b = { 0 };
	struct err e;
	int same = 1;
	json_add_str(&b, "a\"\\\b\f\n\r\t\x01/\x7f\xc3\xa9\xff\xed\xa0\x80", 17);
	ok_str(b.p, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\x7f\xc3\xa9\\ufffd\\ufffd\\ufffd\\ufffd\"", "string");
	for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++) {
		buf_reset(&b);
		json_add_num(&b, doubles[i]);
		struct json *v = json_parse(&arena, b.p, b.n, 0, &e);
		same &= v && v->d == doubles[i];
	}
	ok(same, "doubles read back to the same bits");
	buf_reset(&b);
	json_add_num(&b, 0.1);
	json_add_f32(&b, 0.1f);
	json_add_num(&b, NAN);
	ok_str(b.p, "0.10.1null", "shortest text");
	buf_reset(&b);
	struct json *v = parse("{\"a\":[1,{}],\"b\":[],\"c\":\"x\"}", 0, &e);
	json_add_value(&b, v);
	ok_str(b.p, "{\"a\":[1,{}],\"b\":[],\"c\":\"x\"}", "compact");
	buf_reset(&b);
	json_add_pretty(&b, v, 2);
	ok_str(b.p, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": \"x\"\n}", "indented");
	buf_release(&b);
}

static void test_scan(void)
{
	struct buf b = { 0 };
	struct err e;
	ok(json_unescape("\"a\\n\"", 5, &b, &e) == 0 && b.n == 2, "unescape");
	ok(json_unescape("\"a\"x", 4, &b, &e) < 0 && json_unescape("\"a", 2, &b, &e) < 0, "not one literal");
	ok(json_skip("[1] x", 5, 0, &e) == 3 && json_skip("  12,", 5, 0, &e) == 4,
		"skip ends behind the value");
	/* Every place of a quote, a backslash and a bad byte in words of eight. */
	int good = 1;
	for (size_t n = 0; n < 40; n++) {
		char t[64];
		t[0] = '"';
		memset(t + 1, 'a', n);
		t[n + 1] = '"';
		good &= json_skip(t, n + 2, 0, &e) == n + 2 && json_skip(t, n + 1, 0, &e) == 0;
		for (size_t i = 1; i <= n; i++) {
			t[i] = '\x1f';
			good &= json_skip(t, n + 2, 0, &e) == 0;
			t[i] = '\x80';
			good &= json_skip(t, n + 2, 0, &e) == 0;
			t[i] = '"';
			good &= json_skip(t, n + 2, 0, &e) == i + 1;
			t[i] = '\\';
			good &= json_skip(t, n + 2, 0, &e) == 0;
			t[i] = '\x7f';
			good &= json_skip(t, n + 2, 0, &e) == n + 2;
			t[i] = 'a';
		}
	}
	ok(good, "strings of every length");
	buf_release(&b);
}

/* The verdict of the document scanner on a text as the value of a field. */
static int scanner_accepts(const char *path, const struct buf *text)
{
	char *files[1];
	char name[] = "/tmp/quern-json-XXXXXX";
	struct doc_batch b = { 0 };
	int fd = mkstemp(name);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!f)
		return -1;
	/* A record is one line, and white space may stand for a newline between tokens, not inside a string.
	 */
	fputs("{\"text\":\"\",\"v\":", f);
	for (size_t i = 0; i < text->n; i++)
		putc(text->p[i] == '\n' ? '\r' : text->p[i], f);
	fputs("}\n", f);
	fclose(f);
	files[0] = name;
	struct doc_source *s = docs_open(files, 1, NULL, DOC_JSONL, 0);
	int rc = docs_read(s, &b, SIZE_MAX, NULL);
	docs_parse(s, &b);
	int accepted = rc == 1 && b.n == 1 && !b.docs[0].bad;
	if (rc != 1 || b.n != 1)
		printf("# %s: %d, %zu records\n", path, rc, b.n);
	docs_close(s);
	doc_batch_release(&b);
	unlink(name);
	return accepted;
}

static void suite_file(const char *dir, const char *name, int *wrong, int *n)
{
	char path[1024];
	struct buf b = { 0 };
	struct err e;
	snprintf(path, sizeof path, "%s/%s", dir, name);
	if (file_read(path, &b, 1 << 24, &e) < 0) {
		printf("# %s\n", e.msg);
		++*wrong;
		return;
	}
	const char *text = b.n ? b.p : "";
	struct json *v = json_parse(&arena, text, b.n, JSON_STRICT, &e);
	size_t end = json_skip(text, b.n, 0, &e);
	int want = name[0] == 'y' ? 1 : name[0] == 'n' ? 0 : v != NULL;
	int scan = scanner_accepts(path, &b);
	if ((v != NULL) != want || scan != want || (want && !end)) {
		printf("# %s: parsed %d, skipped %d, scanned %d\n", name, v != NULL, end != 0, scan);
		++*wrong;
	}
	++*n;
	arena_reset(&arena);
	buf_release(&b);
}

static void test_suite(void)
{
	static const char dir[] = "../shared/data/jsontestsuite/test_parsing";
	int wrong = 0, n = 0;
	DIR *d = opendir(dir);
	if (!d) {
		skip("the JSON test suite: not here");
		return;
	}
	for (struct dirent *f; (f = readdir(d));)
		if (str_ends(f->d_name, ".json"))
			suite_file(dir, f->d_name, &wrong, &n);
	closedir(d);
	ok(wrong == 0 && n > 300, "%d files of the JSON test suite, %d wrong", n, wrong);
}

int main(void)
{
	test_values();
	test_depth();
	test_write();
	test_scan();
	test_suite();
	arena_release(&arena);
	return tap_end();
}
