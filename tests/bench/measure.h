/*
 * measure: what the benchmarks share: medians, and this machine's own peaks on so many threads.
 */
#ifndef QUERN_MEASURE_H
#define QUERN_MEASURE_H

#include "base/log.h"
#include "base/mem.h"
#include "tensor/kern_peak.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { PEAK_RUNS = 7 };

static inline int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Sorts v. */
static inline double median(double *v, size_t n)
{
	qsort(v, n, sizeof *v, by_value);
	return v[n / 2];
}

/* Thousands of millions of operations a second. */
static inline double peak_of(const struct kern_peak *k, int threads)
{
	double rate[PEAK_RUNS];
	size_t times = 1 << 12;
	for (double s = 0; s < 0.03; times *= 2) {
		double t0 = now_seconds();
		k->run(times);
		s = now_seconds() - t0;
	}
	for (int r = 0; r < PEAK_RUNS; r++) {
		double ops = 0, t0 = now_seconds();
#pragma omp parallel num_threads(threads) reduction(+ : ops)
		ops += k->run(times);
		rate[r] = ops / (now_seconds() - t0) / 1e9;
	}
	return median(rate, PEAK_RUNS);
}

/* Of a type's best instruction here; 0: there is none. */
static inline double peak(const char *type, int threads)
{
	const struct kern_peak *best = NULL;
	for (const struct kern_peak *k = kern_peaks; k->type; k++)
		if (strcmp(k->type, type) == 0 && k->supported())
			best = k;
	return best ? peak_of(best, threads) : 0;
}

/* Memory well beyond any cache, and written to: pages that never were are all the same one. */
#define MEMORY_BYTES ((size_t)1 << 30)
static inline char *memory_new(void)
{
	char *p = mem_alloc(MEMORY_BYTES);
	memset(p, 1, MEMORY_BYTES);
	return p;
}

enum way { READ, WRITE, WRITE_AROUND };

static volatile unsigned long memory_sink;

/* GB/s over memory of memory_new; every thread has its own part. */
static inline double memory_rate(char *p, enum way way, int threads)
{
	double rate[PEAK_RUNS];
	size_t part = MEMORY_BYTES / (size_t)threads / 512 * 512;
	for (int r = -1; r < PEAK_RUNS; r++) {
		double t0 = now_seconds();
#pragma omp parallel num_threads(threads)
		{
			char *mine = p + part * (size_t)omp_get_thread_num();
			if (way == READ)
				memory_sink = kern_peak_read(mine, part);
			else if (way == WRITE)
				kern_peak_write(mine, part);
			else
				kern_peak_write_around(mine, part);
		}
		if (r >= 0)
			rate[r] = (double)(part * (size_t)threads) / (now_seconds() - t0) / 1e9;
	}
	return median(rate, PEAK_RUNS);
}

#endif
