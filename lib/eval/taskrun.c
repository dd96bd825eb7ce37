#include "eval/taskrun.h"
#include "eval/decode.h"
#include "eval/pytext.h"
#include "eval/score.h"

#include <math.h>
#include <stdlib.h>

#define ITEMS_AT_ONCE 64

struct request {
	size_t start, n; /* in ids */
	size_t first;
};

struct taskrun {
	struct task *task;
	const struct task_options *o;
	struct encoder *encoder;
	struct scorer *scorer;
	size_t longest;        /* that the scorer takes */
	struct tally *tallies; /* [chains, metrics] */
	struct arena arena;
	struct ids ids, other;
	struct request *requests;
	size_t nrequests, cap_requests;
	struct score_item *scored;
	size_t cap_scored;
	struct buf line;
	size_t next; /* item */
	struct err *e;
};

/* --- output --- */

static void add_key(struct buf *b, const char *key)
{
	if (b->p[b->n - 1] != '{')
		buf_addc(b, ',');
	json_add_cstr(b, key);
	buf_addc(b, ':');
}

static void start_line(struct taskrun *r, const char *chain)
{
	buf_reset(&r->line);
	buf_addc(&r->line, '{');
	add_key(&r->line, "task");
	json_add_cstr(&r->line, r->task->name);
	add_key(&r->line, "filter");
	json_add_cstr(&r->line, chain);
}

static void end_line(struct taskrun *r, int is_total)
{
	buf_addc(&r->line, '}');
	r->o->emit(r->o->ctx, &r->line, is_total);
}

static void add_strings(struct buf *b, const char *key, const struct str *s, size_t n)
{
	add_key(b, key);
	for (size_t i = 0; i < n; i++) {
		buf_addc(b, i ? ',' : '[');
		json_add_str(b, s[i].n ? s[i].p : "", s[i].n);
	}
	buf_addc(b, ']');
}

/* Counts the item under every metric of one chain; with per_item says so. */
static void count(struct taskrun *r, size_t chain, size_t item, const struct task_item *it,
	const struct outcome *o, struct str completion)
{
	struct task *t = r->task;
	struct buf *b = &r->line;
	start_line(r, t->chains[chain].name);
	add_key(b, "item");
	buf_addf(b, "%zu", item);
	if (t->kind != TASK_ROLLING) {
		add_key(b, "prompt");
		json_add_str(b, it->context.n ? it->context.p : "", it->context.n);
	}
	if (t->kind == TASK_GENERATE) {
		add_key(b, "completion");
		json_add_str(b, completion.n ? completion.p : "", completion.n);
		add_key(b, "answer");
		json_add_str(b, o->answer.n ? o->answer.p : "", o->answer.n);
	} else {
		add_key(b, "loglikelihood");
		for (size_t i = 0; i < o->n; i++) {
			buf_addc(b, i ? ',' : '[');
			json_add_num(b, o->ll[i]);
		}
		buf_addc(b, ']');
	}
	if (t->kind == TASK_CHOICE)
		add_strings(b, "choices", o->choices, o->n);
	if (t->kind != TASK_ROLLING)
		add_strings(b, "targets", it->targets, it->ntargets);
	for (size_t m = 0; m < t->nmetrics; m++) {
		double v = metric_score(t->metrics[m], o, &r->tallies[chain * t->nmetrics + m]);
		add_key(b, metric_name(t->metrics[m]));
		json_add_num(b, v);
	}
	if (r->o->per_item)
		end_line(r, 0);
}

