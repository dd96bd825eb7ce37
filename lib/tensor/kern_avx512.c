#include "tensor/cpu.h" /* first: other processors compile this and nothing else */

#if defined(__x86_64__)

#include "tensor/kern_avx512.h"
#include "tensor/kern_qtile.h"

static int supported(void)
{
	return cpu_has(CPU_AVX512);
}

extern const struct kern kern_avx512;
const struct kern kern_avx512 = {
	.name = "avx512",
	.supported = supported,
	KERN_TILES(MR, NR),
	KERN_ROWS,
};

#endif
