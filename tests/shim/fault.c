/* A library that is loaded before a program (LD_PRELOAD) and lets its file calls, or the allocations of its own code, fail: what tests do with strace where
 * that may not trace, and what strace cannot do: calls that move fewer bytes than asked for, disks that fill up, memory.
 *
 *   XLMR_FAULT=CALL:WHICH:WHAT   CALL: a name below, or any; WHICH: 3 = the third, 3+ = from the third on, 3/ = every third;
 *                                WHAT: an errno such as EIO (number_of knows which), short (half of the bytes), kill (SIGKILL instead of the call)
 *   XLMR_FAULT_ROOM=BYTES        that many bytes may be written, then ENOSPC
 *   XLMR_FAULT_UNDER=FOLDER      only files below it
 *   XLMR_FAULT_LOG=FILE          a line "CALL PATH" for every call that could have failed
 *
 * CALL "memory": calloc, realloc and anonymous mmap called from the program itself, not from libraries; "any": all the others. Calls of the C library to
 * itself are not seen: of stdio, which reads and writes inside, fopen, fread, fgets, fwrite, fflush and fclose fail as a whole. Counts are shared with
 * children. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SHORT = -1, LOG_FD = 990 };

static char call_wanted[32], under[PATH_MAX], cwd[PATH_MAX];
static long which;
static char how;                        /* 0, '+' or '/' */
static int what, dies, logs;            /* errno, SHORT or 0 */
static long room = -1;
static struct { atomic_long calls, written; } *shared;
static uintptr_t program_begin, program_end;

/* --- what is asked for ------------------------------------------------------------------------------------------ */

static int number_of(const char *name)
{
    static const struct { const char *name; int number; } known[] = { { "EIO", EIO },       { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT },
                                                                       { "EINTR", EINTR }, { "ENOMEM", ENOMEM }, { "short", SHORT },
                                                                       { "ENOLCK", ENOLCK }, { "ENOSYS", ENOSYS }, { "EINVAL", EINVAL },
                                                                       { "EOPNOTSUPP", EOPNOTSUPP } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].number;
    return 0;
}

/* The first object is the program itself. */
static int find_program(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    (void)context;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD && info->dlpi_phdr[i].p_flags & PF_X) {
            program_begin = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            program_end = program_begin + info->dlpi_phdr[i].p_memsz;
        }
    return 1;
}

__attribute__((constructor)) static void begin(void)
{
    const char *fault = getenv("XLMR_FAULT"), *folder = getenv("XLMR_FAULT_UNDER"), *log = getenv("XLMR_FAULT_LOG"), *bytes = getenv("XLMR_FAULT_ROOM");
    char wanted[16] = "", at[24] = "", *end;
    dl_iterate_phdr(find_program, NULL);
    syscall(SYS_getcwd, cwd, sizeof cwd);
    snprintf(under, sizeof under, "%s", folder ? folder : "/");
    if (log) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND, 0666);
        logs = fd >= 0 && syscall(SYS_dup3, fd, LOG_FD, O_CLOEXEC) == LOG_FD;
        syscall(SYS_close, fd);
    }
    room = bytes ? atol(bytes) : -1;
    if (fault && sscanf(fault, "%31[^:]:%23[^:]:%15s", call_wanted, at, wanted) == 3) {
        which = strtol(at, &end, 10);
        how = *end;
        what = number_of(wanted);
        dies = strcmp(wanted, "kill") == 0;
        if (which < 1 || (!what && !dies)) {
            fprintf(stderr, "XLMR_FAULT=%s: not understood\n", fault);
            _exit(99);
        }
    }
    void *map = (void *)syscall(SYS_mmap, NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (map != MAP_FAILED)      /* last: until then nothing fails */
        shared = map;
}

/* --- whether a call fails --------------------------------------------------------------------------------------- */

static void note(const char *call, const char *path)
{
    char line[PATH_MAX + 40];
    int n = snprintf(line, sizeof line, "%s %s\n", call, path);
    syscall(SYS_write, LOG_FD, line, (size_t)n);
}

/* 0 = the call goes on, else an errno, or SHORT. */
static int judge(const char *call, const char *path)
{
    int wanted = strcmp(call_wanted, call) == 0;
    if (strcmp(call, "memory") == 0 && !wanted)
        return 0;
    if (logs)
        note(call, path);
    if (!wanted && strcmp(call_wanted, "any") != 0)
        return 0;
    long n = atomic_fetch_add(&shared->calls, 1) + 1;
    if (how == '+' ? n < which : how == '/' ? n % which != 0 : n != which)
        return 0;
    if (dies)
        syscall(SYS_kill, getpid(), SIGKILL);
    return what;
}

