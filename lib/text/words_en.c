#include "text/words_en.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/uclass.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- special cases --- */

#define MAX_PARTS 3
#define MAX_PATTERN 16

/* A piece with its own cut. `pattern`: the words that the rules below would make of it without special cases
 * (none when no rule touches it); where these stand side by side in the text they are joined and cut as the
 * case says. */
struct special {
	char *text;
	size_t n;
	uint64_t hash;
	uint8_t parts, part[MAX_PARTS];
	uint8_t npattern;
	uint64_t pattern[MAX_PATTERN];
	size_t next; /* special + 1 whose pattern starts with the same word */
};

#define SLOTS 4096
static struct special *specials;
static size_t nspecials, cap_specials, longest_special;
static uint16_t special_slot[SLOTS]; /* by hash of the text: index + 1 */
static uint16_t
	head_slot[SLOTS]; /* by hash of the first word of the pattern: index + 1 of the first special */
static uint64_t head_filter[SLOTS / 64];
uint64_t words_en_filter[WORDS_EN_FILTER / 64];

static size_t slot_of(uint64_t hash)
{
	return (size_t)(mix64(hash) % SLOTS);
}

static struct special *find_special(const char *p, size_t n, uint64_t hash)
{
	for (size_t at = slot_of(hash); special_slot[at]; at = (at + 1) % SLOTS) {
		struct special *c = &specials[special_slot[at] - 1];
		if (c->hash == hash && c->n == n && memcmp(c->text, p, n) == 0)
			return c;
	}
	return NULL;
}

/* A case is written with a tab where it is cut. A later one of the same text replaces an earlier one. */
static void add_special(const char *cut)
{
	struct special c = { .text = xstrdup(cut) };
	for (const char *p = cut; *p; p++) {
		if (*p == '\t') {
			ASSERT(++c.parts < MAX_PARTS);
		} else {
			c.part[c.parts]++;
			c.text[c.n++] = *p;
		}
	}
	c.parts++;
	c.text[c.n] = 0;
	c.hash = word_hash(c.text, c.n);
	struct special *old = find_special(c.text, c.n, c.hash);
	if (old) {
		free(c.text);
		old->parts = c.parts;
		memcpy(old->part, c.part, sizeof c.part);
		return;
	}
	GROW(specials, cap_specials, nspecials + 1);
	specials[nspecials++] = c;
	if (c.n > longest_special)
		longest_special = c.n;
	size_t at = slot_of(c.hash);
	while (special_slot[at])
		at = (at + 1) % SLOTS;
	ASSERT(nspecials < SLOTS / 2);
	special_slot[at] = (uint16_t)nspecials;
	words_en_filter[c.hash >> 54] |= UINT64_C(1) << (c.hash >> 48 & 63);
}

/* Words that are like contractions without an apostrophe, and are left whole. */
static int is_word(const char *s)
{
	static const char *const word[] = { "ill", "its", "hell", "shell", "shed", "were", "well", "whore" };
	for (size_t i = 0; i < sizeof word / sizeof *word; i++)
		if (strcmp(s + 1, word[i] + 1) == 0 && (s[0] | 0x20) == word[i][0])
			return 1;
	return 0;
}

/* stem + endings, as written ("'ll've": with a tab in front of each part) and without apostrophes, the stem
 * also with a capital. */
static void contract(const char *stem, const char *endings)
{
	for (int capital = 0; capital < 2; capital++) {
		for (int bare = 0; bare < 2; bare++) {
			char cut[64], joined[64];
			size_t n = 0, m = 0;
			for (const char *p = stem; *p; p++)
				cut[n++] = joined[m++] = capital && p == stem ? (char)(*p - 32) : *p;
			for (const char *p = endings; *p; p++) {
				if (bare && *p == '\'')
					continue;
				cut[n++] = *p;
				if (*p != '\t')
					joined[m++] = *p;
			}
			cut[n] = joined[m] = 0;
			if (!is_word(joined))
				add_special(cut);
		}
	}
}

/* words: separated by blanks; endings: likewise. */
static void contract_all(const char *words, const char *endings)
{
	char w[256], e[256];
	snprintf(w, sizeof w, "%s", words);
	for (char *a = w, *stem; (stem = a) && *a;) {
		a += strcspn(a, " ");
		if (*a)
			*a++ = 0;
		snprintf(e, sizeof e, "%s", endings);
		for (char *b = e, *end; (end = b) && *b;) {
			b += strcspn(b, " ");
			if (*b)
				*b++ = 0;
			contract(stem, end);
		}
	}
}

