#include "base/json.h"
#include "base/die.h"
#include "base/io.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct parser {
	struct arena *a; /* NULL: only skip */
	const char *t;
	size_t n, at;
	int depth, lax;
	struct err *e;
};

static int fail(struct parser *p, size_t at, const char *what)
{
	return err_set(p->e, "byte %zu: %s", at, what);
}

static void space(struct parser *p)
{
	while (p->at < p->n &&
		(p->t[p->at] == ' ' || p->t[p->at] == '\n' || p->t[p->at] == '\r' || p->t[p->at] == '\t'))
		p->at++;
}

/* Length of the UTF-8 sequence at s, 0 when malformed (overlong, surrogate, above U+10FFFF, cut). */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		return n >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
	if (s[0] >= 0xe0 && s[0] <= 0xef) {
		if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0))
			return 0;
		return 3;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		if (n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80)
			return 0;
		if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
			return 0;
		return 4;
	}
	return 0;
}

static int hex4(const char *s, unsigned *v)
{
	*v = 0;
	for (int i = 0; i < 4; i++) {
		char c = s[i];
		unsigned d;
		if (c >= '0' && c <= '9')
			d = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			d = (unsigned)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			d = (unsigned)(c - 'A' + 10);
		else
			return -1;
		*v = *v << 4 | d;
	}
	return 0;
}

static char *put_utf8(char *o, unsigned c)
{
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	return o;
}

/* The first offset from `at` on that holds a quote, a backslash, a control character or a byte of a longer
 * UTF-8 sequence; n when there is none. Eight bytes at a time: with the high bit clear, x - k sets it exactly
 * for x < k (a borrow comes only from a byte that is a hit itself). */
static size_t plain_end(const char *t, size_t at, size_t n)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	uint64_t x;
	for (; n - at >= sizeof x; at += sizeof x) {
		memcpy(&x, t + at, sizeof x);
		if ((x | (x - ones * 0x20) | ((x ^ ones * '"') - ones) | ((x ^ ones * '\\') - ones)) & high)
			break;
	}
	for (; at < n; at++) {
		unsigned char c = (unsigned char)t[at];
		if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
			break;
	}
	return at;
}

/* What a backslash and this character stand for; 0 where they stand for nothing (or for \\u). */
static const char escape_value[256] = { ['"'] = '"',
	['\\'] = '\\',
	['/'] = '/',
	['b'] = '\b',
	['f'] = '\f',
	['n'] = '\n',
	['r'] = '\r',
	['t'] = '\t' };

/* Passes over the string literal at p->at (on its quote) and checks it; *escaped says whether it holds an
 * escape. */
static int string(struct parser *p, int *escaped)
{
	const char *t = p->t;
	size_t at = p->at + 1, n = p->n;
	*escaped = 0;
	for (;;) {
		at = plain_end(t, at, n);
		while (at < n && (unsigned char)t[at] >= 0x80) {
			size_t k = utf8_len((const unsigned char *)t + at, n - at);
			if (!k)
				return fail(p, at, "string is not valid UTF-8");
			at += k;
		}
		if (at >= n)
			return fail(p, at, "string ends early");
		if (t[at] == '"') {
			p->at = at + 1;
			return 0;
		}
		if ((unsigned char)t[at] < 0x20)
			return fail(p, at, "control character in a string");
		if (t[at] != '\\')
			continue;
		unsigned unused;
		*escaped = 1;
		if (++at >= n)
			return fail(p, at, "string ends early");
		if (t[at] == 'u') {
			if (n - at < 5 || hex4(t + at + 1, &unused) < 0)
				return fail(p, at + 1, "\\u wants four hexadecimal digits");
			at += 5;
		} else if (escape_value[(unsigned char)t[at]]) {
			at++;
		} else {
			return fail(p, at, "unknown escape in a string");
		}
	}
}

/* The \uXXXX at s (behind the u) of a checked literal; surrogate pairs join, a lone one becomes U+FFFD. */
static const char *unicode_escape(const char *s, const char *end, unsigned *c)
{
	unsigned lo;
	hex4(s, c);
	s += 4;
	if (*c >= 0xd800 && *c < 0xdc00 && end - s >= 6 && s[0] == '\\' && s[1] == 'u' &&
		hex4(s + 2, &lo) == 0 && lo >= 0xdc00 && lo < 0xe000) {
		*c = 0x10000 + ((*c - 0xd800) << 10) + (lo - 0xdc00);
		return s + 6;
	}
	if (*c >= 0xd800 && *c < 0xe000)
		*c = 0xfffd;
	return s;
}

