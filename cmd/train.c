/* train: token streams in, checkpoints out. See train(1). */

#include "base/die.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "tensor/kern.h"
#include "text/tokenizer.h"
#include "train/probe.h"
#include "train/run.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const char *init_from, *arch, *tokenizer_file, *probe_file;
static int objective, fresh, dry_run;
static struct totals totals = { UINT64_MAX, UINT64_MAX, NAN, NAN };
static uint64_t batch = 8, context = UINT64_MAX, batch_tokens = UINT64_MAX, warmup;
static int packing = PACK_WRAPPED, order;
static double lr = 6e-4, min_lr, decay_fraction = 0.2;
static int schedule = -1, optimiser;
static const char *betas = "0.9,0.95";
static double beta1, beta2, eps = 1e-8, weight_decay = 0.1, clip = 1, zloss, momentum = 0.95, adam_lr = NAN;
static int muon_scale, optim_state, guard, recompute, compute = -1, save_dtype;
static uint64_t save_every = 500, keep, eval_every, eval_tokens;
static struct opt_list eval_data;

static struct opt opts[] = {
	{ "The run", 0, OPT_HEADING },
	{ "init", 0, OPT_STR, &init_from, "MODEL", "start from these weights" },
	{ "arch", 0, OPT_STR, &arch, "SPEC",
		"start from random weights: config.json or PRESET:KEY=VALUE,..." },
	{ "tokenizer", 0, OPT_STR, &tokenizer_file, "TOKENIZER", "the tokenizer to keep with the model" },
	{ "objective", 0, OPT_CHOICE, &objective, OBJECTIVE_WORDS, "what to minimise", OPT_BYTES },
	{ "fresh", 0, OPT_FLAG, &fresh, NULL, "fail if the run already has a checkpoint" },
	{ "steps", 0, OPT_COUNT, &totals.steps, "N", "updates of the whole run" },
	{ "tokens", 0, OPT_COUNT, &totals.tokens, "N", "tokens of the whole run" },
	{ "epochs", 0, OPT_NUM, &totals.epochs, "X", "passes over the data of the whole run (1 for files)" },
	{ "time", 0, OPT_DURATION, &totals.time, "T", "time of the whole run" },
	{ "dry-run", 0, OPT_FLAG, &dry_run, NULL, "print parameters, memory and time; write nothing" },
	{ "probe", 0, OPT_STR, &probe_file, "FILE",
		"write loss and gradients of the first batch; train nothing" },
	{ "Data", 0, OPT_HEADING },
	{ "batch", 0, OPT_COUNT, &batch, "ROWS", "rows that go through the model at once", OPT_BYTES },
	{ "context", 0, OPT_COUNT, &context, "C", "predictions a row (the model's, at most 2048)",
		OPT_BYTES },
	{ "batch-tokens", 0, OPT_COUNT, &batch_tokens, "N", "tokens an update, accumulated (one batch)",
		OPT_BYTES },
	{ "packing", 0, OPT_CHOICE, &packing, PACKING_WORDS, "how documents fill rows", OPT_BYTES },
	{ "order", 0, OPT_CHOICE, &order, "shuffle|file", "order of the rows of files", OPT_BYTES },
	{ "Optimiser", 0, OPT_HEADING },
	{ "optim", 0, OPT_CHOICE, &optimiser, OPTIM_WORDS, "which one", OPT_BYTES },
	{ "lr", 0, OPT_NUM, &lr, "X", "highest learning rate", OPT_BYTES },
	{ "min-lr", 0, OPT_NUM, &min_lr, "X", "lowest learning rate of the schedule", OPT_BYTES },
	{ "warmup", 0, OPT_COUNT, &warmup, "N", "updates of linear warm-up", OPT_BYTES },
	{ "schedule", 0, OPT_CHOICE, &schedule, SCHED_WORDS,
		"then (cosine; constant where no total is known)", OPT_BYTES },
	{ "decay-fraction", 0, OPT_NUM, &decay_fraction, "X",
		"wsd: last part of the run, where the rate falls", OPT_BYTES },
	{ "betas", 0, OPT_STR, &betas, "B1,B2", "adamw: decay of its averages", OPT_BYTES },
	{ "eps", 0, OPT_NUM, &eps, "X", "adamw: added to the divisor", OPT_BYTES },
	{ "weight-decay", 0, OPT_NUM, &weight_decay, "X", "of tensors of two or more dimensions", OPT_BYTES },
	{ "momentum", 0, OPT_NUM, &momentum, "X", "muon: of the matrices", OPT_BYTES },
	{ "muon-scale", 0, OPT_CHOICE, &muon_scale, MUON_SCALE_WORDS, "muon: size of its updates",
		OPT_BYTES },
	{ "adam-lr", 0, OPT_NUM, &adam_lr, "X", "muon: rate of embeddings, head and vectors (that of --lr)",
		OPT_BYTES },
	{ "optim-state", 0, OPT_CHOICE, &optim_state, MOMENT_WORDS, "type of what the optimiser remembers",
		OPT_BYTES },
	{ "clip", 0, OPT_NUM, &clip, "X", "longest gradient (0: any)", OPT_BYTES },
	{ "zloss", 0, OPT_NUM, &zloss, "C", "adds C times the mean square of the log-sum-exp", OPT_BYTES },
	{ "guard", 0, OPT_FLAG, &guard, NULL, "skip updates whose loss or gradient is beyond 6 sigma",
		OPT_BYTES },
	{ "dtype", 0, OPT_CHOICE, &compute, "f32|bf16",
		"of matrix products (bf16 where the processor has it)", OPT_BYTES },
	{ "recompute", 0, OPT_FLAG, &recompute, NULL,
		"keep less for the way back and compute it again: less memory, same bytes" },
	{ "Checkpoints and measures", 0, OPT_HEADING },
	{ "save-every", 0, OPT_COUNT, &save_every, "N", "updates between checkpoints (0: only the last)" },
	{ "keep", 0, OPT_COUNT, &keep, "N", "newest checkpoints to keep (0: all)" },
	{ "save-dtype", 0, OPT_CHOICE, &save_dtype, "f32|bf16|f16", "of the weights in model.safetensors",
		OPT_KEPT },
	{ "eval-data", 0, OPT_LIST, &eval_data, "FILE",
		"held-out token stream or documents (may be repeated)" },
	{ "eval-every", 0, OPT_COUNT, &eval_every, "N", "updates between measures (0: only at the end)" },
	{ "eval-tokens", 0, OPT_COUNT, &eval_tokens, "N", "measure only so many (0: all)" },
	{ "Common", 0, OPT_HEADING },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"train",
	"-o RUN [--init MODEL | --arch SPEC] [--tokenizer TOKENIZER] [options] [data.tok ...]\n"
	"--probe FILE [--init MODEL | --arch SPEC] [options] [data.tok ...]",
	"Train a model on token streams; a run that was interrupted goes on by itself.",
	opts,
};

