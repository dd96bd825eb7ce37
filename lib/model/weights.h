/*
 * weights: the values of parameters, wherever they are: in memory (f32), or where they lie in a mapped file,
 * in numbers of any type or in quantised blocks. Sessions that do not train pack theirs straight from there.
 * Private to lib/model.
 */
#ifndef QUERN_WEIGHTS_H
#define QUERN_WEIGHTS_H

#include "model/net.h"
#include "tensor/gemm.h"
#include "tensor/kern_qgemm.h"

/* Memory for all weights (m->weights, each param's w). Of one that stays stored, only vectors take room. */
void model_alloc(struct model *m);
void model_alloc_vectors(struct model *m);
/* Can sessions compute from where matrices are stored? Not where they stand turned, or positions are learned.
 */
int weights_stay(const struct model *m);
/* A parameter's values lie at p->stored from now on; a vector's are taken over at once. */
void param_store(struct param *p, const void *stored, enum quant type);
/* close(p) when the model no longer needs what is stored there. */
void model_hold(struct model *m, void *p, void (*close)(void *));
/* Values [from, from + n) of row `row` of a matrix; of stored ones, whole blocks. */
void param_row(const struct param *p, size_t row, size_t from, size_t n, float *out);
/* Row `row` of a stored parameter, where it lies. */
const void *param_stored(const struct param *p, size_t row);
const struct param *param_at(const struct net *n, size_t offset);

/* Outputs [at, at + n) of a linear map that are packed alike: quantised, as blocks of a type. */
struct linear_part {
	size_t at, n;
	enum quant type;
	enum qform form;
};
#define PARTS_MOST 4 /* parameters that one linear map covers */
/* The parts of a linear map; none when it is packed as numbers. */
size_t linear_parts(const struct model *m, const struct linear *l, struct linear_part parts[PARTS_MOST]);

/* Are its weights stored such that panels can be made without quantising? */
int linear_lies(const struct model *m, const struct linear *l);

/* For a row_source whose ctx is a struct linear_rows. */
struct linear_rows {
	const struct model *m;
	const struct linear *l;
	const struct linear_part *part; /* of linear_blocks */
};
rows_fn linear_numbers, linear_blocks;

#endif
