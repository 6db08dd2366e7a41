/* The table of parameters: storage, initialisation as a function of (seed, name, index), row-list gradients. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "autograd/params.h"
#include "kernels/cpu.h"
#include "kernels/init.h"
#include "util/alloc.h"
#include "util/rng.h"

enum { V = 1000, D = 48 };

/* Shapes that are no multiple of 16 floats show whether slices are aligned. */
static int declare(xr_params *ps)
{
    return xr_params_add(ps, "embed.word", 2, V, D, XR_INIT_NORMAL, XR_PARAM_PAD_ROW | XR_PARAM_ROW_GRAD, 0)
        && xr_params_add(ps, "embed.norm.weight", 1, 1, D - 1, XR_INIT_ONE, XR_PARAM_NO_DECAY, 0)
        && xr_params_add(ps, "layer.weight", 2, 7, 5, XR_INIT_NORMAL, 0, 1)
        && xr_params_add(ps, "layer.bias", 1, 1, 7, XR_INIT_ZERO, XR_PARAM_NO_DECAY | XR_PARAM_FROZEN, 1)
        && xr_params_add(ps, "head.weight", 2, 3, D, XR_INIT_NORMAL, XR_PARAM_HEAD, 2);
}

static void test_table(void **state)
{
    (void)state;
    xr_params ps = {0};
    xr_param *first = xr_params_add(&ps, "first", 1, 1, 3, XR_INIT_ONE, 0, 0);
    assert_non_null(first);
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "row.%d", i);
        assert_non_null(xr_params_add(&ps, name, 2, 2, 2, XR_INIT_ZERO, 0, 1));
    }
    assert_ptr_equal(xr_params_find(&ps, "first"), first);
    assert_ptr_equal(ps.row[0], first);
    assert_ptr_equal(xr_params_find(&ps, "row.499"), ps.row[500]);
    assert_null(xr_params_find(&ps, "row.500"));
    assert_int_equal(xr_params_count(&ps), 3 + 500 * 4);
    assert_null(xr_params_add(&ps, "row.7", 2, 2, 2, XR_INIT_ZERO, 0, 1));
    assert_non_null(strstr(xr_error_message(), "row.7"));
    xr_error_clear();
    assert_null(xr_params_add(&ps, "vast", 2, SIZE_MAX / 8, 16, XR_INIT_ZERO, 0, 1));
    assert_int_equal(xr_error_status(), XR_EDATA);
    xr_error_clear();
    xr_params_free(&ps);
    xr_params_free(&ps);
}

static int inside(const float *x, const float *block, size_t bytes)
{
    return block && x >= block && (const char *)x < (const char *)block + bytes;
}

static void test_storage(void **state)
{
    (void)state;
    xr_params ps = {0};
    assert_true(declare(&ps));
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    assert_int_equal(xr_params_alloc_grads(&ps), XR_OK);
    for (size_t i = 0; i < ps.n; i++) {
        const xr_param *p = ps.row[i];
        int frozen = (p->flags & XR_PARAM_FROZEN) != 0, listed = (p->flags & XR_PARAM_ROW_GRAD) != 0;
        assert_int_equal((uintptr_t)p->t.x % 64, 0);
        assert_int_equal((uintptr_t)p->t.g % 64, 0);
        assert_int_equal(p->t.needs, !frozen);
        assert_int_equal(p->t.g != NULL, !frozen && !listed);
        assert_int_equal(p->t.rowgrad != NULL, listed);
        assert_int_equal(inside(p->t.x, ps.values, ps.values_bytes), !listed);
        assert_int_equal(inside(p->t.g, ps.grads, ps.grads_bytes), !frozen && !listed);
        if (p->t.g)
            for (size_t j = 0; j < xr_numel(&p->t); j++)
                p->t.x[j] = (float)i, p->t.g[j] = (float)i;
    }
    for (size_t i = 0; i < ps.n; i++)       /* no slice runs into another */
        for (size_t j = 0; ps.row[i]->t.g && j < xr_numel(&ps.row[i]->t); j++)
            assert_true(ps.row[i]->t.x[j] == (float)i && ps.row[i]->t.g[j] == (float)i);
    xr_params_zero_grads(&ps);
    for (size_t j = 0; j < ps.grads_bytes / sizeof(float); j++)
        assert_true(ps.grads[j] == 0.0f);

    /* a head that comes later, and an embedding whose gradient becomes dense */
    float *before = ps.row[2]->t.x;
    xr_param *late = xr_params_add(&ps, "late.weight", 2, 4, D, XR_INIT_NORMAL, XR_PARAM_HEAD, 2);
    ps.row[0]->flags &= ~(unsigned)XR_PARAM_ROW_GRAD;
    ps.row[2]->flags |= XR_PARAM_FROZEN;
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    assert_int_equal(xr_params_alloc_grads(&ps), XR_OK);
    assert_ptr_equal(ps.row[2]->t.x, before);
    assert_true(late->t.x && late->t.g);
    assert_true(ps.row[0]->t.g && !ps.row[0]->t.rowgrad);
    assert_true(!ps.row[2]->t.g && !ps.row[2]->t.needs);
    xr_params_free(&ps);
}

