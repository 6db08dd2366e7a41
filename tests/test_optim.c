/* Optimizer: values of torch, transformers and fairseq's formulas; deferred rows against the dense update, bit for bit; threads; memory;
 * resuming. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "golden/optim.h"
#include "kernels/cpu.h"
#include "optim/optim.h"
#include "util/alloc.h"
#include "util/rng.h"

static const xr_optim_options defaults = {
    .rule = "adamw", .schedule = "linear", .learning_rate = 1e-2, .weight_decay = 0.1, .beta1 = 0.9, .beta2 = 0.999,
    .eps = 1e-8, .max_grad_norm = 1.0, .layer_decay = 1.0, .total_steps = 12, .warmup_steps = 3,
    .lr_power = 1.0, .lr_end = 0.0,
};

static void test_schedules(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof golden_schedules / sizeof *golden_schedules; i++) {
        const struct golden_schedule *g = &golden_schedules[i];
        const xr_schedule *s = xr_schedule_find(g->name);
        assert_non_null(s);
        const xr_schedule_plan plan = {g->total, g->warmup, g->power, g->end};
        for (unsigned t = 0; t < 12; t++)
            assert_true(fabs(s->factor(t, &plan) - g->factor[t]) < 1e-15);
    }
}

static void golden_gradient(float *g, int t, int k, size_t n)
{
    for (int i = 0; i < (int)n; i++)
        g[i] += (float)ldexp((double)((7 * i + 13 * t + 5 * k) % 17 - 8) / 8.0, (i + t) % 5 - 2);
}

static void golden_declare(xr_params *ps, unsigned embed_flags)
{
    xr_params_add(ps, "embed", 2, 6, 4, XR_INIT_NORMAL, embed_flags, 0);
    xr_params_add(ps, "weight", 2, 3, 4, XR_INIT_NORMAL, 0, 1);
    xr_params_add(ps, "bias", 1, 1, 3, XR_INIT_ZERO, XR_PARAM_NO_DECAY, 1);
    xr_params_add(ps, "norm", 1, 1, 4, XR_INIT_ONE, XR_PARAM_NO_DECAY, 2);
    xr_params_add(ps, "head", 2, 2, 3, XR_INIT_NORMAL, XR_PARAM_HEAD, 3);
    xr_params_add(ps, "frozen", 1, 1, 5, XR_INIT_ONE, XR_PARAM_FROZEN, 1);
    assert_int_equal(xr_params_alloc(ps), XR_OK);
    assert_int_equal(xr_params_alloc_grads(ps), XR_OK);
    for (int k = 0; k < 6; k++)
        for (int i = 0; i < (int)xr_numel(&ps->row[k]->t); i++)
            ps->row[k]->t.x[i] = (float)((5 * i + 3 * k) % 11 - 5) / 16.0f;
}

/* The gradients are given as `parts` equal parts, to be scaled by 1 / parts, as micro-batches are. */
static void golden_step(xr_params *ps, xr_optim *o, int t, int parts)
{
    static const int32_t all[] = {0, 1, 2, 3, 4, 5};
    xr_optim_touch(o, all, 6);
    for (int part = 0; part < parts; part++)
        for (int k = 0; k < 5; k++) {
            xr_tensor *p = &ps->row[k]->t;
            float *g = p->g;
            if (p->rowgrad)
                for (uint32_t r = 0; r < 6; r++)    /* rows in order: the list's storage is then the dense gradient */
                    assert_non_null(xr_rowgrad_at(p->rowgrad, r));
            golden_gradient(g ? g : p->rowgrad->g, t, k, xr_numel(p));
        }
    double norm = xr_optim_grad_norm(o, 1.0 / parts);
    assert_true(fabs(norm - golden_norm[t]) < 1e-6 * norm);
    assert_int_equal(xr_optim_step(o, 1.0 / parts, norm), XR_OK);
    for (size_t i = 0; i < ps->grads_bytes / sizeof(float); i++)
        assert_true(ps->grads[i] == 0.0f);
    assert_true(!ps->row[0]->t.rowgrad || ps->row[0]->t.rowgrad->n == 0);
}

static void golden_compare(xr_params *ps, xr_optim *o, const struct golden_run *run)
{
    size_t at = 0;
    for (size_t k = 0; k < 5; k++)
        for (size_t i = 0; i < xr_numel(&ps->row[k]->t); i++, at++) {
            assert_true(fabs((double)(ps->row[k]->t.x[i] - run->p[at])) < 5e-7);
            if (!strcmp(run->rule, "sgd"))
                continue;
            assert_true(fabs((double)(xr_optim_moment(o, k, 0)[i] - golden_m[at])) < 1e-7);
            assert_true(fabs((double)(xr_optim_moment(o, k, 1)[i] / golden_v[at] - 1.0f)) < 2e-6);
        }
    for (int i = 0; i < 5; i++)
        assert_true(ps->row[5]->t.x[i] == (float)((5 * i + 15) % 11 - 5) / 16.0f);
    assert_null(xr_optim_moment(o, 5, 0));
}

