#include "base/opt.h"
#include "base/die.h"
#include "base/io.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/par.h"
#include "base/version.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct opt_common common = { .seed = 42 };

/* strto* would skip white space in front. */
static int starts_blank(const char *s)
{
	return isspace((unsigned char)*s) || !*s;
}

int parse_num(const char *s, double *v)
{
	char *end;
	errno = 0;
	*v = strtod(s, &end);
	int too_large = errno == ERANGE && fabs(*v) > 1;
	return starts_blank(s) || *end || isnan(*v) || too_large ? -1 : 0;
}

int parse_int(const char *s, int64_t *v)
{
	char *end;
	errno = 0;
	*v = strtoll(s, &end, 10);
	return starts_blank(s) || *end || errno ? -1 : 0;
}

/* Reads a decimal number as *m x 10^*exp. What stands behind it, NULL where it is none or too long. */
static const char *read_decimal(const char *s, uint64_t *m, int *exp)
{
	int point = 0;
	*m = 0;
	*exp = 0;
	for (; isdigit((unsigned char)*s) || (*s == '.' && !point); s++) {
		if (*s == '.') {
			point = 1;
			continue;
		}
		uint64_t digit = (uint64_t)(*s - '0');
		if (*m > (UINT64_MAX - digit) / 10)
			return NULL;
		*m = *m * 10 + digit;
		*exp -= point;
	}
	if (*s != 'e' && *s != 'E')
		return s;
	char *end;
	long e = strtol(s + 1, &end, 10);
	if (starts_blank(s + 1) || end == s + 1 || e < -99 || e > 99)
		return NULL;
	*exp += (int)e;
	return end;
}

/* Divides the product a x b by a prime; -1 where that leaves a rest. */
static int divide(uint64_t *a, uint64_t *b, uint64_t prime)
{
	uint64_t *x = *a % prime == 0 ? a : b;
	if (*x % prime)
		return -1;
	*x /= prime;
	return 0;
}

/* Exact: in doubles 4.1 x 1e6 is no whole number. */
int parse_count(const char *s, uint64_t *v)
{
	static const struct {
		const char *name;
		uint64_t scale;
	} unit[] = { { "", 1 }, { "k", 1000 }, { "M", 1000000 }, { "G", 1000000000 }, { "T", 1000000000000 },
		{ "Ki", 1 << 10 }, { "Mi", 1 << 20 }, { "Gi", 1 << 30 }, { "Ti", UINT64_C(1) << 40 } };
	uint64_t m, scale = 0;
	int exp;
	const char *name = isdigit((unsigned char)*s) ? read_decimal(s, &m, &exp) : NULL;
	for (size_t i = 0; name && i < sizeof unit / sizeof *unit; i++)
		if (strcmp(name, unit[i].name) == 0)
			scale = unit[i].scale;
	if (!scale)
		return -1;
	for (; exp < 0; exp++)
		if (divide(&m, &scale, 2) < 0 || divide(&m, &scale, 5) < 0)
			return -1;
	for (; exp > 0; exp--) {
		if (m > UINT64_MAX / 10)
			return -1;
		m *= 10;
	}
	/* The largest one stands for "not given". */
	if (m > UINT64_MAX / scale || m * scale == UINT64_MAX)
		return -1;
	*v = m * scale;
	return 0;
}

int parse_duration(const char *s, double *v)
{
	char *end;
	if ((*s < '0' || *s > '9') && *s != '.')
		return -1;
	*v = strtod(s, &end);
	static const char *const unit[] = { "", "s", "m", "h", "d" };
	static const double scale[] = { 1, 1, 60, 3600, 86400 };
	for (size_t i = 0; i < sizeof unit / sizeof *unit; i++) {
		if (strcmp(end, unit[i]) == 0) {
			*v *= scale[i];
			return isfinite(*v) ? 0 : -1;
		}
	}
	return -1;
}

/* Index of word s in "a|b|c", -1 when absent. */
static int choice_index(const char *words, const char *s)
{
	size_t n = strlen(s);
	for (int i = 0;; i++) {
		const char *end = strchr(words, '|');
		size_t len = end ? (size_t)(end - words) : strlen(words);
		if (len == n && memcmp(words, s, n) == 0)
			return i;
		if (!end)
			return -1;
		words = end + 1;
	}
}

const char *opt_choice(const struct opt *o)
{
	static char word[64];
	const char *w = o->arg;
	for (int i = *(const int *)o->var; i > 0 && w; i--) {
		w = strchr(w, '|');
		if (w)
			w++;
	}
	if (!w || *(const int *)o->var < 0)
		return "";
	snprintf(word, sizeof word, "%.*s", (int)strcspn(w, "|"), w);
	return word;
}

