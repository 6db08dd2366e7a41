#include "data/apportion.h"

#include <math.h>

static void cut(uint64_t *size, const long double *weight, size_t n, uint64_t total)
{
    long double sum = 0.0L, running = 0.0L;
    uint64_t before = 0;
    for (size_t i = 0; i < n; i++)
        sum += weight[i];
    for (size_t i = 0; i < n; i++) {
        running += weight[i];
        uint64_t end = (uint64_t)roundl(running / sum * (long double)total);
        end = end > total || running == sum ? total : end;
        size[i] = end - before;
        before = end;
    }
}

void xr_apportion(uint64_t *size, const long double *weight, size_t n, uint64_t total)
{
    cut(size, weight, n, total);
    for (size_t i = 0; i < n; i++) {
        if (!(weight[i] > 0.0L) || size[i])
            continue;
        size_t largest = 0;
        for (size_t k = 1; k < n; k++)
            largest = size[k] > size[largest] ? k : largest;
        size[largest]--;
        size[i]++;
    }
}
