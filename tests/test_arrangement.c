/* Which files a run trains on: what is typed ([LANG=]FILE[:WEIGHT]), what a file's name says of its language, and what a protocol takes of a benchmark's
 * folder as XTREME, XNLI, PAWS-X, SQuAD and TyDi lay theirs out. */
#include "scratch.h"

#include "data/language.h"
#include "train/arrangement.h"
#include "train/data_file.h"
#include "util/alloc.h"

static void touch(const char *name)
{
    char *dir = xr_strdup(in_scratch(name)), *slash = strrchr(dir, '/');
    *slash = 0;
    assert_int_equal(xr_mkdirs(dir), XR_OK);
    xr_free(dir);
    assert_int_equal(xr_file_write(in_scratch(name), "", 0), XR_OK);
}

/* --- names of files --------------------------------------------------------------------------------------------- */

static void languages_of_names(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        { "train-en.tsv", "en" }, { "x/dev-de.tsv.gz", "de" }, { "multinli.train.sw.tsv", "sw" }, { "xnli.dev.ko.tsv.gz", "ko" }, { "ar.csv", "ar" },
        { "squad.translate.train.en-de.json", "de" }, { "dev-context-hi-question-hi.json", "hi" }, { "train.swa.txt", "sw" }, { "test-zh-Hant.tsv", "zh-hant" },
        { "dev-srp_Cyrl.tsv", "sr" }, { "en_ewt-ud-train.conllu.gz", "en" }, { "zh_gsdsimp-ud-dev.iob2.gz", "zh" }, { "el-train", "el" },
        { "fr.dev.jsonl", "fr" }, { "train-qu.tsv", "qu" }, { "train.tsv", NULL }, { "dev.tsv", NULL }, { "my_train.tsv", NULL }, { "train-v1.1.json", NULL },
        { "no-gold-rows.tsv", NULL }, { "dev_2k.tsv", NULL }, { "is_a_list.tsv", NULL }, { "train-all.tsv", NULL }, { "", NULL }, { "...", NULL },
    };
    char out[XR_LANGUAGE_MAX];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int got = xr_language_of_examples(cases[i][0], out);
        if (got != (cases[i][1] != NULL) || (got && strcmp(out, cases[i][1]) != 0))
            fail_msg("%s: %s", cases[i][0], got ? out : "none");
    }
}

/* Turkish, Telugu, Burmese; or train, test, my data. */
static void names_that_may_mean_something_else(void **state)
{
    (void)state;
    static const char *const doubtful[] = { "tr.tsv", "a/te.tsv.gz", "my.tsv", "my-train.tsv", "my.dev.jsonl" };
    static const char *const sure[] = { "train-my.tsv", "dev-tr.tsv", "te-train.tsv", "my_xx-ud-dev.conllu", "de.tsv" };
    char out[XR_LANGUAGE_MAX];
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(xr_language_of_examples(doubtful[i], out), 2);
        assert_int_equal(xr_language_of_examples(sure[i], out), 1);
    }
    assert_true(xr_language_is_code("sw", 2) && xr_language_is_code("nb", 2) && xr_language_is_code("de-AT", 2));
    assert_false(xr_language_is_code("zz", 2) || xr_language_is_code("v2", 2) || xr_language_is_code("swa", 3));
    /* alone they are no languages, beside others they are */
    const char *v[] = { "tr.tsv", "en.tsv", "data.tsv", NULL };
    const xr_strs one = { v, 1 }, all = { v, 3 };
    xr_data_file *f;
    assert_int_equal(xr_data_files_parse(&f, &one, 1, "--train-file"), XR_OK);
    assert_string_equal(f[0].name, "tr");
    assert_false(f[0].language);
    xr_data_files_free(f, 1);
    assert_int_equal(xr_data_files_parse(&f, &all, 1, "--train-file"), XR_OK);
    assert_true(f[0].language && f[1].language && !f[2].language);
    xr_data_files_free(f, 3);
}

/* --- what is typed ------------------------------------------------------------------------------------------------ */

static void expect_file(const char *text, int weighted, const char *path, const char *name, int language, double weight)
{
    const char *v[] = { text, NULL };
    const xr_strs given = { v, 1 };
    xr_data_file *f;
    if (xr_data_files_parse(&f, &given, weighted, "--train-file") < 0)
        fail_msg("%s: %s", text, xr_error_message());
    if (strcmp(f->path, path) != 0 || strcmp(f->name, name) != 0 || f->language != language || f->weight != weight)
        fail_msg("%s: path %s, name %s, language %d, weight %g", text, f->path, f->name, f->language, f->weight);
    xr_data_files_free(f, 1);
}

