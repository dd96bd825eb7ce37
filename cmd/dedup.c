/*
 * dedup: keep the first of each set of exact or near duplicates.
 *
 * Workers hash and sign batches of documents; the ordered end of the pipeline decides, one document after the
 * other, against those kept so far: so the result does not depend on the threads.
 */
#include "base/die.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/spill.h"
#include "text/doc.h"
#include "text/minhash.h"
#include "text/seen.h"

#include <math.h>
#include <stdlib.h>

#define BATCH ((size_t)1 << 20)
#define SHAPE_MAX 65536

static int exact, near_too, annotate, format = DOC_AUTO, preset = -1;
static double threshold = 0.6;
static uint64_t ngram = 5, bands = UINT64_MAX, rows = UINT64_MAX;
static const char *field = "text", *temp_dir;

static struct opt opts[] = {
	{ "exact", 0, OPT_FLAG, &exact, NULL, "drop documents with the same text (the default)" },
	{ "near", 0, OPT_FLAG, &near_too, NULL, "drop near duplicates too", OPT_BYTES },
	{ "threshold", 't', OPT_NUM, &threshold, "J", "Jaccard similarity of near duplicates, at least",
		OPT_BYTES },
	{ "ngram", 0, OPT_COUNT, &ngram, "N", "words in an n-gram", OPT_BYTES },
	{ "bands", 0, OPT_COUNT, &bands, "N", "bands of the sketch (default: by the threshold)", OPT_BYTES },
	{ "rows", 0, OPT_COUNT, &rows, "N", "values in a band (default: by the threshold)", OPT_BYTES },
	{ "preset", 0, OPT_CHOICE, &preset, "fineweb|olmo3", "near duplicates with that corpus' numbers",
		OPT_BYTES },
	{ "annotate", 0, OPT_FLAG, &annotate, NULL, "keep everything, add dup_of, dup_kind, dup_sim",
		OPT_BYTES },
	{ "field", 0, OPT_STR, &field, "NAME", "field that holds the text", OPT_BYTES },
	{ "format", 0, OPT_CHOICE, &format, "auto|jsonl|text|lines", "format of the input", OPT_BYTES },
	{ "temp", 0, OPT_STR, &temp_dir, "DIR", "folder of temporary files (default: $TMPDIR or /tmp)" },
	OPT_COMMON,
	{ 0 },
};

static const struct command command = {
	"dedup",
	"[--exact] [--near] [--threshold J] [--annotate] [options] [file ...]",
	"Keep the first of each set of duplicate documents, in input order.",
	opts,
};

/* Published numbers. FineWeb (Penedo et al. 2024) takes whoever shares a band, unverified; OLMo 3 (2025)
 * bands 5-grams and verifies by the Jaccard of 3-grams. */
static const struct preset {
	uint64_t ngram, bands, rows, check_ngram;
	double threshold;
	int verify;
} presets[] = {
	{ 5, 14, 8, 5, 0.75, 0 },
	{ 5, 26, 11, 3, 0.8, 1 },
};

/* How near duplicates are told, from the options. */
static struct {
	unsigned ngram, check_ngram; /* of the sketch; of the sets that settle a candidate */
	size_t bands, rows;
	double threshold;
	int verify;    /* a candidate counts when its Jaccard reaches the threshold; else at once */
	int keep_sets; /* sets of kept documents go to the spill */
} rule;

/* What a worker finds out about a document. */
struct signature {
	struct hash128 hash;
	size_t set_at, set_n; /* in sets, of check_ngram */
	size_t keys_at;       /* in keys */
	int has_keys;
};
struct signed_batch {
	struct signature *docs;
	uint32_t *sets;
	uint64_t *keys, *sketch;
	size_t cap, sets_n, sets_cap, keys_n, keys_cap, sketch_cap;
	struct shingles shingles;
};

