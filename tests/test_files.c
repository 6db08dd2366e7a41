/* Whole files, output directories, JSON files: right, or refused with a reason and without a trace. */
#include "scratch.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/leftover.h"
#include "util/json.h"

static void expect_no_json(const char *text, size_t len, const char *part)
{
    assert_null(xr_json_parse(text, len, "f.json:7"));
    expect_error(XR_EDATA, part);
}

/* text is refused as a line of JSON lines, because it goes on over several (what: with that), or taken (NULL). */
static void expect_line(const char *text, const char *what)
{
    json_t *j = xr_json_line(text, strlen(text), "f.jsonl:7");
    if (what)
        expect_error(XR_EDATA, what);
    assert_int_equal(j != NULL, what == NULL);
    json_decref(j);
}

static void json_over_lines(void **state)
{
    (void)state;
    expect_line("{", "f.jsonl:7: a JSON object over several lines; expected JSON lines, one object a line; write each record on one line (jq -c '.')");
    expect_line(" \t{ \r", "a JSON object over several lines");
    expect_line("[", "f.jsonl:7: a JSON list over several lines; expected JSON lines, one object a line; write each record on one line (jq -c '.[]')");
    expect_line("[{\"a\": 1},", "a JSON list over several lines");
    expect_line("[{", "a JSON list over several lines");
    expect_line("[[[", "not valid JSON");
    expect_line("{\"a\": 1", "not valid JSON");
    expect_line("[1,]", "not valid JSON");
    expect_line("", "not valid JSON");
    expect_line(" [{}] ", NULL);
    expect_line("{}", NULL);
}

static void test_json(void **state)
{
    (void)state;
    static const char text[] = "\xEF\xBB\xBF{\"b\": [1, -2.50, 1e-5, 100.0, {}, []], "
        "\"a\": {\"x\": null, \"y\": true, \"z\": \"q\\\"\\u00e4\\n\\u0001\"}}";
    static const char compact[] = "{\"b\":[1,-2.5,1e-05,100.0,{},[]],\"a\":{\"x\":null,\"y\":true,\"z\":\"q\\\"\xC3\xA4\\n\\u0001\"}}";
    json_t *j = xr_json_parse(text, sizeof text - 1, "f.json");
    assert_non_null(j);
    char *one = xr_json_dump(j, 0);
    assert_string_equal(one, compact);
    assert_int_equal(xr_json_write(in_scratch("j.json"), j, 2), XR_OK);
    json_t *again = xr_json_file(in_scratch("j.json"), 1000);
    assert_true(json_equal(j, again));
    size_t len;
    char *lines = xr_file_read(in_scratch("j.json"), 1000, &len);
    assert_memory_equal(lines, "{\n  \"b\": [\n    1,\n", 18);
    assert_string_equal(lines + len - 6, "  }\n}\n");
    xr_free(lines);
    xr_free(one);
    json_decref(again);
    json_decref(j);
    expect_no_json("{\"a\":1,\"a\":2}", 13, "f.json:7: not valid JSON: duplicate");
    expect_no_json("{}x", 3, "f.json:7");
    expect_no_json("[NaN]", 5, "f.json:7");
    expect_no_json("[1,]", 4, "f.json:7");
    expect_no_json("\"\xff\"", 3, "0xff");
    expect_no_json("", 0, "f.json:7");
    expect_no_json("[1,\n2,\n}", 8, "f.json:7:3:");
    expect_no_json("[99999999999999999999]", 22, "integer");
    char *deep = malloc(100000);
    memset(deep, '[', 100000);
    expect_no_json(deep, 100000, "depth");
    free(deep);
    assert_null(xr_json_file(in_scratch("j.json"), 10));
    expect_error(XR_EDATA, "more than 10 bytes");
}

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_files(void **state)
{
    (void)state;
    size_t len;
    char *path = xr_path_join("a/", "b"), *text;
    assert_string_equal(path, "a/b");
    xr_free(path);
    assert_int_equal(xr_mkdirs(in_scratch("x/y//z/")), XR_OK);
    assert_int_equal(xr_mkdirs(in_scratch("x/y/z")), XR_OK);
    assert_true(xr_path_is_dir(in_scratch("x/y/z")));
    assert_int_equal(xr_file_write(in_scratch("x/y/f"), "1\0002", 3), XR_OK);
    assert_int_equal(xr_file_write(in_scratch("x/y/f"), "new", 3), XR_OK);
    assert_non_null(text = xr_file_read(in_scratch("x/y/f"), 3, &len));
    assert_int_equal(len, 3);
    assert_string_equal(text, "new");
    xr_free(text);
    assert_int_equal(xr_mkdirs(in_scratch("x/y/f/g")), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "in the way");
    assert_int_equal(xr_file_write(in_scratch("x/y"), "", 0), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "directory");
    assert_int_equal(xr_file_write("/dev/null", "", 0), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "device");
    assert_int_equal(xr_file_write(in_scratch("no/f"), "", 0), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "No such file");
    assert_null(xr_file_read(in_scratch("x"), 3, &len));
    expect_error(XR_ENOINPUT, "directory");
    assert_null(xr_file_read(in_scratch("no"), 3, &len));
    expect_error(XR_ENOINPUT, "No such file");
    assert_null(xr_file_read("/dev/zero", 3000, &len));
    expect_error(XR_EDATA, "more than 3000 bytes");
    /* A link to a folder is removed, not followed. */
    assert_int_equal(symlink(in_scratch("x/y"), in_scratch("x/link")), 0);
    assert_int_equal(xr_remove_tree(in_scratch("x/link")), XR_OK);
    assert_true(xr_path_exists(in_scratch("x/y/f")));
    assert_int_equal(xr_remove_tree(in_scratch("x")), XR_OK);
    assert_int_equal(xr_remove_tree(in_scratch("x")), XR_OK);
    assert_false(xr_path_exists(in_scratch("x")));
}

