/* Inputs of prepare in processes beside each other. A process takes the next input when it has finished one; it shares with its parent a few counters
 * and the outcome of each input, and sends its notes through a pipe, so that they come out one by one. With one worker all happens here. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels/cpu.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"
#include "util/log.h"

enum { WAITING, RUNNING, DONE, FAILED };
enum { MESSAGE = 1000, WAIT_MS = 100, WORKER_CAP = 1024, NOBODY = -1 };

typedef struct outcome {
    atomic_int state, worker;
    xr_status status;
    char message[MESSAGE];
} outcome;

/* In memory that all processes share. */
typedef struct shared {
    atomic_size_t next;         /* in the order of work */
    atomic_int stop;
    _Atomic uint64_t bytes, text_bytes, documents, tokens;
    _Atomic size_t inputs;
    outcome of[];               // [n_input]
} shared;

typedef struct note { xr_level level; char text[MESSAGE]; } note;  /* below PIPE_BUF, so that notes do not mix */

typedef struct pool {
    const xr_prepare_plan *p;
    const xr_prepare_hooks *hooks;
    xr_prepare_progress progress;
    size_t *order; size_t n;    /* inputs to do, the largest first, so that no long one is left for the end */
    shared *s; size_t shared_bytes;
    int n_workers, worker;      /* worker: which this process is; NOBODY = the parent */
    pid_t child[WORKER_CAP];
    int pipe[2];
} pool;

/* ---- work, in whichever process ---- */

static int stop_asked(pool *w)
{
    if (w->hooks && w->hooks->stop && w->hooks->stop(w->hooks->context))
        atomic_store(&w->s->stop, 1);
    return atomic_load(&w->s->stop);
}

static void show(pool *w)
{
    shared *s = w->s;
    xr_prepare_progress *g = &w->progress;
    g->bytes = atomic_load(&s->bytes);
    g->text_bytes = atomic_load(&s->text_bytes);
    g->documents = atomic_load(&s->documents);
    g->tokens = atomic_load(&s->tokens);
    g->inputs = atomic_load(&s->inputs);
    if (w->hooks && w->hooks->progress)
        w->hooks->progress(w->hooks->context, g);
}

static int on_tick(void *context, uint64_t bytes, uint64_t text_bytes, uint64_t documents, uint64_t tokens)
{
    pool *w = context;
    atomic_fetch_add(&w->s->bytes, bytes);
    atomic_fetch_add(&w->s->text_bytes, text_bytes);
    atomic_fetch_add(&w->s->documents, documents);
    atomic_fetch_add(&w->s->tokens, tokens);
    if (w->n_workers == 1)
        show(w);
    return stop_asked(w);
}

/* A bad input is no reason to leave the others; a full disk, or no memory, is. */
static int ends_all(xr_status status)
{
    return status != XR_EDATA && status != XR_ENOINPUT;
}

static void do_one(pool *w, size_t input)
{
    outcome *o = &w->s->of[input];
    xr_prepare_tick tick = { w, on_tick };
    atomic_store(&o->worker, w->worker);
    atomic_store(&o->state, RUNNING);
    o->status = xr_prepare_one(w->p, input, &tick);
    snprintf(o->message, sizeof o->message, "%s", o->status < 0 ? xr_error_message() : "");
    xr_error_clear();
    if (o->status < 0 && ends_all(o->status))
        atomic_store(&w->s->stop, 1);
    atomic_fetch_add(&w->s->inputs, o->status == XR_OK);
    atomic_store(&o->state, o->status < 0 ? FAILED : DONE);
}

static void work(pool *w)
{
    for (size_t k; !stop_asked(w) && (k = atomic_fetch_add(&w->s->next, 1)) < w->n;)
        do_one(w, w->order[k]);
}

/* ---- processes ---- */

static int note_pipe;

static void send_note(xr_level level, const char *message)
{
    note n = { .level = level };
    snprintf(n.text, sizeof n.text, "%s", message);
    ssize_t sent = write(note_pipe, &n, sizeof n);
    (void)sent;
}

/* The parent's death is the child's, whatever it does just then. */
static void be_child(pool *w, int number, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    close(w->pipe[0]);
    note_pipe = w->pipe[1];
    w->worker = number;
    xr_log_set_sink(send_note);
    work(w);
    _exit(0);
}

static xr_status start_children(pool *w)
{
    pid_t parent = getpid();
    if (pipe(w->pipe) < 0)
        return xr_fail(XR_ESYSTEM, "no pipe for the worker processes: %s", strerror(errno));
    for (int i = 0; i < w->n_workers; i++) {
        w->child[i] = fork();
        if (w->child[i] == 0)
            be_child(w, i, parent);
        if (w->child[i] < 0 && i == 0)
            return xr_fail(XR_ESYSTEM, "no worker process can be started: %s; try --workers 1", strerror(errno));
        if (w->child[i] < 0) {
            xr_warn("only %d of %d worker processes can be started: %s", i, w->n_workers, strerror(errno));
            w->n_workers = i;
        }
    }
    close(w->pipe[1]);
    w->pipe[1] = -1;
    return XR_OK;
}

static void repeat_note(const note *n)
{
    if (n->level == XR_LOG_WARN)
        xr_warn("%s", n->text);
    else if (n->level == XR_LOG_INFO)
        xr_info("%s", n->text);
    else
        xr_debug("%s", n->text);
}

