#include "train/runlog.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

#define LOG_CAP ((size_t)1 << 32)

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

static xr_status open_log(xr_runlog_file *l, const char *run_dir, const char *name, int flags)
{
    l->path = xr_path_join(run_dir, name);
    if (!l->path)
        return xr_error_status();
    l->fd = xr_file_open(l->path, O_WRONLY | O_CREAT | O_APPEND | flags);
    return l->fd >= 0 ? XR_OK : xr_fail(XR_ECANTCREAT, "%s: cannot create: %s", l->path, strerror(errno));
}

/* Their names are made lasting here: a checkpoint syncs only what is in them. */
static xr_status open_both(xr_runlog *l, const char *run_dir, int flags)
{
    memset(l, 0, sizeof *l);
    l->start = l->last = xr_clock();
    XR_TRY(open_log(&l->metrics, run_dir, "metrics.jsonl", flags));
    XR_TRY(open_log(&l->timing, run_dir, "timing.jsonl", flags));
    return xr_path_sync(run_dir);
}

xr_status xr_runlog_open(xr_runlog *l, const char *run_dir)
{
    return open_both(l, run_dir, O_TRUNC);
}

/* 1: a whole line of one of the first `step` steps. */
static int is_good(const char *line, size_t len, const char *path, uint64_t step)
{
    json_t *j = xr_json_parse(line, len, path);
    int good = j && (uint64_t)json_integer_value(json_object_get(j, "step")) <= step;
    json_decref(j);
    if (xr_error_status() == XR_EDATA)
        xr_error_clear();
    return good;
}

/* How many bytes of a log, `most` at most, are good lines from its beginning on. */
static xr_status measure(const char *path, size_t most, uint64_t step, size_t *good)
{
    size_t len, at = 0;
    char *text = xr_file_read(path, LOG_CAP, &len);
    if (!text)
        return xr_error_status();
    for (const char *end; (end = memchr(text + at, '\n', len - at)); at = (size_t)(end - text) + 1)
        if ((size_t)(end - text) >= most || !is_good(text + at, (size_t)(end - text) - at, path, step))
            break;
    xr_free(text);
    *good = at;
    return xr_error_status();
}

/* From here lines are added. */
static xr_status cut(const xr_runlog_file *l, size_t at)
{
    return ftruncate(l->fd, (off_t)at) == 0 ? XR_OK : xr_fail(XR_EIO, "%s: cannot be cut back to the checkpoint: %s", l->path, strerror(errno));
}

static xr_status cut_timing(const xr_runlog_file *l, uint64_t step)
{
    size_t good;
    XR_TRY(measure(l->path, SIZE_MAX, step, &good));
    return cut(l, good);
}

xr_status xr_runlog_resume(xr_runlog *l, const char *run_dir, uint64_t metrics_bytes, uint64_t step)
{
    size_t good;
    XR_TRY(open_both(l, run_dir, 0));
    XR_TRY(measure(l->metrics.path, (size_t)metrics_bytes, UINT64_MAX, &good));
    if (good < metrics_bytes)
        xr_warn("%s: only %zu of the %llu bytes that it had at the checkpoint are whole lines: those behind are missing, and will be", l->metrics.path, good,
                (unsigned long long)metrics_bytes);
    XR_TRY(cut(&l->metrics, good));
    return cut_timing(&l->timing, step);
}

xr_status xr_runlog_cut(xr_runlog *l, uint64_t metrics_bytes, uint64_t step)
{
    XR_TRY(cut(&l->metrics, (size_t)metrics_bytes));
    return cut_timing(&l->timing, step);
}

/* --- for TensorBoard -------------------------------------------------------------------------------------------- */

typedef xr_status (*board_line)(xr_tensorboard *b, const json_t *line);

static xr_status again_line(xr_runlog *l, const char *text, size_t n, uint64_t from, board_line write)
{
    json_t *line = json_loadb(text, n, 0, NULL);
    int wanted = line && (uint64_t)json_integer_value(json_object_get(line, "step")) >= from;
    xr_status status = wanted ? write(&l->board, line) : XR_OK;
    json_decref(line);
    return status;
}

/* The lines of a log from a step on. */
static xr_status again(xr_runlog *l, const char *path, uint64_t from, board_line write)
{
    size_t len;
    xr_status status = XR_OK;
    char *text = xr_file_read(path, LOG_CAP, &len);
    if (!text)
        return xr_error_status();
    for (char *s = text, *end; status == XR_OK && (end = strchr(s, '\n')); s = end + 1)
        status = again_line(l, s, (size_t)(end - s), from, write);
    xr_free(text);
    return status;
}

/* A reader that is told to forget `step` and later gets what stands: a run that was stopped between a step and its evaluation has one of the two. */
static xr_status board_open(xr_runlog *l, const char *dir, int go_on, uint64_t step)
{
    uint64_t from = xr_path_is_dir(dir) ? step : 0;
    XR_TRY(xr_tensorboard_open(&l->board, dir, go_on, from));
    if (!go_on)
        return XR_OK;
    XR_TRY(again(l, l->metrics.path, from, xr_tensorboard_metrics));
    return again(l, l->timing.path, from, xr_tensorboard_timing);
}

