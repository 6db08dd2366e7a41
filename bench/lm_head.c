/* The masked-LM head beside the plain products it consists of, at the sizes of 4 and 8 blocks of 512 tokens with 15 % masked: forward, backward to h and
 * to the bias, and the late gradient of W with its AdamW, in f32 and bf16; then OpenBLAS's products in f32. In each round all take turns; figures are
 * medians over the rounds, the ratio of f32 is the median of the rounds' ratios. Time is the processor's, divided by the threads, so that other work on
 * the machine counts less. Run with OPENBLAS_CORETYPE unset.
 * usage: lm_head [rounds] [rows words width] */
#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/lm_head.h"
#include "kernels/spans.h"
#include "util/alloc.h"

enum { MAX_ROUNDS = 99 };

typedef struct bench {
    xr_lm_head a;
    xr_lm_grads g;
    xr_lm_row *row;
    float *logits;
    void *scratch;
    xr_span x;                  /* W and its moments */
    float *tile;                // [threads, width, D] of W's gradient
    xr_lm_tiles tiles;
} bench;

static float *floats(size_t n, float scale)
{
    float *x = xr_map_alloc(n * sizeof *x, 1);
    if (!x) {
        fprintf(stderr, "lm_head: %s\n", xr_error_message());
        exit(1);
    }
    for (size_t i = 0; i < n; i++)
        x[i] = scale * ((float)(i * 7919 % 2003) / 1001.0f - 1.0f);
    return x;
}

static void make(bench *b, size_t m, size_t v, size_t d)
{
    int32_t *target = xr_alloc(m, sizeof *target);
    b->row = xr_alloc(m, sizeof *b->row);
    if (!target || !b->row)
        exit(1);
    for (size_t i = 0; i < m; i++)
        target[i] = (int32_t)(i * 7919 % v);
    b->a = (xr_lm_head){floats(m * d, 1.0f), floats(v * d, 0.03f), floats(v, 0.0f), target, m, v, d, xr_threads(), 1};
    b->g = (xr_lm_grads){floats(m * d, 0.0f), NULL, floats(v, 0.0f), 0, 0, 1, 1.0f};
    b->logits = floats(xr_lm_head_logits(&b->a), 0.0f);
    b->tiles = xr_lm_head_tiles(&b->a);
    b->x = (xr_span){(float *)(uintptr_t)b->a.w, floats(v * d, 0.0f), floats(v * d, 0.0f)};
    b->tile = floats((size_t)xr_threads() * b->tiles.width * d, 0.0f);
    b->a.bf16 = 0;              /* whose scratch is the larger one */
    b->scratch = floats(xr_lm_head_scratch(&b->a, 1) / sizeof(float), 0.0f);
}

static void unmake(bench *b)
{
    size_t m = b->a.m, v = b->a.v, d = b->a.d;
    const struct { const void *x; size_t n; } block[] = {
        {b->a.h, m * d}, {b->a.w, v * d}, {b->a.b, v}, {b->g.dh, m * d}, {b->g.db, v}, {b->x.m, v * d}, {b->x.v, v * d},
        {b->tile, (size_t)xr_threads() * b->tiles.width * d}, {b->logits, xr_lm_head_logits(&b->a)},
        {b->scratch, xr_lm_head_scratch(&b->a, 1) / sizeof(float)}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        xr_map_free((void *)(uintptr_t)block[i].x, block[i].n * sizeof(float));
    xr_free((void *)(uintptr_t)b->a.target);
    xr_free(b->row);
}

static void update_tile(void *context, size_t i, int worker)
{
    static const xr_adamw_scalars s = {.decay = 1.0f, .step_size = 1e-9f, .bias2_sqrt = 0.9f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .clip = 1.0f,
                                       .rest1 = 0.1f, .rest2 = 0.02f};
    bench *b = context;
    size_t first = i * b->tiles.width, rows = b->a.v - first < b->tiles.width ? b->a.v - first : b->tiles.width, d = b->a.d;
    float *g = b->tile + (size_t)worker * b->tiles.width * d;
    xr_lm_head_weight_tile(g, 1.0f, &b->a, b->row, b->logits, i, worker, b->scratch);
    xr_span_adamw(&b->x, first * d, g, rows * d, &s);
}

static void late(bench *b)
{
    xr_lm_head_weight_begin(1.0f, &b->a, b->row, b->logits, b->scratch);
    xr_gemm_parallel(b->tiles.n, b->a.workers, update_tile, b);
}

enum { FORWARD, BACKWARD, LATE, PARTS, KINDS = 2 * PARTS + 1 };     /* parts in f32, the same in bf16, and OpenBLAS's */

static void plain(const bench *b)
{
    int m = (int)b->a.m, v = (int)b->a.v, d = (int)b->a.d, before = omp_get_max_threads();
    openblas_set_num_threads(xr_threads());
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, v, d, 1.0f, b->a.h, d, b->a.w, d, 0.0f, b->logits, v);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, d, v, 1.0f, b->logits, v, b->a.w, d, 0.0f, b->g.dh, d);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, v, d, m, 1.0f, b->logits, v, b->a.h, d, 0.0f, b->x.m, d);
    openblas_set_num_threads(1);
    omp_set_num_threads(before);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return ((double)t.tv_sec + 1e-9 * (double)t.tv_nsec) / xr_threads();
}

