/* Options of a run by name, and hooks that stop it where a test wants. */
#ifndef XR_TESTS_STOPPER_H
#define XR_TESTS_STOPPER_H

#include "scratch.h"
#include "train/loop.h"
#include "train/options.h"

static inline void set(xr_options *o, const char *key, const char *value)
{
    if (xr_options_set(o, key, value) < 0)
        fail_msg("%s", xr_error_message());
}

static inline void set_all(xr_options *o, const char *const (*pair)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        set(o, pair[i][0], pair[i][1]);
}

/* The model and the data that a test of both verbs made in scratch. */
static inline void set_inputs(xr_options *o, int is_pretraining)
{
    set(o, "model", in_scratch(is_pretraining ? "mlm" : "cls"));
    set(o, is_pretraining ? "train-data" : "train-file", in_scratch(is_pretraining ? "store" : "train.tsv"));
    set(o, is_pretraining ? "validation-data" : "validation-file", in_scratch(is_pretraining ? "held-out" : "dev.tsv"));
}

/* When to ask for a stop: after an update, or in the evaluation that follows it. */
typedef struct stopper { uint64_t at, step; int in_evaluation, asked; } stopper;

static inline void on_step(void *context, uint64_t step, double loss, const xr_pace *pace)
{
    stopper *s = context;
    (void)loss;
    (void)pace;
    s->step = step;
    s->asked |= step == s->at && !s->in_evaluation;
}

static inline void on_evaluating(void *context, size_t done, size_t total)
{
    stopper *s = context;
    (void)done;
    (void)total;
    s->asked |= s->step == s->at && s->in_evaluation;
}

static inline int on_stop(void *context)
{
    return ((const stopper *)context)->asked;
}

#endif
