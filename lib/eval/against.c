#include "eval/against.h"
#include "eval/score.h"
#include "base/json.h"
#include "base/mem.h"
#include "text/tokenizer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PASS_TOKENS 4096 /* of a forward call, more only for one longer item */
#define MAX_SEQS 256
#define PIECE_LOGITS ((size_t)8 << 20) /* of either model at a time: never [T, V] */

/* --- one position --- */

static uint32_t argmax(const float *x, size_t n)
{
	size_t best = 0;
	for (size_t i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return (uint32_t)best;
}

/* With x_i - max x for log Q and f_i - max f for log P, both without their log-sum-exp (log S, log Sf):
 * KL = sum_i exp(f_i) (f_i - x_i) / Sf - (log Sf - log S). Equal logits give 0 exactly. */
struct against_row against_row(const float *x, const float *full, size_t vocab, uint32_t target)
{
	uint32_t top = argmax(x, vocab), full_top = argmax(full, vocab);
	double max = (double)x[top], full_max = (double)full[full_top], sum = 0, full_sum = 0, cross = 0;
	for (size_t i = 0; i < vocab; i++) {
		double a = (double)x[i] - max, f = (double)full[i] - full_max, p = exp(f);
		sum += exp(a);
		full_sum += p;
		if (p != 0) /* 0 log 0 is 0, whatever Q is */
			cross += p * (f - a);
	}
	double lse = log(sum), full_lse = log(full_sum);
	return (struct against_row){
		.kl = cross / full_sum - (full_lse - lse),
		.logp = (double)x[target] - max - lse,
		.full_logp = (double)full[target] - full_max - full_lse,
		.same_top = top == full_top,
	};
}

/* --- many --- */

static void sum_add(struct against_sum *s, double x)
{
	s->x += x;
	s->xx += x * x;
}

static double mean(const struct against_sum *s, size_t n)
{
	return n ? s->x / (double)n : NAN;
}

/* Of the mean: the root of (E[x^2] - E[x]^2) / (n - 1). */
static double error(const struct against_sum *s, size_t n)
{
	double m = mean(s, n), v = s->xx / (double)n - m * m;
	return n < 2 ? NAN : v > 0 ? sqrt(v / (double)(n - 1)) : v <= 0 ? 0 : NAN;
}

void divergence_add(struct divergence *d, const struct against_row *r)
{
	double dp = exp(r->logp) - exp(r->full_logp);
	GROW(d->values, d->cap, d->n + 1);
	d->values[d->n++] = r->kl;
	sum_add(&d->kl, r->kl);
	sum_add(&d->same_top, r->same_top);
	sum_add(&d->dlogp, r->logp - r->full_logp);
	sum_add(&d->dp2, dp * dp);
	d->full_nats -= r->full_logp;
}

static void sum_join(struct against_sum *s, const struct against_sum *more)
{
	s->x += more->x;
	s->xx += more->xx;
}

void divergence_join(struct divergence *d, const struct divergence *more)
{
	GROW(d->values, d->cap, d->n + more->n);
	if (more->n)
		memcpy(d->values + d->n, more->values, more->n * sizeof *d->values);
	d->n += more->n;
	sum_join(&d->kl, &more->kl);
	sum_join(&d->same_top, &more->same_top);
	sum_join(&d->dlogp, &more->dlogp);
	sum_join(&d->dp2, &more->dp2);
	d->full_nats += more->full_nats;
}

void divergence_reset(struct divergence *d)
{
	*d = (struct divergence){ .values = d->values, .cap = d->cap };
}

void divergence_release(struct divergence *d)
{
	free(d->values);
	*d = (struct divergence){ 0 };
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Of sorted values, between two of them on a straight line. */
static double quantile(const struct divergence *d, double q)
{
	if (!d->n)
		return NAN;
	double at = q * (double)(d->n - 1);
	size_t i = (size_t)at, next = i + 1 < d->n ? i + 1 : i;
	return d->values[i] + (at - (double)i) * (d->values[next] - d->values[i]);
}

/* The root of E[dp^2] and, by its derivative, the root's error; in per cent. */
static double rms_dp(const struct divergence *d, double *err)
{
	double rms = sqrt(mean(&d->dp2, d->n)), e = error(&d->dp2, d->n);
	*err = e > 0 ? 100 * 0.5 / rms * e : e;
	return 100 * rms;
}

static void member(struct buf *b, const char *key, double v)
{
	buf_addf(b, ",\"%s\":", key);
	json_add_num(b, v);
}

void divergence_json(struct buf *b, struct divergence *d, double nats)
{
	double n = d->n ? (double)d->n : NAN, ratio = exp(-mean(&d->dlogp, d->n)), dp_error;
	double dp = rms_dp(d, &dp_error);
	if (d->n)
		qsort(d->values, d->n, sizeof *d->values, by_value);
	buf_adds(b, "\"kl\":");
	json_add_num(b, mean(&d->kl, d->n));
	member(b, "kl_stderr", error(&d->kl, d->n));
	member(b, "kl_median", quantile(d, 0.5));
	member(b, "kl_p99", quantile(d, 0.99));
	member(b, "kl_p999", quantile(d, 0.999));
	member(b, "kl_max", quantile(d, 1));
	member(b, "same_top", mean(&d->same_top, d->n));
	member(b, "same_top_stderr", error(&d->same_top, d->n));
	member(b, "logprob_diff", mean(&d->dlogp, d->n));
	member(b, "logprob_diff_stderr", error(&d->dlogp, d->n));
	member(b, "rms_dp", dp);
	member(b, "rms_dp_stderr", dp_error);
	member(b, "perplexity", exp(nats / n));
	member(b, "perplexity_full", exp(d->full_nats / n));
	member(b, "perplexity_ratio", ratio);
	member(b, "perplexity_ratio_stderr", ratio * error(&d->dlogp, d->n));
}

void divergence_summary(struct buf *b, const struct divergence *d, double nats)
{
	double n = (double)d->n, dp_error, dp = rms_dp(d, &dp_error);
	buf_addf(b, "%zu tokens, KL divergence %.4g +- %.1g (median %.3g, 99%% %.3g, maximum %.3g), ", d->n,
		mean(&d->kl, d->n), error(&d->kl, d->n), quantile(d, 0.5), quantile(d, 0.99), quantile(d, 1));
	buf_addf(b, "same top token %.3f +- %.3f %%, ", 100 * mean(&d->same_top, d->n),
		100 * error(&d->same_top, d->n));
	buf_addf(b, "RMS dp %.4g +- %.1g %%, perplexity %.4f against %.4f", dp, dp_error, exp(nats / n),
		exp(d->full_nats / n));
}

/* --- two models --- */

struct against {
	struct session *sessions[2]; /* the model's, the full one's */
	float *logits[2];            /* [piece, vocab] */
	size_t vocab, piece, max_tokens;
	struct seq seqs[MAX_SEQS];
	size_t *rows; /* [max_tokens]; the scored ones of a pass, */
	uint32_t *targets;
	struct against_row **out; /* and where they go */
};

int against_check(const struct model *m, const struct model *full, struct err *e)
{
	if (m->config.vocab != full->config.vocab)
		return err_set(e, "the models' vocabularies differ: %zu and %zu tokens", m->config.vocab,
			full->config.vocab);
	if (!m->tokenizer || !full->tokenizer)
		return 0;
	struct hash128 a = tokenizer_fingerprint(m->tokenizer), b = tokenizer_fingerprint(full->tokenizer);
	if (a.lo != b.lo || a.hi != b.hi)
		return err_set(e, "the models' tokenizers differ");
	return 0;
}

struct against *against_new(struct model *m, struct model *full, enum dtype compute, size_t longest)
{
	struct against *a = xcalloc(1, sizeof *a);
	struct model *const models[] = { m, full };
	a->vocab = m->config.vocab;
	a->max_tokens = longest > PASS_TOKENS ? longest : PASS_TOKENS;
	a->piece = PIECE_LOGITS / a->vocab ? PIECE_LOGITS / a->vocab : 1;
	if (a->piece > a->max_tokens)
		a->piece = a->max_tokens;
	for (int i = 0; i < 2; i++) {
		a->sessions[i] = session_new(models[i], compute, a->max_tokens, 0);
		a->logits[i] = xcalloc(a->piece * a->vocab, sizeof *a->logits[i]);
	}
	a->rows = xcalloc(a->max_tokens, sizeof *a->rows);
	a->targets = xcalloc(a->max_tokens, sizeof *a->targets);
	a->out = xcalloc(a->max_tokens, sizeof *a->out);
	return a;
}

void against_free(struct against *a)
{
	if (!a)
		return;
	for (int i = 0; i < 2; i++) {
		session_free(a->sessions[i]);
		free(a->logits[i]);
	}
	free(a->rows);
	free(a->targets);
	free(a->out);
	free(a);
}

static void compare(struct against *a, size_t at, size_t n)
{
	for (int i = 0; i < 2; i++)
		model_logits(a->sessions[i], a->rows + at, n, a->logits[i]);
#pragma omp parallel for schedule(dynamic, 1)
	for (size_t i = 0; i < n; i++)
		*a->out[at + i] = against_row(a->logits[0] + i * a->vocab, a->logits[1] + i * a->vocab,
			a->vocab, a->targets[at + i]);
}

/* One forward call of either model over items. */
static void pass(struct against *a, const struct score_item *items, size_t n)
{
	size_t row = 0, scored = 0;
	for (size_t i = 0; i < n; i++) {
		const struct score_item *it = &items[i];
		a->seqs[i] = (struct seq){ it->ids, it->n - 1, NULL };
		for (size_t t = 1; t < it->n; t++, row++) {
			if (t < it->first)
				continue;
			a->rows[scored] = row;
			a->targets[scored] = it->ids[t];
			a->out[scored++] = &it->rows[t - it->first];
		}
	}
	for (int i = 0; i < 2; i++)
		model_forward(a->sessions[i], a->seqs, n);
	for (size_t at = 0; at < scored; at += a->piece)
		compare(a, at, scored - at < a->piece ? scored - at : a->piece);
}

void against_run(struct against *a, const struct score_item *items, size_t n)
{
	for (size_t at = 0, k; at < n; at += k) {
		size_t tokens = items[at].n - 1;
		for (k = 1; at + k < n && k < MAX_SEQS; k++) {
			tokens += items[at + k].n - 1;
			if (tokens > a->max_tokens)
				break;
		}
		pass(a, items + at, k);
	}
}
