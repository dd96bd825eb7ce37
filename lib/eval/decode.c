#include "eval/decode.h"
#include "eval/prefix.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "tensor/kern.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#define PREFILL_TOKENS 1024 /* of one forward call */
#define MIN_SHARED 32       /* tokens in common that are worth a pass of their own */

struct slot {
	struct completion *c; /* NULL: free */
	struct cache *cache;
	size_t known; /* tokens of the prompt that the cache holds */
	uint32_t drawn;
};

struct decoder {
	struct model *model;
	const struct decode_params *p;
	const struct decode_io *io;
	struct decode_stats *stats;
	struct session *session;
	size_t prefill; /* most tokens of a call */
	struct prefix prefix;
	struct ids before; /* the prompt before this one */
	float inv_temp;

	struct decode_prompt prompt; /* of which `sample` completions are started */
	size_t sample, known;        /* known: tokens of the prompt in the prefix */
	int ended;                   /* no more prompts */
	int failed;

	struct slot *slots; /* [parallel] */
	size_t active;
	struct completion *first, **last; /* started and not yet given out, in order */
	struct seq *seqs;                 /* [parallel] */
	struct slot **row;                /* the slot of each row of the step */
	float *logits;                    /* [parallel, V] */
	struct sampler **samplers;        /* one a thread */
	size_t nsamplers;
	struct buf text;
};

static uint64_t completion_seed(uint64_t seed, uint64_t prompt, uint64_t sample)
{
	/* The first completion of the first prompt has the run's own seed; 53 bits pass through any JSON
	 * reader. */
	if (prompt == 0 && sample == 0)
		return seed;
	return mix64(mix64(seed + UINT64_C(0x9e3779b97f4a7c15) * (prompt + 1)) + sample) >> 11;
}

/* --- starting --- */

static struct completion *completion_new(struct decoder *d)
{
	struct completion *c = xcalloc(1, sizeof *c);
	c->prompt = d->prompt;
	c->sample = d->sample;
	c->seed = completion_seed(d->p->seed, d->prompt.number, d->sample);
	rng_init(&c->rng, c->seed, 0);
	textout_init(&c->text, d->p->stops, d->p->nstops);
	GROW(c->all.v, c->all.cap, c->prompt.n);
	memcpy(c->all.v, c->prompt.ids, c->prompt.n * sizeof *c->all.v);
	c->all.n = c->prompt.n;
	*d->last = c;
	d->last = &c->next;
	return c;
}

static void completion_free(struct completion *c)
{
	ids_release(&c->all);
	free(c->logp);
	free(c->top_ids);
	free(c->top_logp);
	textout_release(&c->text);
	free(c);
}

/* Tokens of the prompt that are computed apart, to be copied: for several samples all but the last one, which
 * goes through the model with each sample's first step; for one what the prompt before began with, too. */
static size_t shared(const struct decoder *d)
{
	const struct decode_prompt *q = &d->prompt;
	if (q->samples > 1)
		return q->n - 1;
	size_t kept = common_prefix(d->prefix.ids, d->prefix.n, q->ids, q->n - 1),
	       n = common_prefix(d->before.v, d->before.n, q->ids, q->n - 1);
	n = n > kept ? n : kept;
	return n >= MIN_SHARED ? n : 0;
}

/* Packs weights for a pass of so many tokens; neither prompts nor tokens are slower for it. */
static void get_ready(struct decoder *d, size_t tokens)
{
	double start = now_seconds();
	session_pack(d->session, tokens);
	d->stats->pack_seconds += now_seconds() - start;
}

