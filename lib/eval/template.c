#include "eval/template.h"
#include "eval/regexp.h"
#include "text/utf8.h"
#include "base/map.h"

#include <stdlib.h>
#include <utf8proc.h>

#define MAX_ARGS 8
#define MAX_DEPTH 64

struct piece {
	int is_expr;
	struct str s;
};

struct template
{
	char *text;
	struct piece *pieces;
	size_t n, cap;
};

/* --- values --- */

struct eval {
	struct arena *a;
	const struct json *doc; /* NULL: only the syntax is checked */
	struct str s;
	size_t at;
	int depth;
	struct err *e;
};

static const struct json nothing = { .type = JSON_NULL };

static struct json *value_new(struct eval *x, enum json_type t)
{
	struct json *v = arena_alloc(x->a, sizeof *v);
	*v = (struct json){ .type = t };
	return v;
}

static const struct json *string_value(struct eval *x, const char *p, size_t n)
{
	struct json *v = value_new(x, JSON_STRING);
	v->s = (struct str){ arena_strndup(x->a, n ? p : "", n), n };
	return v;
}

static const struct json *int_value(struct eval *x, int64_t i)
{
	struct buf b = { 0 };
	struct json *v = value_new(x, JSON_NUMBER);
	json_add_int(&b, i);
	v->is_int = 1;
	v->i = i;
	v->d = (double)i;
	v->s = (struct str){ arena_strndup(x->a, b.p, b.n), b.n };
	buf_release(&b);
	return v;
}

static const struct json *fail(struct eval *x, const char *what)
{
	err_set(x->e, "in {{%.*s}}: %s", (int)(x->s.n < 80 ? x->s.n : 80), x->s.p, what);
	return NULL;
}

/* --- white space and case --- */

size_t space_len(const char *p, size_t n)
{
	uint32_t cp;
	size_t k;
	if (!n)
		return 0;
	k = utf8_get(p, n, &cp);
	return (cp >= 0x1c && cp <= 0x1f) || uni_class(cp) & UNI_SPACE ? k : 0;
}

struct str strip_left(struct str s)
{
	size_t k;
	while ((k = space_len(s.p, s.n)) > 0)
		s.p += k, s.n -= k;
	return s;
}

struct str strip_right(struct str s)
{
	uint32_t cp;
	while (s.n) {
		size_t k = utf8_get_back(s.p, s.n, &cp);
		if (!space_len(s.p + s.n - k, k))
			break;
		s.n -= k;
	}
	return s;
}

void add_case(struct buf *out, struct str s, int upper_first, int upper_rest)
{
	for (size_t i = 0; i < s.n;) {
		uint32_t cp;
		size_t k = utf8_get(s.p + i, s.n - i, &cp);
		int up = i == 0 ? upper_first : upper_rest;
		char c[4];
		if (cp == UTF8_BAD) {
			buf_add(out, s.p + i, k);
		} else {
			cp = (uint32_t)(up ? utf8proc_toupper((utf8proc_int32_t)cp)
					   : utf8proc_tolower((utf8proc_int32_t)cp));
			buf_add(out, c, utf8_put(cp, c));
		}
		i += k;
	}
}

static const struct json *change_case(struct eval *x, struct str s, int upper_first, int upper_rest)
{
	struct buf b = { 0 };
	add_case(&b, s, upper_first, upper_rest);
	const struct json *v = string_value(x, b.p, b.n);
	buf_release(&b);
	return v;
}

/* --- methods and filters --- */

typedef const struct json *function(
	struct eval *x, const struct json *self, const struct json **arg, size_t n);

static int find_str(struct str s, struct str sub, size_t from, size_t *at)
{
	for (size_t i = from; sub.n && i + sub.n <= s.n; i++)
		if (memcmp(s.p + i, sub.p, sub.n) == 0) {
			*at = i;
			return 1;
		}
	return 0;
}

struct list {
	struct json *v;
	size_t n, cap;
};

static void list_add(struct list *l, const struct json *v)
{
	GROW(l->v, l->cap, l->n + 1);
	l->v[l->n++] = *v;
}