static void add_list(const char *list)
{
	while (*list) {
		char one[64];
		size_t n = strcspn(list, " ");
		ASSERT(n < sizeof one);
		memcpy(one, list, n);
		one[n] = 0;
		add_special(one);
		list += n;
		list += *list == ' ';
	}
}

static void add_specials(void)
{
	add_list("\\t \\n — ' \\\") <space> '' C++ ä. ö. ü.");
	for (char c = 'a'; c <= 'z'; c++)
		add_special((char[]){ c, '.', 0 });
	add_list(":) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) "
		 ";-) (; "
		 "(-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ "
		 ":1 :P :-P "
		 ":p :-p :O :-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D "
		 "xD XD xDD "
		 "XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o "
		 "o_0 0_0 "
		 "o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) "
		 "ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) "
		 "¯\\(ツ)/¯ "
		 "(╯°□°）╯︵┻━┻ ><(((*>");
	for (const char *u = "cfkCFK"; *u; u++)
		add_special((char[]){ '\xc2', '\xb0', '\t', *u, '\t', '.', 0 }); /* the degree sign first */

	contract_all("i", "\t'm \t'm\ta");
	contract_all("i you he she it we they", "\t'll \t'll\t've \t'd \t'd\t've");
	contract_all("i you we they", "\t've");
	contract_all("you we they", "\t're");
	contract_all("he she it", "\t's");
	contract_all("who what when where why how there that this", "\t's");
	contract_all(
		"who what when where why how there that this these those", "\t'll \t'll\t've \t'd \t'd\t've");
	contract_all("who what when where why how there these those", "\t're \t've");
	contract_all(
		"ca could do does did had may might must need ought sha should wo would", "\tn't \tn't\t've");
	contract_all("could might must should would", "\t've");
	contract_all("ai are is was were have has dare", "\tn't");

	add_list("doin doin' Doin Doin' goin goin' Goin Goin' nothin nothin' Nothin Nothin' nuthin nuthin' "
		 "Nuthin "
		 "Nuthin' ol ol' Ol Ol' somethin somethin' Somethin Somethin' em 'em ll 'll nuff 'nuff lovin "
		 "lovin' "
		 "Lovin Lovin' havin havin' Havin Havin'");
	for (int h = 1; h <= 12; h++) {
		static const char *const period[] = { "a.m.", "am", "p.m.", "pm" };
		for (int i = 0; i < 4; i++) {
			char cut[16];
			snprintf(cut, sizeof cut, "%d\t%s", h, period[i]);
			add_special(cut);
		}
	}
	add_list("y'\tall y\tall how\t'd\t'y How\t'd\t'y not\t've not\tve Not\t've Not\tve can\tnot Can\tnot "
		 "gon\tna "
		 "Gon\tna got\tta Got\tta let\t's Let\t's c'm\ton C'm\ton");
	add_list("'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout "
		 "ma'am Ma'am o'clock O'clock 'd");
	add_list("Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. "
		 "Ind. Jan. "
		 "Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss. N.C. N.D. N.H. N.J. N.M. N.Y. "
		 "Neb. Nebr. "
		 "Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis. a.m. Adm. Bros. co. Co. "
		 "Corp. "
		 "D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. "
		 "Mrs. Ms. "
		 "p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s.");
}

/* Every case with an apostrophe is also one with a typographic apostrophe. */
static void add_typographic(void)
{
	struct buf cut = { 0 };
	for (size_t i = 0, n = nspecials; i < n; i++) {
		struct special c = specials[i];
		if (!strchr(c.text, '\''))
			continue;
		buf_reset(&cut);
		const char *p = c.text;
		for (int k = 0; k < c.parts; k++) {
			if (k)
				buf_addc(&cut, '\t');
			for (int m = 0; m < c.part[k]; m++, p++)
				buf_add(&cut, *p == '\'' ? "’" : p, *p == '\'' ? strlen("’") : 1);
		}
		add_special(cut.p);
	}
	buf_release(&cut);
}

/* --- affixes --- */

