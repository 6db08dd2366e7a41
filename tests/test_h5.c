/* HDF5 files: what is written reads back, twice the same bytes, flipped bits are found, failures leave nothing behind.
 * The reader is our own. */
#include "scratch.h"

#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <signal.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/h5.h"

enum { ROWS = 20000, COLS = 7, TEXTS = 3000 };

static float *features;         // [ROWS, COLS]

static int make_all(void **state)
{
    features = malloc(sizeof(float) * ROWS * COLS);
    for (int i = 0; i < ROWS * COLS; i++)
        features[i] = (float)(i % 1001) / 7;
    return make_scratch(state);
}

static int free_all(void **state)
{
    free(features);
    return remove_scratch(state);
}

/* The shape of a features file, appended in uneven steps. */
static xr_status write_file(const char *path)
{
    static const char *const ids[] = { "a", "", "\xC3\xA4\xC3\xB6", "a longer name" };
    xr_h5_out *h = xr_h5_create(path);
    if (!h)
        return xr_error_status();
    int f = xr_h5_dataset(h, "features", XR_H5_F32, COLS), o = xr_h5_dataset(h, "offsets", XR_H5_U64, 0);
    int n = xr_h5_dataset(h, "none", XR_H5_U32, 0);
    xr_status status = f < 0 || o < 0 || n < 0 ? xr_error_status() : XR_OK;
    for (size_t at = 0, step = 1; at < ROWS && status == XR_OK; at += step, step = step * 3 % 1999 + 1) {
        if (step > ROWS - at)
            step = ROWS - at;
        status = xr_h5_append(h, f, features + at * COLS, step);
    }
    for (uint64_t i = 0; i < TEXTS && status == XR_OK; i++)
        status = xr_h5_append(h, o, &i, 1);
    if (status == XR_OK)
        status = xr_h5_strings(h, "ids", ids, 4);
    if (status == XR_OK)
        status = xr_h5_attribute(h, "/", "format", "test \xE2\x82\xAC");
    if (status == XR_OK)
        status = xr_h5_attribute(h, "features", "empty", "");
    if (status == XR_OK)
        return xr_h5_commit(h);
    xr_h5_abort(h);
    return status;
}

static void test_there_and_back(void **state)
{
    (void)state;
    size_t rows, cols;
    const char *path = in_scratch("f.h5");
    assert_int_equal(write_file(path), XR_OK);
    float *f = xr_h5_read(path, "features", XR_H5_F32, &rows, &cols);
    assert_non_null(f);
    assert_true(rows == ROWS && cols == COLS);
    assert_memory_equal(f, features, sizeof(float) * ROWS * COLS);
    uint64_t *o = xr_h5_read(path, "/offsets", XR_H5_U64, &rows, &cols);
    assert_true(o && rows == TEXTS && cols == 1 && o[0] == 0 && o[TEXTS - 1] == TEXTS - 1);
    uint32_t *none = xr_h5_read(path, "none", XR_H5_U32, &rows, &cols);
    assert_true(none && rows == 0);
    char *ids = xr_h5_read_strings(path, "ids", &rows, &cols);
    assert_true(ids && rows == 4 && cols == 13);
    assert_memory_equal(ids, "a\0\0\0\0\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0"
                        "\xC3\xA4\xC3\xB6\0\0\0\0\0\0\0\0\0" "a longer name", 52);
    char *format = xr_h5_read_attribute(path, "/", "format"), *empty = xr_h5_read_attribute(path, "features", "empty");
    assert_string_equal(format, "test \xE2\x82\xAC");
    assert_string_equal(empty, "");
    xr_free(f);
    xr_free(o);
    xr_free(none);
    xr_free(ids);
    xr_free(format);
    xr_free(empty);
}

