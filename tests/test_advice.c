/* What doctor recommends, machine by machine. */
#include "scratch.h"

#include "train/advice.h"

static const double gib = 1073741824.0;

/* Eight cores without hyper-threads, all in use, pinned: nothing to say. */
static xr_advice_facts quiet(void)
{
    return (xr_advice_facts){ .machine = { .memory = 64 * gib, .available = 60 * gib, .processors = 8, .allowed = 8, .cores = 8 }, .threads = 8,
                              .bind = "close", .places = "cores", .huge_pages = "madvise", .best = XR_ISA_AVX512, .used = XR_ISA_AVX512,
                              .blas_core = "Cooperlake" };
}

/* There are n sentences, and each of the words in `parts` stands in one. */
static void expect(const xr_advice_facts *f, size_t n, const char *const *parts)
{
    json_t *list = xr_advice(f);
    assert_non_null(list);
    for (const char *const *p = parts; *p; p++) {
        int found = 0;
        for (size_t i = 0; i < json_array_size(list); i++)
            found |= strstr(json_string_value(json_array_get(list, i)), *p) != NULL;
        if (!found)
            fail_msg("'%s' is not said", *p);
    }
    if (json_array_size(list) != n)
        fail_msg("%zu sentences; expected %zu; the first: %s", json_array_size(list), n, json_string_value(json_array_get(list, 0)));
    json_decref(list);
}

#define PARTS(...) (const char *const[]){ __VA_ARGS__, NULL }

static void test_nothing_to_say(void **state)
{
    (void)state;
    xr_advice_facts f = quiet();
    expect(&f, 0, (const char *const[]){ NULL });
    f.machine.cores = 0;        /* a system that does not say */
    expect(&f, 0, (const char *const[]){ NULL });
    f.bind = f.places = NULL;
    f.threads = 1;
    f.machine.cpu_quota = 1.5;
    expect(&f, 0, (const char *const[]){ NULL });
}

static void test_threads(void **state)
{
    (void)state;
    xr_advice_facts f = quiet();
    f.machine.cores = 4;
    expect(&f, 1, PARTS("8 threads on 4 cores: the hyper-threads"));
    f.threads = 12;
    expect(&f, 1, PARTS("12 threads on the 8 processors", "give --threads 4"));
    f.threads = 3;
    expect(&f, 1, PARTS("3 threads on 4 cores", "asks for fewer than there are"));
    f = quiet();
    f.machine.cpu_quota = 2.5;
    expect(&f, 1, PARTS("2.5 processors' worth of time, 8 threads", "give --threads 2"));
    f.threads = 2;              /* as told */
    expect(&f, 0, (const char *const[]){ NULL });
    f.threads = 8;
    f.machine.cpu_quota = 0.5;
    expect(&f, 1, PARTS("give --threads 1"));
    f = quiet();
    f.machine.processors = 16;
    expect(&f, 1, PARTS("may run on 8 of 16 processors"));
}

static void test_places(void **state)
{
    (void)state;
    xr_advice_facts f = quiet();
    f.bind = f.places = NULL;
    expect(&f, 1, PARTS("OMP_PROC_BIND=close OMP_PLACES=cores"));
    f.bind = "FALSE";
    expect(&f, 1, PARTS("OMP_PROC_BIND=close OMP_PLACES=cores"));
    f.bind = "true";
    expect(&f, 1, PARTS("OMP_PROC_BIND=true without OMP_PLACES"));
    f = quiet();
    f.places = "threads";
    expect(&f, 0, (const char *const[]){ NULL });
    f.machine.cores = 4;
    f.threads = 4;
    expect(&f, 1, PARTS("OMP_PLACES=threads puts two threads on one core"));
}

static void test_system(void **state)
{
    (void)state;
    xr_advice_facts f = quiet();
    f.huge_pages = "never";
    f.machine.memory_limit = 4 * gib;
    expect(&f, 2, PARTS("transparent_hugepage", "4096 MiB of the machine's 65536 MiB"));
}

static void expect_precisions(xr_advice_cpu c, int bf16, const char *why_bf16, int int8, const char *why_int8)
{
    json_t *j = xr_advice_precisions(&c);
    assert_non_null(j);
    const json_t *b = json_object_get(j, "bf16"), *i = json_object_get(j, "int8");
    assert_int_equal(json_is_true(json_object_get(b, "fast")), bf16);
    assert_int_equal(json_is_true(json_object_get(i, "fast")), int8);
    assert_non_null(strstr(json_string_value(json_object_get(b, "why")), why_bf16));
    assert_non_null(strstr(json_string_value(json_object_get(i, "why")), why_int8));
    json_decref(j);
}

