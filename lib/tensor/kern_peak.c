#include "tensor/kern_peak.h"
#include "tensor/cpu.h"

#include <stdint.h>
#include <string.h>

/* Enough sums that none waits for its own last round: latency times issue width is below it on what we know.
 */
enum { SUMS = 16, VECTOR = 64 };

static volatile unsigned char sink;

/* Random values of a type; sums of their products stay finite. */
static void fill(void *p, size_t bytes, const char *type)
{
	for (size_t i = 0; i < bytes; i++) {
		float x = (float)(i * 2654435761u >> 8 & 0xffff) / 32768.0f - 1.0f;
		uint32_t u;
		memcpy(&u, &x, sizeof u);
		if (*type == 'f' && i < bytes / 4)
			memcpy((char *)p + 4 * i, &u, 4);
		else if (*type == 'b' && i < bytes / 2)
			memcpy((char *)p + 2 * i, (uint16_t[]){ (uint16_t)(u >> 16) }, 2);
		else if (*type == 'i')
			((int8_t *)p)[i] = (int8_t)(x * 127);
	}
}

/* A round is one `step` on each sum, `ops` operations; factors a and b stay in registers. Sums begin with
 * different values, or the compiler makes one of them all. */
#define PEAK(function, type, factor, sum, step, ops)                                            \
	static double function(size_t times)                                                    \
	{                                                                                       \
		unsigned char bytes[2 * VECTOR];                                                \
		factor a, b;                                                                    \
		sum s[SUMS];                                                                    \
		fill(bytes, sizeof bytes, type);                                                \
		memcpy(&a, bytes, sizeof a);                                                    \
		memcpy(&b, bytes + VECTOR, sizeof b);                                           \
		fill(s, sizeof s, "f32");                                                       \
		for (size_t t = 0; t < times; t++)                                              \
			_Pragma("GCC unroll 16") for (size_t i = 0; i < SUMS; i++) s[i] = step; \
		unsigned char last[sizeof s];                                                   \
		memcpy(last, s, sizeof s);                                                      \
		for (size_t i = 0; i < sizeof s; i++)                                           \
			sink = last[i];                                                         \
		return 2.0 * (ops)*SUMS * (double)times;                                        \
	}

static int always(void)
{
	return 1;
}

PEAK(scalar_f32, "f32", float, float, s[i] + a * b, 1)

static unsigned long plain_read(const void *p, size_t n)
{
	unsigned long s[8] = { 0 }, x[8];
	for (const char *c = p, *end = c + n; c < end; c += sizeof x) {
		memcpy(x, c, sizeof x);
		for (size_t i = 0; i < 8; i++)
			s[i] ^= x[i];
	}
	return s[0] ^ s[1] ^ s[2] ^ s[3] ^ s[4] ^ s[5] ^ s[6] ^ s[7];
}

#if defined(__x86_64__)

#include <immintrin.h>

#define FOR(isa) __attribute__((target(isa)))

static int has_avx2(void)
{
	return cpu_has(CPU_AVX2);
}

static int has_avx512(void)
{
	return cpu_has(CPU_AVX512);
}

static int has_bf16(void)
{
	return cpu_has(CPU_AVX512BF16);
}

static int has_vnni(void)
{
	return cpu_has(CPU_AVX512VNNI);
}

static int has_amx(void)
{
	return cpu_has(CPU_AMX);
}

/* clang-format off: it takes these for declarations without an end. */
FOR("avx2,fma")
PEAK(avx2_f32, "f32", __m256, __m256, _mm256_fmadd_ps(a, b, s[i]), 8)
FOR("avx512f")
PEAK(avx512_f32, "f32", __m512, __m512, _mm512_fmadd_ps(a, b, s[i]), 16)
FOR("avx512f,avx512bf16")
PEAK(avx512_bf16, "bf16", __m512bh, __m512, _mm512_dpbf16_ps(s[i], a, b), 32)
FOR("avx512f,avx512vnni")
PEAK(avx512_int8, "int8", __m512i, __m512i, _mm512_dpbusd_epi32(s[i], a, b), 64)
/* clang-format on */

