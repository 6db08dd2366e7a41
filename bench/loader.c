/* Speed of the masked-LM loader alone: batches as pretraining takes them, sampled, read, packed and masked, and dropped. One line.
 * usage: loader [STORE [cache MiB]]; without a store it makes one of 32 M random tokens and gives it 32 MiB of cache, so that most pages
 * are decoded anew, as with a corpus that is much larger than memory. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "data/mlm_loader.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/rng.h"

#define SHA "0000000000000000000000000000000000000000000000000000000000000000"
enum { VOCAB = 250002, LENGTH = 512, BATCH = 64, DOCUMENTS = 64000, SENTENCES = 20, WORDS = 25 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void need(int good)
{
    if (good)
        return;
    fprintf(stderr, "loader: %s\n", xr_error_message());
    exit(1);
}

static void write_documents(xr_store_writer *w)
{
    static const char *const language[] = { "en", "de", "sw", "zh" };
    xr_philox_key key = xr_rng_key(1, XR_RNG_TEST);
    int32_t id[WORDS];
    for (uint32_t d = 0; d < DOCUMENTS; d++) {
        for (uint32_t s = 0; s < SENTENCES; s++) {
            uint32_t r[4];
            for (uint32_t i = 0; i < WORDS; i++) {
                if (i % 4 == 0)
                    xr_philox(r, key, d, s, 0, i / 4);
                id[i] = (int32_t)(4 + r[i % 4] % (VOCAB - 5));
            }
            need(xr_store_sentence(w, id, WORDS) == XR_OK);
        }
        need(xr_store_end_document(w, language[d % 10 < 7 ? 0 : d % 10 - 6]) == XR_OK);
    }
}

static void make_store(const char *dir)
{
    char path[300];
    json_t *facts = NULL, *shards = json_array();
    snprintf(path, sizeof path, "%s/shard-00000.h5", dir);
    xr_store_writer *w = xr_store_create(path, 0);
    need(w != NULL);
    write_documents(w);
    need(xr_store_commit(w, &facts) == XR_OK);
    json_array_append_new(shards, facts);
    need(xr_store_write_manifest(dir, SHA, VOCAB, shards, NULL) == XR_OK);
    json_decref(shards);
}

static xr_sampling sample(const xr_blocks *b, uint64_t **count)
{
    xr_sampling s;
    size_t n = xr_blocks_n_languages(b);
    *count = xr_alloc(n, sizeof **count);
    need(*count != NULL);
    for (size_t i = 0; i < n; i++)
        (*count)[i] = xr_blocks_count(b, i);
    need(xr_sampling_init(&s, *count, n, 0.3, 1, xr_blocks_digest(b)) == XR_OK);
    return s;
}

static void measure(const char *dir, size_t cache_mib)
{
    xr_store *s = xr_store_open(dir, NULL);
    need(s != NULL);
    if (cache_mib)
        xr_store_limits(s, cache_mib << 20, 64);
    double start = seconds(), tokens = 0.0;
    xr_blocks *b = xr_blocks_open(&s, 1, XR_BREAK_COMPLETE, LENGTH, NULL);
    need(b != NULL);
    double opened = seconds() - start;
    uint64_t *count, step = 0;
    xr_sampling q = sample(b, &count);
    xr_masking m = { .share = 0.15, .mask_share = 0.8, .random_share = 0.1, .vocab_size = xr_store_vocab_size(s),
                     .mask_id = (int32_t)xr_store_vocab_size(s) - 1 };
    xr_mlm_loader *l = xr_mlm_loader_new(b, &q, &m, BATCH, 8);
    need(l != NULL);
    for (start = seconds(); seconds() - start < 4.0; step++)
        for (int k = xr_mlm_loader_begin(l, step); k > 0; k--) {
            const xr_batch *batch = xr_mlm_loader_batch(l, k - 1);
            need(batch != NULL);
            tokens += (double)batch->rows.n;
        }
    double took = seconds() - start;
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    printf("loader %.2f M tokens/s on one core: %.0f M of a store of %.1f M; %.0f samples an epoch; index read or made in %.2f s; at most %ld MB\n",
           tokens / took * 1e-6, tokens * 1e-6, (double)xr_store_tokens(s) * 1e-6, (double)q.total, opened, u.ru_maxrss / 1024);
    xr_mlm_loader_free(l);
    xr_sampling_free(&q);
    xr_free(count);
    xr_blocks_close(b);
    xr_store_close(s);
}

int main(int argc, char **argv)
{
    char dir[] = "/tmp/xr-bench-XXXXXX";
    if (argc > 1) {
        measure(argv[1], argc > 2 ? (size_t)atoi(argv[2]) : 0);
        return 0;
    }
    if (!mkdtemp(dir))
        return 1;
    make_store(dir);
    measure(dir, 32);
    return xr_remove_tree(dir) < 0;
}
