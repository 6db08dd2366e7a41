/* Signals as a request to stop cleanly: SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU and SIGHUP (unless it is ignored, as nohup has it) only set a flag,
 * which long work looks at; a second SIGINT or SIGTERM ends the program at once. */
#ifndef XR_CLI_SIGNALS_H
#define XR_CLI_SIGNALS_H

void xr_signals_catch(void);
int xr_signals_asked(void);     /* 1: a stop was asked for */

/* For a command that ends at once: a signal removes this unfinished file first. The path is copied; NULL: no longer. Before the file is created a signal
 * that comes is held back, so that it is met by xr_signals_remove. */
void xr_signals_hold(void);
void xr_signals_remove(const char *path);

#endif