/* 0: all children have closed the pipe, by ending. */
static int listen_once(pool *w)
{
    note n;
    struct pollfd fd = { .fd = w->pipe[0], .events = POLLIN };
    if (poll(&fd, 1, WAIT_MS) <= 0)
        return 1;
    ssize_t got = read(w->pipe[0], &n, sizeof n);
    if (got == (ssize_t)sizeof n)
        repeat_note(&n);
    return got != 0;
}

/* What a child was at when it was killed. */
static void note_death(pool *w, int number, int status)
{
    for (size_t k = 0; k < w->n; k++) {
        outcome *o = &w->s->of[w->order[k]];
        if (atomic_load(&o->state) != RUNNING || atomic_load(&o->worker) != number)
            continue;
        o->status = XR_ESYSTEM;
        snprintf(o->message, sizeof o->message, "%s: the process that read it ended by signal %d%s; the same command tries again",
                 w->p->input[w->order[k]].path, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                 WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? ", often for want of memory (then fewer --workers help)" : "");
        atomic_store(&o->state, FAILED);
    }
}

static xr_status run_children(pool *w)
{
    XR_TRY(start_children(w));
    while (listen_once(w)) {
        (void)stop_asked(w);
        show(w);
    }
    for (int i = 0; i < w->n_workers; i++) {
        int status = 0;
        while (waitpid(w->child[i], &status, 0) < 0 && errno == EINTR)
            continue;
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            note_death(w, i, status);
    }
    return XR_OK;
}

/* ---- the whole ---- */

static const xr_prepare_input *sorted_inputs;

static int larger_first(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    if (sorted_inputs[x].bytes != sorted_inputs[y].bytes)
        return sorted_inputs[x].bytes > sorted_inputs[y].bytes ? -1 : 1;
    return x < y ? -1 : 1;
}

static xr_status set_up(pool *w)
{
    const xr_prepare_plan *p = w->p;
    w->order = xr_alloc(p->n_input, sizeof *w->order);
    w->shared_bytes = sizeof *w->s + p->n_input * sizeof *w->s->of;
    void *s = mmap(NULL, w->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    w->s = s == MAP_FAILED ? NULL : s;
    if (!w->order || !w->s)
        return xr_fail(XR_ESYSTEM, "no memory for the outcomes of %zu inputs", p->n_input);
    for (size_t i = 0; i < p->n_input; i++) {
        const xr_prepare_input *in = &p->input[i];
        if (!xr_prepare_is_mine(p, i))
            continue;
        w->progress.bytes_total += in->bytes;
        w->progress.bytes_before += in->done ? in->bytes : 0;
        w->progress.inputs_total++;
        if (!in->done)
            w->order[w->n++] = i;
    }
    sorted_inputs = p->input;
    qsort(w->order, w->n, sizeof *w->order, larger_first);
    atomic_store(&w->s->bytes, w->progress.bytes_before);
    atomic_store(&w->s->inputs, w->progress.inputs_total - w->n);
    long long asked = p->job->o->workers > 0 ? p->job->o->workers : xr_threads();
    w->n_workers = (int)((size_t)asked < w->n ? asked : (long long)w->n);
    if (w->n_workers > WORKER_CAP)
        w->n_workers = WORKER_CAP;
    return XR_OK;
}

/* The first failure in the order of the inputs is the error; the others are warned of. */
static xr_status judge(pool *w)
{
    const outcome *first = NULL;
    size_t failed = 0, open = 0;
    for (size_t i = 0; i < w->p->n_input; i++) {
        outcome *o = &w->s->of[i];
        int mine = xr_prepare_is_mine(w->p, i) && !w->p->input[i].done;
        open += mine && atomic_load(&o->state) != DONE;
        if (!mine || atomic_load(&o->state) != FAILED)
            continue;
        failed += o->status != XR_ETEMPFAIL;
        if (!first || (first->status == XR_ETEMPFAIL && o->status != XR_ETEMPFAIL)) {
            first = o;
            continue;
        }
        if (o->status != XR_ETEMPFAIL)
            xr_warn("%s", o->message);
    }
    if (first && failed > 1)
        return xr_fail(first->status, "%s (and %zu more of %zu inputs, see above)", first->message, failed - 1, w->progress.inputs_total);
    if (first)
        return xr_fail(first->status, "%s", first->message);
    return open ? xr_fail(XR_ETEMPFAIL, "stopped by a signal; the same command goes on with the %zu inputs that are not done", open) : XR_OK;
}

xr_status xr_prepare_pool(const xr_prepare_plan *p, const xr_prepare_hooks *hooks)
{
    pool w = { .p = p, .hooks = hooks, .worker = NOBODY, .pipe = { -1, -1 } };
    xr_status status = set_up(&w);
    if (status == XR_OK && w.n) {
        if (hooks && hooks->begin)
            hooks->begin(hooks->context, &w.progress);
        if (w.n_workers > 1)
            status = run_children(&w);
        else
            work(&w);
        show(&w);
    }
    if (status == XR_OK)
        status = judge(&w);
    for (int i = 0; i < 2; i++)
        if (w.pipe[i] >= 0)
            close(w.pipe[i]);
    if (w.s)
        munmap(w.s, w.shared_bytes);
    xr_free(w.order);
    return status;
}
