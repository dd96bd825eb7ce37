#include "base/die.h"
#include "base/json.h"
#include "text/expr_node.h"
#include "text/uclass.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <stdlib.h>
#include <utf8proc.h>

struct value {
	enum expr_type type; /* EXPR_ANY: an object, which nothing but has() and len() can use */
	int b;
	double num;
	struct str s;
	const struct json *list; /* EXPR_LIST that comes from a field; EXPR_ANY */
	const struct node *node; /* EXPR_LIST that is written out */
};

static const struct value null_value = { .type = EXPR_NULL };

struct eval {
	const struct expr *x;
	struct expr_env *env;
};

static struct value eval(const struct eval *v, const struct node *x);

static struct value bool_value(int b)
{
	return (struct value){ .type = EXPR_BOOL, .b = b };
}

/* Infinities and NaN, as from a division by zero, are null. */
static struct value num_value(double d)
{
	return isfinite(d) ? (struct value){ .type = EXPR_NUM, .num = d } : null_value;
}

static struct value str_value(struct str s)
{
	return (struct value){ .type = EXPR_STR, .s = s };
}

static struct value json_value(const struct json *j)
{
	switch (j->type) {
	case JSON_NULL:
		return null_value;
	case JSON_FALSE:
	case JSON_TRUE:
		return bool_value(j->type == JSON_TRUE);
	case JSON_NUMBER:
		return num_value(j->d);
	case JSON_STRING:
		return str_value(j->s);
	case JSON_ARRAY:
		return (struct value){ .type = EXPR_LIST, .list = j };
	case JSON_OBJECT:
		break;
	}
	return (struct value){ .type = EXPR_ANY, .list = j };
}

/* The field of the document, NULL when it has none; noted in env->asked and env->seen. */
static const struct json *find_field(const struct eval *v, const struct node *x)
{
	if (x->index < 64)
		v->env->asked |= UINT64_C(1) << x->index;
	const struct doc_field *f = v->env->doc ? doc_get(v->env->doc, x->path[0].p) : NULL;
	if (!f)
		return NULL;
	const struct json *j = json_parse(&v->env->arena, f->value.p, f->value.n, JSON_LAX, NULL);
	for (size_t i = 1; j && i < x->npath; i++)
		j = json_get(j, x->path[i].p);
	if (j && x->index < 64)
		v->env->seen |= UINT64_C(1) << x->index;
	return j;
}

static int is_true(const struct eval *v, const struct node *x)
{
	struct value a = eval(v, x);
	return a.type == EXPR_BOOL && a.b;
}

static int equal(const struct value *a, const struct value *b)
{
	if (a->type != b->type)
		return 0;
	switch (a->type) {
	case EXPR_NULL:
		return 1;
	case EXPR_BOOL:
		return a->b == b->b;
	case EXPR_NUM:
		return a->num == b->num;
	case EXPR_STR:
		return str_eq(a->s, b->s);
	case EXPR_LIST:
	case EXPR_ANY:
		break;
	}
	return 0;
}

/* -1, 0, 1; 2 when they have no order. Strings compare by their bytes, which for UTF-8 is the order of code
 * points. */
static int order(const struct value *a, const struct value *b)
{
	if (a->type == EXPR_NUM && b->type == EXPR_NUM)
		return a->num < b->num ? -1 : a->num > b->num;
	if (a->type != EXPR_STR || b->type != EXPR_STR)
		return 2;
	size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
	int c = n ? memcmp(a->s.p, b->s.p, n) : 0;
	if (c)
		return c < 0 ? -1 : 1;
	return a->s.n < b->s.n ? -1 : a->s.n > b->s.n;
}

static int is_in(const struct eval *v, const struct value *a, const struct value *list)
{
	if (list->type != EXPR_LIST)
		return 0;
	size_t n = list->node ? list->node->n : list->list->n;
	for (size_t i = 0; i < n; i++) {
		struct value b = list->node ? eval(v, list->node->kids[i]) : json_value(&list->list->kids[i]);
		if (equal(a, &b))
			return 1;
	}
	return 0;
}

