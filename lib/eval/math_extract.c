#include "eval/math_text.h"
#include "eval/verify.h"

/* Completions may be hostile: no search goes on over more than this. */
#define MAX_FORMULA 1000  /* bytes */
#define MAX_FRACTION 200  /* bytes */
#define MAX_OPEN 100      /* boxes that do not close */
#define MAX_OPENINGS 2000 /* formulas that do not */

int math_starts(struct str s, size_t at, const char *word)
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

size_t math_brace_end(struct str s, size_t at)
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

static const struct str none = { NULL, 0 };

/* --- what joins several answers --- */

/* Is s nothing but commas, "and", "or" and LaTeX's spaces, with at least one word or comma? */
static int is_joint(struct str s)
{
	static const char *const silent[] = { "\\quad", "\\qquad", "\\text{", "\\,", "\\;", "\\ ", "\\(",
		"\\)", "\\[", "\\]", " ", "$", "\n", "}", "~" },
				 *const joins[] = { ",", ";", "and", "or" };
	int joined = 0;
	for (size_t at = 0, n; at < s.n; at += n) {
		n = 0;
		for (size_t i = 0; !n && i < sizeof joins / sizeof *joins; i++)
			if (math_starts(s, at, joins[i]))
				n = strlen(joins[i]);
		joined |= n > 0;
		for (size_t i = 0; !n && i < sizeof silent / sizeof *silent; i++)
			if (math_starts(s, at, silent[i]))
				n = strlen(silent[i]);
		if (!n)
			return 0;
	}
	return joined;
}

static struct str span(struct str s, size_t from, size_t to)
{
	return (struct str){ s.p + from, to - from };
}

/* --- boxes --- */

/* Content of the box at s[at], from *start to *end; *behind: what follows it. 0 when there is no whole box.
 */
static int box_at(struct str s, size_t at, size_t *start, size_t *end, size_t *behind)
{
	size_t i = math_starts(s, at, "\\boxed") ? at + 6 : math_starts(s, at, "\\fbox") ? at + 5 : 0;
	while (i && i < s.n && s.p[i] == ' ')
		i++;
	if (!i || i >= s.n)
		return 0;
	if (s.p[i] == '{') {
		*behind = math_brace_end(s, i);
		*start = i + 1;
		*end = *behind - 1;
		return *behind > 0;
	}
	if (s.p[i - 1] != ' ') /* "\boxed 5" */
		return 0;
	for (*start = *end = i; *end < s.n && !strchr(" \n$.", s.p[*end]);)
		++*end;
	*behind = *end;
	return *end > i;
}

struct str math_last_boxed(struct str s)
{
	size_t start, end, behind, first = 0, last = 0, boxes = 0, open = 0;
	struct str one = none;
	for (size_t i = s.n; i-- > 0 && open < MAX_OPEN;) {
		if (s.p[i] != '\\')
			continue;
		if (!box_at(s, i, &start, &end, &behind)) {
			open += math_starts(s, i, "\\boxed") || math_starts(s, i, "\\fbox");
			continue;
		}
		if (boxes && (first < behind || first - behind > 40 || !is_joint(span(s, behind, first))))
			break;
		if (!boxes++) {
			one = span(s, start, end);
			last = behind;
		}
		first = i;
	}
	return boxes > 1 ? span(s, first, last) : one;
}

/* --- formulas --- */

/* The end of the formula that opens at s[at]: content from *start to *end. Offset behind it; 0: none opens.
 */
static size_t formula_at(struct str s, size_t at, size_t *start, size_t *end)
{
	static const struct {
		const char *open, *close;
		int lines;
	} kinds[] = { { "$$", "$$", 1 }, { "$", "$", 0 }, { "\\(", "\\)", 0 }, { "\\[", "\\]", 1 } };
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		if (!math_starts(s, at, kinds[k].open))
			continue;
		size_t n = strlen(kinds[k].close);
		*start = at + n;
		size_t stop = s.n - *start < MAX_FORMULA ? s.n : *start + MAX_FORMULA;
		for (size_t i = *start; i < stop && (kinds[k].lines || s.p[i] != '\n'); i++) {
			if (math_starts(s, i, kinds[k].close)) {
				*end = i;
				/* "$5 and $7" is money */
				return n == 1 && i + 1 < s.n && math_digit(s.p[i + 1]) ? 0 : i + n;
			}
			i += s.p[i] == '\\';
		}
		return 0;
	}
	return 0;
}

/* The formula that opens at s[at], and those that commas or "and" join to it, without the outer marks. Offset
 * behind it; 0: none opens. */
static size_t formula_row(struct str s, size_t at, struct str *row)
{
	size_t start, end, next, behind = formula_at(s, at, &start, &end);
	if (!behind || !str_trim(span(s, start, end)).n)
		return behind ? *row = none, behind : 0;
	*row = span(s, start, end);
	for (size_t i = behind; i < s.n && i - behind < 40; i = next) {
		next = s.p[i] == '$' || s.p[i] == '\\' ? formula_at(s, i, &start, &end) : 0;
		if (!next) {
			next = i + 1;
			continue;
		}
		if (!is_joint(span(s, behind, i)))
			break;
		row->n = (size_t)(s.p + end - row->p);
		behind = next;
	}
	return behind;
}

