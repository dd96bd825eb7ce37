#include "eval/template_expr.h"
#include "eval/pytext.h"
#include "eval/regexp.h"
#include "text/utf8.h"

#include <stdlib.h>

/* --- values --- */

const struct json tmpl_nothing = { .type = JSON_NULL };

static struct json *value_new(struct tmpl_eval *x, enum json_type t)
{
	struct json *v = arena_alloc(x->a, sizeof *v);
	*v = (struct json){ .type = t };
	return v;
}

const struct json *tmpl_string(struct tmpl_eval *x, const char *p, size_t n)
{
	struct json *v = value_new(x, JSON_STRING);
	v->s = (struct str){ arena_strndup(x->a, n ? p : "", n), n };
	return v;
}

const struct json *tmpl_int(struct tmpl_eval *x, int64_t i)
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

const struct json *tmpl_concat(struct tmpl_eval *x, struct str a, struct str b)
{
	struct json *v = value_new(x, JSON_STRING);
	char *p = arena_alloc(x->a, add_size(add_size(a.n, b.n), 1));
	memcpy(p, a.p, a.n);
	memcpy(p + a.n, b.p, b.n);
	p[a.n + b.n] = 0;
	v->s = (struct str){ p, a.n + b.n };
	return v;
}

const struct json *tmpl_fail(struct tmpl_eval *x, const char *what)
{
	err_set(x->e, "in {{%.*s}}: %s", (int)(x->s.n < 80 ? x->s.n : 80), x->s.p, what);
	return NULL;
}

static const struct json *change_case(struct tmpl_eval *x, struct str s, int upper_first, int upper_rest)
{
	struct buf b = { 0 };
	add_case(&b, s, upper_first, upper_rest);
	const struct json *v = tmpl_string(x, b.p, b.n);
	buf_release(&b);
	return v;
}

/* --- methods and filters --- */

typedef const struct json *function(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n);

static int find_str(struct str s, struct str sub, size_t from, size_t *at)
{
	for (size_t i = from; sub.n && i + sub.n <= s.n; i++)
		if (memcmp(s.p + i, sub.p, sub.n) == 0) {
			*at = i;
			return 1;
		}
	return 0;
}

void tmpl_list_add(struct tmpl_list *l, const struct json *v)
{
	GROW(l->v, l->cap, l->n + 1);
	l->v[l->n++] = *v;
}

const struct json *tmpl_list_value(struct tmpl_eval *x, struct tmpl_list *l)
{
	struct json *v = value_new(x, JSON_ARRAY);
	v->n = l->n;
	v->kids = arena_alloc(x->a, mul_size(l->n, sizeof *l->v));
	if (l->n)
		memcpy(v->kids, l->v, l->n * sizeof *l->v);
	free(l->v);
	return v;
}

static const struct json *do_split(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	struct tmpl_list l = { 0 };
	struct str s = self->s;
	if (n == 0) { /* at runs of white space, none empty */
		while ((s = strip_left(s)).n) {
			size_t k = 0, c;
			uint32_t cp;
			while (k < s.n && !space_len(s.p + k, s.n - k)) {
				c = utf8_get(s.p + k, s.n - k, &cp);
				k += c;
			}
			tmpl_list_add(&l, tmpl_string(x, s.p, k));
			s.p += k;
			s.n -= k;
		}
		return tmpl_list_value(x, &l);
	}
	if (arg[0]->type != JSON_STRING || !arg[0]->s.n)
		return tmpl_fail(x, "split wants a string that is not empty");
	size_t from = 0, at;
	while (find_str(s, arg[0]->s, from, &at)) {
		tmpl_list_add(&l, tmpl_string(x, s.p + from, at - from));
		from = at + arg[0]->s.n;
	}
	tmpl_list_add(&l, tmpl_string(x, s.p + from, s.n - from));
	return tmpl_list_value(x, &l);
}

static const struct json *do_strip(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	struct str s = strip_left(strip_right(self->s));
	return tmpl_string(x, s.p, s.n);
}

static const struct json *do_lstrip(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	struct str s = strip_left(self->s);
	return tmpl_string(x, s.p, s.n);
}

static const struct json *do_rstrip(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return tmpl_string(x, self->s.p, strip_right(self->s).n);
}

static const struct json *do_lower(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return change_case(x, self->s, 0, 0);
}

static const struct json *do_upper(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return change_case(x, self->s, 1, 1);
}

static const struct json *do_capitalize(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return change_case(x, self->s, 1, 0);
}

static const struct json *do_replace(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)n;
	struct buf b = { 0 };
	size_t from = 0, at;
	if (arg[0]->type != JSON_STRING || arg[1]->type != JSON_STRING || !arg[0]->s.n)
		return tmpl_fail(x, "replace wants two strings, the first not empty");
	while (find_str(self->s, arg[0]->s, from, &at)) {
		buf_add(&b, self->s.p + from, at - from);
		buf_add(&b, arg[1]->s.p, arg[1]->s.n);
		from = at + arg[0]->s.n;
	}
	buf_add(&b, self->s.p + from, self->s.n - from);
	const struct json *v = tmpl_string(x, b.p, b.n);
	buf_release(&b);
	return v;
}

static const struct json *do_regex_replace(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)n;
	struct buf b = { 0 };
	if (arg[0]->type != JSON_STRING || arg[1]->type != JSON_STRING)
		return tmpl_fail(x, "regex_replace wants two strings");
	struct regexp *r = regexp_new(arg[0]->s.p, arg[0]->s.n, x->e);
	if (!r)
		return NULL;
	regexp_replace(r, self->s, arg[1]->s, &b);
	regexp_free(r);
	const struct json *v = tmpl_string(x, b.p, b.n);
	buf_release(&b);
	return v;
}

