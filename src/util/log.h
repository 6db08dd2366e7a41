/* Messages to the person: warnings and notes, never results. The library is silent until a program installs a sink. */
#ifndef XR_UTIL_LOG_H
#define XR_UTIL_LOG_H

typedef enum xr_level { XR_LOG_DEBUG, XR_LOG_INFO, XR_LOG_WARN } xr_level;
typedef void (*xr_log_sink)(xr_level level, const char *message);

void xr_log_set_sink(xr_log_sink sink);
void xr_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
void xr_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void xr_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
