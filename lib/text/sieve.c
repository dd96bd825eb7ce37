#include "text/sieve.h"
#include "base/die.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

void sieve_init(struct sieve *s, enum words_mode words, const struct linear *model)
{
	*s = (struct sieve){ .words = words, .model = model };
	limits_init(&s->limits);
}

void sieve_release(struct sieve *s)
{
	for (size_t i = 0; i < s->n; i++)
		expr_free(s->steps[i].expr);
	free(s->steps);
	*s = (struct sieve){ 0 };
}

static struct sieve_step *add_step(struct sieve *s)
{
	GROW(s->steps, s->cap, s->n + 1);
	s->steps[s->n] = (struct sieve_step){ 0 };
	return &s->steps[s->n++];
}

int sieve_add_sets(struct sieve *s, const char *list, struct err *e)
{
	for (;;) {
		struct str name = { list, strcspn(list, ",") };
		size_t first, n;
		if (rules_of_set(name, &first, &n) < 0)
			return err_set(
				e, "no rule set '%.*s' (there are %s)", (int)name.n, name.p, rule_sets);
		struct sieve_step *step = add_step(s);
		step->first = first;
		step->n = n;
		for (size_t i = first; i < first + n; i++) {
			if (rule_table[i].kind == RULE_LINE)
				step->rewrites = 1;
			else
				s->stats |= UINT64_C(1) << rule_table[i].stat;
		}
		if (!list[name.n])
			return 0;
		list += name.n + 1;
	}
}

int sieve_add_expr(struct sieve *s, const char *text, struct err *e)
{
	struct expr *x =
		s->model ? expr_new(text, s->model->label, s->model->labels, e) : expr_new(text, NULL, 0, e);
	if (!x)
		return -1;
	struct sieve_step *step = add_step(s);
	step->expr = x;
	step->text = text;
	s->stats |= expr_stats(x);
	return 0;
}

size_t sieve_reasons(const struct sieve *s)
{
	return rule_count + s->n;
}

void sieve_reason(const struct sieve *s, size_t reason, struct buf *out)
{
	if (reason < rule_count)
		buf_addf(out, "%s/%s", rule_table[reason].set, rule_table[reason].name);
	else
		buf_adds(out, s->steps[reason - rule_count].text);
}

void sieve_worker_init(struct sieve_worker *w, const struct sieve *s)
{
	*w = (struct sieve_worker){ .s = s };
	textstat_init(&w->stats, s->words);
	w->stats.c4 = limits_c4(&s->limits);
	w->asked = xcalloc(s->n, sizeof *w->asked);
	w->seen = xcalloc(s->n, sizeof *w->seen);
	if (!s->model)
		return;
	w->scores = xcalloc(s->model->labels, sizeof *w->scores);
	if (s->model->shape.words != s->words)
		words_init(&w->words, s->model->shape.words);
}

void sieve_worker_release(struct sieve_worker *w)
{
	textstat_release(&w->stats);
	expr_env_release(&w->env);
	buf_release(&w->text);
	free(w->scores);
	words_release(&w->words);
	linear_scratch_release(&w->scratch);
	free(w->asked);
	free(w->seen);
}

static void set_text(struct sieve_worker *w, struct str text)
{
	textstat_set(&w->stats, text.p ? text.p : "", text.n);
	w->scored = 0;
}

void sieve_begin(struct sieve_worker *w, const struct doc *d)
{
	set_text(w, d->text);
}

void sieve_scores(struct sieve_worker *w)
{
	const struct linear *m = w->s->model;
	const struct words *words;
	if (w->scored)
		return;
	if (m->shape.words == w->s->words) {
		words = textstat_words(&w->stats);
	} else {
		words_split(&w->words, w->stats.text, w->stats.n);
		words = &w->words;
	}
	w->label = linear_judge(m, words, &w->scratch, w->scores);
	w->scored = 1;
}

static int is_true(struct sieve_worker *w, const struct expr *x, const struct doc *d, size_t step)
{
	if (expr_uses_scores(x))
		sieve_scores(w);
	w->env.stats = &w->stats;
	w->env.doc = d;
	w->env.label = w->label;
	w->env.scores = w->scores;
	int r = expr_true(x, &w->env);
	w->asked[step] |= w->env.asked;
	w->seen[step] |= w->env.seen;
	return r;
}

/* The first rule of a set that drops the text, SIEVE_KEPT for none. */
static size_t first_rule(struct sieve_worker *w, const struct sieve_step *step)
{
	for (size_t i = step->first; i < step->first + step->n; i++)
		if (rule_drops(i, &w->s->limits, &w->stats))
			return i;
	return SIEVE_KEPT;
}

/* Goes on with what the C4 rules left. */
static void rewrite(struct sieve_worker *w, struct doc *d, struct verdict *v)
{
	textstat_get(&w->stats, STAT_C4_LINES);
	struct buf old = w->text;
	w->text = w->stats.c4_text;
	w->stats.c4_text = old;
	struct str text = { w->text.p, w->text.n };
	if (str_eq(text, d->text))
		return;
	v->rewritten = 1;
	v->text = d->text = text;
	set_text(w, text);
}

struct verdict sieve_judge(struct sieve_worker *w, const struct doc *d)
{
	struct doc now = *d;
	struct verdict v = { .reason = SIEVE_KEPT, .value = NAN, .text = d->text };
	for (size_t i = 0; i < w->s->n; i++) {
		const struct sieve_step *step = &w->s->steps[i];
		if (step->expr) {
			if (!is_true(w, step->expr, &now, i)) {
				v.reason = rule_count + i;
				return v;
			}
			continue;
		}
		v.reason = first_rule(w, step);
		if (v.reason != SIEVE_KEPT) {
			v.value = textstat_get(&w->stats, (enum stat)rule_table[v.reason].stat);
			return v;
		}
		if (step->rewrites)
			rewrite(w, &now, &v);
	}
	return v;
}
