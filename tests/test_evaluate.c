/* Evaluation over languages: names of labels, files, figures, prediction files, and what must be refused. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "train/evaluate_classes.h"
#include "util/alloc.h"

enum { ROWS = 60 };
static const char *const languages[] = { "en", "fr", "sw" };
static const char *const nli[] = { "entailment", "neutral", "contradiction" };

static int gold(int language, int i)
{
    return (i * 7 + i / 5 + language) % 3;
}

/* labels = 0: XTREME's two columns. One language spells a label as XNLI's training files do. */
static void write_language(const char *dir, int l, int labels)
{
    xr_str text = { 0 };
    char name[48];
    for (int i = 0; i < ROWS; i++) {
        const char *label = nli[gold(l, i)];
        unsigned at = (unsigned)(1000 * l + 2 * i);
        xr_str_printf(&text, "%s\t%s", tiny_sentence(at), tiny_sentence(at + 1));
        if (labels)
            xr_str_printf(&text, "\t%s", l == 1 && strcmp(label, "contradiction") == 0 ? "contradictory" : label);
        xr_str_putc(&text, '\n');
    }
    snprintf(name, sizeof name, "%s/test-%s.tsv", dir, languages[l]);
    write_scratch(name, text.s);
    xr_str_free(&text);
}

/* XNLI-1.0: one file, languages mixed, a header with more columns than are used. */
static void write_xnli_file(const char *name)
{
    xr_str text = { 0 };
    xr_str_puts(&text, "language\tgold_label\tsentence1\tsentence2\tpromptID\n");
    for (int i = 0; i < ROWS; i++)
        for (int l = 0; l < 3; l++) {
            unsigned at = (unsigned)(1000 * l + 2 * i);
            xr_str_printf(&text, "%s\t%s\t%s\t%s\t%d\n", languages[l], nli[gold(l, i)], tiny_sentence(at),
                          tiny_sentence(at + 1), i);
        }
    write_scratch(name, text.s);
    xr_str_free(&text);
}

/* Options as `xlmr evaluate` would have them: pairs of key and value; @ starts a path under scratch. */
static void options(xr_options *o, const char *model, const char *data, ...)
{
    va_list ap;
    const char *key;
    assert_int_equal(xr_options_init(o, XR_V_EVALUATE), XR_OK);
    assert_int_equal(xr_options_set(o, "model", in_scratch(model)), XR_OK);
    assert_int_equal(xr_options_set(o, "data_dir", in_scratch(data)), XR_OK);
    va_start(ap, data);
    while ((key = va_arg(ap, const char *))) {
        const char *value = va_arg(ap, const char *);
        if (xr_options_set(o, key, value[0] == '@' ? in_scratch(value + 1) : value) < 0)
            fail_msg("%s", xr_error_message());
    }
    va_end(ap);
}

static double figure(const xr_scored *s, const char *name)
{
    double value;
    assert_true(xr_scored_get(s, name, &value));
    return value;
}

static void evaluate(xr_evaluation *e, const xr_options *o)
{
    if (xr_evaluate_run(e, o, NULL) < 0)
        fail_msg("%s", xr_error_message());
}

