/* Tokenizers as the lists of GGUF files, and back. */
#include "base/io.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"
#include "text/tok_parts.h"

#include <stdlib.h>

#define FOLDER "tests/ref/tokenizers/"

/* Do both give the same ids for every text of the folder? */
static int same_ids(const struct tokenizer *x, const struct tokenizer *y)
{
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct err e;
	struct encoder *ex = encoder_new(x), *ey = encoder_new(y);
	struct ids ix = { 0 }, iy = { 0 };
	int same = file_read(FOLDER "texts.jsonl", &b, SIZE_MAX / 2, &e) == 0;
	for (char *line = b.p, *end; same && line && (end = strchr(line, '\n')); line = end + 1) {
		const struct json *v = json_parse(&a, line, (size_t)(end - line), JSON_STRICT, &e),
				  *t = json_get(v, "text");
		ix.n = iy.n = 0;
		encoder_encode(ex, t->s.p, t->s.n, ENCODE_SPECIAL, &ix);
		encoder_encode(ey, t->s.p, t->s.n, ENCODE_SPECIAL, &iy);
		same = ix.n == iy.n && (!ix.n || memcmp(ix.v, iy.v, ix.n * sizeof *ix.v) == 0);
	}
	encoder_free(ex);
	encoder_free(ey);
	ids_release(&ix);
	ids_release(&iy);
	arena_release(&a);
	buf_release(&b);
	return same;
}

static void round_trip(const char *file, const char *pattern, const char *pre)
{
	struct err e = { "" };
	struct tok_parts p = { .n = 0 };
	int exact = 0;
	struct tokenizer *t = tokenizer_load(file, pattern, &e), *back = NULL;
	ok(t && tokenizer_parts(t, (size_t)tokenizer_vocab(t) + 3, &p, &exact, &e) == 0, "%s as lists %s",
		file, e.msg);
	ok(t && p.n == (size_t)tokenizer_vocab(t) + 3 && p.types[p.n - 1] == PART_UNUSED &&
			str_is(p.pre, pre ? pre : ""),
		"its rule is %.*s", (int)p.pre.n, p.pre.p ? p.pre.p : "");
	back = t ? tokenizer_of_parts(&p, &e) : NULL;
	ok(back && same_ids(t, back), "the ids are the same%s %s", exact ? "" : ", though not all flags",
		e.msg);
	ok(back && tokenizer_bos(t) == tokenizer_bos(back) && tokenizer_eos(t) == tokenizer_eos(back),
		"so are the roles");
	size_t n, m;
	ok(back && (tokenizer_prefix(t, &n) != NULL) == (tokenizer_prefix(back, &m) != NULL) && n == m,
		"and what stands around a text");
	tokenizer_free(t);
	tokenizer_free(back);
	tok_parts_release(&p);
}

static void no_lists(const char *file, const char *why)
{
	struct err e = { "" };
	struct tok_parts p;
	int exact;
	struct tokenizer *t = tokenizer_load(file, NULL, &e);
	ok(t && tokenizer_parts(t, tokenizer_vocab(t), &p, &exact, &e) < 0 && strstr(e.msg, why), "%s: %s",
		file, e.msg);
	tokenizer_free(t);
	tok_parts_release(&p);
}

/* --- lists by hand --- */

static void refuse(const struct tok_parts *p, const char *why)
{
	struct err e = { "" };
	struct tokenizer *t = tokenizer_of_parts(p, &e);
	ok(!t && strstr(e.msg, why), "refused: %s", e.msg);
	tokenizer_free(t);
}

