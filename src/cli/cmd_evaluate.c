/* xlmr evaluate: score a model on each language's file (train/evaluate.c). This file shows progress and the result. */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "train/evaluate.h"

typedef struct view {
    xr_progress bar;
    int quiet, shown;
    char name[32];
} view;

static void end_bar(view *v)
{
    if (v->shown)
        xr_progress_end(&v->bar);
    v->shown = 0;
}

static void on_language(void *context, const char *language, size_t n)
{
    view *v = context;
    end_bar(v);
    snprintf(v->name, sizeof v->name, "evaluate %s", language);
    xr_progress_start(&v->bar, v->name, "example", n, 0, v->quiet);
    v->shown = 1;
}

static int on_progress(size_t done, size_t total, void *context)
{
    view *v = context;
    (void)total;
    xr_progress_update(&v->bar, done);
    return xr_signals_asked();
}

static xr_status print_result(const xr_options *o, const xr_evaluation *e)
{
    if (o->json) {
        json_t *j = xr_evaluation_json(e);
        xr_status status = j ? xr_out_json(j) : xr_error_status();
        json_decref(j);
        return status;
    }
    xr_str text = { 0 };
    xr_status status = xr_evaluation_table(e, &text);
    if (status == XR_OK)
        status = xr_out_bytes(text.s, text.len);
    xr_str_free(&text);
    return status;
}

static xr_status run(const xr_options *o)
{
    view v = { .quiet = o->quiet };
    xr_evaluate_hooks hooks = { &v, on_language, on_progress };
    xr_evaluation e;
    xr_signals_catch();
    xr_status status = xr_evaluate_run(&e, o, &hooks);
    end_bar(&v);
    if (status == XR_OK)
        status = print_result(o, &e);
    xr_evaluation_free(&e);
    return status;
}

const xr_cmd xr_cmd_evaluate = {
    "evaluate", XR_V_EVALUATE, "score a model per language and overall", NULL,
    "xlmr evaluate --task xnli --model DIR --data-dir xnli --output-dir eval\n"
    "xlmr evaluate --task xnli --model DIR --data-dir xnli --split dev --languages en,fr,sw --confusion\n"
    "xlmr evaluate --task xnli --model DIR --data-dir xnli --label-map LABEL_0=contradiction,LABEL_1=neutral,"
    "LABEL_2=entailment\n"
    "xlmr evaluate --task classify --model DIR --data-dir reviews --json\n"
    "xlmr evaluate --task panx --model DIR --data-dir panx --split dev --languages en,de,sw --output-dir eval\n",
    run,
};
