/*
 * tokenize: learn a vocabulary, encode documents to token streams, decode, count, verify.
 *
 * Workers encode batches of documents, each with the cache of its thread; the ordered end of the pipeline
 * writes. Ids do not depend on what a cache holds, so the output does not depend on the threads.
 */
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/version.h"
#include "model/model.h"
#include "text/doc.h"
#include "text/pretok.h"
#include "text/tokenizer.h"
#include "text/tokfile.h"
#include "text/utf8.h"

#include <math.h>
#include <stdlib.h>

#define BATCH ((size_t)1 << 20)

static int train, decode, from_ids, show, want_ids, want_count, want_check, bos, eos, parse_special;
static int format = DOC_AUTO;
static uint64_t vocab = UINT64_MAX, min_frequency = 1;
static const char *model, *pattern, *field = "text";
static struct opt_list specials;

static struct opt opts[] = {
	{ "train", 't', OPT_FLAG, &train, NULL, "learn a vocabulary; writes a tokenizer.json" },
	{ "decode", 'd', OPT_FLAG, &decode, NULL, "token streams to documents" },
	{ "from-ids", 0, OPT_FLAG, &from_ids, NULL, "JSON arrays of ids, one a line, to a token stream" },
	{ "show", 0, OPT_FLAG, &show, NULL, "say what a token stream holds, as JSON" },
	{ "model", 'm', OPT_STR, &model, "TOKENIZER", "tokenizer to use: a file, or a folder that has one" },
	{ "ids", 0, OPT_FLAG, &want_ids, NULL, "write a JSON array of ids a document" },
	{ "count", 0, OPT_FLAG, &want_count, NULL, "write only the numbers of documents, bytes and tokens" },
	{ "check", 0, OPT_FLAG, &want_check, NULL, "check that every document decodes to itself" },
	{ "bos", 0, OPT_FLAG, &bos, NULL, "put the begin token in front of each document", OPT_BYTES },
	{ "eos", 0, OPT_FLAG, &eos, NULL, "put the end token behind each document", OPT_BYTES },
	{ "parse-special", 0, OPT_FLAG, &parse_special, NULL, "special tokens in text are tokens",
		OPT_BYTES },
	{ "pattern", 0, OPT_STR, &pattern, "NAME|REGEX",
		"how text is split: gpt2 gpt4 o200k llama3 qwen, or an expression", OPT_BYTES },
	{ "vocab", 0, OPT_COUNT, &vocab, "N", "ids, bytes and special tokens included (-t: 32k)", OPT_BYTES },
	{ "min-frequency", 0, OPT_COUNT, &min_frequency, "N", "-t: merge only what occurs that often",
		OPT_BYTES },
	{ "special", 0, OPT_LIST, &specials, "STR", "-t: add a special token; may be repeated", OPT_BYTES },
	{ "field", 0, OPT_STR, &field, "NAME", "field that holds the text", OPT_BYTES },
	{ "format", 0, OPT_CHOICE, &format, "auto|jsonl|text|lines", "format of documents", OPT_BYTES },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"tokenize",
	"-t [--vocab N] [--pattern NAME|REGEX] [--special STR] [options] [file ...]\n"
	"-m TOKENIZER [--ids | --count | --check] [--bos] [--eos] [options] [file ...]\n"
	"-d -m TOKENIZER [options] [file.tok ...]\n"
	"--from-ids [--vocab N] [options] [file ...]\n"
	"--show [file.tok ...]",
	"Learn a vocabulary; turn documents into token streams and back.",
	opts,
};

/* What a worker makes of a batch. */
struct work {
	struct ids ids;
	size_t *end; /* [docs] */
	size_t end_cap;
	struct buf text;          /* --ids: the lines */
	unsigned char *different; /* --check: [docs] */
	size_t different_cap;
	struct buf decoded, normal;
};

static struct {
	struct tokenizer *t;
	int64_t bos, eos;
	struct encoder **encoders;   /* [threads], made when first used */
	struct pretok *pretok;       /* -t */
	struct splitter **splitters; /* [threads] */
	struct bpe_words **words;    /* [threads] */
	struct doc_source *in;
	struct writer *out;
	struct tok_writer *stream;
	uint64_t docs, bytes, tokens, bad, failed;
	char *first_failed;
	struct buf source;
	struct progress progress;
	struct err err;
} run;

