#include "eval/prefix.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void prefix_init(struct prefix *p, struct session *s, size_t max_tokens)
{
	*p = (struct prefix){ .session = s, .max_tokens = max_tokens };
}

void prefix_release(struct prefix *p)
{
	cache_free(p->cache);
	free(p->ids);
	*p = (struct prefix){ 0 };
}

size_t common_prefix(const uint32_t *a, size_t n, const uint32_t *b, size_t m)
{
	size_t i = 0, end = n < m ? n : m;
	while (i < end && a[i] == b[i])
		i++;
	return i;
}

void prefix_set(struct prefix *p, const uint32_t *ids, size_t n)
{
	size_t same = common_prefix(p->ids, p->n, ids, n);
	if (!p->cache)
		p->cache = cache_new(p->session);
	cache_truncate(p->cache, same);
	GROW(p->ids, p->cap_ids, n);
	if (n)
		memcpy(p->ids, ids, n * sizeof *ids);
	p->n = n;
	for (size_t at = same; at < n;) {
		size_t m = n - at < p->max_tokens ? n - at : p->max_tokens;
		struct seq q = { ids + at, m, p->cache };
		model_prefill(p->session, &q, 1);
		p->computed += m;
		at += m;
	}
}
