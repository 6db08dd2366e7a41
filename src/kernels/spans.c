#include "kernels/spans.h"

#include <string.h>
#include "kernels/cpu.h"
#include "kernels/isa/table.h"

enum {
    BLOCK = 1 << 14,    /* elements a thread takes at a time: p, m, v and g together stay in the second-level cache */
    CHUNK = 64          /* elements kept in registers while factors are multiplied in */
};

void xr_adamw_span(float *restrict p, float *restrict m, float *restrict v, const float *restrict g, size_t n, const xr_adamw_scalars *s)
{
    xr_kernels()->vec->adamw(p, m, v, g, n, s);
}

void xr_adamw_bf16_span(float *restrict p, uint16_t *restrict m, uint16_t *restrict v, const float *restrict g, size_t at, size_t n,
                        const xr_adamw_scalars *s)
{
    xr_kernels()->vec->adamw_bf16(p, m, v, g, at, n, s);
}

void xr_span_adamw(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s)
{
    xr_adamw_span(x->p + at, (float *)x->m + at, (float *)x->v + at, g, n, s);
}

void xr_span_adamw_bf16(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s)
{
    xr_adamw_bf16_span(x->p + at, (uint16_t *)x->m + at, (uint16_t *)x->v + at, g, at, n, s);
}

void xr_span_sgd(const xr_span *x, size_t at, const float *g, size_t n, const xr_adamw_scalars *s)
{
    float *p = x->p + at, rate = s->step_size * s->clip, decay = s->decay;
    for (size_t i = 0; i < n; i++) {
        float decayed = p[i] * decay;
        p[i] = g ? decayed - rate * g[i] : decayed;
    }
}

void xr_span_step(xr_span_update update, const xr_span *x, float *g, size_t n, const xr_adamw_scalars *s)
{
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (n > BLOCK)
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t k = n - i < BLOCK ? n - i : BLOCK;
        update(x, i, g + i, k, s);
        memset(g + i, 0, k * sizeof *g);
    }
}

void xr_span_rows_step(xr_span_update update, const xr_span_rows *x, const uint32_t *row, const float *g, size_t n,
                       const xr_adamw_scalars *s)
{
    size_t cols = x->cols;
#pragma omp parallel for schedule(static) num_threads(xr_threads()) if (n * cols > BLOCK)
    for (size_t i = 0; i < n; i++)
        update(&x->x, row[i] * cols, g + i * cols, cols, s);
}

/* With zero moments an update is one multiplication: m and v stay zero and the step is zero. */
static void replay_decay(float *p, size_t n, const xr_adamw_scalars *s, const xr_adamw_scalars *end)
{
    for (size_t i = 0; i < n; i += CHUNK) {
        float x[CHUNK] = {0};
        size_t k = n - i < CHUNK ? n - i : CHUNK;
        memcpy(x, p + i, k * sizeof *x);
        for (const xr_adamw_scalars *t = s; t < end; t++)
            for (int j = 0; j < CHUNK; j++)
                x[j] *= t->decay;
        memcpy(p + i, x, k * sizeof *x);
    }
}

static void replay_row(xr_span_update update, const xr_span_rows *x, size_t row, const xr_adamw_scalars *s,
                       const xr_adamw_scalars *end)
{
    size_t o = row * x->cols;
    if (!x->live[row]) {
        replay_decay(x->x.p + o, x->cols, s, end);
        return;
    }
    for (; s < end; s++)
        update(&x->x, o, NULL, x->cols, s);
}

void xr_span_rows_replay(xr_span_update update, const xr_span_rows *x, const xr_span_job *job, size_t n,
                         const xr_adamw_scalars *steps, size_t n_steps)
{
#pragma omp parallel for schedule(dynamic, 16) num_threads(xr_threads()) if (n * x->cols > BLOCK)
    for (size_t i = 0; i < n; i++)
        replay_row(update, x, job[i].row, steps + job[i].first, steps + n_steps);
}

void xr_span_rows_live(uint8_t *live, const void *x, size_t rows, size_t row_bytes)
{
    const uint8_t *byte = x;
#pragma omp parallel for schedule(static) num_threads(xr_threads())
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < row_bytes && !live[r]; c++)
            live[r] = byte[r * row_bytes + c] != 0;
}
