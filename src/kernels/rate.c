#include "kernels/rate.h"

#include "kernels/gemm.h"
#include "kernels/init.h"
#include "kernels/spans.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/phase.h"

/* Repeats `work` until `seconds` have passed since its first, untimed run; at least twice. The shortest time. */
static double shortest(void (*work)(void *context), void *context, double seconds)
{
    work(context);
    double began = xr_clock(), best = 0.0, now = began;
    for (int k = 0; k < 2 || now - began < seconds; k++) {
        double before = xr_clock();
        work(context);
        now = xr_clock();
        if (k == 0 || now - before < best)
            best = now - before;
    }
    return best;
}

enum { ROWS = 512, OUT = 3072, IN = 768 };

static void multiply(void *context)
{
    float *x = context, *w = x + (size_t)ROWS * IN, *y = w + (size_t)OUT * IN;
    xr_gemm_nt(y, x, w, NULL, ROWS, OUT, IN, 0.0f);
}

double xr_rate_gemm(double seconds)
{
    size_t n = (size_t)ROWS * IN + (size_t)OUT * IN, bytes = (n + (size_t)ROWS * OUT) * sizeof(float);
    float *memory = xr_map_alloc(bytes, 1);
    if (!memory)
        return 0.0;
    xr_fill(memory, n, 0.5f);
    int watched = xr_phases_watch(0);
    double best = shortest(multiply, memory, seconds);
    xr_phases_watch(watched);
    xr_map_free(memory, bytes);
    return 2e-9 * ROWS * OUT * IN / best;
}

enum { PARAMETERS = 8 << 20 };

static void update(void *context)
{
    static const xr_adamw_scalars s = { 1.0f, 1e-3f, 1.0f, 0.9f, 0.999f, 1e-8f, 1.0f, 0.1f, 0.001f };
    float *p = context;
    xr_span_step(xr_adamw_span, p, p + PARAMETERS, p + 2 * (size_t)PARAMETERS, p + 3 * (size_t)PARAMETERS, PARAMETERS, &s);
}

double xr_rate_memory(double seconds)
{
    size_t bytes = 4 * (size_t)PARAMETERS * sizeof(float);
    float *memory = xr_map_alloc(bytes, 1);
    if (!memory)
        return 0.0;
    double best = shortest(update, memory, seconds);
    xr_map_free(memory, bytes);
    return 1e-9 * XR_RATE_ADAMW_BYTES * PARAMETERS / best;
}
