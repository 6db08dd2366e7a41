/* A bump arena over reserved address space: pages come from the kernel on first touch and stay until the arena is
 * freed. */
#include "util/arena.h"

#include <stdint.h>
#include <sys/mman.h>

enum { ALIGN = 64 };

xr_status xr_arena_init(xr_arena *a, size_t bytes)
{
    *a = (xr_arena){ 0 };
    if (bytes == 0)
        return XR_OK;
    size_t reserved = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    void *p = MAP_FAILED;
    if (reserved >= bytes)
        p = mmap(NULL, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return xr_fail(XR_ESYSTEM, "out of memory: %zu bytes of address space could not be reserved; "
                       "raise the limit (ulimit -v) or use a smaller batch", bytes);
    (void)madvise(p, reserved, MADV_HUGEPAGE);
    a->base = p;
    a->reserved = reserved;
    return XR_OK;
}

void xr_arena_free(xr_arena *a)
{
    if (a->base)
        munmap(a->base, a->reserved);
    *a = (xr_arena){ 0 };
}

void *xr_arena_get(xr_arena *a, size_t n, size_t size)
{
    size_t bytes, end;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - ALIGN ||
        __builtin_add_overflow(a->used, (bytes + ALIGN - 1) / ALIGN * ALIGN, &end) || (a->base && end > a->reserved)) {
        xr_fail(XR_ESYSTEM, "out of memory: %zu x %zu bytes do not fit beside %zu in an arena of %zu bytes; "
                "use a smaller batch", n, size, a->used, a->reserved);
        return NULL;
    }
    void *p = a->base ? a->base + a->used : NULL;
    a->used = end;
    if (a->peak < end)
        a->peak = end;
    return p;
}

size_t xr_arena_mark(const xr_arena *a)
{
    return a->used;
}

void xr_arena_release(xr_arena *a, size_t mark)
{
    XR_ASSERT(mark <= a->used, "release to %zu of an arena with %zu bytes used", mark, a->used);
    a->used = mark;
}
