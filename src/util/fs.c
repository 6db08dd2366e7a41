/* Files and directories by plain POSIX calls. What is written becomes visible by one rename, after fsync. */
#include "util/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/leftover.h"
#include "util/log.h"
#include "util/str.h"

int xr_file_open(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

char *xr_path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    return xr_asprintf("%s%s%s", dir, n == 0 || dir[n - 1] == '/' ? "" : "/", name);
}

/* After a failed stat: nothing is there, rather than that it cannot be looked at. */
static int is_absent(void)
{
    return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG || errno == ELOOP;
}

static int is_hidden(const char *path)
{
    if (is_absent())
        return 0;
    xr_warn("%s: cannot be looked at: %s; taken to be there", path, strerror(errno));
    return 1;
}

int xr_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 || is_hidden(path);
}

int xr_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? S_ISDIR(st.st_mode) : is_hidden(path);
}

xr_status xr_path_check_output(const char *output, const char *input)
{
    struct stat a, b;
    if (!output || stat(output, &a) < 0 || stat(input, &b) < 0 || a.st_dev != b.st_dev || a.st_ino != b.st_ino || !S_ISREG(a.st_mode))
        return XR_OK;
    return xr_fail(XR_ECANTCREAT, "%s: is also an input (%s), which would be lost; name another file to write", output, input);
}

int xr_path_look(const char *path, struct stat *st)
{
    int there = stat(path, st) == 0;
    return there || is_absent() ? there : xr_fail(XR_EIO, "%s: cannot be looked at: %s", path, strerror(errno));
}

int xr_dir_has(const char *dir, const char *name)
{
    struct stat st;
    char *path = xr_path_join(dir, name);
    int there = path ? xr_path_look(path, &st) : xr_error_status();
    xr_free(path);
    return there;
}

/* Reads what is there, not what stat promised, so that pipes and growing files are right too. */
static char *read_all(int fd, const char *path, size_t guess, size_t cap, size_t *len)
{
    char *text = NULL;
    size_t room = 0, n = 0;
    for (;;) {
        if (xr_grow(&text, &room, n + 2 > guess ? n + 2 : guess, 1) < 0)
            break;
        ssize_t got = read(fd, text + n, room - n - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            xr_fail(XR_EIO, "%s: reading failed after %zu bytes: %s", path, n, strerror(errno));
            break;
        }
        n += (size_t)got;
        if (n > cap) {
            xr_fail(XR_EDATA, "%s: more than %zu bytes; a file of this kind is never that large; is it the right file?",
                    path, cap);
            break;
        }
        if (got == 0) {
            text[n] = 0;
            *len = n;
            return text;
        }
    }
    xr_free(text);
    return NULL;
}

xr_status xr_fail_open(const char *path)
{
    return xr_fail(XR_ENOINPUT, "%s: cannot be opened: %s; %s", path, strerror(errno), errno == EACCES || errno == EPERM ? "make it readable (chmod)" :
                   errno == EMFILE || errno == ENFILE ? "raise the limit of open files (ulimit -n)" : "check the path");
}

char *xr_file_read(const char *path, size_t cap, size_t *len)
{
    struct stat st;
    int fd = xr_file_open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) < 0) {
        xr_fail_open(path);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    char *text = NULL;
    if (S_ISDIR(st.st_mode)) {
        xr_fail(XR_ENOINPUT, "%s: is a directory; a file was expected; name one", path);
    } else {
        size_t guess = S_ISREG(st.st_mode) && (unsigned long long)st.st_size < cap ? (size_t)st.st_size + 2 : 4096;
        text = read_all(fd, path, guess, cap, len);
    }
    close(fd);
    return text;
}

xr_status xr_fd_write(int fd, const char *path, const void *data, size_t len)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = write(fd, (const char *)data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return xr_fail(XR_EIO, "%s: writing failed after %zu of %zu bytes: %s; %s", path, done, len, strerror(errno),
                           errno == ENOSPC || errno == EDQUOT ? "free space, or choose another place" : "check the disk");
        done += (size_t)n;
    }
    return XR_OK;
}

