/* Labels that are hardly meant as they are spelt: a run trains on them all the same, and says so. */
#include <stdlib.h>
#include <string.h>

#include "train/finetune.h"
#include "util/alloc.h"
#include "util/log.h"
#include "util/str.h"
#include "util/utf8.h"

/* Two labels with the same key are likely one: lower case, without white space and characters that nobody sees; numbers by their value. */
typedef struct keyed { xr_str key; const char *name; } keyed;

static int is_unseen(uint32_t c)
{
    return (xr_utf8_is_blank(c) && c != 0xFFFD) || c == 0xAD || c == 0x2060;
}

static xr_status make_key(keyed *k, const char *name)
{
    double value;
    k->name = name;
    if (xr_parse_double(name, &value))
        return xr_str_printf(&k->key, "%.17g", value);
    XR_TRY(xr_str_puts(&k->key, ""));
    for (size_t n = strlen(name), at = 0, size; at < n; at += size) {
        uint32_t c = xr_utf8_decode(name + at, n - at, &size);
        if (!is_unseen(c))
            XR_TRY(xr_utf8_append(&k->key, xr_utf8_lower(c)));
    }
    return XR_OK;
}

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    int order = strcmp(x->key.s, y->key.s);
    return order ? order : strcmp(x->name, y->name);
}

/* The first pair stands for all. */
static void tell_alike(keyed *k, size_t n)
{
    size_t pairs = 0, first = 0;
    qsort(k, n, sizeof *k, by_key);
    for (size_t i = 1; i < n; i++)
        if (strcmp(k[i - 1].key.s, k[i].key.s) == 0 && pairs++ == 0)
            first = i;
    if (pairs == 0)
        return;
    size_t longer = strlen(k[first].name) > strlen(k[first - 1].name);     /* "1.0", or the one with a blank, becomes the other */
    const char *a = k[first - 1 + longer].name, *b = k[first - longer].name;
    xr_warn("the labels '%s' and '%s' differ only in case, white space or the writing of a number%s, and are two classes here: if they are one, give "
            "--label-map '%s=%s'", a, b, pairs > 1 ? ", as others do" : "", a, b);
}

static xr_status warn_alike(const xr_labels *l)
{
    size_t n = (size_t)l->n;
    keyed *k = xr_alloc(n, sizeof *k);
    xr_status status = k ? XR_OK : xr_error_status();
    for (size_t i = 0; status == XR_OK && i < n; i++)
        status = make_key(&k[i], l->name[i]);
    if (status == XR_OK)
        tell_alike(k, n);
    for (size_t i = 0; k && i < n; i++)
        xr_str_free(&k[i].key);
    xr_free(k);
    return status;
}

/* What pandas takes for a missing value, but for "None", which is the name of a class as often. */
static int is_missing(const char *name)
{
    static const char *const spelling[] = { "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "NULL", "null" };
    for (size_t i = 0; i < sizeof spelling / sizeof *spelling; i++)
        if (strcmp(name, spelling[i]) == 0)
            return 1;
    return 0;
}

static void warn_missing(const xr_labels *l)
{
    for (int i = 0; i < l->n; i++)
        if (is_missing(l->name[i]))
            xr_warn("the label '%s' is a class like the others: if it says that there is none, leave its rows out with --label-map '%s=-'", l->name[i],
                    l->name[i]);
}

xr_status xr_finetune_warn_labels(const xr_finetune *f)
{
    if (f->labels.n == 0)
        return XR_OK;
    if (f->problem == XR_PROBLEM_SINGLE_LABEL)
        warn_missing(&f->labels);
    return warn_alike(&f->labels);
}
