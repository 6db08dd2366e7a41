/* Several models in one table: figures, intervals, the paired test, selection on dev files, files, and what must be refused. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>

#include "kernels/gemm.h"
#include "train/compare.h"
#include "train/evaluate_classes.h"
#include "train/resample.h"
#include "util/alloc.h"

enum { ROWS = 40, LANGUAGES = 3, ROUNDS = 200 };
static const char *const languages[] = { "en", "fr", "sw" };
static const char *const nli[] = { "entailment", "neutral", "contradiction" };

/* label NULL: of row i by a rule; else lines of labels. */
static void write_data(const char *split, int l, const char *labels)
{
    xr_str text = { 0 };
    char name[48];
    for (int i = 0; i < ROWS; i++) {
        unsigned at = (unsigned)(1000 * l + 2 * i);
        size_t n = labels ? strcspn(labels, "\n") : 0;
        xr_str_printf(&text, "%s\t%s\t", tiny_sentence(at), tiny_sentence(at + 1));
        if (labels)
            xr_str_append(&text, labels, n);
        else
            xr_str_puts(&text, nli[(i * 7 + i / 5 + l) % 3]);
        xr_str_putc(&text, '\n');
        labels = labels ? labels + n + 1 : NULL;
    }
    snprintf(name, sizeof name, "data/%s-%s.tsv", split, languages[l]);
    write_scratch(name, text.s);
    xr_str_free(&text);
}

static char *slurp(const char *name)
{
    size_t len;
    char *text = xr_file_read(in_scratch(name), 1 << 20, &len);
    if (!text)
        fail_msg("%s", xr_error_message());
    return text;
}

/* As the command line would have them: pairs of flag and value; @ starts a path under scratch. */
static void options(xr_options *o, ...)
{
    static char text[40][256];
    char *argv[40];
    int argc = 0;
    va_list ap;
    const char *word;
    va_start(ap, o);
    while ((word = va_arg(ap, const char *))) {
        snprintf(text[argc], sizeof text[argc], "%s", word[0] == '@' ? in_scratch(word + 1) : word);
        argv[argc] = text[argc];
        argc++;
    }
    va_end(ap);
    assert_int_equal(xr_options_init(o, XR_V_EVALUATE), XR_OK);
    if (xr_options_parse(o, argc, argv) < 0)
        fail_msg("%s", xr_error_message());
}

static void compare(xr_comparison *c, const xr_options *o)
{
    if (xr_compare_run(c, o, NULL) < 0)
        fail_msg("%s", xr_error_message());
}

static double figure(const xr_scored *s)
{
    double value;
    assert_true(xr_scored_get(s, "accuracy", &value));
    return value;
}

/* Three models: hf; the same weights under another order of labels; and one that leans to another answer. */
static int make_everything(void **state)
{
    static const char *const xtreme[] = { "contradiction", "entailment", "neutral" };
    static const int as_is[] = { 0, 1, 2 }, to_xtreme[] = { 2, 0, 1 };
    static const float lean[] = { 0, 0, 25 };
    const float spread = 30;
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    assert_int_equal(xr_mkdirs(in_scratch("data")), XR_OK);
    for (int l = 0; l < LANGUAGES; l++)
        write_data("test", l, NULL);
    make_tiny_dir("hf", "tiny-cls", nli, as_is, spread, NULL);
    make_tiny_dir("xtreme", "tiny-cls", xtreme, to_xtreme, spread, NULL);
    make_tiny_dir("other", "tiny-cls", nli, as_is, spread, lean);
    return 0;
}

static void figures_are_those_of_each_model(void **state)
{
    (void)state;
    xr_options o, one;
    xr_comparison c;
    xr_evaluation e;
    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--bootstrap", "200", NULL);
    assert_int_equal(xr_compare_models(&o), 2);
    compare(&c, &o);
    options(&one, "--model", "@other", "--data-dir", "@data", NULL);
    assert_int_equal(xr_evaluate_run(&e, &one, NULL), XR_OK);
    for (int l = 0; l < LANGUAGES; l++) {
        const xr_scored *a = &c.e[0].v[l], *b = &c.e[1].v[l];
        assert_true(figure(b) == figure(&e.v[l]));
        assert_true(a->statistic.low <= figure(a) && figure(a) <= a->statistic.high && a->statistic.low < a->statistic.high);
        assert_true(isnan(a->statistic.p) && isnan(e.v[l].statistic.low));
        assert_true(fabs(b->statistic.difference - (figure(b) - figure(a))) < 1e-12);
        assert_true(b->statistic.p > 0 && b->statistic.p <= 1);
    }
    xr_evaluation_free(&e);
    xr_options_free(&one);
    xr_comparison_free(&c);
    xr_options_free(&o);
}

