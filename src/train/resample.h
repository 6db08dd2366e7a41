/* What chance does to a figure: bootstrap intervals and a paired test by approximate randomisation.
 *
 * A figure is a function of the sums that its units give (xr_scored.part), so a resample costs one pass over the units. Draws are a function of
 * seed, resample, stream and unit: the same for every model, so that models are compared on the same draws, and at any number of threads.
 *
 * Bootstrap: units are drawn with replacement, as many as there are; the interval is between quantiles of the figures (Efron & Tibshirani 1993,
 * chapter 13). Test: in each round every unit's two results are exchanged with probability 1/2; p is the share of rounds whose difference is at
 * least the observed one, the observed one counted in (Noreen 1989; Yeh 2000, "More accurate tests for the statistical significance of result
 * differences"). Unlike tests on means it holds for F1 of entities too. */
#ifndef XR_TRAIN_RESAMPLE_H
#define XR_TRAIN_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "util/error.h"

typedef struct xr_units {
    const double *part;             // [n, n_parts]
    size_t n, n_parts;
    double (*figure)(const double *sum, size_t n_parts, size_t n_units);
    uint32_t stream;                /* sets with the same stream are drawn alike: translations of the same examples */
} xr_units;

enum { XR_MAX_PARTS = 16 };

double xr_units_figure(const xr_units *u);
/* Figures of n resamples, into figure[n]. */
void xr_bootstrap(const xr_units *u, uint64_t seed, size_t n, double *figure);
/* figure(a) - figure(b) after each of n rounds of exchanges; a and b have the same units. */
void xr_exchange(const xr_units *a, const xr_units *b, uint64_t seed, size_t n, double *difference);
/* Two-sided p of the observed difference among n rounds. */
double xr_exchange_p(double observed, const double *difference, size_t n);
/* Quantile q of n values, linear between neighbours as numpy.quantile does; sorts `value`. */
double xr_quantile(double *value, size_t n, double q);
/* A stream for a name. */
uint32_t xr_stream_of(const char *name);

#endif
