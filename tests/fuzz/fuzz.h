/* What the fuzz targets share: the entries of libFuzzer, an input as a file, its seeds, and files read through two sizes of buffers, which must agree.
 * A target defines fuzz_one and fuzz_seeds. */
#ifndef XR_TESTS_FUZZ_H
#define XR_TESTS_FUZZ_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "data/text.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/xxh.h"

static void fuzz_one(const uint8_t *data, size_t n);    /* an input; what is wrong aborts */
static void fuzz_seeds(char **argv);                    /* what to begin with: calls of FUZZ_SEED */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    long live = xr_alloc_live();
    fuzz_one(data, n);
    xr_error_clear();
    if (xr_alloc_live() != live)
        abort();
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    fuzz_seeds(*argv);
    return 0;
}

/* The path of a file in memory that holds these bytes; the same file each time. */
static inline const char *fuzz_file(const void *bytes, size_t n)
{
    static int fd = -1;
    static char path[40];
    if (fd < 0)
        fd = memfd_create("input", 0);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, bytes, n, 0) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

/* Writes a seed into the folder that the fuzzer was given; inputs that it is to run again are files. */
static inline void fuzz_seed(char **argv, const char *name, const void *bytes, size_t n)
{
    for (char **arg = argv + 1; *arg; arg++) {
        char path[4096];
        if (**arg == '-' || !xr_path_is_dir(*arg))
            continue;
        snprintf(path, sizeof path, "%s/seed-%s", *arg, name);
        FILE *f = fopen(path, "wb");
        if (!f || fwrite(bytes, 1, n, f) != n || fclose(f))
            abort();
        return;
    }
}

/* Of a text that stands in the target. */
#define FUZZ_SEED(argv, name, text) fuzz_seed(argv, name, text, sizeof text - 1)

/* The number that stands for all that `read` got out of a file is the same for any size of its buffers. */
static inline void fuzz_both(uint64_t (*read)(const char *path, size_t chunk), const void *bytes, size_t n, size_t chunk)
{
    const char *path = fuzz_file(bytes, n);
    if (read(path, 0) != read(path, chunk))
        abort();
}

/* What a reader's next gave, added to the sum: 1: a record, 0: a bad one that it goes on behind, -1: nothing comes any more. */
static inline int fuzz_got(int rc, const int *broken, uint64_t *sum)
{
    if (rc == 0)
        return -1;
    *sum = *sum * 31 + (uint64_t)(rc + 100);
    xr_error_clear();
    return rc > 0 ? 1 : *broken ? -1 : 0;
}

/* A number that stands for all that came out of a shard: paragraphs, counts, status. */
static inline uint64_t fuzz_read(const char *path, const xr_text_options *o, size_t chunk)
{
    xr_text_reader r;
    xr_paragraph p;
    uint64_t sum = 0;
    xr_stream_chunk(chunk);
    int rc = xr_text_open(&r, path, o);
    xr_stream_chunk(0);
    if (rc < 0) {
        xr_error_clear();
        return (uint64_t)-rc;
    }
    while ((rc = xr_text_next(&r, &p)) == 1) {
        if (p.len == 0 || memchr(p.text, 0, p.len) || memchr(p.text, '\n', p.len))
            abort();
        sum = sum * 31 + xr_xxh64(p.text, p.len) + (uint64_t)p.begins_document + p.line * 7;
        if (p.language)
            sum = sum * 31 + xr_xxh64(p.language, strlen(p.language));
    }
    sum = sum * 31 + xr_xxh64(&r.counts, sizeof r.counts) + (uint64_t)-rc;
    if (r.counts.documents > r.counts.records)
        abort();
    xr_text_close(&r);
    xr_error_clear();
    return sum;
}

static inline void fuzz_shard(const void *bytes, size_t n, const xr_text_options *o, size_t chunk)
{
    const char *path = fuzz_file(bytes, n);
    if (fuzz_read(path, o, 0) != fuzz_read(path, o, chunk))
        abort();
}

#endif