/* The next prompt; 0 when there is none. */
static int next_prompt(struct decoder *d)
{
	int rc = d->ended ? 0 : d->io->next(d->io->ctx, &d->prompt);
	d->sample = 0;
	if (rc <= 0) {
		d->ended = 1;
		d->failed |= rc < 0;
		d->prompt.samples = 0;
		return 0;
	}
	if (!d->p->max_tokens)
		return 1;
	size_t n = shared(d);
	if (n)
		get_ready(d, n);
	double start = now_seconds();
	if (n)
		prefix_set(&d->prefix, d->prompt.ids, n);
	GROW(d->before.v, d->before.cap, d->prompt.n);
	memcpy(d->before.v, d->prompt.ids, d->prompt.n * sizeof *d->before.v);
	d->before.n = d->prompt.n;
	d->known = n;
	d->stats->prompt_seconds += now_seconds() - start;
	d->stats->prompt_tokens += d->prompt.n;
	return 1;
}

/* Puts the next sample into a free slot; 0 when there is none. */
static int admit(struct decoder *d, struct slot *s)
{
	while (d->sample == d->prompt.samples)
		if (!next_prompt(d))
			return 0;
	struct completion *c = completion_new(d);
	d->sample++;
	if (!d->p->max_tokens) {
		c->finish = FINISH_LENGTH;
		return 1;
	}
	if (!s->cache)
		s->cache = cache_new(d->session);
	s->known = d->known;
	if (d->known)
		cache_copy(s->cache, d->prefix.cache);
	else
		cache_truncate(s->cache, 0);
	s->c = c;
	d->active++;
	return 1;
}

/* What the slots' caches lack of their prompts, but for the last token: in few calls. */
static void prefill(struct decoder *d)
{
	double start = now_seconds(), packing = d->stats->pack_seconds;
	for (;;) {
		size_t n = 0, tokens = 0;
		for (size_t i = 0; i < d->p->parallel && tokens < d->prefill; i++) {
			struct slot *s = &d->slots[i];
			size_t m = s->c ? s->c->prompt.n - 1 - s->known : 0;
			m = m < d->prefill - tokens ? m : d->prefill - tokens;
			if (!m)
				continue;
			d->seqs[n++] = (struct seq){ s->c->prompt.ids + s->known, m, s->cache };
			s->known += m;
			tokens += m;
		}
		if (!n)
			break;
		get_ready(d, tokens);
		model_prefill(d->session, d->seqs, n);
	}
	d->stats->prompt_seconds += now_seconds() - start - (d->stats->pack_seconds - packing);
}

/* Finished sequences make room for the next ones. */
static void fill_slots(struct decoder *d)
{
	for (size_t i = 0; i < d->p->parallel && !d->failed; i++)
		if (!d->slots[i].c && !admit(d, &d->slots[i]))
			break;
	prefill(d);
}

/* --- a step --- */

/* The same arithmetic as model_head: logits * inv_temp - lse. */
static void keep_logp(
	struct decoder *d, struct completion *c, const float *logits, uint32_t token, struct sampler *s)
{
	size_t vocab = d->model->config.vocab, k = d->p->top, n = c->n;
	float lse = kern()->lse(logits, d->inv_temp, vocab);
	GROW(c->logp, c->cap_logp, n + 1);
	c->logp[n] = logits[token] * d->inv_temp - lse;
	if (!k)
		return;
	GROW(c->top_ids, c->cap_top_ids, (n + 1) * k);
	GROW(c->top_logp, c->cap_top_logp, (n + 1) * k);
	sampler_top(s, logits, k, c->top_ids + n * k);
	for (size_t i = 0; i < k; i++)
		c->top_logp[n * k + i] = logits[c->top_ids[n * k + i]] * d->inv_temp - lse;
}

static void draw(struct decoder *d, size_t i, struct sampler *s)
{
	struct slot *slot = d->row[i];
	struct completion *c = slot->c;
	const float *logits = d->logits + i * d->model->config.vocab;
	slot->drawn = sampler_draw(s, logits, c->all.v, c->all.n, &c->rng);
	if (slot->drawn == NO_TOKEN)
		return;
	keep_logp(d, c, logits, slot->drawn, s);
	if (!isfinite(c->logp[c->n]))
		slot->drawn = NO_TOKEN;
}

