#include "eval/decode.h"
#include "base/die.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "text/doc.h"
#include "tensor/kern.h"

#include <stdlib.h>
#include <unistd.h>

static const char *model_path, *prompt, *field = "prompt";
static int format, greedy, ignore_eos, parse_special = 1, jsonl, dtype = -1, weights = -1, kv8;
static uint64_t samples = 1, max_tokens = 256, top_k, repeat_last_n = 64, context = UINT64_MAX, batch = 16,
		top_logprobs;
static double temp = 0.8, top_p = 1, min_p = 0, repeat_penalty = 1;
static struct opt_list stops;

static struct opt opts[] = {
	{ "model", 'm', OPT_STR, &model_path, "MODEL", "model to run", OPT_BYTES },
	{ "prompt", 'p', OPT_STR, &prompt, "TEXT", "the one prompt (instead of files)", OPT_BYTES },
	{ "field", 0, OPT_STR, &field, "NAME", "field of a JSON prompt that holds its text", OPT_BYTES },
	{ "format", 0, OPT_CHOICE, &format, "auto|jsonl|text|lines", "format of the prompts", OPT_BYTES },
	{ "parse-special", 0, OPT_FLAG, &parse_special, NULL,
		"special tokens spelled in a prompt are those tokens", OPT_BYTES },
	{ "samples", 'n', OPT_COUNT, &samples, "N", "completions of each prompt", OPT_BYTES },
	{ "max-tokens", 0, OPT_COUNT, &max_tokens, "N", "most tokens of a completion", OPT_BYTES },
	{ "context", 0, OPT_COUNT, &context, "N",
		"most tokens of prompt and completion (default: the model's)", OPT_BYTES },
	{ "stop", 0, OPT_LIST, &stops, "TEXT", "end before this text (may be repeated)", OPT_BYTES },
	{ "ignore-eos", 0, OPT_FLAG, &ignore_eos, NULL, "go on behind end-of-sequence tokens", OPT_BYTES },
	{ "jsonl", 0, OPT_FLAG, &jsonl, NULL, "a JSON line a completion, with tokens and log-probabilities",
		OPT_BYTES },
	{ "top-logprobs", 0, OPT_COUNT, &top_logprobs, "K", "add the K best tokens at each step", OPT_BYTES },
	{ "dtype", 0, OPT_CHOICE, &dtype, "f32|bf16", "of matrix products (bf16 where the processor has it)",
		OPT_BYTES },
	{ "weights", 0, OPT_CHOICE, &weights, "f32|bf16|q8_0|q4_0|q4_k|q6_k",
		"hold matrices in this type (default: as stored)", OPT_BYTES },
	{ "kv-cache-dtype", 0, OPT_CHOICE, &kv8, "auto|int8",
		"hold keys and values so (auto: as products read them)", OPT_BYTES },
	{ "batch", 0, OPT_COUNT, &batch, "N", "completions decoded together" },
	{ "sampling, in this order", 0, OPT_HEADING, NULL },
	{ "repeat-penalty", 0, OPT_NUM, &repeat_penalty, "R", "divide the logits of recent tokens (1: off)",
		OPT_BYTES },
	{ "repeat-last-n", 0, OPT_COUNT, &repeat_last_n, "N", "how many are recent (0: all)", OPT_BYTES },
	{ "temp", 0, OPT_NUM, &temp, "T", "temperature (0: the most probable token)", OPT_BYTES },
	{ "temperature", 0, OPT_NUM, &temp, "T", "the same", OPT_HIDDEN },
	{ "greedy", 0, OPT_FLAG, &greedy, NULL, "temperature 0", OPT_BYTES },
	{ "top-k", 0, OPT_COUNT, &top_k, "K", "only the K most probable (0: off)", OPT_BYTES },
	{ "top-p", 0, OPT_NUM, &top_p, "P", "only the most probable that sum to P (1: off)", OPT_BYTES },
	{ "min-p", 0, OPT_NUM, &min_p, "P", "only those of P times the best one's probability (0: off)",
		OPT_BYTES },
	{ "common", 0, OPT_HEADING, NULL },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"generate",
	"-m MODEL [-p TEXT] [-n N] [--max-tokens N] [--temp T] [--jsonl] [options] [file ...]",
	"Let a model continue prompts.",
	opts,
};

static struct model *model;
static struct encoder *encoder;
static struct doc_source *source;
static struct writer *out;
static struct decode_params params;
static struct err err;
static struct buf line;
static uint64_t bad, completions;
static struct progress progress;

