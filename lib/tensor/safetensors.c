#include "tensor/safetensors.h"
#include "base/die.h"
#include "base/json.h"
#include "base/map.h"

#include <stdlib.h>
#include <sys/stat.h>

/* The reference implementation's bound on the header. */
#define MAX_HEADER ((uint64_t)100 << 20)
/* Bytes of one tensor's entry: a dtype, a shape of TENSOR_MAX_DIMS and two offsets are far below. */
#define MAX_ENTRY 4096
/* A pipe or compressed file is read into memory whole; this bounds what is asked of it, not what a model may
 * be. */
#define MAX_PIPE (SIZE_MAX / 4)

struct safetensors {
	struct map_file map;
	struct buf pipe;
	struct arena arena;
	struct tensor_view *tensors;
	size_t n, tensors_cap;
	struct smap names, meta; /* meta: value is the index in `values` */
	char **values;
	size_t nvalues, cap;
};

/* One entry of the header: {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}. */
static int read_entry(struct tensor_view *t, const struct json *v, const uint8_t *data, size_t size,
	const char *name, struct err *e)
{
	const struct json *type = json_get(v, "dtype"), *shape = json_get(v, "shape");
	const struct json *at = json_get(v, "data_offsets");
	if (!json_is(type, JSON_STRING) || !json_is(shape, JSON_ARRAY) || !json_is(at, JSON_ARRAY) ||
		at->n != 2)
		return err_set(e, "%s: tensor '%s': wants dtype, shape and data_offsets", name, t->name);
	int dtype = dtype_parse(type->s.p, type->s.n);
	if (dtype < 0)
		return err_set(e, "%s: tensor '%s': dtype '%.*s' is not known", name, t->name,
			(int)(type->s.n < 32 ? type->s.n : 32), type->s.p);
	t->dtype = (enum dtype)dtype;
	if (shape->n > TENSOR_MAX_DIMS)
		return err_set(e, "%s: tensor '%s': %zu dimensions, at most %d are read", name, t->name,
			shape->n, TENSOR_MAX_DIMS);
	t->ndim = (int)shape->n;
	t->count = 1;
	for (size_t i = 0; i < shape->n; i++) {
		const struct json *d = &shape->kids[i];
		if (!d->is_int || d->i < 0)
			return err_set(e, "%s: tensor '%s': dimension %zu is no count", name, t->name, i);
		t->shape[i] = (size_t)d->i;
		if (t->shape[i] && t->count > SIZE_MAX / 8 / t->shape[i])
			return err_set(e, "%s: tensor '%s': shape is too large", name, t->name);
		t->count *= t->shape[i];
	}
	const struct json *b = &at->kids[0], *z = &at->kids[1];
	if (!b->is_int || !z->is_int || b->i < 0 || z->i < b->i)
		return err_set(e, "%s: tensor '%s': data_offsets are no range", name, t->name);
	if ((uint64_t)z->i > size)
		return err_set(e,
			"%s: tensor '%s': ends at byte %lld of %zu bytes of data: the file is cut short",
			name, t->name, (long long)z->i, size);
	if ((uint64_t)(z->i - b->i) != t->count * dtype_size(t->dtype))
		return err_set(e, "%s: tensor '%s': %lld bytes of data, its shape wants %zu", name, t->name,
			(long long)(z->i - b->i), t->count * dtype_size(t->dtype));
	t->data = data + b->i;
	return 0;
}

/* The bytes of a string literal that was checked before, NUL-terminated. */
static char *keep_string(struct safetensors *s, struct str literal, size_t *n)
{
	char *p = arena_alloc(&s->arena, literal.n + 1);
	*n = json_unescape_to(p, literal.p, literal.n);
	p[*n] = 0;
	return p;
}

