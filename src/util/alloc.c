/* Allocation with checked sizes, a count of live blocks, and a switch that makes it fail for tests. */
#include "util/alloc.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

static atomic_long live;
static atomic_int failing;          /* is the test hook on? */
static atomic_long until_failure;   /* allocations that still succeed while it is */

static int refused(void)
{
    if (!atomic_load(&failing))
        return 0;
    return atomic_fetch_sub(&until_failure, 1) <= 0;
}

static xr_status out_of_memory(size_t n, size_t size)
{
    return xr_fail(XR_ESYSTEM, "out of memory: %zu x %zu bytes could not be allocated; "
                   "use a smaller batch or model, or a machine with more memory", n, size);
}

/* The product in bytes, at least 1; 0 when it cannot be allocated on any machine. */
static size_t product(size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > (size_t)PTRDIFF_MAX)
        return 0;
    return bytes ? bytes : 1;
}

void *xr_alloc(size_t n, size_t size)
{
    size_t bytes = product(n, size);
    void *p = bytes && !refused() ? calloc(1, bytes) : NULL;
    if (!p) {
        out_of_memory(n, size);
        return NULL;
    }
    atomic_fetch_add(&live, 1);
    return p;
}

void *xr_realloc(void *p, size_t n, size_t size)
{
    size_t bytes = product(n, size);
    void *q = bytes && !refused() ? realloc(p, bytes) : NULL;
    if (!q) {
        out_of_memory(n, size);
        return NULL;
    }
    if (!p)
        atomic_fetch_add(&live, 1);
    return q;
}

char *xr_strdup(const char *s)
{
    return xr_strndup(s, strlen(s));
}

char *xr_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = xr_alloc(len + 1, 1);
    if (copy)
        memcpy(copy, s, len);
    return copy;
}

void xr_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub(&live, 1);
    free(p);
}

/* The pointer is read and written as bytes because the caller's array has a type of its own. */
xr_status xr_grow(void *array_pointer, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return XR_OK;
    size_t want = *cap < 8 ? 8 : *cap;
    while (want < need)
        want = want > SIZE_MAX / 2 ? need : want * 2;
    void *old;
    memcpy(&old, array_pointer, sizeof old);
    void *grown = xr_realloc(old, want, size);
    if (!grown)
        return xr_error_status();
    memcpy(array_pointer, &grown, sizeof grown);
    *cap = want;
    return XR_OK;
}

static size_t whole_pages(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return ((bytes ? bytes : 1) + page - 1) / page * page;
}

/* Maps more than asked and gives the ends back, which is the portable way to an aligned mapping. */
static void *map_aligned(size_t bytes, size_t align)
{
    char *p = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return MAP_FAILED;
    size_t head = (align - (uintptr_t)p % align) % align;
    if (head)
        munmap(p, head);
    if (align - head)
        munmap(p + head + bytes, align - head);
    return p + head;
}

void *xr_map_alloc(size_t bytes, int huge)
{
    void *p = MAP_FAILED;
    if (bytes < (size_t)PTRDIFF_MAX - 2 * HUGE_PAGE && !refused()) {
        size_t size = whole_pages(bytes);
        if (size >= HUGE_PAGE)
            p = map_aligned(size, HUGE_PAGE);
        else
            p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        /* Advice only: a kernel without huge pages serves the memory all the same. */
        if (p != MAP_FAILED && size >= HUGE_PAGE)
            (void)madvise(p, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    }
    if (p == MAP_FAILED) {
        out_of_memory(1, bytes);
        return NULL;
    }
    atomic_fetch_add(&live, 1);
    return p;
}

void xr_map_free(void *p, size_t bytes)
{
    if (!p)
        return;
    munmap(p, whole_pages(bytes));
    atomic_fetch_sub(&live, 1);
}

void xr_map_drop(const void *p, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)p + page - 1) / page * page, end = ((uintptr_t)p + bytes) / page * page;
    if (first < end)
        (void)madvise((void *)first, end - first, MADV_DONTNEED);
}

void xr_alloc_fail_after(long k)
{
    atomic_store(&until_failure, k);
    atomic_store(&failing, k >= 0);
}

long xr_alloc_live(void)
{
    return atomic_load(&live);
}
