/* The weights of a directory with rows moved, added or taken away; their size and digest. */
#include <string.h>

#include "train/vocab_dir.h"
#include "util/alloc.h"
#include "util/xxh.h"

enum { BUFFER = 1 << 20 };

/* --- which tensors have a row an id ---------------------------------------------------------------------------------- */

typedef struct table_name { const char *name, *tied; } table_name;

/* Behind the optional prefix of the encoder. The tied name holds the same values; a directory may have either (safetensors issue 265). */
static const table_name tables[] = {
    { "embeddings.word_embeddings.weight", "lm_head.decoder.weight" },
    { "lm_head.decoder.weight", "embeddings.word_embeddings.weight" },
    { "lm_head.bias", "lm_head.decoder.bias" },
    { "lm_head.decoder.bias", "lm_head.bias" },
};

static const char *without_prefix(const char *name)
{
    return strncmp(name, "roberta.", 8) == 0 ? name + 8 : name;
}

static const table_name *find_table(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(without_prefix(name), tables[i].name) == 0)
            return &tables[i];
    return NULL;
}

static const xr_hf_tensor *find_in(const xr_hf_files *files, const char *bare)
{
    for (size_t i = 0; i < files->n; i++)
        if (strcmp(without_prefix(files->tensor[i].t->name), bare) == 0)
            return &files->tensor[i];
    return NULL;
}

/* A head of another task may have been left in the files, of any size: the loader does not look at it. */
static xr_status check_tables(const xr_hf_files *files, const char *dir)
{
    const xr_hf_tensor *words = find_in(files, tables[0].name);
    words = words ? words : find_in(files, tables[0].tied);
    for (size_t i = 0; words && i < files->n; i++) {
        const xr_st_tensor *t = files->tensor[i].t;
        if (find_table(t->name) && (t->rank < 1 || t->rank > 2 || t->shape[0] != words->t->shape[0]))
            return xr_fail(XR_EDATA, "%s: tensor %s does not have the %llu rows of the vocabulary; get the model from its source again", dir, t->name,
                           (unsigned long long)words->t->shape[0]);
    }
    return words && words->t->rank == 2 && words->t->shape[0] > 0 ? XR_OK : xr_fail(XR_EDATA, "%s: has no word embedding", dir);
}

static xr_status open_files(xr_hf_files *files, const char *dir)
{
    XR_TRY(xr_hf_files_open(files, dir));
    xr_status status = check_tables(files, dir);
    if (status < 0)
        xr_hf_files_close(files);
    return status;
}

/* --- tensors --------------------------------------------------------------------------------------------------------- */

/* A tensor being written. cols: elements of a row. */
typedef struct job {
    const xr_row_plan *plan;
    xr_st_writer *w;
    const xr_hf_tensor *from[2];
    xr_dtype dtype;                     /* to be written */
    size_t cols;
    float *sum;                         // [cols]
    char *buffer;                       // [BUFFER]
} job;

static xr_status copy_raw(job *j)
{
    const xr_st_tensor *t = j->from[0]->t;
    for (uint64_t at = 0, size = t->end - t->begin; at < size;) {
        size_t n = size - at < BUFFER ? (size_t)(size - at) : BUFFER;
        XR_TRY(xr_st_read_bytes(j->from[0]->file, t, at, n, j->buffer));
        XR_TRY(xr_st_writer_put(j->w, j->buffer, n));
        at += n;
    }
    return XR_OK;
}

static xr_status copy_as_f32(job *j)
{
    const xr_st_tensor *t = j->from[0]->t;
    for (uint64_t at = 0, numel = xr_st_numel(t); at < numel;) {
        size_t most = BUFFER / sizeof(float), n = numel - at < most ? (size_t)(numel - at) : most;
        XR_TRY(xr_st_read_part(j->from[0]->file, t, at, n, (float *)(void *)j->buffer));
        XR_TRY(xr_st_writer_put(j->w, j->buffer, n * sizeof(float)));
        at += n;
    }
    return XR_OK;
}

static xr_status read_row(const job *j, xr_row_source s, void *out)
{
    const xr_hf_tensor *from = j->from[s.from];
    size_t bytes = j->cols * xr_st_dtype_size(j->dtype);
    if (from->t->dtype == j->dtype)
        return xr_st_read_bytes(from->file, from->t, (uint64_t)s.id * bytes, bytes, out);
    return xr_st_read_part(from->file, from->t, (uint64_t)s.id * j->cols, j->cols, out);
}

