/*
 * filter: keep the documents that pass rule sets, conditions and a classifier; train the classifier.
 *
 * Workers judge batches of documents and write what becomes of them into buffers; the ordered end of the
 * pipeline only adds up and writes out, so the result does not depend on the threads.
 */
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/version.h"
#include "text/doc.h"
#include "text/sieve.h"

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH ((size_t)1 << 20)

static int training, annotate, words_mode = WORDS_PUNCT, format = DOC_AUTO;
static const char *field = "text", *rejects_name, *model_name, *label_field, *prefix = "", *temp_dir;
static struct opt_list steps, limit_list;
static uint64_t ngram = 2, buckets = 2000000, epochs = 5, min_count = 1;
static double lr = 0.3;

static struct opt opts[] = {
	{ "rules", 0, OPT_LIST, &steps, "SET,...",
		"drop by rule sets: gopher-quality, gopher-repetition, gopher "
		"(both), c4, fineweb",
		OPT_BYTES },
	{ "rule", 0, OPT_LIST, &steps, "EXPR", "drop unless EXPR is true" },
	{ "limit", 0, OPT_LIST, &limit_list, "SET/RULE=N", "change the limit of a rule ('off': without it)",
		OPT_BYTES },
	{ "words", 0, OPT_CHOICE, &words_mode, "punct|space",
		"what a word is: punctuation marks too, or only what "
		"white space parts",
		OPT_BYTES },
	{ "annotate", 0, OPT_FLAG, &annotate, NULL,
		"drop and rewrite nothing, add statistics and drop_reason", OPT_BYTES },
	{ "prefix", 0, OPT_STR, &prefix, "STR", "put STR in front of the names that --annotate adds",
		OPT_BYTES },
	{ "rejects", 0, OPT_STR, &rejects_name, "FILE", "write dropped documents here, with drop_reason" },
	{ "field", 0, OPT_STR, &field, "NAME", "field that holds the text", OPT_BYTES },
	{ "format", 0, OPT_CHOICE, &format, "auto|jsonl|text|lines", "format of the input", OPT_BYTES },
	{ "Classifier", 0, OPT_HEADING, NULL, NULL, NULL },
	{ "model", 'm', OPT_STR, &model_name, "CLASSIFIER", "classifier that gives label and score to EXPR" },
	{ "keep", 0, OPT_LIST, &steps, "EXPR", "drop unless EXPR is true (as --rule)" },
	{ "train", 't', OPT_FLAG, &training, NULL, "train a classifier and write it", OPT_BYTES },
	{ "label", 0, OPT_STR, &label_field, "FIELD", "field that holds the label to learn", OPT_BYTES },
	{ "ngram", 0, OPT_COUNT, &ngram, "N", "features: runs of 1 to N words", OPT_BYTES },
	{ "buckets", 0, OPT_COUNT, &buckets, "N", "features are hashed into N buckets", OPT_BYTES },
	{ "min-count", 0, OPT_COUNT, &min_count, "N", "leave out what occurs less often", OPT_BYTES },
	{ "epochs", 0, OPT_COUNT, &epochs, "N", "passes over the documents", OPT_BYTES },
	{ "lr", 0, OPT_NUM, &lr, "R", "learning rate at the start; falls to 0", OPT_BYTES },
	{ "temp", 0, OPT_STR, &temp_dir, "DIR",
		"folder of the temporary file of -t (default: $TMPDIR or /tmp)" },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"filter",
	"[--rules SET,...] [--rule EXPR] [-m CLASSIFIER --keep EXPR] [--annotate] [options] [file ...]\n"
	"-t --label FIELD [-o classifier.qlc] [options] [file ...]",
	"Drop documents by rule sets, conditions and a classifier; train the classifier.",
	opts,
};

/* What a worker makes of a batch. */
struct sifted {
	struct buf out, rejects;
	uint64_t *dropped; /* [reasons] */
	uint64_t docs, bad, rewritten, bytes;
	const char *bad_record; /* the first; belongs to the batch */
	/* training */
	uint32_t *features;
	size_t n, cap;
	struct buf labels;
	struct example {
		size_t features, label, label_n;
		const char *bad;
	} * examples;
	size_t cap_examples;
};

