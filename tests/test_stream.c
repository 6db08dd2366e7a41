/* Lines from plain, gzip, xz and zstd files: every way a file can be cut, damaged or disguised. The compressed files are written
 * by the libraries here, and by Python's modules and the xz and zstd programs for those that are stored as bytes. */
#include "pack.h"

#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/log.h"
#include "util/str.h"
#include "util/stream.h"

/* All lines of a file joined by '|', or the status of the error that ended it. */
static int lines_of(const char *path, xr_str *joined)
{
    char *line;
    size_t len;
    int rc;
    xr_str_clear(joined);
    assert_int_equal(xr_str_puts(joined, ""), XR_OK);
    xr_stream *s = xr_stream_open(path);
    if (!s)
        return xr_error_status();
    while ((rc = xr_stream_line(s, &line, &len)) == 1) {
        assert_int_equal(line[len], 0);
        xr_str_append(joined, line, len);
        xr_str_putc(joined, '|');
    }
    xr_stream_close(s);
    return rc;
}

static void expect_lines(const void *bytes, size_t n, const char *want)
{
    xr_str got = { 0 };
    assert_int_equal(lines_of(file_of(bytes, n), &got), 0);
    assert_string_equal(got.s, want);
    xr_str_free(&got);
}

static void expect_refusal(const void *bytes, size_t n, xr_status status, const char *part)
{
    xr_str got = { 0 };
    assert_int_equal(lines_of(file_of(bytes, n), &got), status);
    expect_error(status, part);
    xr_str_free(&got);
}

static void test_line_ends(void **state)
{
    (void)state;
    expect_lines("", 0, "");
    expect_lines("\n", 1, "|");
    expect_lines("a", 1, "a|");
    expect_lines("a\r\nb\nc\r", 7, "a|b|c\r|");
    expect_lines("a\rb\n\r\n\r\r\n", 9, "a\rb||\r|");
    expect_lines("a\xE2\x80\xA8" "b\vc\fd\n", 10, "a\xE2\x80\xA8" "b\vc\fd|");
    expect_lines("\xEF\xBB\xBFx\n\xEF\xBB\xBFy", 9, "x|\xEF\xBB\xBFy|");
    expect_lines("\xEF\xBB", 2, "\xEF\xBB|");
}

static void test_numbers_and_nul(void **state)
{
    (void)state;
    char *line;
    size_t len;
    xr_stream *s = xr_stream_open(file_of("one\nt\0o\nend", 11));
    assert_non_null(s);
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_int_equal(xr_stream_line_number(s), 1);
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_int_equal(len, 3);
    assert_memory_equal(line, "t\0o", 4);
    assert_true(xr_stream_line_ended(s));
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_string_equal(line, "end");
    assert_false(xr_stream_line_ended(s));
    assert_int_equal(xr_stream_line_number(s), 3);
    assert_int_equal(xr_stream_line(s, &line, &len), 0);
    assert_int_equal(xr_stream_line(s, &line, &len), 0);
    assert_true(strstr(xr_stream_path(s), "/input") != NULL);
    xr_stream_close(s);
}

/* Python: gzip.compress(b"ab\r\ncd", mtime=0), and the same with a file name in the header
 * (gzip.GzipFile(filename="n")). */
static void test_python_gzip(void **state)
{
    (void)state;
    static const char plain[] = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x4b\x4c\xe2\xe5\x4a\x4e\x01\x00\x5f\x99"
        "\x6a\x6a\x06\x00\x00\x00";
    static const char named[] = "\x1f\x8b\x08\x08\x00\x00\x00\x00\x02\xff\x6e\x00\x4b\x4c\xe2\xe5\x4a\x4e\x01\x00"
        "\x5f\x99\x6a\x6a\x06\x00\x00\x00";
    expect_lines(plain, sizeof plain - 1, "ab|cd|");
    expect_lines(named, sizeof named - 1, "ab|cd|");
}

static void test_members(void **state)
{
    (void)state;
    static const char zeros[2000] = { 0 };
    xr_str z = { 0 };
    add_member(&z, "a\nb", 3, 9);
    add_member(&z, "", 0, 9);
    add_member(&z, "c\n", 2, 0);
    expect_lines(z.s, z.len, "a|bc|");
    size_t whole = z.len;
    xr_str_append(&z, zeros, sizeof zeros);
    expect_lines(z.s, z.len, "a|bc|");
    add_member(&z, "d\n", 2, 6);
    expect_refusal(z.s, z.len, XR_EDATA, "garbage");
    z.len = whole;
    xr_str_puts(&z, "garbage");
    expect_refusal(z.s, z.len, XR_EDATA, "garbage");
    z.len = whole;
    xr_str_puts(&z, "\x1f\x8c");
    expect_refusal(z.s, z.len, XR_EDATA, "member 4");
    xr_str_free(&z);
}

