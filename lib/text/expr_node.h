/*
 * expr_node: the tree of a compiled expression, between its parser (expr.c) and its evaluation (expr_eval.c).
 */
#ifndef QUERN_EXPR_NODE_H
#define QUERN_EXPR_NODE_H

#include "text/expr.h"

enum expr_type { EXPR_ANY, EXPR_NULL, EXPR_BOOL, EXPR_NUM, EXPR_STR, EXPR_LIST };

enum expr_op {
	OP_CONST,
	OP_STAT,     /* index: enum stat */
	OP_FIELD,    /* path; index: its number in the expression */
	OP_TEXT,     /* the document's text */
	OP_LABEL,    /* the most probable label */
	OP_SCORE,    /* its probability */
	OP_SCORE_OF, /* index: label */
	OP_LIST,
	OP_OR,
	OP_AND,
	OP_NOT,
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_IN,
	OP_NOT_IN,
	OP_ADD,
	OP_SUB,
	OP_MUL,
	OP_DIV,
	OP_MOD,
	OP_NEG,
	OP_LEN,
	OP_LOWER,
	OP_CONTAINS,
	OP_STARTS,
	OP_ENDS,
	OP_MATCHES, /* code: the pattern */
	OP_HAS,
	OP_MIN,
	OP_MAX,
	OP_ABS,
	OP_LOG
};

struct node {
	enum expr_op op;
	enum expr_type type; /* EXPR_ANY: known when it is evaluated */
	size_t at;           /* byte in the expression */
	int depth;
	int b;        /* OP_CONST, boolean */
	double num;   /* OP_CONST, number */
	struct str s; /* OP_CONST, string */
	size_t index;
	struct str *path; /* OP_FIELD: names from the outside in */
	size_t npath;
	void *code;
	struct node **kids;
	size_t n;
};

struct expr {
	struct arena arena;
	struct node *root;
	struct str *labels;
	size_t nlabels;
	uint64_t stats;
	int scores;
	struct str fields[64];
	size_t nfields;
	void **codes; /* patterns to free */
	size_t ncodes, cap_codes;
};

#endif
