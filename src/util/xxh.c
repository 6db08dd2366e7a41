/* The border to libxxhash. */
#include "util/xxh.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY /* the size of the state */
#include <xxhash.h>

#include "util/alloc.h"
#include "util/fs.h"

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

uint64_t xr_xxh64(const void *data, size_t len)
{
    return XXH3_64bits(data, len);
}

static xr_status update_from(xr_xxh *h, int fd, const char *path)
{
    enum { CHUNK = 1 << 18 };
    char *chunk = xr_alloc(CHUNK, 1);
    ssize_t n = chunk ? 1 : -1;
    while (chunk && (n = read(fd, chunk, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            xr_fail(XR_EIO, "%s: reading failed: %s", path, strerror(errno));
            break;
        }
        xr_xxh_update(h, chunk, (size_t)n);
    }
    xr_free(chunk);
    return n < 0 ? xr_error_status() : XR_OK;
}

xr_status xr_xxh_file(const char *path, char hex[33])
{
    int fd = xr_file_open(path, O_RDONLY);
    if (fd < 0)
        return xr_fail_open(path);
    xr_xxh *h = xr_xxh_new();
    xr_status status = h ? update_from(h, fd, path) : xr_error_status();
    close(fd);
    if (h)
        xr_xxh_final(h, hex);
    return status;
}
