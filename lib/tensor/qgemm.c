#include "tensor/qgemm.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <omp.h>

/*
 * The order of work: A is packed in chunks of rows; then tasks, a block of rows by a span of panels, are
 * handed out. A task walks its panels one by one, each from end to end for every tile of rows: a panel of the
 * largest k fits the second-level cache, and a tile's sums never leave the registers.
 *
 * A single tile of rows (decoding) waits for the weights: there every thread reads long stretches of panels,
 * for the memory gives far less to short ones.
 */
#define BLOCK_BYTES (256u << 10) /* of packed A that stay near while panels pass by */
#define CHUNK_BYTES (4u << 20)   /* of packed A at a time, about */
#define SPANS 16                 /* a thread, at most: enough to even out their speeds */
#define SERIAL 150000.0          /* multiplications not worth waking threads for */
#define ALONE 16384              /* values that every thread packs for itself sooner than waiting */

static size_t groups_of(const struct qpanels *b)
{
	return div_up(b->k, QGROUP);
}

size_t qpanels_bytes(enum qform form, size_t k, size_t n)
{
	const struct kern_qgemm *q = kern()->qgemm;
	return mul_size(div_up(n, q->nr), qpanel_bytes(form, q->nr, div_up(k, QGROUP)));
}

static size_t panel_bytes(const struct qpanels *p)
{
	return qpanel_bytes(p->form, kern()->qgemm->nr, groups_of(p));
}

/* Panel j, in `to`. */
static void fill(const struct qpanels *p, const struct row_source *source, size_t j, char *to)
{
	const struct kern_qgemm *q = kern()->qgemm;
	float buf[ROWS_MOST * ROWS_DEEP];
	size_t nr = q->nr, n = least(nr, p->n - j * nr), pitch;
	for (size_t from = 0; from < p->k; from += ROWS_DEEP) {
		size_t k = least(ROWS_DEEP, p->k - from), g = from / QGROUP;
		const void *blocks = source->rows(source->ctx, j * nr, n, from, k, buf, &pitch);
		q->pack(to, p->form, blocks, pitch, g, g + div_up(k, QGROUP), n);
	}
}

void qpanels_fill(struct qpanels *p, const struct row_source *from)
{
	size_t nr = kern()->qgemm->nr, panel = panel_bytes(p);
	ASSERT(nr <= ROWS_MOST);
#pragma omp parallel for schedule(dynamic, 4) if ((double)p->n * (double)p->k > SERIAL)
	for (size_t j = 0; j < div_up(p->n, nr); j++)
		fill(p, from, j, (char *)p->p + j * panel);
}

static struct scratch scratch;

void qgemm_release(void)
{
	scratch_release(&scratch);
}

/* A chunk of rows and what they are multiplied with. */
struct product {
	const struct kern_qgemm *q;
	const struct qpanels *b;
	size_t groups, row_bytes; /* of a packed row */
	size_t rows, tall;        /* rows of the chunk, of a tile */
	struct mat a;
	struct gemm_out o;
	char *packed;
	char *made; /* a thread's place for a panel that is made in passing; NULL: all are there */
};

static void pack_tile(const struct product *p, size_t tile, char *to)
{
	size_t i = tile * p->tall;
	p->q->pack_act(to + i * p->row_bytes, p->b->form,
		(const char *)p->a.p + i * p->a.rs * dtype_size(p->a.t), p->a.t, p->a.rs, p->b->k,
		least(p->tall, p->rows - i));
}

/* Tile of rows [i, i + tall) by panel j, which is at b. */
static void tile(const struct product *p, const char *packed, size_t i, size_t j, const char *b)
{
	const struct gemm_out *o = &p->o;
	size_t nr = p->q->nr, m = least(p->tall, p->rows - i), n = least(nr, p->b->n - j * nr);
	const float *bias = o->bias ? o->bias + j * nr : NULL;
	float *c = o->c + i * o->ldc + j * nr;
	if (!o->from) {
		p->q->tile[p->b->form](p->groups, packed + i * p->row_bytes, b, bias, 0, c, o->ldc, m, n);
		return;
	}
	p->q->tile[p->b->form](p->groups, packed + i * p->row_bytes, b, o->from + i * o->ldfrom + j * nr,
		o->ldfrom, c, o->ldc, m, n);
	for (size_t r = 0; bias && r < m; r++)
		kern()->add(c + r * o->ldc, bias, n);
}

