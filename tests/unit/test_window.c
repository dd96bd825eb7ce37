/* window: every token but the first is scored once, with as much context as the settings give. */
#include "text/window.h"
#include "tap.h"

/* All windows of one setting; 0 when any of them is not as window.h says. */
static int cut_well(size_t n, size_t context, size_t stride)
{
	struct window w = { 0 };
	size_t scored = 1, start = 0;
	for (; window_next(&w, n, context, stride); start += stride) {
		if (w.start != start || w.first != scored || w.end <= w.first || w.end > n)
			return 0;
		if (w.first <= w.start || w.end - w.start - 1 > context)
			return 0;
		if (w.end < n && w.end - w.start - 1 != context)
			return 0;
		scored = w.end;
	}
	return scored == (n > 1 ? n : 1);
}

int main(void)
{
	int good = 1;
	for (size_t n = 0; n < 30; n++)
		for (size_t context = 1; context < 12; context++)
			for (size_t stride = 1; stride <= context; stride++)
				good &= cut_well(n, context, stride);
	ok(good, "all windows of 0 to 29 tokens");
	struct window w = { 0 };
	ok(window_next(&w, 10, 4, 4) && w.start == 0 && w.first == 1 && w.end == 5, "the first window");
	ok(window_next(&w, 10, 4, 4) && w.start == 4 && w.first == 5 && w.end == 9,
		"the next begins with the last token scored");
	ok(window_next(&w, 10, 4, 4) && w.start == 8 && w.first == 9 && w.end == 10, "the rest");
	ok(!window_next(&w, 10, 4, 4), "and no more");
	return tap_end();
}
