/* xlmr inspect: what is in a run, checkpoint, token store, model directory or file, and in what two of them differ (train/inspect.c). */
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "train/inspect.h"
#include "util/alloc.h"
#include "util/number.h"

enum { LINES = 20 };        /* of differences, which are all in the JSON */

static const char *text(const json_t *j, const char *key)
{
    const char *s = json_string_value(json_object_get(j, key));
    return s ? s : "";
}

static long long integer(const json_t *j, const char *key) { return json_integer_value(json_object_get(j, key)); }

/* --- one thing ------------------------------------------------------------------------------------------------------- */

static xr_status print_value(const char *key, const json_t *value)
{
    char *s = json_is_string(value) ? xr_strdup(json_string_value(value)) : xr_json_dump(value, 0);
    xr_status status = s ? xr_out("  %-24s %.400s\n", key, s) : xr_error_status();
    xr_free(s);
    return status;
}

/* What is not set says nothing. */
static xr_status print_object(const char *title, json_t *object)
{
    const char *key;
    json_t *value;
    if (json_object_size(object) == 0)
        return XR_OK;
    XR_TRY(xr_out("\n%s\n", title));
    json_object_foreach(object, key, value)
        if (!json_is_null(value) && !(json_is_array(value) && json_array_size(value) > LINES))
            XR_TRY(print_value(key, value));
    return XR_OK;
}

static xr_status print_checkpoints(const json_t *j)
{
    size_t i;
    json_t *c, *list = json_object_get(j, "checkpoints"), *models = json_object_get(j, "models");
    if (!list)
        return XR_OK;
    XR_TRY(xr_out("\ncheckpoints\n"));
    json_array_foreach(list, i, c)
        XR_TRY(xr_out("  step %-10lld %s\n", integer(c, "step"), json_is_true(json_object_get(c, "good")) ? "good" : text(c, "why")));
    json_array_foreach(models, i, c)
        XR_TRY(xr_out("  model in %s/\n", json_string_value(c)));
    return xr_out("\nbelow: %s\n", text(j, "shown"));
}

static void format_shape(const json_t *shape, char out[64])
{
    size_t i, n = (size_t)snprintf(out, 64, "[");
    json_t *d;
    json_array_foreach(shape, i, d)
        if (n < 60)
            n += (size_t)snprintf(out + n, 64 - n, "%s%lld", i ? ", " : "", json_integer_value(d));
    snprintf(out + (n < 60 ? n : 60), 4, "]");
}

static xr_number figure(const json_t *t, const char *key)
{
    xr_number n = { "-" };
    const json_t *j = json_object_get(t, key);
    if (json_is_real(j))
        snprintf(n.s, sizeof n.s, "%.6g", json_real_value(j));
    return n;
}

static xr_status print_tensors(const json_t *j)
{
    size_t i;
    json_t *t, *list = json_object_get(j, "tensors");
    int width = 4;
    json_array_foreach(list, i, t)
        width = (int)strlen(text(t, "name")) > width ? (int)strlen(text(t, "name")) : width;
    width = width > 72 ? 72 : width;
    XR_TRY(xr_out("\n%-*s  %-16s %-6s %12s %12s %12s %s\n", width, "name", "shape", "type", "norm", "min", "max", "non-finite"));
    json_array_foreach(list, i, t) {
        char shape[64];
        format_shape(json_object_get(t, "shape"), shape);
        XR_TRY(xr_out("%-*s  %-16s %-6s %12s %12s %12s %lld\n", width, text(t, "name"), shape, text(t, "type"), figure(t, "norm").s, figure(t, "min").s,
                      figure(t, "max").s, integer(t, "non_finite")));
    }
    return XR_OK;
}

static xr_status print_totals(const json_t *j)
{
    const json_t *t = json_object_get(j, "totals");
    return xr_out("\n%s tensors, %s elements, %.1f MB, %s not finite\n", xr_number_count((double)integer(t, "tensors")).s,
                  xr_number_count((double)integer(t, "elements")).s, (double)integer(t, "bytes") * 1e-6, xr_number_count((double)integer(t, "non_finite")).s);
}

static xr_status print_files(const json_t *j)
{
    size_t i;
    json_t *f, *list = json_object_get(j, "files");
    XR_TRY(xr_out("\nfiles\n"));
    json_array_foreach(list, i, f)
        XR_TRY(xr_out("  %-32s %s bytes\n", text(f, "name"), xr_number_count((double)integer(f, "bytes")).s));
    return XR_OK;
}