int xr_fd_sync(int fd)
{
    int status;
    do
        status = fsync(fd);
    while (status < 0 && errno == EINTR);
    return status < 0 && (errno == EINVAL || errno == EROFS) ? 0 : status;
}

/* fsync of a file or directory by name; HDF5 never does it (reliability, finding 4). */
xr_status xr_path_sync(const char *path)
{
    int fd = xr_file_open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return xr_fail(XR_EIO, "%s: cannot be opened for fsync: %s", path, strerror(errno));
    int failed = xr_fd_sync(fd) < 0;
    if (failed)
        xr_fail(XR_EIO, "%s: the disk did not confirm the data (fsync): %s", path, strerror(errno));
    close(fd);
    return failed ? xr_error_status() : XR_OK;
}

/* The folder that holds `path`; caller frees. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return xr_strdup(".");
    return xr_strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

/* After the rename: what fails here leaves a complete output whose name may not survive a power failure. Nothing is
 * allocated, so that it does not fail for another reason. */
static xr_status sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", !slash ? 1 : slash == path ? 1 : (int)(slash - path), slash ? path : ".");
    if (xr_path_sync(parent) < 0)
        return xr_fail_context("%s: is complete, but it may not survive a power failure", path);
    return XR_OK;
}

/* Where a rename must go: without trailing slashes, and behind symbolic links if it exists, so that links stay
 * links. */
static char *final_path(const char *path)
{
    char real[PATH_MAX];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    struct stat st;
    if (lstat(path, &st) == 0 && realpath(path, real))
        return xr_strdup(real);
    return xr_strndup(path, n);
}

static xr_status refuse_special(const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return xr_fail(XR_ECANTCREAT, "%s: is a %s; it cannot be replaced by a file; name another output", path,
                       S_ISDIR(st.st_mode) ? "directory" : "device, pipe or socket");
    return XR_OK;
}

/* Done at once, whoever writes later: a place that cannot be written to is known before the work, and in our words. */
static xr_status create_empty(const char *tmp, const char *path)
{
    int fd = xr_file_open(tmp, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be created: %s; name an output where there is a folder that may be written to", path,
                       strerror(errno));
    close(fd);
    return XR_OK;
}

xr_status xr_outfile_begin(xr_outfile *o, const char *path)
{
    char *tmp = NULL;
    *o = (xr_outfile){ 0 };
    xr_status status = refuse_special(path);
    if (status == XR_OK)
        o->path = final_path(path);
    if (o->path)
        tmp = xr_asprintf("%s.tmp-%ld", o->path, (long)getpid());
    if (tmp && create_empty(tmp, o->path) == XR_OK) {
        o->tmp = tmp;
        return XR_OK;
    }
    xr_free(tmp);
    xr_free(o->path);
    o->path = NULL;
    return xr_error_status();
}

void xr_outfile_abort(xr_outfile *o)
{
    if (o->tmp)
        unlink(o->tmp);
    xr_free(o->tmp);
    xr_free(o->path);
    *o = (xr_outfile){ 0 };
}

xr_status xr_outfile_commit(xr_outfile *o)
{
    xr_status status = xr_path_sync(o->tmp);
    if (status == XR_OK && rename(o->tmp, o->path) < 0)
        status = xr_fail(XR_ECANTCREAT, "%s: cannot be put in place: %s", o->path, strerror(errno));
    if (status == XR_OK)
        status = sync_parent(o->path);
    xr_outfile_abort(o);
    return status;
}