struct job {
	char **files;
	size_t nfiles; /* 0: stdin */
	struct model *model;
	struct tokenizer *tokenizer; /* of --tokenizer, until the model takes it */
	struct trainer_config config;
	struct run run;
	int going_on; /* the run has a checkpoint */
};

static struct err err;

/* --- signals --- */

static volatile sig_atomic_t stop_signal;

static void on_alarm(int sig)
{
	(void)sig;
	alarm(1);
}

/* The first signal asks for a checkpoint after the step, the second ends at once. The alarm comes back every
 * second: a read that begins just after the signal is interrupted too. */
static void on_stop(int sig)
{
	if (stop_signal) {
		io_remove_temps();
		signal(sig, SIG_DFL);
		raise(sig);
		return;
	}
	stop_signal = sig;
	io_interrupted = 1;
	alarm(1);
}

static void catch_signals(void)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction stop = { .sa_handler = on_stop }, tick = { .sa_handler = on_alarm }, old;
	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
		if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(stops[i], &stop, NULL);
	sigaction(SIGALRM, &tick, NULL);
}

/* What err says, unless a read failed because a signal came. */
static void die_unless_stopped(void)
{
	if (stop_signal)
		exit(128 + stop_signal);
	die("%s", err.msg);
}

/* --- options --- */

static void want(int good, const char *name, const char *what)
{
	if (!good)
		die_usage("--%s wants %s", name, what);
}

