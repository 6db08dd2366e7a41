/* The option table at work: defaults, values by schema, flags. YAML and JSON are in options_yaml.c.
 *
 * The schema decides the type of a value, never its look: 1e3 is an integer for an INT and a name for a STR. */
#include "train/options.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>
#include "train/options_set.h"
#include "util/alloc.h"
#include "util/utf8.h"

/* The choices of evaluate's --task are the files in benchmarks/. */
static const char benchmark_names[] =
#define XR_REG(name) "|" #name
#include "benchmarks.inc"
#undef XR_REG
    ;
#define BENCHMARKS (benchmark_names + 1)

static const xr_option table[] = {
#define XR_OPTION(field, type, def, min, max, verbs, flags, group, meta, help)                        \
    { #field, XR_OPT_##type, offsetof(xr_options, field), XR_OPTION_ROW_##field, def, min, max, verbs, \
      flags, XR_GROUP_##group, meta, help },
#define XR_OPTION_AGAIN XR_OPTION
#include "train/options.def"
#undef XR_OPTION
#undef XR_OPTION_AGAIN
};
enum { N_ROWS = sizeof table / sizeof table[0] };

static const char *const verb_names[] = { "init",     "train-tokenizer", "tokenize", "fill-mask", "features",
                                          "finetune", "evaluate",        "predict",  "doctor",    "help",
                                          "prepare",  "pretrain",        "trim",     "export",
                                          "sweep",    "report",          "inspect",  "verify", "estimate" };

const char *xr_verb_name(unsigned verb)
{
    for (size_t i = 0; i < sizeof verb_names / sizeof verb_names[0]; i++)
        if (verb == 1u << i || (verb & XR_V_ESTIMATE & 1u << i))
            return verb_names[i];
    return "";
}

const xr_option *xr_option_table(size_t *n)
{
    *n = N_ROWS;
    return table;
}

/* Dashes and underscores are the same in names. */
static int same_name(const char *a, size_t len_a, const char *b, size_t len_b)
{
    size_t i = 0;
    while (i < len_a && i < len_b && (a[i] == b[i] || (a[i] == '_' && b[i] == '-')))
        i++;
    return i == len_a && i == len_b;
}

static const xr_option *find(unsigned verb, const char *key, size_t len)
{
    for (size_t i = 0; i < N_ROWS; i++)
        if ((table[i].verbs & verb) && same_name(table[i].key, strlen(table[i].key), key, len))
            return &table[i];
    return NULL;
}

const xr_option *xr_option_find(unsigned verb, const char *key)
{
    return find(verb, key, strlen(key));
}

const char *xr_option_nearest(unsigned verb, const char *word)
{
    const char *names[N_ROWS];
    char key[XR_KEY_MAX];
    size_t n = 0, i = 0;
    for (; word[i] && i + 1 < sizeof key; i++)
        key[i] = word[i] == '-' ? '_' : (char)tolower((unsigned char)word[i]);
    key[i] = 0;
    for (i = 0; i < N_ROWS; i++)
        if (table[i].verbs & verb)
            names[n++] = table[i].key;
    return xr_nearest(key, names, n);
}

const char *xr_option_flag(const char *key, char out[XR_KEY_MAX])
{
    size_t i = 0;
    for (; key[i] && i + 1 < XR_KEY_MAX; i++)
        out[i] = key[i] == '_' ? '-' : key[i];
    out[i] = 0;
    return out;
}

/* "key" for a config, whose reader puts file and line before it, or "--key". */
static xr_status fail_at(const xr_option *r, xr_origin at, const char *found, const char *problem, const char *expected)
{
    char flag[XR_KEY_MAX];
    if (at.kind == XR_FROM_CONFIG)
        return xr_fail(XR_ECONFIG, "%s: \"%.200s\" %s; expected %s", r->key, found, problem, expected);
    return xr_fail(XR_EUSAGE, "--%s \"%.200s\" %s; expected %s", xr_option_flag(r->key, flag), found, problem,
                   expected);
}

const char *xr_option_word(const xr_option *r)
{
    int number = r->type == XR_OPT_INT || r->type == XR_OPT_FLOAT;
    return number && r->def && isalpha((unsigned char)r->def[0]) ? r->def : NULL;
}

xr_status xr_option_expected(const xr_option *r, xr_str *out)
{
    if (r->type == XR_OPT_BOOL)
        return xr_str_puts(out, "true or false");
    if (r->type == XR_OPT_CHOICE) {
        XR_TRY(xr_str_puts(out, strchr(r->meta, '|') ? "one of " : ""));
        for (const char *p = r->meta; *p; p++)
            XR_TRY(*p == '|' ? xr_str_puts(out, ", ") : xr_str_putc(out, *p));
        return XR_OK;
    }
    if (r->type != XR_OPT_INT && r->type != XR_OPT_FLOAT)
        return xr_str_puts(out, "a text");
    XR_TRY(xr_str_puts(out, r->type == XR_OPT_INT ? "an integer from " : "a number from "));
    XR_TRY(xr_option_number(r, r->min, out));
    XR_TRY(xr_str_puts(out, " to "));
    XR_TRY(xr_option_number(r, r->max, out));
    return xr_option_word(r) ? xr_str_printf(out, ", or %s", xr_option_word(r)) : XR_OK;
}

xr_status xr_option_number(const xr_option *r, double x, xr_str *out)
{
    return r->type == XR_OPT_INT ? xr_str_printf(out, "%lld", (long long)x) : xr_str_double(out, x);
}

static xr_status refuse(const xr_option *r, xr_origin at, const char *found, const char *problem)
{
    xr_str expected = { 0 };
    xr_status st = xr_option_expected(r, &expected);
    if (st >= 0)
        st = fail_at(r, at, found, problem, expected.s);
    xr_str_free(&expected);
    return st;
}

/* Keeps numbers to the forms of JSON and YAML: no hexadecimal, no inf, no blanks, whatever the parser below would take.
 */
static int looks_decimal(const char *s)
{
    return *s && s[strspn(s, "0123456789+-.eE")] == 0;
}

static xr_status set_int(const xr_option *r, xr_origin at, const char *s, long long *out)
{
    long long v;
    double x;
    if (!looks_decimal(s))
        return refuse(r, at, s, "is not an integer");
    if (!xr_parse_int(s, &v)) {
        if (!xr_parse_double(s, &x))
            return refuse(r, at, s, "is not an integer");
        if (!(fabs(x) <= 9007199254740992.0))
            return refuse(r, at, s, "is out of range");
        if (x != floor(x))
            return refuse(r, at, s, "is not an integer");
        v = (long long)x;
    }
    if ((double)v < r->min || (double)v > r->max)
        return refuse(r, at, s, "is out of range");
    *out = v;
    return XR_OK;
}

static xr_status set_float(const xr_option *r, xr_origin at, const char *s, double *out)
{
    double x;
    if (!looks_decimal(s) || !xr_parse_double(s, &x))
        return refuse(r, at, s, "is not a number");
    if (!(x >= r->min && x <= r->max))
        return refuse(r, at, s, "is out of range");
    *out = x;
    return XR_OK;
}

static xr_status set_bool(const xr_option *r, xr_origin at, const char *s, int *out)
{
    static const char *const word[] = { "false", "true", "no", "yes", "off", "on", "0", "1" };
    for (int i = 0; i < 8; i++)
        if (strcasecmp(s, word[i]) == 0) {
            *out = i & 1;
            return XR_OK;
        }
    return refuse(r, at, s, "is neither true nor false");
}

const char *xr_options_keep(xr_options *o, const char *s, size_t n)
{
    if (xr_grow(&o->owned, &o->cap_owned, o->n_owned + 1, sizeof o->owned[0]) < 0)
        return NULL;
    char *copy = xr_strndup(s, n);
    if (copy)
        o->owned[o->n_owned++] = copy;
    return copy;
}

/* Keeps the choice as the table spells it. */
static xr_status set_choice(xr_options *o, const xr_option *r, xr_origin at, const char *s, const char **out)
{
    size_t len;
    for (const char *p = r->meta; *p; p += len + (p[len] == '|')) {
        len = strcspn(p, "|");
        if (same_name(p, len, s, strlen(s))) {
            *out = xr_options_keep(o, p, len);
            return *out ? XR_OK : xr_error_status();
        }
    }
    return refuse(r, at, s, "is not a choice");
}

static xr_status set_text(xr_options *o, const xr_option *r, xr_origin at, const char *s, const char **out)
{
    if (!*s)
        return refuse(r, at, s, "is empty");
    if (xr_utf8_check(s, strlen(s)) != strlen(s))
        return refuse(r, at, "(bytes)", "is not valid UTF-8");
    *out = xr_options_keep(o, s, strlen(s));
    return *out ? XR_OK : xr_error_status();
}

static xr_status add_text(xr_options *o, const xr_option *r, xr_origin at, const char *s, xr_strs *list)
{
    const char *copy;
    XR_TRY(set_text(o, r, at, s, &copy));
    const char **v = xr_realloc(list->v, list->n + 2, sizeof *v);
    if (!v)
        return xr_error_status();
    list->v = v;
    v[list->n++] = copy;
    v[list->n] = NULL;
    return XR_OK;
}

xr_status xr_option_set(xr_options *o, const xr_option *r, const char *text, xr_origin at)
{
    void *field = (char *)o + r->offset;
    xr_origin *origin = &o->origin[r->field];
    xr_status st;
    if (xr_option_word(r) && strcmp(text, xr_option_word(r)) == 0) {
        st = XR_OK;
        if (r->type == XR_OPT_INT)
            *(long long *)field = -1;
        else
            *(double *)field = -1;
    } else if (r->type == XR_OPT_STRS) {
        if (origin->kind != at.kind)
            ((xr_strs *)field)->n = 0;
        st = add_text(o, r, at, text, field);
    } else {
        st = r->type == XR_OPT_INT      ? set_int(r, at, text, field)
             : r->type == XR_OPT_FLOAT  ? set_float(r, at, text, field)
             : r->type == XR_OPT_BOOL   ? set_bool(r, at, text, field)
             : r->type == XR_OPT_CHOICE ? set_choice(o, r, at, text, field)
                                        : set_text(o, r, at, text, field);
    }
    if (st >= 0)
        *origin = at;
    return st;
}

xr_status xr_options_init(xr_options *o, unsigned verb)
{
    memset(o, 0, sizeof *o);
    o->verb = verb;
    for (size_t i = 0; i < N_ROWS; i++)
        if ((table[i].verbs & verb) && table[i].def)
            XR_TRY(xr_option_set(o, &table[i], table[i].def, (xr_origin){ XR_FROM_DEFAULT, NULL, 0 }));
    return XR_OK;
}

void xr_options_free(xr_options *o)
{
    for (size_t i = 0; i < o->n_owned; i++)
        xr_free(o->owned[i]);
    xr_free(o->owned);
    for (size_t i = 0; i < N_ROWS; i++)
        if (table[i].type == XR_OPT_STRS) {
            xr_strs *list = (xr_strs *)((char *)o + table[i].offset);
            xr_free(list->v);
            list->v = NULL;
        }
    xr_free(o->args);
    memset(o, 0, sizeof *o);
}

/* The verbs of a mask, for "belongs to". */
static xr_status verb_list(unsigned verbs, xr_str *out)
{
    for (unsigned v = 1; v & XR_V_ALL; v <<= 1)
        if (verbs & v)
            XR_TRY(xr_str_printf(out, "%s%s", out->len ? ", " : "", xr_verb_name(v)));
    return XR_OK;
}

xr_status xr_option_unknown(const xr_options *o, const char *key, xr_origin at)
{
    const xr_option *other = find(XR_V_ALL, key, strlen(key));
    const char *near = xr_option_nearest(o->verb, key), *verb = xr_verb_name(o->verb);
    int config = at.kind == XR_FROM_CONFIG;
    char flag[XR_KEY_MAX];
    xr_str hint = { 0 };
    const char *dashes = config ? "" : "--";
    xr_status st = XR_OK;
    if (other) {
        unsigned verbs = 0;
        for (size_t i = 0; i < N_ROWS; i++)
            verbs |= strcmp(table[i].key, other->key) == 0 ? table[i].verbs : 0;
        st = verb_list(verbs, &hint);
        if (st >= 0)
            st = xr_fail(config ? XR_ECONFIG : XR_EUSAGE, "%s%s: is an option of %s, not of %s; %s", dashes, key, hint.s, verb,
                         o->verb == XR_V_SWEEP ? "options of the runs, --config among them, stand behind a --" : "leave it out");
    } else {
        if (near)
            st = xr_str_printf(&hint, "; did you mean %s%s?", dashes, config ? near : xr_option_flag(near, flag));
        if (st >= 0)
            st = xr_fail(config ? XR_ECONFIG : XR_EUSAGE, "%s%s: unknown option of %s%s (xlmr %s --help lists them)",
                         dashes, key, verb, hint.len ? hint.s : "", verb);
    }
    xr_str_free(&hint);
    return st;
}

/* The YAML file's turn comes before the flags', wherever --config stands: the arguments are walked twice. */
typedef enum phase { FIND_CONFIG, APPLY } phase;

static xr_status apply(xr_options *o, const xr_option *r, const char *value, phase ph)
{
    const xr_origin at = { XR_FROM_FLAG, NULL, 0 };
    int is_config = r->field == XR_OPTION_ROW_config;
    if (is_config && ph == FIND_CONFIG && o->config)
        return xr_fail(XR_EUSAGE, "--config is given twice (%s and %s); put all options in one file", o->config, value);
    if (ph == APPLY && (r->flags & XR_MANY) && o->origin[r->field].kind == XR_FROM_FLAG) {
        o->args[o->n_args++] = value;
        return XR_OK;
    }
    return is_config == (ph == FIND_CONFIG) ? xr_option_set(o, r, value, at) : XR_OK;
}

static xr_status no_value(const xr_option *r)
{
    char flag[XR_KEY_MAX];
    xr_str expected = { 0 };
    xr_status st = xr_option_expected(r, &expected);
    if (st >= 0)
        st = xr_fail(XR_EUSAGE,
                     "--%s has no value behind it; expected %s (a value that begins with -- is given as --%s=VALUE)",
                     xr_option_flag(r->key, flag), expected.s, flag);
    xr_str_free(&expected);
    return st;
}

/* One "--…" argument and, where it takes one, the next. */
static xr_status walk_flag(xr_options *o, int argc, char *const *argv, int *i, phase ph)
{
    const char *name = argv[*i] + 2, *eq = strchr(name, '=');
    size_t len = eq ? (size_t)(eq - name) : strlen(name);
    const xr_option *r = find(o->verb, name, len);
    if (!r && !eq && strncmp(name, "no", 2) == 0 && (name[2] == '-' || name[2] == '_')) {
        r = find(o->verb, name + 3, len - 3);
        if (r && r->type == XR_OPT_BOOL)
            return apply(o, r, "false", ph);
        r = NULL;
    }
    if (!r) {
        char *key = xr_strndup(name, len);
        xr_status st = key ? xr_option_unknown(o, key, (xr_origin){ XR_FROM_FLAG, NULL, 0 }) : xr_error_status();
        xr_free(key);
        return st;
    }
    if (eq)
        return apply(o, r, eq + 1, ph);
    const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
    if (r->type == XR_OPT_BOOL) {
        int given = next && (strcmp(next, "true") == 0 || strcmp(next, "false") == 0);
        *i += given;
        return apply(o, r, given ? next : "true", ph);
    }
    if (!next || strncmp(next, "--", 2) == 0)
        return no_value(r);
    (*i)++;
    return apply(o, r, next, ph);
}

static xr_status walk(xr_options *o, int argc, char *const *argv, phase ph)
{
    int only_args = 0;
    o->n_args = 0;
    for (int i = 0; i < argc && !o->help; i++) {
        const char *a = argv[i];
        if (only_args || a[0] != '-' || !a[1]) {
            o->args[o->n_args++] = a;
        } else if (strcmp(a, "--") == 0) {
            only_args = 1;
        } else if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0) {
            o->help = 1;
            o->short_help = a[1] == 'h';
        } else if (a[1] == '-') {
            XR_TRY(walk_flag(o, argc, argv, &i, ph));
        } else {
            return xr_fail(XR_EUSAGE,
                           "%s: unknown option; options are --long, apart from -h; an argument that begins with a dash "
                           "goes behind --",
                           a);
        }
    }
    return XR_OK;
}

