/* The allocations that tests let fail, one after another: some, further and further apart, or every single one (XLMR_TORTURE=full). */
#ifndef XR_TESTS_MEMORY_H
#define XR_TESTS_MEMORY_H

#include "torture.h"

static inline long next_failure(long k, long some)
{
    return k + 1 + (in_full() ? 0 : k / some);
}

#endif