/* Sums in tiles 0 ... 3, two factors on either side. */
#define AMX_PEAK(function, type, step, depth)                       \
	static double function(size_t times)                        \
	{                                                           \
		unsigned char bytes[4][1024], zero[1024] = { 0 };   \
		struct {                                            \
			unsigned char palette, start, pad[14];      \
			uint16_t width[16];                         \
			unsigned char rows[16];                     \
		} shape = { .palette = 1 };                         \
		for (int i = 0; i < 8; i++) {                       \
			shape.width[i] = 64;                        \
			shape.rows[i] = 16;                         \
		}                                                   \
		fill(bytes, sizeof bytes, type);                    \
		_tile_loadconfig(&shape);                           \
		_tile_zero(0);                                      \
		_tile_zero(1);                                      \
		_tile_zero(2);                                      \
		_tile_zero(3);                                      \
		_tile_loadd(4, bytes[0], 64);                       \
		_tile_loadd(5, bytes[1], 64);                       \
		_tile_loadd(6, bytes[2], 64);                       \
		_tile_loadd(7, bytes[3], 64);                       \
		for (size_t t = 0; t < times; t++) {                \
			step(0, 4, 6);                              \
			step(1, 4, 7);                              \
			step(2, 5, 6);                              \
			step(3, 5, 7);                              \
		}                                                   \
		_tile_stored(0, zero, 64);                          \
		_tile_release();                                    \
		sink = zero[5];                                     \
		return 2.0 * 4 * 16 * 16 * (depth) * (double)times; \
	}

FOR("amx-tile,amx-bf16")
AMX_PEAK(amx_bf16, "bf16", _tile_dpbf16ps, 32)
FOR("amx-tile,amx-int8")
AMX_PEAK(amx_int8, "int8", _tile_dpbssd, 64)

FOR("avx512f") static unsigned long avx512_read(const void *p, size_t n)
{
	__m512i s[8], all;
	memset(s, 0, sizeof s);
	for (const char *c = p, *end = c + n; c < end; c += sizeof s)
		_Pragma("GCC unroll 8") for (size_t i = 0; i < 8; i++) s[i] =
			_mm512_xor_si512(s[i], _mm512_load_si512((const void *)(c + 64 * i)));
	all = s[0];
	for (size_t i = 1; i < 8; i++)
		all = _mm512_xor_si512(all, s[i]);
	return (unsigned long)_mm512_reduce_add_epi64(all);
}

unsigned long kern_peak_read(const void *p, size_t n)
{
	return has_avx512() ? avx512_read(p, n) : plain_read(p, n);
}

void kern_peak_write_around(void *p, size_t n)
{
	__m128i x = _mm_set1_epi32(1);
	for (char *c = p, *end = c + n; c < end; c += sizeof x)
		_mm_stream_si128((__m128i *)(void *)c, x);
	_mm_sfence();
}

#else

unsigned long kern_peak_read(const void *p, size_t n)
{
	return plain_read(p, n);
}

void kern_peak_write_around(void *p, size_t n)
{
	kern_peak_write(p, n);
}

#endif

void kern_peak_write(void *p, size_t n)
{
	memset(p, 1, n);
}

const struct kern_peak kern_peaks[] = {
	{ "f32", "multiply, add", always, scalar_f32 },
#if defined(__x86_64__)
	{ "f32", "fma, 256 bits", has_avx2, avx2_f32 },
	{ "f32", "fma, 512 bits", has_avx512, avx512_f32 },
	{ "bf16", "vdpbf16ps", has_bf16, avx512_bf16 },
	{ "bf16", "tdpbf16ps", has_amx, amx_bf16 },
	{ "int8", "vpdpbusd", has_vnni, avx512_int8 },
	{ "int8", "tdpbssd", has_amx, amx_int8 },
#endif
	{ 0 },
};
