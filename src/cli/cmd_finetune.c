/* xlmr finetune: train a classifier or a tagger on labelled data (train/finetune.c). This file says what came of it. */
#include "cli/cmd.h"
#include "cli/signals.h"
#include "cli/watch.h"
#include "train/finetune.h"

static long long integer(const json_t *s, const char *key)
{
    return (long long)json_integer_value(json_object_get(s, key));
}

static xr_status print_plan(const json_t *s)
{
    return xr_out("%lld training examples, %lld for validation; %lld updates, %lld an epoch; %lld parameters; about %.0f MiB of memory at most\n"
                  "nothing was written (--dry-run); xlmr estimate finetune, with the same options, tells memory and time more closely\n",
                  integer(s, "train_examples"), integer(s, "validation_examples"), integer(s, "steps"),
                  integer(s, "steps_per_epoch"), integer(s, "parameters"), json_number_value(json_object_get(s, "memory_mb")));
}

static xr_status print_summary(const xr_options *o, const json_t *s)
{
    if (o->json)
        return xr_out_json(s);
    if (o->dry_run)
        return print_plan(s);
    const json_t *best = json_object_get(s, "best");
    if (best)
        XR_TRY(xr_out("best %s %.4f at step %lld: %s/best\n", json_string_value(json_object_get(s, "metric")), json_number_value(best),
                      integer(s, "best_step"), o->output_dir));
    return xr_out("final model after step %lld: %s/final\n", integer(s, "steps"), o->output_dir);
}

static xr_status run(const xr_options *o)
{
    xr_watch watch = { .name = "finetune", .quiet = o->quiet };
    xr_loop_hooks hooks = xr_watch_hooks(&watch);
    json_t *summary = NULL;
    xr_signals_catch();
    xr_status status = xr_finetune_run(o, &hooks, &summary);
    xr_watch_end(&watch);
    if (status == XR_OK)
        status = print_summary(o, summary);
    json_decref(summary);
    return status;
}

const xr_cmd xr_cmd_finetune = {
    "finetune", XR_V_FINETUNE, "train a model on labelled data", NULL,
    "xlmr finetune --model DIR --train-file train.tsv --validation-file dev.tsv --output-dir run\n"
    "xlmr finetune --config configs/xnli.yaml --model DIR --data-dir xnli --output-dir run\n"
    "xlmr finetune --model DIR --train-file a.jsonl --train-file b.jsonl.gz --label-map e=entailment,n=neutral,c=contradiction --output-dir run\n"
    "xlmr finetune --config configs/panx.yaml --model DIR --data-dir panx --output-dir run\n"
    "xlmr finetune --config configs/xnli.yaml --model DIR --data-dir xnli --protocol translate-train-all --lang-alpha 0.5 --output-dir run\n",
    run,
};