/* Units and currencies that are cut off behind a digit. */
static const char units[] = " km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg "
			    "µg t lb oz m/s km/h kmh mph "
			    "hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см "
			    "см² см³ мм мм² мм³ нм кг г мг "
			    "м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ كم² كم³ م م² م³ سم سم² "
			    "سم³ مم مم² مم³ كم غرام جرام جم "
			    "كغ ملغ كوب اكواب US$ C$ A$ ";

static unsigned class_at(const char *p, const char *end, size_t *len)
{
	return uc_class(uc_next(p, end, len));
}

static int is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t dots(const char *p, const char *end)
{
	const char *q = p;
	while (q < end && *q == '.')
		q++;
	return (size_t)(q - p);
}

/* Length of what is cut off in front, 0 for nothing. */
static size_t find_prefix(const char *p, const char *end)
{
	size_t len;
	if (p == end)
		return 0;
	if (*p == '.') {
		len = dots(p, end);
		return len > 1 ? len : 0;
	}
	if (*p == '+')
		return end - p < 2 || !is_digit(p[1]);
	uint32_t c = uc_next(p, end, &len);
	if (uc_class(c) & (EN_PUNCT | EN_QUOTE | EN_CURRENCY | EN_ICON))
		return len;
	if (c == '%' || c == '=' || c == 0xa7 || c == 0x2013 || c == 0x2014)
		return len;
	if ((c == 'C' || c == 'A') && end - p > 1 && p[1] == '$')
		return 2;
	return end - p > 2 && memcmp(p, "US$", 3) == 0 ? 3 : 0;
}

/* May a full stop behind this character be cut off? */
static int ends_before_stop(const char *p, const char *end)
{
	size_t len;
	if (p == end)
		return 0;
	uint32_t c = uc_prev(p, end, &len);
	unsigned k = uc_class(c);
	if ((k & (EN_LOWER | EN_PUNCT | EN_QUOTE)) || (c < 0x80 && strchr("0123456789%+-|", (int)c)) ||
		c == 0xb2)
		return 1;
	const char *before = end - len;
	if (before == p)
		return 0;
	uint32_t c2 = uc_prev(p, before, &len);
	if ((k & EN_UPPER) && (uc_class(c2) & EN_UPPER))
		return 1;
	return c2 == 0xb0 && c < 0x80 && strchr("FCK", (int)c);
}

/* p..end as a unit or currency behind a digit: its length, 0 when it is not. */
static size_t find_unit(const char *p, const char *end)
{
	const char *q = end;
	char want[16];
	size_t len;
	while (q > p && end - q <= 12 && !is_digit(q[-1]))
		q--;
	if (q == p || q == end || end - q > 12)
		return 0;
	snprintf(want, sizeof want, " %.*s ", (int)(end - q), q);
	if (strstr(units, want))
		return (size_t)(end - q);
	uint32_t c = uc_next(q, end, &len);
	return q + len == end && (uc_class(c) & EN_CURRENCY) ? len : 0;
}

/* Length of what is cut off behind, 0 for nothing. */
static size_t find_suffix(const char *p, const char *end)
{
	size_t len;
	if (p == end)
		return 0;
	char last = end[-1];
	if (last == '.') {
		const char *q = end;
		while (q > p && q[-1] == '.')
			q--;
		return end - q > 1 ? (size_t)(end - q) : (size_t)ends_before_stop(p, end - 1);
	}
	if ((last == 's' || last == 'S') && end - p > 1) {
		if (end[-2] == '\'')
			return 2;
		if (end - p > 3 && memcmp(end - 4, "’", 3) == 0)
			return 4;
	}
	if (last == '+')
		return end - p > 1 && is_digit(end[-2]);
	uint32_t c = uc_prev(p, end, &len);
	if (uc_class(c) & (EN_PUNCT | EN_QUOTE | EN_ICON) || c == 0x2013 || c == 0x2014) {
		/* Two ellipses go together. */
		if (c == 0x2026 && end - p > 5 && memcmp(end - 6, "…", 3) == 0)
			return 6;
		return len;
	}
	return find_unit(p, end);
}

static int alpha_at(const char *p, const char *end)
{
	size_t len;
	return p < end && (class_at(p, end, &len) & EN_ALPHA);
}