/* "B1,B2", rewritten in one way so that equal values are recorded equal. */
static void parse_betas(void)
{
	static struct buf canonical;
	const char *comma = strchr(betas, ',');
	char *first = xstrndup(betas, comma ? (size_t)(comma - betas) : 0);
	int good = comma && parse_num(first, &beta1) == 0 && parse_num(comma + 1, &beta2) == 0;
	want(good && beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "betas",
		"two numbers in [0, 1), such as 0.9,0.95");
	free(first);
	buf_reset(&canonical);
	json_add_num(&canonical, beta1);
	buf_addc(&canonical, ',');
	json_add_num(&canonical, beta2);
	betas = canonical.p;
}

static void check_options(void)
{
	parse_betas();
	want(batch > 0 && batch < 1 << 24, "batch", "a number of rows from 1 to 16777215");
	want(context == UINT64_MAX || (context > 0 && context < 1 << 24), "context",
		"a number from 1 to 16777215");
	want(isfinite(lr) && lr >= 0, "lr", "a rate of at least 0");
	want(isfinite(min_lr) && min_lr >= 0 && min_lr <= lr, "min-lr", "a rate from 0 to --lr");
	want(decay_fraction > 0 && decay_fraction <= 1, "decay-fraction", "a share in (0, 1]");
	want(isfinite(eps) && eps >= 0, "eps", "a number of at least 0");
	want(isfinite(weight_decay) && weight_decay >= 0, "weight-decay", "a number of at least 0");
	want(momentum >= 0 && momentum < 1, "momentum", "a number in [0, 1)");
	want(isfinite(clip) && clip >= 0, "clip", "a number of at least 0");
	want(isfinite(zloss) && zloss >= 0, "zloss", "a number of at least 0");
	want(isnan(adam_lr) || (isfinite(adam_lr) && adam_lr >= 0), "adam-lr", "a rate of at least 0");
	want(isnan(totals.epochs) || (totals.epochs > 0 && isfinite(totals.epochs)), "epochs",
		"a number above 0");
	want(isnan(totals.time) || totals.time > 0, "time", "a duration above 0");
	if (init_from && arch)
		die_usage("--init and --arch exclude each other");
	if (probe_file && common.output)
		die_usage("--probe trains nothing: it takes --init or --arch, not -o");
	if (!common.output && !probe_file && !dry_run)
		die_usage("where to? Give -o RUN");
	if (common.output && strcmp(common.output, "-") == 0)
		die_usage("-o wants a folder for the run");
	for (size_t i = 0; i < eval_data.n; i++)
		if (strcmp(eval_data.v[i], "-") == 0)
			die_usage("--eval-data wants a file");
}

/* Options that hang on the model or the machine get their values: from here on they are what is recorded. */
static void settle_options(struct job *j, const struct config *c)
{
	static const enum dtype types[] = { DTYPE_F32, DTYPE_BF16 };
	if (context == UINT64_MAX)
		context = c->context < 2048 ? c->context : 2048;
	if (context > c->context)
		die_usage("--context %llu is more than the model's %zu", (unsigned long long)context,
			c->context);
	if (batch_tokens == UINT64_MAX)
		batch_tokens = batch * context;
	if (batch_tokens == 0 || batch_tokens % context)
		die_usage("--batch-tokens wants a multiple of the context, which is %llu",
			(unsigned long long)context);
	if (isnan(adam_lr))
		adam_lr = lr;
	if (compute < 0)
		compute = default_compute() == DTYPE_BF16;
	size_t rows = (size_t)(batch_tokens / context), micro = batch < rows ? (size_t)batch : rows;
	want(micro < NO_TARGET / context, "batch", "fewer rows at once of so many tokens");
	j->config = (struct trainer_config){
		.objective = objective,
		.rows = rows,
		.micro = micro,
		.context = (size_t)context,
		.compute = types[compute],
		.recompute = recompute,
		.clip = clip,
		.zloss = zloss,
		.guard = guard,
		.optim = { optimiser, beta1, beta2, eps, weight_decay, momentum, muon_scale,
			lr > 0 ? adam_lr / lr : 1, types[compute], optim_state, common.seed },
	};
}

/* The first of the options that say a total, NULL when none was given. */
static const char *given_total(void)
{
	static const char *const names[] = { "steps", "tokens", "epochs", "time" };
	for (size_t i = 0; i < 4; i++)
		if (opt_find(opts, names[i])->given)
			return names[i];
	return NULL;
}

