/* xlmr features: token or sentence vectors of texts or pairs (train/text_file.h), from any layer, to HDF5 or JSON lines.
 *
 * HDF5: /features float32 [rows, H]; /offsets uint64 [texts + 1], rows of text i are offsets[i] to offsets[i+1]; /ids uint32 [rows], the token of each
 * row (only without pooling). JSON lines: {"text": i, "ids": […], "features": [[…], …]} or {"text": i, "features": […]}. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/signals.h"
#include "train/evaluate.h"
#include "train/features.h"
#include "train/text_file.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/h5.h"
#include "util/leftover.h"

typedef struct writer {
    xr_context *c;
    const xr_options *o;
    xr_features_pooling pooling;
    xr_h5_out *h5;              /* NULL: JSON lines */
    int features, offsets, ids; /* datasets */
    xr_outfile out;             /* JSON lines */
    FILE *file;
    xr_str json;                /* the lines of a batch */
    uint64_t texts, rows;
} writer;

static int wants_h5(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".h5") == 0 || strcmp(dot, ".hdf5") == 0);
}

static xr_status open_h5(writer *w)
{
    uint64_t zero = 0;
    xr_signals_hold();
    w->h5 = xr_h5_create(w->o->output);
    if (!w->h5)
        return xr_error_status();
    xr_signals_remove(xr_h5_temporary(w->h5));
    w->features = xr_h5_dataset(w->h5, "features", XR_H5_F32, (size_t)w->c->model.config.hidden_size);
    w->offsets = xr_h5_dataset(w->h5, "offsets", XR_H5_U64, 0);
    w->ids = w->pooling == XR_FEATURES_NONE ? xr_h5_dataset(w->h5, "ids", XR_H5_U32, 0) : 0;
    if (w->features < 0 || w->offsets < 0 || w->ids < 0)
        return xr_error_status();
    XR_TRY(xr_h5_attribute(w->h5, "/", "format", "xlmr-features"));
    XR_TRY(xr_h5_attribute(w->h5, "/", "format_version", "1"));
    XR_TRY(xr_h5_attribute(w->h5, "/", "created_by", "xlmr " XR_VERSION));
    XR_TRY(xr_h5_attribute(w->h5, "/", "pooling", w->o->pooling));
    XR_TRY(xr_h5_attribute(w->h5, "/", "tokenizer_sha256", xr_tokenizer_sha256(w->c->tokenizer)));
    return xr_h5_append(w->h5, w->offsets, &zero, 1);
}

static xr_status fail_write(const writer *w)
{
    return xr_fail(XR_EIO, "%s: writing failed: %s", w->o->output, strerror(errno));
}

static xr_status open_json(writer *w)
{
    xr_signals_hold();
    XR_TRY(xr_outfile_begin(&w->out, w->o->output));
    xr_signals_remove(w->out.tmp);
    w->file = fopen(w->out.tmp, "w");
    return w->file ? XR_OK : fail_write(w);
}

static xr_status write_h5(writer *w, const xr_batch *batch, const float *x, size_t rows)
{
    XR_TRY(xr_h5_append(w->h5, w->features, x, rows));
    if (w->pooling == XR_FEATURES_NONE)
        XR_TRY(xr_h5_append(w->h5, w->ids, batch->id, rows));
    for (size_t b = 0; b < batch->rows.n_seq; b++) {
        uint64_t end = w->rows + (w->pooling == XR_FEATURES_NONE ? batch->rows.offset[b + 1] : b + 1);
        XR_TRY(xr_h5_append(w->h5, w->offsets, &end, 1));
    }
    return XR_OK;
}

static xr_status put_vector(xr_str *s, const float *x, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        XR_TRY(xr_str_putc(s, j ? ',' : '['));
        if (isfinite(x[j]))
            XR_TRY(xr_str_float(s, x[j]));
        else
            XR_TRY(xr_str_puts(s, "null"));
    }
    return xr_str_putc(s, ']');
}

static xr_status put_ids(xr_str *s, const int32_t *id, size_t n)
{
    XR_TRY(xr_str_puts(s, ", \"ids\": "));
    for (size_t i = 0; i < n; i++)
        XR_TRY(xr_str_printf(s, "%c%d", i ? ',' : '[', id[i]));
    return xr_str_putc(s, ']');
}

static xr_status put_json(writer *w, const xr_batch *batch, const float *x)
{
    size_t d = (size_t)w->c->model.config.hidden_size;
    for (size_t b = 0; b < batch->rows.n_seq; b++) {
        size_t from = batch->rows.offset[b], n = batch->rows.offset[b + 1] - from;
        XR_TRY(xr_str_printf(&w->json, "{\"text\": %llu", (unsigned long long)(w->texts + b)));
        if (w->pooling == XR_FEATURES_NONE)
            XR_TRY(put_ids(&w->json, batch->id + from, n));
        XR_TRY(xr_str_puts(&w->json, ", \"features\": "));
        if (w->pooling != XR_FEATURES_NONE)
            XR_TRY(put_vector(&w->json, x + b * d, d));
        for (size_t i = 0; w->pooling == XR_FEATURES_NONE && i < n; i++) {
            XR_TRY(xr_str_putc(&w->json, i ? ',' : '['));
            XR_TRY(put_vector(&w->json, x + (from + i) * d, d));
        }
        XR_TRY(xr_str_puts(&w->json, w->pooling == XR_FEATURES_NONE ? "]}\n" : "}\n"));
    }
    return XR_OK;
}