static double normal_cdf(double z) { return 0.5 * erfc(-z / sqrt(2.0)); }

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov-Smirnov against N(0, std): sqrt(n) D > 1.95 happens once in a thousand. The seed is fixed. */
static void test_init_is_normal(void **state)
{
    (void)state;
    enum { N = 40000 };
    xr_params ps = {0};
    xr_param *p = xr_params_add(&ps, "w", 2, N / 8, 8, XR_INIT_NORMAL, 0, 0);
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    xr_param_init(p, 0.02f, 42);
    double lag[5] = {0}, sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += (double)p->t.x[i] / 0.02;
    for (size_t k = 1; k < 5; k++)          /* neighbours come from one Philox block: uncorrelated all the same */
        for (size_t i = k; i < N; i++)
            lag[k] += (double)p->t.x[i] * (double)p->t.x[i - k] / (0.02 * 0.02);
    assert_true(fabs(sum / sqrt(N)) < 3.3);
    for (size_t k = 1; k < 5; k++)
        assert_true(fabs(lag[k] / sqrt(N)) < 3.3);
    qsort(p->t.x, N, sizeof(float), ascending);
    double worst = 0;
    for (size_t i = 0; i < N; i++) {
        double cdf = normal_cdf((double)p->t.x[i] / 0.02);
        worst = fmax(worst, fmax(fabs(cdf - (double)i / N), fabs(cdf - (double)(i + 1) / N)));
    }
    assert_true(worst * sqrt(N) < 1.95);
    xr_params_free(&ps);
}

/* Values from numpy: np.sin(p / 10000 ** (2 * i / 6)), then np.cos. */
static void test_sinusoids(void **state)
{
    (void)state;
    static const double want[3][6] = {
        { 0.0, 0.0, 0.0, 1.0, 1.0, 1.0 },
        { 0.8414709848078965, 0.046399223464731285, 0.0021544330233656045, 0.5403023058681398, 0.9989229760406304, 0.9999976792064809 },
        { 0.9092974268256817, 0.09269850077872725, 0.0043088560467428125, -0.4161468365471424, 0.9956942241237399, 0.9999907168366957 },
    };
    float x[3][6];
    xr_fill_sinusoidal(x[0], 3, 6, 0.5f);
    for (int p = 0; p < 3; p++)
        for (int i = 0; i < 6; i++)
            assert_true(fabs((double)x[p][i] - 0.5 * want[p][i]) < 1e-7);
}

/* The same name and seed give the same values in another table, in another order, at any thread count; others
 * differ. */
static void test_init_is_a_function(void **state)
{
    (void)state;
    enum { R = 1500, C = 65 };              /* several blocks of the kernel, and a rest that is no multiple of four */
    static float kept[R * C];
    for (int threads = 1; threads <= 4; threads *= 2) {
        xr_threads_set(threads);
        xr_params ps = {0};
        if (threads == 2)
            xr_params_add(&ps, "other", 2, 3, 3, XR_INIT_NORMAL, 0, 0);
        xr_param *p = xr_params_add(&ps, "w", 2, R, C, XR_INIT_NORMAL, threads == 4 ? XR_PARAM_ROW_GRAD : 0, 0);
        xr_param *q = xr_params_add(&ps, "v", 2, R, C, XR_INIT_NORMAL, 0, 0);
        assert_int_equal(xr_params_alloc(&ps), XR_OK);
        xr_param_init(p, 0.02f, 7);
        xr_param_init(q, 0.02f, 7);
        if (threads == 1)
            memcpy(kept, p->t.x, sizeof kept);
        assert_memory_equal(kept, p->t.x, sizeof kept);
        assert_true(p->t.x[0] < q->t.x[0] || p->t.x[0] > q->t.x[0]);
        xr_param_init(q, 0.02f, 8);
        xr_param_init(p, 0.02f, 8);
        assert_memory_not_equal(kept, p->t.x, sizeof kept);
        xr_params_free(&ps);
    }
    xr_threads_set(0);
}

