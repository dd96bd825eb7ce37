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
	.mr = MR,
	.nr = NR,
	.tile_f32 = tile_f32,
	.mr16 = MR,
	.nr16 = NR,
	.tile_bf16 = tile_bf16,
	.pack_f32 = pack_f32,
	.qgemm = &qgemm_row,
	.pack_bf16 = pack_bf16,
	.repack_bf16 = repack_bf16,
	KERN_ROWS,
};

#endif
