/*
 * mixsample: one stream out of several sources, sampled by weight without replacement inside a pass.
 *
 * The files of a source are indexed when they are opened; then one thread takes document after document from
 * the sequence that text/mix.h defines. What is written is a prefix of that sequence, or what follows one
 * (--skip).
 */
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/version.h"
#include "text/corpus.h"
#include "text/mix.h"

#include <math.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 255
#define SOURCES_MAX 2048

static struct opt_list weights;
static uint64_t number = UINT64_MAX, skip;
static double max_repeat = NAN, temperature = 1;
static int keep_source, format = DOC_AUTO;
static const char *field = "text", *temp_dir;

static struct opt opts[] = {
	{ "weights", 'w', OPT_LIST, &weights, "NAME=WEIGHT,...",
		"shares of the sources (default: by their size)", OPT_BYTES },
	{ "number", 'n', OPT_COUNT, &number, "N",
		"tokens (of documents: documents) to give; default: all that "
		"--max-repeat allows",
		OPT_BYTES },
	{ "max-repeat", 0, OPT_NUM, &max_repeat, "R",
		"no source is used more than R times (default: 1 without -n, else no limit)", OPT_BYTES },
	{ "temperature", 0, OPT_NUM, &temperature, "T", "flatten the shares: p becomes p^(1/T)", OPT_BYTES },
	{ "skip", 0, OPT_COUNT, &skip, "N", "leave out the first N tokens or documents, go on from there",
		OPT_BYTES },
	{ "keep-source", 0, OPT_FLAG, &keep_source, NULL,
		"token streams: leave documents the source that they have", OPT_BYTES },
	{ "field", 0, OPT_STR, &field, "NAME", "field that a document must have", OPT_BYTES },
	{ "format", 0, OPT_CHOICE, &format, "auto|jsonl|text|lines", "format of documents", OPT_BYTES },
	{ "temp", 0, OPT_STR, &temp_dir, "DIR", "folder of temporary files (default: $TMPDIR or /tmp)" },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"mixsample",
	"[-w NAME=WEIGHT,...] [-n N] [--max-repeat R] [options] NAME=FILE ...",
	"Mix sources by weight: a seeded sample without replacement inside a pass.",
	opts,
};

struct source {
	const char *name;
	double weight; /* negative until it is known */
	struct corpus *corpus;
	uint64_t docs, size;               /* in all: size is tokens, or documents */
	uint64_t out_docs, out_size, used; /* given out; used: skipped ones too, documents */
};

static struct {
	struct source *sources;
	size_t n, cap;
	int tokens;     /* token streams */
	size_t *picked; /* sources of the mix, by its numbers */
	struct mix *mix;
	struct writer *out;
	struct tok_writer *tok;
	struct tok_info info;
	struct buf line;
	uint64_t position, written, bad; /* position, written: tokens or documents */
	const struct source *limit;      /* whose passes ended the sequence */
	struct progress progress;
	struct err err;
} run;

/* --- sources and weights -------------------------------------------------------------------------------- */

static struct source *find_source(const char *name, size_t n)
{
	for (size_t i = 0; i < run.n; i++)
		if (strlen(run.sources[i].name) == n && memcmp(run.sources[i].name, name, n) == 0)
			return &run.sources[i];
	return NULL;
}

/* The source of an operand NAME=FILE, with the file. */
static struct source *split_operand(char *operand, char **file)
{
	char *eq = strchr(operand, '=');
	if (!eq || eq == operand || !eq[1])
		die_usage("%s: a source is given as NAME=FILE", operand);
	size_t n = (size_t)(eq - operand);
	if (n > NAME_MAX_BYTES || memchr(operand, ',', n))
		die_usage("%.*s: a source's name has at most %d bytes and no comma", (int)n, operand,
			NAME_MAX_BYTES);
	*file = eq + 1;
	struct source *s = find_source(operand, n);
	if (s)
		return s;
	if (run.n == SOURCES_MAX)
		die_usage("more than %d sources", SOURCES_MAX);
	GROW(run.sources, run.cap, run.n + 1);
	run.sources[run.n] = (struct source){ .name = xstrndup(operand, n), .weight = -1 };
	return &run.sources[run.n++];
}

