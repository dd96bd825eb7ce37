#include "model/refcheck.h"
#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* input_ids as the engine takes them, every one checked; to be freed. */
static uint32_t *read_ids(const struct safetensors *ref, const char *name, const struct config *c,
	size_t *batch, size_t *length, struct err *e)
{
	const struct tensor_view *t = safetensors_get(ref, "input_ids");
	if (!t || t->ndim != 2 || (t->dtype != DTYPE_I64 && t->dtype != DTYPE_I32)) {
		err_set(e, "%s: wants input_ids [B, T] of type I64 or I32", name);
		return NULL;
	}
	*batch = t->shape[0];
	*length = t->shape[1];
	if (!*batch || *length < 2 || *length > c->context) {
		err_set(e, "%s: input_ids [%zu, %zu]: wants rows of 2 to %zu ids (the model's context)", name,
			*batch, *length, c->context);
		return NULL;
	}
	uint32_t *ids = xcalloc(t->count, sizeof *ids);
	for (size_t i = 0; i < t->count; i++) {
		int64_t id;
		int32_t id32;
		if (t->dtype == DTYPE_I64) {
			memcpy(&id, (const char *)t->data + 8 * i, sizeof id);
		} else {
			memcpy(&id32, (const char *)t->data + 4 * i, sizeof id32);
			id = id32;
		}
		if (id < 0 || (uint64_t)id >= c->vocab) {
			err_set(e, "%s: input_ids[%zu]: %lld is no id of %zu", name, i, (long long)id,
				c->vocab);
			free(ids);
			return NULL;
		}
		ids[i] = (uint32_t)id;
	}
	return ids;
}

/* Logits of all rows, then the mean loss and, when asked for, its gradients. */
static void compute(struct refcheck *v, struct model *m, const uint32_t *ids, enum dtype dtype)
{
	size_t n = v->batch * v->length, count = v->batch * (v->length - 1);
	struct session *s = session_new(m, dtype, n, v->grad ? SESSION_TRAIN : 0);
	struct seq *seqs = xcalloc(v->batch, sizeof *seqs);
	uint32_t *targets = xcalloc(n, sizeof *targets);
	float *logp = xcalloc(n, sizeof *logp), *dlogp = xcalloc(n, sizeof *dlogp);
	double sum = 0;
	for (size_t b = 0; b < v->batch; b++)
		seqs[b] = (struct seq){ .ids = ids + b * v->length, .n = v->length };
	for (size_t t = 0; t < n; t++) {
		targets[t] = (t + 1) % v->length ? ids[t + 1] : NO_TARGET;
		dlogp[t] = -1.0f / (float)count;
	}
	model_forward(s, seqs, v->batch);
	model_logits(s, NULL, 0, v->logits);
	struct head_args a = {
		.targets = targets, .inv_temp = 1, .logp = logp, .dlogp = v->grad ? dlogp : NULL
	};
	model_head(s, &a);
	for (size_t t = 0; t < n; t++)
		sum += targets[t] == NO_TARGET ? 0 : logp[t];
	v->loss = (float)(-sum / (double)count);
	if (v->grad)
		model_backward(s);
	free(seqs);
	free(targets);
	free(logp);
	free(dlogp);
	session_free(s);
}

int refcheck_run(struct refcheck *v, struct model *m, const struct safetensors *ref, const char *ref_name,
	enum dtype dtype, int grad, struct err *e)
{
	*v = (struct refcheck){ .grad = grad };
	uint32_t *ids = read_ids(ref, ref_name, &m->config, &v->batch, &v->length, e);
	if (!ids)
		return -1;
	v->logits =
		xreallocarray(NULL, mul_size(v->batch, v->length), mul_size(m->config.vocab, sizeof(float)));
	if (grad)
		model_want_grads(m);
	compute(v, m, ids, dtype);
	free(ids);
	return 0;
}

void refcheck_release(struct refcheck *v)
{
	free(v->logits);
	v->logits = NULL;
}