static struct {
	struct doc_source *in;
	struct writer *out, *rejects;
	struct sieve sieve;
	struct sieve_worker *workers; /* [threads] */
	struct linear *model;
	struct linear_shape shape;
	struct words *words; /* [threads], training */
	struct linear_trainer *trainer;
	uint64_t wanted; /* statistics that --annotate adds */
	struct sifted sum;
	struct progress progress;
	double start;
	struct err err;
} run;

/* --- judging --- */

static struct sifted *sifted_of(struct doc_batch *b)
{
	if (!b->user)
		b->user = xcalloc(1, sizeof(struct sifted));
	struct sifted *s = b->user;
	if (!s->dropped && !training)
		s->dropped = xcalloc(sieve_reasons(&run.sieve), sizeof *s->dropped);
	buf_reset(&s->out);
	buf_reset(&s->rejects);
	buf_reset(&s->labels);
	s->docs = s->bad = s->rewritten = s->bytes = s->n = 0;
	s->bad_record = NULL;
	if (s->dropped)
		memset(s->dropped, 0, sieve_reasons(&run.sieve) * sizeof *s->dropped);
	return s;
}

static void free_sifted(void *user)
{
	struct sifted *s = user;
	buf_release(&s->out);
	buf_release(&s->rejects);
	buf_release(&s->labels);
	free(s->dropped);
	free(s->features);
	free(s->examples);
	free(s);
}

/* Fields to add to a document. */
struct additions {
	struct doc_field *fields;
	size_t n, cap;
	struct arena arena; /* keys and values */
	struct buf value;   /* of the field being made */
};

/* Takes a->value as the value of a new field prefix + name + rest; without one the field is removed. */
static void add_field(struct additions *a, const char *name, struct str rest)
{
	struct buf key = { 0 };
	buf_adds(&key, prefix);
	buf_adds(&key, name);
	buf_add(&key, rest.p, rest.n);
	GROW(a->fields, a->cap, a->n + 1);
	struct doc_field *f = &a->fields[a->n++];
	*f = (struct doc_field){ .key = { arena_strndup(&a->arena, key.p, key.n), key.n } };
	if (a->value.n)
		f->value = (struct str){ arena_strndup(&a->arena, a->value.p, a->value.n), a->value.n };
	buf_reset(&a->value);
	buf_release(&key);
}

/* Without a reason, what an earlier run left goes. */
static void add_reason(struct additions *a, const struct verdict *v)
{
	if (v->reason != SIEVE_KEPT) {
		struct buf name = { 0 };
		sieve_reason(&run.sieve, v->reason, &name);
		json_add_str(&a->value, name.p, name.n);
		buf_release(&name);
	}
	add_field(a, "drop_reason", (struct str){ 0 });
	if (v->reason != SIEVE_KEPT && !isnan(v->value))
		json_add_num(&a->value, v->value);
	add_field(a, "drop_value", (struct str){ 0 });
}

static void add_stats(struct additions *a, struct sieve_worker *w)
{
	for (int i = 0; i < STAT_COUNT; i++) {
		if (!(run.wanted >> i & 1))
			continue;
		json_add_num(&a->value, textstat_get(&w->stats, (enum stat)i));
		add_field(a, stat_table[i].name, (struct str){ 0 });
	}
	if (!run.model)
		return;
	sieve_scores(w);
	const struct str *label = run.model->label;
	json_add_str(&a->value, label[w->label].p, label[w->label].n);
	add_field(a, "label", (struct str){ 0 });
	json_add_f32(&a->value, w->scores[w->label]);
	add_field(a, "score", (struct str){ 0 });
	for (size_t i = 0; i < run.model->labels; i++) {
		json_add_f32(&a->value, w->scores[i]);
		add_field(a, "score_", label[i]);
	}
}

static void reset_additions(struct additions *a)
{
	a->n = 0;
	arena_reset(&a->arena);
}

static void add_rewritten(struct buf *out, const struct doc *d, struct str text)
{
	if (d->format == DOC_LINES) {
		buf_add(out, text.p, text.n);
		buf_addc(out, '\n');
		return;
	}
	struct buf value = { 0 };
	json_add_str(&value, text.p, text.n);
	struct doc_field f = { .key = str_of(d->format == DOC_JSONL ? field : "text"),
		.value = { value.p, value.n } };
	doc_add_changed(out, d, &f, 1);
	buf_release(&value);
}