static const struct json *list_value(struct eval *x, struct list *l)
{
	struct json *v = value_new(x, JSON_ARRAY);
	v->n = l->n;
	v->kids = arena_alloc(x->a, mul_size(l->n, sizeof *l->v));
	if (l->n)
		memcpy(v->kids, l->v, l->n * sizeof *l->v);
	free(l->v);
	return v;
}

static const struct json *do_split(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	struct list l = { 0 };
	struct str s = self->s;
	if (n == 0) { /* at runs of white space, none empty */
		while ((s = strip_left(s)).n) {
			size_t k = 0, c;
			uint32_t cp;
			while (k < s.n && !space_len(s.p + k, s.n - k)) {
				c = utf8_get(s.p + k, s.n - k, &cp);
				k += c;
			}
			list_add(&l, string_value(x, s.p, k));
			s.p += k;
			s.n -= k;
		}
		return list_value(x, &l);
	}
	if (arg[0]->type != JSON_STRING || !arg[0]->s.n)
		return fail(x, "split wants a string that is not empty");
	size_t from = 0, at;
	while (find_str(s, arg[0]->s, from, &at)) {
		list_add(&l, string_value(x, s.p + from, at - from));
		from = at + arg[0]->s.n;
	}
	list_add(&l, string_value(x, s.p + from, s.n - from));
	return list_value(x, &l);
}

static const struct json *do_strip(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	struct str s = strip_left(strip_right(self->s));
	return string_value(x, s.p, s.n);
}

static const struct json *do_lstrip(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	struct str s = strip_left(self->s);
	return string_value(x, s.p, s.n);
}

static const struct json *do_rstrip(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return string_value(x, self->s.p, strip_right(self->s).n);
}

static const struct json *do_lower(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return change_case(x, self->s, 0, 0);
}

static const struct json *do_upper(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return change_case(x, self->s, 1, 1);
}

static const struct json *do_capitalize(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return change_case(x, self->s, 1, 0);
}

static const struct json *do_replace(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)n;
	struct buf b = { 0 };
	size_t from = 0, at;
	if (arg[0]->type != JSON_STRING || arg[1]->type != JSON_STRING || !arg[0]->s.n)
		return fail(x, "replace wants two strings, the first not empty");
	while (find_str(self->s, arg[0]->s, from, &at)) {
		buf_add(&b, self->s.p + from, at - from);
		buf_add(&b, arg[1]->s.p, arg[1]->s.n);
		from = at + arg[0]->s.n;
	}
	buf_add(&b, self->s.p + from, self->s.n - from);
	const struct json *v = string_value(x, b.p, b.n);
	buf_release(&b);
	return v;
}

static const struct json *do_regex_replace(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)n;
	struct buf b = { 0 };
	if (arg[0]->type != JSON_STRING || arg[1]->type != JSON_STRING)
		return fail(x, "regex_replace wants two strings");
	struct regexp *r = regexp_new(arg[0]->s.p, arg[0]->s.n, x->e);
	if (!r)
		return NULL;
	regexp_replace(r, self->s, arg[1]->s, &b);
	regexp_free(r);
	const struct json *v = string_value(x, b.p, b.n);
	buf_release(&b);
	return v;
}

static const struct json *join(struct eval *x, const struct json *list, struct str sep)
{
	struct buf b = { 0 };
	for (size_t i = 0; i < list->n; i++) {
		const struct json *k = &list->kids[i];
		if (i)
			buf_add(&b, sep.p, sep.n);
		if (k->type != JSON_STRING && k->type != JSON_NUMBER) {
			buf_release(&b);
			return fail(x, "join wants a list of strings");
		}
		buf_add(&b, k->s.p, k->s.n);
	}
	const struct json *v = string_value(x, b.p, b.n);
	buf_release(&b);
	return v;
}

static const struct json *do_join(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	if (self->type == JSON_ARRAY) /* list|join(sep) */
		return join(x, self, n && arg[0]->type == JSON_STRING ? arg[0]->s : STR(""));
	if (self->type == JSON_STRING && n && arg[0]->type == JSON_ARRAY) /* sep.join(list) */
		return join(x, arg[0], self->s);
	return fail(x, "join wants a list");
}

