/* Lines from plain and gzip files: every way a file can be cut, damaged or disguised. The gzip files are written by zlib's
 * deflate here, and by Python's gzip module for the one that is stored as bytes. */
#include "scratch.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "util/alloc.h"
#include "util/str.h"
#include "util/stream.h"

/* Puts bytes into the test's one file and gives its path. */
static const char *file_of(const void *bytes, size_t n)
{
    static char path[300];
    snprintf(path, sizeof path, "%s/input", scratch);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
    return path;
}

/* Appends one gzip member. */
static void add_member(xr_str *to, const void *bytes, size_t n, int level)
{
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t bound = deflateBound(&z, n) + 64;
    char *room = malloc(bound);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)bound;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(xr_str_append(to, room, bound - z.avail_out), XR_OK);
    deflateEnd(&z);
    free(room);
}

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
    expect_refusal("\xfd" "7zXZ\0rest", 10, XR_EDATA, "xz");
    expect_refusal("\x28\xb5\x2f\xfd rest", 9, XR_EDATA, "zstd");
    expect_refusal("PK\x03\x04 rest", 9, XR_EDATA, "zip");
    expect_lines("PK\x03", 3, "PK\x03|");
    expect_lines("\x1f", 1, "\x1f|");
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

/* Whichever allocation fails, it is an error and not a short file; nothing leaks. */
static void test_out_of_memory(void **state)
{
    (void)state;
    xr_str z = { 0 };
    add_member(&z, "a line\n", 7, 6);
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
    assert_in_range(k, 5, 20);
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
        cmocka_unit_test_teardown(test_bytes, clear_error),
        cmocka_unit_test_teardown(test_standard_input, clear_error),
        cmocka_unit_test_teardown(test_out_of_memory, clear_error),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