/* Rows [i0, i1) by panels [j0, j1). */
static void task(const struct product *p, const char *packed, size_t i0, size_t i1, size_t j0, size_t j1)
{
	size_t panel = panel_bytes(p->b);
	for (size_t j = j0; j < j1; j++) {
		char *b = p->made ? p->made : (char *)p->b->p + j * panel;
		if (p->made)
			fill(p->b, p->b->source, j, b);
		for (size_t i = i0; i < i1; i += p->tall)
			tile(p, packed, i, j, b);
	}
}

/* Inside a parallel region: shares the work, and waits. */
static void share(const struct product *p, const char *packed)
{
	size_t high = most(1, BLOCK_BYTES / (p->row_bytes * p->tall + 1)) * p->tall;
	size_t panels = div_up(p->b->n, p->q->nr), blocks = div_up(p->rows, high);
	size_t wide = div_up(panels, least(panels, (size_t)omp_get_num_threads() * SPANS));
	size_t spans = div_up(panels, wide);
	if (p->rows <= p->tall) { /* of one chunk: nobody packs over what others read */
#pragma omp for schedule(guided) nowait
		for (size_t j = 0; j < panels; j++)
			task(p, packed, 0, p->rows, j, j + 1);
		return;
	}
#pragma omp for schedule(dynamic, 1)
	for (size_t t = 0; t < blocks * spans; t++) {
		size_t i = t / spans * high, j = t % spans * wide;
		task(p, packed, i, least(i + high, p->rows), j, least(j + wide, panels));
	}
}

/* The same, by threads made ready for tiles. */
static void multiply(const struct product *p, const char *packed)
{
	if (p->q->tiles_on)
		p->q->tiles_on();
	share(p, packed);
	if (p->q->tiles_off)
		p->q->tiles_off();
}

static const struct kern_qgemm *for_rows(size_t m)
{
	const struct kern *k = kern();
	return k->qgemm_many && m >= k->qgemm_many->least ? k->qgemm_many : k->qgemm;
}

void qgemm(size_t m, struct mat a, const struct qpanels *b, struct gemm_out o)
{
	const struct kern_qgemm *q = for_rows(m);
	struct product p = { .q = q, .b = b, .groups = groups_of(b), .a = a, .o = o };
	ASSERT(a.cs == 1 && (a.t == DTYPE_F32 || a.t == DTYPE_BF16));
	if (!m || !b->n)
		return;
	p.row_bytes = qact_bytes(b->form, q->act, 1, p.groups);
	/* Tiles as even as can be: 8 rows are 4 and 4, not 7 and 1. */
	p.tall = div_up(m, div_up(m, q->mr));
	size_t chunk = least(m, most(1, CHUNK_BYTES / (p.row_bytes * p.tall + 1)) * p.tall);
	int alone = m <= q->mr && m * b->k <= ALONE;
	size_t part = chunk * p.row_bytes, threads = (size_t)omp_get_max_threads();
	size_t panel = b->p ? 0 : panel_bytes(b),
	       parts = div_up(mul_size(part, alone ? threads : 1), 64) * 64;
	p.packed = scratch_need(&scratch, add_size(parts, mul_size(panel, threads)));
#pragma omp parallel firstprivate(p) if ((double)m * (double)b->n * (double)b->k > SERIAL)
	for (size_t from = 0; from < m; from += chunk) {
		p.made = panel ? p.packed + parts + panel * (size_t)omp_get_thread_num() : NULL;
		p.rows = least(chunk, m - from);
		p.a.p = (const char *)a.p + from * a.rs * dtype_size(a.t);
		p.o.c = o.c + from * o.ldc;
		p.o.from = o.from ? o.from + from * o.ldfrom : NULL;
		if (alone) {
			char *own = p.packed + part * (size_t)omp_get_thread_num();
			pack_tile(&p, 0, own);
			multiply(&p, own);
			continue;
		}
#pragma omp for schedule(static)
		for (size_t i = 0; i < div_up(p.rows, p.tall); i++)
			pack_tile(&p, i, p.packed);
		multiply(&p, p.packed);
	}
}