/* Of a path as a call has it; NULL where it is none of those that fail. */
static const char *seen(int dir, const char *path, char full[PATH_MAX])
{
    char link[32], base[PATH_MAX / 2];
    size_t n = strlen(under);
    if (*path == '/')
        snprintf(full, PATH_MAX, "%s", path);
    else if (dir == AT_FDCWD)
        snprintf(full, PATH_MAX, "%.2000s/%.2000s", cwd, path);
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t got = syscall(SYS_readlinkat, AT_FDCWD, link, base, sizeof base - 1);
        snprintf(full, PATH_MAX, "%.*s%s%.2000s", (int)(got > 0 ? got : 0), base, *path ? "/" : "", path);
    }
    return strncmp(full, under, n) == 0 ? full : NULL;
}

static int fault_at(const char *call, int dir, const char *path)
{
    char full[PATH_MAX];
    int saved = errno, fault = shared && seen(dir, path, full) ? judge(call, full) : 0;
    errno = fault > 0 ? fault : saved;
    return fault;
}

static int fault_of(const char *call, int fd)
{
    return fd == LOG_FD ? 0 : fault_at(call, fd, "");
}

/* How many bytes may be written: all, fewer, or -1 with errno set. */
static ssize_t may_write(const char *call, int fd, size_t n)
{
    char full[PATH_MAX];
    int fault = fault_of(call, fd);
    if (fault > 0)
        return -1;
    if (room >= 0 && shared && n > 0 && seen(fd, "", full)) {
        long left = room - atomic_fetch_add(&shared->written, (long)n);
        if (left <= 0) {
            errno = ENOSPC;
            return -1;
        }
        n = n < (size_t)left ? n : (size_t)left;
    }
    return (ssize_t)(fault == SHORT && n > 1 ? n / 2 : n);
}

/* --- the calls -------------------------------------------------------------------------------------------------- */

#define NEXT(name) (__extension__ (__typeof__(&name))dlsym(RTLD_NEXT, #name))
/* The same under its name for large files; the headers give that other types. */
#define ALSO_64(name) __asm__(".globl " #name "64\n.type " #name "64, @function\n.set " #name "64, " #name)

static int open_at(int dir, const char *path, int flags, va_list more)
{
    unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, unsigned) : 0;
    return fault_at("open", dir, path) > 0 ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int fd = open_at(AT_FDCWD, path, flags, more);
    va_end(more);
    return fd;
}
ALSO_64(open);

int openat(int dir, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    int fd = open_at(dir, path, flags, more);
    va_end(more);
    return fd;
}
ALSO_64(openat);

int close(int fd)
{
    int failed = fault_of("close", fd) > 0, why = errno, status = (int)syscall(SYS_close, fd);     /* closed all the same */
    errno = failed ? why : errno;
    return failed ? -1 : status;
}

ssize_t read(int fd, void *bytes, size_t n)
{
    int fault = fault_of("read", fd);
    return fault > 0 ? -1 : syscall(SYS_read, fd, bytes, fault == SHORT && n > 1 ? n / 2 : n);
}

ssize_t pread(int fd, void *bytes, size_t n, off_t at)
{
    int fault = fault_of("pread", fd);
    return fault > 0 ? -1 : syscall(SYS_pread64, fd, bytes, fault == SHORT && n > 1 ? n / 2 : n, at);
}
ALSO_64(pread);

ssize_t write(int fd, const void *bytes, size_t n)
{
    ssize_t may = may_write("write", fd, n);
    return may < 0 ? -1 : syscall(SYS_write, fd, bytes, (size_t)may);
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    ssize_t may = may_write("pwrite", fd, n);
    return may < 0 ? -1 : syscall(SYS_pwrite64, fd, bytes, (size_t)may, at);
}
ALSO_64(pwrite);

int fsync(int fd)
{
    return fault_of("fsync", fd) > 0 ? -1 : (int)syscall(SYS_fsync, fd);
}

int ftruncate(int fd, off_t size)
{
    return fault_of("truncate", fd) > 0 ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}
ALSO_64(ftruncate);

