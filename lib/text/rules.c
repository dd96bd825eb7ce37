#include "text/rules.h"
#include "base/die.h"
#include "base/opt.h"

#include <math.h>

/* Gopher: Rae et al. 2021, appendix A1.1 and table A1. C4: Raffel et al. 2020, section 2.2. FineWeb: Penedo
 * et al. 2024, section 3.6. Order and reading of the unclear places are those of FineWeb's program. */
const struct rule rule_table[] = {
	{ "gopher-quality", "short_doc", RULE_MIN, STAT_PLAIN_WORDS, 50 },
	{ "gopher-quality", "long_doc", RULE_MAX, STAT_PLAIN_WORDS, 100000 },
	{ "gopher-quality", "short_words", RULE_MIN, STAT_MEAN_WORD_LENGTH, 3 },
	{ "gopher-quality", "long_words", RULE_MAX, STAT_MEAN_WORD_LENGTH, 10 },
	{ "gopher-quality", "hashes", RULE_MAX, STAT_HASH_RATIO, 0.1 },
	{ "gopher-quality", "ellipses", RULE_MAX, STAT_ELLIPSIS_RATIO, 0.1 },
	{ "gopher-quality", "bullet_lines", RULE_MAX, STAT_BULLET_LINE_RATIO, 0.9 },
	{ "gopher-quality", "ellipsis_lines", RULE_MAX, STAT_ELLIPSIS_LINE_RATIO, 0.3 },
	{ "gopher-quality", "alpha_words", RULE_MIN, STAT_ALPHA_WORD_RATIO, 0.8 },
	{ "gopher-quality", "stop_words", RULE_MIN, STAT_STOP_WORDS, 2 },

	{ "gopher-repetition", "empty", RULE_MIN, STAT_BYTES, 1 },
	{ "gopher-repetition", "dup_para_frac", RULE_MAX, STAT_DUP_PARA_FRAC, 0.3 },
	{ "gopher-repetition", "dup_para_char_frac", RULE_MAX, STAT_DUP_PARA_CHAR_FRAC, 0.2 },
	{ "gopher-repetition", "dup_line_frac", RULE_MAX, STAT_DUP_LINE_FRAC, 0.3 },
	{ "gopher-repetition", "dup_line_char_frac", RULE_MAX, STAT_DUP_LINE_CHAR_FRAC, 0.2 },
	{ "gopher-repetition", "top_2_gram", RULE_MAX, STAT_TOP_2_GRAM, 0.20 },
	{ "gopher-repetition", "top_3_gram", RULE_MAX, STAT_TOP_3_GRAM, 0.18 },
	{ "gopher-repetition", "top_4_gram", RULE_MAX, STAT_TOP_4_GRAM, 0.16 },
	{ "gopher-repetition", "dup_5_gram", RULE_MAX, STAT_DUP_5_GRAM, 0.15 },
	{ "gopher-repetition", "dup_6_gram", RULE_MAX, STAT_DUP_6_GRAM, 0.14 },
	{ "gopher-repetition", "dup_7_gram", RULE_MAX, STAT_DUP_7_GRAM, 0.13 },
	{ "gopher-repetition", "dup_8_gram", RULE_MAX, STAT_DUP_8_GRAM, 0.12 },
	{ "gopher-repetition", "dup_9_gram", RULE_MAX, STAT_DUP_9_GRAM, 0.11 },
	{ "gopher-repetition", "dup_10_gram", RULE_MAX, STAT_DUP_10_GRAM, 0.10 },

	{ "c4", "line_max_word", RULE_LINE, C4_MAX_WORD, 1000 },
	{ "c4", "line_citations", RULE_LINE, C4_CITATIONS, 1 },
	{ "c4", "line_end_mark", RULE_LINE, C4_END_MARK, 1 },
	{ "c4", "line_min_words", RULE_LINE, C4_MIN_WORDS, 3 },
	{ "c4", "line_javascript", RULE_LINE, C4_JAVASCRIPT, 1 },
	{ "c4", "line_policy", RULE_LINE, C4_POLICY, 1 },
	{ "c4", "lorem_ipsum", RULE_MAX, STAT_C4_LOREM_IPSUM, 0 },
	{ "c4", "curly_bracket", RULE_MAX, STAT_C4_CURLY_BRACKET, 0 },
	{ "c4", "sentences", RULE_MIN, STAT_C4_SENTENCES, 5 },

	{ "fineweb", "empty", RULE_MIN, STAT_TEXT_LINES, 1 },
	{ "fineweb", "line_punct_ratio", RULE_MIN, STAT_LINE_PUNCT_RATIO, 0.12 },
	{ "fineweb", "short_line_ratio", RULE_MAX, STAT_SHORT_LINE_RATIO, 0.67 },
	{ "fineweb", "char_dup_ratio", RULE_MAX, STAT_CHAR_DUP_RATIO, 0.01 },
	{ "fineweb", "list_ratio", RULE_MAX, STAT_LIST_RATIO, 0.3 },
};
const size_t rule_count = sizeof rule_table / sizeof *rule_table;
const char rule_sets[] = "gopher-quality, gopher-repetition, gopher, c4, fineweb";

