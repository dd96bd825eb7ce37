#include "text/minhash.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tap.h"

#include <stdlib.h>

static double similarity(const char *a, const char *b, unsigned n)
{
	struct shingles s = { 0 }, t = { 0 };
	uint32_t v[64], w[64];
	shingles_of_text(&s, str_of(a), n);
	shingles_of_text(&t, str_of(b), n);
	shingles_halve(&s, v);
	shingles_halve(&t, w);
	double j = shingles_jaccard(v, s.n, w, t.n);
	shingles_release(&s);
	shingles_release(&t);
	return j;
}

static size_t words(const char *text, unsigned n, size_t *distinct)
{
	struct shingles s = { 0 };
	size_t w = shingles_of_text(&s, str_of(text), n);
	*distinct = s.n;
	shingles_release(&s);
	return w;
}

static void test_words(void)
{
	size_t d;
	ok(words("", 5, &d) == 0 && d == 0, "no words, no shingles");
	ok(words(" -- !? \xff\xfe", 5, &d) == 0 && d == 0, "signs are no words");
	ok(words("One two, three.", 5, &d) == 3 && d == 1, "a short text is one shingle");
	ok(words("a b c d e", 5, &d) == 5 && d == 1, "five words");
	ok(words("a b c d e a b c d e", 5, &d) == 10 && d == 5, "each shingle once");
	ok(words("x\xc3\xa9y d\xc3\xa9j\xc3\xa0 \xd0\x94\xd0\xbe\xd0\xbc", 1, &d) == 3,
		"letters beyond ASCII");
	ok(words("\xe4\xbd\xa0\xe5\xa5\xbd"
		 "ab\xe4\xbd\xa0",
		   1, &d) == 4 &&
			d == 3,
		"a Han character is a word");
	ok(similarity("The QUICK brown, fox -- jumped!", "the quick brown fox\njumped", 5) == 1,
		"case and signs");
	ok(similarity("\xc3\x89t\xc3\xa9 \xd0\x94\xd0\x9e\xd0\x9c a b c",
		   "\xc3\xa9t\xc3\xa9 \xd0\xb4\xd0\xbe\xd0\xbc a b c", 5) == 1,
		"case beyond ASCII");
	ok(similarity("a b", "a c", 5) == 0 && similarity("a b", "a b", 5) == 1,
		"short texts by all their words");
	ok(similarity("a b", "b a", 5) == 0, "in order");
	ok(similarity("", "", 5) == 0, "nothing is like nothing");
	ok(similarity("ab c d e f", "a bc d e f", 5) == 0, "where a word ends counts");
	ok(similarity("a b c d e f", "a b c d e g", 5) == 1 / 3.0, "one of three shingles");
	ok(similarity("a b c d", "d c b a", 1) == 1 && similarity("a b c d", "a b c e", 2) == 0.5,
		"other lengths");
}

/* Words of every length, at every place of the words of eight that the scanner reads, in both cases. */
static void test_places(void)
{
	int same = 1, differ = 1;
	for (size_t len = 1; len < 30; len++) {
		for (size_t at = 0; at < 9; at++) {
			char a[64], b[64], c[64];
			memset(a, 'q', len);
			memcpy(b, "        ", at);
			memset(b + at, 'Q', len);
			/* A letter of two bytes in its two cases, somewhere in the word. */
			memcpy(a + len / 2, "\xc3\xa9", 2);
			memcpy(b + at + len / 2, "\xc3\x89", 2);
			size_t n = len / 2 + 2 > len ? len / 2 + 2 : len;
			memcpy(a + n, " 7z", 4);
			memcpy(b + at + n, "-7Z.", 5);
			memcpy(c, a, sizeof c);
			c[len > 2 ? 0 : n + 1] = 'x';
			same &= similarity(a, b, 2) == 1;
			differ &= similarity(a, c, 2) == 0;
		}
	}
	ok(same, "words of every length and place");
	ok(differ, "and every one differs from another");
}

