/*
 * amx_emu: AMX in software, for tests on x86-64 Linux. A processor without tile registers raises SIGILL at
 * each of their instructions; the handler decodes the ones that our kernels use (LDTILECFG, TILERELEASE,
 * TILEZERO, TILELOADD and TILELOADDT1, TILESTORED, TDPBF16PS, TDPBSSD, TDPBSUD, TDPBUSD, TDPBUUD), carries
 * them out on tile registers of the thread as the Intel SDM (volume 2) defines them, and goes on behind them.
 * What it cannot decode, and what the SDM calls an error, aborts with a message.
 */
#ifndef QUERN_AMX_EMU_H
#define QUERN_AMX_EMU_H

enum amx_here { AMX_NATIVE, AMX_EMULATED, AMX_NONE };

/* First in main: finds out whether there is AMX, else puts the emulator in its place (from then on cpu_has
 * says that there is), and prints which as a comment of the test's output. AMX_NONE where neither can be: the
 * kernels of that row also need AVX-512 with BF16. */
enum amx_here amx_emu_begin(void);

#endif