static void name_sources(char **operands, size_t n)
{
	if (n == 0)
		die_usage("no sources: give NAME=FILE for each");
	int dashes = 0;
	for (size_t i = 0; i < n; i++) {
		char *file;
		split_operand(operands[i], &file);
		dashes += strcmp(file, "-") == 0;
	}
	if (dashes > 1)
		die_usage("standard input can be read once only");
}

static void set_weight(const char *p, size_t n)
{
	const char *eq = memchr(p, '=', n);
	double w = -1;
	if (eq) {
		char *text = xstrndup(eq + 1, n - (size_t)(eq + 1 - p));
		if (parse_num(text, &w) < 0)
			w = -1;
		free(text);
	}
	if (!(w >= 0) || isinf(w))
		die_usage("--weights wants NAME=WEIGHT, weights of 0 and more: %.*s", (int)n, p);
	struct source *s = find_source(p, (size_t)(eq - p));
	if (!s)
		die_usage("--weights: there is no source %.*s", (int)(eq - p), p);
	if (s->weight >= 0)
		die_usage("--weights: %s is given twice", s->name);
	s->weight = w;
}

static void set_weights(void)
{
	double sum = 0;
	for (size_t i = 0; i < weights.n; i++) {
		for (const char *p = weights.v[i], *end; *p; p = end + (*end == ',')) {
			end = p + strcspn(p, ",");
			set_weight(p, (size_t)(end - p));
		}
	}
	for (size_t i = 0; weights.n && i < run.n; i++) {
		if (run.sources[i].weight < 0)
			die_usage("--weights names no weight for %s (0 leaves a source out)",
				run.sources[i].name);
		sum += run.sources[i].weight;
	}
	if (weights.n && !(sum > 0))
		die_usage("--weights: all are 0");
	if (!(temperature > 0))
		die_usage("--temperature wants a number above 0");
	if (opt_find(opts, "max-repeat")->given && !(max_repeat > 0))
		die_usage("--max-repeat wants a number above 0");
	if (isnan(max_repeat))
		max_repeat = number == UINT64_MAX ? 1 : INFINITY;
}

/* --- opening -------------------------------------------------------------------------------------------- */

static int skip_bad(void *ctx, const char *message)
{
	(void)ctx;
	if (!common.skip_bad)
		return 0;
	detail("%s", message);
	run.bad++;
	return 1;
}

/* All sources hold one kind, and token streams of one tokenizer. */
static void check_kind(const struct source *s, const struct source *first, const char *file)
{
	if (corpus_kind(s->corpus) != corpus_kind(first->corpus))
		die("%s: token streams and documents cannot be mixed (%s and %s)", file, first->name,
			s->name);
	if (corpus_kind(s->corpus) == CORPUS_TOKENS &&
		!tok_info_equal(corpus_info(first->corpus), corpus_info(s->corpus)))
		die("%s: made with another tokenizer than the streams of %s", file, first->name);
}

static void open_sources(char **operands, size_t n)
{
	static struct corpus_options o = { .bad = skip_bad };
	const struct source *first = NULL;
	o.field = field;
	o.format = (enum doc_format)format;
	o.threads = (int)common.threads;
	o.temp = temp_dir;
	for (size_t i = 0; i < n; i++) {
		char *file;
		struct source *s = split_operand(operands[i], &file);
		if (s->weight == 0)
			continue;
		if (!s->corpus)
			s->corpus = corpus_new(&o);
		if (corpus_add(s->corpus, file, &run.err) < 0)
			die("%s", run.err.msg);
		first = first ? first : s;
		check_kind(s, first, strcmp(file, "-") ? file : "stdin");
	}
	run.tokens = corpus_kind(first->corpus) == CORPUS_TOKENS;
	if (run.tokens)
		run.info = *corpus_info(first->corpus);
	for (size_t i = 0; i < run.n; i++) {
		struct source *s = &run.sources[i];
		if (!s->corpus)
			continue;
		s->docs = corpus_docs(s->corpus);
		s->size = run.tokens ? corpus_tokens(s->corpus) : s->docs;
		if (s->size == 0)
			die("%s: this source has no %s", s->name,
				run.tokens && s->docs ? "tokens" : "documents");
		if (s->docs >= UINT32_MAX)
			die("%s: this source has more than %lu documents", s->name,
				(unsigned long)UINT32_MAX - 1);
	}
}

static int length_of(void *ctx, uint64_t doc, uint64_t *size, struct err *e)
{
	return corpus_length(ctx, doc, size, e);
}

