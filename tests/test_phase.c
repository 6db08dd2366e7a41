/* Where the time goes: the parts add up, nested phases are not counted twice, operations are counted where they are made. */
#include "scratch.h"

#include <pthread.h>
#include <time.h>

#include "autograd/ops.h"
#include "autograd/params.h"
#include "kernels/gemm.h"
#include "train/profile.h"
#include "util/alloc.h"
#include "util/clock.h"

static void wait_ms(long ms)
{
    nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL);
}

static const xr_phase_row *row(const xr_profile *p, const char *name)
{
    for (size_t r = 0; r < p->n; r++)
        if (strcmp(p->row[r].name, name) == 0)
            return &p->row[r];
    return NULL;
}

static void test_nested_phases_add_up(void **state)
{
    (void)state;
    static xr_profile p;
    double sum = 0.0, before = xr_clock();
    xr_phases_start();
    double begun = xr_clock();
    int outer = xr_phase_enter(XR_PHASE_DATA);
    assert_int_equal(outer, XR_PHASE_OTHER);
    wait_ms(20);
    int inner = xr_phase_enter(XR_PHASE_HEAD);
    assert_int_equal(inner, XR_PHASE_DATA);
    wait_ms(40);
    xr_phase_enter(inner);
    wait_ms(20);
    xr_phase_enter(outer);
    double least = xr_clock() - begun;
    xr_profile_take(&p);
    double whole = xr_clock() - before;
    for (size_t r = 0; r < p.n; r++)
        sum += p.row[r].seconds;
    /* Whatever else the machine does meanwhile: rounding is all that may be between. */
    assert_true(sum > least - 1e-6 && sum < whole + 1e-6);
    /* sleeps may last longer, never shorter */
    assert_true(row(&p, "data")->seconds >= 0.040 && row(&p, "head")->seconds >= 0.040);
    assert_true(row(&p, "data")->seconds + row(&p, "head")->seconds <= whole);
    xr_phases_stop();
    xr_profile_take(&p);
    assert_int_equal(p.n, 0);
}

static void *enter_elsewhere(void *context)
{
    int *before = context;
    *before = xr_phase_enter(XR_PHASE_SAVE);
    xr_phase_product(XR_PRODUCT_FORWARD, NULL, 1000, 1000, 1000);
    xr_phase_work(1e9);
    return NULL;
}

static void test_other_threads_change_nothing(void **state)
{
    (void)state;
    static xr_profile p;
    pthread_t thread;
    int before = -1;
    xr_phases_start();
    assert_int_equal(pthread_create(&thread, NULL, enter_elsewhere, &before), 0);
    pthread_join(thread, NULL);
    xr_profile_take(&p);
    xr_phases_stop();
    assert_int_equal(p.n, XR_PHASE_PRODUCTS + 1);
    for (size_t r = 0; r < p.n; r++)
        assert_true(p.row[r].work == 0.0 && (r == XR_PHASE_OTHER || p.row[r].seconds == 0.0));
}

static void test_products_by_shape(void **state)
{
    (void)state;
    static xr_profile p;
    float y[6 * 4], x[6 * 5], w[4 * 5];
    memset(x, 0, sizeof x);
    memset(w, 0, sizeof w);
    xr_phases_start();
    for (int k = 0; k < 3; k++)
        xr_gemm_nt(y, x, w, NULL, 6, 4, 5, 0.0f);
    xr_gemm_nn(x, y, w, 6, 5, 4, 0.0f);
    xr_gemm_tn(w, y, x, 4, 5, 6, 0.0f);
    xr_profile_take(&p);
    xr_phases_stop();
    assert_int_equal(p.n, XR_PHASE_PRODUCTS + 4);
    assert_true(row(&p, "4 x 5 forward")->work == 3 * 240.0);
    assert_true(row(&p, "4 x 5 input gradient")->work == 240.0);
    assert_true(row(&p, "4 x 5 weight gradient")->work == 240.0);
    assert_null(row(&p, "5 x 4 input gradient"));
}

static void test_more_shapes_than_rows(void **state)
{
    (void)state;
    static xr_profile p;
    static const char kind[] = "bf16";
    xr_phases_start();
    for (size_t o = 1; o <= XR_PHASE_SHAPES + 2; o++)
        xr_phase_enter(xr_phase_product(XR_PRODUCT_FORWARD, kind, 1, o, 1));
    xr_profile_take(&p);
    xr_phases_stop();
    assert_int_equal(p.n, XR_PHASE_ROWS);
    assert_true(row(&p, "1 x 1 forward bf16")->work == 2.0);
    assert_true(row(&p, "other products")->work == 2.0 * (XR_PHASE_SHAPES + 1) + 2.0 * (XR_PHASE_SHAPES + 2));
}

