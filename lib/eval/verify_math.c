/*
 * math: is the final answer of a worked solution equal, by value, to the reference answer?
 *
 * Both are normalised (LaTeX marks, units, currency, spacing), then read as numbers (integers, decimals,
 * thousands separators, fractions, mixed numbers, powers, roots, pi, percentages), as intervals, tuples, sets
 * or lists of such, and compared exactly where both are rational. What is no number is compared as text.
 * There is no computer algebra: "x+1" and "1+x" differ.
 */
#include "eval/verify.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

/* --- finding the answer --- */

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int starts(struct str s, size_t at, const char *word)
{
	size_t n = strlen(word);
	return at <= s.n && s.n - at >= n && memcmp(s.p + at, word, n) == 0;
}

/* The same without regard to case; word is lower case. */
static int starts_nocase(struct str s, size_t at, const char *word)
{
	size_t n = strlen(word);
	if (at > s.n || s.n - at < n)
		return 0;
	for (size_t i = 0; i < n; i++) {
		char c = s.p[at + i];
		if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != word[i])
			return 0;
	}
	return 1;
}

/* Offset behind the brace that closes the one at `at`; 0 when there is none. */
static size_t close_brace(struct str s, size_t at)
{
	int depth = 0;
	for (size_t i = at; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '{')
			depth++;
		else if (s.p[i] == '}' && --depth == 0)
			return i + 1;
	}
	return 0;
}

/* Content of the last \boxed{...} or \fbox{...} whose braces close; also "\boxed 5". */
static struct str last_boxed(struct str s)
{
	for (size_t i = s.n; i-- > 0;) {
		if (s.p[i] != '\\')
			continue;
		size_t at = starts(s, i, "\\boxed") ? i + 6 : starts(s, i, "\\fbox") ? i + 5 : 0;
		while (at && at < s.n && s.p[at] == ' ')
			at++;
		if (!at || at >= s.n)
			continue;
		if (s.p[at] == '{') {
			size_t end = close_brace(s, at);
			if (end)
				return (struct str){ s.p + at + 1, end - at - 2 };
		} else if (s.p[at - 1] == ' ') {
			size_t end = at;
			while (end < s.n && !strchr(" \n$.", s.p[end]))
				end++;
			if (end > at)
				return (struct str){ s.p + at, end - at };
		}
	}
	return (struct str){ NULL, 0 };
}

static struct str line_from(struct str s, size_t at)
{
	size_t end = at;
	while (end < s.n && s.p[end] != '\n')
		end++;
	return str_trim((struct str){ s.p + at, end - at });
}

static struct str last_marked(struct str s)
{
	static const char *const marks[] = { "answer is", "answer:" };
	for (size_t i = s.n; i-- > 0;) {
		if (starts(s, i, "####"))
			return line_from(s, i + 4);
		for (size_t k = 0; k < sizeof marks / sizeof *marks; k++)
			if (starts_nocase(s, i, marks[k])) {
				size_t at = i + strlen(marks[k]);
				/* "answer is: 5", "**Answer:** 5" */
				while (at < s.n && (s.p[at] == ':' || s.p[at] == ' ' || s.p[at] == '*'))
					at++;
				struct str line = line_from(s, at);
				if (line.n)
					return line;
			}
	}
	return (struct str){ NULL, 0 };
}

/* Length of the number that starts at s[at]: digits with thousands separators and a fraction; 0 when there is
 * none. */
static size_t number_len(struct str s, size_t at)
{
	size_t i = at, run = 0;
	while (i < s.n && is_digit(s.p[i]))
		i++, run++;
	if (run >= 1 && run <= 3) {
		size_t k = i;
		while (k + 3 < s.n && s.p[k] == ',' && is_digit(s.p[k + 1]) && is_digit(s.p[k + 2]) &&
			is_digit(s.p[k + 3]) && (k + 4 >= s.n || !is_digit(s.p[k + 4])))
			k += 4;
		i = k;
	}
	if (i + 1 < s.n && s.p[i] == '.' && is_digit(s.p[i + 1])) {
		i++;
		while (i < s.n && is_digit(s.p[i]))
			i++;
		return i - at;
	}
	return run ? i - at : 0;
}

