/* A config.json; what is accepted must be written and read back as the same arithmetic. Short inputs are
 * presets too. */
#include "model/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(const struct config *c)
{
	struct buf b = { 0 };
	struct config d;
	struct err e;
	config_json(c, DTYPE_F32, &b);
	if (config_parse(&d, b.p, b.n, "written", &e) < 0 || config_hash(c) != config_hash(&d))
		__builtin_trap();
	buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config c;
	struct err e;
	char spec[256];
	if (config_parse(&c, (const char *)data, n, "input", &e) == 0)
		round_trip(&c);
	if (n < sizeof spec) {
		if (n)
			memcpy(spec, data, n);
		spec[n] = 0;
		if (config_preset(&c, spec, &e) == 0 && c.vocab)
			round_trip(&c);
	}
	return 0;
}