/* Whole datasets in groups, with a stretch of zeros that is not stored; read in parts. */
static xr_status write_groups(const char *path)
{
    static const double one = 0.1;
    static float hole[ROWS * COLS * 10];
    memset(hole, 0, sizeof hole);
    hole[3] = hole[ROWS * COLS * 10 - 1] = -0.0f;
    xr_h5_out *h = xr_h5_create(path);
    xr_status status = h ? xr_h5_reserve(h, 10 << 20) : xr_error_status();
    if (status == XR_OK)
        status = xr_h5_write(h, "a/b/features", XR_H5_F32, features, ROWS * COLS);
    if (status == XR_OK)
        status = xr_h5_write(h, "a/hole", XR_H5_F32, hole, ROWS * COLS * 10);
    if (status == XR_OK)
        status = xr_h5_write(h, "a/b/one", XR_H5_F64, &one, 1);
    if (status == XR_OK)
        status = xr_h5_attribute(h, "a/b/one", "name", "a/b.one");
    assert_int_equal(xr_h5_stored(XR_H5_F32, hole, ROWS * COLS * 10), 2 << 20);
    if (status == XR_OK)
        return xr_h5_commit(h);
    xr_h5_abort(h);
    return status;
}

static void test_groups_and_parts(void **state)
{
    (void)state;
    struct stat st;
    char a[65], b[65];
    uint64_t rows;
    size_t cols;
    double one;
    float part[100], zero[100] = { 0 }, last;
    assert_int_equal(write_groups(in_scratch("g1.h5")), XR_OK);
    assert_int_equal(stat(in_scratch("g1.h5"), &st), 0);
    assert_true(st.st_size < 4 << 20 && st.st_blocks * 512 < 5 << 20);
    xr_h5_in *h = xr_h5_open(in_scratch("g1.h5"));
    assert_non_null(h);
    for (int k = 0; k < 40; k++) {      /* more than can be open */
        int d = xr_h5_find(h, "a/b/features", XR_H5_F32, &rows, &cols);
        assert_true(d >= 0 && rows == ROWS * COLS && cols == 1);
        assert_int_equal(xr_h5_rows(h, d, 77777, 100, part), XR_OK);
        assert_memory_equal(part, features + 77777, sizeof part);
        xr_h5_forget(h);
    }
    int hole = xr_h5_find(h, "a/hole", XR_H5_F32, &rows, &cols), d = xr_h5_find(h, "a/b/one", XR_H5_F64, &rows, &cols);
    assert_true(hole >= 0 && d >= 0 && rows == 1);
    assert_int_equal(xr_h5_rows(h, hole, 500000, 100, part), XR_OK);
    assert_memory_equal(part, zero, sizeof part);
    assert_int_equal(xr_h5_rows(h, hole, ROWS * COLS * 10 - 1, 1, &last), XR_OK);
    assert_true(last == 0.0f && signbit(last));
    assert_int_equal(xr_h5_rows(h, d, 0, 1, &one), XR_OK);
    assert_true(one == 0.1);
    assert_int_equal(xr_h5_find(h, "a/b/one", XR_H5_U64, &rows, &cols), XR_EDATA);
    expect_error(XR_EDATA, "another type");
    assert_int_equal(xr_h5_find(h, "a/c", XR_H5_U64, &rows, &cols), XR_EDATA);
    expect_error(XR_EDATA, "there is no \"a/c\"");
    xr_h5_close(h);
    sleep(1);   /* times of groups would differ */
    assert_int_equal(write_groups(in_scratch("g2.h5")), XR_OK);
    assert_int_equal(xr_file_sha256(in_scratch("g1.h5"), a), XR_OK);
    assert_int_equal(xr_file_sha256(in_scratch("g2.h5"), b), XR_OK);
    assert_string_equal(a, b);
}

static void test_no_room(void **state)
{
    (void)state;
    xr_h5_out *h = xr_h5_create(in_scratch("room.h5"));
    assert_int_equal(xr_h5_reserve(h, (size_t)1 << 55), XR_EIO);
    xr_h5_abort(h);
    expect_error(XR_EIO, "bytes cannot be had: ");
}

static void test_same_bytes(void **state)
{
    (void)state;
    char a[65], b[65];
    assert_int_equal(write_file(in_scratch("a.h5")), XR_OK);
    sleep(1);   /* object times would differ */
    assert_int_equal(write_file(in_scratch("b.h5")), XR_OK);
    assert_int_equal(xr_file_sha256(in_scratch("a.h5"), a), XR_OK);
    assert_int_equal(xr_file_sha256(in_scratch("b.h5"), b), XR_OK);
    assert_string_equal(a, b);
}