static void test_same_as_torch(void **state)
{
    (void)state;
    for (size_t r = 0; r < sizeof golden_runs / sizeof *golden_runs; r++)
        for (int variant = 0; variant < 4; variant++) {     /* dense or row list, whole or in four parts */
            xr_optim_options opt = defaults;
            opt.rule = golden_runs[r].rule;
            opt.layer_decay = golden_runs[r].layer_decay;
            opt.decay_all = golden_runs[r].decay_all;
            opt.eps = golden_runs[r].eps;
            xr_params ps = {0};
            golden_declare(&ps, variant & 1 ? XR_PARAM_ROW_GRAD : 0);
            xr_optim *o = xr_optim_new(&ps, &opt, 2);
            assert_non_null(o);
            for (int t = 0; t < 12; t++) {
                double share = xr_schedule_find("linear")->factor((uint64_t)t, &(xr_schedule_plan){12, 3, 1.0, 0.0});
                assert_true(fabs(xr_optim_lr(o) - 1e-2 * share) < 1e-15);
                golden_step(&ps, o, t, variant & 2 ? 4 : 1);
            }
            xr_optim_flush(o);
            golden_compare(&ps, o, &golden_runs[r]);
            xr_optim_free(o);
            xr_params_free(&ps);
        }
}

/* ---- deferred rows against the dense update ---- */

enum { TOKENS = 24 };

typedef struct side { xr_params *ps; xr_optim *o; } side;

typedef struct plan {
    const char *rule, *schedule;
    double weight_decay, lr;
    size_t vocab, cols;
    uint64_t steps;
    uint32_t read_until;        /* after this step only two rows are read: the others sleep */
    xr_moments moments;
} plan;

static side side_new(const plan *pl, int deferred)
{
    side s = {.ps = xr_alloc(1, sizeof *s.ps)};
    unsigned flags = deferred ? XR_PARAM_ROW_GRAD : 0;
    assert_non_null(xr_params_add(s.ps, "word", 2, pl->vocab, pl->cols, XR_INIT_NORMAL, flags | XR_PARAM_PAD_ROW, 0));
    assert_non_null(xr_params_add(s.ps, "position", 2, 9, pl->cols, XR_INIT_NORMAL, flags, 0));
    assert_non_null(xr_params_add(s.ps, "weight", 2, 5, pl->cols, XR_INIT_NORMAL, 0, 1));
    assert_int_equal(xr_params_alloc(s.ps), XR_OK);
    assert_int_equal(xr_params_alloc_grads(s.ps), XR_OK);
    for (size_t i = 0; i < s.ps->n; i++)
        xr_param_init(s.ps->row[i], 0.02f, 5);
    xr_optim_options opt = defaults;
    opt.rule = pl->rule;
    opt.schedule = pl->schedule;
    opt.weight_decay = pl->weight_decay;
    opt.learning_rate = pl->lr;
    opt.total_steps = pl->steps;
    opt.warmup_steps = pl->steps / 10;
    opt.lr_power = 2.0;
    opt.lr_end = pl->lr / 10.0;
    opt.moments = pl->moments;
    opt.seed = 99;
    s.o = xr_optim_new(s.ps, &opt, 1);
    assert_non_null(s.o);
    return s;
}

static void side_free(side *s)
{
    xr_optim_free(s->o);
    xr_params_free(s->ps);
    xr_free(s->ps);
}

static float *gradient_row(xr_tensor *p, int32_t row)
{
    return p->rowgrad ? xr_rowgrad_at(p->rowgrad, (uint32_t)row) : p->g + (size_t)row * p->cols;
}

/* Ids crowd at the low end and repeat; the upper tenth is never read. */
static void draw_ids(const plan *pl, uint32_t t, int32_t id[TOKENS])
{
    xr_philox_key key = xr_rng_key(11, XR_RNG_TEST);
    for (uint32_t i = 0; i < TOKENS; i++) {
        uint64_t range = t < pl->read_until ? 1 + xr_rng_below(key, t, i, 0, 0, pl->vocab - pl->vocab / 10) : 2;
        id[i] = (int32_t)xr_rng_below(key, t, i, 1, 0, range);
    }
}

