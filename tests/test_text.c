/* Raw text shards: every format, whole and damaged, packed in every way, read through buffers of every size. The shards are
 * written here; real ones are compared with the counts in the README of the test data. */
#include "pack.h"

#include "data/text.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/sha1.h"

/* What a shard gave: a line a paragraph, "*" before the first of a document, "en:" before one with a language; then the
 * reasons as "reason=count" and the status, if not 0. */
static xr_text_counts counts;
static char format[16];
static char notes[4096];

static void keep_note(xr_level level, const char *message)
{
    (void)level;
    strncat(notes, message, sizeof notes - strlen(notes) - 2);
    strcat(notes, "\n");
}

static int read_shard(const char *path, const xr_text_options *o, xr_str *got)
{
    xr_text_reader r;
    xr_paragraph p;
    int rc;
    xr_str_clear(got);
    assert_int_equal(xr_str_puts(got, ""), XR_OK);
    notes[0] = 0;
    if (xr_text_open(&r, path, o) < 0)
        return xr_error_status();
    snprintf(format, sizeof format, "%s", r.format->name);
    while ((rc = xr_text_next(&r, &p)) == 1) {
        assert_true(p.len > 0 && !memchr(p.text, '\n', p.len) && !memchr(p.text, 0, p.len));
        xr_str_printf(got, "%s%s%s", p.begins_document ? "*" : "", p.language ? p.language : "", p.language ? ":" : "");
        xr_str_append(got, p.text, p.len);
        xr_str_putc(got, '\n');
    }
    counts = r.counts;
    xr_text_close(&r);
    return rc;
}

/* The reasons counted, "bad_utf8=1 nul=2". */
static const char *reasons(void)
{
    static char list[400];
    list[0] = 0;
    for (int i = 0; i < XR_TEXT_N_REASONS; i++)
        if (counts.reason[i])
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s=%llu", *list ? " " : "", xr_text_reason_name(i),
                     (unsigned long long)counts.reason[i]);
    return list;
}

static const xr_text_options skipping = { .skip_bad = 1, .max_bad_fraction = 1.0 };

/* The same paragraphs and counts come out of every buffer size. */
static void expect_with(const xr_text_options *o, const void *bytes, size_t n, const char *want, const char *want_reasons, int want_status)
{
    static const size_t chunks[] = { 0, 1, 2, 3, 7, 64, 1000 };
    xr_str got = { 0 };
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        xr_stream_chunk(chunks[i]);
        int rc = read_shard(file_of(bytes, n), o, &got);
        xr_stream_chunk(0);
        if (rc != want_status || strcmp(got.s, want) || strcmp(reasons(), want_reasons))
            fail_msg("chunk %zu: status %d (%s)\n%s--- %s\nexpected %d\n%s--- %s", chunks[i], rc, xr_error_message(), got.s, reasons(), want_status,
                     want, want_reasons);
        if (i + 1 < sizeof chunks / sizeof chunks[0])
            xr_error_clear();
    }
    xr_str_free(&got);
}

static void expect(const char *text, const char *want, const char *want_reasons)
{
    expect_with(&skipping, text, strlen(text), want, want_reasons, 0);
}

static void test_plain(void **state)
{
    (void)state;
    expect("one\ntwo\n\nthree\n", "*one\ntwo\n*three\n", "");
    assert_string_equal(format, "plain");
    assert_int_equal(counts.documents, 2);
    assert_int_equal(counts.paragraphs, 3);
    assert_int_equal(counts.records, 3);
    assert_int_equal(counts.bytes, 11);
    expect("\n\n\r\none\r\n \t\n\xC2\xA0\ntwo", "*one\n*two\n", "");
    expect("\xEF\xBB\xBFone\n", "*one\n", "");
    expect("", "", "");
    expect("</s> <mask>\n", "*</s> <mask>\n", "");
    expect("a\x01\xE2\x80\xAE\xEF\xBF\xBF" "b\n", "*a\x01\xE2\x80\xAE\xEF\xBF\xBF" "b\n", "");
}

/* Catalogue 85 and 87. */
static void test_encoding(void **state)
{
    (void)state;
    static const char *const bad[] = { "\xC0\xAF", "\xE0\x80\xAF", "\xF0\x80\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80", "\x80",
                                       "\xE2\x82", "\xC3", "\xF0\x9F\x98", "caf\xE9", "\xC0\xED\xED\xE0" };
    static const char *const guesses[] = { "overlong", "overlong", "overlong", "surrogate", "U+10FFFF", "Latin-1", "continuation", "cut off",
                                           "Latin-1", "cut off", "Latin-1", "Latin-1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[40];
        snprintf(text, sizeof text, "one\n%s\ntwo\n", bad[i]);
        xr_log_set_sink(keep_note);
        expect(text, "*one\ntwo\n", "bad_utf8=1");
        xr_log_set_sink(NULL);
        assert_non_null(strstr(notes, guesses[i]));
        assert_non_null(strstr(notes, "input:2: byte 0x"));
        xr_text_options error = { 0 };
        expect_with(&error, text, strlen(text), "*one\n", "bad_utf8=1", XR_EDATA);
        expect_error(XR_EDATA, "--replace-bad-utf8");
    }
    expect_with(&skipping, "one\nt\0o\n", 8, "*one\n", "nul=1", 0);
    expect_with(&skipping, "a\0b\0\n\0c\0", 8, "", "nul=2", 0);
}

