#include "eval/textout.h"
#include "tap.h"

#include "base/rng.h"

static struct textout t;

static void set(const struct str *stops, size_t n)
{
	textout_release(&t);
	textout_init(&t, stops, n);
}

static const char *text(void)
{
	return t.text.p ? t.text.p : "";
}

static void feed(const char *s)
{
	textout_add(&t, s, strlen(s));
}

static void characters(void)
{
	set(NULL, 0);
	feed("a\xe2");
	ok_str(text(), "a", "first byte of three is withheld");
	feed("\x82");
	ok_str(text(), "a", "second too");
	feed("\xac!");
	ok_str(text(), "a\xe2\x82\xac!", "the whole character comes out");
	feed("\xf0\x9f\x98");
	textout_end(&t);
	ok_str(text(), "a\xe2\x82\xac!\xef\xbf\xbd", "a cut character at the end is one U+FFFD");
	set(NULL, 0);
	feed("\x80\xc0\xaf\xed\xa0\x80\xe2\x28x");
	textout_end(&t);
	ok_str(text(),
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd(x",
		"each maximal malformed part is one U+FFFD");
}

static void stops(void)
{
	static const struct str two[] = { { "\n\n", 2 }, { "STOP", 4 } };
	set(two, 2);
	feed("one\n");
	ok_str(text(), "one", "what could begin a stop string is withheld");
	feed("two ST");
	ok_str(text(), "one\ntwo ", "and released when it did not");
	feed("OP three");
	ok_str(text(), "one\ntwo ", "the stop string and what follows are never shown");
	ok(t.stopped == 2, "which one is known");
	ok(textout_add(&t, "x", 1) == 1, "later bytes are ignored");
	textout_reset(&t);
	feed("a ST");
	textout_end(&t);
	ok_str(text(), "a ST", "the end releases what was withheld");
	textout_reset(&t);
	feed("xSTOP\n\n");
	ok(t.stopped == 2, "the first in the text wins, not the first in the list");
	ok_str(text(), "x", "text before it");
	textout_reset(&t);
	feed("\xe2\x82STOP");
	ok_str(text(), "\xef\xbf\xbd", "a cut character before a stop string");
	static const struct str self[] = { { "aab", 3 } };
	set(self, 1);
	feed("aaab");
	ok_str(text(), "a", "a stop string that overlaps itself");
}

/* However the bytes are cut, the text is the same, and every prefix shown is a prefix of it. */
static void any_cut(void)
{
	static const struct str s[] = { { "zz", 2 } };
	struct rng r;
	rng_init(&r, 1, 0);
	int same = 1, prefix = 1;
	for (int round = 0; round < 2000; round++) {
		char in[24];
		size_t n = 1 + (size_t)rng_below(&r, sizeof in);
		for (size_t i = 0; i < n; i++)
			in[i] = "az\xe2\x82\xac\xf0\x9f\x98\xff"[rng_below(&r, 9)];
		set(s, 1);
		textout_add(&t, in, n);
		textout_end(&t);
		struct buf want = t.text;
		t.text = (struct buf){ 0 };
		textout_reset(&t);
		for (size_t at = 0; at < n;) {
			size_t k = 1 + (size_t)rng_below(&r, 3);
			k = k < n - at ? k : n - at;
			textout_add(&t, in + at, k);
			prefix &=
				t.text.n <= want.n && (!t.text.n || memcmp(t.text.p, want.p, t.text.n) == 0);
			at += k;
		}
		textout_end(&t);
		same &= t.text.n == want.n && (!want.n || memcmp(t.text.p, want.p, want.n) == 0);
		buf_release(&want);
	}
	ok(same, "the text does not depend on how bytes arrive");
	ok(prefix, "what was shown is never taken back");
}

int main(void)
{
	characters();
	stops();
	any_cut();
	textout_release(&t);
	return tap_end();
}