/* A hyphen of one of several shapes between letters, or behind a digit: its length at p, 0 for none. */
static size_t find_hyphen(const char *p, const char *end, uint32_t c, size_t len)
{
	if (c != '-' && c != '~' && c != 0x2013 && c != 0x2014)
		return 0;
	if (alpha_at(p + len, end))
		return len;
	for (size_t k = 2; k <= 3 && c == '-' && (size_t)(end - p) > k && p[k - 1] == '-'; k++)
		if (alpha_at(p + k, end))
			return k;
	return c == 0x2014 && end - p > 5 && memcmp(p + 3, p, 3) == 0 && alpha_at(p + 6, end) ? 6 : 0;
}

/* Length of the infix at p, where prev is the character before it (0 at the start). */
static size_t find_infix(const char *p, const char *end, uint32_t prev)
{
	size_t len, ignored;
	uint32_t c = uc_next(p, end, &len);
	unsigned before = prev ? uc_class(prev) : 0;
	int digit_before = prev >= '0' && prev <= '9';
	const char *next = p + len;
	switch (c) {
	case '.': {
		size_t run = dots(p, end);
		if (run > 1)
			return run;
		return (before & (EN_LOWER | EN_QUOTE)) && next < end &&
		       (class_at(next, end, &ignored) & (EN_UPPER | EN_QUOTE));
	}
	case '+':
	case '*':
	case '^':
		return digit_before && next < end && (is_digit(*next) || *next == '-');
	case ',':
		return (before & EN_ALPHA) && alpha_at(next, end);
	case ':':
	case '<':
	case '>':
	case '=':
	case '/':
		return ((before & EN_ALPHA) || digit_before) && alpha_at(next, end);
	case '-':
		if (digit_before && next < end && (is_digit(*next) || *next == '-'))
			return 1;
	}
	if (c == 0x2026 || (uc_class(c) & EN_ICON))
		return len;
	return (before & EN_ALPHA) || digit_before ? find_hyphen(p, end, c, len) : 0;
}

/* --- URLs --- */

static pcre2_code *url;

/* The pattern of Mathias Bynens' and Diego Perini's URL validators, with optional scheme, as the tokenizer
 * uses it: scheme, user, IP address outside the private networks or host names and a top-level domain, port,
 * rest. */
static void compile_url(void)
{
	struct buf b = { 0 };
	buf_adds(&b,
		"^(?:(?:[\\w\\+\\-\\.]{2,})://)?(?:\\S+(?::\\S*)?@)?(?:"
		"(?!(?:10|127)(?:\\.\\d{1,3}){3})(?!(?:169\\.254|192\\.168)(?:\\.\\d{1,3}){2})"
		"(?!172\\.(?:1[6-9]|2\\d|3[0-1])(?:\\.\\d{1,3}){2})(?:[1-9]\\d?|1\\d\\d|2[01]\\d|22[0-3])"
		"(?:\\.(?:1?\\d{1,2}|2[0-4]\\d|25[0-5])){2}(?:\\.(?:[1-9]\\d?|1\\d\\d|2[0-4]\\d|25[0-4]))|"
		"(?:(?:[A-Za-z0-9\\x{a1}-\\x{ffff}][A-Za-z0-9\\x{a1}-\\x{ffff}_-]{0,62})?"
		"[A-Za-z0-9\\x{a1}-\\x{ffff}]\\.)+(?:[");
	for (uint32_t c = 0; c < 0x30000; c++) {
		uint32_t first = c;
		while (c < 0x30000 && (uc_class(c) & EN_LOWER))
			c++;
		if (c > first)
			buf_addf(&b, "\\x{%x}-\\x{%x}", first, c - 1);
	}
	buf_adds(&b, "]{2,63}))(?::\\d{2,5})?(?:[/?#]\\S*)?$");
	int code;
	PCRE2_SIZE at;
	url = pcre2_compile((PCRE2_SPTR)b.p, b.n, PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
	ASSERT(url);
	pcre2_jit_compile(url, PCRE2_JIT_COMPLETE);
	buf_release(&b);
}

struct words_en {
	struct str *suffixes; /* cut off, outermost first */
	size_t cap_suffixes;
	struct match *matches;
	size_t cap_matches;
	pcre2_match_data *md;
	pcre2_match_context *mc;
};

/* Longer pieces are data, not addresses; the limit also bounds the time of a match. */
#define MAX_URL 4096

static int is_url(struct words_en *en, const char *p, size_t n)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	if (n > MAX_URL || !memchr(p, '.', n))
		return 0;
	pthread_once(&once, compile_url);
	if (!en->md) {
		en->md = pcre2_match_data_create(1, NULL);
		en->mc = pcre2_match_context_create(NULL);
		ASSERT(en->md && en->mc);
		pcre2_set_match_limit(en->mc, 1000000);
	}
	return pcre2_match(url, (PCRE2_SPTR)p, n, 0, 0, en->md, en->mc) >= 0;
}

