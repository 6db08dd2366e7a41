/* Formats of labelled data: what is read, what is refused and with which words. Expected CSV fields are what Python's
 * csv module reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>
#include "data/dataset.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/str.h"

static char folder[512];

static const char *path_of(const char *name)
{
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *write_bytes(const char *name, const void *bytes, size_t n)
{
    const char *path = path_of(name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

/* Records as "text|pair|label|language@line", joined by ';', NULL fields as ~; an error ends with "!message". */
static char *read_all(const char *path, const char *format, const xr_columns *columns)
{
    xr_source_reader r;
    xr_record rec;
    xr_str b = { 0 };
    int rc = xr_source_open(&r, path, format, columns);

    assert_int_equal(xr_str_puts(&b, ""), XR_OK);
    if (rc >= 0) {
        while ((rc = xr_source_next(&r, &rec)) > 0)
            xr_str_printf(&b, "%s|%s|%s|%s@%zu;", rec.text ? rec.text : "~", rec.text_pair ? rec.text_pair : "~",
                          rec.label ? rec.label : "~", rec.language ? rec.language : "~", rec.line);
        xr_source_close(&r);
    }
    if (rc < 0) {
        assert_int_equal(xr_error_status(), rc);
        xr_str_printf(&b, "!%d %s", rc, xr_error_message());
        xr_error_clear();
    }
    return b.s;
}

static void check_columns(const char *name, const char *text, const xr_columns *columns, const char *expected)
{
    char *got = read_all(write_text(name, text), NULL, columns);
    assert_string_equal(got, expected);
    xr_free(got);
}

static void check(const char *name, const char *text, const char *expected)
{
    check_columns(name, text, NULL, expected);
}

/* The file is refused with `status`; the message starts with PATH:line and holds all the given parts. */
static void refuse(const char *name, const char *text, const xr_columns *columns, int status, size_t line,
                   const char *part, const char *part2)
{
    char *got = read_all(write_text(name, text), NULL, columns), where[1200];
    snprintf(where, sizeof where, "!%d %s:%zu: ", status, path_of(name), line);
    if (!strstr(got, where) || !strstr(got, part) || !strstr(got, part2))
        fail_msg("expected '%s…%s…%s', got '%s'", where, part, part2, got);
    xr_free(got);
}

static void test_tsv_without_header(void **state)
{
    xr_columns labelled = { .labelled = 1 }, unlabelled = { .label = "" };
    (void)state;
    check("a.tsv", "one\ntwo\n", "one|~|~|~@1;two|~|~|~@2;");
    check("a.tsv", "p\th\n", "p|h|~|~@1;");
    check_columns("a.tsv", "p\th\n", &labelled, "p|~|h|~@1;");
    check("a.tsv", "p\th\tneutral\n\thyp\tl", "p|h|neutral|~@1;|hyp|l|~@2;");
    refuse("a.tsv", "a\tb\tc\td\n", NULL, -65, 1, "more columns than the three", "'a', 'b', 'c', 'd'; name the right ones with --text-column, "
           "--text-pair-column and --label-column (a name");
    refuse("a.tsv", "a\tb\tc\td\n", &unlabelled, -65, 1, "more columns than the three", "the right ones with --text-column and --text-pair-column (a name");
}