/* The number at s[at], with a fraction bar or a percent sign; {NULL, 0} when there is none. */
static struct str number_at(struct str s, size_t at)
{
	size_t i = at;
	if (starts(s, i, "\\frac") || starts(s, i, "\\dfrac") || starts(s, i, "\\tfrac")) {
		size_t a = i + (s.p[i + 1] == 'f' ? 5 : 6);
		size_t b = a < s.n && s.p[a] == '{' ? close_brace(s, a) : 0;
		size_t end = b && b < s.n && s.p[b] == '{' ? close_brace(s, b) : 0;
		return end ? (struct str){ s.p + at, end - at } : (struct str){ NULL, 0 };
	}
	size_t n = number_len(s, i);
	if (!n)
		return (struct str){ NULL, 0 };
	i += n;
	if (i + 1 < s.n && s.p[i] == '/' && (n = number_len(s, i + 1)) > 0)
		i += 1 + n;
	if (i < s.n && s.p[i] == '%')
		i++;
	else if (starts(s, i, "\\%"))
		i += 2;
	return (struct str){ s.p + at, i - at };
}

/* The first (want_last 0) or last number in the text, with its sign: a minus that follows a letter, a digit
 * or a bracket is an operator. */
static struct str find_number(struct str s, int want_last)
{
	struct str found = { NULL, 0 };
	for (size_t i = 0; i < s.n; i++) {
		if (!is_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '\\')
			continue;
		struct str n = number_at(s, i);
		if (!n.p)
			continue;
		size_t start = i, before = i;
		while (before > 0 && (s.p[before - 1] == '$' || s.p[before - 1] == '\\'))
			before--;
		if (before > 0 && s.p[before - 1] == '-' &&
			(before == 1 || !(is_digit(s.p[before - 2]) || is_letter(s.p[before - 2]) ||
						s.p[before - 2] == ')' || s.p[before - 2] == '}')))
			start = before - 1;
		found = (struct str){ s.p + start, i + n.n - start };
		if (!want_last)
			break;
		i += n.n - 1;
	}
	return found;
}

struct str math_extract(struct str text)
{
	if (!text.n)
		return (struct str){ NULL, 0 };
	struct str a = last_boxed(text);
	if (!a.p)
		a = last_marked(text);
	if (!a.p)
		a = find_number(text, 1);
	return a;
}

/* --- normalising --- */

enum { SET_OPEN = 1, SET_CLOSE = 2 }; /* \{ and \} */

