/* xlmr doctor: what this machine and this build are, and whether they give the same bits at any number of threads.
 *
 * The report is built once as JSON; the text is that, laid out. Libraries are those the process has loaded, by the
 * files they came from, so that what is shown is what computes (Debian's alternatives can point OpenBLAS anywhere). */
#include <link.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "cli/cmd.h"
#include "kernels/cpu.h"
#include "kernels/gemm.h"
#include "kernels/packed.h"
#include "kernels/rate.h"
#include "model/head.h"
#include "train/advice.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/machine.h"

#ifdef __clang__
static const char compiler[] = __VERSION__; /* names itself */
#else
static const char compiler[] = "gcc " __VERSION__;
#endif

static json_int_t mib(double bytes) { return (json_int_t)(bytes / 1048576.0); }

/* The word in brackets of "always [madvise] never". */
static void huge_pages(char out[32])
{
    char line[128] = "";
    FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    if (f && !fgets(line, sizeof line, f))
        line[0] = 0;
    if (f)
        fclose(f);
    char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;
    snprintf(out, 32, "%.*s", close ? (int)(close - open - 1) : 7, close ? open + 1 : "unknown");
}

/* One loaded file: if it is a library we name, {name, file, version}. Never fails: a row that cannot be added is
 * missing. */
static int add_library(struct dl_phdr_info *info, size_t size, void *context)
{
    static const char *const wanted[] = { "openblas", "hdf5", "sentencepiece", "jansson",   "yaml",   "libz.",
                                          "liblzma",  "libzstd", "libxxhash",  "gomp", "libomp",    "libstdc++" };
    static const char *const name[] = { "openblas", "hdf5",   "sentencepiece", "jansson", "yaml", "zlib",
                                        "lzma",     "zstd",   "xxhash",        "openmp",  "openmp", "c++" };
    char file[PATH_MAX];
    (void)size;
    if (!info->dlpi_name || !*info->dlpi_name || !realpath(info->dlpi_name, file))
        return 0;
    const char *base = strrchr(file, '/') ? strrchr(file, '/') + 1 : file, *so = strstr(base, ".so");
    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        const char *from_file = so && so[3] == '.' ? so + 4 : "";
        if (strstr(base, wanted[i]) && !json_object_get(context, name[i]))
            json_object_set_new(context, name[i], json_pack("{s:s, s:s}", "so_version", from_file, "file", file));
    }
    return 0;
}

enum { N_SEQ = 6, LEN = 40, N_TOKENS = N_SEQ * LEN, VOCAB = 1000, N_MASKED = 24 };

/* A masked-LM batch of nonsense. */
static xr_status fill_batch(xr_batch_buffer *b)
{
    int32_t id[LEN];
    for (int s = 0; s < N_SEQ; s++) {
        for (int i = 0; i < LEN; i++)
            id[i] = 4 + (s * 131 + i * 37) % (VOCAB - 4);
        XR_TRY(xr_batch_add(b, id, LEN, (uint32_t)s));
    }
    for (uint32_t k = 0; k < N_MASKED; k++)
        XR_TRY(xr_batch_add_mask(b, k * (N_TOKENS / N_MASKED), (int32_t)(4 + k * 11)));
    return XR_OK;
}

/* Forward and backward with dropout; the digest of all gradients. */
static xr_status step_digest(xr_model *m, xr_tape *t, const xr_batch *batch, int threads, char hex[65])
{
    xr_threads_set(threads);
    xr_params_zero_grads(&m->params);
    xr_tape_reset(t);
    xr_tape_begin(t, 1, 1, 42, 0);
    xr_tensor *loss = m->head->loss(t, m, batch, NULL);
    XR_TRY(xr_tape_status(t));
    XR_TRY(xr_backward(t, loss, NULL));
    xr_sha256_hex(m->params.grads, m->params.grads_bytes, hex);
    return XR_OK;
}

