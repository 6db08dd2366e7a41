/* In place of OpenBLAS where ThreadSanitizer watches (make tsan): the library's products are machine code it cannot see into, and would hide who
 * reads and writes what. One thread, three loops, sums in double; the same bits whoever calls. */
#include <stdlib.h>

#include <cblas.h>

char *openblas_get_config(void)
{
    static char name[] = "plain loops in place of OpenBLAS";
    return name;
}

char *openblas_get_corename(void)
{
    static char name[] = "plain";
    return name;
}

int openblas_get_parallel(void) { return OPENBLAS_OPENMP; }

void openblas_set_num_threads(int threads) { (void)threads; }

/* Row-major only, which is all that kernels/gemm.c asks for. */
void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint rows, blasint cols, blasint inner, float alpha,
                       const float *a, blasint lda, const float *b, blasint ldb, float beta, float *c, blasint ldc)
{
    size_t a_row = trans_a == CblasNoTrans ? (size_t)lda : 1, a_col = trans_a == CblasNoTrans ? 1 : (size_t)lda;
    size_t b_row = trans_b == CblasNoTrans ? (size_t)ldb : 1, b_col = trans_b == CblasNoTrans ? 1 : (size_t)ldb;
    if (order != CblasRowMajor)
        abort();
    for (size_t i = 0; i < (size_t)rows; i++)
        for (size_t j = 0; j < (size_t)cols; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < (size_t)inner; k++)
                sum += (double)a[i * a_row + k * a_col] * (double)b[k * b_row + j * b_col];
            float *to = &c[i * (size_t)ldc + j];
            *to = (float)((double)alpha * sum + (beta == 0.0f ? 0.0 : (double)beta * (double)*to));
        }
}
