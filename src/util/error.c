/* The error channel: one message and one status per thread, in fixed memory so that it works when memory is out. */
#include "util/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_CAP = 4096 };

static _Thread_local char message[MESSAGE_CAP];
static _Thread_local xr_status pending;

/* A message that did not fit ends in "..." after a whole UTF-8 character. */
static void mark_cut(char *text, size_t cap)
{
    size_t end = cap - 4;
    while (end > 0 && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    memcpy(text + end, "...", 4);
}

xr_status xr_fail(xr_status status, const char *format, ...)
{
    XR_ASSERT(status < 0, "xr_fail needs a status below zero, got %d", status);
    if (pending < 0)
        return pending;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (n >= (int)sizeof message)
        mark_cut(message, sizeof message);
    pending = status;
    return pending;
}

xr_status xr_fail_context(const char *format, ...)
{
    char context[MESSAGE_CAP / 2];
    if (pending == XR_OK)
        return XR_OK;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(context, sizeof context, format, args);
    va_end(args);
    if (n < 0)
        return pending;
    if (n >= (int)sizeof context)
        mark_cut(context, sizeof context);

    size_t front = strlen(context), back = strlen(message);
    int cut = front + 2 + back >= sizeof message;
    if (cut)
        back = sizeof message - 1 - front - 2;
    memmove(message + front + 2, message, back);
    memcpy(message, context, front);
    memcpy(message + front, ": ", 2);
    message[front + 2 + back] = 0;
    if (cut)
        mark_cut(message, sizeof message);
    return pending;
}

const char *xr_error_message(void)
{
    return message;
}

xr_status xr_error_status(void)
{
    return pending;
}

void xr_error_clear(void)
{
    pending = XR_OK;
    message[0] = 0;
}

_Noreturn void xr_assert_failed(const char *file, int line, const char *expr, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "xlmr: internal error: %s:%d: %s: ", file, line, expr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}
