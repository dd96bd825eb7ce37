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

/* Hashes; some of them in bunches of one place, which make long runs in the table. */
static struct hash128 nth(uint64_t i)
{
	if (i % 64)
		return (struct hash128){ mix64(i), mix64(~i) };
	return (struct hash128){ i << 8, mix64(i / 4096) };
}

/* Likewise: bunches of neighbours in one part. */
static uint64_t band_key(uint64_t i)
{
	return i % 64 ? mix64(i) : (mix64(i / 4096) & ~UINT64_C(0xffffffffff)) + (i % 4096 << 26);
}

static void test_seen(void)
{
	enum { HASHES = 200000 };
	struct seen *s = xcalloc(1, sizeof *s);
	int good = 1;
	s->with_docs = 1;
	good &= seen_get(s, nth(0)) == SEEN_NONE;
	for (uint32_t i = 0; i < HASHES; i++)
		good &= seen_get(s, nth(i)) == SEEN_NONE && seen_put(s, nth(i), i) == SEEN_NONE;
	for (uint32_t i = 0; i < HASHES; i++)
		good &= seen_put(s, nth(i), 0) == i && seen_get(s, nth(i)) == i;
	ok(good, "the first document of each hash");
	good = 1;
	for (uint32_t i = HASHES; i < 2 * HASHES; i++)
		good &= seen_get(s, nth(i)) == SEEN_NONE;
	ok(good, "and none of others");
	ok(seen_bytes(s) < HASHES * 30, "in %.1f bytes", (double)seen_bytes(s) / HASHES);
	seen_release(s);
	seen_put(s, (struct hash128){ 0, 0 }, 0);
	ok(seen_put(s, (struct hash128){ 0, 0 }, 0) == 0,
		"a hash of zeros is a hash, documents are not kept unasked");
	seen_release(s);
	free(s);
}

/* What a key is known by. */
static uint64_t known(uint64_t key)
{
	return key >> 32 << 8 | key % BAND_PARTS;
}

/* Against a map, with `each` keys to a document and every fourth key one that was there. */
static void test_bands(uint64_t n, uint32_t each, size_t most)
{
	struct band_index *x = xcalloc(1, sizeof *x);
	struct map m = { 0 };
	int good = band_get(x, 5) == SEEN_NONE;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t key = band_key(i % 4 ? i : i / 4 * 3);
		uint32_t doc = (uint32_t)(i / each);
		uint64_t *first = map_get(&m, known(key));
		good &= band_get(x, key) == (first ? *first : SEEN_NONE);
		map_put(&m, known(key), doc, NULL);
		band_put(x, key, doc);
	}
	for (size_t i = 0; i < m.n; i++)
		good &= band_get(x, m.entries[i].key >> 8 << 32 | m.entries[i].key % 256) ==
			m.entries[i].value;
	ok(good, "the first document of each band, %u bands a document", each);
	good = 1;
	for (uint64_t i = n; i < 2 * n; i++)
		good &= map_get(&m, known(mix64(~i))) || band_get(x, mix64(~i)) == SEEN_NONE;
	ok(good, "and none of others");
	double bytes = (double)band_bytes(x) / (double)m.n;
	ok(bytes < (double)most, "in %.1f bytes a key", bytes);
	band_release(x);
	map_release(&m);
	free(x);
}

int main(void)
{
	test_map();
	test_smap();
	test_seen();
	test_bands(1000, 1, 200);
	test_bands(100000, 1, 100);
	test_bands(300000, 15, 11);
	test_bands(600000, 26, 10);
	return tap_end();
}
