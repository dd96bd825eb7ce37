#include "text/expr.h"
#include "base/die.h"
#include "text/expr_node.h"
#include "text/uclass.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#define MAX_NESTING 100 /* of parentheses and signs, while parsing */
#define MAX_DEPTH 1000  /* of the tree: bounds the stack of the evaluation */

enum token { T_END, T_NUMBER, T_STRING, T_NAME, T_OP };

struct parser {
	struct expr *x;
	const char *text;
	size_t n, at; /* at: behind the current token */
	enum token tok;
	size_t tok_at;
	char op[3];       /* T_OP */
	double num;       /* T_NUMBER */
	struct str s;     /* T_STRING: unescaped; T_NAME: with its dots */
	int is_field;     /* T_NAME: began with a dot */
	int nesting, bad; /* bad: the first error is set */
	struct err *e;
};

static const char *const type_name[] = { "value", "null", "condition", "number", "string", "list" };

/* --- errors --- */

#define CONTEXT 70

/* Adds the line of the expression and a caret under byte `at`; of a long expression the part around it. */
static void show_place(struct parser *p, size_t at)
{
	size_t from = p->n > CONTEXT && at > CONTEXT / 2 ? at - CONTEXT / 2 : 0,
	       to = from + CONTEXT < p->n ? from + CONTEXT : p->n;
	while (from > 0 && ((unsigned char)p->text[from] & 0xc0) == 0x80)
		from--;
	while (to < p->n && ((unsigned char)p->text[to] & 0xc0) == 0x80)
		to++;
	struct buf b = { 0 };
	buf_adds(&b, p->e->msg);
	buf_adds(&b, "\n  ");
	for (size_t i = from; i < to; i++)
		buf_addc(&b, (unsigned char)p->text[i] < ' ' ? ' ' : p->text[i]);
	buf_addf(&b, "\n  %*s^", (int)uc_count(p->text + from, at - from), "");
	err_set(p->e, "%s", b.p);
	buf_release(&b);
}

/* The first error stays. */
#define FAIL(p, place, ...)                           \
	do {                                          \
		if (!(p)->bad && (p)->e) {            \
			err_set((p)->e, __VA_ARGS__); \
			show_place(p, place);         \
		}                                     \
		(p)->bad = 1;                         \
	} while (0)

/* --- tokens --- */

static int is_name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static int is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void lex_number(struct parser *p)
{
	char digits[64], *end;
	size_t i = p->at, n = 0;
	while (i < p->n && (is_digit(p->text[i]) || p->text[i] == '.'))
		i++;
	if (i < p->n && (p->text[i] | 0x20) == 'e') {
		i++;
		if (i < p->n && (p->text[i] == '+' || p->text[i] == '-'))
			i++;
		while (i < p->n && is_digit(p->text[i]))
			i++;
	}
	n = i - p->at;
	if (n >= sizeof digits || (i < p->n && is_name_start(p->text[i]))) {
		FAIL(p, p->at, "not a number");
		return;
	}
	memcpy(digits, p->text + p->at, n);
	digits[n] = 0;
	p->num = strtod(digits, &end);
	if (*end)
		FAIL(p, p->at, "not a number");
	p->tok = T_NUMBER;
	p->at = i;
}

/* "..." or '...'; \n \t \r \\ \" \' are what they are in C, any other backslash is itself (patterns have
 * many). */
static void lex_string(struct parser *p)
{
	char quote = p->text[p->at];
	char *out = arena_alloc(&p->x->arena, p->n - p->at + 1);
	size_t n = 0, i = p->at + 1;
	for (; i < p->n && p->text[i] != quote; i++) {
		static const char from[] = "ntr\\\"'", to[] = "\n\t\r\\\"'";
		const char *k = p->text[i] == '\\' && i + 1 < p->n ? strchr(from, p->text[i + 1]) : NULL;
		if (k && *k) {
			out[n++] = to[k - from];
			i++;
		} else {
			out[n++] = p->text[i];
		}
	}
	if (i == p->n)
		FAIL(p, p->at, "string without its closing %c", quote);
	out[n] = 0;
	p->s = (struct str){ out, n };
	p->tok = T_STRING;
	p->at = i + 1;
}

