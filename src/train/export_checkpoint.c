#include "train/export_checkpoint.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "data/tokenizer.h"
#include "model/hf.h"
#include "train/checkpoint.h"
#include "train/options.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { YAML_CAP = 1 << 24 };

/* ---- the run it belongs to ------------------------------------------------------------------------------------------ */

/* RUN of RUN/checkpoints/step-…; caller frees. */
static char *find_run(const char *checkpoint)
{
    char real[PATH_MAX];
    char *slash = realpath(checkpoint, real) ? strrchr(real, '/') : NULL;
    for (int up = 0; slash && up < 2; up++) {
        *slash = '\0';
        slash = strrchr(real, '/');
    }
    if (slash)
        return xr_strdup(real);
    xr_fail(XR_EDATA, "%s: does not lie in a run directory, RUN/checkpoints/step-…; move it back there", checkpoint);
    return NULL;
}

/* The first line says which command wrote it. */
static int is_of(const char *yaml, unsigned verb)
{
    const char *name = xr_verb_name(verb);
    size_t n = strlen(name);
    return strncmp(yaml, "# ", 2) == 0 && strncmp(yaml + 2, name, n) == 0 && yaml[2 + n] == ':';
}

/* The directory pretraining began from; caller frees. */
static char *pretrained_from(const char *run, const char *yaml, size_t len, const char *path)
{
    xr_options o;
    char *base = NULL;
    if (xr_options_init(&o, XR_V_PRETRAIN) == XR_OK && xr_options_yaml(&o, yaml, len, path) == XR_OK) {
        if (o.extend_vocab)
            base = xr_path_join(run, "data/extended-model");
        else if (o.model)
            base = xr_strdup(o.model);
        else
            xr_fail(XR_EDATA, "%s: names no model", path);
    }
    xr_options_free(&o);
    return base;
}

static char *find_base(const char *run, const char **head)
{
    size_t len;
    char *path = xr_path_join(run, "config.yaml"), *yaml = path ? xr_file_read(path, YAML_CAP, &len) : NULL, *base = NULL;
    *head = NULL;
    if (yaml && is_of(yaml, XR_V_PRETRAIN)) {
        *head = "masked_lm";
        base = pretrained_from(run, yaml, len, path);
    } else if (yaml) {
        base = xr_path_join(run, "best");
        if (base && !xr_path_is_dir(base))
            xr_fail(XR_EDATA, "%s: is not there; a checkpoint does not name the labels, which the best model does: it is written at the first evaluation",
                    base);
    }
    xr_free(yaml);
    xr_free(path);
    if (xr_error_status() == XR_OK)
        return base;
    xr_free(base);
    return NULL;
}

/* ---- its rows ------------------------------------------------------------------------------------------------------- */

static xr_status check_tokenizer(const char *checkpoint, const char *base, const json_t *manifest)
{
    const char *sha256 = json_string_value(json_object_get(json_object_get(manifest, "facts"), "tokenizer_sha256"));
    xr_tokenizer *t = xr_tokenizer_open(base);
    if (!t)
        return xr_error_status();
    xr_status status = XR_OK;
    if (!sha256 || strcmp(sha256, xr_tokenizer_sha256(t)) != 0)
        status = xr_fail(XR_EDATA, "%s: belongs to the tokenizer of sha256 %s, %s has %s; put the model there that the run began with", checkpoint,
                         sha256 ? sha256 : "unknown", base, xr_tokenizer_sha256(t));
    xr_tokenizer_free(t);
    return status;
}

static xr_status load_rows(const char *checkpoint, const char *base, xr_model *m)
{
    xr_state s = { 0 };
    json_t *manifest = NULL;
    xr_status status = XR_OK;
    for (size_t i = 0; i < m->params.n && status == XR_OK; i++) {
        xr_param *p = m->params.row[i];
        status = xr_state_add(&s, XR_STATE_F32, p->t.x, xr_numel(&p->t), "param/%s", p->name);
    }
    if (status == XR_OK)
        status = xr_checkpoint_load_some(checkpoint, &s, &manifest);
    if (status == XR_OK)
        status = check_tokenizer(checkpoint, base, manifest);
    json_decref(manifest);
    xr_state_free(&s);
    return status;
}

static xr_status export_from(const char *checkpoint, const char *base, const char *head, const char *out, int *vocab_size)
{
    xr_model m;
    xr_load_options options = { .head = head, .quiet = 1 };
    XR_TRY(xr_model_load(&m, base, &options));
    xr_status status = load_rows(checkpoint, base, &m);
    if (status == XR_OK)
        status = xr_model_save(&m, out, base);
    *vocab_size = m.config.vocab_size;
    xr_model_free(&m);
    return status;
}

xr_status xr_export_checkpoint(const char *checkpoint, const char *out, int *vocab_size)
{
    const char *head;
    char *run = find_run(checkpoint), *base = run ? find_base(run, &head) : NULL;
    xr_status status = base ? export_from(checkpoint, base, head, out, vocab_size) : xr_error_status();
    xr_free(base);
    xr_free(run);
    return status;
}