static int is_eos(const struct decode_params *p, uint32_t id)
{
	for (size_t i = 0; i < p->neos; i++)
		if (p->eos[i] == id)
			return 1;
	return 0;
}

/* The bytes that the newest token adds to the text: decoders look at most at a few tokens before. */
static void add_text(struct decoder *d, struct completion *c)
{
	enum { BACK = 8 };
	const struct tokenizer *t = d->model->tokenizer;
	size_t n = d->p->text_alone ? c->n : c->all.n, from = n > BACK ? BACK : n, before;
	const uint32_t *ids = c->all.v + c->all.n - from;
	if (!t)
		return;
	buf_reset(&d->text);
	tokenizer_decode(t, ids, from - 1, 1, &d->text);
	before = d->text.n;
	buf_reset(&d->text);
	tokenizer_decode(t, ids, from, 1, &d->text);
	if (d->text.n > before)
		textout_add(&c->text, d->text.p + before, d->text.n - before);
}

static void take_token(struct decoder *d, struct slot *s)
{
	struct completion *c = s->c;
	ids_add(&c->all, s->drawn);
	c->ids = c->all.v + c->prompt.n;
	c->n++;
	d->stats->tokens++;
	if (is_eos(d->p, s->drawn))
		c->finish = FINISH_STOP;
	else
		add_text(d, c);
	if (c->text.stopped)
		c->finish = FINISH_STOP;
	if (!c->finish && (c->n >= d->p->max_tokens || c->all.n >= d->p->context))
		c->finish = FINISH_LENGTH;
	if (c->finish) {
		textout_end(&c->text);
		s->c = NULL;
		d->active--;
	}
}

static int step(struct decoder *d, struct err *e)
{
	size_t n = 0;
	get_ready(d, d->active);
	double start = now_seconds();
	for (size_t i = 0; i < d->p->parallel; i++) {
		struct completion *c = d->slots[i].c;
		if (!c)
			continue;
		d->row[n] = &d->slots[i];
		d->seqs[n++] = (struct seq){ c->all.v + c->all.n - 1, 1, d->slots[i].cache };
	}
	model_forward(d->session, d->seqs, n);
	model_logits(d->session, NULL, n, d->logits);
#pragma omp parallel for schedule(dynamic, 1) if (n > 1)
	for (size_t i = 0; i < n; i++)
		draw(d, i, d->samplers[omp_get_thread_num()]);
	for (size_t i = 0; i < n; i++) {
		if (d->row[i]->drawn == NO_TOKEN)
			return err_set(e, "the model's logits are not finite");
		take_token(d, d->row[i]);
	}
	d->stats->seconds += now_seconds() - start;
	return 0;
}

/* Shows what the oldest completion has, gives out those that are done. */
static int give_out(struct decoder *d)
{
	while (d->first) {
		struct completion *c = d->first;
		if (d->io->grown && c->text.text.n > c->shown) {
			c->shown = c->text.text.n;
			d->io->grown(d->io->ctx, c);
		}
		if (!c->finish)
			return 0;
		int rc = d->io->done(d->io->ctx, c);
		d->first = c->next;
		if (!d->first)
			d->last = &d->first;
		completion_free(c);
		if (rc)
			return -1;
	}
	return 0;
}

/* --- the run --- */

static void decoder_init(struct decoder *d, struct model *m, enum dtype compute)
{
	d->prefill = d->p->parallel > PREFILL_TOKENS ? d->p->parallel : PREFILL_TOKENS;
	d->model = m;
	d->inv_temp = sample_inv_temp(d->p->sample.temp);
	d->session = session_new(m, compute, d->prefill, 0);
	prefix_init(&d->prefix, d->session, d->prefill);
	d->slots = xcalloc(d->p->parallel, sizeof *d->slots);
	d->seqs = xcalloc(d->p->parallel, sizeof *d->seqs);
	d->row = xcalloc(d->p->parallel, sizeof(struct slot *));
	d->logits = xcalloc(mul_size(d->p->parallel, m->config.vocab), sizeof *d->logits);
	d->nsamplers = (size_t)omp_get_max_threads();
	d->samplers = xcalloc(d->nsamplers, sizeof(struct sampler *));
	for (size_t i = 0; i < d->nsamplers; i++)
		d->samplers[i] = sampler_new(&d->p->sample, m->config.vocab);
	d->last = &d->first;
}

