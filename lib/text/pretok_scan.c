#include "text/pretok_scan.h"
#include "text/utf8.h"

#include <pthread.h>

/* Classes of the code points below LOW; what lies above is rare, and nearly all of it ideographs. */
#define LOW 0x20000u
static unsigned char low_class[LOW];

static void build(void)
{
	for (uint32_t c = 0; c < LOW; c++)
		low_class[c] = (unsigned char)uni_class(c);
}

void scan_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, build);
}

/* Class of the character at text[at], or 0 at the end; *len is its length (0 at the end). */
static inline unsigned class_at(const char *text, size_t n, size_t at, size_t *len)
{
	if (at >= n) {
		*len = 0;
		return 0;
	}
	unsigned c = (unsigned char)text[at];
	if (c < 0x80) {
		*len = 1;
		return low_class[c];
	}
	uint32_t cp;
	*len = utf8_get(text + at, n - at, &cp);
	return cp < LOW ? low_class[cp] : uni_class(cp);
}

/* End of the longest run of characters that have one of the wanted bits. */
static inline size_t run_of(const char *text, size_t n, size_t at, unsigned wanted)
{
	for (;;) {
		while (at < n && (unsigned char)text[at] < 0x80) {
			if (!(low_class[(unsigned char)text[at]] & wanted))
				return at;
			at++;
		}
		size_t len;
		if (!(class_at(text, n, at, &len) & wanted))
			return at;
		at += len;
	}
}

/* End of the longest run of [^\s\p{L}\p{N}]. */
static inline size_t run_other(const char *text, size_t n, size_t at)
{
	size_t len;
	while (at < n && !(class_at(text, n, at, &len) & (UNI_SPACE | UNI_LETTER | UNI_NUMBER)))
		at += len;
	return at;
}

/* \p{N}{1,most} */
static inline size_t run_digits(const char *text, size_t n, size_t at, int most)
{
	size_t len;
	while (most-- > 0 && (class_at(text, n, at, &len) & UNI_NUMBER))
		at += len;
	return at;
}

/* 's 't 're 've 'm 'll 'd at text[at] == '\'': the end, or `at` when there is none. Any case on demand;
 * U+017F folds to s. */
static inline size_t contraction(const char *text, size_t n, size_t at, int any_case)
{
	size_t left = n - at;
	if (left < 2)
		return at;
	unsigned fold = any_case ? 0x20 : 0, a = (unsigned char)text[at + 1] | fold;
	if (a == 's' || a == 't' || a == 'm' || a == 'd')
		return at + 2;
	if (left < 3)
		return at;
	unsigned b = (unsigned char)text[at + 2] | fold;
	if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
		return at + 3;
	if (any_case && (unsigned char)text[at + 1] == 0xc5 && (unsigned char)text[at + 2] == 0xbf)
		return at + 3;
	return at;
}

/* The run of white space [at, end): \s+(?!\S)|\s+ leaves the last character to what follows. */
static inline size_t space_before_word(const char *text, size_t n, size_t at, size_t end)
{
	if (end == n)
		return end;
	uint32_t cp;
	size_t last = end - utf8_get_back(text + at, end - at, &cp);
	return last > at ? last : end;
}

/* '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t scan_gpt2(const char *text, size_t n, size_t at)
{
	if (text[at] == '\'') {
		size_t end = contraction(text, n, at, 0);
		if (end > at)
			return end;
	}
	size_t len, word = at + (text[at] == ' ');
	unsigned c = class_at(text, n, word, &len);
	if (c & UNI_LETTER)
		return run_of(text, n, word + len, UNI_LETTER);
	if (c & UNI_NUMBER)
		return run_of(text, n, word + len, UNI_NUMBER);
	if (word < n && !(c & UNI_SPACE))
		return run_other(text, n, word + len);
	return space_before_word(text, n, at, run_of(text, n, at, UNI_SPACE));
}

/* \s*[\r\n]+|\s+(?!\S)|\s+ ; with `tail` \s++$ stands in front. */
static inline size_t spaces(const char *text, size_t n, size_t at, int tail)
{
	size_t end = run_of(text, n, at, UNI_SPACE);
	if (tail && end == n)
		return end;
	for (size_t i = end; i > at; i--)
		if (text[i - 1] == '\n' || text[i - 1] == '\r')
			return i;
	return space_before_word(text, n, at, end);
}

