/* Text as markup, numbers, axes and charts. */
#include "scratch.h"

#include <math.h>

#include "util/alloc.h"
#include "util/axis.h"
#include "util/markup.h"
#include "util/svg.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void markup(void **state)
{
    (void)state;
    static const struct { const char *text, *expected; } cases[] = {
        { "a < b & c > \"d\" 'e'", "a &lt; b &amp; c &gt; &quot;d&quot; &#39;e&#39;" },
        { "</script><img src=x onerror=alert(1)>", "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" },
        { "\xD8\xB9\xD8\xB1\xD8\xA8 \xF0\x9F\x98\x80", "\xD8\xB9\xD8\xB1\xD8\xA8 \xF0\x9F\x98\x80" },
        { "a\x01" "b\x1B[31m\tc\n", "a\xEF\xBF\xBD" "b\xEF\xBF\xBD[31m\tc\n" },        /* controls that XML has no place for */
        { "\xFF<\xC0\xAF", "\xEF\xBF\xBD&lt;\xEF\xBF\xBD\xEF\xBF\xBD" },
        { "\xEF\xBF\xBE|\xEF\xBF\xBD", "\xEF\xBF\xBD|\xEF\xBF\xBD" },                   /* U+FFFE is none, U+FFFD is one */
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        xr_str s = { 0 };
        assert_int_equal(xr_markup_text(&s, cases[i].text, strlen(cases[i].text)), XR_OK);
        assert_string_equal(s.s, cases[i].expected);
        xr_str_free(&s);
    }
    xr_str s = { 0 };
    assert_int_equal(xr_markup_put(&s, "<b title=\"%s\">%h%s</b> 5%%", "a\"b", "<i/>", NULL), XR_OK);
    assert_string_equal(s.s, "<b title=\"a&quot;b\"><i/></b> 5%");
    xr_str_free(&s);
}

static void numbers(void **state)
{
    (void)state;
    assert_string_equal(xr_number_count(0).s, "0");
    assert_string_equal(xr_number_count(999).s, "999");
    assert_string_equal(xr_number_count(1234567).s, "1,234,567");
    assert_string_equal(xr_number_count(-1234).s, "-1,234");
    assert_string_equal(xr_number_fixed(-0.001, 2).s, "0.00");
    assert_string_equal(xr_number_fixed(1234.5, 2).s, "1,234.50");
    assert_string_equal(xr_number_fixed((double)NAN, 2).s, "-");
    assert_string_equal(xr_number_chance(1.0).s, "1.0000");
    assert_string_equal(xr_number_chance(0.000999000999000999).s, "0.0010");
    assert_string_equal(xr_number_chance(0.00005).s, "0.0001");
    assert_string_equal(xr_number_chance(1.0 / 1000001.0).s, "<0.0001");
    assert_string_equal(xr_number_chance(0.0).s, "0.0000");
    assert_string_equal(xr_number_chance((double)NAN).s, "-");
    assert_string_equal(xr_number_short(5.858076).s, "5.858");
    assert_string_equal(xr_number_short(302.96499).s, "303.0");
    assert_string_equal(xr_number_short(35323.97).s, "35,324");
    assert_string_equal(xr_number_short(0.0123456).s, "0.01235");
    assert_string_equal(xr_number_short(2.5e-5).s, "2.5e-5");
    assert_string_equal(xr_number_short(1e-5).s, "1e-5");
    assert_string_equal(xr_number_short(0).s, "0");
    assert_string_equal(xr_number_amount(23313920).s, "23.3 million");
    assert_string_equal(xr_number_amount(950).s, "950");
    assert_string_equal(xr_number_amount(31609).s, "31.6 thousand");
    assert_string_equal(xr_number_time(45.2).s, "45 s");
    assert_string_equal(xr_number_time(600).s, "10 min");
    assert_string_equal(xr_number_time(4206.9 * 2).s, "2 h 20 min");
    assert_string_equal(xr_number_memory(876.6).s, "877 MB");
    assert_string_equal(xr_number_memory(3072).s, "3.0 GB");
}

