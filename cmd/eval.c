#include "eval/completions.h"
#include "eval/decode.h"
#include "eval/perplexity.h"
#include "eval/taskrun.h"
#include "base/die.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "text/tokfile.h"
#include "tensor/kern.h"
#include "model/sample.h"

#include <math.h>
#include <stdlib.h>

static const char *model_path, *full_path, *field, *as = "rescored", *answer_field = "answer";
static struct opt_list tasks, verifiers;
static int loss, rescore, format, per_item, dtype = -1, weights = -1, kv8;
static enum dtype compute;
static const char *const weight_names[] = { "f32", "bf16", "q8_0", "q4_0", "q4_k", "q6_k" };
static uint64_t context = UINT64_MAX, stride = UINT64_MAX, limit = UINT64_MAX, num_fewshot = UINT64_MAX,
		batch = 16, bootstrap = 100000;
static double temp = NAN;

static struct opt opts[] = {
	{ "model", 'm', OPT_STR, &model_path, "MODEL", "model to measure", OPT_BYTES },
	{ "loss", 0, OPT_FLAG, &loss, NULL,
		"loss, perplexity and bits per byte of token streams or documents", OPT_BYTES },
	{ "against", 0, OPT_STR, &full_path, "FULL",
		"what MODEL, made from FULL, has lost: Kullback-Leibler divergence of its predictions",
		OPT_BYTES },
	{ "task", 0, OPT_LIST, &tasks, "TASK.json", "run this task (may be repeated)", OPT_BYTES },
	{ "rescore", 0, OPT_FLAG, &rescore, NULL, "add log-probabilities to completions", OPT_BYTES },
	{ "verify", 0, OPT_LIST, &verifiers, "VERIFIER[:ARGS]",
		"add rewards to completions: math, string, regex", OPT_BYTES },
	{ "per-item", 0, OPT_FLAG, &per_item, NULL, "a line a document or item, before the totals",
		OPT_BYTES },
	{ "context", 0, OPT_COUNT, &context, "N", "tokens in a window (default: the model's context)",
		OPT_BYTES },
	{ "stride", 0, OPT_COUNT, &stride, "N", "tokens from window to window (default: the window)",
		OPT_BYTES },
	{ "field", 0, OPT_STR, &field, "NAME", "field with the text (text, or completion for --verify)",
		OPT_BYTES },
	{ "format", 0, OPT_CHOICE, &format, "auto|jsonl|text|lines", "format of documents", OPT_BYTES },
	{ "limit", 0, OPT_COUNT, &limit, "N", "--task: only the first N records", OPT_BYTES },
	{ "num-fewshot", 0, OPT_COUNT, &num_fewshot, "N",
		"--task: examples in the prompt (default: the task's)", OPT_BYTES },
	{ "bootstrap", 0, OPT_COUNT, &bootstrap, "N", "--task: resamples for standard errors of perplexities",
		OPT_BYTES },
	{ "answer-field", 0, OPT_STR, &answer_field, "NAME", "--verify: field with the right answer",
		OPT_BYTES },
	{ "as", 0, OPT_STR, &as, "NAME", "--rescore: field to add", OPT_BYTES },
	{ "temp", 0, OPT_NUM, &temp, "T", "--rescore: temperature (default: the record's, else 1)",
		OPT_BYTES },
	{ "dtype", 0, OPT_CHOICE, &dtype, "f32|bf16", "of matrix products (bf16 where the processor has it)",
		OPT_BYTES },
	{ "weights", 0, OPT_CHOICE, &weights, "f32|bf16|q8_0|q4_0|q4_k|q6_k",
		"hold matrices in this type (default: as stored)", OPT_BYTES },
	{ "kv-cache-dtype", 0, OPT_CHOICE, &kv8, "auto|int8",
		"hold keys and values so (auto: as products read them)", OPT_BYTES },
	{ "batch", 0, OPT_COUNT, &batch, "N", "completions decoded together" },
	{ "common", 0, OPT_HEADING, NULL },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"eval",
	"-m MODEL [--loss] [--task TASK.json] [--stride N] [--per-item] [options] [file ...]\n"
	"-m MODEL --against FULL [--stride N] [--per-item] [options] [file ...]\n"
	"--verify VERIFIER[:ARGS] [--answer-field NAME] [options] [file ...]\n"
	"-m MODEL --rescore [--as NAME] [--temp T] [options] [file ...]",
	"Measure a model; reward or score completions.",
	opts,
};