/* Cut anywhere but between members: an error. Whole lines before the cut have been handed out. */
static void test_every_cut(void **state)
{
    (void)state;
    xr_str z = { 0 }, got = { 0 };
    add_member(&z, "first line\nsecond\n", 18, 6);
    size_t between = z.len;
    add_member(&z, "third\n", 6, 6);
    for (size_t cut = 2; cut < z.len; cut++) {
        int rc = lines_of(file_of(z.s, cut), &got);
        if (cut == between) {
            assert_int_equal(rc, 0);
            continue;
        }
        char place[32];
        snprintf(place, sizeof place, "byte %zu:", cut);
        assert_int_equal(rc, XR_EDATA);
        assert_true(strstr(xr_error_message(), "cut off") && strstr(xr_error_message(), place));
        xr_error_clear();
        if (cut > between)
            assert_memory_equal(got.s, "first line|second|", 18);
    }
    xr_str_free(&z);
    xr_str_free(&got);
}

/* Any flipped bit outside the header fields that carry no data is found. */
static void test_every_flip(void **state)
{
    (void)state;
    xr_str z = { 0 }, got = { 0 };
    add_member(&z, "some text to damage, long enough for a few codes\n", 49, 9);
    add_member(&z, "and more\n", 9, 9);
    for (size_t bit = 10 * 8; bit < z.len * 8; bit++) {
        size_t at = bit / 8;
        z.s[at] = (char)(z.s[at] ^ (1 << bit % 8));
        int rc = lines_of(file_of(z.s, z.len), &got);
        const char *same = "some text to damage, long enough for a few codes|and more|";
        if (rc == 0 && strcmp(got.s, same))
            fail_msg("flipped bit %zu: \"%s\" passed as good data", bit, got.s);
        xr_error_clear();
        z.s[at] = (char)(z.s[at] ^ (1 << bit % 8));
    }
    z.s[z.len - 8] = (char)(z.s[z.len - 8] ^ 1);
    expect_refusal(z.s, z.len, XR_EDATA, "incorrect data check");
    z.s[z.len - 8] = (char)(z.s[z.len - 8] ^ 1);
    z.s[z.len - 4] = (char)(z.s[z.len - 4] ^ 1);
    expect_refusal(z.s, z.len, XR_EDATA, "incorrect length check");
    xr_str_free(&z);
    xr_str_free(&got);
}

static void test_disguises(void **state)
{
    (void)state;
    xr_str once = { 0 }, twice = { 0 };
    expect_refusal("\xff\xfe" "a\0\n\0", 6, XR_EDATA, "UTF-16");
    expect_refusal("\xfe\xff\0a\0\n", 6, XR_EDATA, "UTF-16");
    expect_refusal("\xfd" "7zXZ\0rest", 10, XR_EDATA, "xz stream 1");
    expect_refusal("\x28\xb5\x2f\xfd rest", 9, XR_EDATA, "zstd frame 1");
    expect_refusal("BZh91AY&SY rest", 15, XR_EDATA, "bzip2");
    expect_refusal("PK\x03\x04 rest", 9, XR_EDATA, "zip");
    expect_lines("PK\x03", 3, "PK\x03|");
    expect_lines("\x1f", 1, "\x1f|");
    expect_refusal("PAR1\x15\x04\x15", 7, XR_EDATA, "a Parquet table");
    expect_lines("PAR1 is a receptor\n", 19, "PAR1 is a receptor|");
    add_member(&once, "text\n", 5, 6);
    add_member(&twice, once.s, once.len, 6);
    expect_refusal(twice.s, twice.len, XR_EDATA, "gzip inside gzip");
    xr_str_free(&once);
    xr_str_free(&twice);
}

