#include "tensor/flash.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/*
 * All products are tiles of the kernel table. A block of keys is packed once and serves every row of a task;
 * a row's own numbers are the same whichever rows it shares tiles with, because tiles keep one sum an
 * element, every row walks the same blocks, and a key that it does not see weighs exactly zero.
 *
 * Names: B is FLASH_BLOCK; d the head's dimension, dw the same rounded up to whole panels; mr, nr the tile.
 */
#define B FLASH_BLOCK
#define ROWS 256 /* query rows of a forward task, over all heads of a group */
#define HIGH 64  /* query rows that a block of keys meets at a time, going back */
/* A running maximum before the first key; finite, so that differences are no NaN. */
#define NOTHING (-1e30f)

/* A part for every thread. */
static struct scratch scratch;

void flash_release(void)
{
	scratch_release(&scratch);
}

/* Where the calling thread's part of `floats` begins. */
static float *my_part(size_t floats)
{
	return (float *)scratch.p + floats * (size_t)omp_get_thread_num();
}

static void need_parts(size_t floats)
{
	size_t bytes = mul_size(mul_size(floats, sizeof(float)), (size_t)omp_get_max_threads());
	scratch_need(&scratch, bytes);
}

/* The next n floats of a thread's part, on a line of their own; with no base, sizes are just added up. */
static float *take(float *base, size_t *at, size_t n)
{
	float *p = base ? base + *at : NULL;
	*at += div_up(n, 16) * 16;
	return p;
}

/* Row r, head h of out and dout. */
static size_t out_at(const struct flash_layout *l, size_t r, size_t h)
{
	return l->out_stride ? r * l->out_stride + h * l->out_head_stride
			     : r * l->q_stride + h * l->q_head_stride;
}

/* The keys [lo, hi) that the query at a position sees. */
struct view {
	size_t lo, hi;
};

static struct view view_of(const struct flash_shape *s, const struct flash_seq *f, size_t query)
{
	size_t pos = f->past + query;
	return (struct view){ s->window && pos + 1 > s->window ? pos + 1 - s->window : 0,
		s->not_causal ? f->past + f->n : pos + 1 };
}

/* Scores of keys [first, first + B) outside the view become -inf. */
static void mask(float *row, size_t first, struct view v)
{
	size_t begin = v.lo > first ? least(B, v.lo - first) : 0,
	       end = v.hi > first ? least(B, v.hi - first) : 0;
	for (size_t j = 0; j < begin; j++)
		row[j] = -(float)INFINITY;
	for (size_t j = end; j < B; j++)
		row[j] = -(float)INFINITY;
}

/*
 * The arithmetic of products. Operands are counted in elements, which are float or, in bf16, half of one: k
 * is then even as packed, deep(k).
 */
struct math {
	const struct kern *kn;
	enum dtype t;
	int half, kv8;
	size_t mr, nr, size;
};

static struct math math_of(const struct flash_shape *s)
{
	const struct kern *kn = kern();
	ASSERT(s->t == DTYPE_F32 || s->t == DTYPE_BF16);
	if (s->t == DTYPE_BF16)
		return (struct math){ kn, s->t, 1, s->kv8, kn->mr16, kn->nr16, sizeof(uint16_t) };
	return (struct math){ kn, s->t, 0, s->kv8, kn->mr, kn->nr, sizeof(float) };
}

/* Around a thread's tiles. */
static void math_begin(const struct math *x)
{
	if (x->half)
		tiles_begin(x->kn);
}

static void math_end(const struct math *x)
{
	if (x->half)
		tiles_end(x->kn);
}

static size_t deep(const struct math *x, size_t k)
{
	return x->half ? k + k % 2 : k;
}

static void *element(const struct math *x, const void *p, size_t i)
{
	return (char *)p + i * x->size;
}

/* From elements of type t: the arithmetic's, or f32. */
static void pack(const struct math *x, void *y, size_t width, const void *from, enum dtype t, size_t ks,
	size_t js, size_t k, size_t n)
{
	if (!x->half)
		x->kn->pack_f32(y, width, from, ks, js, k, n);
	else if (t == DTYPE_F32)
		x->kn->pack_bf16(y, width, from, ks, js, k, n);
	else
		x->kn->repack_bf16(y, width, from, ks, js, k, n);
}

/* y: panels [B / nr][deep(d)][nr] of `keys` rows of `from` turned. */
static void pack_turned(const struct math *x, void *y, const void *from, size_t stride, size_t d, size_t keys)
{
	for (size_t j = 0; j < B; j += x->nr)
		pack(x, element(x, y, j * deep(x, d)), x->nr, element(x, from, j * stride), x->t, 1, stride,
			d, keys > j ? least(keys - j, x->nr) : 0);
}

