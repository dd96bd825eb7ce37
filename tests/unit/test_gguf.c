#include "base/mem.h"
#include "tap.h"
#include "tensor/gguf.h"

#include <stdlib.h>
#include <unistd.h>

static char path[64];

static void write_file(void)
{
	struct err e = { "" };
	struct writer *out = writer_open(path, &e);
	struct gguf_writer *w = gguf_writer_new();
	struct str names[] = { STR("one"), STR(""), STR("th\"ree") };
	float f[] = { 1.5f, -2 }, values[64];
	int32_t n[] = { -1, 70000, 3 };
	size_t flat = 5, matrix[] = { 2, 32 };
	for (int i = 0; i < 64; i++)
		values[i] = (float)(i % 5);
	gguf_put_u32(w, "a.count", 7);
	gguf_put_f32(w, "a.number", 0.1f);
	gguf_put_bool(w, "a.flag", 1);
	gguf_put_str(w, "a.text", STR("b\0c"));
	gguf_put_strs(w, "a.texts", names, 3);
	gguf_put_f32s(w, "a.numbers", f, 2);
	gguf_put_i32s(w, "a.counts", n, 3);
	gguf_declare(w, "flat", QUANT_F32, 1, &flat);
	gguf_declare(w, "matrix", QUANT_Q8_0, 2, matrix);
	gguf_declare(w, "half", QUANT_F16, 2, matrix);
	gguf_begin(w, out);
	gguf_values(w, values, 5);
	/* In pieces of whole blocks. */
	gguf_values(w, values, 32);
	gguf_values(w, values + 32, 32);
	gguf_values(w, values, 64);
	gguf_end(w);
	ok(writer_commit(out, 0, &e) == 0, "a file is written %s", e.msg);
}

static void test_metadata(const struct gguf *g)
{
	struct err e = { "" };
	int64_t n = 0;
	double d = 0;
	int flag = 0;
	struct str s;
	struct gguf_items it;
	ok(gguf_int(g, "a.count", &n, &e) == 1 && n == 7, "an integer");
	ok(gguf_num(g, "a.number", &d, &e) == 1 && d == (double)0.1f, "a number");
	ok(gguf_num(g, "a.count", &d, &e) == 1 && d == 7, "an integer as a number");
	ok(gguf_bool(g, "a.flag", &flag, &e) == 1 && flag, "a flag");
	ok(gguf_str(g, "a.text", &s, &e) == 1 && s.n == 3 && memcmp(s.p, "b\0c", 3) == 0, "a text");
	ok(gguf_items(g, "a.texts", GGUF_STR, &it, &e) == 1 && it.n == 3, "a list of texts");
	ok(str_is(gguf_next_str(&it), "one") && gguf_next_str(&it).n == 0 &&
			str_is(gguf_next_str(&it), "th\"ree") && it.n == 0,
		"its items");
	ok(gguf_items(g, "a.numbers", GGUF_F32, &it, &e) == 1 && gguf_next_num(&it) == 1.5 &&
			gguf_next_num(&it) == -2,
		"a list of numbers");
	ok(gguf_items(g, "a.counts", GGUF_F32, &it, &e) == 1 && gguf_next_num(&it) == -1 &&
			gguf_next_num(&it) == 70000,
		"of integers");
	ok(gguf_int(g, "b", &n, &e) == 0 && gguf_str(g, "b", &s, &e) == 0 &&
			gguf_items(g, "b", GGUF_STR, &it, &e) == 0 && it.n == 0,
		"what is not there is not found");
	ok(gguf_int(g, "a.text", &n, &e) < 0 && strstr(e.msg, "a.text: wants an integer"), "refused: %s",
		e.msg);
	ok(gguf_int(g, "a.counts", &n, &e) < 0 && strstr(e.msg, "layers that differ"), "refused: %s", e.msg);
	ok(gguf_bool(g, "a.count", &flag, &e) < 0 && gguf_num(g, "a.texts", &d, &e) < 0 &&
			gguf_str(g, "a.texts", &s, &e) < 0 &&
			gguf_items(g, "a.text", GGUF_STR, &it, &e) < 0 &&
			gguf_items(g, "a.texts", GGUF_F32, &it, &e) < 0,
		"other types are refused");
}

