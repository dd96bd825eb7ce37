#include "model/work.h"
#include "base/die.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <string.h>

#define STREAM_FROM ((size_t)2 << 20)

void *area_take(struct area *a, size_t count, size_t size)
{
	size_t bytes = add_size(mul_size(count, size), 63) / 64 * 64, at = a->used;
	a->used = add_size(a->used, bytes);
	if (a->used > a->peak)
		a->peak = a->used;
	return a->base ? a->base + at : NULL;
}

void area_rewind(struct area *a, size_t used)
{
	a->used = used;
}

static size_t chunks(size_t rows)
{
	return (rows + ROW_CHUNK - 1) / ROW_CHUNK;
}

const float *work_weight(const struct work *w, size_t offset)
{
	return w->model->weights + offset;
}

float *work_grad(const struct work *w, size_t offset)
{
	return w->model->grads + offset;
}

/* --- activations --- */

void *area_take_act(struct area *a, const struct work *w, size_t rows, size_t cols)
{
	return area_take(a, mul_size(rows, cols), dtype_size(w->compute));
}

void *act_at(const struct work *w, const void *x, size_t i)
{
	return (char *)x + i * dtype_size(w->compute);
}

const float *act_load(const struct work *w, const void *x, float *buf, size_t n)
{
	if (w->compute == DTYPE_F32)
		return x;
	kern()->of_bf16(buf, x, n);
	return buf;
}

void act_store(const struct work *w, void *y, const float *x, size_t n)
{
	if (w->compute == DTYPE_BF16)
		kern()->to_bf16(y, x, n);
	else if (y != x)
		memcpy(y, x, n * sizeof *x);
}

static void act_stream(const struct work *w, void *y, const float *x, size_t n)
{
	if (w->compute == DTYPE_BF16)
		kern()->stream_bf16(y, x, n);
	else
		act_store(w, y, x, n);
}

act_store_fn *act_storing(size_t all)
{
	return all < STREAM_FROM ? act_store : act_stream;
}

const void *act_rows(const struct work *w, size_t rows, size_t n, const float *x, void *y)
{
	if (w->compute == DTYPE_F32)
		return x;
#pragma omp parallel for if (rows > 1)
	for (size_t t = 0; t < rows; t++)
		act_store(w, act_at(w, y, t * n), x + t * n, n);
	return y;
}

static struct mat act_mat(const struct work *w, const void *x, size_t rs, size_t cs)
{
	return (struct mat){ x, w->compute, rs, cs };
}

size_t act_ld(const struct work *w, size_t n)
{
	return n * dtype_size(w->compute) % 2048 ? n : n + 64 / dtype_size(w->compute);
}

/* --- panels --- */

static size_t place_panels(struct packed *p, enum dtype t, const struct linear *l, int turned, struct area *a)
{
	size_t k = turned ? l->out : l->in, n = turned ? l->in : l->out, bytes = panels_bytes(t, k, n);
	if (p)
		*p = (struct packed){ .panels = { t, k, n, area_take(a, bytes, 1) } };
	else
		area_take(a, bytes, 1);
	return bytes;
}

/* Whether there are quantised parts. */
static int place_parts(const struct work *w, struct packed *p, const struct linear *l, struct area *a)
{
	struct linear_part parts[PARTS_MOST];
	size_t n = w->model ? linear_parts(w->model, l, parts) : 0;
	if (!n) {
		place_panels(p, w->compute, l, 0, a);
		return 0;
	}
	if (p)
		*p = (struct packed){ .nparts = n };
	for (size_t i = 0; i < n; i++) {
		void *at = area_take(a, qpanels_bytes(parts[i].form, l->in, parts[i].n), 1);
		if (p) {
			p->parts[i] = parts[i];
			p->part_panels[i] = at;
		}
	}
	return 1;
}

/* Every linear map's panels, and room for what quantised ones give: the head's is its caller's. */
static void place_all(struct work *w, struct area *a)
{
	const struct net *n = w->net;
	size_t widest = 0;
	w->forward = area_take(a, n->nlinears, sizeof *w->forward);
	for (size_t i = 0; i < n->nlinears; i++)
		if (place_parts(w, w->forward ? &w->forward[i] : NULL, &n->linears[i], a) && i != n->head)
			widest = most(widest, n->linears[i].out);
	w->given = area_take(a, mul_size(w->tokens, widest), sizeof *w->given);
}

