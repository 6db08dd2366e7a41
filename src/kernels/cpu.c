#include "kernels/cpu.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/isa/table.h"
#include "util/log.h"

static const char *const isa_names[] = {"portable", "avx2", "avx512", "amx"};

#if XR_HAVE_X86
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static const xr_kernel_table tables[] = {
    {&xr_isa_vec_portable, &xr_isa_rows_portable, &xr_isa_attention_portable, &xr_isa_attention_bf16_portable,
     &xr_isa_f32_portable, &xr_isa_bf16_portable, &xr_isa_int8_portable, &xr_isa_dot_portable},
    {&xr_isa_vec_avx2, &xr_isa_rows_avx2, &xr_isa_attention_avx2, &xr_isa_attention_bf16_avx2,
     &xr_isa_f32_avx2, &xr_isa_bf16_avx2, &xr_isa_int8_avx2, &xr_isa_dot_avx2},
    {&xr_isa_vec_avx512, &xr_isa_rows_avx512, &xr_isa_attention_avx512, &xr_isa_attention_bf16_avx512,
     &xr_isa_f32_avx512, &xr_isa_bf16_avx512, &xr_isa_int8_avx512, &xr_isa_dot_avx512},
    {&xr_isa_vec_avx512, &xr_isa_rows_avx512, &xr_isa_attention_avx512, &xr_isa_attention_bf16_avx512,
     &xr_isa_f32_avx512, &xr_isa_bf16_native, &xr_isa_int8_avx512, &xr_isa_dot_avx512},
    {&xr_isa_vec_avx512, &xr_isa_rows_avx512, &xr_isa_attention_avx512, &xr_isa_attention_bf16_avx512,
     &xr_isa_f32_avx512, &xr_isa_tiles_avx512, &xr_isa_int8_avx512, &xr_isa_dot_avx512},
    {&xr_isa_vec_avx512, &xr_isa_rows_avx512, &xr_isa_attention_avx512, &xr_isa_attention_bf16_avx512,
     &xr_isa_f32_avx512, &xr_isa_tiles_native, &xr_isa_int8_amx, &xr_isa_dot_avx512},
};

/* These look at the operating system's support for the wider registers as well. */
xr_isa xr_cpu_best(void)
{
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma"))
        return xr_cpu_has_amx() ? XR_ISA_AMX : XR_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return XR_ISA_AVX2;
    return XR_ISA_PORTABLE;
}

int xr_cpu_has_bf16(void) { return __builtin_cpu_supports("avx512bf16") != 0; }
int xr_cpu_has_vnni(void) { return __builtin_cpu_supports("avx512vnni") != 0; }

/* clang 14 does not know the name. */
int xr_cpu_has_avxvnni(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

/* The system lets a process use tiles when it has asked (Linux, Documentation/arch/x86/xstate.rst). */
static int tiles_are_ours(void)
{
    enum { ASK = 0x1023, TILE_DATA = 18 };      /* ARCH_REQ_XCOMP_PERM */
    static int known = -1;
    int ours = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (ours < 0) {
        ours = syscall(SYS_arch_prctl, ASK, TILE_DATA) == 0;
        __atomic_store_n(&known, ours, __ATOMIC_RELAXED);
    }
    return ours;
}

int xr_cpu_has_amx(void)
{
    const unsigned bf16 = 1u << 22, tiles = 1u << 24, int8 = 1u << 25, all = bf16 | tiles | int8;
    unsigned a, b, c, d;
    return xr_cpu_has_bf16() && xr_cpu_has_vnni() && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & all) == all && tiles_are_ours();
}
#else
static const xr_kernel_table tables[] = {
    {&xr_isa_vec_portable, &xr_isa_rows_portable, &xr_isa_attention_portable, &xr_isa_attention_bf16_portable,
     &xr_isa_f32_portable, &xr_isa_bf16_portable, &xr_isa_int8_portable, &xr_isa_dot_portable}};