/* What was computed under a reference's name: the values and their number, NULL when it was not. */
static const float *computed(const struct refcheck *v, const struct model *m, const char *name, size_t *count)
{
	if (strcmp(name, "logits") == 0) {
		*count = v->batch * v->length * m->config.vocab;
		return v->logits;
	}
	if (strcmp(name, "loss") == 0) {
		*count = 1;
		return &v->loss;
	}
	if (strncmp(name, "grad.", 5) == 0 && v->grad) {
		const struct param *p = model_param(m, name + 5);
		*count = p ? p->count : 0;
		return p ? p->g : NULL;
	}
	return NULL;
}

int refcheck_is_result(const char *name, int grad)
{
	return strcmp(name, "logits") == 0 || strcmp(name, "loss") == 0 ||
	       (grad && strncmp(name, "grad.", 5) == 0);
}

static int compare(const struct tensor_view *t, const float *got, double tol, struct buf *out)
{
	double diff = 0, norm = 0, max = 0;
	size_t size = dtype_size(t->dtype);
	for (size_t i = 0; i < t->count; i++) {
		float want;
		to_f32(&want, (const char *)t->data + i * size, t->dtype, 1);
		double d = (double)got[i] - (double)want;
		diff += d * d;
		norm += (double)want * (double)want;
		if (!(fabs(d) <= max) && !isnan(max))
			max = fabs(d);
	}
	double rel = diff == 0 ? 0 : sqrt(diff) / sqrt(norm);
	int ok = rel <= tol;
	buf_adds(out, "{\"tensor\": ");
	json_add_cstr(out, t->name);
	buf_adds(out, ", \"max_abs\": ");
	json_add_f32(out, (float)max);
	buf_adds(out, ", \"rel\": ");
	json_add_f32(out, (float)rel);
	buf_addf(out, ", \"ok\": %s}\n", ok ? "true" : "false");
	return ok;
}

int refcheck_compare(const struct refcheck *v, const struct model *m, const struct safetensors *ref,
	const char *ref_name, double tol, struct buf *out, struct err *e)
{
	int bad = 0, compared = 0;
	for (size_t i = 0; i < safetensors_count(ref); i++) {
		const struct tensor_view *t = safetensors_at(ref, i);
		size_t count = 0;
		if (!refcheck_is_result(t->name, v->grad))
			continue;
		const float *got = computed(v, m, t->name, &count);
		if (!got)
			return err_set(
				e, "%s: tensor '%s': the model has no such parameter", ref_name, t->name);
		if (t->count != count)
			return err_set(e, "%s: tensor '%s': %zu values, the model gives %zu", ref_name,
				t->name, t->count, count);
		if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_BF16 && t->dtype != DTYPE_F16 &&
			t->dtype != DTYPE_F64)
			return err_set(e, "%s: tensor '%s': %s is no floating-point type", ref_name, t->name,
				dtype_name(t->dtype));
		bad += !compare(t, got, tol, out);
		compared++;
	}
	return compared ? bad
			: err_set(e, "%s: has nothing to compare: no logits, loss or gradients", ref_name);
}

int refcheck_write(const struct refcheck *v, const struct model *m, const struct safetensors *ref,
	const char *path, struct err *e)
{
	const struct tensor_view *ids = safetensors_get(ref, "input_ids");
	struct writer *w = writer_open(path, e);
	if (!w)
		return -1;
	struct safetensors_writer *s = safetensors_writer_new();
	size_t shape[3] = { v->batch, v->length, m->config.vocab }, one = 1;
	safetensors_writer_declare(s, "input_ids", ids->dtype, 2, shape);
	safetensors_writer_declare(s, "logits", DTYPE_F32, 3, shape);
	safetensors_writer_declare(s, "loss", DTYPE_F32, 1, &one);
	for (size_t i = 0; v->grad && i < m->nparams; i++) {
		char *name = xasprintf("grad.%s", m->params[i].name);
		safetensors_writer_declare(s, name, DTYPE_F32, m->params[i].ndim, m->params[i].shape);
		free(name);
	}
	safetensors_writer_begin(s, w);
	safetensors_writer_data(s, ids->data, ids->count * dtype_size(ids->dtype));
	safetensors_writer_f32(s, v->logits, v->batch * v->length * m->config.vocab);
	safetensors_writer_f32(s, &v->loss, 1);
	for (size_t i = 0; v->grad && i < m->nparams; i++)
		safetensors_writer_f32(s, m->params[i].g, m->params[i].count);
	safetensors_writer_end(s);
	return writer_commit(w, 0, e);
}
