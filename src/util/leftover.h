/* What a process writes to before it is done, NAME.tmp-PID, and puts aside meanwhile, NAME.was-PID: one that was killed leaves it. */
#ifndef XR_UTIL_LEFTOVER_H
#define XR_UTIL_LEFTOVER_H

const char *xr_leftover_tail(const char *name);     /* where ".tmp-PID" or ".was-PID" begins at the end of a name; NULL: there is no such end */
int xr_leftover_is_dead(const char *name);          /* its process is gone from this machine */

/* Removes, beside an output that is to be written to `path`, what processes that are gone left of it. Trouble with that is no failure. What was put aside
 * stays when nothing is at `path`: it is then all there is. */
void xr_leftovers_remove(const char *path);

#endif
