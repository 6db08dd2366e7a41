/* Figures of merit. Inputs are whole prediction sets, so that they add up over batches; formulas are scikit-learn's and scipy's. */
#ifndef XR_TRAIN_METRICS_H
#define XR_TRAIN_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include "util/error.h"

/* Counts of gold class (row) against predicted class (column). */
typedef struct xr_confusion { int n; uint64_t *count; /* [n, n] */ } xr_confusion;

xr_status xr_confusion_init(xr_confusion *c, int n);
void xr_confusion_free(xr_confusion *c);
void xr_confusion_add(xr_confusion *c, int gold, int predicted);
uint64_t xr_confusion_total(const xr_confusion *c);
double xr_confusion_accuracy(const xr_confusion *c);                /* 0 when empty */
double xr_confusion_majority(const xr_confusion *c);                /* accuracy of always answering the commonest gold class */
/* sklearn.metrics.f1_score(average='macro', zero_division=0) over classes that occur as gold or prediction. */
double xr_confusion_macro_f1(const xr_confusion *c);
/* sklearn.metrics.matthews_corrcoef. 0 when a marginal is constant. */
double xr_confusion_mcc(const xr_confusion *c);
int xr_confusion_single_answer(const xr_confusion *c);              /* the class if every prediction is that class, else -1 */

/* sklearn.metrics.roc_auc_score of a binary gold: the share of pairs of a 1 and a 0 whose scores stand in that order, equal scores counting half.
 * *defined (may be NULL) is 0, and the result 0.5, when gold has only one of the two. */
double xr_auc(const double *score, const uint8_t *gold, size_t n, int *defined, xr_status *status);

int xr_argmax(const float *x, int n);                               /* first of equal maxima, as torch.argmax */
/* numpy.corrcoef; 0 when either side is constant. */
double xr_pearson(const float *x, const float *y, size_t n);
/* Pearson of average ranks (scipy.stats.spearmanr); < 0 as XR_ESYSTEM only via *status. */
double xr_spearman(const float *x, const float *y, size_t n, xr_status *status);

/* What a best model is chosen by is said as "accuracy", "loss of de" or "worst loss of en, de": where the figure's name stands in that; its length in *n. */
const char *xr_metric_name(const char *choice, size_t *n);
int xr_metric_higher_is_better(const char *choice);

#endif
