#include "text/utf8.h"

#include <utf8proc.h>

static int is_cont(const char *p)
{
	return ((unsigned char)*p & 0xc0) == 0x80;
}

size_t utf8_get(const char *p, size_t n, uint32_t *cp)
{
	unsigned c = (unsigned char)p[0];
	if (c < 0x80) {
		*cp = c;
		return 1;
	}
	if (c >= 0xc2 && c < 0xe0 && n > 1 && is_cont(p + 1)) {
		*cp = (c & 0x1f) << 6 | ((unsigned char)p[1] & 0x3f);
		return 2;
	}
	if (c >= 0xe0 && c < 0xf0 && n > 2 && is_cont(p + 1) && is_cont(p + 2)) {
		uint32_t v = (c & 0xf) << 12 | ((uint32_t)p[1] & 0x3f) << 6 | ((uint32_t)p[2] & 0x3f);
		if (v >= 0x800 && (v < 0xd800 || v > 0xdfff)) {
			*cp = v;
			return 3;
		}
	}
	if (c >= 0xf0 && c < 0xf5 && n > 3 && is_cont(p + 1) && is_cont(p + 2) && is_cont(p + 3)) {
		uint32_t v = (c & 7) << 18 | ((uint32_t)p[1] & 0x3f) << 12 | ((uint32_t)p[2] & 0x3f) << 6 |
			     ((uint32_t)p[3] & 0x3f);
		if (v >= 0x10000 && v < 0x110000) {
			*cp = v;
			return 4;
		}
	}
	*cp = UTF8_BAD;
	return 1;
}

size_t utf8_get_back(const char *p, size_t n, uint32_t *cp)
{
	size_t most = n < 4 ? n : 4;
	for (size_t k = 1; k <= most; k++) {
		if (is_cont(p + n - k))
			continue;
		if (utf8_get(p + n - k, k, cp) == k)
			return k;
		break;
	}
	*cp = UTF8_BAD;
	return 1;
}

size_t utf8_put(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 0x3f));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		out[2] = (char)(0x80 | (cp & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
	out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
	out[3] = (char)(0x80 | (cp & 0x3f));
	return 4;
}

size_t utf8_ascii(const char *p, size_t n)
{
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t w;
		memcpy(&w, p + i, 8);
		if (w & UINT64_C(0x8080808080808080))
			break;
	}
	while (i < n && (unsigned char)p[i] < 0x80)
		i++;
	return i;
}

size_t utf8_valid(const char *p, size_t n)
{
	size_t i = 0;
	for (;;) {
		i += utf8_ascii(p + i, n - i);
		if (i == n)
			return n;
		uint32_t cp;
		size_t k = utf8_get(p + i, n - i, &cp);
		if (k == 1)
			return i;
		i += k;
	}
}

size_t utf8_partial(const char *p, size_t n)
{
	/* A tail is partial when some continuation bytes would make it whole: try the smallest and the
	 * largest. */
	for (size_t k = 1; k <= 3 && k <= n; k++) {
		if (is_cont(p + n - k))
			continue;
		unsigned c = (unsigned char)p[n - k];
		size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
		uint32_t cp;
		char low[4], high[4];
		if (c < 0xc2 || want <= k)
			return 0;
		memset(low, 0x80, sizeof low);
		memset(high, 0xbf, sizeof high);
		memcpy(low, p + n - k, k);
		memcpy(high, p + n - k, k);
		return utf8_get(low, want, &cp) == want || utf8_get(high, want, &cp) == want ? k : 0;
	}
	return 0;
}

static const unsigned char category_class[] = {
	[UTF8PROC_CATEGORY_LU] = UNI_LETTER | UNI_UPPER | UNI_WORD,
	[UTF8PROC_CATEGORY_LL] = UNI_LETTER | UNI_LOWER | UNI_WORD,
	[UTF8PROC_CATEGORY_LT] = UNI_LETTER | UNI_UPPER | UNI_WORD,
	[UTF8PROC_CATEGORY_LM] = UNI_LETTER | UNI_UPPER | UNI_LOWER | UNI_WORD,
	[UTF8PROC_CATEGORY_LO] = UNI_LETTER | UNI_UPPER | UNI_LOWER | UNI_WORD,
	[UTF8PROC_CATEGORY_MN] = UNI_MARK | UNI_UPPER | UNI_LOWER | UNI_WORD,
	[UTF8PROC_CATEGORY_MC] = UNI_MARK | UNI_UPPER | UNI_LOWER | UNI_WORD,
	[UTF8PROC_CATEGORY_ME] = UNI_MARK | UNI_UPPER | UNI_LOWER | UNI_WORD,
	[UTF8PROC_CATEGORY_ND] = UNI_NUMBER | UNI_WORD,
	[UTF8PROC_CATEGORY_NL] = UNI_NUMBER | UNI_WORD,
	[UTF8PROC_CATEGORY_NO] = UNI_NUMBER,
	[UTF8PROC_CATEGORY_PC] = UNI_WORD,
	[UTF8PROC_CATEGORY_ZS] = UNI_SPACE,
	[UTF8PROC_CATEGORY_ZL] = UNI_SPACE,
	[UTF8PROC_CATEGORY_ZP] = UNI_SPACE,
	[UTF8PROC_CATEGORY_CO] = 0,
};

unsigned uni_class(uint32_t cp)
{
	if (cp == '\n' || cp == '\r')
		return UNI_SPACE | UNI_NEWLINE;
	if ((cp >= 9 && cp <= 13) || cp == 0x85)
		return UNI_SPACE;
	/* Joiners, and the circled and squared letters that are Alphabetic without being \p{L}. */
	if (cp == 0x200c || cp == 0x200d || (cp >= 0x24b6 && cp <= 0x24e9) ||
		(cp >= 0x1f130 && cp <= 0x1f149) || (cp >= 0x1f150 && cp <= 0x1f169) ||
		(cp >= 0x1f170 && cp <= 0x1f189))
		return UNI_WORD;
	unsigned cat = (unsigned)utf8proc_get_property((utf8proc_int32_t)cp)->category;
	return cat < sizeof category_class ? category_class[cat] : 0;
}

const char *uni_version(void)
{
	return utf8proc_unicode_version();
}
