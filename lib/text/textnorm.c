#include "text/textnorm.h"
#include "text/utf8.h"
#include "base/die.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <utf8proc.h>

/* --- NFC: which characters could change ----------------------------------------------------------------- */

/* One bit a code point below LOW: set when NFC could change it or join it to what stands before.
 * Conservative. The characters above are unassigned, private, tags or ideographs that NFC leaves alone. */
#define LOW 0x30000u
static unsigned char unsafe[LOW / 8];

static void mark(uint32_t c)
{
	unsafe[c >> 3] |= (unsigned char)(1u << (c & 7));
}

static int is_safe(uint32_t c)
{
	return c >= LOW || !(unsafe[c >> 3] >> (c & 7) & 1);
}

static void mark_one(uint32_t c)
{
	const utf8proc_property_t *p = utf8proc_get_property((utf8proc_int32_t)c);
	if (p->combining_class)
		mark(c);
	if (p->decomp_seqindex == UINT16_MAX || p->decomp_type != 0)
		return; /* no canonical decomposition */
	utf8proc_int32_t d[16];
	utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)c, d, 16, UTF8PROC_DECOMPOSE, NULL);
	for (utf8proc_ssize_t i = 1; i < n && i < 16; i++)
		mark((uint32_t)d[i]);
	n = n > 0 && n <= 16 ? utf8proc_normalize_utf32(d, n, UTF8PROC_COMPOSE | UTF8PROC_STABLE) : 0;
	if (n != 1 || d[0] != (utf8proc_int32_t)c)
		mark(c);
}

static void build(void)
{
	for (uint32_t c = 0x80; c < LOW; c++)
		if (c < 0xac00 || c > 0xd7a3) /* Hangul syllables are composed by rule, below */
			mark_one(c);
	for (uint32_t c = 0x1161; c <= 0x11c2; c++) /* vowels and final consonants join what stands before */
		mark(c);
}

void norm_init(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, build);
}

/* Start of the first character that is not safe, n when there is none. *before: start of the safe one in
 * front. */
static size_t first_unsafe(const char *text, size_t n, size_t at, size_t *before)
{
	*before = at;
	while (at < n) {
		size_t ascii = utf8_ascii(text + at, n - at);
		if (ascii) {
			at += ascii;
			*before = at - 1;
			if (at == n)
				break;
		}
		uint32_t cp;
		size_t len = utf8_get(text + at, n - at, &cp);
		if (!is_safe(cp))
			return at;
		*before = len == 1 ? at + 1 : at; /* a bad byte joins nothing */
		at += len;
	}
	return n;
}

/* --- steps ---------------------------------------------------------------------------------------------- */

