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

static double beside(const char *task, const char *protocol, int layers, int hidden, const char *language)
{
    const char *metric = strcmp(task, "conll") == 0 ? "f1" : "accuracy";
    xr_options o;
    xr_context c = { 0 };
    xr_evaluation e = { .o = &o, .context = &c, .benchmark = xr_benchmark_find(task) };
    double value = -1;
    assert_int_equal(xr_options_init(&o, XR_V_EVALUATE), XR_OK);
    assert_int_equal(xr_options_set(&o, "protocol", protocol), XR_OK);
    c.model.config.num_hidden_layers = layers;
    c.model.config.hidden_size = hidden;
    const xr_published *p = xr_published_find(&e, metric);
    if (p)
        (void)xr_published_value(p, language, &value);
    xr_options_free(&o);
    return value;
}

/* Figures of the paper's table 1 stand beside a model of that size, under its protocol where there are any. */
static void published_figures_are_found(void **state)
{
    (void)state;
    assert_true(beside("xnli", "not stated", 12, 768, "sw") == 66.5);
    assert_true(beside("xnli", "zero-shot", 24, 1024, "en") == 89.1);
    assert_true(beside("xnli", "zero-shot transfer", 24, 1024, "ur") == 73.8);
    assert_true(beside("xnli", "translate-train-all", 24, 1024, "ur") == 78.1);
    assert_true(beside("xnli", "translate-train-all", 12, 768, "average") == 79.1);
    assert_true(beside("xnli", "zero-shot", 6, 384, "en") == -1);
    assert_true(beside("pawsx", "zero-shot", 24, 1024, "average") == 86.4);
    assert_true(beside("pawsx", "zero-shot", 12, 768, "average") == -1);
    assert_true(beside("conll", "zero-shot", 24, 1024, "de") == 71.40);
    assert_true(beside("conll", "train-all", 12, 768, "nl") == 89.09);
    assert_true(beside("classify", "zero-shot", 12, 768, "en") == -1);
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
        cmocka_unit_test(published_figures_are_found),
        cmocka_unit_test(published_averages_are_of_their_languages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
