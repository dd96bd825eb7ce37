#include "train/polar.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#define STEPS 5
#define NS_A 3.4445f
#define NS_B (-4.7750f)
#define NS_C 2.0315f

#define SLICE 256     /* of k, even: a slice of a panel stays in the first-level cache */
#define TASK_TILES 12 /* tiles of A that a task takes past one panel of B */

/* Rows of A or columns of B, packed in tiles of `width`; A's last tile is as wide as what is left. */
struct side {
	size_t width, count, k;
	int tight;
	char *p;
};

struct work {
	enum dtype dtype;
	size_t esize;
	char *a, *b;        /* room for packed sides */
	float *gram, *poly; /* [s, s] */
};

/* c [a's rows, b's columns], rows ldc apart: first * c + a b. */
struct product {
	struct side a, b;
	float *c;
	size_t ldc;
	float first;       /* 0: c is not read */
	int symmetric;     /* the result is: half of it is computed */
	const float *gram; /* symmetric: c <- NS_B * gram + NS_C * c, NULL: as it is */
};

static size_t tiles_of(const struct side *s)
{
	return (s->count + s->width - 1) / s->width;
}

static size_t width_of(const struct side *s, size_t tile)
{
	return least(s->width, s->count - tile * s->width);
}

static size_t even(size_t k)
{
	return k + k % 2;
}

/* Where slice `from` of a tile begins. */
static void *tile_at(const struct work *w, const struct side *s, size_t tile, size_t from)
{
	size_t width = s->tight ? width_of(s, tile) : s->width;
	return s->p + (tile * s->width * even(s->k) + from * width) * w->esize;
}

static struct side side_of(const struct work *w, int is_a, size_t count, size_t k)
{
	const struct kern *q = kern();
	size_t mr = w->dtype == DTYPE_F32 ? q->mr : q->mr16, nr = w->dtype == DTYPE_F32 ? q->nr : q->nr16;
	return (struct side){ is_a ? mr : nr, count, k, is_a, is_a ? w->a : w->b };
}

/* Element (i, j) = x[i * ks + j * js], i < k, j < count. Inside a parallel region, as all that follows. */
static void pack(const struct work *w, const struct side *s, const float *x, size_t ks, size_t js)
{
	const struct kern *q = kern();
#pragma omp for schedule(static)
	for (size_t from = 0; from < s->k; from += SLICE) {
		size_t k = least(SLICE, s->k - from);
		for (size_t t = 0; t < tiles_of(s); t++) {
			size_t n = width_of(s, t), width = s->tight ? n : s->width;
			const float *at = x + from * ks + t * s->width * js;
			if (w->dtype == DTYPE_F32)
				q->pack_f32(tile_at(w, s, t, from), width, at, ks, js, k, n);
			else
				q->pack_bf16(tile_at(w, s, t, from), width, at, ks, js, k, n);
		}
	}
}

/* Is the tile of A's rows from i and B's columns from j computed? */
static int computed(const struct product *p, size_t i, size_t j)
{
	return !p->symmetric || j + p->b.width > i;
}

/* A tile of a symmetric result: the polynomial, and its mirror where no tile is computed. */
static void finish(const struct product *p, size_t i0, size_t m, size_t j0, size_t n)
{
	for (size_t i = i0; p->gram && i < i0 + m; i++) {
		const float *g = p->gram + i * p->ldc;
		float *c = p->c + i * p->ldc;
#pragma omp simd
		for (size_t j = j0; j < j0 + n; j++)
			c[j] = NS_B * g[j] + NS_C * c[j];
	}
	for (size_t j = j0; j < j0 + n; j++) {
		/* Rows of A's tile that has row j, columns of the panels in front of it. */
		size_t row = j / p->a.width * p->a.width, end = row / p->b.width * p->b.width;
		for (size_t i = i0; i < i0 + m && i < end; i++)
			p->c[j * p->ldc + i] = p->c[i * p->ldc + j];
	}
}

