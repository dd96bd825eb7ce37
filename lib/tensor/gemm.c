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
#define SLICE_BYTES 4096       /* of k, at most: 1024 in f32, 2048 in bf16 */
#define SLICE_UNIT 32          /* a slice's k is a multiple of it */
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
	const struct row_source *source; /* B: not NULL: not packed yet */
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
		return (struct side){ t, is_a ? q->mr : q->nr, count, k, k, 4, is_a, p, 0, NULL };
	size_t rows = is_a && q->pack_rows_bf16 ? packed_row(k) : 0;
	return (struct side){ t, is_a ? q->mr16 : q->nr16, count, k, k + k % 2, 2, is_a, p, rows, NULL };
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

/* k of one tile of B from `from` on, in `to`. */
static void fill(
	const struct side *s, const struct row_source *source, size_t tile, size_t from, size_t k, char *to)
{
	float buf[ROWS_MOST * ROWS_DEEP];
	size_t n = width_of(s, tile), pitch;
	for (size_t at = 0; at < k; at += ROWS_DEEP) {
		size_t deep = least(ROWS_DEEP, k - at);
		const void *x = source->rows(source->ctx, tile * s->width, n, from + at, deep, buf, &pitch);
		pack_piece(s, to + at * s->width * s->esize, s->width,
			(struct mat){ x, source->type, 1, pitch / dtype_size(source->type) }, 0, 0, deep, n);
	}
}

void panels_fill(struct panels *p, const struct row_source *from)
{
	struct side s = side_of(p->dtype, 0, p->n, p->k, p->p);
	ASSERT(s.width <= ROWS_MOST && (from->type == DTYPE_F32 || from->type == p->dtype));
#pragma omp parallel for schedule(dynamic, 4) if ((double)p->n * (double)p->k > SERIAL)
	for (size_t t = 0; t < tiles_of(&s); t++)
		fill(&s, from, t, 0, s.k, tile_at(&s, t, s.width, 0));
}

static struct scratch scratch; /* packed A */
static struct scratch blocks;  /* of C, one a thread */

void gemm_release(void)
{
	scratch_release(&scratch);
	scratch_release(&blocks);
}

/* How tiles and panels make tasks. Panels are counted in each of `parts` parts of C. */
struct plan {
	size_t tall, high;   /* tile rows of a task; tasks that stand above one another */
	size_t wide, across; /* panels of a task; tasks side by side */
	size_t parts, panels;
};

/* Columns in spans as wide as leaves every one of `threads` some tasks to choose from. */
static struct plan plan_of(
	const struct side *a, const struct side *b, const struct gemm_out *o, size_t threads)
{
	/* Parts that are no whole panels stay together. */
	size_t parts = most(1, o->parts), whole = b->count % (parts * b->width) != 0, unit = 1;
	struct plan p = { .parts = whole ? 1 : parts, .panels = tiles_of(b) };
	p.panels /= p.parts;
	if (parts > 1 && whole)
		unit = p.panels;
	while (unit * b->width % most(1, o->unit))
		unit++;
	size_t tiles = tiles_of(a);
	p.high = div_up(tiles * a->width, block_rows(a));
	p.tall = div_up(tiles, p.high);
	size_t spans = most(div_up(b->count, SPAN), div_up(threads * 6, p.high));
	p.wide = least(div_up(div_up(p.panels, least(spans, p.panels)), unit) * unit, p.panels);
	p.across = div_up(p.panels, p.wide);
	p.high = div_up(tiles, p.tall);
	return p;
}

/* Tiles [i0, i1) of A by panels [j0, j1) of each part of B make a block at c. */
struct task {
	const struct kern *kern;
	const struct side *a, *b;
	const struct gemm_out *o;
	size_t i0, i1, j0, j1, parts, panels;
	float *c;
	size_t ldc;
};

/* Lines of C that a tile is going to write are fetched while it is computed: a tile's stores would wait for
 * them. (Not inlined, gcc 12 takes it for a function without effect, and drops it.) */
