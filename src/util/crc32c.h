/* CRC-32C (Castagnoli, as in RFC 3720): the checksum of TensorBoard's event files. */
#ifndef XR_UTIL_CRC32C_H
#define XR_UTIL_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t xr_crc32c(const void *data, size_t len);

#endif
