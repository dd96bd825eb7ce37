#include "text/rules.h"
#include "tap.h"
#include "filter_vectors.h"

#include <stdlib.h>

/* Texts at either side of every limit. "16*the of |1*end" is "the of " 16 times, then "end"; a % in a part
 * counts its repetitions. */
static const struct side {
	const char *rule, *kept, *dropped;
} sides[] = {
	{ "gopher-quality/short_doc", "16*the of other |1*the of", "16*the of other |1*the" },
	{ "gopher-quality/short_doc", "16*the of other |1*the , of", "16*the of other |1*the , ..." },
	{ "gopher-quality/long_doc", "33333*the of other |1*the", "33333*the of other |1*the of" },
	{ "gopher-quality/short_words", "20*the of with ", "20*the of with |1*of" },
	{ "gopher-quality/long_words", "15*the abcdefghijklmnopq ",
		"15*the abcdefghijklmnopq |1*abcdefghijk" },
	{ "gopher-quality/hashes", "30*the of other |10*# ", "30*the of other |11*# " },
	{ "gopher-quality/ellipses", "30*the of other |9*... |1*…", "30*the of other |10*... |1*…" },
	{ "gopher-quality/bullet_lines", "10*the of\n|60* - the\n|30*•the\n",
		"10*the of\n|60* - the\n|31*•the\n" },
	{ "gopher-quality/ellipsis_lines", "70*the of.\n|30*the of... \n", "70*the of.\n|31*the of... \n" },
	{ "gopher-quality/alpha_words", "20*the of other word |20*12 ", "20*the of other word |21*12 " },
	{ "gopher-quality/stop_words", "9*word |1*the of", "9*word |1*the The Of" },

	{ "gopher-repetition/empty", "1*x", "" },
	{ "gopher-repetition/dup_para_frac", "7*p%\n\n|3*p1\n\n", "7*p%\n\n|4*p1\n\n" },
	{ "gopher-repetition/dup_para_char_frac", "20*a|1*\n\n|56*b|1*\n\n|20*a",
		"20*a|1*\n\n|55*b|1*\n\n|20*a" },
	{ "gopher-repetition/dup_line_frac", "7*l%\n|2*l1\n|1*l1", "7*l%\n|3*l1\n|1*l1" },
	{ "gopher-repetition/dup_line_char_frac", "20*a|1*\n|58*b|1*\n|20*a", "20*a|1*\n|57*b|1*\n|20*a" },
	{ "gopher-repetition/top_2_gram", "1*a b |22*x|1* a b", "1*a b |21*x|1* a b" },
	{ "gopher-repetition/top_3_gram", "1*a b c |44*x|1* a b c", "1*a b c |43*x|1* a b c" },
	{ "gopher-repetition/top_4_gram", "1*a b c d |72*x|1* a b c d", "1*a b c d |71*x|1* a b c d" },
	{ "gopher-repetition/dup_5_gram", "1*a b c d e |14*x|1* a b c d e",
		"1*a b c d e |13*x|1* a b c d e" },
	{ "gopher-repetition/dup_6_gram", "1*a b c d e f |19*x|1* a b c d e f",
		"1*a b c d e f |18*x|1* a b c d e f" },
	{ "gopher-repetition/dup_7_gram", "1*a b c d e f g |26*x|1* a b c d e f g",
		"1*a b c d e f g |25*x|1* a b c d e f g" },
	{ "gopher-repetition/dup_8_gram", "1*a b c d e f g h |35*x|1* a b c d e f g h",
		"1*a b c d e f g h |34*x|1* a b c d e f g h" },
	{ "gopher-repetition/dup_9_gram", "1*a b c d e f g h i |46*x|1* a b c d e f g h i",
		"1*a b c d e f g h i |45*x|1* a b c d e f g h i" },
	{ "gopher-repetition/dup_10_gram", "1*a b c d e f g h i j |60*x|1* a b c d e f g h i j",
		"1*a b c d e f g h i j |59*x|1* a b c d e f g h i j" },

	{ "c4/lorem_ipsum", "1*A line with lorem and ipsum.", "1*A line with Lorem IPSUM." },
	{ "c4/curly_bracket", "1*a line with { and no end mark", "1*a line with {." },
	/* Of the two, the one that comes first is the reason. */
	{ "c4/lorem_ipsum", "1*a line with {.\n|1*Some lorem ipsum here.",
		"1*a line of javascript {.\n|1*Some lorem ipsum {." },
	{ "c4/curly_bracket", "1*Some lorem ipsum {.\n|1*a line with {.",
		"1*a line with {.\n|1*Some lorem ipsum." },
	{ "c4/sentences", "5*A line with words.\n", "4*A line with words.\n" },
	{ "c4/sentences", "4*A line with words.\n|1*Three short words.",
		"4*A line with words.\n|1*Two words." },
	{ "c4/sentences", "4*A line with words.\n|1*It ends in a quote'",
		"4*A line with words.\n|1*no end mark here" },
	{ "c4/sentences", "4*A line with words.\n|1*Two full stops..",
		"4*A line with words.\n|1*An ellipsis here..." },
	{ "c4/sentences", "4*A line with words.\n|1*A cited line.[12]",
		"4*A line with words.\n|1*No cited line.[x]" },
	{ "c4/sentences", "4*A line with words.\n|1*Use java script now.",
		"4*A line with words.\n|1*Use JavaScript now." },
	{ "c4/sentences", "4*A line with words.\n|1*The terms we use.",
		"4*A line with words.\n|1*Our Terms of Use." },
	{ "c4/sentences", "4*A line with words.\n|1*a b |999*w|1*.",
		"4*A line with words.\n|1*a b |1000*w|1*." },

	{ "fineweb/empty", "1*x", "2* \n" },
	{ "fineweb/line_punct_ratio", "3*a.\n|22*a\n", "3*a.\n|23*a\n" },
	{ "fineweb/line_punct_ratio", "1*a!\n", "1*a.\"\n" },
	{ "fineweb/short_line_ratio",
		"67*123456789012345678901234567890\n|33*1234567890123456789012345678901\n",
		"68*123456789012345678901234567890\n|33*1234567890123456789012345678901\n" },
	{ "fineweb/char_dup_ratio", "2*a\n|98*b", "2*a\n|97*b" },
	{ "fineweb/list_ratio", "10*w |3*\n", "10*w |4*\n" },
};