static double side_step(side *s, uint32_t t, const int32_t id[TOKENS])
{
    xr_philox_key key = xr_rng_key(12, XR_RNG_TEST);
    size_t cols = s->ps->row[0]->t.cols;
    for (uint32_t i = 0; i < TOKENS; i++) {
        float *word = gradient_row(&s->ps->row[0]->t, id[i]);
        float *position = gradient_row(&s->ps->row[1]->t, (int32_t)(i % 7));
        for (size_t j = 0; j < cols; j++) {
            float z = (float)xr_rng_below(key, t, i, 0, (uint32_t)j, 2001) * 1e-5f - 0.01f;
            word[j] += z;
            position[j] += z;
            s->ps->row[2]->t.g[(i % 5) * cols + j] -= z;
        }
    }
    double norm = xr_optim_grad_norm(s->o, 1.0);
    assert_int_equal(xr_optim_step(s->o, 1.0, norm), XR_OK);
    return norm;
}

static void *moment_of(const side *s, size_t i, int k)
{
    float *x = xr_optim_moment(s->o, i, k);
    return x ? (void *)x : xr_optim_moment_bf16(s->o, i, k);
}

static size_t moment_bytes(const side *s, size_t i)
{
    return xr_numel(&s->ps->row[i]->t) * (xr_optim_moment(s->o, i, 0) ? sizeof(float) : sizeof(uint16_t));
}

static void assert_sides_equal(side *a, side *b)
{
    for (size_t i = 0; i < a->ps->n; i++) {
        size_t bytes = xr_numel(&a->ps->row[i]->t) * sizeof(float);
        assert_memory_equal(a->ps->row[i]->t.x, b->ps->row[i]->t.x, bytes);
        for (int k = 0; k < 2 && moment_of(a, i, k); k++)
            assert_memory_equal(moment_of(a, i, k), moment_of(b, i, k), moment_bytes(a, i));
    }
}

static void compare_deferred(const plan *pl)
{
    side dense = side_new(pl, 0), lazy = side_new(pl, 1);
    size_t cols = pl->cols;
    for (uint32_t t = 0; t < pl->steps; t++) {
        int32_t id[TOKENS];
        draw_ids(pl, t, id);
        xr_threads_set((int)(1 + t / 50 % 3));
        xr_optim_touch(lazy.o, id, TOKENS);
        for (size_t i = 0; i < TOKENS; i++)         /* what a forward pass reads */
            assert_memory_equal(lazy.ps->row[0]->t.x + (size_t)id[i] * cols,
                                dense.ps->row[0]->t.x + (size_t)id[i] * cols, cols * sizeof(float));
        double a = side_step(&dense, t, id), b = side_step(&lazy, t, id);
        assert_true(fabs(a - b) < 1e-12 * a);
        if (t == pl->steps / 3) {
            xr_optim_flush(lazy.o);
            assert_sides_equal(&dense, &lazy);
        }
    }
    xr_optim_flush(lazy.o);
    assert_sides_equal(&dense, &lazy);
    xr_optim_flush(lazy.o);
    assert_sides_equal(&dense, &lazy);
    side_free(&dense);
    side_free(&lazy);
    xr_threads_set(0);
}