/* Room for the widest of all linear maps. */
static struct packed *place_shared(const struct work *w, int turned, struct area *a)
{
	struct packed *p = area_take(a, 1, sizeof *p);
	size_t bytes = 0, used = a->used;
	for (size_t i = 0; i < w->net->nlinears; i++) {
		bytes = most(bytes, place_panels(NULL, w->compute, &w->net->linears[i], turned, a));
		a->used = used;
	}
	void *at = area_take(a, bytes, 1);
	if (p)
		*p = (struct packed){ .panels = { .p = at } };
	return p;
}

void work_place(struct work *w, struct area *a)
{
	const struct net *n = w->net;
	size_t widest = n->config->hidden;
	w->backward = NULL;
	if (!w->train) {
		place_all(w, a);
		return;
	}
	w->forward = place_shared(w, 0, a);
	w->backward = place_shared(w, 1, a);
	w->rows_bytes = 0;
	for (size_t i = 0; i < n->nlinears; i++) {
		const struct linear *l = &n->linears[i];
		w->rows_bytes = most(w->rows_bytes,
			panels_bytes(w->compute, least(GRAD_ROWS, w->tokens), l->cs == 1 ? l->in : l->out));
		if (l->bias != NO_OFFSET)
			widest = most(widest, l->out);
	}
	w->rows = area_take(a, w->rows_bytes, 1);
	/* A norm sums two gradients at once. */
	w->partial = area_take(a, mul_size(chunks(w->tokens), 2 * widest), sizeof *w->partial);
}

/* What panels of a linear map are made from: those of part i, or of all of it as numbers. */
struct origin {
	struct linear_rows rows;
	struct linear_part halves;
	struct row_source source;
};

static void origin_of(struct origin *o, const struct work *w, const struct packed *p, size_t linear, size_t i)
{
	enum dtype t = p->nparts ? DTYPE_F32 : w->compute;
	o->rows = (struct linear_rows){ w->model, &w->net->linears[linear], p->nparts ? &p->parts[i] : NULL };
	o->source = (struct row_source){ p->nparts ? linear_blocks : linear_numbers, &o->rows, t };
	if (t == DTYPE_BF16) {
		o->halves = (struct linear_part){ .n = o->rows.l->out, .type = QUANT_BF16 };
		o->rows.part = &o->halves;
		o->source.rows = linear_blocks;
	}
}

static struct qpanels part_panels(const struct work *w, const struct packed *p, size_t linear, size_t i)
{
	return (struct qpanels){ p->parts[i].form, w->net->linears[linear].in, p->parts[i].n,
		p->part_panels[i], NULL };
}

/* Packs the weights of a linear map where they are stored, as numbers or quantised. */
static void pack_stored(const struct work *w, struct packed *p, size_t linear)
{
	struct origin o;
	if (!p->nparts) {
		origin_of(&o, w, p, linear, 0);
		panels_fill(&p->panels, &o.source);
	}
	for (size_t i = 0; i < p->nparts; i++) {
		struct qpanels b = part_panels(w, p, linear, i);
		origin_of(&o, w, p, linear, i);
		qpanels_fill(&b, &o.source);
	}
}

static int is_packed(const struct work *w, const struct packed *p, size_t linear)
{
	return p->version == w->model->version && p->linear == linear;
}

/* The panels of a linear map in p, packed if they are not there. */
static const struct panels *pack(const struct work *w, struct packed *p, size_t linear, int turned)
{
	const struct linear *l = &w->net->linears[linear];
	if (is_packed(w, p, linear))
		return &p->panels;
	p->panels.dtype = w->compute;
	p->panels.k = turned ? l->out : l->in;
	p->panels.n = turned ? l->in : l->out;
	p->linear = linear;
	p->version = w->model->version;
	if (p->nparts || !w->model->resident) {
		pack_stored(w, p, linear);
		return &p->panels;
	}
	panels_pack(&p->panels, (struct mat){ work_weight(w, l->w), DTYPE_F32, turned ? l->rs : l->cs,
					turned ? l->cs : l->rs });
	return &p->panels;
}

/* What goes through the model before it is worth packing: a short prompt, and its last token, which goes
 * apart (eval/decode.c). */
#define FEW_TOKENS 128
#define FEW_PASSES 2

void work_pack(struct work *w, size_t tokens)
{
	int all = w->model->resident || tokens > FEW_TOKENS || w->passes >= FEW_PASSES;
	for (size_t i = 0; !w->train && i < w->net->nlinears; i++)
		if (all || !linear_lies(w->model, &w->net->linears[i]))
			pack(w, &w->forward[i], i, 0);
}

void work_begin(struct work *w, size_t tokens)
{
	work_pack(w, tokens);
	w->passes++;
}

