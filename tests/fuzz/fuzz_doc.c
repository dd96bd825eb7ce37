/* Files of documents in every format: what is read goes out as it was, and a changed record is what the
 * change says. */
#include "base/json.h"
#include "text/doc.h"
#include "text/minhash.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char path[] = "/tmp/quern-fuzz-XXXXXX";

static void remove_file(void)
{
	unlink(path);
}

static void write_file(const uint8_t *data, size_t n)
{
	static int fd = -1;
	if (fd < 0) {
		fd = mkstemp(path);
		atexit(remove_file);
	}
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
		abort();
}

static void check_doc(const struct doc *d)
{
	const struct doc_field changes[] = { { STR("text"), STR("[1]"), 0 }, { STR("\"\n"), STR("null"), 0 },
		{ STR("id"), { NULL, 0 }, 0 } };
	struct buf out = { 0 };
	struct arena a = { 0 };
	struct err e;
	if (d->bad)
		return;
	doc_add(&out, d);
	if (d->format != DOC_TEXT && (out.n != d->raw.n + 1 || memcmp(out.p, d->raw.p, d->raw.n) != 0))
		abort();
	if (d->format == DOC_JSONL) {
		struct json *v = json_parse(&a, d->raw.p, d->raw.n, 0, &e);
		if (!v || !str_eq(json_get(v, "text")->s, d->text) || v->n != d->nfields)
			abort();
	}
	buf_reset(&out);
	doc_add_changed(&out, d, changes, 3);
	struct json *v = json_parse(&a, out.p, out.n, 0, &e);
	if (!v || json_get(v, "text")->type != JSON_ARRAY || !json_get(v, "\"\n") || json_get(v, "id"))
		abort();
	struct shingles s = { 0 };
	shingles_of_text(&s, d->text, 3);
	shingles_release(&s);
	arena_release(&a);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct doc_batch b = { 0 };
	struct err e;
	char *files[] = { path, path };
	write_file(data, n);
	/* The length chooses the format. */
	struct doc_source *s = docs_open(files, 2, NULL, (enum doc_format)(n % 4), 0);
	uint64_t number = 0;
	while (docs_read(s, &b, 64, &e) > 0) {
		docs_parse(s, &b);
		for (size_t i = 0; i < b.n; i++) {
			if (b.docs[i].number != number++)
				abort();
			check_doc(&b.docs[i]);
		}
	}
	docs_close(s);
	doc_batch_release(&b);
	return 0;
}
