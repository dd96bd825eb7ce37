#include "text/doc.h"
#include "base/die.h"
#include "base/json.h"
#include "text/tokfile.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>

/* A record is held in memory whole; more than this is taken for damaged input. */
#define RECORD_MAX ((size_t)1 << 30)
#define TEXT_HEAD "{\"text\": "
#define TEXT_CHUNK ((size_t)256 << 10)

struct doc_source {
	char **files;
	size_t n, at; /* files[at] is open, or the next one to open */
	const char *field;
	enum doc_format asked, format; /* format: of the open file */
	int any_type, failed;
	struct reader *r, *given; /* given: opened by the caller, not used yet */
	char *name;               /* of the file behind it */
	uint64_t line, number;
	uint64_t size, passed; /* bytes of all files (0 unknown), and of those already closed */
	_Atomic uint64_t taken;
	struct err err; /* of the failure that ended reading */
};

static char dash[] = "-";
static char *stdin_name[] = { dash, NULL };

static int has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);
	if (str_ends(name, ".gz"))
		n -= 3;
	return n >= m && memcmp(name + n - m, suffix, m) == 0;
}

/* Standard input, pipes and terminals have no telling name, nor has what /dev/stdin or /dev/fd/N stand for.
 */
static int is_nameless(const char *file)
{
	struct stat st;
	return strcmp(file, "-") == 0 || strncmp(file, "/dev/", 5) == 0 ||
	       (stat(file, &st) == 0 && !S_ISREG(st.st_mode));
}

static uint64_t total_size(char **files, size_t n)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < n; i++) {
		struct stat st;
		int rc = strcmp(files[i], "-") == 0 ? fstat(0, &st) : stat(files[i], &st);
		if (rc < 0 || !S_ISREG(st.st_mode))
			return 0;
		sum += (uint64_t)st.st_size;
	}
	return sum;
}

struct doc_source *docs_open(char **files, size_t n, const char *field, enum doc_format format, int any_type)
{
	struct doc_source *s = xcalloc(1, sizeof *s);
	s->files = n ? files : stdin_name;
	s->n = n ? n : 1;
	s->field = field ? field : "text";
	s->asked = format;
	s->any_type = any_type;
	s->size = total_size(s->files, s->n);
	atomic_init(&s->taken, 0);
	return s;
}

struct doc_source *docs_open_reader(
	struct reader *r, char *name, const char *field, enum doc_format format, int any_type)
{
	struct doc_source *s = docs_open(&name, 1, field, format, any_type);
	s->name = name;
	s->files = &s->name;
	s->given = r;
	return s;
}

void docs_close(struct doc_source *s)
{
	if (!s)
		return;
	reader_close(s->r);
	reader_close(s->given);
	free(s);
}

uint64_t docs_offset(const struct doc_source *s)
{
	return atomic_load_explicit(&s->taken, memory_order_relaxed);
}

uint64_t docs_size(const struct doc_source *s)
{
	return s->size;
}

/* --- reading ----------------------------------------------------------------------------------- */

static const char *file_name(const struct doc_source *s)
{
	return strcmp(s->files[s->at], "-") == 0 ? "stdin" : s->files[s->at];
}