static xr_status compare_steps(xr_model *m, xr_batch_buffer *buffer, int threads, int *same, char hex[65])
{
    char one[65], again[65];
    XR_TRY(fill_batch(buffer));
    XR_TRY(xr_model_init(m, 42));
    XR_TRY(xr_params_alloc_grads(&m->params));
    size_t reserve = xr_model_reserve(m, N_TOKENS, N_SEQ, LEN, N_MASKED, 1);
    xr_tape *t = reserve ? xr_tape_new(reserve) : NULL;
    if (!t)
        return xr_error_status();
    const xr_batch *batch = xr_batch_finish(buffer);
    xr_status st = step_digest(m, t, batch, 1, one);
    if (st >= 0)
        st = step_digest(m, t, batch, threads, hex);
    if (st >= 0)
        st = step_digest(m, t, batch, threads, again);
    *same = st >= 0 && strcmp(one, hex) == 0 && strcmp(hex, again) == 0;
    xr_tape_free(t);
    return st;
}

/* A small training step at 1 and at `threads` threads, twice: same bits or not. */
static xr_status self_check(int threads, int *same, char hex[65])
{
    xr_config c;
    xr_model m;
    xr_batch_buffer buffer;
    memset(&c, 0, sizeof c);
    memset(&m, 0, sizeof m);
    memset(&buffer, 0, sizeof buffer);
    xr_status st = xr_config_preset(&c, "nano", VOCAB);
    if (st >= 0 && !c.head) {
        c.head = xr_strdup("masked_lm");
        st = c.head ? XR_OK : xr_error_status();
    }
    if (st >= 0)
        st = xr_model_declare(&m, &c);
    if (st >= 0)
        st = compare_steps(&m, &buffer, threads, same, hex);
    xr_threads_set(threads);
    xr_batch_free(&buffer);
    xr_model_free(&m);
    xr_config_free(&c);
    return st;
}

/* Adds {"ok": …, "detail": …}; a failed check is part of the report, not an error. */
static void add_check(json_t *checks, const char *name, int ok, const char *detail)
{
    json_object_set_new(checks, name, json_pack("{s:b, s:s}", "ok", ok, "detail", detail));
}

static int run_checks(json_t *checks, int threads)
{
    char hex[65] = "", detail[200];
    int same = 0, more = threads > 1 ? threads : 2, ok = xr_blas_start() >= 0;
    add_check(checks, "blas", ok,
              ok ? "usable, and the same bits inside and outside parallel regions" : xr_error_message());
    xr_error_clear();
    if (!ok)
        return 0;
    xr_status st = self_check(more, &same, hex);
    snprintf(detail, sizeof detail, "a training step with 1 and %d threads %s (%.16s)", more,
             same ? "agrees in every bit" : "differs", hex);
    add_check(checks, "same_bits", same, st < 0 ? xr_error_message() : detail);
    xr_error_clear();
    xr_threads_set(threads);
    return same;
}

/* What the machine does now: moments of the work that training is made of. Precisions take turns, or what other programs take away would make one look
 * better than another. */
static json_t *measure(void)
{
    enum { ROUNDS = 4 };
    const xr_pack_kind *kind[] = { NULL, xr_cpu_has_bf16() ? &xr_pack_bf16 : NULL, xr_cpu_isa() != XR_ISA_PORTABLE ? &xr_pack_int8 : NULL };
    double best[] = { 0.0, 0.0, 0.0 };
    for (int k = 0; k < 3 * ROUNDS; k++) {
        double rate = k % 3 == 0 || kind[k % 3] ? xr_rate_gemm(kind[k % 3], 0.03) : 0.0;
        best[k % 3] = rate > best[k % 3] ? rate : best[k % 3];
    }
    double memory = xr_rate_memory(0.1);
    xr_error_clear();       /* no memory for it: 0, which is not shown */
    return json_pack("{s:f, s:f, s:f, s:f}", "gemm_gflops", best[0], "gemm_gflops_bf16", best[1], "gemm_gops_int8", best[2], "memory_gb_per_s", memory);
}

