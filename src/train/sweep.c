/* The processes of a sweep: begun while there is room, waited for, told to stop. */
#include "train/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

enum { WAIT_MS = 20 };
#define LOG_CAP ((size_t)1 << 30)

static char *log_path(const xr_sweep *s, const xr_sweep_run *r)
{
    return xr_asprintf("%s/logs/%s.log", s->o->output_dir, r->name);
}

/* --- one process --------------------------------------------------------------------------------------------------- */

/* In the child. SIGUSR1 is the request to stop that never becomes an order: what a terminal sends to all of us, and what the sweep sends besides, are
 * then one request. It also comes when the sweep is killed. */
static void become(const char *program, char *const *argv, const char *log, pid_t parent)
{
    int none = open("/dev/null", O_RDONLY | O_CLOEXEC), out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    prctl(PR_SET_PDEATHSIG, SIGUSR1);
    if (none < 0 || out < 0 || getppid() != parent || dup2(none, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
        _exit(-XR_ESYSTEM);
    execv(program, argv);
    dprintf(STDERR_FILENO, "xlmr: error: %s: a run cannot be started: %s; see to it that /proc is mounted and the program may be run\n", program,
            strerror(errno));
    _exit(-XR_EUNAVAIL);
}

static xr_status start(const xr_sweep *s, xr_sweep_run *r, const char *program, xr_sweep_args *args)
{
    char *log = log_path(s, r);
    pid_t parent = getpid(), pid = log ? fork() : -1;
    if (pid == 0)
        become(program, args->v, log, parent);
    xr_free(log);
    if (pid < 0)
        return xr_fail(XR_ESYSTEM, "run %s: no process can be made: %s", r->name, strerror(errno));
    r->pid = pid;
    return XR_OK;
}

/* The text behind the last "xlmr: error: " of a log; NULL if there is none. */
static char *last_error(const char *path)
{
    static const char mark[] = "xlmr: error: ";
    size_t len;
    char *text = xr_file_read(path, LOG_CAP, &len), *at = text, *last = NULL;
    while (at && (at = strstr(at, mark))) {
        at += sizeof mark - 1;
        last = at;
    }
    char *copy = last ? xr_strndup(last, strcspn(last, "\n")) : NULL;
    xr_free(text);
    xr_error_clear();       /* a log that cannot be read has no message */
    return copy;
}

static void fail_run(const xr_sweep *s, xr_sweep_run *r, int code)
{
    char *log = log_path(s, r);
    r->state = XR_SWEEP_FAILED;
    r->code = code;
    xr_free(r->message);
    r->message = log ? last_error(log) : NULL;
    xr_warn("%s: %s%s (exit %d); its messages are in %s", r->name, r->testing ? "its evaluation failed: " : "failed: ",
            r->message ? r->message : "without a message", code, log ? log : "logs");
    xr_free(log);
}

/* --- what evaluate has scored ------------------------------------------------------------------------------------------ */

/* What its result depends on: the trained weights and the command. Kept beside the result, so that it is not computed again. */
static xr_status stamp(const xr_sweep_run *r, xr_str *out)
{
    json_t *end = xr_rundir_end(r->dir);
    const char *digest = json_string_value(json_object_get(end, "state_xxh3"));
    xr_status status = xr_str_printf(out, "%s\n", digest ? digest : "");
    json_decref(end);
    for (size_t i = 0; i < r->test.n && status == XR_OK; i++)
        if (strncmp(r->test.v[i], "--threads=", 10) != 0)
            status = xr_str_printf(out, "%s\n", r->test.v[i]);
    return status;
}

static char *stamp_path(const xr_sweep *s, const xr_sweep_run *r)
{
    return xr_asprintf("%s/eval/%s.command", s->o->output_dir, r->name);
}

static int is_tested(const xr_sweep *s, const xr_sweep_run *r)
{
    xr_str now = { 0 };
    size_t len = 0;
    char *path = stamp_path(s, r), *then = path && xr_path_exists(path) ? xr_file_read(path, LOG_CAP, &len) : NULL;
    int same = then && stamp(r, &now) == XR_OK && now.len == len && memcmp(now.s, then, len) == 0;
    xr_str_free(&now);
    xr_free(then);
    xr_free(path);
    xr_error_clear();       /* what cannot be read is computed again */
    return same;
}

static xr_status set_stamp(const xr_sweep *s, const xr_sweep_run *r)
{
    xr_str now = { 0 };
    char *path = stamp_path(s, r);
    xr_status status = path ? stamp(r, &now) : xr_error_status();
    if (status == XR_OK)
        status = xr_file_write(path, now.s, now.len);
    xr_str_free(&now);
    xr_free(path);
    return status;
}

/* A run without validation data has no best/, only final/. */
static xr_status choose_model(xr_sweep_run *r)
{
    char *best = xr_path_join(r->dir, "best");
    int there = best && xr_path_is_dir(best);
    xr_free(best);
    for (size_t i = 0; !there && i < r->test.n; i++)
        if (strncmp(r->test.v[i], "--model=", 8) == 0) {
            char *final = xr_asprintf("--model=%s/final", r->dir);
            if (!final)
                return xr_error_status();
            xr_free(r->test.v[i]);
            r->test.v[i] = final;
            break;
        }
    return xr_error_status();
}

/* --- the way of a run: training, evaluation, figures ----------------------------------------------------------------------- */

static xr_status finish(xr_sweep *s, xr_sweep_run *r)
{
    r->state = XR_SWEEP_FINISHED;
    if (r->test.n)
        XR_TRY(xr_sweep_read_test(s, r));
    if (r->best.metric)
        xr_info("%s: finished: %s %.4f at step %lld%s", r->name, r->best.metric, r->best.value, r->best_step,
                r->kind == XR_RUNDIR_FINISHED ? " (before this sweep began)" : "");
    else
        xr_info("%s: finished after step %lld", r->name, r->steps);
    return XR_OK;
}

/* What to do with a run that is trained. */
static xr_status trained(xr_sweep *s, xr_sweep_run *r, const char *program)
{
    XR_TRY(xr_sweep_read_figures(r));
    if (!r->test.n)
        return finish(s, r);
    XR_TRY(choose_model(r));
    if (is_tested(s, r))
        return finish(s, r);
    if (s->stopped) {
        r->state = XR_SWEEP_INTERRUPTED;
        return XR_OK;
    }
    r->testing = 1;
    return start(s, r, program, &r->test);
}

static xr_status begin(xr_sweep *s, xr_sweep_run *r, const char *program)
{
    if (r->kind == XR_RUNDIR_FINISHED)
        return trained(s, r, program);
    xr_info("%s: %s (run %zu of %zu)", r->name, r->kind == XR_RUNDIR_RESUME ? "goes on" : "begins", (size_t)(r - s->run) + 1, s->n_runs);
    return start(s, r, program, &r->train);
}

static xr_status succeeded(xr_sweep *s, xr_sweep_run *r, const char *program)
{
    if (!r->testing)
        return trained(s, r, program);
    XR_TRY(set_stamp(s, r));
    return finish(s, r);
}

/* Figures that are not there although a run is finished are a failure of that run alone. */
static xr_status keep_to_run(xr_sweep_run *r, xr_status status)
{
    if (status != XR_EDATA && status != XR_ENOINPUT)
        return status;
    r->state = XR_SWEEP_FAILED;
    r->code = -status;
    r->message = xr_strdup(xr_error_message());
    xr_warn("%s: %s", r->name, xr_error_message());
    xr_error_clear();
    return XR_OK;
}

static xr_status ended(xr_sweep *s, xr_sweep_run *r, int how, const char *program)
{
    int code = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
    r->pid = 0;
    if (code != 0 && (s->stopped || code == -XR_ETEMPFAIL)) {
        r->state = XR_SWEEP_INTERRUPTED;
        return XR_OK;
    }
    if (code != 0) {
        fail_run(s, r, code);
        return XR_OK;
    }
    return keep_to_run(r, succeeded(s, r, program));
}

/* --- all of them ------------------------------------------------------------------------------------------------------- */

static void tell_to_stop(xr_sweep *s)
{
    s->stopped = 1;
    for (size_t i = 0; i < s->n_runs; i++)
        if (s->run[i].pid > 0)
            kill(s->run[i].pid, SIGUSR1);
}

/* Looks after those that have a process; how many have. */
static long long reap(xr_sweep *s, const char *program, xr_status *status)
{
    long long busy = 0;
    for (size_t i = 0; i < s->n_runs; i++) {
        xr_sweep_run *r = &s->run[i];
        int how;
        if (r->pid > 0 && waitpid(r->pid, &how, WNOHANG) == r->pid) {
            xr_status one = ended(s, r, how, program);
            if (one == XR_OK)
                one = xr_sweep_write(s);
            if (one < 0 && *status == XR_OK)
                *status = one;
        }
        busy += r->pid > 0;
    }
    return busy;
}

/* Until all have had their turn and none is at work. A failure of the sweep itself (no room, no memory) stops it like a signal. */
static xr_status work(xr_sweep *s, const char *program, int (*stop)(void))
{
    const struct timespec moment = { 0, WAIT_MS * 1000000L };
    xr_status status = XR_OK;
    size_t next = 0;
    for (long long busy = 0;; busy = reap(s, program, &status)) {
        if (!s->stopped && (status < 0 || stop()))
            tell_to_stop(s);
        while (!s->stopped && status == XR_OK && busy < s->o->jobs && next < s->n_runs) {
            xr_sweep_run *r = &s->run[next++];
            status = keep_to_run(r, begin(s, r, program));
            busy += r->pid > 0;
        }
        if (busy == 0 && (s->stopped || status < 0 || next == s->n_runs))
            return status;
        nanosleep(&moment, NULL);
    }
}

static xr_status make_folders(const xr_sweep *s)
{
    static const char *const name[] = { "runs", "logs", "eval" };
    for (size_t i = 0; i < 3; i++) {
        char *path = xr_path_join(s->o->output_dir, name[i]);
        xr_status status = !path ? xr_error_status() : i < 2 || s->n_test ? xr_mkdirs(path) : XR_OK;
        xr_free(path);
        XR_TRY(status);
    }
    return XR_OK;
}

xr_status xr_sweep_execute(xr_sweep *s, const char *program, int (*stop)(void))
{
    xr_rundir_lock lock = { 0 };
    XR_TRY(xr_rundir_lock_take(&lock, s->o->output_dir));
    xr_status status = make_folders(s);
    if (status == XR_OK)
        status = work(s, program, stop);
    if (status == XR_OK)
        status = xr_sweep_write(s);
    xr_rundir_lock_drop(&lock);
    return status;
}

static xr_status fail_verdict(const xr_sweep *s, const xr_sweep_run *first, size_t n)
{
    int code = first->code <= -XR_EDIVERGED ? first->code : -XR_ESYSTEM;
    return xr_fail(-code, "%zu of %zu runs failed, %s first (exit %d: %s); what they said is in %s/logs; the same command tries them again", n, s->n_runs,
                   first->name, first->code, first->message ? first->message : "no message", s->o->output_dir);
}

xr_status xr_sweep_verdict(const xr_sweep *s)
{
    size_t failed = 0, open = 0;
    const xr_sweep_run *first = NULL;
    for (size_t i = 0; i < s->n_runs; i++) {
        const xr_sweep_run *r = &s->run[i];
        if (r->state == XR_SWEEP_FAILED && failed++ == 0)
            first = r;
        open += r->state == XR_SWEEP_INTERRUPTED || r->state == XR_SWEEP_WAITING;
    }
    if (open)
        return xr_fail(XR_ETEMPFAIL, "%s with %zu of %zu runs to do; the same command goes on", s->stopped ? "stopped by a signal" : "ended", open, s->n_runs);
    return failed ? fail_verdict(s, first, failed) : XR_OK;
}
