/* Numbers as people read them. Each function returns its text by value: xr_number_count(n).s */
#ifndef XR_UTIL_NUMBER_H
#define XR_UTIL_NUMBER_H

typedef struct xr_number { char s[40]; } xr_number;

xr_number xr_number_count(double n);                    /* 1,234,567 */
xr_number xr_number_fixed(double x, int decimals);      /* 1,234.50; "-" when not finite */
int xr_number_decimals(double x);                       /* of a paper's figure in per cent as it is printed there: 1, or 2 of 92.25 */
xr_number xr_number_chance(double p);                   /* a probability: 0.0120, <0.0001; "-" when not finite */
xr_number xr_number_short(double x);                    /* four digits: 0.1235, 5.858, 303.0, 35,324, 2.5e-5 */
xr_number xr_number_amount(double x);                   /* 950, 23.3 thousand, 23.3 million */
xr_number xr_number_time(double seconds);               /* 45 s, 12 min, 1 h 10 min */
xr_number xr_number_memory(double mib);                 /* 877 MB, 3.0 GB */

#endif