static void decoder_release(struct decoder *d)
{
	while (d->first) {
		struct completion *c = d->first;
		d->first = c->next;
		completion_free(c);
	}
	for (size_t i = 0; i < d->p->parallel; i++)
		cache_free(d->slots[i].cache);
	for (size_t i = 0; i < d->nsamplers; i++)
		sampler_free(d->samplers[i]);
	prefix_release(&d->prefix);
	ids_release(&d->before);
	session_free(d->session);
	free(d->slots);
	free(d->seqs);
	free(d->row);
	free(d->logits);
	free(d->samplers);
	buf_release(&d->text);
}

int decode_run(struct model *m, enum dtype compute, const struct decode_params *p, const struct decode_io *io,
	struct decode_stats *stats, struct err *e)
{
	struct decoder d = { .p = p, .io = io, .stats = stats };
	int rc = 0;
	decoder_init(&d, m, compute);
	while (rc == 0) {
		fill_slots(&d);
		if (d.failed)
			rc = -1;
		else if (!d.active && !d.first)
			break;
		else if (!d.active || (rc = step(&d, e)) == 0)
			rc = give_out(&d);
		if (rc == 0 && d.active)
			get_ready(&d, SIZE_MAX); /* behind the first tokens, which need not wait for it */
	}
	decoder_release(&d);
	return rc;
}

/* --- of a checkpoint --- */

static void add_id(const struct model *m, struct ids *out, const struct json *v)
{
	if (json_is(v, JSON_NUMBER) && v->is_int && v->i >= 0 && (uint64_t)v->i < m->config.vocab)
		ids_add(out, (uint32_t)v->i);
}

void model_eos(const struct model *m, struct ids *out)
{
	struct arena a = { 0 };
	const char *text = m->generation_config;
	const struct json *g = text ? json_parse(&a, text, strlen(text), JSON_LAX, NULL) : NULL;
	const struct json *v = json_get(g, "eos_token_id");
	add_id(m, out, v);
	for (size_t i = 0; json_is(v, JSON_ARRAY) && i < v->n; i++)
		add_id(m, out, &v->kids[i]);
	arena_release(&a);
	int64_t eos = m->config.eos >= 0 ? m->config.eos : m->tokenizer ? tokenizer_eos(m->tokenizer) : -1;
	if (!out->n && eos >= 0 && (uint64_t)eos < m->config.vocab)
		ids_add(out, (uint32_t)eos);
}

int64_t model_first_token(const struct model *m)
{
	int64_t id = m->tokenizer ? tokenizer_bos(m->tokenizer) : -1;
	if (id < 0)
		id = m->config.bos;
	if (id < 0 && m->tokenizer)
		id = tokenizer_eos(m->tokenizer);
	if (id < 0)
		id = m->config.eos;
	return id >= 0 && (uint64_t)id < m->config.vocab ? id : -1;
}

void encode_with_prefix(
	const struct model *m, struct encoder *enc, struct str text, int flags, struct ids *out)
{
	size_t n, start = out->n;
	const uint32_t *prefix = tokenizer_prefix(m->tokenizer, &n);
	for (size_t i = 0; i < n; i++)
		ids_add(out, prefix[i]);
	encoder_encode(enc, text.p ? text.p : "", text.n, flags, out);
	/* The text spelled the prefix out itself: keep one. */
	if (n && out->n - start >= 2 * n &&
		memcmp(out->v + start, out->v + start + n, n * sizeof *out->v) == 0) {
		memmove(out->v + start, out->v + start + n, (out->n - start - n) * sizeof *out->v);
		out->n -= n;
	}
}