/* y: panels [dw / nr][deep(high)][nr] of `from`, of which `rows` are filled. */
static void pack_plain(
	const struct math *x, void *y, size_t high, const void *from, size_t stride, size_t d, size_t rows)
{
	for (size_t j = 0; j < d; j += x->nr)
		pack(x, element(x, y, j * deep(x, high)), x->nr, element(x, from, j), x->t, stride, 1, rows,
			least(d - j, x->nr));
}

/* The left side of a tile, in units of the tile functions (kern.h). */
struct left {
	const void *p;
	size_t ars, aks;
};

/* Packs a tile of m rows, row j's element i at from[i * ks + j * js], k <= deep, into y: m * deep(x, k)
 * elements. */
static void pack_left(const struct math *x, void *y, size_t m, const void *from, enum dtype t, size_t ks,
	size_t js, size_t k)
{
	if (!x->half || !x->kn->pack_rows_bf16)
		pack(x, y, m, from, t, ks, js, k, m);
	else if (t == DTYPE_F32)
		x->kn->pack_rows_bf16(y, deep(x, k) / 2, from, ks, js, k, m);
	else
		x->kn->repack_rows_bf16(y, deep(x, k) / 2, from, ks, js, k, m);
}

/* The same as tiles take it. */
static struct left packed(const struct math *x, const void *p, size_t m, size_t k)
{
	if (!x->half || !x->kn->pack_rows_bf16)
		return (struct left){ p, 1, m };
	return (struct left){ p, deep(x, k) / 2, 1 };
}

/* Weights x [m][B], as rows of the arithmetic's type; half [m][B] takes them where that is not f32. */
static struct left as_rows(const struct math *x, const float *w, uint16_t *half, size_t m)
{
	if (!x->half)
		return (struct left){ w, B, 1 };
	for (size_t i = 0; i < m; i++)
		x->kn->to_bf16(half + i * B, w + i * B, B);
	return (struct left){ half, B / 2, 1 };
}

/* Weights w [rows][B] turned: row j of the left side is their column j. half takes them where that is not
 * f32: (rows + 1) * B. */
static struct left as_columns(const struct math *x, const float *w, uint16_t *half, size_t rows)
{
	if (!x->half)
		return packed(x, w, B, rows);
	pack_left(x, half, B, w, DTYPE_F32, B, 1, rows);
	return packed(x, half, B, rows);
}

static struct left from_row(const struct math *x, struct left a, size_t i)
{
	a.p = (const char *)a.p + i * a.ars * (x->half ? 2 : 1) * x->size;
	return a;
}

/* c[m][ldc] = c0 + A x one panel. */
static void tile(const struct math *x, size_t k, struct left a, const void *b, const float *c0, float *c,
	size_t ldc, size_t m)
{
	if (x->half)
		x->kn->tile_bf16(k, a.p, a.ars, a.aks, b, c0, ldc, c, ldc, m, x->nr);
	else
		x->kn->tile_f32(k, a.p, a.ars, a.aks, b, c0, ldc, c, ldc, m, x->nr);
}

/* scores[m][B] = A x turned panels, of those that have a key. */
static void scores(
	const struct math *x, float *s, struct left a, const void *turned, size_t d, size_t keys, size_t m)
{
	for (size_t j = 0; j < keys; j += x->nr)
		tile(x, d, a, element(x, turned, j * deep(x, d)), NULL, s + j, B, m);
}

/* y[m][dw] += A x plain panels of `high` rows, k <= high. */
static void gather(const struct math *x, float *y, struct left a, const void *plain, size_t dw, size_t k,
	size_t high, size_t m)
{
	for (size_t j = 0; j < dw; j += x->nr)
		tile(x, k, a, element(x, plain, j * deep(x, high)), y + j, y + j, dw, m);
}

/* --- pages --------------------------------------------------------------------------------------- */

/* In a page, for every kv head: turned panels of a block's keys, plain ones of its values. */
static size_t keys_size(const struct math *x, size_t d)
{
	return B * deep(x, d);
}

static size_t values_size(const struct math *x, size_t d)
{
	return div_up(d, x->nr) * x->nr * B;
}

/* In 8 bits the same panels, a byte a value, and each position's powers behind them: [groups of d][B] of its
 * key, as many of its value. */
static size_t powers_size(size_t d)
{
	return div_up(d, MX_GROUP) * B;
}

static size_t head_bytes(const struct math *x, size_t d)
{
	size_t n = keys_size(x, d) + values_size(x, d);
	return x->kv8 ? n + 2 * powers_size(d) : n * x->size;
}

