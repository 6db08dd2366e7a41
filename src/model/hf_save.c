/* Saving a model directory that transformers loads. */
#include "model/hf.h"

#include <string.h>

#include "model/safetensors.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/json.h"

static const size_t tokenizer_cap = (size_t)256 << 20;

/* --- weights ------------------------------------------------------------------------------------------------------ */

/* A bare encoder is saved as transformers saves it: without the prefix. The tied decoder has no row of its own, so it is stored once. */
static xr_st_out describe(const xr_model *m, const xr_param *p)
{
    static const char prefix[] = "roberta.";
    const char *name = p->name;
    if (!m->head && !strncmp(name, prefix, sizeof prefix - 1))
        name += sizeof prefix - 1;
    XR_ASSERT(p->t.x, "%s has no values", p->name);
    return (xr_st_out){ name, p->rank, { p->rank == 1 ? p->t.cols : p->t.rows, p->t.cols }, p->t.x };
}

static xr_status save_weights(const xr_model *m, const char *path)
{
    size_t n = m->params.n;
    xr_st_out *out = xr_alloc(n, sizeof *out);
    if (!out)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        out[i] = describe(m, m->params.row[i]);
    xr_status status = xr_st_write(path, out, n);
    xr_free(out);
    return status;
}

/* --- tokenizer files ---------------------------------------------------------------------------------------------- */

/* <mask> takes the space before it with it (xlmr-facts 1.4). */
static json_t *mask_token(int typed)
{
    json_t *j = json_pack("{s:s, s:b, s:b, s:b, s:b}", "content", "<mask>", "lstrip", 1, "normalized", 0, "rstrip", 0, "single_word", 0);
    if (typed)
        json_object_set_new(j, "__type", json_string("AddedToken"));
    return j;
}

static json_t *special_tokens(int typed)
{
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s}", "bos_token", "<s>", "cls_token", "<s>", "eos_token", "</s>", "mask_token",
                     mask_token(typed), "pad_token", "<pad>", "sep_token", "</s>", "unk_token", "<unk>");
}

static xr_status write_json(const char *path, json_t *j)
{
    xr_status status = j ? xr_json_write(path, j, 2) : xr_fail(XR_ESYSTEM, "%s: out of memory", path);
    json_decref(j);
    return status;
}

static xr_status write_tokenizer_config(const xr_model *m, const char *path)
{
    json_t *j = special_tokens(1);
    json_object_set_new(j, "model_max_length", json_integer(xr_config_max_tokens(&m->config)));
    json_object_set_new(j, "tokenizer_class", json_string("XLMRobertaTokenizer"));
    return write_json(path, j);
}

static xr_status write_special_tokens(const xr_model *m, const char *path)
{
    (void)m;
    return write_json(path, special_tokens(0));
}

/* Copied as they are when the source has them; `make`, if any, writes those that are absent. */
static const struct tokenizer_file {
    const char *name;
    xr_status (*make)(const xr_model *m, const char *path);
} tokenizer_files[] = {
    { "sentencepiece.bpe.model", NULL },
    { "tokenizer.json", NULL },
    { "tokenizer_config.json", write_tokenizer_config },
    { "special_tokens_map.json", write_special_tokens },
    { "trim.json", NULL },              /* what the vocabulary was trimmed from (train/vocab.h) */
};

static xr_status place_file(const xr_model *m, const struct tokenizer_file *file, const char *dir, const char *source)
{
    char *to = xr_path_join(dir, file->name), *from = source ? xr_path_join(source, file->name) : NULL;
    xr_status status = to && (from || !source) ? XR_OK : xr_error_status();
    if (status == XR_OK && from && xr_path_exists(from))
        status = xr_file_copy(from, to, tokenizer_cap);
    else if (status == XR_OK && file->make)
        status = file->make(m, to);
    xr_free(from);
    xr_free(to);
    return status;
}

/* What was copied is what the weights were computed with: the source may have been changed or removed since it was opened. */
static xr_status check_pieces(const char *dir, const char *source, const char *sha256)
{
    char hex[65];
    char *path = xr_path_join(dir, tokenizer_files[0].name);
    xr_status status = !path ? xr_error_status()
                       : xr_path_exists(path) ? xr_file_sha256(path, hex)
                                              : xr_fail(XR_ENOINPUT, "%s/%s: is gone since it was opened; put it back, then save again", source,
                                                        tokenizer_files[0].name);
    xr_free(path);
    if (status < 0 || strcmp(hex, sha256) == 0)
        return status;
    return xr_fail(XR_EDATA, "%s/%s: has changed since it was opened (sha256 %s then, %s now); put the old one back, then save again", source,
                   tokenizer_files[0].name, sha256, hex);
}

static xr_status save_tokenizer(const xr_model *m, const char *dir, const char *source, const char *sha256)
{
    if (source && !xr_path_is_dir(source))
        return xr_fail(XR_ENOINPUT, "%s: no such directory; the tokenizer's files were to be copied from it", source);
    for (size_t i = 0; i < sizeof tokenizer_files / sizeof *tokenizer_files; i++)
        XR_TRY(place_file(m, &tokenizer_files[i], dir, source));
    return source && sha256 ? check_pieces(dir, source, sha256) : XR_OK;
}

xr_status xr_model_save(const xr_model *m, const char *dir, const char *tokenizer_dir, const char *sha256)
{
    char *config = xr_path_join(dir, "config.json"), *weights = xr_path_join(dir, "model.safetensors");
    xr_status status = config && weights ? xr_config_write(&m->config, config) : xr_error_status();
    if (status == XR_OK)
        status = save_weights(m, weights);
    if (status == XR_OK)
        status = save_tokenizer(m, dir, tokenizer_dir, sha256);
    xr_free(config);
    xr_free(weights);
    return status;
}
