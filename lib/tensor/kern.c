#include "tensor/kern.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct kern kern_scalar, kern_avx2, kern_avx512, kern_avx512vnni, kern_avx512bf16, kern_amx;

const struct kern *const kern_table[] = {
	&kern_scalar,
#if defined(__x86_64__)
	&kern_avx2,
	&kern_avx512,
	&kern_avx512vnni,
	&kern_avx512bf16,
	&kern_amx,
#endif
	NULL,
};

static _Atomic(const struct kern *) chosen;

static const struct kern *best(void)
{
	const struct kern *k = kern_table[0];
	for (size_t i = 0; kern_table[i]; i++)
		if (kern_table[i]->supported())
			k = kern_table[i];
	return k;
}

static const struct kern *find(const char *name)
{
	for (size_t i = 0; kern_table[i]; i++)
		if (strcmp(kern_table[i]->name, name) == 0)
			return kern_table[i];
	return NULL;
}

static const char *forced(void)
{
	const char *name = getenv("QUERN_ISA");
	return name && *name ? name : NULL;
}

const struct kern *kern(void)
{
	const struct kern *k = atomic_load_explicit(&chosen, memory_order_relaxed);
	if (k)
		return k;
	k = forced() ? find(forced()) : NULL;
	if (!k || !k->supported())
		k = best();
	atomic_store_explicit(&chosen, k, memory_order_relaxed);
	return k;
}

int kern_check(struct err *e)
{
	const char *name = forced();
	if (!name)
		return 0;
	const struct kern *k = find(name);
	if (!k)
		return err_set(e, "QUERN_ISA: no instruction set is called '%s'", name);
	if (!k->supported())
		return err_set(e, "QUERN_ISA: this machine cannot run '%s'", name);
	return 0;
}

const char *kern_describe(void)
{
	static char text[256];
	const struct kern *k = kern();
	int asked = forced() && strcmp(forced(), k->name) == 0;
	size_t n = (size_t)snprintf(text, sizeof text, "%s kernels, %s", k->name,
		asked ? "as QUERN_ISA says" : "the best that run here");
	const char *before = "; not here: ";
	for (size_t i = 0; kern_table[i] && n < sizeof text; i++)
		if (!kern_table[i]->supported()) {
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", before, kern_table[i]->name);
			before = ", ";
		}
	return text;
}

int kern_select(const char *name)
{
	const struct kern *k = name ? find(name) : best();
	if (!k || !k->supported())
		return -1;
	atomic_store_explicit(&chosen, k, memory_order_relaxed);
	return 0;
}
