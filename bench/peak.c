/* What the machine can do at most, by number of threads: multiply-adds in registers (f32; int8 with AVX2; bf16 where the CPU has it; in tiles of AMX
 * where it has these), OpenBLAS's sgemm by its own threads, and copying of memory. Run with OPENBLAS_CORETYPE unset.
 * usage: peak [threads...]; by default 1, 2, 4, … to all cores */
#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/isa/amx.h"
#include "util/alloc.h"
#include "util/error.h"

enum { CHAINS = 12, ROUNDS = 200000 };      /* chains hide the latency of 4 cycles of two units */
static const double SECONDS = 0.3;

/* Operations done; *sink keeps the compiler from leaving them out. */
typedef double work(float *sink);

/* vector: 64-, 32- or 16-byte floats in the extension that gcc and clang share. */
#define FMA_LOOP(name, bytes, attribute)                                                    \
    typedef float name##_vector __attribute__((vector_size(bytes)));                        \
    attribute static double name(float *sink)                                               \
    {                                                                                       \
        name##_vector x[CHAINS], a = { 0 }, b = { 0 };                                      \
        a += 0.999f;                                                                        \
        b += *sink;                                                                         \
        for (int c = 0; c < CHAINS; c++)                                                    \
            x[c] = b * (float)c;                                                            \
        for (int r = 0; r < ROUNDS; r++)                                                    \
            for (int c = 0; c < CHAINS; c++)                                                \
                x[c] = x[c] * a + b;                                                        \
        for (int c = 0; c < CHAINS; c++)                                                    \
            *sink += x[c][0];                                                               \
        return 2.0 * (bytes) / 4 * CHAINS * ROUNDS;                                         \
    }

FMA_LOOP(fma_portable, 16, )
#ifdef __x86_64__
FMA_LOOP(fma_avx2, 32, __attribute__((target("avx2,fma"))))
FMA_LOOP(fma_avx512, 64, __attribute__((target("avx512f"))))

/* Sums of 2 products of bf16 or 4 of bytes in each of 16 lanes. */
__attribute__((target("avx512f,avx512bf16"))) static double dot_bf16(float *sink)
{
    __m512 x[CHAINS];
    __m512bh a = (__m512bh)_mm512_set1_ps(*sink);
    for (int c = 0; c < CHAINS; c++)
        x[c] = _mm512_setzero_ps();
    for (int r = 0; r < ROUNDS; r++)
        for (int c = 0; c < CHAINS; c++)
            x[c] = _mm512_dpbf16_ps(x[c], a, a);
    for (int c = 0; c < CHAINS; c++)
        *sink += _mm512_cvtss_f32(x[c]);
    return 2.0 * 32 * CHAINS * ROUNDS;
}

__attribute__((target("avx512f,avx512vnni"))) static double dot_int8(float *sink)
{
    __m512i x[CHAINS], a = _mm512_set1_epi32((int)*sink);
    for (int c = 0; c < CHAINS; c++)
        x[c] = _mm512_setzero_si512();
    for (int r = 0; r < ROUNDS; r++)
        for (int c = 0; c < CHAINS; c++)
            x[c] = _mm512_dpbusd_epi32(x[c], a, a);
    for (int c = 0; c < CHAINS; c++)
        *sink += (float)_mm_cvtsi128_si32(_mm512_castsi512_si128(x[c]));
    return 2.0 * 64 * CHAINS * ROUNDS;
}

/* What eight-bit products are without VNNI: pairs of bytes in 16 bits, then sums of 4 products in each of 8 lanes. Of one piece, or all but the last
 * instruction would leave the loop. */
