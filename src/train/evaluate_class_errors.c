/* What a person wants to see of a text that was classified wrongly. */
#include <math.h>

#include "train/evaluate_errors.h"

static size_t n_classes(const xr_evaluation *e)
{
    return (size_t)e->context->model.config.num_labels;
}

double xr_error_loss(const float *z, size_t n, size_t gold)
{
    double most = (double)z[xr_argmax(z, (int)n)], sum = 0.0;
    for (size_t k = 0; k < n; k++)
        sum += exp((double)z[k] - most);
    return most + log(sum) - (double)z[gold];
}

static json_t *name(const xr_evaluation *e, int k)
{
    return json_string(e->labels.name[k]);
}

static double single(const xr_evaluation *e, const xr_dataset *d, size_t i, const float *z, json_t *line)
{
    size_t n = n_classes(e);
    int predicted = xr_argmax(z, (int)n), gold = d->label[i];
    if (gold < 0 || gold == predicted)
        return 0.0;
    double loss = xr_error_loss(z, n, (size_t)gold);
    if (line) {
        json_object_set_new(line, "gold", name(e, gold));
        json_object_set_new(line, "predicted", name(e, predicted));
    }
    if (line && !e->o->predictions) {       /* a file of predictions tells no probabilities */
        json_object_set_new(line, "probability", json_real(exp(-xr_error_loss(z, n, (size_t)predicted))));
        json_object_set_new(line, "loss", json_real(loss));
    }
    return loss;
}

/* Binary cross-entropy of the whole set, if it is not exactly right. */
static double multi(const xr_evaluation *e, const xr_dataset *d, size_t i, const float *z, json_t *line)
{
    double loss = 0.0;
    int wrong = 0;
    json_t *gold = json_array(), *predicted = json_array();
    for (size_t k = 0; k < d->n_target; k++) {
        double x = (double)z[k], y = (double)d->target[i * d->n_target + k];
        loss += fmax(x, 0.0) - x * y + log1p(exp(-fabs(x)));
        wrong |= (y > 0.5) != (x > 0.0);
        if (y > 0.5)
            json_array_append_new(gold, name(e, (int)k));
        if (x > 0.0)
            json_array_append_new(predicted, name(e, (int)k));
    }
    if (line) {
        json_object_set(line, "gold", gold);
        json_object_set(line, "predicted", predicted);
        json_object_set_new(line, "loss", json_real(loss));
    }
    json_decref(gold);
    json_decref(predicted);
    return wrong ? loss : 0.0;
}

static double value(const xr_dataset *d, size_t i, const float *z, json_t *line)
{
    double gold = (double)d->target[i * d->n_target], predicted = (double)z[0];
    if (line) {
        json_object_set_new(line, "gold", json_real(gold));
        json_object_set_new(line, "predicted", json_real(predicted));
    }
    return (predicted - gold) * (predicted - gold);
}

xr_status xr_classes_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line)
{
    const xr_dataset *d = &s->data;
    const float *z = s->logits + i * n_classes(e);
    xr_problem p = e->context->model.config.problem;
    *badness = p == XR_PROBLEM_REGRESSION ? value(d, i, z, line) : p == XR_PROBLEM_MULTI_LABEL ? multi(e, d, i, z, line) : single(e, d, i, z, line);
    if (line && d->text && d->text[i])
        json_object_set_new(line, "text", json_string(d->text[i]));
    if (line && d->text_pair && d->text_pair[i])
        json_object_set_new(line, "text_pair", json_string(d->text_pair[i]));
    return XR_OK;
}