static int read_meta(struct safetensors *s, struct str text, const char *name, struct err *e)
{
	struct json_members m;
	struct str key, v;
	size_t n, value_n;
	int more;
	if (text.p[0] != '{' || json_members_start(&m, text.p, text.n, e) < 0)
		return err_set(e, "%s: __metadata__ is no object", name);
	while ((more = json_members_next(&m, &key, &v, e)) > 0) {
		const char *k = keep_string(s, key, &n);
		if (v.p[0] != '"')
			return err_set(e, "%s: __metadata__: '%.64s' is no string", name, k);
		GROW(s->values, s->cap, s->nvalues + 1);
		*smap_put(&s->meta, k, n, 0, NULL) = s->nvalues;
		s->values[s->nvalues++] = keep_string(s, v, &value_n);
	}
	return more;
}

static int by_data(const void *a, const void *b)
{
	const struct tensor_view *x = a, *y = b;
	if (x->data != y->data)
		return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
	/* An empty tensor stands before the one whose data begins at the same byte. */
	return x->count != y->count ? (x->count < y->count ? -1 : 1) : strcmp(x->name, y->name);
}

/* The tensors must fill the data without holes or overlaps, as the reference implementation demands. */
static int check_layout(
	struct safetensors *s, const uint8_t *data, size_t size, const char *name, struct err *e)
{
	if (s->n)
		qsort(s->tensors, s->n, sizeof *s->tensors, by_data);
	size_t at = 0;
	for (size_t i = 0; i < s->n; i++) {
		const struct tensor_view *t = &s->tensors[i];
		size_t begin = (size_t)((const uint8_t *)t->data - data);
		if (begin != at)
			return err_set(e, "%s: tensor '%s': data begins at byte %zu, %s", name, t->name,
				begin, begin < at ? "inside another tensor's" : "behind a hole");
		at += t->count * dtype_size(t->dtype);
	}
	if (at != size)
		return err_set(e, "%s: byte %zu: %zu bytes behind the last tensor", name, at, size - at);
	for (size_t i = 0; i < s->n; i++) {
		const char *key = s->tensors[i].name;
		int fresh;
		smap_put(&s->names, key, strlen(key), i, &fresh);
		if (!fresh)
			return err_set(e, "%s: tensor '%s' stands there twice", name, key);
	}
	return 0;
}

/* One member of the header. */
static int read_member(struct safetensors *s, struct str key, struct str text, const uint8_t *data,
	size_t size, const char *name, struct err *e)
{
	struct arena tmp = { 0 };
	size_t n;
	char *k = keep_string(s, key, &n);
	if (strcmp(k, "__metadata__") == 0 && n == strlen(k))
		return read_meta(s, text, name, e);
	if (strlen(k) != n)
		return err_set(e, "%s: header: a tensor's name holds a NUL: '%.64s'", name, k);
	if (text.n > MAX_ENTRY)
		return err_set(e, "%s: tensor '%.64s': its entry is too long", name, k);
	GROW(s->tensors, s->tensors_cap, s->n + 1);
	struct tensor_view *t = &s->tensors[s->n];
	*t = (struct tensor_view){ .name = k };
	const struct json *v = json_parse(&tmp, text.p, text.n, JSON_STRICT, e);
	int rc = v ? read_entry(t, v, data, size, name, e) : err_prefix(e, "%s: tensor '%.64s'", name, k);
	s->n += rc == 0;
	arena_release(&tmp);
	return rc;
}

