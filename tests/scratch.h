/* What tests that write files share: cmocka, a folder of their own that goes away with them, and a check of the
 * pending error. */
#ifndef XR_TESTS_SCRATCH_H
#define XR_TESTS_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/error.h"
#include "util/fs.h"

static char scratch[256];

static inline int make_scratch(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(scratch, sizeof scratch, "%s/xr-test-XXXXXX", base ? base : "/tmp");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int remove_scratch(void **state)
{
    (void)state;
    return xr_remove_tree(scratch);
}

static inline int clear_error(void **state)
{
    (void)state;
    xr_error_clear();
    return 0;
}

/* The path of a name in the folder; the last four stay valid. */
static inline const char *in_scratch(const char *name)
{
    static char paths[4][320];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

/* The number of a process that is gone. */
static inline pid_t dead_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

/* The pending error has this status and these words; it is cleared. */
static inline void expect_error(xr_status status, const char *part)
{
    if (xr_error_status() != status || !strstr(xr_error_message(), part))
        fail_msg("status %d \"%s\"; expected %d and \"%s\"", xr_error_status(), xr_error_message(), status, part);
    xr_error_clear();
}

#endif