/* A prompt in work: its record and its ids, until the last of its samples is written. */
struct record {
	struct doc_batch batch;
	struct doc *doc; /* NULL: -p */
	struct str text; /* of the prompt; a JSON list where has_ids */
	int has_ids;
	struct ids ids;
	size_t written;
};

static void record_free(struct record *r)
{
	doc_batch_release(&r->batch);
	ids_release(&r->ids);
	free(r);
}

/* A prompt given as a JSON list of token ids. */
static int parse_ids(struct record *r, struct str json, struct err *e)
{
	struct arena a = { 0 };
	const struct json *v = json_parse(&a, json.p, json.n, JSON_STRICT, e);
	int rc = json_is(v, JSON_ARRAY) ? 0 : -1;
	for (size_t i = 0; rc == 0 && i < v->n; i++) {
		const struct json *k = &v->kids[i];
		if (!k->is_int || k->i < 0 || (uint64_t)k->i >= model->config.vocab)
			rc = -1;
		else
			ids_add(&r->ids, (uint32_t)k->i);
	}
	arena_release(&a);
	return rc < 0 ? err_set(e, "%s is neither a string nor a list of the model's token ids", field) : 0;
}

static int encode(struct record *r, struct err *e)
{
	const struct doc_field *f = r->doc && r->doc->format == DOC_JSONL ? doc_get(r->doc, field) : NULL;
	if (f && f->value.p[0] != '"') {
		if (parse_ids(r, f->value, e) < 0)
			return -1;
		r->has_ids = 1;
	} else if (!encoder) {
		die("%s: has no tokenizer: prompts must be lists of token ids", model_path);
	} else {
		encode_with_prefix(model, encoder, r->text, parse_special ? ENCODE_SPECIAL : 0, &r->ids);
	}
	int64_t first = model_first_token(model);
	if (!r->ids.n && first >= 0)
		ids_add(&r->ids, (uint32_t)first);
	if (!r->ids.n)
		return err_set(e, "the prompt is empty, and the model has no token to begin with");
	if (r->ids.n >= params.context)
		return err_set(e, "the prompt has %zu tokens, which leaves none of the context of %zu",
			r->ids.n, params.context);
	return 0;
}

/* The next record that can be used. NULL at the end; err.msg says more on a failure. */
static struct record *read_record(void)
{
	for (;;) {
		struct record *r = xcalloc(1, sizeof *r);
		int rc = docs_read(source, &r->batch, 0, &err); /* one record, also where it is empty */
		if (rc <= 0) {
			record_free(r);
			if (rc < 0)
				die("%s", err.msg);
			return NULL;
		}
		docs_parse(source, &r->batch);
		r->doc = &r->batch.docs[0];
		r->text = r->doc->text;
		if (r->doc->bad)
			err_set(&err, "%s", r->doc->bad);
		else if (encode(r, &err) == 0)
			return r;
		else
			err_prefix(&err, "%s:%llu", r->doc->file, (unsigned long long)r->doc->line);
		if (!common.skip_bad)
			die("%s", err.msg);
		detail("%s", err.msg);
		bad++;
		record_free(r);
	}
}

static int next(void *ctx, struct decode_prompt *p)
{
	static int given;
	struct record *r;
	(void)ctx;
	if (prompt) {
		if (given++)
			return 0;
		r = xcalloc(1, sizeof *r);
		r->text = str_of(prompt);
		if (encode(r, &err) < 0)
			die("%s", err.msg);
	} else if (!(r = read_record())) {
		return 0;
	}
	*p = (struct decode_prompt){ r->ids.v, r->ids.n, (size_t)samples, r->doc ? r->doc->number : 0, r };
	return 1;
}

/* --- output --- */

/* What is there is shown at once; in a compressed file it would only cost room. */
static void flush(void)
{
	if (!common.output || !str_ends(common.output, ".gz"))
		writer_flush(out);
}

static void show(const struct completion *c, size_t from)
{
	writer_add(out, c->text.text.p + from, c->text.text.n - from);
	flush();
}

static size_t shown;

static void grown(void *ctx, const struct completion *c)
{
	(void)ctx;
	show(c, shown);
	shown = c->text.text.n;
}

static void add_ids(struct buf *b, const uint32_t *v, size_t n)
{
	buf_addc(b, '[');
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "%s%u", i ? "," : "", v[i]);
	buf_addc(b, ']');
}

