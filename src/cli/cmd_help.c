/* xlmr help: help of a command, man pages, shell completion. */
#include <string.h>
#include "cli/cmd.h"
#include "cli/help.h"

static xr_status print(xr_str *text, xr_status st)
{
    if (st >= 0)
        st = xr_out_bytes(text->s, text->len);
    xr_str_free(text);
    return st;
}

static xr_status run(const xr_options *o)
{
    xr_str text = { 0 };
    const char *name = o->man ? o->man : o->n_args ? o->args[0] : NULL;
    const xr_cmd *c = name ? xr_cmd_find(name) : NULL;
    if (o->completion)
        return print(&text, xr_help_bash(&text));
    if (o->man && strcmp(o->man, "xlmr") == 0)
        return print(&text, xr_help_man_program(&text));
    if (name && !c)
        return xr_fail(XR_EUSAGE, "%s: unknown command; xlmr --help lists them", name);
    if (o->man)
        return print(&text, xr_help_man(c, &text));
    return c ? xr_help_print(c, 1) : xr_help_program(1);
}

const xr_cmd xr_cmd_help = {
    "help", XR_V_HELP, "show the help of a command, print man pages and shell completion", "[COMMAND]",
    "xlmr help finetune\n"
    "source <(xlmr help --completion bash)\n"
    "xlmr help --man finetune | man -l -\n",
    run
};
