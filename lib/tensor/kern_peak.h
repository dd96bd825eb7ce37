/*
 * kern_peak: the most that this processor can do, for benchmarks: multiply-adds between registers alone, and
 * memory read and written once. What a product or a decoder reaches is a share of these, measured in the same
 * run. Nothing here starts threads: call from as many as are to be measured at once.
 */
#ifndef QUERN_KERN_PEAK_H
#define QUERN_KERN_PEAK_H

#include <stddef.h>

struct kern_peak {
	const char *type; /* of the factors: "f32", "bf16", "int8" (sums are f32 and int32) */
	const char *name; /* the instruction */
	int (*supported)(void);
	/* `times` rounds on random factors (zeros are faster where power is the limit); returns the
	 * operations done, a multiplication and an addition each. */
	double (*run)(size_t times);
};

/* Of each type the best come last; ends with a row without a type. */
extern const struct kern_peak kern_peaks[];

/* n bytes, a multiple of 512, aligned to 64. The sum keeps the reading alive. */
unsigned long kern_peak_read(const void *p, size_t n);
void kern_peak_write(void *p, size_t n);        /* plain stores */
void kern_peak_write_around(void *p, size_t n); /* past the caches where the processor can, else plain */

#endif
