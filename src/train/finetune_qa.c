/* Fine-tuning to answer questions about a text: --task qa. */
#include <math.h>
#include <string.h>

#include "data/qa_windows.h"
#include "train/finetune.h"
#include "train/qa_answers.h"
#include "train/qa_metrics.h"
#include "train/qa_options.h"
#include "util/alloc.h"
#include "util/log.h"

/* --- data ------------------------------------------------------------------------------------------------------- */

static xr_status choose(xr_finetune *f)
{
    const xr_options *o = f->o;
    const char *odd = o->text_column ? "--text-column" : o->text_pair_column ? "--text-pair-column" : o->label_column ? "--label-column"
                      : o->label_map ? "--label-map" : strcmp(o->format, "auto") != 0 ? "--format" : strcmp(o->problem_type, "auto") != 0 ? "--problem-type"
                      : strcmp(o->class_weights, "none") != 0 ? "--class-weights" : o->label_smoothing > 0.0 ? "--label-smoothing"
                      : o->classifier_dropout >= 0.0 ? "--classifier-dropout" : NULL;
    if (odd)
        return xr_fail(XR_EUSAGE, "%s: --task qa reads questions in SQuAD's layout and learns where their answers begin and end; leave it out", odd);
    f->problem = XR_PROBLEM_SINGLE_LABEL;       /* as config.json of such a model, which says nothing, is read */
    return XR_OK;
}

static xr_status read(xr_finetune *f, xr_dataset *d, const char *path, const xr_data_options *general)
{
    xr_data_options o = *general;
    uint64_t outside = d->windows.n_outside;
    xr_qa_data_options(f->o, &o);
    o.need_place = 1;
    o.unique_ids = d != &f->train;
    XR_TRY(xr_dataset_add_squad(d, path, f->tokenizer, &o));
    if (d->windows.n_outside > outside)
        xr_info("%s: %llu answers are longer than what windows share and lie in none: --doc-stride %zu", path,
                (unsigned long long)(d->windows.n_outside - outside), o.doc_stride);
    return XR_OK;
}

static xr_status check(const xr_finetune *f)
{
    const xr_questions *q = &f->train.windows.questions;
    if (q->n_impossible < q->n)
        return XR_OK;
    return xr_fail(XR_EDATA, "%s: none of the %zu training questions has an answer; expected some that do", f->train_file[0].path, q->n);
}

/* --- figures ---------------------------------------------------------------------------------------------------- */

static const char *const *metrics(const xr_finetune *f)
{
    static const char *const answers[] = { "f1", "exact", "loss", NULL };
    (void)f;
    return answers;
}

/* -log of the share that row `target` of a column has. */
static double cross_entropy(const float *z, size_t len, size_t target)
{
    double best = (double)z[0], sum = 0.0;
    for (size_t r = 1; r < len; r++)
        best = (double)z[2 * r] > best ? (double)z[2 * r] : best;
    for (size_t r = 0; r < len; r++)
        sum += exp((double)z[2 * r] - best);
    return best + log(sum) - (double)z[2 * target];
}

/* Mean over the windows, as training has it. */
static double mean_loss(const xr_dataset *d, const float *logits)
{
    double sum = 0.0;
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        const xr_window *w = &d->windows.window[i];
        const float *z = logits + 2 * d->offset[i];
        size_t len = xr_dataset_len(d, i);
        if (w->start < 0)
            continue;
        sum += 0.5 * (cross_entropy(z, len, (size_t)w->start) + cross_entropy(z + 1, len, (size_t)w->end));
        n++;
    }
    return n ? sum / (double)n : 0.0;
}

/* One question against its gold answers, whose texts are collected in `gold`. */
static xr_status count_question(const xr_qa_rules *rules, const xr_questions *q, size_t i, const char *text, const char **gold, xr_qa_totals *t)
{
    const xr_squad_question *v = &q->v[i];
    xr_qa_points points;
    for (size_t k = 0; k < v->n_answers; k++)
        gold[k] = q->answer[v->answer + k].text;
    XR_TRY(xr_qa_score(rules, text, gold, v->n_answers, &points));
    xr_qa_add(t, points, !v->impossible);
    return XR_OK;
}

static xr_status count_all(xr_figures *g, const xr_questions *q, const xr_qa_predictions *p)
{
    const xr_qa_rules *rules = q->n_impossible ? xr_qa_rules_squad2() : xr_qa_rules_squad1();
    xr_qa_totals t = { 0 };
    const char **gold = xr_alloc(q->n_answers, sizeof *gold);
    xr_status status = gold ? XR_OK : xr_error_status();
    for (size_t i = 0; i < q->n && status == XR_OK; i++)
        status = count_question(rules, q, i, p->text[i], gold, &t);
    xr_free(gold);
    g->n = q->n;
    g->exact = xr_qa_exact(&t.all);
    g->f1 = xr_qa_f1(&t.all);
    g->rules = rules->name;
    return status;
}

static xr_status score(xr_finetune *f, const xr_scoring *how, const xr_dataset *d, xr_figures *g)
{
    xr_answer_options o;
    xr_qa_predictions p;
    float *logits = xr_score_logits(how, d);
    if (!logits)
        return xr_error_status();
    xr_figures_free(g);
    memset(g, 0, sizeof *g);
    g->loss = mean_loss(d, logits);
    xr_qa_answer_options(f->o, f->train.windows.questions.n_impossible > 0, &o);
    xr_status status = xr_qa_predict(&p, d, logits, &o);
    xr_free(logits);
    if (status == XR_OK) {
        status = count_all(g, &d->windows.questions, &p);
        xr_qa_predictions_free(&p);
    }
    return status;
}

static void figures(const xr_finetune *f, const xr_figures *g, json_t *j)
{
    (void)f;
    json_object_set_new(j, "f1", xr_json_number(g->f1));
    json_object_set_new(j, "exact", xr_json_number(g->exact));
}

static xr_status collapse(const xr_finetune *f, const xr_figures *g, xr_str *sign)
{
    (void)f;
    return g->f1 == 0.0 ? xr_str_puts(sign, "no word of any answer is right") : XR_OK;
}

static xr_status card(const xr_finetune *f, const xr_figures *g, xr_str *s)
{
    (void)f;
    return xr_str_printf(s, "| F1 (rules: %s) | %.4f |\n| exact match | %.4f |\n", g->rules, g->f1, g->exact);
}

const xr_finetune_task xr_finetune_qa = {
    "qa", "question_answering", "question-answering", "for extractive question answering", "questions", "cut into windows of up", choose, read, check,
    metrics, score, figures, collapse, card,
};
