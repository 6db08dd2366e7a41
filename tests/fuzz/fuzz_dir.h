/* For targets that read a folder: one in memory, which goes away at the end. */
#ifndef XR_TESTS_FUZZ_DIR_H
#define XR_TESTS_FUZZ_DIR_H

#include "fuzz.h"

static char fuzz_dir[] = "/dev/shm/xr-fuzz-XXXXXX";

static void remove_fuzz_dir(void)
{
    xr_remove_tree(fuzz_dir);
}

static inline void make_fuzz_dir(void)
{
    if (!mkdtemp(fuzz_dir) || atexit(remove_fuzz_dir))
        abort();
}

/* The path of a name in it; the last four stay valid. */
static inline const char *fuzz_path(const char *name)
{
    static char path[4][120];
    static int turn;
    char *p = path[turn++ % 4];
    if (snprintf(p, sizeof path[0], "%s/%s", fuzz_dir, name) >= (int)sizeof path[0])
        abort();
    return p;
}

static inline void fuzz_put(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(fuzz_path(name), "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f))
        abort();
}

/* A file of the folder as a seed behind a first byte. */
static inline void fuzz_seed_of(char **argv, const char *name, char first, const char *file)
{
    size_t n;
    char *bytes = xr_file_read(fuzz_path(file), 1 << 24, &n), *seed = bytes ? malloc(1 + n) : NULL;
    if (!seed)
        abort();
    seed[0] = first;
    memcpy(seed + 1, bytes, n);
    fuzz_seed(argv, name, seed, 1 + n);
    free(seed);
    xr_free(bytes);
}

#endif
