/* xlmr qa-oracle TOKENIZER RULES FILE...: how much of the gold answers windows and pieces can give back. Not for people; help does not list it.
 * RULES: squad, or a language of MLQA. One line a file: answers whose place is known;
 * those that some window holds; those whose pieces are the fewest that cover the answer's
 * characters; exact match and F1 of the text of these pieces against all gold answers: what a model that makes no mistake would get, since an answer's edge may
 * fall inside a piece. */
#include <string.h>
#include "cli/cmd.h"
#include "data/qa_windows.h"
#include "train/qa_metrics.h"
#include "util/alloc.h"
#include "util/utf8.h"

/* A bit outside XR_V_ALL: no row of the option table belongs to this command. */
enum { VERB = 1u << 23, MAX_LENGTH = 384, STRIDE = 128, MAX_QUERY = 64 };

typedef struct sums { size_t answers, held, fewest; xr_qa_totals totals; } sums;

/* Every character but white space lies in the pieces [first, last], and none of the two at the edges could be left out. */
static int covers(const char *text, const xr_token *piece, size_t first, size_t last, const xr_gold_answer *g)
{
    size_t size;
    int head = 0, tail = 0;
    for (size_t at = g->begin; at < g->end; at += size) {
        if (xr_utf8_is_space(xr_utf8_decode(text + at, g->end - at, &size)))
            continue;
        if (at < piece[first].begin || at + size > piece[last].end)
            return 0;
        head |= at < piece[first].end;
        tail |= at + size > piece[last].begin;
    }
    return head && tail;
}

static xr_status score(const xr_qa_rules *rules, const xr_questions *q, const xr_squad_question *v, size_t begin, size_t end, sums *s)
{
    const char **gold = xr_alloc(v->n_answers, sizeof *gold);
    char *text = gold ? xr_strndup(q->passage[v->passage].text + begin, end - begin) : NULL;
    xr_qa_points points = { 0 };
    for (size_t k = 0; text && k < v->n_answers; k++)
        gold[k] = q->answer[v->answer + k].text;
    xr_status status = text ? xr_qa_score(rules, text, gold, v->n_answers, &points) : xr_error_status();
    xr_qa_add(&s->totals, points, 1);
    xr_free(text);
    xr_free(gold);
    return status;
}

static xr_status look(const xr_windows *w, size_t i, const xr_qa_rules *rules, sums *s)
{
    const xr_squad_question *v = &w->questions.v[i];
    const xr_gold_answer *g = &w->questions.answer[v->answer];
    if (v->n_answers == 0 || g->begin == g->end)
        return XR_OK;
    s->answers++;
    for (uint64_t k = w->first[i]; k < w->first[i + 1]; k++) {
        const xr_window *x = &w->window[k];
        size_t begin, end, first = x->piece + (size_t)x->start - x->row, last = x->piece + (size_t)x->end - x->row;
        if (x->start <= 0)
            continue;
        s->held++;
        s->fewest += (size_t)covers(w->questions.passage[v->passage].text, w->piece + w->passage[v->passage], first, last, g);
        xr_windows_cut(w, v->passage, first, last, &begin, &end);
        return score(rules, &w->questions, v, begin, end, s);
    }
    return score(rules, &w->questions, v, 0, 0, s);
}

static xr_status look_at_file(const char *path, const xr_tokenizer *tok, const xr_qa_rules *rules)
{
    const xr_data_options o = { .max_len = MAX_LENGTH, .doc_stride = STRIDE, .max_query = MAX_QUERY };
    xr_dataset d = { 0 };
    sums s = { 0 };
    xr_status status = xr_dataset_add_squad(&d, path, tok, &o);
    for (size_t i = 0; i < d.windows.questions.n && status == XR_OK; i++)
        status = look(&d.windows, i, rules, &s);
    if (status == XR_OK)
        status = xr_out("%s\t%zu questions\t%zu windows\t%zu answers\t%zu held\t%zu fewest\tEM %.2f\tF1 %.2f\t%s\n", path, d.windows.questions.n, d.n,
                        s.answers, s.held, s.fewest, 100.0 * xr_qa_exact(&s.totals.all), 100.0 * xr_qa_f1(&s.totals.all), rules->name);
    xr_dataset_free(&d);
    return status;
}

static xr_status run(const xr_options *o)
{
    if (o->n_args < 3)
        return xr_fail(XR_EUSAGE, "qa-oracle: expected TOKENIZER, RULES (squad, or a language of MLQA) and FILE...");
    const xr_qa_rules *rules = strcmp(o->args[1], "squad") == 0 ? xr_qa_rules_squad1() : xr_qa_rules_mlqa(o->args[1], "qa-oracle");
    xr_tokenizer *tok = rules ? xr_tokenizer_open(o->args[0]) : NULL;
    xr_status status = tok ? XR_OK : xr_error_status();
    for (size_t i = 2; i < o->n_args && status == XR_OK; i++)
        status = look_at_file(o->args[i], tok, rules);
    xr_tokenizer_free(tok);
    return status;
}

const xr_cmd xr_cmd_qa_oracle = {
    "qa-oracle", VERB, "what windows and pieces can give back of gold answers", "TOKENIZER RULES FILE ...",
    "xlmr qa-oracle model/sentencepiece.bpe.model squad xquad.*.json.gz\n",
    run
};