/* The temporary file of `wanted`, which is what the messages name. */
static xr_status write_new(const char *path, const char *wanted, const char *data, size_t len)
{
    int fd = xr_file_open(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (fd < 0)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be created: %s; choose another place", wanted, strerror(errno));
    xr_status status = xr_fd_write(fd, wanted, data, len);
    if (close(fd) < 0 && status == XR_OK)
        status = xr_fail(XR_EIO, "%s: closing failed: %s; check the disk", wanted, strerror(errno));
    return status;
}

xr_status xr_file_write(const char *path, const void *data, size_t len)
{
    xr_outfile o;
    XR_TRY(xr_outfile_begin(&o, path));
    xr_status status = write_new(o.tmp, o.path, data, len);
    if (status == XR_OK)
        return xr_outfile_commit(&o);
    xr_outfile_abort(&o);
    return status;
}

xr_status xr_file_copy(const char *from, const char *to, size_t cap)
{
    size_t len;
    char *bytes = xr_file_read(from, cap, &len);
    if (!bytes)
        return xr_error_status();
    xr_status status = xr_file_write(to, bytes, len);
    xr_free(bytes);
    return status;
}

/* `path`, on the way to `wanted`, the directory that the user named; `shown`: which one the message blames. */
static xr_status make_dir(const char *path, const char *wanted, const char *shown)
{
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && xr_path_is_dir(path)))
        return XR_OK;
    /* mkdir says "exists" for a file in the way, which misleads. */
    const char *why = errno == EEXIST ? "a file with that name is in the way" : strerror(errno);
    int itself = strcmp(wanted, shown) == 0;
    return xr_fail(XR_ECANTCREAT, "%s: the directory cannot be created: %s%s%s; name a place that can be written to, or %s", wanted, itself ? "" : shown,
                   itself ? "" : ": ", why,
                   errno == EEXIST || errno == ENOTDIR ? "move the file away" : errno == ENOSPC || errno == EDQUOT ? "free space" : "make this one writable");
}

/* A directory that was not there: what is synced in it later is only as lasting as its own name. */
static xr_status make_lasting(const char *path, const char *wanted)
{
    if (xr_path_is_dir(path))
        return XR_OK;
    XR_TRY(make_dir(path, wanted, path));
    return sync_parent(path);
}

/* `path` and those above it, of which `wanted` is to be made. */
static xr_status make_dirs(const char *path, const char *wanted)
{
    char *p = xr_strdup(path);
    if (!p)
        return xr_error_status();
    xr_status status = XR_OK;
    for (char *s = p + 1; *p && *s && status == XR_OK; s++) {
        if (*s != '/')
            continue;
        *s = 0;
        status = make_lasting(p, wanted);
        *s = '/';
    }
    if (status == XR_OK)
        status = make_lasting(p, wanted);
    xr_free(p);
    return status;
}

xr_status xr_mkdirs(const char *path)
{
    return make_dirs(path, path);
}

struct dirent *xr_dir_next(DIR *d, const char *dir, xr_status *status)
{
    errno = 0;
    struct dirent *e = readdir(d);
    if (!e && errno)
        *status = xr_fail(XR_EIO, "%s: the directory cannot be read: %s", dir, strerror(errno));
    return e;
}

xr_status xr_dir_each(const char *dir, xr_status (*visit)(const char *path, const char *name, void *context), void *context)
{
    DIR *d = opendir(dir);
    if (!d)
        return xr_fail(XR_EIO, "%s: the directory cannot be read: %s", dir, strerror(errno));
    xr_status status = XR_OK;
    struct dirent *e;
    while (status == XR_OK && (e = xr_dir_next(d, dir, &status)) != NULL) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        char *path = xr_path_join(dir, e->d_name);
        status = path ? visit(path, e->d_name, context) : xr_error_status();
        xr_free(path);
    }
    closedir(d);
    return status;
}

/* By descriptors, without a path to allocate: what is left behind when memory is out must go as well. 0, or -1 with
 * errno set. */