int truncate(const char *path, off_t size)
{
    return fault_at("truncate", AT_FDCWD, path) > 0 ? -1 : (int)syscall(SYS_truncate, path, size);
}
ALSO_64(truncate);

int fallocate(int fd, int mode, off_t at, off_t n)
{
    return fault_of("fallocate", fd) > 0 ? -1 : (int)syscall(SYS_fallocate, fd, mode, at, n);
}
ALSO_64(fallocate);

int rename(const char *from, const char *to)
{
    return fault_at("rename", AT_FDCWD, from) > 0 ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return fault_at("rename", from_dir, from) > 0 ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

int unlink(const char *path)
{
    return fault_at("unlink", AT_FDCWD, path) > 0 ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    return fault_at("unlink", dir, path) > 0 ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
    return fault_at("mkdir", AT_FDCWD, path) > 0 ? -1 : (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

int rmdir(const char *path)
{
    return fault_at("rmdir", AT_FDCWD, path) > 0 ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR);
}

int flock(int fd, int how_locked)
{
    return fault_of("flock", fd) > 0 ? -1 : (int)syscall(SYS_flock, fd, how_locked);
}

int stat(const char *path, struct stat *st)
{
    return fault_at("stat", AT_FDCWD, path) > 0 ? -1 : NEXT(fstatat)(AT_FDCWD, path, st, 0);
}
ALSO_64(stat);

int lstat(const char *path, struct stat *st)
{
    return fault_at("stat", AT_FDCWD, path) > 0 ? -1 : NEXT(fstatat)(AT_FDCWD, path, st, AT_SYMLINK_NOFOLLOW);
}
ALSO_64(lstat);

int fstat(int fd, struct stat *st)
{
    return fault_of("fstat", fd) > 0 ? -1 : NEXT(fstatat)(fd, "", st, AT_EMPTY_PATH);
}
ALSO_64(fstat);

int statvfs(const char *path, struct statvfs *st)
{
    return fault_at("statvfs", AT_FDCWD, path) > 0 ? -1 : NEXT(statvfs)(path, st);
}
ALSO_64(statvfs);

char *realpath(const char *path, char *real)
{
    return fault_at("realpath", AT_FDCWD, path) > 0 ? NULL : NEXT(realpath)(path, real);
}

DIR *opendir(const char *path)
{
    return fault_at("opendir", AT_FDCWD, path) > 0 ? NULL : NEXT(opendir)(path);
}

struct dirent *readdir(DIR *d)
{
    return fault_of("readdir", dirfd(d)) > 0 ? NULL : NEXT(readdir)(d);
}
ALSO_64(readdir);

/* --- stdio, whole calls ----------------------------------------------------------------------------------------- */

FILE *fopen(const char *path, const char *mode)
{
    return fault_at("fopen", AT_FDCWD, path) > 0 ? NULL : NEXT(fopen)(path, mode);
}
ALSO_64(fopen);

int fclose(FILE *f)
{
    int failed = fault_of("fclose", fileno(f)) > 0, why = errno, status = NEXT(fclose)(f);
    errno = failed ? why : errno;
    return failed ? EOF : status;
}

int fflush(FILE *f)
{
    return f && fault_of("fflush", fileno(f)) > 0 ? EOF : NEXT(fflush)(f);
}

size_t fwrite(const void *bytes, size_t size, size_t n, FILE *f)
{
    return fault_of("fwrite", fileno(f)) > 0 ? 0 : NEXT(fwrite)(bytes, size, n, f);
}

size_t fread(void *bytes, size_t size, size_t n, FILE *f)
{
    return fault_of("fread", fileno(f)) > 0 ? 0 : NEXT(fread)(bytes, size, n, f);
}

char *fgets(char *line, int n, FILE *f)
{
    return fault_of("fgets", fileno(f)) > 0 ? NULL : NEXT(fgets)(line, n, f);
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

static int refused(const void *caller)
{
    return shared && (uintptr_t)caller >= program_begin && (uintptr_t)caller < program_end && judge("memory", "-") > 0;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    int ours = fd < 0 && refused(__builtin_return_address(0));
    if (ours || (fd >= 0 && fault_of("mmap", fd) > 0)) {
        errno = ours ? ENOMEM : errno;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}
ALSO_64(mmap);

extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

void *calloc(size_t n, size_t size)
{
    if (refused(__builtin_return_address(0))) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    if (refused(__builtin_return_address(0))) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(p, size);
}