static const utf8proc_option_t form_options[] = {
	[NORM_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
	[NORM_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
	[NORM_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
	[NORM_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
};

/* Well-formed text through utf8proc. */
static void form_valid(enum norm_op kind, const char *text, size_t n, struct buf *out)
{
	const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
	utf8proc_ssize_t len = (utf8proc_ssize_t)n, room = len, k;
	utf8proc_int32_t *cp = xreallocarray(NULL, n + 1, sizeof *cp);
	k = utf8proc_decompose(p, len, cp, room, form_options[kind]);
	if (k > room) {
		room = k;
		cp = xreallocarray(cp, (size_t)room + 1, sizeof *cp);
		k = utf8proc_decompose(p, len, cp, room, form_options[kind]);
	}
	/* Encodes in place; one unit more is there for its NUL. */
	k = k < 0 ? k : utf8proc_reencode(cp, k, form_options[kind]);
	ASSERT(k >= 0);
	buf_add(out, cp, (size_t)k);
	free(cp);
}

/* Any bytes: ASCII that nothing joins and bad bytes are copied. */
static void form(enum norm_op kind, const char *text, size_t n, struct buf *out)
{
	for (size_t at = 0; at < n;) {
		size_t valid = utf8_valid(text + at, n - at);
		form_valid(kind, text + at, valid, out);
		at += valid;
		for (; at < n && utf8_valid(text + at, n - at < 4 ? n - at : 4) == 0; at++)
			buf_addc(out, text[at]);
	}
}

/* NFC of the stretches around unsafe characters; a stretch ends at the next safe character that follows them.
 */
static void nfc(const char *text, size_t n, struct buf *out)
{
	size_t at = 0;
	while (at < n) {
		size_t from, hit = first_unsafe(text, n, at, &from), end = hit;
		if (hit == n)
			break;
		buf_add(out, text + at, from - at);
		while (end < n) {
			uint32_t cp;
			size_t len = utf8_get(text + end, n - end, &cp);
			if (is_safe(cp))
				break;
			end += len;
		}
		form(NORM_NFC, text + from, end - from, out);
		at = end;
	}
	buf_add(out, text + at, n - at);
}

static void replace(struct str a, struct str b, const char *text, size_t n, struct buf *out)
{
	size_t at = 0, from = 0;
	while (a.n && at + a.n <= n) {
		const char *p = memchr(text + at, a.p[0], n - a.n + 1 - at);
		if (!p)
			break;
		at = (size_t)(p - text);
		if (memcmp(p, a.p, a.n) != 0) {
			at++;
			continue;
		}
		buf_add(out, text + from, at - from);
		buf_add(out, b.p, b.n);
		at += a.n;
		from = at;
	}
	buf_add(out, text + from, n - from);
}

/* sentencepiece's Normalizer::Normalize, in its order: a kept string loses the spaces that follow a space,
 * too. */
static void sentencepiece(
	const struct norm_step *s, const struct trie *keep, const char *text, size_t n, struct buf *out)
{
	struct str mark = s->b;
	int squeeze = mark.n > 0, space = squeeze;
	size_t from = out->n;
	for (size_t at = 0, len; at < n; at += len) {
		struct str to;
		uint32_t which;
		if (keep && (len = trie_match(keep, text + at, n - at, &which)) > 0)
			to = (struct str){ text + at, len };
		else
			len = charsmap_prefix(s->a, text + at, n - at, &to);
		while (space && to.n && to.p[0] == ' ')
			to = (struct str){ to.p + 1, to.n - 1 };
		buf_add(out, to.p, to.n);
		if (to.n)
			space = squeeze && to.p[to.n - 1] == ' ';
	}
	while (squeeze && out->n > from) {
		if (out->p[out->n - 1] == ' ')
			out->n--;
		else if (out->n - from >= mark.n && memcmp(out->p + out->n - mark.n, mark.p, mark.n) == 0)
			out->n -= mark.n;
		else
			break;
	}
}

static void apply(
	const struct textnorm *t, const struct norm_step *s, const char *text, size_t n, struct buf *out)
{
	switch (s->kind) {
	case NORM_NFC:
		nfc(text, n, out);
		break;
	case NORM_NFD:
	case NORM_NFKC:
	case NORM_NFKD:
		form(s->kind, text, n, out);
		break;
	case NORM_PREPEND:
		if (n)
			buf_add(out, s->a.p, s->a.n);
		buf_add(out, text, n);
		break;
	case NORM_REPLACE:
		replace(s->a, s->b, text, n, out);
		break;
	case NORM_SENTENCEPIECE:
		sentencepiece(s, t->keep, text, n, out);
		break;
	}
}

int norm_is_identity(const struct textnorm *t, const char *text, size_t n)
{
	size_t before;
	for (size_t i = 0; i < t->n; i++)
		if (t->steps[i].kind != NORM_NFC || first_unsafe(text, n, 0, &before) != n)
			return 0;
	return 1;
}

void norm_apply(const struct textnorm *t, const char *text, size_t n, struct buf *out, struct buf *tmp)
{
	buf_reset(out);
	if (!t->n)
		buf_add(out, text, n);
	for (size_t i = 0; i < t->n; i++) {
		if (i) { /* what the last step made is the text of this one */
			struct buf swap = *tmp;
			*tmp = *out;
			*out = swap;
			buf_reset(out);
			text = tmp->p;
			n = tmp->n;
		}
		apply(t, &t->steps[i], text, n, out);
	}
}
