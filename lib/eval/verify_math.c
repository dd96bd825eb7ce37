/*
 * math: is the final answer of a worked solution equal, by value, to the reference answer?
 *
 * Both are normalised (LaTeX marks, units, currency, spacing), then read as numbers (integers, decimals,
 * thousands separators, fractions, mixed numbers, powers, roots, pi, percentages), as inequalities,
 * intervals, unions, tuples, sets, matrices or lists of such, and compared exactly where both are rational.
 * Expressions and equations in letters are compared by their values at a few points: that finds x+1 = 1+x,
 * and proves nothing. What is none of these is compared as text.
 */
#include "eval/math_text.h"
#include "eval/verify.h"

#include <stdlib.h>

#define MAX_ITEMS 64
#define MAX_DEPTH 4
#define MAX_PLAIN 200   /* bytes of a completion that may be nothing but its answer */
#define MAX_ANSWER 4096 /* bytes that are read as mathematics; longer ones are text */

static struct str part(struct str s, size_t from, size_t to)
{
	return str_trim((struct str){ s.p + from, to - from });
}

/* --- cutting at what stands outside of all brackets --- */

static int nesting(char c)
{
	if (c == '(' || c == '[' || c == '{' || c == MATH_SET || c == MATH_MATRIX)
		return 1;
	return -(c == ')' || c == ']' || c == '}' || c == MATH_SET_END || c == MATH_MATRIX_END);
}

/* Parts between any of the marks, empty ones left out; mark[i] is what stands behind part i. 0: none, or too
 * many. */
static size_t split(struct str s, const char *marks, struct str *parts, char *mark)
{
	size_t n = 0, start = 0;
	int depth = 0;
	for (size_t i = 0; i <= s.n; i++) {
		char c = i < s.n ? s.p[i] : 0;
		depth += i < s.n ? nesting(c) : 0;
		if (i < s.n && (depth > 0 || !c || !strchr(marks, c)))
			continue;
		struct str p = part(s, start, i);
		start = i + 1;
		if (!p.n)
			continue;
		if (n == MAX_ITEMS)
			return 0;
		if (mark)
			mark[n] = c;
		parts[n++] = p;
	}
	return n;
}

static int has(struct str s, const char *marks)
{
	struct str parts[MAX_ITEMS];
	return split(s, marks, parts, NULL) > 1;
}

/* --- names --- */

/* What may be named: x, x_1, f(x), AB, (p, q), |AB|, V_1:V_2, \frac{NO}{BO}. */
static int is_name(struct str s)
{
	if (!s.n || s.n > 24 || !(math_letter(s.p[0]) || strchr("\\(|", s.p[0])))
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if (!math_letter(s.p[i]) && !math_digit(s.p[i]) && !strchr("_{}'\\(), |:", s.p[i]))
			return 0;
	return 1;
}

/* "x = 5", "x = 2 + 3 = 5", "f(x) = 5", "x in [0, 1]" without what is in front; "0.333 approximately" without
 * it. */
static struct str without_name(struct str s)
{
	static const char approx[] = { MATH_APPROX, 0 }, equal_or_in[] = { '=', MATH_IN, 0 };
	struct str parts[MAX_ITEMS];
	struct math_value v;
	if (split(s, approx, parts, NULL) > 1)
		s = parts[0];
	size_t n = split(s, equal_or_in, parts, NULL);
	if (n < 2)
		return s;
	if (is_name(parts[0]))
		return parts[n - 1];
	if (!math_number(parts[0], &v))
		return s;
	return is_name(parts[n - 1]) ? parts[0] : math_number(parts[n - 1], &v) ? parts[n - 1] : s;
}

/* --- equality --- */

static int equal(struct str a, struct str b, int depth);

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

