/* xlmr evaluate: score models on each language's file (train/evaluate.c, train/compare.c). This file shows progress and the result. */
#include <stdio.h>

#include "cli/cmd.h"
#include "cli/progress.h"
#include "cli/signals.h"
#include "train/compare.h"

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

/* The object or the text, whichever was asked for; both are freed. NULL, or a status < 0, with the error set. */
static xr_status print_result(int json, json_t *j, xr_status status, xr_str *text)
{
    if (json)
        status = j ? xr_out_json(j) : xr_error_status();
    else if (status == XR_OK)
        status = xr_out_bytes(text->s, text->len);
    json_decref(j);
    xr_str_free(text);
    return status;
}

static xr_status one_model(const xr_options *o, const xr_evaluate_hooks *hooks, view *v)
{
    xr_evaluation e;
    xr_str text = { 0 };
    xr_status status = xr_evaluate_run(&e, o, hooks);
    end_bar(v);
    if (status == XR_OK)
        status = print_result(o->json, o->json ? xr_evaluation_json(&e) : NULL, o->json ? XR_OK : xr_evaluation_table(&e, &text), &text);
    xr_evaluation_free(&e);
    return status;
}

static xr_status several_models(const xr_options *o, const xr_evaluate_hooks *hooks, view *v)
{
    xr_comparison c;
    xr_str text = { 0 };
    xr_status status = xr_compare_run(&c, o, hooks);
    end_bar(v);
    if (status == XR_OK)
        status = print_result(o->json, o->json ? xr_comparison_json(&c) : NULL, o->json ? XR_OK : xr_comparison_table(&c, &text), &text);
    xr_comparison_free(&c);
    return status;
}

static xr_status run(const xr_options *o)
{
    view v = { .quiet = o->quiet };
    xr_evaluate_hooks hooks = { &v, on_language, on_progress };
    xr_signals_catch();
    return xr_compare_wanted(o) ? several_models(o, &hooks, &v) : one_model(o, &hooks, &v);
}

const xr_cmd xr_cmd_evaluate = {
    "evaluate", XR_V_EVALUATE, "score models per language and overall", "[DIR ...]",
    "xlmr evaluate --task xnli --model DIR --data-dir xnli --output-dir eval\n"
    "xlmr evaluate --task xnli --model DIR --data-dir xnli --split dev --languages en,fr,sw --confusion\n"
    "xlmr evaluate --task xnli --model DIR --data-dir xnli --label-map LABEL_0=contradiction,LABEL_1=neutral,"
    "LABEL_2=entailment\n"
    "xlmr evaluate --task classify --model DIR --data-dir reviews --json\n"
    "xlmr evaluate --task panx --model DIR --data-dir panx --split dev --languages en,de,sw --output-dir eval\n"
    "xlmr evaluate --task mlqa --model DIR --data-dir MLQA_V1 --languages de,de-en\n"
    "xlmr evaluate --task xquad --data-dir xquad --predictions submission\n"
    "xlmr evaluate --task xnli --model A B C --data-dir xnli --bootstrap 10000 --output-dir eval\n"
    "xlmr evaluate --task xnli --model run-1/best run-2/best run-3/best --data-dir xnli --selection training-language\n"
    "xlmr evaluate --task xnli --protocol translate-train --model de=run-de/best fr=run-fr/best --data-dir xnli\n",
    run,
};
