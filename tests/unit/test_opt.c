#include "base/opt.h"
#include "base/die.h"
#include "base/json.h"
#include "base/mem.h"
#include "tap.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int flag, on = 1, choice = 1;
static const char *text;
static struct opt_list list;
static int64_t number = -3;
static uint64_t count = 1000, unset = UINT64_MAX;
static double real = 0.5, seconds = 90;

static struct opt opts[] = {
	{ "flag", 'f', OPT_FLAG, &flag, NULL, "a flag" },
	{ "on", 0, OPT_FLAG, &on, NULL, "a flag that is on", OPT_BYTES },
	{ "text", 't', OPT_STR, &text, "STR", "a string", OPT_BYTES },
	{ "list", 'l', OPT_LIST, &list, "STR", "strings", OPT_BYTES },
	{ "number", 0, OPT_INT, &number, "N", "a number", OPT_BYTES },
	{ "count", 'c', OPT_COUNT, &count, "N", "a count", OPT_BYTES },
	{ "unset", 0, OPT_COUNT, &unset, "N", "no default", OPT_BYTES },
	{ "real", 'r', OPT_NUM, &real, "X", "a real number", OPT_BYTES },
	{ "time", 0, OPT_DURATION, &seconds, "T", "a duration" },
	{ "choice", 0, OPT_CHOICE, &choice, "red|green|blue", "a colour", OPT_BYTES },
	OPT_COMMON,
	{ 0 },
};
static const struct command command = { "tool", "[-f] [file ...]\n-t STR", "A tool.", opts };

static int parse(char **operands, const char *line)
{
	static char copy[512], *argv[32];
	int argc = 0, n;
	snprintf(copy, sizeof copy, "tool %s", line);
	for (char *w = copy; *w;) {
		size_t len = strcspn(w, " ");
		argv[argc++] = w;
		w += len + (w[len] == ' ');
		w[-1] = w[-1] == ' ' ? 0 : w[-1];
	}
	argv[argc] = NULL;
	char **rest = cmd_init(&command, argc, argv, &n);
	for (int i = 0; i < n; i++)
		operands[i] = rest[i];
	return n;
}