static void test_by_hand(void)
{
	struct err e = { "" };
	struct str tokens[] = { STR("a"), STR("b"), STR("\xc4\xa0"), STR("ab"),
		STR("\xc4\xa0"
		    "ab"),
		STR("<end>"), STR("") };
	struct str merges[] = { STR("a b"), STR("\xc4\xa0 ab") };
	int32_t types[] = { PART_NORMAL, PART_NORMAL, PART_NORMAL, PART_NORMAL, PART_NORMAL, PART_CONTROL,
		PART_UNUSED };
	struct tok_parts p = { .byte_level = 1,
		.pre = STR("gpt-2"),
		.tokens = tokens,
		.types = types,
		.n = 7,
		.merges = merges,
		.nmerges = 2,
		.bos = 5,
		.eos = -1,
		.add_bos = 1,
		.add_eos = -1 };
	struct tokenizer *t = tokenizer_of_parts(&p, &e);
	struct ids ids = { 0 };
	size_t n = 0;
	ok(t != NULL, "a few tokens %s", e.msg);
	if (t) {
		struct encoder *enc = encoder_new(t);
		encoder_encode(enc, "ab ab<end>", 10, ENCODE_SPECIAL, &ids);
		ok(ids.n == 3 && ids.v[0] == 3 && ids.v[1] == 4 && ids.v[2] == 5, "are what text becomes");
		ok(tokenizer_prefix(t, &n) && n == 1 && tokenizer_prefix(t, &n)[0] == 5,
			"with the begin in front");
		encoder_free(enc);
	}
	ids_release(&ids);
	tokenizer_free(t);
	p.pre = STR("falcon");
	refuse(&p, "the splitting rule 'falcon' is not known");
	p.pre = STR("gpt-2");
	merges[1] = STR("x ab");
	refuse(&p, "left \"x\" is not in the vocabulary");
	merges[1] = STR("ab");
	refuse(&p, "merge 1 is no pair");
	p.nmerges = 1;
	p.bos = 6;
	refuse(&p, "the begin of the text, id 6, is no token");
	p.bos = 1LL << 40;
	refuse(&p, "is no token");
	p.bos = -1;
	tokens[1] = STR("a");
	refuse(&p, "token 1 was there before");
	tokens[1] = STR("");
	refuse(&p, "token 1 is empty");
}

static void test_pieces_by_hand(void)
{
	struct err e = { "" };
	struct str tokens[] = { STR("<unk>"), STR("<s>"), STR("</s>"), STR("\xe2\x96\x81"), STR("a"),
		STR("aa"),
		STR("\xe2\x96\x81"
		    "a"),
		STR("[PAD]") };
	int32_t types[] = { PART_UNKNOWN, PART_CONTROL, PART_CONTROL, PART_NORMAL, PART_NORMAL, PART_NORMAL,
		PART_NORMAL, PART_UNUSED };
	float scores[] = { 0, 0, 0, -9, -8, -2, -1, 0 };
	struct tok_parts p = { .tokens = tokens,
		.types = types,
		.scores = scores,
		.n = 8,
		.space_prefix = 1,
		.bos = 1,
		.eos = 2,
		.add_bos = -1,
		.add_eos = -1 };
	struct tokenizer *t = tokenizer_of_parts(&p, &e);
	struct ids ids = { 0 };
	size_t n = 0;
	ok(t != NULL, "a few pieces %s", e.msg);
	if (t) {
		struct encoder *enc = encoder_new(t);
		encoder_encode(enc, "aaa", 3, 0, &ids);
		ok(ids.n == 2 && ids.v[0] == 6 && ids.v[1] == 5, "the best score is merged first");
		ok(tokenizer_prefix(t, &n) && n == 1, "the begin stands in front unless said otherwise");
		encoder_free(enc);
	}
	ids_release(&ids);
	tokenizer_free(t);
	scores[4] = NAN;
	refuse(&p, "score is not a number");
}

int main(void)
{
	round_trip(FOLDER "gpt2.json", NULL, "gpt-2");
	round_trip(FOLDER "llama3.json", NULL, "llama-bpe");
	round_trip(FOLDER "qwen.json", NULL, "qwen2");
	round_trip(FOLDER "o200k.json", NULL, "gpt-4o");
	round_trip(FOLDER "small.tiktoken", "o200k", "gpt-4o");
	round_trip(FOLDER "small.tiktoken", "llama3", "llama-bpe");
	round_trip(FOLDER "identity.model", NULL, NULL);
	no_lists(FOLDER "added.json", "no name for how");
	no_lists(FOLDER "mapped.model", "no name for how");
	no_lists(FOLDER "custom.json", "no name for how");
	test_by_hand();
	test_pieces_by_hand();
	return tap_end();
}
