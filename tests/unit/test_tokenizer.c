#include "tap.h"
#include "text/tok_impl.h"
#include "base/rng.h"

#include <stdlib.h>

/* A byte-level model with a few merges: id 0 is special, then the bytes in the order of their spelling. */
static struct tokenizer *small(const char *extra, const char *model, const char *merges, struct err *e)
{
	struct buf b = { 0 }, s = { 0 };
	buf_addf(&b, "{\"version\":\"1.0\",%s\"model\":{\"type\":\"BPE\",%s\"vocab\":{", extra, model);
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		buf_reset(&s);
		spelling_of_bytes(&byte, 1, &s);
		buf_addc(&b, '"');
		if (c == '"' || c == '\\')
			buf_addc(&b, '\\');
		buf_addf(&b, "%s\":%d,", s.p, c + 1);
	}
	buf_addf(&b,
		"\"ab\":257,\"bc\":258,\"abc\":259,\"\xc4\xa0"
		"a\":260},\"merges\":%s}}",
		merges);
	struct tokenizer *t = tokenizer_parse(b.p, b.n, e);
	buf_release(&b);
	buf_release(&s);
	return t;
}

#define SPECIAL                                                                                       \
	"\"added_tokens\":[{\"id\":0,\"content\":\"<|end|>\",\"special\":true,\"normalized\":false}," \
	"{\"id\":300,\"content\":\"cab\",\"special\":false,\"normalized\":false}],"
#define BYTES "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
#define MERGES "[\"b c\",[\"a\",\"b\"],\"a bc\",[\"\xc4\xa0\",\"a\"]]"

static const char *ids_of(const struct tokenizer *t, const char *text, size_t n, int flags)
{
	static char out[1024];
	struct encoder *enc = encoder_new(t);
	struct ids ids = { 0 };
	size_t k = 0;
	encoder_encode(enc, text, n, flags, &ids);
	out[0] = 0;
	for (size_t i = 0; i < ids.n && k + 16 < sizeof out; i++)
		k += (size_t)snprintf(out + k, sizeof out - k, "%s%u", i ? " " : "", ids.v[i]);
	ids_release(&ids);
	encoder_free(enc);
	return out;
}

static void ids(void)
{
	struct err e;
	struct tokenizer *t = small(SPECIAL BYTES, "", MERGES, &e);
	ok(t != NULL, "a tokenizer.json loads");
	ok_str(ids_of(t, "abc", 3, 0), "259", "the lowest rank first: b c, then a bc");
	ok_str(ids_of(t, "ab a", 4, 0), "257 260", "two pieces");
	ok_str(ids_of(t, "a<|end|>", 8, ENCODE_SPECIAL), "98 0", "a special token in text, asked for");
	ok_str(ids_of(t, "a\xff\x00", 3, 0), "98 256 1", "any bytes");
	ok_str(ids_of(t, "xcaby", 5, 0), "121 300 122",
		"an added token that is not special is matched always");
	ok(tokenizer_vocab(t) == 301, "the vocabulary ends at the largest id");
	ok(tokenizer_eos(t) == 0 || tokenizer_eos(t) == -1, "roles");
	ok(tokenizer_id(t, "abc", 3) == 259 && tokenizer_id(t, "<|end|>", 7) == 0 &&
			tokenizer_id(t, "zz", 2) == -1,
		"ids by text");
	int special;
	ok(tokenizer_bytes(t, 299, &special).p == NULL && !special, "an id without a token has no bytes");
	struct buf b = { 0 };
	tokenizer_decode(t, (uint32_t[]){ 0, 259, 299, 4000000000u, 260 }, 5, 1, &b);
	ok_str(b.p, "abc a", "decoding leaves out specials and unknown ids");
	buf_release(&b);
	tokenizer_free(t);
	t = small(BYTES, "\"ignore_merges\":true,", "[\"b c\"]", &e);
	ok_str(ids_of(t, "abc", 3, 0), "259", "ignore_merges finds the whole piece");
	tokenizer_free(t);
}

