/*
 * window: how a run of tokens is cut to be measured by a model of bounded context.
 *
 * A window is up to `context` input tokens and predicts those behind them; the next one starts `stride`
 * tokens later and scores what no window has scored. So with stride = context every token but the first is
 * scored once, and a window begins with the last token scored before it: the rows of quern-train(1).
 */
#ifndef QUERN_WINDOW_H
#define QUERN_WINDOW_H

#include <stddef.h>

struct window {
	size_t start, first, end; /* tokens [start, end), of which [first, end) are scored */
};

/* The window behind *w, of a run of n tokens; {0} stands before the first one. 0: all is scored. context is
 * at least 1, stride from 1 to context. */
int window_next(struct window *w, size_t n, size_t context, size_t stride);

#endif
