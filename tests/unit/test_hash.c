#include "base/hash.h"
#include "tap.h"

int main(void)
{
	char hex[33], text[5000];
	/* Values of the empty string, from xxHash's own documentation of XXH3. */
	ok(hash64("", 0, 0) == UINT64_C(0x2d06800538d394c2), "64 bits of nothing");
	hash128_hex(hash128("", 0), hex);
	ok_str(hex, "99aa06d3014798d86001c324468d497f", "128 bits of nothing");
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 7);
	struct fingerprint *f = fingerprint_new();
	for (size_t at = 0, n = 1; at < sizeof text; at += n, n = n * 2 + 1) {
		n = n < sizeof text - at ? n : sizeof text - at;
		fingerprint_add(f, text + at, n);
	}
	struct hash128 whole = hash128(text, sizeof text), pieces = fingerprint_end(f);
	ok(whole.lo == pieces.lo && whole.hi == pieces.hi, "pieces give the hash of the whole");
	ok(hash64(text, 10, 1) != hash64(text, 10, 2) && hash64(text, 10, 1) != hash64(text, 11, 1),
		"seed and length");
	ok(hash128_seeded(text, 10, 0).lo == hash128(text, 10).lo, "seed 0");
	fingerprint_free(NULL);
	ok(mix64(0) == 0 && mix64(1) == UINT64_C(0x5692161d100b05e5), "mix64");
	return tap_end();
}