static void test_tsv_known_headers(void **state)
{
    (void)state;
    check("x.tsv", "sentence1\tsentence2\tgold_label\na\tb\tneutral\n", "a|b|neutral|~@2;");
    check("x.tsv", "premise\thypo\tlabel\na\tb\tcontradictory\n", "a|b|contradictory|~@2;");
    check("x.tsv", "sentence\tlabel\nfine\t1\n", "fine|~|1|~@2;");
    check("x.tsv", "index\tquestion\tsentence\tlabel\n0\tq\ts\tentailment\n", "q|s|entailment|~@2;");
    check("x.tsv", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\ta\tb\n", "a|b|1|~@2;");
    check("x.tsv", "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
          "0\tg\tf\t2012\t1\tn\tn\tA plane.\tAn air plane.\t5.000\n", "A plane.|An air plane.|5.000|~@2;");
    /* XNLI-1.0's own file, 19 columns */
    check("xnli.dev.tsv",
          "language\tgold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_"
          "parse\tsentence1\t"
          "sentence2\tpromptID\tpairID\tgenre\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\tsentence1_tokenized\tsentence2_"
          "tokenized\tmatch\n"
          "ar\tneutral\t\t\t\t\tp\th\t1\t1\tfacetoface\tneutral\tcontradiction\tneutral\tneutral\tneutral\tpt\tht\tTrue"
          "\n",
          "p|h|neutral|ar@2;");
    /* MultiNLI's own file; rows may leave out the annotators who were not asked, but nothing that is read */
    static const char header[] =
        "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse\t"
        "sentence1\tsentence2\tpromptID\tpairID\tgenre\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5\n";
    char text[1024];
    snprintf(text, sizeof text,
             "%sneutral\t(\t(\t(\t(\tp\th\t1\t1n\tfiction\tneutral\t\t\t\t\n-\t(\t(\t(\t("
             "\tp2\th2\t2\t2n\tfiction\tneutral\n",
             header);
    check("m.txt", text, "p|h|neutral|~@2;p2|h2|-|~@3;");
    snprintf(text, sizeof text, "%sneutral\t(\t(\t(\t(\tp\th\t1\t1n\n", header);
    refuse("m.txt", text, NULL, -65, 2, "the row has 9 columns", "expected 15");
}

static void test_columns_by_name_and_number(void **state)
{
    xr_columns named = { .text = "message", .label = "topic" }, numbered = { .text = "3", .label = "1" };
    xr_columns mixed = { .text = "message", .text_pair = "1" }, none = { .text = "b", .label = "" },
               alone = { .label = "2" }, last = { .label = "3" };
    (void)state;
    check_columns("c.tsv", "id\tmessage\ttopic\n1\thello\tgreeting\n", &named, "hello|~|greeting|~@2;");
    check_columns("c.tsv", "l\tx\tt\n", &numbered, "t|~|l|~@1;");
    check_columns("c.tsv", "label\tx\tsentence\nl\tx\tt\n", &numbered, "t|~|l|~@2;");
    check_columns("c.tsv", "id\tmessage\ttopic\n1\thello\tgreeting\n", &mixed, "hello|1|~|~@2;");
    check_columns("c.csv", "a,b,label\n1,2,3\n", &none, "2|~|~|~@2;");
    check_columns("c.csv", "l,x,t\n", &numbered, "t|~|l|~@1;");
    refuse("c.tsv", "id\tmesage\ttopic\n1\thello\tg\n", &named, -65, 1, "there is no column 'message'",
           "'id', 'mesage', 'topic'");
    refuse("c.tsv", "a\tb\n", &numbered, -65, 1, "there is no column number '3'", "'a', 'b'");
    refuse("c.tsv", "message\tmessage\ttopic\na\tb\tc\n", &named, -65, 1, "two columns are called 'message'",
           "--text-column");
    refuse("c.tsv", "text\tlabel\tLabel\na\tb\tc\n", NULL, -65, 1, "two columns are called 'label'", "--label-column");
    check_columns("c.tsv", "text\tlabel\tlabel\na\tb\tc\n", &last, "a|~|c|~@2;");
    refuse("c.tsv", "a\tb\n", &alone, -2, 1, "add --text-column", "without the first text");
}

/* Catalogue 46, 47. */
static void test_tsv_rows(void **state)
{
    (void)state;
    refuse("r.tsv", "a\tb\tc\na\tb\n", NULL, -65, 2, "the row has 2 columns", "expected 3");
    refuse("r.tsv", "a\tb\tc\na\tb\tc\na\tb\tc\td\n", NULL, -65, 3, "the row has 4 columns", "expected 3");
    check("r.tsv", "\"a\t\"\"b\"\"\tl\n", "\"a|\"\"b\"\"|l|~@1;");
    refuse("r.tsv", "a\tb\tc\n\na\tb\tc\n", NULL, -65, 2, "an empty line among the rows", "remove the line");
    refuse("r.tsv", "\na\tb\tc\n", NULL, -65, 1, "an empty line among the rows", "remove the line");
    check("r.tsv", "a\tb\tc\n\n\n", "a|b|c|~@1;");
}

/* Catalogue 48; the accepted fields are what python3's csv.reader gives for the same text. */
static void test_csv(void **state)
{
    (void)state;
    check("q.csv", "text,label\nplain,1\n\"a, b\",2\n\"say \"\"hi\"\"\",3\nmid\"quote,4\n\"\",5\n",
          "plain|~|1|~@2;a, b|~|2|~@3;say \"hi\"|~|3|~@4;mid\"quote|~|4|~@5;|~|5|~@6;");
    check("q.csv", "sentence1,sentence2,label\r\n\"two\r\nlines\",\"x\n\ny\",l\r\nz,,\r\n",
          "two\nlines|x\n\ny|l|~@2;z|||~@6;");
    check("q.csv", "\"text\",\"label\"\n\"last\",\"no end\"", "last|~|no end|~@2;");
    check("q.csv", "text\n\"\"\"\"\n", "\"|~|~|~@2;");
    refuse("q.csv", "text,label\na,1\n\"open,2\nb,3\nc,4\n", NULL, -65, 3, "the quote that opens here is never closed",
           "RFC 4180");
    refuse("q.csv", "text,label\na,1\n\"x\ny\",\"open,2\nb,3\n", NULL, -65, 4, "never closed", "RFC 4180");
    refuse("q.csv", "text,label\n\"a\"b,1\n", NULL, -65, 2, "text after a closing quote", "RFC 4180");
    refuse("q.csv", "text,label\na,1,2\n", NULL, -65, 2, "the row has 3 columns", "expected 2");
    refuse("q.csv", "text,label\n\na,1\n", NULL, -65, 2, "an empty line", "");
}

/* Catalogue 49: only LF and CRLF end lines. */
static void test_line_ends(void **state)
{
    (void)state;
    check("l.tsv", "a\tb\r\nc\td\ne\xE2\x80\xA8x\tf\v\f\rg\nlast\tz",
          "a|b|~|~@1;c|d|~|~@2;e\xE2\x80\xA8x|f\v\f\rg|~|~@3;last|z|~|~@4;");
}

/* Catalogue 50. */
static void test_headers(void **state)
{
    (void)state;
    check("h.tsv", "\xEF\xBB\xBFpremise\thypothesis\tlabel\na\tb\tc\n", "a|b|c|~@2;");
    check("h.csv", "\xEF\xBB\xBFpremise,hypothesis,label\na,b,c\n", "a|b|c|~@2;");
    refuse("h.tsv", "premise\thypotheses\tlabel\na\tb\tc\n", NULL, -65, 1, "looks like a header",
           "'premise', 'hypotheses', 'label'");
    refuse("h.csv", "frase,etiqueta\na,b\n", NULL, -65, 1, "no column of the header is a known text column",
           "'frase', 'etiqueta'");
}

/* Files whose columns are not apart from each other: the message is about the separator, not about names. */
static void test_other_separators(void **state)
{
    xr_columns labelled = { .labelled = 1 }, named = { .text = "review" };
    (void)state;
    refuse("o.csv", "text;label\na;b\n", NULL, -65, 1, "'text;label'; the row has semicolons, as Excel", "save the file with one of these");
    refuse("o.txt", "text;label\na;b\n", NULL, -65, 1, "'text;label'; the row has semicolons, as Excel", "save the file with one of these");
    refuse("o.csv", "sep=;\ntext;label\na;b\n", NULL, -65, 1, "the row has semicolons", "save the file with one of these");
    refuse("o.csv", "text\tlabel\na\tb\n", NULL, -65, 1, "the row has TABs and no comma", "give --format tsv");
    refuse("o.txt", "review,mood\na,b\n", &labelled, -65, 1, "one column, and no label in it", "give --format csv");
    refuse("o.txt", "review,mood\na,b\n", &named, -65, 1, "there is no column 'review'", "give --format csv");
    check("o.txt", "Good, but dear; no\n", "Good, but dear; no|~|~|~@1;");
}

/* Catalogue 51, the source's part: no records. */
static void test_empty(void **state)
{
    static const char *const names[] = { "e.tsv", "e.csv", "e.jsonl" };
    (void)state;
    for (int i = 0; i < 3; i++)
        check(names[i], "", "");
    check("e.tsv", "premise\thypothesis\tlabel\n", "");
    check("e.csv", "premise,hypothesis,label", "");
    check("e.jsonl", "\n\n", "");
}

/* Catalogue 57: memory stays bounded, the line is named. */
static void test_endless_line(void **state)
{
    static const char *const names[] = { "big.tsv", "big.csv", "big.jsonl" };
    size_t n = (size_t)100 << 20;
    char *text = xr_map_alloc(n, 0);
    (void)state;

    assert_non_null(text);
    memset(text, 'x', n);
    memcpy(text, "{\"text\": \"", 10);
    for (int i = 0; i < 3; i++) {
        char *got = read_all(write_bytes(names[i], text, n), NULL, NULL);
        assert_non_null(strstr(got, "!-65 "));
        assert_non_null(strstr(got, ":1: "));
        assert_non_null(strstr(got, "16 MiB"));
        xr_free(got);
        unlink(path_of(names[i]));
    }
    memset(text, 'x', n);
    memcpy(text, "text\n\"", 6);
    for (size_t i = 100; i < n; i += 100)
        text[i] = '\n';
    char *got = read_all(write_bytes("big.csv", text, n), NULL, NULL);
    assert_non_null(strstr(got, "big.csv:2: the quote that opens here is never closed within 16 MiB"));
    xr_free(got);
    unlink(path_of("big.csv"));
    xr_map_free(text, n);
}

static void test_jsonl(void **state)
{
    xr_columns own = { .text = "q", .text_pair = "doc", .label = "y" };
    (void)state;
    check("j.jsonl", "{\"sentence1\": \"a\", \"sentence2\": \"b\", \"label\": \"neutral\", \"id\": 3}\n",
          "a|b|neutral|~@1;");
    check("j.jsonl", "{\"premise\": \"a\", \"hypothesis\": \"b\", \"gold_label\": \"e\", \"label\": 9}\n",
          "a|b|e|~@1;");
    check("j.jsonl",
          "\n  {\"text\": \"a\\n\\\"\\u00e9\\ud83d\\ude00\", \"label\": -7}  \n \t\n{\"label\": 0.5, \"text\": \"b\"}",
          "a\n\"\xC3\xA9\xF0\x9F\x98\x80|~|-7|~@2;b|~|0.5|~@4;");
    check("j.jsonl",
          "{\"text\": \"a\", \"labels\": [\"x\", 2]}\n{\"text\": \"b\", \"labels\": []}\n{\"text\": \"c\", \"labels\": "
          "null}\n",
          "a|~|x\x1f"
          "2\x1f|~@1;b|~|\x1f|~@2;c|~|~|~@3;");
    check("j.jsonl", "{\"text\": \"a\", \"label\": true, \"language\": \"sw\"}\n", "a|~|true|sw@1;");
    check("j.jsonl", "{\"text\": \"a\", \"lang\": null}\n{\"text\": \"b\", \"lang\": 2}\n", "a|~|~|~@1;b|~|~|~@2;");
    check_columns("j.jsonl", "{\"q\": \"1\", \"doc\": \"2\", \"y\": \"3\", \"text\": \"t\", \"label\": \"l\"}\n", &own,
                  "1|2|3|~@1;");
}

/* Catalogue 58, 59. */
static void test_bad_jsonl(void **state)
{
    static const char good[] = "{\"text\": \"a\", \"label\": \"l\"}\n";
    static const struct { const char *line; const char *part, *part2; } bad[] = {
        { "{\"text\": \"a\",}\n", "not valid JSON", "" },
        { "{\"text\": \"a\"} {\"text\": \"b\"}\n", "not valid JSON", "end of file expected" },
        { "[\"a\", \"b\"]\n", "the line holds a list", "one JSON object a line" },
        { "\"a\"\n", "the line holds a string", "one JSON object a line" },
        { "{\"label\": \"l\"}\n", "the key 'text' is missing", "expected a string" },
        { "{\"text\": 5, \"label\": \"l\"}\n", "the key 'text' holds a number", "expected a string" },
        { "{\"text\": null, \"label\": \"l\"}\n", "the key 'text' holds null", "expected a string" },
        { "{\"text\": \"a\", \"label\": {}}\n", "the label 'label' holds an object", "expected a string, a number" },
        { "{\"text\": \"a\", \"label\": [[1]]}\n", "the label 'label' holds a list", "expected a string, a number" },
        { "{\"text\": \"a\", \"text\": \"b\"}\n", "not valid JSON", "uplicate" },
        { "{\"text\": \"a\\u0000b\"}\n", "not valid JSON", "" },
        { "{\"text\": \"a\\ud800\"}\n", "not valid JSON", "" },
        { "{\"text\": NaN}\n", "not valid JSON", "" },
        { "{\"text\": \"a\", \"lab", "truncated at end", "whole JSON" },
        { "{\"text\": \"a\", \"lab\n", "not valid JSON", "" },
    };
    const xr_columns unlabelled = { .label = "" };
    char text[256];
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "%s\n%s", good, bad[i].line);
        refuse("b.jsonl", text, NULL, -65, 3, bad[i].part, bad[i].part2);
    }
    refuse("b.jsonl", "{\"frase\": \"a\", \"etiqueta\": 1}\n", NULL, -65, 1, "no known text key",
           "'frase', 'etiqueta'");
    refuse("b.json", "{\n\"text\": \"a\"\n}\n", NULL, -65, 1, "a JSON object over several lines", "(jq -c '.')");
    refuse("b.json", "[\n{\"text\": \"a\"}\n]\n", NULL, -65, 1, "a JSON list over several lines", "(jq -c '.[]')");
    refuse("b.jsonl", "{\"frase\": \"a\"}\n", &unlabelled, -65, 1, "no known text key", "with --text-column and --text-pair-column");

    size_t n = 1 << 20;
    char *deep = xr_alloc(n, 1);
    memset(deep, '[', n);
    memcpy(deep, "{\"text\": ", 9);
    char *got = read_all(write_bytes("deep.jsonl", deep, n), NULL, NULL);
    assert_non_null(strstr(got, "!-65 "));
    assert_non_null(strstr(got, "deep.jsonl:1: "));
    xr_free(got);
    deep[n - 1] = '\n';
    got = read_all(write_bytes("deep.jsonl", deep, n), NULL, NULL);
    assert_non_null(strstr(got, "maximum parsing depth"));
    xr_free(got);
    xr_free(deep);
}

