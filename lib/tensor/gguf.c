#include "tensor/gguf.h"
#include "base/die.h"
#include "base/map.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

#define ALIGNMENT 32
/* A tensor's name in llama.cpp has room for 63 bytes; nothing real comes near these. */
#define MAX_NAME 4096
#define MAX_ALIGNMENT ((int64_t)1 << 20)

static const size_t type_size[GGUF_TYPES] = {
	[GGUF_U8] = 1,
	[GGUF_I8] = 1,
	[GGUF_U16] = 2,
	[GGUF_I16] = 2,
	[GGUF_U32] = 4,
	[GGUF_I32] = 4,
	[GGUF_F32] = 4,
	[GGUF_BOOL] = 1,
	[GGUF_U64] = 8,
	[GGUF_I64] = 8,
	[GGUF_F64] = 8,
};

/* A value of the metadata: n items of a type, from `at` on; one and no list unless is_list. */
struct value {
	enum gguf_type type;
	int is_list;
	size_t n;
	struct cur at;
};

struct gguf {
	struct map_file map;
	const char *name; /* of the file */
	struct arena arena;
	struct smap keys, names; /* to places in values and tensors */
	struct value *values;
	size_t nvalues, values_cap;
	struct gguf_tensor *tensors;
	uint64_t *offsets;
	size_t n, tensors_cap, offsets_cap;
};

/* --- reading --- */

static int cut_short(const struct gguf *g, const struct cur *c, struct err *e)
{
	return err_set(e, "%s: byte %zu: the file is cut short", g->name, c->failed ? c->failed_at : c->at);
}

/* Length and bytes; {0} where the file ends before. */
static struct str read_str(struct cur *c)
{
	uint64_t n = cur_u64(c);
	const char *p = cur_bytes(c, n > SIZE_MAX ? SIZE_MAX : (size_t)n);
	return p ? (struct str){ p, (size_t)n } : (struct str){ 0 };
}

/* A name, as a C string in the arena; NULL and a message where it is none. */
static char *read_name(struct gguf *g, struct cur *c, const char *what, struct err *e)
{
	size_t at = c->at;
	struct str s = read_str(c);
	if (c->failed)
		cut_short(g, c, e);
	else if (!s.n || s.n > MAX_NAME || memchr(s.p, 0, s.n))
		err_set(e, "%s: byte %zu: %s is no name", g->name, at, what);
	else
		return arena_strndup(&g->arena, s.p, s.n);
	return NULL;
}

/* Steps over n items of a type. */
static int skip_items(const struct gguf *g, struct cur *c, enum gguf_type type, uint64_t n, struct err *e)
{
	if (type != GGUF_STR) {
		if (n > cur_left(c) / type_size[type])
			return err_set(e, "%s: byte %zu: a list of %llu is longer than the file", g->name,
				c->at, (unsigned long long)n);
		cur_bytes(c, (size_t)n * type_size[type]);
		return 0;
	}
	for (; n && !c->failed; n--)
		read_str(c);
	return c->failed ? cut_short(g, c, e) : 0;
}

static int read_value(struct gguf *g, struct cur *c, struct err *e)
{
	struct value v = { .n = 1 };
	int fresh;
	const char *key = read_name(g, c, "a key", e);
	if (!key)
		return -1;
	size_t at = c->at;
	uint32_t type = cur_u32(c);
	uint64_t n = 1;
	if (type == GGUF_ARRAY) {
		v.is_list = 1;
		type = cur_u32(c);
		n = cur_u64(c);
	}
	if (c->failed)
		return cut_short(g, c, e);
	if (type >= GGUF_TYPES || type == GGUF_ARRAY)
		return err_set(e, "%s: byte %zu: '%.100s' has type %lu, which is not known", g->name, at, key,
			(unsigned long)type);
	v.type = (enum gguf_type)type;
	v.n = (size_t)n;
	v.at = *c;
	if (skip_items(g, c, v.type, n, e) < 0)
		return -1;
	smap_put(&g->keys, key, strlen(key), g->nvalues, &fresh);
	if (!fresh)
		return err_set(e, "%s: byte %zu: '%.100s' stands there twice", g->name, at, key);
	GROW(g->values, g->values_cap, g->nvalues + 1);
	g->values[g->nvalues++] = v;
	return 0;
}