/* --- encoding ------------------------------------------------------------------------------------------- */

static struct encoder *encoder_of(int thread)
{
	if (!run.encoders[thread])
		run.encoders[thread] = encoder_new(run.t);
	return run.encoders[thread];
}

static void ids_to_json(const uint32_t *ids, size_t n, struct buf *b)
{
	buf_reserve(b, n * 11 + 2);
	char *p = b->p + b->n;
	*p++ = '[';
	for (size_t i = 0; i < n; i++) {
		char digits[10];
		int k = 0;
		uint32_t v = ids[i];
		do
			digits[k++] = (char)('0' + v % 10);
		while (v /= 10);
		if (i)
			*p++ = ',';
		while (k)
			*p++ = digits[--k];
	}
	*p++ = ']';
	*p = 0;
	b->n = (size_t)(p - b->p);
}

static int decodes_to_itself(
	struct encoder *enc, struct work *w, struct str text, const uint32_t *ids, size_t n)
{
	buf_reset(&w->decoded);
	buf_reset(&w->normal);
	tokenizer_decode(run.t, ids, n, 0, &w->decoded);
	encoder_normalize(enc, text.p, text.n, parse_special ? ENCODE_SPECIAL : 0, &w->normal);
	return str_eq((struct str){ w->decoded.p, w->decoded.n }, (struct str){ w->normal.p, w->normal.n });
}

static void encode_doc(struct encoder *enc, struct work *w, const struct doc *d, size_t i)
{
	size_t from = w->ids.n;
	if (bos)
		ids_add(&w->ids, (uint32_t)run.bos);
	size_t body = w->ids.n;
	encoder_encode(enc, d->text.p, d->text.n, parse_special ? ENCODE_SPECIAL : 0, &w->ids);
	if (want_check)
		w->different[i] = !decodes_to_itself(enc, w, d->text, w->ids.v + body, w->ids.n - body);
	if (eos)
		ids_add(&w->ids, (uint32_t)run.eos);
	if (want_ids) {
		ids_to_json(w->ids.v + from, w->ids.n - from, &w->text);
		buf_addc(&w->text, '\n');
	}
}

static struct work *work_of(struct doc_batch *b)
{
	if (!b->user)
		b->user = xcalloc(1, sizeof(struct work));
	struct work *w = b->user;
	GROW(w->end, w->end_cap, b->n);
	GROW(w->different, w->different_cap, b->n);
	w->ids.n = 0;
	buf_reset(&w->text);
	return w;
}

static void encode_batch(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx;
	struct work *w = work_of(b);
	struct encoder *enc = encoder_of(thread);
	for (size_t i = 0; i < b->n; i++) {
		w->different[i] = 0;
		if (!b->docs[i].bad)
			encode_doc(enc, w, &b->docs[i], i);
		w->end[i] = w->ids.n;
	}
}

static void free_work(void *user)
{
	struct work *w = user;
	ids_release(&w->ids);
	free(w->end);
	free(w->different);
	buf_release(&w->text);
	buf_release(&w->decoded);
	buf_release(&w->normal);
	free(w);
}

/* The name of the record's source, into run.source; empty for none. */
static int read_source(const struct doc *d)
{
	const struct doc_field *f = doc_get(d, "source");
	buf_reset(&run.source);
	if (!f || str_is(f->value, "null"))
		return 0;
	doc_get_str(d, "source", &run.source);
	if (run.source.n <= TOK_MAX_SOURCE && !memchr(run.source.p, 0, run.source.n))
		return 0;
	return err_set(&run.err, "%s:%llu: field \"source\" is no name: it has more than %d bytes or a NUL",
		d->file, (unsigned long long)d->line, TOK_MAX_SOURCE);
}

/* Counts a record; 0 use it, 1 skip it, -1 it ends the run. */
static int take(const struct doc *d)
{
	int rc = d->bad ? err_set(&run.err, "%s", d->bad) : run.stream ? read_source(d) : 0;
	if (rc == 0) {
		run.docs++;
		run.bytes += d->text.n;
		return 0;
	}
	if (!common.skip_bad)
		return -1;
	detail("%s", run.err.msg);
	run.err.msg[0] = 0;
	run.bad++;
	return 1;
}