static struct model *model, *full;
static struct writer *out;
static struct err err;
static struct buf line;
static uint64_t bad, completions;
static double started; /* now_seconds */
static struct progress progress;

static size_t window(void)
{
	size_t most = model->config.context;
	if (full && full->config.context < most)
		most = full->config.context;
	return context < most ? (size_t)context : most;
}

static void emit(void *ctx, const struct buf *b, int is_total)
{
	(void)ctx;
	if (is_total && common.log && log_append(common.log, b, &err) < 0)
		die("%s", err.msg);
	writer_add(out, b->p, b->n);
	writer_add(out, "\n", 1);
	if (writer_check(out, &err) < 0)
		die("%s", err.msg);
}

/* A record that cannot be used: the end, or one more counted. */
static void skip(const char *why)
{
	if (!common.skip_bad)
		die("%s", why);
	detail("%s", why);
	bad++;
}

/* --- loss --- */

/* Of a document, until its totals come back. */
struct item {
	uint64_t number;
	char *id; /* JSON text or NULL */
};

static struct loss_total total;
static struct divergence divergence;
static uint64_t documents;

static void add_loss(struct buf *b, const struct loss_total *t)
{
	buf_addf(b, "\"tokens\":%llu,\"scored\":%llu,", (unsigned long long)t->tokens,
		(unsigned long long)t->scored);
	if (t->divergence) {
		divergence_json(b, t->divergence, t->nats);
		return;
	}
	buf_addf(b, "\"bytes\":%llu,\"nats\":", (unsigned long long)t->bytes);
	json_add_num(b, t->nats);
	buf_adds(b, ",\"loss\":");
	json_add_num(b, t->scored ? t->nats / (double)t->scored : NAN);
	buf_adds(b, ",\"perplexity\":");
	json_add_num(b, t->scored ? exp(t->nats / (double)t->scored) : NAN);
	buf_adds(b, ",\"bits_per_byte\":");
	json_add_num(b, t->bytes ? t->byte_nats / log(2) / (double)t->bytes : NAN);
}

static void document_done(void *ctx, void *user, const struct loss_total *t)
{
	struct item *it = user;
	(void)ctx;
	total.docs += t->docs;
	total.tokens += t->tokens;
	total.scored += t->scored;
	total.bytes += t->bytes;
	total.nats += t->nats;
	total.byte_nats += t->byte_nats;
	if (t->divergence)
		divergence_join(&divergence, t->divergence);
	progress_tick(&progress, (double)total.tokens, NULL);
	if (per_item) {
		buf_reset(&line);
		buf_addf(&line, "{\"item\":%llu,", (unsigned long long)it->number);
		if (it->id)
			buf_addf(&line, "\"id\":%s,", it->id);
		add_loss(&line, t);
		buf_addc(&line, '}');
		emit(NULL, &line, 0);
	}
	free(it->id);
	free(it);
}

static struct item *item_new(const struct doc_field *id)
{
	struct item *it = xcalloc(1, sizeof *it);
	it->number = documents++;
	it->id = id ? xstrndup(id->value.p, id->value.n) : NULL;
	return it;
}

static void add_stream(struct perplexity *p, struct reader *r)
{
	struct tok_reader *t = tok_reader_new(r, &err);
	struct tok_doc d;
	int rc;
	if (!t)
		die("%s", err.msg);
	if (model_check_stream(model, tok_reader_info(t), reader_name(r), &err) < 0)
		die("%s", err.msg);
	while ((rc = tok_reader_doc(t, &d, &err)) > 0)
		perplexity_add(p, d.ids, d.mask, d.n, UINT64_MAX, item_new(NULL));
	if (rc < 0)
		die("%s", err.msg);
	tok_reader_free(t);
}

