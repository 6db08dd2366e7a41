/* Labelled files as packed ids: labels by name, what is skipped, counted, warned about or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "data/dataset.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

static char folder[512], notes[8192];
static xr_tokenizer *tok;

static void keep_note(xr_level level, const char *message)
{
    size_t n = strlen(notes);
    snprintf(notes + n, sizeof notes - n, "%s: %s\n", level == XR_LOG_WARN ? "warning" : "note", message);
}

static const char *write_text(const char *name, const char *text)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(xr_file_write(path, text, strlen(text)), XR_OK);
    return path;
}

static xr_data_options training(void)
{
    return (xr_data_options){ .grow_labels = 1, .need_label = 1 };
}

/* Adds the text as a file, which must succeed. */
static void add(xr_dataset *d, xr_labels *l, const char *name, const char *text, const xr_data_options *o)
{
    notes[0] = '\0';
    if (xr_dataset_add(d, write_text(name, text), tok, l, o) < 0)
        fail_msg("%s", xr_error_message());
}

/* The file is refused: status and three parts of the message, of which the first follows the file's name. */
static void refuse(const char *text, xr_labels *l, const xr_data_options *o, int status, const char *start,
                   const char *part, const char *part2)
{
    xr_dataset d = { 0 };
    xr_labels own = { 0 };
    char expected[1500];
    const char *path = write_text("bad.tsv", text);

    notes[0] = '\0';
    snprintf(expected, sizeof expected, "%s%s", path, start);
    assert_int_equal(xr_dataset_add(&d, path, tok, l ? l : &own, o), status);
    if (!strstr(xr_error_message(), expected) || !strstr(xr_error_message(), part) ||
        !strstr(xr_error_message(), part2))
        fail_msg("expected '%s … %s … %s', got '%s'", expected, part, part2, xr_error_message());
    xr_error_clear();
    xr_dataset_free(&d);
    xr_labels_free(&own);
}

static void known_nli(xr_labels *l)
{
    assert_int_equal(xr_labels_add(l, "entailment"), 0);
    assert_int_equal(xr_labels_add(l, "neutral"), 1);
    assert_int_equal(xr_labels_add(l, "contradiction"), 2);
    assert_int_equal(xr_labels_add(l, "neutral"), 1);
}

/* ---- labels ---- */

static void test_label_names(void **state)
{
    xr_labels l = { 0 };
    (void)state;

    known_nli(&l);
    assert_int_equal(xr_labels_find(&l, "contradiction"), 2);
    assert_int_equal(xr_labels_find(&l, "contradictory"), 2);
    assert_int_equal(xr_labels_find(&l, " neutral \t"), 1);
    assert_int_equal(xr_labels_find(&l, "NEUTRAL"), 1);
    assert_int_equal(xr_labels_find(&l, "-"), -2);
    assert_int_equal(xr_labels_find(&l, "0"), -1); /* a number says nothing about which of the three orders is meant */
    assert_int_equal(xr_labels_find(&l, ""), -1);
    assert_int_equal(xr_labels_map(&l, "0=contradiction, 1 = entailment ,2=neutral"), XR_OK);
    assert_int_equal(xr_labels_find(&l, "0"), 2);
    assert_int_equal(xr_labels_find(&l, "1"), 0);
    assert_int_equal(xr_labels_find(&l, "2"), 1);
    assert_int_equal(xr_labels_add(&l, "contradictory"), 3);    /* a model whose own label this is */
    assert_int_equal(xr_labels_find(&l, "contradictory"), 3);
    char *list = xr_labels_list(&l);
    assert_string_equal(list, "entailment, neutral, contradiction, contradictory");
    xr_free(list);
    xr_labels_free(&l);
}

static void test_label_map_syntax(void **state)
{
    static const char *const bad[] = { "", "a", "a=", "=b", "a=b=c", "a=b,", "a=b,a=c", "e=entailment,,n=neutral" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        xr_labels l = { 0 };
        assert_int_equal(xr_labels_map(&l, bad[i]), XR_EUSAGE);
        assert_non_null(strstr(xr_error_message(), "label map"));
        xr_error_clear();
        xr_labels_free(&l);
    }
}