static void test_cannot_open(void **state)
{
    (void)state;
    char path[300];
    assert_null(xr_stream_open(scratch));
    assert_int_equal(xr_error_status(), XR_ENOINPUT);
    assert_true(strstr(xr_error_message(), "directory") != NULL);
    xr_error_clear();
    snprintf(path, sizeof path, "%s/missing", scratch);
    assert_null(xr_stream_open(path));
    assert_int_equal(xr_error_status(), XR_ENOINPUT);
    assert_true(strstr(xr_error_message(), "No such file") != NULL);
    xr_error_clear();
    if (geteuid() == 0)
        return;
    const char *closed = file_of("x", 1);
    chmod(closed, 0);
    assert_null(xr_stream_open(closed));
    assert_true(strstr(xr_error_message(), "denied") != NULL);
    chmod(closed, 0600);
}

/* Lines across every buffer edge, plain and compressed, against the text they were made from. */
static void test_long_lines(void **state)
{
    (void)state;
    xr_str text = { 0 }, z = { 0 };
    for (unsigned i = 0; text.len < 3u << 20; i++) {
        for (unsigned k = 0; k < i * 7919u % 70000u; k++)
            xr_str_putc(&text, (char)('a' + (i * 31 + k * k) % 26));
        xr_str_puts(&text, i % 2 ? "\n" : "\r\n");
    }
    add_member(&z, text.s, text.len, 1);
    for (int compressed = 0; compressed < 2; compressed++) {
        xr_stream *s = xr_stream_open(compressed ? file_of(z.s, z.len) : file_of(text.s, text.len));
        const char *at = text.s;
        char *line;
        size_t len;
        while (xr_stream_line(s, &line, &len) == 1) {
            assert_memory_equal(line, at, len);
            at += len;
            assert_true(*at == '\n' || (at[0] == '\r' && at[1] == '\n'));
            at += *at == '\n' ? 1 : 2;
        }
        assert_int_equal(xr_error_status(), XR_OK);
        assert_ptr_equal(at, text.s + text.len);
        xr_stream_close(s);
    }
    xr_str_free(&text);
    xr_str_free(&z);
}

static void test_line_cap(void **state)
{
    (void)state;
    char *line;
    size_t len;
    char *text = malloc(XR_LINE_CAP + 3);
    memset(text, 'x', XR_LINE_CAP + 3);
    text[XR_LINE_CAP] = '\n';
    xr_stream *s = xr_stream_open(file_of(text, XR_LINE_CAP + 1));
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_int_equal(len, XR_LINE_CAP);
    xr_stream_close(s);
    text[XR_LINE_CAP] = 'x';
    expect_refusal(text, XR_LINE_CAP + 3, XR_EDATA, ":1: ");
    expect_refusal(text, XR_LINE_CAP + 3, XR_EDATA, "16 MiB");
    free(text);
}

typedef void (*packer)(xr_str *to, const void *bytes, size_t n);

static void pack_gzip(xr_str *to, const void *bytes, size_t n)
{
    add_member(to, bytes, n, 6);
}

static void pack_xz(xr_str *to, const void *bytes, size_t n)
{
    add_xz(to, bytes, n, LZMA_CHECK_CRC64);
}

static const packer packers[] = { pack_gzip, pack_xz, add_zstd };
static const char *const packer_names[] = { "gzip member", "xz stream", "zstd frame" };

/* The programs' own output: xz --check=crc32 and zstd, on "ab\r\ncd". */
static void test_programs(void **state)
{
    (void)state;
    static const char xz[] = "\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3"
        "\x01\x00\x05\x61\x62\x0d\x0a\x63\x64\x00\x00\x00\x5f\x99\x6a\x6a\x00\x01\x1a\x06\xc5\xea\xc8\x79"
        "\x90\x42\x99\x0d\x01\x00\x00\x00\x00\x01\x59\x5a";
    static const char zstd[] = "\x28\xb5\x2f\xfd\x04\x58\x31\x00\x00\x61\x62\x0d\x0a\x63\x64\xec\xd7\x87\x82";
    expect_lines(xz, sizeof xz - 1, "ab|cd|");
    expect_lines(zstd, sizeof zstd - 1, "ab|cd|");
}

