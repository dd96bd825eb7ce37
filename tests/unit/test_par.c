#include "base/par.h"
#include "base/mem.h"
#include "tap.h"

#include <stdatomic.h>
#include <stdlib.h>

struct job {
	int total, next, expect, stop_at, dropped, in_order;
	_Atomic int in_flight, worked, threads_ok, most;
	int threads;
};

static void *read_item(void *ctx)
{
	struct job *j = ctx;
	if (j->next == j->total)
		return NULL;
	int *item = xmalloc(sizeof *item), flying = ++j->in_flight;
	if (flying > j->most)
		j->most = flying;
	*item = j->next++;
	return item;
}

static void work(void *ctx, void *item, int thread)
{
	struct job *j = ctx;
	volatile double x = 1;
	/* Items of uneven size finish out of order. */
	for (int i = 0; i < *(int *)item % 5 * 2000; i++)
		x = x * 1.0000001;
	j->worked++;
	if (thread < 0 || thread >= j->threads)
		j->threads_ok = 0;
}

static int write_item(void *ctx, void *item)
{
	struct job *j = ctx;
	int n = *(int *)item;
	free(item);
	j->in_flight--;
	j->in_order &= n == j->expect++;
	return n == j->stop_at ? 5 : 0;
}

static void drop(void *ctx, void *item)
{
	struct job *j = ctx;
	free(item);
	j->in_flight--;
	j->dropped++;
}

int main(void)
{
	static const struct pipeline p = { read_item, work, write_item, drop };
	for (int threads = 1; threads <= 8; threads += threads) {
		struct job j = {
			.total = 2000, .stop_at = -1, .in_order = 1, .threads = threads, .threads_ok = 1
		};
		int rc = pipeline_run(&p, &j, threads);
		ok(rc == 0 && j.expect == 2000 && j.in_order, "%d threads: all items, in order", threads);
		ok(j.threads_ok && j.most <= threads, "at most %d in flight", threads);
		j = (struct job){ .total = 2000, .stop_at = 700, .in_order = 1, .threads = threads };
		rc = pipeline_run(&p, &j, threads);
		ok(rc == 5 && j.expect == 701 && j.in_order, "%d threads: write stops the pipeline", threads);
		ok(j.in_flight == 0 && j.dropped < threads, "and items in flight are dropped");
		j = (struct job){ .threads = threads };
		ok(pipeline_run(&p, &j, threads) == 0, "nothing to do");
	}
	ok(par_threads() >= 1, "threads");
	return tap_end();
}
