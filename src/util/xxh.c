/* The border to libxxhash. */
#include "util/xxh.h"

#include <stdint.h>
#define XXH_STATIC_LINKING_ONLY /* the size of the state */
#include <xxhash.h>

#include "util/alloc.h"

enum { STATE_ALIGN = 64 };

/* libxxhash wants its state aligned more strictly than the allocator promises, so it lies at an aligned place
 * inside. */
struct xr_xxh { XXH3_state_t *state; char room[]; };

static void to_hex(XXH128_hash_t hash, char hex[33])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, hash);
    for (size_t i = 0; i < 32; i++)
        hex[i] = "0123456789abcdef"[c.digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
    hex[32] = 0;
}

xr_xxh *xr_xxh_new(void)
{
    xr_xxh *h = xr_alloc(1, sizeof *h + STATE_ALIGN + sizeof(XXH3_state_t));
    if (!h)
        return NULL;
    char *aligned = h->room + (STATE_ALIGN - (uintptr_t)h->room % STATE_ALIGN) % STATE_ALIGN;
    h->state = (XXH3_state_t *)(void *)aligned;
    XXH3_128bits_reset(h->state);
    return h;
}

void xr_xxh_update(xr_xxh *h, const void *data, size_t len)
{
    XXH3_128bits_update(h->state, data, len);
}

void xr_xxh_final(xr_xxh *h, char hex[33])
{
    to_hex(XXH3_128bits_digest(h->state), hex);
    xr_free(h);
}