xr_isa xr_cpu_best(void) { return XR_ISA_PORTABLE; }
int xr_cpu_has_bf16(void) { return 0; }
int xr_cpu_has_vnni(void) { return 0; }
int xr_cpu_has_avxvnni(void) { return 0; }
int xr_cpu_has_amx(void) { return 0; }
#endif

static int chosen = -1;     /* -1 until first asked for */

/* The most that may be asked for: AVX-512 makes the sums of tiles as well, slowly. */
static xr_isa most(void) { return xr_cpu_best() >= XR_ISA_AVX512 ? XR_ISA_AMX : xr_cpu_best(); }

static xr_isa choose(void)
{
    xr_isa best = xr_cpu_best();
    const char *want = getenv("XR_ISA");
    if (!want || !*want)
        return best;
    for (int i = 0; i <= (int)XR_ISA_AMX; i++)
        if (strcmp(want, isa_names[i]) == 0) {
            if (i > (int)most())
                xr_warn("XR_ISA=%s: this CPU offers %s at most; using %s", want, isa_names[best], isa_names[best]);
            return i > (int)most() ? best : (xr_isa)i;
        }
    xr_warn("XR_ISA=%s: expected portable, avx2, avx512 or amx; using %s", want, isa_names[best]);
    return best;
}

xr_isa xr_cpu_isa(void)
{
    int isa = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (isa < 0) {
        isa = (int)choose();
        __atomic_store_n(&chosen, isa, __ATOMIC_RELAXED);
    }
    return (xr_isa)isa;
}

/* Those of AVX-512 and of AMX are two tables each, without and with what the CPU need not have. */
const xr_kernel_table *xr_kernels(void)
{
    static int known = -1;      /* threads may ask for the first time together */
    xr_isa isa = xr_cpu_isa();
    int has = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (has < 0) {
        has = (xr_cpu_has_bf16() ? 1 << XR_ISA_AVX512 : 0) | (xr_cpu_has_amx() ? 1 << XR_ISA_AMX : 0);
        __atomic_store_n(&known, has, __ATOMIC_RELAXED);
    }
    int first = isa < XR_ISA_AMX ? (int)isa : (int)isa + 1;
    return &tables[first + (has >> isa & 1)];
}

const char *xr_isa_name(xr_isa isa) { return isa_names[isa]; }

xr_status xr_cpu_use(xr_isa isa)
{
    if (isa > most())
        return xr_fail(XR_EUNAVAIL, "%s kernels: this CPU offers %s at most", isa_names[isa], isa_names[xr_cpu_best()]);
    __atomic_store_n(&chosen, (int)isa, __ATOMIC_RELAXED);
    return XR_OK;
}

const char *xr_cpu_model(void)
{
    static char model[128];
    if (model[0])
        return model;
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (f && !model[0] && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        snprintf(model, sizeof model, "%.*s", (int)strcspn(colon, "\n"), colon);
    }
    if (f)
        fclose(f);
    if (!model[0])
        snprintf(model, sizeof model, "unknown");
    return model;
}

static int threads;         /* 0 until set or asked for */

/* omp_get_num_procs counts the cores the process may run on, omp_get_max_threads also obeys OMP_NUM_THREADS. */
int xr_processors(void) { return omp_get_num_procs(); }

void xr_threads_set(int n) { __atomic_store_n(&threads, n > 0 ? n : xr_processors(), __ATOMIC_RELAXED); }

int xr_threads(void)
{
    int n = __atomic_load_n(&threads, __ATOMIC_RELAXED);
    if (n == 0) {
        n = omp_get_max_threads();
        __atomic_store_n(&threads, n, __ATOMIC_RELAXED);
    }
    return n;
}

/* The more threads, the longer they take to meet: about 1 us each, in which one computes EACH numbers (docs/performance/inference.md). */
int xr_threads_for(size_t n, size_t serial)
{
    enum { EACH = 1 << 10 };
    int all = xr_threads();
    return n > serial && n > EACH * (size_t)all ? all : 1;
}

size_t xr_at_once(size_t pieces, size_t most)
{
    size_t share = pieces / (2 * (size_t)xr_threads());
    return share < 1 ? 1 : share < most ? share : most;
}
