/* How often the examples of each file and language are drawn: --train-file FILE:WEIGHT and --lang-alpha, and the table that says what came of it. */
#include "train/finetune.h"
#include "util/log.h"
#include "util/str.h"

xr_status xr_finetune_mix(xr_finetune *f)
{
    return xr_mixture_init(&f->mixture, f->part, f->n_train_file, f->o->lang_alpha, (uint64_t)f->o->seed);
}

/* Of one file: shares from 0 to 1, and how often the whole run goes through it. */
typedef struct mix_row { double data_share, batch_share, epochs; } mix_row;

static mix_row row_of(const xr_finetune *f, size_t i)
{
    const xr_mixture *m = &f->mixture;
    const xr_mixture_part *p = &m->part[i];
    double passes = (double)f->total_steps / (double)f->steps_per_epoch;
    return (mix_row){ (double)p->n / (double)m->total, (double)p->size / (double)m->total, p->n ? passes * (double)p->size / (double)p->n : 0.0 };
}

xr_status xr_finetune_say_mix(const xr_finetune *f)
{
    if (f->n_train_file < 2)
        return XR_OK;
    xr_info("%-12s %10s %7s %9s %11s %8s  %s", "training", f->task->examples, "weight", "of data", "of batches", "epochs", "file");
    for (size_t i = 0; i < f->n_train_file; i++) {
        const xr_data_file *file = &f->train_file[i];
        mix_row r = row_of(f, i);
        xr_info("%-12s %10llu %7.4g %7.2f %% %9.2f %% %8.3g  %s", file->name, (unsigned long long)f->part[i].n, file->weight, 100.0 * r.data_share,
                100.0 * r.batch_share, r.epochs, file->path);
    }
    return XR_OK;
}

json_t *xr_finetune_mix_json(const xr_finetune *f)
{
    json_t *all = json_array();
    for (size_t i = 0; i < f->n_train_file; i++) {
        mix_row r = row_of(f, i);
        json_array_append_new(all, json_pack("{ss sI sf sf sf sf}", "name", f->train_file[i].name, "examples", (json_int_t)f->part[i].n, "weight",
                                             f->train_file[i].weight, "data_share", r.data_share, "batch_share", r.batch_share, "epochs", r.epochs));
    }
    return all;
}

xr_status xr_finetune_mix_card(const xr_finetune *f, xr_str *out)
{
    if (f->n_train_file < 2)
        return XR_OK;
    XR_TRY(xr_str_printf(out, "\n| training data | %s | weight | share of data | share of batches | epochs |\n|---|---|---|---|---|---|\n", f->task->examples));
    for (size_t i = 0; i < f->n_train_file; i++) {
        mix_row r = row_of(f, i);
        XR_TRY(xr_str_printf(out, "| %s | %llu | %.4g | %.2f %% | %.2f %% | %.3g |\n", f->train_file[i].name, (unsigned long long)f->part[i].n,
                             f->train_file[i].weight, 100.0 * r.data_share, 100.0 * r.batch_share, r.epochs));
    }
    return xr_str_putc(out, '\n');
}
