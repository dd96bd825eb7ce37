#include "eval/task.h"
#include "eval/keys.h"
#include "eval/pytext.h"
#include "eval/template.h"
#include "base/io.h"
#include "base/map.h"

#include <limits.h>
#include <stdlib.h>

#define MAX_TASK_FILE ((size_t)16 << 20)

/* --- the file --- */

static int check_keys(const struct json *f, struct err *e)
{
	static const char *const known[] = { "task", "output_type", "data", "fewshot_data", "doc_to_text",
		"doc_to_target", "doc_to_choice", "description", "count_text", "target_delimiter",
		"fewshot_delimiter", "num_fewshot", "fewshot_config", "fewshot_seed", "generation_kwargs",
		"filter_list", "metric_list",
		/* what lm-eval's files carry and nothing here depends on */
		"tag", "group", "metadata", "dataset_path", "dataset_name", "dataset_kwargs",
		"training_split", "validation_split", "test_split", "fewshot_split", "should_decontaminate",
		"doc_to_decontamination_query", "version", "higher_is_better", "repeats" };
	if (json_int(f, "repeats", 1) != 1)
		return err_set(e, "repeats other than 1 are not supported");
	return keys_known(f, known, sizeof known / sizeof *known, e);
}

static int set_kind(struct task *t, const struct json *f, struct err *e)
{
	static const char *const names[] = { "multiple_choice", "loglikelihood", "loglikelihood_rolling",
		"generate_until" };
	const char *name = json_cstr(f, "output_type", "generate_until");
	for (int i = 0; i < 4; i++)
		if (strcmp(names[i], name) == 0)
			t->kind = (enum task_kind)(1 << i);
	return t->kind ? 0
		       : err_set(e,
				 "output_type '%s' is none of multiple_choice, loglikelihood, "
				 "loglikelihood_rolling, generate_until",
				 name);
}

static int set_template(struct template **t, const struct json *f, const char *key, int needed, struct err *e)
{
	const struct json *v = json_get(f, key);
	if (!v || v->type == JSON_NULL)
		return needed ? err_set(e, "%s is missing", key) : 0;
	/* doc_to_target: 0 is a constant */
	if (v->type != JSON_STRING && v->type != JSON_NUMBER)
		return err_set(e, "byte %zu: %s wants a string", v->at, key);
	*t = template_parse(v->s.p, v->s.n, e);
	return *t ? 0 : err_prefix(e, "%s", key);
}

static int set_templates(struct task *t, const struct json *f, struct err *e)
{
	const struct json *choice = json_get(f, "doc_to_choice");
	if (set_template(&t->text, f, "doc_to_text", t->kind != TASK_ROLLING, e) < 0 ||
		set_template(&t->target, f, "doc_to_target", 1, e) < 0 ||
		set_template(&t->description, f, "description", 0, e) < 0 ||
		set_template(&t->count_text, f, "count_text", 0, e) < 0)
		return -1;
	if (json_is(choice, JSON_ARRAY)) {
		t->choices = choice;
		for (size_t i = 0; i < choice->n; i++)
			if (choice->kids[i].type != JSON_STRING)
				return err_set(e, "doc_to_choice wants a list of strings");
	} else if (set_template(&t->choice, f, "doc_to_choice", t->kind == TASK_CHOICE, e) < 0) {
		return -1;
	}
	t->target_delimiter = xstrdup(json_cstr(f, "target_delimiter", " "));
	t->fewshot_delimiter = xstrdup(json_cstr(f, "fewshot_delimiter", "\n\n"));
	return 0;
}

