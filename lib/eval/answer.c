#include "eval/answer.h"
#include "eval/keys.h"
#include "eval/pytext.h"
#include "eval/regexp.h"

#include <stdlib.h>

struct answer_filter {
	const struct answer_kind *kind;
	struct regexp *regex;
	int64_t group_select;
	char *text; /* fallback, replacement */
};

struct answer_kind {
	const char *name;
	int (*init)(struct answer_filter *f, const struct json *spec, struct err *e);
	void (*apply)(const struct answer_filter *f, struct str in, struct buf *out);
};

/* --- regex: one of all matches, and of its groups the first that took part --- */

static int init_regex(struct answer_filter *f, const struct json *spec, struct err *e)
{
	static const char *const known[] = { "function", "regex_pattern", "group_select", "fallback" };
	if (keys_known(spec, known, sizeof known / sizeof *known, e) < 0)
		return -1;
	const char *pattern = json_cstr(spec, "regex_pattern", "#### (\\-?[0-9\\.\\,]+)");
	f->group_select = json_int(spec, "group_select", 0);
	f->text = xstrdup(json_cstr(spec, "fallback", "[invalid]"));
	f->regex = regexp_new(pattern, strlen(pattern), e);
	return f->regex ? 0 : -1;
}

/* What Python's findall gives of a match: the whole without groups, else the groups. */
static struct str match_text(const struct answer_filter *f, const struct str *g)
{
	size_t groups = regexp_groups(f->regex);
	for (size_t i = groups ? 1 : 0; i <= groups; i++)
		if (groups <= 1 || g[i].n)
			return g[i].p ? g[i] : STR("");
	return str_of(f->text);
}

static void apply_regex(const struct answer_filter *f, struct str in, struct buf *out)
{
	struct str g[REGEXP_GROUPS], chosen = { NULL, 0 };
	int64_t matches = 0, want = f->group_select;
	if (!in.p)
		in = STR("");
	if (want < 0) { /* from the end: count first */
		for (size_t from = 0; regexp_find(f->regex, in, from, g); from = regexp_next(in, g[0]))
			matches++;
		want += matches;
		matches = 0;
	}
	for (size_t from = 0; regexp_find(f->regex, in, from, g); from = regexp_next(in, g[0]))
		if (matches++ == want) {
			chosen = match_text(f, g);
			break;
		}
	chosen = chosen.p ? strip_left(strip_right(chosen)) : str_of(f->text);
	buf_add(out, chosen.p, chosen.n);
}

/* --- the others --- */

static void apply_none(const struct answer_filter *f, struct str in, struct buf *out)
{
	(void)f;
	buf_add(out, in.p, in.n);
}

static void apply_strip(const struct answer_filter *f, struct str in, struct buf *out)
{
	(void)f;
	in = strip_left(strip_right(in));
	buf_add(out, in.p, in.n);
}

static void apply_lower(const struct answer_filter *f, struct str in, struct buf *out)
{
	(void)f;
	add_case(out, in, 0, 0);
}

static void apply_upper(const struct answer_filter *f, struct str in, struct buf *out)
{
	(void)f;
	add_case(out, in, 1, 1);
}

static const struct answer_kind kinds[] = {
	{ "regex", init_regex, apply_regex },
	{ "take_first", NULL, apply_none }, /* there is one completion an item */
	{ "remove_whitespace", NULL, apply_strip },
	{ "strip", NULL, apply_strip },
	{ "lowercase", NULL, apply_lower },
	{ "uppercase", NULL, apply_upper },
};

static int init_step(struct answer_filter *f, const struct json *spec, struct err *e)
{
	const char *name = json_cstr(spec, "function", NULL);
	if (!name)
		return err_set(e, "a filter wants a function");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			f->kind = &kinds[i];
	if (!f->kind)
		return err_set(e, "unknown filter '%s'", name);
	return f->kind->init ? f->kind->init(f, spec, e) : 0;
}

int answer_chain_init(struct answer_chain *c, const struct json *spec, struct err *e)
{
	const struct json *steps = json_get(spec, "filter");
	*c = (struct answer_chain){ 0 };
	if (!json_is(steps, JSON_ARRAY))
		return err_set(e, "a filter chain wants a list named filter");
	c->name = xstrdup(json_cstr(spec, "name", "none"));
	c->steps = xcalloc(steps->n, sizeof *c->steps);
	c->n = steps->n;
	for (size_t i = 0; i < steps->n; i++)
		if (init_step(&c->steps[i], &steps->kids[i], e) < 0)
			return err_prefix(e, "filter %s", c->name);
	return 0;
}

void answer_chain_release(struct answer_chain *c)
{
	for (size_t i = 0; i < c->n; i++) {
		regexp_free(c->steps[i].regex);
		free(c->steps[i].text);
	}
	free(c->steps);
	free(c->name);
	*c = (struct answer_chain){ 0 };
}

void answer_chain_apply(const struct answer_chain *c, struct str text, struct buf *out)
{
	struct buf a = { 0 }, b = { 0 };
	buf_add(&a, text.p, text.n);
	for (size_t i = 0; i < c->n; i++) {
		buf_reset(&b);
		c->steps[i].kind->apply(&c->steps[i], (struct str){ a.p, a.n }, &b);
		struct buf t = a;
		a = b;
		b = t;
	}
	buf_add(out, a.p, a.n);
	buf_release(&a);
	buf_release(&b);
}
