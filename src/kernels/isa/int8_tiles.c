/* Eight-bit products in AMX tiles: TDPBUSD adds to 16 x 16 sums what 64 numbers of 16 rows and of 16 columns give, exactly. A block of columns stands
 * as a tile wants it: a row of the tile is a quad of all its columns. */
#include "kernels/isa/amx.h"
#include "kernels/isa/int8_sums.h"

#if defined(__AVX512F__)
#define AMX __attribute__((target("amx-tile,amx-int8")))

enum {
    UNIT = 16,                  /* rows of a tile, and quads of its rows */
    ROWS = 2 * UNIT, COLS = 2 * BLOCK,
    LINE = BLOCK * QUAD         /* bytes of a tile's row, whole: 16 quads or 16 sums */
};

/* Rows of x, and quads of a tile's row. */
typedef struct sizes { size_t rows, unit; } sizes;

XR_INLINE void shape(amx_shapes *s, int tile, size_t rows, size_t bytes)
{
    s->rows[tile] = (uint8_t)rows;
    s->row_bytes[tile] = (uint16_t)(rows ? bytes : 0);
}

/* Sums in tiles 0 to 3, of x in 4 and 5, of w in 6 and 7; those of the lower rows, 2, 3 and 5, are perhaps none. */
AMX XR_INLINE void configure(sizes *now, size_t rows, size_t unit)
{
    if (now->rows == rows && now->unit == unit)
        return;
    *now = (sizes){rows, unit};
    size_t high = rows < UNIT ? rows : UNIT, low = rows - high;
    amx_shapes s = {.palette = 1};
    for (int t = 0; t < 4; t++)
        shape(&s, t, t < 2 ? high : low, LINE);
    shape(&s, 4, high, unit * QUAD);
    shape(&s, 5, low, unit * QUAD);
    shape(&s, 6, unit, LINE);
    shape(&s, 7, unit, LINE);
    amx_configure(&s);
}

AMX XR_INLINE void zero_sums(int low)
{
    _tile_zero(0);
    _tile_zero(1);
    if (low) {
        _tile_zero(2);
        _tile_zero(3);
    }
}

AMX XR_INLINE void load_sums(int32_t (*sum)[COLS], int low)
{
    _tile_loadd(0, sum, sizeof *sum);
    _tile_loadd(1, sum[0] + BLOCK, sizeof *sum);
    if (low) {
        _tile_loadd(2, sum + UNIT, sizeof *sum);
        _tile_loadd(3, sum[UNIT] + BLOCK, sizeof *sum);
    }
}

AMX XR_INLINE void store_sums(int32_t (*sum)[COLS], int low)
{
    _tile_stored(0, sum, sizeof *sum);
    _tile_stored(1, sum[0] + BLOCK, sizeof *sum);
    if (low) {
        _tile_stored(2, sum + UNIT, sizeof *sum);
        _tile_stored(3, sum[UNIT] + BLOCK, sizeof *sum);
    }
}

/* Two blocks of columns, `step` apart, over n quads, `unit` to a tile. */
AMX XR_INLINE void add(const uint8_t *x, size_t ld, int low, const int8_t *w, size_t step, size_t n, size_t unit)
{
    for (size_t k = 0; k < n; k += unit, x += UNIT * QUAD, w += UNIT * LINE) {
        _tile_loadd(6, w, LINE);
        _tile_loadd(4, x, ld);
        _tile_dpbusd(0, 4, 6);
        _tile_loadd(7, w + step, LINE);
        _tile_dpbusd(1, 4, 7);
        if (low) {
            _tile_loadd(5, x + UNIT * ld, ld);
            _tile_dpbusd(2, 5, 6);
            _tile_dpbusd(3, 5, 7);
        }
    }
}

/* Whole tiles of quads and then what is left of them. */
AMX static void sums(int32_t (*restrict sum)[COLS], sizes *now, const uint8_t *x, size_t ld, size_t rows, const int8_t *w, size_t quads)
{
    int low = rows > UNIT;
    for (size_t k = 0, n; k < quads; k += n) {
        size_t unit = quads - k < UNIT ? quads - k : UNIT;
        n = (quads - k) / unit * unit;
        configure(now, rows, unit);
        if (k > 0)
            load_sums(sum, low);
        else
            zero_sums(low);
        add(x + k * QUAD, ld, low, w + k * LINE, quads * LINE, n, unit);
        store_sums(sum, low);
    }
}

/* Afterwards no tile is in use, so that nothing of them has to be saved when threads change. */
AMX static void multiply(const xr_int8_tile *t)
{
    _Alignas(64) int32_t sum[ROWS][COLS];
    sizes now = {0};
    for (size_t c = 0; c < t->cols; c += COLS)
        for (size_t r = 0; r < t->rows; r += ROWS) {
            size_t rows = t->rows - r < ROWS ? t->rows - r : ROWS;
            sums(sum, &now, t->x + r * t->ld_x, t->ld_x, rows, t->w + c * QUAD * t->quads, t->quads);
            for (size_t k = 0; k < rows; k++)
                finish(t, r + k, c, t->cols - c < COLS ? t->cols : c + COLS, sum[k]);
        }
    _tile_release();
}

static void quantize(uint8_t *restrict to, xr_int8_row *row, const float *restrict x, size_t n) { xr_isa_int8_avx512.quantize(to, row, x, n); }
static void quantize_weights(int8_t *restrict to, float *scale, int32_t *total, const float *restrict w, size_t n)
{
    xr_isa_int8_avx512.quantize_weights(to, scale, total, w, n);
}

const xr_isa_int8 xr_isa_int8_amx = {quantize, quantize_weights, multiply};
#endif