static int set_shots(struct task *t, const struct json *f, struct err *e)
{
	static const char *const known[] = { "sampler" };
	const struct json *config = json_get(f, "fewshot_config");
	const char *sampler = json_cstr(config, "sampler", "default");
	int64_t n = json_int(f, "num_fewshot", 0), seed = json_int(f, "fewshot_seed", 1234);
	if (keys_known(config, known, 1, e) < 0)
		return err_prefix(e, "fewshot_config");
	if (n < 0 || n > 10000 || seed < 0)
		return err_set(e, "num_fewshot and fewshot_seed are not negative");
	t->num_fewshot = (size_t)n;
	t->fewshot_seed = (uint64_t)seed;
	t->first_n = strcmp(sampler, "first_n") == 0;
	if (!t->first_n && strcmp(sampler, "default") != 0)
		return err_set(e, "sampler '%s' is none of default, first_n", sampler);
	return 0;
}

static int add_stop(struct task *t, const struct json *v, struct err *e)
{
	if (v->type != JSON_STRING)
		return err_set(e, "until wants strings");
	t->stops[t->nstops++] = v->s;
	return 0;
}

static int set_sampling(struct task *t, const struct json *g, struct err *e)
{
	double temp = json_bool(g, "do_sample", 1) ? json_num(g, "temperature", 0) : 0;
	int64_t top_k = json_int(g, "top_k", 0);
	if (top_k < 0 || json_int(g, "num_beams", 1) != 1)
		return err_set(e, "top_k is not negative, and num_beams is 1");
	t->sample = (struct sample_params){ temp, (size_t)top_k, json_num(g, "top_p", 1),
		json_num(g, "min_p", 0), json_num(g, "repetition_penalty", 1), 0 };
	return sample_params_check(&t->sample, e);
}

static int set_generation(struct task *t, const struct json *f, struct err *e)
{
	static const char *const lengths[] = { "max_gen_toks", "max_new_tokens", "max_tokens",
		"max_completion_tokens" },
				 *const known[] = { "max_gen_toks", "max_new_tokens", "max_tokens",
					 "max_completion_tokens", "until", "do_sample", "temperature",
					 "top_k", "top_p", "min_p", "repetition_penalty", "num_beams" };
	const struct json *g = json_get(f, "generation_kwargs"), *until = json_get(g, "until");
	int64_t max = 256;
	for (size_t i = sizeof lengths / sizeof *lengths; i-- > 0;)
		max = json_int(g, lengths[i], max);
	if (keys_known(g, known, sizeof known / sizeof *known, e) < 0)
		return err_prefix(e, "generation_kwargs");
	if (max < 1 || max > INT_MAX)
		return err_set(e, "max_gen_toks is at least 1");
	t->max_gen_toks = (size_t)max;
	t->stops = arena_alloc(&t->arena, (until ? until->n + 1 : 1) * sizeof *t->stops);
	if (!until && t->fewshot_delimiter[0]) /* lm-eval's choice: an answer ends where an example would */
		t->stops[t->nstops++] = str_of(t->fewshot_delimiter);
	if (json_is(until, JSON_STRING) && add_stop(t, until, e) < 0)
		return -1;
	for (size_t i = 0; json_is(until, JSON_ARRAY) && i < until->n; i++)
		if (add_stop(t, &until->kids[i], e) < 0)
			return -1;
	return set_sampling(t, g, e);
}

static int set_measures(struct task *t, const struct json *f, struct err *e)
{
	const struct json *chains = json_get(f, "filter_list"), *metrics = json_get(f, "metric_list");
	static const char *const pass = "[{\"name\":\"none\",\"filter\":[]}]";
	const char *defaults = metric_defaults(t->kind);
	if (!chains || t->kind != TASK_GENERATE)
		chains = json_parse(&t->arena, pass, strlen(pass), 0, e);
	if (!metrics)
		metrics = json_parse(&t->arena, defaults, strlen(defaults), 0, e);
	if (!json_is(chains, JSON_ARRAY) || !json_is(metrics, JSON_ARRAY) || !chains->n || !metrics->n)
		return err_set(e, "filter_list and metric_list are lists that are not empty");
	t->chains = xcalloc(chains->n, sizeof *t->chains);
	t->metrics = xcalloc(metrics->n, sizeof(struct metric *));
	for (size_t i = 0; i < chains->n; i++) {
		t->nchains++;
		if (answer_chain_init(&t->chains[i], &chains->kids[i], e) < 0)
			return -1;
	}
	for (size_t i = 0; i < metrics->n; i++) {
		t->metrics[i] = metric_new(&metrics->kids[i], t->kind, e);
		if (!t->metrics[i])
			return -1;
		t->nmetrics++;
	}
	return 0;
}