size_t flash_page_bytes(const struct flash_shape *s)
{
	struct math x = math_of(s);
	ASSERT(B % x.nr == 0);
	return mul_size(s->kv_heads, head_bytes(&x, s->head_dim));
}

/* The keys of a block of positions. */
static void *page_keys(
	const struct math *x, const struct flash_seq *f, size_t kv_head, size_t d, size_t first)
{
	return f->pages[first / B] + f->at + kv_head * head_bytes(x, d);
}

/* Its values. */
static void *page_values(const struct math *x, void *keys, size_t d)
{
	return element(x, keys, keys_size(x, d));
}

/* One position of a block that has others. A pair of positions is cleared by its first one: what a page was
 * before must not be multiplied, not even by zero. */
static void put_position(
	const struct math *x, void *keys, void *values, size_t at, const void *k, const void *v, size_t d)
{
	size_t nr = x->nr, dd = deep(x, d), panel = at / nr * nr * dd, col = at % nr;
	if (!x->half) {
		float *kp = (float *)keys + panel + col, *vp = (float *)values + at * nr;
		for (size_t i = 0; i < d; i++) {
			kp[i * nr] = ((const float *)k)[i];
			vp[i / nr * nr * B + i % nr] = ((const float *)v)[i];
		}
		return;
	}
	uint16_t *kp = (uint16_t *)keys + panel + 2 * col, *vp = (uint16_t *)values + at / 2 * 2 * nr;
	for (size_t i = 0; i < dd; i++)
		kp[i / 2 * 2 * nr + i % 2] = i < d ? ((const uint16_t *)k)[i] : 0;
	for (size_t i = 0; i < d; i++) {
		uint16_t *to = vp + i / nr * nr * B + i % nr * 2;
		to[at % 2] = ((const uint16_t *)v)[i];
		if (at % 2 == 0)
			to[1] = 0;
	}
}

/* --- pages of 8 bits --- */

/* A block of a kv head in such a page. */
struct block8 {
	int8_t *keys, *values;
	uint8_t *key_powers, *value_powers;
};

static struct block8 block8_at(const struct math *x, void *p, size_t d)
{
	struct block8 b = { .keys = p };
	b.values = b.keys + keys_size(x, d);
	b.key_powers = (uint8_t *)b.values + values_size(x, d);
	b.value_powers = b.key_powers + powers_size(d);
	return b;
}

/* The code of n <= MX_GROUP values of a key or a value. */
static unsigned code_group(const struct math *x, int8_t *q, const void *from, size_t n)
{
	float wide[MX_GROUP];
	if (!x->half)
		return x->kn->mx_write(q, from, n);
	x->kn->of_bf16(wide, from, n);
	return x->kn->mx_write(q, wide, n);
}

/* put_position in 8 bits: a power of 0 clears what it stands for. */
static void put_position8(
	const struct math *x, struct block8 b, size_t at, const void *k, const void *v, size_t d)
{
	size_t nr = x->nr, u = x->half ? 2 : 1;
	int8_t *keys = b.keys + at / nr * nr * deep(x, d) + at % nr * u, *values = b.values + at / u * u * nr;
	int8_t q[MX_GROUP];
	if (d % 2 && u == 2)
		keys[d / 2 * 2 * nr + 1] = 0;
	for (size_t i = 0; i < d; i += MX_GROUP) {
		size_t n = least(MX_GROUP, d - i), power = i / MX_GROUP * B + at;
		b.key_powers[power] = (uint8_t)code_group(x, q, element(x, k, i), n);
		for (size_t z = i; z < i + n; z++)
			keys[z / u * u * nr + z % u] = q[z - i];
		b.value_powers[power] = (uint8_t)code_group(x, q, element(x, v, i), n);
		if (u == 2 && at % 2 == 0)
			b.value_powers[power + 1] = 0;
		for (size_t z = i; z < i + n; z++)
			values[z / nr * nr * B + z % nr * u + at % u] = q[z - i];
	}
}

/* Panels of a block's keys. */
static void read_keys8(const struct math *x, void *y, struct block8 b, size_t d)
{
	size_t nr = x->nr, u = x->half ? 2 : 1;
	float powers[B], wide[2 * B];
	for (size_t j = 0; j < B; j += nr)
		for (size_t i = 0; i < d; i += MX_GROUP) {
			size_t rows = div_up(least(MX_GROUP, d - i), u), at = j * deep(x, d) + i * nr;
			x->kn->mx_powers(powers, b.key_powers + i / MX_GROUP * B + j, nr);
			for (size_t c = 0; c < nr * u; c++)
				wide[c] = powers[c / u];
			x->kn->mx_read_columns(element(x, y, at), x->t, b.keys + at, wide, nr * u, rows);
		}
}

