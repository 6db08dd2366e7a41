/* What `xlmr doctor` recommends: how many threads, where they should stay, what the system could be asked for, which --precision is fast. */
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
} xr_advice_facts;

typedef struct xr_advice_cpu {
    xr_isa best, used;              /* instruction set of the CPU; that of the kernels, which XR_ISA may have lowered */
    int bf16, vnni, avxvnni;        /* whether the CPU has these */
} xr_advice_cpu;

/* {"bf16": {"fast": …, "why": sentence}, "int8": …}: whether --precision pays here. NULL with the error set. */
json_t *xr_advice_precisions(const xr_advice_cpu *c);

/* An array of sentences, each with what to do; empty when all is well. NULL with the error set. */
json_t *xr_advice(const xr_advice_facts *f);

#endif
