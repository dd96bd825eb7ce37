#include "tap.h"
#include "text/utf8.h"

static void decoding(void)
{
	static const struct {
		const char *text;
		size_t n, len;
		uint32_t cp;
	} rows[] = {
		{ "a", 1, 1, 'a' },
		{ "\xc3\xa9", 2, 2, 0xe9 },
		{ "\xe6\x97\xa5", 3, 3, 0x65e5 },
		{ "\xf0\x9f\x99\x82", 4, 4, 0x1f642 },
		{ "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
		{ "\xc3", 1, 1, UTF8_BAD }, /* cut short */
		{ "\xe6\x97", 2, 1, UTF8_BAD },
		{ "\xc0\x80", 2, 1, UTF8_BAD }, /* overlong */
		{ "\xe0\x9f\xbf", 3, 1, UTF8_BAD },
		{ "\xf0\x8f\xbf\xbf", 4, 1, UTF8_BAD },
		{ "\xed\xa0\x80", 3, 1, UTF8_BAD },     /* surrogate */
		{ "\xf4\x90\x80\x80", 4, 1, UTF8_BAD }, /* above U+10FFFF */
		{ "\x80", 1, 1, UTF8_BAD },
		{ "\xff", 1, 1, UTF8_BAD },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t cp;
		size_t len = utf8_get(rows[i].text, rows[i].n, &cp);
		ok(len == rows[i].len && cp == rows[i].cp, "row %zu: length %zu, U+%04X", i, len,
			(unsigned)cp);
		ok(utf8_valid(rows[i].text, rows[i].n) == (cp == UTF8_BAD ? 0 : rows[i].n),
			"row %zu: valid prefix", i);
	}
}

static void round_trip(void)
{
	int bad = 0, back = 0, partial = 0;
	for (uint32_t c = 0; c < 0x110000; c++) {
		char s[4];
		uint32_t got;
		if (c >= 0xd800 && c < 0xe000)
			continue;
		size_t n = utf8_put(c, s);
		bad += utf8_get(s, n, &got) != n || got != c;
		back += utf8_get_back(s, n, &got) != n || got != c;
		for (size_t k = 1; k < n; k++)
			partial += utf8_partial(s, k) != k;
		partial += utf8_partial(s, n) != 0;
	}
	ok(!bad, "every code point comes back");
	ok(!back, "also backwards");
	ok(!partial, "every beginning of a character is known as one");
	ok(utf8_partial("a\xe0\x80", 3) == 0, "what no byte can complete is not partial");
	ok(utf8_partial("\xed\xa0", 2) == 0 && utf8_partial("\xf4\x90", 2) == 0,
		"nor surrogates and too large ones");
}

static void classes(void)
{
	static const struct {
		uint32_t cp;
		unsigned wanted, mask;
	} rows[] = {
		{ 'a', UNI_LETTER | UNI_LOWER, UNI_LETTER | UNI_LOWER | UNI_UPPER },
		{ 'A', UNI_LETTER | UNI_UPPER, UNI_LETTER | UNI_LOWER | UNI_UPPER },
		{ 0x1c5, UNI_UPPER, UNI_LOWER | UNI_UPPER },             /* Lt */
		{ 0x2b0, UNI_UPPER | UNI_LOWER, UNI_LOWER | UNI_UPPER }, /* Lm */
		{ 0x65e5, UNI_LETTER, UNI_LETTER | UNI_NUMBER },
		{ 0x301, UNI_MARK, UNI_MARK | UNI_LETTER },
		{ '7', UNI_NUMBER, UNI_NUMBER | UNI_LETTER },
		{ 0xbd, UNI_NUMBER, UNI_NUMBER | UNI_WORD },
		{ '\n', UNI_SPACE | UNI_NEWLINE, UNI_SPACE | UNI_NEWLINE },
		{ 0x85, UNI_SPACE, UNI_SPACE | UNI_NEWLINE },
		{ 0x3000, UNI_SPACE, UNI_SPACE },
		{ 0x1c, 0, UNI_SPACE },
		{ 0x180e, 0, UNI_SPACE },
		{ 0x200b, 0, UNI_SPACE },
		{ 0xfeff, 0, UNI_SPACE },
		{ '_', UNI_WORD, UNI_WORD | UNI_LETTER },
		{ 0x24b6, UNI_WORD, UNI_WORD | UNI_LETTER }, /* circled and squared letters are Alphabetic */
		{ 0x1f149, UNI_WORD, UNI_WORD },
		{ 0x1f14c, 0, UNI_WORD }, /* squared abbreviations are not */
		{ 0x1f150, UNI_WORD, UNI_WORD },
		{ 0x1f16a, 0, UNI_WORD },
		{ 0x1f18a, 0, UNI_WORD },
		{ UTF8_BAD, 0, 0xff },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		ok((uni_class(rows[i].cp) & rows[i].mask) == rows[i].wanted, "class of U+%04X",
			(unsigned)rows[i].cp);
}

int main(void)
{
	decoding();
	round_trip();
	classes();
	return tap_end();
}
