/*
 * bench_peak: the most that this machine does, on 1 thread and on all: operations between registers, and
 *memory read and written once. Medians of RUNS; a JSON line each with -j.
 *
 *	bench_peak [-j] [TYPE|read|write|around]	all of them, or one, best instruction, all threads:
 *the number alone
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "tensor/kern_peak.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 7 };
/* Well beyond any cache. */
#define BYTES ((size_t)1 << 30)

static volatile unsigned long sink;

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, RUNS, sizeof *v, by_value);
	return v[RUNS / 2];
}

/* Operations a second on so many threads, in thousands of millions. */
static double compute(const struct kern_peak *k, int threads)
{
	double rate[RUNS];
	size_t times = 1 << 12;
	for (double s = 0; s < 0.03; times *= 2) {
		double t0 = now_seconds();
		k->run(times);
		s = now_seconds() - t0;
	}
	for (int r = 0; r < RUNS; r++) {
		double ops = 0, t0 = now_seconds();
#pragma omp parallel num_threads(threads) reduction(+ : ops)
		ops += k->run(times);
		rate[r] = ops / (now_seconds() - t0) / 1e9;
	}
	return median(rate);
}

/* Memory that is there: pages not yet written to are all the same one. */
static char *touched(void)
{
	char *p = mem_alloc(BYTES);
	memset(p, 1, BYTES);
	return p;
}

static const char *const ways[] = { "read", "write", "around" };

/* GB/s; every thread has its own part. */
static double memory(char *p, int way, int threads)
{
	double rate[RUNS];
	size_t part = BYTES / (size_t)threads / 512 * 512;
	for (int r = -1; r < RUNS; r++) {
		double t0 = now_seconds();
#pragma omp parallel num_threads(threads)
		{
			char *mine = p + part * (size_t)omp_get_thread_num();
			if (way == 0)
				sink = kern_peak_read(mine, part);
			else if (way == 1)
				kern_peak_write(mine, part);
			else
				kern_peak_write_around(mine, part);
		}
		if (r >= 0)
			rate[r] = (double)(part * (size_t)threads) / (now_seconds() - t0) / 1e9;
	}
	return median(rate);
}

static void show(
	int json, const char *what, const char *name, const char *unit, double one, double all, int threads)
{
	if (json)
		printf("{\"peak\":\"%s\",\"by\":\"%s\",\"unit\":\"%s\",\"1\":%.1f,\"%d\":%.1f}\n", what, name,
			unit, one, threads, all);
	else
		printf("%-6s %-16s %8.1f %8.1f %s\n", what, name, one, all, unit);
}

static void all(int json, int threads)
{
	if (!json)
		printf("%-23s %8s %7dT\n", "", "1T", threads);
	for (const struct kern_peak *k = kern_peaks; k->type; k++)
		if (k->supported())
			show(json, k->type, k->name, "GFLOP/s", compute(k, 1), compute(k, threads), threads);
	char *p = touched();
	for (int i = 0; i < 3; i++)
		show(json, ways[i], "", "GB/s", memory(p, i, 1), memory(p, i, threads), threads);
	mem_free(p, BYTES);
}

static int one(const char *what, int threads)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(what, ways[i]) == 0) {
			char *p = touched();
			printf("%.2f\n", memory(p, i, threads));
			mem_free(p, BYTES);
			return 0;
		}
	const struct kern_peak *best = NULL;
	for (const struct kern_peak *k = kern_peaks; k->type; k++)
		if (strcmp(k->type, what) == 0 && k->supported())
			best = k;
	if (!best) {
		fprintf(stderr, "bench_peak: nothing here multiplies '%s'\n", what);
		return 1;
	}
	printf("%.1f\n", compute(best, threads));
	return 0;
}

int main(int argc, char **argv)
{
	int threads = par_threads(), json = argc > 1 && strcmp(argv[1], "-j") == 0;
	if (argc > 1 + json)
		return one(argv[1 + json], threads);
	all(json, threads);
	return 0;
}
