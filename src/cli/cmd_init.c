/* xlmr init: a model directory with random weights, for training from nothing and for tests. */
#include <string.h>
#include "cli/cmd.h"
#include "data/tokenizer.h"
#include "model/hf.h"
#include "model/hf_digests.h"
#include "train/rundir.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"

static const size_t tokenizer_cap = (size_t)1 << 30;

/* Sizes from the preset or the given config.json; the vocabulary is always the tokenizer's. */
static xr_status read_sizes(const xr_options *o, int vocab_size, xr_config *c)
{
    if (o->preset) {
        XR_TRY(xr_config_preset(c, o->preset, vocab_size));
    } else {
        XR_TRY(xr_config_read(c, o->config_json));
        if (c->vocab_size != vocab_size)
            xr_info("%s: vocab_size %d becomes %d, the tokenizer's", o->config_json, c->vocab_size, vocab_size);
        c->vocab_size = vocab_size;
    }
    if (!c->head)
        c->head = xr_strdup("masked_lm");
    return c->head ? xr_config_check(c, o->config_json ? o->config_json : o->preset) : xr_error_status();
}

static xr_status copy_tokenizer(const xr_tokenizer *t, const char *dir)
{
    size_t len;
    char *to = xr_path_join(dir, "sentencepiece.bpe.model");
    char *bytes = to ? xr_file_read(xr_tokenizer_path(t), tokenizer_cap, &len) : NULL;
    xr_status st = bytes ? xr_file_write(to, bytes, len) : xr_error_status();
    xr_free(bytes);
    xr_free(to);
    return st;
}

static xr_status write_directory(const xr_options *o, const xr_model *m, const xr_tokenizer *t)
{
    xr_outdir out = { 0 };
    XR_TRY(o->overwrite_output_dir ? xr_model_dir_check(o->output_dir) : XR_OK);
    XR_TRY(xr_outdir_begin(&out, o->output_dir, o->overwrite_output_dir, "--overwrite-output-dir"));
    xr_status st = xr_model_save(m, out.tmp, xr_path_is_dir(o->tokenizer) ? o->tokenizer : NULL, NULL);
    if (st >= 0)
        st = copy_tokenizer(t, out.tmp);
    if (st >= 0)
        st = xr_model_seal(out.tmp);
    if (st >= 0)
        st = xr_outdir_commit(&out);
    if (st < 0)
        xr_outdir_abort(&out);
    return st;
}

static xr_status report(const xr_options *o, const xr_model *m)
{
    const xr_config *c = &m->config;
    size_t n = xr_params_count(&m->params);
    if (!o->json)
        return xr_out("%s: %zu parameters (%.1f MB), %d layers x %d, %d pieces%s\n", o->output_dir, n, (double)n * 4e-6,
                      c->num_hidden_layers, c->hidden_size, c->vocab_size,
                      o->dry_run ? "; nothing written (--dry-run)" : "");
    json_t *j = json_pack("{s:s, s:I, s:i, s:i, s:i, s:b}", "output_dir", o->output_dir, "parameters", (json_int_t)n,
                          "num_hidden_layers", c->num_hidden_layers, "hidden_size", c->hidden_size, "vocab_size",
                          c->vocab_size, "dry_run", o->dry_run);
    xr_status st = j ? xr_out_json(j) : xr_fail(XR_ESYSTEM, "init: out of memory for JSON");
    json_decref(j);
    return st;
}

static xr_status build(const xr_options *o, const xr_tokenizer *t, xr_config *c, xr_model *m)
{
    XR_TRY(read_sizes(o, xr_tokenizer_vocab_size(t), c));
    XR_TRY(xr_model_declare(m, c));
    if (!o->dry_run) {
        XR_TRY(xr_model_init(m, (uint64_t)o->seed));
        XR_TRY(strcmp(o->position_init, "sinusoidal") == 0 ? xr_model_init_positions(m) : XR_OK);
        XR_TRY(write_directory(o, m, t));
    }
    return report(o, m);
}

static xr_status run(const xr_options *o)
{
    xr_config c;
    xr_model m;
    memset(&c, 0, sizeof c);
    memset(&m, 0, sizeof m);
    if (!o->preset == !o->config_json)
        return xr_fail(XR_EUSAGE, "init needs --preset nano|mini|base|large or --config-json FILE; found %s",
                       o->preset ? "both" : "neither");
    xr_tokenizer *t = xr_tokenizer_open(o->tokenizer);
    if (!t)
        return xr_error_status();
    xr_status st = build(o, t, &c, &m);
    xr_model_free(&m);
    xr_config_free(&c);
    xr_tokenizer_free(t);
    return st;
}

const xr_cmd xr_cmd_init = {
    "init", XR_V_INIT, "make a model directory with random weights", NULL,
    "xlmr init --preset mini --tokenizer sentencepiece.bpe.model --output-dir mini\n"
    "xlmr init --preset base --tokenizer xlm-roberta-base --output-dir base-random --seed 1\n"
    "xlmr init --config-json config.json --tokenizer spm.model --output-dir mine --dry-run\n",
    run
};
