/* A completion on its way to a score: bytes in pieces through textout, whose text is UTF-8 and only grows,
 * then through filters that take the answer out, and the metrics. The first byte says how long the pieces
 * are, the rest up to the first NUL is a stop string, then comes the completion. */
#include "eval/answer.h"
#include "eval/metric.h"
#include "eval/textout.h"
#include "text/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const chains[] = {
	"{\"filter\":[{\"function\":\"regex\",\"group_select\":-1,\"regex_pattern\":\"(-?[$0-9.,]{2,})|(-?[0-"
	"9]+)\"}]}",
	"{\"filter\":[{\"function\":\"regex\",\"regex_pattern\":\"(?s).*?\\\\K(\\\\w*)\"},{\"function\":"
	"\"uppercase\"}]}",
	"{\"filter\":[{\"function\":\"remove_whitespace\"},{\"function\":\"lowercase\"},{\"function\":\"take_"
	"first\"}]}",
};
static const char metric[] =
	"{\"metric\":\"exact_match\",\"ignore_case\":true,\"ignore_punctuation\":true,"
	"\"ignore_numbers\":true,\"regexes_to_ignore\":[\",\",\"(?s).*#### \",\"\\\\.$\"]}";

#define N_CHAINS (sizeof chains / sizeof *chains)
static struct answer_chain chain[N_CHAINS];
static struct metric *exact;

static void cleanup(void)
{
	for (size_t i = 0; i < N_CHAINS; i++)
		answer_chain_release(&chain[i]);
	metric_free(exact);
}

static void init(void)
{
	struct arena a = { 0 };
	struct err e;
	if (exact)
		return;
	exact = metric_new(json_parse(&a, metric, sizeof metric - 1, 0, &e), TASK_GENERATE, &e);
	for (size_t i = 0; i < N_CHAINS; i++)
		if (answer_chain_init(&chain[i], json_parse(&a, chains[i], strlen(chains[i]), 0, &e), &e) < 0)
			abort();
	arena_release(&a);
	atexit(cleanup);
}

static void measure(struct str text, struct str target)
{
	struct tally t = { 0 };
	for (size_t i = 0; i < N_CHAINS; i++) {
		struct buf b = { 0 };
		answer_chain_apply(&chain[i], text, &b);
		struct outcome o = { .kind = TASK_GENERATE,
			.answer = { b.n ? b.p : "", b.n },
			.targets = &target,
			.ntargets = 1 };
		double v = metric_score(exact, &o, &t);
		if (v != 0 && v != 1)
			abort();
		buf_release(&b);
	}
	tally_release(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *p = (const char *)data;
	if (!n)
		return 0;
	init();
	size_t piece = 1 + data[0] % 7, at = 1;
	const char *nul = memchr(p + 1, 0, n - 1);
	struct str stop = { p + 1, nul ? (size_t)(nul - p - 1) : 0 };
	struct textout t;
	at += nul ? stop.n + 1 : 0;
	struct str rest = { p + at, n - at };
	textout_init(&t, &stop, 1);
	for (size_t shown = 0; at < n; at += piece) {
		textout_add(&t, p + at, piece < n - at ? piece : n - at);
		if (t.text.n < shown)
			abort();
		shown = t.text.n;
	}
	textout_end(&t);
	for (size_t i = 0, k; i < t.text.n; i += k) {
		uint32_t cp;
		k = utf8_get(t.text.p + i, t.text.n - i, &cp);
		if (cp == UTF8_BAD && k < 3) /* not U+FFFD itself */
			abort();
	}
	measure((struct str){ t.text.n ? t.text.p : "", t.text.n }, rest);
	textout_release(&t);
	return 0;
}