static double rate_in(const json_t *speed, const char *key) { return json_number_value(json_object_get(speed, key)); }

static json_t *judge_precisions(const json_t *speed)
{
    return xr_advice_precisions(&(xr_advice_cpu){ xr_cpu_best(), xr_cpu_isa(), xr_cpu_has_bf16(), rate_in(speed, "gemm_gflops"),
                                                  rate_in(speed, "gemm_gflops_bf16"), rate_in(speed, "gemm_gops_int8") });
}

static json_t *describe_machine(const xr_machine *m, int threads, const char *huge)
{
    return json_pack("{s:s, s:i, s:i, s:i, s:i, s:f, s:I, s:I, s:I, s:s}", "cpu", xr_cpu_model(), "cores", m->processors, "cores_allowed", m->allowed,
                     "cores_without_hyperthreads", m->cores, "threads", threads, "cpu_quota", m->cpu_quota, "memory_mib", mib(m->memory),
                     "memory_available_mib", mib(m->available), "memory_limit_mib", mib(m->memory_limit), "huge_pages", huge);
}

/* Where OpenMP binds threads, xr_machine_look sees only all processors that are on line; OpenMP knows how many of them are the process's, but not which, so
 * that their cores cannot be counted. */
static xr_machine look_at_machine(void)
{
    xr_machine m = xr_machine_look();
    if (xr_processors() < m.allowed) {
        m.allowed = xr_processors();
        m.cores = m.cores > m.allowed ? 0 : m.cores;
    }
    return m;
}

static json_t *examine(int *ok)
{
    char huge[32];
    const char *forced = getenv("OPENBLAS_CORETYPE");
    json_t *libraries = json_object(), *checks = json_object();
    xr_machine machine = look_at_machine();
    int threads = xr_threads();
    huge_pages(huge);
    xr_advice_facts facts = { machine, threads, getenv("OMP_PROC_BIND"), getenv("OMP_PLACES"), huge, xr_cpu_best(), xr_cpu_isa(), xr_blas_core(),
                              forced };
    *ok = run_checks(checks, threads);
    json_t *speed = *ok ? measure() : json_object(), *precisions = judge_precisions(speed);
    dl_iterate_phdr(add_library, libraries);
    return json_pack("{s:s, s:b, s:o, s:{s:s, s:s, s:b}, s:{s:s, s:s, s:s?}, s:s, s:o, s:o, s:o, s:o, s:o}", "xlmr", XR_VERSION, "ok", *ok, "machine",
                     describe_machine(&machine, threads, huge), "kernels", "used", xr_isa_name(xr_cpu_isa()), "possible", xr_isa_name(xr_cpu_best()),
                     "bf16", xr_cpu_has_bf16(), "blas", "config", xr_blas_config(), "core", xr_blas_core(), "coretype_forced", forced, "compiler", compiler,
                     "libraries", libraries, "checks", checks, "speed", speed, "precisions", precisions, "advice", xr_advice(&facts));
}

static const char *str_at(const json_t *j, const char *a, const char *b)
{
    const char *s = json_string_value(json_object_get(json_object_get(j, a), b));
    return s ? s : "";
}

static json_int_t int_at(const json_t *j, const char *a, const char *b)
{
    return json_integer_value(json_object_get(json_object_get(j, a), b));
}

static double number_at(const json_t *j, const char *a, const char *b)
{
    return json_number_value(json_object_get(json_object_get(j, a), b));
}

static xr_status print_speed(const json_t *j)
{
    double gemm = number_at(j, "speed", "gemm_gflops"), bf16 = number_at(j, "speed", "gemm_gflops_bf16");
    double int8 = number_at(j, "speed", "gemm_gops_int8");
    if (gemm <= 0.0)
        return XR_OK;
    XR_TRY(xr_out("%-15sproducts %.0f GFLOP/s", "speed now", gemm));
    if (bf16 > 0.0)
        XR_TRY(xr_out(", with bf16 %.0f", bf16));
    if (int8 > 0.0)
        XR_TRY(xr_out(", int8 %.0f", int8));
    return xr_out("; memory %.1f GB/s\n", number_at(j, "speed", "memory_gb_per_s"));
}