static const struct json *do_index(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)n;
	if (self->type == JSON_STRING && arg[0]->type == JSON_STRING) {
		size_t at;
		uint32_t cp;
		int64_t chars = 0;
		if (!find_str(self->s, arg[0]->s, 0, &at))
			return fail(x, "index: not found");
		for (size_t i = 0; i < at; i += utf8_get(self->s.p + i, self->s.n - i, &cp))
			chars++;
		return int_value(x, chars);
	}
	for (size_t i = 0; self->type == JSON_ARRAY && i < self->n; i++) {
		const struct json *k = &self->kids[i];
		if (k->type == arg[0]->type && (k->type == JSON_STRING || k->type == JSON_NUMBER) &&
			str_eq(k->s, arg[0]->s))
			return int_value(x, (int64_t)i);
	}
	return fail(x, "index: not found");
}

static size_t length(const struct json *v)
{
	size_t n = 0;
	uint32_t cp;
	if (v->type != JSON_STRING)
		return v->n;
	for (size_t i = 0; i < v->s.n; i += utf8_get(v->s.p + i, v->s.n - i, &cp))
		n++;
	return n;
}

static const struct json *item(struct eval *x, const struct json *v, int64_t i)
{
	int64_t n = (int64_t)length(v);
	uint32_t cp;
	i = i < 0 ? i + n : i;
	if ((v->type != JSON_ARRAY && v->type != JSON_STRING) || i < 0 || i >= n)
		return fail(x, "index out of range");
	if (v->type == JSON_ARRAY)
		return &v->kids[i];
	size_t at = 0;
	while (i-- > 0)
		at += utf8_get(v->s.p + at, v->s.n - at, &cp);
	return string_value(x, v->s.p + at, utf8_get(v->s.p + at, v->s.n - at, &cp));
}

static const struct json *do_first(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return item(x, self, 0);
}

static const struct json *do_last(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return item(x, self, -1);
}

static const struct json *do_length(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return int_value(x, (int64_t)length(self));
}

static const struct json *do_string(
	struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	if (self->type != JSON_STRING && self->type != JSON_NUMBER)
		return fail(x, "string wants a string or a number");
	return string_value(x, self->s.p, self->s.n);
}

static const struct json *do_int(struct eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	struct str s = self->s;
	char text[24];
	if (self->type == JSON_STRING)
		s = strip_left(strip_right(s));
	if ((self->type != JSON_STRING && self->type != JSON_NUMBER) || !s.n || s.n >= sizeof text)
		return fail(x, "int wants a number");
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	return int_value(x, strtoll(text, NULL, 10));
}

enum { METHOD = 1, FILTER = 2, ON_STRING = 4 };
static const struct {
	const char *name;
	int flags;
	size_t min_args, max_args;
	function *f;
} functions[] = {
	{ "split", METHOD | ON_STRING, 0, 1, do_split },
	{ "strip", METHOD | ON_STRING, 0, 0, do_strip },
	{ "lstrip", METHOD | ON_STRING, 0, 0, do_lstrip },
	{ "rstrip", METHOD | ON_STRING, 0, 0, do_rstrip },
	{ "trim", FILTER | ON_STRING, 0, 0, do_strip },
	{ "lower", METHOD | FILTER | ON_STRING, 0, 0, do_lower },
	{ "upper", METHOD | FILTER | ON_STRING, 0, 0, do_upper },
	{ "capitalize", METHOD | FILTER | ON_STRING, 0, 0, do_capitalize },
	{ "replace", METHOD | FILTER | ON_STRING, 2, 2, do_replace },
	{ "regex_replace", FILTER | ON_STRING, 2, 2, do_regex_replace },
	{ "join", METHOD | FILTER, 0, 1, do_join },
	{ "index", METHOD, 1, 1, do_index },
	{ "first", FILTER, 0, 0, do_first },
	{ "last", FILTER, 0, 0, do_last },
	{ "length", FILTER, 0, 0, do_length },
	{ "string", FILTER, 0, 0, do_string },
	{ "int", FILTER, 0, 0, do_int },
};

/* --- expressions --- */

static const struct json *expression(struct eval *x);

static void blank(struct eval *x)
{
	while (x->at < x->s.n && strchr(" \t\r\n", x->s.p[x->at]) && x->s.p[x->at])
		x->at++;
}

static int take(struct eval *x, char c)
{
	blank(x);
	if (x->at >= x->s.n || x->s.p[x->at] != c)
		return 0;
	x->at++;
	return 1;
}

