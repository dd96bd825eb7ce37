#include "tensor/cpu.h"

static int emulated;

void cpu_emulates_amx(void)
{
	emulated = 1;
}

#if defined(__x86_64__)

#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* Intel SDM, volume 2, CPUID; volume 1, 13.2 for the state-component bits of XCR0. */
#define BIT(reg, n) ((reg) >> (n)&1)
#define XCR0_AVX 0x6u
#define XCR0_AVX512 0xe6u
#define XCR0_AMX 0x60000u

static unsigned xcr0(void)
{
	unsigned lo, hi;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo;
}

/* The kernel enlarges a process's register state only on request (Documentation/arch/x86/xstate.rst); asking
 * again changes nothing. */
static int tiles_granted(void)
{
#if defined(__linux__) && defined(SYS_arch_prctl)
	enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
	return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
	return 0;
#endif
}

static int has_amx(unsigned state)
{
	unsigned a, b, c, d;
	if (emulated)
		return 1;
	if ((state & XCR0_AMX) != XCR0_AMX || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return 0;
	return BIT(d, 22) && BIT(d, 24) && BIT(d, 25) && tiles_granted(); /* BF16, TILE, INT8 */
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
	if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !BIT(a, 5))
		return 0;
	return set == CPU_AVX512BF16 || has_amx(state);
}

#else

int cpu_has(enum cpu_set set)
{
	(void)set;
	(void)emulated;
	return 0;
}

#endif