static void judge_doc(struct sieve_worker *w, struct sifted *s, const struct doc *d, struct additions *a)
{
	sieve_begin(w, d);
	reset_additions(a);
	if (annotate)
		add_stats(a, w);
	struct verdict v = sieve_judge(w, d);
	if (v.reason != SIEVE_KEPT)
		s->dropped[v.reason]++;
	s->rewritten += v.reason == SIEVE_KEPT && v.rewritten;
	if (annotate) {
		add_reason(a, &v);
		doc_add_changed(&s->out, d, a->fields, a->n);
	} else if (v.reason == SIEVE_KEPT && v.rewritten) {
		add_rewritten(&s->out, d, v.text);
	} else if (v.reason == SIEVE_KEPT) {
		doc_add(&s->out, d);
	}
	if (run.rejects && v.reason != SIEVE_KEPT) {
		reset_additions(a);
		add_reason(a, &v);
		doc_add_changed(&s->rejects, d, a->fields, a->n);
	}
}

static void judge_batch(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx;
	struct sifted *s = sifted_of(b);
	struct additions a = { 0 };
	for (size_t i = 0; i < b->n; i++) {
		const struct doc *d = &b->docs[i];
		s->docs++;
		s->bytes += d->raw.n;
		if (!d->bad) {
			judge_doc(&run.workers[thread], s, d, &a);
		} else if (s->bad++ == 0 && !common.skip_bad) {
			s->bad_record = d->bad;
			break;
		}
	}
	free(a.fields);
	arena_release(&a.arena);
	buf_release(&a.value);
}

static int write_batch(void *ctx, struct doc_batch *b)
{
	(void)ctx;
	const struct sifted *s = b->user;
	if (s->bad_record)
		return err_set(&run.err, "%s", s->bad_record);
	run.sum.docs += s->docs;
	run.sum.bad += s->bad;
	run.sum.bytes += s->bytes;
	run.sum.rewritten += s->rewritten;
	for (size_t i = 0; i < sieve_reasons(&run.sieve); i++)
		run.sum.dropped[i] += s->dropped[i];
	progress_tick(&run.progress, (double)docs_offset(run.in), NULL);
	/* A failure sticks to the writer, which tells it when it is committed. */
	return writer_add(run.out, s->out.p, s->out.n) < 0 ||
	       (run.rejects && writer_add(run.rejects, s->rejects.p, s->rejects.n) < 0);
}

/* --- summary --- */

static uint64_t dropped(void)
{
	uint64_t n = 0;
	for (size_t i = 0; i < sieve_reasons(&run.sieve); i++)
		n += run.sum.dropped[i];
	return n;
}

/* A field that no document had is more often a slip of the pen than meant. */
static void warn_fields(void)
{
	for (size_t i = 0; i < run.sieve.n; i++) {
		const struct sieve_step *step = &run.sieve.steps[i];
		uint64_t asked = 0, seen = 0;
		for (uint64_t k = 0; k < common.threads; k++) {
			asked |= run.workers[k].asked[i];
			seen |= run.workers[k].seen[i];
		}
		struct str f;
		for (size_t k = 0; step->expr && (f = expr_field(step->expr, k)).p; k++)
			if ((asked & ~seen) >> k & 1)
				warn("no document has the field '%.*s' of: %s", (int)f.n, f.p, step->text);
	}
	for (uint64_t k = 0; k < common.threads; k++) {
		if (run.workers[k].env.over_limit) {
			warn("a pattern gave up on some document, which counted as no match");
			break;
		}
	}
}

static void summary(double seconds)
{
	const struct sifted *s = &run.sum;
	char size[32], rate[32], bad[48] = "", rewritten[48] = "";
	uint64_t gone = dropped(), judged = s->docs - s->bad;
	struct buf name = { 0 };
	if (judged)
		warn_fields();
	if (s->bad)
		snprintf(bad, sizeof bad, ", %llu unreadable skipped", (unsigned long long)s->bad);
	if (s->rewritten)
		snprintf(rewritten, sizeof rewritten, ", %llu %s", (unsigned long long)s->rewritten,
			annotate ? "to be rewritten" : "rewritten");
	info("%llu documents, %llu %s%s, %llu %s%s; %s in %.1f s, %s/s", (unsigned long long)s->docs,
		(unsigned long long)(judged - gone), annotate ? "pass" : "kept", rewritten,
		(unsigned long long)gone, annotate ? "marked" : "dropped", bad,
		human_bytes((double)s->bytes, size), seconds,
		human_bytes(seconds > 0 ? (double)s->bytes / seconds : 0, rate));
	for (size_t i = 0; i < sieve_reasons(&run.sieve); i++) {
		if (!s->dropped[i])
			continue;
		buf_reset(&name);
		sieve_reason(&run.sieve, i, &name);
		info("%10llu  %5.1f %%  %s", (unsigned long long)s->dropped[i],
			100 * (double)s->dropped[i] / (double)judged, name.p);
	}
	buf_release(&name);
}

