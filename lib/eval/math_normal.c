#include "eval/math_text.h"

/* What a command or a character becomes. A command is matched whole; of other spellings the longer stand
 * before their prefixes. */
static const struct {
	const char *from, *to;
} spellings[] = {
	{ "\\leqslant", "\005" },
	{ "\\geqslant", "\006" },
	{ "\\leq", "\005" },
	{ "\\geq", "\006" },
	{ "\\neq", "\007" },
	{ "<=", "\005" },
	{ ">=", "\006" },
	{ "!=", "\007" },
	{ "\\lt", "<" },
	{ "\\gt", ">" },
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
	{ ",\\! ", "," },
	{ "\\!", "" },
	{ "\\;", " " },
	{ "\\:", " " },
	{ "\\ ", " " },
	{ "\\\\", " " },
	{ "\\quad", " " },
	{ "\\qquad", " " },
	{ "\\%", "%" },
	{ "\\le", "\005" },
	{ "\\ge", "\006" },
	{ "\\ne", "\007" },
	{ "\\in", "\016" },
	{ "\\{", "\001" },
	{ "\\}", "\002" },
	{ "\\lbrace", "\001" },
	{ "\\rbrace", "\002" },
	{ "\\cdot", "*" },
	{ "\\times", "*" },
	{ "\\div", "/" },
	{ "^\\circ", "" },
	{ "^{\\circ}", "" },
	{ "^ \\circ", "" },
	{ "\\circ", "" },
	{ "\\degree", "" },
	{ "\\infty", "inf" },
	{ "\\cup", "\017" },
	{ "\\approx", "\020" },
	{ "\\pm", "\021" },
	{ "\\lvert", "|" },
	{ "\\rvert", "|" },
	{ "\\mid", "|" },
	{ "\xe2\x89\xa4", "\005" } /* <= */,
	{ "\xe2\x89\xa5", "\006" } /* >= */,
	{ "\xe2\x89\xa0", "\007" } /* != */,
	{ "\xe2\x88\x88", "\016" } /* element of */,
	{ "\xe2\x88\xaa", "\017" } /* union */,
	{ "\xe2\x89\x88", "\020" } /* approximately */,
	{ "\xc2\xb1", "\021" } /* plus or minus */,
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
static const char *const text_commands[] = { "\\boxed", "\\fbox", "\\text", "\\textnormal", "\\textbf",
	"\\textit", "\\textrm", "\\mathrm", "\\mathbf", "\\mathit", "\\mathsf", "\\mbox", "\\operatorname" };

static size_t text_command(struct str s, size_t at)
{
	for (size_t i = 0; i < sizeof text_commands / sizeof *text_commands; i++) {
		size_t n = strlen(text_commands[i]);
		if (math_starts(s, at, text_commands[i]) && at + n < s.n && s.p[at + n] == '{')
			return n;
	}
	return 0;
}

/* Length of the spelling that stands at s[at], and what it becomes; 0: none. */
static size_t spelling(struct str s, size_t at, const char **to)
{
	for (size_t k = 0; k < sizeof spellings / sizeof *spellings; k++) {
		const char *from = spellings[k].from;
		size_t n = strlen(from);
		if (s.p[at] != from[0] || !math_starts(s, at, from))
			continue;
		if (from[0] == '\\' && math_letter(from[n - 1]) && at + n < s.n && math_letter(s.p[at + n]))
			continue;
		*to = spellings[k].to;
		return n;
	}
	return 0;
}

/* Two backslashes that some writer of JSON made of one. */
static int doubled(struct str s, size_t at)
{
	static const char *const others[] = { "\\frac", "\\sqrt", "\\pi" };
	const char *to;
	if (!math_starts(s, at, "\\\\") || at + 2 >= s.n || !math_letter(s.p[at + 2]))
		return 0;
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		if (math_starts(s, at + 1, others[i]))
			return 1;
	return text_command(s, at + 1) > 0 || spelling(s, at + 1, &to) > 0;
}

/* "\begin{pmatrix}" or "\end{array}" at s[at]: its length. *matrix: it is one of a matrix. */
static size_t environment(struct str s, size_t at, const char *word, int *matrix)
{
	size_t n = strlen(word), end = math_starts(s, at, word) ? math_brace_end(s, at + n) : 0;
	if (!end || s.p[at + n] != '{')
		return 0;
	struct str name = { s.p + at + n + 1, end - at - n - 2 };
	*matrix = str_is(name, "array") || (name.n >= 6 && memcmp(name.p + name.n - 6, "matrix", 6) == 0);
	if (word[1] == 'b' && str_is(name, "array") && end < s.n && s.p[end] == '{') {
		size_t columns = math_brace_end(s, end);
		end = columns ? columns : end;
	}
	return end - at;
}

static void rewrite(struct str s, struct buf *b, int depth)
{
	int matrices = 0, is_matrix;
	const char *to;
	for (size_t i = 0, n; i < s.n; i += n) {
		size_t text = s.p[i] == '\\' ? text_command(s, i) : 0,
		       end = text ? math_brace_end(s, i + text) : 0;
		if (end && depth < 8) {
			buf_addc(b, ' ');
			rewrite((struct str){ s.p + i + text + 1, end - i - text - 2 }, b, depth + 1);
			n = end - i;
		} else if ((n = environment(s, i, "\\begin", &is_matrix)) > 0) {
			buf_addc(b, is_matrix ? MATH_MATRIX : ' ');
			matrices += is_matrix;
		} else if ((n = environment(s, i, "\\end", &is_matrix)) > 0) {
			buf_addc(b, is_matrix ? MATH_MATRIX_END : ' ');
			matrices -= is_matrix;
		} else if (matrices > 0 && (s.p[i] == '&' || math_starts(s, i, "\\\\"))) {
			buf_addc(b, s.p[i] == '&' ? ',' : ';');
			n = s.p[i] == '&' ? 1 : 2;
		} else if (doubled(s, i)) {
			n = 1;
		} else if ((n = spelling(s, i, &to)) > 0) {
			buf_adds(b, to);
		} else {
			buf_addc(b, s.p[i]);
			n = 1;
		}
	}
}

/* "1, 2, and 3", "2 or 3": a word between numbers is a comma. */
static void join(struct buf *b)
{
	struct str s = { b->p, b->n };
	int digits = 0;
	size_t out = 0;
	char last = 0;
	for (size_t i = 0; i < s.n; i++)
		digits |= math_digit(s.p[i]);
	for (size_t i = 0, n; digits && i < s.n; i += n) {
		n = math_starts(s, i, "and") ? 3 : math_starts(s, i, "or") ? 2 : 0;
		if (n && ((i && math_letter(s.p[i - 1])) || (i + n < s.n && math_letter(s.p[i + n]))))
			n = 0;
		char c = n ? ',' : s.p[i];
		n = n ? n : 1;
		if (c == ',' && (last == ',' || last == ';'))
			continue;
		b->p[out++] = c;
		last = c == ' ' ? last : c;
	}
	if (digits) {
		b->n = out;
		b->p[out] = 0;
	}
}

struct str math_normalise(struct str s, struct buf *b)
{
	rewrite(s, b, 0);
	join(b);
	struct str t = str_trim((struct str){ b->p ? b->p : "", b->n });
	while (t.n && (t.p[t.n - 1] == '.' || t.p[t.n - 1] == ',' || t.p[t.n - 1] == ';'))
		t.n--;
	return str_trim(t);
}
