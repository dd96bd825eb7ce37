/*
 * Rank files (tiktoken: a line a token, its bytes in base64 and its rank) and GPT-2's two files.
 *
 * A rank file holds neither the splitting pattern nor, usually, the special tokens: both come with the
 * family, which is known by the file's name, or with --pattern. Lines at the end of the file that read
 * <|...|> are special tokens that somebody appended.
 */
#include "text/tok_impl.h"
#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>

/* --- families ------------------------------------------------------------------------------------------- */

struct special {
	const char *text;
	uint32_t id;
};
static const struct special gpt2_special[] = { { "<|endoftext|>", 50256 }, { NULL, 0 } };
static const struct special cl100k_special[] = { { "<|endoftext|>", 100257 }, { "<|fim_prefix|>", 100258 },
	{ "<|fim_middle|>", 100259 }, { "<|fim_suffix|>", 100260 }, { "<|endofprompt|>", 100276 },
	{ NULL, 0 } };
static const struct special o200k_special[] = { { "<|endoftext|>", 199999 }, { "<|endofprompt|>", 200018 },
	{ NULL, 0 } };
static const struct special llama3_special[] = { { "<|begin_of_text|>", 128000 },
	{ "<|end_of_text|>", 128001 }, { "<|reserved_special_token_0|>", 128002 },
	{ "<|reserved_special_token_1|>", 128003 }, { "<|finetune_right_pad_id|>", 128004 },
	{ "<|reserved_special_token_2|>", 128005 }, { "<|start_header_id|>", 128006 },
	{ "<|end_header_id|>", 128007 }, { "<|eom_id|>", 128008 }, { "<|eot_id|>", 128009 },
	{ "<|python_tag|>", 128010 }, { NULL, 0 } };

static const struct family {
	const char *start; /* of the file's name */
	const char *pattern;
	const struct special *special;
} families[] = {
	{ "cl100k_base", "cl100k", cl100k_special },
	{ "o200k_base", "o200k", o200k_special },
	{ "r50k_base", "gpt2", gpt2_special },
	{ "p50k_base", "gpt2", gpt2_special },
	{ "gpt2", "gpt2", gpt2_special },
	{ "llama3", "llama3", llama3_special },
};

static const struct family *family_of(const char *name)
{
	for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
		if (strncmp(name, families[i].start, strlen(families[i].start)) == 0)
			return &families[i];
	return NULL;
}

/* --- rank files ----------------------------------------------------------------------------------------- */

static int sextet(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Base64 with its padding; -1 when malformed. */
static int base64(const char *p, size_t n, struct buf *out)
{
	buf_reset(out);
	if (n == 0 || n % 4)
		return -1;
	size_t pad = p[n - 1] != '=' ? 0 : p[n - 2] != '=' ? 1 : 2;
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = 0;
		size_t keep = i + 4 == n ? 3 - pad : 3;
		for (size_t k = 0; k < 4; k++) {
			int s = k <= keep ? sextet(p[i + k]) : 0;
			if (s < 0)
				return -1;
			v = v << 6 | (uint32_t)s;
		}
		for (size_t k = 0; k < keep; k++)
			buf_addc(out, (int)(v >> (16 - 8 * k) & 255));
	}
	return 0;
}

/* One line "BASE64 RANK", spaces and '\r' at its end allowed. 1 a token, 0 an empty line, -1 malformed. */
static int rank_line(struct str line, struct buf *bytes, uint32_t *rank)
{
	while (line.n && strchr(" \r\t", line.p[line.n - 1]) && line.p[line.n - 1])
		line.n--;
	if (!line.n)
		return 0;
	const char *space = memchr(line.p, ' ', line.n);
	if (!space || base64(line.p, (size_t)(space - line.p), bytes))
		return -1;
	uint64_t v = 0;
	size_t i = (size_t)(space - line.p) + 1;
	if (i == line.n || line.n - i > 9)
		return -1;
	for (; i < line.n; i++) {
		if (line.p[i] < '0' || line.p[i] > '9')
			return -1;
		v = v * 10 + (uint64_t)(line.p[i] - '0');
	}
	if (v >= VOCAB_MAX)
		return -1;
	*rank = (uint32_t)v;
	return 1;
}

