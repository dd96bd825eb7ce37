/*
 * kern_qamx: tiles of quantised products on AMX, for many rows (Intel SDM, volume 2, TDPBSUD: bytes of A with
 * a sign, of B without). Panels and activations lie as for VNNI (kern_qtile.h), which makes tiles of few
 * rows: a group of a panel is two registers of 8 units of k by 16 outputs, of a tile of activations 16 rows
 * of 32 k.
 *
 * A register of bytes holds 64 k, a group of scales 32, a half of QFORM_6's 16: registers are half full, or a
 * quarter. Integer sums have to go through memory to meet the scales: those of BATCH groups (or halves) wait
 * there, so that the f32 sums are read and written once for all of them.
 *
 * Reckoned, for there was no such processor to run it on: of 32 x 32 sums a group takes 64 cycles of the tile
 * unit, and 256 vector instructions (128 cycles) beside it; VNNI takes 64 x 11 on the same two ports, 352.
 * With few rows the tile unit's latency and the way through memory, about 100 cycles, stand against 11 a row:
 * from 16 rows on it is AMX.
 */
#define AMR 32
#define AMX_LEAST 16
#define BATCH 4

static const struct tile_config qconfig = {
	.palette = 1,
	.row_bytes = { 64, 64, 64, 64, QGROUP, QGROUP, 64, 64 },
	.rows = { 16, 16, 16, 16, 16, 16, QUNITS, QUNITS },
};

static void qtiles_on(void)
{
	_tile_loadconfig(&qconfig);
}

struct batch {
	_Alignas(64) int32_t sums[BATCH][AMR][QNR];
	_Alignas(64) uint8_t w[2][QUNITS][2 * VBYTES]; /* weights that do not lie in units of bytes */
	_Alignas(64) int8_t a[16][QGROUP];             /* activations of fewer than 16 rows */
	qvf d[BATCH][2], e[BATCH][2];                  /* scales and mins of the outputs */
	const float *scale[BATCH];                     /* of the rows */
	const void *start[BATCH];                      /* what the form starts its sums with */
	size_t n;
};

/* Sums of a group, which are the batch's next. Of 16 < m <= 32 rows the second 16 overlap the first. */
INLINE void sums_make(struct batch *s, const int8_t *a, const uint8_t *w, size_t m)
{
	int32_t(*to)[QNR] = s->sums[s->n];
	WRITTEN;
	_tile_zero(0);
	_tile_zero(1);
	_tile_loadd(4, a, QGROUP);
	_tile_loadd(6, w, 2 * VBYTES);
	_tile_dpbsud(0, 4, 6);
	_tile_loadd(7, w + VBYTES, 2 * VBYTES);
	_tile_dpbsud(1, 4, 7);
	if (m > 16) {
		_tile_zero(2);
		_tile_zero(3);
		_tile_loadd(5, a + (m - 16) * QGROUP, QGROUP);
		_tile_dpbsud(2, 5, 6);
		_tile_dpbsud(3, 5, 7);
		_tile_stored(2, to[m - 16], sizeof *to);
		_tile_stored(3, to[m - 16] + VL, sizeof *to);
	}
	_tile_stored(0, to[0], sizeof *to);
	_tile_stored(1, to[0] + VL, sizeof *to);
	WRITTEN;
}

/* C = C0 + the batch's sums, scaled, in their order. */
INLINE void batch_end(
	struct batch *s, const float *c0, size_t ld0, float *c, size_t ldc, size_t m, const enum qform form)
{
	for (size_t i = 0; i < m; i++) {
		qvf s0 = c0 ? qvf_load(c0 + i * ld0) : qvf_zero();
		qvf s1 = c0 ? qvf_load(c0 + i * ld0 + VL) : qvf_zero();
		for (size_t g = 0; g < s->n; g++) {
			qvf x = qvf_set(s->scale[g][i]);
			qvi n0 = _mm512_load_si512(s->sums[g][i]), n1 = _mm512_load_si512(s->sums[g][i] + VL);
			if (form != QFORM_4M) {
				qvi start = qvi_set(((const int32_t *)s->start[g])[i]);
				n0 = qvi_add(n0, start);
				n1 = qvi_add(n1, start);
			}
			s0 = qvf_fma(qvf_of_i32(n0), qvf_mul(x, s->d[g][0]), s0);
			s1 = qvf_fma(qvf_of_i32(n1), qvf_mul(x, s->d[g][1]), s1);
			if (form == QFORM_4M) {
				qvf start = qvf_set(((const float *)s->start[g])[i]);
				s0 = qvf_fnma(start, s->e[g][0], s0);
				s1 = qvf_fnma(start, s->e[g][1], s1);
			}
		}
		qvf_store(c + i * ldc, s0);
		qvf_store(c + i * ldc + VL, s1);
	}
	s->n = 0;
}

/* The sums of a group or half, with the scales of the outputs. */
INLINE void batch_add(struct batch *s, const int8_t *a, const uint8_t *w, const float *scale,
	const void *start, qvf d0, qvf d1, size_t m)
{
	sums_make(s, a, w, m);
	s->scale[s->n] = scale;
	s->start[s->n] = start;
	s->d[s->n][0] = d0;
	s->d[s->n][1] = d1;
	s->n++;
}

