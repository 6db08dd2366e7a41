/* How much of the time of `xlmr prepare` is sentencepiece's own, and how fast its store is read at random.
 * usage: prepare SENTENCEPIECE_MODEL FILE... (raw text). Times are processor time, so that a busy machine matters less: the median of five. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "data/store.h"
#include "train/prepare_plan.h"
#include "util/alloc.h"
#include "util/fs.h"

enum { ROUNDS = 5, BLOCK = 512, READS = 20000 };

static double seconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(int good)
{
    if (good)
        return;
    fprintf(stderr, "prepare: %s\n", xr_error_message());
    exit(1);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *t)
{
    qsort(t, ROUNDS, sizeof *t, by_size);
    return t[ROUNDS / 2];
}

/* All paragraphs one after another, and where each ends. */
typedef struct text { xr_str all; size_t *end; size_t n, cap; } text;

static void read_text(text *t, const char *path)
{
    xr_text_reader r;
    xr_text_options o = { .skip_bad = 1, .max_bad_fraction = 1, .allow_truncated = 1 };
    xr_paragraph p;
    must(xr_text_open(&r, path, &o) == XR_OK);
    while (xr_text_next(&r, &p) > 0) {
        must(xr_str_append(&t->all, p.text, p.len) == XR_OK && xr_grow(&t->end, &t->cap, t->n + 1, sizeof *t->end) == XR_OK);
        t->end[t->n++] = t->all.len;
    }
    xr_text_close(&r);
    must(xr_error_status() == XR_OK);
}

static double encode_once(const xr_tokenizer *tokenizer, const text *t, size_t *tokens)
{
    xr_tokens out = { 0 };
    double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    *tokens = t->n;
    for (size_t i = 0, at = 0; i < t->n; at = t->end[i++]) {
        out.n = 0;
        must(xr_tokenizer_encode(tokenizer, t->all.s + at, t->end[i] - at, 0, &out) == XR_OK);
        *tokens += out.n;
    }
    xr_tokens_free(&out);
    return seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static double prepare_once(const xr_options *o, const xr_tokenizer *tokenizer, char **input, int n, const char *dir)
{
    xr_prepare_job job = { .o = o, .tokenizer = tokenizer, .input = (const char *const *)input, .n_input = (size_t)n, .output_dir = dir };
    must(xr_remove_tree(dir) == XR_OK);
    double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    must(xr_prepare_run(&job, NULL, NULL) == XR_OK);
    return seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
}

static void read_store(const char *dir, size_t cache)
{
    int32_t id[BLOCK];
    uint64_t x = 1;
    xr_store *s = xr_store_open(dir, NULL);
    must(s != NULL);
    xr_store_limits(s, cache, 64);
    double start = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (int k = 0; k < READS; k++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        must(xr_store_read(s, (x >> 20) % (xr_store_tokens(s) - BLOCK), BLOCK, id) == XR_OK);
    }
    double t = seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
    printf("store    %d-token blocks in random order, %4zu MiB of cache  %8.1f M tokens/s\n", BLOCK, cache >> 20, 1e-6 * READS * BLOCK / t);
    xr_store_close(s);
}

static void compare(const xr_options *o, const xr_tokenizer *tokenizer, char **input, int n, const char *dir)
{
    text t = { 0 };
    double encode[ROUNDS], prepare[ROUNDS];
    size_t tokens = 0;
    for (int i = 0; i < n; i++)
        read_text(&t, input[i]);
    for (int k = 0; k < ROUNDS; k++) {
        encode[k] = encode_once(tokenizer, &t, &tokens);
        prepare[k] = prepare_once(o, tokenizer, input, n, dir);
    }
    double e = median(encode), p = median(prepare);
    printf("encode   %zu paragraphs, %.1f MB, %zu tokens: %.2f s, %.2f MB/s, %.0f tokens/s\n", t.n, 1e-6 * (double)t.all.len, tokens, e,
           1e-6 * (double)t.all.len / e, (double)tokens / e);
    printf("prepare  the same, one worker: %.2f s, %.1f %% of the rate of encoding\n", p, 100 * e / p);
    xr_str_free(&t.all);
    xr_free(t.end);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        printf("prepare  not measured: give a sentencepiece model and files of raw text\n");
        return 0;
    }
    char dir[] = "/tmp/xr-bench-XXXXXX", *store;
    xr_options o;
    xr_tokenizer *tokenizer = xr_tokenizer_open(argv[1]);
    must(tokenizer && mkdtemp(dir) && (store = xr_path_join(dir, "store")) && xr_options_init(&o, XR_V_PREPARE) == XR_OK &&
         xr_options_set(&o, "workers", "1") == XR_OK && xr_options_set(&o, "allow_truncated", "true") == XR_OK);
    compare(&o, tokenizer, argv + 2, argc - 2, store);
    read_store(store, (size_t)256 << 20);
    read_store(store, (size_t)1 << 20);
    must(xr_remove_tree(dir) == XR_OK);
    xr_free(store);
    xr_options_free(&o);
    xr_tokenizer_free(tokenizer);
    return 0;
}