/* Catalogue 85 to 87. */
static void test_encodings(void **state)
{
    static const char *const bad[] = { "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                       "\x80",     "\xC3",         "\xE2\x82",     "caf\xE9" };
    char text[64];
    (void)state;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "good\tb\nab\t%s\nc\td\n", bad[i]);
        refuse("u.tsv", text, NULL, -65, 2, i == 7 ? "byte 0xE9 at byte 6 of the line" : "at byte 3 of the line",
               "not UTF-8");
    }
    refuse("m.csv", "text,label\ra,b\rc,d\r", NULL, -65, 1, "lines end in CR alone", "tr '\\r' '\\n'");
    check("m.tsv", "a\rb\tc\nd\re\tf", "a\rb|c|~|~@1;d\re|f|~|~@2;");
    check("m.jsonl", "{\"text\": \"a\"}\r", "a|~|~|~@1;");
    char *got = read_all(write_bytes("n.tsv", "a\tb\nx\0y\tz\n", 10), NULL, NULL);
    assert_non_null(strstr(got, "n.tsv:2: a NUL byte at byte 1 of the line"));
    xr_free(got);
    got = read_all(write_bytes("w.tsv", "\xFF\xFE" "a\0\t\0b\0\n\0", 10), NULL, NULL);
    assert_non_null(strstr(got, "UTF-16"));
    xr_free(got);
    check("c.tsv", "a\x01\x1b[31m\xE2\x80\xAE\xEF\xBF\xBE\tb\n", "a\x01\x1b[31m\xE2\x80\xAE\xEF\xBF\xBE|b|~|~@1;");
}

