/* What files of one task look like to the reader of another: real files and made-up ones, and what must not be taken for something else. */
#include "data/file_kind.h"

#include "data/tagged.h"
#include "scratch.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/stream.h"

#define XNLI "The rules are strict.\tThere are rules.\tentailment\nNobody knows what they did.\tNobody.\tneutral\n"
#define PIECE "{\"data\": [{\"paragraphs\": [{\"context\": \"a b\", \"qas\": []}]}]}"

/* What is said where the file's reader has failed, or, `read`, has not; NULL: nothing else than before. */
static void expect(const char *name, const char *text, xr_file_task wanted, int read, const char *said)
{
    assert_int_equal(xr_file_write(in_scratch(name), text, strlen(text)), XR_OK);
    if (!read)
        xr_fail(XR_EDATA, "as it was");
    xr_status status = xr_file_kind_check(in_scratch(name), wanted);
    if (!said && read)
        assert_int_equal(status, XR_OK);
    else
        expect_error(XR_EDATA, said ? said : "as it was");
}

static void tables_for_the_tagger(void **state)
{
    (void)state;
    for (int read = 0; read < 2; read++) {
        expect("a.tsv", XNLI, XR_FILE_TAG, read, "a.tsv:1: looks like a table of texts between TABs; expected a word and its tag a line");
        expect("a.tsv", XNLI, XR_FILE_TAG, read, "give --task classify");
        expect("a.tsv", "id\tsentence\tlabel\n1\tplay some jazz\tplay\n2\tplease stop it now\tstop\n", XR_FILE_TAG, read, "a table of texts");
        expect("a.tsv", "他们不知道规则是什么，也不想知道，但还是来了。\t否\n"
               "没有人知道他们做了什么，也没有人问过他们。\t是\n", XR_FILE_TAG, read, "a table of texts");
        expect("a.csv", "good one;pos\nbad, one;neg\n", XR_FILE_TAG, read, "a.csv:1: looks like a table between semicolons");
        expect("a.csv", "good one,pos\nbad one,neg\n", XR_FILE_TAG, read, "a.csv:1: looks like a table between commas");
    }
}

/* One sentence of tagged words, as odd as words are. */
static void words_for_the_tagger(void **state)
{
    (void)state;
    static const char *const text[] = {
        "Donaudampfschifffahrt\tNOUN\nGesellschaftskapitaen\tNOUN\n", "New York City\tB-LOC\nis\tO\nbig\tO\n",
        "sinh viên\tN\nđi\tV\nhọc hành\tV\n.\tCH\n",
        "a\tCase=Nom|Gender=Fem|Number=Sing\tNOUN\nb\tCase=Nom|Gender=Fem|Number=Sing\tNOUN\n", ", O\n, O\n", "EU NNP B-ORG\nrejects VBZ O\n",
        "The rules are strict.\tACT\n\nNobody knows what they did.\tACT\n",
        "http://example.org/a/long/address/of/a/page\tX\n",
        "ราชอาณาจักรไทย\tNOUN\nกรุงเทพมหานคร\tPROPN\n",
    };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++)
        expect("a.tsv", text[i], XR_FILE_TAG, 1, NULL);
}

static void other_tasks(void **state)
{
    (void)state;
    static const char conllu[] = "# sent_id = 1\n1\ta\ta\tNOUN\tNN\t_\t0\troot\t_\t_\n\n";
    expect("a.json", PIECE, XR_FILE_CLASSIFY, 0, "a.json:1: looks like SQuAD's JSON, questions about passages; expected rows of texts and a label");
    expect("a.json", "{\n \"version\": \"1\",\n" PIECE, XR_FILE_CHOICE, 0, "give --task qa");
    expect("a.json", PIECE, XR_FILE_QA, 0, NULL);
    expect("a.conllu", conllu, XR_FILE_CLASSIFY, 0, "a.conllu:2: looks like CoNLL-U, words with their parts of speech; expected rows");
    expect("a.conllu", conllu, XR_FILE_QA, 0, "expected SQuAD's JSON, or JSON lines of \"context\"");
    expect("a.conllu", conllu, XR_FILE_TAG, 0, NULL);
    expect("a.tsv", "a\tO\nb\tB-PER\n\nc\tO\n", XR_FILE_CHOICE, 0, "a.tsv:1: looks like tagged words");
    expect("a.txt", "Some text.\n\nAnd another paragraph of it.\n\nThe end.\n", XR_FILE_QA, 0, NULL);
    expect("a.jsonl", "{\"tokens\": [\"a\"], \"tags\": [\"O\"]}\n", XR_FILE_CLASSIFY, 0, "looks like JSON lines of tagged words");
    expect("a.jsonl", "{\"premise\": \"a\", \"choice1\": \"b\", \"choice2\": \"c\"}\n", XR_FILE_CLASSIFY, 0, "give --task choice");
    expect("a.jsonl", "{\"context\": \"a\", \"question\": \"b\", \"answers\": {}}\n", XR_FILE_CHOICE, 0, "give --task qa");
    expect("a.jsonl", "{\"text\": \"a\", \"label\": \"b\"}\n{", XR_FILE_QA, 0, "looks like JSON lines of texts");
    expect("a.jsonl", "{\"text\": \"a\", \"label\": \"b\"", XR_FILE_QA, 0, NULL);
    expect("a.jsonl", "{\"text\": \"a\", \"label\": \"b\"}\n", XR_FILE_CLASSIFY, 0, NULL);
}

