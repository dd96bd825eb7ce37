/* tokenizer.json as Hugging Face's tokenizers reads it, with every id as here. */
#include "text/tok_impl.h"
#include "base/json.h"

#include <stdlib.h>

static const char *bool_word(int v)
{
	return v ? "true" : "false";
}

/* A token as the file spells it: byte models in the byte alphabet, unless it is an added token. */
static void add_spelling(struct buf *b, const struct tokenizer *t, uint32_t id, struct buf *tmp)
{
	struct str s = t->vocab.text[id];
	if (t->byte_level && vocab_find(&t->vocab, s.p, s.n) == id) {
		buf_reset(tmp);
		spelling_of_bytes(s.p, s.n, tmp);
		json_add_str(b, tmp->p ? tmp->p : "", tmp->n);
	} else {
		json_add_str(b, s.p, s.n);
	}
}

static void add_added(struct buf *b, const struct tokenizer *t)
{
	buf_adds(b, "  \"added_tokens\": [");
	for (size_t i = 0; i < t->nadded; i++) {
		const struct added *a = &t->added[i];
		buf_addf(b, "%s\n    {\"id\": %u, \"content\": ", i ? "," : "", a->id);
		json_add_str(b, a->text.p, a->text.n);
		buf_addf(b,
			", \"single_word\": %s, \"lstrip\": %s, \"rstrip\": %s, \"normalized\": %s, "
			"\"special\": %s}",
			bool_word(a->single_word), bool_word(a->lstrip), bool_word(a->rstrip),
			bool_word(a->normalized), bool_word(a->special));
	}
	buf_adds(b, t->nadded ? "\n  ],\n" : "],\n");
}

static void add_normalizer(struct buf *b, const struct tokenizer *t)
{
	static const char *const forms[] = { "NFC", "NFD", "NFKC", "NFKD" };
	if (!t->norm.n) {
		buf_adds(b, "  \"normalizer\": null,\n");
		return;
	}
	buf_adds(b, "  \"normalizer\": ");
	if (t->norm.n > 1)
		buf_adds(b, "{\"type\": \"Sequence\", \"normalizers\": [");
	for (size_t i = 0; i < t->norm.n; i++) {
		const struct norm_step *s = &t->norm.steps[i];
		buf_adds(b, i ? ", " : "");
		if (s->kind == NORM_PREPEND) {
			buf_adds(b, "{\"type\": \"Prepend\", \"prepend\": ");
			json_add_str(b, s->a.p, s->a.n);
		} else if (s->kind == NORM_REPLACE) {
			buf_adds(b, "{\"type\": \"Replace\", \"pattern\": {\"String\": ");
			json_add_str(b, s->a.p, s->a.n);
			buf_adds(b, "}, \"content\": ");
			json_add_str(b, s->b.p, s->b.n);
		} else {
			buf_addf(b, "{\"type\": \"%s\"", forms[s->kind]);
		}
		buf_adds(b, "}");
	}
	buf_adds(b, t->norm.n > 1 ? "]},\n" : ",\n");
}

static void add_split(struct buf *b, const struct presplit *s)
{
	static const char *const behaviors[] = { "Isolated", "Removed", "MergedWithPrevious",
		"MergedWithNext", "Contiguous" };
	static const char *const schemes[] = { "always", "first", "never" };
	switch (s->kind) {
	case SPLIT_DIGITS:
		buf_addf(b, "{\"type\": \"Digits\", \"individual_digits\": %s}",
			bool_word(s->behavior == SPLIT_ISOLATED));
		break;
	case SPLIT_PREFIX_SPACE:
		buf_adds(b, "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
			    "\"use_regex\": ");
		break;
	case SPLIT_METASPACE:
		buf_addf(b,
			"{\"type\": \"Metaspace\", \"replacement\": \"" META
			"\", \"prepend_scheme\": \"%s\", \"split\": %s}",
			schemes[s->scheme], bool_word(s->cut));
		break;
	case SPLIT_REGEX:
	case SPLIT_STRING:
		buf_addf(b, "{\"type\": \"Split\", \"pattern\": {\"%s\": ", s->rx ? "Regex" : "String");
		if (s->rx)
			json_add_cstr(b, pretok_text(s->rx));
		else
			json_add_str(b, s->literal.p, s->literal.n);
		buf_addf(b, "}, \"behavior\": \"%s\", \"invert\": %s}", behaviors[s->behavior],
			bool_word(s->invert));
		break;
	}
}