static double seconds(bench *b, int kind)
{
    double start = now();
    b->a.bf16 = kind / PARTS == 1;
    if (kind / PARTS == 2)
        plain(b);
    else if (kind % PARTS == FORWARD)
        xr_lm_head_forward(&b->a, b->row, b->logits, b->scratch);
    else if (kind % PARTS == BACKWARD)
        xr_lm_head_backward(&b->g, &b->a, b->row, b->logits, b->scratch);
    else
        late(b);
    b->a.bf16 = 0;
    return now() - start;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return x[n / 2];
}

static void line(int rounds, size_t m, size_t v, size_t d)
{
    static double time[KINDS][MAX_ROUNDS], ratio[MAX_ROUNDS];
    bench b;
    make(&b, m, v, d);
    for (int r = -1; r < rounds; r++)           /* round -1 brings the pages in */
        for (int k = 0; k < KINDS; k++)
            time[k][r < 0 ? 0 : r] = seconds(&b, k);
    for (int r = 0; r < rounds; r++)
        ratio[r] = time[KINDS - 1][r] / (time[FORWARD][r] + time[BACKWARD][r] + time[LATE][r]);
    double product = 2e-9 * (double)m * (double)v * (double)d ;
    printf("%4zu x %6zu x %4zu ", m, v, d);
    for (int k = 0; k < KINDS; k++)
        printf(" %8.1f", (k < KINDS - 1 ? 1 : 3) * product / median(time[k], rounds));
    printf("   %.2f\n", median(ratio, rounds));
    fflush(stdout);
    unmake(&b);
}

int main(int argc, char **argv)
{
    static const size_t shapes[][3] = {{307, 250002, 768}, {614, 250002, 768}, {307, 250002, 384}, {614, 250002, 384},
                                       {307, 32000, 768}, {614, 32000, 768}, {307, 32000, 384}, {614, 32000, 384}};
    int rounds = argc > 1 ? atoi(argv[1]) : 3;
    if (rounds < 1 || rounds > MAX_ROUNDS || xr_blas_start() < 0) {
        fprintf(stderr, "lm_head: %s\n", rounds < 1 || rounds > MAX_ROUNDS ? "1 to 99 rounds" : xr_error_message());
        return 1;
    }
    printf("masked-LM head, GF/s; %s, blas %s, %d threads; late: gradient of W and AdamW; plain: three f32 products of OpenBLAS\n"
           "rows   words width   f32: forward, to h, late    bf16: forward, to h, late    plain   f32 of plain\n",
           xr_isa_name(xr_cpu_isa()), xr_blas_core(), xr_threads());
    if (argc > 4)
        line(rounds, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    for (size_t s = 0; argc <= 4 && s < sizeof shapes / sizeof *shapes; s++)
        line(rounds, shapes[s][0], shapes[s][1], shapes[s][2]);
    return 0;
}
