/*
 * flash: attention in tiles, forward and backward, without a [T, T] matrix (Dao et al. 2022,
 * "FlashAttention").
 *
 * Keys are walked in blocks of FLASH_BLOCK counted from the sequence's first token, with a running maximum:
 * one query or a thousand, cached or not, give the same bits. Parallel inside, forward over (sequence, kv
 * head, chunk of queries), backward over (sequence, kv head); each output element belongs to one thread. Call
 * from one thread.
 *
 * A past is kept as products read it: pages of FLASH_BLOCK positions, packed once, when they come, and read
 * for every token after them as they lie. A page belongs to whoever caches: several sequences may read one
 * (Kwon et al. 2023, "PagedAttention").
 */
#ifndef QUERN_FLASH_H
#define QUERN_FLASH_H

#include "tensor/dtype.h"
#include <stddef.h>

#define FLASH_BLOCK 64

struct flash_shape {
	/* heads % kv_heads == 0; query head h reads kv head h / (heads / kv_heads) */
	size_t heads, kv_heads, head_dim;
	float scale;    /* of the scores; above 0 */
	size_t window;  /* 0, or how many keys a query sees, itself included */
	enum dtype t;   /* of q, k, v, out, dout and products: f32 or bf16; sums are f32 */
	int not_causal; /* 0: query i sees keys <= i */
	int kv8;        /* pages hold the 8-bit code of kern_mx.h; k and v are rounded to it: same bits */
};

/* One sequence (a document of a packed row, or a prompt with its past). */
struct flash_seq {
	size_t row;  /* its first query's row in q, out, lse */
	size_t n;    /* queries; they are the last n of its past + n positions */
	size_t past; /* positions before the first query, all of them in pages (0 in training) */
	/* Of the n positions, position p, kv head h: k + p * kv_stride + h * kv_head_stride, head_dim values
	 */
	const void *k, *v;
	/* NULL, or where the past is, and forward puts k and v behind it: position p is in page p /
	 * FLASH_BLOCK, of which flash_page_bytes from `at` on are this layer's. */
	char *const *pages;
	size_t at;
};

struct flash_layout {
	size_t q_stride, q_head_stride; /* row r, head h of q: r * q_stride + h * q_head_stride */
	size_t kv_stride, kv_head_stride;
	size_t out_stride, out_head_stride; /* of out and dout; 0: as q's */
};

/* What FLASH_BLOCK positions of one layer take in a page; a multiple of 64, as `at` and pages are to be. */
size_t flash_page_bytes(const struct flash_shape *s);

/* Puts k and v of sequences that have pages behind their past, and computes nothing. */
void flash_append(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs);

/* out = softmax(scale q k^T + mask) v. lse[row * heads + h] = log-sum-exp of the scaled scores (NULL: not
 * kept). */
void flash_forward(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs, const void *q, void *out, float *lse);
/* Takes the gradient of one head of q, k or v, rows [row, row + n): x [n][ldx], head_dim wide, which may be
 * written to. Called by many threads, once for every head of every sequence; it may use stream_bf16. */
enum flash_grad { FLASH_DQ, FLASH_DK, FLASH_DV };
typedef void flash_store(
	const void *ctx, enum flash_grad what, size_t head, size_t row, size_t n, float *x, size_t ldx);
/* The gradients from dout (of type s->t), with what forward saved; no sequence has a past. */
void flash_backward(const struct flash_shape *s, const struct flash_layout *l, const struct flash_seq *seqs,
	size_t nseqs, const void *q, const void *out, const float *lse, const void *dout, flash_store *store,
	const void *ctx);

/* Scratch kept between calls; for leak checkers. */
void flash_release(void);

#endif
