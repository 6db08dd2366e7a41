/* Predictions: one line per record in the order of the input, numbers by definition, bad records, chunks, formats. */
#include "memory.h"
#include "tiny_dir.h"

#include <math.h>
#include <zlib.h>

#include "kernels/gemm.h"
#include "train/predict.h"
#include "util/alloc.h"
#include "util/json.h"

static int make_everything(void **state)
{
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", NULL, NULL, 10, NULL);
    make_tiny_dir("multi", "tiny-multi", NULL, NULL, 10, NULL);
    make_tiny_dir("value", "tiny-reg", NULL, NULL, 10, NULL);
    make_tiny_dir("tag", "tiny-tag", NULL, NULL, 10, NULL);
    return 0;
}

typedef struct sink {
    xr_str text;
    size_t calls;
} sink;

static xr_status collect(void *context, const char *lines, size_t len)
{
    sink *s = context;
    s->calls++;
    return xr_str_append(&s->text, lines, len);
}

/* Runs on one file of the scratch folder; `more` are pairs of option and value up to NULL. */
static xr_status predict(sink *s, const char *model, const char *file, const char *const *more, xr_predict *result)
{
    xr_options o;
    const char *args[] = { in_scratch(file), NULL };
    memset(s, 0, sizeof *s);
    assert_int_equal(xr_options_init(&o, XR_V_PREDICT), XR_OK);
    assert_int_equal(xr_options_set(&o, "model", in_scratch(model)), XR_OK);
    for (; more && *more; more += 2)
        assert_int_equal(xr_options_set(&o, more[0], more[1]), XR_OK);
    o.args = args;
    o.n_args = 1;
    xr_predict p = { .o = &o, .context = s, .write = collect };
    xr_status status = xr_predict_run(&p);
    o.args = NULL;          /* the options own theirs */
    xr_options_free(&o);
    if (result)
        *result = p;
    return status;
}

/* Line i as JSON, parsed by jansson; the caller decrefs. */
static json_t *line_at(const sink *s, size_t i)
{
    const char *line = s->text.s ? s->text.s : "";
    while (i-- && (line = strchr(line, '\n')))
        line++;
    assert_non_null(line);
    const char *end = strchr(line, '\n');
    assert_non_null(end);
    json_t *j = xr_json_parse(line, (size_t)(end - line), "line");
    assert_non_null(j);
    return j;
}

static size_t count_lines(const sink *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->text.len; i++)
        n += s->text.s[i] == '\n';
    return n;
}

