/* Logs as they are, cut or damaged. */
#include <math.h>
#include <string.h>

#include "train/report_parts.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/stream.h"

double xr_report_number(const json_t *line, const char *key)
{
    char part[128];
    for (size_t n; line && *key; key += n + (key[n] == '/')) {
        n = strcspn(key, "/");
        if (n >= sizeof part)
            return (double)NAN;
        memcpy(part, key, n);
        part[n] = 0;
        line = json_object_get(line, part);
    }
    return json_is_number(line) ? json_number_value(line) : (double)NAN;        /* "nan" and "inf" are strings */
}

const char *xr_report_string(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

typedef struct reader { const char *name; json_t *lines; size_t bad, first_bad; int cut; } reader;

/* A last line without its end is still being written, or was when the run was killed. */
static xr_status take(reader *r, const xr_stream *s, const char *text, size_t len)
{
    json_t *line = xr_json_parse(text, len, r->name);
    if (json_is_object(line))
        return json_array_append_new(r->lines, line) == 0 ? XR_OK : xr_fail(XR_ESYSTEM, "%s: no memory for its lines", r->name);
    json_decref(line);
    if (xr_error_status() == XR_ESYSTEM)
        return XR_ESYSTEM;
    xr_error_clear();
    if (!xr_stream_line_ended(s)) {
        r->cut = 1;
        return XR_OK;
    }
    r->first_bad = r->bad++ ? r->first_bad : xr_stream_line_number(s);
    return XR_OK;
}

static xr_status read_all(reader *r, const char *path)
{
    char *text;
    size_t len;
    int got;
    xr_stream *s = xr_stream_open(path);
    if (!s)
        return xr_error_status();
    while ((got = xr_stream_line(s, &text, &len)) > 0)
        if (len && (got = take(r, s, text, len)) < 0)
            break;
    xr_stream_close(s);
    return got;
}

static xr_status note(const reader *r, xr_str *notes)
{
    if (r->cut)
        XR_TRY(xr_str_printf(notes, "%s: the last line is cut and was left out; the run is still writing, or was killed\n", r->name));
    if (r->bad)
        XR_TRY(xr_str_printf(notes, "%s: %zu line%s that are no JSON objects were left out, the first is line %zu\n", r->name, r->bad, r->bad == 1 ? "" : "s",
                             r->first_bad));
    return XR_OK;
}

xr_status xr_report_lines(const char *dir, const char *name, json_t **lines, xr_str *notes)
{
    reader r = { .name = name, .lines = *lines = json_array() };
    char *path = xr_path_join(dir, name);
    if (!path || !*lines)
        return xr_fail(XR_ESYSTEM, "%s: no memory for its lines", name);
    xr_status status = xr_path_exists(path) ? read_all(&r, path) : xr_str_printf(notes, "%s: not there\n", name);
    xr_free(path);
    return status < 0 ? status : note(&r, notes);
}
