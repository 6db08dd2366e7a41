/* Which state of a run is the best when there are several validation languages: the value by each rule, what the rule says of itself, and the figures of
 * each language in a line of metrics.jsonl. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <string.h>
#include <cmocka.h>
#include "train/finetune.h"
#include "train/metrics.h"
#include "util/alloc.h"

enum { SETS = 3 };

/* A run trained on English and German, validated on English, French and German. */
typedef struct run { xr_options o; xr_finetune f; xr_data_file train[2]; xr_valid_set set[SETS]; } run;

static void begin(run *r, const char *select_by, const char *metric)
{
    static const struct { const char *name; int trained; double accuracy, loss; size_t n; } set[SETS] = {
        { "en", 1, 0.75, 0.50, 40 }, { "fr", 0, 0.25, 2.00, 10 }, { "de", 1, 0.50, 1.25, 20 },
    };
    memset(r, 0, sizeof *r);
    assert_int_equal(xr_options_init(&r->o, XR_V_FINETUNE), XR_OK);
    assert_int_equal(xr_options_set(&r->o, "train-file", "train-en.tsv"), XR_OK);
    assert_int_equal(xr_options_set(&r->o, "train-file", "train-de.tsv"), XR_OK);
    assert_int_equal(xr_options_set(&r->o, "select-by", select_by), XR_OK);
    assert_int_equal(xr_options_set(&r->o, "metric", metric), XR_OK);
    r->f = (xr_finetune){ .o = &r->o, .task = &xr_finetune_classify, .problem = XR_PROBLEM_SINGLE_LABEL, .train_file = r->train, .n_train_file = 2,
                          .valid = r->set, .n_valid = SETS };
    r->f.model.config.num_labels = 2;
    r->train[0].language = r->train[1].language = 1;
    for (size_t i = 0; i < SETS; i++) {
        r->set[i] = (xr_valid_set){ .name = set[i].name, .language = 1, .trained = set[i].trained };
        r->set[i].figures.accuracy = set[i].accuracy;
        r->set[i].figures.mcc = 2 * set[i].accuracy - 1;
        r->set[i].figures.loss = set[i].loss;
        r->set[i].figures.n = set[i].n;
        assert_int_equal(xr_confusion_init(&r->set[i].figures.confusion, 2), XR_OK);
        xr_confusion_add(&r->set[i].figures.confusion, 0, 0);
        xr_confusion_add(&r->set[i].figures.confusion, 1, 1);
    }
}

static void end(run *r)
{
    for (size_t i = 0; i < SETS; i++)
        xr_figures_free(&r->set[i].figures);
    xr_str_free(&r->f.choice);
    xr_options_free(&r->o);
}

static void expect(const char *select_by, const char *metric, double value, int higher, const char *choice, const char *said)
{
    run r;
    double got;
    xr_str card = { 0 };
    begin(&r, select_by, metric);
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_OK);
    assert_int_equal(xr_finetune_value(&r.f, &got), XR_OK);
    if (fabs(got - value) > 1e-15 || xr_metric_higher_is_better(r.f.choice.s) != higher)
        fail_msg("%s, %s: %g, %s", select_by, metric, got, r.f.choice.s);
    assert_string_equal(r.f.choice.s, choice);
    assert_int_equal(xr_finetune_valid_card(&r.f, &card), XR_OK);
    if (!strstr(card.s, said))
        fail_msg("%s: not in the card: %s\n%s", select_by, said, card.s);
    assert_non_null(strstr(card.s, "Zero-shot (no training file in that language): fr."));
    xr_str_free(&card);
    end(&r);
}

static void each_rule(void **state)
{
    (void)state;
    expect("auto", "auto", 0.625, 1, "mean accuracy of en, de", "chosen by mean accuracy of en, de: selection on the training languages.");
    expect("average", "accuracy", 0.5, 1, "mean accuracy of en, fr, de", "languages that were not trained on had a part in the selection");
    expect("worst", "accuracy", 0.25, 1, "worst accuracy of en, fr, de", "had a part in the selection");
    expect("worst", "mcc", -0.5, 1, "worst mcc of en, fr, de", "had a part in the selection");
    expect("worst", "loss", 2.0, 0, "worst loss of en, fr, de", "had a part in the selection");
    expect("average", "loss", 1.25, 0, "mean loss of en, fr, de", "had a part in the selection");
    expect("de", "accuracy", 0.5, 1, "accuracy of de", "per-language selection, on a language that was trained on");
    expect("FR", "accuracy", 0.25, 1, "accuracy of fr", "per-language selection, on a language that was not trained on: its figure is not one of zero-shot");
}

/* None of the validation languages is trained on: auto takes them all, and says so. */
static void nothing_trained_on(void **state)
{
    (void)state;
    run r;
    double got;
    xr_str card = { 0 };
    begin(&r, "auto", "auto");
    for (size_t i = 0; i < SETS; i++)
        r.set[i].trained = 0;
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_OK);
    assert_int_equal(xr_finetune_value(&r.f, &got), XR_OK);
    assert_true(got == 0.5);
    assert_int_equal(xr_finetune_valid_card(&r.f, &card), XR_OK);
    assert_non_null(strstr(card.s, "selection on languages that were not trained on"));
    xr_str_free(&card);
    end(&r);
}