static void expand(const char *spec, struct buf *b)
{
	buf_reset(b);
	buf_adds(b, "");
	while (*spec) {
		char *part;
		long times = strtol(spec, &part, 10);
		size_t n = strcspn(++part, "|");
		for (long i = 1; i <= times; i++) {
			for (size_t k = 0; k < n; k++) {
				if (part[k] == '%')
					buf_addf(b, "%ld", i);
				else
					buf_addc(b, part[k]);
			}
		}
		spec = part + n + (part[n] == '|');
	}
}

static size_t rule_number(const char *name)
{
	for (size_t i = 0; i < rule_count; i++) {
		size_t n = strlen(rule_table[i].set);
		if (strncmp(name, rule_table[i].set, n) == 0 && strcmp(name + n + 1, rule_table[i].name) == 0)
			return i;
	}
	abort();
}

static void test_sides(void)
{
	struct textstat t;
	struct limits limits;
	struct buf b = { 0 };
	char tested[64] = { 0 };
	limits_init(&limits);
	textstat_init(&t, WORDS_PUNCT);
	for (size_t i = 0; i < sizeof sides / sizeof *sides; i++) {
		size_t r = rule_number(sides[i].rule);
		tested[r] = 1;
		expand(sides[i].kept, &b);
		textstat_set(&t, b.p, b.n);
		ok(!rule_drops(r, &limits, &t), "%s keeps one side (row %zu)", sides[i].rule, i);
		expand(sides[i].dropped, &b);
		textstat_set(&t, b.p, b.n);
		ok(rule_drops(r, &limits, &t), "%s drops the other (row %zu)", sides[i].rule, i);
	}
	for (size_t i = 0; i < rule_count; i++)
		if (rule_table[i].kind != RULE_LINE)
			ok(tested[i], "%s/%s is tested at its limit", rule_table[i].set, rule_table[i].name);
	buf_release(&b);
	textstat_release(&t);
}

static const char *verdict(struct textstat *t, const struct limits *l, size_t first, size_t n)
{
	for (size_t i = first; i < first + n; i++)
		if (rule_drops(i, l, t))
			return rule_table[i].name;
	return "";
}

static void join_words(const struct words *w, const char *text, struct buf *b)
{
	buf_reset(b);
	buf_adds(b, "");
	for (size_t i = 0; i < w->n; i++) {
		if (i)
			buf_addc(b, 0x1f);
		buf_add(b, text + w->w[i].at, w->w[i].n);
	}
}