static struct str line_at(const char *p, size_t n, size_t at)
{
	const char *end = memchr(p + at, '\n', n - at);
	return (struct str){ p + at, end ? (size_t)(end - p) - at : n - at };
}

int tok_is_ranks(const char *p, size_t n)
{
	struct buf b = { 0 };
	uint32_t rank;
	int ok = n && rank_line(line_at(p, n, 0), &b, &rank) == 1;
	buf_release(&b);
	return ok;
}

/* Tokens from the file's end backwards that read <|...|> are special. */
static int specials_at_end(struct tokenizer *t, uint32_t *rank, struct err *e)
{
	for (size_t i = t->vocab.n; i-- > 0;) {
		struct str s = t->vocab.text[i];
		if (s.n < 5 || memcmp(s.p, "<|", 2) != 0 || memcmp(s.p + s.n - 2, "|>", 2) != 0)
			return 0;
		rank[i] = NO_ID;
		if (tok_add(t, (struct added){ .id = (uint32_t)i, .text = s, .special = 1 }, e))
			return -1;
	}
	return 0;
}

static int add_specials(struct tokenizer *t, const struct special *list, struct err *e)
{
	for (; list && list->text; list++) {
		struct added a = { .id = list->id, .text = str_of(list->text), .special = 1 };
		if (vocab_has(&t->vocab, list->id) && !str_eq(t->vocab.text[list->id], a.text))
			return err_set(e, "id %u should be %s, by the file's name", list->id, list->text);
		if (tokenizer_id(t, a.text.p, a.text.n) < 0 && tok_add(t, a, e))
			return -1;
	}
	return 0;
}

/* A copy of Llama 3's ranks without its specials: the rest of the 256 are reserved places. */
static int add_llama3_reserved(struct tokenizer *t, struct err *e)
{
	char name[40];
	for (uint32_t id = 128011; id < 128256; id++) {
		snprintf(name, sizeof name, "<|reserved_special_token_%u|>", id - 128008);
		if (!vocab_has(&t->vocab, id) &&
			tok_add(t, (struct added){ .id = id, .text = str_of(name), .special = 1 }, e))
			return -1;
	}
	return 0;
}

static int cut_anywhere(const char *p, size_t n, size_t i)
{
	(void)p;
	(void)n;
	(void)i;
	return 1;
}

static int add_ranks(struct tokenizer *t, const char *p, size_t n, struct err *e)
{
	struct buf b = { 0 };
	size_t number = 0;
	int rc = 0;
	for (size_t at = 0; at < n && !rc; number++) {
		struct str line = line_at(p, n, at);
		uint32_t rank = 0;
		int got = rank_line(line, &b, &rank);
		at += line.n + 1;
		if (got < 0)
			rc = err_set(e, "line %zu: not a base64 token and its rank", number + 1);
		else if (got && vocab_find(&t->vocab, b.p ? b.p : "", b.n) != NO_ID)
			rc = err_set(e, "line %zu: this token was there before", number + 1);
		else if (got && vocab_add(&t->vocab, rank, b.p ? b.p : "", b.n, 1))
			rc = err_set(e, "line %zu: rank %u was there before", number + 1, rank);
	}
	buf_release(&b);
	return rc;
}

static int build_ranks(
	struct tokenizer *t, const char *p, size_t n, const char *name, const char *pattern, struct err *e)
{
	const struct family *f = family_of(name);
	if (!f && !pattern)
		return err_set(e, "a rank file holds no splitting pattern and its name is not a known one: "
				  "give --pattern");
	t->byte_level = 1;
	t->ignore_merges = 1; /* tiktoken looks a whole piece up first */
	if (add_ranks(t, p, n, e))
		return -1;
	uint32_t *rank = xcalloc(t->vocab.n, sizeof *rank);
	for (uint32_t i = 0; i < t->vocab.n; i++)
		rank[i] = t->vocab.text[i].n > 1 ? i : NO_ID;
	int rc = specials_at_end(t, rank, e);
	if (!rc)
		bpe_add_splits(&t->merges, &t->vocab, rank, cut_anywhere);
	free(rank);
	if (rc)
		return -1;
	/* Specials that the file itself brings are the ones that count: their names have changed between
	 * versions. */
	if (f && !t->nadded &&
		(add_specials(t, f->special, e) ||
			(f->special == llama3_special && add_llama3_reserved(t, e))))
		return -1;
	if (tok_split_pattern(t, pattern ? pattern : f->pattern, 0, e))
		return -1;
	return tok_finish(t, e);
}

