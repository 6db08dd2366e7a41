/* xlmr pretrain: masked-LM training on raw text or token stores (train/pretrain.c). This file says what came of it. */
#include "cli/cmd.h"
#include "cli/signals.h"
#include "cli/watch.h"
#include "train/pretrain.h"

static void on_prepare(void *context, const xr_prepare_progress *p)
{
    xr_watch_start(context, "prepare", "KiB", p->bytes_total >> 10, p->bytes_before >> 10);
}

static void on_prepared(void *context, const xr_prepare_progress *p)
{
    xr_watch *w = context;
    xr_progress_postfix(&w->bar, "%llu documents, %llu tokens", (unsigned long long)p->documents, (unsigned long long)p->tokens);
    xr_progress_update(&w->bar, (p->bytes_before + p->bytes) >> 10);
}

static long long integer(const json_t *s, const char *key)
{
    return (long long)json_integer_value(json_object_get(s, key));
}

static double number(const json_t *s, const char *key)
{
    return json_number_value(json_object_get(s, key));
}

static xr_status print_plan(const json_t *s)
{
    return xr_out("%lld updates of %lld blocks, %lld at once; %lld parameters; about %.0f MiB of memory at most\n"
                  "no training (--dry-run); xlmr estimate pretrain, with the same options, tells memory and time more closely\n",
                  integer(s, "steps"), integer(s, "blocks_per_step"), integer(s, "micro_batch_size"),
                  integer(s, "parameters"), number(s, "memory_mb"));
}

static xr_status print_row(const char *name, const json_t *j)
{
    char text[XR_PERPLEXITY_TEXT];
    return xr_out("%-10s %8.4f %11s %11.3f\n", name, number(j, "loss"), xr_perplexity_text(number(j, "perplexity"), 2, text),
                  number(j, "bits_per_token"));
}

static xr_status print_languages(const json_t *s)
{
    const char *name;
    json_t *j, *all = json_object_get(s, "languages");
    if (!all)
        return XR_OK;
    XR_TRY(xr_out("%-10s %8s %11s %11s\n", "language", "loss", "perplexity", "bits/token"));
    json_object_foreach(all, name, j)
        XR_TRY(print_row(name, j));
    return print_row("mean", s);
}

static xr_status print_summary(const xr_options *o, const json_t *s)
{
    char text[XR_PERPLEXITY_TEXT];
    if (o->json)
        return xr_out_json(s);
    if (o->dry_run)
        return print_plan(s);
    XR_TRY(print_languages(s));
    if (json_object_get(s, "best"))
        XR_TRY(xr_out("best perplexity %s at step %lld: %s/best\n", xr_perplexity_text(number(s, "best"), 2, text), integer(s, "best_step"), o->output_dir));
    return xr_out("final model after step %lld: %s/final\n", integer(s, "steps"), o->output_dir);
}

static xr_status run(const xr_options *o)
{
    xr_watch watch = { .name = "pretrain", .quiet = o->quiet };
    xr_loop_hooks hooks = xr_watch_hooks(&watch);
    xr_prepare_hooks preparing = { &watch, on_prepare, on_prepared, xr_watch_stop };
    json_t *summary = NULL;
    xr_signals_catch();
    xr_status status = xr_pretrain_run(o, &hooks, &preparing, &summary);
    xr_watch_end(&watch);
    if (status == XR_OK)
        status = print_summary(o, summary);
    json_decref(summary);
    return status;
}

const xr_cmd xr_cmd_pretrain = {
    "pretrain", XR_V_PRETRAIN, "train a masked language model on text of many languages, from nothing or from a model", NULL,
    "xlmr pretrain --config configs/mlm-mini.yaml --model mini --train-data store --validation-data held-out --output-dir run\n"
    "xlmr pretrain --config configs/mlm-continue.yaml --model xlm-roberta-base --train-data sw.txt.gz --train-data yo.txt.gz --output-dir run\n"
    "xlmr pretrain --model mini --train-data store --max-steps 10000 --save-steps 500 --max-time 2h --output-dir run\n",
    run,
};