/* A kept document's piece of the spill: its id (JSON text), its keys (without verification), its set. */
struct kept {
	uint64_t at;
	uint32_t id_n, set_n;
};
struct verdict {
	enum { KEEP, EXACT, NEAR } kind;
	uint32_t of; /* kept document */
	double sim;
};

static struct {
	struct doc_source *in;
	struct writer *out;
	struct seen seen;
	struct band_index index;
	struct spill *spill;
	struct kept *kept;
	size_t nkept, cap;
	uint64_t docs, exact, near_n, bad, candidates, bytes;
	struct buf line, id;
	uint32_t *set, *tried; /* tried: candidates of the document at hand */
	size_t set_cap, tried_cap, ntried;
	struct progress progress;
	struct err err;
} run;

/* --- workers ----------------------------------------------------------------------------------- */

static void keep_set(struct signed_batch *w, struct signature *g)
{
	const struct shingles *s = &w->shingles;
	g->set_at = w->sets_n;
	g->set_n = s->n;
	GROW(w->sets, w->sets_cap, add_size(w->sets_n, s->n));
	shingles_halve(s, w->sets + w->sets_n);
	w->sets_n += s->n;
}

static void sign_near(struct signed_batch *w, struct signature *g, struct str text)
{
	size_t k = rule.bands * rule.rows;
	shingles_of_text(&w->shingles, text, rule.ngram);
	g->has_keys = w->shingles.n > 0;
	g->keys_at = w->keys_n;
	if (g->has_keys) {
		GROW(w->sketch, w->sketch_cap, k);
		GROW(w->keys, w->keys_cap, w->keys_n + rule.bands);
		minhash_sketch(w->shingles.v, w->shingles.n, common.seed, w->sketch, k);
		minhash_bands(w->sketch, rule.bands, rule.rows, w->keys + w->keys_n);
		w->keys_n += rule.bands;
	}
	if (!rule.keep_sets)
		return;
	if (rule.check_ngram != rule.ngram)
		shingles_of_text(&w->shingles, text, rule.check_ngram);
	keep_set(w, g);
}

static void sign_batch(void *ctx, struct doc_batch *b, int thread)
{
	(void)ctx, (void)thread;
	if (!b->user)
		b->user = xcalloc(1, sizeof(struct signed_batch));
	struct signed_batch *w = b->user;
	GROW(w->docs, w->cap, b->n);
	w->sets_n = w->keys_n = 0;
	for (size_t i = 0; i < b->n; i++) {
		struct signature *g = &w->docs[i];
		*g = (struct signature){ 0 };
		if (b->docs[i].bad)
			continue;
		g->hash = hash128(b->docs[i].text.p, b->docs[i].text.n);
		if (near_too)
			sign_near(w, g, b->docs[i].text);
	}
}

static void free_signatures(void *user)
{
	struct signed_batch *w = user;
	shingles_release(&w->shingles);
	free(w->docs);
	free(w->sets);
	free(w->keys);
	free(w->sketch);
	free(w);
}

/* --- decisions --------------------------------------------------------------------------------- */

static size_t keys_size(void)
{
	return rule.verify ? 0 : rule.bands * sizeof(uint64_t);
}

static void read_spill(uint64_t at, void *p, size_t n)
{
	if (spill_get(run.spill, at, p, n, &run.err) < 0)
		die("%s", run.err.msg);
}

/* Similarity with a kept document; negative when it need not be known exactly because it is below the
 * threshold. */
static double similarity(const struct kept *k, const uint32_t *set, size_t n)
{
	size_t least = n < k->set_n ? n : k->set_n, most = n < k->set_n ? k->set_n : n;
	if (rule.verify && (double)least / (double)most < rule.threshold)
		return -1;
	GROW(run.set, run.set_cap, k->set_n);
	read_spill(k->at + k->id_n + keys_size(), run.set, k->set_n * sizeof *run.set);
	return shingles_jaccard(run.set, k->set_n, set, n);
}

