#include "train/guard.h"
#include "train/order.h"
#include "train/sched.h"
#include "tap.h"

#include <stdlib.h>

enum { COSINE, LINEAR, WSD, CONSTANT, INVERSE_SQRT };

static struct sched make(int kind)
{
	return (struct sched){ .kind = kind, .lr = 1, .min_lr = 0.1, .warmup = 10, .decay_fraction = 0.2 };
}

static double at(int kind, uint64_t step, uint64_t steps)
{
	struct sched s = make(kind);
	return sched_lr(&s, step, sched_share(&s, step, steps));
}

static void test_schedules(void)
{
	for (int k = COSINE; k <= INVERSE_SQRT; k++) {
		ok_near(at(k, 0, 110), 0.1, 1e-15, "schedule %d: first update of the warm-up", k);
		ok_near(at(k, 9, 110), 1, 1e-15, "schedule %d: end of the warm-up", k);
	}
	ok_near(at(COSINE, 10, 110), 1, 0, "cosine starts at lr");
	ok_near(at(COSINE, 60, 110), 0.55, 1e-12, "cosine half way");
	ok_near(at(COSINE, 110, 110), 0.1, 1e-12, "cosine ends at min-lr");
	ok_near(at(LINEAR, 35, 110), 0.775, 1e-12, "linear after a quarter");
	ok_near(at(WSD, 89, 110), 1, 0, "wsd stays");
	ok_near(at(WSD, 95, 110), 0.1 + 0.9 * (1 - sqrt(0.25)), 1e-12, "wsd a quarter into its decay");
	ok_near(at(CONSTANT, 109, 110), 1, 0, "constant");
	ok_near(at(INVERSE_SQRT, 39, 110), 0.1 + 0.9 * 0.5, 1e-12, "inverse-sqrt at four times the warm-up");
	ok_near(at(LINEAR, 5, 5), 0.6, 1e-12, "a run that ends inside its warm-up");
	struct sched s = make(CONSTANT);
	ok(!sched_uses_share(&s), "constant needs no total");
	s.warmup = 0;
	ok_near(sched_lr(&s, 0, 0), 1, 0, "no warm-up");
}

static void test_order(void)
{
	static const uint64_t sizes[] = { 1, 2, 3, 7, 64, 65, 1000, 4097 };
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		uint64_t n = sizes[k], twice = 0;
		char *seen = calloc(n, 1);
		for (uint64_t i = 0; i < n; i++) {
			uint64_t j = order_at(42, 0, n, i);
			twice += j >= n || seen[j];
			seen[j < n ? j : 0] = 1;
		}
		ok(twice == 0, "order of %lu is a permutation", (unsigned long)n);
		free(seen);
	}
	uint64_t same_pass = 0, same_seed = 0, fixed = 0;
	double drift = 0;
	for (uint64_t i = 0; i < 10000; i++) {
		uint64_t j = order_at(42, 0, 10000, i);
		same_pass += j == order_at(42, 1, 10000, i);
		same_seed += j == order_at(43, 0, 10000, i);
		fixed += j == i;
		drift += (double)i * (double)j;
	}
	ok(same_pass < 10 && same_seed < 10 && fixed < 10, "passes and seeds differ");
	double mean = 9999 / 2.0, corr = (drift / 10000 - mean * mean) / (10000.0 * 10000 / 12);
	ok_near(corr, 0, 0.04, "no trace of the old order");
	ok(order_at(1, 0, UINT64_C(1) << 62, 5) < UINT64_C(1) << 62, "large sizes");
}

static void test_guard(void)
{
	struct guard g = { 0 };
	ok(guard_step(&g, NAN, 1) && guard_step(&g, 1, INFINITY), "not finite is always skipped");
	ok(!guard_step(&g, 1e9, 1) && g.seen == 0, "without a window nothing else is");
	g.window = 1;
	ok(!guard_step(&g, 1e9, 1), "an empty window judges nothing");
	g = (struct guard){ .window = 1 };
	int bad = 0;
	for (int i = 0; i < 300; i++)
		bad += guard_step(&g, 2 + 0.01 * (i % 7), 1 + 0.01 * (i % 5));
	ok(bad == 0, "ordinary steps pass");
	ok(guard_step(&g, 3, 1), "a loss beyond six sigma is skipped");
	ok(!guard_step(&g, 2.0, 0.5), "a small norm is not");
	ok(guard_step(&g, 2.03, 9), "a norm beyond six sigma is");
}

int main(void)
{
	test_schedules();
	test_order();
	test_guard();
	return tap_end();
}
