#include "base/io.h"
#include "base/mem.h"
#include "tensor/gemm.h"
#include "train/ckpt.h"
#include "train/runlog.h"
#include "tap.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char run[64];

static void make(struct trainer *t, uint64_t seed)
{
	struct config c;
	struct err e;
	config_preset(&c, "llama:depth=1,dim=16,heads=1,context=8,vocab=20", &e);
	struct model *m = model_new(&c);
	model_init(m, seed);
	struct trainer_config tc = { .rows = 1, .micro = 1, .context = 8, .compute = DTYPE_F32, .guard = 1 };
	tc.optim = (struct optim_config){ 1, 0.9, 0.95, 1e-8, 0.1, 0.95, 0, 1, DTYPE_F32, MOMENT_8BIT, 1 };
	trainer_init(t, &tc, m);
}

static void drop(struct trainer *t)
{
	struct model *m = t->model;
	trainer_release(t);
	model_free(m);
}

static struct run_state state_at(uint64_t step)
{
	struct run_state s = {
		.step = step, .tokens = 123, .seconds = 0.1, .position = 7, .digest = UINT64_MAX - 5
	};
	s.streamed = 1;
	s.loss = 1.25;
	s.grad_norm = s.lr = NAN;
	s.limit = UINT64_MAX;
	s.totals = (struct totals){ 40, UINT64_MAX, NAN, 2.5 };
	snprintf(s.isa, sizeof s.isa, "scalar");
	snprintf(s.data, sizeof s.data, "abc");
	s.options = xstrdup("{\"lr\":0.1}");
	return s;
}

static int there(const char *name)
{
	char *p = path_join(run, name);
	int yes = path_exists(p);
	free(p);
	return yes;
}

static void test_round_trip(void)
{
	struct trainer a, b;
	struct run_state s = state_at(5), got = { 0 };
	struct arena ar = { 0 };
	struct json *options;
	struct err e = { { 0 } };
	uint64_t step;
	make(&a, 1);
	make(&b, 2);
	ok(ckpt_find(run, &step, &e) == 0, "no folder, no checkpoint");
	mkdir(run, 0777);
	for (size_t i = 0; i < a.optim->memory_bytes; i++)
		a.optim->memory[i] = (char)(i * 37 % 101);
	a.optim->updates = 4;
	for (int i = 0; i < 150; i++)
		guard_step(&a.guard, 1.0 / (i + 1), 2.0 / (i + 3));
	ok(ckpt_save(run, &a, &s, DTYPE_BF16, 0, &e) == 0, "saved %s", e.msg);
	ok(ckpt_find(run, &step, &e) == 1 && step == 5, "found");
	ok(ckpt_read_state(run, 5, &got, &ar, &options, &e) == 0, "read %s", e.msg);
	ok(got.tokens == 123 && got.seconds == 0.1 && got.position == 7 && got.digest == s.digest &&
			got.streamed && !got.done && got.loss == 1.25 && isnan(got.lr) &&
			got.limit == UINT64_MAX,
		"the state is what it was");
	ok(got.totals.steps == 40 && got.totals.tokens == UINT64_MAX && isnan(got.totals.epochs) &&
			got.totals.time == 2.5,
		"the totals too");
	ok(json_num(options, "lr", 0) == 0.1, "and the options");
	ok(ckpt_read_trainer(run, 5, &b, &e) == 0, "read the trainer %s", e.msg);
	ok(memcmp(a.optim->memory, b.optim->memory, a.optim->memory_bytes) == 0 && b.optim->updates == 4,
		"the optimiser's states");
	ok(memcmp(a.model->weights, b.model->weights, a.model->count * sizeof(float)) == 0,
		"full weights although they were saved as bf16");
	ok(memcmp(&a.guard, &b.guard, sizeof a.guard) == 0, "the guard's window");
	s.tokens = 124;
	ok(ckpt_save_state(run, &a, &s, DTYPE_BF16, &e) == 0 &&
			ckpt_read_state(run, 5, &got, &ar, &options, &e) == 0 && got.tokens == 124,
		"the state alone");
	arena_release(&ar);
	run_state_release(&s);
	drop(&a);
	drop(&b);
}

static void put(const char *name)
{
	char *p = path_join(run, name);
	FILE *f = fopen(p, "w");
	if (f)
		fclose(f);
	free(p);
}

static void make_dir(const char *name)
{
	char *p = path_join(run, name);
	mkdir(p, 0777);
	free(p);
}