void limits_init(struct limits *l)
{
	ASSERT(rule_count <= sizeof l->v / sizeof *l->v);
	for (size_t i = 0; i < rule_count; i++)
		l->v[i] = rule_table[i].limit;
}

static int is_rule(const struct rule *r, const char *s, size_t n)
{
	size_t k = strlen(r->set);
	return n == k + 1 + strlen(r->name) && memcmp(s, r->set, k) == 0 && s[k] == '/' &&
	       memcmp(s + k + 1, r->name, n - k - 1) == 0;
}

int limits_set(struct limits *l, const char *assignment, struct err *e)
{
	const char *eq = strchr(assignment, '=');
	if (!eq)
		return err_set(e, "'%s' is not SET/RULE=VALUE", assignment);
	for (size_t i = 0; i < rule_count; i++) {
		if (!is_rule(&rule_table[i], assignment, (size_t)(eq - assignment)))
			continue;
		if (strcmp(eq + 1, "off") == 0) {
			l->v[i] = NAN;
			return 0;
		}
		double v;
		if (parse_num(eq + 1, &v) < 0 || !isfinite(v) || v < 0 || v > 1e15)
			return err_set(e, "'%s': wants a number or 'off' behind the '='", assignment);
		l->v[i] = v;
		return 0;
	}
	return err_set(e, "no rule '%.*s'", (int)(eq - assignment), assignment);
}

struct c4_limits limits_c4(const struct limits *l)
{
	double v[C4_LINE_TESTS] = { 0 }, lorem = INFINITY, curly = INFINITY;
	for (size_t i = 0; i < rule_count; i++) {
		const struct rule *r = &rule_table[i];
		if (isnan(l->v[i]))
			continue;
		if (r->kind == RULE_LINE)
			v[r->stat] = l->v[i];
		else if (r->stat == STAT_C4_LOREM_IPSUM)
			lorem = l->v[i];
		else if (r->stat == STAT_C4_CURLY_BRACKET)
			curly = l->v[i];
	}
	return (struct c4_limits){ (size_t)v[C4_MAX_WORD], (size_t)v[C4_MIN_WORDS], v[C4_END_MARK] > 0,
		v[C4_CITATIONS] > 0, v[C4_JAVASCRIPT] > 0, v[C4_POLICY] > 0, lorem, curly };
}

int rules_of_set(struct str set, size_t *first, size_t *n)
{
	int both = str_is(set, "gopher");
	size_t count = 0;
	for (size_t i = 0; i < rule_count; i++) {
		const char *s = rule_table[i].set;
		if (!str_is(set, s) && !(both && strncmp(s, "gopher-", 7) == 0))
			continue;
		if (count++ == 0)
			*first = i;
	}
	*n = count;
	return count ? 0 : -1;
}

int rule_drops(size_t i, const struct limits *l, struct textstat *t)
{
	const struct rule *r = &rule_table[i];
	if (r->kind == RULE_LINE || isnan(l->v[i]))
		return 0;
	double v = textstat_get(t, (enum stat)r->stat);
	return r->kind == RULE_MIN ? v < l->v[i] : v > l->v[i];
}