/* --- data --- */

/* A path in a task file is relative to the folder of that file. */
static char *beside(const char *task, const char *path)
{
	const char *slash = strrchr(task, '/');
	return path[0] == '/' || !slash ? xstrdup(path)
					: xasprintf("%.*s%s", (int)(slash - task + 1), task, path);
}

static int load_lines(struct task *t, struct reader *r, struct fingerprint *fp, size_t limit,
	struct json ***docs, size_t *n, size_t *cap, struct task_overrides *o, struct err *e)
{
	struct str line;
	int rc;
	for (uint64_t number = 1; *n < limit && (rc = reader_line(r, &line, e)) != 0; number++) {
		if (rc < 0)
			return -1;
		if (!strip_left(line).n)
			continue;
		struct json *d = json_parse(&t->arena, line.p, line.n, JSON_LAX, e);
		if (!d || d->type != JSON_OBJECT) {
			if (d)
				err_set(e, "not an object");
			if (!o->skip_bad)
				return err_prefix(e, "%s:%llu", reader_name(r), (unsigned long long)number);
			o->skipped++;
			continue;
		}
		fingerprint_add(fp, line.p, line.n);
		GROW(*docs, *cap, *n + 1);
		(*docs)[(*n)++] = d;
	}
	return 0;
}

static int load_data(struct task *t, const char *path, struct fingerprint *fp, size_t limit,
	struct json ***docs, size_t *n, size_t *cap, struct task_overrides *o, struct err *e)
{
	struct reader *r = reader_open(path, e);
	if (!r)
		return -1;
	int rc = load_lines(t, r, fp, limit, docs, n, cap, o, e);
	reader_close(r);
	return rc < 0 ? -1 : *n ? 0 : err_set(e, "%s: no records", path);
}

static int set_data(struct task *t, const char *task_path, const struct json *f, struct fingerprint *fp,
	struct task_overrides *o, struct err *e)
{
	const char *data = json_cstr(f, "data", NULL), *shots = json_cstr(f, "fewshot_data", data);
	size_t limit = o->limit < SIZE_MAX ? (size_t)o->limit : SIZE_MAX;
	if (!data)
		return err_set(e, "%s: data is missing", task_path);
	char *path = beside(task_path, data);
	int rc = load_data(t, path, fp, limit, &t->docs, &t->ndocs, &t->cap_docs, o, e);
	free(path);
	if (rc < 0 || !t->num_fewshot)
		return rc;
	t->shots_are_docs = strcmp(shots, data) == 0;
	path = beside(task_path, shots);
	rc = load_data(t, path, fp, SIZE_MAX, &t->shots, &t->nshots, &t->cap_shots, o, e);
	free(path);
	if (rc == 0 && t->nshots < t->num_fewshot + (size_t)t->shots_are_docs)
		rc = err_set(e, "%s: %zu examples are too few for num_fewshot %zu", task_path, t->nshots,
			t->num_fewshot);
	return rc;
}

