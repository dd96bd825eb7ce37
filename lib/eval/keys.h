/*
 * keys: which keys an object of a task file may have: what is not understood is refused, not passed over.
 */
#ifndef QUERN_KEYS_H
#define QUERN_KEYS_H

#include "base/json.h"

/* known: n names. -1 and a message that names the first key that is none of them. NULL and what is no object
 * pass. */
int keys_known(const struct json *object, const char *const *known, size_t n, struct err *e);

#endif
