/* A command is one file: src/cli/cmd_fill_mask.c defines `const xr_cmd xr_cmd_fill_mask`, and is registered by existing. */
#ifndef XR_CLI_CMD_H
#define XR_CLI_CMD_H

#include <jansson.h>
#include "train/options.h"

typedef struct xr_cmd {
    const char *name;           /* as typed: "fill-mask" */
    unsigned verb;              /* its bit, XR_V_FILL_MASK; one outside XR_V_ALL is not listed by help */
    const char *summary;        /* one line, lower case, no full stop */
    const char *positional;     /* "[TEXT ...]"; NULL = takes none, and main refuses any */
    const char *examples;       /* lines of "xlmr fill-mask …", the two best first; each ends in \n */
    xr_status (*run)(const xr_options *o);
} xr_cmd;

extern const xr_cmd *const xr_cmds[];               /* sorted by name, NULL behind the last */
const xr_cmd *xr_cmd_find(const char *name);        /* NULL if unknown */

/* Results: to standard output, nowhere else. A failed write is XR_EIO (exit 74), a closed pipe ends the program quietly (141). */
xr_status xr_out(const char *format, ...) __attribute__((format(printf, 1, 2)));
xr_status xr_out_bytes(const char *s, size_t len);
xr_status xr_out_json(const json_t *j);             /* one line */
xr_status xr_out_flush(void);

#endif