/* What makes the mean logits of model hf zero, so that it gives every answer now and then. */
static void centre(float shift[3])
{
    xr_options o;
    xr_evaluation e;
    options(&o, "hf", "data", "languages", "en", NULL);
    evaluate(&e, &o);
    for (int k = 0; k < 3; k++) {
        shift[k] = 0;
        for (int i = 0; i < ROWS; i++)
            shift[k] -= e.v[0].logits[3 * i + k] / ROWS;
    }
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

static int make_everything(void **state)
{
    static const char *const xtreme[] = { "contradiction", "entailment", "neutral" };
    static const char *const fairseq[] = { "contradiction", "neutral", "entailment" };
    static const char *const numbers[] = { "LABEL_0", "LABEL_1", "LABEL_2" };
    static const int as_is[] = { 0, 1, 2 }, to_xtreme[] = { 2, 0, 1 }, to_fairseq[] = { 2, 1, 0 };
    const float spread = 30;
    float shift[3];
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    assert_int_equal(xr_mkdirs(in_scratch("data")), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("one")), XR_OK);
    for (int l = 0; l < 3; l++)
        write_language("data", l, 1);
    write_xnli_file("one/xnli.test.tsv");
    make_tiny_dir("hf", "tiny-cls", nli, as_is, spread, NULL);
    centre(shift);
    make_tiny_dir("hf", "tiny-cls", nli, as_is, spread, shift);
    make_tiny_dir("xtreme", "tiny-cls", xtreme, to_xtreme, spread, shift);
    make_tiny_dir("fairseq", "tiny-cls", fairseq, to_fairseq, spread, shift);
    make_tiny_dir("numbers", "tiny-cls", numbers, to_xtreme, spread, shift);
    make_tiny_dir("multi", "tiny-multi", NULL, NULL, spread, NULL);
    make_tiny_dir("value", "tiny-reg", NULL, NULL, spread, NULL);
    return 0;
}

static void refused(xr_options *o, xr_status status, const char *part)
{
    xr_evaluation e;
    assert_true(xr_evaluate_run(&e, o, NULL) < 0);
    expect_error(status, part);
    xr_evaluation_free(&e);
    xr_options_free(o);
}

static char *slurp(const char *name)
{
    size_t len;
    char *text = xr_file_read(in_scratch(name), 1 << 20, &len);
    if (!text)
        fail_msg("%s", xr_error_message());
    return text;
}

/* Accuracy of a prediction file, counted here. */
static double accuracy_of_file(const char *name, int l)
{
    char *text = slurp(name), *line = text;
    int right = 0, i = 0;
    for (char *end; (end = strchr(line, '\n')); line = end + 1, i++) {
        *end = '\0';
        right += i < ROWS && strcmp(line, nli[gold(l, i)]) == 0;
    }
    assert_int_equal(i, ROWS);
    assert_int_equal(*line, '\0');
    xr_free(text);
    return (double)right / ROWS;
}

static void same_files(const char *a, const char *b)
{
    char *x = slurp(a), *y = slurp(b);
    assert_string_equal(x, y);
    xr_free(x);
    xr_free(y);
}

/* The same weights under the three label orders in use, and under names that need a map, give the same answers. */
static void labels_go_by_name(void **state)
{
    (void)state;
    static const char *const model[] = { "hf", "xtreme", "fairseq", "numbers" };
    double expected[3];
    for (int k = 0; k < 4; k++) {
        xr_options o;
        xr_evaluation e;
        char out[32], name[48], hf[48];
        snprintf(out, sizeof out, "@out-%s", model[k]);
        options(&o, model[k], "data", "output_dir", out, NULL);
        if (k == 3)
            assert_int_equal(xr_options_set(&o, "label_map",
                                            "LABEL_0=contradiction,LABEL_1=entailment,LABEL_2=neutral"), XR_OK);
        evaluate(&e, &o);
        assert_int_equal(e.n, 3);
        for (int l = 0; l < 3; l++) {
            snprintf(name, sizeof name, "out-%s/xnli/test-%s.tsv", model[k], languages[l]);
            snprintf(hf, sizeof hf, "out-hf/xnli/test-%s.tsv", languages[l]);
            assert_string_equal(e.v[l].language, languages[l]);
            assert_true(figure(&e.v[l], "accuracy") == accuracy_of_file(name, l));
            assert_int_equal(xr_confusion_single_answer(xr_classes_confusion(&e.v[l])), -1);
            expected[l] = k ? expected[l] : figure(&e.v[l], "accuracy");
            assert_true(figure(&e.v[l], "accuracy") == expected[l]);
            same_files(name, hf);
        }
        xr_evaluation_free(&e);
        xr_options_free(&o);
    }
}