static double number(const json_t *j, const char *key)
{
    const json_t *value = json_object_get(j, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

static json_t *answer(xr_config *c, const float *logits, int top_k)
{
    xr_str text = { 0 };
    assert_int_equal(xr_predict_line(c, logits, top_k, &text), XR_OK);
    json_t *j = xr_json_parse(text.s, text.len, "answer");
    assert_non_null(j);
    xr_str_free(&text);
    return j;
}

/* Expected values: torch.softmax and torch.sigmoid in float64. */
static void numbers(void **state)
{
    (void)state;
    char *label[] = { (char[]){ "a" }, (char[]){ "b \"x\"" }, (char[]){ "ц" } };
    xr_config c = { .num_labels = 3, .label = label, .problem = XR_PROBLEM_SINGLE_LABEL };
    json_t *j = answer(&c, (const float[]){ 1, 2, 3 }, 0), *scores = json_object_get(j, "scores");
    assert_string_equal(json_string_value(json_object_get(j, "label")), "ц");
    assert_true(fabs(number(j, "score") - 0.6652409557748219) < 1e-7);
    assert_true(fabs(number(scores, "a") - 0.09003057317038046) < 1e-8);
    assert_true(fabs(number(scores, "b \"x\"") - 0.24472847105479767) < 1e-7);
    json_decref(j);
    j = answer(&c, (const float[]){ 1000, -1000, 1000 }, 2);            /* no overflow; the first of equals */
    scores = json_object_get(j, "scores");
    assert_string_equal(json_string_value(json_object_get(j, "label")), "a");
    assert_true(number(scores, "a") == 0.5 && number(scores, "ц") == 0.5);
    assert_int_equal(json_object_size(scores), 2);
    json_decref(j);
    c.problem = XR_PROBLEM_MULTI_LABEL;
    j = answer(&c, (const float[]){ 0.1f, -1, 2 }, 0);
    scores = json_object_get(j, "scores");
    assert_int_equal(json_array_size(json_object_get(j, "labels")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(j, "labels"), 1)), "ц");
    assert_true(fabs(number(scores, "b \"x\"") - 0.2689414213699951) < 1e-7);
    assert_true(fabs(number(scores, "ц") - 0.8807970779778823) < 1e-7);
    json_decref(j);
    c.problem = XR_PROBLEM_REGRESSION;
    c.num_labels = 1;
    j = answer(&c, (const float[]){ -0.1f }, 0);
    assert_true((float)number(j, "value") == -0.1f);
    json_decref(j);
}

/* The same records in every form; labels that stand there are not looked at. */
static void formats(void **state)
{
    (void)state;
    sink expected, s;
    static const char *const swapped[] = { "text_column", "2", "text_pair_column", "1", NULL };
    write_scratch("a.jsonl", "{\"premise\": \"bafu\", \"hypothesis\": \"dogi, la\", \"label\": {\"not\": \"read\"}}\n"
                             "\n{\"premise\": \"le \\u0062o\", \"hypothesis\": \"\"}\n");
    write_scratch("a.tsv", "bafu\tdogi, la\nle bo\t\n");
    write_scratch("b.tsv", "dogi, la\tbafu\n\tle bo\n");
    write_scratch("a.csv", "id,sentence1,sentence2,label\n7,bafu,\"dogi, la\",\n8,le bo,,what\n");
    gzFile gz = gzopen(in_scratch("a.gz"), "wb");
    gzputs(gz, "bafu\tdogi, la\nle bo\t\n");
    gzclose(gz);
    assert_int_equal(predict(&expected, "cls", "a.jsonl", NULL, NULL), XR_OK);
    assert_int_equal(count_lines(&expected), 2);
    const struct { const char *file; const char *const *more; } row[] = {
        { "a.tsv", NULL }, { "b.tsv", swapped }, { "a.csv", NULL }, { "a.gz", NULL },
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        if (predict(&s, "cls", row[i].file, row[i].more, NULL) < 0)
            fail_msg("%s: %s", row[i].file, xr_error_message());
        assert_string_equal(s.text.s, expected.text.s);
        xr_str_free(&s.text);
    }
    xr_str_free(&expected.text);
}

/* More than two chunks: as many lines, in order, the same answer to the same text wherever it stands. */
static void chunks(void **state)
{
    (void)state;
    enum { N = 2 * XR_PREDICT_CHUNK + 77, BAD = 5 };
    static const char *const skip_few[] = { "on_bad_record", "skip", NULL };
    xr_str text = { 0 };
    sink s, one;
    xr_predict p;
    for (unsigned i = 0; i < N; i++)
        xr_str_printf(&text, "{\"text\": \"%s\"}\n", i == BAD ? "" : tiny_sentence(i));
    write_scratch("many.jsonl", text.s);
    xr_str_free(&text);
    assert_int_equal(predict(&s, "cls", "many.jsonl", skip_few, &p), XR_OK);
    assert_int_equal(count_lines(&s), N);
    for (size_t i = 0; i < N; i++) {
        json_t *j = line_at(&s, i);
        assert_non_null(json_object_get(j, i == BAD ? "error" : "label"));
        json_decref(j);
    }
    assert_int_equal(s.calls, 3);
    assert_int_equal(p.n, N);
    for (unsigned i = 3; i < N; i += XR_PREDICT_CHUNK - 1) {
        char record[300];
        snprintf(record, sizeof record, "{\"text\": \"%s\"}\n", tiny_sentence(i));
        write_scratch("one.jsonl", record);
        assert_int_equal(predict(&one, "cls", "one.jsonl", NULL, NULL), XR_OK);
        json_t *a = line_at(&s, i), *b = line_at(&one, 0);
        assert_true(fabs(number(a, "score") - number(b, "score")) < 1e-5);
        assert_string_equal(json_string_value(json_object_get(a, "label")),
                            json_string_value(json_object_get(b, "label")));
        json_decref(a);
        json_decref(b);
        xr_str_free(&one.text);
    }
    xr_str_free(&s.text);
}

static void bad_records(void **state)
{
    (void)state;
    static const char *const skip_some[] = { "on_bad_record", "skip", "max_bad_fraction", "0.6", NULL };
    static const char *const skip_few[] = { "on_bad_record", "skip", NULL };
    static const char *const where[] = { "bad.jsonl:1", NULL, "bad.jsonl:3", NULL, "bad.jsonl:5" };
    sink s;
    xr_predict p;
    write_scratch("bad.jsonl", "{\"text\": \" \\u00a0\"}\n{\"text\": \"bafu\"}\n{\"text\": 5}\n{\"text\": \"dogi\"}\n{\"te\n");
    assert_int_equal(predict(&s, "cls", "bad.jsonl", NULL, NULL), XR_EDATA);
    expect_error(XR_EDATA, "bad.jsonl:1: the text is empty");
    xr_str_free(&s.text);
    assert_int_equal(predict(&s, "cls", "bad.jsonl", skip_some, &p), XR_OK);
    assert_int_equal(p.n_bad, 3);
    for (size_t i = 0; i < 5; i++) {
        json_t *j = line_at(&s, i);
        const char *error = json_string_value(json_object_get(j, "error"));
        if (where[i])
            assert_non_null(error && strstr(error, where[i]) ? error : NULL);
        else
            assert_non_null(json_object_get(j, "label"));
        json_decref(j);
    }
    xr_str_free(&s.text);
    assert_int_equal(predict(&s, "cls", "bad.jsonl", skip_few, NULL), XR_EDATA);
    expect_error(XR_EDATA, "3 of 5 records are bad; at most a share of 0.01");
    xr_str_free(&s.text);
}

static void refused_input(void **state)
{
    (void)state;
    static const char *const too_long[] = { "max_seq_length", "39", NULL };
    sink s;
    write_scratch("empty", "");
    write_scratch("header.csv", "text,label\n");
    assert_int_equal(predict(&s, "cls", "empty", NULL, NULL), XR_EDATA);
    expect_error(XR_EDATA, "no records");
    assert_int_equal(predict(&s, "cls", "header.csv", NULL, NULL), XR_EDATA);
    expect_error(XR_EDATA, "no records");
    assert_int_equal(predict(&s, "cls", "nowhere.tsv", NULL, NULL), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "nowhere.tsv");
    write_scratch("one.jsonl", "{\"text\": \"bafu\"}\n");
    assert_int_equal(predict(&s, "cls", "one.jsonl", too_long, NULL), XR_EUSAGE);
    expect_error(XR_EUSAGE, "positions for 38 tokens");
    assert_int_equal(predict(&s, "nothing", "one.jsonl", NULL, NULL), XR_ENOINPUT);
    expect_error(XR_ENOINPUT, "nothing");
}

static void other_problems(void **state)
{
    (void)state;
    sink s;
    write_scratch("one.jsonl", "{\"text\": \"bafu le\"}\n");
    assert_int_equal(predict(&s, "multi", "one.jsonl", NULL, NULL), XR_OK);
    json_t *j = line_at(&s, 0);
    assert_true(json_is_array(json_object_get(j, "labels")));
    assert_int_equal(json_object_size(json_object_get(j, "scores")), 4);
    json_decref(j);
    xr_str_free(&s.text);
    assert_int_equal(predict(&s, "value", "one.jsonl", NULL, NULL), XR_OK);
    j = line_at(&s, 0);
    assert_true(isfinite(number(j, "value")));
    json_decref(j);
    xr_str_free(&s.text);
}

static void out_of_memory(void **state)
{
    (void)state;
    static const char *const skip_some[] = { "on_bad_record", "skip", "max_bad_fraction", "0.6", NULL };
    xr_status status = XR_ESYSTEM;
    sink s;
    write_scratch("two.jsonl", "{\"text\": \"bafu\"}\n{\"text\": \"\"}\n");
    xr_options o;           /* what the options themselves allocate is not what is tested */
    assert_int_equal(xr_options_init(&o, XR_V_PREDICT), XR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(xr_options_set(&o, skip_some[2 * i], skip_some[2 * i + 1]), XR_OK);
    assert_int_equal(xr_options_set(&o, "model", in_scratch("cls")), XR_OK);
    const char *args[] = { in_scratch("two.jsonl"), NULL };
    o.args = args;
    o.n_args = 1;
    long live = xr_alloc_live();
    for (long k = 0; status == XR_ESYSTEM; k = next_failure(k, 6)) {
        memset(&s, 0, sizeof s);
        xr_predict p = { .o = &o, .context = &s, .write = collect };
        xr_alloc_fail_after(k);
        status = xr_predict_run(&p);
        xr_alloc_fail_after(-1);
        xr_str_free(&s.text);
        assert_int_equal(xr_alloc_live(), live);
        xr_error_clear();
    }
    assert_int_equal(status, XR_OK);
    o.args = NULL;
    xr_options_free(&o);
}

/* Line i has these words, one tag for each, and entities that the tags spell. */
static void check_tagged(const sink *s, size_t i, const char *const *word, size_t n)
{
    json_t *j = line_at(s, i);
    const json_t *tokens = json_object_get(j, "tokens"), *tags = json_object_get(j, "tags"), *entities = json_object_get(j, "entities");
    size_t begun = 0;
    assert_int_equal(json_array_size(tokens), n);
    assert_int_equal(json_array_size(tags), n);
    for (size_t k = 0; k < n; k++) {
        assert_string_equal(json_string_value(json_array_get(tokens, k)), word[k]);
        begun += json_string_value(json_array_get(tags, k))[0] == 'B';
    }
    assert_true(json_array_size(entities) >= begun);
    for (size_t k = 0; k < json_array_size(entities); k++) {
        const json_t *e = json_array_get(entities, k);
        size_t begin = (size_t)number(e, "begin"), end = (size_t)number(e, "end");
        assert_true(begin < end && end <= n);
        assert_true(number(e, "score") > 0.0 && number(e, "score") <= 1.0);
        const char *tag = json_string_value(json_array_get(tags, begin)), *text = json_string_value(json_object_get(e, "text"));
        assert_string_equal(json_string_value(json_object_get(e, "type")), tag + 2);
        assert_memory_equal(text, word[begin], strlen(word[begin]));
    }
    json_decref(j);
}

static void tags(void **state)
{
    (void)state;
    static const char *const word[] = { "babo", "nulu", "ti", "\xE2\x80\x8F", "sasa", "ba" }, *const spaced[] = { "babo", "nulu", "ti" };
    static const char *const skip[] = { "on_bad_record", "skip", "max_bad_fraction", "1", NULL };
    static const char *const top[] = { "top_k", "2", NULL }, *const narrow[] = { "max_seq_length", "5", NULL };
    sink s, t;
    xr_predict result;
    write_scratch("words.jsonl", "{\"tokens\": [\"babo\", \"nulu\", \"ti\", \"\\u200f\", \"sasa\", \"ba\"]}\n"
                                 "\n{\"text\": \" babo nulu\xE3\x80\x80ti\\n\"}\n{\"tokens\": [\"babo\", \"nulu\", \"ti\"]}\n"
                                 "{\"text\": \"babo nulu ti\"}\n");
    if (predict(&s, "tag", "words.jsonl", NULL, &result) < 0)
        fail_msg("%s", xr_error_message());
    assert_int_equal(result.n, 4);
    check_tagged(&s, 0, word, 6);
    check_tagged(&s, 1, spaced, 3);
    check_tagged(&s, 2, spaced, 3);
    const char *third = strchr(strchr(s.text.s, '\n') + 1, '\n') + 1, *fourth = strchr(third, '\n') + 1;
    assert_memory_equal(third, fourth, strlen(fourth));      /* the same words, the same answer */
    assert_int_equal(predict(&t, "tag", "words.jsonl", narrow, NULL), XR_OK);     /* in pieces: every word has its tag */
    check_tagged(&t, 0, word, 6);
    xr_str_free(&t.text);
    xr_str_free(&s.text);

    write_scratch("bad.jsonl", "{\"tokens\": []}\n{\"text\": \"babo\"}\n{\"tokens\": [1]}\n[\n{\"tokens\": [\"a\"], \"text\": \"a\"}\n{\"x\": 1}\n"
                               "{\"text\": \" \"}\n{\"tokens\": [\"nulu\"]}");
    static const char *const said[] = { "bad.jsonl:1: there are no words", NULL, "bad.jsonl:3: \"tokens\" holds", "bad.jsonl:4", "bad.jsonl:5: both",
                                        "bad.jsonl:6: neither", "bad.jsonl:7: there are no words", NULL };
    assert_int_equal(predict(&s, "tag", "bad.jsonl", skip, &result), XR_OK);
    assert_int_equal(result.n_bad, 6);
    for (size_t i = 0; i < 8; i++) {
        json_t *j = line_at(&s, i);
        const char *error = json_string_value(json_object_get(j, "error"));
        assert_true(said[i] ? error && strstr(error, said[i]) : !error);
        json_decref(j);
    }
    check_tagged(&s, 7, spaced + 1, 1);
    xr_str_free(&s.text);
    assert_int_equal(predict(&s, "tag", "bad.jsonl", NULL, NULL), XR_EDATA);
    expect_error(XR_EDATA, "bad.jsonl:1: there are no words");
    xr_str_free(&s.text);
    assert_int_equal(predict(&s, "tag", "words.jsonl", top, NULL), XR_EUSAGE);
    expect_error(XR_EUSAGE, "--top-k has no effect with");
    xr_str_free(&s.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(numbers, clear_error),        cmocka_unit_test_teardown(formats, clear_error),
        cmocka_unit_test_teardown(chunks, clear_error),         cmocka_unit_test_teardown(bad_records, clear_error),
        cmocka_unit_test_teardown(refused_input, clear_error),  cmocka_unit_test_teardown(other_problems, clear_error),
        cmocka_unit_test_teardown(out_of_memory, clear_error),
        cmocka_unit_test(tags),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