/* Python: bytes.decode(errors="replace"). */
static void test_replacing(void **state)
{
    (void)state;
    xr_text_options o = skipping;
    o.replace_bad_utf8 = 1;
#define R "\xEF\xBF\xBD"
    static const char text[] = "a\xC0\xAF" "b\n\xED\xA0\x80\n\xE2\x82 x\n\xF0\x9F\x98\xF0\x9F\x98\x80\ngood\n\xF4\x90\x80\x80\n\xE2\x82";
    expect_with(&o, text, sizeof text - 1, "*a" R R "b\n" R R R "\n" R " x\n" R "\xF0\x9F\x98\x80\ngood\n" R R R R "\n" R "\n", "replaced=6", 0);
#undef R
}

static void test_utf16(void **state)
{
    (void)state;
    xr_text_options o = skipping;
    xr_text_reader r;
    xr_paragraph p;
    assert_int_equal(xr_text_open(&r, file_of("\xFF\xFE" "a\0\n\0", 6), &o), XR_EDATA);
    expect_error(XR_EDATA, "UTF-16");
    o.skip_bad = 0;
    assert_int_equal(xr_text_open(&r, file_of("a\0b\0c\0\n\0", 8), &o), XR_OK);
    assert_int_equal(xr_text_next(&r, &p), XR_EDATA);
    expect_error(XR_EDATA, "iconv -f UTF-16LE");
    xr_text_close(&r);
}

/* The last piece of a long line may be white: no empty line, so no end of the document. */
static void test_long_line_with_white_end(void **state)
{
    (void)state;
    static const char *const ends[] = { " ", "   ", "\r" };
    for (size_t k = 0; k < 3; k++) {
        xr_str text = { 0 };
        xr_text_options o = skipping;
        xr_text_reader r;
        xr_paragraph p;
        while (text.len < XR_PARAGRAPH_CAP)
            xr_str_puts(&text, "abc ");
        xr_str_printf(&text, "%s\nsame\n\nother\n", ends[k]);
        assert_int_equal(xr_text_open(&r, file_of(text.s, text.len), &o), XR_OK);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(xr_text_next(&r, &p), 1);
            assert_int_equal(p.begins_document, i != 1);
        }
        assert_int_equal(p.len, 5);
        assert_int_equal(xr_text_next(&r, &p), 0);
        xr_text_close(&r);
        xr_str_free(&text);
    }
}

/* Catalogue 89: ten million bytes without a space; and with spaces. */
static void test_long_paragraphs(void **state)
{
    (void)state;
    enum { SIZE = 10 << 20 };
    xr_text_options o = skipping;
    for (int spaces = 0; spaces < 2; spaces++) {
        xr_str text = { 0 }, joined = { 0 };
        while (text.len < SIZE)
            xr_str_puts(&text, spaces && text.len % 7 == 0 ? " " : "\xE3\x81\x82");
        xr_str_puts(&text, "\nafter\n");
        xr_text_reader r;
        xr_paragraph p;
        size_t n = 0;
        assert_int_equal(xr_text_open(&r, file_of(text.s, text.len), &o), XR_OK);
        while (xr_text_next(&r, &p) == 1 && p.len != 5) {
            assert_true(p.len <= XR_PARAGRAPH_CAP);
            assert_int_equal(p.begins_document, n == 0);
            if (spaces && joined.len + p.len < SIZE)
                assert_int_equal(p.text[p.len - 1], ' ');
            xr_str_append(&joined, p.text, p.len);
            n++;
        }
        assert_int_equal(joined.len, text.len - 7);
        assert_memory_equal(joined.s, text.s, joined.len);
        assert_memory_equal(p.text, "after", 5);
        assert_int_equal(r.counts.reason[XR_TEXT_BAD_UTF8], 0);
        assert_true(n >= 10);
        xr_text_close(&r);
        xr_str_free(&text);
        xr_str_free(&joined);
    }
}

/* A run of characters that no piece knows costs the square of its length: pieces of 64 KiB at most, the same from every buffer, cut behind white
 * space of any kind in the second half and never inside a character. */
static void test_where_paragraphs_are_cut(void **state)
{
    (void)state;
    enum { CAP = 64 << 10 };
    static const struct { const char *fill, *space; size_t at, first; } row[] = {
        { "\xCC\x81", "", 0, CAP }, { "\xE3\x81\x82", "", 0, CAP - 1 }, { "\xF0\xA0\x80\x80", " ", CAP - 8, CAP - 7 },
        { "\xCC\x81", "\t", CAP - 100, CAP - 99 }, { "\xCC\x81", "\xE3\x80\x80", CAP - 6, CAP - 3 }, { "\xCC\x81", "\xE3\x80\x80", CAP - 2, CAP - 2 },
        { "\xCC\x81", " ", 1000, CAP - 1 },
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        xr_str text = { 0 }, want = { 0 };
        while (text.len < CAP + 5000)
            xr_str_puts(&text, *row[i].space && text.len == row[i].at ? row[i].space : row[i].fill);
        xr_str_printf(&want, "*%.*s\n%s\n", (int)row[i].first, text.s, text.s + row[i].first);
        expect(text.s, want.s, "");
        xr_str_printf(&text, "\n");
        xr_str json = { 0 };
        xr_str_printf(&json, "{\"text\": \"%.*s\"}\n", (int)text.len - 1, text.s);
        if (row[i].space[0] != '\t')    /* which JSON wants escaped */
            expect(json.s, want.s, "");
        xr_str_free(&json);
        xr_str_free(&text);
        xr_str_free(&want);
    }
}