/* Panels of its values, of which each is of one group. */
static void read_values8(const struct math *x, void *y, struct block8 b, size_t d, size_t keys)
{
	size_t nr = x->nr, u = x->half ? 2 : 1;
	float powers[B];
	ASSERT(MX_GROUP % nr == 0);
	for (size_t j = 0; j < d; j += nr) {
		x->kn->mx_powers(powers, b.value_powers + j / MX_GROUP * B, B);
		x->kn->mx_read_rows(
			element(x, y, j * B), x->t, b.values + j * B, powers, u, nr * u, div_up(keys, u));
	}
}

/* The n new positions of a sequence behind its past: one by one into a page that is there, whole blocks
 * packed. */
static void append(const struct math *x, const struct flash_layout *l, const struct flash_seq *f,
	size_t kv_head, size_t d)
{
	size_t end = f->past + f->n;
	for (size_t p = f->past; p < end;) {
		size_t at = (p - f->past) * l->kv_stride + kv_head * l->kv_head_stride, n = 1;
		const void *k = element(x, f->k, at), *v = element(x, f->v, at);
		void *keys = page_keys(x, f, kv_head, d, p), *values = page_values(x, keys, d);
		if (x->kv8) {
			put_position8(x, block8_at(x, keys, d), p % B, k, v, d);
		} else if (p % B || end - p == 1) {
			put_position(x, keys, values, p % B, k, v, d);
		} else {
			n = least(B, end - p);
			pack_turned(x, keys, k, l->kv_stride, d, n);
			pack_plain(x, values, B, v, l->kv_stride, d, n);
		}
		p += n;
	}
}

/* --- forward ------------------------------------------------------------------------------------- */

/*
 * A task: queries [first, first + queries) of a sequence, all heads that read one kv head. Its rows stand in
 * `lines` of `length`: a line is a head's queries or, when there is one query (decoding), the heads of that
 * query. Tiles are cut from one line.
 */
struct job {
	const struct flash_shape *s;
	const struct flash_layout *l;
	const struct flash_seq *f;
	size_t kv_head, group, first, queries;
	struct math x;
	size_t d, dw;
	size_t lines, length;
	void *q, *kp, *vp;         /* packed; a block's where there are no pages */
	const void *keys, *values; /* of a block: kp and vp, or in a page */
	float *o, *m, *sum, *sc;
	void *p; /* of one tile, as rows of bf16 */
};

/* Queries of a task. */
static size_t job_queries(const struct flash_shape *s)
{
	return most(1, ROWS / (s->heads / s->kv_heads));
}

/* Pointers into the scratch (NULL: just the size in floats is wanted). */
static size_t job_scratch(struct job *t, float *base)
{
	size_t rows = job_queries(t->s) * t->group, mr = t->x.mr, at = 0;
	t->q = take(base, &at, rows * (t->d + 1));
	t->o = take(base, &at, rows * t->dw);
	t->m = take(base, &at, rows);
	t->sum = take(base, &at, rows);
	t->kp = take(base, &at, B * (t->d + 1));
	t->vp = take(base, &at, B * t->dw);
	t->sc = take(base, &at, mr * B);
	t->p = take(base, &at, mr * B);
	return at;
}

static size_t job_query(const struct job *t, size_t i)
{
	return t->first + (t->queries > 1 ? i : 0);
}

static size_t job_head(const struct job *t, size_t line, size_t i)
{
	return t->kv_head * t->group + (t->queries > 1 ? line : i);
}

/* Of row (line, i) in q. */
static size_t job_offset(const struct job *t, size_t line, size_t i)
{
	return (t->f->row + job_query(t, i)) * t->l->q_stride + job_head(t, line, i) * t->l->q_head_stride;
}

static void job_begin(struct job *t, const void *q)
{
	size_t rows = t->lines * t->length, step = t->queries > 1 ? t->l->q_stride : t->l->q_head_stride;
	for (size_t line = 0; line < t->lines; line++)
		for (size_t i = 0; i < t->length; i += t->x.mr) {
			size_t m = least(t->x.mr, t->length - i), r = line * t->length + i;
			pack_left(&t->x, element(&t->x, t->q, r * deep(&t->x, t->d)), m,
				element(&t->x, q, job_offset(t, line, i)), t->x.t, 1, step, t->d);
		}
	memset(t->o, 0, rows * t->dw * sizeof *t->o);
	for (size_t r = 0; r < rows; r++) {
		t->m[r] = NOTHING;
		t->sum[r] = 0;
	}
}