/* Members one after another, and any cut: found unless exactly between two. */
static void test_every_format(void **state)
{
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        xr_str z = { 0 }, got = { 0 };
        packers[k](&z, "first line\nsecond\n", 18);
        size_t between = z.len;
        packers[k](&z, "thi", 3);
        packers[k](&z, "", 0);
        size_t last = z.len;
        packers[k](&z, "rd\n", 3);
        expect_lines(z.s, z.len, "first line|second|third|");
        for (size_t cut = 6; cut < z.len; cut++) {
            int rc = lines_of(file_of(z.s, cut), &got);
            int whole = cut == between || cut == last || (rc == 0 && cut > between && cut < last && strstr(got.s, "thi|"));
            if (whole ? rc != 0 : rc != XR_EDATA || !strstr(xr_error_message(), "cut off inside"))
                fail_msg("%s, cut at %zu: %d %s", packer_names[k], cut, rc, xr_error_message());
            if (!whole)
                assert_non_null(strstr(xr_error_message(), packer_names[k]));
            xr_error_clear();
        }
        xr_str_free(&z);
        xr_str_free(&got);
    }
}

/* A flipped bit never gives other text. */
static void test_every_flip_of_every_format(void **state)
{
    (void)state;
    const char *text = "some text to damage, long enough for a few codes: aaaaaaaaaaaabbbbbbbbbbbb\n";
    for (size_t k = 1; k < 3; k++) {
        xr_str z = { 0 }, got = { 0 };
        packers[k](&z, text, strlen(text));
        size_t found = 0;
        for (size_t bit = 4 * 8; bit < z.len * 8; bit++) {
            z.s[bit / 8] = (char)(z.s[bit / 8] ^ (1 << bit % 8));
            int rc = lines_of(file_of(z.s, z.len), &got);
            if (rc == 0 && (got.len != strlen(text) || memcmp(got.s, text, strlen(text) - 1)) && (unsigned char)z.s[0] == (k == 1 ? 0xFD : 0x28) &&
                bit / 8 >= 6)
                fail_msg("%s: flipped bit %zu: \"%s\" passed as good data", packer_names[k], bit, got.s);
            found += rc == XR_EDATA;
            xr_error_clear();
            z.s[bit / 8] = (char)(z.s[bit / 8] ^ (1 << bit % 8));
        }
        assert_true(found > (z.len - 12) * 8 * 9 / 10);
        xr_str_free(&z);
        xr_str_free(&got);
    }
}

static void test_xz(void **state)
{
    (void)state;
    xr_str z = { 0 };
    add_xz(&z, "a\n", 2, LZMA_CHECK_SHA256);
    xr_str_append(&z, "\0\0\0\0\0\0\0\0", 8);
    size_t padded = z.len;
    add_xz(&z, "b\n", 2, LZMA_CHECK_CRC32);
    expect_lines(z.s, z.len, "a|b|");
    expect_lines(z.s, padded, "a|");
    z.len = padded - 1;
    add_xz(&z, "b\n", 2, LZMA_CHECK_CRC32);
    expect_refusal(z.s, z.len, XR_EDATA, "garbage where xz stream 2");
    z.len = 0;
    add_xz(&z, "a\n", 2, LZMA_CHECK_NONE);
    expect_refusal(z.s, z.len, XR_EDATA, "xz --check=crc64");
    z.len = 0;
    add_xz_dict(&z, "a\n", 2, LZMA_CHECK_CRC32, UINT32_C(1) << 29);
    expect_refusal(z.s, z.len, XR_EDATA, "128 MiB");
    xr_str_free(&z);
}

static char last_note[400];

static void keep_note(xr_level level, const char *message)
{
    (void)level;
    snprintf(last_note, sizeof last_note, "%s", message);
}

static void test_zstd(void **state)
{
    (void)state;
    xr_str z = { 0 };
    static const char skippable[] = "\x5a\x2a\x4d\x18\x03\0\0\0any";
    xr_str_append(&z, skippable, 11);
    add_zstd(&z, "a\n", 2);
    xr_str_append(&z, skippable, 11);
    add_zstd(&z, "b\n", 2);
    expect_lines(z.s, z.len, "a|b|");
    xr_str_puts(&z, "rest");
    expect_refusal(z.s, z.len, XR_EDATA, "garbage where zstd frame 5");
    z.len = 0;
    add_zstd_log(&z, "a\n", 2, 1, 28);
    expect_refusal(z.s, z.len, XR_EDATA, "128 MiB");
    z.len = 0;
    add_zstd_log(&z, "a\n", 2, 1, 27);
    expect_lines(z.s, z.len, "a|");
    z.len = 0;
    add_zstd_log(&z, "a\n", 2, 0, 0);
    xr_log_set_sink(keep_note);
    expect_lines(z.s, z.len, "a|");
    xr_log_set_sink(NULL);
    assert_non_null(strstr(last_note, "without a checksum"));
    /* A frame that names a dictionary: descriptor with one byte of dictionary id. */
    expect_refusal("\x28\xb5\x2f\xfd\x21\x07\x01\x09\0\0x", 11, XR_EDATA, "zstd -d -D");
    xr_str_free(&z);
}