/* An op's time is its own class, products in it count by shape, and a segment's body as its ops. */
static xr_tensor *body(xr_tape *t, xr_tensor *x, const void *context)
{
    xr_param *const *p = context;
    return xr_tanh(t, xr_linear(t, x, (xr_weight){ p[0] }, p[1]));
}

static void test_ops_of_the_tape(void **state)
{
    (void)state;
    static xr_profile p;
    float x[3 * 4] = { 0 };
    xr_params ps = { 0 };
    xr_param *param[] = { xr_params_add(&ps, "w", 2, 4, 4, XR_INIT_NORMAL, 0, 0), xr_params_add(&ps, "b", 1, 1, 4, XR_INIT_ZERO, 0, 0) };
    assert_int_equal(xr_params_alloc(&ps), XR_OK);
    assert_int_equal(xr_params_alloc_grads(&ps), XR_OK);
    xr_tape *t = xr_tape_new(1 << 20);
    xr_phases_start();
    xr_tape_begin(t, 1, 1, 1, 1);
    xr_tensor *y = xr_segment(t, xr_input(t, x, 3, 4, 1), 3, 4, body, param, sizeof param);
    assert_int_equal(xr_backward(t, y, NULL), XR_OK);
    xr_profile_take(&p);
    assert_int_equal(xr_phase_enter(XR_PHASE_DATA), XR_PHASE_OTHER);    /* the tape left its phases */
    xr_phases_stop();
    assert_true(row(&p, "4 x 4 forward")->work == 2 * 96.0);            /* backward runs the body again */
    assert_true(row(&p, "4 x 4 input gradient")->work == 96.0 && row(&p, "4 x 4 weight gradient")->work == 96.0);
    assert_true(row(&p, "elementwise")->seconds > 0.0);
    xr_tape_free(t);
    xr_params_free(&ps);
}

static void test_lines_hold_what_passed_since_the_last(void **state)
{
    (void)state;
    static xr_profile last;
    json_t *line = json_object();
    assert_int_equal(xr_profile_add(line, &last, 1.0), XR_OK);
    assert_int_equal(json_object_size(line), 0);        /* nothing is measured */
    xr_phases_start();
    xr_phase_enter(xr_phase_product(XR_PRODUCT_FORWARD, NULL, 1000, 100, 10));
    xr_phase_enter(XR_PHASE_DATA);
    wait_ms(10);
    assert_int_equal(xr_profile_add(line, &last, 2.0), XR_OK);
    double data = json_number_value(json_object_get(json_object_get(line, "phase_ms"), "data"));
    assert_true(data >= 5.0 && data < 1000.0);
    assert_true(json_number_value(json_object_get(json_object_get(line, "phase_gflops"), "100 x 10 forward")) > 0.0);
    json_object_clear(line);
    xr_phase_enter(XR_PHASE_OTHER);
    assert_int_equal(xr_profile_add(line, &last, 1.0), XR_OK);
    assert_true(json_number_value(json_object_get(json_object_get(line, "phase_ms"), "data")) < data);
    assert_null(json_object_get(json_object_get(line, "phase_gflops"), "100 x 10 forward"));
    xr_phases_stop();
    json_decref(line);
}

static void test_table(void **state)
{
    (void)state;
    static xr_profile p = { .n = XR_PHASE_PRODUCTS + 2 };
    xr_str out = { 0 };
    p.row[XR_PHASE_DATA] = (xr_phase_row){ "data", 1.0, 0.0 };
    p.row[XR_PHASE_PRODUCTS + 1] = (xr_phase_row){ "4 x 5 forward", 3.0, 6e9 };
    assert_int_equal(xr_profile_table(&p, &out), XR_OK);
    assert_string_equal(out.s, "where the time went                   seconds     share   GFLOP/s\n"
                               "4 x 5 forward                           3.000    75.0 %       2.0\n"
                               "data                                    1.000    25.0 %\n"
                               "products with weights together          3.000    75.0 %       2.0\n"
                               "all                                     4.000   100.0 %       1.5\n");
    long live = xr_alloc_live();
    xr_str_free(&out);
    xr_alloc_fail_after(0);
    assert_true(xr_profile_table(&p, &out) < 0);
    xr_alloc_fail_after(-1);
    expect_error(XR_ESYSTEM, "out of memory");
    xr_str_free(&out);
    assert_int_equal(xr_alloc_live(), live - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_phases_add_up),
        cmocka_unit_test(test_other_threads_change_nothing),
        cmocka_unit_test(test_products_by_shape),
        cmocka_unit_test(test_more_shapes_than_rows),
        cmocka_unit_test(test_ops_of_the_tape),
        cmocka_unit_test(test_lines_hold_what_passed_since_the_last),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
