/* What a fine-tuning run reads: the directory's config and tokenizer, the labels, the examples. */
#include <string.h>

#include "train/finetune.h"
#include "train/qa_options.h"
#include "train/setup.h"
#include "util/alloc.h"
#include "util/fs.h"
#include "util/log.h"
#include "util/str.h"

void xr_finetune_data_options(const xr_finetune *f, int training, xr_data_options *d)
{
    const xr_options *o = f->o;
    memset(d, 0, sizeof *d);
    d->columns = (xr_columns){ o->text_column, o->text_pair_column, o->label_column, NULL, 1, 0 };
    d->format = strcmp(o->format, "auto") == 0 ? NULL : o->format;
    d->max_len = (size_t)f->max_len;
    d->stride = (size_t)o->tag_stride;
    d->max_samples = (long)(training ? o->max_train_samples : o->max_eval_samples);
    d->kind = xr_score_label_kind(f->problem);
    d->grow_labels = training;
    d->need_label = 1;
    d->skip_bad = strcmp(o->on_bad_record, "skip") == 0;
    d->max_bad_fraction = o->max_bad_fraction;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

static size_t n_given(const xr_dataset *d)
{
    return d->words.n_sentences ? d->words.n_sentences : d->windows.questions.n ? d->windows.questions.n : d->n;
}

/* Reads one file and says what came: examples, the share that was cut, tokens, the share of <unk>. */
static xr_status read_file(xr_finetune *f, xr_dataset *d, const xr_data_file *file, int training)
{
    const char *path = file->path;
    xr_data_options options;
    size_t before = n_given(d), n;
    uint64_t tokens = d->n_tokens, truncated = d->n_truncated, unk = d->n_unk;
    xr_finetune_data_options(f, training, &options);
    options.language = file->given ? file->name : NULL;
    options.language_optional = 1;
    XR_TRY(f->task->read(f, d, path, &options));
    n = n_given(d) - before;
    xr_info("%s: %zu %s, %.1f %% of them %s to %d tokens; %llu tokens, %.2f %% <unk>", path, n, f->task->examples, percent(d->n_truncated - truncated, n),
            f->task->shortened, f->max_len, (unsigned long long)(d->n_tokens - tokens), percent(d->n_unk - unk, d->n_tokens - tokens));
    return XR_OK;
}

/* All training files, and where the examples of each stand. */
static xr_status read_train_files(xr_finetune *f)
{
    size_t n = f->n_train_file;
    f->part = xr_alloc(n, sizeof *f->part);
    if (!f->part)
        return xr_error_status();
    for (size_t i = 0; i < n; i++) {
        xr_mixture_part *p = &f->part[i];
        p->first = f->train.n;
        XR_TRY(read_file(f, &f->train, &f->train_file[i], 1));
        p->n = f->train.n - p->first;
        p->weight = f->train_file[i].weight;
        while (strcmp(f->train_file[p->language].name, f->train_file[i].name) != 0)
            p->language++;
    }
    return XR_OK;
}

static int trained_on(const xr_finetune *f, const char *name)
{
    for (size_t i = 0; i < f->n_train_file; i++)
        if (f->train_file[i].language && strcmp(f->train_file[i].name, name) == 0)
            return 1;
    return 0;
}

/* The set of that name; a new one is empty. */
static xr_valid_set *set_of(xr_finetune *f, const xr_data_file *file)
{
    size_t k = 0;
    while (k < f->n_valid && strcmp(f->valid[k].name, file->name) != 0)
        k++;
    xr_valid_set *s = &f->valid[k];
    if (k == f->n_valid) {
        f->n_valid++;
        s->name = file->name;
        s->language = file->language;
        s->trained = s->language && trained_on(f, s->name);
    }
    return s;
}

static xr_status read_validation(xr_finetune *f)
{
    size_t n = f->n_valid_file;
    f->valid = n ? xr_alloc(n, sizeof *f->valid) : NULL;
    if (n && !f->valid)
        return xr_error_status();
    for (size_t i = 0; i < n; i++) {
        xr_valid_set *s = set_of(f, &f->valid_file[i]);
        XR_TRY(read_file(f, &s->data, &f->valid_file[i], 0));
        if (s->data.n == 0)
            return xr_fail(XR_EDATA, "%s: no examples to evaluate on; leave the file out", f->valid_file[i].path);
    }
    return XR_OK;
}

/* used[c] = 1 for every class that stands in the data. */
static void mark_used(const xr_dataset *d, int *used)
{
    for (size_t i = 0; i < d->n; i++) {
        if (!d->n_target && d->label[i] >= 0)
            used[d->label[i]] = 1;
        for (size_t c = 0; c < d->n_target; c++)
            if (d->target[i * d->n_target + c] > 0.0f)
                used[c] = 1;
    }
    for (size_t w = 0; w < d->words.n; w++)
        used[d->words.tag[w]] = 1;
}

/* Classes get the ids in `id`; columns of those with id < 0 go. A row only moves towards the front. */
static void renumber(xr_dataset *d, const int *id, size_t n)
{
    size_t old = d->n_target;
    for (size_t i = 0; i < d->n; i++) {
        if (!old && d->label[i] >= 0)
            d->label[i] = id[d->label[i]];
        for (size_t c = 0; c < old; c++)
            if (id[c] >= 0)
                d->target[i * n + (size_t)id[c]] = d->target[i * old + c];
    }
    d->n_target = old ? n : 0;
    for (size_t w = 0; w < d->words.n; w++)
        d->words.tag[w] = id[d->words.tag[w]];
}

/* Keeps the labels that the data use, in an order of their own, when the directory's labels do not cover the data's. */
static xr_status own_labels(xr_finetune *f)
{
    xr_labels *l = &f->labels;
    if (l->n == 0)          /* nothing but empty label sets */
        return XR_OK;
    int *id = xr_alloc((size_t)l->n, sizeof *id), n = 0;
    if (!id)
        return xr_error_status();
    mark_used(&f->train, id);
    for (int k = 0; k < l->n; k++) {
        if (id[k])
            l->name[n] = l->name[k];
        else
            xr_free(l->name[k]);
        id[k] = id[k] ? n++ : -1;
    }
    l->n = n;
    renumber(&f->train, id, (size_t)n);
    xr_free(id);
    return xr_labels_sort(l, &f->train);
}

static int same_problem_head(const xr_finetune *f)
{
    return f->base.head && strcmp(f->base.head, f->task->head) == 0 && f->base.problem == f->problem;
}

/* The training files with the directory's labels known beforehand, so that a model already trained on them keeps its head and its order. */
static xr_status read_training(xr_finetune *f)
{
    int known = f->problem != XR_PROBLEM_REGRESSION && same_problem_head(f) ? f->base.num_labels : 0;
    for (int k = 0; k < known; k++)
        if (xr_labels_add(&f->labels, f->base.label[k]) < 0)
            return xr_error_status();
    XR_TRY(read_train_files(f));
    if (f->train.n == 0)
        return xr_fail(XR_EDATA, "%s: no examples to train on", f->train_file[0].path);
    f->keep_head = same_problem_head(f) && (f->problem == XR_PROBLEM_REGRESSION ? f->base.num_labels == 1 : f->labels.n == known);
    if (f->problem != XR_PROBLEM_REGRESSION && !f->keep_head)
        XR_TRY(own_labels(f));
    XR_TRY(f->task->check(f));
    XR_TRY(xr_finetune_warn_labels(f));
    return f->o->label_all_pieces ? xr_finetune_all_pieces(f) : XR_OK;
}

static xr_status weights_balanced(xr_finetune *f)
{
    const xr_words *w = &f->train.words;
    const int32_t *label = w->n_sentences ? w->tag : f->train.label;
    size_t n = (size_t)f->labels.n, n_labelled = w->n_sentences ? w->n : f->train.n, *count = xr_alloc(n, sizeof *count);
    xr_status status = count ? XR_OK : xr_error_status();
    for (size_t i = 0; count && i < n_labelled; i++)
        count[label[i]]++;
    for (size_t c = 0; count && c < n && status == XR_OK; c++) {
        if (count[c] == 0)
            status = xr_fail(XR_EDATA, "--class-weights balanced: no training example has the label '%s'", f->labels.name[c]);
        else
            f->class_weight[c] = (float)((double)n_labelled / ((double)n * (double)count[c]));
    }
    xr_free(count);
    return status;
}

static xr_status weights_listed(xr_finetune *f)
{
    const char *s = f->o->class_weights;
    char *copy = xr_strdup(s), *rest = copy;
    int n = 0, good = copy != NULL;
    for (char *item; good && (item = strsep(&rest, ",")); n++) {
        double w;
        good = n < f->labels.n && xr_parse_double(item, &w) && w > 0.0 && w <= 1e30;
        if (good)
            f->class_weight[n] = (float)w;
    }
    xr_free(copy);
    if (!good || n != f->labels.n) {
        char *names = xr_labels_list(&f->labels);
        xr_fail(XR_EUSAGE, "--class-weights %s: expected none, balanced, or %d numbers above 0 separated by commas, in the order %s", s, f->labels.n,
                names ? names : "of the labels");
        xr_free(names);
        return xr_error_status();
    }
    return XR_OK;
}

static xr_status read_loss(xr_finetune *f)
{
    const char *s = f->o->class_weights;
    int one_label = f->problem == XR_PROBLEM_SINGLE_LABEL || f->problem == XR_PROBLEM_TAGS;
    if (f->o->label_smoothing > 0.0 && !one_label)
        return xr_fail(XR_EUSAGE, "--label-smoothing %g: only single-label problems have it; leave it out", f->o->label_smoothing);
    if (strcmp(s, "none") == 0)
        return XR_OK;
    if (!one_label)
        return xr_fail(XR_EUSAGE, "--class-weights %s: only single-label problems have class weights; leave it out", s);
    f->class_weight = xr_alloc((size_t)f->labels.n, sizeof *f->class_weight);
    if (!f->class_weight)
        return xr_error_status();
    return strcmp(s, "balanced") == 0 ? weights_balanced(f) : weights_listed(f);
}

static xr_status warn_overlap(const xr_finetune *f, const xr_valid_set *s)
{
    size_t shared;
    XR_TRY(xr_dataset_overlap(&s->data, &f->train, &shared));
    if (shared > 0)
        xr_warn("%zu of the %zu validation examples%s%s also stand in the training data: the validation figures will be too good", shared, s->data.n,
                f->n_valid > 1 ? " of " : "", f->n_valid > 1 ? s->name : "");
    return XR_OK;
}

static xr_status warn_overlaps(const xr_finetune *f)
{
    for (size_t i = 0; i < f->n_valid; i++)
        XR_TRY(warn_overlap(f, &f->valid[i]));
    return XR_OK;
}

/* What is asked for must fit the model; the default gives way. */
static xr_status choose_length(xr_finetune *f)
{
    int most = xr_config_max_tokens(&f->base), usual = f->task == &xr_finetune_qa ? XR_QA_MAX_LENGTH : XR_TEXT_MAX_LENGTH;
    f->max_len = f->o->max_seq_length >= 0 ? (int)f->o->max_seq_length : usual < most ? usual : most;
    if (f->max_len > most)
        return xr_fail(XR_EUSAGE, "--max-seq-length %lld: the model has positions for %d tokens (max_position_embeddings %d less %d); give at most %d",
                       f->o->max_seq_length, most, f->base.max_position_embeddings, f->base.pad_token_id + 1, most);
    return f->tokenizer ? xr_setup_check_vocabulary(f->tokenizer, &f->base) : XR_OK;
}

static xr_status read_base(xr_finetune *f)
{
    char *path = xr_path_join(f->o->model, "config.json");
    xr_status status = path ? xr_config_read(&f->base, path) : xr_error_status();
    xr_free(path);
    XR_TRY(status);
    f->tokenizer = xr_tokenizer_open(f->o->model);
    return f->tokenizer ? choose_length(f) : xr_error_status();
}

static xr_status choose_task(xr_finetune *f)
{
    static const xr_finetune_task *const tasks[] = { &xr_finetune_classify, &xr_finetune_tag, &xr_finetune_qa, &xr_finetune_choice };
    for (size_t k = 0; k < sizeof tasks / sizeof *tasks; k++)
        if (strcmp(tasks[k]->name, f->o->task) == 0)
            f->task = tasks[k];
    return f->task ? XR_OK : xr_fail(XR_ESOFTWARE, "no task named '%s'", f->o->task);
}

static xr_problem likely_problem(const xr_finetune *f)
{
    const char *type = f->o->problem_type;
    if (f->task != &xr_finetune_classify)
        return f->task == &xr_finetune_tag ? XR_PROBLEM_TAGS : xr_config_head_problem(f->task->head);
    return strcmp(type, "regression") == 0 ? XR_PROBLEM_REGRESSION : strcmp(type, "multi_label") == 0 ? XR_PROBLEM_MULTI_LABEL : XR_PROBLEM_SINGLE_LABEL;
}

/* Labels that nobody has named: their number matters to nothing that an estimate tells. */
xr_status xr_finetune_choose(xr_finetune *f)
{
    static const char *const label[] = { "0", "1", "2" };
    XR_TRY(choose_task(f));
    XR_TRY(xr_config_copy(&f->base, f->sizes));
    f->problem = likely_problem(f);
    for (int k = 0; k < 3; k++)
        if (xr_labels_add(&f->labels, label[k]) < 0)
            return xr_error_status();
    return choose_length(f);
}

xr_status xr_finetune_read(xr_finetune *f)
{
    if (!f->train_file)
        XR_TRY(xr_finetune_files(f));
    XR_TRY(choose_task(f));
    XR_TRY(read_base(f));
    if (f->o->label_map)
        XR_TRY(xr_labels_map(&f->labels, f->o->label_map));
    XR_TRY(f->task->choose(f));
    XR_TRY(read_training(f));
    XR_TRY(read_validation(f));
    XR_TRY(warn_overlaps(f));
    return read_loss(f);
}

void xr_finetune_free(xr_finetune *f)
{
    for (size_t i = 0; i < f->n_valid; i++) {
        xr_dataset_free(&f->valid[i].data);
        xr_figures_free(&f->valid[i].figures);
    }
    xr_free(f->valid);
    xr_free(f->part);
    xr_dataset_free(&f->train);
    xr_data_files_free(f->train_file, f->n_train_file);
    xr_data_files_free(f->valid_file, f->n_valid_file);
    xr_labels_free(&f->labels);
    xr_config_free(&f->base);
    xr_tokenizer_free(f->tokenizer);
    xr_free(f->class_weight);
}