static inline __attribute__((always_inline)) void expect(const float *c, size_t ldc, size_t m, size_t n)
{
	for (size_t r = 0; r < m; r++, c += ldc) {
		for (size_t j = 0; j < n; j += 16)
			__builtin_prefetch(c + j, 1);
		__builtin_prefetch(c + n - 1, 1);
	}
}

/* Tile row i by panel j, k from `from` on, where bp has the panel's, into c. */
static void tile(const struct task *t, size_t i, size_t j, size_t from, size_t k, const void *bp, float *c)
{
	const struct kern *q = t->kern;
	const struct side *a = t->a, *b = t->b;
	const struct gemm_out *o = t->o;
	size_t m = width_of(a, i), n = width_of(b, j), ldc = t->ldc, ld0 = ldc;
	/* in elements of f32 or pairs of bf16: 4 bytes either way */
	size_t ars = a->lies ? a->lies / 4 : 1, aks = a->lies ? 1 : m;
	const void *ap = tile_at(a, i, m, from);
	size_t row = i * a->width, column = j * b->width;
	const float *c0 = c;
	if (!from && o->from) {
		c0 = o->from + row * o->ldfrom + column;
		ld0 = o->ldfrom;
	} else if (!from) {
		c0 = o->bias ? o->bias + column : NULL;
		ld0 = 0;
	}
	if (c0 != c && !o->done)
		expect(c, ldc, m, n);
	if (!from && o->from)
		expect(c0 + a->width * ld0, ld0, m, n); /* the next tile's */
	if (a->dtype == DTYPE_F32)
		q->tile_f32(k, ap, ars, aks, bp, c0, ld0, c, ldc, m, n);
	else
		q->tile_bf16(k, ap, ars, aks, bp, c0, ld0, c, ldc, m, n);
	if (from + k == a->k && o->from && o->bias)
		for (size_t r = 0; r < m; r++)
			q->add(c + r * ldc, o->bias + column, n);
}

/* Slices of k are about equal. A single tile row, as in decoding, reads B once from end to end. */
static size_t slice_of(const struct task *t)
{
	size_t k = t->a->k, most_k = SLICE_BYTES / t->a->esize;
	if (t->i1 - t->i0 == 1 || k <= most_k)
		return most(1, k);
	return div_up(div_up(k, div_up(k, most_k)), SLICE_UNIT) * SLICE_UNIT;
}

/* The panel of B that is the j-th of a task, and where its columns of tile row i begin. */
static size_t task_panel(const struct task *t, size_t j)
{
	size_t wide = t->j1 - t->j0;
	return j / wide * t->panels + t->j0 + j % wide;
}

static float *task_tile(const struct task *t, size_t i, size_t j)
{
	return t->c + (i - t->i0) * t->a->width * t->ldc + j * t->b->width;
}

static void multiply_block(const struct task *t)
{
	size_t slice = slice_of(t), panels = (t->j1 - t->j0) * t->parts, k = t->a->k;
	for (size_t from = 0; from == 0 || from < k; from += slice)
		for (size_t j = 0; j < panels; j++) {
			size_t panel = task_panel(t, j);
			const void *b = tile_at(t->b, panel, t->b->width, from);
			for (size_t i = t->i0; i < t->i1; i++)
				tile(t, i, panel, from, least(slice, k - from), b, task_tile(t, i, j));
		}
}

/* The same where panels are yet to be made: piece by piece, in the first levels of the cache. */
static void pass_block(const struct task *t)
{
	_Alignas(64) char piece[ROWS_MOST * ROWS_DEEP * sizeof(float)];
	size_t panels = (t->j1 - t->j0) * t->parts, k = t->a->k;
	for (size_t j = 0; j < panels; j++)
		for (size_t from = 0; from == 0 || from < k; from += ROWS_DEEP) {
			size_t panel = task_panel(t, j), deep = least(ROWS_DEEP, k - from);
			fill(t->b, t->b->source, panel, from, deep, piece);
			for (size_t i = t->i0; i < t->i1; i++)
				tile(t, i, panel, from, deep, piece, task_tile(t, i, j));
		}
}

