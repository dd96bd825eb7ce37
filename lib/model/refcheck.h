/*
 * refcheck: a model against a reference file: logits, loss and gradients on the reference's input_ids.
 */
#ifndef QUERN_REFCHECK_H
#define QUERN_REFCHECK_H

#include "base/buf.h"
#include "model/model.h"
#include "tensor/safetensors.h"

struct refcheck {
	size_t batch, length; /* of input_ids [B, T] */
	float *logits;        /* [B, T, V] */
	float loss;           /* mean over the B * (T - 1) next tokens */
	int grad;             /* the model's gradients are those of the loss */
};

/* Runs m on `input_ids` (I64 or I32) of the reference. With grad, m's gradients are made (and zeroed first).
 */
int refcheck_run(struct refcheck *v, struct model *m, const struct safetensors *ref, const char *ref_name,
	enum dtype compute, int grad, struct err *e);
void refcheck_release(struct refcheck *v);

/* Is a tensor of this name compared: logits, loss and, with grad, grad.NAME? */
int refcheck_is_result(const char *name, int grad);
/* Compares every tensor of the reference that was computed; appends one JSON line each to out. The number of
 * those whose |a - b| / |b| is above tol (or no number), -1 where the reference does not fit the model. */
int refcheck_compare(const struct refcheck *v, const struct model *m, const struct safetensors *ref,
	const char *ref_name, double tol, struct buf *out, struct err *e);
/* Writes what was computed under the reference's names: input_ids, logits, loss, grad.NAME. */
int refcheck_write(const struct refcheck *v, const struct model *m, const struct safetensors *ref,
	const char *path, struct err *e);

#endif
