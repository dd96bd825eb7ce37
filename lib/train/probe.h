/*
 * probe: what one pass over a batch computes, as a file that a reference can be held against.
 */
#ifndef QUERN_PROBE_H
#define QUERN_PROBE_H

#include "train/trainer.h"

/* One forward and backward pass over t->batch, into a safetensors file: `loss` [1] (z-loss included),
 * `grad.NAME` of every tensor, `logps` [rows] (of each row's targets). The weights stay. */
int probe_write(struct trainer *t, const char *path, struct update *u, struct err *e);

#endif