/* Rows [i, i + m) of a line against the block of keys that starts at `first`. */
static void job_tile(struct job *t, size_t line, size_t i, size_t m, size_t first)
{
	const struct kern *kn = t->x.kn;
	struct view top = view_of(t->s, t->f, job_query(t, i)),
		    end = view_of(t->s, t->f, job_query(t, i + m - 1));
	if (end.hi <= first || top.lo >= first + B)
		return;
	size_t r = line * t->length + i, keys = least(B, end.hi - first);
	scores(&t->x, t->sc, packed(&t->x, element(&t->x, t->q, r * deep(&t->x, t->d)), m, t->d), t->keys,
		t->d, keys, m);
	int whole = top.hi >= first + B && end.lo <= first;
	for (size_t y = 0; y < m; y++) {
		float *o = t->o + (r + y) * t->dw;
		if (!whole)
			mask(t->sc + y * B, first, view_of(t->s, t->f, job_query(t, i + y)));
		float shrink = kn->softmax_step(t->sc + y * B, B, t->s->scale, &t->m[r + y], &t->sum[r + y]);
		if (shrink < 1)
			kn->scale(o, shrink, o, t->dw);
	}
	/* A key behind the last weighs zero, so that an odd one more does not count. */
	gather(&t->x, t->o + r * t->dw, as_rows(&t->x, t->sc, t->p, m), t->values, t->dw, keys, B, m);
}

static void job_end(const struct job *t, void *out, float *lse)
{
	const struct kern *kn = t->x.kn;
	for (size_t line = 0; line < t->lines; line++)
		for (size_t i = 0; i < t->length; i++) {
			size_t r = line * t->length + i, h = job_head(t, line, i);
			size_t row = t->f->row + job_query(t, i);
			float *o = t->o + r * t->dw;
			void *y = element(&t->x, out, out_at(t->l, row, h));
			kn->scale(t->x.half ? o : y, 1 / t->sum[r], o, t->d);
			if (t->x.half)
				kn->to_bf16(y, o, t->d);
			if (lse)
				lse[row * t->s->heads + h] = t->m[r] + logf(t->sum[r]);
		}
}

/* The block of keys and values from a position on. */
static void job_block(struct job *t, size_t first)
{
	const struct flash_seq *f = t->f;
	t->keys = t->kp;
	t->values = t->vp;
	if (f->pages && t->x.kv8) {
		struct block8 b = block8_at(&t->x, page_keys(&t->x, f, t->kv_head, t->d, first), t->d);
		read_keys8(&t->x, t->kp, b, t->d);
		read_values8(&t->x, t->vp, b, t->d, least(B, f->past + f->n - first));
		return;
	}
	if (f->pages) {
		void *keys = page_keys(&t->x, f, t->kv_head, t->d, first);
		t->keys = keys;
		t->values = page_values(&t->x, keys, t->d);
		return;
	}
	size_t stride = t->l->kv_stride, at = first * stride + t->kv_head * t->l->kv_head_stride,
	       keys = least(B, f->n - first);
	pack_turned(&t->x, t->kp, element(&t->x, f->k, at), stride, t->d, keys);
	pack_plain(&t->x, t->vp, B, element(&t->x, f->v, at), stride, t->d, keys);
}

static void job_run(struct job *t, const void *q, void *out, float *lse)
{
	size_t from = view_of(t->s, t->f, t->first).lo / B * B;
	size_t to = view_of(t->s, t->f, t->first + t->queries - 1).hi;
	t->lines = t->queries > 1 ? t->group : 1;
	t->length = t->queries > 1 ? t->queries : t->group;
	job_begin(t, q);
	for (size_t first = from; first < to; first += B) {
		job_block(t, first);
		for (size_t line = 0; line < t->lines; line++)
			for (size_t i = 0; i < t->length; i += t->x.mr)
				job_tile(t, line, i, least(t->x.mr, t->length - i), first);
	}
	job_end(t, out, lse);
}

void flash_append(
	const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs, size_t nseqs)
{
	struct math x = math_of(s);
#pragma omp parallel for schedule(dynamic, 1)
	for (size_t u = 0; u < nseqs * s->kv_heads; u++)
		if (seqs[u / s->kv_heads].pages)
			append(&x, l, &seqs[u / s->kv_heads], u % s->kv_heads, s->head_dim);
}

