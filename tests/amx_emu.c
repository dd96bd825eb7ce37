#define _GNU_SOURCE /* REG_RIP and its like */
#include "amx_emu.h"

#include "tensor/cpu.h"

#include <stdio.h>

#if defined(__x86_64__) && defined(__linux__)

#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#define TILES 8
#define ROWS 16
#define ROW_BYTES 64
#define LANES (ROW_BYTES / 4)

static _Thread_local struct {
	int configured;
	unsigned rows[TILES], row_bytes[TILES];
	unsigned char tile[TILES][ROWS][ROW_BYTES];
} amx;

struct insn {
	const unsigned char *at, *end; /* end: behind it */
	unsigned pp, opcode, reg, rm, vvvv;
	int memory;
	uint64_t address, index; /* index: times its scale */
};

/* In a signal handler: no stdio. */
static _Noreturn void refuse(const struct insn *x, const char *why)
{
	char line[256];
	int n = snprintf(line, sizeof line, "amx_emu: %s:", why);
	for (int i = 0; i < 15; i++)
		n += snprintf(line + n, sizeof line - (size_t)n, " %02x", x->at[i]);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		_exit(1);
	abort();
}

#define NEED(x, cond)                            \
	do {                                     \
		if (!(cond))                     \
			refuse(x, "not " #cond); \
	} while (0)

/* --- decoding (SDM volume 2, 2.1.5 and 2.3) --- */

static uint64_t reg_value(const ucontext_t *u, unsigned r)
{
	static const int place[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15 };
	return (uint64_t)u->uc_mcontext.gregs[place[r]];
}

static int64_t take_i32(const unsigned char **p)
{
	int32_t x;
	memcpy(&x, *p, sizeof x);
	*p += sizeof x;
	return x;
}

/* What ModRM's mod and rm say, with their extensions by VEX.B and VEX.X; p is behind ModRM. */
static void decode_memory(struct insn *x, const ucontext_t *u, const unsigned char *p, unsigned mod,
	unsigned vex_b, unsigned vex_x)
{
	unsigned base = x->rm;
	int has_base = 1, relative = 0;
	if (x->rm == 4) {
		unsigned sib = *p++, index = (sib >> 3 & 7) | vex_x << 3;
		base = sib & 7;
		if (index != 4)
			x->index = reg_value(u, index) << (sib >> 6);
		has_base = mod != 0 || base != 5;
	} else if (mod == 0 && x->rm == 5) {
		has_base = 0;
		relative = 1;
	}
	int64_t shift = 0;
	if (mod == 1)
		shift = (signed char)*p++;
	else if (mod == 2 || !has_base)
		shift = take_i32(&p);
	x->end = p;
	x->address = (uint64_t)shift;
	if (has_base)
		x->address += reg_value(u, base | vex_b << 3);
	else if (relative)
		x->address += (uint64_t)(uintptr_t)p;
}

/* VEX.128.0F38.W0 with a tile in every register field. */
static struct insn decode(const ucontext_t *u)
{
	const unsigned char *p = (const unsigned char *)(uintptr_t)u->uc_mcontext.gregs[REG_RIP];
	struct insn x = { .at = p };
	if (p[0] != 0xc4 || (p[1] & 0x1f) != 2 || (p[2] & 0x84))
		refuse(&x, "cannot decode");
	unsigned mod = p[4] >> 6;
	x.pp = p[2] & 3;
	x.vvvv = (unsigned)(~p[2] >> 3) & 15;
	x.opcode = p[3];
	x.reg = p[4] >> 3 & 7;
	x.rm = p[4] & 7;
	x.memory = mod != 3;
	x.end = p + 5;
	if (x.memory)
		decode_memory(&x, u, p + 5, mod, !(p[1] & 0x20), !(p[1] & 0x40));
	return x;
}

/* --- the instructions --- */

/* Bytes of row r of tile t, in memory. */
static void *row_at(const struct insn *x, unsigned r)
{
	return (void *)(uintptr_t)(x->address + r * x->index);
}

static void config_load(const struct insn *x)
{
	struct {
		uint8_t palette, start_row, reserved[14];
		uint16_t row_bytes[16];
		uint8_t rows[16];
	} c;
	memcpy(&c, (const void *)(uintptr_t)x->address, sizeof c);
	memset(&amx, 0, sizeof amx);
	if (c.palette == 0)
		return;
	NEED(x, c.palette == 1 && c.start_row == 0);
	for (unsigned t = 0; t < 16; t++)
		NEED(x, t < TILES ? c.rows[t] <= ROWS && c.row_bytes[t] <= ROW_BYTES &&
					    !c.rows[t] == !c.row_bytes[t]
				  : !c.rows[t] && !c.row_bytes[t]);
	for (unsigned t = 0; t < TILES; t++) {
		amx.rows[t] = c.rows[t];
		amx.row_bytes[t] = c.row_bytes[t];
	}
	amx.configured = 1;
}

static void need_tile(const struct insn *x, unsigned t)
{
	NEED(x, t < TILES && amx.configured && amx.rows[t]);
}

static void tile_load(const struct insn *x)
{
	need_tile(x, x->reg);
	memset(amx.tile[x->reg], 0, sizeof amx.tile[x->reg]);
	for (unsigned r = 0; r < amx.rows[x->reg]; r++)
		memcpy(amx.tile[x->reg][r], row_at(x, r), amx.row_bytes[x->reg]);
}

static void tile_store(const struct insn *x)
{
	need_tile(x, x->reg);
	for (unsigned r = 0; r < amx.rows[x->reg]; r++)
		memcpy(row_at(x, r), amx.tile[x->reg][r], amx.row_bytes[x->reg]);
}

/* Shapes of a product C[reg] += A[rm] B[vvvv]; everything outside them is zero in A and B. */
static void need_product(const struct insn *x)
{
	need_tile(x, x->reg);
	need_tile(x, x->rm);
	need_tile(x, x->vvvv);
	NEED(x, x->reg != x->rm && x->reg != x->vvvv && x->rm != x->vvvv);
	NEED(x, amx.rows[x->reg] == amx.rows[x->rm]);
	NEED(x, amx.row_bytes[x->reg] == amx.row_bytes[x->vvvv]);
	NEED(x, amx.row_bytes[x->rm] == 4 * amx.rows[x->vvvv]);
}

/* One half of every pair as f32: 0 the lower, 1 the upper. */
static void halves(float y[LANES], const unsigned char *row, unsigned half)
{
	uint32_t u[LANES];
	memcpy(u, row, sizeof u);
	for (unsigned j = 0; j < LANES; j++)
		u[j] = half ? u[j] & 0xffff0000 : u[j] << 16;
	memcpy(y, u, sizeof u);
}

/* TDPBF16PS: even and odd k in a chain of FMAs each, from zero; then their sum is added. */
static __attribute__((noinline)) void product_bf16(const struct insn *x)
{
	float b[2][ROWS][LANES];
	unsigned lanes = amx.row_bytes[x->reg] / 4, depth = amx.rows[x->vvvv];
	for (unsigned k = 0; k < depth; k++)
		for (unsigned h = 0; h < 2; h++)
			halves(b[h][k], amx.tile[x->vvvv][k], h);
	for (unsigned i = 0; i < amx.rows[x->reg]; i++) {
		float a[2][LANES], s[2][LANES] = { { 0 } }, c[LANES] = { 0 };
		memcpy(c, amx.tile[x->reg][i], lanes * sizeof *c);
		for (unsigned h = 0; h < 2; h++) {
			halves(a[h], amx.tile[x->rm][i], h);
			for (unsigned k = 0; k < depth; k++)
				for (unsigned j = 0; j < LANES; j++)
					s[h][j] = fmaf(a[h][k], b[h][k][j], s[h][j]);
		}
		for (unsigned j = 0; j < LANES; j++)
			c[j] += s[0][j] + s[1][j];
		memcpy(amx.tile[x->reg][i], c, lanes * sizeof *c);
	}
}

static int32_t byte_at(const unsigned char *p, int is_signed)
{
	return is_signed ? (signed char)*p : *p;
}

/* TDPBSSD and its kin. */
static void product_i8(const struct insn *x, int a_signed, int b_signed)
{
	for (unsigned i = 0; i < amx.rows[x->reg]; i++)
		for (unsigned j = 0; j < amx.row_bytes[x->reg] / 4; j++) {
			uint32_t s; /* wraps */
			memcpy(&s, amx.tile[x->reg][i] + 4 * j, sizeof s);
			for (unsigned k = 0; k < amx.row_bytes[x->rm]; k++)
				s += (uint32_t)(byte_at(amx.tile[x->rm][i] + k, a_signed) *
						byte_at(amx.tile[x->vvvv][k / 4] + 4 * j + k % 4, b_signed));
			memcpy(amx.tile[x->reg][i] + 4 * j, &s, sizeof s);
		}
}

enum prefix { NP, P66, PF3, PF2 };

static void execute(const struct insn *x)
{
	unsigned what = x->opcode << 4 | x->pp;
	if (what == (0x49 << 4 | NP) && x->memory && x->reg == 0) {
		config_load(x);
	} else if (what == (0x49 << 4 | NP) && !x->memory && x->reg == 0 && x->rm == 0) {
		memset(&amx, 0, sizeof amx);
	} else if (what == (0x49 << 4 | PF2) && !x->memory && x->rm == 0) {
		need_tile(x, x->reg);
		memset(amx.tile[x->reg], 0, sizeof amx.tile[x->reg]);
	} else if ((what == (0x4b << 4 | PF2) || what == (0x4b << 4 | P66)) && x->memory && x->rm == 4) {
		tile_load(x);
	} else if (what == (0x4b << 4 | PF3) && x->memory && x->rm == 4) {
		tile_store(x);
	} else if (what == (0x5c << 4 | PF3) && !x->memory) {
		need_product(x);
		product_bf16(x);
	} else if (x->opcode == 0x5e && !x->memory) {
		need_product(x);
		product_i8(x, x->pp == PF2 || x->pp == PF3, x->pp == PF2 || x->pp == P66);
	} else {
		refuse(x, "cannot decode");
	}
}

static void on_sigill(int sig, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	/* Nearest even, numbers below 2^-126 are zero, no exceptions; the system restores what was. */
	unsigned mxcsr = 0x1f80 | 0x8040;
	__asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
	struct insn x = decode(u);
	execute(&x);
	u->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)x.end;
	(void)sig;
	(void)info;
}

enum amx_here amx_emu_begin(void)
{
	if (cpu_has(CPU_AMX)) {
		printf("# amx: native\n");
		return AMX_NATIVE;
	}
	if (!cpu_has(CPU_AVX512BF16)) {
		printf("# amx: none, and not emulated without AVX-512 BF16\n");
		return AMX_NONE;
	}
	struct sigaction a = { .sa_sigaction = on_sigill, .sa_flags = SA_SIGINFO | SA_NODEFER };
	sigemptyset(&a.sa_mask);
	if (sigaction(SIGILL, &a, NULL) < 0)
		return AMX_NONE;
	cpu_emulates_amx();
	printf("# amx: emulated\n");
	return AMX_EMULATED;
}

#else

enum amx_here amx_emu_begin(void)
{
	printf("# amx: none here\n");
	return AMX_NONE;
}

#endif