#define BYTE_LEVEL                                                                                       \
	"{\"type\": \"ByteLevel\", \"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": " \
	"false}"

/* The prefix space is a part of ByteLevel, which stands last; the pattern that may follow it is ByteLevel's
 * own. */
static int add_pretok(struct buf *b, const struct tokenizer *t, struct err *e)
{
	size_t n = 0, count = t->nsplit + (size_t)t->byte_level;
	if (!count) {
		buf_adds(b, "  \"pre_tokenizer\": null,\n");
		return 0;
	}
	buf_adds(b, "  \"pre_tokenizer\": {\"type\": \"Sequence\", \"pretokenizers\": [");
	for (size_t i = 0; i < t->nsplit; i++) {
		buf_adds(b, n++ ? ", " : "");
		add_split(b, &t->split[i]);
		if (t->split[i].kind != SPLIT_PREFIX_SPACE)
			continue;
		int regex = i + 2 == t->nsplit && t->split[i + 1].rx &&
			    strcmp(pretok_text(t->split[i + 1].rx), pretok_known("gpt2")) == 0;
		if (!regex && i + 1 != t->nsplit)
			return err_set(
				e, "a pattern behind add_prefix_space cannot be said in tokenizer.json");
		buf_addf(b, "%s}", bool_word(regex));
		buf_adds(b, "]},\n");
		return 0;
	}
	if (t->byte_level)
		buf_addf(b, "%s%s", n ? ", " : "", BYTE_LEVEL);
	buf_adds(b, "]},\n");
	return 0;
}

static void add_template_ids(
	struct buf *b, const struct tokenizer *t, const uint32_t *ids, size_t n, int type)
{
	for (size_t i = 0; i < n; i++) {
		buf_adds(b, "{\"SpecialToken\": {\"id\": ");
		json_add_str(b, t->vocab.text[ids[i]].p, t->vocab.text[ids[i]].n);
		buf_addf(b, ", \"type_id\": %d}}, ", type);
	}
}

/* One text of the template, or two. */
static void add_template(struct buf *b, const struct tokenizer *t, int texts)
{
	buf_adds(b, "[");
	for (int k = 0; k < texts; k++) {
		add_template_ids(b, t, t->prefix, t->nprefix, k);
		buf_addf(b, "{\"Sequence\": {\"id\": \"%c\", \"type_id\": %d}}, ", 'A' + k, k);
		add_template_ids(b, t, t->suffix, t->nsuffix, k);
	}
	b->n -= 2; /* the last comma */
	b->p[b->n] = 0;
	buf_adds(b, "]");
}

