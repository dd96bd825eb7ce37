#include "eval/regexp.h"
#include "base/mem.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

struct regexp {
	pcre2_code *code;
	size_t groups;
};

struct regexp *regexp_new(const char *pattern, size_t n, struct err *e)
{
	int code;
	PCRE2_SIZE at;
	pcre2_code *c = pcre2_compile(
		(PCRE2_SPTR)pattern, n, PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF, &code, &at, NULL);
	if (!c) {
		PCRE2_UCHAR text[256];
		pcre2_get_error_message(code, text, sizeof text);
		err_set(e, "regular expression: character %zu: %s", (size_t)at, (char *)text);
		return NULL;
	}
	/* Without a JIT for this machine the interpreter does the same, slower. */
	pcre2_jit_compile(c, PCRE2_JIT_COMPLETE);
	uint32_t groups = 0;
	pcre2_pattern_info(c, PCRE2_INFO_CAPTURECOUNT, &groups);
	if (groups >= REGEXP_GROUPS) {
		pcre2_code_free(c);
		err_set(e, "regular expression: more than %d groups", REGEXP_GROUPS - 1);
		return NULL;
	}
	struct regexp *r = xmalloc(sizeof *r);
	*r = (struct regexp){ c, groups };
	return r;
}

void regexp_free(struct regexp *r)
{
	if (!r)
		return;
	pcre2_code_free(r->code);
	free(r);
}

size_t regexp_groups(const struct regexp *r)
{
	return r->groups;
}

int regexp_find(const struct regexp *r, struct str s, size_t from, struct str groups[REGEXP_GROUPS])
{
	if (from > s.n)
		return 0;
	pcre2_match_data *m = pcre2_match_data_create_from_pattern(r->code, NULL);
	int n = pcre2_match(r->code, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, from, 0, m, NULL);
	if (n > 0) {
		const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m);
		for (size_t i = 0; i <= r->groups; i++) {
			int set = (int)i < n && at[2 * i] != PCRE2_UNSET;
			/* \K inside a lookahead can put the start behind the end. */
			size_t start = set ? at[2 * i] : 0,
			       end = set && at[2 * i + 1] >= start ? at[2 * i + 1] : start;
			groups[i] = set ? (struct str){ s.p + start, end - start } : (struct str){ NULL, 0 };
		}
	}
	pcre2_match_data_free(m);
	return n > 0;
}

size_t regexp_next(struct str s, struct str match)
{
	size_t end = (size_t)(match.p - s.p) + match.n;
	if (match.n)
		return end;
	end++;
	while (end < s.n && ((unsigned char)s.p[end] & 0xc0) == 0x80)
		end++;
	return end;
}

void regexp_replace(const struct regexp *r, struct str s, struct str with, struct buf *out)
{
	struct str g[REGEXP_GROUPS];
	size_t done = 0, from = 0;
	if (!s.p)
		s = STR("");
	while (regexp_find(r, s, from, g)) {
		size_t start = (size_t)(g[0].p - s.p);
		if (start < done) /* \K again: never backwards */
			break;
		buf_add(out, s.p + done, start - done);
		for (size_t i = 0; i < with.n; i++) {
			char c = with.p[i], next = i + 1 < with.n ? with.p[i + 1] : 0;
			if ((c == '$' || c == '\\') && next >= '0' && next <= '9') {
				size_t k = (size_t)(next - '0');
				if (k <= r->groups && g[k].p)
					buf_add(out, g[k].p, g[k].n);
				i++;
			} else {
				buf_addc(out, c);
			}
		}
		done = start + g[0].n;
		from = regexp_next(s, g[0]);
	}
	buf_add(out, s.p + done, s.n - done);
}
