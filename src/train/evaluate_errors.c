/* errors.jsonl: the worst errors of each language with their texts, for a person to read. */
#include <math.h>
#include <stdlib.h>

#include "train/benchmark.h"
#include "util/alloc.h"
#include "util/fs.h"

typedef struct wrong { double badness; size_t row; } wrong;

static int by_badness(const void *a, const void *b)
{
    const wrong *x = a, *y = b;
    if (x->badness != y->badness)
        return x->badness > y->badness ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static xr_status put_error(const xr_evaluation *e, const xr_scored *s, size_t row, xr_str *out)
{
    double badness;
    json_t *line = json_pack("{ss sI}", "language", s->language, "row", (json_int_t)row + 1);
    if (!line)
        return xr_fail(XR_ESYSTEM, "%s: no memory for its errors", s->path);
    xr_status status = e->benchmark->error(e, s, row, &badness, line);
    char *text = status == XR_OK ? xr_json_dump(line, 0) : NULL;
    if (status == XR_OK)
        status = text ? xr_str_printf(out, "%s\n", text) : xr_error_status();
    xr_free(text);
    json_decref(line);
    return status;
}

static xr_status find_errors(const xr_evaluation *e, const xr_scored *s, wrong *v, size_t *n)
{
    *n = 0;
    for (size_t i = 0; i < s->n_rows; i++) {
        double badness = 0.0;
        XR_TRY(e->benchmark->error(e, s, i, &badness, NULL));
        if (badness > 0.0)
            v[(*n)++] = (wrong){ badness, i };
    }
    qsort(v, *n, sizeof *v, by_badness);
    return XR_OK;
}

static xr_status put_language(const xr_evaluation *e, const xr_scored *s, xr_str *out)
{
    wrong *v = xr_alloc(s->n_rows, sizeof *v);
    size_t n = 0, most = (size_t)e->o->worst_errors;
    xr_status status = v ? find_errors(e, s, v, &n) : xr_error_status();
    for (size_t i = 0; i < n && i < most && status == XR_OK; i++)
        status = put_error(e, s, v[i].row, out);
    xr_free(v);
    return status;
}

xr_status xr_evaluation_write_errors(const xr_evaluation *e, const char *dir)
{
    xr_str text = { 0 };
    xr_status status = XR_OK;
    if (!e->benchmark->error || e->o->worst_errors == 0)
        return XR_OK;
    for (size_t i = 0; i < e->n && status == XR_OK; i++)
        status = e->v[i].labelled ? put_language(e, &e->v[i], &text) : XR_OK;
    char *path = status == XR_OK ? xr_path_join(dir, "errors.jsonl") : NULL;
    if (status == XR_OK)
        status = path ? xr_file_write(path, text.s ? text.s : "", text.len) : xr_error_status();
    xr_free(path);
    xr_str_free(&text);
    return status;
}