static int write_batch(void *ctx, struct doc_batch *b)
{
	(void)ctx;
	struct work *w = b->user;
	int rc = 0;
	for (size_t i = 0; i < b->n && rc >= 0; i++) {
		const struct doc *d = &b->docs[i];
		size_t from = i ? w->end[i - 1] : 0, n = w->end[i] - from;
		rc = take(d);
		if (rc)
			continue;
		run.tokens += n;
		run.failed += w->different[i];
		if (w->different[i] && !run.first_failed)
			run.first_failed = xasprintf("%s:%llu", d->file, (unsigned long long)d->line);
		if (run.stream)
			rc = tok_writer_doc(run.stream, w->ids.v + from, NULL, n,
				run.source.n ? run.source.p : NULL, &run.err);
	}
	if (rc >= 0 && w->text.n)
		rc = writer_add(run.out, w->text.p, w->text.n);
	progress_tick(&run.progress, (double)docs_offset(run.in), NULL);
	return rc < 0;
}

/* --- training ------------------------------------------------------------------------------------------- */

static void count_batch(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx;
	if (!run.splitters[thread]) {
		run.splitters[thread] = splitter_new(run.pretok);
		run.words[thread] = bpe_words_new();
	}
	for (size_t i = 0; i < b->n; i++) {
		struct str s = b->docs[i].text;
		for (size_t at = 0, end; at < s.n && !b->docs[i].bad; at = end) {
			end = splitter_next(run.splitters[thread], s.p, s.n, at, NULL);
			bpe_words_add(run.words[thread], s.p + at, end - at, 1);
		}
	}
}

static int take_batch(void *ctx, struct doc_batch *b)
{
	(void)ctx;
	int rc = 0;
	for (size_t i = 0; i < b->n && rc >= 0; i++)
		rc = take(&b->docs[i]);
	progress_tick(&run.progress, (double)docs_offset(run.in), NULL);
	return rc < 0;
}

/* --- the run over documents ----------------------------------------------------------------------------- */

static void read_docs(const struct docs_job *job)
{
	struct err e;
	int threads = (int)common.threads;
	run.err.msg[0] = 0;
	progress_start(&run.progress, (double)docs_size(run.in), "bytes");
	int rc = docs_run(run.in, job, NULL, BATCH, threads, &e);
	progress_end(&run.progress);
	if (rc < 0)
		die("%s", e.msg);
	if (rc > 0 && *run.err.msg)
		die("%s", run.err.msg);
	/* rc > 0 without a message: the writer failed, and says so when it is committed. */
}

static void commit(void)
{
	if (writer_commit(run.out, 0, &run.err) < 0)
		die("%s", run.err.msg);
}

static void open_output(void)
{
	if (!(run.out = writer_open(common.output, &run.err)))
		die("%s", run.err.msg);
}

static void open_stream(uint32_t size, struct hash128 fingerprint)
{
	struct tok_info info = { size, fingerprint };
	open_output();
	run.stream = tok_writer_new(run.out, &info);
}

static void end_stream(void)
{
	struct buf b = { 0 };
	buf_adds(&b, "{\"tool\":\"tokenize\",\"version\":\"" QUERN_VERSION "\",\"options\":");
	opt_record(opts, &b);
	buf_addc(&b, '}');
	if (tok_writer_end(run.stream, b.p, &run.err) < 0)
		die("%s", run.err.msg);
	buf_release(&b);
	commit();
}

