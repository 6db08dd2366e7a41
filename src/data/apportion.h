/* Shares of a whole number of things. */
#ifndef XR_DATA_APPORTION_H
#define XR_DATA_APPORTION_H

#include <stddef.h>
#include <stdint.h>

/* size[i] = weight[i] / sum total, as whole numbers that add up to total, each within one of its share: [0, total) is cut where the running sum of the
 * weights says, each cut rounded. What has any weight gets at least one, taken from the largest; so total >= n. */
void xr_apportion(uint64_t *size, const long double *weight, size_t n, uint64_t total);

#endif
