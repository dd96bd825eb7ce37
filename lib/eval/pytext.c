#include "eval/pytext.h"
#include "text/utf8.h"

#include <utf8proc.h>

size_t space_len(const char *p, size_t n)
{
	uint32_t cp;
	size_t k;
	if (!n)
		return 0;
	k = utf8_get(p, n, &cp);
	return (cp >= 0x1c && cp <= 0x1f) || uni_class(cp) & UNI_SPACE ? k : 0;
}

struct str strip_left(struct str s)
{
	size_t k;
	while ((k = space_len(s.p, s.n)) > 0)
		s.p += k, s.n -= k;
	return s;
}

struct str strip_right(struct str s)
{
	uint32_t cp;
	while (s.n) {
		size_t k = utf8_get_back(s.p, s.n, &cp);
		if (!space_len(s.p + s.n - k, k))
			break;
		s.n -= k;
	}
	return s;
}

void add_case(struct buf *out, struct str s, int upper_first, int upper_rest)
{
	for (size_t i = 0; i < s.n;) {
		uint32_t cp;
		size_t k = utf8_get(s.p + i, s.n - i, &cp);
		int up = i == 0 ? upper_first : upper_rest;
		char c[4];
		if (cp == UTF8_BAD) {
			buf_add(out, s.p + i, k);
		} else {
			cp = (uint32_t)(up ? utf8proc_toupper((utf8proc_int32_t)cp)
					   : utf8proc_tolower((utf8proc_int32_t)cp));
			buf_add(out, c, utf8_put(cp, c));
		}
		i += k;
	}
}