static void summary(double seconds)
{
	char size[32], rate[32], bytes[96] = "", bad[64] = "", ratio[48] = "", tokens[64] = "";
	if (run.bad)
		snprintf(bad, sizeof bad, ", %llu unreadable skipped", (unsigned long long)run.bad);
	if (run.bytes)
		snprintf(bytes, sizeof bytes, ", %s", human_bytes((double)run.bytes, size));
	if (!train)
		snprintf(tokens, sizeof tokens, ", %llu tokens", (unsigned long long)run.tokens);
	if (run.tokens && run.bytes)
		snprintf(
			ratio, sizeof ratio, " (%.3f bytes a token)", (double)run.bytes / (double)run.tokens);
	info("%llu documents%s%s%s%s; %.1f s%s%s%s", (unsigned long long)run.docs, bad, bytes, tokens, ratio,
		seconds, run.bytes ? ", " : "",
		run.bytes ? human_bytes((double)run.bytes / fmax(seconds, 1e-6), rate) : "",
		run.bytes ? "/s" : "");
	if (!common.log)
		return;
	struct buf b = { 0 };
	buf_addf(&b, "{\"documents\":%llu,\"bytes\":%llu,\"tokens\":%llu,\"bad\":%llu,\"seconds\":%.3f}",
		(unsigned long long)run.docs, (unsigned long long)run.bytes, (unsigned long long)run.tokens,
		(unsigned long long)run.bad, seconds);
	if (log_append(common.log, &b, &run.err) < 0)
		die("%s", run.err.msg);
	buf_release(&b);
}

/* --- modes ---------------------------------------------------------------------------------------------- */

static void load_tokenizer(void)
{
	if (pattern) {
		struct pretok *p = pretok_new(pattern, PRETOK_LINES, &run.err);
		if (!p)
			die_usage("--pattern: %s", run.err.msg);
		pretok_free(p);
	}
	run.t = model_tokenizer(model, pattern, &run.err);
	if (!run.t)
		die("%s", run.err.msg);
	detail("%s: %u ids; Unicode %s", model, tokenizer_vocab(run.t), uni_version());
	run.bos = tokenizer_bos(run.t);
	run.eos = tokenizer_eos(run.t);
	if (bos && run.bos < 0)
		die("%s: this tokenizer has no begin token for --bos", model);
	if (eos && run.eos < 0)
		die("%s: this tokenizer has no end token for --eos (tokenize -t --special adds one)", model);
}

static void warn_limited(void)
{
	uint64_t limited = 0;
	for (uint64_t i = 0; i < common.threads; i++)
		if (run.encoders[i])
			limited += encoder_limited(run.encoders[i]);
	if (limited)
		warn("the splitting expression ran past its limit in %llu texts: their rest was taken in one "
		     "piece",
			(unsigned long long)limited);
}

static void encode_docs(void)
{
	static const struct docs_job job = { encode_batch, write_batch, free_work };
	load_tokenizer();
	run.encoders = xcalloc(common.threads, sizeof *run.encoders);
	if (want_ids || want_count || want_check)
		open_output();
	else
		open_stream(tokenizer_vocab(run.t), tokenizer_fingerprint(run.t));
	read_docs(&job);
	if (run.stream)
		end_stream();
	if (want_count || want_check) {
		struct buf b = { 0 };
		buf_addf(&b, "{\"documents\":%llu,\"bytes\":%llu,\"tokens\":%llu",
			(unsigned long long)run.docs, (unsigned long long)run.bytes,
			(unsigned long long)run.tokens);
		if (want_check)
			buf_addf(&b, ",\"failed\":%llu", (unsigned long long)run.failed);
		buf_adds(&b, "}\n");
		writer_add(run.out, b.p, b.n);
		buf_release(&b);
	}
	if (!run.stream)
		commit();
	warn_limited();
	for (uint64_t i = 0; i < common.threads; i++)
		encoder_free(run.encoders[i]);
	free(run.encoders);
}

static void train_tick(void *ctx, uint64_t ids)
{
	(void)ctx;
	progress_tick(&run.progress, (double)ids, NULL);
}

static struct bpe_words *all_words(void)
{
	struct bpe_words *all = bpe_words_new();
	for (uint64_t i = 0; i < common.threads; i++) {
		if (run.words[i])
			bpe_words_join(all, run.words[i]);
		splitter_free(run.splitters[i]);
	}
	free(run.words);
	free(run.splitters);
	return all;
}