/* The number of updates and the schedule. */
static void settle_length(struct job *j)
{
	struct run *r = &j->run;
	/* A run of files that goes on without their names is as long as it was. */
	int as_before = j->going_on && !j->nfiles && !r->state.streamed && !given_total();
	/* A probe does not look beyond the first pass. */
	if (j->nfiles && !rows_streamed(r->rows) && (probe_file || !totals_given(&totals)))
		totals.epochs = 1;
	int piped = !as_before && (!r->rows || rows_streamed(r->rows));
	if (piped && packing != PACK_WRAPPED && totals.tokens != UINT64_MAX)
		die_usage("--tokens from a pipe needs --packing wrapped: rows of documents differ in length");
	if (!as_before &&
		totals_limit(&totals, r->rows, j->config.rows, j->config.context, &r->state.limit, &err) < 0)
		die_usage("%s", err.msg);
	int known = r->state.limit != UINT64_MAX || !isnan(totals.time);
	if (schedule < 0)
		schedule = known ? 0 : 3;
	r->c.totals = totals;
	r->c.sched = (struct sched){ schedule, lr, min_lr, warmup, decay_fraction };
	if (!known && sched_uses_share(&r->c.sched))
		die_usage("--schedule %s needs to know how long the run is: give --steps, --tokens or --time",
			opt_choice(opt_find(opts, "schedule")));
}

/* --- the model --- */

/* The configuration that --arch names; its vocabulary may still be 0. */
static void arch_config(struct config *c, const struct tokenizer *t)
{
	struct buf b = { 0 };
	int file = path_exists(arch) || str_ends(arch, ".json");
	int rc = file ? file_read(arch, &b, (size_t)1 << 24, &err) : config_preset(c, arch, &err);
	if (rc == 0 && file)
		rc = config_parse(c, b.p, b.n, arch, &err);
	if (rc < 0)
		die("%s", err.msg);
	buf_release(&b);
	/* A preset's context is the run's, unless it says its own. */
	if (!file && context != UINT64_MAX && !strstr(arch, "context="))
		c->context = (size_t)context;
	if (c->vocab == 0 && t)
		c->vocab = tokenizer_vocab(t);
	if (t && c->bos < 0)
		c->bos = tokenizer_bos(t);
	if (t && c->eos < 0)
		c->eos = tokenizer_eos(t);
}

static void set_origin(char out[48], const char *kind, struct hash128 h)
{
	char hex[33];
	hash128_hex(h, hex);
	snprintf(out, 48, "%s %s", kind, hex);
}

static void set_origin_init(char out[48], const struct model *m)
{
	set_origin(out, "init", hash128(m->weights, m->count * sizeof(float)));
}

static void set_origin_arch(char out[48], const struct config *c)
{
	set_origin(out, "arch", (struct hash128){ config_hash(c), 0 });
}

static struct model *must_load(const char *path)
{
	struct model *m = model_load(path, &err);
	if (!m)
		die("%s", err.msg);
	return m;
}

/* A run that goes on: --init, --arch and --tokenizer, when given again, must mean what they meant. */
static void check_origin(const struct job *j)
{
	char now[48] = "";
	const struct model *m = j->model;
	if (j->tokenizer) {
		struct hash128 a = tokenizer_fingerprint(j->tokenizer), b = { 0 };
		if (m->tokenizer)
			b = tokenizer_fingerprint(m->tokenizer);
		if (a.lo != b.lo || a.hi != b.hi)
			die("--tokenizer: this run was started with another tokenizer");
	}
	if (init_from) {
		struct model *base = must_load(init_from);
		set_origin_init(now, base);
		model_free(base);
	} else if (arch) {
		struct config c;
		arch_config(&c, m->tokenizer);
		if (c.vocab == 0)
			c.vocab = m->config.vocab;
		set_origin_arch(now, &c);
	}
	if (*now && strcmp(now, j->run.state.origin) != 0)
		die("--%s: this run was started from another model", init_from ? "init" : "arch");
}

/* --- the data --- */