/* None of these files is there, so that every part that can be cut off is. */
static void parts_of_what_is_typed(void **state)
{
    (void)state;
    expect_file("a/train.tsv", 1, "a/train.tsv", "train", 0, 1.0);
    expect_file("a/train-de.tsv.gz", 1, "a/train-de.tsv.gz", "de", 1, 1.0);
    expect_file("a/train-de.tsv:0.25", 1, "a/train-de.tsv", "de", 1, 0.25);
    expect_file("fr=a/train.tsv", 1, "a/train.tsv", "fr", 1, 1.0);
    expect_file("EN=a/train-de.tsv:3", 1, "a/train-de.tsv", "en", 1, 3.0);
    expect_file("deu=x:1e3", 1, "x", "de", 1, 1000.0);
    expect_file("a/k=1/train.tsv:2", 1, "a/k=1/train.tsv", "train", 0, 2.0);
    expect_file("a:b/train.tsv", 1, "a:b/train.tsv", "train", 0, 1.0);
    expect_file("a/train.tsv:", 1, "a/train.tsv:", "train", 0, 1.0);
    expect_file("a/dev.tsv:2", 0, "a/dev.tsv:2", "dev", 0, 1.0);
    expect_file("-:2", 1, "-", "-", 0, 2.0);
}

/* A file that is there under the whole text is that file, whatever stands in it. */
static void files_that_are_there(void **state)
{
    (void)state;
    char text[400], path[320];
    touch("odd/run");            /* "run:2" is not this file twice as often */
    touch("odd/run:2");
    touch("odd/de=run");
    snprintf(path, sizeof path, "%s", in_scratch("odd/run:2"));
    expect_file(path, 1, path, "run:2", 0, 1.0);
    snprintf(text, sizeof text, "%s:3", path);
    expect_file(text, 1, path, "run:2", 0, 3.0);
    snprintf(text, sizeof text, "fr=%s", path);
    expect_file(text, 1, path, "fr", 1, 1.0);
    snprintf(path, sizeof path, "%s", in_scratch("odd/de=run"));
    expect_file(path, 1, path, "de=run", 0, 1.0);
}

static void weights_that_mean_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = { "a.tsv:0", "a.tsv:-1", "de=a.tsv:0", "a.tsv:1e10" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *v[] = { bad[i], NULL };
        const xr_strs given = { v, 1 };
        xr_data_file *f;
        assert_int_equal(xr_data_files_parse(&f, &given, 1, "--train-file"), XR_EUSAGE);
        assert_non_null(strstr(xr_error_message(), bad[i]));
        assert_non_null(strstr(xr_error_message(), "--train-file"));
        xr_error_clear();
        xr_data_files_free(f, 1);
    }
}

/* --- arrangements ------------------------------------------------------------------------------------------------- */

/* Options of the files, without the scratch folder, as "en=train-en.tsv de=…". */
static void listed(const xr_arranged *v, size_t n, const char *dir, char out[1024])
{
    size_t cut = strlen(in_scratch(dir)) + 1, at = 0;
    out[0] = 0;
    for (size_t i = 0; i < n; i++) {
        size_t head = strlen(v[i].language) + 1;
        assert_memory_equal(v[i].option + head, v[i].path, strlen(v[i].path) + 1);
        at += (size_t)snprintf(out + at, 1024 - at, "%s%.*s%s", i ? " " : "", (int)head, v[i].option, v[i].path + cut);
    }
}

static void expect(const char *dir, const char *protocol, const char *languages, const char *train, const char *valid)
{
    xr_arrangement a;
    char text[1024];
    if (xr_arrange(&a, in_scratch(dir), protocol, languages) < 0)
        fail_msg("%s, %s: %s", dir, protocol, xr_error_message());
    listed(a.train, a.n_train, dir, text);
    assert_string_equal(text, train);
    listed(a.valid, a.n_valid, dir, text);
    assert_string_equal(text, valid);
    xr_arrangement_free(&a);
}

static void expect_refused(const char *dir, const char *protocol, const char *languages, xr_status status, const char *text)
{
    xr_arrangement a;
    assert_int_equal(xr_arrange(&a, in_scratch(dir), protocol, languages), status);
    if (!strstr(xr_error_message(), text))
        fail_msg("%s: %s", text, xr_error_message());
    xr_error_clear();
    xr_arrangement_free(&a);
}

