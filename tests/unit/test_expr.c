#include "text/expr.h"
#include "tap.h"

#include <stdlib.h>

static const struct str labels[] = { { "bad", 3 }, { "good", 4 } };
static const float scores[] = { 0.25f, 0.75f };

/* A document with these fields and the text "The cat sat on the mat." */
static const char record[] = "{\"text\": \"The cat sat on the mat.\", \"n\": 3, \"x\": -1.5, \"s\": "
			     "\"Straße\", \"yes\": true, \"no\": false, "
			     "\"nil\": null, \"tags\": [\"a\", \"b\", 3], \"meta\": {\"lang\": \"en\", "
			     "\"deep\": {\"k\": 7}}, \"words\": \"field\", "
			     "\"odd name\": 1, \"big\": 1e308, \"label\": \"gold\"}";

static int truth(const char *text, int with_labels)
{
	static struct doc_batch b;
	static struct textstat t;
	struct err e;
	if (!b.n) {
		static char name[] = "/tmp/quern-expr-XXXXXX", *files[] = { name };
		FILE *f = fdopen(mkstemp(name), "wb");
		if (!f || fputs(record, f) < 0 || fclose(f) != 0)
			abort();
		struct doc_source *s = docs_open(files, 1, NULL, DOC_JSONL, 0);
		if (docs_read(s, &b, SIZE_MAX, &e) < 0)
			abort();
		docs_parse(s, &b);
		docs_close(s);
		remove(name);
		textstat_init(&t, WORDS_PUNCT);
		textstat_set(&t, b.docs[0].text.p, b.docs[0].text.n);
	}
	struct expr *x = expr_new(text, labels, with_labels ? 2 : 0, &e);
	if (!x) {
		printf("# %s\n", e.msg);
		return -1;
	}
	struct expr_env env = { .stats = &t, .doc = &b.docs[0], .label = 1, .scores = scores };
	int r = expr_true(x, &env);
	expr_env_release(&env);
	expr_free(x);
	return r;
}

static const struct {
	const char *text;
	int want;
} values[] = {
	{ "true", 1 },
	{ "false", 0 },
	{ "words == 7 && plain_words == 6", 1 },
	{ "chars == 23 && bytes == 23 && lines == 1", 1 },
	{ "1 + 2 * 3 == 7", 1 },
	{ "(1 + 2) * 3 == 9", 1 },
	{ "7 % 4 == 3 && -7 % 4 == -3", 1 },
	{ "1 - 1 - 1 == -1", 1 },
	{ "8 / 4 / 2 == 1", 1 },
	{ "- -1 == 1", 1 },
	{ "!(1 > 2)", 1 },
	{ "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2", 1 },
	{ "true || false && false", 1 },
	{ "false && true || true", 1 },
	{ "1e3 == 1000 && .5 == 0.5 && 1.5e-1 == 0.15", 1 },
	{ "\"a\" < \"b\" && 'a' < \"aa\"", 1 },
	{ "'it\\'s' == \"it's\" && \"\\n\" != \"\\d\"", 1 },
	{ "n == 3 && x == -1.5 && s == \"Straße\" && yes && !no", 1 },
	{ "nil == null && absent == null && absent != 0", 1 },
	{ "has(nil) && !has(absent)", 1 },
	{ "absent > 1 || absent < 1 || absent == 1", 0 },
	{ "!(absent > 1)", 1 },
	{ "absent + 1 == null", 1 },
	{ "n / 0 == null && n % 0 == null && 0 / 0 == null", 1 },
	{ "n / 0 > 1 || n / 0 < 1", 0 },
	{ "log(0) == null && log(-1) == null && big * 10 == null", 1 },
	{ "n", 0 },
	{ "s > 3", 0 },
	{ "n in [1, 2, 3] && s not in [\"x\"] && \"a\" in tags && 3 in tags && \"c\" not in tags", 1 },
	{ "n in []", 0 },
	{ "n in s", 0 },
	{ "len(s) == 6 && len(tags) == 3 && len(meta) == 2 && len(absent) == null && len([1, 2]) == 2", 1 },
	{ "len\t(s) == 6 && len (tags) == 3", 1 },
	{ "lower(\"ÄB c\") == \"äb c\"", 1 },
	{ "contains(text, \"cat\") && !contains(text, \"dog\") && contains(text, \"\")", 1 },
	{ "starts(text, \"The \") && ends(text, \"mat.\") && !starts(text, \"cat\") && !ends(\"a\", \"aa\")",
		1 },
	{ "matches(text, \"^The\\s\\w+ sat\") && !matches(text, \"^the\") && matches(text, '(?i)^THE')", 1 },
	{ "contains(n, \"3\") == null", 1 },
	{ "min(3, n, 2) == 2 && max(1, n) == 3 && abs(x) == 1.5 && log(1) == 0", 1 },
	{ "min(n, absent) == null", 1 },
	{ "meta.lang == \"en\" && meta.deep.k == 7 && meta.none == null && n.k == null", 1 },
	{ ".words == \"field\" && .meta.lang == 'en' && field(\"odd name\") == 1 && has(words)", 1 },
	{ "label == \"gold\"", 1 },
	{ "tags == tags", 0 },
};