static void append_log(double seconds)
{
	const struct sifted *s = &run.sum;
	struct buf b = { 0 }, name = { 0 };
	buf_addf(&b, "{\"documents\":%llu,\"kept\":%llu,\"rewritten\":%llu,\"bad\":%llu,\"bytes\":%llu,",
		(unsigned long long)s->docs, (unsigned long long)(s->docs - s->bad - dropped()),
		(unsigned long long)s->rewritten, (unsigned long long)s->bad, (unsigned long long)s->bytes);
	buf_adds(&b, "\"dropped\":{");
	for (size_t i = 0, n = 0; i < sieve_reasons(&run.sieve); i++) {
		if (!s->dropped[i])
			continue;
		if (n++)
			buf_addc(&b, ',');
		buf_reset(&name);
		sieve_reason(&run.sieve, i, &name);
		json_add_str(&b, name.p, name.n);
		buf_addf(&b, ":%llu", (unsigned long long)s->dropped[i]);
	}
	buf_adds(&b, "},\"seconds\":");
	json_add_num(&b, round(seconds * 1e3) / 1e3);
	buf_addc(&b, '}');
	if (log_append(common.log, &b, &run.err) < 0)
		die("%s", run.err.msg);
	buf_release(&b);
	buf_release(&name);
}

/* --- filtering --- */

static void build_sieve(void)
{
	opt_refuse(opts, "filtering",
		OPT_NAMES("label", "ngram", "buckets", "min-count", "epochs", "lr", "temp"));
	if (model_name && !(run.model = linear_load(model_name, &run.err)))
		die("%s", run.err.msg);
	sieve_init(&run.sieve, (enum words_mode)words_mode, run.model);
	for (size_t i = 0; i < limit_list.n; i++)
		if (limits_set(&run.sieve.limits, limit_list.v[i], &run.err) < 0)
			die_usage("--limit: %s", run.err.msg);
	for (size_t i = 0; i < steps.n; i++) {
		int is_set = strcmp(steps.by[i], "rules") == 0;
		if ((is_set ? sieve_add_sets(&run.sieve, steps.v[i], &run.err)
			    : sieve_add_expr(&run.sieve, steps.v[i], &run.err)) < 0)
			die_usage("--%s: %s", steps.by[i], run.err.msg);
	}
	if (!steps.n && !annotate)
		die_usage("nothing to do: give --rules, --rule, --keep or --annotate");
	run.wanted = steps.n || run.model ? run.sieve.stats : UINT64_MAX;
}

static struct writer *open_writer(const char *name)
{
	struct writer *w = writer_open(name, &run.err);
	if (!w)
		die("%s", run.err.msg);
	return w;
}

static void filter(char **files, size_t n)
{
	static const struct docs_job job = { judge_batch, write_batch, free_sifted };
	struct err read_err;
	build_sieve();
	run.sum.dropped = xcalloc(sieve_reasons(&run.sieve), sizeof *run.sum.dropped);
	run.workers = xcalloc(common.threads, sizeof *run.workers);
	for (uint64_t i = 0; i < common.threads; i++)
		sieve_worker_init(&run.workers[i], &run.sieve);
	run.in = docs_open(files, n, field, (enum doc_format)format, 0);
	run.out = open_writer(common.output);
	if (rejects_name)
		run.rejects = open_writer(rejects_name);
	progress_start(&run.progress, (double)docs_size(run.in), "bytes");
	int rc = docs_run(run.in, &job, NULL, BATCH, (int)common.threads, &read_err);
	progress_end(&run.progress);
	if (rc < 0 && !*run.err.msg)
		die("%s", read_err.msg);
	if (*run.err.msg)
		die("%s", run.err.msg);
	/* Both or neither: what failed while it was written is told before anything appears. The dropped ones
	 * first. */
	if (writer_check(run.out, &run.err) < 0 ||
		(run.rejects && writer_commit(run.rejects, 0, &run.err) < 0))
		die("%s", run.err.msg);
	if (writer_commit(run.out, 0, &run.err) < 0)
		die("%s", run.err.msg);
	double seconds = now_seconds() - run.start;
	summary(seconds);
	if (common.log)
		append_log(seconds);
	for (uint64_t i = 0; i < common.threads; i++)
		sieve_worker_release(&run.workers[i]);
	free(run.workers);
	free(run.sum.dropped);
	sieve_release(&run.sieve);
	linear_free(run.model);
	docs_close(run.in);
}

