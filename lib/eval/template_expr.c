#include "eval/template_expr.h"

#include <stdlib.h>

#define MAX_ARGS 8
#define MAX_DEPTH 64

static const struct json *expression(struct tmpl_eval *x);

static void blank(struct tmpl_eval *x)
{
	while (x->at < x->s.n && strchr(" \t\r\n", x->s.p[x->at]) && x->s.p[x->at])
		x->at++;
}

static int take(struct tmpl_eval *x, char c)
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

static struct str name(struct tmpl_eval *x)
{
	blank(x);
	size_t start = x->at;
	while (x->at < x->s.n && name_char(x->s.p[x->at], x->at == start))
		x->at++;
	return (struct str){ x->s.p + start, x->at - start };
}

/* A quoted string with Python's escapes; an unknown escape keeps its backslash. */
static const struct json *quoted(struct tmpl_eval *x)
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
	const struct json *v =
		x->at < x->s.n ? tmpl_string(x, b.p, b.n) : tmpl_fail(x, "string without an end");
	buf_release(&b);
	x->at++;
	return v;
}

/* An integer with its sign; 1 when there was one, else *v stays. */
static int integer(struct tmpl_eval *x, int64_t *v)
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

static const struct json *list_literal(struct tmpl_eval *x)
{
	struct tmpl_list l = { 0 };
	while (!take(x, ']')) {
		const struct json *v = l.n && !take(x, ',') ? tmpl_fail(x, "list wants ','") : expression(x);
		if (!v) {
			free(l.v);
			return NULL;
		}
		tmpl_list_add(&l, v);
	}
	return tmpl_list_value(x, &l);
}

static const struct json *primary(struct tmpl_eval *x)
{
	int64_t i;
	blank(x);
	if (x->at >= x->s.n)
		return tmpl_fail(x, "expression ends early");
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
		return !v || take(x, ')') ? v : tmpl_fail(x, "')' is missing");
	}
	if (integer(x, &i))
		return tmpl_int(x, i);
	struct str n = name(x);
	if (!n.n)
		return tmpl_fail(x, "not an expression that is understood here");
	if (!x->doc)
		return &tmpl_nothing;
	for (size_t k = x->doc->n; k-- > 0;)
		if (str_eq(x->doc->kids[k].key, n))
			return &x->doc->kids[k];
	err_set(x->e, "the record has no field '%.*s'", (int)n.n, n.p);
	return NULL;
}

/* name has been read; its arguments, if any, follow. */
static const struct json *call(struct tmpl_eval *x, const struct json *self, struct str n, int kind)
{
	const struct json *arg[MAX_ARGS];
	size_t nargs = 0;
	if (take(x, '(')) {
		while (!take(x, ')')) {
			if (nargs == MAX_ARGS || (nargs && !take(x, ',')))
				return tmpl_fail(x, "arguments want ','");
			if (!(arg[nargs++] = expression(x)))
				return NULL;
		}
	}
	return tmpl_call(x, self, n, kind, arg, nargs);
}

static const struct json *slice(struct tmpl_eval *x, const struct json *v, int64_t from, int64_t to)
{
	struct tmpl_list l = { 0 };
	struct buf b = { 0 };
	int64_t n = (int64_t)tmpl_length(v);
	if (v->type != JSON_ARRAY && v->type != JSON_STRING)
		return tmpl_fail(x, "only strings and lists have parts");
	from = from < 0 ? (from + n > 0 ? from + n : 0) : from;
	to = to < 0 ? to + n : to < n ? to : n;
	for (int64_t i = from; i < to; i++) {
		const struct json *k = tmpl_item(x, v, i);
		if (v->type == JSON_ARRAY)
			tmpl_list_add(&l, k);
		else
			buf_add(&b, k->s.p, k->s.n);
	}
	if (v->type == JSON_ARRAY)
		return tmpl_list_value(x, &l);
	const struct json *out = tmpl_string(x, b.p, b.n);
	buf_release(&b);
	return out;
}

