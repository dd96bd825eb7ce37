#include "tap.h"
#include "text/pretok.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>

/* Splits text and joins the pieces with '|'. */
static const char *split(const char *pattern, unsigned flags, const char *text)
{
	static char out[4096];
	struct err e;
	struct pretok *p = pretok_new(pattern, flags, &e);
	if (!p) {
		snprintf(out, sizeof out, "refused: %.1000s", e.msg);
		return out;
	}
	struct splitter *s = splitter_new(p);
	size_t k = 0, n = strlen(text);
	for (size_t at = 0, end; at < n; at = end) {
		end = splitter_next(s, text, n, at, NULL);
		if (end <= at || end > n || k + (end - at) + 2 > sizeof out) {
			splitter_free(s);
			pretok_free(p);
			return "bad end";
		}
		if (at)
			out[k++] = '|';
		memcpy(out + k, text + at, end - at);
		k += end - at;
	}
	out[k] = 0;
	splitter_free(s);
	pretok_free(p);
	return out;
}

static void known(void)
{
	static const struct {
		const char *pattern, *text, *want;
	} rows[] = {
		{ "gpt2", "Hello  world's 123 x!\n\n  y", "Hello| | world|'s| 123| x|!|\n\n | y" },
		{ "gpt2", "it'S \t\xc2\xbd\xc2\xa0", "it|'|S| |\t|\xc2\xbd|\xc2\xa0" },
		{ "llama3", "it'S 1234 x", "it|'S| |123|4| x" },
		{ "llama3", "a\n \n  b !!\n\nc", "a|\n \n| | b| !!\n\n|c" },
		{ "llama3", "(word \ttab", "(word| |\ttab" },
		{ "qwen", "x 1234", "x| |1|2|3|4" },
		{ "o200k", "getURLs ABCd's a/b//\n", "get|URLs| ABCd's| a|/b|//\n" },
		{ "o200k", "HELLO WORLD", "HELLO| WORLD" },
		{ "cl100k", "a \n ", "a| \n " },
		{ "gpt4", "a \n ", "a| \n| " },
		{ "nanochat", "12345", "12|34|5" },
		{ "gpt4", "'\xc5\xbf x", "'\xc5\xbf| x" },
		{ "gpt4",
			"a\xff\xfe"
			"b \xff",
			"a|\xff\xfe|b| \xff" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		ok_str(split(rows[i].pattern, PRETOK_LINES, rows[i].text), rows[i].want, "%s, row %zu",
			rows[i].pattern, i);
}

static void expressions(void)
{
	ok_str(split("[a-z]+", 0, "ab1cd23"), "ab|1|cd|23", "gaps are pieces");
	ok_str(split("^a|b$", PRETOK_LINES, "ac\nadb\nb"), "a|c\n|a|d|b|\n|b", "^ and $ at lines");
	ok_str(split("^a|b$", 0, "ac\nadb\nb"), "a|c\nadb\n|b", "^ and $ at the ends");
	ok_str(split("x*", 0, "axxb"), "a|xx|b", "an expression that matches nothing cuts everywhere");
	ok_str(split("\\s+", 0,
		       "a\xe1\xa0\x8e"
		       "b\xc2\x85"
		       "c"),
		"a\xe1\xa0\x8e"
		"b|\xc2\x85|c",
		"\\s is White_Space");
	ok_str(split("\\p{Han}+", 0, "a\xe6\x97\xa5\xe3\x80\x81\xe6\x97\xa5"),
		"a|\xe6\x97\xa5|\xe3\x80\x81|\xe6\x97\xa5", "a script is the property Script");
	ok_str(split("[a-z]+", 0,
		       "a\xff\xff"
		       "b"),
		"a|\xff\xff|b", "bad bytes are a piece");
	/* Marks and circled letters are of words; a half is in Oniguruma, a joiner in Rust. */
	ok_str(split("\\w+", PRETOK_LINES, "a\xcc\x81\xe2\x92\xb6!\xc2\xbd\xe2\x80\x8d"),
		"a\xcc\x81\xe2\x92\xb6|!|\xc2\xbd|\xe2\x80\x8d", "\\w in tokenizer.json");
	ok_str(split("\\w+|[^\\w!]+", PRETOK_LINES, "\xf0\x9f\x85\x89\xf0\x9f\x85\x8c"),
		"\xf0\x9f\x85\x89|\xf0\x9f\x85\x8c", "squared letters, and what is none");
	ok_str(split("\\w+|\\W", 0, "a\xe2\x80\x8d-\xc2\xbd"), "a\xe2\x80\x8d|-|\xc2\xbd",
		"\\w in a rank file");
	ok_str(split("[\\w-]+", 0, "a\xe2\x80\x8d-\xc2\xbd"), "a\xe2\x80\x8d-|\xc2\xbd", "and in a class");
	ok_str(split("\\b", PRETOK_LINES, "a\xcc\x81-b \xe2\x80\xbf"), "a\xcc\x81|-|b| |\xe2\x80\xbf",
		"\\b goes by that \\w");
	ok_str(split("a\\B.", PRETOK_LINES, "a\xcc\x81 a-"), "a\xcc\x81| a-", "and \\B");
	ok_str(split("[[:space:]_]+|[[:word:]]+", PRETOK_LINES, "a\xcc\x81 _\xe1\xa0\x8e"),
		"a\xcc\x81| _|\xe1\xa0\x8e", "[:space:] and [:word:]");
	ok(strstr(split("[[:alpha:]]", PRETOK_LINES, "x"), "[:alpha:] is not supported"), "[:alpha:]");
	ok(strstr(split("[[:^space:]]", PRETOK_LINES, "x"), "[:^space:] is not supported"), "[:^space:]");
	ok(strstr(split("[[:space", PRETOK_LINES, "x"), "not supported"), "an open [:name");
	ok(strstr(split("(?m:.+)", PRETOK_LINES, "x"), "(?m is not supported"), "(?m) means two things");
	ok(strstr(split("(?s).+", 0, "x"), "(?s is not supported"), "(?s)");
	ok(strstr(split("a(?i)b|c", PRETOK_LINES, "x"), "(?i is not supported behind"),
		"(?i) behind something");
	ok_str(split("(?i)ab|(?:(?i)c)|x(?-i:y)|(?<z>z)(?=z)|(?<=z)z", PRETOK_LINES, "aBCxyXYzz"),
		"aB|C|xy|XY|z|z", "(?i) where it is the same");
	ok(strstr(split("(", 0, "x"), "refused"), "a malformed expression");
	ok(strstr(split("[a&&b]", 0, "x"), "&&"), "class intersection");
	ok(strstr(split("[a[b]]", 0, "x"), "inside a class"), "nested class");
	ok(strstr(split("\\h+", 0, "x"), "\\h"), "\\h");
	ok(strstr(split("a{1,2}+", 0, "x"), "}+"), "possessive count");
	ok_str(split("\\x{61}+|[]\\]x]+", 0, "aa]x"), "aa|]x", "\\x{} and brackets in classes");
}

/* (a+)+$ on a long run takes exponential time: the limit ends it, nothing is lost. */
static void runaway(void)
{
	struct err e;
	char text[64];
	memset(text, 'a', sizeof text);
	text[63] = 'b';
	struct pretok *p = pretok_regex("(a+)+$", PRETOK_LINES, &e);
	struct splitter *s = splitter_new(p);
	ok(splitter_next(s, text, sizeof text, 0, NULL) == sizeof text,
		"a runaway expression leaves one piece");
	ok(splitter_limited(s) == 1, "and is counted");
	splitter_free(s);
	pretok_free(p);
}

/* The scanners against PCRE2 on random text: the same expression in a group has no scanner. */
static void against_pcre2(const char *name)
{
	static const char *const bits[] = { " ", "  ", "\n", "\r\n", "\t", "'", "'s", "'LL", "a", "Zb",
		"\xc3\xa9", "\xc3\x89", "\xc7\x85", "\xca\xb0", "\xe6\x97\xa5", "\xcc\x81", "1", "23",
		"\xc2\xbd", "!", "/", "-", "\xc2\xa0", "\xe3\x80\x80", "\xf0\x9f\x99\x82", "\xe2\x80\x8b",
		"\xc2\x85" };
	struct err e;
	struct rng r;
	char *group = xasprintf("(?:%s)", pretok_known(name));
	struct pretok *fast = pretok_new(name, 0, &e), *slow = pretok_regex(group, PRETOK_LINES, &e);
	struct splitter *a = splitter_new(fast), *b = splitter_new(slow);
	int wrong = 0;
	rng_init(&r, 42, 0);
	for (int round = 0; round < 4000 && !wrong; round++) {
		char text[256];
		size_t n = 0, at = 0;
		for (uint64_t k = 1 + rng_below(&r, 30); k; k--) {
			const char *bit = bits[rng_below(&r, sizeof bits / sizeof *bits)];
			memcpy(text + n, bit, strlen(bit));
			n += strlen(bit);
		}
		while (at < n && !wrong) {
			size_t end = splitter_next(a, text, n, at, NULL);
			wrong = end != splitter_next(b, text, n, at, NULL);
			if (wrong)
				printf("# %.*s at %zu\n", (int)n, text, at);
			at = end;
		}
	}
	ok(!wrong, "%s: the scanner and the expression agree", name);
	splitter_free(a);
	splitter_free(b);
	pretok_free(fast);
	pretok_free(slow);
	free(group);
}

int main(void)
{
	static const char *const names[] = { "gpt2", "llama3", "cl100k", "qwen", "o200k", "nanochat" };
	known();
	expressions();
	runaway();
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		against_pcre2(names[i]);
	return tap_end();
}