void flash_forward(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs, const void *q, void *out, float *lse)
{
	ASSERT(s->kv_heads && s->heads % s->kv_heads == 0 && s->scale > 0);
	size_t step = job_queries(s), longest = 0, paged = 0;
	for (size_t i = 0; i < nseqs; i++) {
		ASSERT(seqs[i].pages || !seqs[i].past);
		longest = most(longest, seqs[i].n);
		paged += seqs[i].pages != NULL;
	}
	struct job proto = {
		.s = s, .l = l, .x = math_of(s), .group = s->heads / s->kv_heads, .d = s->head_dim
	};
	ASSERT(B % proto.x.nr == 0);
	proto.dw = div_up(s->head_dim, proto.x.nr) * proto.x.nr;
	size_t part = job_scratch(&proto, NULL), chunks = div_up(longest, step), each = nseqs * s->kv_heads;
	need_parts(part);
	/* Pages have to be there before any other task of theirs: where there is one task a head, it fills
	 * them. */
	int apart = paged && chunks > 1;
	if (apart)
		flash_append(s, l, seqs, nseqs);
		/* The longest tasks, those of the last queries, first. */
#pragma omp parallel
	{
		math_begin(&proto.x);
#pragma omp for schedule(dynamic, 1)
		for (size_t u = 0; u < chunks * each; u++) {
			struct job t = proto;
			t.f = &seqs[u % each / s->kv_heads];
			t.kv_head = u % s->kv_heads;
			t.first = (chunks - 1 - u / each) * step;
			if (t.first >= t.f->n)
				continue;
			t.queries = least(step, t.f->n - t.first);
			if (t.f->pages && !apart)
				append(&t.x, l, t.f, t.kv_head, t.d);
			job_scratch(&t, my_part(part));
			job_run(&t, q, out, lse);
		}
		math_end(&proto.x);
	}
}

/* --- backward ------------------------------------------------------------------------------------ */

/*
 * With P = exp(scale q k^T - lse), delta = sum(out dout) a row (Dao et al. 2022, appendix B.2):
 * dv = P^T dout, dP = dout v^T, dS = P (dP - delta), dq = scale dS k, dk = scale dS^T q.
 * A task owns one kv head of a sequence: dk and dv sum over its heads and query blocks in order, dq over key
 * blocks.
 */
struct back {
	const struct flash_shape *s;
	const struct flash_layout *l;
	const struct flash_seq *f;
	struct math x;
	size_t kv_head, d, dw;
	size_t high; /* rows of a block of queries: whole tiles, about HIGH, even */
	/* Of one head's queries: turned for tiles as A, and a block's plain panels as B; sums. */
	void *qa, *da, *qb, *db;
	float *dq, *delta, *lse;
	float *dk, *dv; /* sums over the kv head's heads */
	/* Of one block of keys: turned, and plain panels. */
	void *kt, *vt, *kb;
	/* Of one pair of blocks: P and dS [high][B], and one of them in bf16. */
	float *p, *ds;
	void *half;
	float *o, *dout; /* a row of out and dout */
};

/* A pair of blocks: keys [first, first + keys) and queries [i, i + rows), of which those before the `from`th
 * see no key. */
struct pair {
	size_t first, keys, i, from, rows;
};

static size_t back_scratch(struct back *t, size_t n, float *base)
{
	size_t mr = t->x.mr, at = 0;
	t->high = most(1, HIGH / (2 * mr)) * 2 * mr;
	t->qa = take(base, &at, n * (t->d + 1));
	t->da = take(base, &at, n * (t->d + 1));
	t->qb = take(base, &at, (n + 1) * t->dw);
	t->db = take(base, &at, (n + 1) * t->dw);
	t->dq = take(base, &at, n * t->dw);
	t->dk = take(base, &at, n * t->dw);
	t->dv = take(base, &at, n * t->dw);
	t->delta = take(base, &at, n);
	t->lse = take(base, &at, n);
	t->kt = take(base, &at, B * (t->d + 1));
	t->vt = take(base, &at, B * (t->d + 1));
	t->kb = take(base, &at, B * t->dw);
	t->p = take(base, &at, t->high * B);
	t->ds = take(base, &at, t->high * B);
	t->half = take(base, &at, (t->high / 2 + 1) * B);
	t->o = take(base, &at, t->d);
	t->dout = take(base, &at, t->d);
	return at;
}

/* d values as f32: in place, or in buf. */
static const float *as_f32(const struct math *x, const void *from, float *buf, size_t d)
{
	if (!x->half)
		return from;
	x->kn->of_bf16(buf, from, d);
	return buf;
}

/* Rows of d elements, `stride` apart, are going to be read: they lie too far apart for the processor to
 * notice.
 */
