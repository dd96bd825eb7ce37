#include "eval/verify.h"
#include "tap.h"

static struct str s(const char *p)
{
	return str_of(p);
}

static double score(const char *spec, const char *completion, const char *answer)
{
	struct verifier v;
	struct err e;
	if (verifier_init(&v, spec, &e) < 0)
		return -1;
	double r = verifier_score(&v, s(completion), s(answer));
	verifier_release(&v);
	return r;
}

static const struct {
	const char *text, *answer;
} extracts[] = {
	{ "so \\boxed{42}.", "42" },
	{ "first \\boxed{1} then \\boxed{\\frac{1}{2}} done", "\\frac{1}{2}" },
	{ "\\boxed{\\text{no} \\{x\\}} and \\boxed{unclosed", "\\text{no} \\{x\\}" },
	{ "thus \\boxed 7 is it", "7" },
	{ "He pays 5.\n#### 1,234", "1,234" },
	{ "The final answer is 12.", "12." },
	{ "**Answer:** $x = 3$\n", "x = 3" },
	{ "She has 3 apples and buys 4, so 7 in all.", "7" },
	{ "it costs $1,250.50 in total", "1,250.50" },
	{ "so 10-3 leaves -7 and that is -$2.", "-$2" },
	{ "a chance of 3/4 or 75%!", "75%" },
	{ "x = \\frac{3}{4}", "\\frac{3}{4}" },
	{ "so \\boxed{2}, \\boxed{3} and $\\boxed{5}$.", "\\boxed{2}, \\boxed{3} and $\\boxed{5}" },
	{ "first \\boxed{2}, then at last \\boxed{3}", "3" },
	{ "therefore $x^2 + 1$ it is", "x^2 + 1" },
	{ "either \\( 3 \\) or $4$.", " 3 \\) or $4" },
	{ "for $x$ we get 12", "12" },
	{ "from $5 to $7 a day", "7" },
	{ "the answer is $28 \\%$. I hope it is correct.", "28 \\%" },
	{ "the answer is 28. I hope it is 100 % correct.", "28" },
	{ "they are 12 345 in all", "12 345" },
	{ "no number here", NULL },
	{ "", NULL },
};