static void lex_name(struct parser *p)
{
	size_t i = p->at;
	p->is_field = p->text[i] == '.';
	if (p->is_field)
		i++;
	size_t start = i;
	for (;;) {
		if (i == p->n || !is_name_start(p->text[i])) {
			FAIL(p, i, "a name is missing behind the dot");
			return;
		}
		while (i < p->n && (is_name_start(p->text[i]) || is_digit(p->text[i])))
			i++;
		if (i == p->n || p->text[i] != '.')
			break;
		i++;
	}
	p->s = (struct str){ p->text + start, i - start };
	p->tok = T_NAME;
	p->at = i;
}

static void next(struct parser *p)
{
	if (p->bad) {
		p->tok = T_END;
		return;
	}
	while (p->at < p->n && is_blank(p->text[p->at]))
		p->at++;
	p->tok_at = p->at;
	if (p->at == p->n) {
		p->tok = T_END;
		return;
	}
	char c = p->text[p->at], d = p->at + 1 < p->n ? p->text[p->at + 1] : 0;
	if (is_digit(c) || (c == '.' && is_digit(d))) {
		lex_number(p);
		return;
	}
	if (c == '"' || c == '\'') {
		lex_string(p);
		return;
	}
	if (is_name_start(c) || c == '.') {
		lex_name(p);
		return;
	}
	p->tok = T_OP;
	int two = (d == '=' && strchr("=!<>", c)) || (c == '&' && d == '&') || (c == '|' && d == '|');
	if (!two && !strchr("!<>+-*/%()[],", c)) {
		const char *hint = c == '='               ? "; equality is =="
				   : c == '&' || c == '|' ? "; write it twice"
							  : "";
		FAIL(p, p->at, "unexpected '%c'%s", c, hint);
		return;
	}
	p->op[0] = c;
	p->op[1] = two ? d : 0;
	p->op[2] = 0;
	p->at += two ? 2 : 1;
}

static int is_op(const struct parser *p, const char *op)
{
	return p->tok == T_OP && strcmp(p->op, op) == 0;
}

static int is_word(const struct parser *p, const char *word)
{
	return p->tok == T_NAME && !p->is_field && str_is(p->s, word);
}

static void expect(struct parser *p, const char *op)
{
	if (!is_op(p, op))
		FAIL(p, p->tok_at, "expected '%s'%s", op, p->tok == T_END ? " before the end" : "");
	next(p);
}

/* --- tree --- */

static struct node *node(struct parser *p, enum expr_op op, enum expr_type type, size_t at)
{
	struct node *x = arena_alloc(&p->x->arena, sizeof *x);
	*x = (struct node){ .op = op, .type = type, .at = at, .depth = 1 };
	return x;
}

static void add_kid(struct parser *p, struct node *x, struct node *kid)
{
	/* The arena does not grow pieces: doubling wastes at most half. */
	if ((x->n & (x->n - 1)) == 0) {
		struct node **kids = arena_alloc(&p->x->arena, (x->n ? 2 * x->n : 1) * sizeof *kids);
		if (x->n)
			memcpy(kids, x->kids, x->n * sizeof *kids);
		x->kids = kids;
	}
	x->kids[x->n++] = kid;
	if (kid->depth >= x->depth)
		x->depth = kid->depth + 1;
	if (x->depth > MAX_DEPTH)
		FAIL(p, x->at, "the expression is too long");
}

static void want(struct parser *p, const struct node *x, enum expr_type type, const char *what)
{
	if (x->type != EXPR_ANY && x->type != type)
		FAIL(p, x->at, "%s wants a %s, this is a %s", what, type_name[type], type_name[x->type]);
}

/* Two sides of a comparison: of one type, as far as that is known. */
static void want_same(struct parser *p, size_t at, const struct node *a, const struct node *b, const char *op)
{
	if (a->type != EXPR_ANY && b->type != EXPR_ANY && a->type != b->type)
		FAIL(p, at, "cannot compare a %s with a %s by %s", type_name[a->type], type_name[b->type],
			op);
}

