/* The moving average of the weights against the formula in double, and its place in the state. */
#include "scratch.h"

#include <math.h>
#include <string.h>

#include "kernels/cpu.h"
#include "optim/ema.h"
#include "util/alloc.h"

enum { ROWS = 300, COLS = 257, STEPS = 30 };    /* more than one thread's share, no whole vectors */
#define DECAY 0.8

static void make_table(xr_params *ps)
{
    memset(ps, 0, sizeof *ps);
    assert_non_null(xr_params_add(ps, "a", 2, ROWS, COLS, XR_INIT_NORMAL, 0, 1));
    assert_non_null(xr_params_add(ps, "frozen", 1, 1, COLS, XR_INIT_NORMAL, XR_PARAM_FROZEN, 1));
    assert_non_null(xr_params_add(ps, "b", 1, 1, 5, XR_INIT_NORMAL, 0, 2));
    assert_int_equal(xr_params_alloc(ps), XR_OK);
}

/* The weight an update leaves; of no pattern. */
static float weight_at(size_t row, size_t i, uint64_t step)
{
    return sinf((float)(row * 7 + i) * 0.37f + (float)step * 1.3f);
}

static void set_weights(xr_params *ps, uint64_t step)
{
    for (size_t r = 0; r < ps->n; r++)
        for (size_t i = 0; i < xr_numel(&ps->row[r]->t); i++)
            ps->row[r]->t.x[i] = weight_at(r, i, step);
}

static double expected(size_t row, size_t i)
{
    double a = (double)weight_at(row, i, 0);
    for (uint64_t t = 1; t <= STEPS; t++) {
        double d = (1.0 + (double)t) / (10.0 + (double)t);
        d = d < DECAY ? d : DECAY;
        a = d * a + (1.0 - d) * (double)weight_at(row, i, t);
    }
    return a;
}

static xr_ema *run_average(xr_params *ps, int threads)
{
    xr_threads_set(threads);
    set_weights(ps, 0);
    xr_ema *e = xr_ema_new(ps, DECAY);
    assert_non_null(e);
    for (uint64_t t = 1; t <= STEPS; t++) {
        set_weights(ps, t);
        xr_ema_update(e, t);
    }
    return e;
}

static void follows_the_formula(void **state)
{
    xr_params ps;
    (void)state;
    make_table(&ps);
    xr_ema *e = run_average(&ps, 1);
    assert_null(xr_ema_row(e, 1));
    for (size_t r = 0; r < 3; r += 2)
        for (size_t i = 0; i < xr_numel(&ps.row[r]->t); i++)
            if (fabs((double)xr_ema_row(e, r)[i] - expected(r, i)) > 1e-6)
                fail_msg("row %zu, %zu: %.9g, expected %.9g", r, i, (double)xr_ema_row(e, r)[i], expected(r, i));
    xr_ema_free(e);
    xr_params_free(&ps);
}

static void swaps_and_comes_back(void **state)
{
    xr_params ps;
    (void)state;
    make_table(&ps);
    xr_ema *e = run_average(&ps, 2);
    float average = xr_ema_row(e, 0)[1000], frozen = ps.row[1]->t.x[3];
    xr_ema_swap(e);
    assert_true(ps.row[0]->t.x[1000] == average);
    assert_true(xr_ema_row(e, 0)[1000] == weight_at(0, 1000, STEPS));
    assert_true(ps.row[1]->t.x[3] == frozen);
    xr_ema_swap(e);
    assert_true(ps.row[0]->t.x[1000] == weight_at(0, 1000, STEPS));
    assert_true(xr_ema_row(e, 0)[1000] == average);
    xr_ema_free(e);
    xr_params_free(&ps);
}

static void threads_agree(void **state)
{
    xr_params one, four;
    (void)state;
    make_table(&one);
    make_table(&four);
    xr_ema *a = run_average(&one, 1), *b = run_average(&four, 4);
    assert_memory_equal(xr_ema_row(a, 0), xr_ema_row(b, 0), ROWS * COLS * sizeof(float));
    xr_ema_free(a);
    xr_ema_free(b);
    xr_params_free(&one);
    xr_params_free(&four);
}

static void out_of_memory(void **state)
{
    xr_params ps;
    xr_ema *e = NULL;
    (void)state;
    make_table(&ps);
    long at;
    for (at = 0; !e && at < 10; at++) {
        xr_error_clear();
        xr_alloc_fail_after(at);
        e = xr_ema_new(&ps, DECAY);
        xr_alloc_fail_after(-1);
        assert_int_equal(xr_error_status(), e ? XR_OK : XR_ESYSTEM);
    }
    assert_non_null(e);
    assert_true(at > 2);
    xr_ema_free(e);
    xr_params_free(&ps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_the_formula), cmocka_unit_test(swaps_and_comes_back), cmocka_unit_test(threads_agree), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