static xr_status print_all(const json_t *j)
{
    XR_TRY(xr_out("%s: %s", text(j, "path"), text(j, "kind")));
    XR_TRY(json_object_get(j, "step") ? xr_out(", step %lld\n", integer(j, "step")) : xr_out("\n"));
    if (*text(j, "tokenizer_sha256"))
        XR_TRY(xr_out("tokenizer %s\n", text(j, "tokenizer_sha256")));
    XR_TRY(print_object("options", json_object_get(j, "options")));
    XR_TRY(print_checkpoints(j));
    XR_TRY(print_object("facts", json_object_get(j, "facts")));
    XR_TRY(print_object("config.json", json_object_get(j, "config")));
    XR_TRY(print_object("manifest", json_object_get(j, "manifest")));
    XR_TRY(print_files(j));
    XR_TRY(print_tensors(j));
    return print_totals(j);
}

static xr_status inspect(const xr_options *o, const char *path)
{
    json_t *j = xr_inspect(path);
    xr_status status = !j ? xr_error_status() : o->json ? xr_out_json(j) : print_all(j);
    json_decref(j);
    return status;
}

/* --- two things ------------------------------------------------------------------------------------------------------ */

static xr_status print_pair(const char *what, const json_t *pair)
{
    if (!pair)
        return XR_OK;
    char *a = xr_json_dump(json_object_get(pair, "a"), 0), *b = xr_json_dump(json_object_get(pair, "b"), 0);
    xr_status status = a && b ? xr_out("%s: %s in the first, %s in the second\n", what, a, b) : xr_error_status();
    xr_free(a);
    xr_free(b);
    return status;
}

static xr_status print_place(const char *what, const json_t *p, const char *size)
{
    if (!p)
        return XR_OK;
    if (*text(p, "why"))
        return xr_out("%s: %s: %s\n", what, text(p, "name"), text(p, "why"));
    char title[256];
    snprintf(title, sizeof title, "%s: %.160s, element %lld", what, text(p, "name"), integer(p, "element"));
    XR_TRY(print_pair(title, p));
    return *size && json_is_real(json_object_get(p, size)) ? xr_out("    %s difference %.9g\n", size, json_real_value(json_object_get(p, size))) : XR_OK;
}

static xr_status print_names(const char *what, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
        if (i < LINES)
            XR_TRY(xr_out("%s: %s\n", what, json_string_value(name)));
    return json_array_size(names) > LINES ? xr_out("%s: and %zu more\n", what, json_array_size(names) - LINES) : XR_OK;
}

static xr_status print_options(const json_t *list)
{
    size_t i;
    json_t *option;
    json_array_foreach(list, i, option)
        XR_TRY(print_pair(text(option, "key"), option));
    return XR_OK;
}

static xr_status print_diff(const json_t *j)
{
    XR_TRY(xr_out("first: %s\nsecond: %s\n", text(j, "a"), text(j, "b")));
    XR_TRY(print_names("not compared", json_object_get(j, "not_compared")));
    if (json_is_true(json_object_get(j, "equal")))
        return xr_out("equal\n");
    XR_TRY(print_place("first tensor that differs", json_object_get(j, "first"), ""));
    XR_TRY(print_place("largest difference", json_object_get(j, "largest"), "absolute"));
    XR_TRY(print_place("largest relative difference", json_object_get(j, "largest_relative"), "relative"));
    XR_TRY(xr_out("%zu tensors differ\n", json_array_size(json_object_get(j, "differing"))));
    XR_TRY(print_names("only in the first", json_object_get(j, "only_a")));
    XR_TRY(print_names("only in the second", json_object_get(j, "only_b")));
    XR_TRY(print_options(json_object_get(j, "options")));
    XR_TRY(print_pair("tokenizer", json_object_get(j, "tokenizer")));
    return print_pair("step", json_object_get(j, "step"));
}

static xr_status compare(const xr_options *o)
{
    json_t *j;
    if (o->n_args != 1)
        return xr_fail(XR_EUSAGE, "inspect: --diff compares two paths; give xlmr inspect --diff A B");
    /* `--diff A B` and `A --diff B` are told apart by nothing that is left of the command line: both sides are printed. */
    XR_TRY(xr_inspect_diff(o->diff, o->args[0], &j));
    int equal = json_is_true(json_object_get(j, "equal"));
    xr_status status = o->json ? xr_out_json(j) : print_diff(j);
    json_decref(j);
    return status == XR_OK && !equal ? XR_EDIFFER : status;
}

static xr_status run(const xr_options *o)
{
    if (o->diff)
        return compare(o);
    if (o->n_args == 0)
        return xr_fail(XR_EUSAGE, "inspect: no path given; give a run, checkpoint, token store, model directory or file");
    for (size_t i = 0; i < o->n_args; i++)
        XR_TRY(inspect(o, o->args[i]));
    return XR_OK;
}

const xr_cmd xr_cmd_inspect = {
    "inspect", XR_V_INSPECT, "what is in a run, checkpoint, token store or model, as a table; or in what two differ", "PATH ...",
    "xlmr inspect my-run\n"
    "xlmr inspect --diff my-run/checkpoints/step-00001000 other-run/checkpoints/step-00001000\n"
    "xlmr inspect xlm-roberta-base --json\n",
    run,
};
