/*
 * sentencepiece models of type BPE (a protobuf, ModelProto in sentencepiece_model.proto) and llama2.c's
 * tokenizer.bin, which holds the same pieces and scores.
 */
#include "text/tok_impl.h"
#include "text/tok_parts.h"
#include "text/utf8.h"
#include "base/cur.h"
#include "base/die.h"

#include <math.h>
#include <stdlib.h>

struct piece {
	struct str text;
	float score;
	uint64_t type;
};

struct spm {
	struct piece *pieces;
	size_t n, cap;
	uint64_t model_type; /* 2 is BPE */
	int byte_fallback, suffix, dummy_prefix, extra_spaces, escape;
	int skip_unused; /* they fill the vocabulary up and stand for nothing */
	struct str charsmap;
	int64_t bos, eos;
};

/* --- the protobuf wire format --------------------------------------------------------------------------- */

struct field {
	uint64_t number;
	unsigned wire;
	uint64_t v;   /* varint, or the bits of a fixed one */
	struct str s; /* length-delimited */
};

static uint64_t varint(struct cur *c)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = cur_u8(c);
		v |= (uint64_t)(b & 127) << shift;
		if (!(b & 128))
			return v;
	}
	c->failed = 1;
	return 0;
}

/* The next field of a message: 1, 0 at its end, -1 malformed. */
static int next_field(struct cur *c, struct field *f)
{
	if (c->failed || !cur_left(c))
		return c->failed ? -1 : 0;
	uint64_t key = varint(c);
	*f = (struct field){ .number = key >> 3, .wire = (unsigned)(key & 7) };
	switch (f->wire) {
	case 0:
		f->v = varint(c);
		break;
	case 1:
		f->v = cur_u64(c);
		break;
	case 2:
		f->v = varint(c);
		f->s.n = (size_t)f->v;
		f->s.p = f->v <= cur_left(c) ? cur_bytes(c, f->s.n) : NULL;
		if (!f->s.p)
			return -1;
		break;
	case 5:
		f->v = cur_u32(c);
		break;
	default:
		return -1;
	}
	return c->failed ? -1 : 1;
}

static float float_of(uint64_t bits)
{
	uint32_t u = (uint32_t)bits;
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}

static int read_piece(struct str s, struct piece *p)
{
	struct cur c;
	struct field f;
	int rc;
	*p = (struct piece){ .type = PART_NORMAL, .text = STR("") };
	cur_init(&c, s.p, s.n);
	while ((rc = next_field(&c, &f)) > 0) {
		if (f.number == 1 && f.wire == 2)
			p->text = f.s;
		else if (f.number == 2 && f.wire == 5)
			p->score = float_of(f.v);
		else if (f.number == 3 && f.wire == 0)
			p->type = f.v;
	}
	return rc;
}

/* TrainerSpec and NormalizerSpec: the fields that decide ids. */
static int read_trainer(struct str s, struct spm *m)
{
	struct cur c;
	struct field f;
	int rc;
	cur_init(&c, s.p, s.n);
	while ((rc = next_field(&c, &f)) > 0) {
		if (f.wire != 0)
			continue;
		if (f.number == 3)
			m->model_type = f.v;
		else if (f.number == 24)
			m->suffix = f.v != 0;
		else if (f.number == 35)
			m->byte_fallback = f.v != 0;
		else if (f.number == 41)
			m->bos = (int32_t)f.v;
		else if (f.number == 42)
			m->eos = (int32_t)f.v;
	}
	return rc;
}

static int read_normalizer(struct str s, struct spm *m)
{
	struct cur c;
	struct field f;
	int rc;
	cur_init(&c, s.p, s.n);
	while ((rc = next_field(&c, &f)) > 0) {
		if (f.number == 2 && f.wire == 2)
			m->charsmap = f.s;
		else if (f.number == 3 && f.wire == 0)
			m->dummy_prefix = f.v != 0;
		else if (f.number == 4 && f.wire == 0)
			m->extra_spaces = f.v != 0;
		else if (f.number == 5 && f.wire == 0)
			m->escape = f.v != 0;
	}
	return rc;
}

