#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretok_rx.h"
#include "text/utf8.h"
#include "base/die.h"
#include "base/mem.h"

#include <pcre2.h>
#include <stdlib.h>

struct rx {
	pcre2_code *code;
};

struct rx_state {
	const struct rx *r;
	pcre2_match_data *data;
	pcre2_match_context *ctx;
	pcre2_jit_stack *stack;
	const char *text;  /* the text being walked */
	size_t valid_from; /* [valid_from, valid_end) of it is known to be UTF-8 */
	size_t valid_end;
	size_t start, end; /* the match found last; used up when start < at */
	uint64_t limited;
};

/* --- translation ---------------------------------------------------------------------------------------- */

/* White_Space and \w, to stand inside a class. */
#define SPACE_SET                                                                                            \
	"\\x09-\\x0d\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{" \
	"3000}"
/* The circled and squared letters, and in Oniguruma the digits of Latin-1 that are no decimal ones. */
#define CIRCLED_SET "\\x{24b6}-\\x{24e9}\\x{1f130}-\\x{1f149}\\x{1f150}-\\x{1f169}\\x{1f170}-\\x{1f189}"
#define LETTER_SET "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}" CIRCLED_SET
#define WORD_SET LETTER_SET "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}"
/* \w of Rust's regular expressions, which are tiktoken's: with the joiners. */
#define RUST_WORD_SET LETTER_SET "\\x{200c}\\x{200d}"

static pcre2_code *compile(const char *p, size_t n, uint32_t options, struct err *e)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *c = pcre2_compile((PCRE2_SPTR)p, n, options, &code, &at, NULL);
	if (!c) {
		PCRE2_UCHAR msg[256];
		pcre2_get_error_message(code, msg, sizeof msg);
		err_set(e, "regular expression: %s (character %zu)", (char *)msg, (size_t)at);
	}
	return c;
}

/* \p{NAME} of a script means Script_Extensions in PCRE2 from 10.40 on, Script elsewhere. */
static void add_property(struct buf *out, struct str name, int negated)
{
	struct buf b = { 0 };
	int inner = name.n > 2 && name.p[0] == '^';
	buf_addf(&b, "\\p{sc:%.*s}", (int)(name.n - (size_t)inner), name.p + inner);
	pcre2_code *c = name.n > 2 ? compile(b.p, b.n, PCRE2_UTF, NULL) : NULL;
	if (c)
		buf_addf(out, "\\%c{%ssc:%.*s}", negated ? 'P' : 'p', inner ? "^" : "",
			(int)(name.n - (size_t)inner), name.p + inner);
	else
		buf_addf(out, "\\%c{%.*s}", negated ? 'P' : 'p', (int)name.n, name.p);
	pcre2_code_free(c);
	buf_release(&b);
}

/* One escape p[0..n), p[0] == '\\'; the bytes taken, 0 refused. */
static size_t add_escape(struct buf *out, const char *p, size_t n, int in_class, struct err *e)
{
	if (n < 2) {
		err_set(e, "regular expression ends in a backslash");
		return 0;
	}
	char c = p[1];
	const char *set = c == 's' || c == 'S' ? SPACE_SET : c == 'w' || c == 'W' ? WORD_SET : NULL;
	if (set && (c == 's' || c == 'w')) {
		buf_addf(out, in_class ? "%s" : "[%s]", set);
		return 2;
	}
	if (set && !in_class) {
		buf_addf(out, "[^%s]", set);
		return 2;
	}
	if ((c == 'b' || c == 'B') && !in_class) { /* PCRE2's own go by its \w */
		buf_adds(out, c == 'b' ? "(?:(?<=[" WORD_SET "])(?![" WORD_SET "])|(?<![" WORD_SET
					 "])(?=[" WORD_SET "]))"
				       : "(?:(?<=[" WORD_SET "])(?=[" WORD_SET "])|(?<![" WORD_SET
					 "])(?![" WORD_SET "]))");
		return 2;
	}
	if (strchr("hHNOKCyYGXQEgok", c) || set) {
		err_set(e, "regular expression: \\%c is not supported%s", c, set ? " inside a class" : "");
		return 0;
	}
	if (c == 'x' && n > 2 && p[2] == '{' && memchr(p, '}', n)) {
		size_t k = (size_t)((const char *)memchr(p, '}', n) - p) + 1;
		buf_add(out, p, k);
		return k;
	}
	if (c == 'p' || c == 'P') {
		const char *close = n > 2 && p[2] == '{' ? memchr(p, '}', n) : NULL;
		if (close) {
			add_property(out, (struct str){ p + 3, (size_t)(close - p) - 3 }, c == 'P');
			return (size_t)(close - p) + 1;
		}
	}
	buf_add(out, p, 2);
	return 2;
}