static void report(struct taskrun *r)
{
	struct task *t = r->task;
	struct buf *b = &r->line;
	char hex[33];
	hash128_hex(t->hash, hex);
	for (size_t c = 0; c < t->nchains; c++) {
		start_line(r, t->chains[c].name);
		add_key(b, "n");
		buf_addf(b, "%zu", t->ndocs);
		for (size_t m = 0; m < t->nmetrics; m++) {
			double err, v = metric_total(t->metrics[m], &r->tallies[c * t->nmetrics + m],
					    r->o->bootstrap, &err);
			add_key(b, metric_name(t->metrics[m]));
			json_add_num(b, v);
			if (isnan(err))
				continue;
			struct buf key = { 0 };
			buf_addf(&key, "%s_stderr", metric_name(t->metrics[m]));
			add_key(b, key.p);
			json_add_num(b, err);
			buf_release(&key);
		}
		add_key(b, "num_fewshot");
		buf_addf(b, "%zu", t->num_fewshot);
		add_key(b, "context");
		buf_addf(b, "%zu", r->o->context);
		add_key(b, "dtype");
		json_add_cstr(b, r->o->compute == DTYPE_BF16 ? "bf16" : "f32");
		add_key(b, "hash");
		json_add_cstr(b, hex);
		end_line(r, 1);
	}
}

/* --- requests --- */

static void add_request(struct taskrun *r, size_t start, size_t first)
{
	size_t n = r->ids.n - start, most = r->o->context + 1;
	if (n > most) { /* cut from the left */
		size_t cut = n - most;
		memmove(r->ids.v + start, r->ids.v + start + cut, most * sizeof *r->ids.v);
		r->ids.n = start + most;
		first = first > cut ? first - cut : 0;
		n = most;
	}
	GROW(r->requests, r->cap_requests, r->nrequests + 1);
	r->requests[r->nrequests++] = (struct request){ start, n, first };
}

static int text_start(struct taskrun *r, struct err *e)
{
	int64_t id = model_first_token(r->o->model);
	if (id < 0)
		return err_set(e, "a text without context needs a BOS or EOS token, and the model has none");
	ids_add(&r->ids, (uint32_t)id);
	return 0;
}

/* Context and continuation as one text, cut where the context alone would end; white space at the end of the
 * context belongs to the continuation. Without a context: BOS, else EOS. */
static int add_pair(struct taskrun *r, struct str context, struct str continuation, struct err *e)
{
	struct buf whole = { 0 };
	size_t start = r->ids.n, first;
	struct str head = strip_right(context);
	buf_add(&whole, context.p, context.n);
	buf_add(&whole, continuation.p, continuation.n);
	if (!head.n) {
		if (text_start(r, e) < 0) {
			buf_release(&whole);
			return -1;
		}
		encoder_encode(r->encoder, whole.n ? whole.p : "", whole.n, ENCODE_SPECIAL, &r->ids);
		first = 1;
		/* The text begins with that token itself. */
		if (r->ids.n - start > 1 && r->ids.v[start] == r->ids.v[start + 1]) {
			memmove(r->ids.v + start, r->ids.v + start + 1,
				(r->ids.n - start - 1) * sizeof *r->ids.v);
			r->ids.n--;
		}
	} else {
		r->other.n = 0;
		encode_with_prefix(r->o->model, r->encoder, head, ENCODE_SPECIAL, &r->other);
		encode_with_prefix(
			r->o->model, r->encoder, (struct str){ whole.p, whole.n }, ENCODE_SPECIAL, &r->ids);
		first = r->other.n;
	}
	buf_release(&whole);
	size_t n = r->ids.n - start;
	if (first >= n)
		return err_set(e, "the continuation adds no token");
	if (n - first > r->o->context)
		return err_set(e, "the continuation is longer than the context of %zu tokens", r->o->context);
	add_request(r, start, first);
	return 0;
}

/* Windows of the context's size, each behind one token of context; the last is filled up from the left. */
static int add_rolling(struct taskrun *r, struct str text, struct err *e)
{
	struct ids all = { 0 };
	size_t most = r->o->context, done = 0;
	encoder_encode(r->encoder, text.n ? text.p : "", text.n, ENCODE_SPECIAL, &all);
	while (done < all.n) {
		size_t start = r->ids.n, end = all.n - done < most ? all.n : done + most;
		size_t from = done == 0 ? 0 : end - most - 1;
		if (done == 0 && text_start(r, e) < 0) {
			ids_release(&all);
			return -1;
		}
		for (size_t i = from; i < end; i++)
			ids_add(&r->ids, all.v[i]);
		add_request(r, start, done == 0 ? 1 : done - from);
		done = end;
	}
	ids_release(&all);
	return 0;
}

