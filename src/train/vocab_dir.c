/* The files of a directory beside its weights, and the output directory. */
#include "train/vocab_dir.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "model/hf_digests.h"
#include "train/rundir.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

#define SPM_FILE "sentencepiece.bpe.model"

static const size_t small_cap = (size_t)16 << 20, tokenizer_cap = (size_t)256 << 20;

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

static xr_status write_config(const xr_vocab_dir *d, const char *from, const char *to)
{
    size_t len;
    if (!d->plan)
        return xr_file_copy(from, to, tokenizer_cap);
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
        return xr_error_status() < 0 ? xr_error_status() : xr_file_copy(from, to, tokenizer_cap);
    int stale = json_object_del(j, "added_tokens_decoder") == 0;
    xr_status status = stale ? xr_json_write(to, j, 2) : xr_file_copy(from, to, tokenizer_cap);
    json_decref(j);
    return status;
}

static xr_status write_spm(const xr_vocab_dir *d, const char *from, const char *to)
{
    return d->spm ? xr_file_write(to, d->spm, d->spm_len) : xr_file_copy(from, to, tokenizer_cap);
}

/* Made anew by transformers from the sentencepiece model, so that an old one need not be mended: left out when ids have moved. */
static xr_status write_tokenizer_json(const xr_vocab_dir *d, const char *from, const char *to)
{
    if (!d->plan || d->tokenizer_dir)
        return xr_file_copy(from, to, tokenizer_cap);
    xr_info("%s: holds the ids of before and is left out; transformers makes it anew from the sentencepiece model", from);
    return XR_OK;
}

static xr_status write_same(const xr_vocab_dir *d, const char *from, const char *to)
{
    (void)d;
    return xr_file_copy(from, to, tokenizer_cap);
}

/* A map fits its own sentencepiece model only. */
static xr_status write_map(const xr_vocab_dir *d, const char *from, const char *to)
{
    return d->plan && !d->tokenizer_dir ? XR_OK : xr_file_copy(from, to, tokenizer_cap);
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

static xr_status write_dir(const xr_vocab_dir *d, const char *out)
{
    char *weights_path = xr_path_join(out, "model.safetensors");
    xr_status status = weights_path ? xr_vocab_weights_write(d, weights_path) : xr_error_status();
    xr_free(weights_path);
    XR_TRY(status);
    XR_TRY(place(d, d->model, "config.json", write_config, out));
    XR_TRY(place(d, d->model, "generation_config.json", write_same, out));
    if (!d->plan || d->tokenizer_dir)
        XR_TRY(place(d, d->model, "README.md", write_same, out));   /* the card of a run's model; that of a trimmed one would tell its source's sizes */
    XR_TRY(write_tokenizer(d, out));
    XR_TRY(d->map ? write_own_map(d, out) : XR_OK);
    return xr_model_seal(out);
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
    xr_status status = write_dir(d, out.tmp);
    if (status == XR_OK)
        status = xr_outdir_commit(&out);
    if (status < 0)
        xr_outdir_abort(&out);
    return status;
}