/* The byte order mark that some editors put before text. */
static size_t bom_size(const char *p, size_t n)
{
	return n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

enum doc_format docs_format(const char *file, const char *start, size_t n)
{
	int jsonl = has_suffix(file, ".jsonl") || has_suffix(file, ".json");
	if (!jsonl && is_nameless(file)) {
		size_t skip = bom_size(start, n);
		jsonl = n > skip && start[skip] == '{';
	}
	return jsonl ? DOC_JSONL : DOC_TEXT;
}

/* Opens files[at], settles its format, and drops the byte order mark that some editors put before JSON. */
static int open_file(struct doc_source *s, struct err *e)
{
	const char *name = s->files[s->at], *p;
	s->r = s->given ? s->given : reader_open(name, e);
	s->given = NULL;
	if (!s->r)
		return -1;
	s->line = 0;
	ptrdiff_t n = reader_peek(s->r, &p, 16, e);
	if (n < 0)
		return -1;
	if (s->asked != DOC_TEXT && s->asked != DOC_LINES && tok_is_stream(p, (size_t)n))
		return err_set(e, "%s: holds a token stream, not documents", file_name(s));
	size_t skip = bom_size(p, (size_t)n);
	s->format = s->asked;
	if (s->asked == DOC_AUTO || s->asked == DOC_AUTO_LINES)
		s->format = docs_format(name, p, (size_t)n);
	if (s->asked == DOC_AUTO_LINES && s->format == DOC_TEXT)
		s->format = DOC_LINES;
	char unused[4];
	if (skip && s->format == DOC_JSONL && reader_read(s->r, unused, skip, e) < 0)
		return -1;
	return 0;
}

static void close_file(struct doc_source *s)
{
	s->passed += reader_raw_offset(s->r);
	reader_close(s->r);
	s->r = NULL;
	s->at++;
}

/* `at`: where its bytes start in the batch; pointers are set when the batch has stopped growing. */
static void add_record(struct doc_source *s, struct doc_batch *b, size_t at, uint64_t offset)
{
	GROW(b->docs, b->cap, b->n + 1);
	b->docs[b->n++] = (struct doc){ .format = s->format,
		.number = s->number++,
		.file = file_name(s),
		.line = s->line,
		.offset = offset,
		.raw = { NULL, b->bytes.n - at } };
}

static int is_blank(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
			return 0;
	return 1;
}

/* The next line that is a record. 1, 0 at the end of the file, -1 failed. */
static int read_line(struct doc_source *s, struct doc_batch *b, struct err *e)
{
	struct str line;
	int rc;
	uint64_t offset = reader_offset(s->r);
	for (; (rc = reader_line_max(s->r, &line, RECORD_MAX, e)) > 0; offset = reader_offset(s->r)) {
		s->line++;
		if (s->format == DOC_JSONL && is_blank(line))
			continue;
		size_t at = b->bytes.n;
		buf_add(&b->bytes, line.p, line.n);
		add_record(s, b, at, offset);
		return 1;
	}
	return rc;
}

/* A whole file as one record; an empty one holds none. */
static int read_text(struct doc_source *s, struct doc_batch *b, struct err *e)
{
	size_t at = b->bytes.n;
	ptrdiff_t got;
	do {
		buf_reserve(&b->bytes, TEXT_CHUNK);
		got = reader_read(s->r, b->bytes.p + b->bytes.n, TEXT_CHUNK, e);
		if (got < 0)
			return -1;
		b->bytes.n += (size_t)got;
		if (b->bytes.n - at > RECORD_MAX)
			return err_set(e, "%s: longer than the %zu bytes allowed for a document",
				file_name(s), RECORD_MAX);
	} while (got > 0);
	s->line = 1;
	if (b->bytes.n == at)
		return 0;
	add_record(s, b, at, 0);
	return 1;
}

/* One more record. 1, 0 at the end of all files, -1 failed. */
static int read_record(struct doc_source *s, struct doc_batch *b, struct err *e)
{
	for (;;) {
		if (!s->r) {
			if (s->at == s->n)
				return 0;
			if (open_file(s, e) < 0)
				return -1;
		}
		int rc = s->format == DOC_TEXT ? read_text(s, b, e) : read_line(s, b, e);
		if (rc != 0)
			return rc;
		close_file(s);
	}
}

int docs_read(struct doc_source *s, struct doc_batch *b, size_t max_bytes, struct err *e)
{
	doc_batch_reset(b);
	while (!s->failed && (b->n == 0 || b->bytes.n < max_bytes)) {
		size_t whole = b->bytes.n;
		int rc = read_record(s, b, &s->err);
		if (rc < 0) {
			s->failed = 1;
			b->bytes.n = whole;
		}
		if (rc <= 0)
			break;
	}
	size_t at = 0;
	for (size_t i = 0; i < b->n; i++) {
		b->docs[i].raw.p = b->bytes.p + at;
		at += b->docs[i].raw.n;
	}
	atomic_store_explicit(
		&s->taken, s->passed + (s->r ? reader_raw_offset(s->r) : 0), memory_order_relaxed);
	/* What came whole before the failure is handed out first. */
	if (b->n)
		return 1;
	if (!s->failed)
		return 0;
	if (e)
		*e = s->err;
	return -1;
}

void doc_batch_reset(struct doc_batch *b)
{
	b->n = 0;
	buf_reset(&b->bytes);
	arena_reset(&b->arena);
}

void doc_batch_release(struct doc_batch *b)
{
	free(b->docs);
	buf_release(&b->bytes);
	arena_release(&b->arena);
	*b = (struct doc_batch){ 0 };
}

/* --- parsing ----------------------------------------------------------------------------------- */

/* Fields of one batch are collected here before they move to its arena. */
struct field_list {
	struct doc_field *v;
	size_t n, cap;
};

/* The content of a checked literal: where it stands when nothing is escaped, else a copy. */
static struct str unescape(struct arena *a, struct str literal)
{
	struct str body = { literal.p + 1, literal.n - 2 };
	if (!memchr(body.p, '\\', body.n))
		return body;
	char *out = arena_alloc(a, literal.n);
	return (struct str){ out, json_unescape_to(out, literal.p, literal.n) };
}

static int parse_fields(struct doc *d, struct doc_batch *b, struct field_list *l, struct err *e)
{
	struct json_members m;
	struct str key, value;
	int rc = json_members_start(&m, d->raw.p, d->raw.n, e);
	l->n = 0;
	while (rc >= 0 && (rc = json_members_next(&m, &key, &value, e)) > 0) {
		GROW(l->v, l->cap, l->n + 1);
		l->v[l->n++] =
			(struct doc_field){ unescape(&b->arena, key), value, (size_t)(key.p - d->raw.p) };
	}
	if (rc < 0)
		return -1;
	d->nfields = l->n;
	d->fields = arena_alloc(&b->arena, mul_size(l->n, sizeof *l->v));
	if (l->n)
		memcpy(d->fields, l->v, l->n * sizeof *l->v);
	return 0;
}

static int parse_jsonl(
	const struct doc_source *s, struct doc *d, struct doc_batch *b, struct field_list *l, struct err *e)
{
	if (parse_fields(d, b, l, e) < 0)
		return -1;
	const struct doc_field *f = doc_get(d, s->field);
	if (!f)
		return err_set(e, "no field \"%s\"", s->field);
	if (f->value.p[0] == '"')
		d->text = unescape(&b->arena, f->value);
	else if (s->any_type)
		d->text = f->value;
	else
		return err_set(e, "field \"%s\" is not a string", s->field);
	return 0;
}

void docs_parse(const struct doc_source *s, struct doc_batch *b)
{
	struct field_list l = { 0 };
	struct err e;
	for (size_t i = 0; i < b->n; i++) {
		struct doc *d = &b->docs[i];
		if (d->format != DOC_JSONL) {
			d->text = d->raw;
			if (d->format == DOC_LINES && d->raw.n && d->raw.p[d->raw.n - 1] == '\r')
				d->text.n--;
		} else if (parse_jsonl(s, d, b, &l, &e) < 0) {
			err_prefix(&e, "%s:%llu", d->file, (unsigned long long)d->line);
			d->bad = arena_strndup(&b->arena, e.msg, strlen(e.msg));
			d->fields = NULL;
			d->nfields = 0;
		}
	}
	free(l.v);
}

/* Of fields with the same key the last one counts, as in json_get. */
static const struct doc_field *find(const struct doc_field *f, size_t n, struct str key)
{
	for (size_t i = n; i-- > 0;)
		if (str_eq(f[i].key, key))
			return &f[i];
	return NULL;
}

const struct doc_field *doc_get(const struct doc *d, const char *key)
{
	return find(d->fields, d->nfields, str_of(key));
}

int doc_get_str(const struct doc *d, const char *key, struct buf *b)
{
	const struct doc_field *f = doc_get(d, key);
	buf_reset(b);
	if (!f)
		return -1;
	if (f->value.p[0] != '"') {
		buf_add(b, f->value.p, f->value.n);
		return 0;
	}
	buf_reserve(b, f->value.n);
	b->n = json_unescape_to(b->p, f->value.p, f->value.n);
	b->p[b->n] = 0;
	return 0;
}

/* --- writing ----------------------------------------------------------------------------------- */

void doc_add(struct buf *out, const struct doc *d)
{
	if (d->format == DOC_TEXT) {
		buf_adds(out, TEXT_HEAD);
		json_add_str(out, d->text.p, d->text.n);
		buf_addc(out, '}');
	} else {
		buf_add(out, d->raw.p, d->raw.n);
	}
	buf_addc(out, '\n');
}

/* The plain text d as the record {"text": ...} in `made`. */
static const struct doc *as_json(
	const struct doc *d, struct buf *made, struct doc *whole, struct doc_field *text)
{
	size_t n = strlen(TEXT_HEAD);
	buf_adds(made, TEXT_HEAD);
	json_add_str(made, d->text.p, d->text.n);
	buf_addc(made, '}');
	*text = (struct doc_field){ STR("text"), { made->p + n, made->n - n - 1 }, 1 };
	*whole = (struct doc){
		.format = DOC_JSONL, .raw = { made->p, made->n }, .fields = text, .nfields = 1
	};
	return whole;
}

/* Appends `"key": value` for every change that is not a field of d already. */
static void add_new(struct buf *out, const struct doc *d, const struct doc_field *changes, size_t n,
	int first, int spaced)
{
	for (size_t i = 0; i < n; i++) {
		const struct doc_field *c = &changes[i];
		if (!c->value.p || find(d->fields, d->nfields, c->key) || find(changes, n, c->key) != c)
			continue;
		if (!first)
			buf_adds(out, spaced ? ", " : ",");
		json_add_str(out, c->key.p, c->key.n);
		buf_adds(out, spaced ? ": " : ":");
		buf_add(out, c->value.p, c->value.n);
		first = 0;
	}
}

void doc_add_changed(struct buf *out, const struct doc *d, const struct doc_field *changes, size_t n)
{
	struct buf made = { 0 };
	struct doc_field text;
	struct doc whole;
	ASSERT(!d->bad);
	if (d->format != DOC_JSONL)
		d = as_json(d, &made, &whole, &text);
	const char *raw = d->raw.p;
	const struct doc_field *f = d->fields, *last = d->nfields ? &f[d->nfields - 1] : NULL;
	size_t head = last ? f[0].at : (size_t)((const char *)memchr(raw, '{', d->raw.n) + 1 - raw),
	       tail = head;
	int first = 1;
	buf_add(out, raw, head);
	for (size_t i = 0; i < d->nfields; i++) {
		size_t value_at = (size_t)(f[i].value.p - raw);
		const struct doc_field *c = find(changes, n, f[i].key);
		if (!c || c->value.p) {
			if (!first)
				buf_add(out, raw + tail, f[i].at - tail);
			/* Of repeated keys the last one counts: that one changes. */
			int changed = c && find(f, d->nfields, f[i].key) == &f[i];
			struct str v = changed ? c->value : f[i].value;
			buf_add(out, raw + f[i].at, value_at - f[i].at);
			buf_add(out, v.p, v.n);
			first = 0;
		}
		tail = value_at + f[i].value.n;
	}
	/* New members are set as the record's own are: after a space or not. */
	add_new(out, d, changes, n, first, last && last->value.p[-1] == ' ');
	buf_add(out, raw + tail, d->raw.n - tail);
	buf_addc(out, '\n');
	buf_release(&made);
}