static void test_min_length(void **state)
{
    (void)state;
    xr_text_options o = skipping;
    o.min_length = 7;
    static const char text[] = "a\nb\n\n\xC3\xA9\xC3\xA9\xC3\xA9\n123\n\nlong enough\nagain\n\nshort\n\n";
    expect_with(&o, text, sizeof text - 1, "*\xC3\xA9\xC3\xA9\xC3\xA9\n123\n*long enough\nagain\n", "short=2", 0);
    assert_int_equal(counts.documents, 2);
    static const char json[] = "{\"text\": \"a\\nb\"}\n{\"text\": \"long enough\"}\n";
    expect_with(&o, json, sizeof json - 1, "*long enough\n", "short=1", 0);
}

static void test_jsonl(void **state)
{
    (void)state;
    expect("{\"text\": \"a\\nb\\n\\nc\"}\n\n{\"content\": \"\\u00e9\", \"lang\": \"fr\"}\n", "*a\nb\nc\n*fr:\xC3\xA9\n", "");
    assert_string_equal(format, "jsonl");
    expect("{\"text\": \"a\"}\n{\"text\": }\n{\"text\": 3}\n{\"other\": \"\"}\n[1]\n{\"text\": \" \"}\n{\"text\": \"a\\u0000b\"}\n{\"text\":\"b\"}",
           "*a\n*b\n", "nul=1 bad_json=2 no_text_field=2 empty=1");
    assert_int_equal(counts.records, 8);
    expect("{\"text\": \"\\ud800\"}\n{\"text\": \"x\", \"text\": \"y\"}\n{\"text\": \"\xC0\xAF\"}\n", "", "bad_utf8=1 bad_json=2");
    expect(" [ {\"text\": \"a\"} ]\n", "", "bad_json=1");     /* a list is not taken for plain text */
    expect("[\n  {\n", "", "bad_json=2");
    xr_text_options o = skipping;
    o.text_field = "body";
    static const char own[] = "{\"body\": \"a\", \"text\": \"b\"}\n{\"text\": \"b\"}\n";
    expect_with(&o, own, sizeof own - 1, "*a\n", "no_text_field=1", 0);
    o.text_field = NULL;
    o.format = "plain";
    expect_with(&o, own, sizeof own - 1, "*{\"body\": \"a\", \"text\": \"b\"}\n{\"text\": \"b\"}\n", "", 0);
    o.format = "jsonll";
    xr_text_reader r;
    assert_int_equal(xr_text_open(&r, file_of("x", 1), &o), XR_EUSAGE);
    expect_error(XR_EUSAGE, "did you mean 'jsonl'");
}

/* A last line that is cut off: catalogue's "cut tails". */
static void test_cut_json(void **state)
{
    (void)state;
    static const char text[] = "{\"text\": \"a\"}\n{\"text\": \"b";
    xr_text_options o = skipping;
    expect_with(&o, text, sizeof text - 1, "*a\n", "truncated=1", XR_EDATA);
    expect_error(XR_EDATA, "--allow-truncated");
    o.allow_truncated = 1;
    o.max_bad_fraction = 0;
    expect_with(&o, text, sizeof text - 1, "*a\n", "truncated=1", 0);
    o.skip_bad = 0;
    expect_with(&o, text, sizeof text - 1, "*a\n", "truncated=1", 0);
    xr_str z = { 0 };
    add_member(&z, "one\ntwo\nthree\n", 14, 0);
    expect_with(&o, z.s, z.len - 9, "*one\ntwo\n", "truncated=1", 0);
    o.allow_truncated = 0;
    expect_with(&o, z.s, z.len - 9, "*one\ntwo\n", "truncated=1", XR_EDATA);
    expect_error(XR_EDATA, "cut off");
    xr_str_free(&z);
}

