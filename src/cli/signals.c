#include "cli/signals.h"

#include <limits.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_asked, end_asked;
static volatile sig_atomic_t held;      /* the signal that came while they were held, 0: none */
static char unfinished[PATH_MAX];       /* changed only while signals are held */

/* SIGUSR1 and SIGUSR2 are warnings, of which a batch system may send several before SIGTERM; so is SIGXCPU, which comes each second (ulimit -t).
 * A terminal that closes may send SIGHUP twice: the kernel does, and the shell for its jobs. */
static void on_signal(int number)
{
    int end = number == SIGINT || number == SIGTERM;
    stop_asked = 1;
    if (end && end_asked) {
        signal(number, SIG_DFL);
        raise(number);
    }
    end_asked |= end;
}

static int is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static void remove_and_end(int number)
{
    unlink(unfinished);
    signal(number, SIG_DFL);
    raise(number);
}

static struct sigaction action(void (*handler)(int))
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = handler;
    sigemptyset(&sa.sa_mask);
    return sa;
}

static void hold(int number)
{
    held = number;
}

static void answer(void (*handler)(int))
{
    static const int number[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGXCPU };
    struct sigaction sa = action(handler);
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (!is_ignored(number[i]))
            sigaction(number[i], &sa, NULL);
}

void xr_signals_hold(void)
{
    answer(hold);
}

void xr_signals_remove(const char *path)
{
    answer(hold);
    int known = path && snprintf(unfinished, sizeof unfinished, "%s", path) < (int)sizeof unfinished;
    answer(known ? remove_and_end : SIG_DFL);
    if (held)
        raise(held);
}

void xr_signals_catch(void)
{
    struct sigaction sa = action(on_signal);
    const int number[] = { SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        sigaction(number[i], &sa, NULL);
    if (!is_ignored(SIGHUP))
        sigaction(SIGHUP, &sa, NULL);
}

int xr_signals_asked(void)
{
    return stop_asked;
}