size_t json_unescape_to(char *out, const char *text, size_t n)
{
	const char *s = text + 1, *end = text + n - 1;
	char *o = out;
	while (s < end) {
		if (*s != '\\') {
			const char *b = memchr(s, '\\', (size_t)(end - s));
			size_t run = (size_t)((b ? b : end) - s);
			memcpy(o, s, run);
			o += run;
			s += run;
			continue;
		}
		char esc = s[1];
		s += 2;
		if (esc == 'u') {
			unsigned c;
			s = unicode_escape(s, end, &c);
			o = put_utf8(o, c);
		} else {
			*o++ = escape_value[(unsigned char)esc];
		}
	}
	return (size_t)(o - out);
}

static int digits(struct parser *p)
{
	size_t start = p->at;
	while (p->at < p->n && p->t[p->at] >= '0' && p->t[p->at] <= '9')
		p->at++;
	return p->at > start;
}

static int number(struct parser *p, struct json *v)
{
	size_t start = p->at;
	int is_int = 1;
	if (p->t[p->at] == '-')
		p->at++;
	if (p->at < p->n && p->t[p->at] == '0')
		p->at++;
	else if (!digits(p))
		return fail(p, start, "not a JSON value");
	if (p->at < p->n && p->t[p->at] == '.') {
		is_int = 0;
		p->at++;
		if (!digits(p))
			return fail(p, p->at, "number wants digits after its point");
	}
	if (p->at < p->n && (p->t[p->at] == 'e' || p->t[p->at] == 'E')) {
		is_int = 0;
		p->at++;
		if (p->at < p->n && (p->t[p->at] == '+' || p->t[p->at] == '-'))
			p->at++;
		if (!digits(p))
			return fail(p, p->at, "number wants digits in its exponent");
	}
	if (!v)
		return 0;
	v->type = JSON_NUMBER;
	v->s.n = p->at - start;
	v->s.p = arena_strndup(p->a, p->t + start, v->s.n);
	v->d = strtod(v->s.p, NULL);
	if (is_int) {
		errno = 0;
		v->i = strtoll(v->s.p, NULL, 10);
		v->is_int = errno == 0;
	}
	return 0;
}

static int word(struct parser *p, const char *w)
{
	size_t n = strlen(w);
	if (p->n - p->at < n || memcmp(p->t + p->at, w, n) != 0)
		return 0;
	p->at += n;
	return 1;
}

static int value(struct parser *p, struct json *v);

static int keep_string(struct parser *p, struct str *out)
{
	size_t start = p->at;
	int escaped;
	if (string(p, &escaped) < 0)
		return -1;
	if (!p->a)
		return 0;
	size_t n = p->at - start;
	if (!escaped) {
		*out = (struct str){ arena_strndup(p->a, p->t + start + 1, n - 2), n - 2 };
		return 0;
	}
	char *o = arena_alloc(p->a, n);
	out->p = o;
	out->n = json_unescape_to(o, p->t + start, n);
	o[out->n] = 0;
	return 0;
}

/* The key of an object's member and the colon behind it; *end is the offset behind its quote. */
static int object_key(struct parser *p, struct str *key, size_t *end)
{
	if (p->at >= p->n || p->t[p->at] != '"')
		return fail(p, p->at, p->at >= p->n ? "text ends early" : "object wants a key");
	if (keep_string(p, key) < 0)
		return -1;
	if (end)
		*end = p->at;
	space(p);
	if (p->at >= p->n || p->t[p->at] != ':')
		return fail(p, p->at, p->at >= p->n ? "text ends early" : "object wants ':'");
	p->at++;
	return 0;
}

/* Array or object behind its opening bracket. Children collect in a growing array, then move to the arena. */
static int container(struct parser *p, struct json *v, char close)
{
	struct json *kids = NULL;
	size_t n = 0, cap = 0, open_at = p->at - 1;
	int rc = -1;
	if (++p->depth > JSON_MAX_DEPTH)
		return fail(p, open_at, "nested too deep");
	space(p);
	if (p->at < p->n && p->t[p->at] == close) {
		p->at++;
		rc = 0;
		goto done;
	}
	for (;;) {
		struct json kid = { 0 };
		space(p);
		if (close == '}' && object_key(p, &kid.key, NULL) < 0)
			goto done;
		if (value(p, p->a ? &kid : NULL) < 0)
			goto done;
		if (p->a) {
			GROW(kids, cap, n + 1);
			kids[n++] = kid;
		}
		space(p);
		if (p->at >= p->n) {
			fail(p, p->at, "text ends early");
			goto done;
		}
		char c = p->t[p->at];
		if (c != ',' && c != close) {
			fail(p, p->at, close == '}' ? "object wants ',' or '}'" : "array wants ',' or ']'");
			goto done;
		}
		p->at++;
		if (c == close)
			break;
	}
	rc = 0;
	if (p->a) {
		v->n = n;
		v->kids = arena_alloc(p->a, mul_size(n, sizeof *kids));
		memcpy(v->kids, kids, n * sizeof *kids);
	}
done:
	free(kids);
	p->depth--;
	return rc;
}