/* [:name:] inside a class, p[0] == '['; the bytes taken, 0 refused: most names mean other characters in
 * PCRE2.
 */
static size_t add_posix(struct buf *out, const char *p, size_t n, struct err *e)
{
	static const struct {
		const char *name, *set;
	} names[] = { { "[:space:]", SPACE_SET }, { "[:word:]", WORD_SET }, { "[:digit:]", "\\p{Nd}" },
		{ "[:blank:]", "\\t\\p{Zs}" }, { "[:xdigit:]", "0-9A-Fa-f" }, { "[:cntrl:]", "\\p{Cc}" } };
	const char *close = memchr(p + 1, ']', n - 1);
	struct str name = { p, close ? (size_t)(close - p) + 1 : n };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (str_is(name, names[i].name)) {
			buf_adds(out, names[i].set);
			return name.n;
		}
	}
	err_set(e, "regular expression: %.*s is not supported", (int)(name.n < 40 ? name.n : 40), p);
	return 0;
}

/*
 * Inline options at p[i..n), "(?": only i means the same everywhere ((?m) lets . match line ends in
 * Oniguruma, where PCRE2 and Rust say s), and alone, as in "(?i)", only where nothing stands before it in its
 * branch: Oniguruma lets it reach over the | that follow.
 */
static int check_options(const char *p, size_t n, size_t i, struct err *e)
{
	size_t k = i + 2;
	while (k < n &&
		((p[k] >= 'a' && p[k] <= 'z') || (p[k] >= 'A' && p[k] <= 'Z') || p[k] == '-' || p[k] == '^'))
		k++;
	struct str word = { p + i + 2, k - i - 2 };
	if (!word.n)
		return 0;
	int first = i == 0 || (p[i - 1] == '(' && (i < 2 || p[i - 2] != '\\')) || p[i - 1] == '|' ||
		    (i >= 3 && memcmp(p + i - 3, "(?:", 3) == 0);
	if ((str_is(word, "i") || str_is(word, "-i")) && k < n && (p[k] == ':' || first))
		return 0;
	return err_set(e, "regular expression: (?%.*s is not supported%s", (int)(word.n < 20 ? word.n : 20),
		word.p, str_is(word, "i") ? " behind something else" : "");
}

static int translate(struct buf *out, const char *p, size_t n, struct err *e)
{
	int in_class = 0;
	for (size_t i = 0; i < n;) {
		if (p[i] == '\\') {
			size_t k = add_escape(out, p + i, n - i, in_class, e);
			if (!k)
				return -1;
			i += k;
			continue;
		}
		if (in_class) {
			if (n - i > 1 && p[i] == '&' && p[i + 1] == '&')
				return err_set(e, "regular expression: && in a class is not supported");
			if (p[i] == '[' && !(n - i > 1 && p[i + 1] == ':'))
				return err_set(
					e, "regular expression: a class inside a class is not supported");
			if (p[i] == '[') {
				size_t k = add_posix(out, p + i, n - i, e);
				if (!k)
					return -1;
				i += k;
				continue;
			}
			in_class = p[i] != ']';
		} else if (p[i] == '[') {
			/* A ']' right behind the bracket is a member; so is one behind "[^". */
			size_t k = n - i > 1 && p[i + 1] == '^' ? 2 : 1;
			if (n - i > k && p[i + k] == ']')
				k++;
			buf_add(out, p + i, k);
			i += k;
			in_class = 1;
			continue;
		}
		if (p[i] == '(' && !in_class && n - i > 2 && p[i + 1] == '?' && check_options(p, n, i, e))
			return -1;
		if (p[i] == '}' && !in_class && n - i > 1 && p[i + 1] == '+')
			return err_set(
				e, "regular expression: }+ means two things, write (?>...) or (?:...)+");
		buf_addc(out, p[i++]);
	}
	return 0;
}

void rx_absolute(const char *pattern, struct buf *out)
{
	int in_class = 0;
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && (p[1] == 'w' || (p[1] == 'W' && !in_class))) {
			buf_addf(out, in_class ? "%s%s" : "[%s%s]", *++p == 'w' ? "" : "^", RUST_WORD_SET);
		} else if (*p == '\\' && p[1]) {
			buf_add(out, p++, 2);
		} else if (!in_class && (*p == '^' || *p == '$')) {
			buf_adds(out, *p == '^' ? "\\A" : "\\z");
		} else {
			int opens = !in_class && *p == '[';
			in_class = opens || (in_class && *p != ']');
			buf_addc(out, *p);
			if (opens && p[1] == '^')
				buf_addc(out, *++p);
			if (opens && p[1] == ']')
				buf_addc(out, *++p);
		}
	}
}

/* --- matching ------------------------------------------------------------------------------------------- */

