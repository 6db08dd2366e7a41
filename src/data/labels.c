/* Names of classes: labels are matched by name, never by position, so that the three label orders of NLI data cannot be
 * mixed up. */
#include <stdlib.h>
#include <string.h>
#include "data/dataset.h"
#include "util/alloc.h"
#include "util/str.h"

/* Spellings seen in public data sets: XNLI's translated training files, SICK. */
static const char *const aliases[][2] = { { "contradictory", "contradiction" },
                                          { "ENTAILMENT", "entailment" },
                                          { "NEUTRAL", "neutral" },
                                          { "CONTRADICTION", "contradiction" } };
static const char *const nli[] = { "entailment", "neutral", "contradiction" };
enum { N_ALIASES = sizeof aliases / sizeof *aliases, N_NLI = sizeof nli / sizeof *nli };

void xr_labels_cut(xr_labels *l, int n)
{
    while (l->n > n)
        xr_free(l->name[--l->n]);
}

void xr_labels_free(xr_labels *l)
{
    xr_labels_cut(l, 0);
    for (int i = 0; i < l->n_map; i++) {
        xr_free(l->from[i]);
        xr_free(l->to[i]);
    }
    xr_free(l->name);
    xr_free(l->from);
    xr_free(l->to);
    memset(l, 0, sizeof *l);
}

static int find_name(const xr_labels *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->name[i], name))
            return i;
    return -1;
}

static int find_from(const xr_labels *l, const char *from)
{
    for (int i = 0; i < l->n_map; i++)
        if (!strcmp(l->from[i], from))
            return i;
    return -1;
}

static xr_status grow_map(xr_labels *l)
{
    int cap = l->cap_map ? 2 * l->cap_map : 8;
    char **from, **to;

    if (l->n_map < l->cap_map)
        return XR_OK;
    from = xr_realloc(l->from, (size_t)cap, sizeof *from);
    l->from = from ? from : l->from;
    to = from ? xr_realloc(l->to, (size_t)cap, sizeof *to) : NULL;
    l->to = to ? to : l->to;
    if (!to)
        return xr_error_status();
    l->cap_map = cap;
    return XR_OK;
}

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

static size_t trimmed_length(const char *s, size_t n)
{
    while (n && strchr(" \t\r\n", s[n - 1]))
        n--;
    return n;
}

/* A copy of [s, s + n) without white space at either end. */
static char *trimmed(const char *s, size_t n)
{
    const char *start = s;
    while (start < s + n && strchr(" \t", *start))
        start++;
    n -= (size_t)(start - s);
    return xr_strndup(start, trimmed_length(start, n));
}

/* One "from=to" of n bytes. */
static xr_status add_mapping(xr_labels *l, const char *item, size_t n)
{
    const char *equals = memchr(item, '=', n);
    char *from, *to;
    xr_status status = XR_OK;

    if (!equals || memchr(equals + 1, '=', n - (size_t)(equals - item) - 1))
        return xr_fail(
            XR_EUSAGE,
            "label map: '%.*s' has no '=', or two; expected FROM=TO[,FROM=TO...], as in e=entailment,n=neutral", (int)n,
            item);
    from = trimmed(item, (size_t)(equals - item));
    to = from ? trimmed(equals + 1, n - (size_t)(equals - item) - 1) : NULL;
    if (!from || !to)
        status = xr_error_status();
    else if (!*from || !*to)
        status =
            xr_fail(XR_EUSAGE,
                    "label map: an empty name in '%.*s'; expected FROM=TO[,FROM=TO...], as in e=entailment,n=neutral",
                    (int)n, item);
    else if (find_from(l, from) >= 0)
        status = xr_fail(XR_EUSAGE, "label map: '%s' is mapped twice; expected each label once; remove one", from);
    else
        status = grow_map(l);
    if (status < 0) {
        xr_free(from);
        xr_free(to);
        return status;
    }
    l->from[l->n_map] = from;
    l->to[l->n_map++] = to;
    return XR_OK;
}

xr_status xr_labels_map(xr_labels *l, const char *spec)
{
    for (;;) {
        size_t n = strcspn(spec, ",");
        XR_TRY(add_mapping(l, spec, n));
        if (!spec[n])
            return XR_OK;
        spec += n + 1;
    }
}