static int add_requests(struct taskrun *r, const struct task_item *it, struct err *e)
{
	if (r->task->kind == TASK_ROLLING)
		return add_rolling(r, it->targets[0], e);
	if (r->task->kind == TASK_LIKELIHOOD)
		return add_pair(r, it->context, it->targets[0], e);
	struct buf b = { 0 };
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < it->nchoices; i++) {
		buf_reset(&b);
		buf_adds(&b, r->task->target_delimiter);
		buf_add(&b, it->choices[i].p, it->choices[i].n);
		rc = add_pair(r, it->context, (struct str){ b.p, b.n }, e);
	}
	buf_release(&b);
	return rc;
}

/* --- likelihoods --- */

static void score_requests(struct taskrun *r)
{
	size_t longest = 1;
	GROW(r->scored, r->cap_scored, r->nrequests + 1);
	for (size_t i = 0; i < r->nrequests; i++) {
		const struct request *q = &r->requests[i];
		longest = q->n > longest ? q->n : longest;
		r->scored[i] = (struct score_item){
			.ids = r->ids.v + q->start, .n = q->n, .first = q->first, .inv_temp = 1
		};
	}
	if (!r->scorer || longest > r->longest) {
		scorer_free(r->scorer);
		r->longest = longest > 4096 ? longest : 4096;
		r->scorer = scorer_new(r->o->model, r->o->compute, r->longest);
	}
	scorer_run(r->scorer, r->scored, r->nrequests);
}

static void count_likelihood(struct taskrun *r, size_t item, const struct task_item *it, size_t at, size_t n)
{
	double *ll = arena_alloc(&r->arena, mul_size(n + 1, sizeof *ll));
	unsigned char *greedy = arena_alloc(&r->arena, n + 1);
	struct outcome o = { .kind = r->task->kind, .n = n, .ll = ll, .greedy = greedy };
	for (size_t i = 0; i < n; i++) {
		ll[i] = r->scored[at + i].sum;
		greedy[i] = (unsigned char)r->scored[at + i].greedy;
	}
	if (o.kind == TASK_ROLLING) {
		for (size_t i = 1; i < n; i++)
			ll[0] += ll[i];
		ll[0] = n ? ll[0] : 0;
		o.n = 1;
		o.text = it->counted;
	} else if (o.kind == TASK_LIKELIHOOD) {
		o.text = it->targets[0];
	} else {
		o.choices = it->choices;
		o.gold = it->gold;
		o.ngold = it->ngold;
	}
	count(r, 0, item, it, &o, STR(""));
}

static int run_likelihood(struct taskrun *r, struct err *e)
{
	struct task_item it[ITEMS_AT_ONCE];
	size_t end[ITEMS_AT_ONCE], n;
	for (size_t at = 0; at < r->task->ndocs; at += n) {
		n = r->task->ndocs - at < ITEMS_AT_ONCE ? r->task->ndocs - at : ITEMS_AT_ONCE;
		r->ids.n = r->nrequests = 0;
		arena_reset(&r->arena);
		for (size_t i = 0; i < n; i++) {
			if (task_item(r->task, at + i, &r->arena, &it[i], e) < 0)
				return -1;
			if (add_requests(r, &it[i], e) < 0)
				return err_prefix(e, "%s: record %zu", r->task->name, at + i);
			end[i] = r->nrequests;
		}
		score_requests(r);
		for (size_t i = 0; i < n; i++) {
			size_t first = i ? end[i - 1] : 0;
			count_likelihood(r, at + i, &it[i], first, end[i] - first);
		}
		if (r->o->tick)
			r->o->tick(r->o->ctx, at + n, r->task->ndocs);
	}
	return 0;
}

