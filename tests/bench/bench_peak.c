/*
 * bench_peak: the most that this machine does, on 1 thread and on all: operations between registers, and
 * memory read and written once. Medians; with -j a JSON line each.
 *
 *	bench_peak [-j]
 *	bench_peak f32|bf16|int8|read|write|around	the best instruction's, all threads: the number alone
 */
#include "base/par.h"
#include "measure.h"

#include <stdio.h>

static const char *const ways[] = { "read", "write", "around" };

static void show(int json, const char *what, const char *name, const char *unit, const double *rate)
{
	if (json)
		printf("{\"peak\":\"%s\",\"by\":\"%s\",\"unit\":\"%s\",\"threads\":[1,%d],\"rates\":[%.1f,%."
		       "1f]}\n",
			what, name, unit, par_threads(), rate[0], rate[1]);
	else
		printf("%-6s %-16s %8.1f %8.1f %s\n", what, name, rate[0], rate[1], unit);
}

static void show_all(int json)
{
	int threads = par_threads();
	if (!json)
		printf("%-23s %8s %7dT\n", "", "1T", threads);
	for (const struct kern_peak *k = kern_peaks; k->type; k++)
		if (k->supported())
			show(json, k->type, k->name, strcmp(k->type, "int8") == 0 ? "GOP/s" : "GFLOP/s",
				(double[]){ peak_of(k, 1), peak_of(k, threads) });
	char *p = memory_new();
	for (int i = 0; i < 3; i++)
		show(json, ways[i], "", "GB/s",
			(double[]){ memory_rate(p, (enum way)i, 1), memory_rate(p, (enum way)i, threads) });
	mem_free(p, MEMORY_BYTES);
}

/* 0: unknown, or nothing here does it. */
static double rate_of(const char *what)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(what, ways[i]) == 0) {
			char *p = memory_new();
			double rate = memory_rate(p, (enum way)i, par_threads());
			mem_free(p, MEMORY_BYTES);
			return rate;
		}
	return peak(what, par_threads());
}

int main(int argc, char **argv)
{
	int json = argc > 1 && strcmp(argv[1], "-j") == 0;
	if (argc < 2 || json) {
		show_all(json);
		return 0;
	}
	double rate = rate_of(argv[1]);
	if (rate > 0)
		printf("%.2f\n", rate);
	else
		fprintf(stderr, "bench_peak: nothing here does '%s'\n", argv[1]);
	return !(rate > 0);
}