static void test_deferred_is_dense(void **state)
{
    (void)state;
    const plan plans[] = {
        {"adamw", "linear", 0.1, 1e-2, 300, 40, 300, UINT32_MAX, XR_MOMENTS_F32},
        {"adamw", "linear", 0.0, 1e-2, 300, 40, 300, UINT32_MAX, XR_MOMENTS_F32},
        {"adamw", "cosine", 0.1, 1e-2, 300, 37, 300, UINT32_MAX, XR_MOMENTS_F32},
        {"adamw", "constant", 0.0, 1e-2, 100, 64, 300, UINT32_MAX, XR_MOMENTS_F32},
        {"adamw", "constant", 1e-4, 2e-5, 300, 40, 300, UINT32_MAX, XR_MOMENTS_F32},   /* a decay that float32 rounds to 1 */
        {"adam", "polynomial", 0.1, 1e-2, 300, 40, 300, UINT32_MAX, XR_MOMENTS_F32},
        {"adam", "polynomial", 0.0, 1e-2, 300, 37, 300, UINT32_MAX, XR_MOMENTS_F32},
        {"sgd", "linear", 0.1, 1e-2, 300, 40, 100, UINT32_MAX, XR_MOMENTS_F32},
        {"adamw", "linear", 0.1, 1e-2, 300, 37, 300, UINT32_MAX, XR_MOMENTS_BF16},
        {"adam", "polynomial", 0.0, 1e-2, 300, 64, 300, UINT32_MAX, XR_MOMENTS_BF16},
        {"sgd", "linear", 0.0, 1e-2, 300, 5, 100, UINT32_MAX, XR_MOMENTS_F32},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        for (int isa = 0; isa <= (int)xr_cpu_best(); isa++) {
            assert_int_equal(xr_cpu_use((xr_isa)isa), XR_OK);
            compare_deferred(&plans[i]);
        }
}

/* Rows that sleep until their first moments are denormal: 0.9^1500 = 2e-69. */
static void test_deferred_long_sleep(void **state)
{
    (void)state;
    const plan plans[] = {
        {"adamw", "linear", 0.1, 1e-3, 30, 40, 2400, 40, XR_MOMENTS_F32},
        {"adamw", "linear", 0.0, 1e-3, 30, 40, 2400, 40, XR_MOMENTS_F32},
        {"adamw", "constant", 0.0, 1e-3, 30, 37, 2400, 40, XR_MOMENTS_F32},
        {"adam", "polynomial", 0.01, 1e-3, 30, 40, 2400, 40, XR_MOMENTS_F32},
        {"adamw", "linear", 0.1, 1e-3, 30, 37, 2400, 40, XR_MOMENTS_BF16},
    };
    for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
        compare_deferred(&plans[i]);
}

static void threads_agree(xr_moments moments)
{
    const plan pl = {"adamw", "linear", 0.1, 1e-2, 4000, 40, 6, UINT32_MAX, moments};
    for (int deferred = 0; deferred < 2; deferred++) {
        xr_threads_set(1);
        side one = side_new(&pl, deferred);
        for (int threads = 1; threads <= 4; threads *= 2) {
            side many = side_new(&pl, deferred);
            for (uint32_t t = 0; t < pl.steps; t++) {
                int32_t id[TOKENS];
                draw_ids(&pl, t, id);
                side *both[] = {&many, &one};
                double norm[2] = {0};
                for (int k = 0; k < (threads == 1 ? 2 : 1); k++) {
                    xr_threads_set(k ? 1 : threads);
                    xr_optim_touch(both[k]->o, id, TOKENS);
                    norm[k] = side_step(both[k], t, id);
                }
                assert_true(threads > 1 || memcmp(&norm[0], &norm[1], sizeof norm[0]) == 0);
            }
            xr_threads_set(threads);
            xr_optim_flush(one.o);
            xr_optim_flush(many.o);
            assert_sides_equal(&one, &many);
            side_free(&many);
        }
        side_free(&one);
    }
    xr_threads_set(0);
}

static void test_threads_agree(void **state)
{
    (void)state;
    threads_agree(XR_MOMENTS_F32);
    threads_agree(XR_MOMENTS_BF16);
}

static size_t resident_pages(const void *x, size_t bytes)
{
    static unsigned char page[4096];
    size_t size = (size_t)sysconf(_SC_PAGESIZE), n = 0;
    size_t pages = (bytes + size - 1) / size;
    assert_true(pages <= sizeof page);
    assert_int_equal(mincore((void *)(uintptr_t)x, bytes, page), 0);
    for (size_t i = 0; i < pages; i++)
        n += page[i] & 1;
    return n;
}

/* 40 updates with weight decay and flushes: only the pages of rows that had a gradient are there. */
static void test_untouched_moments_cost_nothing(void **state)
{
    (void)state;
    const plan pl = {"adamw", "linear", 0.1, 1e-2, 4096, 768, 40, 0, XR_MOMENTS_F32};  /* reads rows 0 and 1 only */
    side s = side_new(&pl, 1);
    for (uint32_t t = 0; t < pl.steps; t++) {
        int32_t id[TOKENS];
        draw_ids(&pl, t, id);
        xr_optim_touch(s.o, id, TOKENS);
        side_step(&s, t, id);
        if (t % 10 == 9)
            xr_optim_flush(s.o);
    }
    for (int k = 0; k < 2; k++)
        assert_true(resident_pages(moment_of(&s, 0, k), moment_bytes(&s, 0)) <= 2);
    side_free(&s);
}

/* 60 updates = 25, save, a new optimizer with the saved values, 35 more. */
static void resumes(xr_moments moments)
{
    const plan pl = {"adamw", "cosine", 0.1, 1e-2, 200, 40, 60, UINT32_MAX, moments};
    side whole = side_new(&pl, 1), part = side_new(&pl, 1);
    for (uint32_t t = 0; t < pl.steps; t++) {
        int32_t id[TOKENS];
        draw_ids(&pl, t, id);
        if (t == 25) {
            xr_optim_flush(part.o);
            side fresh = side_new(&pl, 1);
            for (size_t i = 0; i < fresh.ps->n; i++) {
                size_t bytes = xr_numel(&fresh.ps->row[i]->t) * sizeof(float);
                memcpy(fresh.ps->row[i]->t.x, part.ps->row[i]->t.x, bytes);
                for (int k = 0; k < 2; k++)
                    memcpy(moment_of(&fresh, i, k), moment_of(&part, i, k), moment_bytes(&fresh, i));
            }
            xr_optim_set_steps(fresh.o, t);
            side_free(&part);
            part = fresh;
        }
        xr_optim_touch(whole.o, id, TOKENS);
        xr_optim_touch(part.o, id, TOKENS);
        side_step(&whole, t, id);
        side_step(&part, t, id);
    }
    xr_optim_flush(whole.o);
    xr_optim_flush(part.o);
    assert_sides_equal(&whole, &part);
    side_free(&whole);
    side_free(&part);
}

static void test_resume(void **state)
{
    (void)state;
    resumes(XR_MOMENTS_F32);
    resumes(XR_MOMENTS_BF16);
}

static void refused(xr_optim_options opt, const char *key)
{
    xr_params ps = {0};
    golden_declare(&ps, 0);
    assert_null(xr_optim_new(&ps, &opt, 2));
    assert_int_equal(xr_error_status(), XR_ECONFIG);
    assert_non_null(strstr(xr_error_message(), key));
    xr_error_clear();
    xr_params_free(&ps);
}

static void test_bad_options(void **state)
{
    (void)state;
    xr_optim_options o = defaults;
    o.rule = "lion";
    refused(o, "adam, adamw, sgd");
    o = defaults, o.schedule = "cosin";
    refused(o, "constant, cosine, linear, polynomial");
    o = defaults, o.learning_rate = -1;
    refused(o, "learning_rate");
    o = defaults, o.learning_rate = (double)NAN;
    refused(o, "learning_rate");
    o = defaults, o.weight_decay = -0.1;
    refused(o, "weight_decay");
    o = defaults, o.beta2 = 1.0;
    refused(o, "beta");
    o = defaults, o.eps = 0.0;
    refused(o, "epsilon");
    o = defaults, o.layer_decay = 0.0;
    refused(o, "layer_decay");
    o = defaults, o.lr_power = (double)NAN;
    refused(o, "lr_power");
    o = defaults, o.lr_end = 2.0 * o.learning_rate;
    refused(o, "lr_end");
    o = defaults, o.rule = "sgd", o.moments = XR_MOMENTS_BF16;
    refused(o, "moments");
}

static void test_divergence_changes_nothing(void **state)
{
    (void)state;
    xr_params ps = {0};
    golden_declare(&ps, 0);
    xr_optim *o = xr_optim_new(&ps, &defaults, 2);
    float before[24];
    memcpy(before, ps.row[0]->t.x, sizeof before);
    ps.row[1]->t.g[2] = NAN;
    double norm = xr_optim_grad_norm(o, 1.0), lr = xr_optim_lr(o);
    assert_int_equal(xr_optim_step(o, 1.0, norm), XR_EDIVERGED);
    assert_non_null(strstr(xr_error_message(), "update 1"));
    xr_error_clear();
    assert_memory_equal(before, ps.row[0]->t.x, sizeof before);
    assert_true(xr_optim_lr(o) == lr);
    xr_optim_free(o);
    xr_params_free(&ps);
}

static xr_status make_and_step(xr_params *ps)
{
    xr_optim *o = xr_optim_new(ps, &defaults, 2);
    xr_status status = o ? xr_optim_step(o, 1.0, 0.0) : xr_error_status();
    xr_optim_free(o);
    return status;
}

static void test_out_of_memory(void **state)
{
    (void)state;
    xr_params ps = {0};
    golden_declare(&ps, XR_PARAM_ROW_GRAD);
    long live = xr_alloc_live();
    xr_status status = XR_ESYSTEM;
    int failures = 0;
    for (long k = 0; status < 0 && k < 100; k++) {
        xr_alloc_fail_after(k);
        status = make_and_step(&ps);
        xr_alloc_fail_after(-1);
        assert_int_equal(xr_alloc_live(), live);
        failures += status < 0;
        assert_true(status == XR_OK || status == XR_ESYSTEM);
        xr_error_clear();
    }
    assert_int_equal(status, XR_OK);
    assert_true(failures >= 8);
    xr_params_free(&ps);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_same_as_torch),
        cmocka_unit_test(test_deferred_is_dense),
        cmocka_unit_test(test_deferred_long_sleep),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_untouched_moments_cost_nothing),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_divergence_changes_nothing),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
