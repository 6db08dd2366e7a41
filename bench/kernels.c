/* Speed of each kernel at XLM-R base's shapes: one line per kernel, best of several runs. Run with OPENBLAS_CORETYPE unset.
 * usage: kernels [tokens] [tokens per sequence] */
#include <cblas.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/attention.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/rows.h"
#include "kernels/spans.h"
#include "kernels/vec.h"
#include "util/alloc.h"

enum { D = 768, F = 3072, H = 12 };

static size_t n_tokens = 1440, seq_len = 45;
static float *buffer[8];    // [n_tokens, F] each, at least 8 Mi floats
static xr_rowset rows;

static void rowset_make(void)
{
    size_t n_seq = (n_tokens + seq_len - 1) / seq_len;
    uint32_t *offset = xr_alloc(n_seq + 1, sizeof *offset), *sample = xr_alloc(n_seq, sizeof *sample);
    uint32_t *index = xr_alloc(n_tokens, sizeof *index), *seq = xr_alloc(n_tokens, sizeof *seq);
    if (!offset || !sample || !index || !seq)
        exit(1);
    for (size_t i = 0; i < n_tokens; i++) {
        index[i] = (uint32_t)(i % seq_len);
        seq[i] = (uint32_t)(i / seq_len);
    }
    for (size_t s = 0; s < n_seq; s++) {
        sample[s] = (uint32_t)s;
        offset[s + 1] = (uint32_t)((s + 1) * seq_len < n_tokens ? (s + 1) * seq_len : n_tokens);
    }
    rows = (xr_rowset){n_tokens, n_seq, offset, sample, index, seq};
}

/* Seconds of the fastest of at least 5 runs and 0.3 s. */
#define BEST(call)                                                              \
    double best = 1e9, start = omp_get_wtime();                                 \
    for (int run = 0; run < 5 || omp_get_wtime() - start < 0.3; run++) {        \
        double t = omp_get_wtime();                                             \
        call;                                                                   \
        t = omp_get_wtime() - t;                                                \
        best = t < best ? t : best;                                             \
    }

static void line(const char *name, const char *shape, double amount, const char *unit, double seconds)
{
    printf("%-22s %-18s %9.2f %-4s %10.1f us  %s  blas %s  %d threads\n", name, shape, amount / seconds * 1e-9, unit, seconds * 1e6,
           xr_isa_name(xr_cpu_isa()), xr_blas_core(), xr_threads());
}

static void gemm_line(size_t n, size_t o, size_t i)
{
    float *y = buffer[0], *x = buffer[1], *w = buffer[2], *b = buffer[3];
    char shape[64];
    snprintf(shape, sizeof shape, "%zux%zux%zu", n, o, i);
    double work = 2.0 * (double)n * (double)o * (double)i;
    { BEST(xr_gemm_nt(y, x, w, b, n, o, i, 0.0f)) line("gemm_nt + bias", shape, work, "GF/s", best); }
    { BEST(xr_gemm_nn(x, y, w, n, i, o, 0.0f)) line("gemm_nn", shape, work, "GF/s", best); }
    { BEST(xr_gemm_tn(w, y, x, o, i, n, 0.0f)) line("gemm_tn", shape, work, "GF/s", best); }
    openblas_set_num_threads(xr_threads());
    int a = (int)n, c = (int)o, k = (int)i;
    { BEST(cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a, c, k, 1.0f, x, k, w, k, 0.0f, y, c))
      line("  OpenBLAS nt", shape, work, "GF/s", best); }
    { BEST(cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a, k, c, 1.0f, y, c, w, k, 0.0f, x, k))
      line("  OpenBLAS nn", shape, work, "GF/s", best); }
    { BEST(cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, c, k, a, 1.0f, y, c, x, k, 0.0f, w, k))
      line("  OpenBLAS tn", shape, work, "GF/s", best); }
    openblas_set_num_threads(1);
}

static double total;        /* seconds of a layer's kernels that are not matrix products, forward and backward */

static void add_line(const char *name, const char *shape, double amount, const char *unit, double seconds, double times)
{
    line(name, shape, amount, unit, seconds);
    total += times * seconds;
}

static void attention_lines(float p, int bf16)
{
    xr_attn_shape a = {&rows, &rows, H, D / H, xr_dropout_make(p, 1, 1, 1), bf16};
    float **m = buffer, *scratch = xr_alloc(xr_attention_scratch(&a), sizeof *scratch), *lse = buffer[7];
    if (!scratch)
        exit(1);
    double work = 4.0 * (double)n_tokens * (double)seq_len * D, times = p > 0.0f && !bf16 ? 1.0 : 0.0;
    char shape[64];
    snprintf(shape, sizeof shape, "%zu of %zu, p %.1f%s", n_tokens, seq_len, (double)p, bf16 ? " bf16" : "");
    { BEST(xr_attention_forward(m[3], lse, m[0], m[1], m[2], &a, scratch))
      add_line("attention forward", shape, work, "GF/s", best, times); }
    { BEST(xr_attention_backward(m[5], m[6], m[4], 0, 0, 0, m[0], m[3], lse, m[0], m[1], m[2], &a, scratch))
      add_line("attention backward", shape, 2.5 * work, "GF/s", best, times); }
    xr_free(scratch);
}