/* Summed in order of the sources, so that the same inputs give the same bits. */
static xr_status mean_row(job *j, const xr_row_source *s, size_t n, float *out)
{
    XR_ASSERT(j->dtype == XR_F32, "means are written as float32");
    XR_TRY(read_row(j, s[0], j->sum));
    for (size_t k = 1; k < n; k++) {
        XR_TRY(read_row(j, s[k], out));
        for (size_t i = 0; i < j->cols; i++)
            j->sum[i] += out[i];
    }
    for (size_t i = 0; i < j->cols; i++)
        out[i] = j->sum[i] / (float)n;
    return XR_OK;
}

static xr_status make_row(job *j, size_t row, void *out)
{
    const xr_row_plan *p = j->plan;
    size_t begin = p->offset ? p->offset[row] : row, n = p->offset ? p->offset[row + 1] - begin : 1;
    return n == 1 ? read_row(j, p->source[begin], out) : mean_row(j, p->source + begin, n, out);
}

static xr_status write_rows(job *j)
{
    size_t bytes = j->cols * xr_st_dtype_size(j->dtype), used = 0;
    for (size_t row = 0; row < j->plan->rows; row++) {
        if (used + bytes > BUFFER) {
            XR_TRY(xr_st_writer_put(j->w, j->buffer, used));
            used = 0;
        }
        XR_TRY(make_row(j, row, j->buffer + used));
        used += bytes;
    }
    return xr_st_writer_put(j->w, j->buffer, used);
}

/* --- the weight file ------------------------------------------------------------------------------------------------- */

/* One tensor of the result: its description, and where its values lie. */
typedef struct item { const xr_hf_tensor *from[2]; int by_row; } item;

typedef struct weights {
    const xr_vocab_dir *d;
    xr_hf_files own, full;
    xr_st_tensor *shape;                // [n]
    item *item;                         // [n]
    size_t n;
} weights;

static xr_status find_full(const weights *w, const xr_hf_tensor *own, const table_name *table, item *out)
{
    const xr_hf_tensor *t = find_in(&w->full, table->name);
    out->from[1] = t ? t : find_in(&w->full, table->tied);
    if (!out->from[1])
        return xr_fail(XR_EDATA, "%s: has no tensor %s, which %s has; give the model that was trimmed, with its masked-LM head", w->d->full, table->name,
                       w->d->model);
    const xr_st_tensor *a = own->t, *b = out->from[1]->t;
    if (a->rank != b->rank || (a->rank == 2 && a->shape[1] != b->shape[1]))
        return xr_fail(XR_EDATA, "%s: rows of %s have another size than those of %s; give the model that was trimmed", w->d->full, b->name, w->d->model);
    return XR_OK;
}

static xr_status describe(weights *w, const xr_hf_tensor *own, size_t i)
{
    const xr_row_plan *plan = w->d->plan;
    const table_name *table = plan ? find_table(own->t->name) : NULL;
    xr_st_tensor *t = &w->shape[i];
    *t = *own->t;
    w->item[i] = (item){ .from = { own }, .by_row = table != NULL };
    if (plan && plan->f32 && xr_st_is_float(t->dtype))
        t->dtype = XR_F32;
    if (!table)
        return XR_OK;
    if (w->d->full) {
        XR_TRY(find_full(w, own, table, &w->item[i]));
        if (t->dtype != w->item[i].from[1]->t->dtype)
            t->dtype = XR_F32;
    }
    t->shape[0] = plan->rows;
    return XR_OK;
}

/* In the order of the files, so that a single file keeps its order of tensors. */
static xr_status describe_all(weights *w)
{
    w->shape = xr_alloc(w->own.n, sizeof *w->shape);
    w->item = w->shape ? xr_alloc(w->own.n, sizeof *w->item) : NULL;
    if (!w->item)
        return xr_error_status();
    for (size_t k = 0; k < w->own.n_files; k++)
        for (size_t i = 0; i < xr_st_count(w->own.file[k]); i++, w->n++)
            XR_TRY(describe(w, xr_hf_files_find(&w->own, xr_st_at(w->own.file[k], i)->name), w->n));
    return XR_OK;
}