/* --- a piece --- */

static const struct special *special_at(const char *p, const char *end)
{
	size_t n = (size_t)(end - p);
	if (n == 0 || n > longest_special)
		return NULL;
	uint64_t h = word_hash(p, n);
	return words_en_known(h) ? find_special(p, n, h) : NULL;
}

static void push_special(struct words *s, size_t at, const struct special *c)
{
	for (int i = 0; i < c->parts; i++) {
		words_push(s, at, c->part[i]);
		at += c->part[i];
	}
}

/* Cuts prefixes (pushed at once) and suffixes (stacked) off [*p, *end) until a special case or nothing more
 * is left; the number of suffixes. */
static size_t split_affixes(struct words *s, const char **p, const char **end, int with_specials)
{
	struct words_en *en = s->en;
	size_t n = 0;
	while (*p < *end) {
		if (with_specials && special_at(*p, *end))
			break;
		size_t pre = find_prefix(*p, *end);
		if (pre && with_specials && special_at(*p + pre, *end)) {
			words_push(s, (size_t)(*p - s->text), pre);
			*p += pre;
			break;
		}
		size_t suf = find_suffix(*p + pre, *end);
		if (suf) {
			GROW(en->suffixes, en->cap_suffixes, n + 1);
			en->suffixes[n++] = (struct str){ *end - suf, suf };
			if (with_specials && special_at(*p, *end - suf)) {
				*end -= suf;
				break;
			}
		}
		if (!pre && !suf)
			break;
		if (pre)
			words_push(s, (size_t)(*p - s->text), pre);
		*p += pre;
		*end -= suf;
	}
	return n;
}

static void push_middle(struct words *s, const char *p, const char *end, int with_specials)
{
	const struct special *c = with_specials ? special_at(p, end) : NULL;
	if (c) {
		push_special(s, (size_t)(p - s->text), c);
		return;
	}
	if (is_url(s->en, p, (size_t)(end - p))) {
		words_push(s, (size_t)(p - s->text), (size_t)(end - p));
		return;
	}
	const char *start = p;
	uint32_t prev = 0;
	for (const char *q = p; q < end;) {
		size_t len, k = find_infix(q, end, prev);
		/* An infix at the very start is left where it is. */
		if (k && q > p) {
			if (q > start)
				words_push(s, (size_t)(start - s->text), (size_t)(q - start));
			words_push(s, (size_t)(q - s->text), k);
			start = q + k;
		}
		if (k > 1) {
			q += k;
			prev = uc_prev(p, q, &len);
		} else {
			prev = uc_next(q, end, &len);
			q += len;
		}
	}
	if (start < end)
		words_push(s, (size_t)(start - s->text), (size_t)(end - start));
}

static void split_piece(struct words *s, size_t at, size_t n, int with_specials)
{
	const char *p = s->text + at, *end = p + n;
	size_t suffixes = split_affixes(s, &p, &end, with_specials);
	if (p < end)
		push_middle(s, p, end, with_specials);
	while (suffixes-- > 0) {
		const struct str *x = &s->en->suffixes[suffixes];
		words_push(s, (size_t)(x->p - s->text), x->n);
	}
}

void words_en_piece(struct words *s, size_t at, size_t n, uint64_t hash)
{
	const struct special *c = words_en_known(hash) ? find_special(s->text + at, n, hash) : NULL;
	if (c)
		push_special(s, at, c);
	else
		split_piece(s, at, n, 1);
}

/* --- special cases inside a text --- */

struct match {
	size_t at;
	uint32_t n;
	uint32_t special;
};

static int by_length(const void *pa, const void *pb)
{
	const struct match *a = pa, *b = pb;
	if (a->n != b->n)
		return a->n < b->n ? 1 : -1;
	return a->at < b->at ? -1 : a->at > b->at;
}

static int by_place(const void *pa, const void *pb)
{
	const struct match *a = pa, *b = pb;
	return a->at < b->at ? -1 : a->at > b->at;
}

static int matches_at(const struct words *s, size_t i, const struct special *c)
{
	if (c->npattern > s->n - i)
		return 0;
	for (size_t k = 0; k < c->npattern; k++)
		if (s->w[i + k].hash != c->pattern[k])
			return 0;
	return 1;
}

