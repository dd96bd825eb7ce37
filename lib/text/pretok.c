#include "text/pretok.h"
#include "text/pretok_rx.h"
#include "text/pretok_scan.h"
#include "base/mem.h"

#include <stdlib.h>

#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CL100K(digits)                                              \
	CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits \
		     "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define O200K(slash)                                                                                         \
	"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" CONTRACTIONS "?|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER \
	"*" CONTRACTIONS "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n" slash                                  \
	"]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* As cl100k in tiktoken: white space at the end of the text is one piece, lines in it or not. */
#define CL100K_TAIL                                                                \
	"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| " \
	"?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+\\z|\\s*[\\r\\n]|\\s+(?!\\S)|\\s"

/* The first row of a name is the text that is written for it; rows without a name are other spellings of the
 * same. */
static const struct known {
	const char *name, *text;
	scan_fn *scan;
} known[] = {
	{ "gpt2", "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
		scan_gpt2 },
	{ NULL, "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
		scan_gpt2 },
	{ NULL, "'s|'t|'re|'ve|'m|'ll|'d| ?[\\p{L}]+| ?[\\p{N}]+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
		scan_gpt2 },
	{ NULL, "'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s",
		scan_gpt2 },
	{ "llama3", CL100K("{1,3}"), scan_cl100k },
	{ "gpt4", CL100K("{1,3}"), scan_cl100k },
	{ "cl100k", CL100K_TAIL, scan_cl100k_tail },
	{ NULL,
		"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| "
		"?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+"
		"|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
		scan_cl100k_tail },
	{ "qwen", CL100K(""), scan_qwen },
	{ "qwen2", CL100K(""), scan_qwen },
	{ "qwen3", CL100K(""), scan_qwen },
	{ "o200k", O200K("/"), scan_o200k },
	{ "nanochat", CL100K("{1,2}"), scan_digits2 },
	{ NULL,
		"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,2}| "
		"?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
		"|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+",
		scan_digits2 },
};
#define NKNOWN (sizeof known / sizeof known[0])

struct pretok {
	char *text;
	scan_fn *scan; /* of a known pattern, or NULL */
	struct rx *rx;
};

struct splitter {
	const struct pretok *p;
	struct rx_state *rx;
};

const char *pretok_known(const char *name)
{
	for (size_t i = 0; i < NKNOWN; i++)
		if (known[i].name && strcmp(known[i].name, name) == 0)
			return known[i].text;
	return NULL;
}

struct pretok *pretok_regex(const char *pattern, unsigned flags, struct err *e)
{
	struct pretok *p = xcalloc(1, sizeof *p);
	for (size_t i = 0; i < NKNOWN && !p->scan; i++) {
		/* tiktoken's $ is the end of the text; with line ends it would be another rule. */
		if (strcmp(known[i].text, pattern) == 0 && !(strchr(pattern, '$') && (flags & PRETOK_LINES)))
			p->scan = known[i].scan;
	}
	for (size_t i = 0; i < NKNOWN && p->scan && !p->text; i++)
		if (known[i].scan == p->scan)
			p->text = xstrdup(known[i].text);
	if (!p->text && (flags & PRETOK_LINES)) {
		p->text = xstrdup(pattern);
	} else if (!p->text) {
		struct buf b = { 0 };
		rx_absolute(pattern, &b);
		p->text = xstrndup(b.p ? b.p : "", b.n);
		buf_release(&b);
	}
	scan_init();
	if (!p->scan && !(p->rx = rx_new(p->text, e))) {
		pretok_free(p);
		return NULL;
	}
	return p;
}

struct pretok *pretok_new(const char *pattern, unsigned flags, struct err *e)
{
	const char *text = pretok_known(pattern);
	return pretok_regex(text ? text : pattern, text ? 0 : flags, e);
}

void pretok_free(struct pretok *p)
{
	if (!p)
		return;
	rx_free(p->rx);
	free(p->text);
	free(p);
}

const char *pretok_text(const struct pretok *p)
{
	return p->text;
}

int pretok_tiles(const struct pretok *p)
{
	return p->scan != NULL;
}

int pretok_matches_empty(const struct pretok *p)
{
	return p->rx && rx_matches_empty(p->rx);
}

struct splitter *splitter_new(const struct pretok *p)
{
	struct splitter *s = xcalloc(1, sizeof *s);
	s->p = p;
	if (p->rx)
		s->rx = rx_state_new(p->rx);
	return s;
}

void splitter_free(struct splitter *s)
{
	if (!s)
		return;
	rx_state_free(s->rx);
	free(s);
}

uint64_t splitter_limited(const struct splitter *s)
{
	return s->rx ? rx_limited(s->rx) : 0;
}

size_t splitter_next(struct splitter *s, const char *text, size_t n, size_t at, int *match)
{
	if (match)
		*match = 1;
	if (s->p->scan)
		return s->p->scan(text, n, at);
	return rx_next(s->rx, text, n, at, match);
}
