/* Conditions: any bytes either compile and evaluate or are refused with a message. */
#include "text/expr.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct str labels[] = { { "a", 1 }, { "b c", 3 } };
	static const float scores[] = { 0.5f, 0.5f };
	static struct textstat stats;
	struct err e;
	if (!stats.c4.min_words)
		textstat_init(&stats, WORDS_PUNCT);
	char *text = xstrndup((const char *)data, n);
	struct expr *x = expr_new(text, labels, n & 1 ? 2 : 0, &e);
	if (x) {
		struct doc_field fields[] = { { .key = STR("n"), .value = STR("3") },
			{ .key = STR("s"), .value = STR("\"a\\u00e9\"") },
			{ .key = STR("l"), .value = STR("[1,{\"k\":2}]") } };
		struct doc d = { .format = DOC_JSONL, .text = { text, n }, .fields = fields, .nfields = 3 };
		struct expr_env env = { .stats = &stats, .doc = &d, .scores = scores };
		textstat_set(&stats, text, n);
		expr_true(x, &env);
		expr_env_release(&env);
		expr_free(x);
	}
	free(text);
	return 0;
}