static void test_init_kinds(void **state)
{
    (void)state;
    xr_params ps = {0};
    assert_true(declare(&ps));
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    for (size_t i = 0; i < ps.n; i++)
        xr_param_init(ps.row[i], 0.02f, 1);
    size_t zeros = 0;
    for (size_t j = 0; j < D; j++) {
        assert_true(ps.row[0]->t.x[D + j] == 0.0f);      /* <pad> */
        zeros += ps.row[0]->t.x[j] == 0.0f || ps.row[0]->t.x[2 * D + j] == 0.0f;
    }
    assert_int_equal(zeros, 0);
    for (size_t j = 0; j < D - 1; j++)
        assert_true(ps.row[1]->t.x[j] == 1.0f);
    for (size_t j = 0; j < 7; j++)
        assert_true(ps.row[3]->t.x[j] == 0.0f);
    xr_params_free(&ps);
}

static void test_row_list(void **state)
{
    (void)state;
    static float dense[V][D];
    xr_params ps = {0};
    assert_true(declare(&ps));
    assert_int_equal(xr_params_alloc_grads(&ps), XR_OK);
    xr_rowgrad *rg = ps.row[0]->t.rowgrad;
    xr_philox_key key = xr_rng_key(3, XR_RNG_TEST);
    for (uint32_t step = 0; step < 3; step++) {
        memset(dense, 0, sizeof dense);
        for (uint32_t i = 0; i < 900; i++) {
            uint32_t row = (uint32_t)xr_rng_below(key, step, i, 0, 0, V);
            float *g = xr_rowgrad_at(rg, row);
            assert_non_null(g);
            for (size_t j = 0; j < D; j++) {
                g[j] += (float)(i + j);
                dense[row][j] += (float)(i + j);
            }
        }
        static float seen[V][D];
        memset(seen, 0, sizeof seen);
        for (size_t i = 0; i < rg->n; i++) {
            assert_int_equal(rg->slot[rg->row[i]], i);
            memcpy(seen[rg->row[i]], rg->g + i * D, sizeof seen[0]);
        }
        assert_memory_equal(seen, dense, sizeof dense);
        assert_true(rg->n > 500 && rg->n < V);
        xr_params_zero_grads(&ps);
        assert_int_equal(rg->n, 0);
        for (size_t r = 0; r < V; r++)
            assert_int_equal(rg->slot[r], -1);
    }
    xr_params_free(&ps);
}

static xr_status build(xr_params *ps)
{
    if (!declare(ps))
        return xr_error_status();
    XR_TRY(xr_params_alloc(ps));
    XR_TRY(xr_params_alloc_grads(ps));
    for (uint32_t r = 0; r < 200; r++)
        if (!xr_rowgrad_at(ps->row[0]->t.rowgrad, r))
            return xr_error_status();
    return XR_OK;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    long live = xr_alloc_live();
    xr_status status = XR_ESYSTEM;
    int failures = 0;
    for (long k = 0; status < 0 && k < 1000; k++) {
        xr_params ps = {0};
        xr_alloc_fail_after(k);
        status = build(&ps);
        xr_alloc_fail_after(-1);
        failures += status < 0;
        if (status < 0)
            assert_int_equal(status, XR_ESYSTEM);
        xr_params_free(&ps);
        xr_error_clear();
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_int_equal(status, XR_OK);
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_storage),
        cmocka_unit_test(test_init_is_normal),
        cmocka_unit_test(test_sinusoids),
        cmocka_unit_test(test_init_is_a_function),
        cmocka_unit_test(test_init_kinds),
        cmocka_unit_test(test_row_list),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