static void refusals(void)
{
	static const struct {
		const char *extra, *model, *merges, *why;
	} rows[] = {
		{ "\"normalizer\":{\"type\":\"Lowercase\"}," BYTES, "", MERGES, "Lowercase" },
		{ "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},", "", MERGES, "BertPreTokenizer" },
		{ "\"surprise\":1," BYTES, "", MERGES, "surprise" },
		{ BYTES, "\"dropout\":0.1,", MERGES, "dropout" },
		{ BYTES, "\"end_of_word_suffix\":\"</w>\",", MERGES, "end_of_word_suffix" },
		{ BYTES, "", "[\"x zz\"]", "\"zz\" is not in the vocabulary" },
		{ BYTES, "", "[\"abc\"]", "not a pair" },
		{ "\"added_tokens\":[{\"id\":5,\"content\":\"foo\"}]," BYTES, "", MERGES,
			"belongs to another token" },
		{ "\"added_tokens\":[{\"id\":99999999,\"content\":\"foo\"}]," BYTES, "", MERGES, "id" },
		{ BYTES "\"decoder\":{\"type\":\"WordPiece\"},", "", MERGES, "WordPiece" },
		{ BYTES "\"post_processor\":{\"type\":\"Odd\"},", "", MERGES, "Odd" },
		{ BYTES "\"post_processor\":{\"type\":\"RobertaProcessing\",\"cls\":[\"a\",98],\"sep\":["
			"\"b\","
			"4000000]},",
			"", MERGES, "no token has the id 4000000" },
		{ BYTES "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{"
			"\"id\":"
			"\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],\"special_tokens\":{\"x\":{\"ids\":[261]}}},",
			"", MERGES, "no token has the id 261" },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct err e = { "" };
		struct tokenizer *t = small(rows[i].extra, rows[i].model, rows[i].merges, &e);
		ok(!t && strstr(e.msg, rows[i].why), "refused: %s", e.msg);
		tokenizer_free(t);
	}
}

/* sentencepiece pieces <unk> <s> </s> "ab" "c" U+2581: "a" and "b" are none, so they may be left over. */
static void left_over(void)
{
	static const char model[] =
		"\n\016\n\005<unk>\025\0\0\0\0\030\002\n\014\n\003<s>\025\0\0\0\0\030\003"
		"\n\015\n\004</s>\025\0\0\0\0\030\003\n\011\n\002ab\025\0\0\200\277\n\010\n\001c\025"
		"\0\0\0\300\n\012\n\003\342\226\201\025\0\0\100\300\022\002\030\002\032\004\030\0 \0";
	static const struct {
		const char *text, *want;
	} rows[] = { { "ax", "0" }, { "xa", "0" }, { "xax", "0" }, { "aab", "0 3" }, { "abxab", "3 0 3" },
		{ "axcxa", "0 4 0" }, { "b b", "0 5 0" } };
	struct err e;
	struct tokenizer *t = tok_load_spm(model, sizeof model - 1, &e);
	ok(t != NULL, "a model whose characters are no pieces loads");
	for (size_t i = 0; t && i < sizeof rows / sizeof *rows; i++)
		ok_str(ids_of(t, rows[i].text, strlen(rows[i].text), 0), rows[i].want,
			"unknown ones fuse: %s", rows[i].text);
	if (!t)
		return;
	struct encoder *enc = encoder_new(t);
	struct ids ids = { 0 };
	encoder_encode(enc, "ca", 2, 0, &ids);
	encoder_encode(enc, "b", 1, 0, &ids);
	ok(ids.n == 3 && ids.v[1] == 0 && ids.v[2] == 0, "but not with those of the text before");
	ids_release(&ids);
	encoder_free(enc);
	tokenizer_free(t);
}

/* Pieces U+2581 "a" "b", user-defined "a  b" and "  b", extra spaces removed: what the symbols hold stays, as
 * in sentencepiece, unless a space stands before it. */
static void kept_spaces(void)
{
	static const char model[] =
		"\n\016\n\005<unk>\025\0\0\0\0\030\002\n\014\n\003<s>\025\0\0\0\0\030\003"
		"\n\015\n\004</s>\025\0\0\0\0\030\003\n\012\n\003\342\226\201\025\0\0\200\277\n\010"
		"\n\001a\025\0\0\0\300\n\010\n\001b\025\0\0@\300\n\015\n\004a  b\025\0\0\0\0\030\004"
		"\n\014\n\003  b\025\0\0\0\0\030\004\022\002\030\002\032\004\030\0 \001";
	static const struct {
		const char *text, *want;
	} rows[] = { { "a  b", "4 3 3 5" }, { " b  a ", "5 3 4" }, { "a   b", "4 3 5" },
		{ "  a  b   ", "4 3 3 5" }, { "b  b", "5 3 3 5" }, { "   b", "5" }, { "b    b", "5 3 5" },
		{ META "a " META, "3 4" } };
	struct err e;
	struct tokenizer *t = tok_load_spm(model, sizeof model - 1, &e);
	ok(t != NULL, "a model with user-defined symbols loads");
	for (size_t i = 0; t && i < sizeof rows / sizeof *rows; i++)
		ok_str(ids_of(t, rows[i].text, strlen(rows[i].text), 0), rows[i].want, "extra spaces: '%s'",
			rows[i].text);
	tokenizer_free(t);
}