/* --- linear maps --- */

static const float *bias_of(const struct work *w, const struct linear *l)
{
	return l->bias == NO_OFFSET ? NULL : work_weight(w, l->bias);
}

/* A linear map's weights as numbers: packed, or *b, from which a product makes them as it passes by. */
static const struct panels *forward_panels(
	const struct work *w, size_t linear, struct packed *at, struct panels *b, struct origin *o)
{
	const struct linear *l = &w->net->linears[linear];
	if (w->train || is_packed(w, at, linear))
		return pack(w, at, linear, 0);
	origin_of(o, w, at, linear, 0);
	*b = (struct panels){ w->compute, l->in, l->out, NULL, &o->source };
	return b;
}

/* Products with the quantised parts of a linear map's weights. */
static void multiply_parts(
	struct work *w, size_t linear, size_t rows, struct mat a, const float *from, float *y, size_t ldy)
{
	const struct linear *l = &w->net->linears[linear];
	const struct packed *p = &w->forward[linear];
	const float *bias = bias_of(w, l);
	for (size_t i = 0; i < p->nparts; i++) {
		struct qpanels b = part_panels(w, p, linear, i);
		struct origin o;
		size_t j = p->parts[i].at;
		if (!is_packed(w, p, linear)) {
			origin_of(&o, w, p, linear, i);
			b.p = NULL;
			b.source = &o.source;
		}
		qgemm(rows, a, &b,
			(struct gemm_out){ y + j, ldy, from ? from + j : NULL, ldy, bias ? bias + j : NULL });
	}
}

static struct gemm_out to_sink(struct sink to)
{
	return (struct gemm_out){ .done = to.done, .ctx = to.ctx, .parts = to.parts, .unit = to.unit };
}

void linear_forward(struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, const float *from,
	float *y, size_t ldy)
{
	struct packed *at = &w->forward[w->train ? 0 : linear];
	struct mat a = act_mat(w, x, ldx, 1);
	struct panels b;
	struct origin o;
	if (at->nparts)
		multiply_parts(w, linear, rows, a, from, y, ldy);
	else
		gemm(rows, a, forward_panels(w, linear, at, &b, &o),
			(struct gemm_out){ y, ldy, from, ldy, bias_of(w, &w->net->linears[linear]) });
}

void linear_forward_to(struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, struct sink to)
{
	const struct linear *l = &w->net->linears[linear];
	struct packed *at = &w->forward[w->train ? 0 : linear];
	struct mat a = act_mat(w, x, ldx, 1);
	struct panels b;
	struct origin o;
	if (!at->nparts) {
		struct gemm_out out = to_sink(to);
		out.bias = bias_of(w, l);
		gemm(rows, a, forward_panels(w, linear, at, &b, &o), out);
		return;
	}
	multiply_parts(w, linear, rows, a, NULL, w->given, l->out);
	size_t each = l->out / most(1, to.parts);
#pragma omp parallel for if (rows > 1)
	for (size_t i = 0; i < rows; i++)
		to.done(to.ctx, &(struct gemm_block){ i, 1, 0, each, w->given + i * l->out, l->out, each });
}

static void input_gradient(
	struct work *w, size_t linear, size_t rows, const void *dy, size_t lddy, struct gemm_out o)
{
	gemm(rows, act_mat(w, dy, lddy, 1), pack(w, w->backward, linear, 1), o);
}

void linear_backward_input(
	struct work *w, size_t linear, size_t rows, const void *dy, size_t lddy, float *dx, size_t lddx)
{
	input_gradient(w, linear, rows, dy, lddy, (struct gemm_out){ .c = dx, .ldc = lddx });
}

void linear_backward_input_to(
	struct work *w, size_t linear, size_t rows, const void *dy, size_t lddy, struct sink to)
{
	input_gradient(w, linear, rows, dy, lddy, to_sink(to));
}

void linear_backward_weight(
	struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, const void *dy, size_t lddy)
{
	/* The gradient has the weight's layout: its rows are outputs, or inputs where W is stored [in, out].
	 */
	const struct linear *l = &w->net->linears[linear];
	int transposed = l->cs != 1;
	size_t ld = transposed ? l->cs : l->rs;
	float *dw = work_grad(w, l->w);
	for (size_t at = 0; at < rows; at += GRAD_ROWS) {
		struct mat xt = act_mat(w, act_at(w, x, at * ldx), 1, ldx), /* [in, rows] */
			yt = act_mat(w, act_at(w, dy, at * lddy), 1, lddy); /* [out, rows] */
		struct mat down = transposed ? xt : yt, across = transposed ? yt : xt;
		struct panels p = { w->compute, least(GRAD_ROWS, rows - at), transposed ? l->out : l->in,
			w->rows };
		ASSERT(panels_bytes(p.dtype, p.k, p.n) <= w->rows_bytes);
		panels_pack(&p, (struct mat){ across.p, across.t, across.cs, across.rs });
		gemm(transposed ? l->in : l->out, down, &p,
			(struct gemm_out){ .c = dw, .ldc = ld, .from = dw, .ldfrom = ld });
	}
	if (l->bias != NO_OFFSET)
		add_rows(w, rows, l->out, dy, lddy, work_grad(w, l->bias));
}