static int takes_value(const struct opt *o)
{
	return o->type != OPT_FLAG && o->type != OPT_COUNTER;
}

static void add_to_list(struct opt_list *l, const char *by, const char *s)
{
	GROW(l->v, l->cap, l->n + 1);
	GROW(l->by, l->by_cap, l->n + 1);
	l->by[l->n] = by;
	l->v[l->n++] = s;
}

static void set(struct opt *o, const char *s)
{
	int bad = 0;
	o->given++;
	switch (o->type) {
	case OPT_FLAG:
		*(int *)o->var = 1;
		break;
	case OPT_COUNTER:
		++*(int *)o->var;
		break;
	case OPT_STR:
		*(const char **)o->var = s;
		break;
	case OPT_LIST:
		add_to_list(o->var, o->name, s);
		break;
	case OPT_INT:
		bad = parse_int(s, o->var);
		break;
	case OPT_COUNT:
		bad = parse_count(s, o->var);
		break;
	case OPT_NUM:
		bad = parse_num(s, o->var);
		break;
	case OPT_DURATION:
		bad = parse_duration(s, o->var);
		break;
	case OPT_CHOICE:
		*(int *)o->var = choice_index(o->arg, s);
		if (*(int *)o->var < 0)
			die_usage("--%s is one of %s, not '%s'", o->name, o->arg, s);
		break;
	case OPT_HEADING:
		BUG("heading has no value");
	}
	if (bad)
		die_usage("--%s wants %s, not '%s'", o->name,
			o->type == OPT_DURATION ? "a duration such as 90s, 15m or 2h"
			: o->type == OPT_COUNT  ? "a count such as 500, 32k or 2Gi"
						: "a number",
			s);
}

struct opt *opt_find(struct opt *opts, const char *name)
{
	for (struct opt *o = opts; o->name; o++)
		if (o->type != OPT_HEADING && strcmp(o->name, name) == 0)
			return o;
	BUG(name);
}

void opt_refuse(struct opt *opts, const char *mode, const char *const *names)
{
	for (; *names; names++)
		if (opt_find(opts, *names)->given)
			die_usage("--%s does not go with %s", *names, mode);
}

static struct opt *by_name(struct opt *opts, const char *name, size_t n)
{
	for (struct opt *o = opts; o->name; o++)
		if (o->type != OPT_HEADING && strlen(o->name) == n && memcmp(o->name, name, n) == 0)
			return o;
	return NULL;
}

static struct opt *by_letter(struct opt *opts, char c)
{
	for (struct opt *o = opts; o->name; o++)
		if (o->type != OPT_HEADING && o->letter == c)
			return o;
	return NULL;
}

/* One argument that starts with "--". Returns how many further arguments it took. */
static int parse_long(struct opt *opts, char **argv, int left)
{
	const char *name = argv[0] + 2, *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	struct opt *o = by_name(opts, name, n);
	if (!o && n > 3 && memcmp(name, "no-", 3) == 0) {
		o = by_name(opts, name + 3, n - 3);
		if (o && o->type == OPT_FLAG && !eq) {
			o->given++;
			*(int *)o->var = 0;
			return 0;
		}
		o = NULL;
	}
	if (!o)
		die_usage("unknown option --%.*s", (int)n, name);
	if (!takes_value(o)) {
		if (eq)
			die_usage("--%s takes no value", o->name);
		set(o, NULL);
		return 0;
	}
	if (eq) {
		set(o, eq + 1);
		return 0;
	}
	if (left < 1)
		die_usage("--%s wants a value", o->name);
	set(o, argv[1]);
	return 1;
}

static int parse_letters(struct opt *opts, char **argv, int left)
{
	for (const char *s = argv[0] + 1; *s; s++) {
		struct opt *o = by_letter(opts, *s);
		if (!o)
			die_usage("unknown option -%c", *s);
		if (!takes_value(o)) {
			set(o, NULL);
		} else if (s[1]) {
			set(o, s + 1);
			return 0;
		} else {
			if (left < 1)
				die_usage("-%c wants a value", *s);
			set(o, argv[1]);
			return 1;
		}
	}
	return 0;
}