struct str math_last_formula(struct str s)
{
	struct str last = none, row;
	size_t behind = 0, open = 0;
	for (size_t i = 0, next; i < s.n && open < MAX_OPENINGS; i = next) {
		int may_open = s.p[i] == '$' || s.p[i] == '\\';
		next = may_open ? formula_row(s, i, &row) : 0;
		if (!next) {
			next = i + 1 + (s.p[i] == '\\');
			open += (size_t)may_open;
		} else if (row.p) {
			last = row;
			behind = next;
		}
	}
	for (size_t i = behind; last.p && i < s.n; i++)
		if (math_digit(s.p[i]))
			return none;
	return last;
}

/* --- marks --- */

/* The line, or the formula that it begins with, or its first sentence. */
static struct str line_from(struct str s, size_t at)
{
	size_t end = at;
	while (end < s.n && s.p[end] != '\n')
		end++;
	struct str line = str_trim(span(s, at, end)), row;
	if (formula_row(line, 0, &row) && row.p)
		return row;
	for (size_t i = 1; i + 1 < line.n; i++)
		if (line.p[i] == '.' && line.p[i + 1] == ' ' && (!math_letter(line.p[i - 1]) || i > 4))
			line.n = i;
	return line;
}

struct str math_last_marked(struct str s)
{
	static const char *const marks[] = { "answer is", "answer:" };
	for (size_t i = s.n; i-- > 0;) {
		if (math_starts(s, i, "####"))
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
	return none;
}

/* --- numbers --- */

/* Digits behind a comma or a space that make three more of a number: offset behind them, else `at`. */
static size_t three_more(struct str s, size_t at)
{
	if (at + 3 >= s.n || !(s.p[at] == ',' || s.p[at] == ' '))
		return at;
	for (size_t i = at + 1; i < at + 4; i++)
		if (!math_digit(s.p[i]))
			return at;
	return at + 4 < s.n && math_digit(s.p[at + 4]) ? at : at + 4;
}

size_t math_number_len(struct str s, size_t at)
{
	size_t i = at, run = 0;
	while (i < s.n && math_digit(s.p[i]))
		i++, run++;
	if (run >= 1 && run <= 3 && s.p[at] != '0') {
		char mark = i < s.n ? s.p[i] : 0;
		for (size_t k; i < s.n && s.p[i] == mark && (k = three_more(s, i)) > i;)
			i = k;
	}
	if (i + 1 < s.n && s.p[i] == '.' && math_digit(s.p[i + 1])) {
		i++;
		while (i < s.n && math_digit(s.p[i]))
			i++;
		return i - at;
	}
	return run ? i - at : 0;
}

/* The number at s[at], with a fraction bar or a percent sign; {NULL, 0} when there is none. */
static struct str number_at(struct str s, size_t at)
{
	size_t i = at;
	if (math_starts(s, i, "\\frac") || math_starts(s, i, "\\dfrac") || math_starts(s, i, "\\tfrac")) {
		size_t a = i + (s.p[i + 1] == 'f' ? 5 : 6);
		struct str near = { s.p, s.n - i < MAX_FRACTION ? s.n : i + MAX_FRACTION };
		size_t b = a < near.n && s.p[a] == '{' ? math_brace_end(near, a) : 0;
		size_t end = b && b < near.n && s.p[b] == '{' ? math_brace_end(near, b) : 0;
		return end ? (struct str){ s.p + at, end - at } : none;
	}
	size_t n = math_number_len(s, i);
	if (!n)
		return none;
	i += n;
	if (i + 1 < s.n && s.p[i] == '/' && (n = math_number_len(s, i + 1)) > 0)
		i += 1 + n;
	if (i < s.n && s.p[i] == '%')
		i++;
	else if (math_starts(s, i, "\\%"))
		i += 2;
	return (struct str){ s.p + at, i - at };
}

/* The first (want_last 0) or last number in the text, with its sign: a minus that follows a letter, a digit
 * or a bracket is an operator. */
struct str math_find_number(struct str s, int want_last)
{
	struct str found = none;
	for (size_t i = 0; i < s.n; i++) {
		if (!math_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '\\')
			continue;
		struct str n = number_at(s, i);
		if (!n.p)
			continue;
		size_t start = i, before = i;
		while (before > 0 && (s.p[before - 1] == '$' || s.p[before - 1] == '\\'))
			before--;
		if (before > 0 && s.p[before - 1] == '-' &&
			(before == 1 || !(math_digit(s.p[before - 2]) || math_letter(s.p[before - 2]) ||
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
		return none;
	struct str a = math_last_boxed(text);
	if (!a.p)
		a = math_last_marked(text);
	if (!a.p)
		a = math_last_formula(text);
	if (!a.p)
		a = math_find_number(text, 1);
	return a;
}
