/* What a run is made of: token stores as they are, raw text prepared into the run directory first. */
#include <string.h>

#include "train/pretrain.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/str.h"

enum { LOOKED_AT = 500 };       /* blocks of a language in which <unk> is counted */

static xr_status add_store(xr_pretrain *p, xr_corpus *c, const char *path)
{
    xr_store *s = xr_store_open(path, p->extended ? NULL : xr_tokenizer_sha256(p->tokenizer));
    if (!s)
        return xr_error_status();
    c->store[c->n_stores++] = s;
    if (xr_store_vocab_size(s) > xr_tokenizer_vocab_size(p->tokenizer))
        return xr_fail(XR_EDATA, "%s: has ids up to %d, the tokenizer %d pieces; prepare the text again with the model's tokenizer", path,
                       xr_store_vocab_size(s) - 1, xr_tokenizer_vocab_size(p->tokenizer));
    if (!p->extended || strcmp(xr_store_tokenizer(s), xr_tokenizer_sha256(p->tokenizer)) == 0)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: was not made with the tokenizer that --extend-vocab made; prepare the text with it: xlmr prepare --model %s", path,
                   p->extended);
}

/* Opens the stores among `path`; the others go to raw. */
static xr_status sort_inputs(xr_pretrain *p, xr_corpus *c, const xr_strs *path, const char **raw, size_t *n_raw)
{
    for (size_t i = 0; i < path->n; i++) {
        const char *one = path->v[i];
        if (xr_store_is(one))
            XR_TRY(add_store(p, c, one));
        else if (xr_path_is_dir(one))
            return xr_fail(XR_ENOINPUT, "%s: is a folder, but no token store (there is no manifest.json in it); give a folder that `xlmr prepare` made, or "
                           "files of raw text", one);
        else
            raw[(*n_raw)++] = one;
    }
    return XR_OK;
}

/* RUN/data/NAME, made unless it is there from before the run was interrupted. */
static xr_status make_store(xr_pretrain *p, const char *dir, const char *const *raw, size_t n_raw)
{
    const xr_options *o = p->o;
    xr_prepare_job job = { .o = o, .tokenizer = p->tokenizer, .input = raw, .n_input = n_raw, .output_dir = dir,
                           .overwrite = p->loop.kind == XR_RUNDIR_NEW };
    if (o->dry_run)
        return xr_fail(XR_EUSAGE, "%s: is raw text, of which a dry run cannot tell how much there is; `xlmr prepare` it and give the store", raw[0]);
    return xr_prepare_run(&job, p->preparing, NULL);
}

static xr_status prepare_raw(xr_pretrain *p, xr_corpus *c, const char *const *raw, size_t n_raw, const char *name)
{
    char *dir = xr_asprintf("%s/data/%s", p->o->output_dir, name);
    xr_status status = dir ? make_store(p, dir, raw, n_raw) : xr_error_status();
    if (status == XR_OK)
        status = add_store(p, c, dir);
    xr_free(dir);
    return status;
}

static xr_status open_stores(xr_pretrain *p, xr_corpus *c, const xr_strs *path, const char *name)
{
    size_t n_raw = 0;
    const char **raw = xr_alloc(path->n, sizeof *raw);
    c->store = xr_alloc(path->n + 1, sizeof *c->store);
    xr_status status = raw && c->store ? sort_inputs(p, c, path, raw, &n_raw) : xr_error_status();
    if (status == XR_OK && n_raw > 0)
        status = prepare_raw(p, c, raw, n_raw, name);
    xr_free(raw);
    return status;
}

/* Share of <unk> among the tokens of a language, in blocks spread evenly over it. */
static xr_status count_unknown(xr_corpus *c, size_t lang, size_t length, double *share)
{
    uint64_t n = c->count[lang], looked = n < LOOKED_AT ? n : LOOKED_AT, tokens = 0, unknown = 0;
    int32_t *id = xr_alloc(length, sizeof *id);
    if (!id)
        return xr_error_status();
    long got = 0;
    for (uint64_t k = 0; k < looked && got >= 0; k++) {
        got = xr_blocks_read(c->blocks, lang, k * n / looked, id);
        for (long i = 1; i < got; i++) {
            tokens += id[i] != XR_ID_EOS;
            unknown += id[i] == XR_ID_UNK;
        }
    }
    xr_free(id);
    *share = tokens ? (double)unknown / (double)tokens : 0.0;
    return got < 0 ? xr_error_status() : XR_OK;
}

static xr_status cut_blocks(const xr_options *o, xr_corpus *c)
{
    size_t length = (size_t)o->block_length;
    c->blocks = xr_blocks_open(c->store, c->n_stores, (xr_break_mode)xr_break_mode_find(o->break_mode), length, NULL);
    if (!c->blocks)
        return xr_error_status();
    c->n_languages = xr_blocks_n_languages(c->blocks);
    c->count = xr_alloc(c->n_languages, sizeof *c->count);
    c->unk = xr_alloc(c->n_languages, sizeof *c->unk);
    if (!c->count || !c->unk)
        return xr_error_status();
    for (size_t i = 0; i < c->n_languages; i++) {
        c->count[i] = xr_blocks_count(c->blocks, i);
        XR_TRY(count_unknown(c, i, length, &c->unk[i]));
    }
    return XR_OK;
}

static xr_status read_corpus(xr_pretrain *p, xr_corpus *c, const xr_strs *path, const char *name, const char *flag)
{
    if (path->n == 0)
        return XR_OK;
    XR_TRY(open_stores(p, c, path, name));
    XR_TRY(cut_blocks(p->o, c));
    for (size_t i = 0; i < c->n_languages; i++)
        if (c->count[i] > 0)
            return XR_OK;
    return xr_fail(XR_EDATA, "%s %s: there is no text in %s that makes a block", flag, path->v[0],
                   path->n > 1 ? "it and the others" : "it");
}

static void warn_repeated(const xr_corpus *c)
{
    for (size_t i = 0; i < c->n_stores; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(xr_store_digest(c->store[i]), xr_store_digest(c->store[k])) == 0)
                xr_warn("%s: holds the text of %s, which is named, too: all of it counts twice; name one of them", xr_store_path(c->store[i]),
                        xr_store_path(c->store[k]));
}

static void warn_overlap(const xr_pretrain *p)
{
    for (size_t i = 0; i < p->valid.n_stores; i++)
        for (size_t k = 0; k < p->train.n_stores; k++)
            if (strcmp(xr_store_digest(p->valid.store[i]), xr_store_digest(p->train.store[k])) == 0)
                xr_warn("%s: is also trained on: the validation figures will be too good", xr_store_path(p->valid.store[i]));
}

xr_status xr_pretrain_read(xr_pretrain *p)
{
    XR_TRY(read_corpus(p, &p->train, &p->o->train_data, "train", "--train-data"));
    XR_TRY(read_corpus(p, &p->valid, &p->o->validation_data, "validation", "--validation-data"));
    warn_repeated(&p->train);
    warn_repeated(&p->valid);
    warn_overlap(p);
    return XR_OK;
}

void xr_corpus_free(xr_corpus *c)
{
    xr_blocks_close(c->blocks);
    for (size_t i = 0; i < c->n_stores; i++)
        xr_store_close(c->store[i]);
    xr_free(c->store);
    xr_free(c->count);
    xr_free(c->unk);
    memset(c, 0, sizeof *c);
}
