/* Several models in one table: `xlmr evaluate --model A B C`. All read the same files; differences are from the first.
 *
 * Or a model for each language, `--model de=A fr=B`, as translate-train makes them: one row of the table each. */
#ifndef XR_TRAIN_COMPARE_H
#define XR_TRAIN_COMPARE_H

#include "train/evaluate.h"

typedef struct xr_comparison {
    const xr_options *o;
    xr_options *each, *dev;     // [n] as o, with one model; and on the files that select
    xr_evaluation *e;           // [n]
    xr_evaluation *on_dev;      // [n]; NULL when nothing is selected
    size_t n;
    int by_language;            /* a model a language: e[k] has one language, and is chosen for it */
    char **language;            // [n] then
    size_t *chosen;             // [languages] by model, from 0; NULL when nothing is selected
    xr_evaluation selected;     /* of each language the chosen model's; its contents belong to e */
} xr_comparison;

size_t xr_compare_models(const xr_options *o);              /* how many models the options name */
int xr_compare_wanted(const xr_options *o);                 /* more than one model, or any of the above: not a case for xr_evaluate_run */
/* As xr_evaluate_run: reads and checks all, scores all, writes to --output-dir. On failure c is still to be freed. */
xr_status xr_compare_run(xr_comparison *c, const xr_options *o, const xr_evaluate_hooks *hooks);
void xr_comparison_free(xr_comparison *c);

xr_status xr_comparison_table(const xr_comparison *c, xr_str *out);
/* {"task", …, "models": [as xr_evaluation_json, …], "selected": {"languages": {"en": {"model": 2, …}}, "average"}}. NULL with the error set. */
json_t *xr_comparison_json(const xr_comparison *c);
/* results.json, results.tsv and plot.svg; model-1/, model-2/, … as xr_evaluation_write; selected/TASK/… when models are selected. */
xr_status xr_comparison_write(const xr_comparison *c, const char *dir);

#endif