static void test_reading(void)
{
	struct err e = { "" };
	struct gguf *g = gguf_open(path, &e);
	ok(g != NULL, "and read %s", e.msg);
	if (!g)
		return;
	test_metadata(g);
	const struct gguf_tensor *t = gguf_get(g, "matrix");
	float values[64] = { 0 };
	ok(gguf_count(g) == 3 && gguf_at(g, 1) == t && !gguf_get(g, "b"), "the tensors, in their order");
	ok(t && t->quant == QUANT_Q8_0 && t->ndim == 2 && t->shape[0] == 2 && t->shape[1] == 32 &&
			t->count == 64,
		"type and shape");
	quant_to_f32(QUANT_Q8_0, values, t->data, 64);
	ok(fabsf(values[33] - 3) < 0.01f && fabsf(values[63] - 3) < 0.01f, "values, as the type holds them");
	t = gguf_get(g, "flat");
	quant_to_f32(QUANT_F32, values, t->data, t->count);
	ok(t->ndim == 1 && t->count == 5 && values[4] == 4, "one dimension");
	t = gguf_get(g, "half");
	quant_to_f32(QUANT_F16, values, t->data, t->count);
	ok(values[63] == 3, "the last one");
	gguf_close(g);
}

/* --- files by hand --- */

static void str(struct buf *b, const char *s)
{
	buf_add_u64(b, strlen(s));
	buf_adds(b, s);
}

static void start(struct buf *b, uint32_t version, uint64_t tensors, uint64_t values)
{
	buf_reset(b);
	buf_adds(b, "GGUF");
	buf_add_u32(b, version);
	buf_add_u64(b, tensors);
	buf_add_u64(b, values);
}

static void u32_value(struct buf *b, const char *key, uint32_t v)
{
	str(b, key);
	buf_add_u32(b, GGUF_U32);
	buf_add_u32(b, v);
}

static void tensor(
	struct buf *b, const char *name, uint64_t rows, uint64_t cols, uint32_t type, uint64_t offset)
{
	str(b, name);
	buf_add_u32(b, 2);
	buf_add_u64(b, cols);
	buf_add_u64(b, rows);
	buf_add_u32(b, type);
	buf_add_u64(b, offset);
}

static void fill(struct buf *b, size_t align, size_t n)
{
	while (b->n % align)
		buf_addc(b, 0);
	for (size_t i = 0; i < n; i++)
		buf_addc(b, (int)(i & 255));
}

static void test_foreign(void)
{
	struct err e = { "" };
	struct buf b = { 0 };
	int64_t n;
	start(&b, 2, 2, 3);
	u32_value(&b, "general.alignment", 8);
	str(&b, "heads");
	buf_add_u32(&b, GGUF_ARRAY);
	buf_add_u32(&b, GGUF_U16);
	buf_add_u64(&b, 2);
	buf_add_u16(&b, 4);
	buf_add_u16(&b, 4);
	str(&b, "wide");
	buf_add_u32(&b, GGUF_I64);
	buf_add_u64(&b, (uint64_t)-9);
	tensor(&b, "a", 1, 3, 0, 0);
	tensor(&b, "b", 2, 256, 16, 16);
	fill(&b, 8, 12);
	struct gguf *g = gguf_parse(b.p, b.n, "FILE", &e);
	ok(g != NULL, "version 2, another alignment, a type that is not read %s", e.msg);
	ok(g && gguf_int(g, "heads", &n, &e) == 1 && n == 4, "one integer for all layers, as a list");
	ok(g && gguf_int(g, "wide", &n, &e) == 1 && n == -9, "a wide one");
	ok(g && gguf_get(g, "a")->data == b.p + b.n - 12, "data at its alignment");
	ok(g && gguf_get(g, "b")->quant < 0 && !gguf_get(g, "b")->data && gguf_get(g, "b")->ggml_type == 16,
		"a type of unknown size has no data");
	gguf_close(g);
	start(&b, 3, 0, 0);
	g = gguf_parse(b.p, b.n, "FILE", &e);
	ok(g && gguf_count(g) == 0, "an empty file");
	gguf_close(g);
	buf_release(&b);
}