/* --- training --- */

/* Appends the document's label to s->labels; why not, or NULL. The message is the batch's. */
static const char *read_label(struct doc_batch *b, struct sifted *s, const struct doc *d, struct example *x)
{
	const struct doc_field *f = doc_get(d, label_field);
	struct buf label = { 0 };
	const char *why = NULL;
	if (!f || doc_get_str(d, label_field, &label) < 0)
		why = "no field";
	else if (strchr("{[n", f->value.p[0]))
		why = "neither string nor number nor boolean in";
	else if (label.n == 0 || label.n > 4096)
		why = "no label of 1 to 4096 bytes in";
	if (!why) {
		x->label = s->labels.n;
		x->label_n = label.n;
		buf_add(&s->labels, label.p, label.n);
	}
	buf_release(&label);
	if (!why)
		return NULL;
	char msg[512];
	int n = snprintf(
		msg, sizeof msg, "%s:%llu: %s '%s'", d->file, (unsigned long long)d->line, why, label_field);
	return arena_strndup(&b->arena, msg, n < (int)sizeof msg ? (size_t)n : sizeof msg - 1);
}

static void extract_batch(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx;
	struct sifted *s = sifted_of(b);
	struct words *w = &run.words[thread];
	uint32_t *features = NULL;
	size_t cap = 0;
	GROW(s->examples, s->cap_examples, b->n);
	for (size_t i = 0; i < b->n; i++) {
		const struct doc *d = &b->docs[i];
		struct example *x = &s->examples[i];
		*x = (struct example){ .bad = d->bad };
		s->bytes += d->raw.n;
		if (!x->bad)
			x->bad = read_label(b, s, d, x);
		if (x->bad)
			continue;
		words_split(w, d->text.p ? d->text.p : "", d->text.n);
		x->features = linear_features(&run.shape, w, &features, &cap);
		GROW(s->features, s->cap, add_size(s->n, x->features));
		memcpy(s->features + s->n, features, x->features * sizeof *features);
		s->n += x->features;
	}
	free(features);
}

static int add_batch(void *ctx, struct doc_batch *b)
{
	(void)ctx;
	struct sifted *s = b->user;
	const uint32_t *f = s->features;
	run.sum.bytes += s->bytes;
	for (size_t i = 0; i < b->n; i++) {
		const struct example *x = &s->examples[i];
		run.sum.docs++;
		if (x->bad && !common.skip_bad)
			return err_set(&run.err, "%s", x->bad);
		if (x->bad) {
			run.sum.bad++;
			continue;
		}
		struct str label = { s->labels.p + x->label, x->label_n };
		if (linear_trainer_add(run.trainer, label, f, x->features, &run.err) < 0)
			return -1;
		f += x->features;
	}
	progress_tick(&run.progress, (double)docs_offset(run.in), "reading");
	return 0;
}

static void tick(void *ctx, uint64_t done, uint64_t total)
{
	struct progress *p = ctx;
	p->total = (double)total;
	progress_tick(p, (double)done, "learning");
}

static void check_training(void)
{
	if (!label_field)
		die_usage("-t needs --label FIELD");
	opt_refuse(opts, "-t",
		OPT_NAMES("rules", "rule", "keep", "limit", "model", "annotate", "prefix", "rejects"));
	if (ngram < 1 || ngram > LINEAR_MAX_NGRAM)
		die_usage("--ngram wants 1 to %d", LINEAR_MAX_NGRAM);
	if (buckets < 1 || buckets > LINEAR_MAX_BUCKETS)
		die_usage("--buckets wants 1 to %u", (unsigned)LINEAR_MAX_BUCKETS);
	if (epochs < 1 || epochs > 10000)
		die_usage("--epochs wants 1 to 10000");
	if (min_count > UINT32_MAX)
		die_usage("--min-count wants at most %u", (unsigned)UINT32_MAX);
	if (!(lr > 0 && lr <= 1000))
		die_usage("--lr wants a number above 0");
	if (!common.output && isatty(STDOUT_FILENO))
		die_usage("a classifier is no text for a terminal: give -o FILE");
}

