/*
 * par: the ordered pipeline. Items are read in order by one thread at a time, worked on in parallel, written
 * in the order in which they were read: so output does not depend on the number of threads.
 */
#ifndef QUERN_PAR_H
#define QUERN_PAR_H

struct pipeline {
	/* Next item, NULL at the end or on failure (remember which in ctx). Called by one thread at a time.
	 */
	void *(*read)(void *ctx);
	/* Called by many threads at once, each with its own item. `thread` is in [0, threads). */
	void (*work)(void *ctx, void *item, int thread);
	/* Called in the order of read, by one thread at a time; takes the item over. Non-zero stops the
	 * pipeline early: items in flight are then handed to `drop`. */
	int (*write)(void *ctx, void *item);
	void (*drop)(void *ctx, void *item);
};

/* Runs until read gives NULL; at most `threads` items are in flight. 0, or what write returned. */
int pipeline_run(const struct pipeline *p, void *ctx, int threads);

/* Processors that this process may use: OMP_NUM_THREADS if set, else the affinity mask. At least 1. */
int par_threads(void);
/* Makes OpenMP regions use n threads (the -j option). */
void par_set_threads(int n);

#endif
