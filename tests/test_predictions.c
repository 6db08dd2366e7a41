/* Files of predictions in a model's place: out of memory anywhere is a status, nothing leaks and no output stays behind. */
#include "scratch.h"

#include "train/evaluate.h"
#include "util/alloc.h"

static void write_file(const char *name, const char *text)
{
    assert_int_equal(xr_file_write(in_scratch(name), text, strlen(text)), XR_OK);
}

/* Every allocation of an evaluation fails once. */
static void fail_everywhere(const char *task, const char *data, const char *predictions)
{
    xr_options o;
    xr_evaluation e;
    xr_status status = XR_ESYSTEM;
    assert_int_equal(xr_options_init(&o, XR_V_EVALUATE), XR_OK);
    assert_int_equal(xr_options_set(&o, "task", task), XR_OK);
    assert_int_equal(xr_options_set(&o, "data_dir", in_scratch(data)), XR_OK);
    assert_int_equal(xr_options_set(&o, "predictions", in_scratch(predictions)), XR_OK);
    assert_int_equal(xr_options_set(&o, "output_dir", in_scratch(task)), XR_OK);
    long live = xr_alloc_live(), k = 0;
    for (; status == XR_ESYSTEM; k++) {
        xr_alloc_fail_after(k);
        status = xr_evaluate_run(&e, &o, NULL);
        xr_alloc_fail_after(-1);
        xr_evaluation_free(&e);
        assert_int_equal(xr_alloc_live(), live);
        assert_true(status == XR_OK || !xr_path_exists(in_scratch(task)));
        if (status != XR_OK && status != XR_ESYSTEM)
            fail_msg("%s, allocation %ld: %s", task, k, xr_error_message());
        xr_error_clear();
    }
    assert_true(status == XR_OK && k > 30);
    xr_options_free(&o);
}

static void classes(void **state)
{
    (void)state;
    assert_int_equal(xr_mkdirs(in_scratch("pairs")), XR_OK);
    write_file("pairs/test-en.tsv", "a\tb\tentailment\nc\td\tneutral\ne\tf\tcontradiction\n");
    write_file("classes.tsv", "neutral\nneutral\nother\n");
    fail_everywhere("xnli", "pairs", "classes.tsv");
}

static void tags(void **state)
{
    (void)state;
    assert_int_equal(xr_mkdirs(in_scratch("words")), XR_OK);
    write_file("words/test-en.tsv", "A\tO\nB\tB-PER\n\nC\tB-LOC\n");
    write_file("tags.tsv", "O\nB-PER\n\nI-LOC\n");
    fail_everywhere("panx", "words", "tags.tsv");
    assert_int_equal(xr_mkdirs(in_scratch("iob1")), XR_OK);
    write_file("iob1/test-en.tsv", "A\tO\nB\tI-PER\n\nC\tI-LOC\n");
    write_file("iob2.tsv", "O\nB-PER\n\nB-LOC\n");         /* so the gold tags become IOB2 */
    fail_everywhere("conll", "iob1", "iob2.tsv");
}

static void answers(void **state)
{
    (void)state;
    assert_int_equal(xr_mkdirs(in_scratch("questions")), XR_OK);
    write_file("questions/test-en.json",
               "{\"data\": [{\"paragraphs\": [{\"context\": \"The dog saw a cat.\", \"qas\": ["
               "{\"id\": \"a\", \"question\": \"Who?\", \"answers\": [{\"text\": \"The dog\", \"answer_start\": 0}]},"
               "{\"id\": \"b\", \"question\": \"Why?\", \"is_impossible\": true, \"answers\": []}]}]}]}");
    write_file("answers.json", "{\"a\": \"cat\", \"b\": \"\"}");
    write_file("null_odds-answers.json", "{\"a\": 0.5, \"b\": 2}");
    fail_everywhere("qa", "questions", "answers.json");
}

static void lines(void **state)
{
    (void)state;
    assert_int_equal(xr_mkdirs(in_scratch("lines")), XR_OK);
    write_file("lines/sw-en.sw", "moja\nmbili\n");
    write_file("lines/sw-en.en", "one\ntwo\n");
    write_file("numbers.tsv", "1\n1\n");
    fail_everywhere("tatoeba", "lines", "numbers.tsv");
    assert_int_equal(xr_mkdirs(in_scratch("texts")), XR_OK);
    write_file("texts/de-en.test.de", "d1\teins\nd2\tzwei\n");
    write_file("texts/de-en.test.en", "e1\tone\ne2\ttwo\n");
    write_file("texts/de-en.test.gold", "d1\te1\n");
    write_file("pairs.tsv", "d1\te1\nd2\te1\n");
    fail_everywhere("bucc2018", "texts", "pairs.tsv");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(classes, clear_error),
        cmocka_unit_test_teardown(tags, clear_error),
        cmocka_unit_test_teardown(answers, clear_error),
        cmocka_unit_test_teardown(lines, clear_error),
    };
    return cmocka_run_group_tests_name("predictions", tests, make_scratch, remove_scratch);
}