static void check_order(const char *const *names, int n, const char *expected)
{
    xr_labels l = { 0 };
    for (int i = 0; i < n; i++)
        assert_int_equal(xr_labels_add(&l, names[i]), i);
    assert_int_equal(xr_labels_sort(&l, NULL), XR_OK);
    char *list = xr_labels_list(&l);
    assert_string_equal(list, expected);
    xr_free(list);
    xr_labels_free(&l);
}

static void test_label_order(void **state)
{
    (void)state;
    check_order((const char *const[]){ "contradiction", "neutral", "entailment" }, 3,
                "entailment, neutral, contradiction");
    check_order((const char *const[]){ "contradiction", "entailment" }, 2, "entailment, contradiction");
    check_order((const char *const[]){ "not_entailment", "entailment" }, 2, "entailment, not_entailment");
    check_order((const char *const[]){ "10", "b", "9", "-1", "a", "2" }, 6, "-1, 2, 9, 10, a, b");
    check_order(NULL, 0, "");
}

/* The same classes whatever the order of the rows; the ids in the dataset follow. */
static void test_sorted_labels_in_dataset(void **state)
{
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    (void)state;

    add(&d, &l, "a.tsv", "a\t2\nb\t10\nc\t0\nd\t2\n", &o);
    assert_int_equal(d.label[0], 0);
    assert_int_equal(xr_labels_sort(&l, &d), XR_OK);
    assert_string_equal(l.name[0], "0");
    assert_string_equal(l.name[1], "2");
    assert_string_equal(l.name[2], "10");
    assert_int_equal(d.label[0], 1);
    assert_int_equal(d.label[1], 2);
    assert_int_equal(d.label[2], 0);
    assert_int_equal(d.label[3], 1);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* ---- reading ---- */

static void test_ids_are_the_tokenizers(void **state)
{
    xr_dataset d = { 0 };
    xr_labels l = { 0 };
    xr_data_options o = training();
    xr_tokens t = { 0 };
    static const char *const pairs[][2] = { { "the cat sat", "on the mat" },
                                            { "a dog", "" },
                                            { "the mat", "the cat sat on the dog and the mat" } };
    size_t cut, n_cut = 0;
    (void)state;

    o.max_len = 14, o.keep_text = 1;
    add(&d, &l, "a.tsv", "the cat sat\ton the mat\tx\na dog\t\ty\nthe mat\tthe cat sat on the dog and the mat\tx\n",
        &o);
    assert_int_equal(d.n, 3);
    for (size_t i = 0; i < 3; i++) {
        t.n = 0;
        assert_int_equal(xr_tokenizer_encode_pair(tok, pairs[i][0], pairs[i][1], 14, 0, &t, &cut), XR_OK);
        n_cut += cut > 0;
        assert_int_equal(xr_dataset_len(&d, i), t.n);
        for (size_t k = 0; k < t.n; k++)
            assert_int_equal(d.ids[d.offset[i] + k], t.v[k].id);
        assert_string_equal(d.text[i], pairs[i][0]);
        assert_string_equal(d.text_pair[i], pairs[i][1]);
        assert_int_equal(d.file[i], 0);
    }
    assert_int_equal(d.n_tokens, d.offset[3]);
    assert_int_equal(d.n_truncated, n_cut);
    assert_true(n_cut > 0);
    assert_int_equal(d.n_empty_pair, 1);
    assert_int_equal(d.n_unk, 0);
    assert_int_equal(d.label[2], 0);
    add(&d, &l, "b.tsv", "\xE2\x98\x83\tthe cat\ty\n", &o);
    assert_int_equal(d.n, 4);
    assert_int_equal(d.file[3], 1);
    assert_true(d.n_unk > 0);
    xr_tokens_free(&t);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static void test_text_from_memory(void **state)
{
    xr_dataset d = { 0 };
    xr_data_options o = { 0 };
    (void)state;

    for (int i = 0; i < 3000; i++)
        assert_int_equal(xr_dataset_add_text(&d, tok, "the cat", i % 2 ? "a dog" : NULL, &o), XR_OK);
    assert_int_equal(d.n, 3000);
    assert_int_equal(d.label[2999], -1);
    assert_true(xr_dataset_len(&d, 1) > xr_dataset_len(&d, 0));
    assert_int_equal(xr_dataset_add_text(&d, tok, "bad \xFF", NULL, &o), XR_EDATA);
    xr_error_clear();
    assert_int_equal(d.n, 3000);
    xr_dataset_free(&d);
}

/* Catalogue 51. */
static void test_no_examples(void **state)
{
    xr_data_options o = training();
    (void)state;
    refuse("", NULL, &o, XR_EDATA, ": no examples", "empty or holds only a header", "");
    refuse("premise\thypothesis\tlabel\n", NULL, &o, XR_EDATA, ": no examples", "only a header", "");
    refuse("a\tb\t-\nc\td\t-\n", NULL, &o, XR_EDATA, ": no examples", "all 2 rows lack a gold label", "");
}

/* Catalogue 52. */
static void test_unknown_labels(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = { .need_label = 1 };
    (void)state;

    known_nli(&l);
    refuse("a\tb\tneutral\nc\td\tneutrl\n", &l, &o, XR_EDATA, ":2: unknown label 'neutrl'",
           "the known labels are: entailment, neutral, contradiction", "--label-map");
    refuse("a\tb\t0\n", &l, &o, XR_EDATA, ":1: unknown label '0'", "entailment, neutral, contradiction", "--label-map");
    assert_int_equal(xr_labels_map(&l, "x=y"), XR_OK);
    refuse("a\tb\tx\n", &l, &o, XR_EDATA, ":1: unknown label 'x' (mapped to 'y')", "entailment", "");
    add(&d, &l, "a.tsv", "a\tb\tneutral  \nc\td\tcontradictory\ne\tf\tcontradictory\ng\th\tentailment\n", &o);
    assert_non_null(strstr(notes, "warning: "));
    assert_non_null(strstr(notes, "a.tsv: 1 labels end in white space"));
    assert_non_null(strstr(notes, "a.tsv: 2 labels read under another name ('contradictory' as 'contradiction')"));
    assert_int_equal(d.label[0], 1);
    assert_int_equal(d.label[1], 2);
    assert_int_equal(l.n, 3);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* A file whose third label is spelled `contradictory` grows the same class as the others. */
static void test_alias_while_growing(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = training();
    (void)state;

    add(&d, &l, "mt.tsv", "premise\thypo\tlabel\na\tb\tcontradictory\nc\td\tneutral\n", &o);
    add(&d, &l, "dev.tsv", "a\tb\tcontradiction\nc\td\tneutral\n", &o);
    assert_int_equal(l.n, 2);
    assert_string_equal(l.name[0], "contradiction");
    assert_int_equal(d.label[2], 0);
    assert_string_equal(notes, "");
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* Catalogue 53. */
static void test_no_gold_label(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = training();
    static const char text[] = "a\tb\tneutral\nc\td\t-\ne\tf\tentailment\n";
    (void)state;

    add(&d, &l, "a.tsv", text, &o);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.n_no_gold, 1);
    assert_non_null(strstr(notes, "a.tsv: 1 rows without gold label ('-') left out"));
    assert_int_equal(l.n, 2);
    xr_dataset_free(&d);
    o.need_label = o.grow_labels = 0;
    add(&d, &l, "a.tsv", text, &o);
    assert_int_equal(d.n, 3);
    assert_int_equal(d.label[1], -1);
    assert_int_equal(d.label[2], 1);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static void test_missing_labels(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = { .need_label = 1, .grow_labels = 1 };
    (void)state;

    refuse("sentence1\tsentence2\na\tb\n", NULL, &o, XR_EDATA, ":2: the row has no label", "--label-column", "");
    refuse("a\tb\tx\nc\td\t \n", NULL, &o, XR_EDATA, ":2: the row has no label", "--label-column", "");
    o.need_label = 0;
    add(&d, &l, "a.tsv", "a\tb\nc\td\n", &o);       /* XTREME's test files: pairs without label */
    assert_int_equal(d.n, 2);
    assert_int_equal(d.label[1], -1);
    assert_int_equal(l.n, 0);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* Catalogue 54. */
static void test_values(void **state)
{
    static const char *const bad[] = { "nan", "inf", "-Infinity", "text", "1,5", "1e39", "1.0x", "-" };
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = { .need_label = 1, .kind = XR_LABEL_VALUE };
    char text[64], start[64];
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "a\tb\t1\nc\td\t%s\n", bad[i]);
        snprintf(start, sizeof start, ":2: the value '%s' is not a finite number", bad[i]);
        refuse(text, NULL, &o, XR_EDATA, start, "", "");
    }
    add(&d, &l, "a.tsv", "a\tb\t2.5\nc\td\t-1e3\n", &o);
    assert_int_equal(d.n_target, 1);
    assert_true(d.target[0] == 2.5f && d.target[1] == -1000.0f);
    assert_int_equal(d.label[0], 0);
    assert_int_equal(l.n, 0);
    xr_dataset_free(&d);
}

static void test_multi_label(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = { .need_label = 1, .grow_labels = 1, .kind = XR_LABEL_MULTI };
    static const float expected[6][3] = {
        { 0, 0, 1 }, { 1, 0, 1 }, { 0, 0, 0 }, { 0, 1, 1 }, { 0, 0, 0 }, { 1, 0, 0 }
    };
    (void)state;

    add(&d, &l, "a.tsv", "a\tjoy\nb\tjoy, anger\nc\t\n", &o);
    add(&d, &l, "b.jsonl",
        "{\"text\": \"d\", \"labels\": [\"fear, deep\", \"joy\"]}\n{\"text\": \"e\", \"labels\": []}\n"
        "{\"text\": \"f\", \"labels\": [\"anger\"]}\n",
        &o);
    assert_int_equal(l.n, 3);
    assert_int_equal(d.n_target, 3);
    assert_int_equal(xr_labels_sort(&l, &d), XR_OK);
    assert_string_equal(l.name[1], "fear, deep");
    assert_memory_equal(d.target, expected, sizeof expected);
    assert_int_equal(d.label[4], 0);
    o.grow_labels = 0;
    o.grow_labels = 1, o.skip_bad = 1, o.max_bad_fraction = 1;
    add(&d, &l, "c.tsv", "a\tjoy\ng\trage, -\n", &o);
    assert_int_equal(l.n, 3);                           /* the row was skipped, and so was its new name */
    o.grow_labels = o.skip_bad = 0;
    refuse("a\tjoy,rage\n", &l, &o, XR_EDATA, ":1: unknown label 'rage'", "anger, fear, deep, joy", "");
    refuse("a\t0,1,0\n", &l, &o, XR_EDATA, ":1: the labels are zeros and ones", "names of the classes that hold", "");
    xr_dataset_free(&d);
    xr_labels_free(&l);
    o.grow_labels = 1;
    add(&d, &l, "d.jsonl", "{\"text\": \"a\", \"labels\": [0, 1]}\n{\"text\": \"b\", \"labels\": [1, 10]}\n", &o);    /* ids */
    assert_int_equal(l.n, 3);
    refuse("{\"text\": \"a\", \"labels\": [1, 0, 1.0]}\n", &l, &o, XR_EDATA, ":1: the labels are zeros and ones", "", "");
    xr_dataset_free(&d);
    xr_data_options single = training();
    const char *path = write_text("list.jsonl", "{\"text\": \"a\", \"label\": [\"x\"]}\n");
    assert_int_equal(xr_dataset_add(&d, path, tok, &l, &single), XR_EDATA);
    assert_non_null(strstr(xr_error_message(), "list.jsonl:1: the label is a list"));
    xr_error_clear();
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* Catalogue 55. */
static void test_one_class_only(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = training();
    (void)state;

    add(&d, &l, "a.tsv", "a\tb\tneutral\nc\td\tneutral\n", &o);
    assert_non_null(strstr(notes, "a.tsv: all 2 examples have the same label, 'neutral'"));
    add(&d, &l, "b.tsv", "a\tb\tneutral\nc\td\tentailment\n", &o);
    assert_string_equal(notes, "");
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* Catalogue 56. */
static void test_empty_texts(void **state)
{
    xr_data_options o = training();
    (void)state;
    refuse("a\tb\tx\n\tb\tx\n", NULL, &o, XR_EDATA, ":2: the text is empty", "--on-bad-record skip", "");
    refuse("a\tb\tx\n  \tb\tx\n", NULL, &o, XR_EDATA, ":2: the text is empty", "", "");
    refuse("a\tb\tx\n\xC2\xA0\xE3\x80\x80\tb\tx\n", NULL, &o, XR_EDATA, ":2: the text is empty", "", "");     /* no-break and ideographic space */
}

static void test_bad_utf8(void **state)
{
    xr_data_options o = training();
    (void)state;
    refuse("a\tb\tx\nabc\td\xE9\x74\tx\n", NULL, &o, XR_EDATA, ":2: byte 0xE9 at byte 5 of the line is not UTF-8",
           "Latin-1", "iconv");
}

static void test_skipping(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = training();
    static const char text[] = "a\tb\tx\n\tb\tx\nc\td\ty\nonly one\ne\t\xFF\tx\ng\th\tx\n";
    (void)state;

    o.skip_bad = 1, o.max_bad_fraction = 0.5, o.keep_text = 1;
    add(&d, &l, "a.tsv", text, &o);
    assert_int_equal(d.n, 3);
    assert_int_equal(d.n_bad, 3);
    assert_string_equal(d.text[2], "g");
    assert_int_equal(d.offset[3], d.n_tokens);
    assert_non_null(strstr(notes, "warning: skipped: "));
    assert_non_null(strstr(notes, "a.tsv:4: the row has 1 column; expected 3"));
    assert_non_null(strstr(notes, "3 of 6 rows skipped because they are bad"));
    o.max_bad_fraction = 0.49;
    refuse(text, NULL, &o, XR_EDATA, ": 3 of 6 rows are bad", "at most a share of 0.49", "--max-bad-fraction");
    o.max_bad_fraction = 1;
    xr_dataset_free(&d);

    d = (xr_dataset){ 0 };
    o.grow_labels = 0, o.kind = XR_LABEL_CLASS;
    add(&d, &l, "b.tsv", "a\tb\tx\nc\td\tz\ne\tf\ty\n", &o);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.offset[2], d.n_tokens);
    assert_string_equal(d.text[1], "e");
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static void test_limits_and_languages(void **state)
{
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = training();
    static const char text[] = "language\tgold_label\tsentence1\tsentence2\nar\tneutral\ta\tb\nde\tneutral\tc\td\n"
                               "de\tentailment\te\tf\nde\tneutral\tg\th\n";
    (void)state;

    o.language = "de";
    add(&d, &l, "a.tsv", text, &o);
    assert_int_equal(d.n, 3);
    o.max_samples = 2;
    add(&d, &l, "a.tsv", text, &o);
    assert_int_equal(d.n, 5);
    add(&d, &l, "b.tsv", "language\tgold_label\tsentence1\tsentence2\ndeu\tneutral\ta\tb\ndeu_Latn\tneutral\tc\td\nden\tneutral\te\tf\n", &o);
    assert_int_equal(d.n, 7);
    o.language = "fr";
    refuse(text, NULL, &o, XR_EDATA, ": no examples in language 'fr'", "ar, de", "");
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

static size_t overlap(const xr_dataset *a, const xr_dataset *b)
{
    size_t n = 99;
    assert_int_equal(xr_dataset_overlap(a, b, &n), XR_OK);
    return n;
}

/* Catalogue 68. */
static void test_overlap(void **state)
{
    xr_labels l = { 0 };
    xr_dataset a = { 0 }, b = { 0 };
    xr_data_options o = training();
    (void)state;

    add(&a, &l, "a.tsv", "the cat\ton\tx\na dog\tsat\ty\nthe cat\ton\ty\nthe\tcat on\tx\n", &o);
    add(&b, &l, "b.tsv", "the mat\ton\tx\nthe cat\ton\tx\n", &o);
    assert_int_equal(overlap(&a, &b), 2);
    assert_int_equal(overlap(&b, &a), 1);
    assert_int_equal(overlap(&a, &a), 4);
    size_t n;
    xr_alloc_fail_after(0);
    assert_int_equal(xr_dataset_overlap(&a, &b, &n), XR_ESYSTEM);
    xr_alloc_fail_after(-1);
    xr_error_clear();
    xr_dataset_free(&b);
    assert_int_equal(overlap(&a, &b), 0);
    xr_dataset_free(&a);
    xr_labels_free(&l);
}

static void test_out_of_memory(void **state)
{
    const char *path = write_text("a.tsv", "a\tb\tcontradictory \n\tc\tx\nc\td\ty\n");
    xr_data_options o = training();
    long live = xr_alloc_live(), k = 0;
    (void)state;

    o.keep_text = 1, o.skip_bad = 1, o.max_bad_fraction = 1;
    for (int rc = -1; rc < 0; k++) {
        xr_dataset d = { 0 };
        xr_labels l = { 0 };
        xr_alloc_fail_after(k);
        rc = xr_labels_map(&l, "x=y");
        if (rc >= 0)
            rc = xr_dataset_add(&d, path, tok, &l, &o);
        if (rc >= 0)
            rc = xr_labels_sort(&l, &d);
        xr_alloc_fail_after(-1);
        assert_int_equal(rc, rc < 0 ? XR_ESYSTEM : XR_OK);
        assert_int_equal(rc, xr_error_status());
        xr_error_clear();
        xr_dataset_free(&d);
        xr_labels_free(&l);
        assert_int_equal(xr_alloc_live(), live);
    }
    assert_true(k > 15);
}

static void test_real_files(void **state)
{
    const char *data = getenv("XLMR_DATA");
    xr_labels l = { 0 };
    xr_dataset d = { 0 };
    xr_data_options o = training();
    char path[1024];
    (void)state;

    data = data ? data : "../shared/data";
    if (!xr_path_is_dir(data)) {
        print_message("skipped: no real data in %s (set XLMR_DATA)\n", data);
        skip();
    }
    o.max_len = 128;
    assert_int_equal(xr_labels_map(&l, "e=entailment,n=neutral,c=contradiction"), XR_OK);
    snprintf(path, sizeof path, "%s/nli-other/ocnli/train.10k.json.gz", data);
    assert_int_equal(xr_dataset_add(&d, path, tok, &l, &o), XR_OK);
    snprintf(path, sizeof path, "%s/nli-other/indonli/train.jsonl.gz", data);
    assert_int_equal(xr_dataset_add(&d, path, tok, &l, &o), XR_OK);
    assert_int_equal(d.n, 10000 - 15 + 10330);
    assert_int_equal(d.n_no_gold, 15);
    assert_int_equal(l.n, 3);
    assert_int_equal(xr_labels_sort(&l, &d), XR_OK);
    size_t count[3] = { 0 };
    for (size_t i = 0; i < d.n; i++) {
        assert_true(xr_dataset_len(&d, i) <= 128);
        count[d.label[i]]++;
    }
    assert_int_equal(count[0], 3309 + 3476);
    assert_int_equal(count[1], 3434 + 3415);
    assert_int_equal(count[2], 3242 + 3439);
    xr_dataset_free(&d);
    xr_labels_free(&l);
}

/* A small tokenizer of our own, trained here: letters a to z and a few words. */
static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR"), *input;
    char model[600];
    char *text = xr_alloc(65536, 1);
    size_t n = 0;
    (void)state;

    snprintf(folder, sizeof folder, "%s/xlmr-dataset-XXXXXX", tmp ? tmp : "/tmp");
    if (!text || !mkdtemp(folder))
        return -1;
    for (int i = 0; i < 200; i++)
        n += (size_t)snprintf(text + n, 65536 - n,
                              "the cat sat on the mat and a dog\nquick brown fox jumps over %c lazy vizier x%c\n",
                              'a' + i % 26, 'a' + i % 7);
    input = write_text("corpus.txt", text);
    xr_free(text);
    snprintf(model, sizeof model, "%s/spm.model", folder);
    xr_tokenizer_training how = { .vocab_size = 44, .input = &input, .n_input = 1, .threads = 1 };
    if (xr_tokenizer_train(&how, model) < 0 || !(tok = xr_tokenizer_open(model))) {
        print_error("%s\n", xr_error_message());
        return -1;
    }
    xr_log_set_sink(keep_note);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    xr_tokenizer_free(tok);
    return xr_remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_label_names),
        cmocka_unit_test(test_label_map_syntax),
        cmocka_unit_test(test_label_order),
        cmocka_unit_test(test_sorted_labels_in_dataset),
        cmocka_unit_test(test_ids_are_the_tokenizers),
        cmocka_unit_test(test_text_from_memory),
        cmocka_unit_test(test_no_examples),
        cmocka_unit_test(test_unknown_labels),
        cmocka_unit_test(test_alias_while_growing),
        cmocka_unit_test(test_no_gold_label),
        cmocka_unit_test(test_missing_labels),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_multi_label),
        cmocka_unit_test(test_one_class_only),
        cmocka_unit_test(test_empty_texts),
        cmocka_unit_test(test_bad_utf8),
        cmocka_unit_test(test_skipping),
        cmocka_unit_test(test_limits_and_languages),
        cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_real_files),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
