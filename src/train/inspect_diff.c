/* In what two things differ: tensors by name, bit by bit, then options, tokenizer and step. */
#include "train/inspect.h"

#include <math.h>
#include <string.h>

#include "util/alloc.h"

static const char weights[] = "param/";

typedef struct diff {
    const xr_subject *a, *b;
    json_t *out, *first, *largest, *largest_relative, *differing, *only_a, *only_b, *not_compared;     /* the lists are borrowed from out */
    double absolute, relative;          /* of the largest */
    const char *label;
} diff;

/* Of one tensor. Positions are of elements in their order in the file. */
typedef struct place { uint64_t at; double a, b, size; } place;
typedef struct tally { uint64_t n; place first, absolute, relative; } tally;

static xr_status no_memory(void)
{
    return xr_fail(XR_ESYSTEM, "out of memory for the differences");
}

static xr_status put(json_t *to, const char *key, json_t *value)
{
    return value && json_object_set_new(to, key, value) == 0 ? XR_OK : no_memory();
}

static xr_status append(json_t *list, json_t *value)
{
    return value && json_array_append_new(list, value) == 0 ? XR_OK : no_memory();
}

/* JSON has no name for what is not finite. */
static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_string(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

static json_t *full_name(const diff *d, const char *name)
{
    char *s = xr_asprintf("%s%s", d->label, name);
    json_t *j = s ? json_string(s) : NULL;
    xr_free(s);
    return j;
}

/* --- elements -------------------------------------------------------------------------------------------------------- */

/* NaN beside a number is further away than any number. */
static double distance(double a, double b)
{
    double x = fabs(a - b);
    return a == b ? 0 : isnan(x) ? HUGE_VAL : x;
}

static double relative_distance(double a, double b, double absolute)
{
    double most = fmax(fabs(a), fabs(b));
    return absolute == 0 ? 0 : isfinite(absolute) && most > 0 ? absolute / most : HUGE_VAL;
}

static void tally_element(tally *t, uint64_t at, double a, double b)
{
    place p = { at, a, b, distance(a, b) };
    if (t->n++ == 0)
        t->first = t->absolute = t->relative = p, t->relative.size = relative_distance(a, b, p.size);
    if (p.size > t->absolute.size)
        t->absolute = p;
    p.size = relative_distance(a, b, p.size);
    if (p.size > t->relative.size)
        t->relative = p;
}

static void tally_part(tally *t, const xr_tensor_reader *a, const xr_tensor_reader *b, size_t n)
{
    size_t size = xr_element_size(a->e->element);
    if (memcmp(a->raw, b->raw, n * size) == 0)
        return;
    for (size_t i = 0; i < n; i++)
        if (memcmp((const char *)a->raw + i * size, (const char *)b->raw + i * size, size) != 0)
            tally_element(t, a->at - n + i, a->value[i], b->value[i]);
}

static xr_status tally_tensor(tally *t, const xr_tensor_entry *a, const xr_tensor_entry *b)
{
    xr_tensor_reader x, y = { .dataset = -1 };
    size_t n = 1, together = xr_tensor_together(a) > xr_tensor_together(b) ? xr_tensor_together(a) : xr_tensor_together(b);
    xr_status status = xr_tensor_reader_open(&x, a, together);
    if (status == XR_OK)
        status = xr_tensor_reader_open(&y, b, together);
    while (status == XR_OK && n > 0) {
        status = xr_tensor_reader_next(&x, &n);
        if (status == XR_OK)
            status = xr_tensor_reader_next(&y, &n);
        if (status == XR_OK)
            tally_part(t, &x, &y, n);
    }
    xr_tensor_reader_close(&x);
    xr_tensor_reader_close(&y);
    return status;
}

/* --- one tensor ------------------------------------------------------------------------------------------------------ */

static json_t *place_object(const diff *d, const char *name, const place *p, const char *size)
{
    return json_pack("{so sI so so so*}", "name", full_name(d, name), "element", (json_int_t)p->at, "a", number(p->a), "b", number(p->b), size,
                     number(p->size));
}

static xr_status keep_largest(diff *d, const char *name, const tally *t)
{
    if (!d->largest || t->absolute.size > d->absolute) {
        d->absolute = t->absolute.size;
        json_decref(d->largest);
        d->largest = place_object(d, name, &t->absolute, "absolute");
    }
    if (!d->largest_relative || t->relative.size > d->relative) {
        d->relative = t->relative.size;
        json_decref(d->largest_relative);
        d->largest_relative = place_object(d, name, &t->relative, "relative");
    }
    return d->largest && d->largest_relative ? XR_OK : no_memory();
}

static xr_status report_values(diff *d, const char *name, const xr_tensor_entry *e, const tally *t)
{
    if (t->n == 0)
        return XR_OK;
    if (!d->first)
        d->first = place_object(d, name, &t->first, "absolute");
    if (d->a->kind != XR_ART_CHECKPOINT || xr_element_is_float(e->element))     /* counters of a run are larger than any weight */
        XR_TRY(keep_largest(d, name, t));
    return append(d->differing, json_pack("{so sI sI so so}", "name", full_name(d, name), "elements", (json_int_t)t->n, "of", (json_int_t)e->n, "absolute",
                                          number(t->absolute.size), "relative", number(t->relative.size)));
}

static xr_status shape_text(xr_str *s, const xr_tensor_entry *e)
{
    XR_TRY(xr_str_printf(s, "%s [", e->type));
    for (int i = 0; i < e->rank; i++)
        XR_TRY(xr_str_printf(s, "%s%llu", i ? ", " : "", (unsigned long long)e->shape[i]));
    return xr_str_puts(s, "]");
}

static xr_status report_form(diff *d, const char *name, const xr_tensor_entry *a, const xr_tensor_entry *b)
{
    xr_str why = { 0 };
    xr_status status = shape_text(&why, a);
    if (status == XR_OK)
        status = xr_str_puts(&why, " and ");
    if (status == XR_OK)
        status = shape_text(&why, b);
    if (status == XR_OK && !d->first)
        d->first = json_pack("{so ss}", "name", full_name(d, name), "why", why.s);
    if (status == XR_OK)
        status = append(d->differing, json_pack("{so ss}", "name", full_name(d, name), "why", why.s));
    xr_str_free(&why);
    return status;
}

/* A checkpoint keeps rows without their shapes, so beside a model the number of elements is what counts. */
static int same_form(const diff *d, const xr_tensor_entry *a, const xr_tensor_entry *b)
{
    if (strcmp(a->type, b->type) != 0 || a->n != b->n)
        return 0;
    return d->a->kind != d->b->kind || (a->rank == b->rank && memcmp(a->shape, b->shape, sizeof a->shape) == 0);
}

static xr_status compare(diff *d, const char *name, const xr_tensor_entry *a, const xr_tensor_entry *b)
{
    tally t = { 0 };
    if (!same_form(d, a, b))
        return report_form(d, name, a, b);
    if (!a->known)
        return append(d->not_compared, full_name(d, name));
    XR_TRY(tally_tensor(&t, a, b));
    return report_values(d, name, a, &t);
}

/* --- all tensors ----------------------------------------------------------------------------------------------------- */

/* The name to compare by; NULL: not looked at. Where the logs stand decides nothing about a run. */
static const char *key(const diff *d, const xr_subject *of, const char *name)
{
    int alone = d->a->kind != d->b->kind && of->kind == XR_ART_CHECKPOINT;
    if (alone)
        return strncmp(name, weights, sizeof weights - 1) == 0 ? name + sizeof weights - 1 : NULL;
    return of->kind == XR_ART_CHECKPOINT && strncmp(name, "log/", 4) == 0 ? NULL : name;
}

/* Both lists are sorted by name. */
static xr_status merge(diff *d, const xr_tensors *a, const xr_tensors *b)
{
    for (size_t i = 0, j = 0; i < a->n || j < b->n;) {
        const char *x = i < a->n ? key(d, d->a, a->v[i].name) : NULL, *y = j < b->n ? key(d, d->b, b->v[j].name) : NULL;
        if ((i < a->n && !x) || (j < b->n && !y)) {
            i += i < a->n && !x;
            j += j < b->n && !y;
            continue;
        }
        int order = !x ? 1 : !y ? -1 : strcmp(x, y);
        if (order == 0)
            XR_TRY(compare(d, x, &a->v[i], &b->v[j]));
        else
            XR_TRY(append(order < 0 ? d->only_a : d->only_b, full_name(d, order < 0 ? x : y)));
        i += order <= 0;
        j += order >= 0;
    }
    return XR_OK;
}

static xr_status diff_part(diff *d, size_t i)
{
    xr_tensors a = { 0 }, b = { 0 };
    char *label = NULL, *other = NULL;
    xr_status status = xr_subject_tensors(d->a, i, &a, &label);
    if (status == XR_OK)
        status = xr_subject_tensors(d->b, i, &b, &other);
    d->label = label;
    if (status == XR_OK)
        status = merge(d, &a, &b);
    xr_tensors_close(&a);
    xr_tensors_close(&b);
    xr_free(label);
    xr_free(other);
    return status;
}

static xr_status diff_tensors(diff *d)
{
    size_t n = xr_subject_parts(d->a), m = xr_subject_parts(d->b);
    for (size_t i = 0; i < n && i < m; i++)
        XR_TRY(diff_part(d, i));
    for (size_t i = n < m ? n : m; i < n || i < m; i++)
        XR_TRY(append(n > m ? d->only_a : d->only_b, json_incref(json_array_get(n > m ? d->a->shards : d->b->shards, i))));
    return XR_OK;
}

/* --- what is told beside them ---------------------------------------------------------------------------------------- */

static json_t *or_null(json_t *j) { return j ? json_incref(j) : json_null(); }

static xr_status diff_about(diff *d, const char *what, const char *name)
{
    json_t *a = json_object_get(d->a->about, what), *b = json_object_get(d->b->about, what);
    if (!a || !b || json_equal(a, b))
        return XR_OK;
    return put(d->out, name, json_pack("{so so}", "a", or_null(a), "b", or_null(b)));
}

static xr_status add_option(json_t *list, const char *name, json_t *a, json_t *b)
{
    if (json_equal(a, b) || ((!a || json_is_null(a)) && (!b || json_is_null(b))))
        return XR_OK;
    return append(list, json_pack("{ss so so}", "key", name, "a", or_null(a), "b", or_null(b)));
}

/* config.json of models, options of runs. */
static xr_status diff_options(json_t *list, json_t *a, json_t *b)
{
    const char *name;
    json_t *value;
    if (!a || !b)
        return XR_OK;
    json_object_foreach(a, name, value)
        XR_TRY(add_option(list, name, value, json_object_get(b, name)));
    json_object_foreach(b, name, value)
        if (!json_object_get(a, name))
            XR_TRY(add_option(list, name, NULL, value));
    return XR_OK;
}

static json_t *add_list(json_t *out, const char *name)
{
    json_t *list = json_array();
    return list && json_object_set_new(out, name, list) == 0 ? list : NULL;
}

static xr_status start(diff *d, const char *a, const char *b)
{
    d->out = json_pack("{ss ss}", "a", a, "b", b);
    if (!d->out)
        return no_memory();
    d->differing = add_list(d->out, "differing");
    d->only_a = add_list(d->out, "only_a");
    d->only_b = add_list(d->out, "only_b");
    d->not_compared = add_list(d->out, "not_compared");
    return d->differing && d->only_a && d->only_b && d->not_compared ? XR_OK : no_memory();
}

static xr_status finish(diff *d)
{
    json_t *options = add_list(d->out, "options");
    XR_TRY(options ? XR_OK : no_memory());
    XR_TRY(diff_options(options, json_object_get(d->a->about, "options"), json_object_get(d->b->about, "options")));
    XR_TRY(diff_options(options, json_object_get(d->a->about, "config"), json_object_get(d->b->about, "config")));
    XR_TRY(diff_about(d, "tokenizer_sha256", "tokenizer"));
    XR_TRY(diff_about(d, "step", "step"));
    int equal = !json_array_size(d->differing) && !json_array_size(d->only_a) && !json_array_size(d->only_b) && !json_array_size(options) &&
                !json_object_get(d->out, "tokenizer") && !json_object_get(d->out, "step");
    XR_TRY(put(d->out, "equal", json_boolean(equal)));
    if (d->first)
        XR_TRY(put(d->out, "first", json_incref(d->first)));
    if (d->largest)
        XR_TRY(put(d->out, "largest", json_incref(d->largest)));
    return d->largest_relative ? put(d->out, "largest_relative", json_incref(d->largest_relative)) : XR_OK;
}

static xr_status check_kinds(const xr_subject *a, const xr_subject *b, const char *path_a, const char *path_b)
{
    if ((a->kind == XR_ART_STORE) == (b->kind == XR_ART_STORE))
        return XR_OK;
    return xr_fail(XR_EUSAGE, "%s: is a %s, %s a %s; give two of a kind", path_a, xr_artefact_name(a->kind), path_b, xr_artefact_name(b->kind));
}

static xr_status run(diff *d, const char *a, const char *b)
{
    XR_TRY(check_kinds(d->a, d->b, a, b));
    XR_TRY(start(d, a, b));
    XR_TRY(diff_tensors(d));
    return finish(d);
}

xr_status xr_inspect_diff(const char *a, const char *b, json_t **out)
{
    xr_subject x = { 0 }, y = { 0 };
    diff d = { .a = &x, .b = &y };
    *out = NULL;
    xr_status status = xr_subject_open(&x, a);
    if (status == XR_OK)
        status = xr_subject_open(&y, b);
    if (status == XR_OK)
        status = run(&d, a, b);
    json_decref(d.first);
    json_decref(d.largest);
    json_decref(d.largest_relative);
    xr_subject_close(&x);
    xr_subject_close(&y);
    if (status == XR_OK)
        *out = d.out;
    else
        json_decref(d.out);
    return status;
}