/* Zen 4, the same with XR_ISA lowered, Ice Lake, Skylake-X, Alder Lake, Zen 3, ARM. */
static void test_precisions(void **state)
{
    (void)state;
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 1, 205, 432, 869 }, 1, "at 2.11 times the rate of f32 now (432 and 205)", 1,
                      "at 4.24 times the rate of f32 now (869 and 205)");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX2, 1, 205, 432, 400 }, 0, "unset XR_ISA", 1, "at 1.95 times the rate of f32 now (400 and 205)");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_PORTABLE, 1, 205, 432, 869 }, 0, "unset XR_ISA", 0, "unset XR_ISA");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 0, 205, 0, 869 }, 0, "no AVX512-BF16", 1, "at 4.24 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 0, 205, 0, 400 }, 0, "no AVX512-BF16", 1, "at 1.95 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX2, XR_ISA_AVX2, 0, 205, 0, 700 }, 0, "no AVX512-BF16", 1, "at 3.41 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX2, XR_ISA_AVX2, 0, 140, 0, 270 }, 0, "no AVX512-BF16", 1, "at 1.93 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_PORTABLE, XR_ISA_PORTABLE, 0, 205, 0, 0 }, 0, "no AVX512-BF16", 0, "portable kernels");
}

/* An instruction that is there may be slow. Emerald Rapids with 16 threads; the border; nothing measured, since a check failed or memory was out. */
static void test_precisions_measured(void **state)
{
    (void)state;
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 1, 1163, 914, 4000 }, 0,
                      "at 0.79 times the rate of f32 now (914 and 1163), which is not worth it on this machine: leave --precision bf16 out", 1,
                      "at 3.44 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AMX, XR_ISA_AVX512, 1, 1163, 914, 4000 }, 0, "(914 and 1163), which is not worth it on this machine: "
                      "the CPU has AMX, but XR_ISA asks for less; unset XR_ISA", 1, "at 3.44 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AMX, XR_ISA_AMX, 1, 1000, 4000, 4000 }, 1, "at 4.00 times the rate of f32 now", 1, "at 4.00 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AMX, 1, 205, 30, 869 }, 0, "no AMX, whose sums XR_ISA asks for", 1, "at 4.24 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 1, 100, 114, 114 }, 0, "not worth it", 0, "leave --precision int8 out");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 1, 100, 115, 115 }, 1, "at 1.15 times", 1, "at 1.15 times");
    expect_precisions((xr_advice_cpu){ XR_ISA_AVX512, XR_ISA_AVX512, 1, 0, 0, 0 }, 0, "could not be measured", 0, "could not be measured");
}

/* Emerald Rapids, also without its tiles, and Raptor Lake under OpenBLAS 0.3.21, an AMD CPU with AVX-512 under an OpenBLAS from before it. */
static void test_blas(void **state)
{
    (void)state;
    xr_advice_facts f = quiet();
    f.blas_core = "Prescott";
    expect(&f, 1, PARTS("does not know this CPU", "core Prescott; the CPU has AVX-512", "own kernels take", "OPENBLAS_CORETYPE=SkylakeX"));
    f.best = f.used = XR_ISA_AMX;
    expect(&f, 1, PARTS("the CPU has AVX-512", "own kernels take", "OPENBLAS_CORETYPE=SkylakeX"));
    f.used = XR_ISA_AVX2;
    expect(&f, 1, PARTS("the CPU has AVX-512", "own kernels take", "OPENBLAS_CORETYPE=SkylakeX"));
    f.used = XR_ISA_PORTABLE;
    expect(&f, 1, PARTS("XR_ISA asks for leave it", "OPENBLAS_CORETYPE=SkylakeX"));
    f.best = f.used = XR_ISA_AVX2;
    expect(&f, 1, PARTS("the CPU has AVX2", "own kernels take", "OPENBLAS_CORETYPE=Haswell"));
    f.blas_core = "Zen";
    expect(&f, 0, (const char *const[]){ NULL });
    f.best = f.used = XR_ISA_AVX512;
    expect(&f, 1, PARTS("core Zen; the CPU has AVX-512"));
    f.coretype = "Zen";         /* as asked for; the start has warned */
    expect(&f, 0, (const char *const[]){ NULL });
    f.coretype = NULL;
    f.blas_core = "unknown";
    expect(&f, 0, (const char *const[]){ NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_to_say),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_precisions),
        cmocka_unit_test(test_precisions_measured),
        cmocka_unit_test(test_blas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
