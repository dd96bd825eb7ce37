#include "eval/metric.h"
#include "eval/keys.h"
#include "eval/pyrandom.h"
#include "eval/pytext.h"
#include "eval/regexp.h"
#include "eval/verify.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>

enum aggregate { AGG_MEAN, AGG_PERPLEXITY, AGG_WEIGHTED_PERPLEXITY, AGG_BITS };

struct metric_kind {
	const char *name;
	int kinds;
	enum aggregate aggregate;
	double (*score)(const struct metric *m, const struct outcome *o, double *weight);
};

struct metric {
	const struct metric_kind *kind;
	char *name;
	int ignore_case, ignore_punctuation, ignore_numbers;
	struct regexp **ignore;
	size_t nignore;
	struct verifier verifier;
};

/* --- of one item --- */

static size_t chars(struct str s)
{
	size_t n = 0;
	uint32_t cp;
	for (size_t i = 0; i < s.n; i += utf8_get(s.p + i, s.n - i, &cp))
		n++;
	return n;
}

static int is_gold(const struct outcome *o, size_t i)
{
	for (size_t k = 0; k < o->ngold; k++)
		if (o->gold[k] == (int64_t)i)
			return 1;
	return 0;
}

enum { BY_NOTHING, BY_CHARS, BY_BYTES };
/* The first of the largest, as numpy's argmax. */
static size_t best_choice(const struct outcome *o, int by)
{
	size_t best = 0;
	double best_ll = 0;
	for (size_t i = 0; i < o->n; i++) {
		double d = by == BY_CHARS   ? (double)chars(o->choices[i])
			   : by == BY_BYTES ? (double)o->choices[i].n
					    : 1;
		double ll = o->ll[i] / d;
		if (i == 0 || ll > best_ll) {
			best = i;
			best_ll = ll;
		}
	}
	return best;
}

static double acc(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m, (void)weight;
	return o->kind == TASK_LIKELIHOOD ? o->greedy[0] : is_gold(o, best_choice(o, BY_NOTHING));
}

static double acc_norm(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m, (void)weight;
	return is_gold(o, best_choice(o, BY_CHARS));
}

static double acc_bytes(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m, (void)weight;
	return is_gold(o, best_choice(o, BY_BYTES));
}

static double likelihood(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m, (void)weight;
	return o->ll[0];
}

static double per_word(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m;
	/* len(re.split(r"\s+", text)): one more than there are runs of white space */
	*weight = 1;
	for (size_t i = 0, k, in_space = 0; i < o->text.n; i += k ? k : 1) {
		k = space_len(o->text.p + i, o->text.n - i);
		*weight += k && !in_space;
		in_space = k > 0;
	}
	return o->ll[0];
}

static double per_byte(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m;
	*weight = (double)o->text.n;
	return o->ll[0];
}

static double gold_per_byte(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)m;
	if (o->kind == TASK_LIKELIHOOD)
		return per_byte(m, o, weight);
	if (!o->ngold || o->gold[0] < 0 || o->gold[0] >= (int64_t)o->n) {
		*weight = 0;
		return 0;
	}
	*weight = (double)o->choices[o->gold[0]].n;
	return o->ll[o->gold[0]];
}

/* What exact_match compares: the text without what its options ignore. */
static void reduce(const struct metric *m, struct str s, struct buf *out)
{
	struct buf a = { 0 }, b = { 0 };
	buf_add(&a, s.p, s.n);
	for (size_t i = 0; i < m->nignore; i++) {
		buf_reset(&b);
		regexp_replace(m->ignore[i], (struct str){ a.p, a.n }, STR(""), &b);
		struct buf t = a;
		a = b;
		b = t;
	}
	if (m->ignore_case) {
		buf_reset(&b);
		add_case(&b, (struct str){ a.p, a.n }, 0, 0);
		struct buf t = a;
		a = b;
		b = t;
	}
	for (size_t i = 0; i < a.n; i++) {
		char c = a.p[i];
		int digit = c >= '0' && c <= '9';
		int punct = c > ' ' && c < 127 && !digit && !((c | 32) >= 'a' && (c | 32) <= 'z');
		if (!(digit && m->ignore_numbers) && !(punct && m->ignore_punctuation))
			buf_addc(out, c);
	}
	buf_release(&a);
	buf_release(&b);
}