static void unknown_labels(void **state)
{
    (void)state;
    xr_options o;
    options(&o, "numbers", "data", NULL);
    refused(&o, XR_EDATA, "LABEL_0, LABEL_1, LABEL_2; XNLI needs exactly entailment");
    options(&o, "numbers", "data", "label_map", "LABEL_0=entailment,LABEL_1=entailment", NULL);
    refused(&o, XR_EDATA, "'LABEL_0' and 'LABEL_1' are both read as 'entailment'");
    options(&o, "multi", "data", NULL);
    refused(&o, XR_EDATA, "--label-map LABEL_0=NAME");
    options(&o, "tok", "data", NULL);
    refused(&o, XR_ENOINPUT, "config.json");
}

static void files(void **state)
{
    (void)state;
    xr_options o;
    options(&o, "hf", "data", "languages", "en,zh", NULL);
    refused(&o, XR_ENOINPUT, "test-zh.tsv: no such file");
    options(&o, "hf", "one", "languages", "zh", NULL);
    refused(&o, XR_ENOINPUT, "no rows in language 'zh' (--languages); the file has: en, fr, sw");
    options(&o, "hf", "data", "split", "dev", NULL);
    refused(&o, XR_ENOINPUT, "no files dev-{language}.tsv");
    options(&o, "hf", "nowhere", NULL);
    refused(&o, XR_ENOINPUT, "nowhere: cannot open the folder");
    options(&o, "hf", "data", "languages", "en,,fr", NULL);
    refused(&o, XR_EUSAGE, "an empty name");
    options(&o, "hf", "data", "languages", "en,fr,en", NULL);
    refused(&o, XR_EUSAGE, "'en' is named twice");
    options(&o, "hf", "data", "max_seq_length", "39", NULL);
    refused(&o, XR_EUSAGE, "positions for 38 tokens");
    write_scratch("data/test-fr.csv", "sentence1,sentence2,label\na,b,neutral\n");
    options(&o, "hf", "data", NULL);
    refused(&o, XR_EDATA, "expected one file a language");
    unlink(in_scratch("data/test-fr.csv"));
}

static void chosen_languages_and_other_names(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    write_scratch("data/test-fr-en-translated.tsv", "five\tcolumns\tare\tnot\tread\n");
    write_scratch("data/test-en.md", "not data");
    options(&o, "hf", "data", NULL);
    evaluate(&e, &o);
    assert_int_equal(e.n, 3);
    xr_evaluation_free(&e);
    assert_int_equal(xr_options_set(&o, "languages", " sw ,en"), XR_OK);
    evaluate(&e, &o);
    assert_int_equal(e.n, 2);
    assert_string_equal(e.v[0].language, "en");
    assert_string_equal(e.v[1].language, "sw");
    xr_evaluation_free(&e);
    xr_options_free(&o);
    unlink(in_scratch("data/test-fr-en-translated.tsv"));
    unlink(in_scratch("data/test-en.md"));
}

static void xnli_1_0(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    options(&o, "hf", "one", "output_dir", "@out-one", NULL);
    evaluate(&e, &o);
    assert_int_equal(e.n, 3);
    xr_evaluation_free(&e);
    xr_options_free(&o);
    same_files("out-one/xnli/test-en.tsv", "out-hf/xnli/test-en.tsv");
    same_files("out-one/xnli/test-sw.tsv", "out-hf/xnli/test-sw.tsv");
    same_files("out-one/results.tsv", "out-hf/results.tsv");
}