static int name_char(char c, int first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (!first && c >= '0' && c <= '9');
}

static struct str name(struct eval *x)
{
	blank(x);
	size_t start = x->at;
	while (x->at < x->s.n && name_char(x->s.p[x->at], x->at == start))
		x->at++;
	return (struct str){ x->s.p + start, x->at - start };
}

/* A quoted string with Python's escapes; an unknown escape keeps its backslash. */
static const struct json *quoted(struct eval *x)
{
	static const char esc[] = "nrt0abfv\\'\"", val[] = "\n\r\t\0\a\b\f\v\\'\"";
	char quote = x->s.p[x->at++];
	struct buf b = { 0 };
	while (x->at < x->s.n && x->s.p[x->at] != quote) {
		char c = x->s.p[x->at++];
		if (c == '\\' && x->at < x->s.n) {
			char n = x->s.p[x->at++];
			const char *k = n ? strchr(esc, n) : NULL;
			if (k) {
				c = val[k - esc];
			} else {
				buf_addc(&b, '\\');
				c = n;
			}
		}
		buf_addc(&b, c);
	}
	const struct json *v = x->at < x->s.n ? string_value(x, b.p, b.n) : fail(x, "string without an end");
	buf_release(&b);
	x->at++;
	return v;
}

/* An integer with its sign; 1 when there was one, else *v stays. */
static int integer(struct eval *x, int64_t *v)
{
	blank(x);
	size_t at = x->at;
	int neg = at < x->s.n && x->s.p[at] == '-';
	at += (size_t)neg;
	size_t start = at;
	int64_t n = 0;
	for (; at < x->s.n && x->s.p[at] >= '0' && x->s.p[at] <= '9' && at - start < 18; at++)
		n = n * 10 + (x->s.p[at] - '0');
	if (at == start)
		return 0;
	*v = neg ? -n : n;
	x->at = at;
	return 1;
}

static const struct json *list_literal(struct eval *x)
{
	struct list l = { 0 };
	while (!take(x, ']')) {
		const struct json *v = l.n && !take(x, ',') ? fail(x, "list wants ','") : expression(x);
		if (!v) {
			free(l.v);
			return NULL;
		}
		list_add(&l, v);
	}
	return list_value(x, &l);
}

static const struct json *primary(struct eval *x)
{
	int64_t i;
	blank(x);
	if (x->at >= x->s.n)
		return fail(x, "expression ends early");
	char c = x->s.p[x->at];
	if (c == '\'' || c == '"')
		return quoted(x);
	if (c == '[') {
		x->at++;
		return list_literal(x);
	}
	if (c == '(') {
		x->at++;
		const struct json *v = expression(x);
		return !v || take(x, ')') ? v : fail(x, "')' is missing");
	}
	if (integer(x, &i))
		return int_value(x, i);
	struct str n = name(x);
	if (!n.n)
		return fail(x, "not an expression that is understood here");
	if (!x->doc)
		return &nothing;
	for (size_t k = x->doc->n; k-- > 0;)
		if (str_eq(x->doc->kids[k].key, n))
			return &x->doc->kids[k];
	err_set(x->e, "the record has no field '%.*s'", (int)n.n, n.p);
	return NULL;
}

/* name has been read; its arguments, if any, follow. */
static const struct json *call(struct eval *x, const struct json *self, struct str n, int kind)
{
	const struct json *arg[MAX_ARGS];
	size_t nargs = 0;
	if (take(x, '(')) {
		while (!take(x, ')')) {
			if (nargs == MAX_ARGS || (nargs && !take(x, ',')))
				return fail(x, "arguments want ','");
			if (!(arg[nargs++] = expression(x)))
				return NULL;
		}
	}
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		if (!(functions[i].flags & kind) || !str_is(n, functions[i].name))
			continue;
		if (nargs < functions[i].min_args || nargs > functions[i].max_args)
			return fail(x, "wrong number of arguments");
		if (!x->doc)
			return &nothing;
		if (functions[i].flags & ON_STRING && self->type != JSON_STRING) {
			/* Jinja's filters take numbers for their text. */
			if (!(kind == FILTER && self->type == JSON_NUMBER))
				return fail(x, "wants a string");
		}
		return functions[i].f(x, self, arg, nargs);
	}
	err_set(x->e, "in {{%.*s}}: unknown %s '%.*s'", (int)(x->s.n < 80 ? x->s.n : 80), x->s.p,
		kind == METHOD ? "method" : "filter", (int)n.n, n.p);
	return NULL;
}