static double exact_match(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)weight;
	struct buf got = { 0 }, want = { 0 };
	int same = 0;
	if (o->kind == TASK_CHOICE)
		return o->ngold && o->gold[0] >= 0 && o->gold[0] < (int64_t)o->n && o->greedy[o->gold[0]];
	reduce(m, o->answer, &got);
	for (size_t i = 0; i < o->ntargets && !same; i++) {
		buf_reset(&want);
		reduce(m, o->targets[i], &want);
		same = str_eq((struct str){ got.p, got.n }, (struct str){ want.p, want.n });
	}
	buf_release(&got);
	buf_release(&want);
	return same;
}

static double by_verifier(const struct metric *m, const struct outcome *o, double *weight)
{
	(void)weight;
	double best = 0;
	if (!o->ntargets)
		return verifier_score(&m->verifier, o->answer, STR(""));
	for (size_t i = 0; i < o->ntargets; i++)
		best = fmax(best, verifier_score(&m->verifier, o->answer, o->targets[i]));
	return best;
}

/* --- the table --- */

static const struct metric_kind kinds[] = {
	{ "acc", TASK_CHOICE | TASK_LIKELIHOOD, AGG_MEAN, acc },
	{ "acc_norm", TASK_CHOICE, AGG_MEAN, acc_norm },
	{ "acc_bytes", TASK_CHOICE, AGG_MEAN, acc_bytes },
	{ "exact_match", TASK_CHOICE | TASK_GENERATE, AGG_MEAN, exact_match },
	{ "perplexity", TASK_LIKELIHOOD, AGG_PERPLEXITY, likelihood },
	{ "word_perplexity", TASK_ROLLING, AGG_WEIGHTED_PERPLEXITY, per_word },
	{ "byte_perplexity", TASK_ROLLING, AGG_WEIGHTED_PERPLEXITY, per_byte },
	{ "bits_per_byte", TASK_ROLLING, AGG_BITS, per_byte },
	{ "gold_bits_per_byte", TASK_CHOICE | TASK_LIKELIHOOD, AGG_BITS, gold_per_byte },
};
static const struct metric_kind verifier_kind = { "", TASK_GENERATE, AGG_MEAN, by_verifier };

const char *metric_defaults(enum task_kind kind)
{
	switch (kind) {
	case TASK_CHOICE:
		return "[{\"metric\":\"acc\"},{\"metric\":\"acc_norm\"}]";
	case TASK_LIKELIHOOD:
		return "[{\"metric\":\"perplexity\"},{\"metric\":\"acc\"}]";
	case TASK_ROLLING:
		return "[{\"metric\":\"word_perplexity\"},{\"metric\":\"byte_perplexity\"},{\"metric\":"
		       "\"bits_per_byte\"}]";
	case TASK_GENERATE:
		break;
	}
	return "[{\"metric\":\"exact_match\"}]";
}

/* A metric has the one aggregation that it has in lm-eval. */
static int check_spec(const struct metric *m, const struct json *spec, struct err *e)
{
	static const char *const known[] = { "metric", "aggregation", "higher_is_better", "ignore_case",
		"ignore_punctuation", "ignore_numbers", "regexes_to_ignore" },
				 *const names[] = { [AGG_MEAN] = "mean",
					 [AGG_PERPLEXITY] = "perplexity",
					 [AGG_WEIGHTED_PERPLEXITY] = "weighted_perplexity",
					 [AGG_BITS] = "bits_per_byte" };
	const char *own = names[m->kind->aggregate], *asked = json_cstr(spec, "aggregation", own);
	if (keys_known(spec, known, sizeof known / sizeof *known, e) < 0)
		return err_prefix(e, "metric %s", m->name);
	return strcmp(asked, own) == 0
		       ? 0
		       : err_set(e, "metric %s is aggregated by %s, not %s", m->name, own, asked);
}

static int set_ignored(struct metric *m, const struct json *spec, struct err *e)
{
	const struct json *list = json_get(spec, "regexes_to_ignore");
	m->ignore_case = json_bool(spec, "ignore_case", 0);
	m->ignore_punctuation = json_bool(spec, "ignore_punctuation", 0);
	m->ignore_numbers = json_bool(spec, "ignore_numbers", 0);
	if (!list)
		return 0;
	if (!json_is(list, JSON_ARRAY))
		return err_set(e, "regexes_to_ignore wants a list");
	m->ignore = xcalloc(list->n, sizeof(struct regexp *));
	for (size_t i = 0; i < list->n; i++) {
		if (list->kids[i].type != JSON_STRING)
			return err_set(e, "regexes_to_ignore wants strings");
		m->ignore[i] = regexp_new(list->kids[i].s.p, list->kids[i].s.n, e);
		if (!m->ignore[i])
			return -1;
		m->nignore++;
	}
	return 0;
}