/* XTREME's translations into English: both texts, both translated, the label; or the translations alone. */
static void translate_test(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    xr_str five = { 0 }, three = { 0 };
    assert_int_equal(xr_mkdirs(in_scratch("tt")), XR_OK);
    write_language("tt", 0, 1);
    write_language("tt", 1, 0);
    for (int i = 0; i < ROWS; i++) {
        const char *a = tiny_sentence((unsigned)(1000 + 2 * i)), *b = tiny_sentence((unsigned)(1001 + 2 * i));
        xr_str_printf(&five, "un\tdeux\t%s\t%s\t%s\n", a, b, nli[gold(1, i)]);
        xr_str_printf(&three, "%s\t%s\t%s\n", a, b, nli[gold(1, i)]);
    }
    options(&o, "hf", "tt", "protocol", "translate-test", "output_dir", "@out-tt", NULL);
    write_scratch("tt/test-sw-en-translated.tsv", three.s);
    write_scratch("tt/test-fr-en-translated.tsv", five.s);
    evaluate(&e, &o);
    assert_int_equal(e.n, 3);
    assert_string_equal(e.v[1].language, "fr");
    assert_int_equal(e.v[1].n, ROWS);
    assert_true(figure(&e.v[1], "accuracy") == figure(&e.v[2], "accuracy"));
    xr_evaluation_free(&e);
    same_files("out-tt/xnli/test-en.tsv", "out-hf/xnli/test-en.tsv");
    same_files("out-tt/xnli/test-fr.tsv", "out-hf/xnli/test-fr.tsv");
    same_files("out-tt/xnli/test-sw.tsv", "out-hf/xnli/test-fr.tsv");
    assert_int_equal(xr_options_set(&o, "languages", "de"), XR_OK);
    refused(&o, XR_ENOINPUT, "test-de-en-translated.tsv: no such file");
    options(&o, "hf", "one", "protocol", "translate-test", NULL);
    refused(&o, XR_ENOINPUT, "which --protocol translate-test reads");
    options(&o, "hf", "tt", "task", "tag", "protocol", "translate-test", NULL);
    refused(&o, XR_EUSAGE, "--task tag does not read translations");
    xr_str_free(&five);
    xr_str_free(&three);
}

static void without_gold_labels(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    xr_str table = { 0 };
    size_t n;
    double gap;
    assert_int_equal(xr_mkdirs(in_scratch("hidden")), XR_OK);
    write_language("hidden", 0, 0);
    write_language("hidden", 2, 1);
    options(&o, "hf", "hidden", "output_dir", "@out-hidden", NULL);
    evaluate(&e, &o);
    assert_false(e.v[0].labelled);
    assert_true(e.v[1].labelled);
    assert_true(xr_evaluation_mean(&e, "accuracy", &n) == figure(&e.v[1], "accuracy"));
    assert_int_equal(n, 1);
    assert_false(xr_evaluation_gap(&e, "accuracy", &gap));
    assert_int_equal(xr_evaluation_table(&e, &table), XR_OK);
    assert_non_null(strstr(table.s, "\nen                 60         -         -\n"));
    assert_non_null(strstr(table.s, "1 file without gold labels; predictions only"));
    json_t *j = xr_evaluation_json(&e);
    json_t *en = json_object_get(json_object_get(j, "languages"), "en");
    assert_true(json_is_null(json_object_get(en, "accuracy")));
    assert_int_equal(json_integer_value(json_object_get(en, "examples")), ROWS);
    assert_int_equal(json_integer_value(json_object_get(en, "n")), 0);
    assert_true(json_is_null(json_object_get(j, "transfer_gap")));
    json_decref(j);
    xr_str_free(&table);
    xr_evaluation_free(&e);
    xr_options_free(&o);
    same_files("out-hidden/xnli/test-en.tsv", "out-hf/xnli/test-en.tsv");
}

