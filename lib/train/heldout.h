/*
 * heldout: the loss on data that is not trained on, measured between updates with the trainer's own session.
 */
#ifndef QUERN_HELDOUT_H
#define QUERN_HELDOUT_H

#include "train/trainer.h"

struct heldout {
	uint32_t *ids;
	uint8_t *flags;
	size_t n, cap, flags_cap;
	uint64_t bytes; /* of text that these tokens stand for; 0 when the tokenizer is not known */
};

/* Files: token streams, or documents (JSON Lines or text) when the model has a tokenizer. At most max_tokens
 * are kept (0: all). They stay in memory. */
int heldout_load(struct heldout *h, const char *const *files, size_t n, const struct model *m,
	uint64_t max_tokens, struct err *e);
void heldout_release(struct heldout *h);
/* Mean -log p over windows of the trainer's context without overlap, and bits per byte (NAN when not known):
 * special tokens are left out of those, the bytes of a document's first token are not. Overwrites the
 * trainer's batch. */
void heldout_measure(const struct heldout *h, struct trainer *t, double *loss, double *bpb);

#endif