int xr_labels_add(xr_labels *l, const char *name)
{
    int id = find_name(l, name);

    if (id >= 0)
        return id;
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 8;
        char **grown = xr_realloc(l->name, (size_t)cap, sizeof *grown);
        if (!grown)
            return xr_error_status();
        l->name = grown;
        l->cap = cap;
    }
    l->name[l->n] = xr_strdup(name);
    return l->name[l->n] ? l->n++ : xr_error_status();
}

const char *xr_labels_resolve(const xr_labels *l, const char *text)
{
    int at = find_from(l, text);

    if (at >= 0)
        return l->to[at];
    if (find_name(l, text) >= 0)
        return text;
    for (int i = 0; i < N_ALIASES; i++)
        if (!strcmp(aliases[i][0], text))
            return aliases[i][1];
    return text;
}

int xr_labels_find(const xr_labels *l, const char *text)
{
    char name[256];
    size_t n;
    const char *known;

    text = skip_space(text);
    n = trimmed_length(text, strlen(text));
    if (n >= sizeof name)
        return -1;
    memcpy(name, text, n);
    name[n] = '\0';
    known = xr_labels_resolve(l, name);
    int id = find_name(l, known);       /* a tag may be called "-" */
    return id < 0 && !strcmp(known, "-") ? -2 : id;
}

char *xr_labels_list(const xr_labels *l)
{
    xr_str b = { 0 };
    xr_status status = xr_str_puts(&b, "");

    for (int i = 0; i < l->n && i < 50 && status >= 0; i++)
        status = xr_str_printf(&b, "%s%s", i ? ", " : "", l->name[i]);
    if (status >= 0 && l->n > 50)
        status = xr_str_puts(&b, ", …");
    if (status >= 0 && b.s)
        return b.s;
    xr_str_free(&b);
    return status < 0 ? NULL : xr_strdup("");
}

/* ---- order ---- */

typedef struct ranked { char *name; int old; } ranked;

static int nli_rank(const char *name)
{
    for (int i = 0; i < N_NLI; i++)
        if (!strcmp(name, nli[i]))
            return i;
    return -1;
}

static int by_nli(const void *a, const void *b)
{
    return nli_rank(((const ranked *)a)->name) - nli_rank(((const ranked *)b)->name);
}

static int by_name(const void *a, const void *b)
{
    const char *x = ((const ranked *)a)->name, *y = ((const ranked *)b)->name;
    long long i = 0, k = 0;
    int x_is_number = xr_parse_int(x, &i), y_is_number = xr_parse_int(y, &k);

    if (x_is_number != y_is_number)
        return x_is_number ? -1 : 1;
    if (x_is_number && i != k)
        return i < k ? -1 : 1;
    return strcmp(x, y);
}

/* target row of C values moved to the new ids, through `row` */
static void renumber(xr_dataset *d, const int *new_id, float *row, int C)
{
    for (size_t w = 0; w < d->words.n; w++)
        d->words.tag[w] = d->words.tag[w] < 0 ? d->words.tag[w] : new_id[d->words.tag[w]];
    for (size_t i = 0; i < d->n; i++) {
        if (!d->n_target) {
            d->label[i] = d->label[i] < 0 ? d->label[i] : new_id[d->label[i]];
            continue;
        }
        float *target = d->target + i * d->n_target;
        memcpy(row, target, (size_t)C * sizeof *row);
        for (int c = 0; c < C; c++)
            target[new_id[c]] = row[c];
    }
}

xr_status xr_labels_sort(xr_labels *l, xr_dataset *d)
{
    size_t n = (size_t)l->n;
    ranked *r = xr_alloc(n, sizeof *r);
    int *new_id = r ? xr_alloc(n, sizeof *new_id) : NULL;
    float *row = new_id ? xr_alloc(n, sizeof *row) : NULL;
    int all_nli = 1;

    XR_ASSERT(!d || !d->n_target || d->n_target == n, "%zu target columns for %zu labels", d->n_target, n);
    if (row) {
        for (size_t i = 0; i < n; i++) {
            r[i] = (ranked){ l->name[i], (int)i };
            all_nli = all_nli && nli_rank(l->name[i]) >= 0;
        }
        qsort(r, n, sizeof *r, all_nli ? by_nli : by_name);
        for (size_t i = 0; i < n; i++) {
            l->name[i] = r[i].name;
            new_id[r[i].old] = (int)i;
        }
        if (d)
            renumber(d, new_id, row, l->n);
    }
    xr_free(r);
    xr_free(new_id);
    xr_status status = row ? XR_OK : xr_error_status();
    xr_free(row);
    return status;
}
