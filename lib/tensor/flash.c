#include "tensor/flash.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <math.h>
#include <string.h>

/* The keys [*lo, *hi) that the query at position pos of a sequence of total positions sees. */
static void visible(const struct flash_shape *s, size_t pos, size_t total, size_t *lo, size_t *hi)
{
	*hi = s->not_causal ? total : pos + 1;
	*lo = s->window && pos + 1 > s->window ? pos + 1 - s->window : 0;
}

static size_t out_at(const struct flash_layout *l, size_t row, size_t h)
{
	return row * (l->out_stride ? l->out_stride : l->q_stride) +
	       h * (l->out_head_stride ? l->out_head_stride : l->q_head_stride);
}

static void forward_row(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *f,
	size_t h, size_t i, const float *q, float *out, float *lse)
{
	const struct kern *kn = kern();
	size_t d = s->head_dim, kvh = h / (s->heads / s->kv_heads), lo, hi;
	visible(s, f->past + i, f->past + f->n, &lo, &hi);
	const float *qr = q + (f->row + i) * l->q_stride + h * l->q_head_stride;
	float *o = out + out_at(l, f->row + i, h);
	float m = -1e30f, sum = 0, p[FLASH_BLOCK];
	memset(o, 0, d * sizeof *o);
	for (size_t b = lo / FLASH_BLOCK; b * FLASH_BLOCK < hi; b++) {
		const float *k = f->k + b * FLASH_BLOCK * l->kv_stride + kvh * l->kv_head_stride;
		const float *v = f->v + b * FLASH_BLOCK * l->kv_stride + kvh * l->kv_head_stride;
		for (size_t j = 0; j < FLASH_BLOCK; j++) {
			size_t pos = b * FLASH_BLOCK + j;
			p[j] = pos < lo || pos >= hi ? -(float)INFINITY
						     : s->scale * kn->dot(qr, k + j * l->kv_stride, d);
		}
		kn->scale(o, kn->softmax_step(p, FLASH_BLOCK, &m, &sum), o, d);
		for (size_t j = 0; j < FLASH_BLOCK; j++)
			if (b * FLASH_BLOCK + j >= lo && b * FLASH_BLOCK + j < hi)
				kn->axpy(o, p[j], v + j * l->kv_stride, d);
	}
	kn->scale(o, 1 / sum, o, d);
	if (lse)
		lse[(f->row + i) * s->heads + h] = m + logf(sum);
}

void flash_forward(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs, const float *q, float *out, float *lse)
{
	for (size_t t = 0; t < nseqs; t++) {
#pragma omp parallel for schedule(dynamic, 16)
		for (size_t r = 0; r < seqs[t].n * s->heads; r++)
			forward_row(s, l, &seqs[t], r % s->heads, r / s->heads, q, out, lse);
	}
}

static void backward_kv_head(const struct flash_shape *s, const struct flash_layout *l,
	const struct flash_seq *f, size_t kvh, const float *q, const float *out, const float *lse,
	const float *dout, float *dq)
{
	const struct kern *kn = kern();
	size_t d = s->head_dim, group = s->heads / s->kv_heads;
	for (size_t h = kvh * group; h < (kvh + 1) * group; h++) {
		for (size_t i = 0; i < f->n; i++) {
			size_t at = (f->row + i) * l->q_stride + h * l->q_head_stride, lo, hi;
			size_t oat = out_at(l, f->row + i, h);
			visible(s, i, f->n, &lo, &hi);
			float delta = kn->dot(out + oat, dout + oat, d);
			memset(dq + at, 0, d * sizeof *dq);
			for (size_t j = lo; j < hi; j++) {
				size_t kv = j * l->kv_stride + kvh * l->kv_head_stride;
				float p = expf(s->scale * kn->dot(q + at, f->k + kv, d) -
					       lse[(f->row + i) * s->heads + h]);
				float ds = p * (kn->dot(dout + oat, f->v + kv, d) - delta) * s->scale;
				kn->axpy(dq + at, ds, f->k + kv, d);
				kn->axpy(f->dk + kv, ds, q + at, d);
				kn->axpy(f->dv + kv, p, dout + oat, d);
			}
		}
	}
}

void flash_backward(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs, const float *q, const float *out, const float *lse, const float *dout, float *dq)
{
#pragma omp parallel for schedule(dynamic, 1)
	for (size_t t = 0; t < nseqs * s->kv_heads; t++)
		backward_kv_head(s, l, &seqs[t / s->kv_heads], t % s->kv_heads, q, out, lse, dout, dq);
}
