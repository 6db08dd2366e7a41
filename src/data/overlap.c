/* Which examples of one dataset stand in another: ids compared through sorted hashes. */
#include <stdlib.h>
#include <string.h>
#include "data/dataset.h"
#include "util/alloc.h"

typedef struct hashed { uint64_t hash; size_t i; } hashed;

/* FNV-1a over the ids. */
static uint64_t hash_of(const xr_dataset *d, size_t i)
{
    uint64_t h = 14695981039346656037u;
    for (uint64_t k = d->offset[i]; k < d->offset[i + 1]; k++)
        for (int byte = 0; byte < 32; byte += 8)
            h = (h ^ ((uint32_t)d->ids[k] >> byte & 255u)) * 1099511628211u;
    return h;
}

static int by_hash(const void *a, const void *b)
{
    uint64_t x = ((const hashed *)a)->hash, y = ((const hashed *)b)->hash;
    return (x > y) - (x < y);
}

static int same_ids(const xr_dataset *a, size_t i, const xr_dataset *b, size_t k)
{
    size_t n = xr_dataset_len(a, i);
    return n == xr_dataset_len(b, k) && !memcmp(a->ids + a->offset[i], b->ids + b->offset[k], n * sizeof *a->ids);
}

static int stands_in(const xr_dataset *a, size_t i, const xr_dataset *b, const hashed *table)
{
    uint64_t hash = hash_of(a, i);
    size_t low = 0, high = b->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (table[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < b->n && table[low].hash == hash; low++)
        if (same_ids(a, i, b, table[low].i))
            return 1;
    return 0;
}

xr_status xr_dataset_overlap(const xr_dataset *a, const xr_dataset *b, size_t *n)
{
    hashed *table = xr_alloc(b->n, sizeof *table);

    *n = 0;
    if (!table)
        return xr_error_status();
    for (size_t k = 0; k < b->n; k++)
        table[k] = (hashed){ hash_of(b, k), k };
    qsort(table, b->n, sizeof *table, by_hash);
    for (size_t i = 0; i < a->n; i++)
        *n += (size_t)stands_in(a, i, b, table);
    xr_free(table);
    return XR_OK;
}