static void learn(struct bpe_words *words, const char *rule)
{
	struct bpe_train o = { vocab, min_frequency, specials.v, specials.n, train_tick, NULL };
	struct bpe_model m = { 0 };
	struct buf json = { 0 };
	uint64_t pieces = bpe_words_total(words);
	size_t distinct = bpe_words_distinct(words);
	progress_start(&run.progress, (double)vocab, "tokens");
	int rc = bpe_train(words, &o, &m, &run.err);
	progress_end(&run.progress);
	if (rc < 0)
		die("%s", run.err.msg);
	if (m.n < vocab)
		warn("no pair is left to merge: the vocabulary ends at %zu of %llu ids", m.n,
			(unsigned long long)vocab);
	run.t = tokenizer_build(&m, rule, &run.err);
	if (!run.t || tokenizer_json(run.t, &json, &run.err) < 0)
		die("%s", run.err.msg);
	writer_add(run.out, json.p, json.n);
	commit();
	info("%llu pieces, %zu distinct; %zu ids, %zu of them merges", (unsigned long long)pieces, distinct,
		m.n, m.nmerges);
	buf_release(&json);
	bpe_model_release(&m);
}

static void learn_vocabulary(void)
{
	static const struct docs_job job = { count_batch, take_batch, NULL };
	const char *rule = pattern ? pattern : "gpt4";
	if (vocab == UINT64_MAX)
		vocab = 32000;
	for (size_t i = 0; i < specials.n; i++)
		if (!*specials.v[i] ||
			utf8_valid(specials.v[i], strlen(specials.v[i])) != strlen(specials.v[i]))
			die_usage("--special wants text in UTF-8, not empty");
	if (vocab < 256 + specials.n || vocab > (1u << 22))
		die_usage("--vocab wants a number from %zu (bytes and special tokens) to %u",
			256 + specials.n, 1u << 22);
	if (!(run.pretok = pretok_new(rule, PRETOK_LINES, &run.err)))
		die_usage("--pattern: %s", run.err.msg);
	open_output();
	run.words = xcalloc(common.threads, sizeof *run.words);
	run.splitters = xcalloc(common.threads, sizeof *run.splitters);
	read_docs(&job);
	learn(all_words(), rule);
	pretok_free(run.pretok);
}

/* One file of streams, or stdin, given to `each`, document by document. */
static void read_streams(
	const char *path, void (*each)(const struct tok_doc *d), void (*done)(struct tok_reader *t))
{
	struct reader *r = reader_open(path, &run.err);
	struct tok_reader *t = r ? tok_reader_new(r, &run.err) : NULL;
	struct tok_doc d;
	int rc = t ? 1 : -1;
	if (t && run.t) {
		struct hash128 ours = tokenizer_fingerprint(run.t), theirs = tok_reader_info(t)->fingerprint;
		if ((theirs.lo || theirs.hi) && (theirs.lo != ours.lo || theirs.hi != ours.hi))
			rc = err_set(
				&run.err, "%s: made with another tokenizer than %s", reader_name(r), model);
		else if (tok_reader_info(t)->vocab > tokenizer_vocab(run.t))
			rc = err_set(&run.err, "%s: its vocabulary has %u ids, that of %s has %u",
				reader_name(r), tok_reader_info(t)->vocab, model, tokenizer_vocab(run.t));
	}
	while (rc > 0 && (rc = tok_reader_doc(t, &d, &run.err)) > 0)
		each(&d);
	if (rc < 0)
		die("%s", run.err.msg);
	if (done)
		done(t);
	tok_reader_free(t);
	reader_close(r);
}

static void decode_doc(const struct tok_doc *d)
{
	static struct buf text, line;
	buf_reset(&text);
	tokenizer_decode(run.t, d->ids, d->n, !parse_special, &text);
	run.docs++;
	run.tokens += d->n;
	run.bytes += text.n;
	if (format == DOC_TEXT || format == DOC_LINES) {
		writer_add(run.out, text.p, text.n);
		if (format == DOC_LINES)
			writer_add(run.out, "\n", 1);
		return;
	}
	buf_reset(&line);
	buf_adds(&line, "{\"text\":");
	json_add_str(&line, text.p ? text.p : "", text.n);
	if (d->source.n) {
		buf_adds(&line, ",\"source\":");
		json_add_str(&line, d->source.p, d->source.n);
	}
	buf_adds(&line, "}\n");
	writer_add(run.out, line.p, line.n);
}

static void decode_streams(char **files, int n)
{
	load_tokenizer();
	open_output();
	for (int i = 0; i < (n ? n : 1); i++)
		read_streams(n ? files[i] : NULL, decode_doc, NULL);
	commit();
}

static struct {
	const char *name;
	uint64_t docs, tokens, masked;
} shown;