/* Without verification the band itself must be the same: the index knows it by 40 bits only. */
static int same_band(const struct kept *k, size_t band, uint64_t key)
{
	uint64_t theirs;
	read_spill(k->at + k->id_n + band * sizeof key, &theirs, sizeof theirs);
	return theirs == key;
}

static int first_try(uint32_t doc)
{
	for (size_t i = 0; i < run.ntried; i++)
		if (run.tried[i] == doc)
			return 0;
	GROW(run.tried, run.tried_cap, run.ntried + 1);
	run.tried[run.ntried++] = doc;
	return 1;
}

/* The most similar of the candidates, the earliest among equals. */
static struct verdict find_near(const struct signed_batch *w, const struct signature *g)
{
	struct verdict best = { KEEP, 0, -1 };
	run.ntried = 0;
	if (g->has_keys)
		band_prefetch(&run.index, w->keys + g->keys_at, rule.bands);
	for (size_t b = 0; g->has_keys && b < rule.bands; b++) {
		uint64_t key = w->keys[g->keys_at + b];
		uint32_t doc = band_get(&run.index, key);
		if (doc == SEEN_NONE || (rule.verify && !first_try(doc)))
			continue;
		const struct kept *k = &run.kept[doc];
		if (!rule.verify && (!same_band(k, b, key) || !first_try(doc)))
			continue;
		run.candidates++;
		double sim = rule.keep_sets ? similarity(k, w->sets + g->set_at, g->set_n) : 0;
		if (rule.verify && sim < rule.threshold)
			continue;
		if (best.kind == KEEP || sim > best.sim || (sim == best.sim && doc < best.of))
			best = (struct verdict){ NEAR, doc, sim };
	}
	return best;
}

static struct verdict decide(const struct signed_batch *w, const struct signature *g)
{
	uint32_t doc = (uint32_t)run.nkept;
	uint32_t first = near_too ? seen_get(&run.seen, g->hash) : seen_put(&run.seen, g->hash, doc);
	if (first != SEEN_NONE)
		return (struct verdict){ EXACT, first, 1 };
	if (!near_too)
		return (struct verdict){ KEEP };
	struct verdict v = find_near(w, g);
	if (v.kind == KEEP) {
		seen_put(&run.seen, g->hash, doc);
		for (size_t b = 0; g->has_keys && b < rule.bands; b++)
			band_put(&run.index, w->keys[g->keys_at + b], doc);
	}
	return v;
}

/* What later documents will want to know about this one. */
static int remember(const struct doc *d, const struct signed_batch *w, const struct signature *g)
{
	struct kept k = { 0 };
	uint64_t unused;
	if (run.nkept == SEEN_NONE - 1)
		return err_set(&run.err, "more than %u documents to remember", SEEN_NONE - 1);
	if (!run.spill) {
		run.nkept++;
		return 0;
	}
	buf_reset(&run.id);
	const struct doc_field *id = annotate ? doc_get(d, "id") : NULL;
	if (id && !str_is(id->value, "null"))
		buf_add(&run.id, id->value.p, id->value.n);
	else if (annotate)
		json_add_int(&run.id, (int64_t)d->number);
	if (run.id.n > UINT32_MAX || g->set_n > UINT32_MAX)
		return err_set(&run.err, "%s:%llu: record too large", d->file, (unsigned long long)d->line);
	k.id_n = (uint32_t)run.id.n;
	k.set_n = (uint32_t)g->set_n;
	if (spill_add(run.spill, run.id.p, run.id.n, &k.at, &run.err) < 0)
		return -1;
	if (g->has_keys && keys_size() &&
		spill_add(run.spill, w->keys + g->keys_at, keys_size(), &unused, &run.err) < 0)
		return -1;
	if (g->set_n &&
		spill_add(run.spill, w->sets + g->set_at, g->set_n * sizeof *w->sets, &unused, &run.err) < 0)
		return -1;
	GROW(run.kept, run.cap, run.nkept + 1);
	run.kept[run.nkept++] = k;
	return 0;
}