/* Tables of questions are converted, not classified; of texts only the separator may be wrong. */
static void tables(void **state)
{
    (void)state;
    expect("a.tsv", XNLI, XR_FILE_CLASSIFY, 0, NULL);
    expect("a.csv", "text,label\na,b\n", XR_FILE_CLASSIFY, 0, NULL);
    expect("a.csv", "question;choice\na b;c\n", XR_FILE_CHOICE, 0, NULL);
    expect("a.csv", "question,answer\na b,c\n", XR_FILE_QA, 0, NULL);
    expect("a.txt", "text;label\ngood;b\nvery; good;b\n", XR_FILE_TAG, 0, NULL);
    expect("a.csv", "", XR_FILE_CLASSIFY, 0, NULL);
    expect("a.csv", "\n\n#\n", XR_FILE_TAG, 0, NULL);
}

/* A file longer than what is looked at: its last line there is cut. */
static void long_lines(void **state)
{
    (void)state;
    xr_str text = { 0 };
    for (int i = 0; i < 40; i++) {
        for (int k = 0; k < 1000; k++)
            assert_int_equal(xr_str_puts(&text, "so "), XR_OK);
        assert_int_equal(xr_str_puts(&text, "it is;neutral\n"), XR_OK);
    }
    expect("a.txt", text.s, XR_FILE_TAG, 0, "a table between semicolons");
    xr_str_free(&text);
}

/* Memory that is out costs the hint, never the message that was there; where there was none, it is the error. */
static void out_of_memory(void **state)
{
    (void)state;
    static const char *const text[] = { XNLI, PIECE "\n", "{\"premise\": \"a\", \"choice1\": \"b\", \"choice2\": \"c\"}\n" };
    for (size_t i = 0; i < 4; i++) {
        int read = i == 3, told = 0;
        long live = xr_alloc_live(), k = 0;
        assert_int_equal(xr_file_write(in_scratch("a"), text[i % 3], strlen(text[i % 3])), XR_OK);
        for (; !told && k < 100; k++) {
            if (!read)
                xr_fail(XR_EDATA, "as it was");
            xr_alloc_fail_after(k);
            xr_status status = xr_file_kind_check(in_scratch("a"), XR_FILE_TAG);
            xr_alloc_fail_after(-1);
            told = status != XR_ESYSTEM && strcmp(xr_error_message(), "as it was") != 0;
            assert_true(told || status == (read ? XR_ESYSTEM : XR_EDATA));
            xr_error_clear();
            assert_int_equal(xr_alloc_live(), live);
        }
        assert_true(told && k > 2);
    }
}

static int has_data(char *path, size_t size, const char *name)
{
    const char *data = getenv("XLMR_DATA");
    if (!data || !xr_path_is_dir(data)) {
        print_message("skipped: no real data (set XLMR_DATA)\n");
        return 0;
    }
    snprintf(path, size, "%s/%s", data, name);
    return 1;
}

static void real_tables(void **state)
{
    (void)state;
    static const char *const language[] = { "ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh" };
    for (size_t i = 0; i < sizeof language / sizeof *language; i++) {
        char path[1024], name[64];
        xr_dataset d = { 0 };
        xr_labels l = { 0 };
        const xr_data_options o = { .grow_labels = 1, .need_label = 1 };
        snprintf(name, sizeof name, "xnli/dev-%s.tsv.gz", language[i]);
        if (!has_data(path, sizeof path, name))
            skip();
        assert_int_equal(xr_dataset_add_tagged(&d, path, NULL, &l, &o), XR_EDATA);
        expect_error(XR_EDATA, ".tsv.gz:1: looks like a table of texts");
        xr_dataset_free(&d);
        xr_labels_free(&l);
    }
}

/* Every sentence of a real file as a file of its own. */
static void real_sentences(void **state)
{
    (void)state;
    static const char *const file[] = { "ner/panx/dev-en.tsv.gz", "ner/panx/dev-zh.tsv.gz", "ner/panx/dev-ta.tsv.gz", "ner/masakhaner2/yor/dev.txt.gz",
                                        "ner/uner/UNER_English-EWT/en_ewt-ud-dev.iob2.gz", "pos/UD_Vietnamese-VTB/vi_vtb-ud-dev.conllu.gz" };
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        char path[1024], *line;
        size_t len;
        xr_str text = { 0 };
        if (!has_data(path, sizeof path, file[i]))
            skip();
        xr_stream *s = xr_stream_open(path);
        assert_non_null(s);
        for (int n = 0; n < 400 && xr_stream_line(s, &line, &len) > 0;) {
            assert_int_equal(xr_str_append(&text, line, len), XR_OK);
            assert_int_equal(xr_str_putc(&text, '\n'), XR_OK);
            if (len > 0)
                continue;
            expect("one.tsv", text.s, XR_FILE_TAG, 1, NULL);
            xr_str_clear(&text);
            n++;
        }
        xr_stream_close(s);
        xr_str_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(tables_for_the_tagger, clear_error), cmocka_unit_test_teardown(words_for_the_tagger, clear_error),
        cmocka_unit_test_teardown(other_tasks, clear_error), cmocka_unit_test_teardown(tables, clear_error),
        cmocka_unit_test_teardown(long_lines, clear_error), cmocka_unit_test_teardown(out_of_memory, clear_error),
        cmocka_unit_test_teardown(real_tables, clear_error),
        cmocka_unit_test_teardown(real_sentences, clear_error),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
