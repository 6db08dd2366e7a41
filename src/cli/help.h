/* Texts made from the option table and the commands: help at two levels, man page, shell completion. */
#ifndef XR_CLI_HELP_H
#define XR_CLI_HELP_H

#include "cli/cmd.h"

xr_status xr_help_print(const xr_cmd *c, int full);     /* of a command, to standard output */
xr_status xr_help_program(int to_stdout);               /* the list of commands; 0: to standard error */
xr_status xr_help_man(const xr_cmd *c, xr_str *out);    /* troff */
xr_status xr_help_man_program(xr_str *out);             /* troff: xlmr(1), the list of commands */
xr_status xr_help_bash(xr_str *out);

#endif