static int value(struct parser *p, struct json *v)
{
	struct json dummy = { 0 };
	space(p);
	if (p->at >= p->n)
		return fail(p, p->at, "text ends early");
	struct json *out = v ? v : &dummy;
	out->at = p->at;
	char c = p->t[p->at];
	switch (c) {
	case '{':
	case '[':
		p->at++;
		out->type = c == '{' ? JSON_OBJECT : JSON_ARRAY;
		return container(p, out, c == '{' ? '}' : ']');
	case '"':
		out->type = JSON_STRING;
		return keep_string(p, &out->s);
	}
	if (word(p, "null")) {
		out->type = JSON_NULL;
		return 0;
	}
	if (word(p, "true") || word(p, "false")) {
		out->type = c == 't' ? JSON_TRUE : JSON_FALSE;
		return 0;
	}
	if (p->lax) {
		static const char *const names[] = { "NaN", "Infinity", "-Infinity" };
		static const double values[] = { NAN, INFINITY, -INFINITY };
		for (int i = 0; i < 3; i++) {
			if (word(p, names[i])) {
				out->type = JSON_NUMBER;
				out->d = values[i];
				out->s = str_of(names[i]);
				return 0;
			}
		}
	}
	if (c == '-' || (c >= '0' && c <= '9'))
		return number(p, v);
	return fail(p, p->at, "not a JSON value");
}

struct json *json_parse(struct arena *a, const char *text, size_t n, int flags, struct err *e)
{
	struct parser p = { .a = a, .t = text, .n = n, .lax = flags & JSON_LAX, .e = e };
	struct json *v = arena_alloc(a, sizeof *v);
	*v = (struct json){ 0 };
	int rc = value(&p, v);
	if (rc == 0) {
		space(&p);
		if (p.at < n)
			rc = fail(&p, p.at, "text goes on behind the value");
	}
	return rc == 0 ? v : NULL;
}

struct json *json_load(struct arena *a, const char *path, size_t max, int flags, struct err *e)
{
	struct buf b = { 0 };
	struct json *v = NULL;
	if (file_read(path, &b, max, e) == 0) {
		v = json_parse(a, b.n ? b.p : "", b.n, flags, e);
		if (!v)
			err_prefix(e, "%s", path);
	}
	buf_release(&b);
	return v;
}

size_t json_skip(const char *text, size_t n, size_t at, struct err *e)
{
	struct parser p = { .t = text, .n = n, .at = at, .e = e };
	return value(&p, NULL) < 0 ? 0 : p.at;
}

int json_unescape(const char *text, size_t n, struct buf *b, struct err *e)
{
	struct parser p = { .t = text, .n = n, .e = e };
	int escaped;
	if (n < 2 || text[0] != '"')
		return fail(&p, 0, "not a string");
	if (string(&p, &escaped) < 0)
		return -1;
	if (p.at != n)
		return fail(&p, p.at, "text goes on behind the string");
	buf_reserve(b, n);
	b->n += json_unescape_to(b->p + b->n, text, n);
	b->p[b->n] = 0;
	return 0;
}

int json_members_start(struct json_members *m, const char *text, size_t n, struct err *e)
{
	struct parser p = { .t = text, .n = n, .e = e };
	space(&p);
	if (p.at >= n || text[p.at] != '{')
		return fail(&p, p.at, p.at >= n ? "text ends early" : "not an object");
	*m = (struct json_members){ .text = text, .n = n, .at = p.at + 1 };
	return 0;
}

int json_members_next(struct json_members *m, struct str *key, struct str *v, struct err *e)
{
	struct parser p = { .t = m->text, .n = m->n, .at = m->at, .depth = 1, .e = e };
	space(&p);
	if (p.at < p.n && p.t[p.at] == '}') {
		p.at++;
		space(&p);
		return p.at < p.n ? fail(&p, p.at, "text goes on behind the value") : 0;
	}
	if (m->count) {
		if (p.at >= p.n || p.t[p.at] != ',')
			return fail(&p, p.at, p.at >= p.n ? "text ends early" : "object wants ',' or '}'");
		p.at++;
		space(&p);
	}
	size_t start = p.at, end;
	if (object_key(&p, NULL, &end) < 0)
		return -1;
	*key = (struct str){ p.t + start, end - start };
	space(&p);
	start = p.at;
	if (value(&p, NULL) < 0)
		return -1;
	*v = (struct str){ p.t + start, p.at - start };
	m->at = p.at;
	m->count++;
	return 1;
}

