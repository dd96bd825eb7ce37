/*
 * rules: the published rule sets as one table: a rule drops a document when a statistic is on the wrong side
 * of a limit, or it steers what the C4 walk does with a line.
 *
 * To add a rule: a statistic (textstat.h), a row in rules.c, a row in filter(1) and in
 * tests/unit/test_rules.c; a new set also its name in rule_sets.
 */
#ifndef QUERN_RULES_H
#define QUERN_RULES_H

#include "base/err.h"
#include "text/textstat.h"

enum rule_kind {
	RULE_MIN, /* drops below the limit */
	RULE_MAX, /* drops above the limit */
	RULE_LINE /* of a line: no verdict of its own */
};

struct rule {
	const char *set, *name;
	enum rule_kind kind;
	int stat; /* enum stat; for RULE_LINE the member of struct c4_limits, enum c4_line */
	double limit;
};
enum c4_line {
	C4_MAX_WORD,
	C4_MIN_WORDS,
	C4_END_MARK,
	C4_CITATIONS,
	C4_JAVASCRIPT,
	C4_POLICY,
	C4_LINE_TESTS
};

extern const struct rule
	rule_table[]; /* sets in one piece each, rules in the order in which they are tried */
extern const size_t rule_count;

/* A copy of the limits that can be changed; NAN turns a rule off. */
struct limits {
	double v[64];
};
void limits_init(struct limits *l);
/* Applies "SET/NAME=VALUE" or "SET/NAME=off". */
int limits_set(struct limits *l, const char *assignment, struct err *e);
struct c4_limits limits_c4(const struct limits *l);

/* The rules [*first, *first + *n) of a set ("gopher" is gopher-quality and gopher-repetition). -1: no such
 * set. */
int rules_of_set(struct str set, size_t *first, size_t *n);
/* Names of all sets, for messages. */
extern const char rule_sets[];
/* Does rule i drop the text? */
int rule_drops(size_t i, const struct limits *l, struct textstat *t);

#endif