static void test_long_json(void **state)
{
    (void)state;
    xr_str text = { 0 }, got = { 0 };
    xr_str_puts(&text, "{\"text\": \"a\"}\n{\"text\": \"");
    for (size_t i = 0; i < 17u << 20; i += 64)
        xr_str_puts(&text, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    xr_str_puts(&text, "\"}\n{\"text\": \"b\"}\n");
    xr_log_set_sink(keep_note);
    assert_int_equal(read_shard(file_of(text.s, text.len), &skipping, &got), 0);
    xr_log_set_sink(NULL);
    assert_string_equal(got.s, "*a\n*b\n");
    assert_string_equal(reasons(), "too_long=1");
    assert_non_null(strstr(notes, "input:2: a record of more than 16 MiB"));
    xr_str_free(&text);
    xr_str_free(&got);
}

#define CCNET(url, bucket, score, perplexity, text)                                                                                  \
    "{\"url\": \"" url "\", \"date_download\": \"2020-01-01T00:00:00Z\", \"digest\": \"sha1:X\", \"length\": 9, \"nlines\": 1, "       \
    "\"source_domain\": \"x\", \"title\": \"t\", \"raw_content\": \"" text "\", \"original_nlines\": 3, \"original_length\": 99, "     \
    "\"language\": \"de\", \"language_score\": " score ", \"perplexity\": " perplexity ", \"bucket\": \"" bucket "\"}\n"

static void test_ccnet(void **state)
{
    (void)state;
    static const char text[] = CCNET("a", "head", "0.99", "100.5", "eins\\nzwei") CCNET("b", "tail", "0.5", "900", "drei")
        CCNET("c", "middle", "0.4", "300", "vier");
    expect(text, "*de:eins\nde:zwei\n*de:drei\n*de:vier\n", "");
    assert_string_equal(format, "ccnet");
    xr_text_options o = skipping;
    o.min_language_score = 0.5;
    expect_with(&o, text, sizeof text - 1, "*de:eins\nde:zwei\n*de:drei\n", "filtered=1", 0);
    o.max_perplexity = 500;
    expect_with(&o, text, sizeof text - 1, "*de:eins\nde:zwei\n", "filtered=2", 0);
    o = skipping;
    o.buckets = "middle,tail";
    expect_with(&o, text, sizeof text - 1, "*de:drei\n*de:vier\n", "filtered=1", 0);
    o.text_field = "title";
    expect_with(&o, text, sizeof text - 1, "*de:t\n*de:t\n", "filtered=1", 0);
    static const char dolma[] = "{\"id\": \"u\", \"metadata\": {\"bucket\": \"head\", \"cc_segment\": \"s\", \"language\": \"en\", \"language_score\": 0.9, "
        "\"line_ids\": [1], \"perplexity\": 10}, \"text\": \"one\"}\n";
    o = skipping;
    o.buckets = "tail";
    expect_with(&o, dolma, sizeof dolma - 1, "", "filtered=1", 0);
    o.buckets = "tail,head";
    o.max_perplexity = 10;
    expect_with(&o, dolma, sizeof dolma - 1, "*en:one\n", "", 0);
    static const char minified[] = "{\"url\": \"a\", \"cc_segment\": \"s\", \"line_ids\": [1, 2], \"language\": \"en\", \"bucket\": \"head\"}\n";
    expect_with(&skipping, minified, sizeof minified - 1, "", "", XR_EDATA);
    expect_error(XR_EDATA, "minified");
}

/* Without the field, the file's name says the bucket. */
static void test_bucket_of_name(void **state)
{
    (void)state;
    static const char text[] = "{\"raw_content\": \"a\"}\n";
    xr_text_options o = skipping;
    xr_str got = { 0 };
    const char *path = in_scratch("de_head_0000.json");
    assert_int_equal(xr_file_write(path, text, sizeof text - 1), XR_OK);
    o.buckets = "head";
    assert_int_equal(read_shard(path, &o, &got), 0);
    assert_string_equal(got.s, "*a\n");
    o.buckets = "tail,middle";
    assert_int_equal(read_shard(path, &o, &got), 0);
    assert_string_equal(got.s, "");
    xr_str_free(&got);
}

/* One WET record. */
static void add_record(xr_str *to, const char *type, const char *more, const char *body)
{
    xr_str_printf(to, "WARC/1.0\r\nWARC-Type: %s\r\n%sContent-Length: %zu\r\n\r\n%s\r\n\r\n", type, more, strlen(body), body);
}

typedef void (*packer)(xr_str *to, const void *bytes, size_t n);

static void pack_gzip(xr_str *to, const void *bytes, size_t n)
{
    add_member(to, bytes, n, 6);
}

static void pack_plain(xr_str *to, const void *bytes, size_t n)
{
    xr_str_append(to, bytes, n);
}

static void pack_xz(xr_str *to, const void *bytes, size_t n)
{
    add_xz(to, bytes, n, LZMA_CHECK_CRC32);
}

static const packer packers[] = { pack_plain, pack_gzip, pack_xz, add_zstd };

/* A shard of records, packed each alone, all in one, or cut anywhere into members. */
typedef struct shard { char *record[12]; size_t n[12], records; } shard;

static void put(shard *s, const char *bytes, size_t n)
{
    s->record[s->records] = malloc(n + 1);
    memcpy(s->record[s->records], bytes, n);
    s->n[s->records++] = n;
}

static void put_record(shard *s, const char *type, const char *more, const char *body)
{
    xr_str b = { 0 };
    add_record(&b, type, more, body);
    put(s, b.s, b.len);
    xr_str_free(&b);
}

static void put_text(shard *s, const char *text)
{
    put(s, text, strlen(text));
}

static void shard_free(shard *s)
{
    for (size_t i = 0; i < s->records; i++)
        free(s->record[i]);
    memset(s, 0, sizeof *s);
}

static void pack_each(const shard *s, packer pack, xr_str *z)
{
    xr_str_clear(z);
    for (size_t i = 0; i < s->records; i++)
        pack(z, s->record[i], s->n[i]);
}

static void pack_pieces(const shard *s, packer pack, size_t piece, xr_str *z)
{
    xr_str all = { 0 };
    pack_each(s, pack_plain, &all);
    xr_str_clear(z);
    for (size_t at = 0; at < all.len; at += piece)
        pack(z, all.s + at, all.len - at < piece ? all.len - at : piece);
    xr_str_free(&all);
}

/* The same from every packing. */
static void expect_shard(const shard *s, const xr_text_options *o, const char *want, const char *want_reasons, int want_status)
{
    xr_str z = { 0 };
    for (size_t k = 0; k < 4; k++) {
        pack_each(s, packers[k], &z);
        expect_with(o, z.s, z.len, want, want_reasons, want_status);
        xr_error_clear();
        pack_pieces(s, packers[k], 1 << 30, &z);
        expect_with(o, z.s, z.len, want, want_reasons, want_status);
        xr_error_clear();
    }
    xr_str_free(&z);
}

static void good_shard(shard *s)
{
    put_record(s, "warcinfo", "WARC-Filename: x\r\n", "Software-Info: y\r\n");
    put_record(s, "conversion", "WARC-Identified-Content-Language: deu,eng\r\nContent-Type: text/plain\r\n", "eins\nzwei\n");
    put_record(s, "conversion", "", "WARC/1.0\nis in the text\n\nWARC/1.0 too\n");
    put_record(s, "conversion", "", "");
    put_record(s, "conversion", "WARC-Identified-Content-Language: xyz\r\n", "last");
}

#define GOOD "*de:eins\nde:zwei\n*WARC/1.0\nis in the text\nWARC/1.0 too\n*xyz:last\n"

static void test_wet(void **state)
{
    (void)state;
    shard s = { 0 };
    xr_str z = { 0 };
    good_shard(&s);
    expect_shard(&s, &skipping, GOOD, "not_conversion=1 empty=1", 0);
    assert_string_equal(format, "wet");
    assert_int_equal(counts.records, 5);
    assert_int_equal(counts.documents, 3);
    shard_free(&s);
    put_record(&s, "warcinfo", "WARC-Filename: x\r\n", "Software-Info: y\r\n");
    put_record(&s, "conversion", "", "eins\nzwei\n");
    put_record(&s, "conversion", "", "drei");
    for (size_t piece = 8; piece < 300; piece += 7) {
        pack_pieces(&s, pack_gzip, piece, &z);
        expect_with(&skipping, z.s, z.len, "*eins\nzwei\n*drei\n", "not_conversion=1", 0);
    }
    shard_free(&s);
    xr_str_free(&z);
}

/* Catalogue 78 and 80. */
static void test_wet_headers(void **state)
{
    (void)state;
    shard s = { 0 };
    put_text(&s, "WARC/0.17\r\ncontent-length:1\r\nX-Other: \xE9\r\n folded: line\r\nwarc-TYPE :  conversion \t\r\n\r\na\r\n\r\n");
    put_text(&s, "WARC/0.18\r\nno colon here\r\nContent-Length: 1\r\nWARC-Type: conversion\r\n\r\nb\r\n\r\n");
    put_text(&s, "WARC/1.1\nContent-Length: 1\nWARC-Type: conversion\n\nc\n\n");
    put_text(&s, "WARC/1.0\r\nWARC-Type: metadata\r\nContent-Length: 2\r\n\r\nxx\r\n\r\n");
    put_text(&s, "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Type: image/png\r\nContent-Length: 2\r\n\r\nxx\r\n\r\n");
    put_text(&s, "WARC/2.0\r\nWARC-Type: conversion\r\nContent-Length: 2\r\n\r\nxx\r\n\r\n");
    put_text(&s, "WARC/1.0\r\nContent-Length: 2\r\n\r\nxx\r\n\r\n");
    put_text(&s, "WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 1\r\n\r\nd\r\n\r\n");
    expect_shard(&s, &skipping, "*a\n*b\n*c\n*d\n", "bad_header=2 not_conversion=2 lf_headers=1", 0);
    shard_free(&s);
}

static void test_wet_header_cap(void **state)
{
    (void)state;
    shard s = { 0 };
    xr_str big = { 0 };
    xr_str_puts(&big, "WARC/1.0\r\nWARC-Type: conversion\r\nX: ");
    for (size_t i = 0; i < 1 << 20; i++)
        xr_str_putc(&big, 'x');
    xr_str_puts(&big, "\r\nContent-Length: 1\r\n\r\na\r\n\r\n");
    put_record(&s, "conversion", "", "one");
    put(&s, big.s, big.len);
    put_record(&s, "conversion", "", "two");
    xr_str z = { 0 }, got = { 0 };
    for (size_t k = 0; k < 4; k++) {
        pack_each(&s, packers[k], &z);
        assert_int_equal(read_shard(file_of(z.s, z.len), &skipping, &got), 0);
        assert_string_equal(got.s, "*one\n*two\n");
        assert_string_equal(reasons(), "bad_header=1");
    }
    xr_str_free(&z);
    xr_str_free(&got);
    xr_str_free(&big);
    shard_free(&s);
}

/* Catalogue 79. */
static void test_wet_lengths(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "Content-Length: -4\r\n", "Content-Length: 0x4\r\n", "Content-Length: 400\r\n", "Content-Length: 3\r\n",
                                       "Content-Length: 4\r\nContent-Length: 4\r\n", "Content-Length: 4 bytes\r\n", "Content-Length:\r\n",
                                       "Content-Length: 99999999999999999999999999\r\n" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        shard s = { 0 };
        char record[300];
        put_record(&s, "warcinfo", "", "x");
        put_record(&s, "conversion", "", "one");
        snprintf(record, sizeof record, "WARC/1.0\r\nWARC-Type: conversion\r\n%s\r\ntext\r\n\r\n", bad[i]);
        put_text(&s, record);
        put_record(&s, "conversion", "", "two");
        put_record(&s, "conversion", "", "three: a text that is long enough to be what a length of 400 bytes swallows, with what comes before and behind it, "
                                         "and a little more, since it is the last but one and must end behind it in any case, as it should, and now "
                                         "there are so many words here that the four hundred bytes are surely passed by this very sentence");
        put_record(&s, "conversion", "", "four");
        xr_log_set_sink(keep_note);
        xr_str z = { 0 }, got = { 0 };
        for (size_t k = 0; k < 8; k++) {
            if (k < 4)
                pack_each(&s, packers[k], &z);
            else
                pack_pieces(&s, packers[k - 4], 1 << 30, &z);
            assert_int_equal(read_shard(file_of(z.s, z.len), &skipping, &got), 0);
            if (strncmp(got.s, "*one\n*two\n*three", 16) || !strstr(got.s, "sentence\n*four\n") || counts.records != 6 ||
                counts.reason[XR_TEXT_BAD_LENGTH] + counts.reason[XR_TEXT_TOO_LONG] != 1)
                fail_msg("'%s', packed %zu: %s%s\n%s", bad[i], k, got.s, reasons(), notes);
        }
        xr_log_set_sink(NULL);
        xr_str_free(&z);
        xr_str_free(&got);
        shard_free(&s);
    }
}

