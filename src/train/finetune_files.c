/* Which files a fine-tuning run reads: those that are named, and in place of those that are not, what --protocol takes of --data-dir. */
#include <string.h>

#include "train/arrangement.h"
#include "train/finetune.h"
#include "train/rundir.h"
#include "util/alloc.h"

static xr_status check_options(const xr_options *o)
{
    if (!o->data_dir && xr_options_origin(o, "protocol").kind != XR_FROM_DEFAULT)
        return xr_fail(XR_EUSAGE, "--protocol %s: says which files of --data-dir are trained on; give that, or leave it out", o->protocol);
    if (!o->data_dir && o->languages)
        return xr_fail(XR_EUSAGE, "--languages %s: says which files of --data-dir are trained on; give that, or name the files as LANG=FILE", o->languages);
    if (!o->data_dir && o->train_file.n == 0)
        return xr_fail(XR_EUSAGE, "finetune needs --train-file FILE: training examples; or --data-dir DIR: the folder of a benchmark (xlmr finetune -h shows "
                       "an example)");
    if (o->data_dir && o->train_file.n && o->validation_file.n)
        return xr_fail(XR_EUSAGE, "--data-dir %s: has no effect, as training and validation files are both named; leave it out", o->data_dir);
    return o->data_dir ? xr_rundir_check_input(o->output_dir, o->data_dir) : XR_OK;
}

static xr_status parse_named(xr_finetune *f)
{
    const xr_options *o = f->o;
    f->n_train_file = o->train_file.n;
    f->n_valid_file = o->validation_file.n;
    if (f->n_train_file || !o->data_dir)
        XR_TRY(xr_data_files_parse(&f->train_file, &o->train_file, 1, "--train-file"));
    return f->n_valid_file || !o->data_dir ? xr_data_files_parse(&f->valid_file, &o->validation_file, 0, "--validation-file") : XR_OK;
}

static xr_status parse_found(xr_data_file **out, size_t *n_out, const xr_arranged *a, size_t n)
{
    const char **text = xr_alloc(n + 1, sizeof *text);
    if (!text)
        return xr_error_status();
    for (size_t i = 0; i < n; i++)
        text[i] = a[i].option;
    *n_out = n;
    xr_status status = xr_data_files_parse(out, &(xr_strs){ text, n }, 0, "--data-dir");
    xr_free(text);
    return status;
}

static xr_status parse_folder(xr_finetune *f)
{
    xr_arrangement a;
    xr_status status = xr_arrange(&a, f->o->data_dir, f->o->protocol, f->o->languages);
    if (status == XR_OK && !f->n_train_file)
        status = parse_found(&f->train_file, &f->n_train_file, a.train, a.n_train);
    if (status == XR_OK && !f->n_valid_file)
        status = parse_found(&f->valid_file, &f->n_valid_file, a.valid, a.n_valid);
    xr_arrangement_free(&a);
    return status;
}

xr_status xr_finetune_files(xr_finetune *f)
{
    XR_TRY(check_options(f->o));
    XR_TRY(parse_named(f));
    return f->o->data_dir ? parse_folder(f) : XR_OK;
}