static void add_top(struct buf *b, const struct completion *c)
{
	size_t k = params.top;
	buf_addc(b, '[');
	for (size_t i = 0; i < c->n * k; i++) {
		buf_adds(b, i == 0 ? "[" : i % k ? "," : "],[");
		buf_addf(b, "[%u,", c->top_ids[i]);
		json_add_f32(b, c->top_logp[i]);
		buf_addc(b, ']');
	}
	buf_adds(b, c->n ? "]]" : "]");
}

enum {
	F_PROMPT,
	F_COMPLETION,
	F_PROMPT_TOKENS,
	F_TOKENS,
	F_LOGPROBS,
	F_TEMPERATURE,
	F_FINISH,
	F_GROUP,
	F_SEED,
	F_TOP,
	FIELDS
};
static const char *const field_names[FIELDS] = { "prompt", "completion", "prompt_tokens", "tokens",
	"logprobs", "temperature", "finish_reason", "group", "seed", "top_logprobs" };

/* The values of a completion as JSON texts, one behind another in b; end[i]: where the i-th ends. */
static void field_values(
	const struct completion *c, const struct record *r, struct buf *b, size_t end[FIELDS])
{
	if (r->has_ids)
		buf_add(b, r->text.p, r->text.n);
	else
		json_add_str(b, r->text.n ? r->text.p : "", r->text.n);
	end[F_PROMPT] = b->n;
	json_add_str(b, c->text.text.n ? c->text.text.p : "", c->text.text.n);
	end[F_COMPLETION] = b->n;
	add_ids(b, c->prompt.ids, c->prompt.n);
	end[F_PROMPT_TOKENS] = b->n;
	add_ids(b, c->ids, c->n);
	end[F_TOKENS] = b->n;
	buf_addc(b, '[');
	for (size_t i = 0; i < c->n; i++) {
		if (i)
			buf_addc(b, ',');
		json_add_f32(b, c->logp[i]);
	}
	buf_addc(b, ']');
	end[F_LOGPROBS] = b->n;
	json_add_num(b, params.sample.temp);
	end[F_TEMPERATURE] = b->n;
	json_add_cstr(b, c->finish == FINISH_STOP ? "stop" : "length");
	end[F_FINISH] = b->n;
	buf_addf(b, "%llu", (unsigned long long)c->prompt.number);
	end[F_GROUP] = b->n;
	buf_addf(b, "%llu", (unsigned long long)c->seed);
	end[F_SEED] = b->n;
	if (params.top)
		add_top(b, c);
	end[F_TOP] = b->n;
}

static void write_json(const struct completion *c, const struct record *r)
{
	static struct buf values;
	struct doc_field change[FIELDS];
	size_t end[FIELDS], n = 0;
	buf_reset(&values);
	field_values(c, r, &values, end);
	const struct doc *d = r->doc && r->doc->format == DOC_JSONL ? r->doc : NULL;
	for (size_t i = 0; i < FIELDS; i++) {
		size_t start = i ? end[i - 1] : 0;
		/* A prompt that the record has keeps its bytes. */
		if ((i == F_TOP && !params.top) || (i == F_PROMPT && d && doc_get(d, "prompt")))
			continue;
		change[n++] =
			(struct doc_field){ str_of(field_names[i]), { values.p + start, end[i] - start }, 0 };
	}
	buf_reset(&line);
	if (d) {
		doc_add_changed(&line, d, change, n);
	} else {
		for (size_t i = 0; i < n; i++) {
			buf_addc(&line, i ? ',' : '{');
			json_add_str(&line, change[i].key.p, change[i].key.n);
			buf_addc(&line, ':');
			buf_add(&line, change[i].value.p, change[i].value.n);
		}
		buf_adds(&line, "}\n");
	}
	writer_add(out, line.p, line.n);
	flush();
}

static int done(void *ctx, const struct completion *c)
{
	struct record *r = c->prompt.user;
	(void)ctx;
	if (jsonl) {
		write_json(c, r);
	} else {
		writer_add(out, "\n", 1);
		flush();
	}
	shown = 0;
	completions++;
	progress_tick(&progress, (double)completions, NULL);
	if (++r->written == samples)
		record_free(r);
	return writer_check(out, &err);
}

