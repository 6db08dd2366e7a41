/* Every benchmark is whole, can be asked for, and its published figures are what the papers say. */
#include "scratch.h"

#include <math.h>

#include "train/benchmark.h"
#include "train/options.h"

static void every_benchmark_is_whole_and_a_choice(void **state)
{
    (void)state;
    size_t n = 0;
    for (const xr_benchmark *const *b = xr_benchmarks; *b; b++, n++) {
        xr_options o;
        assert_true((*b)->find && (*b)->open && (*b)->read && (*b)->score && (*b)->columns && (*b)->predictions);
        assert_true((*b)->units && (*b)->ending[0] == '.');
        assert_ptr_equal(xr_benchmark_find((*b)->name), *b);
        assert_int_equal(xr_options_init(&o, XR_V_EVALUATE), XR_OK);
        assert_int_equal(xr_options_set(&o, "task", (*b)->name), XR_OK);
        xr_options_free(&o);
    }
    const xr_option *task = xr_option_find(XR_V_EVALUATE, "task");
    size_t choices = 1;
    for (const char *p = task->meta; *p; p++)
        choices += *p == '|';
    assert_int_equal(choices, n);
    assert_null(xr_benchmark_find("glue"));
}

/* Printed averages round the mean of the printed languages. */
static void published_averages_are_of_their_languages(void **state)
{
    (void)state;
    for (const xr_benchmark *const *b = xr_benchmarks; *b; b++)
        for (const xr_published *p = (*b)->published; p && p->size; p++) {
            double sum = 0, average;
            int n = 0;
            for (const xr_published_row *r = p->row; r->language; r++)
                if (strcmp(r->language, "average") != 0)
                    sum += r->value, n++;
            assert_true(p->source && p->source[0]);
            if (n == 0 || !xr_published_value(p, "average", &average))
                continue;
            if (fabs(sum / n - average) > 0.1)
                fail_msg("%s %s %s: mean %.3f, printed %.1f", (*b)->name, p->size, p->protocol, sum / n, average);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_benchmark_is_whole_and_a_choice),
        cmocka_unit_test(published_averages_are_of_their_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