static const struct {
	int same;
	const char *a, *b;
} pairs[] = {
	{ 1, "5", "5.0" },
	{ 1, "1,234", "1234" },
	{ 1, "$1{,}234$", "1234.00" },
	{ 1, "1\\,000", "1000" },
	{ 0, "1,234", "1235" },
	{ 1, "\\frac12", "0.5" },
	{ 1, "\\dfrac{1}{2}", "1/2" },
	{ 1, "\\frac1{72}", "\\tfrac{1}{72}" },
	{ 1, "-\\frac{2}{4}", "-.5" },
	{ 0, "1/3", "0.33" },
	{ 1, "1/3", "0.33333333" },
	{ 1, "50\\%", "50" },
	{ 1, "50%", "0.5" },
	{ 1, "50 percent", "1/2" },
	{ 0, "50%", "5" },
	{ 1, "2\\frac{1}{3}", "7/3" },
	{ 1, "1 1/2", "1.5" },
	{ 1, "-1 1/2", "-1.5" },
	{ 1, "\\sqrt{16}", "4" },
	{ 1, "2\\sqrt3", "\\sqrt{12}" },
	{ 1, "\\sqrt[3]{27}", "3" },
	{ 1, "2^{10}", "1024" },
	{ 1, "3 \\times 10^5", "300000" },
	{ 1, "1.5e3", "1500" },
	{ 1, "2\\pi", "\\frac{4\\pi}{2}" },
	{ 0, "2\\pi", "6.28" },
	{ 1, "18 dollars", "$18" },
	{ 1, "5\\text{ cm}^2", "5" },
	{ 1, "12 square feet", "12" },
	{ 1, "30^\\circ", "30 degrees" },
	{ 0, "2x", "2" },
	{ 0, "2 x", "2" },
	{ 1, "x = 5", "5" },
	{ 1, "f(x)=5.", "5" },
	{ 0, "x <= 5", "5" },
	{ 1, "(1, 2)", "\\left(1,\\frac{4}{2}\\right)" },
	{ 0, "(1, 2)", "(2, 1)" },
	{ 0, "(1, 2)", "[1, 2]" },
	{ 1, "[0, \\infty)", "\\left[ 0,\\infty \\right)" },
	{ 1, "\\{1, 2, 3\\}", "\\{3,2,1\\}" },
	{ 0, "\\{1, 2\\}", "\\{1, 1\\}" },
	{ 1, "1, 2", "2, 1" },
	/* what math-verify's tests call equal, or not */
	{ 1, "1 000", "1000" },
	{ 1, "1000,99", "1000.99" },
	{ 1, "0,111", "0.111" },
	{ 0, "1,2", "2.1" },
	{ 0, "1,234", "1.234" },
	{ 1, "11,\\! 111,\\! 100", "11111100" },
	{ 1, "19, 46, and 82", "19, 46, \\text{ and } 82" },
	{ 1, "$21,16$ or $11$", "21,16,11" },
	{ 1, "\\boxed{1} and \\boxed{-2}", "-2, 1" },
	{ 0, "black and white", "black or white" },
	{ 1, "-12;-11;-10", "\\{-12, -11, -10\\}" },
	{ 1, "(11,7)or(7,11)", "(7,11),\\ (11,7)" },
	{ 1, "(0;0;6)", "(0, 0, 6)" },
	{ 1, "x >= 5", "x \\geq 5" },
	{ 1, "x \\leq 5", "5 \\geq x" },
	{ 0, "x < 5", "x \\le 5" },
	{ 0, "x < 5", "x > 5" },
	{ 1, "x \\neq 3", "x != 3" },
	{ 1, "0<f(x)<1", "(0,1)" },
	{ 1, "-2 \\\\le x \\\\le 7", "x \\in [-2,7]" },
	{ 0, "-2 \\le x < 7", "[-2,7]" },
	{ 1, "x > 2", "(2, \\infty)" },
	{ 1, "[-1, -\\tfrac12) \\cup (0, 1)", "(0,1) \\cup [-1, -\\frac{1}{2})" },
	{ 0, "(0, 1) \\cup (2, 3)", "(0, 1)" },
	{ 1, "(p,q)=(3,2)", "(3,2)" },
	{ 1, "AB=4,CD=5", "4, 5" },
	{ 1, "V_{1}:V_{2}=11:21", "11:21" },
	{ 0, "12:00", "1:00" },
	{ 1, "x = 5+5+1 = 1/3 \\approx 11", "\\frac13" },
	{ 1, "5 = x", "5" },
	{ 0, "7 = 11a+c", "11a+c" },
	{ 0, "a + 3z = 0", "0" },
	{ 1, "\\pm 2021", "\\{-2021, 2021\\}" },
	{ 0, "\\pm 2021", "2021" },
	{ 1, "\\begin{pmatrix}1 & 2 \\\\ 3 & 4\\end{pmatrix}",
		"\\left[\\begin{array}{cc}1 & 2 \\\\3 & \\frac{8}{2}\\end{array}\\right]" },
	{ 0, "\\begin{pmatrix}1 & 2 \\\\ 3 & 4\\end{pmatrix}",
		"\\begin{pmatrix}1 & 3 \\\\ 2 & 4\\end{pmatrix}" },
	{ 0, "\\begin{pmatrix}1 & 2\\end{pmatrix}", "\\begin{pmatrix}1 \\\\ 2\\end{pmatrix}" },
	{ 1, "\\frac{x+2}{7}", "\\frac{x}{7}+\\frac{2}{7}" },
	{ 1, "1 + x", "x+1" },
	{ 0, "x - 1", "1 - x" },
	{ 0, "\\sqrt{x^2}", "x" },
	{ 1, "\\tan^2(y)+1", "\\sec^2(y)" },
	{ 1, "\\ln 8", "3 \\ln(2)" },
	{ 1, "\\log_2 8", "3" },
	{ 0, "x_1 + 1", "x_2 + 1" },
	{ 1, "2x_{1}", "x_1 + x_1" },
	{ 1, "\\frac{1}{3\\sqrt[3]{x}^2}", "\\frac{1}{3x^{2/3}}" },
	{ 1, "\\frac{108 + 31\\sqrt{5}}{216}", "\\frac{1}{2}+\\frac{31\\sqrt{5}}{216}" },
	{ 1, "34x+45y-20z+100=0", "-34x-45y+20z-100=0" },
	{ 1, "2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}" },
	{ 0, "x^2+y^2=1", "x^2-y^2=1" },
	{ 0, "tea", "eat" },
	{ 0, "no", "on" },
	{ 1, "\\text{(C)}", "C" },
	{ 1, "\\text{Evelyn}", "evelyn" },
	{ 1, "(\\text{C})", "(C)" },
	{ 0, "A", "B" },
	{ 0, "", "" },
	{ 0, "5", "" },
	{ 0, "1000000", "1000001" },
	{ 0, "1/0", "1/0 " },
	{ 1,
		"\xe2\x88\x92"
		"3",
		"-3" },
	{ 0, "9007199254740993", "9007199254740992" },
};

