/* Answers scored as the scripts of SQuAD 1.1, SQuAD 2.0 and MLQA score them (golden/qa_metrics.h, made by scripts/golden_qa_metrics.py). */
#include "scratch.h"

#include "golden/qa_metrics.h"
#include "train/qa_metrics.h"
#include "util/alloc.h"
#include "util/utf8.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
enum { MOST_ODDS = 64 };

/* To the last bit. */
static void equal(const char *name, double got, double expected)
{
    if (memcmp(&got, &expected, sizeof got) != 0)
        fail_msg("%s: %.17g; expected %.17g", name, got, expected);
}

static const xr_qa_rules *rules_named(const char *name)
{
    char language[3] = "";
    if (sscanf(name, "MLQA (%2[a-z])", language) == 1)
        return xr_qa_rules_mlqa(language, "here");
    return strcmp(name, "SQuAD 2.0") == 0 ? xr_qa_rules_squad2() : xr_qa_rules_squad1();
}

static size_t count_gold(const char *const *answer)
{
    size_t n = 0;
    while (n < COUNT(qa_answers[0]) - 1 && answer[n + 1])
        n++;
    return n;
}

static void answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(qa_cases); i++) {
        const xr_qa_rules *r = rules_named(qa_cases[i].rules);
        const char *const *a = qa_answers[qa_cases[i].answers];
        xr_str normal = { 0 };
        xr_qa_points p;
        assert_non_null(r);
        assert_string_equal(r->name, qa_cases[i].rules);
        assert_int_equal(xr_qa_normalise(r, a[0], &normal), XR_OK);
        if (strcmp(normal.s ? normal.s : "", qa_cases[i].normal) != 0)
            fail_msg("%s, \"%s\": \"%s\"; expected \"%s\"", r->name, a[0], normal.s, qa_cases[i].normal);
        assert_int_equal(xr_qa_score(r, a[0], a + 1, count_gold(a), &p), XR_OK);
        equal(a[0], p.exact, qa_cases[i].exact);
        equal(a[0], p.f1, qa_cases[i].f1);
        xr_str_free(&normal);
    }
}

static void no_answer(void **state)
{
    (void)state;
    xr_qa_points p;
    assert_int_equal(xr_qa_score(xr_qa_rules_squad2(), "", NULL, 0, &p), XR_OK);
    assert_true(p.exact == 1.0 && p.f1 == 1.0);
    assert_int_equal(xr_qa_score(xr_qa_rules_squad2(), "something", NULL, 0, &p), XR_OK);
    assert_true(p.exact == 0.0 && p.f1 == 0.0);
}

static void sums(void **state)
{
    (void)state;
    xr_qa_totals t = { 0 };
    equal("no questions", xr_qa_f1(&t.all), 0.0);
    xr_qa_add(&t, (xr_qa_points){ 1.0, 1.0 }, 1);
    xr_qa_add(&t, (xr_qa_points){ 0.0, 0.5 }, 1);
    xr_qa_add(&t, (xr_qa_points){ 1.0, 1.0 }, 0);
    equal("exact", xr_qa_exact(&t.all), 2.0 / 3.0);
    equal("f1", xr_qa_f1(&t.answerable), 0.75);
    assert_int_equal(t.unanswerable.n, 1);
    equal("no answer", xr_qa_exact(&t.unanswerable), 1.0);
}

static void thresholds(void **state)
{
    (void)state;
    xr_qa_odds q[MOST_ODDS];
    xr_qa_best best;
    size_t n = 0;
    for (size_t i = 0; i < COUNT(qa_odds); i++) {
        assert_true(n < MOST_ODDS);
        q[n++] = (xr_qa_odds){ qa_odds[i].odds, { qa_odds[i].exact, qa_odds[i].f1 }, qa_odds[i].answerable, qa_odds[i].answered };
        if (!qa_odds[i].last)
            continue;
        assert_int_equal(xr_qa_best_threshold(q, n, &best), XR_OK);
        equal("best exact", 100.0 * best.exact / (double)n, qa_odds[i].best[0]);
        equal("its threshold", best.exact_threshold, qa_odds[i].best[1]);
        equal("best f1", 100.0 * best.f1 / (double)n, qa_odds[i].best[2]);
        equal("its threshold", best.f1_threshold, qa_odds[i].best[3]);
        n = 0;
    }
    assert_int_equal(n, 0);
}