static void add_documents(struct perplexity *p, char *file, struct reader *r)
{
	struct doc_source *s = docs_open_reader(r, file, field, (enum doc_format)format, 0);
	struct doc_batch b = { 0 };
	struct ids ids = { 0 };
	int rc;
	if (!model->tokenizer)
		die("%s: has no tokenizer: it can only read token streams", model_path);
	struct encoder *enc = encoder_new(model->tokenizer);
	while ((rc = docs_read(s, &b, (size_t)1 << 20, &err)) > 0) {
		docs_parse(s, &b);
		for (size_t i = 0; i < b.n; i++) {
			struct doc *d = &b.docs[i];
			if (d->bad) {
				skip(d->bad);
				continue;
			}
			ids.n = 0;
			encode_with_prefix(model, enc, d->text, 0, &ids);
			perplexity_add(p, ids.v, NULL, ids.n, d->text.n,
				item_new(d->format == DOC_JSONL ? doc_get(d, "id") : NULL));
		}
	}
	if (rc < 0)
		die("%s", err.msg);
	encoder_free(enc);
	doc_batch_release(&b);
	ids_release(&ids);
	docs_close(s);
}

static void show_loss(void)
{
	char bits[48] = "";
	if (!total.scored) {
		warn("nothing to score: %llu documents, %llu tokens", (unsigned long long)total.docs,
			(unsigned long long)total.tokens);
		return;
	}
	if (full) {
		buf_reset(&line);
		divergence_summary(&line, &divergence, total.nats);
		info("%.*s", (int)line.n, line.p);
		return;
	}
	double mean = total.nats / (double)total.scored;
	if (total.bytes)
		snprintf(bits, sizeof bits, ", %.4f bits per byte",
			total.byte_nats / log(2) / (double)total.bytes);
	info("%llu tokens, loss %.4f, perplexity %.3f%s", (unsigned long long)total.scored, mean, exp(mean),
		bits);
}

static void run_loss(char **files, size_t n)
{
	static char dash[] = "-";
	char *from_stdin[] = { dash };
	size_t c = window(), s = stride < c ? (size_t)stride : c;
	struct perplexity *p = perplexity_new(model, full, compute, c, s, document_done, NULL);
	total.divergence = full ? &divergence : NULL;
	progress_start(&progress, 0, "tokens");
	if (!n)
		files = from_stdin;
	for (size_t i = 0; i < (n ? n : 1); i++) {
		const char *start;
		struct reader *r = reader_open(files[i], &err);
		ptrdiff_t got = r ? reader_peek(r, &start, 64, &err) : -1;
		if (got < 0)
			die("%s", err.msg);
		if (tok_is_stream(start, (size_t)got)) {
			add_stream(p, r);
			reader_close(r);
		} else {
			add_documents(p, files[i], r);
		}
	}
	perplexity_flush(p);
	perplexity_free(p);
	progress_end(&progress);
	if (!isfinite(total.nats) || !isfinite(divergence.full_nats) || !isfinite(divergence.kl.x))
		die("%s: the model's log-probabilities are not finite",
			isfinite(total.nats) ? full_path : model_path);
	buf_reset(&line);
	buf_addf(&line, "{\"documents\":%llu,", (unsigned long long)total.docs);
	add_loss(&line, &total);
	buf_addf(&line, ",\"context\":%zu,\"stride\":%zu,\"dtype\":\"%s\"", c, s,
		compute == DTYPE_BF16 ? "bf16" : "f32");
	if (weights >= 0)
		buf_addf(&line, ",\"weights\":\"%s\"", weight_names[weights]);
	if (kv8)
		buf_adds(&line, ",\"kv_cache_dtype\":\"int8\"");
	buf_addc(&line, '}');
	emit(NULL, &line, 1);
	show_loss();
}

