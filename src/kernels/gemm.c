#include "kernels/gemm.h"

#include <cblas.h>
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kernels/cpu.h"
#include "kernels/isa/table.h"
#include "kernels/sizes.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/phase.h"

/* Tiles. A call of sgemm packs its rows of x and its rows of w again, so a tile of r x c results costs about 1 + 22 / r + 22 / c of
 * the time of its multiply-adds (fitted to 192^2 .. 768^2 tiles of XLM-R's shapes, AVX-512 kernels, 2 Zen 5 cores): near-square tiles,
 * and no more of them than cores are kept busy by. One core reaches 200 .. 215 GF/s in whole products of 720 .. 1440 tokens, and in
 * these tiles 190 .. 210. The tiling is a function of the shape alone. */
static size_t tile_count(size_t m, size_t n, size_t k)
{
    double work = (double)m * (double)n * (double)k;
    return work < 2e6 ? 1 : work < 8e6 ? 2 : work < 640e6 ? 4 : work < 2.5e9 ? 8 : 24;
}

enum { MAX_SIDE = 768, ROW_UNIT = 4, COL_UNIT = 16 };   /* units of OpenBLAS's register blocks */

typedef struct grid { size_t rows, cols, step_r, step_c, down, across; } grid;

static grid split(size_t rows, size_t cols, size_t down, size_t across)
{
    grid g = {.rows = rows, .cols = cols};
    g.step_r = xr_ceil_div(xr_ceil_div(rows, down), ROW_UNIT) * ROW_UNIT;
    g.step_c = xr_ceil_div(xr_ceil_div(cols, across), COL_UNIT) * COL_UNIT;
    g.down = xr_ceil_div(rows, g.step_r);
    g.across = xr_ceil_div(cols, g.step_c);
    return g;
}

static grid tiles(size_t rows, size_t cols, size_t inner)
{
    if (rows == 0 || cols == 0)
        return (grid){.step_r = 1, .step_c = 1};
    size_t count = tile_count(rows, cols, inner);
    grid best = {0};
    double best_cost = 0.0;
    for (size_t down = 1; down <= count; down++) {
        if (count % down != 0)
            continue;
        grid g = split(rows, cols, down, count / down);
        double cost = 1.0 / (double)g.step_r + 1.0 / (double)g.step_c;
        if (best.rows == 0 || cost < best_cost) {
            best = g;
            best_cost = cost;
        }
    }
    if (best.step_r > MAX_SIDE || best.step_c > MAX_SIDE)
        best = split(rows, cols, best.down * xr_ceil_div(best.step_r, MAX_SIDE), best.across * xr_ceil_div(best.step_c, MAX_SIDE));
    return best;
}

typedef struct tile { size_t r, c, rows, cols; } tile;

static tile tile_at(const grid *g, size_t i)
{
    tile t = {.r = i % g->down * g->step_r, .c = i / g->down * g->step_c};
    t.rows = g->rows - t.r < g->step_r ? g->rows - t.r : g->step_r;
    t.cols = g->cols - t.c < g->step_c ? g->cols - t.c : g->step_c;
    return t;
}

/* c[rows,cols] = a b + beta c (+ bias): rows of the result start a_step apart in a, columns b_step apart in b. */
typedef struct product {
    CBLAS_TRANSPOSE trans_a, trans_b;
    const float *a, *b, *bias;
    float *c;
    size_t lda, ldb, ldc, a_step, b_step, inner;
    float beta;
} product;

static int dim(size_t n)
{
    XR_ASSERT(n <= INT_MAX, "a dimension of %zu", n);
    return (int)n;
}

static int stride(size_t n) { return n ? dim(n) : 1; }

static void multiply_tile(const product *p, const tile *t)
{
    float *out = p->c + t->r * p->ldc + t->c;
    cblas_sgemm(CblasRowMajor, p->trans_a, p->trans_b, dim(t->rows), dim(t->cols), dim(p->inner), 1.0f, p->a + t->r * p->a_step,
                stride(p->lda), p->b + t->c * p->b_step, stride(p->ldb), p->beta, out, stride(p->ldc));
    if (p->bias)
        xr_kernels()->rows->bias(out, p->bias + t->c, t->rows, t->cols, p->ldc);
}

/* OpenBLAS asks OpenMP how many threads a caller may have, and a region of one thread does not count as parallel: without the 1 set
 * here a product of a single tile would be split by the library, its bits would depend on the machine, and with OMP_THREAD_LIMIT or
 * OMP_DYNAMIC, by which it gets fewer threads than it waits for, it would never end. Within the region, since OMP_NUM_THREADS=4,2
 * gives regions a number of their own. */
