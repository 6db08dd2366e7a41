/* The fuzz targets without libFuzzer, for make test: each takes its own seeds, and inputs made of them that are the same every time.
 * PROGRAM EMPTY-FOLDER [FILE...]: the files are inputs as well. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { SEEDS = 32, MOST = 1 << 16, CHANGED = 100 };
typedef struct input { uint8_t byte[MOST]; size_t n; } input;
static input seed[SEEDS];
static size_t n_seeds;

/* An own copy, at whose end the sanitizers look. */
static void run(const uint8_t *byte, size_t n)
{
    uint8_t *copy = malloc(n);
    if (n && !copy)
        exit(1);
    memcpy(copy, byte, n);
    LLVMFuzzerTestOneInput(copy, n);
    free(copy);
}

static void load(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f || n_seeds == SEEDS) {
        fprintf(stderr, "%s: cannot be opened, or is one too many\n", path);
        exit(1);
    }
    input *s = &seed[n_seeds++];
    s->n = fread(s->byte, 1, MOST, f);
    fclose(f);
    run(s->byte, s->n);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_all(const char *folder)
{
    struct dirent **entry;
    int n = scandir(folder, &entry, NULL, by_name);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry[i]->d_name);
        if (entry[i]->d_name[0] != '.')
            load(path);
        free(entry[i]);
    }
    free(entry);
}

static uint32_t roll(uint32_t below)
{
    static uint32_t x = 1;
    x = x * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)x * below) >> 32);
}

/* One to four changes: a bit, a byte, a piece of another seed, an end. */
static void change(const input *s, input *to)
{
    memcpy(to, s, sizeof *to);
    for (uint32_t k = roll(4); to->n > 0; k--) {
        uint32_t at = roll((uint32_t)to->n), kind = roll(8);
        const input *other = &seed[roll((uint32_t)n_seeds)];
        if (kind < 4)
            to->byte[at] ^= (uint8_t)(1 << roll(8));
        else if (kind < 6)
            to->byte[at] = (uint8_t)roll(256);
        else if (kind == 6 && other->n > at)
            memcpy(to->byte + at, other->byte + at, other->n - at < to->n - at ? other->n - at : to->n - at);
        else
            to->n = at;
        if (k == 0)
            return;
    }
}

int main(int argc, char **argv)
{
    static input changed;
    if (argc < 2)
        return 2;
    LLVMFuzzerInitialize(&argc, &argv);
    load_all(argv[1]);
    for (int i = 2; i < argc; i++)
        load(argv[i]);
    for (size_t i = 0; i < n_seeds; i++)
        for (int k = 0; k < CHANGED; k++) {
            change(&seed[i], &changed);
            run(changed.byte, changed.n);
        }
    printf("%zu seeds, %zu inputs\n", n_seeds, n_seeds * (1 + CHANGED));
    return n_seeds == 0;
}