/* The header is walked, not built: its size bounds the memory that it costs. */
static int parse_header(struct safetensors *s, const uint8_t *p, size_t n, const char *name, struct err *e)
{
	uint64_t len = 0;
	if (n < 8)
		return err_set(e, "%s: %zu bytes are too few for a safetensors file", name, n);
	for (int i = 7; i >= 0; i--)
		len = len << 8 | p[i];
	if (len > MAX_HEADER || len < 2 || (n > 8 && p[8] != '{'))
		return err_set(e, "%s: not a safetensors file", name);
	if (len > n - 8)
		return err_set(e, "%s: byte %zu: the header of %llu bytes is cut short", name, n,
			(unsigned long long)len);
	const uint8_t *data = p + 8 + len;
	size_t size = n - 8 - (size_t)len;
	struct json_members m;
	struct str key, v;
	int more = json_members_start(&m, (const char *)p + 8, (size_t)len, e);
	while (more >= 0 && (more = json_members_next(&m, &key, &v, e)) > 0)
		if (read_member(s, key, v, data, size, name, e) < 0)
			return -1;
	if (more < 0)
		return err_prefix(e, "%s: header", name);
	return check_layout(s, data, size, name, e);
}

struct safetensors *safetensors_parse(const void *p, size_t n, const char *name, struct err *e)
{
	struct safetensors *s = xcalloc(1, sizeof *s);
	if (parse_header(s, p, n, name, e) < 0) {
		safetensors_close(s);
		return NULL;
	}
	return s;
}

/* Of a file of this kind, the byte behind the header's length is a brace. */
static int is_compressed(const struct map_file *m)
{
	return is_gzip(m->p, m->n) && m->n > 8 && m->p[8] != '{';
}

struct safetensors *safetensors_open(const char *path, struct err *e)
{
	struct safetensors *s = xcalloc(1, sizeof *s);
	struct stat st;
	int from_stdin = !path || strcmp(path, "-") == 0, rc = 0;
	int whole = from_stdin || (stat(path, &st) == 0 && !S_ISREG(st.st_mode));
	if (!whole)
		rc = map_open(&s->map, path, e);
	if (rc == 0 && is_compressed(&s->map)) {
		map_close(&s->map);
		whole = 1;
	}
	if (rc == 0 && whole)
		rc = file_read(path, &s->pipe, MAX_PIPE, e);
	if (rc == 0 && whole)
		rc = parse_header(s, (const uint8_t *)s->pipe.p, s->pipe.n, from_stdin ? "stdin" : path, e);
	else if (rc == 0)
		rc = parse_header(s, s->map.p, s->map.n, path, e);
	if (rc < 0) {
		safetensors_close(s);
		return NULL;
	}
	return s;
}

size_t safetensors_count(const struct safetensors *s)
{
	return s->n;
}

const struct tensor_view *safetensors_at(const struct safetensors *s, size_t i)
{
	ASSERT(i < s->n);
	return &s->tensors[i];
}

const struct tensor_view *safetensors_get(const struct safetensors *s, const char *name)
{
	const uint64_t *i = smap_get(&s->names, name, strlen(name));
	return i ? &s->tensors[*i] : NULL;
}

const char *safetensors_meta(const struct safetensors *s, const char *key)
{
	const uint64_t *i = smap_get(&s->meta, key, strlen(key));
	return i ? s->values[*i] : NULL;
}

void safetensors_close(struct safetensors *s)
{
	if (!s)
		return;
	map_close(&s->map);
	buf_release(&s->pipe);
	arena_release(&s->arena);
	smap_release(&s->names);
	smap_release(&s->meta);
	free(s->tensors);
	free(s->values);
	free(s);
}

/* --- writing --- */

struct declared {
	enum dtype dtype;
	size_t count;
};

struct safetensors_writer {
	struct buf meta, tensors; /* members of the two JSON objects */
	struct declared *list;
	size_t n, cap;
	uint64_t end; /* of the data declared so far */
	struct writer *w;
	size_t current; /* tensor whose data comes next, and how much of it is written */
	uint64_t done;  /* bytes */
};

struct safetensors_writer *safetensors_writer_new(void)
{
	return xcalloc(1, sizeof(struct safetensors_writer));
}

void safetensors_writer_meta(struct safetensors_writer *s, const char *key, const char *value, size_t n)
{
	if (s->meta.n)
		buf_addc(&s->meta, ',');
	json_add_cstr(&s->meta, key);
	buf_addc(&s->meta, ':');
	json_add_str(&s->meta, value, n);
}