static int load(struct task *t, const char *path, struct task_overrides *o, struct err *e)
{
	struct buf b = { 0 };
	if (file_read(path, &b, MAX_TASK_FILE, e) < 0) {
		buf_release(&b);
		return -1;
	}
	struct fingerprint *fp = fingerprint_new();
	fingerprint_add(fp, b.p, b.n);
	const struct json *f = json_parse(&t->arena, b.p ? b.p : "", b.n, JSON_STRICT, e);
	buf_release(&b);
	if (f && f->type != JSON_OBJECT)
		f = (err_set(e, "not an object"), NULL);
	if (!f || check_keys(f, e) < 0 || set_kind(t, f, e) < 0 || set_templates(t, f, e) < 0 ||
		set_shots(t, f, e) < 0 || set_generation(t, f, e) < 0 || set_measures(t, f, e) < 0) {
		fingerprint_free(fp);
		return err_prefix(e, "%s", path);
	}
	if (o->num_fewshot != UINT64_MAX)
		t->num_fewshot = (size_t)o->num_fewshot;
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	const char *name = json_cstr(f, "task", NULL);
	t->name = name ? xstrdup(name) : xstrndup(base, strcspn(base, "."));
	int rc = set_data(t, path, f, fp, o, e);
	t->hash = fingerprint_end(fp);
	pyrandom_seed(&t->rng, t->fewshot_seed);
	return rc;
}

struct task *task_load(const char *path, struct task_overrides *o, struct err *e)
{
	struct task *t = xcalloc(1, sizeof *t);
	if (load(t, path, o, e) == 0)
		return t;
	task_free(t);
	return NULL;
}

void task_free(struct task *t)
{
	if (!t)
		return;
	template_free(t->text);
	template_free(t->target);
	template_free(t->choice);
	template_free(t->description);
	template_free(t->count_text);
	free(t->target_delimiter);
	free(t->fewshot_delimiter);
	for (size_t i = 0; i < t->nchains; i++)
		answer_chain_release(&t->chains[i]);
	free(t->chains);
	for (size_t i = 0; i < t->nmetrics; i++)
		metric_free(t->metrics[i]);
	free(t->metrics);
	free(t->docs);
	free(t->shots);
	free(t->name);
	arena_release(&t->arena);
	free(t);
}

/* --- items --- */

static struct str keep(struct arena *a, const struct buf *b)
{
	return (struct str){ arena_strndup(a, b->n ? b->p : "", b->n), b->n };
}

static int all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return 0;
	return s.n > 0 && s.n < 10;
}

static int get_choices(
	const struct task *t, const struct json *doc, struct arena *a, struct task_item *it, struct err *e)
{
	const struct json *v = t->choices;
	if (!v && !t->choice)
		return 0;
	if (!v && !(v = template_value(t->choice, doc, a, e)))
		return err_prefix(e, "doc_to_choice");
	if (v->type != JSON_ARRAY || !v->n)
		return err_set(e, "doc_to_choice gives no list");
	it->choices = arena_alloc(a, mul_size(v->n, sizeof *it->choices));
	it->nchoices = v->n;
	for (size_t i = 0; i < v->n; i++) {
		if (v->kids[i].type != JSON_STRING && v->kids[i].type != JSON_NUMBER)
			return err_set(e, "a choice is no text");
		it->choices[i] = v->kids[i].s;
	}
	return 0;
}

/* An index as a number or as digits, or the text of a choice; -1 where it is none. */
static int64_t choice_number(const struct task_item *it, const struct json *v)
{
	int64_t i = -1;
	if (v->is_int)
		i = v->i;
	else if (v->type == JSON_STRING && all_digits(v->s))
		i = strtoll(v->s.p, NULL, 10);
	else
		for (size_t k = it->nchoices; v->type == JSON_STRING && k-- > 0;)
			if (str_eq(it->choices[k], v->s))
				i = (int64_t)k;
	return i < (int64_t)it->nchoices ? i : -1;
}