/* Languages of XNLI are translations: the average is resampled as if each row's mean over the languages were its result. */
static void the_average_keeps_rows_together(void **state)
{
    (void)state;
    xr_options o;
    xr_comparison c;
    double part[ROWS] = { 0 }, drawn[ROUNDS];
    options(&o, "--model", "@hf", "--model", "@other", "--data-dir", "@data", "--bootstrap", "200", NULL);
    compare(&c, &o);
    for (int l = 0; l < LANGUAGES; l++)
        for (int i = 0; i < ROWS; i++)
            part[i] += c.e[1].v[l].part[i] / LANGUAGES;
    xr_units u = { part, ROWS, 1, xr_classes_main_figure, 0 };
    xr_bootstrap(&u, 42, ROUNDS, drawn);
    assert_true(fabs(c.e[1].statistic.low - xr_quantile(drawn, ROUNDS, 0.025)) < 1e-12);
    assert_true(fabs(c.e[1].statistic.high - xr_quantile(drawn, ROUNDS, 0.975)) < 1e-12);
    xr_comparison_free(&c);
    xr_options_free(&o);
}

static void the_same_model_is_no_different(void **state)
{
    (void)state;
    xr_options o;
    xr_comparison c;
    xr_str table = { 0 };
    options(&o, "--model", "@hf", "--model", "@xtreme", "@other", "--data-dir", "@data", NULL);
    assert_int_equal(xr_compare_models(&o), 3);
    compare(&c, &o);
    for (int l = 0; l < LANGUAGES; l++) {
        const xr_statistic *a = &c.e[0].v[l].statistic, *b = &c.e[1].v[l].statistic;
        assert_true(a->low == b->low && a->high == b->high && b->difference == 0 && b->p == 1);
    }
    assert_true(c.e[1].statistic.difference == 0 && c.e[1].statistic.p == 1);
    assert_int_equal(c.e[0].n_resamples, 1000);
    assert_int_equal(xr_comparison_table(&c, &table), XR_OK);
    assert_non_null(strstr(table.s, "\n[2] "));
    assert_non_null(strstr(table.s, "                        [1]"));
    assert_non_null(strstr(table.s, "accuracy  macro F1    95 % interval        p  accuracy"));
    assert_non_null(strstr(table.s, "\n95 % interval: accuracy, 1000 bootstrap resamples, seed 42\n"));
    assert_non_null(strstr(table.s, "approximate randomisation"));
    assert_non_null(strstr(table.s, "\nselection: models as given; no per-language selection\n"));
    xr_str_free(&table);
    xr_comparison_free(&c);
    xr_options_free(&o);
}