struct json *json_get(const struct json *v, const char *key)
{
	if (!v || v->type != JSON_OBJECT)
		return NULL;
	for (size_t i = v->n; i-- > 0;)
		if (str_is(v->kids[i].key, key))
			return &v->kids[i];
	return NULL;
}

int json_is(const struct json *v, enum json_type t)
{
	return v && v->type == t;
}

double json_num(const struct json *v, const char *key, double fallback)
{
	const struct json *k = json_get(v, key);
	return json_is(k, JSON_NUMBER) ? k->d : fallback;
}

int64_t json_int(const struct json *v, const char *key, int64_t fallback)
{
	const struct json *k = json_get(v, key);
	if (!json_is(k, JSON_NUMBER))
		return fallback;
	if (k->is_int)
		return k->i;
	return k->d >= -9e15 && k->d <= 9e15 ? (int64_t)k->d : fallback;
}

int json_bool(const struct json *v, const char *key, int fallback)
{
	const struct json *k = json_get(v, key);
	if (json_is(k, JSON_TRUE))
		return 1;
	return json_is(k, JSON_FALSE) ? 0 : fallback;
}

const char *json_cstr(const struct json *v, const char *key, const char *fallback)
{
	const struct json *k = json_get(v, key);
	return json_is(k, JSON_STRING) ? k->s.p : fallback;
}

void json_add_str(struct buf *b, const char *s, size_t n)
{
	buf_addc(b, '"');
	for (size_t i = 0; i < n;) {
		size_t start = i;
		unsigned char c;
		while ((i = plain_end(s, i, n)) < n && (unsigned char)s[i] >= 0x80) {
			size_t k = utf8_len((const unsigned char *)s + i, n - i);
			if (!k)
				break;
			i += k;
		}
		buf_add(b, s + start, i - start);
		if (i == n)
			break;
		c = (unsigned char)s[i++];
		static const char plain[] = "\"\\\b\f\n\r\t", esc[] = "\"\\bfnrt";
		const char *k = c ? strchr(plain, c) : NULL;
		if (k)
			buf_add(b, (const char[]){ '\\', esc[k - plain] }, 2);
		else if (c < 0x20)
			buf_addf(b, "\\u%04x", c);
		else
			buf_adds(b, "\\ufffd");
	}
	buf_addc(b, '"');
}

void json_add_cstr(struct buf *b, const char *s)
{
	json_add_str(b, s, strlen(s));
}

void json_add_num(struct buf *b, double d)
{
	char t[40];
	if (!isfinite(d)) {
		buf_adds(b, "null");
		return;
	}
	for (int prec = 15; prec <= 17; prec++) {
		snprintf(t, sizeof t, "%.*g", prec, d);
		if (strtod(t, NULL) == d)
			break;
	}
	buf_adds(b, t);
}

void json_add_f32(struct buf *b, float f)
{
	char t[40];
	if (!isfinite(f)) {
		buf_adds(b, "null");
		return;
	}
	for (int prec = 6; prec <= 9; prec++) {
		snprintf(t, sizeof t, "%.*g", prec, (double)f);
		if (strtof(t, NULL) == f)
			break;
	}
	buf_adds(b, t);
}

void json_add_int(struct buf *b, int64_t i)
{
	buf_addf(b, "%lld", (long long)i);
}

/* indent < 0: compact, one space after ',' and ':' never. */
static void add(struct buf *b, const struct json *v, int indent, int depth)
{
	static const char *const words[] = { "null", "false", "true" };
	switch (v->type) {
	case JSON_NULL:
	case JSON_FALSE:
	case JSON_TRUE:
		buf_adds(b, words[v->type]);
		return;
	case JSON_NUMBER:
		buf_add(b, v->s.p, v->s.n);
		return;
	case JSON_STRING:
		json_add_str(b, v->s.p, v->s.n);
		return;
	case JSON_ARRAY:
	case JSON_OBJECT:
		break;
	}
	int obj = v->type == JSON_OBJECT;
	buf_addc(b, obj ? '{' : '[');
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			buf_addc(b, ',');
		if (indent >= 0)
			buf_addf(b, "\n%*s", indent * (depth + 1), "");
		if (obj) {
			json_add_str(b, v->kids[i].key.p, v->kids[i].key.n);
			buf_adds(b, indent >= 0 ? ": " : ":");
		}
		add(b, &v->kids[i], indent, depth + 1);
	}
	if (v->n && indent >= 0)
		buf_addf(b, "\n%*s", indent * depth, "");
	buf_addc(b, obj ? '}' : ']');
}

void json_add_value(struct buf *b, const struct json *v)
{
	add(b, v, -1, 0);
}

void json_add_pretty(struct buf *b, const struct json *v, int indent)
{
	add(b, v, indent, 0);
}
