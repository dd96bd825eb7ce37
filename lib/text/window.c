#include "text/window.h"

int window_next(struct window *w, size_t n, size_t context, size_t stride)
{
	size_t start = w->end ? w->start + stride : 0, first = w->end ? w->end : 1;
	if (first >= n)
		return 0;
	*w = (struct window){ start, first, n - start > context + 1 ? start + context + 1 : n };
	return 1;
}