/* What a LaTeX command or a character becomes. Longer spellings stand before their prefixes. */
static const struct {
	const char *from, *to;
} spellings[] = {
	{ "\\left.", "" },
	{ "\\right.", "" },
	{ "\\leftarrow", " " },
	{ "\\left", "" },
	{ "\\rightarrow", " " },
	{ "\\right", "" },
	{ "\\bigl", "" },
	{ "\\bigr", "" },
	{ "\\Bigl", "" },
	{ "\\Bigr", "" },
	{ "\\big", "" },
	{ "\\dfrac", "\\frac" },
	{ "\\tfrac", "\\frac" },
	{ "\\cfrac", "\\frac" },
	{ "\\dollar", "" },
	{ "\\$", "" },
	{ "\\(", "" },
	{ "\\)", "" },
	{ "\\[", "" },
	{ "\\]", "" },
	{ "\\,", "" },
	{ "\\!", "" },
	{ "\\;", " " },
	{ "\\:", " " },
	{ "\\ ", " " },
	{ "\\\\", " " },
	{ "\\quad", " " },
	{ "\\qquad", " " },
	{ "\\%", "%" },
	{ "\\{", "\x01" },
	{ "\\}", "\x02" },
	{ "\\lbrace", "\x01" },
	{ "\\rbrace", "\x02" },
	{ "\\cdot", "*" },
	{ "\\times", "*" },
	{ "\\div", "/" },
	{ "^\\circ", "" },
	{ "^{\\circ}", "" },
	{ "^ \\circ", "" },
	{ "\\circ", "" },
	{ "\\degree", "" },
	{ "\\infty", "inf" },
	{ "{,}", "," },
	{ "$", "" },
	{ "~", " " },
	{ "\\displaystyle", "" },
	{ "**", "^" },
	{ "\xe2\x88\x92", "-" } /* minus */,
	{ "\xe2\x80\x93", "-" } /* dash */,
	{ "\xc3\x97", "*" } /* times */,
	{ "\xc2\xb7", "*" } /* middle dot */,
	{ "\xc3\xb7", "/" },
	{ "\xc2\xb0", "" } /* degree */,
	{ "\xcf\x80", "\\pi" },
	{ "\xe2\x88\x9e", "inf" },
	{ "\xe2\x82\xac", "" } /* euro */,
	{ "\xc2\xa3", "" } /* pound */,
	{ "\xc2\xa0", " " },
	{ "\t", " " },
	{ "\n", " " },
	{ "\r", " " },
};

/* Commands whose braces hold text. */
static const char *const text_commands[] = { "\\text", "\\textbf", "\\textit", "\\textrm", "\\mathrm",
	"\\mathbf", "\\mathit", "\\mathsf", "\\mbox", "\\operatorname" };

static size_t text_command(struct str s, size_t at)
{
	for (size_t i = 0; i < sizeof text_commands / sizeof *text_commands; i++) {
		size_t n = strlen(text_commands[i]);
		if (starts(s, at, text_commands[i]) && at + n < s.n && s.p[at + n] == '{')
			return n;
	}
	return 0;
}

static void rewrite(struct str s, struct buf *b, int depth)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = s.p[i] == '\\' ? text_command(s, i) : 0, end = n ? close_brace(s, i + n) : 0;
		if (end && depth < 8) {
			buf_addc(b, ' ');
			rewrite((struct str){ s.p + i + n + 1, end - i - n - 2 }, b, depth + 1);
			i = end;
			continue;
		}
		size_t k;
		for (k = 0; k < sizeof spellings / sizeof *spellings; k++)
			if (s.p[i] == spellings[k].from[0] && starts(s, i, spellings[k].from))
				break;
		if (k < sizeof spellings / sizeof *spellings) {
			buf_adds(b, spellings[k].to);
			i += strlen(spellings[k].from);
		} else {
			buf_addc(b, s.p[i++]);
		}
	}
}

/* "x = 5" and "f(x) = 5" are 5. */
static struct str right_side(struct str s)
{
	const char *eq = memchr(s.p, '=', s.n);
	if (!eq || eq == s.p || memchr(eq + 1, '=', s.n - (size_t)(eq + 1 - s.p)))
		return s;
	struct str left = str_trim((struct str){ s.p, (size_t)(eq - s.p) });
	if (left.n > 8 || !left.n || !is_letter(left.p[0]) || strchr("<>!", eq[-1]))
		return s;
	return str_trim((struct str){ eq + 1, s.n - (size_t)(eq + 1 - s.p) });
}

static struct str normalise(struct str s, struct buf *b)
{
	rewrite(s, b, 0);
	struct str t = str_trim((struct str){ b->p ? b->p : "", b->n });
	while (t.n && (t.p[t.n - 1] == '.' || t.p[t.n - 1] == ',' || t.p[t.n - 1] == ';'))
		t.n--;
	return right_side(str_trim(t));
}

/* --- numbers --- */

struct value {
	int exact; /* n / d, d > 0, in lowest terms */
	int64_t n, d;
	double x;
};

