/*
 * cpu: what this processor and operating system can run (CPUID; XGETBV says whether the system saves the
 * registers). All false where the processor is not an x86-64. Pure and thread-safe.
 */
#ifndef QUERN_CPU_H
#define QUERN_CPU_H

enum cpu_set { CPU_AVX2, CPU_AVX512, CPU_AVX512VNNI, CPU_AVX512BF16 };

/* CPU_AVX2: with FMA and F16C. CPU_AVX512: F, BW, DQ, VL besides AVX2. CPU_AVX512VNNI: besides AVX512.
 * CPU_AVX512BF16: besides AVX512VNNI. */
int cpu_has(enum cpu_set set);

#endif
