#include "eval/verify.h"
#include "eval/regexp.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static const struct verifier_kind *const kinds[] = { &verify_math, &verify_string, &verify_regex };
#define N_KINDS (sizeof kinds / sizeof *kinds)

const char *verifier_names(void)
{
	static char names[128];
	if (!names[0])
		for (size_t i = 0; i < N_KINDS; i++) {
			size_t n = strlen(names);
			snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", kinds[i]->name);
		}
	return names;
}

int verifier_init(struct verifier *v, const char *spec, struct err *e)
{
	size_t n = strcspn(spec, ":");
	for (size_t i = 0; i < N_KINDS; i++) {
		const struct verifier_kind *k = kinds[i];
		if (strlen(k->name) != n || memcmp(k->name, spec, n) != 0)
			continue;
		*v = (struct verifier){ .kind = k };
		const char *args = spec[n] ? spec + n + 1 : NULL;
		if (args && !k->args)
			return err_set(e, "verifier %s takes no argument", k->name);
		if (k->init && k->init(&v->state, args, e) < 0)
			return err_prefix(e, "verifier %s", k->name);
		return 0;
	}
	return err_set(e, "unknown verifier '%.*s' (known: %s)", (int)n, spec, verifier_names());
}

int verifier_needs_answer(const struct verifier *v)
{
	return !v->kind->needs_answer || v->kind->needs_answer(v->state);
}

double verifier_score(const struct verifier *v, struct str completion, struct str answer)
{
	return v->kind->score(v->state, completion, answer);
}

void verifier_release(struct verifier *v)
{
	if (v->kind && v->kind->release)
		v->kind->release(v->state);
	*v = (struct verifier){ 0 };
}

/* --- string: the completion is the answer --- */

enum { WHERE_EXACT, WHERE_CONTAINS, WHERE_START, WHERE_END };
struct string_state {
	int where, nocase;
};

static int string_init(void **state, const char *args, struct err *e)
{
	static const char *const words[] = { "exact", "contains", "start", "end" };
	struct string_state s = { 0 };
	while (args && *args) {
		size_t n = strcspn(args, ","), i;
		for (i = 0; i < 4; i++)
			if (strlen(words[i]) == n && memcmp(words[i], args, n) == 0)
				break;
		if (i < 4)
			s.where = (int)i;
		else if (n == 6 && memcmp(args, "nocase", 6) == 0)
			s.nocase = 1;
		else
			return err_set(
				e, "'%.*s' is none of exact, contains, start, end, nocase", (int)n, args);
		args += n + (args[n] == ',');
	}
	struct string_state *p = xmalloc(sizeof *p);
	*p = s;
	*state = p;
	return 0;
}

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int same(const char *a, const char *b, size_t n, int nocase)
{
	for (size_t i = 0; i < n; i++)
		if (nocase ? lower(a[i]) != lower(b[i]) : a[i] != b[i])
			return 0;
	return 1;
}

static double string_score(const void *state, struct str c, struct str a)
{
	const struct string_state *s = state;
	c = str_trim(c);
	a = str_trim(a);
	if (c.n < a.n || a.n == 0)
		return c.n == a.n;
	switch (s->where) {
	case WHERE_START:
		return same(c.p, a.p, a.n, s->nocase);
	case WHERE_END:
		return same(c.p + (c.n - a.n), a.p, a.n, s->nocase);
	case WHERE_CONTAINS:
		for (size_t i = 0; i + a.n <= c.n; i++)
			if (same(c.p + i, a.p, a.n, s->nocase))
				return 1;
		return 0;
	}
	return c.n == a.n && same(c.p, a.p, a.n, s->nocase);
}

const struct verifier_kind verify_string = {
	.name = "string",
	.args = "exact|contains|start|end[,nocase]",
	.init = string_init,
	.score = string_score,
	.release = free,
};

/* --- regex: the completion matches, or its last match's first group is the answer --- */

static int regex_init(void **state, const char *args, struct err *e)
{
	if (!args || !*args)
		return err_set(e, "wants a regular expression, as in regex:PATTERN");
	*state = regexp_new(args, strlen(args), e);
	return *state ? 0 : -1;
}

static int regex_needs_answer(const void *state)
{
	return regexp_groups(state) > 0;
}

static double regex_score(const void *state, struct str c, struct str a)
{
	struct str g[REGEXP_GROUPS], last = { NULL, 0 };
	if (!c.p)
		c = STR("");
	if (!regexp_groups(state))
		return regexp_find(state, c, 0, g);
	for (size_t from = 0; regexp_find(state, c, from, g); from = regexp_next(c, g[0]))
		last = g[1];
	return last.p && str_eq(str_trim(last), str_trim(a));
}

static void regex_release(void *state)
{
	regexp_free(state);
}

const struct verifier_kind verify_regex = {
	.name = "regex",
	.args = "PATTERN",
	.init = regex_init,
	.needs_answer = regex_needs_answer,
	.score = regex_score,
	.release = regex_release,
};