static int remove_at(int folder, const char *name)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int bad = !d, why = errno;
    while (!bad) {
        errno = 0;
        struct dirent *e = readdir(d);
        if (!e && errno == 0)
            break;
        bad = !e || (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && remove_at(fd, e->d_name) < 0);
        why = errno;
    }
    if (d)
        closedir(d);
    else if (fd >= 0)
        close(fd);
    errno = why;
    return bad ? -1 : unlinkat(folder, name, AT_REMOVEDIR);
}

xr_status xr_remove_tree(const char *path)
{
    struct stat st;
    if (remove_at(AT_FDCWD, path) == 0)
        return XR_OK;
    int why = errno;
    if (lstat(path, &st) < 0 && errno == ENOENT)    /* on a read-only disk what is not there cannot be removed either */
        return XR_OK;
    return xr_fail(XR_EIO, "%s: cannot be removed: %s", path, strerror(why));
}

static xr_status sync_tree(const char *path);

static xr_status sync_entry(const char *path, const char *name, void *context)
{
    (void)name;
    (void)context;
    return sync_tree(path);
}

static xr_status sync_tree(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return xr_fail(XR_EIO, "%s: vanished while it was being written: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        XR_TRY(xr_dir_each(path, sync_entry, NULL));
    return S_ISDIR(st.st_mode) || S_ISREG(st.st_mode) ? xr_path_sync(path) : XR_OK;
}

static xr_status entry_found(const char *path, const char *name, void *context)
{
    (void)path;
    (void)name;
    (void)context;
    return 1;
}

/* Does `path` hold the working directory? Replacing it would take the ground from under the person's feet. */
static int holds_cwd(const char *path)
{
    char cwd[PATH_MAX];
    size_t n = strlen(path);
    if (!getcwd(cwd, sizeof cwd))
        return 0;
    return !strncmp(cwd, path, n) && (n == 1 || cwd[n] == '/' || cwd[n] == 0);
}

/* May `path` become the output? Nothing there, an empty directory, or anything in a directory if replacing is asked
 * for. */
static xr_status check_target(const char *path, int replace, const char *remedy)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return XR_OK;
    if (!S_ISDIR(st.st_mode))
        return xr_fail(XR_ECANTCREAT, "%s: exists and is not a directory; choose another output directory", path);
    xr_status filled = xr_dir_each(path, entry_found, NULL);
    if (filled <= 0)
        return filled;
    if (!replace)
        return xr_fail(XR_ECANTCREAT, "%s: the output directory is not empty; choose another one, or replace it with %s",
                       path, remedy);
    if (holds_cwd(path))
        return xr_fail(XR_ECANTCREAT, "%s: holds the working directory and will not be "
                       "replaced; choose another output directory", path);
    return XR_OK;
}

static xr_status make_parent(const char *path)
{
    char *parent = parent_of(path);
    if (!parent)
        return xr_error_status();
    xr_status status = make_dirs(parent, path);
    xr_free(parent);
    return status;
}

static xr_status begin(xr_outdir *o, const char *path, const char *remedy)
{
    o->path = final_path(path);
    if (!o->path)
        return xr_error_status();
    XR_TRY(check_target(o->path, o->replace, remedy));
    XR_TRY(make_parent(o->path));
    xr_leftovers_remove(o->path);
    char *tmp = xr_asprintf("%s.tmp-%ld", o->path, (long)getpid());
    if (!tmp)
        return xr_error_status();
    /* A leftover of this very process number belongs, on this machine, to a process that is gone. */
    xr_status status = xr_remove_tree(tmp);
    if (status == XR_OK)
        status = make_dir(tmp, o->path, o->path);
    if (status < 0)
        xr_free(tmp);
    else
        o->tmp = tmp;
    return status;
}

xr_status xr_outdir_begin(xr_outdir *o, const char *path, int replace, const char *remedy)
{
    *o = (xr_outdir){ .replace = replace };
    xr_status status = begin(o, path, remedy);
    if (status < 0)
        xr_outdir_abort(o);
    return status;
}

