/* What the processor does for _product.c: packing panels of an operand as bf16 tiles, and products of two panels.
 *
 * A panel is 32 rows of op(A), or 32 columns of op(B), over up to DEPTH of the k's: two tiles side by side for each 32
 * k's, 64 bytes a row. A tile of A has 16 rows of 32 k's; one of B has 16 pairs of k's, each with its 16 columns. A
 * float x is hi + lo, hi = bf16(x), lo = bf16(x - hi), both to nearest even; a panel has a plane of each. Where hi has
 * infinities a third plane has zeros instead of them: infinity times the other operand's lo has that one's sign, or is
 * NaN, and would spoil infinity times its hi. Whatever a panel lacks of 32 rows or k's is zeros. */
#define TARGET __attribute__((target("avx512f,avx512bw,amx-tile,amx-bf16")))
#define INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

enum { PANEL = 32, STEP = 32, TILE = 1024, DEPTH = 512, PLANE = PANEL * DEPTH * 2, PANEL_ROOM = 3 * PLANE };
enum { HAS_LO = 1, HAS_INFINITY = 2 };

/* A float32 operand, row-major. along: its rows are the panels' and k runs along them; else its rows are the k's. */
typedef struct {
    const float *at;
    int64_t rows, depth;
    int along;
} Operand;

/* x to bf16, in the upper halves of 32 bits. x is no NaN, and not so large that it would become infinite. */
TARGET static INLINE __m512i nearest(__m512i x) {
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(x, 16), _mm512_set1_epi32(1));
    const __m512i sum = _mm512_add_epi32(x, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    return _mm512_and_si512(sum, _mm512_set1_epi32((int)0xffff0000));
}

/* The same for any x; adds what it meets to flags. lo is 0 where x is not finite. Where hi would overflow it is the
 * largest bf16 instead, and lo has the rest. */
TARGET static INLINE void split(__m512 given, const int parts, __m512i *hi, __m512i *lo, int *flags) {
    const __m512i x = _mm512_castps_si512(given), size = _mm512_and_si512(x, _mm512_set1_epi32(0x7fffffff));
    const __mmask16 large = _mm512_cmpge_epu32_mask(size, _mm512_set1_epi32(0x7f7f8000));
    __m512 rest;
    *hi = nearest(x);
    if (__builtin_expect(large, 0)) {
        const __m512i infinity = _mm512_set1_epi32(0x7f800000);
        const __mmask16 finite = _mm512_mask_cmplt_epu32_mask(large, size, infinity);
        const __m512i sign = _mm512_and_si512(x, _mm512_set1_epi32((int)0x80000000));
        *hi = _mm512_mask_or_epi32(*hi, finite, sign, _mm512_set1_epi32(0x7f7f0000));
        *hi = _mm512_mask_mov_epi32(*hi, _mm512_cmpgt_epu32_mask(size, infinity), _mm512_set1_epi32(0x7fc00000));
        *flags |= _mm512_cmpeq_epi32_mask(size, infinity) ? HAS_INFINITY : 0;
        rest = _mm512_maskz_sub_ps((__mmask16)(finite | ~large), given, _mm512_castsi512_ps(*hi));
    } else {
        rest = _mm512_sub_ps(given, _mm512_castsi512_ps(*hi));
    }
    if (parts > 1)
        *lo = nearest(_mm512_castps_si512(rest));
}

/* 16 x 16 words of 32 bits. */
TARGET static INLINE void transpose(__m512i *v) {
    __m512i t[16], u[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]), t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        u[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]), u[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]), u[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL for (int j = 0; j < 4; j++) {
        const __m512i p = _mm512_shuffle_i32x4(u[j], u[4 + j], 0x88), q = _mm512_shuffle_i32x4(u[j], u[4 + j], 0xdd);
        const __m512i r = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0x88);
        const __m512i s = _mm512_shuffle_i32x4(u[8 + j], u[12 + j], 0xdd);
        v[j] = _mm512_shuffle_i32x4(p, r, 0x88), v[4 + j] = _mm512_shuffle_i32x4(q, s, 0x88);
        v[8 + j] = _mm512_shuffle_i32x4(p, r, 0xdd), v[12 + j] = _mm512_shuffle_i32x4(q, s, 0xdd);
    }
}

/* The lowest n of 16 lanes. */
static INLINE unsigned lanes(int64_t n) { return n >= 16 ? 0xffffu : n > 0 ? (1u << n) - 1 : 0; }