/* Dev files whose labels are what a model answers choose that model. */
static void make_dev(void)
{
    static const char *const from[] = { "out/model-1", "out/model-2", "out/model-1" };
    xr_options o;
    xr_comparison c;
    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--output-dir", "@out", "--bootstrap", "0", NULL);
    compare(&c, &o);
    assert_true(isnan(c.e[1].v[0].statistic.p));
    xr_comparison_free(&c);
    xr_options_free(&o);
    for (int l = 0; l < LANGUAGES; l++) {
        char name[64];
        snprintf(name, sizeof name, "%s/xnli/test-%s.tsv", from[l], languages[l]);
        char *labels = slurp(name);
        write_data("dev", l, labels);
        xr_free(labels);
    }
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static void same_files(const char *a, const char *b)
{
    char *x = slurp(a), *y = slurp(b);
    assert_string_equal(x, y);
    xr_free(x);
    xr_free(y);
}

static void selection(void **state)
{
    (void)state;
    xr_options o;
    xr_comparison c;
    xr_str table = { 0 };
    make_dev();
    options(&o, "--model", "@other", "@hf", "--data-dir", "@data", "--selection", "per-language", "--output-dir", "@chosen", NULL);
    compare(&c, &o);
    assert_int_equal(c.chosen[0], 1);
    assert_int_equal(c.chosen[1], 0);
    assert_int_equal(c.chosen[2], 1);
    assert_true(figure(&c.selected.v[1]) == figure(&c.e[0].v[1]) && figure(&c.selected.v[2]) == figure(&c.e[1].v[2]));
    assert_int_equal(xr_comparison_table(&c, &table), XR_OK);
    assert_non_null(strstr(table.s, "PER LANGUAGE, so not zero-shot"));
    assert_non_null(strstr(table.s, "en [2], fr [1], sw [2]"));
    char *plot = slurp("chosen/plot.svg");
    assert_int_equal(count(plot, "class=\"bar c0\""), LANGUAGES + 1);
    assert_non_null(strstr(plot, "selected"));
    xr_free(plot);
    same_files("chosen/selected/xnli/test-fr.tsv", "chosen/model-1/xnli/test-fr.tsv");
    same_files("chosen/selected/xnli/test-sw.tsv", "chosen/model-2/xnli/test-sw.tsv");
    json_t *j = xr_comparison_json(&c);
    assert_int_equal(json_array_size(json_object_get(j, "models")), 2);
    json_t *en = json_object_get(json_object_get(json_object_get(j, "selected"), "languages"), "en");
    assert_int_equal(json_integer_value(json_object_get(en, "model")), 2);
    json_decref(j);
    xr_str_free(&table);
    xr_comparison_free(&c);
    xr_options_free(&o);

    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--selection", "training-language", "--training-language", "fr", NULL);
    compare(&c, &o);
    for (int l = 0; l < LANGUAGES; l++)
        assert_int_equal(c.chosen[l], 1);
    assert_int_equal(xr_comparison_table(&c, &table), XR_OK);
    assert_non_null(strstr(table.s, "\nselection: [2], best on the dev file of the training language (fr); no per-language"));
    assert_non_null(strstr(table.s, "fr minus the mean of the others"));
    xr_str_free(&table);
    xr_comparison_free(&c);
    xr_options_free(&o);
}

/* Translate-train: "LANG=DIR", one row each. */
static void a_model_a_language(void **state)
{
    (void)state;
    static char fr[300], en[300];
    xr_options o, all;
    xr_comparison c;
    xr_evaluation e;
    xr_str table = { 0 };
    snprintf(fr, sizeof fr, "fr=%s", in_scratch("other"));
    snprintf(en, sizeof en, "en=%s", in_scratch("xtreme"));
    options(&o, "--model", fr, en, "--data-dir", "@data", "--protocol", "translate-train", "--output-dir", "@languages", NULL);
    assert_true(xr_compare_wanted(&o));
    compare(&c, &o);
    options(&all, "--model", "@other", "--data-dir", "@data", NULL);
    assert_false(xr_compare_wanted(&all));
    assert_int_equal(xr_evaluate_run(&e, &all, NULL), XR_OK);
    assert_int_equal(c.selected.n, 2);
    assert_string_equal(c.selected.v[0].language, "fr");
    assert_true(figure(&c.selected.v[0]) == figure(&e.v[1]));
    size_t n;
    assert_true(fabs(xr_evaluation_mean(&c.selected, "accuracy", &n) - (figure(&c.e[0].v[0]) + figure(&c.e[1].v[0])) / 2) < 1e-15);
    assert_int_equal(xr_comparison_table(&c, &table), XR_OK);
    assert_non_null(strstr(table.s, "\nfr: "));
    assert_non_null(strstr(table.s, "\nfr                 40"));
    assert_null(strstr(table.s, "[1]"));
    assert_non_null(strstr(table.s, "\nprotocol: translate-train\nselection: a model for each language, as given\n"));
    same_files("languages/selected/xnli/test-fr.tsv", "chosen/model-1/xnli/test-fr.tsv");
    same_files("languages/selected/xnli/test-en.tsv", "chosen/model-2/xnli/test-en.tsv");
    xr_str_free(&table);
    xr_evaluation_free(&e);
    xr_options_free(&all);
    xr_comparison_free(&c);
    xr_options_free(&o);
}

static void refused(xr_options *o, xr_status status, const char *part)
{
    xr_comparison c;
    assert_true(xr_compare_run(&c, o, NULL) < 0);
    expect_error(status, part);
    xr_comparison_free(&c);
    xr_options_free(o);
}

static void refusals(void **state)
{
    (void)state;
    static char twice[300];
    xr_options o;
    options(&o, "--model", "@hf", "--data-dir", "@data", "--selection", "per-language", NULL);
    refused(&o, XR_EUSAGE, "chooses among several models");
    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--selection", "per-language", "--split", "dev", NULL);
    refused(&o, XR_EUSAGE, "leave out --split dev");
    options(&o, "--model", "en=x", "@other", "--data-dir", "@data", NULL);
    refused(&o, XR_EUSAGE, "give all models one (LANG=DIR), or none");
    snprintf(twice, sizeof twice, "en=%s", in_scratch("hf"));
    options(&o, "--model", twice, twice, "--data-dir", "@data", NULL);
    refused(&o, XR_EUSAGE, "two models for one language");
    options(&o, "--model", "en=x", "fr=y", "--languages", "en", "--data-dir", "@data", NULL);
    refused(&o, XR_EUSAGE, "leave out --languages");
    options(&o, "--model", "@hf", "@nowhere", "--data-dir", "@data", NULL);
    refused(&o, XR_ENOINPUT, "nowhere");
    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--selection", "training-language", "--training-language", "zh", NULL);
    refused(&o, XR_ENOINPUT, "dev-zh.tsv: no such file");
    write_scratch("data/dev-en.tsv", "river\thouse\nstone\teau\n");
    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--selection", "training-language", NULL);
    refused(&o, XR_ENOINPUT, "has no labelled dev file for 'en'");
}

static void one_model_with_an_interval(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    xr_str table = { 0 };
    options(&o, "--model", "@hf", "--data-dir", "@data", "--bootstrap", "500", NULL);
    assert_int_equal(xr_evaluate_run(&e, &o, NULL), XR_OK);
    assert_int_equal(xr_evaluation_table(&e, &table), XR_OK);
    assert_non_null(strstr(table.s, "accuracy  macro F1    95 % interval\n"));
    assert_null(strstr(table.s, "randomisation"));
    json_t *j = xr_evaluation_json(&e), *en = json_object_get(json_object_get(j, "languages"), "en");
    assert_true(json_real_value(json_object_get(json_object_get(en, "interval"), "low")) == e.v[0].statistic.low);
    assert_int_equal(json_integer_value(json_object_get(j, "bootstrap")), 500);
    json_decref(j);
    xr_str_free(&table);
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

/* Beside a model of the size of base; the paper's average is one of 15 languages and not of these three. */
static void published_figures_stand_beside(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    xr_str table = { 0 }, plot = { 0 };
    options(&o, "--model", "@hf", "--data-dir", "@data", "--bootstrap", "50", NULL);
    assert_int_equal(xr_evaluate_run(&e, &o, NULL), XR_OK);
    const xr_evaluation *const one = &e;
    assert_int_equal(xr_evaluation_plot(&one, &o.model, 1, &plot), XR_OK);
    assert_int_equal(count(plot.s, "class=\"mark\""), 0);
    assert_int_equal(count(plot.s, "class=\"span\""), 4);
    xr_str_clear(&plot);
    e.context->model.config.num_hidden_layers = 12;
    e.context->model.config.hidden_size = 768;
    assert_int_equal(xr_evaluation_table(&e, &table), XR_OK);
    assert_non_null(strstr(table.s, "95 % interval       (published, base)\n"));
    assert_non_null(strstr(table.s, "]                    66.5\n"));
    assert_non_null(strstr(table.s, "]                           of 3 languages\n"));
    assert_non_null(strstr(table.s, "\npublished: XLM-R base, zero-shot transfer: Conneau et al. 2020"));
    assert_int_equal(xr_evaluation_plot(&one, &o.model, 1, &plot), XR_OK);
    assert_non_null(strstr(plot.s, "published, XLM-R base"));
    assert_non_null(strstr(plot.s, ">sw<"));
    assert_true(count(plot.s, "class=\"mark\"") >= 3);
    json_t *j = xr_evaluation_json(&e), *sw = json_object_get(json_object_get(j, "languages"), "sw");
    json_t *known = json_array_get(json_object_get(sw, "published"), 0);
    assert_true(fabs(json_real_value(json_object_get(known, "value")) - 0.665) < 1e-12);
    json_decref(j);
    xr_str_free(&table);
    xr_str_free(&plot);
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

static void out_of_memory(void **state)
{
    (void)state;
    xr_options o;
    xr_comparison c;
    xr_status status = XR_ESYSTEM;
    write_data("dev", 0, NULL);
    options(&o, "--model", "@hf", "@other", "--data-dir", "@data", "--languages", "en", "--bootstrap", "3", "--selection", "per-language", "--output-dir",
            "@out-memory", NULL);
    long live = xr_alloc_live();
    for (long k = 0; status == XR_ESYSTEM; k = next_failure(k, 4)) {
        xr_alloc_fail_after(k);
        status = xr_compare_run(&c, &o, NULL);
        xr_alloc_fail_after(-1);
        xr_comparison_free(&c);
        assert_int_equal(xr_alloc_live(), live);
        assert_true(status == XR_OK || !xr_path_exists(in_scratch("out-memory")));
        xr_error_clear();
    }
    assert_int_equal(status, XR_OK);
    xr_options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(figures_are_those_of_each_model, clear_error),
        cmocka_unit_test_teardown(the_average_keeps_rows_together, clear_error),
        cmocka_unit_test_teardown(the_same_model_is_no_different, clear_error),
        cmocka_unit_test_teardown(selection, clear_error),
        cmocka_unit_test_teardown(a_model_a_language, clear_error),
        cmocka_unit_test_teardown(refusals, clear_error),
        cmocka_unit_test_teardown(one_model_with_an_interval, clear_error),
        cmocka_unit_test_teardown(published_figures_stand_beside, clear_error),
        cmocka_unit_test_teardown(out_of_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
