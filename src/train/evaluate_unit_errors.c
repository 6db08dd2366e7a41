/* Errors of tagged sentences and of questions with choices. The data set keeps ids only, so the texts of the few that are shown are read again. */
#include <math.h>

#include "data/choices.h"
#include "data/tagged.h"
#include "train/evaluate_errors.h"

/* ---- tagged words ---- */

static json_t *word_json(const xr_evaluation *e, const xr_scored *s, size_t word, const char *text)
{
    size_t n = (size_t)e->labels.n;
    const char *predicted = e->labels.name[xr_argmax(s->logits + word * n, (int)n)];
    return json_pack("[sss]", text, e->labels.name[s->data.words.tag[word]], predicted);
}

/* Whether there is more behind what a reader gave; a bad record, which was left out when the data was read, is passed over. */
static int goes_on(int got, int broken)
{
    if (got != XR_EDATA || broken)
        return got > 0;
    xr_error_clear();
    return 1;
}

/* Words of the file's sentence i with both tags; a file that has changed since gives none. */
static xr_status add_words(const xr_evaluation *e, const xr_scored *s, size_t i, json_t *line)
{
    const xr_words *w = &s->data.words;
    size_t first = (size_t)w->sentence[i], n = (size_t)w->sentence[i + 1] - first;
    json_t *words = json_array();
    uint64_t record = xr_dataset_record(&s->data, i);
    xr_tagged_reader r;
    int got = xr_tagged_open(&r, s->path);
    if (got == XR_OK) {
        for (uint64_t k = 0; k <= record && goes_on(got = xr_tagged_next(&r), r.broken);)
            k++;
        for (size_t k = 0; got > 0 && r.n == n && k < n; k++)
            json_array_append_new(words, word_json(e, s, first + k, r.word[k].text));
        xr_tagged_close(&r);
    }
    json_object_set_new(line, "words", words);
    return got < 0 ? xr_error_status() : XR_OK;     /* the error of a bad record has been cleared */
}

/* Of a tag that the model has not learnt, which has no loss, that of its least likely one. */
static double loss_of(const xr_evaluation *e, const float *z, size_t gold)
{
    size_t n = (size_t)e->context->model.config.num_labels, least = 0;
    for (size_t k = 1; k < n; k++)
        least = z[k] < z[least] ? k : least;
    return xr_error_loss(z, n, gold < n ? gold : least);
}

/* The losses of the words with a wrong tag. */
xr_status xr_words_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line)
{
    const xr_words *w = &s->data.words;
    size_t n = (size_t)e->labels.n;
    *badness = 0.0;
    for (size_t k = (size_t)w->sentence[i]; k < w->sentence[i + 1]; k++) {
        const float *z = s->logits + k * n;
        if (w->tag[k] >= 0 && xr_argmax(z, (int)n) != w->tag[k])
            *badness += loss_of(e, z, (size_t)w->tag[k]);
    }
    if (!line)
        return XR_OK;
    if (!e->o->predictions)                 /* a file of predictions tells no probabilities */
        json_object_set_new(line, "loss", json_real(*badness));
    return add_words(e, s, i, line);
}

/* ---- choices ---- */

static void describe(const xr_question *q, size_t gold, size_t predicted, json_t *line)
{
    if (gold >= q->n || predicted >= q->n)
        return;
    json_object_set_new(line, "gold", json_string(q->choice[gold]));
    json_object_set_new(line, "predicted", json_string(q->choice[predicted]));
    json_object_set_new(line, "given", json_string(q->given));
}

static xr_status add_question(const xr_scored *s, size_t i, size_t gold, size_t predicted, json_t *line)
{
    xr_question_reader r;
    xr_question q;
    uint64_t record = xr_dataset_record(&s->data, i);
    int got = xr_questions_open(&r, s->path);
    if (got < 0)
        return got;
    for (uint64_t k = 0; k <= record && goes_on(got = xr_questions_next(&r, &q), r.broken);)
        k++;
    if (got > 0)
        describe(&q, gold, predicted, line);
    xr_questions_close(&r);
    return got < 0 ? xr_error_status() : XR_OK;     /* the error of a bad record has been cleared */
}

xr_status xr_choice_error(const xr_evaluation *e, const xr_scored *s, size_t i, double *badness, json_t *line)
{
    const uint64_t *first = s->data.choices.example + i;
    const float *z = s->logits + first[0];
    size_t n = (size_t)(first[1] - first[0]);
    int gold = s->data.label[i], predicted = xr_argmax(z, (int)n);
    (void)e;
    *badness = gold < 0 || gold == predicted ? 0.0 : xr_error_loss(z, n, (size_t)gold);
    if (!line || gold < 0)
        return XR_OK;
    json_object_set_new(line, "probability", json_real(exp(-xr_error_loss(z, n, (size_t)predicted))));
    json_object_set_new(line, "loss", json_real(*badness));
    return add_question(s, i, (size_t)gold, (size_t)predicted, line);
}