static struct value inexact(double x)
{
	return (struct value){ 0, 0, 1, x };
}

static int64_t gcd(int64_t a, int64_t b)
{
	while (b) {
		int64_t t = a % b;
		a = b;
		b = t;
	}
	return a < 0 ? -a : a;
}

/* Integers stay below 2^62, so that sums and signs cannot overflow. */
static int fits(double x)
{
	return fabs(x) < 0x1p61;
}

static struct value ratio(int64_t n, int64_t d)
{
	if (d == 0)
		return inexact(NAN);
	int64_t g = gcd(n, d);
	if (d < 0)
		g = -g;
	return (struct value){ 1, n / g, d / g, (double)n / (double)d };
}

static struct value add(struct value a, struct value b)
{
	double x = a.x + b.x;
	if (a.exact && b.exact && fits((double)a.n * (double)b.d) && fits((double)b.n * (double)a.d) &&
		fits((double)a.d * (double)b.d))
		return ratio(a.n * b.d + b.n * a.d, a.d * b.d);
	return inexact(x);
}

static struct value mul(struct value a, struct value b)
{
	if (a.exact && b.exact && fits((double)a.n * (double)b.n) && fits((double)a.d * (double)b.d))
		return ratio(a.n * b.n, a.d * b.d);
	return inexact(a.x * b.x);
}

static struct value negate(struct value a)
{
	return (struct value){ a.exact, -a.n, a.d, -a.x };
}

static struct value invert(struct value a)
{
	return a.exact ? ratio(a.d, a.n) : inexact(1 / a.x);
}

static struct value power(struct value a, struct value e)
{
	if (a.exact && e.exact && e.d == 1 && e.n >= -64 && e.n <= 64) {
		struct value r = ratio(1, 1);
		for (int64_t i = e.n < 0 ? -e.n : e.n; i > 0; i--)
			r = mul(r, a);
		return e.n < 0 ? invert(r) : r;
	}
	return inexact(pow(a.x, e.x));
}

static struct value root(struct value a, double k)
{
	double r = k == 2 ? sqrt(a.x) : pow(a.x, 1 / k);
	if (k == 2 && a.exact) {
		int64_t n = (int64_t)llround(sqrt((double)a.n)), d = (int64_t)llround(sqrt((double)a.d));
		if (fits((double)n * (double)n) && n * n == a.n && d * d == a.d)
			return ratio(n, d);
	}
	return inexact(r);
}

/* --- expressions --- */

#define MAX_DEPTH 32
struct expr {
	struct str s;
	size_t at;
	int failed, depth;
};

static void blank(struct expr *p)
{
	while (p->at < p->s.n && p->s.p[p->at] == ' ')
		p->at++;
}

/* Neither moves when the word is not there: the space before units and mixed numbers counts. */
static int next_is(const struct expr *p, const char *word)
{
	struct expr ahead = *p;
	blank(&ahead);
	return starts(ahead.s, ahead.at, word);
}

static int take(struct expr *p, const char *word)
{
	if (!next_is(p, word))
		return 0;
	blank(p);
	p->at += strlen(word);
	return 1;
}

static struct value fail(struct expr *p)
{
	p->failed = 1;
	return inexact(NAN);
}

static struct value sum(struct expr *p);

