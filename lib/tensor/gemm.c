#include "tensor/gemm.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <string.h>

struct shape {
	size_t mr, nr, k, esize; /* k as packed: even for bf16 */
};

static struct shape shape_of(enum dtype t, size_t k)
{
	const struct kern *q = kern();
	if (t == DTYPE_BF16)
		return (struct shape){ q->mr16, q->nr16, k + k % 2, 2 };
	ASSERT(t == DTYPE_F32);
	return (struct shape){ q->mr, q->nr, k, 4 };
}

static void pack(
	enum dtype t, void *y, size_t width, const float *x, size_t ks, size_t js, size_t k, size_t n)
{
	if (t == DTYPE_BF16)
		kern()->pack_bf16(y, width, x, ks, js, k, n);
	else
		kern()->pack_f32(y, width, x, ks, js, k, n);
}

size_t panels_bytes(enum dtype dtype, size_t k, size_t n)
{
	struct shape s = shape_of(dtype, k);
	return mul_size(mul_size((n + s.nr - 1) / s.nr * s.nr, s.k), s.esize);
}

void panels_pack(struct panels *p, const float *b, size_t rs, size_t cs)
{
	struct shape s = shape_of(p->dtype, p->k);
	size_t count = (p->n + s.nr - 1) / s.nr;
#pragma omp parallel for
	for (size_t j = 0; j < count; j++) {
		size_t n = p->n - j * s.nr < s.nr ? p->n - j * s.nr : s.nr;
		pack(p->dtype, (char *)p->p + j * s.nr * s.k * s.esize, s.nr, b + j * s.nr * cs, rs, cs, p->k,
			n);
	}
}

static struct {
	char *p;
	size_t bytes;
} scratch;

static void *scratch_need(size_t bytes)
{
	if (bytes > scratch.bytes) {
		gemm_release();
		scratch.p = mem_alloc(bytes);
		scratch.bytes = bytes;
	}
	return scratch.p;
}

void gemm_release(void)
{
	mem_free(scratch.p, scratch.bytes);
	scratch.p = NULL;
	scratch.bytes = 0;
}

void gemm(size_t m, const float *a, size_t ars, size_t acs, const struct panels *b, const float *bias,
	float *c, size_t ldc, int flags)
{
	ASSERT(!(bias && flags & GEMM_ADD));
	struct shape s = shape_of(b->dtype, b->k);
	char *ap = scratch_need(mul_size(mul_size(m, s.k), s.esize));
	size_t tiles = (m + s.mr - 1) / s.mr, count = (b->n + s.nr - 1) / s.nr;
#pragma omp parallel
	{
#pragma omp for
		for (size_t i = 0; i < tiles; i++) {
			size_t rows = m - i * s.mr < s.mr ? m - i * s.mr : s.mr;
			pack(b->dtype, ap + i * s.mr * s.k * s.esize, rows, a + i * s.mr * ars, acs, ars,
				b->k, rows);
		}
#pragma omp for
		for (size_t j = 0; j < count; j++) {
			size_t n = b->n - j * s.nr < s.nr ? b->n - j * s.nr : s.nr;
			const char *bp = (const char *)b->p + j * s.nr * s.k * s.esize;
			for (size_t i = 0; i < tiles; i++) {
				size_t rows = m - i * s.mr < s.mr ? m - i * s.mr : s.mr;
				const char *at = ap + i * s.mr * s.k * s.esize;
				float *ct = c + i * s.mr * ldc + j * s.nr;
				const float *c0 = flags & GEMM_ADD ? ct : bias ? bias + j * s.nr : NULL;
				size_t ld0 = flags & GEMM_ADD ? ldc : 0;
				if (b->dtype == DTYPE_BF16)
					kern()->tile_bf16(b->k, (const uint16_t *)(const void *)at,
						(const uint16_t *)(const void *)bp, c0, ld0, ct, ldc, rows,
						n);
				else
					kern()->tile_f32(b->k, (const float *)(const void *)at,
						(const float *)(const void *)bp, c0, ld0, ct, ldc, rows, n);
			}
		}
	}
}
