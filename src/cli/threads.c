#include "cli/threads.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "kernels/cpu.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/machine.h"

enum { MOST_THREADS = 4096, LEAST_STACK_KIB = 1024 };   /* kernels keep blocks of 400 KB on the stack */

/* Of OMP_NUM_THREADS (NULL: unset), those behind it being for regions within regions; 0: none that can be used. */
static int first_number(const char *text)
{
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : 0;
    if (end)
        end += strspn(end, " \t");
    return n > 0 && n <= MOST_THREADS && (!*end || *end == ',') ? (int)n : 0;
}

static int choose(const xr_options *o, int most)
{
    const char *text = getenv("OMP_NUM_THREADS");
    int named = first_number(text);
    if (o->threads)
        return (int)o->threads;
    if (text && !named)
        xr_warn("OMP_NUM_THREADS is \"%s\", which is no number of threads from 1 to %d: ignored, %d threads are used; correct it or unset it", text,
                MOST_THREADS, most);
    return named ? named : most;
}

static void warn_too_many(const xr_options *o, int n, int allowed, const xr_machine *m)
{
    const char *source = o->threads ? "--threads" : "OMP_NUM_THREADS";
    int paid = xr_machine_paid(m);
    if (n > m->processors && m->processors > 0)
        xr_warn("%s %d on a machine with %d cores; more threads than cores are slower, and results do not depend on them", source, n, m->processors);
    else if (n > allowed)
        xr_warn("%s %d where the process may run on %d of %d cores (taskset, cpuset); more threads than cores are slower, and results do not depend on them",
                source, n, allowed, m->processors);
    else if (paid && n > paid)
        xr_warn("%s %d where the control group pays for the time of %.3g cores; more threads are stopped over and over, and results do not depend on them",
                source, n, m->cpu_quota);
}

/* "512", in KiB, or with a unit. libgomp says itself what it cannot read. */
static xr_status check_stack(const char *name)
{
    const char *text = getenv(name);
    char *unit;
    if (!text)
        return XR_OK;
    double kib = strtod(text, &unit);
    unit += strspn(unit, " \t");
    kib *= *unit == 'b' || *unit == 'B' ? 1.0 / 1024 : *unit == 'm' || *unit == 'M' ? 1024 : *unit == 'g' || *unit == 'G' ? 1048576 : 1;
    if (unit == text || kib <= 0.0 || kib >= LEAST_STACK_KIB)
        return XR_OK;
    return xr_fail(XR_ESYSTEM, "%s is %s; threads need stacks of at least %d KiB: unset it or make it larger", name, text, (int)LEAST_STACK_KIB);
}

/* Where a thread is refused, libgomp ends the program with code 1. So as many as it will start are started before, and wait here for each other. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *wait_at_gate(void *unused)
{
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return unused;
}

static xr_status try_threads(int n)
{
    int k = 1, error = 0;
    pthread_t *thread = xr_alloc((size_t)n, sizeof *thread);
    if (!thread)
        return xr_error_status();
    pthread_mutex_lock(&gate);
    while (k < n && !(error = pthread_create(&thread[k], NULL, wait_at_gate, NULL)))
        k++;
    pthread_mutex_unlock(&gate);
    for (int i = 1; i < k; i++)
        pthread_join(thread[i], NULL);
    xr_free(thread);
    return k == n ? XR_OK
                  : xr_fail(XR_ESYSTEM, "thread %d of %d cannot be started (%s); the system limits processes (ulimit -u, pids.max) or memory (ulimit -v): "
                            "raise the limit, or give --threads %d", k + 1, n, strerror(error), k > 2 ? k / 2 : 1);
}

xr_status xr_threads_start(const xr_options *o)
{
    xr_machine m = xr_machine_time();
    int allowed = xr_processors(), paid = xr_machine_paid(&m), n = choose(o, paid && paid < allowed ? paid : allowed);
    warn_too_many(o, n, allowed, &m);
    xr_threads_set(n);
    if (!(o->verb & (XR_V_MODEL | XR_V_DOCTOR)))
        return XR_OK;
    XR_TRY(check_stack("OMP_STACKSIZE"));
    XR_TRY(check_stack("GOMP_STACKSIZE"));
    return try_threads(n);
}