static void open_data(struct job *j)
{
	struct rows_config c = { (size_t)context, (enum packing)packing, order == 0, common.seed };
	struct rows *r = rows_open(j->files, j->nfiles, &c, &err);
	if (!r)
		die_unless_stopped();
	if (!rows_streamed(r) && rows_count(r) == 0)
		die("%s: no document of two tokens or more", j->run.c.data);
	j->run.rows = r;
}

static void check_data(const struct job *j)
{
	const struct tok_info *info = rows_info(j->run.rows);
	if (model_check_stream(j->model, info, j->run.c.data, &err) < 0)
		die("%s", err.msg);
	if (j->model->tokenizer && info->fingerprint.lo == 0 && info->fingerprint.hi == 0)
		warn("%s: does not say which tokenizer made it", j->run.c.data);
}

/* --- going on --- */

/* Looks for a checkpoint; its recorded options become this run's. */
static void read_record(struct job *j)
{
	struct run *r = &j->run;
	uint64_t step;
	struct arena a = { 0 };
	struct json *recorded;
	int rc = common.output ? ckpt_find(common.output, &step, &err) : 0;
	if (rc < 0)
		die("%s", err.msg);
	if (rc == 0)
		return;
	if (fresh)
		die("%s: has a checkpoint already, and --fresh was given", common.output);
	if (ckpt_read_state(common.output, step, &r->state, &a, &recorded, &err) < 0 ||
		opt_restore(opts, recorded, &err) < 0)
		die("%s", err.msg);
	arena_release(&a);
	check_options();
	if (!given_total())
		totals = r->state.totals;
	r->saved = step;
	j->going_on = 1;
}

/* Model, data and totals, held against each other and, when the run goes on, against what they were. */
static void prepare(struct job *j)
{
	struct run *r = &j->run;
	struct config c;
	uint64_t limit_then = r->state.limit;
	if (tokenizer_file && !(j->tokenizer = model_tokenizer(tokenizer_file, NULL, &err)))
		die("%s", err.msg);
	if (j->going_on) {
		char *dir = ckpt_path(common.output, r->saved);
		j->model = must_load(dir);
		free(dir);
		check_origin(j);
	} else if (init_from) {
		if (strcmp(init_from, "-") == 0 && !j->nfiles)
			die_usage("--init - reads standard input: name the data");
		j->model = must_load(init_from);
		set_origin_init(r->state.origin, j->model);
	} else if (arch) {
		arch_config(&c, j->tokenizer);
	} else {
		die_usage("a new run wants --init MODEL or --arch SPEC");
	}
	settle_options(j, j->model ? &j->model->config : &c);
	if (j->nfiles)
		open_data(j);
	settle_length(j);
	if (!r->rows && (probe_file || !run_finished(r)) && !dry_run)
		open_data(j);
	if (!j->model) {
		if (c.vocab == 0 && r->rows)
			c.vocab = rows_info(r->rows)->vocab;
		if (c.vocab == 0)
			die_usage("--arch %s has no vocabulary size: give --tokenizer or data", arch);
		set_origin_arch(r->state.origin, &c);
		j->model = model_new(&c);
		model_init(j->model, common.seed);
	}
	struct model *m = j->model;
	if (j->tokenizer) {
		tokenizer_free(m->tokenizer);
		m->tokenizer = j->tokenizer;
	}
	if (m->tokenizer && tokenizer_vocab(m->tokenizer) > m->config.vocab)
		die("the tokenizer's vocabulary of %lu does not fit the model's %zu",
			(unsigned long)tokenizer_vocab(m->tokenizer), m->config.vocab);
	if (r->rows)
		check_data(j);
	if (!j->going_on)
		return;
	if (r->rows && run_check_data(r, &err) < 0)
		die("%s", err.msg);
	if (!totals_same_past(
		    &r->c.sched, &r->state.totals, limit_then, &totals, r->state.limit, r->state.step))
		die("--%s: another total than this run's, under which its %llu updates had other learning "
		    "rates",
			given_total(), (unsigned long long)r->state.step);
}

/* --- messages --- */

static int on_terminal(void)
{
	return verbosity >= 0 && isatty(STDERR_FILENO);
}

static double seconds_left(const struct run_state *s)
{
	double left = NAN;
	if (s->limit != UINT64_MAX)
		left = s->seconds / (double)s->step * (double)(s->limit - s->step);
	return isnan(totals.time) ? left : fmin(left, totals.time - s->seconds);
}

