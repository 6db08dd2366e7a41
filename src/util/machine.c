#include "util/machine.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { MOST = 1024 };   /* processors looked at */

static FILE *open_at(const char *root, const char *path)
{
    char full[PATH_MAX];
    return snprintf(full, sizeof full, "%s%s", root, path) < (int)sizeof full ? fopen(full, "r") : NULL;
}

/* Bytes of "NAME: 123 kB" in /proc/meminfo; 0 if absent. */
static double meminfo(const char *root, const char *name)
{
    char line[256];
    double kib = 0.0;
    size_t len = strlen(name);
    FILE *f = open_at(root, "/proc/meminfo");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            kib = strtod(line + len + 1, NULL);
    if (f)
        fclose(f);
    return 1024.0 * kib;
}

/* The numbers of a file of one line, up to two; a word such as "max" counts as 0. Returns how many there are. */
static int numbers(const char *root, const char *path, double x[2])
{
    char word[2][64];
    FILE *f = open_at(root, path);
    int n = f ? fscanf(f, "%63s %63s", word[0], word[1]) : 0;
    if (f)
        fclose(f);
    for (int k = 0; k < n; k++)
        x[k] = strtod(word[k], NULL);
    return n > 0 ? n : 0;
}

/* In a list separated by commas. */
static int has_word(const char *list, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strncmp(p, word, len) == 0 && (p[len] == ',' || !p[len]))
            return 1;
    return 0;
}

/* The process's control group of a controller: "" is that of version 2. 0 if the system has none. */
static int group_of(const char *root, const char *controller, char *out, size_t size)
{
    char line[PATH_MAX];
    int found = 0;
    FILE *f = open_at(root, "/proc/self/cgroup");
    while (f && !found && fgets(line, sizeof line, f)) {
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = 0;            /* "4:cpu,cpuacct:/group" */
        path[strcspn(path, "\n")] = 0;
        found = *controller ? has_word(names + 1, controller) : names[1] == 0;
        if (found)
            snprintf(out, size, "%s", strcmp(path, "/") == 0 ? "" : path);
    }
    if (f)
        fclose(f);
    return found;
}

static double smaller(double a, double b) { return a <= 0.0 || (b > 0.0 && b < a) ? b : a; }

/* The least limit of a group and those it stands in: value(root, folder) of each. */
static double least(const char *root, const char *controller, const char *mount, double (*value)(const char *root, const char *folder))
{
    char group[PATH_MAX] = "", folder[2 * PATH_MAX];
    double limit = 0.0;
    if (!group_of(root, controller, group, sizeof group))
        return 0.0;
    for (char *end; ; *end = 0) {
        snprintf(folder, sizeof folder, "%s%s", mount, group);
        limit = smaller(limit, value(root, folder));
        if (!(end = strrchr(group, '/')))
            return limit;
    }
}

static double file_number(const char *root, const char *folder, const char *name)
{
    char path[3 * PATH_MAX];
    double x[2] = { 0.0, 0.0 };
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return numbers(root, path, x) > 0 ? x[0] : 0.0;
}

static double memory_2(const char *root, const char *folder) { return file_number(root, folder, "memory.max"); }
static double memory_1(const char *root, const char *folder) { return file_number(root, folder, "memory.limit_in_bytes"); }

static double quota_2(const char *root, const char *folder)
{
    char path[3 * PATH_MAX];
    double x[2] = { 0.0, 0.0 };
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    return numbers(root, path, x) == 2 && x[1] > 0.0 ? x[0] / x[1] : 0.0;
}

static double quota_1(const char *root, const char *folder)
{
    double quota = file_number(root, folder, "cpu.cfs_quota_us"), period = file_number(root, folder, "cpu.cfs_period_us");
    return quota > 0.0 && period > 0.0 ? quota / period : 0.0;
}

/* Cores of the processors in `set`: those that are the first of the threads of their core within the set. */
static int count_cores(const char *root, const cpu_set_t *set)
{
    int seen[MOST][2], n = 0;
    for (int cpu = 0; cpu < MOST; cpu++) {
        char folder[128];
        double package[2], core[2];
        if (!CPU_ISSET((size_t)cpu, set))
            continue;
        snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
        if (numbers(root, folder, package) < 1)
            return 0;
        snprintf(folder, sizeof folder, "/sys/devices/system/cpu/cpu%d/topology/core_id", cpu);
        if (numbers(root, folder, core) < 1)
            return 0;
        int k = 0;
        while (k < n && (seen[k][0] != (int)package[0] || seen[k][1] != (int)core[0]))
            k++;
        seen[k][0] = (int)package[0];
        seen[k][1] = (int)core[0];
        n += k == n;
    }
    return n;
}

static int is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcasecmp(value, "false") != 0;
}

/* Where OpenMP is told to bind threads it has bound this one to its own place, and what the process may use is no longer to be seen: all that are
 * on line, then. */
static void allowed_processors(cpu_set_t *set, int processors)
{
    int bound = is_set("OMP_PROC_BIND") || is_set("OMP_PLACES") || is_set("GOMP_CPU_AFFINITY");
    CPU_ZERO(set);
    if (!bound && sched_getaffinity(0, sizeof *set, set) == 0)
        return;
    for (int cpu = 0; cpu < processors && cpu < MOST; cpu++)
        CPU_SET((size_t)cpu, set);
}

/* Where /proc is not mounted. Files in memory that could be dropped count as used here. */
static void ask_kernel(xr_machine *m)
{
    struct sysinfo s;
    if (sysinfo(&s) < 0)
        return;
    m->memory = (double)s.totalram * s.mem_unit;
    m->available = (double)(s.freeram + s.bufferram) * s.mem_unit;
}

static xr_machine time_of(const char *root)
{
    return (xr_machine){ .processors = (int)sysconf(_SC_NPROCESSORS_ONLN),
                         .cpu_quota = smaller(least(root, "", "/sys/fs/cgroup", quota_2), least(root, "cpu", "/sys/fs/cgroup/cpu", quota_1)) };
}

xr_machine xr_machine_time(void) { return time_of(""); }

xr_machine xr_machine_look_at(const char *root)
{
    xr_machine m = time_of(root);
    cpu_set_t set;
    m.memory = meminfo(root, "MemTotal");
    m.available = meminfo(root, "MemAvailable");
    if (m.memory <= 0.0 && !*root)
        ask_kernel(&m);
    allowed_processors(&set, m.processors);
    m.allowed = CPU_COUNT(&set);
    m.cores = count_cores(root, &set);
    double limit = smaller(least(root, "", "/sys/fs/cgroup", memory_2), least(root, "memory", "/sys/fs/cgroup/memory", memory_1));
    m.memory_limit = limit < m.memory ? limit : 0.0;
    return m;
}

xr_machine xr_machine_look(void) { return xr_machine_look_at(""); }

int xr_machine_paid(const xr_machine *m) { return m->cpu_quota <= 0.0 ? 0 : m->cpu_quota < 1.0 ? 1 : m->cpu_quota < INT_MAX ? (int)m->cpu_quota : INT_MAX; }

double xr_machine_memory(const xr_machine *m) { return smaller(m->memory, m->memory_limit); }
