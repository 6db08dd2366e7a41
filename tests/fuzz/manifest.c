/* MANIFEST.json of a checkpoint and digests.json of a model directory. The first byte chooses which, and whether the file is as it comes or, being JSON,
 * sealed with its right digest, as an attacker would make it. */
#include "fuzz_dir.h"

#include "model/hf_digests.h"
#include "train/checkpoint.h"
#include "train/verify.h"

enum { CHECKPOINT = 0, MODEL = 1, SEALED = 2 };

/* 0: it is no JSON that could be sealed. */
static int put_manifest(const char *name, const uint8_t *data, size_t n, int sealed)
{
    if (!sealed) {
        fuzz_put(name, data, n);
        return 1;
    }
    json_t *j = json_loadb((const char *)data, n, JSON_REJECT_DUPLICATES, NULL);
    int good = json_is_object(j);
    if (good && xr_manifest_write(fuzz_path(name), j) < 0)
        abort();
    json_decref(j);
    return good;
}

/* A checkpoint that passes names no file but those that are there. */
static void read_checkpoint(void)
{
    json_t *j = xr_checkpoint_verify(fuzz_path("checkpoint")), *entry;
    const char *name;
    json_object_foreach(json_object_get(j, "files"), name, entry)
        if (strcmp(name, "state.h5") != 0 || json_integer_value(json_object_get(entry, "bytes")) != 5)
            abort();
    json_decref(j);
}

static void read_model(void)
{
    xr_verdict v;
    json_t *j = xr_model_digests(fuzz_path("model")), *entry;
    const char *name;
    json_object_foreach(json_object_get(j, "files"), name, entry)
        if (!*name || strchr(name, '/'))
            abort();
    json_decref(j);
    xr_error_clear();
    if (xr_verify(fuzz_path("model"), &v) < 0 || v.n_bad < 1)
        abort();
    json_decref(v.checks);
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    int model = data[0] & MODEL;
    if (!put_manifest(model ? "model/digests.json" : "checkpoint/MANIFEST.json", data + 1, n - 1, data[0] & SEALED))
        return;
    if (model)
        read_model();
    else
        read_checkpoint();
}

/* One file of five bytes in each, and good manifests of them. */
static void fuzz_seeds(char **argv)
{
    static const char rows[] = "\2{\"format\": \"xlmr-checkpoint\", \"format_version\": 1, \"step\": 0, \"files\": {\"a/b\": {}, \"state.h5\": 3}}";
    make_fuzz_dir();
    if (xr_mkdirs(fuzz_path("checkpoint")) || xr_mkdirs(fuzz_path("model")))
        abort();
    fuzz_put("checkpoint/state.h5", "state", 5);
    fuzz_put("model/config.json", "{\"a\":", 5);
    json_t *files = json_object(), *j = json_pack("{ss si si sO si s{ss}}", "format", "xlmr-checkpoint", "format_version", 1, "step", 7, "files", files,
                                                  "rows", 4, "facts", "tokenizer_sha256", "0");
    if (xr_manifest_add(files, fuzz_path("checkpoint"), "state.h5") || xr_manifest_write(fuzz_path("checkpoint/MANIFEST.json"), j) ||
        xr_model_seal(fuzz_path("model")))
        abort();
    json_decref(j);
    json_decref(files);
    read_checkpoint();
    if (xr_error_status() < 0)
        abort();
    for (char sealed = 0; sealed <= SEALED; sealed += SEALED) {
        fuzz_seed_of(argv, sealed ? "checkpoint-sealed" : "checkpoint", sealed, "checkpoint/MANIFEST.json");
        fuzz_seed_of(argv, sealed ? "model-sealed" : "model", MODEL | sealed, "model/digests.json");
    }
    FUZZ_SEED(argv, "names", rows);
}