struct rx *rx_new(const char *pattern, struct err *e)
{
	struct buf b = { 0 };
	struct rx *r = xcalloc(1, sizeof *r);
	uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_MULTILINE;
	if (utf8_valid(pattern, strlen(pattern)) != strlen(pattern))
		err_set(e, "regular expression is not UTF-8");
	else if (translate(&b, pattern, strlen(pattern), e) == 0)
		r->code = compile(b.p ? b.p : "", b.n, options, e);
	buf_release(&b);
	if (!r->code) {
		free(r);
		return NULL;
	}
	pcre2_jit_compile(
		r->code, PCRE2_JIT_COMPLETE); /* without JIT the interpreter gives the same matches */
	return r;
}

int rx_matches_empty(const struct rx *r)
{
	uint32_t empty = 0;
	pcre2_pattern_info(r->code, PCRE2_INFO_MATCHEMPTY, &empty);
	return empty != 0;
}

void rx_free(struct rx *r)
{
	if (r)
		pcre2_code_free(r->code);
	free(r);
}

/* PCRE2's memory comes from mem.h, which does not fail. */
static void *take_memory(PCRE2_SIZE n, void *data)
{
	(void)data;
	return xmalloc(n);
}

static void give_memory(void *p, void *data)
{
	(void)data;
	free(p);
}

struct rx_state *rx_state_new(const struct rx *r)
{
	struct rx_state *s = xcalloc(1, sizeof *s);
	s->r = r;
	pcre2_general_context *mem = pcre2_general_context_create(take_memory, give_memory, NULL);
	ASSERT(mem);
	s->data = pcre2_match_data_create(1, mem);
	s->ctx = pcre2_match_context_create(mem);
	ASSERT(s->data && s->ctx);
	pcre2_general_context_free(mem);
	s->stack = pcre2_jit_stack_create(32 << 10, 4 << 20, NULL);
	if (s->stack)
		pcre2_jit_stack_assign(s->ctx, NULL, s->stack);
	pcre2_set_match_limit(s->ctx, RX_STEPS);
	pcre2_set_heap_limit(s->ctx, 64 << 10); /* KiB */
	return s;
}

void rx_state_free(struct rx_state *s)
{
	if (!s)
		return;
	pcre2_match_data_free(s->data);
	pcre2_match_context_free(s->ctx);
	pcre2_jit_stack_free(s->stack);
	free(s);
}

uint64_t rx_limited(const struct rx_state *s)
{
	return s->limited;
}

/* Looks for the next match from text[at] in the valid stretch that it lies in; without one the rest is a gap.
 */
static void find(struct rx_state *s, size_t at)
{
	PCRE2_SPTR base = (PCRE2_SPTR)s->text + s->valid_from;
	size_t n = s->valid_end - s->valid_from, from = at - s->valid_from;
	int rc = pcre2_match(s->r->code, base, n, from, PCRE2_NO_UTF_CHECK, s->data, s->ctx);
	if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
		rc = pcre2_match(
			s->r->code, base, n, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->data, s->ctx);
	s->start = s->end = s->valid_end;
	if (rc < 0) {
		s->limited += rc != PCRE2_ERROR_NOMATCH;
		return;
	}
	PCRE2_SIZE *o = pcre2_get_ovector_pointer(s->data);
	if (o[1] >= o[0] && o[0] >= from) { /* \K, which could break this, is refused */
		s->start = s->valid_from + o[0];
		s->end = s->valid_from + o[1];
	}
}

/* Sets the stretch at text[at]: valid UTF-8, or a run of bad bytes (then 0 comes back). */
static int stretch(struct rx_state *s, const char *text, size_t n, size_t at)
{
	s->text = text;
	s->valid_from = at;
	s->valid_end = at + utf8_valid(text + at, n - at);
	if (s->valid_end > at)
		return 1;
	while (s->valid_end < n &&
		utf8_valid(text + s->valid_end, n - s->valid_end < 4 ? n - s->valid_end : 4) == 0)
		s->valid_end++;
	return 0;
}

size_t rx_next(struct rx_state *s, const char *text, size_t n, size_t at, int *match)
{
	int is_match = 0;
	size_t end;
	if (at == 0 || s->text != text || at >= s->valid_end) {
		if (!stretch(s, text, n, at)) {
			end = s->valid_end;
			goto out;
		}
		find(s, at);
	} else if (s->start < at) {
		find(s, at);
	}
	if (s->start == at && s->end == at) {
		/* An empty match cuts, as in the libraries; the search goes on one character further. */
		uint32_t cp;
		size_t next = at + utf8_get(text + at, n - at, &cp);
		s->start = s->end = s->valid_end;
		if (next < s->valid_end)
			find(s, next);
	}
	is_match = s->start == at;
	end = is_match ? s->end : s->start;
out:
	if (match)
		*match = is_match;
	return end;
}
