/* Notes to the person go to the sink that the program installs; without one they go nowhere. */
#include "util/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

static _Atomic(xr_log_sink) sink_now;

void xr_log_set_sink(xr_log_sink sink)
{
    atomic_store(&sink_now, sink);
}

static void deliver(xr_level level, const char *format, va_list args)
{
    char message[4096];
    xr_log_sink sink = atomic_load(&sink_now);
    if (!sink)
        return;
    vsnprintf(message, sizeof message, format, args);
    sink(level, message);
}

void xr_debug(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    deliver(XR_LOG_DEBUG, format, args);
    va_end(args);
}

void xr_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    deliver(XR_LOG_INFO, format, args);
    va_end(args);
}

void xr_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    deliver(XR_LOG_WARN, format, args);
    va_end(args);
}
