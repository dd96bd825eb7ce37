/*
 * math_text: the parts of the math verifier, private to math_*.c and verify_math.c: from the text of an
 * answer to something plain (math_normal.c), from that to numbers and values of expressions (math_value.c).
 */
#ifndef QUERN_MATH_TEXT_H
#define QUERN_MATH_TEXT_H

#include "base/buf.h"

/* --- scanning --- */

static inline int math_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline int math_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Does word stand at s[at]? */
int math_starts(struct str s, size_t at, const char *word);
/* Offset behind the brace that closes the one at `at`; 0 when there is none. */
size_t math_brace_end(struct str s, size_t at);
/* Length of the number that starts at s[at]: digits with thousands separators (commas or spaces) and a
 * fraction; 0 when there is none. */
size_t math_number_len(struct str s, size_t at);
/* The first (want_last 0) or last number in a text, with its sign, fraction bar or percent sign. */
struct str math_find_number(struct str s, int want_last);
/* Content of the last \boxed{}, or the whole row of boxes that commas or "and" join; what follows the last
 * "answer is" or ####; the last formula between dollars or \( \), unless a number follows it. {NULL, 0} when
 * none. */
struct str math_last_boxed(struct str s);
struct str math_last_marked(struct str s);
struct str math_last_formula(struct str s);

/* --- plain text --- */

/* What LaTeX marks become, one byte each. */
enum {
	MATH_SET = 1, /* \{ */
	MATH_SET_END, /* \} */
	MATH_MATRIX,  /* \begin{pmatrix}; between cells ',', between rows ';' */
	MATH_MATRIX_END,
	MATH_LE,
	MATH_GE,
	MATH_NE,
	MATH_IN = 14,
	MATH_UNION,
	MATH_APPROX,
	MATH_PM
};

/* s without LaTeX's dress, in b: outer space and final punctuation gone. */
struct str math_normalise(struct str s, struct buf *b);

/* --- values; of normalised text --- */

struct math_value {
	int exact; /* n / d, d > 0, in lowest terms */
	int64_t n, d;
	double x;
	int percent; /* a percent sign stood behind it */
};
/* The whole of s is one number, perhaps with a percent sign or units. */
int math_number(struct str s, struct math_value *v);
/* The same, written with a decimal comma. */
int math_comma_number(struct str s, struct math_value *v);
/* Rationals exactly, others to a millionth; a percentage is its number and also its hundredth. */
int math_same_number(struct math_value a, struct math_value b);
/* Two expressions in letters that have the same value wherever it was looked: no proof, but no accident. */
int math_same_expression(struct str a, struct str b);
/* Two equations, of which one is a multiple of the other: left minus right in the same ratio everywhere. */
int math_same_equation(struct str left, struct str right, struct str left2, struct str right2);

#endif