static void fill(const xr_outdir *o, const char *text)
{
    char path[400];
    snprintf(path, sizeof path, "%s/sub", o->tmp);
    assert_int_equal(xr_mkdirs(path), XR_OK);
    snprintf(path, sizeof path, "%s/sub/f", o->tmp);
    write_text(path, text);
}

/* A file system that cannot exchange two names. */
static int no_exchange;
int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (no_exchange && flags & RENAME_EXCHANGE) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static void output_directory(void)
{
    xr_outdir o;
    size_t len;
    assert_int_equal(xr_outdir_begin(&o, in_scratch("p/out/"), 0, "--force"), XR_OK);
    fill(&o, "one");
    assert_false(xr_path_exists(in_scratch("p/out")));
    assert_int_equal(xr_outdir_commit(&o), XR_OK);
    xr_outdir_abort(&o);
    assert_true(xr_path_exists(in_scratch("p/out/sub/f")));
    assert_int_equal(xr_outdir_begin(&o, in_scratch("p/out"), 0, "--force"), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "--force");
    assert_int_equal(xr_outdir_begin(&o, in_scratch("p/out/sub/f"), 1, "--force"), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "not a directory");
    char *home = getcwd(NULL, 0);
    assert_int_equal(chdir(in_scratch("p/out/sub")), 0);
    assert_int_equal(xr_outdir_begin(&o, "..", 1, "--force"), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "working directory");
    assert_int_equal(chdir(home), 0);
    free(home);

    /* Replaced as a whole, through a link too, and only on commit. */
    assert_int_equal(symlink(in_scratch("p/out"), in_scratch("p/link")), 0);
    assert_int_equal(xr_outdir_begin(&o, in_scratch("p/link"), 1, "--force"), XR_OK);
    fill(&o, "two");
    write_text(in_scratch("p/out/stale"), "");
    assert_int_equal(xr_outdir_commit(&o), XR_OK);
    char *text = xr_file_read(in_scratch("p/out/sub/f"), 100, &len);
    assert_string_equal(text, "two");
    xr_free(text);
    assert_false(xr_path_exists(in_scratch("p/out/stale")));

    assert_int_equal(xr_outdir_begin(&o, in_scratch("p/other"), 0, ""), XR_OK);
    fill(&o, "x");
    xr_outdir_abort(&o);

    /* Made by another program while ours was at work: theirs stays, nothing of ours does. */
    assert_int_equal(xr_outdir_begin(&o, in_scratch("p/both"), 0, ""), XR_OK);
    fill(&o, "ours");
    assert_int_equal(xr_mkdirs(in_scratch("p/both/theirs")), XR_OK);
    assert_int_equal(xr_outdir_commit(&o), XR_ECANTCREAT);
    expect_error(XR_ECANTCREAT, "another program has made it meanwhile; see what is in it, or choose another output");
    assert_true(xr_path_exists(in_scratch("p/both/theirs")) && !xr_path_exists(in_scratch("p/both/sub")));
    assert_int_equal(xr_remove_tree(in_scratch("p/both")), XR_OK);
    assert_int_equal(xr_remove_tree(in_scratch("p/out")), XR_OK);
    assert_int_equal(unlink(in_scratch("p/link")), 0);
    assert_int_equal(rmdir(in_scratch("p")), 0);     /* nothing else was left in it */
}

