/* Records as generate writes them: rewarded by every verifier and read for scoring again. What goes out is
 * the record with its rewards, and ids that are read are the model's. */
#include "eval/completions.h"
#include "base/die.h"

#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { VOCAB = 300, CONTEXT = 16, VERIFIERS = 4 };

static char path[] = "/tmp/quern-fuzz-completion-XXXXXX";
static struct verifier verifiers[VERIFIERS];

static void cleanup(void)
{
	unlink(path);
	for (int i = 0; i < VERIFIERS; i++)
		verifier_release(&verifiers[i]);
}

static void write_file(const uint8_t *data, size_t n)
{
	static const char *const specs[VERIFIERS] = { "math", "string:end,nocase", "regex:(\\w+)",
		"regex:a+" };
	static int fd = -1;
	struct err e;
	if (fd < 0) {
		fd = mkstemp(path);
		for (int i = 0; i < VERIFIERS; i++)
			ASSERT(verifier_init(&verifiers[i], specs[i], &e) == 0);
		atexit(cleanup);
	}
	if (fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, data, n, 0) != (ssize_t)n)
		abort();
}

static void check_doc(const struct doc *d, struct rescore *r)
{
	struct buf out = { 0 };
	struct arena a = { 0 };
	struct err e;
	if (d->bad)
		return;
	double given;
	if (completion_verify(d, verifiers, VERIFIERS, "answer", &out, &given, &e) == 0) {
		struct json *v = json_parse(&a, out.p, out.n, JSON_STRICT, &e);
		double reward = json_num(v, "reward", -1);
		if (!(reward >= 0 && reward <= VERIFIERS) || reward != given ||
			json_get(v, "reward_parts")->n != VERIFIERS)
			abort();
	}
	if (rescore_read(r, d, VOCAB, CONTEXT, &e) == 0) {
		if (r->ids.n > CONTEXT + 1 || r->first > r->ids.n)
			abort();
		for (size_t i = 0; i < r->ids.n; i++)
			if (r->ids.v[i] >= VOCAB)
				abort();
	}
	arena_release(&a);
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char *files[] = { path };
	struct doc_batch b = { 0 };
	struct rescore r = { 0 };
	struct err e;
	write_file(data, n);
	struct doc_source *s = docs_open(files, 1, "completion", DOC_JSONL, 0);
	while (docs_read(s, &b, 4096, &e) > 0) {
		docs_parse(s, &b);
		for (size_t i = 0; i < b.n; i++)
			check_doc(&b.docs[i], &r);
	}
	docs_close(s);
	doc_batch_release(&b);
	rescore_release(&r);
	return 0;
}
