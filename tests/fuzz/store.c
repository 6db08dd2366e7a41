/* A token store of one shard: the first byte chooses whether what follows is the manifest or the shard. A shard gets a manifest that
 * fits its size, as an attacker would make it. */
#include "fuzz.h"

#include "data/store.h"
#include "util/fs.h"

static char dir[] = "/dev/shm/xr-fuzz-store-XXXXXX";
static char manifest_path[80], shard_path[80];
static char *manifest, *shard;
static size_t n_manifest, n_shard;
static json_t *facts;

static void put(const char *path, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f))
        abort();
}

static void clean_up(void)
{
    xr_remove_tree(dir);
}

/* A store of two documents, in two languages. */
static void make_store(void)
{
    static const int32_t ids[] = { 5, 6, 7, 8, 9 };
    if (!mkdtemp(dir))
        abort();
    atexit(clean_up);
    snprintf(manifest_path, sizeof manifest_path, "%s/%s", dir, XR_STORE_MANIFEST);
    snprintf(shard_path, sizeof shard_path, "%s/shard-00000.h5", dir);
    xr_store_writer *w = xr_store_create(shard_path, 0);
    if (!w || xr_store_sentence(w, ids, 5) || xr_store_sentence(w, ids, 2) || xr_store_end_document(w, "en") || xr_store_sentence(w, ids, 3) ||
        xr_store_end_document(w, "fr") || xr_store_commit(w, &facts))
        abort();
    json_t *shards = json_pack("[O]", facts);
    if (xr_store_write_manifest(dir, "0000000000000000000000000000000000000000000000000000000000000000", 100, shards, NULL))
        abort();
    json_decref(shards);
    manifest = xr_file_read(manifest_path, 1 << 20, &n_manifest);
    shard = xr_file_read(shard_path, 1 << 20, &n_shard);
    if (!manifest || !shard)
        abort();
}

static void read_store(void)
{
    enum { MOST = 64 };
    uint64_t offset[MOST + 1];
    uint16_t language[MOST];
    int32_t id[MOST];
    xr_store *s = xr_store_open(dir, NULL);
    if (!s)
        return;
    xr_store_limits(s, 1 << 20, 1);
    uint64_t documents = xr_store_documents(s), tokens = xr_store_tokens(s);
    if (xr_store_document_table(s, 0, documents < MOST ? documents : MOST, offset, language) == XR_OK)
        for (uint64_t i = 0; i < documents && i < MOST; i++)
            if (offset[i] > offset[i + 1] || language[i] >= xr_store_n_languages(s))
                abort();
    xr_error_clear();
    if (tokens && xr_store_read(s, tokens > MOST ? tokens - MOST : 0, tokens < MOST ? tokens : MOST, id) == XR_OK)
        for (uint64_t i = 0; i < tokens && i < MOST; i++)
            if (id[i] < 0 || id[i] >= xr_store_vocab_size(s))
                abort();
    xr_store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 1)
        return 0;
    long live = xr_alloc_live();
    if (data[0] & 1) {
        put(shard_path, data + 1, n - 1);
        json_t *mine = json_deep_copy(facts);
        json_object_set_new(mine, "bytes", json_integer((json_int_t)n - 1));
        json_t *shards = json_pack("[o]", mine);
        if (xr_store_write_manifest(dir, "0000000000000000000000000000000000000000000000000000000000000000", 100, shards, NULL))
            abort();
        json_decref(shards);
    } else {
        put(shard_path, shard, n_shard);
        put(manifest_path, data + 1, n - 1);
    }
    read_store();
    xr_error_clear();
    if (xr_alloc_live() != live)
        abort();
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    make_store();
    char *seed = malloc(1 + (n_manifest > n_shard ? n_manifest : n_shard));
    seed[0] = 0;
    memcpy(seed + 1, manifest, n_manifest);
    fuzz_seed(*argv, "manifest", seed, 1 + n_manifest);
    seed[0] = 1;
    memcpy(seed + 1, shard, n_shard);
    fuzz_seed(*argv, "shard", seed, 1 + n_shard);
    free(seed);
    return 0;
}