static xr_status print_precisions(const json_t *j)
{
    const char *name;
    json_t *verdict;
    json_object_foreach(json_object_get(j, "precisions"), name, verdict)
        XR_TRY(xr_out("%-15s%s: %s\n", json_is_true(json_object_get(verdict, "fast")) ? "fast" : "not fast", name,
                      json_string_value(json_object_get(verdict, "why"))));
    return XR_OK;
}

static xr_status print_advice(const json_t *j)
{
    size_t i;
    json_t *sentence;
    json_array_foreach(json_object_get(j, "advice"), i, sentence)
        XR_TRY(xr_out("%-15s%s\n", "advice", json_string_value(sentence)));
    return XR_OK;
}

static xr_status print_text(json_t *j)
{
    const char *name;
    json_t *row;
    XR_TRY(xr_out("%-15s%s, built by %s\n", "xlmr", XR_VERSION, json_string_value(json_object_get(j, "compiler"))));
    XR_TRY(xr_out("%-15s%s; %lld cores, %lld threads used\n", "machine", str_at(j, "machine", "cpu"),
                  (long long)int_at(j, "machine", "cores"), (long long)int_at(j, "machine", "threads")));
    XR_TRY(xr_out("%-15s%lld MiB, %lld MiB available; huge pages %s\n", "memory",
                  (long long)int_at(j, "machine", "memory_mib"),
                  (long long)int_at(j, "machine", "memory_available_mib"), str_at(j, "machine", "huge_pages")));
    XR_TRY(xr_out("%-15s%s; the machine can do %s%s\n", "kernels", str_at(j, "kernels", "used"),
                  str_at(j, "kernels", "possible"),
                  json_is_true(json_object_get(json_object_get(j, "kernels"), "bf16")) ? " and bf16" : ""));
    XR_TRY(xr_out("%-15s%s; core %s%s%s\n", "blas", str_at(j, "blas", "config"), str_at(j, "blas", "core"),
                  *str_at(j, "blas", "coretype_forced") ? ", forced by OPENBLAS_CORETYPE=" : "",
                  str_at(j, "blas", "coretype_forced")));
    json_object_foreach(json_object_get(j, "libraries"), name, row) {
        const char *version = json_string_value(json_object_get(row, "version"));
        XR_TRY(xr_out("%-15s%s%s%s\n", name, version ? version : "", version ? ", " : "",
                      json_string_value(json_object_get(row, "file"))));
    }
    json_object_foreach(json_object_get(j, "checks"), name, row)
        XR_TRY(xr_out("%-15s%s: %s\n", json_is_true(json_object_get(row, "ok")) ? "ok" : "FAILED", name,
                      json_string_value(json_object_get(row, "detail"))));
    XR_TRY(print_speed(j));
    XR_TRY(print_precisions(j));
    return print_advice(j);
}

static xr_status run(const xr_options *o)
{
    int ok = 0;
    json_t *j = examine(&ok);
    if (!j)
        return xr_fail(XR_ESYSTEM, "doctor: out of memory for the report");
    xr_status st = o->json ? xr_out_json(j) : print_text(j);
    json_decref(j);
    if (st < 0 || ok)
        return st;
    return xr_fail(XR_EUNAVAIL, "this machine or build cannot be used as it is; see the failed checks above");
}

const xr_cmd xr_cmd_doctor = {
    "doctor", XR_V_DOCTOR, "check the machine, the libraries and the same bits at any number of threads; measure its speed; advise on threads and precision",
    NULL,
    "xlmr doctor\n"
    "xlmr doctor --json --threads 2\n",
    run
};