static int read_shape(const struct gguf *g, struct gguf_tensor *t, struct cur *c, struct err *e)
{
	uint32_t ndim = cur_u32(c);
	if (ndim > GGUF_MAX_DIMS)
		return err_set(e, "%s: tensor '%s': %lu dimensions, at most %d are read", g->name, t->name,
			(unsigned long)ndim, GGUF_MAX_DIMS);
	t->ndim = (int)ndim;
	t->count = 1;
	for (uint32_t i = ndim; i-- > 0;) {
		uint64_t d = cur_u64(c);
		if (d > SIZE_MAX / 8 || (d && t->count > SIZE_MAX / 8 / d))
			return err_set(e, "%s: tensor '%s': shape is too large", g->name, t->name);
		t->shape[i] = (size_t)d;
		t->count *= t->shape[i];
	}
	return 0;
}

static int read_tensor(struct gguf *g, struct cur *c, struct err *e)
{
	struct gguf_tensor t = { .name = read_name(g, c, "a tensor's name", e) };
	int fresh;
	if (!t.name || read_shape(g, &t, c, e) < 0)
		return -1;
	t.ggml_type = cur_u32(c);
	t.quant = quant_of_ggml(t.ggml_type);
	uint64_t offset = cur_u64(c);
	if (c->failed)
		return cut_short(g, c, e);
	size_t values = t.quant < 0 ? 1 : quant_formats[t.quant].values,
	       row = t.ndim ? t.shape[t.ndim - 1] : 1;
	if (row % values)
		return err_set(e, "%s: tensor '%s': rows of %zu are no whole blocks of %s", g->name, t.name,
			row, quant_formats[t.quant].name);
	smap_put(&g->names, t.name, strlen(t.name), g->n, &fresh);
	if (!fresh)
		return err_set(e, "%s: tensor '%s' stands there twice", g->name, t.name);
	GROW(g->tensors, g->tensors_cap, g->n + 1);
	GROW(g->offsets, g->offsets_cap, g->n + 1);
	g->offsets[g->n] = offset;
	g->tensors[g->n++] = t;
	return 0;
}

/* Where the tensors lie, once it is known where the data begins. */
static int place_tensors(struct gguf *g, struct cur *c, struct err *e)
{
	int64_t align = ALIGNMENT;
	if (gguf_int(g, "general.alignment", &align, e) < 0)
		return -1;
	if (align < 1 || align > MAX_ALIGNMENT || (align & (align - 1)))
		return err_set(
			e, "%s: general.alignment: %lld is no power of two", g->name, (long long)align);
	size_t gap = (size_t)(-c->at & ((size_t)align - 1));
	if (!g->n)
		return 0;
	const uint8_t *data = c->p + c->at + gap;
	size_t size = gap < cur_left(c) ? cur_left(c) - gap : 0;
	for (size_t i = 0; i < g->n; i++) {
		struct gguf_tensor *t = &g->tensors[i];
		if (t->quant < 0)
			continue;
		size_t bytes = quant_bytes((enum quant)t->quant, t->count);
		if (g->offsets[i] % (uint64_t)align)
			return err_set(e, "%s: tensor '%s': begins at byte %llu, no multiple of %lld",
				g->name, t->name, (unsigned long long)g->offsets[i], (long long)align);
		if (g->offsets[i] > size || bytes > size - (size_t)g->offsets[i])
			return err_set(e,
				"%s: tensor '%s': ends behind the %zu bytes of data: the file is cut short",
				g->name, t->name, size);
		t->data = data + g->offsets[i];
	}
	return 0;
}

int gguf_is(const void *p, size_t n)
{
	return n >= 4 && memcmp(p, "GGUF", 4) == 0;
}

