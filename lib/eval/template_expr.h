/*
 * template_expr: the expressions of templates: read and evaluated in one pass (template_expr.c), with the
 * methods and filters that they call (template_fn.c). Private to template*.c; template.h says what an
 * expression may hold. To add a method or a filter: a function and its row in template_fn.c, a case in
 * test_task.c, a word in template.h and quern-task(5).
 */
#ifndef QUERN_TEMPLATE_EXPR_H
#define QUERN_TEMPLATE_EXPR_H

#include "base/json.h"

/* One evaluation. Values live in the arena or in the record. */
struct tmpl_eval {
	struct arena *a;
	const struct json *doc; /* NULL: only the syntax is checked, every value is tmpl_nothing */
	struct str s;           /* the expression */
	size_t at;
	int depth;
	struct err *e;
};

/* The value of the whole of expr; NULL and a message. */
const struct json *tmpl_evaluate(struct str expr, const struct json *doc, struct arena *a, struct err *e);

enum { TMPL_METHOD = 1, TMPL_FILTER = 2 };
/* self.name(arg...) or self|name(arg...). */
const struct json *tmpl_call(struct tmpl_eval *x, const struct json *self, struct str name, int kind,
	const struct json **arg, size_t nargs);

extern const struct json tmpl_nothing;
const struct json *tmpl_string(struct tmpl_eval *x, const char *p, size_t n); /* a copy */
const struct json *tmpl_concat(struct tmpl_eval *x, struct str a, struct str b);
const struct json *tmpl_int(struct tmpl_eval *x, int64_t i);
/* Sets the message, which quotes the expression; NULL. */
const struct json *tmpl_fail(struct tmpl_eval *x, const char *what);

/* A list that grows; list_value copies it into the arena and frees it. */
struct tmpl_list {
	struct json *v;
	size_t n, cap;
};
void tmpl_list_add(struct tmpl_list *l, const struct json *v);
const struct json *tmpl_list_value(struct tmpl_eval *x, struct tmpl_list *l);

/* Characters of a string, items of a list; one of them, counted from the end when negative. */
size_t tmpl_length(const struct json *v);
const struct json *tmpl_item(struct tmpl_eval *x, const struct json *v, int64_t i);

#endif