static void one_slice(const struct work *w, const struct product *p, size_t ti, size_t tj, size_t from)
{
	size_t i = ti * p->a.width, j = tj * p->b.width, m = width_of(&p->a, ti), n = width_of(&p->b, tj);
	size_t k = least(SLICE, p->a.k - from);
	float *c = p->c + i * p->ldc + j;
	const float *c0 = from || p->first != 0 ? c : NULL;
	for (size_t r = 0; !from && p->first != 0 && r < m; r++)
		kern()->scale(c + r * p->ldc, p->first, c + r * p->ldc, n);
	const void *a = tile_at(w, &p->a, ti, from), *b = tile_at(w, &p->b, tj, from);
	if (w->dtype == DTYPE_F32)
		kern()->tile_f32(k, a, 1, m, b, c0, p->ldc, c, p->ldc, m, n);
	else
		kern()->tile_bf16(k, a, 1, m, b, c0, p->ldc, c, p->ldc, m, n);
}

static void multiply(const struct work *w, const struct product *p)
{
	size_t tiles = tiles_of(&p->a), blocks = (tiles + TASK_TILES - 1) / TASK_TILES;
#pragma omp for schedule(dynamic, 1)
	for (size_t t = 0; t < blocks * tiles_of(&p->b); t++) {
		size_t tj = t / blocks, first = t % blocks * TASK_TILES,
		       end = least(first + TASK_TILES, tiles);
		size_t j = tj * p->b.width;
		while (end > first && !computed(p, (end - 1) * p->a.width, j))
			end--;
		for (size_t from = 0; from < p->a.k; from += SLICE)
			for (size_t ti = first; ti < end; ti++)
				one_slice(w, p, ti, tj, from);
		for (size_t ti = first; p->symmetric && ti < end; ti++)
			finish(p, ti * p->a.width, width_of(&p->a, ti), j, width_of(&p->b, tj));
	}
}

/* c [s, s] = x^T x, x [k, s]; with a Gram matrix: its polynomial, x being that matrix. */
static void square(const struct work *w, const float *x, size_t k, size_t s, float *c, const float *gram)
{
	struct product p = { side_of(w, 1, s, k), side_of(w, 0, s, k), c, s, 0, 1, gram };
	pack(w, &p.a, x, s, 1);
	pack(w, &p.b, x, s, 1);
	multiply(w, &p);
}

static void step(const struct work *w, float *z, size_t l, size_t s)
{
	square(w, z, l, s, w->gram, NULL);
	square(w, w->gram, s, s, w->poly, w->gram);
	struct product p = { side_of(w, 1, l, s), side_of(w, 0, s, s), z, s, NS_A, 0, NULL };
	pack(w, &p.a, z, 1, s);
	pack(w, &p.b, w->poly, s, 1);
	multiply(w, &p);
}

/* Bytes of both packed sides, each from its own cache line on. */
static void side_bytes(const struct work *w, size_t l, size_t s, size_t *a, size_t *b)
{
	struct side tall = side_of(w, 1, l, s), wide = side_of(w, 1, s, l), panels = side_of(w, 0, s, l);
	size_t x = mul_size(tiles_of(&tall) * tall.width, even(s));
	size_t y = mul_size(tiles_of(&wide) * wide.width, even(l));
	*a = (mul_size(x > y ? x : y, w->esize) + 63) / 64 * 64;
	*b = (mul_size(mul_size(tiles_of(&panels) * panels.width, even(l)), w->esize) + 63) / 64 * 64;
}

static struct work work_of(enum dtype t)
{
	ASSERT(t == DTYPE_F32 || t == DTYPE_BF16);
	return (struct work){ t, t == DTYPE_F32 ? 4 : 2, NULL, NULL, NULL, NULL };
}

size_t polar_bytes(enum dtype t, size_t l, size_t s)
{
	struct work w = work_of(t);
	size_t a, b;
	side_bytes(&w, l, s, &a, &b);
	return add_size(add_size(a, b), mul_size(2 * sizeof(float), mul_size(s, s)));
}

void polar(enum dtype t, float *z, size_t l, size_t s, void *scratch)
{
	struct work w = work_of(t);
	size_t a, b;
	side_bytes(&w, l, s, &a, &b);
	w.a = scratch;
	w.b = w.a + a;
	w.gram = (float *)(void *)(w.b + b);
	w.poly = w.gram + s * s;
#pragma omp parallel
	for (int i = 0; i < STEPS; i++)
		step(&w, z, l, s);
}
