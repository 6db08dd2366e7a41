/* Time that only goes forward. */
#ifndef XR_UTIL_CLOCK_H
#define XR_UTIL_CLOCK_H

double xr_clock(void);      /* monotonic seconds */

#endif
