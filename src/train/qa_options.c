#include "train/qa_options.h"

#include <string.h>

void xr_qa_data_options(const xr_options *o, xr_data_options *d)
{
    d->doc_stride = (size_t)o->doc_stride;
    d->max_query = (size_t)o->max_query_length;
}

void xr_qa_answer_options(const xr_options *o, int impossible, xr_answer_options *a)
{
    a->n_best = (size_t)o->n_best;
    a->max_tokens = (size_t)o->max_answer_length;
    a->may_be_none = strcmp(o->unanswerable, "auto") == 0 ? impossible : strcmp(o->unanswerable, "yes") == 0;
    a->null_threshold = o->null_threshold;
}