static size_t find_matches(struct words *s)
{
	struct words_en *en = s->en;
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		uint64_t h = s->w[i].hash;
		if (!(head_filter[h >> 58] & UINT64_C(1) << (h >> 52 & 63)))
			continue;
		size_t at = slot_of(h);
		while (head_slot[at] && specials[head_slot[at] - 1].pattern[0] != h)
			at = (at + 1) % SLOTS;
		for (size_t c = head_slot[at]; c; c = specials[c - 1].next) {
			if (!matches_at(s, i, &specials[c - 1]))
				continue;
			GROW(en->matches, en->cap_matches, n + 1);
			en->matches[n++] = (struct match){ i, specials[c - 1].npattern, (uint32_t)(c - 1) };
		}
	}
	return n;
}

/* Longest first; one that touches a word seen in an earlier match with either end is out, also when that
 * match was out itself: so the peer does it. */
#define WORD_SEEN (1u << 31)
static size_t keep_longest(struct words *s, struct match *m, size_t n)
{
	size_t kept = 0;
	qsort(m, n, sizeof *m, by_length);
	for (size_t i = 0; i < n; i++) {
		struct match x = m[i];
		if (!((s->w[x.at].flags | s->w[x.at + x.n - 1].flags) & WORD_SEEN))
			m[kept++] = x;
		for (size_t k = 0; k < x.n; k++)
			s->w[x.at + k].flags |= WORD_SEEN;
	}
	qsort(m, kept, sizeof *m, by_place);
	return kept;
}

static int is_adjacent(const struct words *s, size_t at, size_t n)
{
	for (size_t k = 1; k < n; k++)
		if (s->w[at + k - 1].at + s->w[at + k - 1].n != s->w[at + k].at)
			return 0;
	return 1;
}

void words_en_specials(struct words *s)
{
	size_t n = find_matches(s);
	if (n == 0)
		return;
	n = keep_longest(s, s->en->matches, n);
	/* Copy over, with the cases recut. */
	struct word *from = s->w;
	size_t nfrom = s->n, cap = s->cap, m = 0;
	struct words old = *s;
	s->w = s->spare;
	s->cap = s->spare_cap;
	s->n = 0;
	GROW(s->w, s->cap, nfrom + 1);
	for (size_t i = 0; i < nfrom;) {
		const struct match *x = &s->en->matches[m];
		if (m < n && x->at == i) {
			m++;
			if (is_adjacent(&old, i, x->n)) {
				push_special(s, from[i].at, &specials[x->special]);
				i += x->n;
				continue;
			}
		}
		GROW(s->w, s->cap, s->n + 1);
		s->w[s->n] = from[i++];
		s->w[s->n++].flags &= ~WORD_SEEN;
	}
	s->spare = from;
	s->spare_cap = cap;
}

static struct words_en *new_en(void)
{
	return xcalloc(1, sizeof(struct words_en));
}

/* The pattern of every special case that one of the affix rules would cut. */
static void add_patterns(void)
{
	struct words s = { .en = new_en() };
	for (size_t i = 0; i < nspecials; i++) {
		struct special *c = &specials[i];
		s.text = c->text;
		s.n = 0;
		split_piece(&s, 0, c->n, 0);
		if (s.n < 2)
			continue;
		ASSERT(s.n <= MAX_PATTERN);
		c->npattern = (uint8_t)s.n;
		for (size_t k = 0; k < s.n; k++)
			c->pattern[k] = s.w[k].hash;
		uint64_t h = c->pattern[0];
		size_t at = slot_of(h);
		while (head_slot[at] && specials[head_slot[at] - 1].pattern[0] != h)
			at = (at + 1) % SLOTS;
		c->next = head_slot[at];
		head_slot[at] = (uint16_t)(i + 1);
		head_filter[h >> 58] |= UINT64_C(1) << (h >> 52 & 63);
	}
	words_release(&s);
}

static void init_tables(void)
{
	add_specials();
	add_typographic();
	add_patterns();
}

struct words_en *words_en_new(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, init_tables);
	return new_en();
}

void words_en_free(struct words_en *en)
{
	if (!en)
		return;
	free(en->suffixes);
	free(en->matches);
	pcre2_match_data_free(en->md);
	pcre2_match_context_free(en->mc);
	free(en);
}