static xr_status write_json(writer *w, const xr_batch *batch, const float *x)
{
    xr_str_clear(&w->json);
    XR_TRY(put_json(w, batch, x));
    return fwrite(w->json.s, 1, w->json.len, w->file) == w->json.len ? XR_OK : fail_write(w);
}

/* A batch of texts and their vectors. */
static xr_status take(void *context, const xr_batch *batch, const float *x, size_t rows)
{
    writer *w = context;
    XR_TRY(w->h5 ? write_h5(w, batch, x, rows) : write_json(w, batch, x));
    w->texts += batch->rows.n_seq;
    w->rows += rows;
    return XR_OK;
}

static xr_status add_file(const xr_features_run *r, const xr_options *o, const char *path, size_t max_len)
{
    xr_text_file f;
    xr_record text;
    uint64_t n = 0, n_cut = 0;
    int got = 0;
    XR_TRY(xr_text_file_open(&f, path, o));
    xr_status status = XR_OK;
    while (status == XR_OK && (got = xr_text_file_next(&f, &text)) > 0) {
        if ((status = xr_features_add(r, text.text, text.text_pair, max_len)) < 0)
            xr_fail_context("%s:%zu", xr_stream_path(f.reader.stream), text.line);
        n++;
        n_cut += r->c->cut > 0;
    }
    xr_evaluate_tell_cut(xr_stream_path(f.reader.stream), n_cut, n, max_len);
    xr_text_file_close(&f);
    return status < 0 ? status : got;
}

static xr_status add_inputs(writer *w)
{
    size_t max_len = xr_evaluate_max_len(w->c, w->o);
    if (max_len == 0 || xr_features_layer(w->c, (int)w->o->layer) < 0)
        return xr_error_status();
    xr_leftovers_remove(w->o->output);
    XR_TRY(wants_h5(w->o->output) ? open_h5(w) : open_json(w));
    xr_features_run r = { w->c, (size_t)w->o->batch_tokens, (int)w->o->layer, w->pooling, take, w };
    if (w->o->n_args == 0)
        XR_TRY(add_file(&r, w->o, "-", max_len));
    for (size_t i = 0; i < w->o->n_args; i++)
        XR_TRY(add_file(&r, w->o, w->o->args[i], max_len));
    return xr_features_flush(&r);
}

static xr_status commit(writer *w)
{
    xr_h5_out *h5 = w->h5;
    FILE *file = w->file;
    w->h5 = NULL;
    w->file = NULL;
    if (h5)
        return xr_h5_commit(h5);
    return fclose(file) == 0 ? xr_outfile_commit(&w->out) : fail_write(w);
}

static xr_status report(const writer *w)
{
    const char *path = w->o->output;
    if (w->o->json) {
        json_t *j = json_pack("{ss sI sI}", "output", path, "texts", (json_int_t)w->texts, "rows", (json_int_t)w->rows);
        xr_status status = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "features: out of memory for JSON");
        json_decref(j);
        return status;
    }
    return xr_out("%s: %llu texts, %llu vectors of %d\n", path, (unsigned long long)w->texts, (unsigned long long)w->rows, w->c->model.config.hidden_size);
}

static xr_status run(const xr_options *o)
{
    writer w;
    memset(&w, 0, sizeof w);
    w.o = o;
    w.pooling = strcmp(o->pooling, "none") == 0 ? XR_FEATURES_NONE : strcmp(o->pooling, "mean") == 0 ? XR_FEATURES_MEAN : XR_FEATURES_FIRST;
    w.c = xr_context_for(o);
    xr_status status = w.c ? add_inputs(&w) : xr_error_status();
    if (status == XR_OK)
        status = commit(&w);
    if (status == XR_OK)
        status = report(&w);
    xr_h5_abort(w.h5);
    if (w.file)
        fclose(w.file);
    xr_outfile_abort(&w.out);
    xr_signals_remove(NULL);
    xr_str_free(&w.json);
    xr_context_free(w.c);
    return status;
}

const xr_cmd xr_cmd_features = {
    "features", XR_V_FEATURES, "token or sentence vectors from any layer", "[FILE ...]",
    "xlmr features --model DIR --pooling mean --output vectors.h5 sentences.txt\n"
    "xlmr features --model DIR --layer 7 --output tokens.jsonl < sentences.txt\n"
    "xlmr features --model DIR --pooling mean --text-column review --output vectors.h5 reviews.csv\n",
    run,
};