static void print_default(const struct opt *o)
{
	switch (o->type) {
	case OPT_STR:
		if (*(const char **)o->var)
			printf(" (%s)", *(const char **)o->var);
		break;
	case OPT_INT:
		printf(" (%lld)", (long long)*(int64_t *)o->var);
		break;
	case OPT_COUNT:
		if (*(uint64_t *)o->var != UINT64_MAX)
			printf(" (%llu)", (unsigned long long)*(uint64_t *)o->var);
		break;
	case OPT_NUM:
		if (!isnan(*(double *)o->var))
			printf(" (%g)", *(double *)o->var);
		break;
	case OPT_DURATION:
		if (!isnan(*(double *)o->var))
			printf(" (%gs)", *(double *)o->var);
		break;
	case OPT_CHOICE:
		if (*(int *)o->var >= 0)
			printf(" (%s)", opt_choice(o));
		break;
	case OPT_FLAG:
		if (*(int *)o->var)
			printf(" (on; --no-%s)", o->name);
		break;
	case OPT_LIST:
	case OPT_COUNTER:
	case OPT_HEADING:
		break;
	}
}

static void print_help(const struct command *c)
{
	const char *line = c->usage, *lead = "usage:";
	while (*line) {
		int n = (int)strcspn(line, "\n");
		printf("%s %s %.*s\n", lead, c->name, n, line);
		lead = "      ";
		line += n + (line[n] == '\n');
	}
	printf("%s\n\n", c->about);
	for (const struct opt *o = c->opts; o->name; o++) {
		char left[96];
		if (o->flags & OPT_HIDDEN)
			continue;
		if (o->type == OPT_HEADING) {
			printf("\n%s:\n", o->name);
			continue;
		}
		int n = o->letter ? snprintf(left, sizeof left, "-%c, --%s", o->letter, o->name)
				  : snprintf(left, sizeof left, "    --%s", o->name);
		if (o->arg && takes_value(o))
			snprintf(left + n, sizeof left - (size_t)n, " %s", o->arg);
		printf(strlen(left) > 26 ? "  %s\n%30s%s" : "  %-26s%s%s", left,
			strlen(left) > 26 ? "" : "  ", o->help);
		print_default(o);
		putchar('\n');
	}
}

static void on_signal(int sig)
{
	io_remove_temps();
	signal(sig, SIG_DFL);
	raise(sig);
}

/* A signal that the parent had ignored (nohup, background jobs) stays so. */
static void catch (int sig)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;
	if (sigaction(sig, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
		sigaction(sig, &sa, NULL);
}

/* When a standard descriptor is closed, the next file opened would take its place and get what is meant for
 * it. Something that fails takes it instead. */
static void hold_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

char **cmd_init(const struct command *c, int argc, char **argv, int *n)
{
	prog_name = c->name;
	hold_descriptors();
	atexit(io_remove_temps);
	catch (SIGINT);
	catch (SIGTERM);
	catch (SIGHUP);
	catch (SIGQUIT);
	catch (SIGXCPU);
	/* SIGPIPE and SIGXFSZ (a limit on the size of files) become errors that the writer sees, so that
	 * temporary files are removed first. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	int operands = 0, only_operands = 0;
	for (int i = 1; i < argc; i++) {
		char *a = argv[i];
		if (only_operands || a[0] != '-' || a[1] == 0) {
			argv[operands++] = a;
		} else if (strcmp(a, "--") == 0) {
			only_operands = 1;
		} else if (a[1] == '-') {
			i += parse_long(c->opts, argv + i, argc - 1 - i);
		} else {
			i += parse_letters(c->opts, argv + i, argc - 1 - i);
		}
		if (common.help) {
			common.help = 0; /* the default that it prints */
			print_help(c);
			exit(cmd_end());
		}
		if (common.version) {
			printf("%s (quern) %s\n", c->name, QUERN_VERSION);
			exit(cmd_end());
		}
	}
	argv[operands] = NULL;
	struct err e;
	if (common.output && !*common.output)
		die_usage("-o wants a name");
	if (common.log && log_check(common.log, &e) < 0)
		die("%s", e.msg);
	verbosity = common.quiet ? -1 : common.verbose;
	if (common.threads > 4096)
		die_usage("-j wants a number of threads up to 4096");
	if (common.threads == 0)
		common.threads = (uint64_t)par_threads();
	par_set_threads((int)common.threads);
	*n = operands;
	return argv;
}

int cmd_end(void)
{
	if (fflush(stdout) != 0 || ferror(stdout)) {
		if (errno == EPIPE)
			io_closed_pipe();
		warn("stdout: cannot write:");
		return 1;
	}
	return 0;
}

static int by_opt_name(const void *a, const void *b)
{
	return strcmp((*(const struct opt *const *)a)->name, (*(const struct opt *const *)b)->name);
}