static xr_status write_tensor(job *j, const weights *w, size_t i)
{
    const item *it = &w->item[i];
    const xr_st_tensor *t = &w->shape[i];
    memcpy(j->from, it->from, sizeof j->from);
    j->dtype = t->dtype;
    if (!it->by_row)
        return t->dtype == it->from[0]->t->dtype ? copy_raw(j) : copy_as_f32(j);
    j->cols = t->rank == 2 ? (size_t)t->shape[1] : 1;
    if (j->cols > BUFFER / sizeof(float))
        return xr_fail(XR_EDATA, "%s: tensor %s has rows of %zu numbers; at most %zu are supported", w->d->model, t->name, j->cols, BUFFER / sizeof(float));
    xr_free(j->sum);
    j->sum = xr_alloc(j->cols, sizeof *j->sum);
    return j->sum ? write_rows(j) : xr_error_status();
}

static xr_status write_tensors(job *j, const weights *w, const char *path)
{
    xr_status status = XR_OK;
    j->plan = w->d->plan;
    j->buffer = xr_alloc(BUFFER, 1);
    j->w = j->buffer ? xr_st_writer_begin(path, w->shape, w->n) : NULL;
    if (!j->w)
        return xr_error_status();
    for (size_t i = 0; i < w->n && status == XR_OK; i++)
        status = write_tensor(j, w, i);
    if (status == XR_OK)
        return xr_st_writer_commit(j->w);
    xr_st_writer_abort(j->w);
    return status;
}

xr_status xr_vocab_weights_write(const xr_vocab_dir *d, const char *path)
{
    weights w = { .d = d };
    job j = { 0 };
    xr_status status = open_files(&w.own, d->model);
    if (status == XR_OK && d->full)
        status = open_files(&w.full, d->full);
    if (status == XR_OK)
        status = describe_all(&w);
    if (status == XR_OK)
        status = write_tensors(&j, &w, path);
    xr_free(j.sum);
    xr_free(j.buffer);
    xr_free(w.shape);
    xr_free(w.item);
    xr_hf_files_close(&w.own);
    xr_hf_files_close(&w.full);
    return status;
}

/* --- what a directory holds ------------------------------------------------------------------------------------------ */

static int is_tied_copy(const xr_hf_files *files, const char *name)
{
    static const char decoder[] = "lm_head.decoder.";
    const table_name *table = find_table(name);
    return table && strncmp(name, decoder, sizeof decoder - 1) == 0 && find_in(files, table->tied);
}

xr_status xr_vocab_dir_size(const char *dir, const xr_row_plan *plan, uint64_t *parameters, uint64_t *bytes)
{
    xr_hf_files files;
    *parameters = *bytes = 0;
    XR_TRY(open_files(&files, dir));
    for (size_t i = 0; i < files.n; i++) {
        const xr_st_tensor *t = files.tensor[i].t;
        uint64_t numel = xr_st_numel(t);
        if (plan && find_table(t->name))
            numel = numel / t->shape[0] * plan->rows;
        *bytes += numel * xr_st_dtype_size(plan && plan->f32 && xr_st_is_float(t->dtype) ? XR_F32 : t->dtype);
        if (xr_st_is_float(t->dtype) && !is_tied_copy(&files, t->name))
            *parameters += numel;
    }
    xr_hf_files_close(&files);
    return XR_OK;
}

static xr_status digest_tensor(xr_xxh *h, const xr_hf_tensor *from, char *buffer)
{
    const xr_st_tensor *t = from->t;
    for (uint64_t at = 0, size = t->end - t->begin; at < size;) {
        size_t n = size - at < BUFFER ? (size_t)(size - at) : BUFFER;
        XR_TRY(xr_st_read_bytes(from->file, t, at, n, buffer));
        xr_xxh_update(h, buffer, n);
        at += n;
    }
    return XR_OK;
}

static xr_status digest_files(const xr_hf_files *files, xr_xxh *h)
{
    char *buffer = xr_alloc(BUFFER, 1);
    xr_status status = buffer ? XR_OK : xr_error_status();
    for (size_t i = 0; i < sizeof tables / sizeof *tables && status == XR_OK; i += 2) {
        const xr_hf_tensor *t = find_in(files, tables[i].name);
        t = t ? t : find_in(files, tables[i].tied);
        status = t ? digest_tensor(h, t, buffer) : XR_OK;
    }
    xr_free(buffer);
    return status;
}

xr_status xr_vocab_dir_digest(const char *dir, char hex[33])
{
    xr_hf_files files;
    XR_TRY(open_files(&files, dir));
    xr_xxh *h = xr_xxh_new();
    xr_status status = h ? digest_files(&files, h) : xr_error_status();
    if (h)
        xr_xxh_final(h, hex);
    xr_hf_files_close(&files);
    return status;
}
