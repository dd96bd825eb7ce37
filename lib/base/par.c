#define _GNU_SOURCE
#include "base/par.h"
#include "base/die.h"
#include "base/mem.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct run {
	const struct pipeline *p;
	void *ctx;
	pthread_mutex_t read_lock, write_lock;
	pthread_cond_t turn;
	unsigned long next_read, next_write;
	int stop, rc; /* guarded by write_lock; stop is also read under read_lock after being set there */
};

struct worker {
	struct run *run;
	int id;
};

static void *work_loop(void *arg)
{
	struct worker *w = arg;
	struct run *r = w->run;
	for (;;) {
		pthread_mutex_lock(&r->read_lock);
		void *item = r->stop ? NULL : r->p->read(r->ctx);
		unsigned long seq = item ? r->next_read++ : 0;
		pthread_mutex_unlock(&r->read_lock);
		if (!item)
			return NULL;
		r->p->work(r->ctx, item, w->id);
		pthread_mutex_lock(&r->write_lock);
		while (r->next_write != seq)
			pthread_cond_wait(&r->turn, &r->write_lock);
		int failed = r->rc != 0;
		pthread_mutex_unlock(&r->write_lock);
		/* It is this item's turn: nobody else can be between here and the increment below. */
		int rc = 0;
		if (failed)
			r->p->drop(r->ctx, item);
		else
			rc = r->p->write(r->ctx, item);
		if (rc) {
			pthread_mutex_lock(&r->read_lock);
			r->stop = 1;
			pthread_mutex_unlock(&r->read_lock);
		}
		pthread_mutex_lock(&r->write_lock);
		if (rc)
			r->rc = rc;
		r->next_write++;
		pthread_cond_broadcast(&r->turn);
		pthread_mutex_unlock(&r->write_lock);
	}
}

int pipeline_run(const struct pipeline *p, void *ctx, int threads)
{
	struct run r = { .p = p, .ctx = ctx };
	pthread_mutex_init(&r.read_lock, NULL);
	pthread_mutex_init(&r.write_lock, NULL);
	pthread_cond_init(&r.turn, NULL);
	struct worker *w = xcalloc((size_t)threads, sizeof *w);
	pthread_t *t = xcalloc((size_t)threads, sizeof *t);
	int started = 1;
	for (int i = 0; i < threads; i++)
		w[i] = (struct worker){ &r, i };
	/* Fewer threads than asked for is slower, not wrong. */
	while (started < threads && pthread_create(&t[started], NULL, work_loop, &w[started]) == 0)
		started++;
	work_loop(&w[0]);
	for (int i = 1; i < started; i++)
		pthread_join(t[i], NULL);
	free(t);
	free(w);
	pthread_cond_destroy(&r.turn);
	pthread_mutex_destroy(&r.write_lock);
	pthread_mutex_destroy(&r.read_lock);
	return r.rc;
}

/*
 * libgomp's threads spin for milliseconds at a barrier. Alone on the machine that is right; beside one other
 * busy program a training step took five times as long. A shorter spin costs nothing measurable alone
 * (BENCHMARKS.md), but libgomp reads its environment in a constructor of its own, so this has to run before
 * any: .preinit_array does. Whoever sets OMP_WAIT_POLICY or GOMP_SPINCOUNT keeps his choice. Sanitizers start
 * there too, and want to be first.
 */
#if defined(__linux__) && defined(__ELF__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NO_PREINIT
#endif
#endif
#ifndef NO_PREINIT
static void shorten_spin(void)
{
	if (!getenv("OMP_WAIT_POLICY"))
		setenv("GOMP_SPINCOUNT", "10000", 0);
}
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = shorten_spin;
#endif
#endif

int par_threads(void)
{
	/* omp_get_max_threads knows OMP_NUM_THREADS, omp_get_num_procs the affinity mask. */
	const char *env = getenv("OMP_NUM_THREADS");
	int n = env && *env ? omp_get_max_threads() : omp_get_num_procs();
	return n < 1 ? 1 : n;
}

void par_set_threads(int n)
{
	omp_set_dynamic(0);
	omp_set_num_threads(n);
}
