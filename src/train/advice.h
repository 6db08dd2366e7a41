/* What `xlmr doctor` recommends: how many threads, where they should stay, what the system could be asked for, whether OpenBLAS knows the CPU, which
 * --precision is fast. */
#ifndef XR_TRAIN_ADVICE_H
#define XR_TRAIN_ADVICE_H

#include "kernels/cpu.h"
#include "util/json.h"
#include "util/machine.h"

typedef struct xr_advice_facts {
    xr_machine machine;
    int threads;                    /* that will be used */
    const char *bind, *places;      /* OMP_PROC_BIND and OMP_PLACES; NULL: not set */
    const char *huge_pages;         /* always, madvise, never */
    xr_isa best, used;              /* instruction set of the CPU; that of the kernels, which XR_ISA may have lowered */
    const char *blas_core;          /* kernel set that OpenBLAS chose */
    const char *coretype;           /* OPENBLAS_CORETYPE; NULL: not set */
} xr_advice_facts;

typedef struct xr_advice_cpu {
    xr_isa best, used;              /* as above */
    int bf16;                       /* whether the CPU has AVX512-BF16 */
    double gflops_f32, gflops_bf16, gops_int8;  /* products, as measured now; 0: not measured */
} xr_advice_cpu;

/* {"bf16": {"fast": …, "why": sentence}, "int8": …}: whether --precision pays here: what the CPU has decides whether it can, the measured figures
 * whether it does. NULL with the error set. */
json_t *xr_advice_precisions(const xr_advice_cpu *c);

/* An array of sentences, each with what to do; empty when all is well. NULL with the error set. */
json_t *xr_advice(const xr_advice_facts *f);

#endif
