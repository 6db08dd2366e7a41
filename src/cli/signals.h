/* Signals as a request to stop cleanly: the first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 only sets a flag, which long work looks at; a second
 * SIGINT or SIGTERM ends the program at once. */
#ifndef XR_CLI_SIGNALS_H
#define XR_CLI_SIGNALS_H

void xr_signals_catch(void);
int xr_signals_asked(void);     /* 1: a stop was asked for */

#endif