/* Against the programs that the rules were published with. */
static void test_vectors(void)
{
	static const char *const sets[] = { "gopher-quality", "gopher-repetition", "c4", "fineweb" };
	size_t n = sizeof vectors / sizeof *vectors, bad[4][2] = { 0 }, words = 0, sentences = 0, left = 0;
	struct limits limits;
	struct buf b = { 0 };
	limits_init(&limits);
	for (int mode = 0; mode < 2; mode++) {
		struct textstat t;
		textstat_init(&t, mode ? WORDS_SPACE : WORDS_PUNCT);
		for (size_t i = 0; i < n; i++) {
			textstat_set(&t, vectors[i].text, strlen(vectors[i].text));
			for (int k = 0; k < 4; k++) {
				size_t first, count;
				rules_of_set(str_of(sets[k]), &first, &count);
				const char *want = mode ? vectors[i].space[k] : vectors[i].punct[k];
				bad[k][mode] += strcmp(verdict(&t, &limits, first, count), want) != 0;
			}
			if (mode)
				continue;
			join_words(textstat_words(&t), vectors[i].text, &b);
			words += strcmp(b.p, vectors[i].words) != 0;
			sentences += words_sentences(&t.sentences, vectors[i].text,
					     strlen(vectors[i].text)) != vectors[i].sentences;
			textstat_get(&t, STAT_C4_LINES);
			left += *vectors[i].left && strcmp(t.c4_text.p, vectors[i].left) != 0;
		}
		textstat_release(&t);
	}
	ok(words == 0, "words of %zu texts are spaCy's (%zu differ)", n, words);
	ok(sentences == 0, "and so are their sentences (%zu differ)", sentences);
	ok(left == 0, "what C4 leaves is what datatrove leaves (%zu differ)", left);
	for (int k = 0; k < 4; k++)
		ok(bad[k][0] + bad[k][1] == 0, "verdicts of %s are datatrove's (%zu and %zu differ)", sets[k],
			bad[k][0], bad[k][1]);
	buf_release(&b);
}

static void test_limits(void)
{
	struct limits l;
	struct err e;
	limits_init(&l);
	ok(limits_set(&l, "gopher-quality/short_doc=20", &e) == 0 && l.v[0] == 20, "a limit is set");
	ok(limits_set(&l, "c4/line_end_mark=off", &e) == 0 && !limits_c4(&l).end_mark,
		"a rule is turned off");
	ok(limits_set(&l, "c4/nothing=1", &e) < 0, "%s", e.msg);
	ok(limits_set(&l, "c4/sentences=", &e) < 0, "%s", e.msg);
	ok(limits_set(&l, "c4/sentences=-1", &e) < 0, "%s", e.msg);
	ok(limits_set(&l, "c4/sentences", &e) < 0, "%s", e.msg);
	size_t first, n;
	ok(rules_of_set(STR("gopher"), &first, &n) == 0 && first == 0 && n == 24,
		"gopher is both of its sets");
	ok(rules_of_set(STR("gophe"), &first, &n) < 0, "no set of half a name");
}

/* Empty, blank, and bytes that are no text at all: no statistic may be anything but a finite number. */
static void test_odd(void)
{
	static const char *const odd[] = { "", " ", "\n\n\n", "\xff\xfe\x80", "\xe2\x80", "\xf0\x9f\x98",
		"....", "'", "-", "\xc2\x85", "a\r\nb\rc", "\xe2\x80\xa8\xe2\x80\xa9", "http://",
		"a.b.c.d.e.f.g.h@i.jj" };
	for (int mode = 0; mode < 2; mode++) {
		struct textstat t;
		textstat_init(&t, mode ? WORDS_SPACE : WORDS_PUNCT);
		int bad = 0;
		for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
			textstat_set(&t, odd[i], strlen(odd[i]));
			for (int k = STAT_COUNT; k-- > 0;)
				bad += !isfinite(textstat_get(&t, (enum stat)k));
		}
		ok(bad == 0, "statistics of odd texts are numbers (--words %s)", mode ? "space" : "punct");
		textstat_release(&t);
	}
}

int main(void)
{
	test_sides();
	test_vectors();
	test_limits();
	test_odd();
	return tap_end();
}