/* Where plain text may be: what neither name nor first line makes a table, line by line. */
static void test_plain(void **state)
{
    static const xr_columns plain = { .plain = 1 };
    (void)state;
    check_columns("p.txt", "a\tb\n\n text \r\nc", &plain, "a\tb|~|~|~@1;|~|~|~@2; text |~|~|~@3;c|~|~|~@4;");
    check_columns("p.txt", "\n\r\na\n\n", &plain, "|~|~|~@1;|~|~|~@2;a|~|~|~@3;|~|~|~@4;");
    check_columns("p.txt", "\n\n", &plain, "|~|~|~@1;|~|~|~@2;");
    check_columns("p.txt", "", &plain, "");
    check_columns("p.txt", "text\na\n", &plain, "text|~|~|~@1;a|~|~|~@2;");
    check_columns("p.txt", "id\tcontent\n", &plain, "id\tcontent|~|~|~@1;");
    check_columns("p.txt", "id\tsentence2\tSentence1\n1\tb\ta\n", &plain, "a|b|~|~@2;");
    check_columns("p.txt", "premise\tlabel\n", &plain, "premise\tlabel|~|~|~@1;");
    check_columns("p.txt", "{\"text\": \"a\"}\n", &plain, "a|~|~|~@1;");
    check_columns("p.csv", "text,label\na,b\n", &plain, "a|~|b|~@2;");
    check_columns("p.tsv", "a\tb\n", &plain, "a|b|~|~@1;");
    check_columns("p.txt", "a\tb\n", NULL, "a|b|~|~@1;");
    refuse("p.txt", "a\n\nb\xFFz\n", &plain, -65, 3, "byte 0xFF at byte 1 of the line", "UTF-8");
    char *got = read_all(write_text("p.jsonl", "{}\n"), "plain", NULL);
    assert_string_equal(got, "{}|~|~|~@1;");
    xr_free(got);
}

