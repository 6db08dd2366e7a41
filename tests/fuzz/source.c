/* Labelled examples as TSV, CSV and JSON lines, and plain text beside them. The first byte chooses format and columns, the second the size of buffers. */
#include "data/source.h"
#include "fuzz.h"

static const char *format;
static xr_columns columns;

static uint64_t add_text(uint64_t sum, const char *s)
{
    return sum * 31 + (s ? xr_xxh64(s, strlen(s)) : 1);
}

/* A number that stands for all that came out. Lines go up, and a record has what it was asked for or an error. */
static uint64_t read_all(const char *path, size_t chunk)
{
    xr_source_reader r;
    xr_record x;
    uint64_t sum = 0;
    size_t line = 0;
    int rc;
    xr_stream_chunk(chunk);
    rc = xr_source_open(&r, path, format, &columns);
    xr_stream_chunk(0);
    if (rc < 0) {
        xr_error_clear();
        return (uint64_t)-rc;
    }
    while ((rc = fuzz_got(xr_source_next(&r, &x), &r.broken, &sum)) >= 0) {
        if (rc == 0)
            continue;
        if (x.line <= line || (columns.text && *columns.text && !x.text))
            abort();
        line = x.line;
        sum = add_text(add_text(add_text(add_text(sum, x.text), x.text_pair), x.label), x.language) + x.line;
    }
    xr_source_close(&r);
    return sum;
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    static const char *const formats[] = { NULL, "tsv", "csv", "jsonl" };
    static const xr_columns given[] = { { 0 }, { .labelled = 1 }, { .text = "1", .label = "2" }, { .text = "text", .text_pair = "", .label = "label" },
                                        { .text = "3", .text_pair = "1", .language = "2" }, { .label = "" }, { .text = "", .label = "score" },
                                        { .text = "a", .text_pair = "b", .label = "9", .language = "l" } };
    if (n < 2)
        return;
    format = formats[data[0] & 3];
    columns = given[data[0] >> 2 & 7];
    columns.plain = data[0] >> 5 & 1;
    fuzz_both(read_all, data + 2, n - 2, 1 + data[1] % 40u);
}

static void fuzz_seeds(char **argv)
{
    static const char header[] = "\1\3premise\thypothesis\tlabel\tlanguage\na b\tc\tneutral\ten\r\nd\t\xC3\xA9\tx\tde\n\n";
    static const char bare[] = "\5\7one\tpos\ntwo\tneg\n\nthree\tpos";
    static const char numbers[] = "\x11\1x\ty\tz\nx\ty\n";
    static const char csv[] = "\2\5sentence1,sentence2,gold_label,label1,label2\n\"a, \"\"b\"\"\",\"two\nlines\",x,y\nc,d,e,f,g\n\"cut\"x,\n\"open";
    static const char jsonl[] = "\3\2{\"text\": \"a\", \"label\": [\"x\", 3, true], \"lang\": \"en\"}\n\n{\"text\": 3}\n"
                                "{\"text\": \"\\u0000\"}\n[1]\n{\"text\": \"b\"";
    static const char plain[] = "\40\2\n\r\n\na text\tof one\n\n{\n\xC3";
    static const char keys[] = "\0\2{\"question1\": \"a\", \"question2\": \"b\", \"is_duplicate\": 0}\n{\"question1\": \"a\", \"question2\": null}\n";
    FUZZ_SEED(argv, "header", header);
    FUZZ_SEED(argv, "bare", bare);
    FUZZ_SEED(argv, "numbers", numbers);
    FUZZ_SEED(argv, "csv", csv);
    FUZZ_SEED(argv, "jsonl", jsonl);
    FUZZ_SEED(argv, "keys", keys);
    FUZZ_SEED(argv, "plain", plain);
}