/* The bf16 of x and y: all of x before those of y, or in pairs. */
TARGET static INLINE __m512i join(__m512i x, __m512i y, const int along) {
    const __m512i uppers =
        _mm512_set_epi32(0x3f003d, 0x3b0039, 0x370035, 0x330031, 0x2f002d, 0x2b0029, 0x270025, 0x230021, 0x1f001d,
                         0x1b0019, 0x170015, 0x130011, 0x0f000d, 0x0b0009, 0x070005, 0x030001);
    return along ? _mm512_permutex2var_epi16(x, uppers, y) : _mm512_or_si512(_mm512_srli_epi32(x, 16), y);
}

/* The tile at (row, k) of an operand. Returns its flags. */
TARGET static INLINE int pack_tile(const Operand *x, int64_t row, int64_t k, const int along, const int turn,
                                   const int parts, char *to) {
    const int64_t rows = x->rows - row, depth = x->depth - k;
    __m512i hi[16], lo[16], any = _mm512_setzero_si512();
    int flags = 0;
    UNROLL for (int i = 0; i < 16; i++) {
        const int64_t first = along ? (row + i) * x->depth + k : (k + 2 * i) * x->rows + row;
        const int64_t second = along ? first + 16 : first + x->rows;
        const unsigned here = along ? lanes(i < rows ? depth : 0) : lanes(2 * i < depth ? rows : 0);
        const unsigned there = along ? lanes(i < rows ? depth - 16 : 0) : lanes(2 * i + 1 < depth ? rows : 0);
        __m512i h[2], l[2];
        split(_mm512_maskz_loadu_ps((__mmask16)here, x->at + first), parts, &h[0], &l[0], &flags);
        split(_mm512_maskz_loadu_ps((__mmask16)there, x->at + second), parts, &h[1], &l[1], &flags);
        hi[i] = join(h[0], h[1], along);
        if (parts > 1) {
            any = _mm512_or_si512(any, _mm512_or_si512(l[0], l[1]));
            lo[i] = join(l[0], l[1], along);
        }
    }
    if (turn)
        transpose(hi);
    UNROLL for (int i = 0; i < 16; i++)
        _mm512_store_si512(to + 64 * i, hi[i]);
    if (parts > 1) {
        const int some = _mm512_test_epi32_mask(any, any) != 0;
        if (turn && some)
            transpose(lo);
        UNROLL for (int i = 0; i < 16; i++)
            _mm512_store_si512(to + PLANE + 64 * i, lo[i]);
        flags |= some ? HAS_LO : 0;
    }
    return flags;
}

/* `panels` panels from `row` on, k's from k to `end`. What is read is read in the order it lies in memory. */
TARGET static INLINE void pack_panels(const Operand *x, int64_t row, int panels, int64_t k, int64_t end,
                                      const int along, const int turn, const int parts, char *to, uint8_t *flags) {
    const int steps = (int)((end - k + STEP - 1) / STEP), outer = along ? panels : steps;
    const int inner = along ? steps : panels;
    for (int i = 0; i < outer; i++)
        for (int j = 0; j < inner; j++) {
            const int panel = along ? i : j, step = along ? j : i;
            char *tile = to + (int64_t)panel * PANEL_ROOM + step * 2 * TILE;
            const int64_t at = row + panel * PANEL, depth = k + step * STEP;
            int met = pack_tile(x, at, depth, along, turn, parts, tile);
            met |= pack_tile(x, at + 16, depth, along, turn, parts, tile + TILE);
            flags[panel] = (uint8_t)((step ? flags[panel] : 0) | met);
        }
    for (int panel = 0; panel < panels; panel++)
        if (flags[panel] & HAS_INFINITY) {
            const uint16_t *hi = (const uint16_t *)(to + (int64_t)panel * PANEL_ROOM);
            uint16_t *cross = (uint16_t *)hi + PLANE; /* PLANE is in bytes: two planes on */
            for (int i = 0; i < steps * TILE; i++)
                cross[i] = (hi[i] & 0x7fff) == 0x7f80 ? 0 : hi[i];
        }
}

/* Tiles of A want k along their rows, those of B across: `first` says which operand x is. */
TARGET static void pack(const Operand *x, int first, int64_t row, int panels, int64_t k, int64_t end, int parts,
                        char *to, uint8_t *flags) {
    switch (x->along * 4 + (x->along != first) * 2 + (parts > 1)) {
    case 0: pack_panels(x, row, panels, k, end, 0, 0, 1, to, flags); break;
    case 1: pack_panels(x, row, panels, k, end, 0, 0, 2, to, flags); break;
    case 2: pack_panels(x, row, panels, k, end, 0, 1, 1, to, flags); break;
    case 3: pack_panels(x, row, panels, k, end, 0, 1, 2, to, flags); break;
    case 4: pack_panels(x, row, panels, k, end, 1, 0, 1, to, flags); break;
    case 5: pack_panels(x, row, panels, k, end, 1, 0, 2, to, flags); break;
    case 6: pack_panels(x, row, panels, k, end, 1, 1, 1, to, flags); break;
    default: pack_panels(x, row, panels, k, end, 1, 1, 2, to, flags);
    }
}

