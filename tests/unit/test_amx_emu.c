/* Tile instructions against the SDM's definitions in plain C: the emulator where there is no AMX; where there
 * is, the processor, whose order of sums the kernels rely on. */
#include "tap.h"

#include "amx_emu.h"
#include "base/rng.h"
#include "tensor/dtype.h"

#if defined(__x86_64__) && defined(__linux__)

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define AMX __attribute__((target("amx-tile,amx-bf16,amx-int8"), noinline))
#define DO(...) __asm__ volatile(__VA_ARGS__ : "memory", "r8", "r9", "r12", "r13", "r15")

static struct rng rng;

static void random_bytes(void *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((unsigned char *)p)[i] = (unsigned char)rng_u64(&rng);
}

/* C (tile 0) is 5 rows of 7 times 4 bytes, A (1) 5 rows of 6, B (2) 6 rows of 7; tile 3 is whole. */
enum { M = 5, N = 7, K = 6 };

struct config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

static const struct config config = {
	.palette = 1, .row_bytes = { 4 * N, 4 * K, 4 * N, 64 }, .rows = { M, M, K, 16 }
};

static AMX void configure(const struct config *c)
{
	DO("ldtilecfg %0" ::"m"(*c));
}

static AMX void release(void)
{
	DO("tilerelease" ::);
}

/* --- loads, stores, addresses --- */

enum { SIDE = 96, SIZE = SIDE * 16 };
static unsigned char from[SIZE], to[SIZE];

/* from's 16 rows of 64 bytes went to `to`, and nothing else. */
static void check_copy(const char *how)
{
	static unsigned char want[SIZE];
	memset(want, 0xee, sizeof want);
	for (size_t r = 0; r < 16; r++)
		memcpy(want + r * SIDE, from + r * SIDE, 64);
	ok(memcmp(to, want, sizeof want) == 0, "tile load and store: %s", how);
	memset(to, 0xee, sizeof to);
}

static AMX void test_addresses(void)
{
	random_bytes(from, sizeof from);
	memset(to, 0xee, sizeof to);
	configure(&config);
	size_t side = SIDE;
	DO("tileloadd (%0,%2,1), %%tmm3; tilestored %%tmm3, (%1,%2,1)" ::"S"(from), "D"(to), "a"(side));
	check_copy("base and stride");
	DO("tileloaddt1 -5(%0,%2,1), %%tmm3; tilestored %%tmm3, -128(%1,%2,1)" ::"b"(from + 5), "c"(to + 128),
		"d"(side));
	check_copy("a short shift");
	DO("tileloadd -1000(%0,%2,1), %%tmm3; tilestored %%tmm3, -1400(%1,%2,1)" ::"b"(from + 1000),
		"c"(to + 1400), "d"(side));
	check_copy("a long shift");
	DO("mov %0, %%r13; mov %1, %%r12; mov %2, %%r9; tileloadd (%%r13,%%r9,2), %%tmm3;"
	   "tilestored %%tmm3, (%%r12,%%r9,2)" ::"S"(from),
		"D"(to), "a"(side / 2));
	check_copy("upper registers");
	DO("mov %0, %%r8; mov %1, %%r15; mov %2, %%r12; tileloadd 0(%%r8,%%r12,8), %%tmm3;"
	   "tilestored %%tmm3, 0(%%r15,%%r12,8)" ::"S"(from),
		"D"(to), "a"(side / 8));
	check_copy("stride in r12, times 8");
	DO("tileloadd (%0,%2,1), %%tmm3; tilestored %%tmm3, (%1,%2,1)" ::"S"(from + 15 * SIDE),
		"D"(to + 15 * SIDE), "a"(-side));
	check_copy("backwards");
	DO("tileloadd (%0), %%tmm3; tilestored %%tmm3, (%1,%2,1)" ::"S"(from), "D"(to), "a"(side));
	int same = 1;
	for (size_t r = 0; r < 16; r++)
		same &= memcmp(to + r * SIDE, from, 64) == 0;
	ok(same, "tile load: every row from one place");
	DO("tilezero %%tmm3; tilestored %%tmm3, (%0,%1,1)" ::"S"(to), "a"((size_t)64));
	int zero = 1;
	for (size_t i = 0; i < 1024; i++)
		zero &= to[i] == 0;
	ok(zero, "a tile of zeros");
	release();
}

/* --- products --- */

struct product {
	union {
		float f;
		uint32_t u;
	} c[M][N];
	unsigned char a[M][4 * K], b[K][4 * N];
};

#define MULTIPLY(name, insn)                                                                 \
	static AMX void name(struct product *p)                                              \
	{                                                                                    \
		configure(&config);                                                          \
		DO("tileloadd (%0,%1,1), %%tmm0" ::"r"(p->c), "r"(sizeof *p->c));            \
		DO("tileloadd (%0,%1,1), %%tmm1" ::"r"(p->a), "r"(sizeof *p->a));            \
		DO("tileloadd (%0,%1,1), %%tmm2" ::"r"(p->b), "r"(sizeof *p->b));            \
		DO(insn " %%tmm2, %%tmm1, %%tmm0; tilestored %%tmm0, (%0,%1,1)" ::"r"(p->c), \
			"r"(sizeof *p->c));                                                  \
		release();                                                                   \
	}

MULTIPLY(bf16, "tdpbf16ps")
MULTIPLY(ssd, "tdpbssd")
MULTIPLY(sud, "tdpbsud")
MULTIPLY(usd, "tdpbusd")
MULTIPLY(uud, "tdpbuud")