static void test_read_refusals(void **state)
{
    (void)state;
    size_t rows, cols;
    const char *path = in_scratch("r.h5");
    assert_int_equal(write_file(path), XR_OK);
    assert_null(xr_h5_read(in_scratch("missing.h5"), "x", XR_H5_F32, &rows, &cols));
    expect_error(XR_ENOINPUT, "missing.h5");
    assert_null(xr_h5_read(path, "x", XR_H5_F32, &rows, &cols));
    expect_error(XR_EDATA, "opening a dataset failed");
    assert_null(xr_h5_read(path, "ids", XR_H5_F32, &rows, &cols));
    expect_error(XR_EDATA, "another type");
    assert_null(xr_h5_read_strings(path, "features", &rows, &cols));
    expect_error(XR_EDATA, "another type");
    assert_null(xr_h5_read_attribute(path, "/", "x"));
    expect_error(XR_EDATA, "attribute");
    assert_int_equal(xr_file_write(in_scratch("t.h5"), "not HDF5", 8), XR_OK);
    assert_null(xr_h5_read(in_scratch("t.h5"), "x", XR_H5_F32, &rows, &cols));
    expect_error(XR_EDATA, "opening the HDF5 file");
}

/* One bit somewhere in the middle of the feature chunks: Fletcher32 notices. */
static void test_flipped_bits(void **state)
{
    (void)state;
    size_t len, rows, cols;
    assert_int_equal(write_file(in_scratch("g.h5")), XR_OK);
    char *bytes = xr_file_read(in_scratch("g.h5"), 1u << 26, &len);
    /* Rows 5000 ... of the features stand somewhere in the file as they are. */
    char *at = memmem(bytes, len, features + 5000 * COLS, sizeof(float) * COLS);
    assert_non_null(at);
    for (size_t k = 0; k < 20; k++) {
        at[k * 97] = (char)(at[k * 97] ^ (1 << k % 8));
        assert_int_equal(xr_file_write(in_scratch("g.h5"), bytes, len), XR_OK);
        assert_null(xr_h5_read(in_scratch("g.h5"), "features", XR_H5_F32, &rows, &cols));
        expect_error(XR_EDATA, "reading a dataset failed");
        at[k * 97] = (char)(at[k * 97] ^ (1 << k % 8));
    }
    xr_free(bytes);
}

static void test_cannot_create(void **state)
{
    (void)state;
    assert_null(xr_h5_create(in_scratch("no/f.h5")));
    expect_error(XR_ECANTCREAT, "No such file");
    assert_null(xr_h5_create(scratch));
    expect_error(XR_ECANTCREAT, "directory");
    xr_h5_out *h = xr_h5_create(in_scratch("given-up.h5"));
    assert_non_null(h);
    xr_h5_abort(h);
    xr_h5_abort(NULL);
    assert_false(xr_path_exists(in_scratch("given-up.h5")));
    assert_int_equal(xr_error_status(), XR_OK);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    long before = xr_alloc_live(), k = 0;
    for (xr_status status = -1; status < 0; k++) {
        xr_alloc_fail_after(k);
        status = write_file(in_scratch("oom.h5"));
        xr_alloc_fail_after(-1);
        assert_int_equal(xr_path_exists(in_scratch("oom.h5")), status == XR_OK);
        if (status < 0)
            expect_error(XR_ESYSTEM, "out of memory");
        assert_int_equal(xr_alloc_live(), before);
    }
    assert_in_range(k, 4, 40);
}

/* A full disk, played by a limit on the file size; last, because HDF5 may not be used after it. */
static void test_full_disk(void **state)
{
    (void)state;
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){ 100000, old.rlim_max };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    xr_status status = write_file(in_scratch("full.h5"));
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, XR_EIO);
    expect_error(XR_EIO, "full.h5: ");
    char tmp[400];
    snprintf(tmp, sizeof tmp, "%s.tmp-%ld", in_scratch("full.h5"), (long)getpid());
    assert_false(xr_path_exists(in_scratch("full.h5")));
    assert_false(xr_path_exists(tmp));
}

#define TEST(name) cmocka_unit_test_teardown(name, clear_error)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back), TEST(test_groups_and_parts), TEST(test_no_room), TEST(test_same_bytes), TEST(test_read_refusals), TEST(test_flipped_bits),
        TEST(test_cannot_create), TEST(test_out_of_memory), TEST(test_full_disk),
    };
    return cmocka_run_group_tests(tests, make_all, free_all);
}