/* What the definition says, in quadratic time. */
static size_t merge_plainly(const struct bpe *b, uint32_t *s, size_t n)
{
	for (;;) {
		const struct merge *best = NULL;
		size_t at = 0;
		for (size_t i = 0; i + 1 < n; i++) {
			const struct merge *m = bpe_find(b, s[i], s[i + 1]);
			if (m && (!best || m->rank < best->rank)) {
				best = m;
				at = i;
			}
		}
		if (!best)
			return n;
		s[at] = best->id;
		memmove(s + at + 1, s + at + 2, (n - at - 2) * sizeof *s);
		n--;
	}
}

static void merging(void)
{
	struct rng r;
	struct bpe b = { 0 };
	struct bpe_scratch x = { 0 };
	int wrong = 0;
	rng_init(&r, 42, 1);
	for (uint32_t id = 4; id < 200; id++)
		bpe_add(&b, (uint32_t)rng_below(&r, id), (uint32_t)rng_below(&r, id),
			(uint32_t)rng_below(&r, 60), id);
	for (int round = 0; round < 2000; round++) {
		uint32_t s[300], t[300];
		size_t n = 1 + rng_below(&r, round % 2 ? 40 : 300);
		for (size_t i = 0; i < n; i++)
			s[i] = t[i] = (uint32_t)rng_below(&r, 4);
		size_t a = bpe_merge(&b, &x, s, n), c = merge_plainly(&b, t, n);
		wrong += a != c || memcmp(s, t, a * sizeof *s) != 0;
	}
	ok(!wrong, "short and long words merge as defined, ranks equal or not");
	bpe_scratch_release(&x);
	bpe_release(&b);
}

static void normalizing(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "plain", "plain" },
		{ "e\xcc\x81", "\xc3\xa9" },
		{ "\xe2\x84\xab", "\xc3\x85" },
		{ "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81" },
		{ "\xea\xb0\x80\xe1\x86\xa8", "\xea\xb0\x81" },
		{ "a\xcc\xa7\xcc\x81 a\xcc\x81\xcc\xa7", "\xc3\xa1\xcc\xa7 \xc3\xa1\xcc\xa7" },
		{ "e\xff\xcc\x81", "e\xff\xcc\x81" },
	};
	struct norm_step step = { NORM_NFC, STR(""), STR("") };
	struct textnorm nfc = { .steps = &step, .n = 1 };
	struct buf out = { 0 }, tmp = { 0 };
	norm_init();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		norm_apply(&nfc, rows[i].text, strlen(rows[i].text), &out, &tmp);
		ok_str(out.p, rows[i].want, "NFC, row %zu", i);
		ok(norm_is_identity(&nfc, rows[i].want, strlen(rows[i].want)) || i > 4,
			"NFC of NFC is itself, row %zu", i);
	}
	buf_release(&out);
	buf_release(&tmp);
}

static void written(void)
{
	struct err e;
	struct tokenizer *t = small(SPECIAL BYTES "\"normalizer\":{\"type\":\"NFC\"},", "", MERGES, &e),
			 *back = NULL;
	struct buf b = { 0 }, again = { 0 };
	ok(t && tokenizer_json(t, &b, &e) == 0 && (back = tokenizer_parse(b.p, b.n, &e)),
		"written and read back");
	if (!back)
		return;
	struct hash128 x = tokenizer_fingerprint(t), y = tokenizer_fingerprint(back);
	ok(x.lo == y.lo && x.hi == y.hi, "with the same fingerprint");
	ok(tokenizer_json(back, &again, &e) == 0 && again.n == b.n && memcmp(again.p, b.p, b.n) == 0,
		"and the same bytes");
	buf_release(&b);
	buf_release(&again);
	tokenizer_free(t);
	tokenizer_free(back);
}

static void alphabet(void)
{
	int bad = 0;
	for (int c = 0; c < 256; c++)
		bad += char_to_byte(byte_to_char((unsigned char)c)) != c;
	ok(!bad, "the byte alphabet and back");
	ok(byte_to_char(' ') == 0x120 && byte_to_char('\n') == 0x10a && byte_to_char(0xad) == 0x143,
		"its known places");
	ok(char_to_byte(' ') < 0 && char_to_byte(0x144) < 0, "and what is outside");
}

int main(void)
{
	alphabet();
	ids();
	refusals();
	left_over();
	kept_spaces();
	merging();
	normalizing();
	written();
	return tap_end();
}