void xr_outdir_abort(xr_outdir *o)
{
    /* Cleaning up must not hide the first cause, nor become one: what cannot be removed stays under its
     * temporary name. */
    if (o->tmp) {
        int pending = xr_error_status() < 0;
        (void)xr_remove_tree(o->tmp);
        if (!pending)
            xr_error_clear();
    }
    xr_free(o->tmp);
    xr_free(o->path);
    *o = (xr_outdir){ 0 };
}

/* tmp and path change places, at one stroke if the file system can; if not in three, and between the first two there is nothing at `path`. 0, or -1 with
 * errno set and both as they were, or with what was at path under a name that ends in .was-PID. */
static int exchange(const char *tmp, const char *path)
{
    char aside[PATH_MAX];
    if (renameat2(AT_FDCWD, tmp, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return 0;
    if ((errno != EINVAL && errno != ENOSYS) || snprintf(aside, sizeof aside, "%s.was-%ld", path, (long)getpid()) >= (int)sizeof aside)
        return -1;
    if (rename(path, aside) < 0)
        return -1;
    int done = rename(tmp, path), why = errno;
    (void)rename(aside, done == 0 ? tmp : path);
    errno = why;
    return done;
}

/* *replaced: tmp is now what was at path. */
static xr_status swap_in(const xr_outdir *o, int *replaced)
{
    *replaced = 0;
    if (rename(o->tmp, o->path) == 0)
        return XR_OK;
    int taken = errno == ENOTEMPTY || errno == EEXIST;
    *replaced = taken && o->replace && exchange(o->tmp, o->path) == 0;
    if (taken && !o->replace)
        return xr_fail(XR_ECANTCREAT, "%s: another program has made it meanwhile; see what is in it, or choose another output", o->path);
    return *replaced ? XR_OK : xr_fail(XR_ECANTCREAT, "%s: cannot be put in place: %s", o->path, strerror(errno));
}

static xr_status commit(xr_outdir *o, const char *tmp)
{
    int replaced;
    XR_TRY(sync_tree(tmp));
    XR_TRY(swap_in(o, &replaced));
    o->tmp = NULL;      /* from here the new directory stands: abort must not touch it */
    XR_TRY(sync_parent(o->path));
    /* The output is complete, so an old directory that cannot be removed is worth a warning, not a failure. */
    if (replaced && xr_remove_tree(tmp) < 0) {
        xr_warn("%s; the directory that was replaced stays there", xr_error_message());
        xr_error_clear();
    }
    return XR_OK;
}

xr_status xr_outdir_commit(xr_outdir *o)
{
    XR_ASSERT(o->tmp, "commit of an output directory that is not open");
    char *tmp = o->tmp;
    /* An error that nobody handed on may be of what is in it. */
    xr_status status = xr_error_status() == XR_OK ? commit(o, tmp) : xr_error_status();
    if (!o->tmp)
        xr_free(tmp);
    xr_outdir_abort(o);
    return status;
}

/* Some file systems have no rename that refuses to replace; there only one of us writes anyway (rundir.c holds a lock). */
static int rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat st;
    errno = EEXIST;
    return lstat(to, &st) == 0 ? -1 : rename(from, to);
}

xr_status xr_dir_commit(const char *tmp, const char *path, int *renamed)
{
    *renamed = 0;
    XR_TRY(sync_tree(tmp));
    if (rename_new(tmp, path) < 0)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be put in place: %s", path, strerror(errno));
    *renamed = 1;
    return sync_parent(path);
}

xr_status xr_dir_exchange(const char *tmp, const char *path, int *renamed)
{
    *renamed = 0;
    XR_TRY(sync_tree(tmp));
    if (exchange(tmp, path) < 0)
        return xr_fail(XR_ECANTCREAT, "%s: cannot be replaced: %s", path, strerror(errno));
    *renamed = 1;
    return sync_parent(path);
}