void xr_gemm_parallel(size_t n, int threads, void (*body)(void *context, size_t i, int worker), void *context)
{
#pragma omp parallel num_threads(threads) if (n > 1)
    {
        omp_set_num_threads(1);
#pragma omp for schedule(dynamic, 1) nowait
        for (size_t i = 0; i < n; i++)
            body(context, i, omp_get_thread_num());
    }
}

typedef struct tiled { const product *p; grid g; } tiled;

static void tile_of_product(void *context, size_t i, int worker)
{
    const tiled *c = context;
    tile t = tile_at(&c->g, i);
    (void)worker;
    multiply_tile(c->p, &t);
}

static void multiply(const product *p, grid g)
{
    tiled c = {p, g};
    xr_gemm_parallel(g.down * g.across, xr_threads(), tile_of_product, &c);
}

/* --- few rows --------------------------------------------------------------------------------------------------------- */

/* Up to so many rows of x, laying out w anew for one use, as sgemm does, costs more than the less regular kernel that takes it as it stands
 * (docs/performance/products.md). */
enum { FEW_ROWS = 96, FEW_COLS = 96 };

static void few_cols(void *context, size_t i, int worker)
{
    xr_dot d = *(const xr_dot *)context;
    size_t c = i * FEW_COLS;
    (void)worker;
    d.cols = d.cols - c < FEW_COLS ? d.cols - c : FEW_COLS;
    d.w += c * d.inner;
    d.y += c;
    d.bias = d.bias ? d.bias + c : NULL;
    xr_kernels()->dot->multiply(&d);
}

static void multiply_few(xr_dot d)
{
    if (d.rows * d.cols * d.inner < 1 << 19)
        xr_kernels()->dot->multiply(&d);
    else
        xr_gemm_parallel(xr_ceil_div(d.cols, FEW_COLS), xr_threads(), few_cols, &d);
}

void xr_gemm_nt(float *restrict y, const float *restrict x, const float *restrict w, const float *restrict bias,
                size_t n, size_t o, size_t i, float beta)
{
    int phase = xr_phase_product(XR_PRODUCT_FORWARD, NULL, n, o, i);
    if (n <= FEW_ROWS)
        multiply_few((xr_dot){.y = y, .x = x, .w = w, .bias = bias, .rows = n, .cols = o, .inner = i, .ld_y = o, .beta = beta});
    else
        multiply(&(product){CblasNoTrans, CblasTrans, x, w, bias, y, i, i, o, i, i, i, beta}, tiles(n, o, i));
    xr_phase_enter(phase);
}

void xr_gemm_nn(float *restrict x, const float *restrict y, const float *restrict w, size_t n, size_t i, size_t o, float beta)
{
    int phase = xr_phase_product(XR_PRODUCT_INPUT, NULL, n, o, i);
    multiply(&(product){CblasNoTrans, CblasNoTrans, y, w, NULL, x, o, i, i, o, 1, o, beta}, tiles(n, i, o));
    xr_phase_enter(phase);
}

void xr_gemm_tn(float *restrict w, const float *restrict y, const float *restrict x, size_t o, size_t i, size_t n, float beta)
{
    int phase = xr_phase_product(XR_PRODUCT_WEIGHT, NULL, n, o, i);
    multiply(&(product){CblasTrans, CblasNoTrans, y, x, NULL, w, o, i, i, 1, 1, n, beta}, tiles(o, i, n));
    xr_phase_enter(phase);
}

void xr_colsum(float *restrict b, const float *restrict y, size_t n, size_t c, float beta)
{
    enum { STRIP = 64 };
    const xr_isa_rows *k = xr_kernels()->rows;
    if (beta == 0.0f)
        memset(b, 0, c * sizeof *b);
#pragma omp parallel for schedule(dynamic, 1) num_threads(xr_threads()) if (n * c > 1 << 14)
    for (size_t j = 0; j < c; j += STRIP)
        k->colsum(b + j, NULL, y + j, NULL, n, c - j < STRIP ? c - j : STRIP, c);
}

/* Absent from other BLAS libraries, so asked for at run time and not at link time. */
#pragma weak openblas_get_config
#pragma weak openblas_get_corename
#pragma weak openblas_get_parallel
#pragma weak openblas_set_num_threads

const char *xr_blas_core(void) { return openblas_get_corename ? openblas_get_corename() : "unknown"; }
const char *xr_blas_config(void) { return openblas_get_config ? openblas_get_config() : "not OpenBLAS"; }