INLINE void unpack_nibbles(struct batch *s, const uint8_t *w)
{
	for (size_t u = 0; u < QUNITS / 2; u++)
		for (size_t j = 0; j < 2; j++, w += VBYTES) {
			_mm512_store_si512(s->w[0][u] + j * VBYTES, qvi_low(w));
			_mm512_store_si512(s->w[0][QUNITS / 2 + u] + j * VBYTES, qvi_high(w));
		}
}

/* One group; w: behind the head, d and e: what that says. */
INLINE void group_add(struct batch *s, const char *at, const uint8_t *w, const qvf d[2], const qvf e[2],
	size_t m, const enum qform form)
{
	const float *scale = (const float *)(const void *)(at + QGROUP * m), *start = scale + m;
	const int8_t *a = (const int8_t *)at;
	if (m < 16)
		a = memcpy(s->a, a, m * QGROUP);
	if (form == QFORM_8) {
		const uint8_t *f = w + 32 * QNR;
		batch_add(s, a, w, scale, start, qvf_of_f16(f), qvf_of_f16(f + 2 * VL), m);
	} else if (form == QFORM_4) {
		const uint8_t *f = w + 16 * QNR;
		unpack_nibbles(s, w);
		batch_add(s, a, s->w[0][0], scale, start, qvf_of_f16(f), qvf_of_f16(f + 2 * VL), m);
	} else if (form == QFORM_4M) {
		const uint8_t *sc = w + 16 * QNR, *mn = sc + QNR;
		unpack_nibbles(s, w);
		s->e[s->n][0] = qvf_mul(e[0], qvf_of_u8(mn));
		s->e[s->n][1] = qvf_mul(e[1], qvf_of_u8(mn + VL));
		batch_add(s, a, s->w[0][0], scale, start, qvf_mul(d[0], qvf_of_u8(sc)),
			qvf_mul(d[1], qvf_of_u8(sc + VL)), m);
	} else {
		/* Each half with zeros for the other one. */
		const uint8_t *sc = w + 32 * QNR;
		for (size_t h = 0; h < 2; h++, w += 16 * QNR, sc += QNR) {
			memcpy(s->w[h][h * QUNITS / 2], w, 16 * QNR);
			batch_add(s, a, s->w[h][0], scale, start + h * m, qvf_mul(d[0], qvf_of_i8(sc)),
				qvf_mul(d[1], qvf_of_i8(sc + VL)), m);
		}
	}
}

INLINE void qamx_full(size_t groups, const void *av, const void *bv, const float *c0, size_t ld0, float *c,
	size_t ldc, size_t m, const enum qform form)
{
	struct batch s;
	const char *at = av;
	const uint8_t *w = bv;
	size_t head = form == QFORM_4M ? 4 * QNR : form == QFORM_6 ? 2 * QNR : 0;
	size_t step = qpanel_bytes(form, QNR, 1) - head;
	qvf d[2] = { qvf_zero(), qvf_zero() }, e[2] = { qvf_zero(), qvf_zero() };
	s.n = 0;
	memset(s.a, 0, sizeof s.a);
	memset(s.w, 0, sizeof s.w);
	for (size_t g = 0; g < groups; g++, w += step, at += qact_bytes(form, 1, m, 1)) {
		if (head && g % QSUPER == 0) {
			d[0] = qvf_of_f16(w), d[1] = qvf_of_f16(w + 2 * VL);
			if (form == QFORM_4M)
				e[0] = qvf_of_f16(w + 4 * VL), e[1] = qvf_of_f16(w + 6 * VL);
			w += head;
		}
		group_add(&s, at, w, d, e, m, form);
		if (s.n < BATCH && g + 1 < groups)
			continue;
		batch_end(&s, c0, ld0, c, ldc, m, form);
		c0 = c;
		ld0 = ldc;
	}
}

#define QAMX(name, form)                                                                                     \
	static void name(size_t groups, const void *a, const void *b, const float *c0, size_t ld0, float *c, \
		size_t ldc, size_t m, size_t n)                                                              \
	{                                                                                                    \
		float buf[AMR * QNR];                                                                        \
		if (n == QNR) {                                                                              \
			qamx_full(groups, a, b, c0, ld0, c, ldc, m, form);                                   \
			return;                                                                              \
		}                                                                                            \
		memset(buf, 0, sizeof buf);                                                                  \
		c0 = edge_begin(buf, QNR, c0, ld0, m, n);                                                    \
		qamx_full(groups, a, b, c0, QNR, buf, QNR, m, form);                                         \
		edge_end(buf, QNR, c, ldc, m, n);                                                            \
	}

QAMX(qamx_8, QFORM_8)
QAMX(qamx_4, QFORM_4)
QAMX(qamx_4m, QFORM_4M)
QAMX(qamx_6, QFORM_6)

static const struct kern_qgemm qamx_row = {
	.name = "amx",
	.least = AMX_LEAST,
	.mr = AMR,
	.nr = QNR,
	.unit = QUNIT,
	.act = sizeof(QACT),
	.tile = { qamx_8, qamx_4, qamx_4m, qamx_6 },
	.tiles_on = qtiles_on,
	.tiles_off = tiles_off,
	.pack_act = pack_act,
	.pack = pack_qpanel,
};
