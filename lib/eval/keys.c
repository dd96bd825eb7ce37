#include "eval/keys.h"

int keys_known(const struct json *object, const char *const *known, size_t n, struct err *e)
{
	for (size_t i = 0; json_is(object, JSON_OBJECT) && i < object->n; i++) {
		struct str k = object->kids[i].key;
		size_t j = 0;
		while (j < n && !str_is(k, known[j]))
			j++;
		if (j == n)
			return err_set(e, "byte %zu: unknown key '%.*s'", object->kids[i].at, (int)k.n, k.p);
	}
	return 0;
}