/* The marks of an earlier run are replaced or removed. Lines become records, those without marks too. */
static void add_annotated(const struct doc *d, struct verdict v)
{
	static const char *const kinds[] = { NULL, "\"exact\"", "\"near\"" };
	struct doc_field marks[] = { { STR("dup_of") }, { STR("dup_kind") }, { STR("dup_sim") } };
	struct buf sim = { 0 };
	if (v.kind != KEEP) {
		const struct kept *k = &run.kept[v.of];
		buf_reset(&run.id);
		buf_reserve(&run.id, k->id_n);
		read_spill(k->at, run.id.p, k->id_n);
		marks[0].value = (struct str){ run.id.p, k->id_n };
		marks[1].value = str_of(kinds[v.kind]);
		json_add_num(&sim, round(v.sim * 1e4) / 1e4);
		marks[2].value = (struct str){ sim.p, sim.n };
	} else if (d->format == DOC_JSONL && !doc_get(d, "dup_of") && !doc_get(d, "dup_kind") &&
		   !doc_get(d, "dup_sim")) {
		doc_add(&run.line, d);
		return;
	}
	doc_add_changed(&run.line, d, marks, 3);
	buf_release(&sim);
}

static int write_doc(const struct doc *d, const struct signed_batch *w, const struct signature *g)
{
	run.docs++;
	run.bytes += d->raw.n + 1;
	if (d->bad) {
		if (!common.skip_bad)
			return err_set(&run.err, "%s", d->bad);
		detail("%s", d->bad);
		run.bad++;
		return 0;
	}
	struct verdict v = decide(w, g);
	run.exact += v.kind == EXACT;
	run.near_n += v.kind == NEAR;
	if (annotate)
		add_annotated(d, v);
	else if (v.kind == KEEP)
		doc_add(&run.line, d);
	return v.kind == KEEP ? remember(d, w, g) : 0;
}

static int write_batch(void *ctx, struct doc_batch *b)
{
	(void)ctx;
	struct signed_batch *w = b->user;
	int rc = 0;
	buf_reset(&run.line);
	for (size_t i = 0; i < b->n && rc == 0; i++)
		rc = write_doc(&b->docs[i], w, &w->docs[i]);
	if (rc == 0)
		rc = writer_add(run.out, run.line.p, run.line.n);
	progress_tick(&run.progress, (double)docs_offset(run.in), NULL);
	return rc < 0;
}

/* --- options and summary ----------------------------------------------------------------------- */

static void check_shape(const char *name, uint64_t n, uint64_t max)
{
	if (n != UINT64_MAX && (n < 1 || n > max))
		die_usage("--%s wants a number from 1 to %llu", name, (unsigned long long)max);
}

static void set_rule(void)
{
	static const char *const near_only[] = { "threshold", "ngram", "bands", "rows" };
	struct preset p = { ngram, bands, rows, ngram, threshold, 1 };
	near_too |= preset >= 0;
	for (size_t i = 0; i < sizeof near_only / sizeof *near_only; i++)
		if (opt_find(opts, near_only[i])->given && !near_too)
			die_usage("--%s goes with --near", near_only[i]);
	if (!(threshold > 0 && threshold <= 1))
		die_usage("--threshold wants a number above 0, at most 1");
	check_shape("ngram", ngram, SHINGLE_MAX);
	check_shape("bands", bands, SHAPE_MAX);
	check_shape("rows", rows, SHAPE_MAX);
	if (preset >= 0) {
		p = presets[preset];
		p.ngram = opt_find(opts, "ngram")->given ? ngram : p.ngram;
		p.bands = bands != UINT64_MAX ? bands : p.bands;
		p.rows = rows != UINT64_MAX ? rows : p.rows;
		p.threshold = opt_find(opts, "threshold")->given ? threshold : p.threshold;
	}
	minhash_shape(p.threshold, &rule.bands, &rule.rows);
	if (p.bands != UINT64_MAX)
		rule.bands = (size_t)p.bands;
	if (p.rows != UINT64_MAX)
		rule.rows = (size_t)p.rows;
	rule.ngram = (unsigned)p.ngram;
	rule.check_ngram = (unsigned)p.check_ngram;
	rule.threshold = p.threshold;
	rule.verify = p.verify;
	rule.keep_sets = p.verify || annotate;
	if (near_too)
		detail("%zu bands of %zu values: a pair at the threshold of %g is found with probability "
		       "%.3f",
			rule.bands, rule.rows, rule.threshold,
			minhash_found(rule.threshold, rule.bands, rule.rows));
}