static void test_nested(void **state)
{
    (void)state;
    static const char *const names[] = { "gzip", "xz", "zstd" };
    for (size_t k = 0; k < 9; k++) {
        xr_str inner = { 0 }, outer = { 0 };
        char what[40];
        packers[k / 3](&inner, "text\n", 5);
        packers[k % 3](&outer, inner.s, inner.len);
        snprintf(what, sizeof what, "%s inside %s", names[k / 3], names[k % 3]);
        expect_refusal(outer.s, outer.len, XR_EDATA, what);
        xr_str_free(&inner);
        xr_str_free(&outer);
    }
}

/* A highly compressible file stops at the cap in every format. */
static void test_every_bomb(void **state)
{
    (void)state;
    enum { SIZE = 200000000 };
    char *zeros = calloc(1, SIZE);
    memset(zeros, '\n', SIZE);
    for (size_t k = 1; k < 3; k++) {
        xr_str z = { 0 };
        packers[k](&z, zeros, SIZE);
        xr_stream *s = xr_stream_open(file_of(z.s, z.len));
        char *line;
        size_t len;
        int rc;
        while ((rc = xr_stream_line(s, &line, &len)) == 1)
            ;
        assert_int_equal(rc, XR_EDATA);
        expect_error(XR_EDATA, "1000 times");
        assert_int_equal(xr_stream_damaged(s), 0);
        assert_int_equal(xr_stream_next_member(s), XR_EDATA);
        xr_error_clear();
        xr_stream_close(s);
        xr_str_free(&z);
    }
    free(zeros);
}

/* Members, as "[" text "]" each; "!" where one is damaged, "~" where the file is cut. */
static void by_member(const char *path, xr_str *got)
{
    const char *text;
    long held;
    int more = 1;
    xr_stream *s = xr_stream_open(path);
    xr_stream_by_member(s, 1);
    xr_str_clear(got);
    xr_str_puts(got, "");
    while (more) {
        xr_str_putc(got, '[');
        while ((held = xr_stream_peek(s, 1, &text)) > 0) {
            xr_str_append(got, text, (size_t)held);
            xr_stream_skip(s, (size_t)held);
        }
        xr_str_putc(got, ']');
        more = held < 0 ? -1 : xr_stream_next_member(s);
        while (more < 0) {
            assert_true(xr_stream_damaged(s));
            xr_str_putc(got, xr_stream_cut(s) ? '~' : '!');
            xr_error_clear();
            more = xr_stream_next_member(s);
        }
    }
    assert_int_equal(xr_error_status(), XR_OK);
    xr_stream_close(s);
}

static void test_by_member(void **state)
{
    (void)state;
    for (size_t chunk = 0; chunk < 4; chunk++)
        for (size_t k = 0; k < 3; k++) {
            xr_str z = { 0 }, got = { 0 };
            size_t begin[4];
            for (size_t i = 0; i < 4; i++) {
                char text[2] = { (char)('a' + i), 0 };
                begin[i] = z.len;
                packers[k](&z, text, 1);
            }
            xr_stream_chunk(chunk == 0 ? 0 : chunk * chunk);
            by_member(file_of(z.s, z.len), &got);
            assert_string_equal(got.s, "[a][b][c][d]");
            z.s[begin[2] - 1] ^= 1;         /* the second's trailer */
            by_member(file_of(z.s, z.len), &got);
            assert_string_equal(got.s, k < 2 ? "[a][b]![c][d]" : "[a][]![c][d]");   /* zstd tells of damage before it tells what it gave */
            z.s[begin[2] - 1] ^= 1;
            z.s[begin[1]] ^= 1;             /* its magic */
            by_member(file_of(z.s, z.len), &got);
            assert_string_equal(got.s, "[a]![c][d]");
            z.s[begin[1]] ^= 1;
            by_member(file_of(z.s, z.len - 2), &got);
            assert_string_equal(got.s, "[a][b][c][d]~");
            by_member(file_of(z.s, begin[3] + 3), &got);
            assert_string_equal(got.s, k == 0 ? "[a][b][c][]~" : "[a][b][c]~");  /* gzip's magic is two bytes */
            xr_stream_chunk(0);
            xr_str_free(&z);
            xr_str_free(&got);
        }
}

