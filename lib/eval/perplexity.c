#include "eval/perplexity.h"
#include "eval/score.h"
#include "base/mem.h"
#include "text/tokenizer.h"
#include "text/window.h"

#include <stdlib.h>
#include <string.h>

#define GATHER_TOKENS 32768 /* of small documents, scored together */

struct loss_doc {
	size_t start, n; /* in ids */
	uint64_t bytes;
	void *user;
};

struct perplexity {
	struct model *model;
	struct scorer *scorer; /* one of these two */
	struct against *against;
	size_t context, stride;
	void (*done)(void *ctx, void *user, const struct loss_total *doc);
	void *ctx;
	struct loss_doc *docs;
	size_t ndocs, cap_docs;
	uint32_t *ids; /* of all documents gathered */
	uint8_t *mask;
	/* [n], of ids[i], from the scorer or from against; those that are not scored are never read */
	float *logp;
	struct against_row *rows;
	size_t n, cap_ids, cap_mask, cap_logp, cap_rows;
	struct divergence divergence; /* of a document */
	struct score_item *items;
	size_t nitems, cap_items;
	struct buf text;
};

struct perplexity *perplexity_new(struct model *m, struct model *full, enum dtype compute, size_t context,
	size_t stride, void (*done)(void *ctx, void *user, const struct loss_total *doc), void *ctx)
{
	struct perplexity *p = xcalloc(1, sizeof *p);
	p->model = m;
	if (full)
		p->against = against_new(m, full, compute, context);
	else
		p->scorer = scorer_new(m, compute, context);
	p->context = context;
	p->stride = stride;
	p->done = done;
	p->ctx = ctx;
	return p;
}

void perplexity_free(struct perplexity *p)
{
	if (!p)
		return;
	scorer_free(p->scorer);
	against_free(p->against);
	free(p->docs);
	free(p->ids);
	free(p->mask);
	free(p->logp);
	free(p->rows);
	divergence_release(&p->divergence);
	free(p->items);
	buf_release(&p->text);
	free(p);
}

static uint64_t decoded_bytes(struct perplexity *p, const uint32_t *ids, const uint8_t *mask, size_t n)
{
	const struct tokenizer *t = p->model->tokenizer;
	uint64_t bytes = 0;
	if (!t)
		return 0;
	if (!mask) {
		buf_reset(&p->text);
		tokenizer_decode(t, ids, n, 1, &p->text);
		return p->text.n;
	}
	for (size_t i = 0; i < n; i++) {
		int special;
		struct str s = tokenizer_bytes(t, ids[i], &special);
		bytes += mask[i] && !special ? s.n : 0;
	}
	return bytes;
}

void perplexity_add(
	struct perplexity *p, const uint32_t *ids, const uint8_t *mask, size_t n, uint64_t bytes, void *user)
{
	GROW(p->docs, p->cap_docs, p->ndocs + 1);
	GROW(p->ids, p->cap_ids, p->n + n);
	GROW(p->mask, p->cap_mask, p->n + n);
	if (n)
		memcpy(p->ids + p->n, ids, n * sizeof *ids);
	for (size_t i = 0; i < n; i++)
		p->mask[p->n + i] = !mask || mask[i];
	if (bytes == UINT64_MAX)
		bytes = decoded_bytes(p, ids, mask, n);
	p->docs[p->ndocs++] = (struct loss_doc){ p->n, n, bytes, user };
	p->n += n;
	if (p->n >= GATHER_TOKENS)
		perplexity_flush(p);
}

static void add_windows(struct perplexity *p, const struct loss_doc *d)
{
	struct window w = { 0 };
	while (window_next(&w, d->n, p->context, p->stride)) {
		GROW(p->items, p->cap_items, p->nitems + 1);
		p->items[p->nitems++] = (struct score_item){
			.ids = p->ids + d->start + w.start,
			.n = w.end - w.start,
			.first = w.first - w.start,
			.inv_temp = 1,
			.logp = p->against ? NULL : p->logp + d->start + w.first,
			.rows = p->against ? p->rows + d->start + w.first : NULL,
		};
	}
}

static void sum_up(struct perplexity *p, const struct loss_doc *d)
{
	struct loss_total t = { .docs = 1, .tokens = d->n, .bytes = d->bytes };
	divergence_reset(&p->divergence);
	t.divergence = p->against ? &p->divergence : NULL;
	for (size_t i = d->start + 1; i < d->start + d->n; i++) {
		int special = 0;
		if (!p->mask[i])
			continue;
		if (p->model->tokenizer)
			tokenizer_bytes(p->model->tokenizer, p->ids[i], &special);
		if (p->against)
			divergence_add(&p->divergence, &p->rows[i]);
		double logp = p->against ? p->rows[i].logp : (double)p->logp[i];
		t.scored++;
		t.nats -= logp;
		if (!special)
			t.byte_nats -= logp;
	}
	p->done(p->ctx, d->user, &t);
}

void perplexity_flush(struct perplexity *p)
{
	if (p->against)
		GROW(p->rows, p->cap_rows, p->n + 1);
	else
		GROW(p->logp, p->cap_logp, p->n + 1);
	p->nitems = 0;
	for (size_t i = 0; i < p->ndocs; i++)
		add_windows(p, &p->docs[i]);
	if (p->against)
		against_run(p->against, p->items, p->nitems);
	else
		scorer_run(p->scorer, p->items, p->nitems);
	for (size_t i = 0; i < p->ndocs; i++)
		sum_up(p, &p->docs[i]);
	p->ndocs = p->n = 0;
}