static void test_output_directory(void **state)
{
    (void)state;
    for (no_exchange = 0; no_exchange < 2; no_exchange++)
        output_directory();
    no_exchange = 0;
}

/* Every allocation of a whole round fails once: an error each time, no leak, and no temporary files. */
static void test_out_of_memory(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1.5, \"text\"]}";
    long before = xr_alloc_live(), k = 0;
    json_t *j = xr_json_parse(text, sizeof text - 1, "t");
    for (xr_status status = -1; status < 0; k++) {
        xr_outdir o = { 0 };
        size_t len;
        char *path = NULL, *back = NULL;
        xr_alloc_fail_after(k);
        status = xr_outdir_begin(&o, in_scratch("oom/out"), 1, "");
        if (status == XR_OK && !(path = xr_path_join(o.tmp, "f")))
            status = xr_error_status();
        if (status == XR_OK)
            status = xr_json_write(path, j, 2);
        if (status == XR_OK && !(back = xr_file_read(path, 100, &len)))
            status = xr_error_status();
        if (status == XR_OK)
            status = xr_outdir_commit(&o);
        xr_alloc_fail_after(-1);
        xr_outdir_abort(&o);
        xr_free(path);
        xr_free(back);
        assert_int_equal(xr_error_status(), status);
        if (status < 0)
            expect_error(XR_ESYSTEM, "out of memory");
        assert_int_equal(xr_alloc_live(), before);
    }
    json_decref(j);
    assert_in_range(k, 15, 60);
    assert_int_equal(xr_remove_tree(in_scratch("oom")), XR_OK);
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_error)

/* Of a process that is gone, and with this very name, go: what it wrote; what it put aside, unless that is all there is. */
static void leftovers_of_the_dead(void **state)
{
    (void)state;
    static const struct { const char *name; int goes; } left[] = {
        { "q/o.tmp-%d", 1 }, { "q/o.was-%d", 1 }, { "q/oo.tmp-%d", 0 }, { "q/o.x.tmp-%d", 0 }, { "q/o.tmp-%dx", 0 }, { "q/gone.tmp-%d", 0 },
        { "q/o.old-%d", 0 }, { "q/o.tmp-20251101", 0 }, { "q/o.was-20251101", 0 },       /* a person's */
    };
    enum { N = sizeof left / sizeof *left };
    char name[64], live[64];
    pid_t dead = dead_process();
    assert_int_equal(xr_mkdirs(in_scratch("q/o")), XR_OK);
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, left[i].name, (int)dead);
        assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    }
    snprintf(live, sizeof live, "q/o.tmp-%d", (int)getppid());
    assert_int_equal(xr_mkdirs(in_scratch(live)), XR_OK);
    snprintf(name, sizeof name, "q/gone.was-%d", (int)dead);
    assert_int_equal(xr_mkdirs(in_scratch(name)), XR_OK);
    xr_leftovers_remove(in_scratch("q/o/"));
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, left[i].name, (int)dead);
        assert_int_equal(xr_path_exists(in_scratch(name)), !left[i].goes);
    }
    assert_true(xr_path_exists(in_scratch(live)));
    xr_leftovers_remove(in_scratch("q/gone"));
    snprintf(name, sizeof name, "q/gone.was-%d", (int)dead);
    assert_true(xr_path_exists(in_scratch(name)));
    snprintf(name, sizeof name, "q/gone.tmp-%d", (int)dead);
    assert_false(xr_path_exists(in_scratch(name)));
    xr_leftovers_remove(in_scratch("nowhere/at/all"));
    assert_int_equal(xr_error_status(), XR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json), TEST(json_over_lines), TEST(test_files), TEST(test_output_directory), TEST(test_out_of_memory), TEST(leftovers_of_the_dead),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