/* --- tasks --- */

static void tick(void *ctx, size_t done, size_t of)
{
	(void)ctx;
	progress.total = (double)of;
	progress_tick(&progress, (double)done, NULL);
}

static struct task *load_task(const char *path)
{
	struct task_overrides o = { num_fewshot, limit, common.skip_bad, 0 };
	struct task *t = task_load(path, &o, &err);
	if (!t)
		die("%s", err.msg);
	bad += o.skipped;
	return t;
}

static void run_task(struct task *t)
{
	struct task_options opt = { .model = model,
		.compute = compute,
		.context = window(),
		.parallel = (size_t)batch,
		.bootstrap = (size_t)bootstrap,
		.seed = common.seed,
		.per_item = per_item,
		.emit = emit,
		.tick = tick };
	progress_start(&progress, 0, "items");
	if (task_run(t, &opt, &err) < 0)
		die("%s", err.msg);
	progress_end(&progress);
	task_free(t);
}

/* --- completions --- */

static struct verifier *checks;

struct verified {
	struct buf text;
	uint64_t bad, good;
	double reward;
	struct err err; /* of the first bad record */
};
static double reward; /* of all */

/* The totals of completions: on stderr by the caller, here to the log. */
static void log_completions(const char *key, double value)
{
	if (!common.log)
		return;
	buf_reset(&line);
	buf_addf(&line, "{\"completions\":%llu,\"%s\":", (unsigned long long)completions, key);
	json_add_num(&line, value);
	buf_addf(&line, ",\"bad\":%llu,\"seconds\":%.3f}", (unsigned long long)bad, now_seconds() - started);
	if (log_append(common.log, &line, &err) < 0)
		die("%s", err.msg);
}

static void verify_batch(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx, (void)thread;
	if (!b->user)
		b->user = xcalloc(1, sizeof(struct verified));
	struct verified *v = b->user;
	buf_reset(&v->text);
	v->bad = v->good = 0;
	v->reward = 0;
	for (size_t i = 0; i < b->n; i++) {
		const struct doc *d = &b->docs[i];
		struct err e;
		double r;
		if (d->bad) {
			err_set(&e, "%s", d->bad);
		} else if (completion_verify(d, checks, verifiers.n, answer_field, &v->text, &r, &e) == 0) {
			v->good++;
			v->reward += r;
			continue;
		}
		if (v->bad++ == 0)
			v->err = e;
	}
}

static int write_verified(void *ctx, struct doc_batch *b)
{
	struct verified *v = b->user;
	if (v->bad && !common.skip_bad)
		die("%s", v->err.msg);
	bad += v->bad;
	completions += v->good;
	reward += v->reward;
	writer_add(out, v->text.p, v->text.n);
	progress_tick(&progress, (double)docs_offset(ctx), NULL);
	return writer_check(out, &err);
}

static void free_verified(void *user)
{
	struct verified *v = user;
	buf_release(&v->text);
	free(v);
}

static void run_verify(char **files, size_t n)
{
	static const struct docs_job job = { verify_batch, write_verified, free_verified };
	checks = xcalloc(verifiers.n, sizeof *checks);
	for (size_t i = 0; i < verifiers.n; i++)
		if (verifier_init(&checks[i], verifiers.v[i], &err) < 0)
			die_usage("%s", err.msg);
	struct doc_source *s = docs_open(files, n, field ? field : "completion", DOC_JSONL, 0);
	progress_start(&progress, (double)docs_size(s), "bytes");
	int rc = docs_run(s, &job, s, (size_t)1 << 18, (int)common.threads, &err);
	progress_end(&progress);
	if (rc < 0)
		die("%s", err.msg);
	docs_close(s);
	for (size_t i = 0; i < verifiers.n; i++)
		verifier_release(&checks[i]);
	free(checks);
}