/* A '-' for a label keeps its line in the prediction file and leaves the count. */
static void dash_labels(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    assert_int_equal(xr_mkdirs(in_scratch("dash")), XR_OK);
    write_scratch("dash/test-en.tsv", "river\thouse\tneutral\nstone\teau\t-\nred\tpetit\tentailment\n");
    options(&o, "hf", "dash", "output_dir", "@out-dash", NULL);
    evaluate(&e, &o);
    assert_int_equal(e.v[0].data.n, 3);
    assert_int_equal(e.v[0].n, 2);
    char *text = slurp("out-dash/xnli/test-en.tsv");
    int lines = 0;
    for (const char *s = text; *s; s++)
        lines += *s == '\n';
    assert_int_equal(lines, 3);
    xr_free(text);
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

static void averages_and_table(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    xr_str table = { 0 };
    char expected[160];
    double gap;
    options(&o, "hf", "data", "confusion", "true", "protocol", "translate-train", NULL);
    evaluate(&e, &o);
    const double en = figure(&e.v[0], "accuracy"), fr = figure(&e.v[1], "accuracy"), sw = figure(&e.v[2], "accuracy");
    assert_true(xr_evaluation_gap(&e, "accuracy", &gap));
    assert_true(fabs(gap - (en - (fr + sw) / 2)) < 1e-15);
    assert_int_equal(xr_evaluation_table(&e, &table), XR_OK);
    snprintf(expected, sizeof expected, "\nfr                 60%10.2f%10.2f\n", 100 * fr,
             100 * figure(&e.v[1], "f1_macro"));
    assert_non_null(strstr(table.s, expected));
    snprintf(expected, sizeof expected, "\naverage              %10.2f", 100 * (en + fr + sw) / 3);
    assert_non_null(strstr(table.s, expected));
    double f1_gap = figure(&e.v[0], "f1_macro") - (figure(&e.v[1], "f1_macro") + figure(&e.v[2], "f1_macro")) / 2;
    snprintf(expected, sizeof expected, "\ntransfer gap         %10.2f%10.2f   en minus", 100 * gap, 100 * f1_gap);
    assert_non_null(strstr(table.s, expected));
    assert_non_null(strstr(table.s, "\nprotocol: translate-train\nselection: model as given;"));
    const uint64_t *count = xr_classes_confusion(&e.v[2])->count;
    snprintf(expected, sizeof expected, "\nneutral      %15d%15d%15d\n", (int)count[3], (int)count[4], (int)count[5]);
    assert_non_null(strstr(strstr(table.s, "\nsw: gold label"), expected));
    assert_null(strstr(table.s, "published"));
    xr_str_free(&table);
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

static void output_directories(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    options(&o, "hf", "data", "output_dir", "@out-hf", NULL);
    refused(&o, XR_ECANTCREAT, "--overwrite-output-dir");
    options(&o, "hf", "data", "output_dir", "@out-hf", "overwrite_output_dir", "true", "languages", "fr", NULL);
    evaluate(&e, &o);
    xr_evaluation_free(&e);
    xr_options_free(&o);
    assert_false(xr_path_exists(in_scratch("out-hf/xnli/test-en.tsv")));
    assert_true(xr_path_exists(in_scratch("out-hf/results.json")));
    write_scratch("data/test-sw.tsv", "river\thouse\tneutral\nstone\teau\tmaybe\n");
    options(&o, "hf", "data", "output_dir", "@out-none", NULL);
    refused(&o, XR_EDATA, "test-sw.tsv:2: unknown label 'maybe'");
    assert_false(xr_path_exists(in_scratch("out-none")));
    write_language("data", 2, 1);
}

static void same_bits(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation one, more;
    int before = xr_threads();
    options(&o, "hf", "data", NULL);
    xr_threads_set(1);
    evaluate(&one, &o);
    for (int t = 2; t <= 4; t += 2) {
        xr_threads_set(t);
        evaluate(&more, &o);
        for (int l = 0; l < 3; l++)
            assert_memory_equal(one.v[l].logits, more.v[l].logits, ROWS * 3 * sizeof(float));
        xr_evaluation_free(&more);
    }
    xr_threads_set(before);
    xr_evaluation_free(&one);
    xr_options_free(&o);
}

/* A damaged head is an error, not an accuracy. */
static void not_finite(void **state)
{
    (void)state;
    xr_options o;
    make_tiny_dir("infinite", "tiny-cls", NULL, NULL, INFINITY, NULL);
    options(&o, "infinite", "data", NULL);
    refused(&o, XR_EDATA, "infinite: the model's answer is");
}

static void other_problems(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    size_t n;
    assert_int_equal(xr_mkdirs(in_scratch("sets")), XR_OK);
    write_scratch("sets/dev-en.jsonl", "{\"text\": \"river stone\", \"label\": [\"LABEL_1\"]}\n"
                                       "{\"text\": \"red house\", \"label\": []}\n");
    options(&o, "multi", "sets", "task", "classify", "split", "dev", "output_dir", "@out-sets", NULL);
    evaluate(&e, &o);
    assert_int_equal(e.v[0].n, 2);
    (void)xr_evaluation_mean(&e, "f1_micro", &n);
    assert_int_equal(n, 1);
    xr_evaluation_free(&e);
    xr_options_free(&o);
    assert_true(xr_path_exists(in_scratch("out-sets/classify/dev-en.tsv")));
    assert_int_equal(xr_mkdirs(in_scratch("values")), XR_OK);
    write_scratch("values/dev-en.tsv", "river\t1.5\nstone house\t2\nred\t0.25\n");
    options(&o, "value", "values", "task", "classify", "split", "dev", NULL);
    evaluate(&e, &o);
    assert_true(e.v[0].labelled && fabs(figure(&e.v[0], "pearson")) <= 1);
    assert_int_equal(e.v[0].n, 3);
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

/* Out of memory anywhere is a status, and nothing stays behind. */
static void out_of_memory(void **state)
{
    (void)state;
    xr_options o;
    xr_evaluation e;
    xr_status status = XR_ESYSTEM;
    options(&o, "hf", "data", "languages", "en", "output_dir", "@out-memory", NULL);
    long live = xr_alloc_live();
    for (long k = 0; status == XR_ESYSTEM; k = next_failure(k, 4)) {
        xr_alloc_fail_after(k);
        status = xr_evaluate_run(&e, &o, NULL);
        xr_alloc_fail_after(-1);
        xr_evaluation_free(&e);
        assert_int_equal(xr_alloc_live(), live);
        assert_true(status == XR_OK || !xr_path_exists(in_scratch("out-memory")));
        xr_error_clear();
    }
    assert_int_equal(status, XR_OK);
    xr_options_free(&o);
}

/* All 15 languages of the real files, the first rows of each, with a small random model. */
static void real_xnli(void **state)
{
    static const char *const order[] = { "en", "fr", "es", "de", "el", "bg", "ru", "tr",
                                         "ar", "vi", "th", "zh", "hi", "sw", "ur" };
    (void)state;
    const char *data = getenv("XLMR_DATA");
    char path[512];
    snprintf(path, sizeof path, "%s/xnli", data ? data : "../shared/data");
    if (!xr_path_is_dir(path)) {
        print_message("real XNLI files: no folder %s; set XLMR_DATA\n", path);
        skip();
    }
    xr_options o;
    xr_evaluation e;
    options(&o, "hf", "data", "data_dir", path, "max_eval_samples", "12", "output_dir", "@out-real", NULL);
    evaluate(&e, &o);
    assert_int_equal(e.n, 15);
    for (size_t i = 0; i < 15; i++) {
        assert_string_equal(e.v[i].language, order[i]);
        assert_int_equal(e.v[i].n, 12);
        for (int g = 0; g < 3; g++) {               /* XNLI's test set has its labels in turn */
            const uint64_t *row = xr_classes_confusion(&e.v[i])->count + 3 * g;
            assert_int_equal(row[0] + row[1] + row[2], 4);
        }
    }
    xr_evaluation_free(&e);
    xr_options_free(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(labels_go_by_name, clear_error),
        cmocka_unit_test_teardown(unknown_labels, clear_error),
        cmocka_unit_test_teardown(files, clear_error),
        cmocka_unit_test_teardown(chosen_languages_and_other_names, clear_error),
        cmocka_unit_test_teardown(xnli_1_0, clear_error),
        cmocka_unit_test_teardown(translate_test, clear_error),
        cmocka_unit_test_teardown(without_gold_labels, clear_error),
        cmocka_unit_test_teardown(dash_labels, clear_error),
        cmocka_unit_test_teardown(averages_and_table, clear_error),
        cmocka_unit_test_teardown(output_directories, clear_error),
        cmocka_unit_test_teardown(same_bits, clear_error),
        cmocka_unit_test_teardown(not_finite, clear_error),
        cmocka_unit_test_teardown(other_problems, clear_error),
        cmocka_unit_test_teardown(out_of_memory, clear_error),
        cmocka_unit_test_teardown(real_xnli, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
