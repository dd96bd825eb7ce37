#include "train/probe.h"
#include "base/io.h"
#include "base/mem.h"
#include "tensor/safetensors.h"

#include <stdlib.h>

/* A failure sticks to the writer. */
static void write_tensors(
	const struct model *m, struct writer *w, float loss, const float *logps, size_t rows)
{
	size_t one = 1;
	struct safetensors_writer *st = safetensors_writer_new();
	safetensors_writer_declare(st, "loss", DTYPE_F32, 1, &one);
	safetensors_writer_declare(st, "logps", DTYPE_F32, 1, &rows);
	for (size_t i = 0; i < m->nparams; i++) {
		char *name = xasprintf("grad.%s", m->params[i].name);
		safetensors_writer_declare(st, name, DTYPE_F32, m->params[i].ndim, m->params[i].shape);
		free(name);
	}
	int rc = safetensors_writer_begin(st, w);
	if (rc == 0)
		rc = safetensors_writer_f32(st, &loss, 1);
	if (rc == 0)
		rc = safetensors_writer_f32(st, logps, rows);
	for (size_t i = 0; rc == 0 && i < m->nparams; i++)
		rc = safetensors_writer_f32(st, m->params[i].g, m->params[i].count);
	if (rc == 0)
		safetensors_writer_end(st);
	else
		safetensors_writer_free(st);
}

int probe_write(struct trainer *t, const char *path, struct update *u, struct err *e)
{
	size_t rows = t->batch.nrows;
	struct writer *w = writer_open(path, e);
	if (!w)
		return -1;
	double *sum = xcalloc(rows + 1, sizeof *sum);
	float *logps = xcalloc(rows + 1, sizeof *logps);
	trainer_pass(t, 1, sum, u);
	for (size_t r = 0; r < rows; r++)
		logps[r] = (float)sum[r];
	write_tensors(t->model, w, (float)(u->loss + u->zloss), logps, rows);
	free(sum);
	free(logps);
	return writer_commit(w, 0, e);
}
