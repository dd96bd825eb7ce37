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
	struct buf tmp;
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

static void add_utf8(struct buf *b, unsigned c)
{
	if (c < 0x80) {
		buf_addc(b, (int)c);
	} else if (c < 0x800) {
		buf_addc(b, (int)(0xc0 | c >> 6));
		buf_addc(b, (int)(0x80 | (c & 0x3f)));
	} else if (c < 0x10000) {
		buf_addc(b, (int)(0xe0 | c >> 12));
		buf_addc(b, (int)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(b, (int)(0x80 | (c & 0x3f)));
	} else {
		buf_addc(b, (int)(0xf0 | c >> 18));
		buf_addc(b, (int)(0x80 | (c >> 12 & 0x3f)));
		buf_addc(b, (int)(0x80 | (c >> 6 & 0x3f)));
		buf_addc(b, (int)(0x80 | (c & 0x3f)));
	}
}

/* The \uXXXX at p->at (behind the u); surrogate pairs join, a lone one becomes U+FFFD. */
static int unicode_escape(struct parser *p, struct buf *out)
{
	unsigned c, lo;
	if (p->n - p->at < 4 || hex4(p->t + p->at, &c) < 0)
		return fail(p, p->at, "\\u wants four hexadecimal digits");
	p->at += 4;
	if (c >= 0xd800 && c < 0xdc00 && p->n - p->at >= 6 && p->t[p->at] == '\\' && p->t[p->at + 1] == 'u' &&
		hex4(p->t + p->at + 2, &lo) == 0 && lo >= 0xdc00 && lo < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (lo - 0xdc00);
		p->at += 6;
	} else if (c >= 0xd800 && c < 0xe000) {
		c = 0xfffd;
	}
	if (out)
		add_utf8(out, c);
	return 0;
}

/* String literal at p->at (on the quote). With out NULL it is only checked and passed over. */
static int string(struct parser *p, struct buf *out)
{
	static const char plain[] = "\"\\/bfnrt", value[] = "\"\\/\b\f\n\r\t";
	p->at++;
	for (;;) {
		size_t start = p->at;
		while (p->at < p->n) {
			unsigned char c = (unsigned char)p->t[p->at];
			if (c == '"' || c == '\\' || c < 0x20)
				break;
			size_t k = utf8_len((const unsigned char *)p->t + p->at, p->n - p->at);
			if (!k)
				return fail(p, p->at, "string is not valid UTF-8");
			p->at += k;
		}
		if (out)
			buf_add(out, p->t + start, p->at - start);
		if (p->at >= p->n)
			return fail(p, p->at, "string ends early");
		unsigned char c = (unsigned char)p->t[p->at];
		if (c < 0x20)
			return fail(p, p->at, "control character in a string");
		p->at++;
		if (c == '"')
			return 0;
		if (p->at >= p->n)
			return fail(p, p->at, "string ends early");
		char esc = p->t[p->at++];
		const char *k = esc ? strchr(plain, esc) : NULL;
		if (esc == 'u') {
			if (unicode_escape(p, out) < 0)
				return -1;
		} else if (!k) {
			return fail(p, p->at - 1, "unknown escape in a string");
		} else if (out) {
			buf_addc(out, value[k - plain]);
		}
	}
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
	struct buf *tmp = p->a ? &p->tmp : NULL;
	if (tmp)
		buf_reset(tmp);
	if (string(p, tmp) < 0)
		return -1;
	if (tmp)
		*out = (struct str){ arena_strndup(p->a, tmp->n ? tmp->p : "", tmp->n), tmp->n };
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
		if (close == '}') {
			if (p->at >= p->n || p->t[p->at] != '"') {
				fail(p, p->at, p->at >= p->n ? "text ends early" : "object wants a key");
				goto done;
			}
			if (keep_string(p, &kid.key) < 0)
				goto done;
			space(p);
			if (p->at >= p->n || p->t[p->at] != ':') {
				fail(p, p->at, p->at >= p->n ? "text ends early" : "object wants ':'");
				goto done;
			}
			p->at++;
		}
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
	buf_release(&p.tmp);
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
	if (n < 2 || text[0] != '"')
		return fail(&p, 0, "not a string");
	if (string(&p, b) < 0)
		return -1;
	return p.at == n ? 0 : fail(&p, p.at, "text goes on behind the string");
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
		while (i < n && (c = (unsigned char)s[i]) >= 0x20 && c != '"' && c != '\\') {
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
			buf_addf(b, "\\%c", esc[k - plain]);
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
