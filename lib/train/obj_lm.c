/*
 * lm: mean of -log p(next token) over an update's targets, plus c * mean of lse^2 (z-loss: Chowdhery et al.
 * 2022, "PaLM", section 5, c = 1e-4 there).
 */

#include "train/objective.h"

static void micro(const struct objective_args *a, struct objective_sums *s)
{
	const struct batch *b = a->batch;
	const struct batch_row *first = &b->rows[a->row], *last = &b->rows[a->row + a->nrows - 1];
	size_t n = last->input + last->inputs - first->input;
	const uint32_t *targets = b->targets + first->input;
	if (n == 0)
		return;
	model_forward(a->session, b->seqs + first->seq, last->seq + last->seqs - first->seq);
	for (size_t t = 0; t < n; t++)
		a->dlogp[t] = targets[t] == NO_TARGET ? 0 : (float)-a->weight;
	model_head(a->session, &(struct head_args){
				       .targets = targets,
				       .inv_temp = 1,
				       .logp = a->logp,
				       .lse = a->zloss > 0 ? a->lse : NULL,
				       .dlogp = a->backward ? a->dlogp : NULL,
				       .zloss = a->zloss,
			       });
	for (size_t r = 0; r < a->nrows; r++) {
		size_t from = first[r].input - first->input;
		double sum = 0;
		for (size_t t = from; t < from + first[r].inputs; t++) {
			if (targets[t] == NO_TARGET)
				continue;
			sum += (double)a->logp[t];
			if (a->zloss > 0)
				s->zloss += (double)a->zloss * (double)a->lse[t] * (double)a->lse[t];
		}
		s->nll -= sum;
		if (a->row_logp)
			a->row_logp[a->row + r] = sum;
	}
	if (a->backward)
		model_backward(a->session);
}

const struct objective obj_lm = { "lm", micro };