static void test_detection(void **state)
{
    char *got;
    (void)state;
    check("d.tsv", "  {\"text\": \"a\"}\n", "a|~|~|~@1;");
    check("d.csv", "{\"text\": \"a\"}\n", "a|~|~|~@1;");
    check("d.txt", "a,b\tc\n", "a,b|c|~|~@1;");
    check("d.txt", "id,\"Text\",label\n1,\"a\nb\",c\n", "a\nb|~|c|~@2;");
    check("d.txt", "premise,hypothesis\na,b\n", "a|b|~|~@2;");
    check("d.txt", "premise,b\n", "premise,b|~|~|~@1;");
    check("d.txt", "Text, a\tb\n", "Text, a|b|~|~@1;");
    check("d.txt", "A sentence, text and label\n", "A sentence, text and label|~|~|~@1;");
    got = read_all(write_text("d.csv", "a,b\tc\n"), "tsv", NULL);
    assert_string_equal(got, "a,b|c|~|~@1;");
    xr_free(got);
    got = read_all(path_of("d.csv"), "tvs", NULL);
    assert_non_null(strstr(got, "!-2 unknown format 'tvs'; expected one of csv, jsonl, plain, tsv"));
    xr_free(got);
    got = read_all(path_of("absent.tsv"), NULL, NULL);
    assert_non_null(strstr(got, "!-66 "));
    xr_free(got);

    gzFile z = gzopen(path_of("d.csv.gz"), "wb");
    gzputs(z, "text,label\n\"a,b\",c\n");
    gzclose(z);
    got = read_all(path_of("d.csv.gz"), NULL, NULL);
    assert_string_equal(got, "a,b|~|c|~@2;");
    xr_free(got);
}

