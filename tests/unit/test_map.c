#include "base/map.h"
#include "tap.h"
#include "text/seen.h"

#include <stdlib.h>

#define N 20000

static void test_map(void)
{
	struct map m = { 0 };
	int fresh, good = 1;
	ok(!map_get(&m, 0), "an empty map has nothing");
	/* Keys in one arithmetic sequence, 0 and the largest among them. */
	for (uint64_t i = 0; i < N; i++) {
		*map_put(&m, i * UINT64_C(0x1000000000000001) - 1, 0, &fresh) += i;
		good &= fresh;
	}
	for (uint64_t i = 0; i < N; i++) {
		uint64_t key = i * UINT64_C(0x1000000000000001) - 1;
		good &= *map_put(&m, key, 99, &fresh) == i && !fresh && *map_get(&m, key) == i;
		good &= m.entries[i].key == key && m.entries[i].value == i;
	}
	ok(good && m.n == N, "values stay, entries in order of insertion");
	ok(!map_get(&m, 12345), "a stranger");
	map_release(&m);
}

static void test_smap(void)
{
	struct smap m = { 0 };
	int fresh, good = 1;
	char key[32];
	ok(!smap_get(&m, "", 0), "an empty map has nothing");
	smap_put(&m, "", 0, 7, &fresh);
	smap_put(&m, "a\0b", 3, 8, NULL);
	smap_put(&m, "a\0c", 3, 9, NULL);
	ok(fresh && *smap_get(&m, "", 0) == 7 && *smap_get(&m, "a\0b", 3) == 8 && !smap_get(&m, "a", 1),
		"the empty key, keys with NUL");
	for (uint64_t i = 0; i < N; i++) {
		int n = snprintf(key, sizeof key, "key %d", (int)i);
		smap_put(&m, key, (size_t)n, i, &fresh);
		good &= fresh;
	}
	for (uint64_t i = 0; i < N; i++) {
		int n = snprintf(key, sizeof key, "key %d", (int)i);
		good &= *smap_get(&m, key, (size_t)n) == i && strcmp(m.entries[i + 3].key.p, key) == 0;
	}
	ok(good, "copies of keys, in order");
	smap_release(&m);
}

static struct hash128 nth(uint64_t i)
{
	/* Few bits of variety: long runs in the table. */
	return (struct hash128){ i % 7, i << 30 };
}

static void test_seen(void)
{
	struct seen *s = xcalloc(1, sizeof *s);
	struct band_index *x = xcalloc(1, sizeof *x);
	int good = 1;
	s->with_docs = 1;
	good &= seen_get(s, nth(0)) == SEEN_NONE && band_get(x, 5) == SEEN_NONE;
	for (uint32_t i = 0; i < N; i++) {
		good &= seen_get(s, nth(i)) == SEEN_NONE && seen_put(s, nth(i), i) == SEEN_NONE;
		band_put(x, (uint64_t)i << 40 | i % 3, i);
		band_put(x, (uint64_t)i << 40 | i % 3, i + 1);
	}
	for (uint32_t i = 0; i < N; i++) {
		good &= seen_put(s, nth(i), 0) == i && seen_get(s, nth(i)) == i;
		good &= band_get(x, (uint64_t)i << 40 | i % 3) == i;
	}
	ok(good, "the first document of each hash and key");
	ok(seen_bytes(s) < N * 33 && band_bytes(x) < N * 14, "in %.1f and %.1f bytes",
		(double)seen_bytes(s) / N, (double)band_bytes(x) / N);
	seen_release(s);
	band_release(x);
	seen_put(s, (struct hash128){ 0, 0 }, 0);
	ok(seen_put(s, (struct hash128){ 0, 0 }, 0) == 0,
		"a hash of zeros is a hash, documents are not kept unasked");
	seen_release(s);
	free(s);
	free(x);
}

int main(void)
{
	test_map();
	test_smap();
	test_seen();
	return tap_end();
}