void linear_backward(struct work *w, size_t linear, size_t rows, const void *x, size_t ldx, const void *dy,
	size_t lddy, float *dx, size_t lddx)
{
	linear_backward_input(w, linear, rows, dy, lddy, dx, lddx);
	linear_backward_weight(w, linear, rows, x, ldx, dy, lddy);
}

/* --- sums over rows --- */

/* Adds the partial sums [count, n], ld apart, to sum in order; threads share out the columns. */
static void add_partial(const float *partial, size_t ld, size_t count, size_t n, float *sum)
{
#pragma omp parallel for
	for (size_t j = 0; j < n; j += ROW_CHUNK) {
		size_t m = n - j < ROW_CHUNK ? n - j : ROW_CHUNK;
		for (size_t i = 0; i < count; i++)
			kern()->add(sum + j, partial + i * ld + j, m);
	}
}

static void add_act(const struct work *w, float *sum, const void *x, size_t n)
{
	float buf[ACT_CHUNK];
	for (size_t j = 0; j < n; j += ACT_CHUNK) {
		size_t m = n - j < ACT_CHUNK ? n - j : ACT_CHUNK;
		kern()->add(sum + j, act_load(w, act_at(w, x, j), buf, m), m);
	}
}

void add_rows(struct work *w, size_t rows, size_t n, const void *x, size_t ldx, float *sum)
{
	size_t count = chunks(rows);
#pragma omp parallel for
	for (size_t i = 0; i < count; i++) {
		float *p = w->partial + i * n;
		size_t end = (i + 1) * ROW_CHUNK < rows ? (i + 1) * ROW_CHUNK : rows;
		memset(p, 0, n * sizeof *p);
		for (size_t r = i * ROW_CHUNK; r < end; r++)
			add_act(w, p, act_at(w, x, r * ldx), n);
	}
	add_partial(w->partial, n, count, n, sum);
}

/* --- norms --- */

void norm_forward(const struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, void *y, enum dtype t, size_t ldy, float *stat)
{
	const float *weight = work_weight(w, n->w), *bias = n->b == NO_OFFSET ? NULL : work_weight(w, n->b);
#pragma omp parallel for if (rows > 1)
	for (size_t i = 0; i < rows; i++)
		for (size_t g = 0; g < groups; g++)
			kern()->norm((char *)y + (i * ldy + g * n->dim) * dtype_size(t), t,
				x + i * ldx + g * n->dim, weight, bias, n->kind == NORM_LAYER, n->eps,
				stat ? stat + 2 * (i * groups + g) : NULL, n->dim);
}

void norm_backward(struct work *w, const struct norm *n, size_t rows, size_t groups, const float *x,
	size_t ldx, const float *stat, const float *dy, size_t lddy, float *dx, size_t lddx, int add)
{
	const float *weight = work_weight(w, n->w);
	size_t count = chunks(rows), dim = n->dim, width = n->b == NO_OFFSET ? dim : 2 * dim;
#pragma omp parallel for
	for (size_t c = 0; c < count; c++) {
		float *dw = w->partial + c * width, *db = n->b == NO_OFFSET ? NULL : dw + dim;
		size_t end = (c + 1) * ROW_CHUNK < rows ? (c + 1) * ROW_CHUNK : rows;
		memset(dw, 0, width * sizeof *dw);
		for (size_t i = c * ROW_CHUNK; i < end; i++)
			for (size_t g = 0; g < groups; g++)
				kern()->norm_back(dx + i * lddx + g * dim, add, dw, db,
					dy + i * lddy + g * dim, x + i * ldx + g * dim, weight,
					n->kind == NORM_LAYER, stat + 2 * (i * groups + g), dim);
	}
	add_partial(w->partial, width, count, dim, work_grad(w, n->w));
	if (n->b != NO_OFFSET)
		add_partial(w->partial + dim, width, count, dim, work_grad(w, n->b));
}