static void test_folder(void)
{
	struct trainer t;
	struct err e = { { 0 } };
	uint64_t step;
	make(&t, 1);
	make_dir("step-99");
	make_dir("step-07");
	make_dir("step-8x");
	make_dir(".step-9.1.tmp");
	put(".step-9.1.tmp/model.safetensors");
	put("step-5/.state.safetensors.1.tmp");
	put("notes");
	ok(ckpt_find(run, &step, &e) == 1 && step == 5, "folders without a state are no checkpoints");
	ok(ckpt_clean(run, &e) == 0, "clean %s", e.msg);
	ok(!there(".step-9.1.tmp") && !there("step-5/.state.safetensors.1.tmp"), "temporaries are gone");
	ok(there("notes") && there("step-99") && there("latest/config.json"), "everything else is not");
	for (uint64_t n = 6; n < 9; n++) {
		struct run_state s = state_at(n);
		ok(ckpt_save(run, &t, &s, DTYPE_F32, 2, &e) == 0, "saved %s", e.msg);
		run_state_release(&s);
	}
	ok(there("step-8") && there("step-7") && !there("step-6") && !there("step-5"), "--keep 2");
	ok(there("step-99"), "what is no checkpoint is left alone");
	ok(ckpt_lock(run, &e) == 0, "lock");
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0)
		_exit(ckpt_lock(run, &e) == 0);
	int status = 1;
	waitpid(pid, &status, 0);
	ok(status == 0, "a second process does not get it");
	drop(&t);
}

/* Cut anywhere, the state is refused, or what is left of it is whole. */
static void test_damage(void)
{
	struct trainer t;
	struct run_state got = { 0 };
	struct err e;
	struct buf b = { 0 };
	char *dir = ckpt_path(run, 8), *path = path_join(dir, "state.safetensors");
	int accepted = 0, unnamed = 0;
	make(&t, 1);
	file_read(path, &b, 1 << 24, &e);
	for (size_t cut = 0; cut < b.n; cut += 1 + b.n / 97) {
		struct arena a = { 0 };
		struct json *options;
		FILE *f = fopen(path, "wb");
		fwrite(b.p, 1, cut, f);
		fclose(f);
		int rc = ckpt_read_state(run, 8, &got, &a, &options, &e);
		if (rc == 0)
			rc = ckpt_read_trainer(run, 8, &t, &e);
		accepted += rc == 0;
		unnamed += rc != 0 && !strstr(e.msg, "state.safetensors");
		arena_release(&a);
	}
	ok(accepted == 0 && unnamed == 0, "a state that is cut short is refused by name");
	buf_release(&b);
	free(path);
	free(dir);
	drop(&t);
}

static void test_log(void)
{
	struct runlog l;
	struct err e = { { 0 } };
	struct buf b = { 0 };
	struct log_past past;
	char *path = path_join(run, "log.jsonl");
	ok(runlog_open(&l, path, 0, &past, &e) == 0 && !past.kept && past.seconds == 0, "a new log");
	for (uint64_t n = 1; n <= 5; n++) {
		struct run_state s = { .step = n, .loss = 1.5, .rate = 10.4, .seconds = 0.12345 };
		runlog_add(&l, &s, n == 3 ? 2.5 : NAN, NAN, NULL, &e);
	}
	runlog_undo(&l, &e);
	runlog_close(&l);
	ok(runlog_has(path, 4, &e) == 1 && runlog_has(path, 5, &e) == 0, "the last line was taken back");
	ok(runlog_open(&l, path, 3, &past, &e) == 0 && past.kept && past.seconds == 0.123 && past.rate == 10,
		"goes on behind step 3, with its clock");
	runlog_close(&l);
	file_read(path, &b, 1 << 20, &e);
	ok(strstr(b.p, "\"step\":3,") && !strstr(b.p, "\"step\":4,"), "later lines are cut off");
	ok(strstr(b.p, "{\"step\":1,\"tokens\":0,\"loss\":1.5,\"grad_norm\":0,\"lr\":0,\"tokens_per_s\":10,"
		       "\"seconds\":0.123}\n") != NULL,
		"the fields of a line");
	ok(strstr(b.p, ",\"eval_loss\":2.5}\n") != NULL, "a measure");
	ok(runlog_open(&l, path, 9, &past, &e) == 0 && !past.kept, "a step that was never written");
	runlog_close(&l);
	buf_release(&b);
	free(path);
}

int main(void)
{
	snprintf(run, sizeof run, "/tmp/quern-ckpt-%ld", (long)getpid());
	test_round_trip();
	test_folder();
	test_damage();
	test_log();
	char *command = xasprintf("rm -rf %s", run);
	ok(system(command) == 0, "cleaned up");
	free(command);
	gemm_release();
	return tap_end();
}
