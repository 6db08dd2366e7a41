/* The masked-LM head beside the plain products it consists of, at the sizes of 4 and 8 blocks of 512 tokens with 15 % masked. In each
 * round all take turns; figures are medians over the rounds, ratios medians of the rounds' ratios. Run with OPENBLAS_CORETYPE unset.
 * usage: lm_head [rounds] [rows words width] */
#include <cblas.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/lm_head.h"
#include "util/alloc.h"

enum { MAX_ROUNDS = 99 };

typedef struct bench {
    xr_lm_head a;
    xr_lm_grads g;
    xr_lm_row *row;
    float *logits;
    void *scratch;
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
    b->a = (xr_lm_head){floats(m * d, 1.0f), floats(v * d, 0.03f), floats(v, 0.0f), target, m, v, d, xr_threads(), 0};
    b->g = (xr_lm_grads){floats(m * d, 0.0f), floats(v * d, 0.0f), floats(v, 0.0f), 0, 1, 1, 1.0f};
    b->logits = floats(xr_lm_head_logits(&b->a), 0.0f);
    b->scratch = floats(xr_lm_head_scratch(&b->a, 1) / sizeof(float), 0.0f);
}

static void unmake(bench *b)
{
    size_t m = b->a.m, v = b->a.v, d = b->a.d;
    const struct { const float *x; size_t n; } block[] = {
        {b->a.h, m * d}, {b->a.w, v * d}, {b->a.b, v}, {b->g.dh, m * d}, {b->g.dw, v * d}, {b->g.db, v}, {b->logits, xr_lm_head_logits(&b->a)},
        {b->scratch, xr_lm_head_scratch(&b->a, 1) / sizeof(float)}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        xr_map_free((void *)(uintptr_t)block[i].x, block[i].n * sizeof(float));
    xr_free((void *)(uintptr_t)b->a.target);
    xr_free(b->row);
}

enum { FORWARD, BACKWARD, FORGETFUL, AGAIN, PLAIN_FORWARD, PLAIN_BACKWARD, KINDS };

static void plain(const bench *b, int forward)
{
    int m = (int)b->a.m, v = (int)b->a.v, d = (int)b->a.d, before = omp_get_max_threads();
    openblas_set_num_threads(xr_threads());
    if (forward) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, v, d, 1.0f, b->a.h, d, b->a.w, d, 0.0f, b->logits, v);
    } else {
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, v, d, m, 1.0f, b->logits, v, b->a.h, d, 1.0f, b->g.dw, d);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, d, v, 1.0f, b->logits, v, b->a.w, d, 0.0f, b->g.dh, d);
    }
    openblas_set_num_threads(1);
    omp_set_num_threads(before);
}

static double seconds(bench *b, int kind)
{
    double start = omp_get_wtime();
    switch (kind) {
    case FORWARD: xr_lm_head_forward(&b->a, b->row, b->logits, b->scratch); break;
    case BACKWARD: xr_lm_head_backward(&b->g, &b->a, b->row, b->logits, b->scratch); break;
    case FORGETFUL: xr_lm_head_forward(&b->a, b->row, NULL, b->scratch); break;
    case AGAIN: xr_lm_head_backward(&b->g, &b->a, b->row, NULL, b->scratch); break;
    default: plain(b, kind == PLAIN_FORWARD); break;
    }
    return omp_get_wtime() - start;
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
    static double time[KINDS][MAX_ROUNDS], ratio[3][MAX_ROUNDS];
    bench b;
    make(&b, m, v, d);
    for (int r = -1; r < rounds; r++)           /* round -1 brings the pages in */
        for (int k = 0; k < KINDS; k++)
            time[k][r < 0 ? 0 : r] = seconds(&b, k);
    for (int r = 0; r < rounds; r++) {
        ratio[0][r] = time[PLAIN_FORWARD][r] / time[FORWARD][r];
        ratio[1][r] = time[PLAIN_BACKWARD][r] / time[BACKWARD][r];
        ratio[2][r] = (time[PLAIN_FORWARD][r] + time[PLAIN_BACKWARD][r]) / (time[FORWARD][r] + time[BACKWARD][r]);
    }
    double product = 2e-9 * (double)m * (double)v * (double)d, work[KINDS] = {product, 2 * product, product, 3 * product, product, 2 * product};
    printf("%4zu x %6zu x %4zu ", m, v, d);
    for (int k = 0; k < KINDS; k++)
        printf(" %8.1f", work[k] / median(time[k], rounds));
    printf("   %.2f %.2f %.2f\n", median(ratio[0], rounds), median(ratio[1], rounds), median(ratio[2], rounds));
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
    printf("masked-LM head, GF/s; %s, blas %s, %d threads; again: backward that computes the logits a second time (3 products)\n"
           "rows   words width    forward backward  not kept   again  plain fwd  plain bwd  of plain: fwd bwd both\n",
           xr_isa_name(xr_cpu_isa()), xr_blas_core(), xr_threads());
    if (argc > 4)
        line(rounds, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
    for (size_t s = 0; argc <= 4 && s < sizeof shapes / sizeof *shapes; s++)
        line(rounds, shapes[s][0], shapes[s][1], shapes[s][2]);
    return 0;
}
