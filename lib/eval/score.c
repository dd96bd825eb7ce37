#include "eval/score.h"
#include "eval/prefix.h"
#include "base/die.h"
#include "base/mem.h"

#include <stdlib.h>

#define BATCH_TOKENS 4096 /* of a forward call, more only for one longer item */
#define MAX_SEQS 256
#define MAX_SHARED 16 /* items that continue one prefix at a time */
#define MIN_SHARED 32 /* tokens in common that are worth a copy of the cache */

struct scorer {
	struct model *model;
	struct session *session;
	size_t max_tokens;
	struct prefix prefix;
	struct cache *caches[MAX_SHARED];
	uint32_t *targets; /* [max_tokens] */
	float *logp;
	unsigned char *top;
	struct seq seqs[MAX_SEQS];
	uint64_t tokens;
};

struct scorer *scorer_new(struct model *m, enum dtype compute, size_t longest)
{
	struct scorer *s = xcalloc(1, sizeof *s);
	s->model = m;
	s->max_tokens = longest > BATCH_TOKENS ? longest : BATCH_TOKENS;
	s->session = session_new(m, compute, s->max_tokens, 0);
	prefix_init(&s->prefix, s->session, s->max_tokens);
	s->targets = xcalloc(s->max_tokens, sizeof *s->targets);
	s->logp = xcalloc(s->max_tokens, sizeof *s->logp);
	s->top = xcalloc(s->max_tokens, 1);
	return s;
}

void scorer_free(struct scorer *s)
{
	if (!s)
		return;
	prefix_release(&s->prefix);
	for (int i = 0; i < MAX_SHARED; i++)
		cache_free(s->caches[i]);
	session_free(s->session);
	free(s->targets);
	free(s->logp);
	free(s->top);
	free(s);
}

uint64_t scorer_tokens(const struct scorer *s)
{
	return s->tokens + s->prefix.computed;
}

/* One forward call over items, of each the tokens from `from` (those before are in its cache). */
static void forward(struct scorer *s, struct score_item *items, size_t n, size_t from, struct cache **caches)
{
	size_t total = 0, row = 0;
	for (size_t i = 0; i < n; i++) {
		struct score_item *it = &items[i];
		s->seqs[i] = (struct seq){ it->ids + from, it->n - 1 - from, caches ? caches[i] : NULL };
		for (size_t t = from; t + 1 < it->n; t++)
			s->targets[total++] = t + 1 >= it->first ? it->ids[t + 1] : NO_TARGET;
	}
	model_forward(s->session, s->seqs, n);
	model_head(s->session, &(struct head_args){
				       .targets = s->targets,
				       .inv_temp = items[0].inv_temp,
				       .logp = s->logp,
				       .top = s->top,
			       });
	s->tokens += total;
	for (size_t i = 0; i < n; i++) {
		struct score_item *it = &items[i];
		it->sum = 0;
		it->greedy = 1;
		for (size_t t = from; t + 1 < it->n; t++, row++) {
			if (t + 1 < it->first)
				continue;
			it->sum += (double)s->logp[row];
			it->greedy &= s->top[row];
			if (it->logp)
				it->logp[t + 1 - it->first] = s->logp[row];
		}
	}
}

/* How many items from items[0] on continue one prefix, and its length: it ends before the token that predicts
 * the first scored one. */
static size_t sharing(const struct score_item *items, size_t n, size_t max_tokens, size_t *common)
{
	size_t k = 1, tokens = items[0].n;
	*common = items[0].first - 1;
	while (k < n && k < MAX_SHARED && items[k].inv_temp == items[0].inv_temp) {
		size_t c = common_prefix(items[0].ids, *common, items[k].ids, items[k].first - 1);
		/* A distant relative must not cost the near ones their prefix. */
		if (c < MIN_SHARED || c + c / 4 < *common)
			break;
		tokens += items[k].n;
		if (tokens - (k + 1) * c > max_tokens)
			break;
		*common = c;
		k++;
	}
	return k;
}

static void run_shared(struct scorer *s, struct score_item *items, size_t n, size_t common)
{
	prefix_set(&s->prefix, items[0].ids, common);
	for (size_t i = 0; i < n; i++) {
		if (!s->caches[i])
			s->caches[i] = cache_new(s->session);
		cache_copy(s->caches[i], s->prefix.cache);
	}
	forward(s, items, n, common, s->caches);
}

void scorer_run(struct scorer *s, struct score_item *items, size_t n)
{
	size_t common, start = 0, tokens = 0;
	for (size_t i = 0; i < n; i++)
		ASSERT(items[i].first >= 1 && items[i].first < items[i].n && items[i].n - 1 <= s->max_tokens);
	for (size_t i = 0; i < n;) {
		size_t k = sharing(items + i, n - i, s->max_tokens, &common);
		if (k > 1) {
			if (i > start)
				forward(s, items + start, i - start, 0, NULL);
			run_shared(s, items + i, k, common);
			start = i += k;
			tokens = 0;
			continue;
		}
		if (i > start && (tokens + items[i].n - 1 > s->max_tokens || i - start == MAX_SEQS ||
					 items[i].inv_temp != items[start].inv_temp)) {
			forward(s, items + start, i - start, 0, NULL);
			start = i;
			tokens = 0;
		}
		tokens += items[i].n - 1;
		i++;
	}
	if (n > start)
		forward(s, items + start, n - start, 0, NULL);
}