static int parse(struct gguf *g, const void *p, size_t n, struct err *e)
{
	struct cur c;
	cur_init(&c, p, n);
	if (!gguf_is(p, n))
		return err_set(e, "%s: not a GGUF file", g->name);
	cur_u32(&c);
	uint32_t version = cur_u32(&c);
	uint64_t tensors = cur_u64(&c), values = cur_u64(&c);
	if (c.failed)
		return cut_short(g, &c, e);
	if (version != 2 && version != 3)
		return err_set(e, "%s: byte 4: GGUF version %lu is not read (2 and 3 are)%s", g->name,
			(unsigned long)version, version & 0xffff ? "" : ": is it big-endian?");
	/* Every one of them takes bytes: counts beyond the file end at its end. */
	for (uint64_t i = 0; i < values; i++)
		if (read_value(g, &c, e) < 0)
			return -1;
	for (uint64_t i = 0; i < tensors; i++)
		if (read_tensor(g, &c, e) < 0)
			return -1;
	return place_tensors(g, &c, e);
}

struct gguf *gguf_parse(const void *p, size_t n, const char *name, struct err *e)
{
	struct gguf *g = xcalloc(1, sizeof *g);
	g->name = arena_strndup(&g->arena, name, strlen(name));
	if (parse(g, p, n, e) < 0) {
		gguf_close(g);
		return NULL;
	}
	return g;
}

struct gguf *gguf_open(const char *path, struct err *e)
{
	struct map_file map;
	if (map_open(&map, path, e) < 0)
		return NULL;
	struct gguf *g = gguf_parse(map.p, map.n, path, e);
	if (g)
		g->map = map;
	else
		map_close(&map);
	return g;
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	map_close(&g->map);
	smap_release(&g->keys);
	smap_release(&g->names);
	free(g->values);
	free(g->tensors);
	free(g->offsets);
	arena_release(&g->arena);
	free(g);
}

const char *gguf_name(const struct gguf *g)
{
	return g->name;
}

size_t gguf_count(const struct gguf *g)
{
	return g->n;
}

const struct gguf_tensor *gguf_at(const struct gguf *g, size_t i)
{
	ASSERT(i < g->n);
	return &g->tensors[i];
}

const struct gguf_tensor *gguf_get(const struct gguf *g, const char *name)
{
	const uint64_t *i = smap_get(&g->names, name, strlen(name));
	return i ? &g->tensors[*i] : NULL;
}

/* --- metadata --- */

static const struct value *find(const struct gguf *g, const char *key)
{
	const uint64_t *i = smap_get(&g->keys, key, strlen(key));
	return i ? &g->values[*i] : NULL;
}

static int is_wrong(const struct gguf *g, const char *key, const char *want, struct err *e)
{
	return err_set(e, "%s: %s: wants %s", g->name, key, want);
}

static int is_int(enum gguf_type t)
{
	return t <= GGUF_I32 || t == GGUF_U64 || t == GGUF_I64;
}

/* The next integer. -1: beyond int64. */
static int next_int(struct cur *c, enum gguf_type type, int64_t *v)
{
	uint64_t u = 0;
	switch (type) {
	case GGUF_U8:
	case GGUF_I8:
		u = cur_u8(c);
		*v = type == GGUF_I8 ? (int8_t)u : (int64_t)u;
		return 0;
	case GGUF_U16:
	case GGUF_I16:
		u = cur_u16(c);
		*v = type == GGUF_I16 ? (int16_t)u : (int64_t)u;
		return 0;
	case GGUF_U32:
	case GGUF_I32:
		u = cur_u32(c);
		*v = type == GGUF_I32 ? (int32_t)u : (int64_t)u;
		return 0;
	default:
		u = cur_u64(c);
		*v = (int64_t)u;
		return type == GGUF_U64 && u > INT64_MAX ? -1 : 0;
	}
}