static void xtreme_folder(void **state)
{
    (void)state;
    static const char *const name[] = { "train-en.tsv", "train-de.tsv.gz", "train-sw.tsv", "dev-en.tsv", "dev-de.tsv", "dev-fr.tsv", "test-en.tsv",
                                        "train-all.tsv", "train-en.unlabelled.tsv", "README.md" };
    char path[64];
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
        snprintf(path, sizeof path, "x/%s", name[i]);
        touch(path);
    }
    expect("x", "zero-shot", NULL, "en=train-en.tsv", "en=dev-en.tsv");
    expect("x", "zero-shot", "de", "de=train-de.tsv.gz", "de=dev-de.tsv");
    expect("x", "translate-train", "sw", "sw=train-sw.tsv", "");
    expect("x", "translate-train-all", NULL, "en=train-en.tsv de=train-de.tsv.gz sw=train-sw.tsv", "en=dev-en.tsv de=dev-de.tsv");
    expect("x", "translate-train-all", "sw, de", "de=train-de.tsv.gz sw=train-sw.tsv", "de=dev-de.tsv");
    expect_refused("x", "translate-train", NULL, XR_EUSAGE, "--languages");
    expect_refused("x", "translate-train", "de,sw", XR_EUSAGE, "one language");
    expect_refused("x", "translate-train", "fr", XR_ENOINPUT, "no training file in fr");
    expect_refused("x", "translate-train-all", "de,fr", XR_ENOINPUT, "en, de, sw");
    expect_refused("x", "translate-test", NULL, XR_EUSAGE, "translate-test");
    expect_refused("x", "zero-shot", " , ", XR_EUSAGE, "no name");
    touch("x/train-de.tsv");
    expect_refused("x", "zero-shot", NULL, XR_EDATA, "'de' also has");
    expect_refused("nowhere", "zero-shot", NULL, XR_ENOINPUT, "nowhere");
}

static void folders_of_others(void **state)
{
    (void)state;
    static const char *const name[] = {
        "mnli/multinli.train.en.tsv", "mnli/multinli.train.ur.tsv", "paws/en/train.tsv", "paws/de/translated_train.tsv", "paws/de/dev_2k.tsv",
        "paws/en/dev_2k.tsv", "paws/de/test_2k.tsv", "paws/about/train.tsv", "squad/train-v1.1.json", "squad/squad.translate.train.en-zh.json",
        "squad/dev-v1.1.json",
        "squad/dev-context-zh-question-zh.json", "squad/dev-context-zh-question-de.json", "tydi/tydiqa.goldp.en.train.json", "tydi/tydiqa.goldp.en.dev.json",
        "tydi/tydiqa.translate.train.en-fi.json", "tydi/tydiqa.fi.dev.json", "one/train-en.tsv", "none/x.tsv",
    };
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        touch(name[i]);
    expect("mnli", "translate-train-all", NULL, "en=multinli.train.en.tsv ur=multinli.train.ur.tsv", "");
    touch("mnli/xnli.dev.tsv");
    expect("mnli", "translate-train-all", NULL, "en=multinli.train.en.tsv ur=multinli.train.ur.tsv", "en=xnli.dev.tsv ur=xnli.dev.tsv");
    touch("mnli/dev-en.tsv");
    expect("mnli", "translate-train-all", NULL, "en=multinli.train.en.tsv ur=multinli.train.ur.tsv", "en=dev-en.tsv ur=xnli.dev.tsv");
    expect("paws", "translate-train-all", NULL, "en=en/train.tsv de=de/translated_train.tsv", "en=en/dev_2k.tsv de=de/dev_2k.tsv");
    expect("squad", "zero-shot", NULL, "en=train-v1.1.json", "en=dev-v1.1.json");
    expect("squad", "translate-train", "zh", "zh=squad.translate.train.en-zh.json", "zh=dev-context-zh-question-zh.json");
    expect("tydi", "translate-train-all", NULL, "en=tydiqa.goldp.en.train.json fi=tydiqa.translate.train.en-fi.json",
           "en=tydiqa.goldp.en.dev.json fi=tydiqa.fi.dev.json");
    expect_refused("one", "translate-train-all", NULL, XR_ENOINPUT, "--protocol zero-shot");
    expect_refused("none", "zero-shot", NULL, XR_ENOINPUT, "none");
}

static void no_memory(void **state)
{
    (void)state;
    touch("few/train-en.tsv");
    touch("few/train-de.tsv");
    touch("few/dev-de.tsv");
    const char *dir = in_scratch("few"), *v[] = { "fr=a.tsv:2", "train-de.tsv", NULL };
    const xr_strs given = { v, 2 };
    long before = xr_alloc_live(), failed = 0;
    for (long k = 0, over = 0; !over; k++) {
        xr_arrangement a;
        xr_data_file *f = NULL;
        xr_alloc_fail_after(k);
        xr_status status = xr_arrange(&a, dir, "translate-train-all", NULL);
        if (status == XR_OK)
            status = xr_data_files_parse(&f, &given, 1, "--train-file");
        xr_alloc_fail_after(-1);
        xr_data_files_free(f, f ? 2 : 0);
        xr_arrangement_free(&a);
        assert_int_equal(xr_alloc_live(), before);
        over = status == XR_OK;
        failed += !over;
        assert_true(over || status == XR_ESYSTEM);
        xr_error_clear();
    }
    assert_in_range(failed, 20, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(languages_of_names), cmocka_unit_test(names_that_may_mean_something_else),
        cmocka_unit_test(parts_of_what_is_typed), cmocka_unit_test(files_that_are_there),
        cmocka_unit_test(weights_that_mean_nothing), cmocka_unit_test(xtreme_folder), cmocka_unit_test(folders_of_others), cmocka_unit_test(no_memory),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