static struct value literal(struct expr *p)
{
	size_t n = number_len(p->s, p->at);
	char digits[64];
	size_t k = 0, places = 0, point = 0;
	int64_t whole = 0;
	if (!n)
		return fail(p);
	for (size_t i = 0; i < n; i++) {
		char c = p->s.p[p->at + i];
		if (c == ',')
			continue;
		if (k + 1 >= sizeof digits)
			return fail(p);
		digits[k++] = c;
		point |= c == '.';
		places += is_digit(c) && point;
		if (is_digit(c) && k <= 17)
			whole = whole * 10 + (c - '0');
	}
	digits[k] = 0;
	p->at += n;
	double x = strtod(digits, NULL);
	int64_t scale = 1;
	for (size_t i = 0; i < places && i < 17; i++)
		scale *= 10;
	struct value v = k <= 17 ? ratio(whole, scale) : inexact(x);
	/* 1.5e-3; a bare e is no exponent. */
	size_t e = p->at;
	if (e + 1 < p->s.n && (p->s.p[e] == 'e' || p->s.p[e] == 'E')) {
		int neg = p->s.p[e + 1] == '-';
		size_t d = e + 1 + (neg || p->s.p[e + 1] == '+');
		int64_t exp = 0, any = 0;
		for (; d < p->s.n && is_digit(p->s.p[d]) && exp < 1000; d++, any = 1)
			exp = exp * 10 + (p->s.p[d] - '0');
		if (any) {
			p->at = d;
			v = mul(v, power(ratio(10, 1), ratio(neg ? -exp : exp, 1)));
		}
	}
	return v;
}

/* The argument of \frac or \sqrt: a group or one digit ("\frac12"). */
static struct value argument(struct expr *p)
{
	if (take(p, "{")) {
		struct value v = sum(p);
		return take(p, "}") ? v : fail(p);
	}
	if (take(p, "\\pi"))
		return inexact(3.14159265358979323846);
	blank(p);
	if (p->at < p->s.n && is_digit(p->s.p[p->at]))
		return ratio(p->s.p[p->at++] - '0', 1);
	return fail(p);
}

static struct value base(struct expr *p)
{
	struct value v;
	if (take(p, "\\frac")) {
		v = argument(p);
		return mul(v, invert(argument(p)));
	}
	if (take(p, "\\sqrt")) {
		double k = 2;
		if (take(p, "[")) {
			k = sum(p).x;
			if (!take(p, "]"))
				return fail(p);
		}
		return root(argument(p), k);
	}
	if (take(p, "\\pi") || take(p, "pi"))
		return inexact(3.14159265358979323846);
	if (take(p, "(")) {
		v = sum(p);
		return take(p, ")") ? v : fail(p);
	}
	if (take(p, "{")) {
		v = sum(p);
		return take(p, "}") ? v : fail(p);
	}
	blank(p);
	return literal(p);
}

static struct value factor(struct expr *p)
{
	struct value v;
	if (++p->depth > MAX_DEPTH)
		return fail(p);
	if (take(p, "-")) {
		v = negate(factor(p));
	} else if (take(p, "+")) {
		v = factor(p);
	} else {
		v = base(p);
		if (!p->failed && take(p, "^")) {
			if (take(p, "{")) {
				struct value e = sum(p);
				v = take(p, "}") ? power(v, e) : fail(p);
			} else {
				v = power(v, factor(p));
			}
		}
	}
	p->depth--;
	return v;
}

/* "1 1/2": a fraction of plain integers behind an integer and a space. */
static int plain_fraction(struct expr *p)
{
	size_t i = p->at, a = 0, b = 0;
	if (i >= p->s.n || p->s.p[i] != ' ')
		return 0;
	for (; i < p->s.n && p->s.p[i] == ' '; i++)
		;
	for (; i < p->s.n && is_digit(p->s.p[i]); i++)
		a++;
	if (!a || i >= p->s.n || p->s.p[i] != '/')
		return 0;
	for (i++; i < p->s.n && is_digit(p->s.p[i]); i++)
		b++;
	return b > 0;
}