/* Tiles 0 to 3 are the sums, 4 and 5 panel a's, 6 and 7 panel b's. */
#define LOAD_A(from)                                                                                                  \
    _tile_loadd(4, from, 64);                                                                                         \
    _tile_loadd(5, (from) + TILE, 64)
#define LOAD_B(from)                                                                                                  \
    _tile_loadd(6, from, 64);                                                                                         \
    _tile_loadd(7, (from) + TILE, 64)
#define MULTIPLY                                                                                                      \
    _tile_dpbf16ps(0, 4, 6);                                                                                          \
    _tile_dpbf16ps(1, 4, 7);                                                                                          \
    _tile_dpbf16ps(2, 5, 6);                                                                                          \
    _tile_dpbf16ps(3, 5, 7)

/* The sums over k, 32 at a time. Which products there are depends on what the panels hold, never on the threads. */
TARGET static INLINE void sum(const char *a, const char *b, int steps, const int a_lo, const int b_lo) {
    for (int s = 0; s < steps; s++, a += 2 * TILE, b += 2 * TILE) {
        LOAD_B(b);
        if (a_lo) {
            LOAD_A(a + PLANE);
            MULTIPLY;
        }
        LOAD_A(a);
        MULTIPLY;
        if (b_lo) {
            LOAD_B(b + PLANE);
            MULTIPLY;
        }
    }
}

/* The same where one of them has infinities. */
TARGET static void sum_with_infinities(const char *a, const char *b, int steps, int a_flags, int b_flags) {
    const int a_cross = a_flags & HAS_INFINITY ? 2 * PLANE : 0, b_cross = b_flags & HAS_INFINITY ? 2 * PLANE : 0;
    for (int s = 0; s < steps; s++, a += 2 * TILE, b += 2 * TILE) {
        LOAD_B(b + b_cross);
        LOAD_A(a + PLANE);
        MULTIPLY;
        LOAD_B(b);
        LOAD_A(a);
        MULTIPLY;
        LOAD_B(b + PLANE);
        LOAD_A(a + a_cross);
        MULTIPLY;
    }
}

/* c (32 x 32) = a b, or c + a b. */
TARGET static void multiply(const char *a, const char *b, int steps, int a_flags, int b_flags, int parts, int add,
                            float *c) {
    __asm__ volatile("" ::: "memory"); /* a compiler does not know that tile loads read memory */
    if (add) {
        _tile_loadd(0, c, 64);
        _tile_loadd(1, c + 256, 64);
        _tile_loadd(2, c + 512, 64);
        _tile_loadd(3, c + 768, 64);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    if (parts > 1 && (a_flags | b_flags) & HAS_INFINITY)
        sum_with_infinities(a, b, steps, a_flags, b_flags);
    else if (a_flags & b_flags & HAS_LO)
        sum(a, b, steps, 1, 1);
    else if (a_flags & HAS_LO)
        sum(a, b, steps, 1, 0);
    else if (b_flags & HAS_LO)
        sum(a, b, steps, 0, 1);
    else
        sum(a, b, steps, 0, 0);
    _tile_stored(0, c, 64);
    _tile_stored(1, c + 256, 64);
    _tile_stored(2, c + 512, 64);
    _tile_stored(3, c + 768, 64);
    __asm__ volatile("" ::: "memory");
}

/* A row of blocks of 32 x 32, as `multiply` leaves them, to n floats: `before`, which may be null, plus it. */
TARGET static void unpack_row(const float *blocks, int row, const float *before, float *to, int64_t n) {
    const float *from = blocks + (row / 16) * 512 + (row % 16) * 16;
    for (int64_t i = 0; i < n; i += 16, from += i % 32 ? 256 : 1024 - 256) {
        const __mmask16 here = (__mmask16)lanes(n - i);
        const __m512 x = _mm512_load_ps(from);
        _mm512_mask_storeu_ps(to + i, here, before ? _mm512_add_ps(_mm512_maskz_loadu_ps(here, before + i), x) : x);
    }
}

/* Eight tiles of 16 rows of 64 bytes, in this thread. */
TARGET static void configure_tiles(void) {
    struct __attribute__((packed, aligned(64))) {
        uint8_t palette, start, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } shape = {.palette = 1};
    for (int i = 0; i < 8; i++)
        shape.row_bytes[i] = 64, shape.rows[i] = 16;
    __asm__ volatile("" ::: "memory");
    _tile_loadconfig(&shape);
}

TARGET static void release_tiles(void) { _tile_release(); }