/* The ticks as text, separated by blanks. */
static const char *ticks(xr_axis_kind kind, double lo, double hi, int want)
{
    static char text[400];
    xr_axis a;
    size_t n = 0;
    xr_axis_fit(&a, kind, lo, hi, want);
    assert_true(a.lo < a.hi);
    text[0] = 0;
    for (int i = 0; i < a.n; i++) {
        double at = xr_axis_at(&a, a.tick[i]);
        assert_true(at > -1e-6 && at < 1.0 + 1e-6);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", i ? " " : "", xr_axis_label(&a, a.tick[i]).s);
    }
    return text;
}

static void axes(void **state)
{
    (void)state;
    assert_string_equal(ticks(XR_AXIS_ROUND, 5.7, 10.4, 4), "4 6 8 10 12");
    assert_string_equal(ticks(XR_AXIS_ROUND, 0, 1, 5), "0.0 0.2 0.4 0.6 0.8 1.0");
    assert_string_equal(ticks(XR_AXIS_ROUND, 0, 0.3, 3), "0.0 0.1 0.2 0.3");
    assert_string_equal(ticks(XR_AXIS_ROUND, 0.61, 0.87, 4), "0.6 0.7 0.8 0.9");
    assert_string_equal(ticks(XR_AXIS_ROUND, -3, 4, 4), "-4 -2 0 2 4");
    assert_string_equal(ticks(XR_AXIS_ROUND, 0, 1e-3, 4), "0 5e-4 1e-3");
    assert_string_equal(ticks(XR_AXIS_ROUND, 0, 2e-5, 4), "0 5e-6 1e-5 1.5e-5 2e-5");
    assert_string_equal(ticks(XR_AXIS_SNUG, 25, 3200, 5), "1,000 2,000 3,000");
    assert_string_equal(ticks(XR_AXIS_SNUG, 0, 90000, 5), "0 20k 40k 60k 80k");
    assert_string_equal(ticks(XR_AXIS_SNUG, 0, 2500000, 5), "0 0.5M 1.0M 1.5M 2.0M 2.5M");
    assert_string_equal(ticks(XR_AXIS_LOG, 168, 36613, 4), "300 1,000 3,000 10k 30k");
    assert_string_equal(ticks(XR_AXIS_LOG, 0.0009, 12, 4), "0.001 0.01 0.1 1 10");
    assert_string_equal(ticks(XR_AXIS_LOG, 3, 70, 4), "3 10 30");
    assert_string_equal(ticks(XR_AXIS_LOG, 0, 8, 4), "0 2 4 6 8");                 /* zero has no logarithm */
    assert_string_equal(ticks(XR_AXIS_ROUND, 7, 7, 4), "6.0 6.5 7.0 7.5 8.0");
    assert_string_equal(ticks(XR_AXIS_ROUND, 0, 0, 2), "-1 0 1");
    assert_string_equal(ticks(XR_AXIS_ROUND, INFINITY, -INFINITY, 2), "0.0 0.5 1.0");   /* no values at all */
}

static size_t occurrences(const char *text, const char *part)
{
    size_t n = 0;
    for (; (text = strstr(text, part)); text++)
        n++;
    return n;
}

static void curves(void **state)
{
    (void)state;
    static const double x[] = { 0, 1, 2, 3, 4 }, y[] = { 5, 4, (double)NAN, 2, 1 };
    xr_curve v[] = { { "train", XR_CURVE_FAINT, 0, x, y, 5 }, { "a<b&", XR_CURVE_DOTS, 1, x, y, 5 }, { "none", XR_CURVE_LINE, 2, x, y, 0 } };
    xr_curves c = { .title = "Loss <x>", .x_title = "step", .y_title = "loss", .v = v, .n = 3 };
    xr_str s = { 0 }, again = { 0 };
    assert_int_equal(xr_svg_curves(&s, &c), XR_OK);
    assert_non_null(strstr(s.s, "Loss &lt;x&gt;"));
    assert_non_null(strstr(s.s, ">a&lt;b&amp;</text>"));
    assert_null(strstr(s.s, "nan"));
    assert_null(strstr(s.s, "inf"));
    assert_null(strstr(s.s, ">none<"));                         /* a curve without a point has no name either */
    assert_int_equal(occurrences(strstr(s.s, "class=\"line c1"), "M") > 1, 1);      /* the gap */
    assert_int_equal(xr_svg_curves(&again, &c), XR_OK);
    assert_string_equal(s.s, again.s);
    xr_str_free(&s);
    xr_str_free(&again);
}

