#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t stop_asked, end_asked;

/* SIGUSR1 and SIGUSR2 are warnings, of which a batch system may send several before SIGTERM. A terminal that closes may send SIGHUP twice: the
 * kernel does, and the shell for its jobs. */
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

void xr_signals_catch(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    const int number[] = { SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        sigaction(number[i], &sa, NULL);
    if (!is_ignored(SIGHUP))
        sigaction(SIGHUP, &sa, NULL);
}

int xr_signals_asked(void)
{
    return stop_asked;
}
