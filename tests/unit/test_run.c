#include "base/io.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tensor/gemm.h"
#include "train/run.h"
#include "tap.h"

#include <stdlib.h>
#include <unistd.h>

enum { VOCAB = 20, CONTEXT = 8, DOCS = 30, LENGTH = 11 };

static char dir[64];

/* Random documents; a name in .gz makes a stream of them. */
static char *write_data(const char *name)
{
	struct err e;
	struct rng g;
	char *path = path_join(dir, name);
	struct writer *w = writer_open(path, &e);
	struct tok_writer *t = tok_writer_new(w, &(struct tok_info){ .vocab = VOCAB });
	rng_init(&g, 5, 0);
	for (int d = 0; d < DOCS; d++) {
		uint32_t ids[LENGTH];
		for (int i = 0; i < LENGTH; i++)
			ids[i] = (uint32_t)rng_below(&g, VOCAB);
		tok_writer_doc(t, ids, NULL, LENGTH, NULL, &e);
	}
	tok_writer_end(t, "{}", &e);
	ok(writer_commit(w, 0, &e) == 0, "wrote %s", name);
	return path;
}

static struct model *first_weights(void)
{
	struct config c;
	struct err e;
	config_preset(&c, "llama:depth=1,dim=16,heads=1,context=8,vocab=20", &e);
	struct model *m = model_new(&c);
	model_init(m, 1);
	return m;
}

/* What a command does: the newest checkpoint's state and weights, or new ones; rows and a trainer. */
static void begin(struct run *r, const char *folder, char **data, uint64_t steps)
{
	struct rows_config rows = { CONTEXT, PACK_WRAPPED, 1, 42 };
	struct trainer_config tc = { .rows = 2, .micro = 2, .context = CONTEXT, .compute = DTYPE_F32 };
	struct err e = { { 0 } };
	struct model *m;
	uint64_t step;
	run_init(r);
	if (ckpt_find(folder, &step, &e) > 0) {
		struct arena a = { 0 };
		struct json *options;
		char *path = ckpt_path(folder, step);
		ok(ckpt_read_state(folder, step, &r->state, &a, &options, &e) == 0, "state %s", e.msg);
		m = model_load(path, &e);
		r->saved = step;
		arena_release(&a);
		free(path);
	} else {
		m = first_weights();
	}
	r->c = (struct run_config){ .dir = folder,
		.data = *data,
		.save_every = 3,
		.save_dtype = DTYPE_F32,
		.sched = { 3, 1e-2, 0, 0, 0.2 },
		.totals = { steps, UINT64_MAX, NAN, NAN } };
	r->state.limit = steps;
	r->state.options = xstrdup("{}");
	r->rows = rows_open(data, 1, &rows, &e);
	ok(r->rows != NULL, "rows %s", e.msg);
	tc.optim = (struct optim_config){ 0, 0.9, 0.95, 1e-8, 0.1, 0.95, 0, 1, DTYPE_F32 };
	trainer_init(&r->trainer, &tc, m);
}

static void start(struct run *r)
{
	struct err e = { { 0 } };
	ok(run_open(r, &e) == 0 && run_start(r, &e) == 0, "started %s", e.msg);
}

/* Steps taken until something else than 1 comes, at most `most`. */
static int go(struct run *r, int most, int *rc, struct err *e)
{
	struct update u;
	int n = 0;
	*rc = 1;
	while (n < most && (*rc = run_step(r, &u, e)) == 1)
		n++;
	return n;
}

static void end(struct run *r)
{
	struct model *m = r->trainer.model;
	run_release(r);
	model_free(m);
}

static void test_going_on(char **data)
{
	char *one = path_join(dir, "one"), *two = path_join(dir, "two");
	struct run a, b;
	struct err e = { { 0 } };
	int rc;
	begin(&a, one, data, 8);
	start(&a);
	ok(run_complete(&a, &e) == 0, "a new run is not complete");
	ok(go(&a, 100, &rc, &e) == 8 && rc == 0, "eight updates");
	ok(run_finished(&a) && a.saved == 8 && run_complete(&a, &e) == 1, "complete");
	begin(&b, two, data, 8);
	start(&b);
	go(&b, 4, &rc, &e);
	ok(b.saved == 3 && run_save(&b, &e) == 0 && b.saved == 4 && b.wrote, "stopped after four");
	end(&b);
	begin(&b, two, data, 8);
	ok(run_check_data(&b, &e) == 0, "the same data");
	start(&b);
	ok(go(&b, 100, &rc, &e) == 4 && rc == 0, "the other four");
	ok(memcmp(a.trainer.model->weights, b.trainer.model->weights,
		   a.trainer.model->count * sizeof(float)) == 0,
		"the same weights as in one go");
	end(&a);
	end(&b);
	free(one);
	free(two);
}

static void test_stream(char **data, char **stream)
{
	char *folder = path_join(dir, "stream");
	struct run r;
	struct err e = { { 0 } };
	int rc;
	begin(&r, folder, stream, 1000);
	start(&r);
	int n = go(&r, 1000, &rc, &e);
	ok(rc == 0 && r.cut_short && n > 10 && r.state.step == (uint64_t)n, "a stream that ends too early");
	run_save(&r, &e);
	end(&r);
	begin(&r, folder, data, 1000);
	ok(run_check_data(&r, &e) < 0, "files for a stream: %s", e.msg);
	end(&r);
	free(folder);
}

static void test_diverged(char **data)
{
	char *folder = path_join(dir, "diverged");
	struct run r;
	struct err e = { { 0 } };
	int rc;
	begin(&r, folder, data, 1000);
	r.c.save_every = 0;
	for (size_t i = 0; i < r.trainer.model->count; i++)
		r.trainer.model->weights[i] = NAN;
	r.trainer.model->version++;
	start(&r);
	int n = go(&r, 1000, &rc, &e);
	ok(n == 99 && rc < 0 && strstr(e.msg, "100 updates in a row"), "no number any more: %s", e.msg);
	end(&r);
	free(folder);
}

int main(void)
{
	struct err e;
	snprintf(dir, sizeof dir, "/tmp/quern-run-%ld", (long)getpid());
	path_mkdir(dir, &e);
	char *data = write_data("data.tok"), *stream = write_data("data.tok.gz");
	test_going_on(&data);
	test_stream(&data, &stream);
	test_diverged(&data);
	char *command = xasprintf("rm -rf %s", dir);
	ok(system(command) == 0, "cleaned up");
	free(command);
	free(data);
	free(stream);
	gemm_release();
	return tap_end();
}