static const struct json *slice(struct eval *x, const struct json *v, int64_t from, int64_t to)
{
	struct list l = { 0 };
	struct buf b = { 0 };
	int64_t n = (int64_t)length(v);
	if (v->type != JSON_ARRAY && v->type != JSON_STRING)
		return fail(x, "only strings and lists have parts");
	from = from < 0 ? (from + n > 0 ? from + n : 0) : from;
	to = to < 0 ? to + n : to < n ? to : n;
	for (int64_t i = from; i < to; i++) {
		const struct json *k = item(x, v, i);
		if (v->type == JSON_ARRAY)
			list_add(&l, k);
		else
			buf_add(&b, k->s.p, k->s.n);
	}
	if (v->type == JSON_ARRAY)
		return list_value(x, &l);
	const struct json *out = string_value(x, b.p, b.n);
	buf_release(&b);
	return out;
}

static const struct json *field(struct eval *x, const struct json *v, struct str n)
{
	if (!x->doc)
		return &nothing;
	for (size_t k = v->type == JSON_OBJECT ? v->n : 0; k-- > 0;)
		if (str_eq(v->kids[k].key, n))
			return &v->kids[k];
	err_set(x->e, "in {{%.*s}}: no field '%.*s'", (int)(x->s.n < 80 ? x->s.n : 80), x->s.p, (int)n.n,
		n.p);
	return NULL;
}

/* Behind '[': an index, a slice or a key. */
static const struct json *subscript(struct eval *x, const struct json *v)
{
	int64_t from = 0, to = INT64_MAX;
	int has_from = integer(x, &from);
	if (take(x, ':')) {
		integer(x, &to);
		if (!take(x, ']'))
			return fail(x, "']' is missing");
		return x->doc ? slice(x, v, from, to) : &nothing;
	}
	const struct json *key = has_from ? NULL : expression(x);
	if (!has_from && !key)
		return NULL;
	if (!take(x, ']'))
		return fail(x, "']' is missing");
	if (!x->doc)
		return &nothing;
	if (has_from)
		return item(x, v, from);
	if (key->type == JSON_STRING)
		return field(x, v, key->s);
	return key->is_int ? item(x, v, key->i) : fail(x, "not an index");
}

static const struct json *operand(struct eval *x)
{
	const struct json *v = primary(x);
	while (v) {
		if (take(x, '.')) {
			struct str n = name(x);
			blank(x);
			if (!n.n)
				return fail(x, "a name is missing behind '.'");
			v = x->at < x->s.n && x->s.p[x->at] == '(' ? call(x, v, n, METHOD) : field(x, v, n);
		} else if (take(x, '[')) {
			v = subscript(x, v);
		} else if (take(x, '|')) {
			struct str n = name(x);
			v = call(x, v, n, FILTER);
		} else {
			break;
		}
	}
	return v;
}

static const struct json *expression(struct eval *x)
{
	if (++x->depth > MAX_DEPTH)
		return fail(x, "nested too deep");
	const struct json *v = operand(x);
	while (v && (take(x, '+') || take(x, '~'))) {
		const struct json *w = operand(x);
		if (!w)
			return NULL;
		if (!x->doc)
			continue;
		if (v->is_int && w->is_int) {
			v = int_value(x, (int64_t)((uint64_t)v->i + (uint64_t)w->i));
		} else if ((v->type == JSON_STRING || v->type == JSON_NUMBER) &&
			   (w->type == JSON_STRING || w->type == JSON_NUMBER)) {
			struct buf b = { 0 };
			buf_add(&b, v->s.p, v->s.n);
			buf_add(&b, w->s.p, w->s.n);
			v = string_value(x, b.p, b.n);
			buf_release(&b);
		} else {
			return fail(x, "+ wants strings or integers");
		}
	}
	x->depth--;
	return v;
}

static const struct json *evaluate(struct str expr, const struct json *doc, struct arena *a, struct err *e)
{
	struct eval x = { .a = a, .doc = doc, .s = expr, .e = e };
	const struct json *v = expression(&x);
	blank(&x);
	if (v && x.at < x.s.n)
		return fail(&x, "not an expression that is understood here");
	return v;
}