static void show_progress(const struct run_state *s, const struct update *u)
{
	static double shown;
	char rate[32], left[32], of[32] = "";
	double now = now_seconds(), togo = seconds_left(s);
	unsigned long long step = s->step;
	human_count(s->rate, rate);
	detail("step %llu: loss %.4f, gradient %.3f, lr %.3g, %s tokens/s%s", step, u->loss, u->grad_norm,
		s->lr, rate, u->skipped ? ", skipped" : "");
	if (!on_terminal() || now - shown < 0.2)
		return;
	shown = now;
	if (s->limit != UINT64_MAX)
		snprintf(of, sizeof of, "/%llu", (unsigned long long)s->limit);
	human_seconds(isnan(togo) ? s->seconds : togo, left);
	fprintf(stderr, "\r%s: step %llu%s, loss %.4f, lr %.3g, %s tokens/s, %s%s\033[K", prog_name, step, of,
		u->loss, s->lr, rate, left, isnan(togo) ? "" : " left");
	fflush(stderr);
}

/* A checkpoint and a measure, where the last call made them. */
static void show_events(const struct run *r)
{
	unsigned long long step = r->state.step;
	if (r->wrote)
		detail("saved %s/step-%llu", common.output, step);
	if (!isnan(r->eval_loss))
		detail("step %llu: held-out loss %.4f, %.4f bits per byte", step, r->eval_loss, r->eval_bpb);
}

static void summary(const struct run_state *s)
{
	char tokens[32], took[32], skipped[64] = "";
	if (s->skipped)
		snprintf(skipped, sizeof skipped, ", %llu updates skipped", (unsigned long long)s->skipped);
	if (on_terminal())
		fprintf(stderr, "\r\033[K");
	if (s->step == 0)
		info("%s: step 0, not trained", common.output);
	else
		info("%s: step %llu, loss %.4f, %s tokens in %s%s", common.output,
			(unsigned long long)s->step, s->loss, human_count((double)s->tokens, tokens),
			human_seconds(s->seconds, took), skipped);
}

/* --- without a run --- */

/* One pass over the first batch: its loss, gradients and log-probabilities of rows into a file. */
static void probe(struct run *r)
{
	const struct batch *b = &r->trainer.batch;
	struct update u;
	if (run_fill(r, &err) < 0)
		die_unless_stopped();
	if (b->ntargets == 0)
		die("%s: nothing to predict in its first batch", r->c.data);
	if (probe_write(&r->trainer, probe_file, &u, &err) < 0)
		die("%s", err.msg);
	info("%zu rows, %zu targets, loss %.6f, gradient %.6f", b->nrows, b->ntargets, u.loss, u.grad_norm);
}

/* Seconds of an update: the second of two on the first rows, one micro-batch scaled up. */
static double measure_update(struct run *r)
{
	struct trainer_config *c = &r->trainer.c;
	size_t rows = c->rows;
	double took = NAN;
	if (!r->rows || rows_streamed(r->rows))
		return NAN;
	c->rows = c->micro;
	for (int i = 0; i < 2; i++) {
		struct update u;
		rows_seek(r->rows, 0);
		if (run_fill(r, &err) < 0)
			die_unless_stopped();
		double t0 = now_seconds();
		trainer_update(&r->trainer, 0, &u);
		took = now_seconds() - t0;
	}
	c->rows = rows;
	return took * (double)rows / (double)c->micro;
}

static void show_bytes(const char *what, size_t n)
{
	char h[32];
	printf("%-14s %s\n", what, human_bytes((double)n, h));
}

static void show_number(const char *what, uint64_t n)
{
	printf("%-14s %llu\n", what, (unsigned long long)n);
}