static struct node *parse_or(struct parser *p);

/* names with dots as a path of keys; numbered, for the count of those that no document has. */
static struct node *field(struct parser *p, struct str name, size_t at, int split)
{
	struct expr *x = p->x;
	struct node *f = node(p, OP_FIELD, EXPR_ANY, at);
	size_t parts = 1;
	for (size_t i = 0; split && i < name.n; i++)
		parts += name.p[i] == '.';
	/* Each key of the path ends in a NUL of its own. */
	char *copy = arena_strndup(&x->arena, name.p, name.n);
	f->path = arena_alloc(&x->arena, parts * sizeof *f->path);
	for (char *s = copy, *end = copy + name.n;;) {
		char *dot = split ? memchr(s, '.', (size_t)(end - s)) : NULL;
		f->path[f->npath++] = (struct str){ s, (size_t)((dot ? dot : end) - s) };
		if (!dot)
			break;
		*dot = 0;
		s = dot + 1;
	}
	for (f->index = 0; f->index < x->nfields; f->index++)
		if (str_eq(x->fields[f->index], name))
			return f;
	if (x->nfields < sizeof x->fields / sizeof *x->fields)
		x->fields[x->nfields++] = (struct str){ arena_strndup(&x->arena, name.p, name.n), name.n };
	return f;
}

static struct node *score_of(struct parser *p, struct str label, size_t at)
{
	struct node *s = node(p, OP_SCORE_OF, EXPR_NUM, at);
	struct buf known = { 0 };
	p->x->scores = 1;
	for (s->index = 0; s->index < p->x->nlabels; s->index++) {
		if (str_eq(p->x->labels[s->index], label)) {
			buf_release(&known);
			return s;
		}
		if (known.n < 200)
			buf_addf(&known, "%s%.*s", known.n ? ", " : "", (int)p->x->labels[s->index].n,
				p->x->labels[s->index].p);
	}
	FAIL(p, at, "the classifier has no label '%.*s' (it has %s)", (int)label.n, label.p, known.p);
	buf_release(&known);
	return s;
}

static struct node *parse_name(struct parser *p)
{
	struct str s = p->s;
	size_t at = p->tok_at;
	int is_field = p->is_field;
	next(p);
	if (is_field)
		return field(p, s, at, 1);
	if (str_is(s, "true") || str_is(s, "false")) {
		struct node *x = node(p, OP_CONST, EXPR_BOOL, at);
		x->b = s.n == 4;
		return x;
	}
	if (str_is(s, "null"))
		return node(p, OP_CONST, EXPR_NULL, at);
	if (str_is(s, "text"))
		return node(p, OP_TEXT, EXPR_STR, at);
	if (p->x->nlabels && (str_is(s, "label") || str_is(s, "score"))) {
		p->x->scores = 1;
		return s.p[0] == 'l' ? node(p, OP_LABEL, EXPR_STR, at) : node(p, OP_SCORE, EXPR_NUM, at);
	}
	if (p->x->nlabels && s.n > 6 && memcmp(s.p, "score_", 6) == 0)
		return score_of(p, (struct str){ s.p + 6, s.n - 6 }, at);
	int stat = stat_find(s);
	if (stat < 0)
		return field(p, s, at, 1);
	struct node *x = node(p, OP_STAT, EXPR_NUM, at);
	x->index = (size_t)stat;
	p->x->stats |= UINT64_C(1) << stat;
	return x;
}