struct tokenizer *tok_load_ranks(
	const char *p, size_t n, const char *name, const char *pattern, struct err *e)
{
	struct tokenizer *t = tok_new();
	if (build_ranks(t, p, n, name, pattern, e)) {
		tokenizer_free(t);
		return NULL;
	}
	return t;
}

/* --- GPT-2's two files ---------------------------------------------------------------------------------- */

/* encoder.json or vocab.json: {"spelling": id}. */
static int add_spellings(struct tokenizer *t, const struct json *v, struct err *e)
{
	struct buf b = { 0 };
	int rc = 0;
	if (!json_is(v, JSON_OBJECT) || !v->n)
		return err_set(e, "not an object of tokens and ids");
	for (size_t i = 0; i < v->n && !rc; i++) {
		const struct json *k = &v->kids[i];
		buf_reset(&b);
		int raw = bytes_of_spelling(k->key.p, k->key.n, &b) != 0;
		if (!json_is(k, JSON_NUMBER) || !k->is_int || k->i < 0 || k->i >= VOCAB_MAX)
			rc = err_set(e, "byte %zu: not an id", k->at);
		else if (!raw && vocab_find(&t->vocab, b.p ? b.p : "", b.n) != NO_ID)
			rc = err_set(e, "byte %zu: this token was there before", k->at);
		else if (vocab_add(&t->vocab, (uint32_t)k->i,
				 raw   ? k->key.p
				 : b.p ? b.p
				       : "",
				 raw ? k->key.n : b.n, !raw))
			rc = err_set(e, "byte %zu: id %u is used twice", k->at, (unsigned)k->i);
	}
	buf_release(&b);
	return rc;
}

/* merges.txt or vocab.bpe: "left right" a line; a first line that starts with "#version" is a comment. */
static int add_merge_lines(struct tokenizer *t, const char *p, size_t n, struct err *e)
{
	uint32_t rank = 0;
	size_t number = 0;
	for (size_t at = 0; at < n;) {
		struct str line = line_at(p, n, at);
		at += line.n + 1;
		number++;
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (!line.n || (number == 1 && line.n >= 8 && memcmp(line.p, "#version", 8) == 0))
			continue;
		const char *space = memchr(line.p, ' ', line.n);
		if (!space)
			return err_set(e, "merges: line %zu: not a pair", number);
		struct str a = { line.p, (size_t)(space - line.p) }, b = { space + 1, line.n - a.n - 1 };
		if (tok_add_merge(t, a, b, rank++, e))
			return err_prefix(e, "merges: line %zu", number);
	}
	return 0;
}

/* What is neither a byte nor the result of a merge cannot come from text: it is a special token. */
static int add_unreachable(struct tokenizer *t, struct err *e)
{
	unsigned char *made = xcalloc(t->vocab.n, 1);
	int rc = 0;
	for (size_t i = 0; i < t->merges.nslots; i++)
		if (t->merges.slots[i].left != NO_ID)
			made[t->merges.slots[i].id] = 1;
	for (size_t i = 0; i < t->vocab.n && !rc; i++)
		if (t->vocab.text[i].n > 1 && !made[i])
			rc = tok_add(t,
				(struct added){ .id = (uint32_t)i, .text = t->vocab.text[i], .special = 1 },
				e);
	free(made);
	return rc;
}

struct tokenizer *tok_load_gpt2(const char *vocab, size_t nvocab, const char *merges, size_t nmerges,
	const char *pattern, struct err *e)
{
	struct arena a = { 0 };
	struct tokenizer *t = tok_new();
	struct json *v = json_parse(&a, vocab, nvocab, JSON_STRICT, e);
	t->byte_level = 1;
	int rc = !v || add_spellings(t, v, e) || add_merge_lines(t, merges, nmerges, e) ||
		 add_unreachable(t, e) || tok_split_pattern(t, pattern ? pattern : "gpt2", 0, e) ||
		 tok_finish(t, e);
	arena_release(&a);
	if (rc) {
		tokenizer_free(t);
		return NULL;
	}
	return t;
}