xr_status xr_runlog_tensorboard(xr_runlog *l, const char *run_dir, int go_on, uint64_t step)
{
    char *dir = xr_path_join(run_dir, "tensorboard");
    XR_TRY(xr_tensorboard_close(&l->board));
    xr_status status = dir ? board_open(l, dir, go_on, step) : xr_error_status();
    xr_free(dir);
    return status;
}

/* --- lines ------------------------------------------------------------------------------------------------------ */

static xr_status fail_writing(const xr_runlog_file *l)
{
    return xr_fail(XR_EIO, "%s: writing failed: %s", l->path, strerror(errno));
}

/* The system tells of bytes that did not reach the disk once; the next fsync would call them safe. They are in memory still, and written again. */
static xr_status write_again(xr_runlog_file *l)
{
    size_t len;
    int fd = xr_file_open(l->path, O_WRONLY);
    if (fd < 0)
        return fail_writing(l);
    char *text = xr_file_read(l->path, LOG_CAP, &len);
    xr_status status = text ? xr_fd_write(fd, l->path, text, len) : xr_error_status();
    if (status == XR_OK && xr_fd_sync(fd) < 0)
        status = fail_writing(l);
    l->doubtful = status < 0;
    xr_free(text);
    close(fd);
    return status;
}

static xr_status sync_log(xr_runlog_file *l)
{
    if (l->doubtful)
        return write_again(l);
    l->doubtful = xr_fd_sync(l->fd) < 0;
    return l->doubtful ? fail_writing(l) : XR_OK;
}

xr_status xr_runlog_sync(xr_runlog *l, uint64_t *metrics_bytes)
{
    struct stat st;
    XR_TRY(sync_log(&l->metrics));
    if (fstat(l->metrics.fd, &st) < 0)
        return fail_writing(&l->metrics);
    *metrics_bytes = (uint64_t)st.st_size;
    return sync_log(&l->timing);
}

static xr_status close_log(xr_runlog_file *l)
{
    xr_status status = l->path && l->fd >= 0 && close(l->fd) < 0 ? fail_writing(l) : XR_OK;
    xr_free(l->path);
    memset(l, 0, sizeof *l);
    return status;
}

xr_status xr_runlog_close(xr_runlog *l)
{
    xr_status metrics = close_log(&l->metrics), timing = close_log(&l->timing), board = xr_tensorboard_close(&l->board);
    return metrics < 0 ? metrics : timing < 0 ? timing : board;
}

static xr_status write_text(const xr_runlog_file *l, const json_t *line)
{
    char *text = line ? xr_json_dump(line, 0) : NULL;
    if (!text)
        return xr_fail(XR_ESYSTEM, "%s: no memory for a line", l->path);
    size_t n = strlen(text);
    text[n] = '\n';      /* in place of the NUL */
    xr_status status = xr_fd_write(l->fd, l->path, text, n + 1);
    xr_free(text);
    return status;
}

static xr_status write_line(xr_runlog *l, const xr_runlog_file *log, json_t *line, board_line board)
{
    xr_status status = write_text(log, line);
    if (status == XR_OK && l->board.file)
        status = board(&l->board, line);
    json_decref(line);
    return status;
}

xr_status xr_runlog_metrics(xr_runlog *l, json_t *line)
{
    return write_line(l, &l->metrics, line, xr_tensorboard_metrics);
}

/* What matrix products came to, and as a share of what the machine can do of them. */
static void add_share(const xr_runlog *l, json_t *line, double gflops)
{
    json_object_set_new(line, "gflops", json_real(gflops));
    if (l->gemm_gflops > 0.0)
        json_object_set_new(line, "gemm_share", json_real(gflops / l->gemm_gflops));
}

xr_status xr_runlog_timing(xr_runlog *l, uint64_t step, uint64_t steps, uint64_t tokens, double flops)
{
    double now = xr_clock(), seconds = now - l->last;
    l->last = now;
    json_t *line = json_pack("{sI sf sf sf sf sf}", "step", (json_int_t)step, "wall_s", now - l->start, "step_ms",
                             steps ? 1e3 * seconds / (double)steps : 0.0, "tokens_per_s", seconds > 0.0 ? (double)tokens / seconds : 0.0, "rss_mb",
                             xr_rss_mb(0), "peak_rss_mb", xr_rss_mb(1));
    if (line && seconds > 0.0)
        add_share(l, line, flops * 1e-9 / seconds);
    xr_status status = line ? xr_profile_add(line, &l->phases, (double)steps) : XR_OK;
    if (status < 0) {
        json_decref(line);
        return status;
    }
    return write_line(l, &l->timing, line, xr_tensorboard_timing);
}