static char *many_lines(size_t lines, size_t *len)
{
    xr_str text = { 0 };
    uint32_t x = 1;
    for (size_t i = 0; i < lines; i++) {
        x = x * 1664525 + 1013904223;
        xr_str_printf(&text, "%u\n", x);
    }
    *len = text.len;
    return text.s;
}

static void expect_line(xr_stream *s, const char *want, size_t number)
{
    char *line;
    size_t len;
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    if (want)
        assert_string_equal(line, want);
    assert_int_equal(xr_stream_line_number(s), number);
}

/* What is left of a member is given up: its lines count, and damage in it is not the next one's. */
static void test_dropped_member(void **state)
{
    (void)state;
    enum { LINES = 60000 };
    size_t len;
    char *text = many_lines(LINES, &len);
    for (size_t k = 0; k < 3; k++) {
        xr_str z = { 0 };
        packers[k](&z, text, len);
        size_t first = z.len;
        packers[k](&z, "good\n", 5);
        for (int damaged = 0; damaged < 2; damaged++) {
            z.s[first * 3 / 4] ^= (char)(damaged ? 0x10 : 0);
            xr_stream *s = xr_stream_open(file_of(z.s, z.len));
            xr_stream_by_member(s, 1);
            expect_line(s, NULL, 1);
            if (damaged) {
                assert_int_equal(xr_stream_next_member(s), XR_EDATA);
                assert_true(xr_stream_damaged(s));
                xr_error_clear();
            }
            assert_int_equal(xr_stream_next_member(s), 1);
            expect_line(s, "good", damaged ? xr_stream_line_number(s) + 1 : LINES + 1);
            xr_stream_close(s);
        }
        xr_str_free(&z);
    }
    xr_free(text);
}

/* xz streams whose sizes are wrong (found by fuzzing): liblzma gives more or less of their text, by how much it gets at a time. */
static void test_damaged_the_same(void **state)
{
    (void)state;
    static const char bytes[] = "\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\xc0\x27\x2c\x21\x01\x0c\x00\x74\x5d\x7b\x40"
        "\xe0\x00\x2b\x00\x1f\x5d\x00\x37\x9b\x88\xcc\xf6\xc6\x60\x32\x1f\xab\x63\x0c\x16\x5f\xb1\xc2\x05"
        "\x79\x4c\x15\x70\x4e\x11\x53\x72\x85\xb0\x49\x54\x27\x40\x00\x00\x9c\x7a\x00\x86\x00\x01\x37\x2c"
        "\xfc\x79\x59\x82\x90\x42\x99\x0d\x01\x00\x00\x00\x00\x01\x59\x5a\xfd\x37\x7a\x58\x5a\x00\x00\x01"
        "\x69\x22\xde\x36\x02\xc0\x27\x2c\x21\x01\x0c\x00\x74\x5d\x7b\x40\xe0\x00\x2b\x00\x00\x5d\x00\x37"
        "\x9b\x88\xcc\xf6\xc6\x60\x32\x1f\xab\x63\x0c\x16\x5f\xb1\xc2\x05\x79\x4c\x15\x70\x4e\x11\x53\x72"
        "\x85\xb0\x49\x54\x27\x40\x00\x00\x9c\x7a\x00\x86\x00\x01\x37\x59\x5a\xfd\x37\x7a\x58\x5a\x00\x00"
        "\x01\x00\x00\x00\x00\x01\x59\x5a";
    xr_str all = { 0 }, got = { 0 };
    int rc = lines_of(file_of(bytes, sizeof bytes - 1), &all);
    assert_int_equal(rc, XR_EDATA);
    xr_error_clear();
    for (size_t chunk = 1; chunk < 80; chunk += 3) {
        xr_stream_chunk(chunk);
        assert_int_equal(lines_of(file_of(bytes, sizeof bytes - 1), &got), XR_EDATA);
        xr_stream_chunk(0);
        xr_error_clear();
        assert_string_equal(got.s, all.s);
    }
    xr_str_free(&all);
    xr_str_free(&got);
}