void safetensors_writer_declare(
	struct safetensors_writer *s, const char *name, enum dtype t, int ndim, const size_t *shape)
{
	ASSERT(!s->w && ndim >= 0 && ndim <= TENSOR_MAX_DIMS);
	size_t count = 1;
	buf_adds(&s->tensors, ",");
	json_add_cstr(&s->tensors, name);
	buf_addf(&s->tensors, ":{\"dtype\":\"%s\",\"shape\":[", dtype_name(t));
	for (int i = 0; i < ndim; i++) {
		count = mul_size(count, shape[i]);
		buf_addf(&s->tensors, "%s%zu", i ? "," : "", shape[i]);
	}
	uint64_t begin = s->end;
	s->end = add_size(s->end, mul_size(count, dtype_size(t)));
	buf_addf(&s->tensors, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)begin,
		(unsigned long long)s->end);
	GROW(s->list, s->cap, s->n + 1);
	s->list[s->n++] = (struct declared){ t, count };
}

/* Steps over tensors that are complete (or empty). */
static void next_tensor(struct safetensors_writer *s)
{
	while (s->current < s->n &&
		s->done == s->list[s->current].count * dtype_size(s->list[s->current].dtype)) {
		s->current++;
		s->done = 0;
	}
}

int safetensors_writer_begin(struct safetensors_writer *s, struct writer *w)
{
	struct buf h = { 0 }, len = { 0 };
	buf_addc(&h, '{');
	if (s->meta.n)
		buf_addf(&h, "\"__metadata__\":{%s}", s->meta.p);
	if (s->tensors.n)
		buf_adds(&h, s->tensors.p + (s->meta.n ? 0 : 1));
	buf_addc(&h, '}');
	while (h.n % 8)
		buf_addc(&h, ' ');
	buf_add_u64(&len, h.n);
	writer_add(w, len.p, len.n);
	int rc = writer_add(w, h.p, h.n);
	buf_release(&h);
	buf_release(&len);
	s->w = w;
	next_tensor(s);
	return rc;
}

int safetensors_writer_data(struct safetensors_writer *s, const void *data, size_t bytes)
{
	const char *p = data;
	int rc = 0;
	while (bytes) {
		ASSERT(s->current < s->n);
		const struct declared *d = &s->list[s->current];
		uint64_t left = d->count * dtype_size(d->dtype) - s->done;
		size_t m = bytes < left ? bytes : (size_t)left;
		rc = writer_add(s->w, p, m);
		p += m;
		bytes -= m;
		s->done += m;
		next_tensor(s);
	}
	return rc;
}

int safetensors_writer_f32(struct safetensors_writer *s, const float *data, size_t count)
{
	/* Holds whole elements of every type. */
	uint64_t piece[2048];
	int rc = 0;
	while (count) {
		ASSERT(s->current < s->n);
		const struct declared *d = &s->list[s->current];
		size_t size = dtype_size(d->dtype), left = d->count - (size_t)s->done / size;
		size_t m = sizeof piece / size;
		m = m < count ? m : count;
		m = m < left ? m : left;
		if (d->dtype == DTYPE_F32) {
			m = count < left ? count : left;
			rc = safetensors_writer_data(s, data, m * size);
		} else {
			from_f32(piece, data, d->dtype, m);
			rc = safetensors_writer_data(s, piece, m * size);
		}
		data += m;
		count -= m;
	}
	return rc;
}

void safetensors_writer_end(struct safetensors_writer *s)
{
	ASSERT(s->w && s->current == s->n);
	safetensors_writer_free(s);
}

void safetensors_writer_free(struct safetensors_writer *s)
{
	if (!s)
		return;
	buf_release(&s->meta);
	buf_release(&s->tensors);
	free(s->list);
	free(s);
}
