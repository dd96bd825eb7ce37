/* Words, sentences and all statistics of any bytes. */
#include "base/die.h"
#include "text/textstat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct textstat stats[2];
	for (int mode = 0; mode < 2; mode++) {
		struct textstat *t = &stats[mode];
		if (!t->c4.min_words)
			textstat_init(t, mode ? WORDS_SPACE : WORDS_PUNCT);
		textstat_set(t, (const char *)data, n);
		for (int i = 0; i < STAT_COUNT; i++) {
			double v = textstat_get(t, (enum stat)i);
			ASSERT(v >= 0 && v < 1e18);
		}
		/* Words are disjoint and in order. */
		const struct words *w = textstat_words(t);
		for (size_t i = 0, end = 0; i < w->n; i++) {
			ASSERT(w->w[i].at >= end && w->w[i].n > 0);
			end = (size_t)w->w[i].at + w->w[i].n;
			ASSERT(end <= n);
		}
		if (n)
			ASSERT(words_sentences(&t->sentences, (const char *)data, n) >= 1);
	}
	return 0;
}
