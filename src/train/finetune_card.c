/* The model card of a saved model: README.md with what it was trained on, what it reached and how to repeat it. */
#include <stdio.h>
#include <string.h>

#include "train/card.h"
#include "train/finetune.h"
#include "util/alloc.h"
#include "util/str.h"

static xr_status add_data(xr_str *s, const char *what, const xr_dataset *d)
{
    if (d->n == 0)
        return XR_OK;
    XR_TRY(xr_str_printf(s, "- %s: %zu examples, %llu tokens\n", what, d->n, (unsigned long long)d->n_tokens));
    for (size_t i = 0; i < d->n_files; i++)
        XR_TRY(xr_str_printf(s, "  - `%s`\n", d->files[i]));
    return XR_OK;
}

static xr_status add_labels(xr_str *s, const xr_config *c)
{
    if (c->num_labels == 0)
        return XR_OK;
    XR_TRY(xr_str_puts(s, "- labels, in id order: "));
    for (int k = 0; k < c->num_labels; k++)
        XR_TRY(xr_str_printf(s, "%s`%s`", k ? ", " : "", c->label[k]));
    return xr_str_putc(s, '\n');
}

static xr_status add_validation(xr_str *s, const xr_finetune *f)
{
    char what[96];
    for (size_t i = 0; i < f->n_valid; i++) {
        snprintf(what, sizeof what, f->n_valid > 1 ? "validation, %s" : "validation", f->valid[i].name);
        XR_TRY(add_data(s, what, &f->valid[i].data));
    }
    return XR_OK;
}

static xr_status add_figures(xr_str *s, const xr_finetune *f, int scored)
{
    if (!scored)
        return xr_str_puts(s, f->n_valid == 0 ? "No validation data were given.\n" : "This state of the model was not evaluated.\n");
    return xr_finetune_valid_card(f, s);
}

static xr_status write_card(xr_str *s, const xr_finetune *f, uint64_t step, int scored)
{
    XR_TRY(xr_str_printf(s, "---\nlibrary_name: transformers\npipeline_tag: %s\n---\n\n# XLM-RoBERTa %s\n\n", f->task->pipeline, f->task->title));
    XR_TRY(xr_str_printf(s, "Fine-tuned by xlmr from `%s`, %llu of %llu updates.\n\n## Data\n\n", f->o->model, (unsigned long long)step,
                         (unsigned long long)f->total_steps));
    XR_TRY(add_data(s, "training", &f->train));
    XR_TRY(add_validation(s, f));
    if (f->o->data_dir)
        XR_TRY(xr_str_printf(s, "- protocol: %s\n", f->o->protocol));
    XR_TRY(add_labels(s, &f->model.config));
    XR_TRY(xr_finetune_mix_card(f, s));
    XR_TRY(xr_str_puts(s, "\n## Figures\n\n"));
    XR_TRY(add_figures(s, f, scored));
    XR_TRY(xr_str_putc(s, '\n'));
    return xr_card_command(s, f->o);
}

char *xr_finetune_card(const xr_finetune *f, uint64_t step, int scored)
{
    xr_str s = { 0 };
    if (write_card(&s, f, step, scored) < 0) {
        xr_str_free(&s);
        return NULL;
    }
    return s.s;     /* the string's memory is the caller's now */
}