/* Random text over a small vocabulary against a naive set, also beyond the size where sorting changes. */
static void test_large(void)
{
	enum { N = 3000 };
	struct rng r;
	struct buf b = { 0 };
	struct shingles s = { 0 };
	static unsigned char seen[10000];
	size_t distinct = 0, id[N];
	rng_init(&r, 1, 0);
	for (size_t i = 0; i < N; i++) {
		id[i] = (size_t)rng_below(&r, 10);
		buf_addf(&b, "w%zu ", id[i]);
	}
	int good = 1;
	for (size_t i = 0; i + 4 <= N; i++) {
		size_t k = id[i] + 10 * id[i + 1] + 100 * id[i + 2] + 1000 * id[i + 3];
		distinct += !seen[k];
		seen[k] = 1;
	}
	ok(shingles_of_text(&s, (struct str){ b.p, b.n }, 4) == N, "words of a long text");
	for (size_t i = 1; i < s.n; i++)
		good &= s.v[i - 1] < s.v[i];
	ok(good, "sorted and distinct");
	ok(s.n == distinct, "%zu distinct shingles", s.n);
	shingles_release(&s);
	buf_release(&b);
}

/* Mean and spread of the share of equal values against the true similarity, for sets smaller and larger than
 * k. */
static void test_sketch(size_t n, size_t common)
{
	enum { K = 104, TRIES = 300 };
	uint64_t *a = xmalloc(n * sizeof *a), *b = xmalloc(n * sizeof *b);
	uint64_t x[K], y[K];
	double j = (double)common / (double)(2 * n - common), sum = 0, square = 0;
	for (uint64_t t = 0; t < TRIES; t++) {
		size_t same = 0;
		for (size_t i = 0; i < n; i++) {
			a[i] = rng_at(t, 1, i);
			b[i] = i < common ? a[i] : rng_at(t, 2, i);
		}
		minhash_sketch(a, n, t, x, K);
		minhash_sketch(b, n, t, y, K);
		for (size_t k = 0; k < K; k++)
			same += x[k] == y[k];
		sum += (double)same / K;
		square += ((double)same / K - j) * ((double)same / K - j);
	}
	double sigma = sqrt(j * (1 - j) / K);
	ok_near(sum / TRIES, j, 4 * sigma / sqrt(TRIES), "n %zu, J %.3f: unbiased", n, j);
	ok(sqrt(square / TRIES) <= 1.15 * sigma, "and spreads no more than independent hashes: %.4f, %.4f",
		sqrt(square / TRIES), sigma);
	free(a);
	free(b);
}

static void test_shape(void)
{
	size_t bands, rows;
	int good = 1;
	for (double t = 0.05; t <= 1; t += 0.05) {
		minhash_shape(t, &bands, &rows);
		good &= minhash_found(t, bands, rows) >= MINHASH_FOUND ||
			(rows == 1 && bands == MINHASH_BANDS);
		good &= bands <= MINHASH_BANDS && bands * rows <= MINHASH_VALUES;
	}
	ok(good, "a pair at the threshold is found");
	minhash_shape(0.6, &bands, &rows);
	ok(bands == 26 && rows == 4, "0.6: 26 x 4");
	minhash_shape(0.8, &bands, &rows);
	ok(bands == 15 && rows == 7, "0.8: 15 x 7");
	minhash_shape(1, &bands, &rows);
	ok(bands == 1 && rows == 32, "1: 1 x 32");
	/* FineWeb's own figures of 14 x 8. */
	ok_near(minhash_found(0.75, 14, 8), 0.772, 0.001, "14 x 8 at .75");
	ok_near(minhash_found(0.8, 14, 8), 0.924, 0.001, "14 x 8 at .80");
}

int main(void)
{
	test_words();
	test_places();
	test_large();
	test_sketch(1, 1);
	test_sketch(20, 15);
	test_sketch(100, 60);
	test_sketch(2000, 1200);
	test_shape();
	return tap_end();
}