/* The same rows, compressed by the xz and zstd programs. */
static void test_packed(void **state)
{
    static const char xz[] = "\xfd\x37\x7a\x58\x5a\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3"
        "\x01\x00\x12\x74\x65\x78\x74\x2c\x6c\x61\x62\x65\x6c\x0a\x22\x61\x2c\x62\x22\x2c\x63\x0a\x00\x00"
        "\x7a\xf0\x03\x1c\x07\x86\x0d\xde\x00\x01\x2b\x13\x9c\x09\x48\xd2\x1f\xb6\xf3\x7d\x01\x00\x00\x00"
        "\x00\x04\x59\x5a";
    static const char zstd[] = "\x28\xb5\x2f\xfd\x04\x58\x99\x00\x00\x74\x65\x78\x74\x2c\x6c\x61\x62\x65\x6c\x0a\x22\x61\x2c\x62"
        "\x22\x2c\x63\x0a\x13\x0f\xdd\xb5";
    (void)state;
    char *got = read_all(write_bytes("d.csv.xz", xz, sizeof xz - 1), NULL, NULL);
    assert_string_equal(got, "a,b|~|c|~@2;");
    xr_free(got);
    got = read_all(write_bytes("d.CSV.zst", zstd, sizeof zstd - 1), NULL, NULL);
    assert_string_equal(got, "a,b|~|c|~@2;");
    xr_free(got);
}

