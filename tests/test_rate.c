/* The machine's rates, and the share of them that a run's log tells. Nothing here depends on how fast the machine is. */
#include "scratch.h"

#include <math.h>

#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "kernels/rate.h"
#include "train/runlog.h"
#include "util/alloc.h"
#include "util/json.h"
#include "util/phase.h"

static int start(void **state)
{
    return xr_blas_start() < 0 ? -1 : make_scratch(state);
}

/* Both are measured, leave nothing behind, and nothing of them stands in a profile. */
static void test_rates(void **state)
{
    (void)state;
    static xr_phase_row row[XR_PHASE_ROWS];
    long live = xr_alloc_live();
    xr_phases_start();
    double gemm = xr_rate_gemm(NULL, 0.0), packed = xr_rate_gemm(&xr_pack_bf16, 0.0), memory = xr_rate_memory(0.0);
    size_t n = xr_phases(row);
    xr_phases_stop();
    assert_true(isfinite(gemm) && gemm > 0.0);
    assert_true(isfinite(packed) && packed > 0.0);
    assert_true(isfinite(memory) && memory > 0.0);
    for (size_t r = 0; r < n; r++)
        assert_true(row[r].work == 0.0);
    assert_int_equal(xr_alloc_live(), live);
}

static void test_no_memory(void **state)
{
    (void)state;
    xr_alloc_fail_after(0);
    double gemm = xr_rate_gemm(NULL, 0.0), memory = xr_rate_memory(0.0);
    xr_alloc_fail_after(-1);
    assert_true(gemm == 0.0 && memory == 0.0);
    expect_error(XR_ESYSTEM, "out of memory");
}

static json_t *last_line(const char *path)
{
    size_t len;
    char *text = xr_file_read(path, 1 << 20, &len);
    assert_non_null(text);
    text[len - 1] = 0;
    char *newline = strrchr(text, '\n');
    json_t *j = json_loads(newline ? newline + 1 : text, 0, NULL);
    assert_non_null(j);
    xr_free(text);
    return j;
}

static double number(const json_t *j, const char *key)
{
    return json_number_value(json_object_get(j, key));
}

/* The rate is that of the operations over the time of the line; the share only where the machine's rate is known. */
static void test_lines(void **state)
{
    (void)state;
    xr_runlog log;
    const char *path = in_scratch("timing.jsonl");
    assert_int_equal(xr_runlog_open(&log, scratch), XR_OK);
    assert_int_equal(xr_runlog_timing(&log, 10, 10, 1000, 4e12), XR_OK);
    json_t *j = last_line(path);
    double seconds = 10 * number(j, "step_ms") * 1e-3;
    assert_true(fabs(number(j, "gflops") * seconds / 4e3 - 1.0) < 1e-9);
    assert_null(json_object_get(j, "gemm_share"));
    json_decref(j);
    log.gemm_gflops = 250.0;
    assert_int_equal(xr_runlog_timing(&log, 20, 10, 1000, 4e12), XR_OK);
    j = last_line(path);
    assert_true(fabs(number(j, "gemm_share") * 250.0 / number(j, "gflops") - 1.0) < 1e-9);
    json_decref(j);
    assert_int_equal(xr_runlog_close(&log), XR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_rates, clear_error),
        cmocka_unit_test_setup(test_no_memory, clear_error),
        cmocka_unit_test_setup(test_lines, clear_error),
    };
    return cmocka_run_group_tests(tests, start, remove_scratch);
}