static const struct {
	const char *text, *first, *caret;
} errors[] = {
	{ "", "expected a value before the end", "^" },
	{ "words >", "expected a value before the end", "       ^" },
	{ "words > 1 2", "expected an operator", "          ^" },
	{ "words", "this is a number, not a condition", "^" },
	{ "\"a\"", "this is a string, not a condition", "^" },
	{ "words = 3", "unexpected '='; equality is ==", "      ^" },
	{ "yes & no", "unexpected '&'; write it twice", "    ^" },
	{ "words > \"a\"", "cannot compare a number with a string by >", "      ^" },
	{ "words == \"a\"", "cannot compare a number with a string by ==", "      ^" },
	{ "true > false", "> wants numbers or strings, this is a condition", "^" },
	{ "words && yes", "&& wants a condition, this is a number", "^" },
	{ "words + \"a\" > 1", "+ wants a number, this is a string", "        ^" },
	{ "!words", "! wants a condition, this is a number", " ^" },
	{ "-\"a\" > 1", "- wants a number, this is a string", " ^" },
	{ "1 < 2 < 3", "comparisons do not chain; join them by &&", "      ^" },
	{ "n in 3", "in wants a list, this is a number", "     ^" },
	{ "n not 3", "expected 'in' behind 'not'", "      ^" },
	{ "len(3) > 1", "len wants a string or a list, this is a number", "    ^" },
	{ "nope(text)", "no function 'nope'", "^" },
	{ "lower(text, 1) == \"\"", "lower() takes 1 argument", "^" },
	{ "contains(text)", "contains() takes 2 arguments", "^" },
	{ "min(1) > 0", "min() takes 2 arguments or more", "^" },
	{ "field(2) == 3", "field wants a string, this is a number", "      ^" },
	{ "contains(text, 3)", "contains wants a string, this is a number", "               ^" },
	{ "matches(text, s)", "the pattern of matches() must be a string as it stands", "              ^" },
	{ "matches(text, \"a(\")", "pattern, at its byte 2: missing closing parenthesis", "              ^" },
	{ "has(3)", "has() wants the name of a field", "    ^" },
	{ "(words > 1", "expected ')' before the end", "          ^" },
	{ "n in [1, 2", "expected ']' before the end", "          ^" },
	{ "s == \"abc", "string without its closing \"", "     ^" },
	{ "1x > 2", "not a number", "^" },
	{ "1..2 > 2", "not a number", "^" },
	{ "meta. == 1", "a name is missing behind the dot", "     ^" },
	{ "s == \"ß\" ~ 1", "unexpected '~'", "         ^" },
	{ "score(\"good\") > 1", "score() needs a classifier (-m)", "^" },
};

static void test_error(const char *text, const char *first, const char *caret)
{
	struct err e;
	struct expr *x = expr_new(text, NULL, 0, &e);
	ok(!x, "refused: %s", text);
	expr_free(x);
	char *nl = strchr(e.msg, '\n'), *last = strrchr(e.msg, '\n');
	if (!nl || last == nl) {
		ok(0, "message has three lines: %s", e.msg);
		return;
	}
	*nl = 0;
	ok_str(e.msg, first, "says why");
	ok_str(last + 3, caret, "and where");
}

static void test_hard(void)
{
	struct buf b = { 0 };
	struct err e;
	for (int i = 0; i < 200; i++)
		buf_addc(&b, '(');
	ok(!expr_new(b.p, NULL, 0, &e) && strstr(e.msg, "nested too deep"), "200 parentheses");
	buf_reset(&b);
	for (int i = 0; i < 200; i++)
		buf_addc(&b, '!');
	ok(!expr_new(b.p, NULL, 0, &e) && strstr(e.msg, "nested too deep"), "200 signs");
	buf_reset(&b);
	for (int i = 0; i < 2000; i++)
		buf_adds(&b, "1+");
	buf_adds(&b, "1>0");
	ok(!expr_new(b.p, NULL, 0, &e) && strstr(e.msg, "too long"), "2000 sums");
	buf_reset(&b);
	for (int i = 0; i < 500; i++)
		buf_adds(&b, "n==3&&");
	buf_adds(&b, "yes");
	ok(truth(b.p, 0) == 1, "500 conditions");
	buf_reset(&b);
	buf_adds(&b, "n in [");
	for (int i = 0; i < 5000; i++)
		buf_addf(&b, "%d,", i + 4);
	buf_adds(&b, "3]");
	ok(truth(b.p, 0) == 1, "a list of 5001");
	buf_release(&b);
}

int main(void)
{
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		ok(truth(values[i].text, 0) == values[i].want, "%s", values[i].text);
	ok(truth("label == \"good\" && score == 0.75 && score_bad == .25 && score(\"good\") == 0.75", 1) == 1,
		"label and scores of a classifier");
	ok(truth(".label == \"gold\"", 1) == 1, "a field behind them");
	ok(truth("score_ugly > 0", 1) == -1, "no score of a label that is not there");
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		test_error(errors[i].text, errors[i].first, errors[i].caret);
	test_hard();
	return tap_end();
}