static void summary(const struct decode_stats *s)
{
	double prompt_rate = s->prompt_seconds > 0 ? (double)s->prompt_tokens / s->prompt_seconds : 0;
	double rate = s->seconds > 0 ? (double)s->tokens / s->seconds : 0;
	info("%llu prompt tokens (%.0f/s), %llu tokens (%.1f/s)", (unsigned long long)s->prompt_tokens,
		prompt_rate, (unsigned long long)s->tokens, rate);
	if (bad)
		warn("%llu bad prompts skipped", (unsigned long long)bad);
	if (!common.log)
		return;
	buf_reset(&line);
	buf_addf(&line,
		"{\"prompt_tokens\":%llu,\"prompt_tokens_per_s\":", (unsigned long long)s->prompt_tokens);
	json_add_num(&line, prompt_rate);
	buf_addf(&line, ",\"tokens\":%llu,\"tokens_per_s\":", (unsigned long long)s->tokens);
	json_add_num(&line, rate);
	buf_adds(&line, ",\"pack_seconds\":");
	json_add_num(&line, s->pack_seconds);
	buf_addf(&line, ",\"completions\":%llu}", (unsigned long long)completions);
	if (log_append(common.log, &line, &err) < 0)
		die("%s", err.msg);
}

/* --- set-up --- */

static void check_options(int files)
{
	if (!model_path)
		die_usage("-m MODEL is missing");
	if (prompt && files)
		die_usage("either -p or files");
	if (strcmp(model_path, "-") == 0 && !prompt && !files)
		die_usage("-m - reads standard input: give -p or files");
	if (samples < 1 || samples > 1000000)
		die_usage("-n is from 1 to 1000000");
	if (context < 1)
		die_usage("--context is at least 1");
	if (batch < 1 || batch > 4096)
		die_usage("--batch is from 1 to 4096");
	if (greedy || temp == 0)
		temp = 0; /* without a sign */
	params.sample = (struct sample_params){ temp, (size_t)top_k, top_p, min_p, repeat_penalty,
		(size_t)repeat_last_n };
	if (sample_params_check(&params.sample, &err) < 0)
		die_usage("%s", err.msg);
}

static void set_params(struct ids *eos)
{
	struct str *list = xcalloc(stops.n, sizeof *list);
	for (size_t i = 0; i < stops.n; i++)
		list[i] = str_of(stops.v[i]);
	if (stops.n && !model->tokenizer)
		die("%s: has no tokenizer, which --stop needs", model_path);
	if (!jsonl && !model->tokenizer)
		die("%s: has no tokenizer: only --jsonl can show tokens", model_path);
	if (top_logprobs > model->config.vocab)
		die_usage("--top-logprobs is above the vocabulary of %zu", model->config.vocab);
	if (!ignore_eos)
		model_eos(model, eos);
	params.stops = list;
	params.nstops = stops.n;
	params.eos = eos->v;
	params.neos = eos->n;
	params.max_tokens = max_tokens < SIZE_MAX / 2 ? (size_t)max_tokens : SIZE_MAX / 2;
	params.context = context < model->config.context ? (size_t)context : model->config.context;
	params.parallel = prompt && samples < batch ? (size_t)samples : (size_t)batch;
	params.top = (size_t)top_logprobs;
	params.seed = common.seed;
}

int main(int argc, char **argv)
{
	int n;
	char **files = cmd_init(&command, argc, argv, &n);
	struct ids eos = { 0 };
	struct decode_stats stats = { 0 };
	check_options(n);
	if (kern_check(&err) < 0)
		die("%s", err.msg);
	detail("%s", kern_describe());
	model = model_open(model_path, &err);
	if (!model)
		die("%s", err.msg);
	if (model->tokenizer)
		encoder = encoder_new(model->tokenizer);
	set_params(&eos);
	source = docs_open(files, (size_t)n, field, format ? (enum doc_format)format : DOC_AUTO_LINES, 1);
	out = writer_open(common.output, &err);
	if (!out)
		die("%s", err.msg);
	progress_start(&progress, 0, "completions");
	if (!jsonl && !common.output && isatty(STDOUT_FILENO))
		progress_end(&progress);
	model_use_cache(model, kv8);
	struct decode_io io = { next, jsonl ? NULL : grown, done, NULL };
	int rc = decode_run(model, model_use(model, dtype, weights), &params, &io, &stats, &err);
	progress_end(&progress);
	if (rc < 0)
		die("%s", err.msg);
	if (writer_commit(out, 0, &err) < 0)
		die("%s", err.msg);
	summary(&stats);
	docs_close(source);
	encoder_free(encoder);
	ids_release(&eos);
	free((void *)(uintptr_t)params.stops);
	buf_release(&line);
	model_free(model);
	return cmd_end();
}