static void record_value(const struct opt *o, struct buf *b)
{
	switch (o->type) {
	case OPT_FLAG:
	case OPT_COUNTER:
		buf_adds(b, *(int *)o->var ? "true" : "false");
		break;
	case OPT_STR:
		if (*(const char **)o->var)
			json_add_cstr(b, *(const char **)o->var);
		else
			buf_adds(b, "null");
		break;
	case OPT_LIST: {
		const struct opt_list *l = o->var;
		buf_addc(b, '[');
		for (size_t i = 0; i < l->n; i++) {
			if (i)
				buf_addc(b, ',');
			json_add_cstr(b, l->v[i]);
		}
		buf_addc(b, ']');
		break;
	}
	case OPT_INT:
		json_add_int(b, *(int64_t *)o->var);
		break;
	case OPT_COUNT:
		if (*(uint64_t *)o->var == UINT64_MAX)
			buf_adds(b, "null");
		else
			buf_addf(b, "%llu", (unsigned long long)*(uint64_t *)o->var);
		break;
	case OPT_NUM:
	case OPT_DURATION:
		json_add_num(b, *(double *)o->var);
		break;
	case OPT_CHOICE:
		json_add_cstr(b, opt_choice(o));
		break;
	case OPT_HEADING:
		break;
	}
}

void opt_record(const struct opt *opts, struct buf *b)
{
	const struct opt **list = NULL;
	size_t n = 0, cap = 0;
	for (const struct opt *o = opts; o->name; o++) {
		if (!(o->flags & (OPT_BYTES | OPT_KEPT)))
			continue;
		GROW(list, cap, n + 1);
		list[n++] = o;
	}
	if (n)
		qsort(list, n, sizeof *list, by_opt_name);
	buf_addc(b, '{');
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_addc(b, ',');
		json_add_cstr(b, list[i]->name);
		buf_addc(b, ':');
		record_value(list[i], b);
	}
	buf_addc(b, '}');
	free(list);
}

/* Restored strings live as long as the command line's. */
static struct arena restored;

static int restore_value(struct opt *o, const struct json *v)
{
	int null = v->type == JSON_NULL;
	switch (o->type) {
	case OPT_FLAG:
	case OPT_COUNTER:
		*(int *)o->var = v->type == JSON_TRUE;
		return v->type == JSON_TRUE || v->type == JSON_FALSE ? 0 : -1;
	case OPT_STR:
		*(const char **)o->var = null ? NULL : arena_strndup(&restored, v->s.p, v->s.n);
		return null || v->type == JSON_STRING ? 0 : -1;
	case OPT_LIST: {
		struct opt_list *l = o->var;
		l->n = 0;
		for (size_t i = 0; i < v->n; i++) {
			if (v->type != JSON_ARRAY || v->kids[i].type != JSON_STRING)
				return -1;
			add_to_list(l, o->name, arena_strndup(&restored, v->kids[i].s.p, v->kids[i].s.n));
		}
		return v->type == JSON_ARRAY ? 0 : -1;
	}
	case OPT_INT:
		*(int64_t *)o->var = v->i;
		return v->type == JSON_NUMBER && v->is_int ? 0 : -1;
	case OPT_COUNT:
		/* From its text: an int64_t holds half of them. */
		*(uint64_t *)o->var = UINT64_MAX;
		return null || (v->type == JSON_NUMBER && parse_count(v->s.p, o->var) == 0) ? 0 : -1;
	case OPT_NUM:
	case OPT_DURATION:
		*(double *)o->var = null ? NAN : v->d;
		return null || v->type == JSON_NUMBER ? 0 : -1;
	case OPT_CHOICE: {
		char word[64];
		if (v->type != JSON_STRING || v->s.n >= sizeof word)
			return -1;
		memcpy(word, v->s.p, v->s.n);
		word[v->s.n] = 0;
		*(int *)o->var = choice_index(o->arg, word);
		return v->s.n == 0 || *(int *)o->var >= 0 ? 0 : -1;
	}
	case OPT_HEADING:
		break;
	}
	return -1;
}

int opt_restore(struct opt *opts, const struct json *record, struct err *e)
{
	struct buf now = { 0 }, then = { 0 };
	int rc = 0;
	for (struct opt *o = opts; o->name && rc == 0; o++) {
		int recorded = o->flags & (OPT_BYTES | OPT_KEPT), changed = o->given && o->flags & OPT_KEPT;
		const struct json *v = recorded && !changed ? json_get(record, o->name) : NULL;
		if (!v)
			continue;
		if (!o->given) {
			if (restore_value(o, v) < 0)
				rc = err_set(e, "option %s: unusable recorded value", o->name);
			continue;
		}
		buf_reset(&now);
		buf_reset(&then);
		record_value(o, &now);
		json_add_value(&then, v);
		if (now.n != then.n || memcmp(now.p, then.p, now.n) != 0)
			rc = err_set(e, "--%s is %s here, but this run was started with %s", o->name, now.p,
				then.p);
	}
	buf_release(&now);
	buf_release(&then);
	return rc;
}