int gguf_int(const struct gguf *g, const char *key, int64_t *v, struct err *e)
{
	const struct value *x = find(g, key);
	int64_t first, next;
	if (!x)
		return 0;
	struct cur c = x->at;
	if (!is_int(x->type) || !x->n || next_int(&c, x->type, &first) < 0)
		return is_wrong(g, key, "an integer", e);
	for (size_t i = 1; i < x->n; i++)
		if (next_int(&c, x->type, &next) < 0 || next != first)
			return err_set(e, "%s: %s: layers that differ are not known here", g->name, key);
	*v = first;
	return 1;
}

static double next_num(struct cur *c, enum gguf_type type)
{
	int64_t i = 0;
	if (type == GGUF_F32)
		return cur_f32(c);
	if (type == GGUF_F64) {
		uint64_t u = cur_u64(c);
		double d;
		memcpy(&d, &u, sizeof d);
		return d;
	}
	next_int(c, type, &i);
	return (double)i;
}

static int is_num(enum gguf_type t)
{
	return is_int(t) || t == GGUF_F32 || t == GGUF_F64;
}

int gguf_num(const struct gguf *g, const char *key, double *v, struct err *e)
{
	const struct value *x = find(g, key);
	if (!x)
		return 0;
	struct cur c = x->at;
	if (x->is_list || !is_num(x->type))
		return is_wrong(g, key, "a number", e);
	*v = next_num(&c, x->type);
	return isfinite(*v) ? 1 : is_wrong(g, key, "a finite number", e);
}

int gguf_bool(const struct gguf *g, const char *key, int *v, struct err *e)
{
	const struct value *x = find(g, key);
	if (!x)
		return 0;
	struct cur c = x->at;
	if (x->is_list || x->type != GGUF_BOOL)
		return is_wrong(g, key, "true or false", e);
	*v = cur_u8(&c) != 0;
	return 1;
}

int gguf_str(const struct gguf *g, const char *key, struct str *v, struct err *e)
{
	const struct value *x = find(g, key);
	if (!x)
		return 0;
	struct cur c = x->at;
	if (x->is_list || x->type != GGUF_STR)
		return is_wrong(g, key, "a text", e);
	*v = read_str(&c);
	return 1;
}

int gguf_items(const struct gguf *g, const char *key, enum gguf_type of, struct gguf_items *it, struct err *e)
{
	const struct value *x = find(g, key);
	*it = (struct gguf_items){ 0 };
	if (!x)
		return 0;
	if (!x->is_list || (of == GGUF_STR ? x->type != GGUF_STR : !is_num(x->type)))
		return is_wrong(g, key, of == GGUF_STR ? "a list of texts" : "a list of numbers", e);
	*it = (struct gguf_items){ x->type, x->n, x->at };
	return 1;
}

struct str gguf_next_str(struct gguf_items *it)
{
	ASSERT(it->n && it->type == GGUF_STR);
	it->n--;
	return read_str(&it->at);
}

double gguf_next_num(struct gguf_items *it)
{
	ASSERT(it->n && is_num(it->type));
	it->n--;
	return next_num(&it->at, it->type);
}

/* --- writing --- */

struct gguf_writer {
	struct buf meta, tensors;
	size_t nmeta, n, cap, quants_cap;
	size_t *list; /* bytes of each tensor */
	enum quant *quants;
	uint64_t end; /* of the data declared so far, padded */
	struct writer *out;
	size_t current, done; /* the tensor whose values come next, and how many bytes it has */
};

struct gguf_writer *gguf_writer_new(void)
{
	return xcalloc(1, sizeof(struct gguf_writer));
}

static void put_str(struct buf *b, struct str s)
{
	buf_add_u64(b, s.n);
	buf_add(b, s.p ? s.p : "", s.n);
}

static void put_key(struct gguf_writer *w, const char *key, enum gguf_type type)
{
	put_str(&w->meta, str_of(key));
	buf_add_u32(&w->meta, type);
	w->nmeta++;
}

static void put_list(struct gguf_writer *w, const char *key, enum gguf_type type, size_t n)
{
	put_key(w, key, GGUF_ARRAY);
	buf_add_u32(&w->meta, type);
	buf_add_u64(&w->meta, n);
}

