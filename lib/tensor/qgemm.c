#include "tensor/qgemm.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <omp.h>

/*
 * The order of work: A is packed in chunks of rows; then tasks, a block of rows by a span of panels, are
 * handed out. A task walks its panels one by one, each from end to end for every tile of rows: a panel of the
 * largest k fits the second-level cache, and a tile's sums never leave the registers.
 */
#define BLOCK_BYTES (256u << 10) /* of packed A that stay near while panels pass by */
#define CHUNK_BYTES (4u << 20)   /* of packed A at a time, about */
#define SPANS 16                 /* a thread, at most: enough to even out their speeds */
#define SERIAL 150000.0          /* multiplications not worth waking threads for */
#define ALONE 16384              /* values that every thread packs for itself sooner than waiting */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t most(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t div_up(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

static size_t groups_of(const struct qpanels *b)
{
	return div_up(b->k, QGROUP);
}

size_t qpanels_bytes(enum qform form, size_t k, size_t n)
{
	const struct kern_qgemm *q = kern()->qgemm;
	return mul_size(div_up(n, q->nr), qpanel_bytes(form, q->nr, div_up(k, QGROUP)));
}

/* Groups packed at a time, so that the lines of all rows of a panel stay near. */
#define PACK_DEEP (4 * QSUPER)

void qpanels_pack(struct qpanels *p, size_t j0, size_t n, const void *blocks, size_t row_bytes)
{
	const struct kern_qgemm *q = kern()->qgemm;
	size_t groups = groups_of(p), panel = qpanel_bytes(p->form, q->nr, groups);
	ASSERT(j0 % q->nr == 0 && j0 + n <= p->n);
#pragma omp parallel for schedule(static) if ((double)n * (double)p->k > SERIAL)
	for (size_t j = 0; j < n; j += q->nr)
		for (size_t g = 0; g < groups; g += PACK_DEEP)
			q->pack((char *)p->p + (j0 + j) / q->nr * panel, p->form,
				(const char *)blocks + j * row_bytes, row_bytes, g,
				least(g + PACK_DEEP, groups), least(q->nr, n - j));
}

static struct {
	char *p;
	size_t bytes;
} scratch;

void qgemm_release(void)
{
	mem_free(scratch.p, scratch.bytes);
	scratch.p = NULL;
	scratch.bytes = 0;
}

static char *scratch_need(size_t bytes)
{
	if (bytes > scratch.bytes) {
		qgemm_release();
		scratch.p = mem_alloc(bytes);
		scratch.bytes = bytes;
	}
	return scratch.p;
}

/* A chunk of rows and what they are multiplied with. */
struct product {
	const struct kern_qgemm *q;
	const struct qpanels *b;
	size_t groups, row_bytes; /* of a packed row */
	size_t rows, tall;        /* rows of the chunk, of a tile */
	const float *a, *bias;
	size_t lda;
	float *c;
	size_t ldc;
	char *packed;
};

static void pack_tile(const struct product *p, size_t tile, char *to)
{
	size_t i = tile * p->tall;
	p->q->pack_act(to + i * p->row_bytes, p->b->form, p->a + i * p->lda, p->lda, p->b->k,
		least(p->tall, p->rows - i));
}

/* Rows [i0, i1) by panels [j0, j1). */
static void task(const struct product *p, const char *packed, size_t i0, size_t i1, size_t j0, size_t j1)
{
	size_t nr = p->q->nr, panel = qpanel_bytes(p->b->form, nr, p->groups);
	for (size_t j = j0; j < j1; j++)
		for (size_t i = i0; i < i1; i += p->tall)
			p->q->tile[p->b->form](p->groups, packed + i * p->row_bytes,
				(const char *)p->b->p + j * panel, p->bias ? p->bias + j * nr : NULL, 0,
				p->c + i * p->ldc + j * nr, p->ldc, least(p->tall, p->rows - i),
				least(nr, p->b->n - j * nr));
}

/* Inside a parallel region: shares the work, and waits. */
static void multiply(const struct product *p, const char *packed)
{
	size_t high = most(1, BLOCK_BYTES / (p->row_bytes * p->tall + 1)) * p->tall;
	size_t panels = div_up(p->b->n, p->q->nr), blocks = div_up(p->rows, high);
	size_t wide = div_up(panels, least(panels, (size_t)omp_get_num_threads() * SPANS));
	size_t spans = div_up(panels, wide);
#pragma omp for schedule(dynamic, 1)
	for (size_t t = 0; t < blocks * spans; t++) {
		size_t i = t / spans * high, j = t % spans * wide;
		task(p, packed, i, least(i + high, p->rows), j, least(j + wide, panels));
	}
}

void qgemm(size_t m, const float *a, size_t lda, const struct qpanels *b, const float *bias, float *c,
	size_t ldc)
{
	const struct kern_qgemm *q = kern()->qgemm;
	struct product p = { .q = q, .b = b, .groups = groups_of(b), .bias = bias, .lda = lda, .ldc = ldc };
	if (!m || !b->n)
		return;
	p.row_bytes = qact_bytes(b->form, q->act, 1, p.groups);
	/* Tiles as even as can be: 8 rows are 4 and 4, not 7 and 1. */
	p.tall = div_up(m, div_up(m, q->mr));
	size_t chunk = least(m, most(1, CHUNK_BYTES / (p.row_bytes * p.tall + 1)) * p.tall);
	int alone = m <= q->mr && m * b->k <= ALONE;
	size_t part = chunk * p.row_bytes;
	p.packed = scratch_need(alone ? mul_size(part, (size_t)omp_get_max_threads()) : part);
#pragma omp parallel firstprivate(p) if ((double)m * (double)b->n * (double)b->k > SERIAL)
	for (size_t from = 0; from < m; from += chunk) {
		p.rows = least(chunk, m - from);
		p.a = a + from * lda;
		p.c = c + from * ldc;
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