/* What made the classifier: nothing that must not change its bytes. */
static char *provenance(const struct linear_report *report)
{
	struct buf b = { 0 };
	buf_addf(&b, "{\"tool\":\"filter\",\"version\":\"%s\",\"seed\":%llu,\"options\":", QUERN_VERSION,
		(unsigned long long)common.seed);
	opt_record(opts, &b);
	buf_addf(&b, ",\"documents\":%llu,\"data\":\"%s\"}", (unsigned long long)report->docs, report->data);
	return b.p;
}

static void append_train_log(const struct linear_report *report, double seconds)
{
	struct buf b = { 0 };
	buf_addf(&b, "{\"documents\":%llu,\"bad\":%llu,\"bytes\":%llu", (unsigned long long)report->docs,
		(unsigned long long)run.sum.bad, (unsigned long long)run.sum.bytes);
	buf_addf(&b, ",\"labels\":%zu,\"features\":%llu,\"rows\":%zu", run.model->labels,
		(unsigned long long)report->features, run.model->rows);
	buf_adds(&b, ",\"loss\":");
	json_add_num(&b, report->loss);
	buf_adds(&b, ",\"accuracy\":");
	json_add_num(&b, report->accuracy);
	buf_adds(&b, ",\"seconds\":");
	json_add_num(&b, round(seconds * 1e3) / 1e3);
	buf_addc(&b, '}');
	if (log_append(common.log, &b, &run.err) < 0)
		die("%s", run.err.msg);
	buf_release(&b);
}

static void train(char **files, size_t n)
{
	static const struct docs_job job = { extract_batch, add_batch, free_sifted };
	struct err read_err;
	struct linear_report report;
	check_training();
	run.shape = (struct linear_shape){ (enum words_mode)words_mode, (uint32_t)ngram, (uint32_t)buckets };
	struct linear_config c = { run.shape, lr, (uint32_t)epochs, (uint32_t)min_count, common.seed };
	run.words = xcalloc(common.threads, sizeof *run.words);
	for (uint64_t i = 0; i < common.threads; i++)
		words_init(&run.words[i], run.shape.words);
	if (!(run.trainer = linear_trainer_new(&c, temp_dir, &run.err)))
		die("%s", run.err.msg);
	run.in = docs_open(files, n, field, (enum doc_format)format, 0);
	run.out = open_writer(common.output);
	progress_start(&run.progress, (double)docs_size(run.in), "bytes");
	int rc = docs_run(run.in, &job, NULL, BATCH, (int)common.threads, &read_err);
	progress_end(&run.progress);
	if (rc < 0)
		die("%s", *run.err.msg ? run.err.msg : read_err.msg);
	progress_start(&run.progress, 0, "documents");
	run.model =
		linear_trainer_run(run.trainer, (int)common.threads, tick, &run.progress, &report, &run.err);
	progress_end(&run.progress);
	if (!run.model)
		die("%s", run.err.msg);
	free(run.model->about);
	run.model->about = provenance(&report);
	struct buf file = { 0 };
	linear_write(run.model, &file);
	writer_add(run.out, file.p, file.n);
	if (writer_commit(run.out, 0, &run.err) < 0)
		die("%s", run.err.msg);
	char size[32], features[32];
	double seconds = now_seconds() - run.start;
	info("%llu documents, %zu labels, %s features in %zu rows; last pass: loss %.4f, %.2f %% right; %s "
	     "in %.1f s",
		(unsigned long long)report.docs, run.model->labels,
		human_count((double)report.features, features), run.model->rows, report.loss,
		100 * report.accuracy, human_bytes((double)run.sum.bytes, size), seconds);
	if (run.sum.bad)
		info("%llu unreadable or unlabelled skipped", (unsigned long long)run.sum.bad);
	if (common.log)
		append_train_log(&report, seconds);
	buf_release(&file);
	for (uint64_t i = 0; i < common.threads; i++)
		words_release(&run.words[i]);
	free(run.words);
	linear_trainer_free(run.trainer);
	linear_free(run.model);
	docs_close(run.in);
}

int main(int argc, char **argv)
{
	int n;
	char **files = cmd_init(&command, argc, argv, &n);
	run.start = now_seconds();
	if (training)
		train(files, (size_t)n);
	else
		filter(files, (size_t)n);
	return cmd_end();
}