static struct value product(struct expr *p)
{
	size_t start = p->at;
	struct value v = factor(p);
	int integer = v.exact && v.d == 1 && p->at > start && is_digit(p->s.p[p->at - 1]);
	while (!p->failed) {
		if (integer && plain_fraction(p)) {
			blank(p);
			struct value n = literal(p);
			p->at++;
			struct value f = mul(n, invert(literal(p)));
			v = add(v, v.x < 0 ? negate(f) : f);
		} else if (integer && next_is(p, "\\frac")) {
			struct value f = base(p);
			v = add(v, v.x < 0 ? negate(f) : f);
		} else if (take(p, "*")) {
			v = mul(v, factor(p));
		} else if (take(p, "/")) {
			v = mul(v, invert(factor(p)));
		} else if (next_is(p, "\\frac") || next_is(p, "\\sqrt") || next_is(p, "\\pi") ||
			   next_is(p, "pi") || next_is(p, "(")) {
			v = mul(v, factor(p));
		} else {
			break;
		}
		integer = 0;
	}
	return v;
}

static struct value sum(struct expr *p)
{
	if (++p->depth > MAX_DEPTH)
		return fail(p);
	struct value v = product(p);
	while (!p->failed) {
		if (take(p, "+"))
			v = add(v, product(p));
		else if (take(p, "-"))
			v = add(v, negate(product(p)));
		else
			break;
	}
	p->depth--;
	return v;
}

/* Units that may stand right behind a number; any word of two letters may behind a space. */
static int known_unit(struct str w)
{
	static const char *const units[] = { "m", "cm", "mm", "km", "kg", "g", "mg", "l", "L", "ml", "mL",
		"s", "h", "hr", "hrs", "min", "mph", "ft", "in", "lb", "lbs", "oz", "am", "pm", "yd", "mi",
		"km/h", "m/s", "degrees", "dollars", "cents", "units", "hours", "minutes", "seconds", "days",
		"years", "th", "st", "nd", "rd" };
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (str_is(w, units[i]))
			return 1;
	return 0;
}

/* Is rest, which follows a number, nothing but units? */
static int is_units(struct str rest)
{
	while (rest.n) {
		int spaced = rest.p[0] == ' ';
		rest = str_trim(rest);
		size_t n = 0;
		while (n < rest.n && (is_letter(rest.p[n]) || (unsigned char)rest.p[n] >= 0x80 ||
					     rest.p[n] == '/' || (n && rest.p[n] == '-')))
			n++;
		struct str w = { rest.p, n };
		if (n == 0 || rest.p[0] == '/' || !((spaced && n >= 2) || known_unit(w)))
			return rest.n == 0;
		rest.p += n;
		rest.n -= n;
		for (const char *const *x = (const char *const[]){ "^{2}", "^{3}", "^2", "^3", ".", NULL };
			*x; x++)
			if (starts(rest, 0, *x)) {
				rest.p += strlen(*x);
				rest.n -= strlen(*x);
				break;
			}
		if (rest.n && rest.p[0] != ' ')
			return 0;
	}
	return 1;
}

/* The whole of s is one number, perhaps with a percent sign or units. */
static int number(struct str s, struct value *v, int *percent)
{
	struct expr p = { .s = s };
	*v = sum(&p);
	if (p.failed)
		return 0;
	*percent = take(&p, "%") || take(&p, "percent");
	return is_units((struct str){ s.p + p.at, s.n - p.at }) && (v->exact || isfinite(v->x));
}

static int close_to(double a, double b)
{
	return fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b));
}

static int same_value(struct value a, struct value b)
{
	if (a.exact && b.exact) {
		if (a.n == b.n && a.d == b.d)
			return 1;
		if (a.d == 1 && b.d == 1) /* neighbouring large integers are different answers */
			return 0;
	}
	return close_to(a.x, b.x);
}

static int same_number(struct value a, int a_percent, struct value b, int b_percent)
{
	struct value hundredth = ratio(1, 100);
	return same_value(a, b) || (a_percent && !b_percent && same_value(mul(a, hundredth), b)) ||
	       (b_percent && !a_percent && same_value(a, mul(b, hundredth)));
}

/* --- equality --- */

#define MAX_ITEMS 64

