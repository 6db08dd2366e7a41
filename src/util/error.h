/* One error channel.
 *
 * Three kinds of trouble (docs/decisions.md): the caller's bug aborts through XR_ASSERT; the world's fault
 * (files, data, configuration, memory) is an xr_status below zero with a message left here; only src/cli ends
 * the program. The message is thread-local and the first cause wins: a later xr_fail while one is pending keeps
 * the first text. Codes are the negated exit codes of the command line. */
#ifndef XR_UTIL_ERROR_H
#define XR_UTIL_ERROR_H

typedef int xr_status;

enum {
    XR_OK = 0,
    XR_EDIFFER = -1,     /* the answer of a comparison, no failure: without a message */
    XR_EUSAGE = -2,      /* wrong command line */
    XR_EDATA = -65,      /* input is not what it should be */
    XR_ENOINPUT = -66,   /* input does not exist or cannot be opened */
    XR_EUNAVAIL = -69,   /* a library or feature is missing */
    XR_ESOFTWARE = -70,  /* our bug */
    XR_ESYSTEM = -71,    /* out of memory, threads, a machine that computes wrongly, … */
    XR_ECANTCREAT = -73, /* output cannot be created */
    XR_EIO = -74,        /* read or write failed midway */
    XR_ETEMPFAIL = -75,  /* try again: resumable, or in use */
    XR_ECONFIG = -78,    /* configuration file or value */
    XR_EDIVERGED = -80   /* training diverged */
};

/* Records status and message unless one is pending; returns the status that is pending afterwards. */
xr_status xr_fail(xr_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prepends "context: " to the pending message, for callers that know more (a path, a line). Returns the pending status. */
xr_status xr_fail_context(const char *format, ...) __attribute__((format(printf, 1, 2)));

const char *xr_error_message(void); /* "" when none; valid until the next call of this file's functions on this thread */
xr_status xr_error_status(void);    /* XR_OK when none */
void xr_error_clear(void);

/* The only control-flow macro: returns from the enclosing xr_status function on failure. */
#define XR_TRY(expr)                            \
    do {                                        \
        xr_status xr_try_status_ = (expr);      \
        if (xr_try_status_ < 0)                 \
            return xr_try_status_;              \
    } while (0)

_Noreturn void xr_assert_failed(const char *file, int line, const char *expr, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A caller's bug: prints file, line, expression and values, aborts. Kept in release. */
#define XR_ASSERT(cond, ...)                                            \
    do {                                                                \
        if (!(cond))                                                    \
            xr_assert_failed(__FILE__, __LINE__, #cond, __VA_ARGS__);   \
    } while (0)

#endif
