#include "train/runlog.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/alloc.h"
#include "util/fs.h"

double xr_clock(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

double xr_rss_mb(int peak)
{
    const char *key = peak ? "VmHWM:" : "VmRSS:";
    char line[128];
    double kib = 0.0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = (double)strtoll(line + strlen(key), NULL, 10);
    if (f)
        fclose(f);
    return kib / 1024.0;
}

json_t *xr_json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_string(isnan(x) ? "nan" : x > 0 ? "inf" : "-inf");
}

static xr_status open_log(xr_runlog_file *l, const char *run_dir, const char *name)
{
    l->path = xr_path_join(run_dir, name);
    if (!l->path)
        return xr_error_status();
    l->file = fopen(l->path, "w");
    return l->file ? XR_OK : xr_fail(XR_ECANTCREAT, "%s: cannot create: %s", l->path, strerror(errno));
}

xr_status xr_runlog_open(xr_runlog *l, const char *run_dir)
{
    memset(l, 0, sizeof *l);
    l->start = l->last = xr_clock();
    XR_TRY(open_log(&l->metrics, run_dir, "metrics.jsonl"));
    return open_log(&l->timing, run_dir, "timing.jsonl");
}

static xr_status close_log(xr_runlog_file *l)
{
    xr_status status = XR_OK;
    if (l->file && fclose(l->file) != 0)
        status = xr_fail(XR_EIO, "%s: writing failed: %s", l->path, strerror(errno));
    xr_free(l->path);
    memset(l, 0, sizeof *l);
    return status;
}

xr_status xr_runlog_close(xr_runlog *l)
{
    xr_status metrics = close_log(&l->metrics), timing = close_log(&l->timing);
    return metrics < 0 ? metrics : timing;
}

static xr_status write_line(const xr_runlog_file *l, json_t *line)
{
    char *text = line ? xr_json_dump(line, 0) : NULL;
    json_decref(line);
    if (!text)
        return xr_fail(XR_ESYSTEM, "%s: no memory for a line", l->path);
    int bad = fprintf(l->file, "%s\n", text) < 0 || fflush(l->file) != 0;
    xr_free(text);
    return bad ? xr_fail(XR_EIO, "%s: writing failed: %s", l->path, strerror(errno)) : XR_OK;
}

xr_status xr_runlog_metrics(xr_runlog *l, json_t *line)
{
    return write_line(&l->metrics, line);
}

xr_status xr_runlog_timing(xr_runlog *l, uint64_t step, uint64_t steps, uint64_t tokens)
{
    double now = xr_clock(), seconds = now - l->last;
    l->last = now;
    return write_line(&l->timing, json_pack("{sI sf sf sf sf sf}", "step", (json_int_t)step, "wall_s", now - l->start, "step_ms",
                                           steps ? 1e3 * seconds / (double)steps : 0.0, "tokens_per_s",
                                           seconds > 0.0 ? (double)tokens / seconds : 0.0, "rss_mb", xr_rss_mb(0), "peak_rss_mb",
                                           xr_rss_mb(1)));
}
