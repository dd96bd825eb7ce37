/* What every tokenizer that a loader let through must stand: encoding any bytes, decoding, being written and
 * read. */
#ifndef QUERN_TOKTRY_H
#define QUERN_TOKTRY_H

#include "text/tok_impl.h"

#include <stdlib.h>

static inline void try_encode(const struct tokenizer *t, const char *p, size_t n)
{
	struct encoder *enc = encoder_new(t);
	struct ids cold = { 0 }, warm = { 0 };
	struct buf text = { 0 };
	encoder_encode(enc, p, n, ENCODE_SPECIAL, &cold);
	encoder_encode(enc, p, n, ENCODE_SPECIAL, &warm);
	if (cold.n != warm.n || (cold.n && memcmp(cold.v, warm.v, cold.n * sizeof *cold.v) != 0))
		abort();
	for (size_t i = 0; i < cold.n; i++)
		if (cold.v[i] >= tokenizer_vocab(t))
			abort();
	tokenizer_decode(t, cold.v, cold.n, 1, &text);
	encoder_normalize(enc, p, n, 0, &text);
	buf_release(&text);
	ids_release(&cold);
	ids_release(&warm);
	encoder_free(enc);
}

static inline void try_tokenizer(const struct tokenizer *t, const uint8_t *data, size_t n)
{
	static const char text[] = "Hello, it's 2024!\n\n  \xc3\xa9t\xc3\xa9 e\xcc\x81 "
				   "\xe6\x97\xa5\xe6\x9c\xac \xff\xc0 <s> 0x1F  ";
	struct buf json = { 0 };
	struct err e;
	try_encode(t, text, sizeof text - 1);
	try_encode(t, (const char *)data, n < 512 ? n : 512);
	if (tokenizer_json(t, &json, &e) == 0) {
		struct tokenizer *back = tokenizer_parse(json.p, json.n, &e);
		struct hash128 a = tokenizer_fingerprint(t), b = { 0, 0 };
		if (back)
			b = tokenizer_fingerprint(back);
		if (back && (a.lo != b.lo || a.hi != b.hi))
			abort();
		tokenizer_free(back);
	}
	buf_release(&json);
}

#endif
