#include "tensor/gemm.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <omp.h>

/*
 * The order of work (Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication"): A is
 * packed in chunks of rows by all threads together; then tasks, a block of rows by a span of columns, are
 * handed out. A task walks k in slices: a slice of its rows stays in the second-level cache while B's panels
 * pass by, one slice of a panel in the first level serves all tiles of the block. C waits between slices in
 * memory, which does not change a bit.
 */
#define ROWS 168               /* of a block, at most */
#define SLICE_BYTES 1536       /* of k: 384 in f32, 768 in bf16 */
#define SPAN 384               /* columns of a task, at most */
#define CHUNK_BYTES (4u << 20) /* of packed A, about */
#define PACK_DEEP 256          /* k of one piece of packing; even */
#define PACK_SIDE 8            /* tiles of one piece */
#define SERIAL 150000.0        /* multiplications not worth waking threads for */

/* One operand: tiles of `width` rows of A or columns of B. Packed, they stand one behind another; A may also
 * be read where it lies, and is packed in rows for kernels that want those. */
struct side {
	enum dtype dtype;
	size_t width, count, k;
	size_t deep, esize; /* k as packed, even for bf16; bytes of an element */
	int tight;          /* A: the last tile is as wide as what is left; B: filled up with zeros */
	char *p;
	size_t lies; /* 0: packed with tiles' k apart; else in rows: the bytes from row to row */
};

/* Bytes from row to row of A packed in rows: an odd number of lines, so that rows spread over the sets of a
 * cache. */
static size_t packed_row(size_t k)
{
	return (div_up(k * sizeof(uint16_t), 64) | 1) * 64;
}

static struct side side_of(enum dtype t, int is_a, size_t count, size_t k, void *p)
{
	const struct kern *q = kern();
	ASSERT(t == DTYPE_F32 || t == DTYPE_BF16);
	if (t == DTYPE_F32)
		return (struct side){ t, is_a ? q->mr : q->nr, count, k, k, 4, is_a, p, 0 };
	size_t rows = is_a && q->pack_rows_bf16 ? packed_row(k) : 0;
	return (struct side){ t, is_a ? q->mr16 : q->nr16, count, k, k + k % 2, 2, is_a, p, rows };
}

/* Rows of a block: whole tiles. */
static size_t block_rows(const struct side *a)
{
	return ROWS / a->width * a->width;
}

static size_t tiles_of(const struct side *s)
{
	return div_up(s->count, s->width);
}

static size_t width_of(const struct side *s, size_t tile)
{
	return least(s->width, s->count - tile * s->width);
}

/* Where a tile's k begins to be `from`; `width` is the tile's as packed. */
static void *tile_at(const struct side *s, size_t tile, size_t width, size_t from)
{
	if (s->lies)
		return s->p + tile * s->width * s->lies + from * s->esize;
	return s->p + (tile * s->width * s->deep + from * width) * s->esize;
}

static void pack_piece(
	const struct side *s, void *y, size_t width, struct mat x, size_t i, size_t j, size_t k, size_t n)
{
	const struct kern *q = kern();
	size_t at = i * x.rs + j * x.cs;
	if (s->dtype == DTYPE_F32)
		q->pack_f32(y, width, (const float *)x.p + at, x.rs, x.cs, k, n);
	else if (s->lies && x.t == DTYPE_F32)
		q->pack_rows_bf16(y, s->lies / 4, (const float *)x.p + at, x.rs, x.cs, k, n);
	else if (s->lies)
		q->repack_rows_bf16(y, s->lies / 4, (const uint16_t *)x.p + at, x.rs, x.cs, k, n);
	else if (x.t == DTYPE_F32)
		q->pack_bf16(y, width, (const float *)x.p + at, x.rs, x.cs, k, n);
	else
		q->repack_bf16(y, width, (const uint16_t *)x.p + at, x.rs, x.cs, k, n);
}

/* Packs x [k, count]. Inside a parallel region: shares the work, and waits. Pieces are short in k, so that
 * their lines and pages are still near when the next tile reads beside them. */