/* Whose language is not known cannot be called zero-shot, nor trained on. */
static void languages_unknown(void **state)
{
    (void)state;
    run r;
    xr_str card = { 0 };
    begin(&r, "auto", "auto");
    r.train[0].language = r.train[1].language = 0;
    for (size_t i = 0; i < SETS; i++)
        r.set[i].trained = r.set[i].language = 0;
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_OK);
    assert_string_equal(r.f.choice.s, "mean accuracy of en, fr, de");
    assert_int_equal(xr_finetune_valid_card(&r.f, &card), XR_OK);
    assert_null(strstr(card.s, "trained on"));
    assert_null(strstr(card.s, "Zero-shot"));
    xr_str_free(&card);
    end(&r);
}

static void refusals(void **state)
{
    (void)state;
    run r;
    begin(&r, "sw", "auto");
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_EUSAGE);
    assert_string_equal(xr_error_message(), "--select-by sw: the validation data are: en, fr, de; expected auto, average, worst, or the name of one of them");
    xr_error_clear();
    r.f.n_valid = 0;
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_EUSAGE);
    assert_non_null(strstr(xr_error_message(), "no validation data"));
    xr_error_clear();
    end(&r);
    begin(&r, "auto", "pearson");
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_EUSAGE);
    assert_non_null(strstr(xr_error_message(), "--metric pearson"));
    xr_error_clear();
    end(&r);
}

static void choosable(const xr_finetune *f)
{
    xr_options o;
    xr_figures g = { 0 };
    double value;
    assert_int_equal(xr_options_init(&o, XR_V_FINETUNE), XR_OK);
    for (const char *const *metric = f->task->metrics(f); *metric; metric++)
        if (xr_options_set(&o, "metric", *metric) < 0 || xr_figures_named(&g, *metric, &value) < 0)
            fail_msg("--task %s: %s", f->task->name, xr_error_message());
    xr_options_free(&o);
}

/* What a refusal of --metric offers is taken. */
static void each_metric_can_be_asked_for(void **state)
{
    (void)state;
    static const xr_problem texts[] = { XR_PROBLEM_SINGLE_LABEL, XR_PROBLEM_REGRESSION, XR_PROBLEM_MULTI_LABEL };
    static const char *const tag[] = { "NOUN", "B-PER" };       /* with the second, no longer plain */
    xr_finetune f = { .task = &xr_finetune_tag, .problem = XR_PROBLEM_TAGS };
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(xr_labels_add(&f.labels, tag[i]), i);
        choosable(&f);
    }
    xr_labels_free(&f.labels);
    for (size_t i = 0; i < 3; i++) {
        f = (xr_finetune){ .task = &xr_finetune_classify, .problem = texts[i] };
        choosable(&f);
    }
    f = (xr_finetune){ .task = &xr_finetune_choice, .problem = XR_PROBLEM_CHOICE };
    choosable(&f);
    f = (xr_finetune){ .task = &xr_finetune_qa };
    choosable(&f);
}

static double number(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

static void figures_of_a_line(void **state)
{
    (void)state;
    run r;
    json_t *line = json_object();
    begin(&r, "worst", "auto");
    assert_int_equal(xr_finetune_plan_choice(&r.f), XR_OK);
    assert_int_equal(xr_finetune_figures(&r.f, line), XR_OK);
    assert_true(number(line, "accuracy") == 0.5 && number(line, "loss") == 1.25);
    assert_int_equal(json_integer_value(json_object_get(line, "examples")), 70);
    assert_true(number(line, "selected") == 0.25);
    json_t *languages = json_object_get(line, "languages");
    assert_int_equal(json_object_size(languages), SETS);
    assert_true(number(json_object_get(languages, "fr"), "loss") == 2.0 && number(json_object_get(languages, "en"), "accuracy") == 0.75);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(languages, "de"), "examples")), 20);
    json_decref(line);

    /* a figure that is no number has no mean */
    line = json_object();
    r.set[1].figures.accuracy = (double)NAN;
    assert_int_equal(xr_finetune_figures(&r.f, line), XR_OK);
    assert_false(json_is_number(json_object_get(line, "accuracy")));
    assert_true(number(line, "loss") == 1.25);
    json_decref(line);

    /* one set alone is the line itself */
    line = json_object();
    r.f.n_valid = 1;
    assert_int_equal(xr_finetune_figures(&r.f, line), XR_OK);
    assert_true(number(line, "accuracy") == 0.75);
    assert_null(json_object_get(line, "languages"));
    assert_null(json_object_get(line, "selected"));
    json_decref(line);
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),         cmocka_unit_test(nothing_trained_on), cmocka_unit_test(languages_unknown), cmocka_unit_test(refusals),
        cmocka_unit_test(each_metric_can_be_asked_for), cmocka_unit_test(figures_of_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