/* Exit status and output of parsing this line in a process of its own. */
static int outcome(const char *line, char *out, size_t size)
{
	int fd[2], status;
	fflush(stdout);
	if (pipe(fd) < 0)
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		char *unused[32];
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		parse(unused, line);
		exit(77);
	}
	close(fd[1]);
	size_t n = 0;
	for (ssize_t got; n < size - 1 && (got = read(fd[0], out + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	out[n] = 0;
	close(fd[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_wrong(void)
{
	static const struct {
		const char *line, *message;
	} wrong[] = {
		{ "--nope", "tool: unknown option --nope" },
		{ "--fla", "tool: unknown option --fla" },
		{ "-x", "tool: unknown option -x" },
		{ "-fx", "tool: unknown option -x" },
		{ "--flag=1", "tool: --flag takes no value" },
		{ "--text", "tool: --text wants a value" },
		{ "-t", "tool: -t wants a value" },
		{ "--no-text", "tool: unknown option --no-text" },
		{ "--choice pink", "tool: --choice is one of red|green|blue, not 'pink'" },
		{ "--choice re", "tool: --choice is one of red|green|blue, not 're'" },
		{ "-c -1", "tool: --count wants a count such as 500, 32k or 2Gi, not '-1'" },
		{ "-c 1.5", "tool: --count wants a count such as 500, 32k or 2Gi, not '1.5'" },
		{ "-r 1x", "tool: --real wants a number, not '1x'" },
		{ "-r nan", "tool: --real wants a number, not 'nan'" },
		{ "--number 9223372036854775808",
			"tool: --number wants a number, not '9223372036854775808'" },
		{ "--time 5y", "tool: --time wants a duration such as 90s, 15m or 2h, not '5y'" },
		{ "-j 5000", "tool: -j wants a number of threads up to 4096" },
	};
	char out[8192];
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		int rc = outcome(wrong[i].line, out, sizeof out);
		out[strcspn(out, "\n")] = 0;
		ok(rc == 2, "exit 2: %s", wrong[i].line);
		ok_str(out, wrong[i].message, "with its message");
	}
}

static void test_help(void)
{
	char out[8192];
	ok(outcome("-h", out, sizeof out) == 0, "-h ends well");
	ok(strstr(out, "usage: tool [-f] [file ...]\n       tool -t STR\nA tool.\n\n") == out,
		"it starts with usage");
	ok(strstr(out, "--on                    a flag that is on (on; --no-on)\n") != NULL,
		"a flag that is on");
	ok(strstr(out, "-c, --count N               a count (1000)\n") != NULL, "a default");
	ok(strstr(out, "    --unset N               no default\n") != NULL, "none");
	ok(strstr(out, "--choice red|green|blue\n                              a colour (green)\n") != NULL,
		"a choice");
	ok(strstr(out, "-h, --help                  print this\n") != NULL, "help itself has no default");
	ok(outcome("-c 2k --help", out, sizeof out) == 0 && strstr(out, "a count (2000)\n"),
		"defaults are live");
	ok(outcome("-V", out, sizeof out) == 0 && strncmp(out, "tool (quern) ", 13) == 0, "-V");
}

static void test_parse(void)
{
	char *operand[32];
	int n = parse(operand, "a -fv -tx --list=p -l q --no-on -c 32k --real=-2e-3 - --choice blue -- -f");
	ok(n == 3 && strcmp(operand[0], "a") == 0 && strcmp(operand[1], "-") == 0 &&
			strcmp(operand[2], "-f") == 0,
		"operands in any order, behind -- anything");
	ok(flag == 1 && verbosity == 1 && on == 0, "flags, bundled and off");
	ok_str(text, "x", "value in the same word");
	ok(list.n == 2 && strcmp(list.v[1], "q") == 0, "a list");
	ok(count == 32000 && real == -2e-3 && choice == 2, "numbers and choice");
	ok(opt_find(opts, "list")->given == 2 && opt_find(opts, "time")->given == 0, "how often given");
	struct buf b = { 0 };
	opt_record(opts, &b);
	ok_str(b.p,
		"{\"choice\":\"blue\",\"count\":32000,\"list\":[\"p\",\"q\"],\"number\":-3,\"on\":false,"
		"\"real\":-0.002,"
		"\"seed\":42,\"text\":\"x\",\"unset\":null}",
		"record: what changes bytes, sorted");
	buf_release(&b);
}

/* What a run recorded comes back. */
static void test_restore(void)
{
	static const char record[] =
		"{\"seed\":18446744073709551614,\"list\":[\"r\",\"s\",\"t\"],\"count\":7}";
	char *operand[32];
	struct arena a = { 0 };
	struct err e;
	struct json *then = json_parse(&a, record, sizeof record - 1, JSON_STRICT, &e);
	for (struct opt *o = opts; o->name; o++)
		o->given = 0;
	parse(operand, "-c 7");
	ok(opt_restore(opts, then, &e) == 0, "a record that agrees");
	ok(common.seed == UINT64_MAX - 1, "a count of 64 bits");
	ok(list.n == 3 && strcmp(list.v[2], "t") == 0 && strcmp(list.by[2], "list") == 0,
		"a list, with the option that gave it");
	parse(operand, "-c 8");
	ok(opt_restore(opts, then, &e) < 0, "another value");
	ok_str(e.msg, "--count is 8 here, but this run was started with 7", "is named");
	common.seed = 42;
	arena_release(&a);
	free(list.v);
	free(list.by);
}

static void test_counts(void)
{
	static const struct {
		const char *s;
		uint64_t v; /* UINT64_MAX: refused */
	} c[] = { { "0", 0 }, { "12", 12 }, { "32k", 32000 }, { "2Ki", 2048 }, { "1.5k", 1500 },
		{ "1e6", 1000000 }, { "3Gi", UINT64_C(3) << 30 }, { "4.1M", 4100000 }, { "1.001k", 1001 },
		{ "16.1k", 16100 }, { "0.0625Ki", 64 }, { "1.5e-1k", 150 }, { "0.0", 0 },
		{ "0.1Ki", UINT64_MAX }, { "0x10", UINT64_MAX }, { "1e", UINT64_MAX }, { "1e 1", UINT64_MAX },
		{ "1e-400", UINT64_MAX }, { "1.2.3", UINT64_MAX },
		{ "9007199254740993k", UINT64_C(9007199254740993000) },
		{ "18446744073709551614", UINT64_MAX - 1 }, { "18446744073709551615", UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX }, { "99999999999999999999k", UINT64_MAX },
		{ "", UINT64_MAX }, { " 1", UINT64_MAX }, { "1 ", UINT64_MAX }, { "-1", UINT64_MAX },
		{ "+1", UINT64_MAX }, { "1.5", UINT64_MAX }, { "1K", UINT64_MAX }, { "1e400", UINT64_MAX },
		{ "k", UINT64_MAX }, { "1kk", UINT64_MAX } };
	for (size_t i = 0; i < sizeof c / sizeof *c; i++) {
		uint64_t v = 0;
		int rc = parse_count(c[i].s, &v);
		ok(c[i].v == UINT64_MAX ? rc < 0 : rc == 0 && v == c[i].v, "count '%s'", c[i].s);
	}
	double d;
	int64_t i;
	ok(parse_duration("15m", &d) == 0 && d == 900 && parse_duration(".5h", &d) == 0 && d == 1800,
		"durations");
	ok(parse_duration("", &d) < 0 && parse_duration("-1s", &d) < 0 && parse_duration("1e400", &d) < 0,
		"bad ones");
	ok(parse_num("", &d) < 0 && parse_num(" 1", &d) < 0 && parse_num("1e400", &d) < 0, "bad numbers");
	ok(parse_num("1e-400", &d) == 0 && d < 1e-300, "a tiny one is fine");
	ok(parse_int("", &i) < 0 && parse_int("1.0", &i) < 0 && parse_int("-7", &i) == 0 && i == -7,
		"integers");
}

int main(void)
{
	test_wrong();
	test_help();
	test_counts();
	test_parse();
	test_restore();
	return tap_end();
}