static void show_plan(struct job *j)
{
	struct trainer_memory mem = trainer_memory(&j->config, j->model);
	const struct rows *rows = j->run.rows;
	uint64_t limit = j->run.state.limit;
	double update = measure_update(&j->run);
	char h[32];
	show_number("parameters", j->model->count);
	show_bytes("weights", mem.weights);
	show_bytes("gradients", mem.grads);
	show_bytes("optimiser", mem.optim);
	show_bytes("activations", mem.session);
	show_bytes("memory", mem.weights + mem.grads + mem.optim + mem.session);
	show_number("tokens/update", batch_tokens);
	if (rows && !rows_streamed(rows)) {
		show_number("rows/epoch", rows_count(rows));
		show_number("tokens/epoch", rows_tokens(rows));
	}
	if (limit != UINT64_MAX)
		show_number("updates", limit);
	if (!isnan(update)) {
		printf("%-14s %.3g s (measured)\n", "time/update", update);
		show_number("tokens/s", (uint64_t)((double)batch_tokens / update));
	}
	if (!isnan(totals.time))
		printf("%-14s %s\n", "time", human_seconds(totals.time, h));
	else if (limit != UINT64_MAX && !isnan(update))
		printf("%-14s %s (estimated)\n", "time", human_seconds(update * (double)limit, h));
}

/* --- main --- */

/* From here on the options are those that checkpoints record. */
static void configure_run(struct run *r)
{
	static const enum dtype types[] = { DTYPE_F32, DTYPE_BF16, DTYPE_F16 };
	struct buf record = { 0 };
	r->c.dir = common.output;
	r->c.second_log = common.log;
	r->c.save_every = save_every;
	r->c.keep = keep;
	r->c.save_dtype = types[save_dtype];
	r->c.eval_every = eval_every;
	opt_record(opts, &record);
	free(r->state.options);
	r->state.options = record.p;
}

static void open_run(struct job *j)
{
	struct run *r = &j->run;
	if (j->going_on && strcmp(r->state.isa, kern()->name) != 0)
		info("%s: goes on with %s kernels after %s: rounding differs from here on", common.output,
			kern()->name, r->state.isa);
	detail("%s", kern_describe());
	detail("%s products, %llu threads", dtype_name(j->config.compute),
		(unsigned long long)common.threads);
	if (eval_data.n &&
		heldout_load(&r->heldout, eval_data.v, eval_data.n, j->model, eval_tokens, &err) < 0)
		die("%s", err.msg);
	if (run_open(r, &err) < 0)
		die("%s", err.msg);
	if (j->going_on)
		info("%s: goes on from step %llu", common.output, (unsigned long long)r->saved);
	show_events(r);
	if (run_start(r, &err) < 0)
		die_unless_stopped();
}

static void run(struct job *j)
{
	struct run *r = &j->run;
	struct update u;
	open_run(j);
	for (int rc = 1; rc > 0 && !stop_signal;) {
		rc = run_step(r, &u, &err);
		if (rc < 0)
			die("%s", err.msg);
		if (rc > 0)
			show_progress(&r->state, &u);
		show_events(r);
	}
	alarm(0);
	if (r->saved != r->state.step) {
		if (run_save(r, &err) < 0)
			die("%s", err.msg);
		show_events(r);
	}
	summary(&r->state);
	if (stop_signal)
		exit(128 + stop_signal);
	if (r->cut_short)
		die("%s: ended after %llu of %llu updates", r->c.data, (unsigned long long)r->state.step,
			(unsigned long long)r->state.limit);
}

/* A run that is complete, its log included, is left as it is. */
static int nothing_to_do(const struct run *r)
{
	int complete = run_complete(r, &err);
	if (complete < 0)
		die("%s", err.msg);
	if (complete)
		info("%s: is complete at step %llu", common.output, (unsigned long long)r->state.step);
	return complete;
}

int main(int argc, char **argv)
{
	int n;
	struct job j = { 0 };
	j.files = cmd_init(&command, argc, argv, &n);
	j.nfiles = (size_t)n;
	run_init(&j.run);
	j.run.c.data = n ? j.files[0] : "stdin";
	check_options();
	if (kern_check(&err) < 0)
		die("%s", err.msg);
	catch_signals();
	int writes = !dry_run && !probe_file;
	if (writes && path_is_dir(common.output) &&
		(ckpt_lock(common.output, &err) < 0 || ckpt_clean(common.output, &err) < 0))
		die("%s", err.msg);
	read_record(&j);
	prepare(&j);
	configure_run(&j.run);
	if (writes && nothing_to_do(&j.run))
		return cmd_end();
	trainer_init(&j.run.trainer, &j.config, j.model);
	if (probe_file)
		probe(&j.run);
	else if (dry_run)
		show_plan(&j);
	else
		run(&j);
	run_release(&j.run);
	model_free(j.model);
	return cmd_end();
}