static const struct json *join(struct tmpl_eval *x, const struct json *list, struct str sep)
{
	struct buf b = { 0 };
	for (size_t i = 0; i < list->n; i++) {
		const struct json *k = &list->kids[i];
		if (i)
			buf_add(&b, sep.p, sep.n);
		if (k->type != JSON_STRING && k->type != JSON_NUMBER) {
			buf_release(&b);
			return tmpl_fail(x, "join wants a list of strings");
		}
		buf_add(&b, k->s.p, k->s.n);
	}
	const struct json *v = tmpl_string(x, b.p, b.n);
	buf_release(&b);
	return v;
}

static const struct json *do_join(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	if (self->type == JSON_ARRAY) /* list|join(sep) */
		return join(x, self, n && arg[0]->type == JSON_STRING ? arg[0]->s : STR(""));
	if (self->type == JSON_STRING && n && arg[0]->type == JSON_ARRAY) /* sep.join(list) */
		return join(x, arg[0], self->s);
	return tmpl_fail(x, "join wants a list");
}

static const struct json *do_index(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)n;
	if (self->type == JSON_STRING && arg[0]->type == JSON_STRING) {
		size_t at;
		uint32_t cp;
		int64_t chars = 0;
		if (!find_str(self->s, arg[0]->s, 0, &at))
			return tmpl_fail(x, "index: not found");
		for (size_t i = 0; i < at; i += utf8_get(self->s.p + i, self->s.n - i, &cp))
			chars++;
		return tmpl_int(x, chars);
	}
	for (size_t i = 0; self->type == JSON_ARRAY && i < self->n; i++) {
		const struct json *k = &self->kids[i];
		if (k->type == arg[0]->type && (k->type == JSON_STRING || k->type == JSON_NUMBER) &&
			str_eq(k->s, arg[0]->s))
			return tmpl_int(x, (int64_t)i);
	}
	return tmpl_fail(x, "index: not found");
}

size_t tmpl_length(const struct json *v)
{
	size_t n = 0;
	uint32_t cp;
	if (v->type != JSON_STRING)
		return v->n;
	for (size_t i = 0; i < v->s.n; i += utf8_get(v->s.p + i, v->s.n - i, &cp))
		n++;
	return n;
}

const struct json *tmpl_item(struct tmpl_eval *x, const struct json *v, int64_t i)
{
	int64_t n = (int64_t)tmpl_length(v);
	uint32_t cp;
	i = i < 0 ? i + n : i;
	if ((v->type != JSON_ARRAY && v->type != JSON_STRING) || i < 0 || i >= n)
		return tmpl_fail(x, "index out of range");
	if (v->type == JSON_ARRAY)
		return &v->kids[i];
	size_t at = 0;
	while (i-- > 0)
		at += utf8_get(v->s.p + at, v->s.n - at, &cp);
	return tmpl_string(x, v->s.p + at, utf8_get(v->s.p + at, v->s.n - at, &cp));
}

static const struct json *do_first(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return tmpl_item(x, self, 0);
}

static const struct json *do_last(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	return tmpl_item(x, self, -1);
}

static const struct json *do_length(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	if (self->type != JSON_STRING && self->type != JSON_ARRAY && self->type != JSON_OBJECT)
		return tmpl_fail(x, "length wants a string or a list");
	return tmpl_int(x, (int64_t)tmpl_length(self));
}

static const struct json *do_string(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	if (self->type != JSON_STRING && self->type != JSON_NUMBER)
		return tmpl_fail(x, "string wants a string or a number");
	return tmpl_string(x, self->s.p, self->s.n);
}

static const struct json *do_int(
	struct tmpl_eval *x, const struct json *self, const struct json **arg, size_t n)
{
	(void)arg, (void)n;
	struct str s = self->s;
	char text[24];
	if (self->type == JSON_STRING)
		s = strip_left(strip_right(s));
	if ((self->type != JSON_STRING && self->type != JSON_NUMBER) || !s.n || s.n >= sizeof text)
		return tmpl_fail(x, "int wants a number");
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	return tmpl_int(x, strtoll(text, NULL, 10));
}

enum { METHOD = TMPL_METHOD, FILTER = TMPL_FILTER, ON_STRING = 4 };
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

const struct json *tmpl_call(struct tmpl_eval *x, const struct json *self, struct str name, int kind,
	const struct json **arg, size_t nargs)
{
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
		if (!(functions[i].flags & kind) || !str_is(name, functions[i].name))
			continue;
		if (nargs < functions[i].min_args || nargs > functions[i].max_args)
			return tmpl_fail(x, "wrong number of arguments");
		if (!x->doc)
			return &tmpl_nothing;
		if (functions[i].flags & ON_STRING && self->type != JSON_STRING) {
			/* Jinja's filters take numbers for their text. */
			if (!(kind == FILTER && self->type == JSON_NUMBER))
				return tmpl_fail(x, "wants a string");
		}
		return functions[i].f(x, self, arg, nargs);
	}
	err_set(x->e, "in {{%.*s}}: unknown %s '%.*s'", (int)(x->s.n < 80 ? x->s.n : 80), x->s.p,
		kind == METHOD ? "method" : "filter", (int)name.n, name.p);
	return NULL;
}
