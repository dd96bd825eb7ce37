/*
 * answer: chains of filters that take the answer out of a generated text before it is compared, under
 * lm-eval's names and with its meaning. To add one: a row in answer.c, a case in test_task.c, a line in
 * quern-task(5).
 */
#ifndef QUERN_ANSWER_H
#define QUERN_ANSWER_H

#include "base/json.h"

struct answer_filter; /* one step */
struct answer_chain {
	char *name;
	struct answer_filter *steps;
	size_t n;
};

/* One element of filter_list: {"name", "filter": [{"function", ...}, ...]}. */
int answer_chain_init(struct answer_chain *c, const struct json *spec, struct err *e);
void answer_chain_release(struct answer_chain *c);
/* Appends what the chain makes of text. */
void answer_chain_apply(const struct answer_chain *c, struct str text, struct buf *out);

#endif
