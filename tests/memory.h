/* The allocations that tests let fail, one after another: some, further and further apart, or every single one (XLMR_TORTURE=full). */
#ifndef XR_TESTS_MEMORY_H
#define XR_TESTS_MEMORY_H

#include <stdlib.h>
#include <string.h>

static inline long next_failure(long k, long some)
{
    const char *torture = getenv("XLMR_TORTURE");
    return k + 1 + (torture && strcmp(torture, "full") == 0 ? 0 : k / some);
}

#endif