static void verify_summary(void)
{
	double mean = completions ? reward / (double)completions : NAN;
	if (completions)
		info("%llu completions, mean reward %.4f", (unsigned long long)completions, mean);
	else
		info("0 completions");
	log_completions("reward", mean);
}

/* The record of r with its log-probabilities, as the line to write. */
static int rescored(const struct doc *d, const struct rescore *r)
{
	struct buf v = { 0 };
	int finite = 1;
	buf_addc(&v, '[');
	for (size_t k = 0; k + r->first < r->ids.n; k++) {
		if (k)
			buf_addc(&v, ',');
		json_add_f32(&v, r->logp[k]);
		finite &= isfinite(r->logp[k]) != 0;
	}
	buf_addc(&v, ']');
	struct doc_field change = { str_of(as), { v.p, v.n }, 0 };
	buf_reset(&line);
	doc_add_changed(&line, d, &change, 1);
	buf_release(&v);
	return finite ? 0
		      : err_set(&err, "%s:%llu: the model's log-probabilities are not finite", d->file,
				(unsigned long long)d->line);
}

static uint64_t rescored_tokens;

/* The records of a batch, scored together. */
static void rescore_batch(struct scorer *s, struct doc_batch *b, struct rescore *r, struct score_item *items)
{
	size_t n = 0;
	for (size_t i = 0; i < b->n; i++) {
		struct doc *d = &b->docs[i];
		r[i].ids.n = r[i].first = 0;
		if (d->bad) {
			skip(d->bad);
		} else if (rescore_read(&r[i], d, model->config.vocab, window(), &err) < 0) {
			skip(err.msg);
			d->bad = err.msg;
		} else {
			if (!isnan(temp))
				r[i].temp = temp;
			if (r[i].ids.n > r[i].first)
				items[n++] = rescore_item(&r[i]);
		}
	}
	scorer_run(s, items, n);
	for (size_t i = 0; i < b->n; i++) {
		if (b->docs[i].bad)
			continue;
		if (rescored(&b->docs[i], &r[i]) < 0) {
			skip(err.msg);
			continue;
		}
		writer_add(out, line.p, line.n);
		completions++;
		rescored_tokens += r[i].ids.n - r[i].first;
	}
	if (writer_flush(out) < 0 && writer_check(out, &err) < 0)
		die("%s", err.msg);
}

static void run_rescore(char **files, size_t n)
{
	struct doc_source *s = docs_open(files, n, "tokens", DOC_JSONL, 1);
	struct scorer *scorer = scorer_new(model, compute, window());
	struct doc_batch b = { 0 };
	struct rescore *r = NULL;
	struct score_item *items = NULL;
	size_t cap_r = 0, cap_items = 0, made = 0;
	int rc;
	progress_start(&progress, (double)docs_size(s), "bytes");
	while ((rc = docs_read(s, &b, (size_t)1 << 18, &err)) > 0) {
		docs_parse(s, &b);
		GROW(r, cap_r, b.n);
		GROW(items, cap_items, b.n);
		for (; made < b.n; made++)
			r[made] = (struct rescore){ 0 };
		rescore_batch(scorer, &b, r, items);
		progress_tick(&progress, (double)docs_offset(s), NULL);
	}
	progress_end(&progress);
	if (rc < 0)
		die("%s", err.msg);
	for (size_t i = 0; i < made; i++)
		rescore_release(&r[i]);
	free(r);
	free(items);
	doc_batch_release(&b);
	scorer_free(scorer);
	docs_close(s);
}

static void rescore_summary(void)
{
	info("%llu completions, %llu tokens", (unsigned long long)completions,
		(unsigned long long)rescored_tokens);
	log_completions("tokens", (double)rescored_tokens);
}

/* --- main --- */