static void compile_pattern(struct parser *p, struct node *call)
{
	const struct node *lit = call->kids[1];
	if (lit->op != OP_CONST || lit->type != EXPR_STR) {
		FAIL(p, lit->at, "the pattern of matches() must be a string as it stands");
		return;
	}
	int code;
	PCRE2_SIZE where;
	PCRE2_UCHAR msg[128];
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)lit->s.p, lit->s.n,
		PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &code, &where, NULL);
	if (!re) {
		pcre2_get_error_message(code, msg, sizeof msg);
		FAIL(p, lit->at, "pattern, at its byte %zu: %s", (size_t)where, (const char *)msg);
		return;
	}
	/* Without a just-in-time compiler the pattern is interpreted. */
	pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
	GROW(p->x->codes, p->x->cap_codes, p->x->ncodes + 1);
	p->x->codes[p->x->ncodes++] = re;
	call->code = re;
}

static const struct function {
	const char *name;
	enum expr_op op;
	size_t min, max;
	enum expr_type arg, result;
} functions[] = {
	{ "len", OP_LEN, 1, 1, EXPR_ANY, EXPR_NUM },
	{ "lower", OP_LOWER, 1, 1, EXPR_STR, EXPR_STR },
	{ "contains", OP_CONTAINS, 2, 2, EXPR_STR, EXPR_BOOL },
	{ "starts", OP_STARTS, 2, 2, EXPR_STR, EXPR_BOOL },
	{ "ends", OP_ENDS, 2, 2, EXPR_STR, EXPR_BOOL },
	{ "matches", OP_MATCHES, 2, 2, EXPR_STR, EXPR_BOOL },
	{ "has", OP_HAS, 1, 1, EXPR_ANY, EXPR_BOOL },
	{ "field", OP_FIELD, 1, 1, EXPR_STR, EXPR_ANY },
	{ "score", OP_SCORE_OF, 1, 1, EXPR_STR, EXPR_NUM },
	{ "min", OP_MIN, 2, SIZE_MAX, EXPR_NUM, EXPR_NUM },
	{ "max", OP_MAX, 2, SIZE_MAX, EXPR_NUM, EXPR_NUM },
	{ "abs", OP_ABS, 1, 1, EXPR_NUM, EXPR_NUM },
	{ "log", OP_LOG, 1, 1, EXPR_NUM, EXPR_NUM },
};

/* What is left to check and to build when name and arguments are there. */
static struct node *finish_call(struct parser *p, const struct function *f, struct node *call)
{
	if (p->bad)
		return call;
	if (call->n < f->min || call->n > f->max) {
		FAIL(p, call->at, "%s() takes %zu argument%s%s", f->name, f->min, f->min == 1 ? "" : "s",
			f->max > f->min ? " or more" : "");
		return call;
	}
	for (size_t i = 0; i < call->n; i++)
		if (f->arg != EXPR_ANY)
			want(p, call->kids[i], f->arg, f->name);
	if (p->bad)
		return call;
	struct node *arg = call->kids[0];
	if (f->op == OP_MATCHES)
		compile_pattern(p, call);
	if (f->op == OP_LEN && arg->type != EXPR_ANY && arg->type != EXPR_STR && arg->type != EXPR_LIST)
		FAIL(p, arg->at, "len wants a string or a list, this is a %s", type_name[arg->type]);
	if (f->op == OP_HAS && arg->op != OP_FIELD) {
		/* A name that is also a statistic may be written as it is. */
		if (arg->op == OP_STAT)
			call->kids[0] = field(p, str_of(stat_table[arg->index].name), arg->at, 0);
		else
			FAIL(p, arg->at, "has() wants the name of a field");
	}
	if (f->op == OP_FIELD || f->op == OP_SCORE_OF) {
		if (arg->op != OP_CONST) {
			FAIL(p, arg->at, "%s() wants a string as it stands", f->name);
			return call;
		}
		if (f->op == OP_FIELD)
			return field(p, arg->s, call->at, 0);
		if (!p->x->nlabels)
			FAIL(p, call->at, "score() needs a classifier (-m)");
		else
			return score_of(p, arg->s, arg->at);
	}
	return call;
}

