/* Limits of memory and processor time, from the files of made-up systems. */
#include "scratch.h"

#include "util/alloc.h"
#include "util/machine.h"
#include "util/str.h"

static void put(const char *root, const char *path, const char *text)
{
    char *full = xr_asprintf("%s%s", in_scratch(root), path), *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(xr_mkdirs(full), XR_OK);
    *slash = '/';
    assert_int_equal(xr_file_write(full, text, strlen(text)), XR_OK);
    xr_free(full);
}

static void put_memory(const char *root)
{
    put(root, "/proc/meminfo", "MemTotal:       16777216 kB\nMemFree:          524288 kB\nMemAvailable:    8388608 kB\n");
}

static const double gib = 1073741824.0;

/* Nothing but memory is said: no limits. */
static void test_bare(void **state)
{
    (void)state;
    put_memory("bare");
    xr_machine m = xr_machine_look_at(in_scratch("bare"));
    assert_true(m.memory == 16 * gib && m.available == 8 * gib);
    assert_true(m.memory_limit == 0.0 && m.cpu_quota == 0.0 && m.cores == 0);
    assert_true(m.processors > 0 && m.allowed > 0 && m.allowed <= m.processors);
    assert_true(xr_machine_memory(&m) == 16 * gib);
}

/* Version 2: the least limit of the group and those around it. */
static void test_version_2(void **state)
{
    (void)state;
    put_memory("v2");
    put("v2", "/proc/self/cgroup", "0::/a/b/c\n");
    put("v2", "/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    put("v2", "/sys/fs/cgroup/a/b/memory.max", "4294967296\n");
    put("v2", "/sys/fs/cgroup/a/memory.max", "6442450944\n");
    put("v2", "/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    put("v2", "/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
    xr_machine m = xr_machine_look_at(in_scratch("v2"));
    assert_true(m.memory_limit == 4 * gib && m.cpu_quota == 1.5);
    assert_true(xr_machine_memory(&m) == 4 * gib);
}

/* In a container the path is that of the host, and the group's files stand at the root of the mount. */
static void test_container(void **state)
{
    (void)state;
    put_memory("box");
    put("box", "/proc/self/cgroup", "0::/of/the/host\n");
    put("box", "/sys/fs/cgroup/memory.max", "2147483648\n");
    put("box", "/sys/fs/cgroup/cpu.max", "50000 100000\n");
    xr_machine m = xr_machine_look_at(in_scratch("box"));
    assert_true(m.memory_limit == 2 * gib && m.cpu_quota == 0.5);
    assert_int_equal(xr_machine_paid(&m), 1);
}

/* Version 1 has a hierarchy for each controller, named in lists, and huge numbers for no limit. */
static void test_version_1(void **state)
{
    (void)state;
    put_memory("v1");
    put("v1", "/proc/self/cgroup", "5:cpuset:/wrong\n4:cpu,cpuacct:/x\n3:memory:/y\n1:name=systemd:/\n");
    put("v1", "/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "3221225472\n");
    put("v1", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("v1", "/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "200000\n");
    put("v1", "/sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n");
    put("v1", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("v1", "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    xr_machine m = xr_machine_look_at(in_scratch("v1"));
    assert_true(m.memory_limit == 3 * gib && m.cpu_quota == 2.0);
    assert_int_equal(xr_machine_paid(&m), 2);
    put("v1", "/proc/self/cgroup", "3:memory:/\n");
    m = xr_machine_look_at(in_scratch("v1"));
    assert_true(m.memory_limit == 0.0 && m.cpu_quota == 0.0);
    assert_int_equal(xr_machine_paid(&m), 0);
}

/* This process's processors, taken as two threads a core, or as cores of two packages. */
static void put_topology(const char *root, const xr_machine *here, int threads_a_core)
{
    for (int cpu = 0; cpu < 1024; cpu++) {
        char *core = xr_asprintf("/sys/devices/system/cpu/cpu%d/topology/core_id", cpu), text[16];
        char *package = xr_asprintf("/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
        snprintf(text, sizeof text, "%d\n", cpu / threads_a_core / 2);
        if (cpu < 2 * here->processors + 2) {
            put(root, core, text);
            put(root, package, cpu / threads_a_core % 2 ? "1\n" : "0\n");
        }
        xr_free(core);
        xr_free(package);
    }
}

static void test_cores(void **state)
{
    (void)state;
    xr_machine here = xr_machine_look();
    put_memory("single");
    put_topology("single", &here, 1);
    xr_machine m = xr_machine_look_at(in_scratch("single"));
    assert_true(m.cores == m.allowed);
    put_memory("smt");
    put_topology("smt", &here, 2);
    m = xr_machine_look_at(in_scratch("smt"));
    assert_true(2 * m.cores >= m.allowed && m.cores <= m.allowed);
    if (m.allowed == m.processors)
        assert_int_equal(m.cores, (m.allowed + 1) / 2);
}

/* What the system of this test says, whatever it is, makes sense. */
static void test_here(void **state)
{
    (void)state;
    xr_machine m = xr_machine_look();
    assert_true(m.memory > 0.0 && m.available > 0.0 && m.available <= m.memory);
    assert_true(xr_machine_memory(&m) > 0.0 && xr_machine_memory(&m) <= m.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bare),     cmocka_unit_test(test_version_2), cmocka_unit_test(test_container),
        cmocka_unit_test(test_version_1), cmocka_unit_test(test_cores),    cmocka_unit_test(test_here),
    };
    return cmocka_run_group_tests(tests, make_scratch, remove_scratch);
}