static void refuse(const struct buf *b, const char *why)
{
	struct err e = { "" };
	struct gguf *g = gguf_parse(b->p, b->n, "FILE", &e);
	ok(!g && strncmp(e.msg, "FILE: ", 6) == 0 && strstr(e.msg, why), "refused: %s", e.msg);
	gguf_close(g);
}

static void test_refusals(void)
{
	struct buf b = { 0 };
	buf_adds(&b, "GGML1234");
	refuse(&b, "not a GGUF file");
	start(&b, 1, 0, 0);
	refuse(&b, "version 1 is not read");
	start(&b, 0x03000000, 0, 0);
	refuse(&b, "big-endian");
	start(&b, 3, 1, 0);
	refuse(&b, "cut short");
	start(&b, 3, 0, UINT64_MAX);
	refuse(&b, "byte 24: the file is cut short");
	start(&b, 3, 0, 1);
	buf_add_u64(&b, UINT64_MAX);
	refuse(&b, "cut short");
	start(&b, 3, 0, 1);
	str(&b, "");
	refuse(&b, "is no name");
	start(&b, 3, 0, 2);
	u32_value(&b, "a", 1);
	u32_value(&b, "a", 1);
	refuse(&b, "'a' stands there twice");
	start(&b, 3, 0, 1);
	str(&b, "a");
	buf_add_u32(&b, 13);
	refuse(&b, "type 13, which is not known");
	start(&b, 3, 0, 1);
	str(&b, "a");
	buf_add_u32(&b, GGUF_ARRAY);
	buf_add_u32(&b, GGUF_F64);
	buf_add_u64(&b, UINT64_MAX / 8);
	refuse(&b, "longer than the file");
	start(&b, 3, 0, 1);
	str(&b, "a");
	buf_add_u32(&b, GGUF_ARRAY);
	buf_add_u32(&b, GGUF_ARRAY);
	buf_add_u64(&b, 1);
	refuse(&b, "type 9, which is not known");
	start(&b, 3, 0, 1);
	u32_value(&b, "general.alignment", 24);
	refuse(&b, "no power of two");
	start(&b, 3, 1, 0);
	tensor(&b, "a", 2, 4, 0, 0);
	fill(&b, 32, 31);
	refuse(&b, "ends behind the 31 bytes");
	start(&b, 3, 1, 0);
	tensor(&b, "a", 1, 4, 0, UINT64_MAX - 31);
	fill(&b, 32, 32);
	refuse(&b, "ends behind");
	start(&b, 3, 1, 0);
	tensor(&b, "a", 1, 4, 0, 4);
	fill(&b, 32, 32);
	refuse(&b, "no multiple of 32");
	start(&b, 3, 1, 0);
	tensor(&b, "a", 4, 48, 2, 0);
	refuse(&b, "rows of 48 are no whole blocks of Q4_0");
	start(&b, 3, 1, 0);
	str(&b, "a");
	buf_add_u32(&b, 0); /* no dimension: one value */
	buf_add_u32(&b, 2);
	buf_add_u64(&b, 0);
	refuse(&b, "rows of 1 are no whole blocks of Q4_0");
	start(&b, 3, 1, 0);
	tensor(&b, "a", UINT64_MAX, UINT64_MAX, 0, 0);
	refuse(&b, "shape is too large");
	start(&b, 3, 2, 0);
	tensor(&b, "a", 1, 4, 0, 0);
	tensor(&b, "a", 1, 4, 0, 32);
	fill(&b, 32, 64);
	refuse(&b, "'a' stands there twice");
	start(&b, 3, 1, 0);
	str(&b, "a");
	buf_add_u32(&b, 5);
	refuse(&b, "5 dimensions");
	buf_release(&b);
}

int main(void)
{
	snprintf(path, sizeof path, "/tmp/quern-test_gguf.%ld.gguf", (long)getpid());
	write_file();
	test_reading();
	unlink(path);
	test_foreign();
	test_refusals();
	return tap_end();
}