static void unknown_language(void **state)
{
    (void)state;
    assert_null(xr_qa_rules_mlqa("th", "test-context-th-question-th.json"));
    expect_error(XR_EDATA, "test-context-th-question-th.json: MLQA has no rules for answers in 'th'");
}

/* --- characters ------------------------------------------------------------------------------------------------ */

static uint64_t fnv(uint64_t h, unsigned byte)
{
    return (h ^ byte) * UINT64_C(0x100000001B3);
}

static uint64_t lower_of(uint64_t h, uint32_t c)
{
    static const uint32_t around[] = { 0, 0x3A3, 0, ' ', 'A', 0, 0x3A3, 0, 'B' };   /* 0: the character */
    xr_str s = { 0 }, low = { 0 };
    for (size_t i = 0; i < COUNT(around); i++)
        assert_int_equal(xr_utf8_append(&s, around[i] ? around[i] : c), XR_OK);
    assert_int_equal(xr_utf8_check(s.s, s.len), s.len);
    assert_int_equal(xr_utf8_append_lower(&low, s.s, s.len), XR_OK);
    for (size_t i = 0; i < low.len; i++)
        h = fnv(h, (unsigned char)low.s[i]);
    xr_str_free(&s);
    xr_str_free(&low);
    return h;
}

static void every_character(void **state)
{
    (void)state;
    uint64_t classes = UINT64_C(0xCBF29CE484222325), lower = classes;
    for (uint32_t c = 1; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000)
            continue;
        classes = fnv(classes, (unsigned)(xr_utf8_is_punctuation(c) | xr_utf8_is_word(c) << 1 | xr_utf8_is_space(c) << 2));
        lower = lower_of(lower, c);
    }
    assert_true(classes == qa_classes);
    assert_true(lower == qa_lower);
}

/* --- memory ---------------------------------------------------------------------------------------------------- */

static xr_status score_and_search(void)
{
    static const char *const gold[] = { "der Hund", "北京 a dog" };
    static const xr_qa_odds q[] = { { 1.0, { 1.0, 1.0 }, 1, 1 }, { 0.5, { 0.0, 0.5 }, 0, 1 } };
    xr_qa_points p;
    xr_qa_best best;
    XR_TRY(xr_qa_score(xr_qa_rules_squad2(), "ein Hund", gold, COUNT(gold), &p));
    XR_TRY(xr_qa_score(rules_named("MLQA (zh)"), "北京的 Hund", gold, COUNT(gold), &p));
    return xr_qa_best_threshold(q, COUNT(q), &best);
}

static void memory(void **state)
{
    (void)state;
    long live = xr_alloc_live(), k = 0;
    xr_status status;
    do {
        xr_alloc_fail_after(k++);
        status = score_and_search();
        xr_alloc_fail_after(-1);
        assert_true(status == XR_OK || status == XR_ESYSTEM);
        xr_error_clear();
        assert_int_equal(xr_alloc_live(), live);
    } while (status != XR_OK);
    assert_true(k > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(answers, clear_error),    cmocka_unit_test_teardown(no_answer, clear_error),
        cmocka_unit_test_teardown(sums, clear_error),       cmocka_unit_test_teardown(thresholds, clear_error),
        cmocka_unit_test_teardown(unknown_language, clear_error), cmocka_unit_test_teardown(every_character, clear_error),
        cmocka_unit_test_teardown(memory, clear_error),
    };
    return cmocka_run_group_tests_name("qa_metrics", tests, NULL, NULL);
}
