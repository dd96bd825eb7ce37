#include "base/par.h"
#include "text/doc.h"

#include <pthread.h>
#include <stdlib.h>

struct run {
	struct doc_source *s;
	const struct docs_job *job;
	void *ctx;
	size_t batch_bytes;
	pthread_mutex_t lock; /* guards the list of idle batches */
	struct doc_batch **idle;
	size_t n, cap;
	int failed;
	struct err *e;
};

static struct doc_batch *take(struct run *r)
{
	struct doc_batch *b = NULL;
	pthread_mutex_lock(&r->lock);
	if (r->n)
		b = r->idle[--r->n];
	pthread_mutex_unlock(&r->lock);
	return b ? b : xcalloc(1, sizeof *b);
}

static void give(void *ctx, void *item)
{
	struct run *r = ctx;
	pthread_mutex_lock(&r->lock);
	GROW(r->idle, r->cap, r->n + 1);
	r->idle[r->n++] = item;
	pthread_mutex_unlock(&r->lock);
}

static void *read_batch(void *ctx)
{
	struct run *r = ctx;
	struct doc_batch *b = take(r);
	int rc = docs_read(r->s, b, r->batch_bytes, r->e);
	if (rc > 0)
		return b;
	r->failed = rc < 0;
	give(r, b);
	return NULL;
}

static void work_batch(void *ctx, void *item, int thread)
{
	struct run *r = ctx;
	docs_parse(r->s, item);
	r->job->work(r->ctx, item, thread);
}

static int write_batch(void *ctx, void *item)
{
	struct run *r = ctx;
	int rc = r->job->write(r->ctx, item);
	give(r, item);
	return rc;
}

int docs_run(struct doc_source *s, const struct docs_job *job, void *ctx, size_t batch_bytes, int threads,
	struct err *e)
{
	static const struct pipeline p = { read_batch, work_batch, write_batch, give };
	struct err unused;
	struct run r = { .s = s, .job = job, .ctx = ctx, .batch_bytes = batch_bytes, .e = e ? e : &unused };
	pthread_mutex_init(&r.lock, NULL);
	int rc = pipeline_run(&p, &r, threads);
	for (size_t i = 0; i < r.n; i++) {
		if (job->release && r.idle[i]->user)
			job->release(r.idle[i]->user);
		doc_batch_release(r.idle[i]);
		free(r.idle[i]);
	}
	free(r.idle);
	pthread_mutex_destroy(&r.lock);
	return rc ? rc : r.failed ? -1 : 0;
}
