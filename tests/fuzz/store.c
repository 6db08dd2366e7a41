/* A token store of one shard: the first byte chooses whether what follows is the manifest, the shard, or how a whole shard differs from what the store
 * expects. A shard gets a manifest that fits its size, as an attacker would make it. */
#include "fuzz_h5.h"

#include <sys/stat.h>

#include "data/store.h"

#define SHARD "shard-00000.h5"
enum { MANIFEST = 0, RAW = 1, BUILT = 2, KINDS = 3 };
static json_t *facts;

/* Over the shard as it lies there. */
static void write_manifest(void)
{
    struct stat st;
    json_t *mine = json_deep_copy(facts), *shards = json_pack("[o]", mine);
    if (stat(fuzz_path(SHARD), &st) < 0 || json_object_set_new(mine, "bytes", json_integer(st.st_size)) ||
        xr_store_write_manifest(fuzz_dir, "0000000000000000000000000000000000000000000000000000000000000000", 100, shards, NULL))
        abort();
    json_decref(shards);
}

/* A store of two documents, in two languages. */
static void make_store(void)
{
    static const int32_t ids[] = { 5, 6, 7, 8, 9 };
    fuzz_h5_begin();
    xr_store_writer *w = xr_store_create(fuzz_path(SHARD), 0);
    if (!w || xr_store_sentence(w, ids, 5) || xr_store_sentence(w, ids, 2) || xr_store_end_document(w, "en") || xr_store_sentence(w, ids, 3) ||
        xr_store_end_document(w, "fr") || xr_store_commit(w, &facts))
        abort();
    write_manifest();
}

/* The same store, but for what the bytes say. */
static void build(fuzz_bytes in)
{
    static const uint32_t token[] = { 5, 6, 7, 8, 9, 2, 5, 6, 2, 5, 6, 7, 2 };
    static const uint64_t offset[] = { 0, 9, 13 };
    static const uint16_t language[] = { 0, 1 };
    const fuzz_wish wish[] = { { .text_name = "lang_names", .text = "en,fr" }, { "tokens", H5T_STD_U32LE, 13, token, NULL, NULL },
                               { "doc_offsets", H5T_STD_U64LE, 3, offset, NULL, NULL }, { "lang", H5T_STD_U16LE, 2, language, NULL, NULL } };
    fuzz_h5(SHARD, wish, sizeof wish / sizeof *wish, &in);
}

/* Returns how many documents and tokens were read. */
static uint64_t read_store(void)
{
    enum { MOST = 64 };
    uint64_t offset[MOST + 1];
    uint16_t language[MOST];
    int32_t id[MOST];
    uint64_t read = 0;
    xr_store *s = xr_store_open(fuzz_dir, NULL);
    if (!s)
        return 0;
    xr_store_limits(s, 1 << 20, 1);
    uint64_t documents = xr_store_documents(s), tokens = xr_store_tokens(s);
    if (xr_store_document_table(s, 0, documents < MOST ? documents : MOST, offset, language) == XR_OK)
        for (uint64_t i = 0; i < documents && i < MOST; i++, read++)
            if (offset[i] > offset[i + 1] || language[i] >= xr_store_n_languages(s))
                abort();
    xr_error_clear();
    if (tokens && xr_store_read(s, tokens > MOST ? tokens - MOST : 0, tokens < MOST ? tokens : MOST, id) == XR_OK)
        for (uint64_t i = 0; i < tokens && i < MOST; i++, read++)
            if (id[i] < 0 || id[i] >= xr_store_vocab_size(s))
                abort();
    xr_store_close(s);
    fuzz_h5_closed();
    return read;
}

static void fuzz_one(const uint8_t *data, size_t n)
{
    if (n < 1)
        return;
    unsigned kind = data[0] % KINDS;
    if (kind == RAW)
        fuzz_put(SHARD, data + 1, n - 1);
    else
        build(kind == BUILT ? (fuzz_bytes){ data + 1, n - 1 } : (fuzz_bytes){ NULL, 0 });
    if (kind == MANIFEST)
        fuzz_put(XR_STORE_MANIFEST, data + 1, n - 1);
    else
        write_manifest();
    read_store();
}

static void fuzz_seeds(char **argv)
{
    static const char wished[24] = { BUILT };
    make_store();
    fuzz_seed_of(argv, "shard", RAW, SHARD);
    build((fuzz_bytes){ NULL, 0 });
    write_manifest();
    if (read_store() != 15)
        abort();
    fuzz_seed_of(argv, "manifest", MANIFEST, XR_STORE_MANIFEST);
    fuzz_seed(argv, "as-wished", wished, sizeof wished);
}