/* The same text, lines and member borders from a plain file. */
static void test_peek(void **state)
{
    (void)state;
    const char *text;
    char *line;
    size_t len;
    xr_stream_chunk(3);
    xr_stream *s = xr_stream_open(file_of("one\ntwo\nthree", 13));
    xr_stream_chunk(0);
    assert_int_equal(xr_stream_head(s, 4, &text) >= 4, 1);
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_string_equal(line, "one");
    assert_true(xr_stream_peek(s, 7, &text) >= 7);
    assert_memory_equal(text, "two\nthr", 7);
    xr_stream_skip(s, 4);
    assert_int_equal(xr_stream_line_number(s), 2);
    assert_int_equal(xr_stream_peek(s, 99, &text), 5);
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_string_equal(line, "three");
    assert_int_equal(xr_stream_peek(s, 1, &text), 0);
    assert_int_equal(xr_stream_member(s), 0);
    xr_stream_close(s);
}

/* Someone who looks far ahead and takes byte by byte must not have all that is held moved for each: crafted headers of records ask for this. */
static void test_peek_far(void **state)
{
    (void)state;
    enum { AHEAD = (1 << 17) - 72, TAKEN = 20000, SIZE = AHEAD + 2 * TAKEN };
    const char *text, *before = NULL;
    size_t moves = 0;
    char *bytes = xr_alloc(SIZE, 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(' ' + i % 95);
    xr_stream *s = xr_stream_open(file_of(bytes, SIZE));
    for (size_t i = 0; i < TAKEN; i++) {
        assert_true(xr_stream_peek(s, AHEAD, &text) >= AHEAD);
        assert_memory_equal(text, bytes + i, 8);
        moves += i && text != before + 1;
        before = text;
        xr_stream_skip(s, 1);
    }
    assert_true(moves <= 8);
    xr_stream_close(s);
    xr_free(bytes);
}

/* Looking at the head of a cut file loses none of its lines, and the error comes when it is reached. */
static void test_head_of_cut_file(void **state)
{
    (void)state;
    xr_str z = { 0 };
    const char *text;
    char *line;
    size_t len;
    add_member(&z, "one\ntwo\n", 8, 6);
    xr_stream *s = xr_stream_open(file_of(z.s, z.len - 1));
    assert_int_equal(xr_stream_head(s, 1000, &text), 8);
    assert_int_equal(xr_error_status(), XR_OK);
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_int_equal(xr_stream_line(s, &line, &len), 1);
    assert_int_equal(xr_stream_line(s, &line, &len), XR_EDATA);
    expect_error(XR_EDATA, "cut off inside gzip member 1");
    assert_int_equal(xr_stream_cut(s), 1);
    xr_stream_close(s);
    xr_str_free(&z);
}

/* 200 MB of zeros in 200 kB stop soon after 64 MiB; memory stays small. */
static void test_bomb(void **state)
{
    (void)state;
    enum { SIZE = 200000000 };
    xr_str z = { 0 };
    char *zeros = calloc(1, SIZE);
    memset(zeros, '\n', SIZE);
    add_member(&z, zeros, SIZE, 9);
    free(zeros);
    xr_stream *s = xr_stream_open(file_of(z.s, z.len));
    char *line;
    size_t len;
    int rc;
    while ((rc = xr_stream_line(s, &line, &len)) == 1)
        ;
    assert_int_equal(rc, XR_EDATA);
    assert_true(strstr(xr_error_message(), "1000 times") != NULL);
    assert_in_range(xr_stream_line_number(s), 60000000, 70000000);
    xr_error_clear();
    assert_int_equal(xr_stream_line(s, &line, &len), XR_EDATA);
    xr_error_clear();
    xr_stream_close(s);
    xr_str_free(&z);
}

static void test_bytes(void **state)
{
    (void)state;
    char back[7];
    xr_str z = { 0 }, got = { 0 };
    add_member(&z, "bytes\r\nas they are\0.", 20, 6);
    xr_stream *s = xr_stream_open(file_of(z.s, z.len));
    long n;
    while ((n = xr_stream_read(s, back, sizeof back)) > 0)
        xr_str_append(&got, back, (size_t)n);
    assert_int_equal(n, 0);
    assert_int_equal(got.len, 20);
    assert_memory_equal(got.s, "bytes\r\nas they are\0.", 20);
    xr_stream_close(s);
    xr_str_free(&z);
    xr_str_free(&got);
}

static void test_standard_input(void **state)
{
    (void)state;
    int pipes[2], saved = dup(0);
    xr_str got = { 0 };
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(write(pipes[1], "x\ny", 3), 3);
    close(pipes[1]);
    dup2(pipes[0], 0);
    close(pipes[0]);
    assert_int_equal(lines_of("-", &got), 0);
    assert_string_equal(got.s, "x|y|");
    dup2(saved, 0);
    close(saved);
    xr_str_free(&got);
}

/* A pipe whose writer stops early, and one with a damaged member, behind which reading goes on though it cannot go back. */
static void test_pipes(void **state)
{
    (void)state;
    xr_str z = { 0 }, got = { 0 };
    add_member(&z, "one\ntwo\n", 8, 6);
    add_member(&z, "three\n", 6, 6);
    size_t two = z.len;
    add_member(&z, "four\n", 5, 6);
    int saved = dup(0);
    for (int damaged = 0; damaged < 2; damaged++) {
        int pipes[2];
        z.s[two - 6] ^= (char)damaged;
        assert_int_equal(pipe(pipes), 0);
        assert_int_equal(write(pipes[1], z.s, damaged ? z.len : two - 3), damaged ? z.len : two - 3);
        close(pipes[1]);
        dup2(pipes[0], 0);
        close(pipes[0]);
        if (damaged) {
            by_member("-", &got);
            assert_string_equal(got.s, "[one\ntwo\n][three\n]![four\n]");
        } else {
            assert_int_equal(lines_of("-", &got), XR_EDATA);
            assert_string_equal(got.s, "one|two|three|");
            expect_error(XR_EDATA, "<stdin>:4: byte");
        }
    }
    dup2(saved, 0);
    close(saved);
    xr_str_free(&z);
    xr_str_free(&got);
}

/* Whichever allocation fails, it is an error and not a short file; nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    for (size_t format = 0; format < 3; format++) {
        xr_str z = { 0 };
        packers[format](&z, "a line\n", 7);
        const char *path = file_of(z.s, z.len);
        xr_str_free(&z);
        long before = xr_alloc_live(), k = 0;
        for (int rc = -1; rc < 0; k++) {
            char *line;
            size_t len, n = 0;
            xr_alloc_fail_after(k);
            xr_stream *s = xr_stream_open(path);
            rc = s ? 1 : XR_ESYSTEM;
            while (s && (rc = xr_stream_line(s, &line, &len)) == 1)
                n++;
            xr_stream_close(s);
            xr_alloc_fail_after(-1);
            if (rc < 0)
                assert_int_equal(rc, XR_ESYSTEM);
            else
                assert_int_equal(n, 1);
            assert_int_equal(xr_error_status(), rc < 0 ? XR_ESYSTEM : XR_OK);
            xr_error_clear();
            assert_int_equal(xr_alloc_live(), before);
        }
        assert_in_range(k, 5, 40);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_line_ends, clear_error),
        cmocka_unit_test_teardown(test_numbers_and_nul, clear_error),
        cmocka_unit_test_teardown(test_python_gzip, clear_error),
        cmocka_unit_test_teardown(test_members, clear_error),
        cmocka_unit_test_teardown(test_every_cut, clear_error),
        cmocka_unit_test_teardown(test_every_flip, clear_error),
        cmocka_unit_test_teardown(test_disguises, clear_error),
        cmocka_unit_test_teardown(test_cannot_open, clear_error),
        cmocka_unit_test_teardown(test_long_lines, clear_error),
        cmocka_unit_test_teardown(test_line_cap, clear_error),
        cmocka_unit_test_teardown(test_bomb, clear_error),
        cmocka_unit_test_teardown(test_programs, clear_error),
        cmocka_unit_test_teardown(test_every_format, clear_error),
        cmocka_unit_test_teardown(test_every_flip_of_every_format, clear_error),
        cmocka_unit_test_teardown(test_xz, clear_error),
        cmocka_unit_test_teardown(test_zstd, clear_error),
        cmocka_unit_test_teardown(test_nested, clear_error),
        cmocka_unit_test_teardown(test_every_bomb, clear_error),
        cmocka_unit_test_teardown(test_by_member, clear_error),
        cmocka_unit_test_teardown(test_dropped_member, clear_error),
        cmocka_unit_test_teardown(test_damaged_the_same, clear_error),
        cmocka_unit_test_teardown(test_peek, clear_error),
        cmocka_unit_test_teardown(test_peek_far, clear_error),
        cmocka_unit_test_teardown(test_head_of_cut_file, clear_error),
        cmocka_unit_test_teardown(test_bytes, clear_error),
        cmocka_unit_test_teardown(test_standard_input, clear_error),
        cmocka_unit_test_teardown(test_pipes, clear_error),
        cmocka_unit_test_teardown(test_out_of_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