/* --- templates --- */

static void add_piece(struct template *t, int is_expr, const char *p, size_t n)
{
	if (!n && !is_expr)
		return;
	GROW(t->pieces, t->cap, t->n + 1);
	t->pieces[t->n++] = (struct piece){ is_expr, { p, n } };
}

/* Offset of the "}}" that ends the expression at `at`, quotes respected; n when there is none. */
static size_t expr_end(const char *p, size_t n, size_t at)
{
	char quote = 0;
	for (size_t i = at; i + 1 < n; i++) {
		if (quote) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == quote)
				quote = 0;
		} else if (p[i] == '\'' || p[i] == '"') {
			quote = p[i];
		} else if (p[i] == '}' && p[i + 1] == '}') {
			return i;
		}
	}
	return n;
}

struct template *template_parse(const char *text, size_t n, struct err *e)
{
	struct template *t = xcalloc(1, sizeof *t);
	struct arena scratch = { 0 };
	size_t literal = 0, i = 0;
	int bad = 0;
	t->text = xstrndup(text, n);
	while (!bad && i + 1 < n) {
		if (t->text[i] == '{' && (t->text[i + 1] == '%' || t->text[i + 1] == '#')) {
			bad = err_set(e, "character %zu: {%c is not supported", i, t->text[i + 1]);
		} else if (t->text[i] == '{' && t->text[i + 1] == '{') {
			size_t end = expr_end(t->text, n, i + 2);
			add_piece(t, 0, t->text + literal, i - literal);
			if (end == n) {
				bad = err_set(e, "character %zu: {{ without }}", i);
				break;
			}
			add_piece(t, 1, t->text + i + 2, end - i - 2);
			bad = !evaluate(t->pieces[t->n - 1].s, NULL, &scratch, e);
			i = literal = end + 2;
		} else {
			i++;
		}
	}
	arena_release(&scratch);
	if (bad) {
		template_free(t);
		return NULL;
	}
	add_piece(t, 0, t->text + literal, n - literal);
	return t;
}

void template_free(struct template *t)
{
	if (!t)
		return;
	free(t->text);
	free(t->pieces);
	free(t);
}

static int add_value(struct buf *out, const struct json *v, struct err *e)
{
	switch (v->type) {
	case JSON_STRING:
	case JSON_NUMBER:
		buf_add(out, v->s.p, v->s.n);
		return 0;
	case JSON_TRUE:
		buf_adds(out, "True");
		return 0;
	case JSON_FALSE:
		buf_adds(out, "False");
		return 0;
	case JSON_NULL:
		buf_adds(out, "None");
		return 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	return err_set(e, "a list or an object is no text");
}

/* The record's field whose name is the whole template. */
static const struct json *whole_field(const struct template *t, const struct json *doc)
{
	if (t->n != 1 || t->pieces[0].is_expr || doc->type != JSON_OBJECT)
		return NULL;
	for (size_t k = doc->n; k-- > 0;)
		if (str_eq(doc->kids[k].key, t->pieces[0].s))
			return &doc->kids[k];
	return NULL;
}

int template_render(
	const struct template *t, const struct json *doc, struct arena *a, struct buf *out, struct err *e)
{
	const struct json *v = whole_field(t, doc);
	if (v)
		return add_value(out, v, e);
	for (size_t i = 0; i < t->n; i++) {
		if (!t->pieces[i].is_expr) {
			buf_add(out, t->pieces[i].s.p, t->pieces[i].s.n);
			continue;
		}
		v = evaluate(t->pieces[i].s, doc, a, e);
		if (!v || add_value(out, v, e) < 0)
			return -1;
	}
	return 0;
}

const struct json *template_value(
	const struct template *t, const struct json *doc, struct arena *a, struct err *e)
{
	const struct json *v = whole_field(t, doc);
	if (v)
		return v;
	if (t->n == 1 && t->pieces[0].is_expr)
		return evaluate(t->pieces[0].s, doc, a, e);
	struct buf b = { 0 };
	struct eval x = { .a = a };
	v = template_render(t, doc, a, &b, e) < 0 ? NULL : string_value(&x, b.p, b.n);
	buf_release(&b);
	return v;
}