/* --- generation --- */

struct prompt {
	struct arena arena;
	struct task_item item;
	size_t number;
	struct ids ids;
};

static int next_prompt(void *ctx, struct decode_prompt *p)
{
	struct taskrun *r = ctx;
	if (r->next == r->task->ndocs)
		return 0;
	struct prompt *q = xcalloc(1, sizeof *q);
	q->number = r->next++;
	if (task_item(r->task, q->number, &q->arena, &q->item, r->e) < 0) {
		arena_release(&q->arena);
		free(q);
		return -1;
	}
	encode_with_prefix(r->o->model, r->encoder, q->item.context, ENCODE_SPECIAL, &q->ids);
	int64_t first = model_first_token(r->o->model);
	if (!q->ids.n)
		ids_add(&q->ids, first >= 0 ? (uint32_t)first : 0);
	size_t most = r->o->context - r->task->max_gen_toks, cut = q->ids.n > most ? q->ids.n - most : 0;
	*p = (struct decode_prompt){ q->ids.v + cut, q->ids.n - cut, 1, q->number, q };
	return 1;
}

static int count_completion(void *ctx, const struct completion *c)
{
	struct taskrun *r = ctx;
	struct prompt *q = c->prompt.user;
	struct str text = { c->text.text.n ? c->text.text.p : "", c->text.text.n };
	struct buf answer = { 0 };
	for (size_t i = 0; i < r->task->nchains; i++) {
		buf_reset(&answer);
		answer_chain_apply(&r->task->chains[i], text, &answer);
		struct outcome o = { .kind = TASK_GENERATE,
			.answer = { answer.n ? answer.p : "", answer.n },
			.targets = q->item.targets,
			.ntargets = q->item.ntargets };
		count(r, i, q->number, &q->item, &o, text);
	}
	buf_release(&answer);
	if (r->o->tick)
		r->o->tick(r->o->ctx, q->number + 1, r->task->ndocs);
	arena_release(&q->arena);
	ids_release(&q->ids);
	free(q);
	return 0;
}

static int run_generation(struct taskrun *r, struct err *e)
{
	struct decode_params p = { .sample = r->task->sample };
	struct decode_stats stats = { 0 };
	struct ids eos = { 0 };
	if (r->task->max_gen_toks >= r->o->context)
		return err_set(e, "%s: max_gen_toks %zu leaves nothing of the context of %zu", r->task->name,
			r->task->max_gen_toks, r->o->context);
	model_eos(r->o->model, &eos);
	p.stops = r->task->stops;
	p.nstops = r->task->nstops;
	p.eos = eos.v;
	p.neos = eos.n;
	p.max_tokens = r->task->max_gen_toks;
	p.context = r->o->context;
	p.parallel = r->o->parallel;
	p.seed = r->o->seed;
	p.text_alone = 1; /* as lm-eval decodes */
	struct decode_io io = { next_prompt, NULL, count_completion, r };
	r->e = e;
	int rc = decode_run(r->o->model, r->o->compute, &p, &io, &stats, e);
	ids_release(&eos);
	return rc;
}

int task_run(struct task *t, const struct task_options *o, struct err *e)
{
	struct taskrun r = { .task = t, .o = o };
	r.encoder = encoder_new(o->model->tokenizer);
	r.tallies = xcalloc(mul_size(t->nchains, t->nmetrics), sizeof *r.tallies);
	int rc = t->kind == TASK_GENERATE ? run_generation(&r, e) : run_likelihood(&r, e);
	if (rc == 0)
		report(&r);
	for (size_t i = 0; i < t->nchains * t->nmetrics; i++)
		tally_release(&r.tallies[i]);
	free(r.tallies);
	free(r.requests);
	free(r.scored);
	scorer_free(r.scorer);
	encoder_free(r.encoder);
	ids_release(&r.ids);
	ids_release(&r.other);
	arena_release(&r.arena);
	buf_release(&r.line);
	return rc;
}