static int read_model(const char *p, size_t n, struct spm *m, struct err *e)
{
	struct cur c;
	struct field f;
	int rc;
	*m = (struct spm){
		.model_type = 1, .dummy_prefix = 1, .extra_spaces = 1, .escape = 1, .bos = 1, .eos = 2
	};
	cur_init(&c, p, n);
	while ((rc = next_field(&c, &f)) > 0) {
		int bad = 0;
		if (f.number == 1 && f.wire == 2) {
			GROW(m->pieces, m->cap, m->n + 1);
			bad = read_piece(f.s, &m->pieces[m->n]);
			m->n++;
		} else if (f.number == 2 && f.wire == 2) {
			bad = read_trainer(f.s, m);
		} else if (f.number == 3 && f.wire == 2) {
			bad = read_normalizer(f.s, m);
		}
		if (bad)
			return err_set(e, "byte %zu: not a sentencepiece model", c.at);
	}
	if (rc < 0 || !m->n)
		return err_set(e, "byte %zu: not a sentencepiece model", c.at);
	return 0;
}

int tok_is_spm(const char *p, size_t n)
{
	struct cur c;
	struct field f;
	struct piece first;
	cur_init(&c, p, n);
	return n && p[0] == 0x0a && next_field(&c, &f) == 1 && read_piece(f.s, &first) == 0 && first.text.n;
}

/* --- building ------------------------------------------------------------------------------------------- */

struct scored {
	float score;
	uint32_t id;
};

static int by_score(const void *a, const void *b)
{
	float x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
	return x > y ? -1 : x < y;
}

static int cut_between_chars(const char *p, size_t n, size_t i)
{
	(void)n;
	return ((unsigned char)p[i] & 0xc0) != 0x80;
}

/* Is it one character again and again, the same as in the other? Llama 2 has such pieces, runs of spaces. */
static int same_run(struct str a, struct str b)
{
	uint32_t cp;
	size_t len = utf8_get(a.p, a.n, &cp);
	for (size_t i = 0; i < a.n; i++)
		if (a.p[i] != a.p[i % len])
			return 0;
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] != a.p[i % len])
			return 0;
	return 1;
}

/* The best score is merged first; equal scores have equal ranks, so that the leftmost goes first. */
static void add_merges(struct tokenizer *t, const struct spm *m)
{
	struct scored *s = xcalloc(m->n, sizeof *s);
	uint32_t *rank = xreallocarray(NULL, t->vocab.n, sizeof *rank), r = 0;
	size_t k = 0;
	memset(rank, 0xff, t->vocab.n * sizeof *rank);
	for (size_t i = 0; i < m->n; i++) {
		uint32_t cp;
		struct str text = m->pieces[i].text;
		if (m->pieces[i].type == PART_NORMAL && utf8_get(text.p, text.n, &cp) < text.n)
			s[k++] = (struct scored){ m->pieces[i].score, (uint32_t)i };
	}
	qsort(s, k, sizeof *s, by_score);
	for (size_t i = 0; i < k; i++) {
		/* A list of merges has no equal ranks. Runs of one character come out alike when it has the
		 * longest left half first; other equals may not. */
		if (!i || s[i].score != s[i - 1].score)
			r = (uint32_t)i;
		else if (!same_run(m->pieces[s[i].id].text, m->pieces[s[i - 1].id].text))
			t->no_json = "pieces have equal scores";
		rank[s[i].id] = r;
	}
	bpe_add_splits(&t->merges, &t->vocab, rank, cut_between_chars);
	free(rank);
	free(s);
}

