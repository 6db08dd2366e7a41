/* Bounds for tests of chance. Seeds are fixed, so a test passes always or never; the bound says how surprising the stored draw may be at most. */
#ifndef XR_TESTS_STATS_H
#define XR_TESTS_STATS_H

#include <math.h>
#include <stddef.h>

/* Two-sided 1 in 10,000 of a normal variable. */
#define XR_TEST_Z 3.89

/* Is x, of expectation `mean` and variance `variance`, about normal, within two-sided 1 in 10,000? */
static inline int plausible(double x, double mean, double variance)
{
    return fabs(x - mean) <= XR_TEST_Z * sqrt(variance);
}

/* Is a chi-square of `df` degrees of freedom within two-sided 1 in 10,000, too even included? By Wilson and Hilferty's cube root. */
static inline int plausible_chi2(double chi2, double df)
{
    double s = 2.0 / (9.0 * df), z = (cbrt(chi2 / df) - 1.0 + s) / sqrt(s);
    return fabs(z) <= XR_TEST_Z;
}

/* Pearson's statistic of counts that should be equal. */
static inline double chi2_even(const double *count, size_t n)
{
    double sum = 0.0, chi2 = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += count[i];
    for (size_t i = 0; i < n; i++)
        chi2 += (count[i] - sum / (double)n) * (count[i] - sum / (double)n) / (sum / (double)n);
    return chi2;
}

#endif
