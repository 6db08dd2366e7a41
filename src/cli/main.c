/* xlmr VERB [--config FILE] [--KEY VALUE ...]: finds the command, resolves its options, runs it, and turns its status
 * into an exit code. Nothing but this folder prints or ends the program. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "cli/cmd.h"
#include "cli/help.h"
#include "cli/progress.h"
#include "cli/threads.h"
#include "kernels/gemm.h"
#include "train/profile.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/str.h"
#include "util/utf8.h"

#define XR_REG(name) extern const xr_cmd xr_cmd_##name;
#include "commands.inc"
#undef XR_REG

const xr_cmd *const xr_cmds[] = {
#define XR_REG(name) &xr_cmd_##name,
#include "commands.inc"
#undef XR_REG
    NULL
};

const xr_cmd *xr_cmd_find(const char *name)
{
    for (const xr_cmd *const *c = xr_cmds; *c; c++) {
        const char *a = (*c)->name, *b = name;
        while (*a && (*a == *b || (*a == '-' && *b == '_')))
            a++, b++;
        if (!*a && !*b)
            return *c;
    }
    return NULL;
}

static int quiet, verbose;

static int colour(void)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(STDERR_FILENO) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

/* Messages quote what files and arguments hold: control characters in them must not reach a terminal. */
static void say(const char *kind, const char *code, const char *message)
{
    xr_str clean = { 0 };
    int pending = xr_error_status() < 0, good = xr_utf8_printable(&clean, message, strlen(message)) == XR_OK && clean.s;
    if (!good && !pending)
        xr_error_clear();       /* out of memory here is not the failure of anything else */
    xr_progress_hide();
    if (colour())
        fprintf(stderr, "xlmr: \033[%sm%s:\033[0m %s\n", code, kind, good ? clean.s : message);
    else
        fprintf(stderr, "xlmr: %s: %s\n", kind, good ? clean.s : message);
    xr_str_free(&clean);
}

static void sink(xr_level level, const char *message)
{
    if (level == XR_LOG_WARN)
        say("warning", "33", message);
    else if (level == XR_LOG_INFO && !quiet)
        say("note", "36", message);
    else if (level == XR_LOG_DEBUG && verbose)
        say("debug", "2", message);
}

/* A reader that has had enough ends us quietly, as it does cat: exit 141 to the shell. */
static xr_status out_failed(void)
{
    if (errno == EPIPE) {
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
    }
    return xr_fail(XR_EIO, "standard output: cannot write (%s); results are incomplete, free space or redirect elsewhere", strerror(errno));
}

xr_status xr_out_bytes(const char *s, size_t len)
{
    return fwrite(s, 1, len, stdout) == len ? XR_OK : out_failed();
}

xr_status xr_out(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vprintf(format, ap);
    va_end(ap);
    return n < 0 ? out_failed() : XR_OK;
}

xr_status xr_out_json(const json_t *j)
{
    char *s = xr_json_dump(j, 0);
    if (!s)
        return xr_error_status();
    xr_status st = xr_out_bytes(s, strlen(s));
    xr_free(s);
    return st < 0 ? st : xr_out_bytes("\n", 1);
}

xr_status xr_out_flush(void)
{
    return fflush(stdout) == 0 && !ferror(stdout) ? XR_OK : out_failed();
}

/* A mapped file that another program cut short: only write and _exit are allowed here. */
static void on_sigbus(int sig)
{
    static const char message[] = "xlmr: error: a mapped file became shorter while it was read (or its disk failed); "
                                  "put the complete file back and start again\n";
    (void)sig;
    ssize_t ignored = write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    _exit(-XR_EIO);
}

/* The write fails with EFBIG then, and is told of and cleaned up after as on a full disk; only the remedy is another. */
static void on_sigxfsz(int sig)
{
    static volatile sig_atomic_t said;
    static const char message[] = "xlmr: warning: a file reaches the limit on the size of files (ulimit -f), and writing it fails; raise the limit\n";
    int before = errno;
    (void)sig;
    ssize_t ignored = said ? 0 : write(STDERR_FILENO, message, sizeof message - 1);
    (void)ignored;
    said = 1;
    errno = before;
}

static void check_limit(int what, unsigned least_mib, const char *message, size_t length)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) < 0 || limit.rlim_cur >= (rlim_t)least_mib << 20)
        return;
    ssize_t ignored = write(STDERR_FILENO, message, length);
    (void)ignored;
    _exit(-XR_ESYSTEM);
}

/* OpenBLAS maps a buffer while it is being loaded, and tries for ever when the address space does not suffice; kernels keep blocks of 400 KB on the
 * stack. So limits that are too low must be refused before any library starts: by .preinit_array, with system calls only. */
static void check_limits(void)
{
    static const char space[] = "xlmr: error: the limit on address space (ulimit -v) is below 512 MiB, in which OpenBLAS cannot start; raise it\n";
    static const char stack[] = "xlmr: error: the limit on the stack (ulimit -s) is below 1 MiB, which the kernels need; raise it\n";
    check_limit(RLIMIT_AS, 512, space, sizeof space - 1);
    check_limit(RLIMIT_STACK, 1, stack, sizeof stack - 1);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_libraries)(void) = check_limits;

