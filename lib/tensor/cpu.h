/*
 * cpu: what this processor and operating system can run (CPUID; XGETBV says whether the system saves the
 * registers). All false where the processor is not an x86-64. Thread-safe.
 */
#ifndef QUERN_CPU_H
#define QUERN_CPU_H

enum cpu_set { CPU_AVX2, CPU_AVX512, CPU_AVX512VNNI, CPU_AVX512BF16, CPU_AMX };

/* CPU_AVX2: with FMA and F16C. CPU_AVX512: F, BW, DQ, VL besides AVX2. CPU_AVX512VNNI: besides AVX512.
 * CPU_AVX512BF16: besides AVX512VNNI. CPU_AMX: tiles with products of bf16 and int8, besides AVX512BF16;
 * Linux gives tile registers to a process that asks for them, which this does. */
int cpu_has(enum cpu_set set);

/* For tests, which emulate the instructions of AMX: from now on the processor counts as having them. Before
 * anything computes. */
void cpu_emulates_amx(void);

#endif