static void math(void)
{
	for (size_t i = 0; i < sizeof extracts / sizeof *extracts; i++) {
		struct str got = math_extract(s(extracts[i].text));
		char text[64] = "";
		snprintf(text, sizeof text, "%.*s", (int)got.n, got.p ? got.p : "");
		if (extracts[i].answer)
			ok_str(text, extracts[i].answer, "answer of '%.30s'",
				extracts[i].text[0] ? "..." : "");
		else
			ok(!got.p, "no answer in '%s'", extracts[i].text);
	}
	for (size_t i = 0; i + 1 < sizeof pairs / sizeof *pairs; i++) {
		if (strcmp(pairs[i].a, "1/0") == 0)
			continue;
		ok(math_equal(s(pairs[i].a), s(pairs[i].b)) == pairs[i].same, "'%s' %s '%s'", pairs[i].a,
			pairs[i].same ? "is" : "is not", pairs[i].b);
		ok(math_equal(s(pairs[i].b), s(pairs[i].a)) == pairs[i].same, "and the other way round");
	}
	ok(score("math", "... #### 18", "Janet sells 9.\n#### 18") == 1, "GSM8K's own answers");
	ok(score("math", "The answer is 18 because 9 * 2 = 18", "18") == 1, "a number and a reason");
	ok(score("math", "The answer is \\boxed{17}, not 18", "18") == 0, "the box counts, not what follows");
	ok(score("math", "x^2 + 1", "1 + x^2") == 1, "a completion that is nothing but its answer");
	ok(score("math", "It is $[0, 1)$.", "1") == 0, "a bound of an interval is no answer");
	ok(score("math", "so $x = 3$ and $y = 4$", "4") == 1, "the last of several formulas");
	ok(score("math", "The answer is 72", "The answer is $90 - 18 = 72$. Well.") == 1,
		"an answer with its solution");
	ok(score("math", "", "18") == 0, "an empty completion");
	ok(score("math", "18", "") == 0, "an empty answer");
}

static void others(void)
{
	ok(score("string", " Paris \n", "Paris") == 1, "string: outer white space is ignored");
	ok(score("string", "paris", "Paris") == 0, "string: case counts");
	ok(score("string:nocase", "paris", "Paris") == 1, "string:nocase");
	ok(score("string:contains", "It is Paris.", "Paris") == 1, "string:contains");
	ok(score("string:start,nocase", "paris, I say", "Paris") == 1, "string:start,nocase");
	ok(score("string:end", "I say Paris", "Paris") == 1, "string:end");
	ok(score("string:contains", "anything", "") == 0, "an empty answer is in nothing");
	ok(score("string:fuzzy", "a", "a") == -1, "string: unknown argument");
	ok(score("regex:^a+$", "aaa", "") == 1, "regex without a group: a match is enough");
	ok(score("regex:^a+$", "aab", "") == 0, "regex without a group: no match");
	ok(score("regex:= (\\w+)", "x = a, x = b", "b") == 1,
		"regex with a group: the last match is the answer");
	ok(score("regex:= (\\w+)", "x = b, x = a", "b") == 0, "regex with a group: not the first");
	ok(score("regex:(a*)*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "b") == 0,
		"endless backtracking gives up");
	ok(score("regex:(", "a", "a") == -1, "regex: does not compile");
	ok(score("regex", "a", "a") == -1, "regex: wants a pattern");
	ok(score("math:x", "1", "1") == -1, "math takes no argument");
	ok(score("nothing", "1", "1") == -1, "unknown verifier");
}

int main(void)
{
	math();
	others();
	return tap_end();
}
