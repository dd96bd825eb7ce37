/*
 * order: a seeded permutation that is computed, not stored: position i of a pass, in constant time and
 * memory.
 */
#ifndef QUERN_ORDER_H
#define QUERN_ORDER_H

#include <stdint.h>

/* Where position i (< n) of pass `pass` goes; one to one on [0, n). */
uint64_t order_at(uint64_t seed, uint64_t pass, uint64_t n, uint64_t i);

#endif