static const struct json *field(struct tmpl_eval *x, const struct json *v, struct str n)
{
	if (!x->doc)
		return &tmpl_nothing;
	for (size_t k = v->type == JSON_OBJECT ? v->n : 0; k-- > 0;)
		if (str_eq(v->kids[k].key, n))
			return &v->kids[k];
	err_set(x->e, "in {{%.*s}}: no field '%.*s'", (int)(x->s.n < 80 ? x->s.n : 80), x->s.p, (int)n.n,
		n.p);
	return NULL;
}

/* Behind '[': an index, a slice or a key. */
static const struct json *subscript(struct tmpl_eval *x, const struct json *v)
{
	int64_t from = 0, to = INT64_MAX;
	int has_from = integer(x, &from);
	if (take(x, ':')) {
		integer(x, &to);
		if (!take(x, ']'))
			return tmpl_fail(x, "']' is missing");
		return x->doc ? slice(x, v, from, to) : &tmpl_nothing;
	}
	const struct json *key = has_from ? NULL : expression(x);
	if (!has_from && !key)
		return NULL;
	if (!take(x, ']'))
		return tmpl_fail(x, "']' is missing");
	if (!x->doc)
		return &tmpl_nothing;
	if (has_from)
		return tmpl_item(x, v, from);
	if (key->type == JSON_STRING)
		return field(x, v, key->s);
	return key->is_int ? tmpl_item(x, v, key->i) : tmpl_fail(x, "not an index");
}

static const struct json *operand(struct tmpl_eval *x)
{
	const struct json *v = primary(x);
	while (v) {
		if (take(x, '.')) {
			struct str n = name(x);
			blank(x);
			if (!n.n)
				return tmpl_fail(x, "a name is missing behind '.'");
			v = x->at < x->s.n && x->s.p[x->at] == '(' ? call(x, v, n, TMPL_METHOD)
								   : field(x, v, n);
		} else if (take(x, '[')) {
			v = subscript(x, v);
		} else if (take(x, '|')) {
			struct str n = name(x);
			v = call(x, v, n, TMPL_FILTER);
		} else {
			break;
		}
	}
	return v;
}

/* + as in Python: integers, strings or lists, two of a kind. */
static const struct json *add(struct tmpl_eval *x, const struct json *v, const struct json *w)
{
	if (v->is_int && w->is_int)
		return tmpl_int(x, (int64_t)((uint64_t)v->i + (uint64_t)w->i));
	if (v->type == JSON_STRING && w->type == JSON_STRING)
		return tmpl_concat(x, v->s, w->s);
	if (v->type != JSON_ARRAY || w->type != JSON_ARRAY)
		return tmpl_fail(x, "+ wants two strings, two integers or two lists");
	struct tmpl_list l = { 0 };
	for (size_t i = 0; i < v->n; i++)
		tmpl_list_add(&l, &v->kids[i]);
	for (size_t i = 0; i < w->n; i++)
		tmpl_list_add(&l, &w->kids[i]);
	return tmpl_list_value(x, &l);
}

static const struct json *additive(struct tmpl_eval *x)
{
	const struct json *v = operand(x);
	while (v && take(x, '+')) {
		const struct json *w = operand(x);
		if (!w)
			return NULL;
		v = x->doc ? add(x, v, w) : v;
	}
	return v;
}

/* ~ binds less than + and joins the texts of its sides. */
static const struct json *expression(struct tmpl_eval *x)
{
	if (++x->depth > MAX_DEPTH)
		return tmpl_fail(x, "nested too deep");
	const struct json *v = additive(x);
	while (v && take(x, '~')) {
		const struct json *w = additive(x);
		if (!w)
			return NULL;
		if (!x->doc)
			continue;
		if ((v->type != JSON_STRING && v->type != JSON_NUMBER) ||
			(w->type != JSON_STRING && w->type != JSON_NUMBER))
			return tmpl_fail(x, "~ wants strings or numbers");
		v = tmpl_concat(x, v->s, w->s);
	}
	x->depth--;
	return v;
}

const struct json *tmpl_evaluate(struct str expr, const struct json *doc, struct arena *a, struct err *e)
{
	struct tmpl_eval x = { .a = a, .doc = doc, .s = expr, .e = e };
	const struct json *v = expression(&x);
	blank(&x);
	if (v && x.at < x.s.n)
		return tmpl_fail(&x, "not an expression that is understood here");
	return v;
}