static struct value compare(const struct eval *v, const struct node *x)
{
	struct value a = eval(v, x->kids[0]), b = eval(v, x->kids[1]);
	int c;
	switch (x->op) {
	case OP_EQ:
		return bool_value(equal(&a, &b));
	case OP_NE:
		return bool_value(!equal(&a, &b));
	case OP_IN:
		return bool_value(is_in(v, &a, &b));
	case OP_NOT_IN:
		return bool_value(!is_in(v, &a, &b));
	default:
		c = order(&a, &b);
	}
	if (c == 2)
		return null_value;
	return bool_value(x->op == OP_LT ? c < 0 : x->op == OP_LE ? c <= 0 : x->op == OP_GT ? c > 0 : c >= 0);
}

static struct value arithmetic(const struct eval *v, const struct node *x)
{
	struct value a = eval(v, x->kids[0]);
	if (a.type != EXPR_NUM)
		return null_value;
	for (size_t i = 1; i < x->n; i++) {
		struct value b = eval(v, x->kids[i]);
		if (b.type != EXPR_NUM)
			return null_value;
		switch (x->op) {
		case OP_ADD:
			a.num += b.num;
			break;
		case OP_SUB:
			a.num -= b.num;
			break;
		case OP_MUL:
			a.num *= b.num;
			break;
		case OP_DIV:
			a.num /= b.num;
			break;
		case OP_MOD:
			a.num = fmod(a.num, b.num);
			break;
		case OP_MIN:
			a.num = b.num < a.num ? b.num : a.num;
			break;
		case OP_MAX:
			a.num = b.num > a.num ? b.num : a.num;
			break;
		default:
			BUG("operator");
		}
	}
	if (x->op == OP_NEG)
		a.num = -a.num;
	else if (x->op == OP_ABS)
		a.num = fabs(a.num);
	else if (x->op == OP_LOG)
		a.num = log(a.num);
	return num_value(a.num);
}

static struct value length(const struct value *a)
{
	if (a->type == EXPR_STR)
		return num_value((double)uc_count(a->s.p, a->s.n));
	if (a->type == EXPR_LIST && a->node)
		return num_value((double)a->node->n);
	return a->list ? num_value((double)a->list->n) : null_value;
}

