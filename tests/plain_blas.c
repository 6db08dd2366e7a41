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

typedef struct matrix { const float *at; size_t row, col; } matrix;     /* steps to the next row and column */

static matrix view(const float *at, CBLAS_TRANSPOSE turned, blasint ld)
{
    return turned == CblasNoTrans ? (matrix){at, (size_t)ld, 1} : (matrix){at, 1, (size_t)ld};
}

/* Each operand is read, and the result written, once where the sanitizer sees it; the product itself, which goes through them hundreds of times,
 * it does not watch: that would take a hundred times as long and show nothing more. */
static void read_watched(matrix m, size_t rows, size_t cols)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            (void)*(const volatile float *)&m.at[i * m.row + j * m.col];
}

static void write_watched(float *c, size_t rows, size_t cols, size_t ld)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            volatile float *at = &c[i * ld + j];
            *at = *at;
        }
}

__attribute__((no_sanitize("thread")))
static void multiply(float *c, matrix a, matrix b, size_t rows, size_t cols, size_t inner, size_t ld, double alpha, double beta)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < inner; k++)
                sum += (double)a.at[i * a.row + k * a.col] * (double)b.at[k * b.row + j * b.col];
            float *to = &c[i * ld + j];
            *to = (float)(alpha * sum + (beta == 0.0 ? 0.0 : beta * (double)*to));
        }
}

/* Row-major only, which is all that kernels/gemm.c asks for. */
void cblas_sgemm(CBLAS_ORDER order, CBLAS_TRANSPOSE trans_a, CBLAS_TRANSPOSE trans_b, blasint rows, blasint cols, blasint inner, float alpha,
                 const float *a, blasint lda, const float *b, blasint ldb, float beta, float *c, blasint ldc)
{
    matrix x = view(a, trans_a, lda), y = view(b, trans_b, ldb);
    size_t m = (size_t)rows, n = (size_t)cols, k = (size_t)inner;
    if (order != CblasRowMajor)
        abort();
    read_watched(x, m, k);
    read_watched(y, k, n);
    multiply(c, x, y, m, n, k, (size_t)ldc, (double)alpha, (double)beta);
    write_watched(c, m, n, (size_t)ldc);
}