static uint32_t bits(float f)
{
	uint32_t u;
	memcpy(&u, &f, sizeof u);
	return u;
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v)
{
	put_key(w, key, GGUF_U32);
	buf_add_u32(&w->meta, v);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float v)
{
	put_key(w, key, GGUF_F32);
	buf_add_u32(&w->meta, bits(v));
}

void gguf_put_bool(struct gguf_writer *w, const char *key, int v)
{
	put_key(w, key, GGUF_BOOL);
	buf_addc(&w->meta, v != 0);
}

void gguf_put_str(struct gguf_writer *w, const char *key, struct str v)
{
	put_key(w, key, GGUF_STR);
	put_str(&w->meta, v);
}

void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n)
{
	put_list(w, key, GGUF_STR, n);
	for (size_t i = 0; i < n; i++)
		put_str(&w->meta, v[i]);
}

void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n)
{
	put_list(w, key, GGUF_F32, n);
	for (size_t i = 0; i < n; i++)
		buf_add_u32(&w->meta, bits(v[i]));
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n)
{
	put_list(w, key, GGUF_I32, n);
	for (size_t i = 0; i < n; i++)
		buf_add_u32(&w->meta, (uint32_t)v[i]);
}

static size_t padding(uint64_t n)
{
	return (size_t)(-n & (ALIGNMENT - 1));
}

void gguf_declare(struct gguf_writer *w, const char *name, enum quant q, int ndim, const size_t *shape)
{
	ASSERT(!w->out && ndim > 0 && ndim <= GGUF_MAX_DIMS);
	ASSERT(shape[ndim - 1] % quant_formats[q].values == 0);
	size_t count = 1;
	put_str(&w->tensors, str_of(name));
	buf_add_u32(&w->tensors, (uint32_t)ndim);
	for (int i = ndim; i-- > 0;) {
		buf_add_u64(&w->tensors, shape[i]);
		count = mul_size(count, shape[i]);
	}
	buf_add_u32(&w->tensors, quant_formats[q].ggml_type);
	buf_add_u64(&w->tensors, w->end);
	w->end += quant_bytes(q, count);
	w->end += padding(w->end);
	GROW(w->list, w->cap, w->n + 1);
	GROW(w->quants, w->quants_cap, w->n + 1);
	w->quants[w->n] = q;
	w->list[w->n++] = quant_bytes(q, count);
}

static const char zeros[ALIGNMENT];

int gguf_begin(struct gguf_writer *w, struct writer *out)
{
	struct buf h = { 0 };
	buf_adds(&h, "GGUF");
	buf_add_u32(&h, 3);
	buf_add_u64(&h, w->n);
	buf_add_u64(&h, w->nmeta);
	w->out = out;
	writer_add(out, h.p, h.n);
	writer_add(out, w->meta.p, w->meta.n);
	writer_add(out, w->tensors.p, w->tensors.n);
	int rc = writer_add(out, zeros, padding(h.n + w->meta.n + w->tensors.n));
	buf_release(&h);
	return rc;
}

int gguf_bytes(struct gguf_writer *w, const void *p, size_t n)
{
	ASSERT(w->current < w->n && n <= w->list[w->current] - w->done);
	int rc = writer_add(w->out, p, n);
	w->done += n;
	if (w->done < w->list[w->current])
		return rc;
	rc = writer_add(w->out, zeros, padding(w->done));
	w->current++;
	w->done = 0;
	return rc;
}

int gguf_values(struct gguf_writer *w, const float *x, size_t n)
{
	enum quant q = w->quants[w->current];
	char *bytes = xmalloc(quant_bytes(q, n));
	quant_from_f32(q, bytes, x, n);
	int rc = gguf_bytes(w, bytes, quant_bytes(q, n));
	free(bytes);
	return rc;
}

void gguf_end(struct gguf_writer *w)
{
	ASSERT(w->out && w->current == w->n);
	gguf_writer_free(w);
}

void gguf_writer_free(struct gguf_writer *w)
{
	if (!w)
		return;
	buf_release(&w->meta);
	buf_release(&w->tensors);
	free(w->list);
	free(w->quants);
	free(w);
}
