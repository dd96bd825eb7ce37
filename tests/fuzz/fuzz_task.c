/* A task file: its JSON and templates. The data that it names is a record of this target's own. */
#include "eval/task.h"
#include "base/io.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "/tmp/quern-fuzz-task.XXXXXX", task[64], data[64];

static void cleanup(void)
{
	unlink(task);
	unlink(data);
	rmdir(dir);
}

static void put(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "w");
	if (!f || fwrite(p, 1, n, f) != n || fclose(f) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static const char record[] =
		"{\"q\":\"one two\",\"a\":\"2\",\"c\":[\"1\",\"2\"],\"n\":1,\"o\":{\"k\":[1,2]}}\n"
		"{\"q\":\"three\",\"a\":\"1\",\"c\":[\"1\"],\"n\":0,\"o\":{}}\n";
	struct err e;
	struct arena a = { 0 };
	struct task_item it;
	if (!task[0]) {
		if (!mkdtemp(dir))
			abort();
		snprintf(task, sizeof task, "%s/t.json", dir);
		snprintf(data, sizeof data, "%s/d.jsonl", dir);
		put(data, record, sizeof record - 1);
		atexit(cleanup);
	}
	put(task, bytes, n);
	struct task_overrides o = { UINT64_MAX, UINT64_MAX, 0, 0 };
	struct task *t = task_load(task, &o, &e);
	for (size_t i = 0; t && i < t->ndocs; i++)
		task_item(t, i, &a, &it, &e);
	task_free(t);
	arena_release(&a);
	return 0;
}