/* Hands a finished block on. */
static void pass_on(const struct task *t, size_t first)
{
	const struct gemm_out *o = t->o;
	size_t row = t->i0 * t->a->width, col = t->j0 * t->b->width, wide = (t->j1 - t->j0) * t->b->width;
	size_t each = t->b->count / most(1, o->parts); /* columns of a part */
	struct gemm_block block = { .row = first + row,
		.rows = least(t->i1 * t->a->width, t->a->count) - row,
		.col = col,
		.cols = least(wide, each - col),
		.c = t->c,
		.ldc = t->ldc,
		.pitch = t->parts == 1 ? each : wide };
	o->done(o->ctx, &block);
}

/* All tasks of one chunk of rows, which begins with row `first`. Inside a parallel region: shares the work,
 * and waits. block: room for a thread's block of C. */
static void multiply(
	const struct side *a, const struct side *b, const struct gemm_out *o, size_t first, float *block)
{
	struct plan p = plan_of(a, b, o, (size_t)omp_get_num_threads());
	if (a->dtype == DTYPE_BF16)
		tiles_begin(kern());
#pragma omp for schedule(dynamic, 1) nowait
	for (size_t u = 0; u < p.high * p.across; u++) {
		size_t i = u / p.across * p.tall, j = u % p.across * p.wide;
		struct task t = { kern(), a, b, o, i, least(i + p.tall, tiles_of(a)), j,
			least(j + p.wide, p.panels), p.parts, p.panels, block,
			(p.wide * p.parts) * b->width };
		if (!o->done) {
			t.c = o->c + i * a->width * o->ldc + j * b->width;
			t.ldc = o->ldc;
		}
		(b->source ? pass_block : multiply_block)(&t);
		if (o->done)
			pass_on(&t, first);
	}
	stream_end(kern());
	if (a->dtype == DTYPE_BF16)
		tiles_end(kern());
#pragma omp barrier
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

/* Room for a block of C of every thread; floats of one. */
static size_t need_blocks(const struct side *a, const struct side *b, const struct gemm_out *o)
{
	struct plan p = plan_of(a, b, o, 1); /* with more, blocks are smaller */
	size_t n = o->done ? p.tall * a->width * p.wide * p.parts * b->width : 0;
	scratch_need(&blocks, n * sizeof(float) * (size_t)omp_get_max_threads());
	return n;
}

void gemm(size_t m, struct mat a, const struct panels *b, struct gemm_out o)
{
	ASSERT(a.t == DTYPE_F32 || a.t == b->dtype);
	ASSERT(!o.done || (!o.c && !o.from));
	if (!m || !b->n)
		return;
	struct side bs = side_of(b->dtype, 0, b->n, b->k, b->p), as = side_of(b->dtype, 1, m, b->k, NULL);
	bs.source = b->p ? NULL : b->source;
	int lies = lies_well(&as, a);
	size_t rows = as.count = lies ? m : least(m, chunk_rows(m, &as));
	size_t block = need_blocks(&as, &bs, &o);
	if (lies)
		as.lies = a.rs * as.esize;
	else
		as.p = scratch_need(&scratch, side_bytes(&as));
#pragma omp parallel firstprivate(as) if ((double)m * (double)b->n * (double)b->k > SERIAL)
	for (size_t from = 0; from < m; from += rows) {
		struct gemm_out part = o;
		size_t at = from * a.rs * dtype_size(a.t);
		part.c = o.c ? o.c + from * o.ldc : NULL;
		part.from = o.from ? o.from + from * o.ldfrom : NULL;
		as.count = least(rows, m - from);
		if (lies)
			as.p = (char *)a.p + at;
		else
			pack_side(&as, (struct mat){ (const char *)a.p + at, a.t, a.cs, a.rs });
		multiply(&as, &bs, &part, from, (float *)blocks.p + block * (size_t)omp_get_thread_num());
	}
}