static void summary(double seconds)
{
	char size[32], rate[32], memory[32], disk[32], bad[48] = "";
	uint64_t kept = run.docs - run.bad - run.exact - run.near_n;
	if (run.bad)
		snprintf(bad, sizeof bad, ", %llu unreadable skipped", (unsigned long long)run.bad);
	info("%llu documents, %llu %s, %llu exact and %llu near duplicates %s%s; %s in %.1f s, %s/s",
		(unsigned long long)run.docs, (unsigned long long)kept, annotate ? "unique" : "kept",
		(unsigned long long)run.exact, (unsigned long long)run.near_n,
		annotate ? "marked" : "dropped", bad, human_bytes((double)run.bytes, size), seconds,
		human_bytes(seconds > 0 ? (double)run.bytes / seconds : 0, rate));
	detail("%llu candidates compared; tables %s, temporary file %s", (unsigned long long)run.candidates,
		human_bytes(
			(double)(seen_bytes(&run.seen) + band_bytes(&run.index) + run.cap * sizeof *run.kept),
			memory),
		human_bytes(run.spill ? (double)spill_size(run.spill) : 0, disk));
}

static void append_log(double seconds)
{
	struct buf b = { 0 };
	buf_addf(&b,
		"{\"documents\":%llu,\"exact\":%llu,\"near\":%llu,\"bad\":%llu,\"bytes\":%llu,\"seconds\":",
		(unsigned long long)run.docs, (unsigned long long)run.exact, (unsigned long long)run.near_n,
		(unsigned long long)run.bad, (unsigned long long)run.bytes);
	json_add_num(&b, round(seconds * 1e3) / 1e3);
	buf_addc(&b, '}');
	if (log_append(common.log, &b, &run.err) < 0)
		die("%s", run.err.msg);
	buf_release(&b);
}

static void release(void)
{
	docs_close(run.in);
	seen_release(&run.seen);
	band_release(&run.index);
	spill_free(run.spill);
	buf_release(&run.line);
	buf_release(&run.id);
	free(run.kept);
	free(run.set);
	free(run.tried);
}

int main(int argc, char **argv)
{
	static const struct docs_job job = { sign_batch, write_batch, free_signatures };
	int n;
	char **files = cmd_init(&command, argc, argv, &n);
	double start = now_seconds();
	set_rule();
	run.in = docs_open(files, (size_t)n, field, (enum doc_format)format, 0);
	run.seen.with_docs = annotate;
	if ((near_too || annotate) && !(run.spill = spill_new(temp_dir, &run.err)))
		die("%s", run.err.msg);
	if (!(run.out = writer_open(common.output, &run.err)))
		die("%s", run.err.msg);
	progress_start(&run.progress, (double)docs_size(run.in), "bytes");
	struct err read_err;
	int rc = docs_run(run.in, &job, NULL, BATCH, (int)common.threads, &read_err);
	progress_end(&run.progress);
	if (rc < 0)
		die("%s", read_err.msg);
	if (rc > 0 && *run.err.msg)
		die("%s", run.err.msg);
	if (writer_commit(run.out, 0, &run.err) < 0)
		die("%s", run.err.msg);
	summary(now_seconds() - start);
	if (common.log)
		append_log(now_seconds() - start);
	release();
	return cmd_end();
}
