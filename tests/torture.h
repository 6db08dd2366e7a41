/* `make torture`: everything of what `make test` tries in a sample. */
#ifndef XR_TESTS_TORTURE_H
#define XR_TESTS_TORTURE_H

#include <stdlib.h>
#include <string.h>

static inline int in_full(void)
{
    const char *how = getenv("XLMR_TORTURE");
    return how && strcmp(how, "full") == 0;
}

#endif