static int is_among(const char *const *names, const char *name)
{
    while (*names && strcasecmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

int xr_blas_core_is_older(const char *core, xr_isa isa)
{
    static const char *const old[] = {"Prescott", "Atom", "Core2", "Penryn", "Dunnington", "Nehalem", "Opteron", "Opteron_SSE3", "Barcelona", "Nano",
                                      "Bobcat", "Sandybridge", "Bulldozer", "Piledriver", "Steamroller", "Generic", NULL};
    static const char *const avx2[] = {"Haswell", "Zen", "Excavator", NULL};
    return (isa >= XR_ISA_AVX2 && is_among(old, core)) || (isa >= XR_ISA_AVX512 && is_among(avx2, core));
}

int xr_blas_is_older(void) { return xr_blas_core_is_older(xr_blas_core(), xr_cpu_isa()); }
const char *xr_blas_coretype(xr_isa isa) { return isa >= XR_ISA_AVX512 ? "SkylakeX" : "Haswell"; }

enum { SIDE = 192, COPIES = 8 };       /* of the self-check */

static void copy_of_product(void *context, size_t copy, int worker)
{
    product p = *(const product *)context;
    (void)worker;
    p.c += copy * SIDE * SIDE;
    multiply_tile(&p, &(tile){.rows = SIDE, .cols = SIDE});
}

/* The same products as one tile, alone and by several threads at once: all must agree in every bit. */
static xr_status self_check(void)
{
    size_t n = (size_t)SIDE * SIDE;
    float *m = xr_alloc((2 + 1 + COPIES) * n, sizeof *m);
    if (!m)
        return xr_error_status();
    float *a = m, *b = m + n, *want = m + 2 * n, *got = m + 3 * n;
    for (size_t i = 0; i < n; i++) {
        a[i] = (float)(i * 7919 % 1009) / 1009.0f - 0.5f;
        b[i] = (float)(i * 104729 % 997) / 997.0f - 0.5f;
    }
    product p = {CblasNoTrans, CblasTrans, a, b, NULL, want, SIDE, SIDE, SIDE, SIDE, SIDE, SIDE, 0.0f};
    multiply(&p, split(SIDE, SIDE, 1, 1));
    p.c = got;
    xr_gemm_parallel(COPIES, xr_threads() > 1 ? xr_threads() : 2, copy_of_product, &p);
    int same = 1;
    for (size_t copy = 0; copy < COPIES; copy++)
        same = same && memcmp(want, got + copy * n, n * sizeof *m) == 0;
    xr_free(m);
    return same ? XR_OK
                : xr_fail(XR_EUNAVAIL, "BLAS self-check: a product has other bits inside a parallel region than outside (%s); "
                          "expected the same; install the OpenMP flavour of OpenBLAS (libopenblas0-openmp)", xr_blas_config());
}

/* The environment can force kernels for older processors, at half the speed or less (docs/decisions.md). */
static void warn_slow_core(void)
{
    const char *forced = getenv("OPENBLAS_CORETYPE"), *core = xr_blas_core();
    xr_isa best = xr_cpu_best();
    if (forced && xr_blas_core_is_older(core, best))
        xr_warn("OPENBLAS_CORETYPE=%s makes OpenBLAS use its %s kernels although this CPU has %s: its products are slow; unset OPENBLAS_CORETYPE, or "
                "set it to %s", forced, core, best >= XR_ISA_AVX512 ? "AVX-512" : "AVX2", xr_blas_coretype(best));
}

static xr_status check_blas(void)
{
    if (!openblas_get_config || !openblas_get_parallel || !openblas_set_num_threads)
        return xr_fail(XR_EUNAVAIL, "the BLAS library at run time is not OpenBLAS; its products would be many times slower; "
                       "install libopenblas0-openmp");
    int kind = openblas_get_parallel();
    if (kind == 0)
        return xr_fail(XR_EUNAVAIL, "%s is the serial flavour, which gives wrong results when several threads call it; "
                       "install libopenblas0-openmp", xr_blas_config());
    int before = omp_get_max_threads();
    openblas_set_num_threads(1);    /* the OpenMP flavour sets OpenMP's own number too */
    omp_set_num_threads(before);
    if (kind == 1)
        xr_warn("%s uses its own threads (pthread flavour); the OpenMP flavour is the one tested: libopenblas0-openmp",
                xr_blas_config());
    warn_slow_core();
    return self_check();
}

xr_status xr_blas_start(void)
{
    static int started;
    xr_status status = XR_OK;
#pragma omp critical(blas_start)
    if (!started) {
        status = check_blas();
        started = status == XR_OK;
    }
    return status;
}