static void start_mix(void)
{
	double *w = xcalloc(run.n, sizeof *w);
	run.picked = xcalloc(run.n, sizeof *run.picked);
	for (size_t i = 0; i < run.n; i++)
		w[i] = weights.n ? run.sources[i].weight : (double)run.sources[i].size;
	if (temperature != 1)
		mix_temper(w, run.n, temperature);
	run.mix = mix_new(common.seed, max_repeat);
	for (size_t i = 0; i < run.n; i++) {
		struct source *s = &run.sources[i];
		s->weight = 0;
		if (!(w[i] > 0))
			continue;
		struct mix_source x = { s->name, w[i], s->docs, s->size, run.tokens ? length_of : NULL,
			s->corpus };
		run.picked[mix_add(run.mix, &x)] = i;
	}
	for (size_t k = 0; k < mix_sources(run.mix); k++)
		run.sources[run.picked[k]].weight = mix_share(run.mix, k);
	free(w);
}

/* --- sampling ------------------------------------------------------------------------------------------- */

/* The next document. 0 where the sequence ends. */
static int next(struct mix_pick *p, struct source **s)
{
	int rc = mix_next(run.mix, p, &run.err);
	if (rc < 0)
		die("%s", run.err.msg);
	*s = &run.sources[run.picked[p->source]];
	if (rc == 0) {
		run.limit = *s;
		return 0;
	}
	(*s)->used++;
	run.position += p->size;
	return 1;
}

static void write_tokens(struct source *s, uint64_t doc)
{
	struct tok_doc d;
	if (corpus_read_tokens(s->corpus, doc, &d, &run.err) < 0)
		die("%s", run.err.msg);
	const char *source = keep_source && d.source.n ? d.source.p : s->name;
	if (tok_writer_doc(run.tok, d.ids, d.mask, d.n, source, &run.err) == 0)
		return;
	if (writer_check(run.out, NULL) == 0)
		err_prefix(&run.err, "%s", s->name);
	die("%s", run.err.msg);
}

static void write_doc(struct source *s, uint64_t doc)
{
	buf_reset(&run.line);
	if (corpus_read_doc(s->corpus, doc, &run.line, &run.err) < 0)
		die("%s", run.err.msg);
	if (writer_add(run.out, run.line.p, run.line.n) < 0) {
		writer_check(run.out, &run.err);
		die("%s", run.err.msg);
	}
}

static void sample(void)
{
	struct mix_pick p;
	struct source *s;
	uint64_t end = number > UINT64_MAX - skip ? UINT64_MAX : skip + number;
	double total = fmin((double)end, mix_limit(run.mix));
	progress_start(&run.progress, total, run.tokens ? "tokens" : "documents");
	while (run.position < skip && next(&p, &s))
		;
	if (run.limit)
		warn("--skip leaves nothing: the sequence ends after %llu", (unsigned long long)run.position);
	while (!run.limit && run.position < end && next(&p, &s)) {
		if (run.tokens)
			write_tokens(s, p.doc);
		else
			write_doc(s, p.doc);
		s->out_docs++;
		s->out_size += p.size;
		run.written += p.size;
		progress_tick(&run.progress, (double)run.position, NULL);
	}
	progress_end(&run.progress);
}

static void add_provenance(struct buf *b)
{
	buf_addf(b, "{\"tool\":\"mixsample\",\"version\":\"%s\",\"options\":", QUERN_VERSION);
	opt_record(opts, b);
	buf_adds(b, ",\"sources\":[");
	const char *comma = "";
	for (size_t i = 0; i < run.n; i++) {
		const struct source *s = &run.sources[i];
		if (!s->corpus)
			continue;
		char hex[33];
		hash128_hex(corpus_fingerprint(s->corpus), hex);
		buf_addf(b, "%s{\"source\":", comma);
		json_add_cstr(b, s->name);
		buf_addf(b, ",\"tokens\":%llu,\"documents\":%llu,\"content\":\"%s\"}",
			(unsigned long long)s->size, (unsigned long long)s->docs, hex);
		comma = ",";
	}
	buf_adds(b, "]}");
}

static void start_output(void)
{
	if (!(run.out = writer_open(common.output, &run.err)))
		die("%s", run.err.msg);
	if (run.tokens)
		run.tok = tok_writer_new(run.out, &run.info);
}