/* Line ends made LF, so that lengths are wrong. */
static void test_wet_lf(void **state)
{
    (void)state;
    expect("WARC/1.0\nWARC-Type: warcinfo\nContent-Length: 30\n\nSoftware-Info: a\nb: c\n\nWARC/1.0\nWARC-Type: conversion\nContent-Length: 9\n\n"
           "one\ntwo\n\nWARC/1.0\nWARC-Type: conversion\nContent-Length: 3\n\nthree\n\nand four\n\n\n",
           "*one\ntwo\n*three\nand four\n", "not_conversion=1 lf_headers=3");
    /* A length that is right is believed. */
    expect("WARC/1.0\nWARC-Type: conversion\nContent-Length: 19\n\none\n\nWARC/1.0\na: b\n\n\nWARC/1.0\nWARC-Type: conversion\nContent-Length: 3\n\ntwo\n",
           "*one\nWARC/1.0\na: b\n*two\n", "lf_headers=2");
}

/* Catalogue 81. Digests by Python's hashlib and base64. */
static void test_wet_digest(void **state)
{
    (void)state;
    shard s = { 0 };
    xr_text_options o = skipping;
    put_record(&s, "conversion", "WARC-Block-Digest: sha1:H54GQUHDQ5KQ7WVYG3WX43OIQHPCGAA3\r\n", "a\n");
    put_record(&s, "conversion", "WARC-Block-Digest: sha1:H54GQUHDQ5KQ7WVYG3WX43OIQHPCGAA3\r\n", "b\n");
    put_record(&s, "conversion", "WARC-Block-Digest: SHA1:3f786850e387550fdab836ed7e6dc881de23001b\r\n", "a\n");
    put_record(&s, "conversion", "WARC-Block-Digest: md5:60b725f10c9c85c70d97880dfe8191b3\r\n", "a\n");
    expect_shard(&s, &o, "*a\n*b\n*a\n*a\n", "", 0);
    o.verify_digest = 1;
    xr_log_set_sink(keep_note);
    expect_shard(&s, &o, "*a\n*a\n*a\n", "digest=1", 0);
    xr_log_set_sink(NULL);
    assert_non_null(strstr(notes, "only sha1"));
    assert_non_null(strstr(notes, "WARC-Block-Digest"));
    shard_free(&s);
}