static void pack_side(const struct side *s, struct mat x)
{
	size_t groups = div_up(tiles_of(s), PACK_SIDE), slices = div_up(s->k, PACK_DEEP);
#pragma omp for schedule(static)
	for (size_t u = 0; u < groups * slices; u++) {
		size_t from = u % slices * PACK_DEEP, k = least(PACK_DEEP, s->k - from);
		size_t begin = u / slices * PACK_SIDE, end = least(begin + PACK_SIDE, tiles_of(s));
		for (size_t t = begin; t < end; t++) {
			size_t n = width_of(s, t), width = s->tight ? n : s->width;
			pack_piece(s, tile_at(s, t, width, from), width, x, from, t * s->width, k, n);
		}
	}
}

static size_t side_bytes(const struct side *s)
{
	return mul_size(mul_size(tiles_of(s), s->width), s->lies ? s->lies : mul_size(s->deep, s->esize));
}

size_t panels_bytes(enum dtype dtype, size_t k, size_t n)
{
	struct side b = side_of(dtype, 0, n, k, NULL);
	return side_bytes(&b);
}

void panels_pack(struct panels *p, struct mat b)
{
	struct side s = side_of(p->dtype, 0, p->n, p->k, p->p);
	ASSERT(b.t == DTYPE_F32 || b.t == p->dtype);
#pragma omp parallel if ((double)p->n * (double)p->k > SERIAL)
	pack_side(&s, b);
}

void panels_fill(struct panels *p, rows_fn *rows, const void *ctx)
{
	struct side s = side_of(p->dtype, 0, p->n, p->k, p->p);
	ASSERT(s.width <= ROWS_MOST);
#pragma omp parallel for schedule(dynamic, 4) if ((double)p->n * (double)p->k > SERIAL)
	for (size_t t = 0; t < tiles_of(&s); t++) {
		float buf[ROWS_MOST * ROWS_DEEP];
		size_t n = width_of(&s, t), pitch;
		for (size_t from = 0; from < s.k; from += ROWS_DEEP) {
			size_t k = least(ROWS_DEEP, s.k - from);
			const void *x = rows(ctx, t * s.width, n, from, k, buf, &pitch);
			pack_piece(&s, tile_at(&s, t, s.width, from), s.width,
				(struct mat){ x, DTYPE_F32, 1, pitch / sizeof(float) }, 0, 0, k, n);
		}
	}
}

static struct scratch scratch;

void gemm_release(void)
{
	scratch_release(&scratch);
}

/* Tile row i by panel j, k from `from` on. */
static void tile(const struct side *a, const struct side *b, const struct gemm_out *o, size_t i, size_t j,
	size_t from, size_t k)
{
	const struct kern *q = kern();
	size_t m = width_of(a, i), n = width_of(b, j), ldc = o->ldc, ld0 = ldc;
	/* in elements of f32 or pairs of bf16: 4 bytes either way */
	size_t ars = a->lies ? a->lies / 4 : 1, aks = a->lies ? 1 : m;
	const void *ap = tile_at(a, i, m, from), *bp = tile_at(b, j, b->width, from);
	size_t row = i * a->width, column = j * b->width;
	float *c = o->c + row * ldc + column;
	const float *c0 = c;
	if (!from && o->from) {
		c0 = o->from + row * o->ldfrom + column;
		ld0 = o->ldfrom;
	} else if (!from) {
		c0 = o->bias ? o->bias + column : NULL;
		ld0 = 0;
	}
	if (a->dtype == DTYPE_F32)
		q->tile_f32(k, ap, ars, aks, bp, c0, ld0, c, ldc, m, n);
	else
		q->tile_bf16(k, ap, ars, aks, bp, c0, ld0, c, ldc, m, n);
	if (from + k == a->k && o->from && o->bias)
		for (size_t r = 0; r < m; r++)
			q->add(c + r * ldc, o->bias + column, n);
}