static void show_doc(const struct tok_doc *d)
{
	shown.docs++;
	shown.tokens += d->n;
	for (size_t i = 0; d->mask && i < d->n; i++)
		shown.masked += !d->mask[i];
}

static void show_end(struct tok_reader *t)
{
	struct buf b = { 0 };
	char hex[33];
	const struct tok_info *info = tok_reader_info(t);
	buf_adds(&b, "{\"file\":");
	json_add_cstr(&b, shown.name);
	hash128_hex(info->fingerprint, hex);
	buf_addf(&b, ",\"documents\":%llu,\"tokens\":%llu,\"masked\":%llu,\"vocab\":%u,\"tokenizer\":\"%s\"",
		(unsigned long long)shown.docs, (unsigned long long)shown.tokens,
		(unsigned long long)shown.masked, info->vocab, hex);
	hash128_hex(tok_reader_fingerprint(t), hex);
	buf_addf(&b, ",\"fingerprint\":\"%s\",\"streams\":%zu,\"made_by\":[", hex, tok_reader_streams(t));
	for (size_t i = 0; i < tok_reader_streams(t); i++) {
		struct str p = tok_reader_provenance(t, i);
		buf_adds(&b, i ? "," : "");
		buf_add(&b, p.p, p.n);
	}
	buf_adds(&b, "]}\n");
	writer_add(run.out, b.p, b.n);
	buf_release(&b);
}

static void show_streams(char **files, int n)
{
	open_output();
	for (int i = 0; i < (n ? n : 1); i++) {
		shown.name = n ? files[i] : "-";
		shown.docs = shown.tokens = shown.masked = 0;
		read_streams(n ? files[i] : NULL, show_doc, show_end);
	}
	commit();
}

/* --- --from-ids ----------------------------------------------------------------------------------------- */

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* A line "[1, 2, 3]"; -1 with what is wrong. */
static int parse_ids(struct str line, struct ids *out, struct err *e)
{
	const char *p = line.p, *end = p + line.n;
	int first = 1;
	out->n = 0;
	while (end > p && is_blank(end[-1]))
		end--;
	while (p < end && is_blank(*p))
		p++;
	if (end - p < 2 || *p++ != '[' || end[-1] != ']')
		return err_set(e, "not a JSON array of ids");
	for (end--;; first = 0) {
		while (p < end && is_blank(*p))
			p++;
		if (first && p == end)
			return 0;
		uint64_t v = 0;
		const char *digits = p;
		while (p < end && *p >= '0' && *p <= '9' && v < UINT32_MAX)
			v = v * 10 + (uint64_t)(*p++ - '0');
		if (p == digits || v >= UINT32_MAX || (*digits == '0' && p - digits > 1))
			return err_set(e, "column %zu: not an id", (size_t)(digits - line.p) + 1);
		ids_add(out, (uint32_t)v);
		while (p < end && is_blank(*p))
			p++;
		if (p == end)
			return 0;
		if (*p++ != ',')
			return err_set(e, "column %zu: not a comma", (size_t)(p - line.p));
	}
}

/* Documents held back until the largest id is known. */
struct held {
	struct ids ids;
	size_t *end, n, cap;
	uint32_t largest;
};

static void hold(struct held *h, const struct ids *doc)
{
	GROW(h->ids.v, h->ids.cap, h->ids.n + doc->n);
	if (doc->n)
		memcpy(h->ids.v + h->ids.n, doc->v, doc->n * sizeof *doc->v);
	h->ids.n += doc->n;
	GROW(h->end, h->cap, h->n + 1);
	h->end[h->n++] = h->ids.n;
	for (size_t i = 0; i < doc->n; i++)
		h->largest = doc->v[i] > h->largest ? doc->v[i] : h->largest;
}

static int add_line(struct str line, struct ids *doc, struct held *h)
{
	if (parse_ids(line, doc, &run.err))
		return -1;
	if (run.stream ? tok_writer_doc(run.stream, doc->v, NULL, doc->n, NULL, &run.err) < 0 : 0)
		return -1;
	if (!run.stream)
		hold(h, doc);
	run.docs++;
	run.tokens += doc->n;
	return 0;
}