/* Catalogue 82. */
static void test_not_wet(void **state)
{
    (void)state;
    shard s = { 0 };
    put_record(&s, "warcinfo", "", "x");
    put_record(&s, "response", "Content-Type: application/http; msgtype=response\r\n", "HTTP/1.1 200 OK\r\n\r\n<html>");
    xr_str z = { 0 };
    pack_each(&s, pack_gzip, &z);
    expect_with(&skipping, z.s, z.len, "", "not_conversion=1", XR_EDATA);
    expect_error(XR_EDATA, "expected WET, the text of the same pages");
    shard_free(&s);
    put_record(&s, "metadata", "Content-Type: application/json\r\n", "{}");
    pack_each(&s, pack_gzip, &z);
    expect_with(&skipping, z.s, z.len, "", "", XR_EDATA);
    expect_error(XR_EDATA, "WAT");
    shard_free(&s);
    xr_str_free(&z);
}

/* Catalogue 71, 72: a damaged member costs its own record and no other. */
static void test_wet_damage(void **state)
{
    (void)state;
    shard s = { 0 };
    xr_str z = { 0 }, got = { 0 };
    put_record(&s, "warcinfo", "", "x");
    put_record(&s, "conversion", "", "the first page");
    put_record(&s, "conversion", "", "the second page, of some more words that make its member longer than the others are");
    put_record(&s, "conversion", "", "the third page");
    pack_gzip(&z, s.record[0], s.n[0]);
    pack_gzip(&z, s.record[1], s.n[1]);
    size_t begin = z.len;
    pack_gzip(&z, s.record[2], s.n[2]);
    size_t end = z.len;
    pack_gzip(&z, s.record[3], s.n[3]);
    const char *all = "*the first page\n*the second page, of some more words that make its member longer than the others are\n*the third page\n";
    const char *without = "*the first page\n*the third page\n";
    size_t found = 0;
    for (size_t bit = begin * 8; bit < end * 8; bit++) {
        z.s[bit / 8] = (char)(z.s[bit / 8] ^ (1 << bit % 8));
        assert_int_equal(read_shard(file_of(z.s, z.len), &skipping, &got), 0);
        if (strcmp(got.s, all) && strcmp(got.s, without))
            fail_msg("bit %zu: %s", bit - begin * 8, got.s);
        found += !strcmp(got.s, without);
        if (!strcmp(got.s, without) && strcmp(reasons(), "damaged=1 not_conversion=1"))
            fail_msg("bit %zu: %s", bit - begin * 8, reasons());
        z.s[bit / 8] = (char)(z.s[bit / 8] ^ (1 << bit % 8));
    }
    assert_true(found > (end - begin - 10) * 8);
    z.s[end - 6] ^= 1;
    expect_with(&skipping, z.s, z.len, without, "damaged=1 not_conversion=1", 0);
    z.s[3] ^= (char)0x80;                   /* of the first nothing can be read, before the format is known */
    expect_with(&skipping, z.s, z.len, without, "damaged=2", 0);
    assert_int_equal(counts.records, 4);
    xr_text_options o = { .max_bad_fraction = 1.0 };
    assert_int_equal(read_shard(file_of(z.s, z.len), &o, &got), XR_EDATA);
    expect_error(XR_EDATA, "gzip member 1 is damaged");
    z.s[3] ^= (char)0x80;
    o = skipping;
    o.max_bad_fraction = 0.2;
    expect_with(&o, z.s, z.len, without, "damaged=1 not_conversion=1", XR_EDATA);
    expect_error(XR_EDATA, "1 of 4 records are bad (1 damaged)");
    o.skip_bad = 0;
    expect_with(&o, z.s, z.len, "*the first page\n", "damaged=1 not_conversion=1", XR_EDATA);
    expect_error(XR_EDATA, "incorrect data check");
    shard_free(&s);
    xr_str_free(&z);
    xr_str_free(&got);
}

