#include "tensor/cpu.h" /* first: other processors compile this and nothing else */

#if defined(__x86_64__)

#include "tensor/kern_avx512.h"
#include "tensor/kern_qtile.h"

static int supported(void)
{
	return cpu_has(CPU_AVX512BF16);
}

extern const struct kern kern_avx512bf16;
const struct kern kern_avx512bf16 = {
	.name = "avx512bf16",
	.supported = supported,
	KERN_TILES(MR, NR),
	.native_bf16 = 1,
	KERN_ROWS,
};

#endif
