/* The progress line as text; the program's part that draws it is in src/cli, which is no library, so it is taken in whole. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "cli/progress.c"

static void check(const xr_progress *p, double now, int columns, const char *want)
{
    char got[512];
    xr_progress_format(p, now, columns, got, sizeof got);
    assert_string_equal(got, want);
}

static void test_format(void **state)
{
    (void)state;
    xr_progress p = { .name = "finetune", .unit = "step", .total = 1000, .done = 420, .start = 100 };
    xr_progress_postfix(&p, "loss=%.3f", 0.5314);
    check(&p, 170, 80, "finetune  42%|#######          | 420/1000 [01:10<01:37, 6.0 step/s, loss=0.531]");
    check(&p, 170, 20, "finetune  42% 420/1000 [01:10<01:37, 6.0 step/s, loss=0.531]");
    p.done = 1000;
    p.postfix[0] = 0;
    check(&p, 4000, 40, "finetune 100% 1000/1000 [1:05:00<00:00, 3.9 s/step]");
    p.done = 0;
    check(&p, 100, 40, "finetune   0% 0/1000 [00:00<?, ? step/s]");
}

/* A resumed run: the rate counts only what was done since. */
static void test_first(void **state)
{
    (void)state;
    xr_progress p = { .name = "eval", .unit = "text", .total = 200, .done = 150, .first = 100 };
    check(&p, 50, 10, "eval  75% 150/200 [00:50<00:50, 1.0 text/s]");
    p.total = 0;
    check(&p, 50, 10, "eval 150 text [00:50, 1.0 text/s]");
}

static void test_quiet(void **state)
{
    (void)state;
    xr_progress p;
    xr_progress_start(&p, "x", "step", 10, 0, 1);
    assert_int_equal(p.mode, SILENT);
    xr_progress_update(&p, 5);
    xr_progress_end(&p);
    assert_int_equal(p.done, 5);
    assert_int_equal(shown, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_format), cmocka_unit_test(test_first), cmocka_unit_test(test_quiet) };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