static void add_post(struct buf *b, const struct tokenizer *t)
{
	size_t n = t->nprefix + t->nsuffix;
	if (!n) {
		buf_adds(b, "  \"post_processor\": null,\n");
		return;
	}
	buf_adds(b, "  \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": ");
	add_template(b, t, 1);
	buf_adds(b, ", \"pair\": ");
	add_template(b, t, 2);
	buf_adds(b, ", \"special_tokens\": {");
	int first = 1;
	for (size_t i = 0; i < n; i++) {
		uint32_t id = i < t->nprefix ? t->prefix[i] : t->suffix[i - t->nprefix];
		int seen = 0;
		for (size_t k = 0; k < i; k++)
			seen |= id == (k < t->nprefix ? t->prefix[k] : t->suffix[k - t->nprefix]);
		if (seen)
			continue;
		struct str s = t->vocab.text[id];
		buf_adds(b, first ? "" : ", ");
		first = 0;
		json_add_str(b, s.p, s.n);
		buf_adds(b, ": {\"id\": ");
		json_add_str(b, s.p, s.n);
		buf_addf(b, ", \"ids\": [%u], \"tokens\": [", id);
		json_add_str(b, s.p, s.n);
		buf_adds(b, "]}");
	}
	buf_adds(b, "}},\n");
}

static void add_decoder(struct buf *b, const struct tokenizer *t)
{
	buf_adds(b, "  \"decoder\": ");
	if (t->byte_level) {
		buf_adds(b, "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
			    "\"use_regex\": true},\n");
		return;
	}
	buf_adds(b,
		"{\"type\": \"Sequence\", \"decoders\": [{\"type\": \"Replace\", \"pattern\": {\"String\": "
		"\"" META "\"}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": \"Fuse\"}");
	if (t->strip_first)
		buf_adds(b, ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, \"stop\": 0}");
	buf_adds(b, "]},\n");
}

/*
 * Added tokens that are not in the model's vocabulary are numbered by the library itself, one behind another
 * from the vocabulary's size on. Where that would give another id, they must stand in the vocabulary as well.
 */
static int numbered_alike(const struct tokenizer *t, const unsigned char *outside)
{
	uint32_t next = 0;
	for (uint32_t id = 0; id < tokenizer_vocab(t); id++)
		next += t->vocab.text[id].p && !outside[id];
	for (size_t i = 0; i < t->nadded; i++)
		if (outside[t->added[i].id] && t->added[i].id != next++)
			return 0;
	return 1;
}

static void add_model(struct buf *b, const struct tokenizer *t)
{
	struct buf tmp = { 0 };
	uint32_t vocab = tokenizer_vocab(t);
	unsigned char *outside = xcalloc(vocab, 1);
	for (size_t i = 0; i < t->nadded; i++) {
		struct str s = t->added[i].text;
		outside[t->added[i].id] =
			t->added[i].id != t->unk && vocab_find(&t->vocab, s.p, s.n) != t->added[i].id;
	}
	if (!numbered_alike(t, outside))
		memset(outside, 0, vocab);
	buf_adds(b, "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    \"unk_token\": ");
	if (t->unk == NO_ID)
		buf_adds(b, "null");
	else
		add_spelling(b, t, t->unk, &tmp);
	buf_addf(b,
		",\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n    "
		"\"fuse_unk\": %s,\n"
		"    \"byte_fallback\": %s,\n    \"ignore_merges\": %s,\n    \"vocab\": {",
		bool_word(t->fuse_unk), bool_word(t->byte_fallback), bool_word(t->ignore_merges));
	int first = 1;
	for (uint32_t id = 0; id < vocab; id++) {
		if (!t->vocab.text[id].p || outside[id])
			continue;
		buf_adds(b, first ? "\n      " : ",\n      ");
		first = 0;
		add_spelling(b, t, id, &tmp);
		buf_addf(b, ": %u", id);
	}
	buf_adds(b, "\n    },\n    \"merges\": [");
	struct merge *m = tok_merges(t);
	for (size_t i = 0; i < t->merges.n; i++) {
		buf_adds(b, i ? ",\n      [" : "\n      [");
		add_spelling(b, t, m[i].left, &tmp);
		buf_adds(b, ", ");
		add_spelling(b, t, m[i].right, &tmp);
		buf_adds(b, "]");
	}
	free(m);
	buf_adds(b, t->merges.n ? "\n    ]\n  }\n}\n" : "]\n  }\n}\n");
	free(outside);
	buf_release(&tmp);
}

int tokenizer_json(const struct tokenizer *t, struct buf *b, struct err *e)
{
	if (t->no_json)
		return err_set(e, "this vocabulary cannot be said in tokenizer.json: %s", t->no_json);
	buf_adds(b, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n");
	add_added(b, t);
	add_normalizer(b, t);
	if (add_pretok(b, t, e))
		return -1;
	add_post(b, t);
	add_decoder(b, t);
	add_model(b, t);
	return 0;
}
