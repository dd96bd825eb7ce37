#include "text/textnorm.h"
#include "text/utf8.h"

/*
 * sentencepiece's precompiled normalization map: u32 length of the trie in bytes, the trie, then the
 * replacements, each ended by a NUL. The trie is a Darts-clone double array of u32 units (value, label,
 * offset, has-leaf bits); the value of a key is the offset of its replacement. At each place the longest key
 * wins; a character without key stays.
 */

static uint32_t unit_at(struct str map, uint32_t i)
{
	const unsigned char *p = (const unsigned char *)map.p + 4 + (size_t)i * 4;
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t units_of(struct str map)
{
	const unsigned char *p = (const unsigned char *)map.p;
	return (p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) / 4;
}

static uint32_t offset_of(uint32_t unit)
{
	return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

int charsmap_check(struct str map)
{
	if (map.n < 4)
		return 0;
	size_t trie = (size_t)units_of(map) * 4;
	/* The last replacement must end, so that every offset inside leads to a terminated string. */
	return trie >= 4 && trie <= map.n - 4 && (map.n == 4 + trie || map.p[map.n - 1] == 0);
}

/* Longest key at the start of p: its length, 0 when none; *to is the offset of its replacement. */
static size_t longest(struct str map, const char *p, size_t n, uint32_t *to)
{
	uint32_t units = units_of(map), at = offset_of(unit_at(map, 0));
	size_t best = 0;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		at ^= c;
		if (at >= units)
			break;
		uint32_t unit = unit_at(map, at);
		if ((unit & ((1u << 31) | 0xff)) != c)
			break;
		at ^= offset_of(unit);
		if (unit >> 8 & 1) {
			if (at >= units)
				break;
			best = i + 1;
			*to = unit_at(map, at) & 0x7fffffff;
		}
	}
	return best;
}

size_t charsmap_prefix(struct str map, const char *p, size_t n, struct str *to)
{
	uint32_t at = 0, cp;
	size_t len = map.n ? longest(map, p, n, &at) : 0;
	if (len) {
		struct str values = { map.p + 4 + (size_t)units_of(map) * 4, 0 };
		values.n = map.n - (size_t)(values.p - map.p);
		if (at < values.n) {
			*to = str_of(values.p + at);
			return len;
		}
	}
	len = utf8_get(p, n, &cp);
	*to = (struct str){ p, len };
	return len;
}
