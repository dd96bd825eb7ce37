#include "eval/math_text.h"
#include "base/hash.h"

#include <math.h>
#include <stdlib.h>

static struct math_value inexact(double x)
{
	return (struct math_value){ 0, 0, 1, x, 0 };
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

static struct math_value ratio(int64_t n, int64_t d)
{
	if (d == 0)
		return inexact(NAN);
	int64_t g = gcd(n, d);
	if (d < 0)
		g = -g;
	return (struct math_value){ 1, n / g, d / g, (double)n / (double)d, 0 };
}

static struct math_value add(struct math_value a, struct math_value b)
{
	double x = a.x + b.x;
	if (a.exact && b.exact && fits((double)a.n * (double)b.d) && fits((double)b.n * (double)a.d) &&
		fits((double)a.d * (double)b.d))
		return ratio(a.n * b.d + b.n * a.d, a.d * b.d);
	return inexact(x);
}

static struct math_value mul(struct math_value a, struct math_value b)
{
	if (a.exact && b.exact && fits((double)a.n * (double)b.n) && fits((double)a.d * (double)b.d))
		return ratio(a.n * b.n, a.d * b.d);
	return inexact(a.x * b.x);
}

static struct math_value negate(struct math_value a)
{
	return (struct math_value){ a.exact, -a.n, a.d, -a.x, 0 };
}

static struct math_value invert(struct math_value a)
{
	return a.exact ? ratio(a.d, a.n) : inexact(1 / a.x);
}

static struct math_value power(struct math_value a, struct math_value e)
{
	if (a.exact && e.exact && e.d == 1 && e.n >= -64 && e.n <= 64) {
		struct math_value r = ratio(1, 1);
		for (int64_t i = e.n < 0 ? -e.n : e.n; i > 0; i--)
			r = mul(r, a);
		return e.n < 0 ? invert(r) : r;
	}
	if (a.x < 0 && e.exact && e.d % 2) /* the real root, as of x^(2/3) */
		return inexact(e.n % 2 ? -pow(-a.x, e.x) : pow(-a.x, e.x));
	return inexact(pow(a.x, e.x));
}

static struct math_value root(struct math_value a, double k)
{
	double r = k == 2 ? sqrt(a.x) : k == 3 ? cbrt(a.x) : pow(a.x, 1 / k);
	if (k == 2 && a.exact && a.n >= 0) {
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
	uint64_t point; /* 0: letters are no numbers; else where they take their values */
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
	return math_starts(ahead.s, ahead.at, word);
}

static int take(struct expr *p, const char *word)
{
	if (!next_is(p, word))
		return 0;
	blank(p);
	p->at += strlen(word);
	return 1;
}

static struct math_value fail(struct expr *p)
{
	p->failed = 1;
	return inexact(NAN);
}

static struct math_value sum(struct expr *p);
static struct math_value argument(struct expr *p);
static struct math_value base(struct expr *p);
static struct math_value factor(struct expr *p);
static struct math_value letters(struct expr *p);
static int letters_next(const struct expr *p);

static struct math_value literal(struct expr *p)
{
	size_t n = math_number_len(p->s, p->at);
	char digits[64];
	size_t k = 0, places = 0, point = 0;
	int64_t whole = 0;
	if (!n)
		return fail(p);
	for (size_t i = 0; i < n; i++) {
		char c = p->s.p[p->at + i];
		if (c == ',' || c == ' ')
			continue;
		if (k + 1 >= sizeof digits)
			return fail(p);
		digits[k++] = c;
		point |= c == '.';
		places += math_digit(c) && point;
		if (math_digit(c) && k <= 17)
			whole = whole * 10 + (c - '0');
	}
	digits[k] = 0;
	p->at += n;
	double x = strtod(digits, NULL);
	int64_t scale = 1;
	for (size_t i = 0; i < places && i < 17; i++)
		scale *= 10;
	struct math_value v = k <= 17 ? ratio(whole, scale) : inexact(x);
	/* 1.5e-3; a bare e is no exponent. */
	size_t e = p->at;
	if (e + 1 < p->s.n && (p->s.p[e] == 'e' || p->s.p[e] == 'E')) {
		int neg = p->s.p[e + 1] == '-';
		size_t d = e + 1 + (neg || p->s.p[e + 1] == '+');
		int64_t exp = 0, any = 0;
		for (; d < p->s.n && math_digit(p->s.p[d]) && exp < 1000; d++, any = 1)
			exp = exp * 10 + (p->s.p[d] - '0');
		if (any) {
			p->at = d;
			v = mul(v, power(ratio(10, 1), ratio(neg ? -exp : exp, 1)));
		}
	}
	return v;
}

/* The argument of \frac or \sqrt: a group or one digit ("\frac12"). */
static struct math_value argument(struct expr *p)
{
	if (take(p, "{")) {
		struct math_value v = sum(p);
		return take(p, "}") ? v : fail(p);
	}
	if (take(p, "\\pi"))
		return inexact(3.14159265358979323846);
	blank(p);
	if (p->at < p->s.n && math_digit(p->s.p[p->at]))
		return ratio(p->s.p[p->at++] - '0', 1);
	return letters_next(p) ? letters(p) : fail(p);
}

static struct math_value base(struct expr *p)
{
	struct math_value v;
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
	if (take(p, "|")) {
		v = sum(p);
		v = v.x < 0 ? negate(v) : v;
		return take(p, "|") ? v : fail(p);
	}
	if (letters_next(p))
		return letters(p);
	blank(p);
	return literal(p);
}

static struct math_value factor(struct expr *p)
{
	struct math_value v;
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
				struct math_value e = sum(p);
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
	for (; i < p->s.n && math_digit(p->s.p[i]); i++)
		a++;
	if (!a || i >= p->s.n || p->s.p[i] != '/')
		return 0;
	for (i++; i < p->s.n && math_digit(p->s.p[i]); i++)
		b++;
	return b > 0;
}

static struct math_value product(struct expr *p)
{
	size_t start = p->at;
	struct math_value v = factor(p);
	int integer = v.exact && v.d == 1 && p->at > start && math_digit(p->s.p[p->at - 1]);
	while (!p->failed) {
		if (integer && plain_fraction(p)) {
			blank(p);
			struct math_value n = literal(p);
			p->at++;
			struct math_value f = mul(n, invert(literal(p)));
			v = add(v, v.x < 0 ? negate(f) : f);
		} else if (integer && next_is(p, "\\frac")) {
			struct math_value f = base(p);
			v = !f.exact ? mul(v, f) : add(v, v.x < 0 ? negate(f) : f);
		} else if (take(p, "*")) {
			v = mul(v, factor(p));
		} else if (take(p, "/")) {
			v = mul(v, invert(factor(p)));
		} else if (next_is(p, "\\frac") || next_is(p, "\\sqrt") || next_is(p, "\\pi") ||
			   next_is(p, "pi") || next_is(p, "(") || letters_next(p)) {
			v = mul(v, factor(p));
		} else {
			break;
		}
		integer = 0;
	}
	return v;
}

static struct math_value sum(struct expr *p)
{
	if (++p->depth > MAX_DEPTH)
		return fail(p);
	struct math_value v = product(p);
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

/* --- letters and functions --- */

static double cot(double x)
{
	return 1 / tan(x);
}

static double sec(double x)
{
	return 1 / cos(x);
}

static double csc(double x)
{
	return 1 / sin(x);
}

static const struct {
	const char *name;
	double (*f)(double x);
} functions[] = { { "arcsin", asin }, { "arccos", acos }, { "arctan", atan }, { "sinh", sinh },
	{ "cosh", cosh }, { "tanh", tanh }, { "sin", sin }, { "cos", cos }, { "tan", tan }, { "cot", cot },
	{ "sec", sec }, { "csc", csc }, { "ln", log }, { "log", log }, { "lg", log10 }, { "exp", exp } };

/* Letters of the word at p, without a backslash before it. */
static size_t word_len(const struct expr *p, size_t at)
{
	size_t n = 0;
	while (at + n < p->s.n && math_letter(p->s.p[at + n]))
		n++;
	return n;
}

static int letters_next(const struct expr *p)
{
	struct expr ahead = *p;
	blank(&ahead);
	size_t slash = ahead.at < ahead.s.n && ahead.s.p[ahead.at] == '\\';
	return p->point && word_len(&ahead, ahead.at + slash) > 0;
}

/* "sin^2 x", "log_2 x", "sin(2x)", "sin 2x": the argument is a group, or factors up to the next sign or
 * function. */
static struct math_value apply(struct expr *p, double (*f)(double))
{
	struct math_value e = ratio(1, 1), b = inexact(0), x;
	if (take(p, "_"))
		b = argument(p);
	if (take(p, "^"))
		e = argument(p);
	if (e.x < 0) /* the inverse function, not the power */
		return fail(p);
	if (next_is(p, "(") || next_is(p, "{")) {
		x = base(p);
	} else {
		x = factor(p);
		while (!p->failed && letters_next(p) && !next_is(p, "\\"))
			x = mul(x, factor(p));
	}
	double y = f(x.x);
	return power(inexact(b.x > 0 ? y / log(b.x) : y), e);
}

/* A name, with its subscript, is a number that hangs on the name and the point alone. */
static struct math_value name(struct expr *p, size_t start)
{
	if (p->at < p->s.n && p->s.p[p->at] == '_') {
		p->at++;
		if (p->at < p->s.n && p->s.p[p->at] == '{') {
			size_t end = math_brace_end(p->s, p->at);
			if (!end)
				return fail(p);
			p->at = end;
		} else if (p->at < p->s.n) {
			p->at++;
		}
	}
	uint64_t h = p->point;
	for (size_t i = start; i < p->at; i++)
		if (!strchr("{}\\", p->s.p[i])) /* x_{1} is x_1 */
			h = mix64(h * 257 + (unsigned char)p->s.p[i]);
	double x = 0.25 + 2 * ((double)(h >> 11) * 0x1p-53);
	return inexact(p->point % 2 || !(h & 1) ? x : -x);
}

static struct math_value letters(struct expr *p)
{
	blank(p);
	size_t start = p->at, slash = p->s.p[start] == '\\', n = word_len(p, start + slash);
	struct str w = { p->s.p + start + slash, n };
	if (++p->depth > MAX_DEPTH)
		return fail(p);
	struct math_value v = inexact(0);
	size_t i = 0;
	while (i < sizeof functions / sizeof *functions && !str_is(w, functions[i].name))
		i++;
	if (i < sizeof functions / sizeof *functions) {
		p->at += slash + n;
		v = apply(p, functions[i].f);
	} else if (slash || n <= 2) { /* a command is one name, letters are one each; a word is no product */
		p->at += slash ? 1 + n : 1;
		v = str_is(w, "e") ? inexact(exp(1)) : name(p, start);
	} else {
		v = fail(p);
	}
	p->depth--;
	return v;
}

/* --- the whole of a text --- */

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
		while (n < rest.n && (math_letter(rest.p[n]) || (unsigned char)rest.p[n] >= 0x80 ||
					     rest.p[n] == '/' || (n && rest.p[n] == '-')))
			n++;
		struct str w = { rest.p, n };
		if (n == 0 || rest.p[0] == '/' || !((spaced && n >= 2) || known_unit(w)))
			return rest.n == 0;
		rest.p += n;
		rest.n -= n;
		for (const char *const *x = (const char *const[]){ "^{2}", "^{3}", "^2", "^3", ".", NULL };
			*x; x++)
			if (math_starts(rest, 0, *x)) {
				rest.p += strlen(*x);
				rest.n -= strlen(*x);
				break;
			}
		if (rest.n && rest.p[0] != ' ')
			return 0;
	}
	return 1;
}

int math_number(struct str s, struct math_value *v)
{
	struct expr p = { .s = s };
	*v = sum(&p);
	if (p.failed)
		return 0;
	v->percent = take(&p, "%") || take(&p, "percentage") || take(&p, "percent");
	return is_units((struct str){ s.p + p.at, s.n - p.at }) && (v->exact || isfinite(v->x));
}

int math_comma_number(struct str s, struct math_value *v)
{
	char text[32];
	size_t at = 0, comma = 0;
	for (; at < s.n && at < sizeof text &&
		(math_digit(s.p[at]) || s.p[at] == ',' || (!at && s.p[at] == '-'));
		at++) {
		text[at] = s.p[at];
		if (s.p[at] != ',')
			continue;
		if (comma || !at || !math_digit(s.p[at - 1]))
			return 0;
		comma = at;
		text[at] = '.';
	}
	/* Three digits behind a comma are thousands, unless behind a lone 0. */
	if (at < s.n || !comma || (s.n - comma == 4 && !(comma == 1 && s.p[0] == '0')))
		return 0;
	return math_number((struct str){ text, s.n }, v);
}

static int close_to(double a, double b)
{
	return fabs(a - b) <= 1e-6 * fmax(fabs(a), fabs(b));
}

static int same_value(struct math_value a, struct math_value b)
{
	if (a.exact && b.exact) {
		if (a.n == b.n && a.d == b.d)
			return 1;
		if (a.d == 1 && b.d == 1) /* neighbouring large integers are different answers */
			return 0;
	}
	return close_to(a.x, b.x);
}

int math_same_number(struct math_value a, struct math_value b)
{
	struct math_value hundredth = ratio(1, 100);
	return same_value(a, b) || (a.percent && !b.percent && same_value(mul(a, hundredth), b)) ||
	       (b.percent && !a.percent && same_value(a, mul(b, hundredth)));
}

/* --- expressions in letters --- */

enum { POINTS = 6, ENOUGH = 3 };

/* Something to compute, not just a word. */
static int has_arithmetic(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (math_digit(s.p[i]) || strchr("+-*/^_\\(|", s.p[i]))
			return 1;
	return 0;
}

static int value_at(struct str s, uint64_t point, double *x)
{
	struct expr p = { .s = s, .point = point };
	*x = sum(&p).x;
	blank(&p);
	return !p.failed && p.at == s.n;
}

int math_same_expression(struct str a, struct str b)
{
	int same = 0;
	if (!has_arithmetic(a) || !has_arithmetic(b))
		return 0;
	for (uint64_t point = 1; point <= POINTS; point++) {
		double x, y;
		if (!value_at(a, point, &x) || !value_at(b, point, &y) || isfinite(x) != isfinite(y))
			return 0;
		if (!isfinite(x))
			continue;
		if (!(fabs(x - y) <= 1e-9 * (fabs(x) + fabs(y)) + 1e-12))
			return 0;
		same++;
	}
	return same >= ENOUGH;
}

int math_same_equation(struct str left, struct str right, struct str left2, struct str right2)
{
	double ratio_at_first = 0;
	int same = 0;
	for (uint64_t point = 1; point <= POINTS; point++) {
		double a, b, c, d;
		if (!value_at(left, point, &a) || !value_at(right, point, &b) ||
			!value_at(left2, point, &c) || !value_at(right2, point, &d))
			return 0;
		double x = a - b, y = c - d, r = x / y;
		if (!isfinite(x) || !isfinite(y))
			continue;
		if (!isfinite(r) || r == 0)
			return 0;
		if (!same++)
			ratio_at_first = r;
		else if (!(fabs(r - ratio_at_first) <= 1e-9 * fabs(r)))
			return 0;
	}
	return same >= ENOUGH;
}
