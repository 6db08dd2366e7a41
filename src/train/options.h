/* One option table for flags, YAML, help, man page, completion, validation and the config stored with a run.
 *
 * options.def holds the rows; this header turns them into the struct xr_options and options.c into the table.
 * Precedence: default, then the YAML file of --config, then flags; every value remembers where it came from. Field name
 * = YAML key; the flag is the same with dashes; dashes and underscores are accepted for each other everywhere. */
#ifndef XR_TRAIN_OPTIONS_H
#define XR_TRAIN_OPTIONS_H

#include <stddef.h>
#include "util/error.h"
#include "util/json.h"
#include "util/str.h"

/* The commands, for the `verbs` column. */
enum {
    XR_V_INIT = 1u << 0,
    XR_V_TRAIN_TOKENIZER = 1u << 1,
    XR_V_TOKENIZE = 1u << 2,
    XR_V_FILL_MASK = 1u << 3,
    XR_V_FEATURES = 1u << 4,
    XR_V_FINETUNE = 1u << 5,
    XR_V_EVALUATE = 1u << 6,
    XR_V_PREDICT = 1u << 7,
    XR_V_DOCTOR = 1u << 8,
    XR_V_HELP = 1u << 9,
    XR_V_PREPARE = 1u << 10,
    XR_V_PRETRAIN = 1u << 11,
    XR_V_TRIM = 1u << 12,
    XR_V_EXPORT = 1u << 13,
    XR_V_SWEEP = 1u << 14,
    XR_V_REPORT = 1u << 15,
    XR_V_INSPECT = 1u << 16,
    XR_V_VERIFY = 1u << 17,
    XR_V_ESTIMATE = 1u << 18,   /* with the bit of the command it is about, whose options it takes too */
    XR_V_ALL = (1u << 19) - 1,
    XR_V_TRAIN = XR_V_FINETUNE | XR_V_PRETRAIN,
    XR_V_TEXT = XR_V_PREPARE | XR_V_PRETRAIN | XR_V_TRIM,   /* read raw text */
    XR_V_MODEL = XR_V_FILL_MASK | XR_V_FEATURES | XR_V_TRAIN | XR_V_EVALUATE | XR_V_PREDICT /* read weights and compute */
};
/* Name of one verb bit as typed ("fill-mask"); "" if unknown. */
const char *xr_verb_name(unsigned verb);

typedef enum xr_option_type {
    XR_OPT_STR,
    XR_OPT_STRS,
    XR_OPT_INT,
    XR_OPT_FLOAT,
    XR_OPT_BOOL,
    XR_OPT_CHOICE
} xr_option_type;

typedef enum xr_option_group {
    XR_GROUP_INPUT,
    XR_GROUP_OUTPUT,
    XR_GROUP_TRAINING,
    XR_GROUP_OPTIMISATION,
    XR_GROUP_LOSS,
    XR_GROUP_WATCHING,
    XR_GROUP_RUNTIME,
    XR_N_GROUPS
} xr_option_group;

enum {
    XR_RECIPE = 1,      /* decides the result: part of the config digest and of checkpoints */
    XR_RUNTIME = 2,     /* does not: threads, paths, verbosity */
    XR_REQUIRED = 4,
    XR_MAIN = 8,        /* shown by -h */
    XR_ONCE = 16,       /* a flag only: not in YAML, not stored */
    XR_MANY = 32        /* a STR that may be given again: further values go to args, as positional arguments do */
};

/* A list of strings; v[n] is NULL. */
typedef struct xr_strs { const char **v; size_t n; } xr_strs;

typedef struct xr_option {
    const char *key;                /* field name, with underscores */
    xr_option_type type;
    size_t offset, field;           /* where it is in xr_options, and its number there (index of origin) */
    const char *def;                /* as written; NULL = not set */
    double min, max;
    unsigned verbs, flags;
    xr_option_group group;
    const char *meta, *help;
} xr_option;

typedef enum xr_origin_kind { XR_FROM_DEFAULT, XR_FROM_CONFIG, XR_FROM_FLAG } xr_origin_kind;
typedef struct xr_origin {
    xr_origin_kind kind;
    const char *path;
    size_t line;
} xr_origin; /* path, line: of a config */

#define XR_FIELD_STR const char *   /* NULL = not set */
#define XR_FIELD_STRS xr_strs
#define XR_FIELD_INT long long
#define XR_FIELD_FLOAT double
#define XR_FIELD_BOOL int
#define XR_FIELD_CHOICE const char *

enum {
#define XR_OPTION(field, ...) XR_OPTION_ROW_##field,
#define XR_OPTION_AGAIN(field, ...)
#include "train/options.def"
#undef XR_OPTION
    XR_N_FIELDS
};

/* All values of a command, resolved. Strings are owned by this struct and live until xr_options_free. */
typedef struct xr_options {
#define XR_OPTION(field, type, ...) XR_FIELD_##type field;
#include "train/options.def"
#undef XR_OPTION
#undef XR_OPTION_AGAIN
    unsigned verb;                  /* one XR_V_ bit */
    const char **args;              // [n_args] positional arguments, NULL behind the last; borrowed from argv
    size_t n_args;
    int short_help;                 /* -h */
    xr_origin origin[XR_N_FIELDS];  /* by field, in the order of options.def */
    char **owned; size_t n_owned, cap_owned;
} xr_options;

/* The table: *n rows. A field may have several rows, for different verbs. */
const xr_option *xr_option_table(size_t *n);
/* The row of `key` (dashes or underscores) for a verb; NULL if that verb has none. */
const xr_option *xr_option_find(unsigned verb, const char *key);

/* Defaults of a verb. On failure o is still to be freed. */
xr_status xr_options_init(xr_options *o, unsigned verb);
/* Arguments behind the verb: finds --config and reads it, then flags, then checks what is required. Stops early, with
 * XR_OK, at --help and -h; with --print-config nothing is required. XR_EUSAGE for flags, XR_ECONFIG or XR_ENOINPUT for
 * the file. */
xr_status xr_options_parse(xr_options *o, int argc, char *const *argv);
/* Values of a YAML text; `path` is for messages and origins. XR_ECONFIG with path and line. */
xr_status xr_options_yaml(xr_options *o, const char *text, size_t len, const char *path);
void xr_options_free(xr_options *o);

/* Sets one option as a flag would ("--KEY VALUE"): for programs and tests. */
xr_status xr_options_set(xr_options *o, const char *key, const char *value);
/* Where the value of `key` came from; XR_FROM_DEFAULT for a key the verb does not have. */
xr_origin xr_options_origin(const xr_options *o, const char *key);

/* The resolved options as YAML that --config reads back: recipe first, then runtime. origins = 1 adds where each came
 * from. */
xr_status xr_options_to_yaml(const xr_options *o, int origins, xr_str *out);
/* Object with the options that have any of `flags` (XR_RECIPE, XR_RUNTIME), in table order; unset ones are null. NULL
 * with the error set. */
json_t *xr_options_to_json(const xr_options *o, unsigned flags);

#endif
