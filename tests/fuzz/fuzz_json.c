/* The three readers of JSON agree on every text, and what is written back reads as the same value. */
#include "base/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int same(const struct json *a, const struct json *b)
{
	if (a->type != b->type || a->n != b->n || !str_eq(a->s, b->s) || !str_eq(a->key, b->key))
		return 0;
	for (size_t i = 0; i < a->n; i++)
		if (!same(&a->kids[i], &b->kids[i]))
			return 0;
	return 1;
}

static void check_written(const struct json *v, struct arena *a, int indent)
{
	struct buf b = { 0 };
	struct err e;
	if (indent < 0)
		json_add_value(&b, v);
	else
		json_add_pretty(&b, v, indent);
	struct json *back = json_parse(a, b.p, b.n, JSON_LAX, &e);
	if (!back || !same(v, back))
		abort();
	buf_release(&b);
}

/* A walk over the members against the tree. */
static void check_members(const char *text, size_t n, const struct json *v)
{
	struct json_members m;
	struct str key, value;
	struct err e;
	struct buf b = { 0 };
	size_t count = 0;
	int rc = json_members_start(&m, text, n, &e);
	while (rc == 0 && (rc = json_members_next(&m, &key, &value, &e)) > 0) {
		buf_reset(&b);
		if (json_unescape(key.p, key.n, &b, &e) < 0)
			abort();
		if (v && (count >= v->n || !str_eq((struct str){ b.p, b.n }, v->kids[count].key)))
			abort();
		if (v && (size_t)(value.p - text) != v->kids[count].at)
			abort();
		count++;
		rc = 0;
	}
	if ((rc == 0) != (v && v->type == JSON_OBJECT) || (v && rc == 0 && count != v->n))
		abort();
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data;
	struct arena a = { 0 };
	struct err e;
	if (n == 0)
		text = "";
	struct json *v = json_parse(&a, text, n, JSON_STRICT, &e);
	struct json *lax = json_parse(&a, text, n, JSON_LAX, &e);
	size_t end = json_skip(text, n, 0, &e);
	if ((v && (!end || !lax)) || end > n)
		abort();
	check_members(text, n, v);
	if (lax) {
		check_written(lax, &a, -1);
		check_written(lax, &a, 2);
	}
	arena_release(&a);
	return 0;
}
