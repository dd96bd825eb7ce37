#include "eval/completions.h"
#include "base/mem.h"
#include "model/sample.h"

#include <stdlib.h>

/* --- verifying --- */

/* The best reward against any of the answers. */
static double best_score(const struct verifier *v, struct str completion, const struct json *answers)
{
	double best = 0;
	size_t n = answers->type == JSON_ARRAY ? answers->n : 1;
	const struct json *list = answers->type == JSON_ARRAY ? answers->kids : answers;
	for (size_t i = 0; i < n; i++) {
		double r = verifier_score(v, completion, list[i].s);
		best = r > best ? r : best;
	}
	return best;
}

static int usable_answer(const struct json *a)
{
	if (a->type == JSON_STRING || a->type == JSON_NUMBER)
		return 1;
	if (a->type != JSON_ARRAY || !a->n)
		return 0;
	for (size_t i = 0; i < a->n; i++)
		if (a->kids[i].type != JSON_STRING && a->kids[i].type != JSON_NUMBER)
			return 0;
	return 1;
}

/* The key of the i-th verifier's part: its name, numbered where it is not the first of that name. */
static void add_part_name(struct buf *b, const struct verifier *v, size_t i)
{
	size_t same = 1;
	for (size_t k = 0; k < i; k++)
		same += v[k].kind == v[i].kind;
	if (same > 1)
		buf_addf(b, "\"%s_%zu\"", v[i].kind->name, same);
	else
		json_add_cstr(b, v[i].kind->name);
}

int completion_verify(const struct doc *d, const struct verifier *v, size_t n, const char *answer_field,
	struct buf *out, double *reward, struct err *e)
{
	static const struct json no_answer = { .type = JSON_STRING };
	const struct doc_field *f = doc_get(d, answer_field);
	const struct json *answer = &no_answer;
	struct arena a = { 0 };
	struct buf parts = { 0 }, total = { 0 };
	double sum = 0;
	int rc = 0;
	for (size_t i = 0; i < n && rc == 0; i++) {
		if (!verifier_needs_answer(&v[i]))
			continue;
		answer = f ? json_parse(&a, f->value.p, f->value.n, JSON_STRICT, e) : NULL;
		if (!answer || !usable_answer(answer))
			rc = err_set(e, "%s:%llu: %s is no text, number or list of them", d->file,
				(unsigned long long)d->line, answer_field);
	}
	for (size_t i = 0; i < n && rc == 0; i++) {
		double r = best_score(&v[i], d->text, answer);
		sum += r;
		buf_addc(&parts, i ? ',' : '{');
		add_part_name(&parts, v, i);
		buf_addc(&parts, ':');
		json_add_num(&parts, r);
	}
	if (rc == 0) {
		buf_addc(&parts, '}');
		json_add_num(&total, sum);
		const struct doc_field change[] = { { STR("reward"), { total.p, total.n }, 0 },
			{ STR("reward_parts"), { parts.p, parts.n }, 0 } };
		doc_add_changed(out, d, change, 2);
		*reward = sum;
	}
	buf_release(&parts);
	buf_release(&total);
	arena_release(&a);
	return rc;
}

/* --- scoring again --- */

static int add_ids(
	struct rescore *r, const struct doc *d, const char *key, size_t vocab, struct arena *a, struct err *e)
{
	const struct doc_field *f = doc_get(d, key);
	const struct json *v = f ? json_parse(a, f->value.p, f->value.n, JSON_STRICT, NULL) : NULL;
	int bad = !json_is(v, JSON_ARRAY);
	for (size_t i = 0; !bad && i < v->n; i++) {
		bad = !v->kids[i].is_int || v->kids[i].i < 0 || (uint64_t)v->kids[i].i >= vocab;
		if (!bad)
			ids_add(&r->ids, (uint32_t)v->kids[i].i);
	}
	return bad ? err_set(e, "%s is no list of the model's token ids", key) : 0;
}

static int read_record(
	struct rescore *r, const struct doc *d, size_t vocab, size_t context, struct arena *a, struct err *e)
{
	if (add_ids(r, d, "prompt_tokens", vocab, a, e) < 0)
		return -1;
	r->first = r->ids.n;
	if (add_ids(r, d, "tokens", vocab, a, e) < 0)
		return -1;
	const struct doc_field *f = doc_get(d, "temperature");
	const struct json *t = f ? json_parse(a, f->value.p, f->value.n, JSON_STRICT, NULL) : NULL;
	if (f && (!json_is(t, JSON_NUMBER) || !sample_temp_ok(t->d)))
		return err_set(e, "temperature is no number that is " SAMPLE_TEMP_RANGE);
	r->temp = t ? t->d : 1;
	if (!r->first && r->ids.n)
		return err_set(e, "prompt_tokens is empty: the first token has nothing to follow");
	if (r->ids.n > context + 1)
		return err_set(e, "%zu tokens are more than the context of %zu", r->ids.n, context);
	return 0;
}

int rescore_read(struct rescore *r, const struct doc *d, size_t vocab, size_t context, struct err *e)
{
	struct arena a = { 0 };
	r->ids.n = 0;
	int rc = read_record(r, d, vocab, context, &a, e);
	if (rc < 0)
		err_prefix(e, "%s:%llu", d->file, (unsigned long long)d->line);
	else
		GROW(r->logp, r->cap_logp, r->ids.n - r->first + 1);
	arena_release(&a);
	return rc;
}

struct score_item rescore_item(struct rescore *r)
{
	return (struct score_item){ .ids = r->ids.v,
		.n = r->ids.n,
		.first = r->first,
		.inv_temp = sample_inv_temp(r->temp),
		.logp = r->logp };
}

void rescore_release(struct rescore *r)
{
	ids_release(&r->ids);
	free(r->logp);
	*r = (struct rescore){ 0 };
}
