/* xlmr predict: one JSON line per record (train/predict.c), to standard output or to a file that appears whole. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "train/predict.h"
#include "util/fs.h"
#include "util/leftover.h"

typedef struct view {
    xr_progress bar;
    FILE *file;             /* NULL: standard output */
    xr_outfile out;
    int quiet, shown;
} view;

static xr_status to_stdout(void *context, const char *lines, size_t len)
{
    (void)context;
    XR_TRY(xr_out_bytes(lines, len));
    return xr_out_flush();      /* early, for whoever waits behind a pipe */
}

static xr_status fail_write(const view *v)
{
    return xr_fail(XR_EIO, "%s: cannot write (%s); nothing was kept; free space or choose another place", v->out.path,
                   strerror(errno));
}

static xr_status to_file(void *context, const char *lines, size_t len)
{
    view *v = context;
    return fwrite(lines, 1, len, v->file) == len ? XR_OK : fail_write(v);
}

static void on_progress(void *context, uint64_t records)
{
    view *v = context;
    if (!v->shown)
        xr_progress_start(&v->bar, "predict", "record", 0, 0, v->quiet);
    v->shown = 1;
    xr_progress_update(&v->bar, records);
}

static xr_status open_output(view *v, const char *path)
{
    xr_leftovers_remove(path);
    xr_signals_hold();
    XR_TRY(xr_outfile_begin(&v->out, path));
    xr_signals_remove(v->out.tmp);
    v->file = fopen(v->out.tmp, "wb");
    if (v->file)
        return XR_OK;
    return xr_fail(XR_ECANTCREAT, "%s: cannot create the file (%s); choose another place for --output", path,
                   strerror(errno));
}

static xr_status close_output(view *v)
{
    FILE *file = v->file;
    v->file = NULL;
    return fclose(file) == 0 ? xr_outfile_commit(&v->out) : fail_write(v);
}

static xr_status report(const xr_options *o, const xr_predict *p)
{
    if (!o->json)
        return xr_out("%s: %llu predictions\n", o->output, (unsigned long long)(p->n - p->n_bad));
    json_t *j = json_pack("{ss sI sI}", "output", o->output, "records", (json_int_t)p->n, "bad", (json_int_t)p->n_bad);
    xr_status status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "no memory for the summary");
    json_decref(j);
    return status;
}

static xr_status run(const xr_options *o)
{
    view v = { .quiet = o->quiet || (!o->output && isatty(STDOUT_FILENO)) };
    xr_predict p = { .o = o, .context = &v, .write = o->output ? to_file : to_stdout, .progress = on_progress };
    xr_status status = o->output ? open_output(&v, o->output) : XR_OK;
    if (status == XR_OK)
        status = xr_predict_run(&p);
    if (v.shown)
        xr_progress_end(&v.bar);
    if (status == XR_OK && o->output)
        status = close_output(&v);
    if (v.file)
        fclose(v.file);
    xr_outfile_abort(&v.out);
    xr_signals_remove(NULL);
    return status == XR_OK && o->output ? report(o, &p) : status;
}

const xr_cmd xr_cmd_predict = {
    "predict", XR_V_PREDICT, "labels and scores for texts, tags for words; JSON lines in and out", "[FILE ...]",
    "echo '{\"text\": \"A man sleeps.\", \"text_pair\": \"Someone is awake.\"}' | xlmr predict --model DIR\n"
    "xlmr predict --model DIR --output predictions.jsonl reviews.jsonl.gz\n"
    "xlmr predict --model DIR --top-k 3 --on-bad-record skip --max-bad-fraction 1 < pairs.tsv\n"
    "echo '{\"tokens\": [\"She\", \"lives\", \"in\", \"Paris\"]}' | xlmr predict --model TAGGER\n",
    run,
};