static struct node *parse_call(struct parser *p)
{
	const struct function *f = NULL;
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (str_is(p->s, functions[i].name))
			f = &functions[i];
	struct node *call = node(p, f ? f->op : OP_CONST, f ? f->result : EXPR_NULL, p->tok_at);
	if (!f)
		FAIL(p, p->tok_at, "no function '%.*s'", (int)p->s.n, p->s.p);
	next(p);
	expect(p, "(");
	while (!p->bad && !is_op(p, ")")) {
		add_kid(p, call, parse_or(p));
		if (!is_op(p, ","))
			break;
		next(p);
	}
	expect(p, ")");
	return f ? finish_call(p, f, call) : call;
}

static struct node *parse_list(struct parser *p)
{
	struct node *list = node(p, OP_LIST, EXPR_LIST, p->tok_at);
	next(p);
	while (!p->bad && !is_op(p, "]")) {
		add_kid(p, list, parse_or(p));
		if (!is_op(p, ","))
			break;
		next(p);
	}
	expect(p, "]");
	return list;
}

static struct node *parse_primary(struct parser *p)
{
	struct node *x = NULL;
	size_t at = p->tok_at;
	switch (p->tok) {
	case T_NUMBER:
		x = node(p, OP_CONST, EXPR_NUM, at);
		x->num = p->num;
		next(p);
		return x;
	case T_STRING:
		x = node(p, OP_CONST, EXPR_STR, at);
		x->s = p->s;
		next(p);
		return x;
	case T_NAME: {
		size_t i = p->at;
		while (i < p->n && is_blank(p->text[i]))
			i++;
		return !p->is_field && i < p->n && p->text[i] == '(' ? parse_call(p) : parse_name(p);
	}
	case T_OP:
		if (is_op(p, "[")) {
			return parse_list(p);
		} else if (is_op(p, "(")) {
			next(p);
			x = parse_or(p);
			expect(p, ")");
			return x;
		}
		break;
	case T_END:
		break;
	}
	FAIL(p, at, "expected a value%s", p->tok == T_END ? " before the end" : "");
	return node(p, OP_CONST, EXPR_NULL, at);
}

static struct node *parse_unary(struct parser *p)
{
	int is_not = is_op(p, "!"), is_minus = is_op(p, "-");
	struct node *x;
	if (++p->nesting > MAX_NESTING) {
		FAIL(p, p->tok_at, "nested too deep");
		x = node(p, OP_CONST, EXPR_NULL, p->tok_at);
	} else if (is_not || is_minus) {
		x = node(p, is_not ? OP_NOT : OP_NEG, is_not ? EXPR_BOOL : EXPR_NUM, p->tok_at);
		next(p);
		struct node *kid = parse_unary(p);
		want(p, kid, x->type, is_not ? "!" : "-");
		add_kid(p, x, kid);
	} else {
		x = parse_primary(p);
	}
	p->nesting--;
	return x;
}

static const struct binary {
	char text[3];
	enum expr_op op;
	int level;
} binaries[] = { { "||", OP_OR, 0 }, { "&&", OP_AND, 1 }, { "==", OP_EQ, 2 }, { "!=", OP_NE, 2 },
	{ "<", OP_LT, 2 }, { "<=", OP_LE, 2 }, { ">", OP_GT, 2 }, { ">=", OP_GE, 2 }, { "in", OP_IN, 2 },
	{ "no", OP_NOT_IN, 2 }, { "+", OP_ADD, 3 }, { "-", OP_SUB, 3 }, { "*", OP_MUL, 4 },
	{ "/", OP_DIV, 4 }, { "%", OP_MOD, 4 } };
#define COMPARISONS 2
#define UNARY 5

/* The operator of this level that stands here, NULL for none. */
static const struct binary *binary_at(struct parser *p, int level)
{
	for (size_t i = 0; i < sizeof binaries / sizeof *binaries; i++) {
		const struct binary *b = &binaries[i];
		if (b->level != level)
			continue;
		if (b->op == OP_IN           ? is_word(p, "in")
			: b->op == OP_NOT_IN ? is_word(p, "not")
					     : is_op(p, b->text))
			return b;
	}
	return NULL;
}