static void install_signals(void)
{
    struct sigaction bus = { .sa_handler = on_sigbus };
    sigemptyset(&bus.sa_mask);
    sigaction(SIGBUS, &bus, NULL);
    /* Whoever reads the messages of a run may go: that must not end it. Of results, see out_failed. */
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGPIPE, &ignore, NULL);
    struct sigaction large = { .sa_handler = on_sigxfsz };
    sigemptyset(&large.sa_mask);
    sigaction(SIGXFSZ, &large, NULL);
}

/* A file that got the number of a closed stream would get what is written there: messages, in the midst of a log. Open in the wrong direction, so that
 * reading and writing fail as they do where it is closed. */
static void occupy_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
            open("/", O_RDONLY);
}

static xr_status unknown_verb(const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (const xr_cmd *const *c = xr_cmds; *c && n < 64; c++)
        if ((*c)->verb & XR_V_ALL)
            names[n++] = (*c)->name;
    const char *near = xr_nearest(name, names, n);
    return xr_fail(XR_EUSAGE, "%s: unknown command%s%s%s; xlmr --help lists them", name, near ? "; did you mean " : "",
                   near ? near : "", near ? "?" : "");
}

static xr_status start_machine(const xr_options *o)
{
    XR_TRY(xr_threads_start(o));
    return o->verb & XR_V_MODEL ? xr_blas_start() : XR_OK;
}

static xr_status print_config(const xr_options *o)
{
    xr_str text = { 0 };
    xr_status st = XR_OK;
    if (o->json) {
        json_t *j = xr_options_to_json(o, XR_RECIPE | XR_RUNTIME);
        st = j ? xr_out_json(j) : xr_error_status();
        json_decref(j);
    } else {
        st = xr_options_to_yaml(o, 1, &text);
        if (st >= 0)
            st = xr_out_bytes(text.s, text.len);
    }
    xr_str_free(&text);
    return st;
}

/* Of a run that failed or was stopped too. 0 with the error set. */
static int print_profile(const xr_options *o)
{
    xr_profile p;
    xr_str text = { 0 };
    xr_profile_take(&p);
    json_t *j = o->json ? xr_profile_json(&p) : NULL;
    char *line = j ? xr_json_dump(j, 0) : NULL;
    int good = o->json ? line != NULL : xr_profile_table(&p, &text) == XR_OK;
    xr_progress_hide();
    if (good)
        fprintf(stderr, "%s%s", line ? line : text.s, line ? "\n" : "");
    xr_free(line);
    xr_str_free(&text);
    json_decref(j);
    return good;
}

/* estimate takes the options of the command that its first argument names as well. */
static unsigned verbs_of(const xr_cmd *c, int argc, char **argv)
{
    const xr_cmd *about = c->verb == XR_V_ESTIMATE && argc > 0 ? xr_cmd_find(argv[0]) : NULL;
    return c->verb | (about ? about->verb & XR_V_TRAIN : 0);
}

static xr_status run_with(const xr_cmd *c, const xr_options *o)
{
    quiet = o->quiet;
    verbose = o->verbose;
    xr_cmd shown = *c;
    shown.verb = o->verb;
    if (o->help)
        return xr_help_print(&shown, !o->short_help);
    if (o->n_args && !c->positional)
        return xr_fail(XR_EUSAGE, "%s: unexpected argument; %s takes only options, see xlmr %s --help", o->args[0],
                       c->name, c->name);
    if (o->print_config)
        return print_config(o);
    for (size_t i = 0; i < o->n_args; i++)
        XR_TRY(xr_path_check_output(o->output, o->args[i]));
    XR_TRY(start_machine(o));
    if (o->profile)
        xr_phases_start();
    xr_status status = c->run(o);
    return o->profile && !print_profile(o) && status >= 0 ? xr_error_status() : status;
}

static xr_status run_verb(const xr_cmd *c, int argc, char **argv)
{
    xr_options o;
    xr_status st = xr_options_init(&o, verbs_of(c, argc, argv));
    if (st >= 0)
        st = xr_options_parse(&o, argc, argv);
    if (st >= 0)
        st = run_with(c, &o);
    xr_options_free(&o);
    return st;
}

static xr_status run(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    if (!word) {
        XR_TRY(xr_help_program(0));
        return xr_fail(XR_EUSAGE, "no command given; expected one of the list above");
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return xr_help_program(1);
    if (strcmp(word, "--version") == 0)
        return xr_out("xlmr %s\n", XR_VERSION);
    if (word[0] == '-')
        return xr_fail(XR_EUSAGE,
                       "%s: options stand behind the command: xlmr COMMAND %s …; xlmr --help lists the commands", word,
                       word);
    const xr_cmd *c = xr_cmd_find(word);
    return c ? run_verb(c, argc - 2, argv + 2) : unknown_verb(word);
}

int main(int argc, char **argv)
{
    occupy_closed_streams();
    install_signals();
    xr_log_set_sink(sink);
    xr_status st = run(argc, argv);
    if ((st >= 0 || st == XR_EDIFFER) && xr_error_status() < 0)   /* noted, and handed on by nobody: no success */
        st = xr_error_status();
    if (st >= 0 || st == XR_EDIFFER)
        st = xr_out_flush() < 0 ? xr_error_status() : st;
    else
        fflush(stdout);
    xr_progress_hide();
    if (st < 0 && st != XR_EDIFFER)
        say("error", "31", *xr_error_message() ? xr_error_message() : "failed without a message; please report this");
    return st < 0 ? -st : 0;
}
