/* The public interface when memory is out: every allocation of opening, answering, training and saving fails in turn. Each failure is XR_ERR_SYSTEM
 * with a message, leaves no block, file or printed word behind, and the next call finds the context as it was. */
#include "tiny_dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include "kernels/gemm.h"
#include "util/alloc.h"
#include "xr.h"

enum { C = 3, N = 3 };

static const char *const labels[C] = { "left", "middle", "right" };
static const char *text[N], *pair[N];
static const int32_t gold[N] = { 0, 2, 1 };
static int printed = -1, real_out, real_err;

/* What the library writes to standard output and error goes to a file, which must stay empty. */
static void hold_output(void)
{
    fflush(stdout);
    fflush(stderr);
    printed = open(in_scratch("printed"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    real_out = dup(1);
    real_err = dup(2);
    assert_true(printed >= 0 && real_out >= 0 && real_err >= 0);
    dup2(printed, 1);
    dup2(printed, 2);
}

static void release_output(void)
{
    fflush(stdout);
    fflush(stderr);
    dup2(real_out, 1);
    dup2(real_err, 2);
    close(real_out);
    close(real_err);
    off_t bytes = lseek(printed, 0, SEEK_END);
    close(printed);
    assert_int_equal(bytes, 0);
}

static int make_everything(void **state)
{
    static const int same[] = { 0, 1, 2 };
    static char copy[2 * N][256];
    if (xr_blas_start() < 0 || make_scratch(state) < 0)
        return -1;
    train_tiny_tokenizer();
    make_tiny_dir("cls", "tiny-cls", labels, same, 10, NULL);
    for (unsigned i = 0; i < N; i++) {
        text[i] = strcpy(copy[2 * i], tiny_sentence(i));
        pair[i] = strcpy(copy[2 * i + 1], tiny_sentence(i + 50));
    }
    return 0;
}

/* Every k while there are few, then every few percent: the first allocations differ most. */
static long next(long k) { return k + 1 + k / 200; }

/* A failed call: the right status and a message that says what to do; k tells which allocation it was. */
static void check_failure(long status, long k)
{
    if (status != XR_ERR_SYSTEM || !strstr(xr_error(), "memory")) {
        release_output();
        fail_msg("allocation %ld: status %ld \"%s\"; expected %d and \"memory\"", k, status, xr_error(), XR_ERR_SYSTEM);
    }
}

static void check_live(long before, long k)
{
    if (xr_alloc_live() != before) {
        long left = xr_alloc_live() - before;
        release_output();
        fail_msg("allocation %ld: %ld blocks were not freed", k, left);
    }
}

/* Names in the scratch folder that end in neither of its own: what a failed save has left. */
static int temporaries(void)
{
    DIR *d = opendir(scratch);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += strstr(e->d_name, ".tmp-") != NULL || strstr(e->d_name, ".was-") != NULL;
    if (d)
        closedir(d);
    return n;
}

static void walk_open(xr_context *(*open_it)(void))
{
    xr_context *c = NULL;
    long before = xr_alloc_live(), k = 0;
    hold_output();
    for (; !c; k = next(k)) {
        xr_alloc_fail_after(k);
        c = open_it();
        xr_alloc_fail_after(-1);
        if (!c) {
            check_failure(XR_ERR_SYSTEM, k);
            check_live(before, k);
        }
    }
    xr_close(c);
    check_live(before, k);
    release_output();
    assert_true(k > 10);
}

static xr_context *open_read(void) { return xr_open(in_scratch("cls"), XR_READ); }
static xr_context *open_train(void) { return xr_open_classifier(in_scratch("cls"), labels, C, 1); }

static void opening(void **state)
{
    (void)state;
    walk_open(open_read);
    walk_open(open_train);
}

static xr_context *open_with(const char *precision)
{
    xr_context *c = open_read();
    assert_int_equal(xr_set_precision(c, precision), 0);
    return c;
}

/* With rounded weights, their copies are among the allocations. */
static void walk_classify(const char *precision)
{
    float want[N * C], got[N * C];
    xr_context *c = open_with(precision);
    assert_int_equal(xr_classify(c, text, pair, N, want), 0);
    xr_close(c);
    int status = -1;
    long k = 0;
    hold_output();
    for (; status < 0; k = next(k)) {
        c = open_with(precision);       /* a used context has its buffers already */
        xr_alloc_fail_after(k);
        status = xr_classify(c, text, pair, N, got);
        xr_alloc_fail_after(-1);
        if (status < 0)
            check_failure(status, k);
        memset(got, 0, sizeof got);
        if (xr_classify(c, text, pair, N, got) < 0 || memcmp(got, want, sizeof got) != 0) {
            release_output();
            fail_msg("allocation %ld: the next call \"%s\" does not answer as before", k, xr_error());
        }
        xr_close(c);
    }
    release_output();
    assert_true(k > 5);
}

static void classifying(void **state)
{
    (void)state;
    walk_classify("f32");
    walk_classify("bf16");
    walk_classify("int8");
}

static int begin_and_step(xr_context *c, double *loss)
{
    xr_recipe recipe = xr_recipe_default(10);
    int status = xr_train_begin(c, &recipe);
    return status < 0 ? status : xr_train_step(c, text, pair, gold, N, loss);
}

/* The losses of two steps say whether a failed step has moved weights, moments or counters. */
static void training(void **state)
{
    (void)state;
    double want[2], got[2];
    xr_context *c = open_train();
    assert_int_equal(begin_and_step(c, &want[0]), 0);
    assert_int_equal(xr_train_step(c, text, pair, gold, N, &want[1]), 0);
    xr_close(c);
    int status = -1;
    long before = xr_alloc_live(), k = 0;
    hold_output();
    for (; status < 0; k = next(k)) {
        xr_recipe recipe = xr_recipe_default(10);
        c = open_train();
        xr_alloc_fail_after(k);
        status = begin_and_step(c, &got[0]);
        xr_alloc_fail_after(-1);
        if (status < 0) {
            check_failure(status, k);
            (void)xr_train_begin(c, &recipe);       /* fails where it had begun */
            (void)xr_train_step(c, text, pair, gold, N, &got[0]);
        }
        if (xr_train_step(c, text, pair, gold, N, &got[1]) < 0 || memcmp(got, want, sizeof got) != 0) {
            release_output();
            fail_msg("allocation %ld: losses %.17g %.17g, expected %.17g %.17g; \"%s\"", k, got[0], got[1], want[0], want[1], xr_error());
        }
        xr_close(c);
        check_live(before, k);
    }
    release_output();
    assert_true(k > 10);
}

static void saving(void **state)
{
    (void)state;
    int status = -1;
    long before = xr_alloc_live(), k = 0;
    xr_context *c = open_train();
    hold_output();
    for (; status < 0; k = next(k)) {
        xr_alloc_fail_after(k);
        status = xr_save(c, in_scratch("saved"), 0);
        xr_alloc_fail_after(-1);
        if (status < 0)
            check_failure(status, k);
        if (temporaries() || (status < 0 && xr_path_exists(in_scratch("saved")))) {
            release_output();
            fail_msg("allocation %ld: something was left behind", k);
        }
    }
    xr_close(c);
    check_live(before, k);
    release_output();
    assert_true(k > 10);
    c = xr_open(in_scratch("saved"), XR_READ);
    assert_non_null(c);
    xr_close(c);
}

/* Nothing is printed about bad files either, and the message names the file. */
static void bad_files(void **state)
{
    (void)state;
    write_scratch("cls/config.json", "{\"model_type\": \"bert\"");
    hold_output();
    xr_context *c = open_read();
    int named = strstr(xr_error(), in_scratch("cls/config.json")) != NULL, cleared = !xr_open("/none", XR_READ) && strstr(xr_error(), "/none") != NULL;
    release_output();
    assert_null(c);
    assert_true(named && cleared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(opening, clear_error),   cmocka_unit_test_setup(classifying, clear_error),
        cmocka_unit_test_setup(training, clear_error),  cmocka_unit_test_setup(saving, clear_error),
        cmocka_unit_test_setup(bad_files, clear_error),
    };
    return cmocka_run_group_tests(tests, make_everything, remove_scratch);
}