static int get_targets(
	const struct task *t, const struct json *doc, struct arena *a, struct task_item *it, struct err *e)
{
	const struct json *v = template_value(t->target, doc, a, e);
	if (!v)
		return err_prefix(e, "doc_to_target");
	size_t n = v->type == JSON_ARRAY ? v->n : 1;
	const struct json *list = v->type == JSON_ARRAY ? v->kids : v;
	it->gold = arena_alloc(a, mul_size(n, sizeof *it->gold));
	it->targets = arena_alloc(a, mul_size(n, sizeof *it->targets));
	for (size_t i = 0; i < n; i++) {
		if (it->nchoices) {
			int64_t g = choice_number(it, &list[i]);
			it->gold[it->ngold++] = g;
			it->targets[it->ntargets++] = g >= 0 ? it->choices[g] : STR("");
		} else if (list[i].type == JSON_STRING || list[i].type == JSON_NUMBER) {
			it->targets[it->ntargets++] = list[i].s;
		} else {
			return err_set(e, "doc_to_target gives no text");
		}
	}
	return n ? 0 : err_set(e, "doc_to_target gives nothing");
}

static int add_example(
	const struct task *t, const struct json *doc, struct arena *a, struct buf *b, struct err *e)
{
	struct task_item it = { 0 };
	if (get_choices(t, doc, a, &it, e) < 0 || get_targets(t, doc, a, &it, e) < 0 ||
		template_render(t->text, doc, a, b, e) < 0)
		return -1;
	if (it.targets[0].n) {
		buf_adds(b, t->target_delimiter);
		buf_add(b, it.targets[0].p, it.targets[0].n);
		buf_adds(b, t->fewshot_delimiter);
	}
	return 0;
}

static int same_record(const struct json *x, const struct json *y)
{
	struct buf a = { 0 }, b = { 0 };
	json_add_value(&a, x);
	json_add_value(&b, y);
	int same = str_eq((struct str){ a.p, a.n }, (struct str){ b.p, b.n });
	buf_release(&a);
	buf_release(&b);
	return same;
}

/* lm-eval's samplers. Where examples come from the records themselves, one more is drawn and the record left
 * out. */
static int add_examples(struct task *t, const struct json *doc, struct arena *a, struct buf *b, struct err *e)
{
	size_t k = t->num_fewshot, draw = k + (size_t)t->shots_are_docs, used = 0;
	uint32_t *pick = arena_alloc(a, mul_size(t->nshots, sizeof *pick));
	if (t->first_n) {
		draw = t->nshots;
		for (size_t i = 0; i < draw; i++)
			pick[i] = (uint32_t)i;
	} else {
		pyrandom_sample(&t->rng, (uint32_t)t->nshots, (uint32_t)draw, pick);
	}
	for (size_t i = 0; i < draw && used < k; i++) {
		const struct json *shot = t->shots[pick[i]];
		if (t->shots_are_docs && same_record(shot, doc))
			continue;
		used++;
		if (add_example(t, shot, a, b, e) < 0)
			return err_prefix(e, "few-shot example %u", pick[i]);
	}
	return used == k ? 0 : err_set(e, "too few few-shot examples that differ from the record");
}

static int build(struct task *t, const struct json *doc, struct arena *a, struct task_item *it, struct buf *b,
	struct err *e)
{
	if (get_choices(t, doc, a, it, e) < 0 || get_targets(t, doc, a, it, e) < 0)
		return -1;
	if (t->kind == TASK_ROLLING) {
		it->counted = it->targets[0];
		if (!t->count_text)
			return 0;
		if (template_render(t->count_text, doc, a, b, e) < 0)
			return err_prefix(e, "count_text");
		it->counted = keep(a, b);
		return 0;
	}
	if (t->description && template_render(t->description, doc, a, b, e) < 0)
		return err_prefix(e, "description");
	if (t->num_fewshot && add_examples(t, doc, a, b, e) < 0)
		return -1;
	if (template_render(t->text, doc, a, b, e) < 0)
		return err_prefix(e, "doc_to_text");
	it->context = keep(a, b);
	return 0;
}

int task_item(struct task *t, size_t i, struct arena *a, struct task_item *it, struct err *e)
{
	struct buf b = { 0 };
	*it = (struct task_item){ 0 };
	int rc = build(t, t->docs[i], a, it, &b, e);
	buf_release(&b);
	return rc < 0 ? err_prefix(e, "%s: record %zu", t->name, i) : 0;
}
