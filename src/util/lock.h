/* Locks of open files and directories against other processes (flock). */
#ifndef XR_UTIL_LOCK_H
#define XR_UTIL_LOCK_H

/* Tries to take it, `kind` being LOCK_EX or LOCK_SH; it goes with the last copy of fd. 0 only when another process holds it: where the file system cannot
 * lock, work goes on, and the first time a warning says what to take care of. `path`: for the warning. */
int xr_lock_take(int fd, int kind, const char *path);

#endif