static int same_items(struct str a, struct str b, const char *marks, int ordered, int depth)
{
	struct str x[MAX_ITEMS], y[MAX_ITEMS];
	int used[MAX_ITEMS] = { 0 };
	size_t n = split(a, marks, x, NULL), m = split(b, marks, y, NULL);
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

static struct str inner(struct str s)
{
	return (struct str){ s.p + 1, s.n - 2 };
}

/* One pair of brackets around everything. */
static int bracketed(struct str s)
{
	int depth = 0;
	if (s.n < 2 || nesting(s.p[0]) != 1)
		return 0;
	for (size_t i = 0; i < s.n; i++)
		if ((depth += nesting(s.p[i])) == 0)
			return i + 1 == s.n;
	return 0;
}

/* Tuples and intervals; sets and bare lists, in any order; matrices row by row. */
static int same_brackets(struct str a, struct str b, int depth)
{
	char open = a.p[0];
	if (open != b.p[0] || a.p[a.n - 1] != b.p[b.n - 1])
		return 0;
	if (open != MATH_MATRIX)
		return same_items(inner(a), inner(b), ",;", open != MATH_SET && open != '{', depth);
	struct str x[MAX_ITEMS], y[MAX_ITEMS];
	size_t n = split(inner(a), ";", x, NULL), m = split(inner(b), ";", y, NULL), i = 0;
	while (i < n && n == m && same_items(x[i], y[i], ",", 1, depth))
		i++;
	return n && n == m && i == n;
}

/* A matrix loses the brackets around it, a lone value its parentheses, a set becomes a list. */
static struct str peel(struct str s)
{
	while (bracketed(s)) {
		struct str in = str_trim(inner(s));
		int is_set = s.p[0] == MATH_SET || s.p[0] == '{';
		int is_matrix = bracketed(in) && in.p[0] == MATH_MATRIX;
		if (!is_matrix && !(is_set && has(in, ",;")) && !(s.p[0] == '(' && in.n && !has(in, ",;")))
			break;
		s = in;
	}
	return s;
}

/* --- inequalities and intervals --- */

struct range {
	struct str low, high; /* n == 0: without bound */
	int low_in, high_in;
};

static int is_less(char c)
{
	return c == '<' || c == MATH_LE;
}

static int is_more(char c)
{
	return c == '>' || c == MATH_GE;
}

static int is_infinite(struct str s)
{
	return str_is(s, "inf") || str_is(s, "-inf") || str_is(s, "+inf");
}

/* x < 3, 3 >= x, 0 < x <= 1: the name may stand on either side. */
static int range_of_signs(struct str s, struct range *r)
{
	static const char marks[] = { '<', '>', MATH_LE, MATH_GE, 0 };
	struct str p[MAX_ITEMS];
	char mark[MAX_ITEMS];
	size_t n = split(s, marks, p, mark);
	*r = (struct range){ 0 };
	if ((n != 2 && n != 3) || (n == 3 && (!is_name(p[1]) || is_less(mark[0]) != is_less(mark[1]))))
		return 0;
	if (n == 2 && is_name(p[0]) == is_name(p[1]))
		return 0;
	for (size_t i = 0; i + 1 < n; i++) {
		int left_is_name = is_name(p[i]), bounds_above = is_more(mark[i]) != left_is_name;
		struct str bound = left_is_name ? p[i + 1] : p[i];
		int in = mark[i] == MATH_LE || mark[i] == MATH_GE;
		if (bounds_above) {
			r->high = bound;
			r->high_in = in;
		} else {
			r->low = bound;
			r->low_in = in;
		}
	}
	return 1;
}

static int range_of_brackets(struct str s, struct range *r)
{
	struct str p[MAX_ITEMS];
	if (!bracketed(s) || !(s.p[0] == '(' || s.p[0] == '[') || split(inner(s), ",;", p, NULL) != 2)
		return 0;
	*r = (struct range){ p[0], p[1], s.p[0] == '[', s.p[s.n - 1] == ']' };
	if (is_infinite(r->low))
		r->low = (struct str){ NULL, 0 };
	if (is_infinite(r->high))
		r->high = (struct str){ NULL, 0 };
	return 1;
}

/* Two ranges of which one at least is written with signs: two pairs of brackets may be points. */
static int same_range(struct str a, struct str b, int depth)
{
	struct range x, y;
	int sx = range_of_signs(a, &x), sy = range_of_signs(b, &y);
	if (!(sx || (sy && range_of_brackets(a, &x))) || !(sy || (sx && range_of_brackets(b, &y))))
		return 0;
	return !x.low.n == !y.low.n && !x.high.n == !y.high.n &&
	       (!x.low.n || (x.low_in == y.low_in && equal(x.low, y.low, depth + 1))) &&
	       (!x.high.n || (x.high_in == y.high_in && equal(x.high, y.high, depth + 1)));
}

static int same_equations(struct str a, struct str b)
{
	struct str x[MAX_ITEMS], y[MAX_ITEMS];
	return split(a, "=", x, NULL) == 2 && split(b, "=", y, NULL) == 2 &&
	       math_same_equation(x[0], x[1], y[0], y[1]);
}

/* A number with a decimal comma only beside a number without. */
static int same_as_numbers(struct str a, struct str b, int *both)
{
	struct math_value x, y;
	int na = math_number(a, &x), nb = math_number(b, &y);
	*both = na && nb;
	if (*both || (na && math_comma_number(b, &y)) || (nb && math_comma_number(a, &x)))
		return math_same_number(x, y);
	return 0;
}

static int equal(struct str a, struct str b, int depth)
{
	static const char unions[] = { MATH_UNION, 0 };
	int numbers;
	if (same_text(a, b))
		return 1;
	if (!a.n || !b.n || depth > MAX_DEPTH)
		return 0;
	if (same_equations(a, b))
		return 1;
	if (!has(a, ",;"))
		a = without_name(a);
	if (!has(b, ",;"))
		b = without_name(b);
	if (same_range(a, b, depth))
		return 1;
	a = peel(a);
	b = peel(b);
	if (same_text(a, b) || same_as_numbers(a, b, &numbers))
		return 1;
	if (numbers)
		return 0;
	if (has(a, unions) || has(b, unions))
		return same_items(a, b, unions, 0, depth);
	if (has(a, ",;") || has(b, ",;"))
		return same_items(a, b, ",;", 0, depth);
	if (bracketed(a) && bracketed(b) && (has(inner(a), ",;") || has(inner(b), ",;")))
		return same_brackets(a, b, depth);
	return math_same_expression(a, b);
}

/* "a +- b" as the list of its two values. */
static struct str both_signs(struct str s, struct buf *b)
{
	static const char pm[] = { MATH_PM, 0 };
	if (has(s, ",;") || !memchr(s.p, MATH_PM, s.n))
		return s;
	for (int minus = 0; minus < 2; minus++) {
		for (size_t i = 0; i < s.n; i++)
			buf_addc(b, s.p[i] == pm[0] ? (minus ? '-' : '+') : s.p[i]);
		buf_addc(b, ',');
	}
	return (struct str){ b->p, b->n - 1 };
}

int math_equal(struct str a, struct str b)
{
	struct buf x = { 0 }, y = { 0 }, x2 = { 0 }, y2 = { 0 };
	struct str na = math_normalise(a, &x), nb = math_normalise(b, &y);
	int same = same_text(na, nb);
	if (!same && na.n <= MAX_ANSWER && nb.n <= MAX_ANSWER) {
		na = both_signs(na, &x2);
		nb = both_signs(nb, &y2);
		/* Where lists are matched greedily, the order of the two could decide. */
		same = equal(na, nb, 0) || equal(nb, na, 0);
	}
	buf_release(&x);
	buf_release(&y);
	buf_release(&x2);
	buf_release(&y2);
	return same;
}

/* The right answer is given plainly, or at the end of a solution. */
static struct str wanted(struct str answer)
{
	struct str w = math_last_boxed(answer);
	if (!w.p)
		w = math_last_marked(answer);
	return w.p ? w : str_trim(answer);
}

static double math_score(const void *state, struct str completion, struct str answer)
{
	(void)state;
	struct str want = wanted(answer), got = math_last_boxed(completion);
	if (!want.n)
		return 0;
	if (got.p)
		return math_equal(got, want);
	got = math_last_marked(completion);
	int marked = got.p != NULL;
	if (!marked && completion.n <= MAX_PLAIN && math_equal(completion, want))
		return 1;
	if (!marked)
		got = math_extract(completion);
	if (!got.p)
		return 0;
	if (math_equal(got, want))
		return 1;
	/* "The answer is 5 because ..."; "so $x = 3$ and $y = 4$"; but no bound of an interval */
	struct str number = math_find_number(got, !marked);
	return number.p && !memchr(got.p, '[', got.n) && math_equal(number, want);
}

const struct verifier_kind verify_math = { .name = "math", .score = math_score };