static void end_output(void)
{
	struct buf provenance = { 0 };
	if (run.tokens) {
		add_provenance(&provenance);
		if (tok_writer_end(run.tok, provenance.p, &run.err) < 0)
			die("%s", run.err.msg);
		buf_release(&provenance);
	}
	if (writer_commit(run.out, 0, &run.err) < 0)
		die("%s", run.err.msg);
}

/* --- asked for against delivered ------------------------------------------------------------------------ */

/* What this run was to give: -n, else what the limit leaves behind --skip. */
static double asked(void)
{
	return number != UINT64_MAX ? (double)number : fmax(0, mix_limit(run.mix) - (double)skip);
}

static double share_of(uint64_t part)
{
	return run.written ? (double)part / (double)run.written : 0;
}

static void print_table(void)
{
	int width = 6;
	const char *unit = run.tokens ? "tokens" : "documents";
	for (size_t i = 0; i < run.n; i++)
		width = (int)strlen(run.sources[i].name) > width ? (int)strlen(run.sources[i].name) : width;
	info("%-*s  %7s  %7s  %14s  %14s  %7s", width, "source", "asked", "given", "asked for", unit,
		"passes");
	for (size_t i = 0; i < run.n; i++) {
		const struct source *s = &run.sources[i];
		info("%-*s  %7.4f  %7.4f  %14.0f  %14llu  %7.2f", width, s->name, s->weight,
			share_of(s->out_size), s->weight * asked(), (unsigned long long)s->out_size,
			s->docs ? (double)s->used / (double)s->docs : 0);
	}
	if (run.bad)
		info("%llu unreadable records skipped", (unsigned long long)run.bad);
	if (run.limit && number != UINT64_MAX)
		info("%s was used %g times, as --max-repeat allows: %llu of %llu %s, all sources alike",
			run.limit->name, max_repeat, (unsigned long long)run.written,
			(unsigned long long)number, unit);
}

static void append_log(double seconds)
{
	struct buf b = { 0 };
	buf_addf(&b, "{\"unit\":\"%s\",\"asked\":", run.tokens ? "tokens" : "documents");
	json_add_num(&b, asked());
	buf_addf(&b, ",\"delivered\":%llu,\"skip\":%llu,\"max_repeat\":", (unsigned long long)run.written,
		(unsigned long long)skip);
	json_add_num(&b, max_repeat);
	buf_adds(&b, ",\"limited_by\":");
	if (run.limit)
		json_add_cstr(&b, run.limit->name);
	else
		buf_adds(&b, "null");
	buf_addf(&b, ",\"bad\":%llu,\"seconds\":", (unsigned long long)run.bad);
	json_add_num(&b, round(seconds * 1e3) / 1e3);
	buf_adds(&b, ",\"sources\":[");
	for (size_t i = 0; i < run.n; i++) {
		const struct source *s = &run.sources[i];
		buf_adds(&b, i ? ",{\"source\":" : "{\"source\":");
		json_add_cstr(&b, s->name);
		buf_adds(&b, ",\"share_asked\":");
		json_add_num(&b, s->weight);
		buf_adds(&b, ",\"share\":");
		json_add_num(&b, share_of(s->out_size));
		buf_adds(&b, ",\"asked\":");
		json_add_num(&b, s->weight * asked());
		buf_addf(&b,
			",\"delivered\":%llu,\"documents\":%llu,\"size\":%llu,\"size_documents\":%llu,"
			"\"passes\":",
			(unsigned long long)s->out_size, (unsigned long long)s->out_docs,
			(unsigned long long)s->size, (unsigned long long)s->docs);
		json_add_num(&b, s->docs ? (double)s->used / (double)s->docs : 0);
		buf_addc(&b, '}');
	}
	buf_adds(&b, "]}");
	if (log_append(common.log, &b, &run.err) < 0)
		die("%s", run.err.msg);
	buf_release(&b);
}

int main(int argc, char **argv)
{
	int n;
	char **operands = cmd_init(&command, argc, argv, &n);
	double start = now_seconds();
	name_sources(operands, (size_t)n);
	set_weights();
	open_sources(operands, (size_t)n);
	start_mix();
	start_output();
	sample();
	end_output();
	print_table();
	if (common.log)
		append_log(now_seconds() - start);
	return cmd_end();
}
