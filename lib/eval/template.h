/*
 * template: text with {{ expressions }} over the fields of a JSON record: the part of Jinja that task files
 * use.
 *
 * An expression is made of fields (a.b, a[0], a[-1], a[1:]), strings, integers, [lists], + and ~ (which joins
 * texts), methods (x.split(' '), .strip() .lstrip() .rstrip() .lower() .upper() .capitalize()
 * .replace(a, b) .index(v) ' '.join(x)) and filters (x|join(' '), |trim |lower |upper |capitalize
 * |replace(a, b) |regex_replace(a, b) |first |last |length |string |int). A field that a record lacks is an
 * error; {% and {# are refused. A template without {{ that is the name of a field stands for that field.
 *
 * Immutable after parsing; rendering allocates in the caller's arena.
 */
#ifndef QUERN_TEMPLATE_H
#define QUERN_TEMPLATE_H

#include "base/json.h"

struct template;
struct template *template_parse(const char *text, size_t n, struct err *e);
void template_free(struct template *t); /* takes NULL */
/* Appends the text. Strings as they are, numbers as written in the record. */
int template_render(
	const struct template *t, const struct json *doc, struct arena *a, struct buf *out, struct err *e);
/* The value, of any type, of a template that is one expression or a field's name; else its text as a string.
 */
const struct json *template_value(
	const struct template *t, const struct json *doc, struct arena *a, struct err *e);

#endif
