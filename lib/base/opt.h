/*
 * opt: a command's options live in one table. It parses, checks, prints -h with live defaults, and writes the
 * options that change bytes into what records a run (provenance, checkpoints).
 *
 *	static struct opt opts[] = {
 *		{ "vocab", 0, OPT_COUNT, &vocab, "N", "size of the vocabulary", OPT_BYTES },
 *		OPT_COMMON,
 *		{ 0 } };
 *
 * Accepted: --name value, --name=value, -x value, -xvalue, flags bundled (-qv), "--" ends options, options
 * and operands in any order. Unambiguous prefixes are NOT accepted: scripts break when options are added.
 */
#ifndef QUERN_OPT_H
#define QUERN_OPT_H

#include "base/buf.h"
#include <stddef.h>
#include <stdint.h>

enum opt_type {
	OPT_FLAG,     /* int: set to 1; --no-NAME sets 0 */
	OPT_COUNTER,  /* int: + 1 each time (-v) */
	OPT_STR,      /* const char * */
	OPT_LIST,     /* struct opt_list: may be given several times */
	OPT_INT,      /* int64_t, may be negative */
	OPT_COUNT,    /* uint64_t with k M G Ki Mi Gi */
	OPT_NUM,      /* double */
	OPT_DURATION, /* double seconds: 90s 15m 2h, a bare number is seconds */
	OPT_CHOICE,   /* int: index into the '|'-separated words of `arg` */
	OPT_HEADING   /* no option: a line in -h that names the group below */
};
enum opt_flags {
	OPT_BYTES = 1,  /* changes output bytes: recorded by opt_record */
	OPT_HIDDEN = 2, /* not in -h (aliases) */
	OPT_KEPT = 4    /* recorded like OPT_BYTES, but a run may go on with another value */
};

struct opt_list {
	const char **v;
	const char **by; /* by[i]: name of the option that gave v[i], where several share a list to keep their
			    order */
	size_t n, cap, by_cap;
};

struct opt {
	const char *name; /* long name without dashes; NULL ends the table */
	char letter;      /* short name or 0 */
	enum opt_type type;
	void *var; /* holds the default before parsing; OPT_COUNT of UINT64_MAX, OPT_NUM of NAN, negative
		      OPT_CHOICE and NULL strings mean "not set" and print no default */
	const char *arg;  /* name of the value in -h; OPT_CHOICE: the words */
	const char *help; /* one line; a default is appended */
	unsigned flags;
	int given; /* set by cmd_init: how often the option was on the command line */
};

struct opt_common {
	const char *output;
	uint64_t threads; /* 0 until cmd_init: then what -j says, or all */
	int quiet, verbose, help, version, skip_bad;
	uint64_t seed;
	const char *log;
};
extern struct opt_common common;

/* The options that every command has. Put them at the end of the table, before { 0 }. */
#define OPT_COMMON                                                                                        \
	{ "output", 'o', OPT_STR, &common.output, "FILE",                                                 \
		"write here, complete or not at all (- is stdout)" },                                     \
		{ "threads", 'j', OPT_COUNT, &common.threads, "N",                                        \
			"threads (0: all this process may use)" },                                        \
		{ "seed", 0, OPT_COUNT, &common.seed, "N", "seed of every random choice", OPT_BYTES },    \
		{ "skip-bad", 0, OPT_FLAG, &common.skip_bad, NULL, "skip and count unreadable records" }, \
		{ "log", 0, OPT_STR, &common.log, "FILE", "append metrics as JSON lines" },               \
		{ "quiet", 'q', OPT_FLAG, &common.quiet, NULL, "no messages but errors and warnings" },   \
		{ "verbose", 'v', OPT_COUNTER, &common.verbose, NULL, "say more" },                       \
		{ "help", 'h', OPT_FLAG, &common.help, NULL, "print this" },                              \
	{                                                                                                 \
		"version", 'V', OPT_FLAG, &common.version, NULL, "print the version"                      \
	}

struct command {
	const char *name;  /* "tokenize" */
	const char *usage; /* lines as in SYNOPSIS, each without the name in front, separated by '\n' */
	const char *about; /* one line */
	struct opt *opts;
};

/* First call of every main: names the program, installs the handlers that remove temporary files (signals,
 * exit), parses. Prints and exits for -h and -V (0) and for wrong usage (2). Returns the operands, in order,
 * with their count in *n; they point into argv (whose order changes). Applies -j, -q and -v. */
char **cmd_init(const struct command *c, int argc, char **argv, int *n);

/* Last call of every main: flushes stdout and checks it; returns the exit status. */
int cmd_end(void);

/* The option of that name (a bug when there is none). */
struct opt *opt_find(struct opt *opts, const char *name);
/* Wrong usage when one of these was given: they say nothing in this mode ("-t", "encoding"). */
void opt_refuse(struct opt *opts, const char *mode, const char *const *names);
#define OPT_NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The recorded options as one JSON object with sorted keys: every OPT_BYTES or OPT_KEPT option, given or not.
 */
void opt_record(const struct opt *opts, struct buf *b);

/* What a run recorded, held against this command line: an option that was not given takes the recorded value;
 * a given one must have it, unless it is OPT_KEPT. -1: the message names the option and both values. Recorded
 * options that the table lacks are ignored, as are those that the record lacks. Call it before -1/NAN
 * defaults are filled in. */
struct json;
int opt_restore(struct opt *opts, const struct json *record, struct err *e);

/* The word of an OPT_CHOICE. */
const char *opt_choice(const struct opt *o);

/* Parsers of one value, for formats that share the syntax; -1 when malformed. A count is below UINT64_MAX. */
int parse_count(const char *s, uint64_t *v);
int parse_duration(const char *s, double *v);
int parse_num(const char *s, double *v);
int parse_int(const char *s, int64_t *v);

#endif