/*  ?[^\s\p{L}\p{N}]+[\r\n]* at a character that fits, then what follows it; `slash` adds '/' to the last
 * class. */
static inline size_t punctuation(const char *text, size_t n, size_t at, int slash)
{
	at = run_other(text, n, at);
	while (at < n && (text[at] == '\n' || text[at] == '\r' || (slash && text[at] == '/')))
		at++;
	return at;
}

/*
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
 * ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+ with another limit of digits, and tiktoken's \s++$ on
 * demand.
 */
static inline size_t cl100k(const char *text, size_t n, size_t at, int digits, int tail)
{
	size_t len, next;
	unsigned c = class_at(text, n, at, &len), d;
	if (c & UNI_LETTER)
		return run_of(text, n, at + len, UNI_LETTER);
	if (text[at] == '\'') {
		size_t end = contraction(text, n, at, 1);
		if (end > at)
			return end;
	}
	if (c & UNI_NUMBER)
		return run_digits(text, n, at, digits);
	d = class_at(text, n, at + len, &next);
	if (!(c & UNI_NEWLINE) && (d & UNI_LETTER))
		return run_of(text, n, at + len + next, UNI_LETTER);
	if (!(c & UNI_SPACE))
		return punctuation(text, n, at + len, 0);
	if (text[at] == ' ' && next && !(d & (UNI_SPACE | UNI_LETTER | UNI_NUMBER)))
		return punctuation(text, n, at + 1, 0);
	return spaces(text, n, at, tail);
}

size_t scan_cl100k(const char *text, size_t n, size_t at)
{
	return cl100k(text, n, at, 3, 0);
}

size_t scan_cl100k_tail(const char *text, size_t n, size_t at)
{
	return cl100k(text, n, at, 3, 1);
}

size_t scan_digits2(const char *text, size_t n, size_t at)
{
	return cl100k(text, n, at, 2, 0);
}

size_t scan_qwen(const char *text, size_t n, size_t at)
{
	return cl100k(text, n, at, 1, 0);
}

/*
 * U*W+ or U+W* of o200k's two first alternatives, U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W =
 * [\p{Ll}\p{Lm}\p{Lo}\p{M}], from text[at]: the end, or `at` when it does not match. U* is greedy: when no W
 * follows the run it gives characters back until one of them is a W.
 */
static size_t word_lower(const char *text, size_t n, size_t at)
{
	size_t end = at, last_both = 0, len;
	unsigned c;
	while ((c = class_at(text, n, end, &len)) & UNI_UPPER) {
		end += len;
		if (c & UNI_LOWER)
			last_both = end;
	}
	if (c & UNI_LOWER)
		return run_of(text, n, end + len, UNI_LOWER);
	return last_both ? last_both : at;
}

static size_t word_upper(const char *text, size_t n, size_t at)
{
	size_t end = run_of(text, n, at, UNI_UPPER);
	return end > at ? run_of(text, n, end, UNI_LOWER) : at;
}

static size_t o200k_word(const char *text, size_t n, size_t at)
{
	size_t len, end, word;
	unsigned c = class_at(text, n, at, &len);
	int prefix = !(c & (UNI_NEWLINE | UNI_LETTER | UNI_NUMBER));
	word = at + len;
	if (prefix && (end = word_lower(text, n, word)) > word)
		return end;
	if ((end = word_lower(text, n, at)) > at)
		return end;
	if (prefix && (end = word_upper(text, n, word)) > word)
		return end;
	return word_upper(text, n, at);
}

size_t scan_o200k(const char *text, size_t n, size_t at)
{
	size_t end = o200k_word(text, n, at), len, next;
	if (end > at)
		return end < n && text[end] == '\'' ? contraction(text, n, end, 1) : end;
	unsigned c = class_at(text, n, at, &len);
	if (c & UNI_NUMBER)
		return run_digits(text, n, at, 3);
	if (!(c & UNI_SPACE))
		return punctuation(text, n, at + len, 1);
	unsigned d = class_at(text, n, at + len, &next);
	if (text[at] == ' ' && next && !(d & (UNI_SPACE | UNI_LETTER | UNI_NUMBER)))
		return punctuation(text, n, at + 1, 1);
	return spaces(text, n, at, 0);
}
