#include "base/buf.h"
#include "tap.h"
#include "tensor/safetensors.h"

#include <stdlib.h>
#include <unistd.h>

static char path[64];

static void write_file(void)
{
	struct err e;
	struct writer *w = writer_open(path, &e);
	struct safetensors_writer *s = safetensors_writer_new();
	size_t shape[] = { 2, 3 }, none[] = { 0, 5 };
	float a[6] = { 1, -2, 0.5f, 1e30f, 3.0000002f, 0 };
	int64_t id = -7;
	safetensors_writer_meta(s, "format", "pt", 2);
	safetensors_writer_meta(s, "odd \"key\"", "a\nb", 3);
	safetensors_writer_declare(s, "first", DTYPE_F32, 2, shape);
	safetensors_writer_declare(s, "none", DTYPE_F32, 2, none);
	safetensors_writer_declare(s, "half", DTYPE_BF16, 2, shape);
	safetensors_writer_declare(s, "id", DTYPE_I64, 0, NULL);
	safetensors_writer_begin(s, w);
	safetensors_writer_f32(s, a, 6);
	/* In pieces, as a caller with more than memory holds would. */
	safetensors_writer_f32(s, a, 2);
	safetensors_writer_f32(s, a + 2, 4);
	safetensors_writer_data(s, &id, sizeof id);
	safetensors_writer_end(s);
	ok(writer_commit(w, 0, &e) == 0, "a file is written");
}

static void test_reading(void)
{
	struct err e = { "" };
	struct safetensors *s = safetensors_open(path, &e);
	ok(s != NULL, "and read %s", e.msg);
	if (!s)
		return;
	ok(safetensors_count(s) == 4, "all tensors are there");
	const struct tensor_view *t = safetensors_get(s, "half");
	float half[6];
	ok(t && t->dtype == DTYPE_BF16 && t->ndim == 2 && t->shape[1] == 3 && t->count == 6,
		"type and shape");
	to_f32(half, t->data, t->dtype, 6);
	ok(half[1] == -2 && half[2] == 0.5f && half[4] == 3, "values, rounded to the type");
	ok(safetensors_at(s, 0) == safetensors_get(s, "first"), "in the order of the file");
	t = safetensors_get(s, "id");
	int64_t id = 0;
	memcpy(&id, t->data, sizeof id);
	ok(id == -7 && t->ndim == 0 && t->count == 1, "a scalar");
	ok(safetensors_get(s, "none")->count == 0, "an empty tensor");
	ok_str(safetensors_meta(s, "odd \"key\""), "a\nb", "metadata");
	ok(!safetensors_meta(s, "nothing") && !safetensors_get(s, "nothing"), "what is not there is NULL");
	safetensors_close(s);
}

/* Header text and n bytes of data. */
static void refuse(const char *header, size_t n, const char *why)
{
	struct err e = { "" };
	struct buf b = { 0 };
	char data[64] = { 0 };
	buf_add_u64(&b, strlen(header));
	buf_adds(&b, header);
	buf_add(&b, data, n);
	struct safetensors *s = safetensors_parse(b.p, b.n, "FILE", &e);
	ok(!s && strncmp(e.msg, "FILE: ", 6) == 0 && strstr(e.msg, why), "refused: %s", e.msg);
	safetensors_close(s);
	buf_release(&b);
}

static void test_refusals(void)
{
#define T(dtype, shape, from, to) \
	"{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #from "," #to "]}"
	refuse("{\"a\":" T("F32", "2", 0, 8) "}", 4, "cut short");
	refuse("{\"a\":" T("F32", "2", 0, 8) "}", 12, "behind the last tensor");
	refuse("{\"a\":" T("F32", "2", 0, 8) ",\"b\":" T("F32", "1", 4, 8) "}", 8, "inside another");
	refuse("{\"a\":" T("F32", "2", 0, 8) ",\"b\":" T("F32", "1", 12, 16) "}", 16, "behind a hole");
	refuse("{\"a\":" T("F32", "2", 0, 8) ",\"a\":" T("F32", "1", 8, 12) "}", 12, "twice");
	refuse("{\"a\":" T("F32", "3", 0, 8) "}", 8, "its shape wants 12");
	refuse("{\"a\":" T("F32", "-2", 0, 8) "}", 8, "is no count");
	refuse("{\"a\":" T("F32", "4294967296,4294967296,16", 0, 8) "}", 8, "too large");
	refuse("{\"a\":" T("F32", "1,1,1,1,1,1,1,1,2", 0, 8) "}", 8, "9 dimensions");
	refuse("{\"a\":" T("F7", "2", 0, 8) "}", 8, "dtype 'F7' is not known");
	refuse("{\"a\":" T("F32", "2", 8, 0) "}", 8, "no range");
	refuse("{\"a\":" T("F32", "2", 0, 9223372036854775807) "}", 8, "cut short");
	refuse("{\"a\":7}", 0, "wants dtype");
	refuse("{\"b\\u0000\":7}", 0, "holds a NUL");
	struct buf longer = { 0 };
	buf_adds(&longer, "{\"a\":{\"shape\":[0");
	while (longer.n < 5000)
		buf_adds(&longer, ",0");
	buf_adds(&longer, "]}}");
	refuse(longer.p, 0, "its entry is too long");
	buf_release(&longer);
	refuse("{\"__metadata__\":{\"a\":7}}", 0, "no string");
	refuse("{\"a\":", 0, "header: byte 5");
	refuse("[]", 0, "not a safetensors file");
	struct err e;
	ok(!safetensors_parse("{}", 2, "FILE", &e) && strstr(e.msg, "too few"), "refused: %s", e.msg);
	ok(!safetensors_parse("\377\377\377\377\377\377\377\177{", 9, "FILE", &e), "refused: %s", e.msg);
}

int main(void)
{
	snprintf(path, sizeof path, "/tmp/quern-test_safetensors.%ld.safetensors", (long)getpid());
	write_file();
	test_reading();
	unlink(path);
	test_refusals();
	return tap_end();
}
