/* Exact nearest neighbours by inner product: every pair of rows is multiplied, block by block. */
#ifndef XR_KERNELS_KNN_H
#define XR_KERNELS_KNN_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

/* The k best of each of n rows, best first; of equal products the smaller index comes first. */
typedef struct xr_neighbours {
    size_t n, k;
    float *product;             // [n, k]
    uint32_t *index;            // [n, k]
} xr_neighbours;

/* Called after every block of rows of x; anything but 0 stops with XR_ETEMPFAIL. */
typedef int (*xr_knn_progress)(size_t done, size_t total, void *context);

/* For every row of x its k best rows of y, and for every row of y its k best rows of x, from one pass over all products. k is lowered to
 * the number of rows there are. Memory beside the results: one block, a few MiB. The bits do not depend on the number of threads. On failure
 * both are empty. */
xr_status xr_knn(xr_neighbours *of_x, xr_neighbours *of_y, const float *x, size_t n, const float *y, size_t m, size_t d, size_t k,    // [N,D] [M,D]
                 xr_knn_progress progress, void *context);
void xr_neighbours_free(xr_neighbours *b);

#endif