static float flushed(float x)
{
	return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x;
}

static float fma_flushed(float x, float y, float s)
{
	return flushed(fmaf(flushed(x), flushed(y), flushed(s)));
}

static float half_at(const unsigned char *p)
{
	uint16_t x;
	memcpy(&x, p, sizeof x);
	return f32_of_bf16(x);
}

static void plain_bf16(struct product *p)
{
	for (size_t i = 0; i < M; i++)
		for (size_t j = 0; j < N; j++) {
			float s[2] = { 0, 0 };
			for (size_t k = 0; k < K; k++)
				for (size_t h = 0; h < 2; h++)
					s[h] = fma_flushed(half_at(p->a[i] + 4 * k + 2 * h),
						half_at(p->b[k] + 4 * j + 2 * h), s[h]);
			float sum = flushed(s[0] + s[1]);
			p->c[i][j].f = flushed(flushed(p->c[i][j].f) + sum);
		}
}

static int plain_i8(const struct product *p, size_t i, size_t j, int a_signed, int b_signed)
{
	int s = 0;
	for (size_t k = 0; k < 4 * K; k++) {
		int x = p->a[i][k], y = p->b[k / 4][4 * j + k % 4];
		s += (a_signed && x > 127 ? x - 256 : x) * (b_signed && y > 127 ? y - 256 : y);
	}
	return s;
}

/* Numbers of about 2^exponent, some of them zero. */
static void random_halves(unsigned char *p, size_t n, int exponent)
{
	for (size_t i = 0; i < n; i++) {
		float x = ldexpf((float)rng_normal(&rng), exponent + (int)(rng_u64(&rng) % 12));
		uint16_t h = rng_u64(&rng) % 9 ? bf16_of(x) : 0;
		memcpy(p + 2 * i, &h, sizeof h);
	}
}

static void test_bf16(const char *what, int a, int b, int c)
{
	int right = 1;
	for (int time = 0; time < 20; time++) {
		struct product p;
		random_halves(p.a[0], 2 * K * M, a);
		random_halves(p.b[0], 2 * K * N, b);
		for (size_t i = 0; i < M; i++)
			for (size_t j = 0; j < N; j++)
				p.c[i][j].f = ldexpf((float)rng_normal(&rng), c);
		struct product q = p;
		bf16(&p);
		plain_bf16(&q);
		right &= memcmp(p.c, q.c, sizeof p.c) == 0;
	}
	ok(right, "products of bf16, %s: the bits of the definition", what);
}

static void test_i8(const char *name, void (*multiply)(struct product *), int a_signed, int b_signed)
{
	struct product p, q;
	random_bytes(&p, sizeof p);
	q = p;
	multiply(&p);
	int right = 1;
	for (size_t i = 0; i < M; i++)
		for (size_t j = 0; j < N; j++)
			right &=
				p.c[i][j].u == q.c[i][j].u + (uint32_t)plain_i8(&q, i, j, a_signed, b_signed);
	ok(right, "products of bytes: %s", name);
}

/* --- refusals of the emulator --- */

static AMX void unknown(void)
{
	DO("ud2" ::);
}

static AMX void not_configured(void)
{
	release();
	DO("tilezero %%tmm0" ::);
}

static AMX void misshapen(void)
{
	configure(&config);
	DO("tdpbf16ps %%tmm1, %%tmm2, %%tmm0" ::);
}

static AMX void too_many_rows(void)
{
	struct config c = config;
	c.rows[0] = 17;
	configure(&c);
}

/* What f says on its way down. */
static void test_refused(void (*f)(void), const char *message, const char *what)
{
	int fds[2], status = 0;
	char line[256] = "";
	fflush(stdout);
	if (pipe(fds) < 0) {
		ok(0, "pipe");
		return;
	}
	pid_t child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		dup2(fds[1], STDERR_FILENO);
		f();
		_exit(0);
	}
	close(fds[1]);
	ssize_t n = read(fds[0], line, sizeof line - 1);
	close(fds[0]);
	ok(child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
			WTERMSIG(status) == SIGABRT && n > 0 && strstr(line, message),
		"%s: aborts and says so", what);
}

int main(void)
{
	rng_init(&rng, 5, 0);
	enum amx_here here = amx_emu_begin();
	if (here == AMX_NONE) {
		skip("tile instructions: neither native nor emulated");
		return tap_end();
	}
	test_addresses();
	test_bf16("ordinary", 0, 0, 0);
	test_bf16("wide apart", -40, 30, -8);
	test_bf16("results below the least normal number", -70, -63, -124);
	test_bf16("factors below it", -134, 3, -127);
	test_bf16("overflow", 60, 60, 120);
	test_i8("signed, signed", ssd, 1, 1);
	test_i8("signed, unsigned", sud, 1, 0);
	test_i8("unsigned, signed", usd, 0, 1);
	test_i8("unsigned, unsigned", uud, 0, 0);
	if (here == AMX_EMULATED) {
		test_refused(unknown, "cannot decode: 0f 0b", "an instruction of another kind");
		test_refused(not_configured, "amx.configured", "a tile without configuration");
		test_refused(misshapen, "amx.rows", "a product of shapes that do not fit");
		test_refused(too_many_rows, "c.rows[t] <= ROWS", "a tile too high");
	}
	return tap_end();
}

#else

int main(void)
{
	amx_emu_begin();
	skip("tile instructions: x86-64 Linux alone has them");
	return tap_end();
}

#endif