/* A record that runs over into a damaged member (found by fuzzing): it is lost, and the next is not. */
static void test_wet_damage_over_the_edge(void **state)
{
    (void)state;
    xr_str z = { 0 }, record = { 0 };
    add_record(&record, "conversion", "", "the first page");
    for (size_t at = 20; at < record.len; at += 30) {
        xr_str_clear(&z);
        pack_gzip(&z, record.s, at);
        size_t begin = z.len;
        pack_gzip(&z, record.s + at, record.len - at);
        z.s[begin + 3] ^= (char)0x80;       /* a flag that means nothing */
        pack_gzip(&z, record.s, record.len);
        expect_with(&skipping, z.s, z.len, "*the first page\n", "damaged=1", 0);
        assert_int_equal(counts.records, 2);
    }
    xr_str_free(&z);
    xr_str_free(&record);
}

/* Catalogue 69: whole records up to the cut, wherever it is, and an error unless it is allowed. */
static void test_wet_cut(void **state)
{
    (void)state;
    shard s = { 0 };
    xr_str z = { 0 }, got = { 0 };
    put_record(&s, "conversion", "", "the first page");
    put_record(&s, "conversion", "", "the second page");
    for (size_t k = 0; k < 8; k++) {
        if (k < 4)
            pack_each(&s, packers[k], &z);
        else
            pack_pieces(&s, packers[k - 4], 1 << 30, &z);
        for (size_t cut = z.len - 1; cut > 12; cut--) {
            xr_text_options o = skipping;
            int rc = read_shard(file_of(z.s, cut), &o, &got);
            size_t n = strlen(got.s);
            if (strncmp(got.s, "*the first page\n*the second page\n", n) || (n && got.s[n - 1] != '\n') || (rc && rc != XR_EDATA))
                fail_msg("packed %zu, cut at %zu: %d %s", k, cut, rc, got.s);
            if (rc == XR_EDATA && strcmp(reasons(), "truncated=1"))
                fail_msg("packed %zu, cut at %zu: %s", k, cut, reasons());
            xr_error_clear();
            o.allow_truncated = 1;
            o.max_bad_fraction = 0;
            o.skip_bad = 0;
            rc = read_shard(file_of(z.s, cut), &o, &got);
            if (rc || strlen(got.s) != n)
                fail_msg("packed %zu, cut at %zu of %zu: %d %s %s", k, cut, z.len, rc, got.s, xr_error_message());
        }
    }
    shard_free(&s);
    xr_str_free(&z);
    xr_str_free(&got);
}

/* The first five are shown, all are counted. */
static void test_shown(void **state)
{
    (void)state;
    xr_log_set_sink(keep_note);
    expect("{\"text\": \"a\"}\n{\n{\n{\n{\n{\n{\n{\n", "*a\n", "bad_json=7");
    xr_log_set_sink(NULL);
    size_t lines = 0;
    for (const char *p = notes; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, 6);
    assert_non_null(strstr(notes, "input:6: a JSON object over several lines"));
    assert_non_null(strstr(notes, "more bad records follow"));
}

static void test_reasons(void **state)
{
    (void)state;
    for (int i = 0; i < XR_TEXT_N_REASONS; i++)
        assert_true(strlen(xr_text_reason_name(i)) > 1);
    assert_true(xr_text_reason_is_bad(XR_TEXT_BAD_UTF8) && xr_text_reason_is_bad(XR_TEXT_DAMAGED));
    assert_false(xr_text_reason_is_bad(XR_TEXT_OK) || xr_text_reason_is_bad(XR_TEXT_NOT_CONVERSION) || xr_text_reason_is_bad(XR_TEXT_REPLACED));
}