static void row_lines(void)
{
    float **m = buffer, *rstd = m[7], *dgamma = m[7] + n_tokens, *dbeta = dgamma + D;
    xr_dropout d = xr_dropout_make(0.1f, 1, 1, 1);
    double bytes = 4.0 * (double)n_tokens * D;
    { BEST(xr_add_norm_forward(m[0], m[1], rstd, m[2], m[3], m[4], m[5], &rows, D, 1e-5f, &d))
      add_line("add_norm forward", "p 0.1", 4 * bytes, "GB/s", best, 2); }
    { BEST(xr_add_norm_backward(m[0], 0, m[5], 0, dgamma, dbeta, m[2], m[1], rstd, m[4], &rows, D, &d))
      add_line("add_norm backward", "p 0.1", 4 * bytes, "GB/s", best, 2); }
    { BEST(xr_dropout_apply(m[0], m[1], &d, &rows, D, 0)) line("dropout", "768", 2 * bytes, "GB/s", best); }
    { BEST(xr_colsum(dgamma, m[0], n_tokens, D, 0.0f)) add_line("colsum", "768", bytes, "GB/s", best, 5); }
    { BEST(xr_colsum(dgamma, m[0], n_tokens, F, 0.0f)) add_line("colsum", "3072", 4 * bytes, "GB/s", best, 1); }
    { BEST(xr_bias_gelu_forward(m[0], m[1], m[2], n_tokens, F)) add_line("bias_gelu forward", "3072", 8 * bytes, "GB/s", best, 1); }
    { BEST(xr_bias_gelu_backward(m[0], 0, m[0], m[1], m[2], n_tokens, F))
      add_line("bias_gelu backward", "3072", 12 * bytes, "GB/s", best, 1); }
}

static void vec_lines(void)
{
    enum { N = 8 << 20 };
    float **m = buffer;
    double n = N;
    volatile double sink = 0.0;
    xr_adamw_scalars s = {.decay = 0.9999f, .step_size = 1e-5f, .bias2_sqrt = 0.9f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .clip = 1.0f,
                          .rest1 = 0.1f, .rest2 = 0.02f};
    { const xr_span x = { m[0], m[1], m[2] }; BEST(xr_span_step(xr_span_adamw, &x, m[3], N, &s)) line("adamw", "8 Mi", 32 * n, "GB/s", best); }
    { BEST(sink = xr_vec_sumsq(m[0], N)) line("sumsq", "8 Mi", 4 * n, "GB/s", best); }
    { BEST(xr_vec_add(m[0], m[1], N)) line("add", "8 Mi", 12 * n, "GB/s", best); }
    { BEST(xr_vec_copy(m[0], m[1], N, 0)) line("copy", "8 Mi", 8 * n, "GB/s", best); }
    { BEST(xr_tanh_forward(m[0], m[1], N)) line("tanh", "8 Mi", 8 * n, "GB/s", best); }
    { BEST(sink = (double)xr_softmax_row(m[0], m[1], 250002)) line("softmax_row, 1 core", "250002", 8 * 250002.0, "GB/s", best); }
    (void)sink;
}

int main(int argc, char **argv)
{
    n_tokens = argc > 1 ? strtoul(argv[1], NULL, 10) : n_tokens;
    seq_len = argc > 2 ? strtoul(argv[2], NULL, 10) : seq_len;
    if (n_tokens == 0 || seq_len == 0 || xr_blas_start() < 0) {
        fprintf(stderr, "kernels: %s\n", xr_error_message());
        return 1;
    }
    size_t size = n_tokens * F > (size_t)8 << 20 ? n_tokens * F : (size_t)8 << 20;
    for (size_t b = 0; b < 8; b++) {
        buffer[b] = xr_map_alloc(size * sizeof(float), 1);
        for (size_t i = 0; buffer[b] && i < size; i++)
            buffer[b][i] = (float)((i * 7919 + b * 131) % 2003) / 1001.0f - 1.0f;
    }
    rowset_make();
    gemm_line(n_tokens, D, D);
    gemm_line(n_tokens, F, D);
    gemm_line(n_tokens, D, F);
    gemm_line(32, D, D);
    attention_lines(0.0f, 0);
    attention_lines(0.1f, 0);
    attention_lines(0.1f, 1);
    row_lines();
    vec_lines();
    double gemm = 3 * 2.0 * (double)n_tokens * D * (4.0 * D + 2.0 * F);
    printf("a layer forward and backward: products %.1f ms at 400 GF/s, the rest %.2f ms = %.1f %%\n", gemm / 400e9 * 1e3, total * 1e3,
           total / (gemm / 400e9) * 100.0);
    return 0;
}
