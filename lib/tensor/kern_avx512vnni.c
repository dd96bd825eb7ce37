#include "tensor/cpu.h" /* first: other processors compile this and nothing else */

#if defined(__x86_64__)

#include "tensor/kern_avx512.h"
#include "tensor/kern_qtile.h"

static int supported(void)
{
	return cpu_has(CPU_AVX512VNNI);
}

extern const struct kern kern_avx512vnni;
const struct kern kern_avx512vnni = {
	.name = "avx512vnni",
	.supported = supported,
	KERN_TILES(MR, NR),
	KERN_ROWS,
};

#endif