static xr_status check_required(const xr_options *o)
{
    char flag[XR_KEY_MAX];
    const char *verb = xr_verb_name(o->verb);
    for (size_t i = 0; i < N_ROWS; i++) {
        const xr_option *r = &table[i];
        const void *field = (const char *)o + r->offset;
        if (!(r->verbs & o->verb) || !(r->flags & XR_REQUIRED) || (o->verb & XR_V_ESTIMATE))
            continue;
        if (r->type == XR_OPT_STRS ? !((const xr_strs *)field)->n : !*(const char *const *)field)
            return xr_fail(XR_EUSAGE, "%s needs --%s %s: %s (xlmr %s -h shows an example)", verb,
                           xr_option_flag(r->key, flag), r->meta, r->help, verb);
    }
    return XR_OK;
}

xr_status xr_options_parse(xr_options *o, int argc, char *const *argv)
{
    o->args = xr_alloc((size_t)argc + 1, sizeof *o->args);
    if (!o->args)
        return xr_error_status();
    XR_TRY(walk(o, argc, argv, FIND_CONFIG));
    if (o->help)
        return XR_OK;
    if (o->config)
        XR_TRY(xr_options_file(o, o->config));
    XR_TRY(walk(o, argc, argv, APPLY));
    return o->print_config ? XR_OK : check_required(o);
}

xr_status xr_options_set(xr_options *o, const char *key, const char *value)
{
    const xr_origin at = { XR_FROM_FLAG, NULL, 0 };
    const xr_option *r = xr_option_find(o->verb, key);
    return r ? xr_option_set(o, r, value, at) : xr_option_unknown(o, key, at);
}

xr_origin xr_options_origin(const xr_options *o, const char *key)
{
    const xr_option *r = xr_option_find(o->verb, key);
    return r ? o->origin[r->field] : (xr_origin){ XR_FROM_DEFAULT, NULL, 0 };
}