static int find_kind(struct metric *m, const char *name, enum task_kind kind, struct err *e)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			m->kind = &kinds[i];
	if (!m->kind && verifier_init(&m->verifier, name, e) == 0)
		m->kind = &verifier_kind;
	if (!m->kind)
		return m->verifier.kind ? -1 : err_set(e, "unknown metric '%s'", name);
	return m->kind->kinds & (int)kind ? 0 : err_set(e, "metric '%s' does not fit this output_type", name);
}

struct metric *metric_new(const struct json *spec, enum task_kind kind, struct err *e)
{
	const char *name = json_cstr(spec, "metric", NULL);
	struct metric *m = xcalloc(1, sizeof *m);
	m->name = xstrndup(name ? name : "", name ? strcspn(name, ":") : 0);
	if (!name) {
		err_set(e, "a metric wants a name");
	} else if (find_kind(m, name, kind, e) == 0 && check_spec(m, spec, e) == 0 &&
		   set_ignored(m, spec, e) == 0) {
		return m;
	}
	metric_free(m);
	return NULL;
}

void metric_free(struct metric *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->nignore; i++)
		regexp_free(m->ignore[i]);
	free(m->ignore);
	verifier_release(&m->verifier);
	free(m->name);
	free(m);
}

const char *metric_name(const struct metric *m)
{
	return m->name;
}

/* --- of all items --- */

double metric_score(const struct metric *m, const struct outcome *o, struct tally *t)
{
	double weight = 1, value = m->kind->score(m, o, &weight);
	GROW(t->value, t->cap, t->n + 1);
	GROW(t->weight, t->cap_weight, t->n + 1);
	t->value[t->n] = value;
	t->weight[t->n++] = weight;
	return value;
}

void tally_release(struct tally *t)
{
	free(t->value);
	free(t->weight);
	*t = (struct tally){ 0 };
}

static double mean(const double *v, size_t n)
{
	double sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += v[i];
	return sum / (double)n;
}

static double sample_stddev(const double *v, size_t n)
{
	double mu = mean(v, n), sum = 0;
	if (n < 2)
		return NAN;
	for (size_t i = 0; i < n; i++)
		sum += (v[i] - mu) * (v[i] - mu);
	return sqrt(sum / (double)(n - 1));
}

/* lm-eval's bootstrap of exp(-mean): chunks of up to 1000 resamples, chunk i drawn from Random(i). */
static double bootstrap_perplexity(const struct tally *t, size_t iters)
{
	size_t chunk = iters < 1000 ? iters : 1000, chunks = chunk ? iters / chunk : 0;
	if (!chunks)
		return NAN;
	double *res = xcalloc(chunks * chunk, sizeof *res);
#pragma omp parallel for schedule(dynamic)
	for (size_t c = 0; c < chunks; c++) {
		struct pyrandom r;
		pyrandom_seed(&r, c);
		for (size_t i = 0; i < chunk; i++) {
			double sum = 0;
			for (size_t k = 0; k < t->n; k++)
				sum += t->value[(size_t)(pyrandom_double(&r) * (double)t->n)];
			res[c * chunk + i] = exp(-(sum / (double)t->n));
		}
	}
	double s = sample_stddev(res, chunks * chunk);
	free(res);
	return s;
}

double metric_total(const struct metric *m, const struct tally *t, size_t bootstrap, double *err)
{
	double weighted = mean(t->value, t->n) / mean(t->weight, t->n);
	*err = NAN;
	switch (m->kind->aggregate) {
	case AGG_PERPLEXITY:
		*err = bootstrap_perplexity(t, bootstrap);
		return exp(-mean(t->value, t->n));
	case AGG_WEIGHTED_PERPLEXITY:
		return exp(-weighted);
	case AGG_BITS:
		return -weighted / log(2);
	case AGG_MEAN:
		break;
	}
	*err = sample_stddev(t->value, t->n) / sqrt((double)t->n);
	return mean(t->value, t->n);
}