/* 100,000 points become some hundreds, and the one peak is among them. */
static void thinned(void **state)
{
    (void)state;
    enum { N = 100000 };
    double *x = xr_alloc(N, sizeof *x), *y = xr_alloc(N, sizeof *y);
    for (int i = 0; i < N; i++) {
        x[i] = i;
        y[i] = i == 77777 ? 9.0 : 1.0 + 0.1 * sin(i);
    }
    xr_curve v = { NULL, XR_CURVE_LINE, 0, x, y, N };
    xr_curves c = { .title = "t", .x_title = "x", .y_title = "y", .v = &v, .n = 1 };
    xr_str s = { 0 };
    assert_int_equal(xr_svg_curves(&s, &c), XR_OK);
    const char *line = strstr(s.s, "class=\"line");
    assert_in_range(occurrences(line, "L"), 400, 700);
    const char *least = line;
    double top = 1e9, lx, ly;
    for (; (least = strpbrk(least, "ML")); least++)
        if (sscanf(least + 1, "%lf %lf", &lx, &ly) == 2)
            top = fmin(top, ly);
    assert_true(top < 60.0);                                    /* the peak of 9 stands near the plot's top, at 24 */
    xr_str_free(&s);
    xr_free(x);
    xr_free(y);
}

static void bars(void **state)
{
    (void)state;
    static const char *const group[] = { "en", "<ur>" }, *const series[] = { "m1", "m2" };
    static const double value[] = { 80, (double)NAN, 40, 50 }, mark[] = { 85.8, (double)NAN };
    xr_bars b = { .title = "accuracy", .x_title = "accuracy, %", .group = group, .n_groups = 2, .series = series, .n_series = 2, .value = value,
                  .mark = mark, .mark_name = "published", .decimals = 2, .most = 100, .standalone = 1 };
    xr_str s = { 0 };
    assert_int_equal(xr_svg_bars(&s, &b), XR_OK);
    assert_int_equal(occurrences(s.s, "<rect "), 3);
    assert_int_equal(occurrences(s.s, ">80.00<"), 1);
    assert_non_null(strstr(s.s, "&lt;ur&gt;"));
    assert_non_null(strstr(s.s, "<style>"));
    assert_null(strstr(s.s, "nan"));
    xr_str_free(&s);
}

/* Every failed allocation is a status, and leaves nothing. */
static void memory(void **state)
{
    (void)state;
    static const double x[] = { 0, 1 };
    xr_curve v[] = { { "a name too long to stand at the end of a curve", XR_CURVE_LINE, 0, x, x, 2 }, { "b", XR_CURVE_LINE, 1, x, x, 2 } };
    xr_curves c = { .title = "t", .x_title = "x", .y_title = "y", .v = v, .n = 2 };
    long before = xr_alloc_live();
    int status = XR_ESYSTEM;
    for (long k = 0; status != XR_OK; k++) {
        xr_str s = { 0 };
        assert_true(k < 100);
        xr_alloc_fail_after(k);
        status = xr_svg_curves(&s, &c);
        xr_alloc_fail_after(-1);
        xr_str_free(&s);
        assert_int_equal(xr_alloc_live(), before);
        if (status != XR_OK)
            expect_error(XR_ESYSTEM, "memory");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(markup), cmocka_unit_test(numbers), cmocka_unit_test(axes), cmocka_unit_test(curves),
        cmocka_unit_test(thinned), cmocka_unit_test(bars), cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