static inline __attribute__((always_inline)) void fetch(
	const struct math *x, const void *from, size_t stride, size_t d, size_t rows)
{
	for (size_t i = 0; i < rows; i++)
		for (size_t j = 0; j < d * x->size; j += 64)
			__builtin_prefetch((const char *)from + i * stride * x->size + j);
}

/* Queries [i, i + rows) of a head. */
static void back_pack_rows(
	struct back *t, size_t i, size_t rows, const void *q, const void *out, const void *dout, size_t step)
{
	const struct math *x = &t->x;
	size_t stride = t->l->q_stride;
	for (size_t z = i; z < i + rows; z += x->mr) {
		size_t m = least(x->mr, i + rows - z), at = z * deep(x, t->d);
		pack_left(x, element(x, t->qa, at), m, element(x, q, z * stride), x->t, 1, stride, t->d);
		pack_left(x, element(x, t->da, at), m, element(x, dout, z * step), x->t, 1, step, t->d);
	}
	pack_plain(x, element(x, t->qb, i * t->dw), rows, element(x, q, i * stride), stride, t->d, rows);
	pack_plain(x, element(x, t->db, i * t->dw), rows, element(x, dout, i * step), step, t->d, rows);
	for (size_t z = i; z < i + rows; z++) {
		const float *o = as_f32(x, element(x, out, z * step), t->o, t->d);
		t->delta[z] = x->kn->dot(o, as_f32(x, element(x, dout, z * step), t->dout, t->d), t->d);
	}
}

static void back_pack_head(
	struct back *t, size_t h, const void *q, const void *out, const float *lse, const void *dout)
{
	const struct math *x = &t->x;
	size_t n = t->f->n, stride = t->l->q_stride, step = t->l->out_stride ? t->l->out_stride : stride;
	q = element(x, q, t->f->row * stride + h * t->l->q_head_stride);
	out = element(x, out, out_at(t->l, t->f->row, h));
	dout = element(x, dout, out_at(t->l, t->f->row, h));
	for (size_t i = 0; i < n; i += t->high) {
		size_t rows = least(t->high, n - i), next = least(t->high, n - i - rows);
		fetch(x, element(x, q, (i + rows) * stride), stride, t->d, next);
		fetch(x, element(x, out, (i + rows) * step), step, t->d, next);
		fetch(x, element(x, dout, (i + rows) * step), step, t->d, next);
		back_pack_rows(t, i, rows, q, out, dout, step);
	}
	for (size_t i = 0; i < n; i++)
		t->lse[i] = lse[(t->f->row + i) * t->s->heads + h];
	memset(t->dq, 0, n * t->dw * sizeof *t->dq);
}

/* Rows [z, z + m) of P and dS of a pair, and dq of them. Panels of keys that no row sees are zero. */
static void back_rows(struct back *t, const struct pair *b, size_t z, size_t m)
{
	const struct math *x = &t->x;
	struct view top = view_of(t->s, t->f, b->i + z), end = view_of(t->s, t->f, b->i + z + m - 1);
	size_t a = (b->i + z) * deep(x, t->d), seen = least(b->keys, end.hi - b->first);
	size_t wide = div_up(seen, x->nr) * x->nr;
	float *p = t->p + z * B, *ds = t->ds + z * B;
	int whole = top.hi >= b->first + B && end.lo <= b->first;
	scores(x, p, packed(x, element(x, t->qa, a), m, t->d), t->kt, t->d, wide, m);
	scores(x, ds, packed(x, element(x, t->da, a), m, t->d), t->vt, t->d, wide, m);
	for (size_t y = 0; y < m; y++, p += B, ds += B) {
		size_t r = b->i + z + y;
		if (!whole)
			mask(p, b->first, view_of(t->s, t->f, r));
		x->kn->softmax_back(p, ds, wide, t->s->scale, t->lse[r], t->delta[r]);
		memset(p + wide, 0, (B - wide) * sizeof *p);
		memset(ds + wide, 0, (B - wide) * sizeof *ds);
	}
	gather(x, t->dq + (b->i + z) * t->dw, as_rows(x, t->ds + z * B, t->half, m), t->kb, t->dw, seen,
		b->keys, m);
}

/* sum[keys][dw] += w^T y, w [rows][B], y plain panels. A key's sum begins with the first query that sees it.
 */