static void add_ids_file(const char *path, struct held *h)
{
	struct reader *r = reader_open(path, &run.err);
	struct ids doc = { 0 };
	struct str line;
	int rc = r ? 1 : -1;
	for (uint64_t number = 1; rc > 0 && (rc = reader_line(r, &line, &run.err)) > 0; number++) {
		size_t blank = 0;
		while (blank < line.n && is_blank(line.p[blank]))
			blank++;
		if (blank == line.n || add_line(line, &doc, h) == 0)
			continue;
		int unwritten = run.out && writer_check(run.out, NULL) < 0;
		if (!unwritten)
			err_prefix(&run.err, "%s:%llu", reader_name(r), (unsigned long long)number);
		if (unwritten || !common.skip_bad)
			die("%s", run.err.msg);
		detail("%s", run.err.msg);
		run.bad++;
	}
	if (rc < 0)
		die("%s", run.err.msg);
	ids_release(&doc);
	reader_close(r);
}

static void write_held(const struct held *h)
{
	open_stream(h->largest + 1, (struct hash128){ 0, 0 });
	for (size_t i = 0; i < h->n; i++) {
		size_t from = i ? h->end[i - 1] : 0;
		if (tok_writer_doc(run.stream, h->ids.v + from, NULL, h->end[i] - from, NULL, &run.err) < 0)
			die("%s", run.err.msg);
	}
}

static void stream_of_ids(char **files, int n)
{
	struct held h = { 0 };
	if (vocab != UINT64_MAX && (vocab < 1 || vocab > UINT32_MAX))
		die_usage("--vocab wants a number from 1 to %u", UINT32_MAX);
	if (model) {
		load_tokenizer();
		open_stream(tokenizer_vocab(run.t), tokenizer_fingerprint(run.t));
	} else if (vocab != UINT64_MAX) {
		open_stream((uint32_t)vocab, (struct hash128){ 0, 0 });
	}
	for (int i = 0; i < (n ? n : 1); i++)
		add_ids_file(n ? files[i] : NULL, &h);
	if (!run.stream)
		write_held(&h);
	end_stream();
	ids_release(&h.ids);
	free(h.end);
}

/* --- main ----------------------------------------------------------------------------------------------- */

static void check_usage(void)
{
	if (train + decode + from_ids + show > 1)
		die_usage("only one of -t, -d, --from-ids and --show");
	if (want_ids + want_count + want_check > 1)
		die_usage("only one of --ids, --count and --check");
	if (train)
		opt_refuse(opts, "-t",
			OPT_NAMES("model", "ids", "count", "check", "bos", "eos", "parse-special"));
	else
		opt_refuse(opts,
			decode     ? "-d"
			: from_ids ? "--from-ids"
			: show     ? "--show"
				   : "encoding",
			OPT_NAMES("special", "min-frequency"));
	if (decode || from_ids || show)
		opt_refuse(opts,
			decode     ? "-d"
			: from_ids ? "--from-ids"
				   : "--show",
			OPT_NAMES("ids", "count", "check", "bos", "eos", "field"));
	if (!train && !from_ids && vocab != UINT64_MAX)
		die_usage("--vocab goes with -t and --from-ids");
	if (from_ids && model && vocab != UINT64_MAX)
		die_usage("only one of --vocab and -m");
	if (!train && !from_ids && !show && !model)
		die_usage("which tokenizer? Give one with -m, or learn one with -t");
}

int main(int argc, char **argv)
{
	int n;
	char **files = cmd_init(&command, argc, argv, &n);
	double start = now_seconds();
	check_usage();
	if (show) {
		show_streams(files, n);
		return cmd_end();
	}
	if (decode)
		decode_streams(files, n);
	else if (from_ids)
		stream_of_ids(files, n);
	else
		run.in = docs_open(files, (size_t)n, field, (enum doc_format)format, 0);
	if (train)
		learn_vocabulary();
	else if (run.in)
		encode_docs();
	summary(now_seconds() - start);
	if (run.failed)
		die("%llu of %llu documents do not decode to themselves, the first is %s",
			(unsigned long long)run.failed, (unsigned long long)run.docs, run.first_failed);
	docs_close(run.in);
	tokenizer_free(run.t);
	buf_release(&run.source);
	return cmd_end();
}