static void check_binary(struct parser *p, struct node *x, const char *text)
{
	struct node *a = x->kids[0], *b = x->kids[1];
	x->type = EXPR_BOOL;
	switch (x->op) {
	case OP_OR:
	case OP_AND:
		want(p, a, EXPR_BOOL, text);
		want(p, b, EXPR_BOOL, text);
		break;
	case OP_EQ:
	case OP_NE:
		if (a->type != EXPR_NULL && b->type != EXPR_NULL)
			want_same(p, x->at, a, b, text);
		break;
	case OP_LT:
	case OP_LE:
	case OP_GT:
	case OP_GE:
		want_same(p, x->at, a, b, text);
		if (a->type == EXPR_BOOL || a->type == EXPR_NULL || a->type == EXPR_LIST)
			FAIL(p, a->at, "%s wants numbers or strings, this is a %s", text, type_name[a->type]);
		if (b->type == EXPR_BOOL || b->type == EXPR_NULL || b->type == EXPR_LIST)
			FAIL(p, b->at, "%s wants numbers or strings, this is a %s", text, type_name[b->type]);
		break;
	case OP_IN:
	case OP_NOT_IN:
		want(p, b, EXPR_LIST, "in");
		break;
	default:
		want(p, a, EXPR_NUM, text);
		want(p, b, EXPR_NUM, text);
		x->type = EXPR_NUM;
	}
}

static struct node *parse_binary(struct parser *p, int level)
{
	if (level == UNARY)
		return parse_unary(p);
	struct node *left = parse_binary(p, level + 1);
	const struct binary *b;
	while (!p->bad && (b = binary_at(p, level))) {
		struct node *x = node(p, b->op, EXPR_BOOL, p->tok_at);
		next(p);
		if (b->op == OP_NOT_IN) {
			if (!is_word(p, "in"))
				FAIL(p, p->tok_at, "expected 'in' behind 'not'");
			next(p);
		}
		add_kid(p, x, left);
		add_kid(p, x, parse_binary(p, level + 1));
		if (!p->bad)
			check_binary(p, x, b->text);
		left = x;
		if (level == COMPARISONS && binary_at(p, level))
			FAIL(p, p->tok_at, "comparisons do not chain; join them by &&");
	}
	return left;
}

static struct node *parse_or(struct parser *p)
{
	if (++p->nesting > MAX_NESTING) {
		FAIL(p, p->tok_at, "nested too deep");
		return node(p, OP_CONST, EXPR_NULL, p->tok_at);
	}
	struct node *x = parse_binary(p, 0);
	p->nesting--;
	return x;
}

struct expr *expr_new(const char *text, const struct str *labels, size_t n, struct err *e)
{
	struct expr *x = xcalloc(1, sizeof *x);
	struct parser p = { .x = x, .text = text, .n = strlen(text), .e = e };
	x->labels = arena_alloc(&x->arena, mul_size(n, sizeof *x->labels));
	x->nlabels = n;
	for (size_t i = 0; i < n; i++)
		x->labels[i] =
			(struct str){ arena_strndup(&x->arena, labels[i].p, labels[i].n), labels[i].n };
	next(&p);
	x->root = parse_or(&p);
	if (!p.bad && p.tok != T_END)
		FAIL(&p, p.tok_at, "expected an operator");
	if (!p.bad && x->root->type != EXPR_ANY && x->root->type != EXPR_BOOL)
		FAIL(&p, x->root->at, "this is a %s, not a condition", type_name[x->root->type]);
	if (!p.bad)
		return x;
	expr_free(x);
	return NULL;
}

void expr_free(struct expr *x)
{
	if (!x)
		return;
	for (size_t i = 0; i < x->ncodes; i++)
		pcre2_code_free(x->codes[i]);
	free(x->codes);
	arena_release(&x->arena);
	free(x);
}

uint64_t expr_stats(const struct expr *x)
{
	return x->stats;
}

int expr_uses_scores(const struct expr *x)
{
	return x->scores;
}

struct str expr_field(const struct expr *x, size_t i)
{
	return i < x->nfields ? x->fields[i] : (struct str){ 0 };
}