/* Options that say nothing for what is measured here. */
static void refuse_strangers(void)
{
	enum { LOSS = 1, TASK = 2, RESCORE = 4, VERIFY = 8, AGAINST = 16, TEXT = LOSS | AGAINST };
	static const struct {
		const char *name;
		int modes;
	} only[] = { { "stride", TEXT }, { "format", TEXT }, { "field", TEXT | VERIFY },
		{ "per-item", TEXT | TASK }, { "limit", TASK }, { "num-fewshot", TASK },
		{ "bootstrap", TASK }, { "as", RESCORE }, { "temp", RESCORE }, { "answer-field", VERIFY } };
	int mode = rescore       ? RESCORE
		   : verifiers.n ? VERIFY
		   : full_path   ? AGAINST
				 : (loss ? LOSS : 0) | (tasks.n ? TASK : 0);
	const char *what = rescore       ? "--rescore"
			   : verifiers.n ? "--verify"
			   : full_path   ? "--against"
			   : loss        ? "--loss"
					 : "--task";
	for (size_t i = 0; i < sizeof only / sizeof *only; i++)
		if (!(only[i].modes & mode))
			opt_refuse(opts, what, OPT_NAMES(only[i].name));
}

static void check_options(int files)
{
	int modes = (loss || tasks.n) + (full_path != NULL) + rescore + (verifiers.n > 0);
	if (modes != 1)
		die_usage(modes ? "--loss and --task, --against, --rescore, --verify exclude one another"
				: "one of --loss, --task, --against, --rescore, --verify is missing");
	if (!verifiers.n && !model_path)
		die_usage("-m MODEL is missing");
	if (model_path && strcmp(model_path, "-") == 0 && (loss || full_path || rescore) && !files)
		die_usage("-m - reads standard input: name files");
	if (context < 1 || stride < 1 || limit < 1)
		die_usage("--context, --stride and --limit are at least 1");
	if (batch < 1 || batch > 4096)
		die_usage("--batch is from 1 to 4096");
	if (!isnan(temp) && !sample_temp_ok(temp))
		die_usage("--temp is " SAMPLE_TEMP_RANGE ", not %g", temp);
	refuse_strangers();
	if (tasks.n && !loss && files)
		die_usage("--task reads the data that its file names: no operands");
}

int main(int argc, char **argv)
{
	int n;
	char **files = cmd_init(&command, argc, argv, &n);
	started = now_seconds();
	check_options(n);
	if (model_path && kern_check(&err) < 0)
		die("%s", err.msg);
	if (model_path)
		detail("%s", kern_describe());
	if (model_path && !(model = model_open(model_path, &err)))
		die("%s", err.msg);
	if (model) {
		compute = model_use(model, dtype, weights);
		model_use_cache(model, kv8);
	}
	if (full_path && !(full = model_open(full_path, &err)))
		die("%s", err.msg);
	if (full)
		model_use(full, dtype, -1);
	if (full && against_check(model, full, &err) < 0)
		die("%s: is not held against %s: %s", model_path, full_path, err.msg);
	if (tasks.n && !model->tokenizer)
		die("%s: has no tokenizer, which --task needs", model_path);
	out = writer_open(common.output, &err);
	if (!out)
		die("%s", err.msg);
	/* All are read before the first one runs: a slip in the last shows at once. */
	struct task **loaded = xcalloc(tasks.n, sizeof *loaded);
	for (size_t i = 0; i < tasks.n; i++)
		loaded[i] = load_task(tasks.v[i]);
	if (loss || full)
		run_loss(files, (size_t)n);
	for (size_t i = 0; i < tasks.n; i++)
		run_task(loaded[i]);
	free(loaded);
	if (verifiers.n)
		run_verify(files, (size_t)n);
	if (rescore)
		run_rescore(files, (size_t)n);
	if (writer_commit(out, 0, &err) < 0)
		die("%s", err.msg);
	if (verifiers.n)
		verify_summary();
	if (rescore)
		rescore_summary();
	if (bad)
		warn("%llu bad records skipped", (unsigned long long)bad);
	buf_release(&line);
	model_free(model);
	model_free(full);
	divergence_release(&divergence);
	return cmd_end();
}
