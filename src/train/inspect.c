/* The description of one thing: what is told beside its tensors, then each tensor with its figures. */
#include "train/inspect.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "train/checkpoint.h"
#include "util/alloc.h"
#include "util/fs.h"

static xr_status no_memory(void)
{
    return xr_fail(XR_ESYSTEM, "out of memory for the description");
}

static xr_status append(json_t *list, json_t *value)
{
    return value && json_array_append_new(list, value) == 0 ? XR_OK : no_memory();
}

/* --- tensors --------------------------------------------------------------------------------------------------------- */

typedef struct totals { uint64_t tensors, elements, bytes, non_finite; } totals;

static json_t *number(double x, int there)
{
    return there && isfinite(x) ? json_real(x) : json_null();
}

static json_t *shape_of(const xr_tensor_entry *e)
{
    json_t *shape = json_array();
    for (int i = 0; i < e->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)e->shape[i]));
    return shape;
}

static json_t *describe(const xr_tensor_entry *e, const char *label, const xr_tensor_stats *s)
{
    char *name = xr_asprintf("%s%s", label, e->name);
    json_t *j = !name ? NULL : json_pack("{ss so ss so so so sI}", "name", name, "shape", shape_of(e), "type", e->type, "norm",
                                         number(sqrt(s->sum_squares), s->finite > 0), "min", number(s->min, s->finite > 0), "max",
                                         number(s->max, s->finite > 0), "non_finite", (json_int_t)s->non_finite);
    xr_free(name);
    return j;
}

static xr_status add_tensor(json_t *list, const xr_tensor_entry *e, const char *label, totals *t)
{
    xr_tensor_stats s = { 0 };
    if (e->known)
        XR_TRY(xr_tensor_measure(e, &s));
    t->tensors++;
    t->elements += e->n;
    t->bytes += e->known ? e->n * xr_element_size(e->element) : 0;
    t->non_finite += s.non_finite;
    return append(list, describe(e, label, &s));
}

static xr_status add_part(json_t *list, const xr_subject *subject, size_t part, totals *t)
{
    xr_tensors tensors = { 0 };
    char *label;
    xr_status status = xr_subject_tensors(subject, part, &tensors, &label);
    for (size_t i = 0; i < tensors.n && status == XR_OK; i++)
        status = add_tensor(list, &tensors.v[i], label, t);
    xr_tensors_close(&tensors);
    xr_free(label);
    return status;
}

static xr_status add_tensors(json_t *j, const xr_subject *subject)
{
    totals t = { 0 };
    json_t *list = json_array();
    if (!list || json_object_set_new(j, "tensors", list) != 0)
        return no_memory();
    for (size_t i = 0; i < xr_subject_parts(subject); i++)
        XR_TRY(add_part(list, subject, i, &t));
    json_t *sums = json_pack("{sI sI sI sI}", "tensors", (json_int_t)t.tensors, "elements", (json_int_t)t.elements, "bytes", (json_int_t)t.bytes,
                             "non_finite", (json_int_t)t.non_finite);
    return sums && json_object_set_new(j, "totals", sums) == 0 ? XR_OK : no_memory();
}

/* --- files ----------------------------------------------------------------------------------------------------------- */

/* Sorted by name. */
static xr_status add_file(const char *path, const char *name, void *context)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return errno == ENOENT || errno == ELOOP ? XR_OK /* a link that leads nowhere */
                                                 : xr_fail(XR_EIO, "%s: cannot be looked at: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return XR_OK;
    size_t at = json_array_size(context);
    while (at > 0 && strcmp(json_string_value(json_object_get(json_array_get(context, at - 1), "name")), name) > 0)
        at--;
    json_t *file = json_pack("{ss sI}", "name", name, "bytes", (json_int_t)st.st_size);
    return !file ? XR_OK : json_array_insert_new(context, at, file) == 0 ? XR_OK : no_memory();     /* a name that is no UTF-8 is left out */
}

static xr_status add_files(json_t *j, const xr_subject *subject)
{
    json_t *list = json_array();
    if (!list || json_object_set_new(j, "files", list) != 0)
        return no_memory();
    return xr_path_is_dir(subject->path) ? xr_dir_each(subject->path, add_file, list) : add_file(subject->path, subject->path, list);
}

/* --- runs ------------------------------------------------------------------------------------------------------------ */

static xr_status add_checkpoint(json_t *list, const char *run, uint64_t step)
{
    char *path = xr_checkpoint_path(run, step);
    json_t *m = path ? xr_checkpoint_verify(path) : NULL;
    xr_status status = m || xr_error_status() != XR_ESYSTEM ? XR_OK : XR_ESYSTEM;
    if (status == XR_OK)
        status = append(list, json_pack("{sI ss sb ss*}", "step", (json_int_t)step, "path", path, "good", m != NULL, "why", m ? NULL : xr_error_message()));
    if (!m && status == XR_OK)
        xr_error_clear();
    json_decref(m);
    xr_free(path);
    return status;
}

static xr_status add_checkpoints(json_t *j, const char *run)
{
    uint64_t *step = NULL;
    size_t n = 0;
    json_t *list = json_array();
    xr_status status = list && json_object_set_new(j, "checkpoints", list) == 0 ? xr_checkpoint_steps(run, &step, &n) : no_memory();
    for (size_t i = n; i-- > 0 && status == XR_OK;)
        status = add_checkpoint(list, run, step[i]);
    xr_free(step);
    return status;
}

static xr_status add_run(json_t *j, const char *run, const xr_subject *subject)
{
    json_t *models = json_array();
    if (!models || json_object_set_new(j, "models", models) != 0 || json_object_set_new(j, "shown", json_string(subject->path)) != 0)
        return no_memory();
    if (xr_dir_has(run, "best"))
        XR_TRY(append(models, json_string("best")));
    if (xr_dir_has(run, "final"))
        XR_TRY(append(models, json_string("final")));
    return add_checkpoints(j, run);
}

/* --- all ------------------------------------------------------------------------------------------------------------- */

static xr_status fill(json_t *j, const char *path, const xr_subject *subject)
{
    xr_artefact kind;
    XR_TRY(xr_artefact_find(path, &kind));
    if (!j || json_object_set_new(j, "path", json_string(path)) != 0 || json_object_set_new(j, "kind", json_string(xr_artefact_name(kind))) != 0 ||
        json_object_update(j, subject->about) != 0)
        return no_memory();
    if (kind == XR_ART_RUN)
        XR_TRY(add_run(j, path, subject));
    XR_TRY(add_files(j, subject));
    return add_tensors(j, subject);
}

json_t *xr_inspect(const char *path)
{
    xr_subject subject;
    if (xr_subject_open(&subject, path) < 0)
        return NULL;
    json_t *j = json_object();
    xr_status status = fill(j, path, &subject);
    xr_subject_close(&subject);
    if (status == XR_OK)
        return j;
    json_decref(j);
    return NULL;
}
