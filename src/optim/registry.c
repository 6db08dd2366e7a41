/* Rules and schedules: a file in the folder is an entry of the list (the Makefile writes the .inc files). */
#include <stdio.h>
#include <string.h>
#include "optim/optim.h"

#define XR_REG(name) extern const xr_rule xr_rule_##name;
#include "rules.inc"
#undef XR_REG
#define XR_REG(name) extern const xr_schedule xr_schedule_##name;
#include "schedules.inc"
#undef XR_REG

#define XR_REG(name) &xr_rule_##name,
const xr_rule *const xr_rules[] = {
#include "rules.inc"
    NULL
};
#undef XR_REG
#define XR_REG(name) &xr_schedule_##name,
const xr_schedule *const xr_schedules[] = {
#include "schedules.inc"
    NULL
};
#undef XR_REG

/* Appends one name to the list shown when a name is not known; what does not fit is left out. */
static void list_add(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);
    snprintf(list + n, size - n, "%s%s", n ? ", " : "", name);
}

const xr_rule *xr_rule_find(const char *name)
{
    char known[256] = "";
    for (const xr_rule *const *r = xr_rules; *r; r++) {
        if (name && !strcmp((*r)->name, name))
            return *r;
        list_add(known, sizeof known, (*r)->name);
    }
    xr_fail(XR_ECONFIG, "optimizer: '%s' is not known; expected one of %s", name ? name : "", known);
    return NULL;
}

const xr_schedule *xr_schedule_find(const char *name)
{
    char known[256] = "";
    for (const xr_schedule *const *s = xr_schedules; *s; s++) {
        if (name && !strcmp((*s)->name, name))
            return *s;
        list_add(known, sizeof known, (*s)->name);
    }
    xr_fail(XR_ECONFIG, "lr_scheduler: '%s' is not known; expected one of %s", name ? name : "", known);
    return NULL;
}