/* A reader goes on behind a bad record, so that the caller can skip it; after a damaged file it does not. */
static void test_going_on(void **state)
{
    static const struct { const char *name, *text; } files[] = {
        { "g.tsv", "a\tb\tc\nbad\nlast\tb\tc\n" },
        { "g.tsv", "a\tb\tc\n\nlast\tb\tc\n" },
        { "g.tsv", "a\tb\tc\n\x80\tb\tc\nlast\tb\tc\n" },
        { "g.csv", "text,label\na,b\n\"x\"y,z\nlast,c\n" },
        { "g.jsonl", "{\"text\": \"a\"}\n{\"tex\n{\"text\": \"last\"}\n" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        xr_source_reader r;
        xr_record rec;
        assert_int_equal(xr_source_open(&r, write_text(files[i].name, files[i].text), NULL, NULL), XR_OK);
        assert_int_equal(xr_source_next(&r, &rec), 1);
        assert_string_equal(rec.text, "a");
        assert_int_equal(xr_source_next(&r, &rec), XR_EDATA);
        xr_error_clear();
        assert_false(r.broken);
        assert_int_equal(xr_source_next(&r, &rec), 1);
        assert_string_equal(rec.text, "last");
        assert_int_equal(xr_source_next(&r, &rec), 0);
        xr_source_close(&r);
    }
    xr_source_reader r;
    xr_record rec;
    gzFile z = gzopen(path_of("cut.tsv.gz"), "wb");
    for (unsigned i = 0; i < 20000; i++)
        gzprintf(z, "row %u\t%u\n", i, i * 2654435761u);
    gzclose(z);
    assert_int_equal(truncate(path_of("cut.tsv.gz"), 50000), 0);
    assert_int_equal(xr_source_open(&r, path_of("cut.tsv.gz"), NULL, NULL), XR_OK);
    int rc;
    while ((rc = xr_source_next(&r, &rec)) > 0)
        ;
    assert_int_equal(rc, XR_EDATA);
    assert_true(r.broken);
    xr_error_clear();
    xr_source_close(&r);
}

static void test_out_of_memory(void **state)
{
    static const struct { const char *name, *text; } files[] = {
        { "o.tsv", "premise\thypothesis\tlabel\na\tb\tc\n" },
        { "o.csv", "text,label\n\"a\nb\",c\n" },
        { "o.jsonl", "{\"text\": \"a\", \"labels\": [1, 2]}\n" },
    };
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        const char *path = write_text(files[i].name, files[i].text);
        long live = xr_alloc_live(), k = 0;
        for (int rc = -1; rc; k++) {
            xr_source_reader r;
            xr_record rec;
            xr_alloc_fail_after(k);
            rc = xr_source_open(&r, path, NULL, NULL);
            if (rc >= 0) {
                while ((rc = xr_source_next(&r, &rec)) > 0)
                    ;
                xr_source_close(&r);
            }
            xr_alloc_fail_after(-1);
            assert_int_equal(rc, xr_error_status());
            assert_true(rc == 0 || rc == XR_ESYSTEM);
            xr_error_clear();
            assert_int_equal(xr_alloc_live(), live);
        }
        assert_true(k > 4);
    }
}

/* ---- real files ---- */

/* Rows by label: entailment, neutral, contradiction, "-"; anything else fails. */
static size_t count_labels(const char *path, const char *map, size_t count[4])
{
    xr_source_reader r;
    xr_record rec;
    xr_labels l = { 0 };
    size_t n = 0;
    int rc;

    memset(count, 0, 4 * sizeof *count);
    assert_true(xr_labels_add(&l, "entailment") == 0 && xr_labels_add(&l, "neutral") == 1 &&
                xr_labels_add(&l, "contradiction") == 2);
    assert_true(!map || xr_labels_map(&l, map) == XR_OK);
    assert_int_equal(xr_source_open(&r, path, NULL, NULL), XR_OK);
    for (; (rc = xr_source_next(&r, &rec)) > 0; n++) {
        int id = xr_labels_find(&l, rec.label);
        assert_true(id >= 0 || id == -2);
        assert_true(*rec.text && *rec.text_pair);
        count[id >= 0 ? id : 3]++;
    }
    if (rc < 0)
        fail_msg("%s", xr_error_message());
    xr_source_close(&r);
    xr_labels_free(&l);
    return n;
}