__attribute__((target("avx2"))) static double pairs_int8(float *sink)
{
    __m256i x[CHAINS], a = _mm256_set1_epi32((int)*sink), ones = _mm256_set1_epi16(1), part;
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        x[c] = _mm256_setzero_si256();
    for (int r = 0; r < ROUNDS; r++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            __asm__("vpmaddubsw %2, %2, %1\n\tvpmaddwd %3, %1, %1\n\tvpaddd %1, %0, %0" : "+x"(x[c]), "=&x"(part) : "x"(a), "x"(ones));
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        *sink += (float)_mm_cvtsi128_si32(_mm256_castsi256_si128(x[c]));
    return 2.0 * 32 * CHAINS * ROUNDS;
}

/* Four tiles of 16 x 16 sums, of 32 products of bf16 or 64 of bytes. */
#define TILE_LOOP(name, products, multiply, attribute)                                      \
    attribute static double name(float *sink)                                               \
    {                                                                                       \
        float x[256];                                                                       \
        amx_shapes s = { .palette = 1 };                                                    \
        for (int t = 0; t < 8; t++) {                                                       \
            s.rows[t] = 16;                                                                 \
            s.row_bytes[t] = 64;                                                            \
        }                                                                                   \
        for (int k = 0; k < 256; k++)                                                       \
            x[k] = *sink;                                                                   \
        amx_configure(&s);                                                                  \
        _tile_loadd(4, x, 64);                                                              \
        _tile_loadd(5, x, 64);                                                              \
        for (int r = 0; r < ROUNDS; r++) {                                                  \
            multiply(0, 4, 5);                                                              \
            multiply(1, 4, 5);                                                              \
            multiply(2, 4, 5);                                                              \
            multiply(3, 4, 5);                                                              \
        }                                                                                   \
        _tile_release();                                                                    \
        return 2.0 * 16 * 16 * (products) * 4 * ROUNDS;                                     \
    }

TILE_LOOP(tiles_bf16, 32, _tile_dpbf16ps, __attribute__((target("amx-tile,amx-bf16"))))
TILE_LOOP(tiles_int8, 64, _tile_dpbusd, __attribute__((target("amx-tile,amx-int8"))))

static int tiles(void) { return xr_cpu_isa() == XR_ISA_AMX && xr_cpu_has_amx(); }

static work *best_f32(void)
{
    return xr_cpu_isa() >= XR_ISA_AVX512 ? fma_avx512 : xr_cpu_isa() == XR_ISA_AVX2 ? fma_avx2 : fma_portable;
}
static work *best_bf16(void) { return tiles() ? tiles_bf16 : xr_cpu_has_bf16() ? dot_bf16 : NULL; }
static work *best_int8(void)
{
    return tiles() ? tiles_int8 : xr_cpu_has_vnni() ? dot_int8 : xr_cpu_isa() >= XR_ISA_AVX2 ? pairs_int8 : NULL;
}
#else
static work *best_f32(void) { return fma_portable; }
static work *best_bf16(void) { return NULL; }
static work *best_int8(void) { return NULL; }
#endif

/* 1e9 operations a second of all threads together, each on its own data; the best of some runs. */
static double registers(work *w, int threads)
{
    double best = 0.0;
    for (double start = omp_get_wtime(); omp_get_wtime() - start < SECONDS;) {
        double done = 0.0, from = omp_get_wtime();
#pragma omp parallel num_threads(threads) reduction(+ : done)
        {
            float sink = 0.5f;
            done += w(&sink);
            if (sink < 0.0f)
                done = 0.0;
        }
        double rate = 1e-9 * done / (omp_get_wtime() - from);
        best = rate > best ? rate : best;
    }
    return best;
}

/* The shape of the feed-forward part for 2048 tokens of `base`. */
enum { M = 2048, N = 3072, K = 768 };

static double sgemm(float *const x[3], int threads)
{
    double best = 0.0;
    openblas_set_num_threads(threads);
    for (double start = omp_get_wtime(); omp_get_wtime() - start < 2 * SECONDS;) {
        double from = omp_get_wtime();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, M, N, K, 1.0f, x[0], K, x[1], K, 0.0f, x[2], N);
        double rate = 2e-9 * M * N * K / (omp_get_wtime() - from);
        best = rate > best ? rate : best;
    }
    openblas_set_num_threads(1);
    return best;
}

/* 1e9 bytes read and written a second. */
static double copying(float *const x[3], size_t n, int threads)
{
    double best = 0.0;
    for (double start = omp_get_wtime(); omp_get_wtime() - start < SECONDS;) {
        double from = omp_get_wtime();
#pragma omp parallel for simd schedule(static) num_threads(threads)
        for (size_t i = 0; i < n; i++)
            x[0][i] = x[2][i];
        double rate = 1e-9 * 8.0 * (double)n / (omp_get_wtime() - from);
        best = rate > best ? rate : best;
    }
    return best;
}

static void line(float *const x[3], size_t n, int threads)
{
    printf("%7d %10.1f", threads, registers(best_f32(), threads));
    work *half = best_bf16(), *byte = best_int8();
    half ? printf(" %10.1f", registers(half, threads)) : printf(" %10s", "-");
    byte ? printf(" %10.1f", registers(byte, threads)) : printf(" %10s", "-");
    printf(" %10.1f %12.1f\n", sgemm(x, threads), copying(x, n, threads));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    enum { FLOATS = 32 << 20 };
    float *x[3];
    char date[32] = "";
    time_t now = time(NULL);
    if (xr_blas_start() < 0) {
        fprintf(stderr, "peak: %s\n", xr_error_message());
        return 1;
    }
    for (int k = 0; k < 3; k++) {
        x[k] = xr_map_alloc(FLOATS * sizeof(float), 1);
        for (size_t i = 0; x[k] && i < FLOATS; i++)
            x[k][i] = (float)(i % 7) - 3.0f;
        if (!x[k]) {
            fprintf(stderr, "peak: %s\n", xr_error_message());
            return 1;
        }
    }
    strftime(date, sizeof date, "%Y-%m-%d", localtime(&now));
    printf("%s, %d cores; kernels %s, OpenBLAS core %s; %s\n", xr_cpu_model(), xr_threads(), xr_isa_name(xr_cpu_isa()), xr_blas_core(), date);
    printf("threads   f32 GF/s  bf16 GF/s  int8 GO/s sgemm GF/s  copying GB/s\n");
    for (int a = 1; a < argc; a++)
        line(x, FLOATS, atoi(argv[a]) > 0 ? atoi(argv[a]) : 1);
    for (int t = 1; argc == 1 && t <= xr_threads(); t *= 2)
        line(x, FLOATS, t);
    if (argc == 1 && (xr_threads() & (xr_threads() - 1)) != 0)
        line(x, FLOATS, xr_threads());
    return 0;
}
