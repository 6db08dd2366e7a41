/* Figures of merit against scikit-learn, scipy and torch (golden/metrics.h, made by scripts/golden_metrics.py). */
#include "scratch.h"

#include <math.h>

#include "golden/metrics.h"
#include "train/evaluate_classes.h"
#include "train/metrics.h"
#include "train/score.h"
#include "util/alloc.h"

enum { N_CLASSES = 5, N_SETS = 4, MANY = 1500 };
#define COUNT(a) (sizeof(a) / sizeof *(a))

static void near(double got, double expected)
{
    if (!(fabs(got - expected) <= 1e-12))
        fail_msg("%.17g; expected %.17g", got, expected);
}

/* Figures of a dataset that has nothing but labels and targets. */
static void compute(xr_figures *f, xr_problem problem, int n_labels, size_t n, int32_t *label, const float *target,
                    const float *logits)
{
    float copy[256] = { 0 };
    xr_config c = { .num_labels = n_labels, .problem = problem };
    xr_dataset d = { .n = n, .label = label, .target = copy, .n_target = target ? (size_t)n_labels : 0 };
    assert_true(n * d.n_target <= COUNT(copy));
    if (target)
        memcpy(copy, target, n * d.n_target * sizeof *copy);
    assert_int_equal(xr_figures_compute(f, &c, &d, logits), XR_OK);
}

static void classes(void **state)
{
    (void)state;
    int32_t label[COUNT(class_gold) + 1];
    float logits[COUNT(class_logits) + N_CLASSES];
    xr_figures f;
    double value;
    for (size_t i = 0; i < COUNT(class_gold); i++)
        label[i] = class_gold[i];
    memcpy(logits, class_logits, sizeof class_logits);
    label[COUNT(class_gold)] = -1;                              /* no gold label: counts nowhere */
    for (int k = 0; k < N_CLASSES; k++)
        logits[COUNT(class_logits) + (size_t)k] = (float)k;
    compute(&f, XR_PROBLEM_SINGLE_LABEL, N_CLASSES, COUNT(label), label, NULL, logits);
    assert_int_equal(f.n, COUNT(class_gold));
    near(f.accuracy, class_accuracy);
    near(f.f1_macro, class_f1_macro);
    near(f.mcc, class_mcc);
    near(f.loss, class_loss);
    for (size_t i = 0; i < COUNT(class_confusion); i++)
        assert_int_equal(f.confusion.count[i], class_confusion[i]);
    assert_int_equal(xr_confusion_total(&f.confusion), COUNT(class_gold));
    assert_int_equal(xr_confusion_single_answer(&f.confusion), -1);
    assert_int_equal(xr_figures_named(&f, "f1_macro", &value), XR_OK);
    near(value, class_f1_macro);
    assert_int_equal(xr_figures_named(&f, "f2", &value), XR_EUSAGE);
    expect_error(XR_EUSAGE, "known: accuracy");
    xr_figures_free(&f);
}

static void majority_and_collapse(void **state)
{
    (void)state;
    xr_confusion c;
    assert_int_equal(xr_confusion_init(&c, 3), XR_OK);
    assert_int_equal(xr_confusion_single_answer(&c), -1);
    near(xr_confusion_accuracy(&c), 0.0);                       /* nothing counted */
    near(xr_confusion_macro_f1(&c), 0.0);
    near(xr_confusion_mcc(&c), 0.0);
    for (int i = 0; i < 10; i++)
        xr_confusion_add(&c, i < 4 ? 0 : i < 7 ? 1 : 2, 2);
    assert_int_equal(xr_confusion_single_answer(&c), 2);
    near(xr_confusion_majority(&c), 0.4);
    near(xr_confusion_accuracy(&c), 0.3);
    near(xr_confusion_mcc(&c), 0.0);                            /* scikit-learn: 0 for a constant prediction */
    xr_confusion_free(&c);
}

static void values(void **state)
{
    (void)state;
    xr_figures f;
    compute(&f, XR_PROBLEM_REGRESSION, 1, COUNT(value_gold), NULL, value_gold, value_predicted);
    near(f.pearson, value_pearson);
    near(f.spearman, value_spearman);
    near(f.mse, value_mse);
    near(f.loss, value_mse);
}

