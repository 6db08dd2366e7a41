/* Which instruction set our own kernels use, chosen once at start: AMX (AVX-512 and tiles), AVX-512, AVX2+FMA or portable C. */
#ifndef XR_KERNELS_CPU_H
#define XR_KERNELS_CPU_H

#include <stddef.h>

#include "util/error.h"

typedef enum xr_isa { XR_ISA_PORTABLE, XR_ISA_AVX2, XR_ISA_AVX512, XR_ISA_AMX } xr_isa;

xr_isa xr_cpu_best(void);                       /* what this machine can do */
xr_isa xr_cpu_isa(void);                        /* what is used: the best, unless XR_ISA=portable|avx2|avx512 asks for less, or amx for its bits */
const char *xr_isa_name(xr_isa isa);
const char *xr_cpu_model(void);                 /* from /proc/cpuinfo, "unknown" if absent */
int xr_cpu_has_bf16(void);                      /* AVX512-BF16 */
int xr_cpu_has_vnni(void);                      /* AVX512-VNNI */
int xr_cpu_has_avxvnni(void);                   /* AVX-VNNI, the same without AVX-512 */
int xr_cpu_has_amx(void);                       /* AMX for bf16 and eight bits, and the system lets the process use it */
xr_status xr_cpu_use(xr_isa isa);               /* for tests: XR_EUNAVAIL if the machine lacks it; the sums of AMX can be made by AVX-512 too */

void xr_threads_set(int n);                     /* 0 = all cores allowed to the process */
int xr_threads(void);
int xr_processors(void);                        /* cores allowed to the process, also where OpenMP has bound this thread to one */

/* For a loop over n numbers that take about 1 ns each: all, or 1 if there are at most `serial` or few for so many threads. A number between would make
 * libgomp end threads and start others for the next loop. */
int xr_threads_for(size_t n, size_t serial);
size_t xr_at_once(size_t pieces, size_t most);  /* pieces that a thread takes at a time, 1 to most, so that each may come twice */

#endif
