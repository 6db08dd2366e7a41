#include "cli/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { SILENT, LINES, TERMINAL };
static const double redraw = 0.1;   /* seconds: 10 Hz */

/* A bar is on the terminal's last line, to be removed before anything else is printed. */
static int shown;

static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int terminal_columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void clock_text(double seconds, char out[24])
{
    if (!(seconds >= 0 && seconds < 1e8)) {
        snprintf(out, 24, "?");
        return;
    }
    unsigned long s = (unsigned long)(seconds + 0.5), h = s / 3600;
    if (h)
        snprintf(out, 24, "%lu:%02lu:%02lu", h, s / 60 % 60, s % 60);
    else
        snprintf(out, 24, "%02lu:%02lu", s / 60, s % 60);
}

/* "6.0 step/s", or "2.5 s/step" where that is easier to read. */
static void rate_text(double rate, const char *unit, char out[48])
{
    if (rate <= 0)
        snprintf(out, 48, "? %.16s/s", unit);
    else if (rate < 1)
        snprintf(out, 48, "%.1f s/%.16s", 1 / rate, unit);
    else
        snprintf(out, 48, "%.*f %.16s/s", rate < 100 ? 1 : 0, rate, unit);
}

/* The part behind the bar. */
static int tail(const xr_progress *p, double now, char *out, size_t size)
{
    char past[24], left[24], rate[48];
    double elapsed = now - p->start, per_s = 0;
    if (elapsed > 0 && p->done > p->first)
        per_s = (double)(p->done - p->first) / elapsed;
    clock_text(elapsed, past);
    clock_text(per_s > 0 && p->total >= p->done ? (double)(p->total - p->done) / per_s : -1, left);
    rate_text(per_s, p->unit, rate);
    const char *comma = p->postfix[0] ? ", " : "";
    if (!p->total)
        return snprintf(out, size, "%llu %s [%s, %s%s%s]", (unsigned long long)p->done, p->unit, past, rate, comma,
                        p->postfix);
    return snprintf(out, size, "%llu/%llu [%s<%s, %s%s%s]", (unsigned long long)p->done, (unsigned long long)p->total,
                    past, left, rate, comma, p->postfix);
}

void xr_progress_format(const xr_progress *p, double now, int columns, char *out, size_t size)
{
    char behind[320], bar[41];
    int n = tail(p, now, behind, sizeof behind);
    if (!p->total) {
        snprintf(out, size, "%s %s", p->name, behind);
        return;
    }
    double share = p->done >= p->total ? 1 : (double)p->done / (double)p->total;
    int room = columns - (int)strlen(p->name) - n - 9; /* " 100%|", "| " and one free column */
    int width = room > 40 ? 40 : room < 4 ? 0 : room;
    int full = (int)(share * width);
    memset(bar, ' ', (size_t)width);
    memset(bar, '#', (size_t)full);
    bar[width] = 0;
    snprintf(out, size, "%s %3d%%%s%s%s %s", p->name, (int)(share * 100), width ? "|" : "", bar, width ? "|" : "",
             behind);
}

static void draw(xr_progress *p, double now, int last)
{
    char line[512];
    int columns = p->mode == TERMINAL ? terminal_columns() : 80;
    xr_progress_format(p, now, columns, line, sizeof line);
    p->last = now;
    if (p->mode == TERMINAL) {
        if ((int)strlen(line) >= columns)
            line[columns - 1] = 0; /* a wrapped line could not be redrawn */
        fprintf(stderr, "\r%s\033[K%s", line, last ? "\n" : "");
        shown = !last;
    } else {
        fprintf(stderr, "%s\n", line);
    }
    fflush(stderr);
}

static int mode_of(int quiet)
{
    const char *term = getenv("TERM");
    if (quiet)
        return SILENT;
    return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0) ? TERMINAL : LINES;
}

void xr_progress_start(xr_progress *p, const char *name, const char *unit, uint64_t total, uint64_t first, int quiet)
{
    const double t = now_seconds();
    *p = (xr_progress){ .name = name,
                        .unit = unit,
                        .total = total,
                        .done = first,
                        .first = first,
                        .start = t,
                        .last = t,
                        .interval = 10,
                        .mode = mode_of(quiet) };
}

void xr_progress_postfix(xr_progress *p, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(p->postfix, sizeof p->postfix, format, ap);
    va_end(ap);
}

void xr_progress_update(xr_progress *p, uint64_t done)
{
    p->done = done;
    if (p->mode == SILENT)
        return;
    double t = now_seconds();
    if (t - p->last >= (p->mode == TERMINAL ? redraw : p->interval))
        draw(p, t, 0);
}

void xr_progress_end(xr_progress *p)
{
    if (p->mode != SILENT)
        draw(p, now_seconds(), 1);
    p->mode = SILENT;
}

void xr_progress_hide(void)
{
    if (shown) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    shown = 0;
}