/* Characters that occur in pieces without being one: they may merge, and fall back when they have not. */
static int add_pseudo(struct tokenizer *t, const struct spm *m, struct err *e)
{
	size_t next = m->n;
	for (size_t i = 0; i < m->n; i++) {
		struct str s = m->pieces[i].text;
		if (m->pieces[i].type != PART_NORMAL)
			continue;
		for (size_t at = 0, len; at < s.n; at += len) {
			uint32_t cp;
			len = utf8_get(s.p + at, s.n - at, &cp);
			if (vocab_find(&t->vocab, s.p + at, len) != NO_ID)
				continue;
			if (next >= VOCAB_MAX)
				return err_set(e, "more than %u pieces", VOCAB_MAX);
			t->first_pseudo = (uint32_t)m->n;
			t->no_json = "a piece has a character that is no piece";
			vocab_add(&t->vocab, (uint32_t)next++, s.p + at, len, 1);
		}
	}
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* The byte of "<0xNN>", -1 when it is something else. */
static int byte_piece(struct str s)
{
	if (s.n != 6 || memcmp(s.p, "<0x", 3) != 0 || s.p[5] != '>' || hex_digit(s.p[3]) < 0 ||
		hex_digit(s.p[4]) < 0)
		return -1;
	return hex_digit(s.p[3]) << 4 | hex_digit(s.p[4]);
}

static int add_piece(struct tokenizer *t, const struct spm *m, uint32_t id, struct err *e)
{
	const struct piece *p = &m->pieces[id];
	int byte;
	if (!p->text.n || p->text.n > 65536)
		return err_set(e, "piece %u is %s", id, p->text.n ? "too long" : "empty");
	if (utf8_valid(p->text.p, p->text.n) != p->text.n)
		return err_set(e, "piece %u is not UTF-8", id);
	if (isnan(p->score))
		return err_set(e, "piece %u: its score is not a number", id);
	if (p->type == PART_UNUSED && m->skip_unused)
		return 0;
	/* Two pieces of one text: the first is found, as when they are put in a table in order. */
	vocab_add(&t->vocab, id, p->text.p, p->text.n, p->type == PART_NORMAL || p->type == PART_USER);
	switch (p->type) {
	case PART_NORMAL:
		return 0;
	case PART_UNKNOWN:
		t->unk = id;
		return tok_add(t, (struct added){ .id = id, .text = p->text, .special = 1 }, e);
	case PART_CONTROL:
		return tok_add(t, (struct added){ .id = id, .text = p->text, .special = 1 }, e);
	case PART_USER:
		t->no_json = "it has user-defined symbols";
		return tok_add(t, (struct added){ .id = id, .text = p->text, .normalized = 1 }, e);
	case PART_BYTE:
		if ((byte = byte_piece(p->text)) < 0)
			return err_set(e, "piece %u is not a byte", id);
		t->byte_id[byte] = id;
		return 0;
	case PART_UNUSED:
		return err_set(e, "piece %u: unused pieces are not supported", id);
	}
	return err_set(e, "piece %u: unknown type", id);
}

static int add_normalizer(struct tokenizer *t, const struct spm *m, struct err *e)
{
	if (m->charsmap.n && !charsmap_check(m->charsmap))
		return err_set(e, "the precompiled normalization map is damaged");
	if (m->charsmap.n || m->extra_spaces) {
		struct str mark = m->escape ? STR(META) : STR(" ");
		tok_norm_step(t, NORM_SENTENCEPIECE, m->charsmap, m->extra_spaces ? mark : STR(""));
		t->norm.keep = &t->normalized; /* the user-defined symbols */
		t->no_json =
			m->charsmap.n ? "it has a precompiled normalization map" : "it removes extra spaces";
	}
	if (m->dummy_prefix)
		tok_norm_step(t, NORM_PREPEND, m->escape ? STR(META) : STR(" "), STR(""));
	if (m->escape)
		tok_norm_step(t, NORM_REPLACE, STR(" "), STR(META));
	t->strip_first = m->dummy_prefix;
	return 0;
}

static int build(struct tokenizer *t, const struct spm *m, struct err *e)
{
	static const char *const types[] = { "unknown", "unigram", "BPE", "word", "char" };
	if (m->model_type != 2)
		return err_set(e, "a sentencepiece model of type %s is not supported, only BPE",
			types[m->model_type < 5 ? m->model_type : 0]);
	if (m->suffix)
		return err_set(e, "treat_whitespace_as_suffix is not supported");
	if (m->n >= VOCAB_MAX)
		return err_set(e, "more than %u pieces", VOCAB_MAX);
	t->byte_fallback = m->byte_fallback;
	t->fuse_unk = t->verbatim = 1;
	for (uint32_t i = 0; i < m->n; i++)
		if (add_piece(t, m, i, e))
			return -1;
	if (add_pseudo(t, m, e) || add_normalizer(t, m, e))
		return -1;
	add_merges(t, m);
	if (m->bos >= 0 && (uint64_t)m->bos < m->n && m->pieces[m->bos].type == PART_CONTROL)
		t->bos = m->bos;
	if (m->eos >= 0 && (uint64_t)m->eos < m->n && m->pieces[m->eos].type == PART_CONTROL)
		t->eos = m->eos;
	return tok_finish(t, e);
}

struct tokenizer *tok_load_spm(const char *p, size_t n, struct err *e)
{
	struct spm m;
	struct tokenizer *t = tok_new();
	int rc = read_model(p, n, &m, e) || build(t, &m, e);
	free(m.pieces);
	if (rc) {
		tokenizer_free(t);
		return NULL;
	}
	return t;
}

int tok_build_pieces(struct tokenizer *t, const struct tok_parts *p, struct err *e)
{
	struct spm m = { .model_type = 2,
		.byte_fallback = 0,
		.dummy_prefix = p->space_prefix,
		.escape = 1,
		.skip_unused = 1,
		.bos = -1,
		.eos = -1 };
	for (size_t i = 0; i < p->n; i++) {
		int32_t type = p->types ? p->types[i] : PART_NORMAL;
		GROW(m.pieces, m.cap, m.n + 1);
		m.pieces[m.n++] = (struct piece){ p->tokens[i], p->scores[i], (uint64_t)(uint32_t)type };
		m.byte_fallback |= type == PART_BYTE;
	}
	int rc = build(t, &m, e);
	free(m.pieces);
	return rc;
}

/* --- llama2.c ------------------------------------------------------------------------------------------- */

/*
 * u32 longest piece; then for each id: f32 score, u32 length, bytes, with spaces for U+2581. Ids 0, 1, 2 are
 * unknown, begin and end ("\n<s>\n"), 3 to 258 the bytes.
 */
static int next_entry(struct cur *c, struct piece *p)
{
	p->score = cur_f32(c);
	p->text.n = cur_u32(c);
	p->text.p = p->text.n <= cur_left(c) ? cur_bytes(c, p->text.n) : NULL;
	p->type = PART_NORMAL;
	return p->text.p && !c->failed ? 0 : -1;
}

int tok_is_llama2c(const char *p, size_t n)
{
	struct cur c;
	struct piece x;
	cur_init(&c, p, n);
	uint32_t longest = cur_u32(&c);
	return longest > 0 && longest < 65536 && next_entry(&c, &x) == 0 && x.text.n <= longest &&
	       next_entry(&c, &x) == 0 && x.text.n <= longest && next_entry(&c, &x) == 0 &&
	       x.text.n <= longest;
}

static void adopt_entry(struct tokenizer *t, struct piece *p, size_t id)
{
	struct norm_step step = { NORM_REPLACE, STR(" "), STR(META) };
	struct textnorm meta = { .steps = &step, .n = 1 };
	struct buf b = { 0 }, tmp = { 0 };
	if (id < 3) {
		p->type = id ? PART_CONTROL : PART_UNKNOWN;
		while (p->text.n && p->text.p[0] == '\n')
			p->text = (struct str){ p->text.p + 1, p->text.n - 1 };
		while (p->text.n && p->text.p[p->text.n - 1] == '\n')
			p->text.n--;
	} else if (id < 259 && byte_piece(p->text) == (int)id - 3) {
		p->type = PART_BYTE;
	} else {
		norm_apply(&meta, p->text.p, p->text.n, &b, &tmp);
		p->text = tok_keep(t, b.p ? b.p : "", b.n);
	}
	buf_release(&b);
	buf_release(&tmp);
}

struct tokenizer *tok_load_llama2c(const char *p, size_t n, struct err *e)
{
	struct tokenizer *t = tok_new();
	struct spm m = {
		.model_type = 2, .byte_fallback = 1, .dummy_prefix = 1, .escape = 1, .bos = 1, .eos = 2
	};
	struct cur c;
	int rc = 0;
	cur_init(&c, p, n);
	cur_u32(&c);
	while (cur_left(&c) && !rc) {
		GROW(m.pieces, m.cap, m.n + 1);
		if (next_entry(&c, &m.pieces[m.n]))
			rc = err_set(e, "byte %zu: the file ends inside token %zu", c.at, m.n);
		else
			adopt_entry(t, &m.pieces[m.n], m.n);
		m.n += !rc;
	}
	rc = rc || build(t, &m, e);
	free(m.pieces);
	if (rc) {
		tokenizer_free(t);
		return NULL;
	}
	return t;
}