/* Parts between commas outside of any bracket; 0 when there are too many. */
static size_t split(struct str s, struct str *part)
{
	size_t n = 0, start = 0;
	int depth = 0;
	for (size_t i = 0; i <= s.n; i++) {
		char c = i < s.n ? s.p[i] : ',';
		if (i < s.n && (strchr("([{", c) || c == SET_OPEN) && c)
			depth++;
		else if (i < s.n && (strchr(")]}", c) || c == SET_CLOSE) && c)
			depth--;
		else if (c == ',' && (depth == 0 || i == s.n)) {
			if (n == MAX_ITEMS)
				return 0;
			part[n++] = str_trim((struct str){ s.p + start, i - start });
			start = i + 1;
		}
	}
	return n;
}

static int bracketed(struct str s)
{
	if (s.n < 2 || !(strchr("([", s.p[0]) || s.p[0] == SET_OPEN) || !s.p[0])
		return 0;
	char end = s.p[s.n - 1];
	return end == ')' || end == ']' || end == SET_CLOSE;
}

static int same_text(struct str a, struct str b)
{
	size_t i = 0, k = 0;
	for (;;) {
		while (i < a.n && a.p[i] == ' ')
			i++;
		while (k < b.n && b.p[k] == ' ')
			k++;
		if (i == a.n || k == b.n)
			return i == a.n && k == b.n && i > 0;
		char x = a.p[i++], y = b.p[k++];
		if ((x >= 'A' && x <= 'Z' ? x + 32 : x) != (y >= 'A' && y <= 'Z' ? y + 32 : y))
			return 0;
	}
}

static int equal(struct str a, struct str b, int depth);

/* Lists without brackets and sets are equal in any order, tuples and intervals in theirs. */
static int same_items(struct str a, struct str b, int ordered, int depth)
{
	struct str x[MAX_ITEMS], y[MAX_ITEMS];
	int used[MAX_ITEMS] = { 0 };
	size_t n = split(a, x), m = split(b, y);
	if (!n || n != m)
		return 0;
	for (size_t i = 0; i < n; i++) {
		size_t k = ordered ? i : 0, end = ordered ? i + 1 : n;
		while (k < end && (used[k] || !equal(x[i], y[k], depth + 1)))
			k++;
		if (k == end)
			return 0;
		used[k] = 1;
	}
	return 1;
}

static int equal(struct str a, struct str b, int depth)
{
	struct value va, vb;
	int pa, pb;
	if (same_text(a, b))
		return 1;
	if (!a.n || !b.n || depth > 4)
		return 0;
	if (number(a, &va, &pa) && number(b, &vb, &pb))
		return same_number(va, pa, vb, pb);
	if (bracketed(a) && bracketed(b)) {
		if (a.p[0] != b.p[0] || a.p[a.n - 1] != b.p[b.n - 1])
			return 0;
		return same_items((struct str){ a.p + 1, a.n - 2 }, (struct str){ b.p + 1, b.n - 2 },
			a.p[0] != SET_OPEN, depth);
	}
	if (memchr(a.p, ',', a.n) && memchr(b.p, ',', b.n))
		return same_items(a, b, 0, depth);
	return 0;
}

int math_equal(struct str a, struct str b)
{
	struct buf x = { 0 }, y = { 0 };
	struct str na = normalise(a, &x), nb = normalise(b, &y);
	int same = equal(na, nb, 0);
	buf_release(&x);
	buf_release(&y);
	return same;
}

static double math_score(const void *state, struct str completion, struct str answer)
{
	(void)state;
	struct str got = math_extract(completion), want = last_boxed(answer);
	if (!want.p)
		want = last_marked(answer);
	if (!want.p)
		want = str_trim(answer);
	if (!got.p || !want.n)
		return 0;
	if (math_equal(got, want))
		return 1;
	/* "The answer is 5 because ..." */
	struct str first = last_boxed(completion).p ? (struct str){ NULL, 0 } : find_number(got, 0);
	return first.p && math_equal(first, want);
}

const struct verifier_kind verify_math = { .name = "math", .score = math_score };