/* Tiles [i0, i1) of A by panels [j0, j1) of B. */
static void task(const struct side *a, const struct side *b, const struct gemm_out *o, size_t i0, size_t i1,
	size_t j0, size_t j1)
{
	/* A single tile row, as in decoding, reads B once from end to end. */
	size_t slice = i1 - i0 == 1 ? a->k : SLICE_BYTES / a->esize;
	for (size_t from = 0; from == 0 || from < a->k; from += slice)
		for (size_t j = j0; j < j1; j++)
			for (size_t i = i0; i < i1; i++)
				tile(a, b, o, i, j, from, least(slice, a->k - from));
}

/* All tasks of one chunk of rows. Inside a parallel region: shares the work, and waits. */
static void multiply(const struct side *a, const struct side *b, const struct gemm_out *o)
{
	size_t tiles = tiles_of(a), panels = tiles_of(b);
	size_t blocks = div_up(tiles * a->width, block_rows(a));
	size_t tall = div_up(tiles, blocks);
	/* Columns in spans as wide as leaves every thread some tasks to choose from. */
	size_t want = div_up((size_t)omp_get_num_threads() * 6, blocks);
	size_t spans = div_up(b->count, SPAN);
	spans = least(spans > want ? spans : want, panels);
	size_t wide = div_up(panels, spans);
	spans = div_up(panels, wide);
	blocks = div_up(tiles, tall);
	if (a->dtype == DTYPE_BF16)
		tiles_begin(kern());
#pragma omp for schedule(dynamic, 1)
	for (size_t t = 0; t < blocks * spans; t++) {
		size_t i = t / spans * tall, j = t % spans * wide;
		task(a, b, o, i, least(i + tall, tiles), j, least(j + wide, panels));
	}
	if (a->dtype == DTYPE_BF16)
		tiles_end(kern());
}

/* Rows of A packed at a time: all, or equal parts of about CHUNK_BYTES, in whole blocks. */
static size_t chunk_rows(size_t m, const struct side *a)
{
	size_t block = block_rows(a), most = CHUNK_BYTES / (a->deep * a->esize + 1) / block * block;
	size_t floor = block * 2 * (size_t)omp_get_max_threads();
	most = most > floor ? most : floor;
	return div_up(div_up(m, div_up(m, most)), block) * block;
}

/* Rows of the arithmetic's type with k contiguous are read where they lie, unless so many of them share a set
 * of the first cache that they push one another out. */
static int lies_well(const struct side *s, struct mat a)
{
	size_t row = a.rs * s->esize;
	int even = s->dtype == DTYPE_F32 || (s->k % 2 == 0 && a.rs % 2 == 0 && (uintptr_t)a.p % 4 == 0);
	return a.t == s->dtype && a.cs == 1 && even && (row % 2048 != 0 || s->count <= 4);
}

void gemm(size_t m, struct mat a, const struct panels *b, struct gemm_out o)
{
	ASSERT(a.t == DTYPE_F32 || a.t == b->dtype);
	if (!m || !b->n)
		return;
	struct side bs = side_of(b->dtype, 0, b->n, b->k, b->p), as = side_of(b->dtype, 1, m, b->k, NULL);
	int lies = lies_well(&as, a);
	size_t rows = as.count = lies ? m : least(m, chunk_rows(m, &as));
	if (lies)
		as.lies = a.rs * as.esize;
	else
		as.p = scratch_need(&scratch, side_bytes(&as));
#pragma omp parallel firstprivate(as) if ((double)m * (double)b->n * (double)b->k > SERIAL)
	for (size_t from = 0; from < m; from += rows) {
		struct gemm_out part = o;
		size_t at = from * a.rs * dtype_size(a.t);
		part.c += from * o.ldc;
		part.from = o.from ? o.from + from * o.ldfrom : NULL;
		as.count = least(rows, m - from);
		if (lies)
			as.p = (char *)a.p + at;
		else
			pack_side(&as, (struct mat){ (const char *)a.p + at, a.t, a.cs, a.rs });
		multiply(&as, &bs, &part);
	}
}
