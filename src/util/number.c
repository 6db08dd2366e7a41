#include "util/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A comma before each group of three of the n digits at s, into `to`; what follows them is copied. */
static void group(char *to, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            *to++ = ',';
        *to++ = s[i];
    }
    strcpy(to, s + n);
}

xr_number xr_number_fixed(double x, int decimals)
{
    xr_number out = { "-" };
    char plain[32];
    if (!isfinite(x) || fabs(x) > 1e15)
        return out;
    snprintf(plain, sizeof plain, "%.*f", decimals > 9 ? 9 : decimals, fabs(x));
    size_t sign = x < 0.0 && strspn(plain, "0.") < strlen(plain);
    group(out.s + sign, plain, strspn(plain, "0123456789"));
    if (sign)
        out.s[0] = '-';
    return out;
}

int xr_number_decimals(double x)
{
    return fabs(10.0 * x - round(10.0 * x)) < 1e-6 ? 1 : 2;
}

/* One that is not 0 does not look like 0. */
xr_number xr_number_chance(double p)
{
    return p > 0.0 && p < 5e-5 ? (xr_number){ "<0.0001" } : xr_number_fixed(p, 4);
}

xr_number xr_number_count(double n)
{
    return xr_number_fixed(n, 0);
}

xr_number xr_number_short(double x)
{
    double size = fabs(x);
    xr_number out;
    if (!isfinite(x) || size == 0.0)
        return xr_number_fixed(x, 0);
    if (size >= 1e-3 && size < 1e9)
        return xr_number_fixed(x, size >= 1000.0 ? 0 : 3 - (int)floor(log10(size)));
    int power = (int)floor(log10(size) + 1e-12);
    snprintf(out.s, sizeof out.s, "%.4ge%d", x / pow(10.0, power), power);
    return out;
}

xr_number xr_number_amount(double x)
{
    static const struct { double unit; const char *name; } units[] = { { 1e9, "billion" }, { 1e6, "million" }, { 1e4, "thousand" } };
    for (int i = 0; i < 3; i++)
        if (isfinite(x) && x >= units[i].unit) {
            double part = x / (i == 2 ? 1e3 : units[i].unit);
            xr_number digits = xr_number_fixed(part, part < 100.0), out;
            snprintf(out.s, sizeof out.s, "%.20s %s", digits.s, units[i].name);
            return out;
        }
    return xr_number_count(x);
}

xr_number xr_number_time(double seconds)
{
    xr_number out = { "-" };
    if (!isfinite(seconds) || seconds < 0.0 || seconds > 1e12)
        return out;
    long long minutes = llround(seconds / 60.0);
    if (seconds < 99.5)
        snprintf(out.s, sizeof out.s, "%.0f s", seconds);
    else if (minutes < 100)
        snprintf(out.s, sizeof out.s, "%lld min", minutes);
    else
        snprintf(out.s, sizeof out.s, "%lld h %lld min", minutes / 60, minutes % 60);
    return out;
}

xr_number xr_number_memory(double mib)
{
    xr_number digits = xr_number_fixed(mib >= 1000.0 ? mib / 1024.0 : mib, mib >= 1000.0), out;
    snprintf(out.s, sizeof out.s, "%.20s %s", digits.s, mib >= 1000.0 ? "GB" : "MB");
    return out;
}
