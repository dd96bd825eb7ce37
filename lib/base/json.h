/*
 * json: RFC 8259 values parsed into an arena, and text written back.
 *
 * The parser is strict (UTF-8 checked, no trailing commas, no comments, depth at most JSON_MAX_DEPTH) with
 * two extensions that Hugging Face files need and that `json_parse` accepts as numbers: NaN and [-]Infinity,
 * only when JSON_LAX is given. Nodes point into the arena; strings are unescaped, counted, and may hold NUL.
 * A lone surrogate escape becomes U+FFFD. Duplicate keys: the last one wins. Reading nodes is thread-safe.
 */
#ifndef QUERN_JSON_H
#define QUERN_JSON_H

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"

#define JSON_MAX_DEPTH 512
enum json_flags { JSON_STRICT = 0, JSON_LAX = 1 };
enum json_type { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	enum json_type type;
	int is_int;        /* number written without fraction or exponent that fits int64 */
	int64_t i;         /* then its value */
	double d;          /* number, also when is_int */
	struct str s;      /* string: unescaped bytes; number: its text */
	size_t n;          /* array or object: number of children */
	struct json *kids; /* array or object: children in file order */
	struct str key;    /* child of an object: its key */
	size_t at;         /* byte offset in the text, for messages */
};

/* The one value in text[0..n), white space around it allowed. NULL: e says "byte N: what". */
struct json *json_parse(struct arena *a, const char *text, size_t n, int flags, struct err *e);
/* A whole file (plain or gzip, at most max bytes); messages start with its name. */
struct json *json_load(struct arena *a, const char *path, size_t max, int flags, struct err *e);

/* Child of an object by key; NULL when absent or when v is NULL or not an object. */
struct json *json_get(const struct json *v, const char *key);
/* Typed reads with a fallback when absent or null. A value of another type also gives the fallback: check
 * with json_is first where that is an error. */
double json_num(const struct json *v, const char *key, double fallback);
int64_t json_int(const struct json *v, const char *key, int64_t fallback);
int json_bool(const struct json *v, const char *key, int fallback);
/* NUL-terminated in the arena; fallback when absent. */
const char *json_cstr(const struct json *v, const char *key, const char *fallback);
int json_is(const struct json *v, enum json_type t); /* NULL is no type */

/* Finds the end of the value that starts at text[at] without building it: the offset behind it, or 0 and a
 * message. Strict like json_parse. For scanners that keep the bytes of fields untouched. */
size_t json_skip(const char *text, size_t n, size_t at, struct err *e);
/* Walks the members of the one object in text[0..n) without building anything; white space around it allowed.
 * Every member is checked as json_parse would, so a walk that gets to 0 has seen an object that json_parse
 * accepts. */
struct json_members {
	const char *text;
	size_t n, at, count; /* count: members given out */
};
int json_members_start(struct json_members *m, const char *text, size_t n, struct err *e);
/* Spans of the next key (a literal, with its quotes) and value. 1, 0 behind the last one, -1 malformed. */
int json_members_next(struct json_members *m, struct str *key, struct str *value, struct err *e);
/* The bytes of a string literal that has been checked already (by json_skip or json_members_next) into out,
 * which has room for n bytes; their count. */
size_t json_unescape_to(char *out, const char *text, size_t n);
/* Unescapes the string literal text[0..n), quotes included, onto the end of b. -1 when malformed. */
int json_unescape(const char *text, size_t n, struct buf *b, struct err *e);

/* Writers. Strings: bytes are expected to be UTF-8; a malformed byte is written as \ufffd. Numbers: shortest
 * text that reads back to the same double; NaN and infinities as null. */
void json_add_str(struct buf *b, const char *s, size_t n); /* with quotes */
void json_add_cstr(struct buf *b, const char *s);
void json_add_num(struct buf *b, double d);
void json_add_f32(struct buf *b, float f); /* shortest text that reads back to the same float */
void json_add_int(struct buf *b, int64_t i);
void json_add_value(struct buf *b, const struct json *v); /* compact */
/* Indented as Python's json.dumps(indent=n) does, for files that people read. */
void json_add_pretty(struct buf *b, const struct json *v, int indent);

#endif
