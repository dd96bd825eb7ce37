#include "text/linear.h"
#include "base/rng.h"
#include "tap.h"

#include <stdlib.h>

static const struct linear_config config = { { WORDS_PUNCT, 2, 5000 }, 0.3, 3, 1, 42 };

/* A text of topic `topic`: half of its words are the topic's. */
static void make_text(struct buf *b, struct rng *r, unsigned topic)
{
	buf_reset(b);
	for (int i = 0; i < 20; i++)
		buf_addf(b, "%c%u ", rng_below(r, 2) ? 'a' : (char)('b' + topic), (unsigned)rng_below(r, 50));
}

static const char *const names[] = { "x", "yy", "z" };

static struct linear *learn(unsigned topics, int threads, const struct linear_config *c)
{
	struct err e;
	struct linear_report report;
	struct linear_trainer *t = linear_trainer_new(c, NULL, &e);
	struct words w;
	struct buf b = { 0 };
	struct rng r;
	uint32_t *f = NULL;
	size_t cap = 0;
	rng_init(&r, 1, 0);
	words_init(&w, c->shape.words);
	for (unsigned i = 0; i < 300; i++) {
		unsigned topic = i % topics;
		make_text(&b, &r, topic);
		words_split(&w, b.p, b.n);
		size_t n = linear_features(&c->shape, &w, &f, &cap);
		if (linear_trainer_add(t, str_of(names[topics - 1 - topic]), f, n, &e) < 0)
			abort();
	}
	struct linear *m = linear_trainer_run(t, threads, NULL, NULL, &report, &e);
	linear_trainer_free(t);
	words_release(&w);
	buf_release(&b);
	free(f);
	return m;
}

static void test_learning(unsigned topics)
{
	struct linear *m = learn(topics, 1, &config);
	struct linear_scratch s = { 0 };
	struct words w;
	struct buf b = { 0 };
	struct rng r;
	float score[3];
	int right = 0, sums = 1;
	rng_init(&r, 2, 0);
	words_init(&w, WORDS_PUNCT);
	for (unsigned i = 0; i < 100; i++) {
		make_text(&b, &r, i % topics);
		words_split(&w, b.p, b.n);
		size_t best = linear_judge(m, &w, &s, score);
		float sum = 0;
		for (size_t k = 0; k < m->labels; k++)
			sum += score[k];
		sums &= fabsf(sum - 1) < 1e-5f && score[best] >= 1.0f / (float)m->labels;
		right += str_is(m->label[best], names[topics - 1 - i % topics]);
	}
	ok(right > 95, "%u labels: %d of 100 right", topics, right);
	ok(sums, "probabilities add up to 1, the label has the largest");
	words_split(&w, "", 0);
	linear_judge(m, &w, &s, score);
	ok(score[0] > 0.1f && score[0] < 0.9f, "a text without words is undecided: %g", (double)score[0]);
	words_release(&w);
	buf_release(&b);
	linear_scratch_release(&s);
	linear_free(m);
}

static void test_same_bytes(void)
{
	struct buf a = { 0 }, b = { 0 }, c = { 0 };
	struct linear *m = learn(3, 1, &config), *n = learn(3, 4, &config);
	struct err e;
	linear_write(m, &a);
	linear_write(n, &b);
	ok(a.n == b.n && memcmp(a.p, b.p, a.n) == 0, "1 and 4 threads learn the same bytes");
	struct linear *p = linear_parse(a.p, a.n, &e);
	ok(p != NULL, "a written classifier is read back");
	if (p)
		linear_write(p, &c);
	ok(c.n == a.n && memcmp(a.p, c.p, a.n) == 0, "and written as it was");
	struct linear_config other = config;
	other.seed = 43;
	struct linear *q = learn(3, 1, &other);
	buf_reset(&b);
	linear_write(q, &b);
	ok(a.n != b.n || memcmp(a.p, b.p, a.n) != 0, "another seed learns other bytes");
	linear_free(m);
	linear_free(n);
	linear_free(p);
	linear_free(q);
	buf_release(&a);
	buf_release(&b);
	buf_release(&c);
}

static void test_damage(void)
{
	struct linear_config small = config;
	small.shape.buckets = 37;
	struct linear *m = learn(2, 1, &small);
	struct buf b = { 0 };
	struct err e;
	size_t cut = 0, flipped = 0;
	linear_write(m, &b);
	for (size_t n = 0; n < b.n; n++) {
		struct linear *p = linear_parse(b.p, n, &e);
		cut += p != NULL;
		linear_free(p);
	}
	ok(cut == 0, "every truncation of %zu bytes is refused", b.n);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 1 << i % 8;
		struct linear *p = linear_parse(b.p, b.n, &e);
		flipped += p != NULL;
		linear_free(p);
		b.p[i] ^= 1 << i % 8;
	}
	ok(flipped == 0, "every flipped bit is refused");
	linear_free(m);
	buf_release(&b);
}

static void test_min_count(void)
{
	struct linear_config c = config;
	struct linear *all = learn(2, 1, &c);
	c.min_count = 10;
	struct linear *some = learn(2, 1, &c);
	c.min_count = 1000000;
	struct linear *none = learn(2, 1, &c);
	ok(some->rows > 0 && some->rows < all->rows, "rare features go: %zu of %zu stay", some->rows,
		all->rows);
	ok(none->rows == 0, "all of them, if need be");
	linear_free(all);
	linear_free(some);
	linear_free(none);
}

static void test_refusals(void)
{
	struct err e;
	struct linear_report report;
	struct linear_trainer *t = linear_trainer_new(&config, NULL, &e);
	uint32_t f = 1;
	ok(!linear_trainer_run(t, 1, NULL, NULL, &report, &e), "no documents: %s", e.msg);
	linear_trainer_add(t, STR("a"), &f, 1, &e);
	ok(!linear_trainer_run(t, 1, NULL, NULL, &report, &e), "one label: %s", e.msg);
	linear_trainer_free(t);
	ok(!linear_trainer_new(&config, "/nonexistent", &e), "no folder: %s", e.msg);
}

int main(void)
{
	test_learning(2);
	test_learning(3);
	test_same_bytes();
	test_damage();
	test_min_count();
	test_refusals();
	return tap_end();
}
