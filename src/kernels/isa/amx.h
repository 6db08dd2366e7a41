/* The shapes of AMX tiles. */
#ifndef XR_KERNELS_ISA_AMX_H
#define XR_KERNELS_ISA_AMX_H

#include "kernels/isa/simd.h"

#if defined(__x86_64__)
/* What LDTILECFG reads (Intel, Software Developer's Manual, volume 1, section 18.3); palette 1 has 8 tiles of at most 16 rows of 64 bytes. */
typedef struct amx_shapes {
    _Alignas(64) uint8_t palette;
    uint8_t start_row, zero[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} amx_shapes;

/* The empty statement has everything written to memory before: of what the intrinsics of tiles read, gcc 12 knows 8 bytes of the shapes and no more. */
__attribute__((target("amx-tile"))) XR_INLINE void amx_configure(const amx_shapes *s)
{
    __asm__ volatile ("" : : "m" (*s) : "memory");
    _tile_loadconfig(s);
}
#endif

#endif
