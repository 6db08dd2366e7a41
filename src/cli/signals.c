#include "cli/signals.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t stop_asked, end_asked;

/* SIGUSR1 and SIGUSR2 are warnings, of which a batch system may send several before SIGTERM. */
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

void xr_signals_catch(void)
{
    struct sigaction sa;
    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_signal;
    sigemptyset(&sa.sa_mask);
    const int number[] = { SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        sigaction(number[i], &sa, NULL);
}

int xr_signals_asked(void)
{
    return stop_asked;
}