static void constant_values(void **state)
{
    (void)state;
    static const float same[] = { 2, 2, 2 }, other[] = { 1, 2, 4 };
    xr_status status;
    near(xr_pearson(same, other, 3), 0.0);
    near(xr_spearman(other, same, 3, &status), 0.0);
    near(xr_spearman(other, other, 3, &status), 1.0);
    float gold[MANY], predicted[MANY];
    double sum[6] = { 0 };
    for (size_t i = 0; i < MANY; i++) {         /* their means and sums are not exact in double */
        gold[i] = 0.9f;
        predicted[i] = 1.1f;
        const double x = (double)predicted[i], y = (double)gold[i], term[] = { 1.0, x, y, x * x, y * y, x * y };
        for (size_t k = 0; k < COUNT(term); k++)
            sum[k] += term[k];
    }
    for (size_t n = 1; n <= MANY; n++) {
        assert_true(xr_pearson(predicted, gold, n) == 0.0);
        assert_true(xr_spearman(predicted, gold, n, &status) == 0.0);
    }
    assert_true(xr_classes_main_figure(sum, COUNT(sum), MANY) == 0.0);
    xr_alloc_fail_after(0);
    xr_spearman(other, same, 3, &status);
    xr_alloc_fail_after(-1);
    assert_int_equal(status, XR_ESYSTEM);
}

static void label_sets(void **state)
{
    (void)state;
    xr_figures f;
    compute(&f, XR_PROBLEM_MULTI_LABEL, N_SETS, COUNT(set_gold) / N_SETS, NULL, set_gold, set_logits);
    near(f.f1_micro, set_f1_micro);
    near(f.exact, set_exact);
    near(f.f1_macro, set_f1_macro);
    near(f.auc, set_auc);
    near(f.loss, set_loss);
}

/* Labels without gold: F1 0 as in scikit-learn; no curve, which scikit-learn refuses or gives as nan. */
static void rare_labels(void **state)
{
    (void)state;
    xr_figures f;
    compute(&f, XR_PROBLEM_MULTI_LABEL, 4, COUNT(rare_gold) / 4, NULL, rare_gold, rare_logits);
    near(f.f1_micro, rare_f1_micro);
    near(f.f1_macro, rare_f1_macro);
    near(f.auc, rare_auc_of_two);
}

static void ranking(void **state)
{
    (void)state;
    int32_t label[COUNT(three_gold)];
    xr_figures f;
    double value;
    int defined;
    xr_status status;
    for (size_t i = 0; i < COUNT(two_gold); i++)
        label[i] = two_gold[i];
    compute(&f, XR_PROBLEM_SINGLE_LABEL, 2, COUNT(two_gold), label, NULL, two_logits);
    near(f.auc, two_auc);
    assert_int_equal(xr_figures_named(&f, "auc", &value), XR_OK);
    assert_true(value == f.auc);
    xr_figures_free(&f);
    for (size_t i = 0; i < COUNT(three_gold); i++)
        label[i] = three_gold[i];
    compute(&f, XR_PROBLEM_SINGLE_LABEL, 3, COUNT(three_gold), label, NULL, three_logits);
    near(f.auc, three_auc);
    xr_figures_free(&f);
    const double score[] = { 1, 2, 3 };
    near(xr_auc(score, (const uint8_t[]){ 1, 1, 1 }, 3, &defined, &status), 0.5);
    assert_int_equal(defined, 0);
    near(xr_auc(score, (const uint8_t[]){ 1, 0, 0 }, 3, &defined, &status), 0.0);
    xr_alloc_fail_after(0);
    xr_auc(score, (const uint8_t[]){ 1, 0, 0 }, 3, NULL, &status);
    xr_alloc_fail_after(-1);
    assert_int_equal(status, XR_ESYSTEM);
}

static void first_of_equals(void **state)
{
    (void)state;
    static const float x[] = { 1, 3, 3, 2 };
    assert_int_equal(xr_argmax(x, 4), 1);
    assert_int_equal(xr_argmax(x + 1, 1), 0);
}

/* As a run says by what it has chosen its best model: of one set of validation data, of several, of sets called like figures. */
static void which_way_is_better(void **state)
{
    (void)state;
    static const struct { const char *choice, *name; int higher; } cases[] = {
        { "accuracy", "accuracy", 1 }, { "loss", "loss", 0 }, { "mse", "mse", 0 }, { "perplexity", "perplexity", 0 }, { "loss of de", "loss", 0 },
        { "mean loss of de, en", "loss", 0 }, { "worst mse of de, en", "mse", 0 }, { "mean f1_macro of loss, of loss", "f1_macro", 1 },
        { "worst accuracy of mean loss", "accuracy", 1 }, { "lossless", "lossless", 1 }, { "", "", 1 },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t n;
        const char *name = xr_metric_name(cases[i].choice, &n);
        assert_int_equal(n, strlen(cases[i].name));
        assert_memory_equal(name, cases[i].name, n);
        assert_int_equal(xr_metric_higher_is_better(cases[i].choice), cases[i].higher);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes), cmocka_unit_test(majority_and_collapse), cmocka_unit_test(values),
        cmocka_unit_test_teardown(constant_values, clear_error), cmocka_unit_test(label_sets),
        cmocka_unit_test(rare_labels), cmocka_unit_test_teardown(ranking, clear_error),
        cmocka_unit_test(first_of_equals), cmocka_unit_test(which_way_is_better),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
