#include "eval/textout.h"

void textout_init(struct textout *t, const struct str *stops, size_t nstops)
{
	*t = (struct textout){ .stops = stops, .nstops = nstops };
}

void textout_reset(struct textout *t)
{
	buf_reset(&t->text);
	buf_reset(&t->pending);
	t->stopped = 0;
}

void textout_release(struct textout *t)
{
	buf_release(&t->text);
	buf_release(&t->pending);
}

/* Bytes that p starts with: a whole character (> 0), a malformed part (< 0), or the start of a character that
 * n ends too early to know (0). */
static int utf8_part(const unsigned char *p, size_t n)
{
	int len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	if (!len)
		return -1;
	for (int i = 1; i < len; i++) {
		if ((size_t)i == n)
			return 0;
		unsigned char lo = 0x80, hi = 0xbf;
		if (i == 1) {
			lo = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : lo;
			hi = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : hi;
		}
		if (p[i] < lo || p[i] > hi)
			return -i;
	}
	return len;
}

/* Moves the first n pending bytes to the text; without `last`, a character cut by the end stays. */
static void release(struct textout *t, size_t n, int last)
{
	size_t at = 0;
	while (at < n) {
		int k = utf8_part((const unsigned char *)t->pending.p + at, n - at);
		if (k > 0) {
			buf_add(&t->text, t->pending.p + at, (size_t)k);
			at += (size_t)k;
		} else if (k < 0) {
			buf_adds(&t->text, "\xef\xbf\xbd");
			at += (size_t)-k;
		} else if (last) {
			buf_adds(&t->text, "\xef\xbf\xbd");
			at = n;
		} else {
			break;
		}
	}
	memmove(t->pending.p, t->pending.p + at, t->pending.n - at);
	t->pending.n -= at;
	t->pending.p[t->pending.n] = 0;
}

/* Offset of the first complete stop string, or pending.n; *hold: offset from which bytes may still become
 * one. */
static size_t find_stop(const struct textout *t, size_t *hold, int *which)
{
	const struct buf *b = &t->pending;
	size_t found = b->n;
	*hold = b->n;
	for (size_t i = 0; i < t->nstops; i++) {
		struct str s = t->stops[i];
		for (size_t at = 0; s.n && at < found; at++) {
			size_t n = b->n - at < s.n ? b->n - at : s.n;
			if (memcmp(b->p + at, s.p, n) != 0)
				continue;
			if (n == s.n) {
				found = at;
				*which = (int)i + 1;
			} else if (at < *hold) {
				*hold = at;
			}
			break;
		}
	}
	return found;
}

int textout_add(struct textout *t, const char *p, size_t n)
{
	size_t hold;
	int which = 0;
	if (t->stopped)
		return 1;
	if (!n)
		return 0;
	buf_add(&t->pending, p, n);
	size_t found = find_stop(t, &hold, &which);
	/* An earlier string that is still incomplete does not delay a later complete one: had it been going
	 * to match, its text would hold the other, and the text ends at whichever is complete first. */
	if (which) {
		release(t, found, 1);
		buf_reset(&t->pending);
		t->stopped = which;
		return 1;
	}
	if (hold)
		release(t, hold, 0);
	return 0;
}

void textout_end(struct textout *t)
{
	if (!t->stopped && t->pending.n)
		release(t, t->pending.n, 1);
}
