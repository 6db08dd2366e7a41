#include "train/vocab_dir.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "train/rundir.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/xxh.h"

#define SPM_FILE "sentencepiece.bpe.model"

static const size_t small_cap = (size_t)16 << 20, tokenizer_cap = (size_t)256 << 20;
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

static xr_status write_weights(const xr_vocab_dir *d, const char *path)
{
    weights w = { .d = d };
    job j = { 0 };
    xr_status status = xr_hf_files_open(&w.own, d->model);
    if (status == XR_OK && d->full)
        status = xr_hf_files_open(&w.full, d->full);
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

/* --- config.json ----------------------------------------------------------------------------------------------------- */

/* The digits behind the only "vocab_size" of the text, so that the rest of the file stays as it is, byte for byte. NULL if there is no such place. */
static char *find_vocab_size(char *text, size_t *len)
{
    static const char key[] = "\"vocab_size\"";
    char *p = strstr(text, key);
    if (!p || strstr(p + 1, key))
        return NULL;
    for (p += sizeof key - 1; isspace((unsigned char)*p) || *p == ':';)
        p++;
    *len = strspn(p, "0123456789");
    return *len ? p : NULL;
}

static xr_status edit_config(char *text, size_t rows, const char *from, const char *to)
{
    xr_str b = { 0 };
    size_t len;
    char *at = find_vocab_size(text, &len);
    if (!at)
        return xr_fail(XR_EDATA, "%s: \"vocab_size\" stands there twice or is no number; keep the one of the model", from);
    xr_status status = xr_str_append(&b, text, (size_t)(at - text));
    if (status == XR_OK)
        status = xr_str_printf(&b, "%zu%s", rows, at + len);
    if (status == XR_OK)
        status = xr_file_write(to, b.s, b.len);
    xr_str_free(&b);
    return status;
}

static xr_status copy_file(const char *from, const char *to)
{
    size_t len;
    char *bytes = xr_file_read(from, tokenizer_cap, &len);
    if (!bytes)
        return xr_error_status();
    xr_status status = xr_file_write(to, bytes, len);
    xr_free(bytes);
    return status;
}

static xr_status write_config(const xr_vocab_dir *d, const char *from, const char *to)
{
    size_t len;
    if (!d->plan)
        return copy_file(from, to);
    char *text = xr_file_read(from, small_cap, &len);
    if (!text)
        return xr_error_status();
    xr_status status = edit_config(text, d->plan->rows, from, to);
    xr_free(text);
    return status;
}

/* --- tokenizer files ------------------------------------------------------------------------------------------------- */

/* transformers has kept ids there ("added_tokens_decoder": {"250001": …}); it makes them anew from the sentencepiece model. */
static xr_status write_tokenizer_config(const xr_vocab_dir *d, const char *from, const char *to)
{
    json_t *j = d->plan && !d->tokenizer_dir ? xr_json_file(from, small_cap) : NULL;
    if (!j)
        return xr_error_status() < 0 ? xr_error_status() : copy_file(from, to);
    int stale = json_object_del(j, "added_tokens_decoder") == 0;
    xr_status status = stale ? xr_json_write(to, j, 2) : copy_file(from, to);
    json_decref(j);
    return status;
}

static xr_status write_spm(const xr_vocab_dir *d, const char *from, const char *to)
{
    return d->spm ? xr_file_write(to, d->spm, d->spm_len) : copy_file(from, to);
}

/* Made anew by transformers from the sentencepiece model, so that an old one need not be mended: left out when ids have moved. */
static xr_status write_tokenizer_json(const xr_vocab_dir *d, const char *from, const char *to)
{
    return d->plan && !d->tokenizer_dir ? XR_OK : copy_file(from, to);
}

static xr_status write_same(const xr_vocab_dir *d, const char *from, const char *to)
{
    (void)d;
    return copy_file(from, to);
}

/* A map fits its own sentencepiece model only. */
static xr_status write_map(const xr_vocab_dir *d, const char *from, const char *to)
{
    return d->plan && !d->tokenizer_dir ? XR_OK : copy_file(from, to);
}

typedef xr_status file_writer(const xr_vocab_dir *d, const char *from, const char *to);

static xr_status place(const xr_vocab_dir *d, const char *from_dir, const char *name, file_writer *write, const char *out)
{
    char *from = xr_path_join(from_dir, name), *to = xr_path_join(out, name);
    xr_status status = from && to ? XR_OK : xr_error_status();
    if (status == XR_OK && xr_path_exists(from))
        status = write(d, from, to);
    xr_free(from);
    xr_free(to);
    return status;
}

static xr_status write_tokenizer(const xr_vocab_dir *d, const char *out)
{
    static const struct { const char *name; file_writer *write; } files[] = {
        { SPM_FILE, write_spm },
        { "tokenizer.json", write_tokenizer_json },
        { "tokenizer_config.json", write_tokenizer_config },
        { "special_tokens_map.json", write_same },
        { XR_TRIM_MAP, write_map },
    };
    const char *from = d->tokenizer_dir ? d->tokenizer_dir : d->model;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        XR_TRY(place(d, from, files[i].name, files[i].write, out));
    return XR_OK;
}

static xr_status write_own_map(const xr_vocab_dir *d, const char *out)
{
    char *path = xr_path_join(out, XR_TRIM_MAP);
    xr_status status = path ? xr_file_write(path, d->map, d->map_len) : xr_error_status();
    xr_free(path);
    return status;
}

xr_status xr_vocab_dir_write(const xr_vocab_dir *d, const char *out)
{
    char *weights_path = xr_path_join(out, "model.safetensors");
    xr_status status = weights_path ? write_weights(d, weights_path) : xr_error_status();
    xr_free(weights_path);
    XR_TRY(status);
    XR_TRY(place(d, d->model, "config.json", write_config, out));
    XR_TRY(place(d, d->model, "generation_config.json", write_same, out));
    XR_TRY(write_tokenizer(d, out));
    return d->map ? write_own_map(d, out) : XR_OK;
}

/* --- what a directory holds ------------------------------------------------------------------------------------------ */

static int is_tied_copy(const xr_hf_files *files, const char *name)
{
    static const char decoder[] = "lm_head.decoder.";
    const table_name *table = find_table(name);
    return table && strncmp(name, decoder, sizeof decoder - 1) == 0 && find_in(files, table->tied);
}

xr_status xr_vocab_dir_size(const char *dir, size_t rows, uint64_t *parameters, uint64_t *bytes)
{
    xr_hf_files files;
    *parameters = *bytes = 0;
    XR_TRY(xr_hf_files_open(&files, dir));
    for (size_t i = 0; i < files.n; i++) {
        const xr_st_tensor *t = files.tensor[i].t;
        uint64_t numel = xr_st_numel(t);
        if (rows && find_table(t->name))
            numel = numel / t->shape[0] * rows;
        *bytes += numel * xr_st_dtype_size(t->dtype);
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
    XR_TRY(xr_hf_files_open(&files, dir));
    xr_xxh *h = xr_xxh_new();
    xr_status status = h ? digest_files(&files, h) : xr_error_status();
    if (h)
        xr_xxh_final(h, hex);
    xr_hf_files_close(&files);
    return status;
}

/* --- the output directory -------------------------------------------------------------------------------------------- */

static int same_place(const char *a, const char *b)
{
    char real_a[PATH_MAX], real_b[PATH_MAX];
    return realpath(a, real_a) && realpath(b, real_b) && strcmp(real_a, real_b) == 0;
}

xr_status xr_vocab_output_check(const char *output, int overwrite, const char *input)
{
    if (same_place(output, input))
        return xr_fail(XR_ECANTCREAT, "%s: is the model that is to be read; choose another --output-dir", output);
    return overwrite ? xr_model_dir_check(output) : XR_OK;
}

xr_status xr_vocab_dir_create(const xr_vocab_dir *d, const char *output, int overwrite)
{
    xr_outdir out = { 0 };
    XR_TRY(xr_outdir_begin(&out, output, overwrite, "--overwrite-output-dir"));
    xr_status status = xr_vocab_dir_write(d, out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    if (status < 0)
        xr_outdir_abort(&out);
    return status;
}