static struct value lower(const struct eval *v, struct str s)
{
	char *out = arena_alloc(&v->env->arena, add_size(mul_size(s.n, 4), 1));
	size_t n = 0, len;
	for (const char *p = s.p, *end = p + s.n; p < end; p += len) {
		uint32_t c = uc_next(p, end, &len);
		if (c == 0xfffd) {
			memcpy(out + n, p, len);
			n += len;
		} else if (c < 0x80) {
			out[n++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
		} else {
			n += (size_t)utf8proc_encode_char(
				utf8proc_tolower((utf8proc_int32_t)c), (utf8proc_uint8_t *)out + n);
		}
	}
	return str_value((struct str){ out, n });
}

static int contains(struct str s, struct str part)
{
	if (part.n == 0)
		return 1;
	const char *p = s.p, *end = s.p + s.n;
	while ((size_t)(end - p) >= part.n) {
		p = memchr(p, part.p[0], (size_t)(end - p) - part.n + 1);
		if (!p)
			return 0;
		if (memcmp(p, part.p, part.n) == 0)
			return 1;
		p++;
	}
	return 0;
}

struct match {
	pcre2_match_data *md;
	pcre2_match_context *mc;
};

static int matches(const struct eval *v, const struct node *x, struct str s)
{
	struct match *m = v->env->match;
	if (!m) {
		m = v->env->match = xcalloc(1, sizeof *m);
		m->md = pcre2_match_data_create(1, NULL);
		m->mc = pcre2_match_context_create(NULL);
		ASSERT(m->md && m->mc);
		pcre2_set_match_limit(m->mc, 10000000);
	}
	int rc = pcre2_match(x->code, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, 0, 0, m->md, m->mc);
	if (rc < 0 && rc != PCRE2_ERROR_NOMATCH)
		v->env->over_limit = 1;
	return rc >= 0;
}

static struct value string_test(const struct eval *v, const struct node *x)
{
	struct value a = eval(v, x->kids[0]);
	if (a.type != EXPR_STR)
		return null_value;
	if (x->op == OP_LOWER)
		return lower(v, a.s);
	if (x->op == OP_MATCHES)
		return bool_value(matches(v, x, a.s));
	struct value b = eval(v, x->kids[1]);
	if (b.type != EXPR_STR)
		return null_value;
	if (x->op == OP_CONTAINS)
		return bool_value(contains(a.s, b.s));
	if (a.s.n < b.s.n)
		return bool_value(0);
	const char *p = x->op == OP_STARTS ? a.s.p : a.s.p + (a.s.n - b.s.n);
	return bool_value(b.s.n == 0 || memcmp(p, b.s.p, b.s.n) == 0);
}

static struct value constant(const struct node *x)
{
	return (struct value){ .type = x->type, .b = x->b, .num = x->num, .s = x->s };
}

static struct value eval(const struct eval *v, const struct node *x)
{
	struct expr_env *env = v->env;
	switch (x->op) {
	case OP_CONST:
		return constant(x);
	case OP_STAT:
		return num_value(textstat_get(env->stats, (enum stat)x->index));
	case OP_FIELD: {
		const struct json *j = find_field(v, x);
		return j ? json_value(j) : null_value;
	}
	case OP_TEXT:
		return str_value(env->doc->text);
	case OP_LABEL:
		return str_value(v->x->labels[env->label]);
	case OP_SCORE:
		return num_value((double)env->scores[env->label]);
	case OP_SCORE_OF:
		return num_value((double)env->scores[x->index]);
	case OP_LIST:
		return (struct value){ .type = EXPR_LIST, .node = x };
	case OP_OR:
		return bool_value(is_true(v, x->kids[0]) || is_true(v, x->kids[1]));
	case OP_AND:
		return bool_value(is_true(v, x->kids[0]) && is_true(v, x->kids[1]));
	case OP_NOT:
		return bool_value(!is_true(v, x->kids[0]));
	case OP_EQ:
	case OP_NE:
	case OP_LT:
	case OP_LE:
	case OP_GT:
	case OP_GE:
	case OP_IN:
	case OP_NOT_IN:
		return compare(v, x);
	case OP_ADD:
	case OP_SUB:
	case OP_MUL:
	case OP_DIV:
	case OP_MOD:
	case OP_NEG:
	case OP_MIN:
	case OP_MAX:
	case OP_ABS:
	case OP_LOG:
		return arithmetic(v, x);
	case OP_LEN: {
		struct value a = eval(v, x->kids[0]);
		return length(&a);
	}
	case OP_LOWER:
	case OP_CONTAINS:
	case OP_STARTS:
	case OP_ENDS:
	case OP_MATCHES:
		return string_test(v, x);
	case OP_HAS:
		return bool_value(find_field(v, x->kids[0]) != NULL);
	}
	BUG("operator");
}

int expr_true(const struct expr *x, struct expr_env *env)
{
	struct eval v = { x, env };
	env->asked = env->seen = 0;
	int r = is_true(&v, x->root);
	arena_reset(&env->arena);
	return r;
}

void expr_env_release(struct expr_env *env)
{
	struct match *m = env->match;
	if (m) {
		pcre2_match_data_free(m->md);
		pcre2_match_context_free(m->mc);
		free(m);
	}
	arena_release(&env->arena);
	*env = (struct expr_env){ 0 };
}