/* FIPS 180's own examples, and Python's hashlib for the edges of a block. */
static void test_sha1(void **state)
{
    (void)state;
    static const struct { const char *text; int times; const char *hex; } cases[] = {
        { "", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709" },
        { "abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1, "84983e441c3bd26ebaae4aa1f95129e5e54670f1" },
        { "a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f" },
        { "x", 55, "cef734ba81a024479e09eb5a75b6ddae62e6abf1" }, { "x", 64, "bb2fa3ee7afb9f54c6dfb5d021f14b1ffe40c163" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        xr_str text = { 0 };
        unsigned char digest[20];
        char hex[41];
        for (int k = 0; k < cases[i].times; k++)
            xr_str_puts(&text, cases[i].text);
        xr_sha1(text.s ? text.s : "", text.len, digest);
        for (size_t k = 0; k < 20; k++)
            snprintf(hex + 2 * k, 3, "%02x", digest[k]);
        assert_string_equal(hex, cases[i].hex);
        xr_str_free(&text);
    }
}

/* Counts from the README of the test data; files that are cut end with an error. */
static void test_real_files(void **state)
{
    (void)state;
    static const struct { const char *name; int status; unsigned records, documents; const char *reasons; } files[] = {
        { "whirlwind.warc.wet", 0, 2, 1, "not_conversion=1" },
        { "whirlwind.warc.wet.gz", 0, 2, 1, "not_conversion=1" },
        { "cc-2016-50/filter_test_1.wet.gz", 0, 26, 25, "not_conversion=1" },
        { "cc-2016-50/fragment3.wet.gz", 0, 6, 5, "not_conversion=1" },
        { "cc-2016-50/fragment1_incomplete_last.wet.gz", XR_EDATA, 3, 1, "truncated=1 not_conversion=1" },
        { "cc-2016-50/corrupt_starts_with_conversion.wet.gz", 0, 6, 5, "not_conversion=1" },
        { "cc-2016-50/corrupt_warcinfo_1.wet.gz", 0, 6, 5, "not_conversion=1" },
        { "cc-2016-50/corrupt_warcconversion_1.wet.gz", 0, 6, 5, "not_conversion=1" },
        { "cc-2016-50/file_headers_only.wet.gz", 0, 1, 0, "not_conversion=1 lf_headers=1" },
        { "cc-2016-50/file_and_wet_headers_only.wet.gz", XR_EDATA, 2, 0, "truncated=1 not_conversion=1 lf_headers=1" },
        { "cc_net-sample.warc.txt", 0, 4, 3, "not_conversion=1 lf_headers=4" },
        { "ccnet-jsonl/cc_en_head-0091.jsonl", 0, 10, 10, "" },
        { "ccnet-jsonl/cc_en_head-0091.jsonl.gz", 0, 10, 10, "" },
        { "whirlwind.warc.gz", XR_EDATA, 2, 0, "not_conversion=1" },
        { "whirlwind.warc.wat.gz", XR_EDATA, 2, 0, "not_conversion=1" },
        { "warc/dolma-sample-0000.warc.gz", XR_EDATA, 2, 0, "not_conversion=1" },
        { "warc/resiliparse-clipped.warc.gz", XR_EDATA, 1, 0, "" },
        { "warc/warcio-example-wrong-chunks.warc.gz", XR_EDATA, 1, 0, "" },
    };
    const char *data = getenv("XLMR_DATA");
    xr_str got = { 0 };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/web/%s", data ? data : "../shared/data", files[i].name);
        if (!xr_path_exists(path)) {
            print_message("%s is not there; set XLMR_DATA\n", path);
            skip();
        }
        xr_text_options o = { .skip_bad = 1, .max_bad_fraction = 1, .verify_digest = 1 };
        int rc = read_shard(path, &o, &got);
        if (rc != files[i].status || counts.records != files[i].records || counts.documents != files[i].documents || strcmp(reasons(), files[i].reasons))
            fail_msg("%s: %d, %llu records, %llu documents, %s", files[i].name, rc, (unsigned long long)counts.records,
                     (unsigned long long)counts.documents, reasons());
        xr_error_clear();
    }
    xr_str_free(&got);
}

/* Whichever allocation fails, it is an error and nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    shard s = { 0 };
    xr_str z = { 0 };
    put_record(&s, "conversion", "", "a\xC0page");
    put_record(&s, "conversion", "", "another");
    pack_each(&s, pack_gzip, &z);
    static const char json[] = "{\"raw_content\": \"a\\nb\"}\n{\"raw_content\": \"\xC0\"}\n";
    static const char text[] = "one\n\xC0\n\ntwo\n";
    for (int kind = 0; kind < 3; kind++) {
        const char *path = kind == 0 ? file_of(z.s, z.len) : kind == 1 ? file_of(json, sizeof json - 1) : file_of(text, sizeof text - 1);
        long before = xr_alloc_live(), k = 0;
        for (int rc = -1; rc < 0; k++) {
            xr_text_options o = { .skip_bad = 1, .max_bad_fraction = 1, .replace_bad_utf8 = 1, .min_length = 2 };
            xr_text_reader r;
            xr_paragraph p;
            xr_alloc_fail_after(k);
            rc = xr_text_open(&r, path, &o);
            while (rc >= 0 && (rc = xr_text_next(&r, &p)) == 1)
                ;
            if (r.stream)
                xr_text_close(&r);
            xr_alloc_fail_after(-1);
            if (rc < 0)
                assert_int_equal(xr_error_status(), XR_ESYSTEM);
            xr_error_clear();
            assert_int_equal(xr_alloc_live(), before);
            assert_true(k < 200);
        }
    }
    shard_free(&s);
    xr_str_free(&z);
}

#define TEST(name) cmocka_unit_test_teardown(test_##name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(plain), TEST(encoding), TEST(replacing), TEST(utf16), TEST(long_line_with_white_end),
        TEST(long_paragraphs), TEST(where_paragraphs_are_cut), TEST(min_length),
        TEST(jsonl), TEST(cut_json), TEST(long_json), TEST(ccnet), TEST(bucket_of_name), TEST(wet), TEST(wet_headers),
        TEST(wet_header_cap), TEST(wet_lengths), TEST(wet_lf), TEST(wet_digest), TEST(not_wet), TEST(wet_damage),
        TEST(wet_damage_over_the_edge), TEST(wet_cut), TEST(shown), TEST(reasons), TEST(sha1), TEST(real_files),
        TEST(out_of_memory),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
