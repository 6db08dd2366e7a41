#include "train/advice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "kernels/gemm.h"

static void say(json_t *list, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A sentence that memory does not suffice for is missing; json_array_append_new takes NULL. */
static void say(json_t *list, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    json_array_append_new(list, json_vsprintf(format, ap));
    va_end(ap);
}

static void look_at_count(json_t *list, const xr_advice_facts *f)
{
    const xr_machine *m = &f->machine;
    int most = m->cores > 0 ? m->cores : m->allowed;
    if (m->cpu_quota > 0.0 && f->threads > xr_machine_paid(m))
        say(list, "the control group may use %.3g processors' worth of time, %d threads want more and would be stopped over and over: give --threads %d",
            m->cpu_quota, f->threads, xr_machine_paid(m));
    else if (f->threads > m->allowed)
        say(list, "%d threads on the %d processors that this process may run on wait for each other: give --threads %d", f->threads, m->allowed, most);
    else if (m->cores > 0 && f->threads > m->cores)
        say(list, "%d threads on %d cores: the hyper-threads of a core share its multipliers, so --threads %d is usually as fast or faster", f->threads,
            m->cores, m->cores);
    else if (f->threads < most && !(m->cpu_quota > 0.0 && f->threads >= xr_machine_paid(m)))
        say(list, "%d threads on %d cores: --threads or OMP_NUM_THREADS asks for fewer than there are; leave it out unless others need the rest", f->threads,
            most);
    if (m->allowed < m->processors)
        say(list, "this process may run on %d of %d processors (taskset, or the control group's cpuset); a job that should have them all is started with all",
            m->allowed, m->processors);
}

static int is_bound(const char *bind) { return bind && *bind && strcasecmp(bind, "false") != 0; }

static void look_at_places(json_t *list, const xr_advice_facts *f)
{
    if (f->threads < 2)
        return;
    if (!is_bound(f->bind))
        say(list, "threads may wander between cores: where the machine is for this run alone, OMP_PROC_BIND=close OMP_PLACES=cores in the environment keeps "
            "each on its core; beside other programs, and other guests of a virtual machine's host, leave them free");
    else if (f->places && strcasecmp(f->places, "threads") == 0 && f->machine.cores > 0 && f->machine.cores < f->machine.allowed)
        say(list, "OMP_PLACES=threads puts two threads on one core while others are idle: OMP_PLACES=cores");
    else if (!f->places)
        say(list, "OMP_PROC_BIND=%s without OMP_PLACES: OMP_PLACES=cores says that each thread gets a core of its own", f->bind);
}

static void look_at_pages(json_t *list, const xr_advice_facts *f)
{
    if (f->huge_pages && strcmp(f->huge_pages, "never") == 0)
        say(list, "huge pages are switched off: `echo madvise > /sys/kernel/mm/transparent_hugepage/enabled`, as root, makes the optimizer and the first touch "
            "of memory faster");
    if (f->machine.memory_limit > 0.0)
        say(list, "the control group may have %.0f MiB of the machine's %.0f MiB: `xlmr estimate` tells what a run takes", f->machine.memory_limit / 1048576.0,
            f->machine.memory / 1048576.0);
}

/* An OpenBLAS from before the CPU takes the kernels that any CPU can do. Where they are forced, the start has warned. */
static void look_at_blas(json_t *list, const xr_advice_facts *f)
{
    if (f->coretype || !xr_blas_core_is_older(f->blas_core, f->best))
        return;
    say(list, "OpenBLAS does not know this CPU and multiplies with kernels for older ones (core %s; the CPU has %s): %s; a newer OpenBLAS, or "
        "OPENBLAS_CORETYPE=%s in the environment, uses what the CPU has", f->blas_core, f->best >= XR_ISA_AVX512 ? "AVX-512" : "AVX2",
        xr_blas_core_is_older(f->blas_core, f->used) ? "xlmr's own kernels take the products of all layers instead, so that little is lost"
                                                     : "the kernels that XR_ISA asks for leave it products, which are slow",
        xr_blas_coretype(f->best));
}

static json_t *verdict(int fast, const char *why) { return json_pack("{s:b, s:s}", "fast", fast, "why", why); }

/* What is won in the products, of which a step is not all made, and when it is not worth rounding operands for. `then` is what that gave where it was
 * measured. */
static json_t *judge_rates(double rate, double f32, const char *then, const char *otherwise)
{
    enum { WORTH_PERCENT = 115 };
    char why[400];
    if (rate <= 0.0 || f32 <= 0.0)
        return verdict(0, "products could not be measured");
    int fast = 100.0 * rate >= WORTH_PERCENT * f32;
    snprintf(why, sizeof why, "products run at %.2f times the rate of f32 now (%.0f and %.0f)%s%s", rate / f32, rate, f32,
             fast ? ": " : ", which is not worth it on this machine: ", fast ? then : otherwise);
    return verdict(fast, why);
}

/* Where XR_ISA keeps the instruction from being used, that is the reason to name. */
static json_t *judge_bf16(const xr_advice_cpu *c)
{
    if (!c->bf16)
        return verdict(0, "no AVX512-BF16 on this CPU: the same results as where there is, but slower than f32; leave --precision bf16 out");
    if (c->used < XR_ISA_AVX512)
        return verdict(0, "the CPU has AVX512-BF16, but XR_ISA asks for less: slower than f32; unset XR_ISA");
    if (c->used > c->best)
        return verdict(0, "the CPU has no AMX, whose sums XR_ISA asks for: slower than f32; unset XR_ISA");
    return judge_rates(c->gflops_bf16, c->gflops_f32, "where that was 2.0 to 2.4, --precision bf16 trained and answered 1.6 to 1.9 times as fast, "
                       "where it was 3.5 (AMX) it trained 2.1 to 2.3 times as fast, to the same losses in what was measured",
                       c->used < c->best ? "the CPU has AMX, but XR_ISA asks for less; unset XR_ISA" : "leave --precision bf16 out");
}

static json_t *judge_int8(const xr_advice_cpu *c)
{
    if (c->used == XR_ISA_PORTABLE)
        return verdict(0, c->best > XR_ISA_PORTABLE ? "portable kernels, which XR_ISA asks for: slower than f32; unset XR_ISA"
                                                    : "portable kernels: slower than f32; leave --precision int8 out");
    return judge_rates(c->gops_int8, c->gflops_f32, "where that was 3.9 to 4.8 (VNNI), --precision int8 made features, predict and evaluate three times as "
                       "fast or more, where it was about 2 (AVX2) 1.6 to 1.9 times; compare the accuracy first", "leave --precision int8 out");
}

json_t *xr_advice_precisions(const xr_advice_cpu *c)
{
    json_t *both = json_pack("{s:o, s:o}", "bf16", judge_bf16(c), "int8", judge_int8(c));
    if (!both)
        xr_fail(XR_ESYSTEM, "no memory for the advice");
    return both;
}

json_t *xr_advice(const xr_advice_facts *f)
{
    json_t *list = json_array();
    if (!list) {
        xr_fail(XR_ESYSTEM, "no memory for the advice");
        return NULL;
    }
    look_at_count(list, f);
    look_at_places(list, f);
    look_at_pages(list, f);
    look_at_blas(list, f);
    return list;
}