static const char *data_folder(void)
{
    const char *data = getenv("XLMR_DATA");
    data = data ? data : "../shared/data";
    if (xr_path_is_dir(data))
        return data;
    print_message("skipped: no real data in %s (set XLMR_DATA)\n", data);
    skip();
    return NULL;
}

static void test_real_xnli(void **state)
{
    static const char *const languages[] = { "ar", "bg", "de", "el", "en", "es", "fr", "hi",
                                             "ru", "sw", "th", "tr", "ur", "vi", "zh" };
    const char *data = data_folder();
    char path[1024];
    size_t count[4];
    (void)state;

    for (size_t i = 0; i < 15; i++)
        for (int test = 0; test < 2; test++) {
            snprintf(path, sizeof path, "%s/xnli/%s-%s.tsv.gz", data, test ? "test" : "dev", languages[i]);
            assert_int_equal(count_labels(path, NULL, count), test ? 5010 : 2490);
            for (int c = 0; c < 3; c++)
                assert_int_equal(count[c], test ? 1670 : 830);
        }
}

/* Rows and labels as Python's json and str.split count them. */
static void test_real_nli(void **state)
{
    static const char eng[] = "e=entailment,n=neutral,c=contradiction";
    static const struct { const char *file, *map; size_t n, count[4]; } files[] = {
        { "ocnli/train.10k.json.gz", NULL, 10000, { 3309, 3434, 3242, 15 } },
        { "ocnli/dev.json.gz", NULL, 3000, { 947, 1103, 900, 50 } },
        { "indonli/train.jsonl.gz", eng, 10330, { 3476, 3415, 3439, 0 } },
        { "indonli/val.jsonl.gz", eng, 2197, { 807, 641, 749, 0 } },
        { "indonli/test_lay.jsonl.gz", eng, 2201, { 808, 629, 764, 0 } },
        { "kornli/xnli.dev.ko.tsv.gz", NULL, 2490, { 830, 830, 830, 0 } },
        { "kornli/xnli.test.ko.tsv.gz", NULL, 5010, { 1670, 1670, 1670, 0 } },
    };
    const char *data = data_folder();
    char path[1024];
    size_t count[4];
    (void)state;

    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/nli-other/%s", data, files[i].file);
        assert_int_equal(count_labels(path, files[i].map, count), files[i].n);
        assert_memory_equal(count, files[i].count, sizeof count);
    }
}

/* Bytes of both columns as Python counts them: no character of the texts is lost. */
static void test_real_bytes(void **state)
{
    static const struct { const char *language; size_t text, pair; } sums[] = {
        { "en", 533709, 261263 }, { "th", 1394895, 671960 }, { "ur", 885327, 450747 } };
    const char *data = data_folder();
    char path[1024];
    (void)state;

    for (size_t i = 0; i < 3; i++) {
        xr_source_reader r;
        xr_record rec;
        size_t text = 0, pair = 0;
        snprintf(path, sizeof path, "%s/xnli/test-%s.tsv.gz", data, sums[i].language);
        assert_int_equal(xr_source_open(&r, path, NULL, NULL), XR_OK);
        while (xr_source_next(&r, &rec) > 0) {
            text += strlen(rec.text);
            pair += strlen(rec.text_pair);
        }
        xr_source_close(&r);
        assert_int_equal(text, sums[i].text);
        assert_int_equal(pair, sums[i].pair);
    }
}

static int set_up(void **state)
{
    const char *tmp = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%s/xlmr-sources-XXXXXX", tmp ? tmp : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return xr_remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tsv_without_header),
        cmocka_unit_test(test_tsv_known_headers),
        cmocka_unit_test(test_columns_by_name_and_number),
        cmocka_unit_test(test_tsv_rows),
        cmocka_unit_test(test_csv),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_jsonl),
        cmocka_unit_test(test_bad_jsonl),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_other_separators),
        cmocka_unit_test(test_detection),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_going_on),
        cmocka_unit_test(test_out_of_memory),
        cmocka_unit_test(test_real_xnli),
        cmocka_unit_test(test_real_nli),
        cmocka_unit_test(test_real_bytes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
