#include "tensor/cpu.h"

#if defined(__x86_64__)

#include <cpuid.h>

/* Intel SDM, volume 2, CPUID; volume 1, 13.2 for the state-component bits of XCR0. */
#define BIT(reg, n) ((reg) >> (n)&1)
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u

static unsigned xcr0(void)
{
	unsigned lo, hi;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo;
}

int cpu_has(enum cpu_set set)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !BIT(c, 27) || !BIT(c, 28)) /* OSXSAVE, AVX */
		return 0;
	unsigned state = xcr0();
	if ((state & XCR0_AVX) != XCR0_AVX || !BIT(c, 12) || !BIT(c, 29)) /* FMA, F16C */
		return 0;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !BIT(b, 5)) /* AVX2 */
		return 0;
	if (set == CPU_AVX2)
		return 1;
	if ((state & XCR0_AVX512) != XCR0_AVX512)
		return 0;
	if (!BIT(b, 16) || !BIT(b, 17) || !BIT(b, 30) || !BIT(b, 31)) /* F, DQ, BW, VL */
		return 0;
	if (set == CPU_AVX512)
		return 1;
	if (!BIT(c, 11)) /* VNNI */
		return 0;
	if (set == CPU_AVX512VNNI)
		return 1;
	return __get_cpuid_count(7, 1, &a, &b, &c, &d) && BIT(a, 5);
}

#else

int cpu_has(enum cpu_set set)
{
	(void)set;
	return 0;
}

#endif
