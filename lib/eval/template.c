#include "eval/template.h"
#include "eval/template_expr.h"

#include <stdlib.h>

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
			bad = !tmpl_evaluate(t->pieces[t->n - 1].s, NULL, &scratch, e);
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
		v = tmpl_evaluate(t->pieces[i].s, doc, a, e);
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
		return tmpl_evaluate(t->pieces[0].s, doc, a, e);
	struct buf b = { 0 };
	struct tmpl_eval x = { .a = a };
	v = template_render(t, doc, a, &b, e) < 0 ? NULL : tmpl_string(&x, b.p, b.n);
	buf_release(&b);
	return v;
}