static void back_gather(struct back *t, const struct pair *b, float *sum, const float *w, const void *plain)
{
	const struct math *x = &t->x;
	size_t rows = b->rows - b->from;
	struct left turned = as_columns(x, w + b->from * B, t->half, rows);
	for (size_t j = 0; j < b->keys; j += x->mr) {
		size_t sees = b->first + j, begin = b->i + b->from, skip = 0;
		if (!t->s->not_causal && sees > begin)
			skip = (sees - begin) / 2 * 2;
		if (skip >= rows)
			break;
		struct left a = from_row(x, turned, j);
		a.p = element(x, a.p, skip * a.aks);
		gather(x, sum + j * t->dw, a, element(x, plain, (b->from + skip) * x->nr), t->dw, rows - skip,
			b->rows, least(x->mr, b->keys - j));
	}
}

static void back_keys(struct back *t, size_t first)
{
	const struct math *x = &t->x;
	size_t n = t->f->n, keys = least(B, n - first), stride = t->l->kv_stride;
	size_t at = first * stride + t->kv_head * t->l->kv_head_stride, next = least(B, n - first - keys);
	fetch(x, element(x, t->f->k, at + keys * stride), stride, t->d, next);
	fetch(x, element(x, t->f->v, at + keys * stride), stride, t->d, next);
	pack_turned(x, t->kt, element(x, t->f->k, at), stride, t->d, keys);
	pack_turned(x, t->vt, element(x, t->f->v, at), stride, t->d, keys);
	pack_plain(x, t->kb, keys, element(x, t->f->k, at), stride, t->d, keys);
	for (size_t i = t->s->not_causal ? 0 : first / t->high * t->high; i < n; i += t->high) {
		struct pair b = { first, keys, i, 0, least(t->high, n - i) };
		if (view_of(t->s, t->f, i).lo >= first + keys)
			break;
		/* Whole tiles, and an even number of rows. */
		if (!t->s->not_causal && first > i)
			b.from = (first - i) / (2 * x->mr) * 2 * x->mr;
		for (size_t z = b.from; z < b.rows; z += x->mr)
			back_rows(t, &b, z, least(x->mr, b.rows - z));
		back_gather(t, &b, t->dv + first * t->dw, t->p, element(x, t->db, i * t->dw));
		back_gather(t, &b, t->dk + first * t->dw, t->ds, element(x, t->qb, i * t->dw));
	}
}

/* What a call of flash_backward reads and where its results go. */
struct back_args {
	const void *q, *out, *dout;
	const float *lse;
	flash_store *store;
	const void *ctx;
};

static void back_store(
	const struct back *t, const struct back_args *a, enum flash_grad what, size_t head, float *x)
{
	for (size_t i = 0; what != FLASH_DV && i < t->f->n; i++)
		t->x.kn->scale(x + i * t->dw, t->s->scale, x + i * t->dw, t->d);
	a->store(a->ctx, what, head, t->f->row, t->f->n, x, t->dw);
}

static void back_run(struct back *t, const struct back_args *a)
{
	size_t group = t->s->heads / t->s->kv_heads, bytes = t->f->n * t->dw * sizeof(float);
	memset(t->dk, 0, bytes);
	memset(t->dv, 0, bytes);
	for (size_t h = t->kv_head * group; h < (t->kv_head + 1) * group; h++) {
		back_pack_head(t, h, a->q, a->out, a->lse, a->dout);
		for (size_t first = 0; first < t->f->n; first += B)
			back_keys(t, first);
		back_store(t, a, FLASH_DQ, h, t->dq);
	}
	back_store(t, a, FLASH_DK, t->kv_head, t->dk);
	back_store(t, a, FLASH_DV, t->kv_head, t->dv);
}

void flash_backward(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs, const void *q, const void *out, const float *lse, const void *dout, flash_store *store,
	const void *ctx)
{
	ASSERT(s->kv_heads && s->heads % s->kv_heads == 0 && s->scale > 0);
	struct back_args args = { q, out, dout, lse, store, ctx };
	size_t longest = 0;
	for (size_t i = 0; i < nseqs; i++) {
		ASSERT(seqs[i].past == 0);
		longest = most(longest, seqs[i].n);
	}
	struct back proto = { .s = s, .l = l, .x = math_of(s), .d = s->head_dim };
	ASSERT(B % proto.x.nr == 0);
	proto.dw = div_up(s->head_dim, proto.x.nr) * proto.x.nr;
	size_t part = back_scratch(&proto, longest, NULL);
	need_parts(part);
#pragma omp parallel
	{
		math_begin(&proto.x);
#pragma omp for schedule(dynamic, 1)
		for (size_t u = 0; u < nseqs * s->kv_heads; u++) {
			struct back t = proto;
			t.f = &seqs[u / s->kv_heads];
			t.kv_head = u % s->kv_heads;
			back_scratch(&t, longest, my_part(part));
			back_run(&t, &args);
		}
		stream_end(proto.x.kn);
		math_end(&proto.x);
	}
}
