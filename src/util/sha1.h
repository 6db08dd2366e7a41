/* SHA-1, for the digests in web archives. */
#ifndef XR_UTIL_SHA1_H
#define XR_UTIL_SHA1_H

#include <stddef.h>
#include <stdint.h>

void xr_sha1(const void *data, size_t len, unsigned char digest[20]);

#endif
