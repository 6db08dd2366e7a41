/* Files and directories: whole-file reads, atomic writes, output directories that appear complete or not at all. */
#ifndef XR_UTIL_FS_H
#define XR_UTIL_FS_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include "util/error.h"

/* open with O_CLOEXEC and mode 0666, again when a signal interrupts it. */
int xr_file_open(const char *path, int flags);
char *xr_path_join(const char *dir, const char *name);      /* caller frees */
/* What cannot be looked at (EIO, EACCES) counts as there, and as a directory, with a warning: nothing is begun anew where something may be. */
int xr_path_exists(const char *path);
int xr_path_is_dir(const char *path);
/* Where that is no good guess: 1 with *st filled, 0 where nothing is, or < 0 with the error set when that cannot be known. */
int xr_path_look(const char *path, struct stat *st);
int xr_dir_has(const char *dir, const char *name);
/* XR_ECANTCREAT where `output` (may be NULL) is the file `input` by whatever name: writing it would destroy that. */
xr_status xr_path_check_output(const char *output, const char *input);

/* Whole file into memory (NUL-terminated, length in *len), refused over `cap` bytes. Caller frees; NULL with the error set. */
char *xr_file_read(const char *path, size_t cap, size_t *len);
/* XR_ENOINPUT for a file that could not be opened, by errno, with what to do. */
xr_status xr_fail_open(const char *path);

/* Writes via a temporary sibling, fsync and rename: the file is whole or absent. */
xr_status xr_file_write(const char *path, const void *data, size_t len);
/* The same with the bytes of another file, refused over `cap`. */
xr_status xr_file_copy(const char *from, const char *to, size_t cap);

/* All of it; `path` is for the message. */
xr_status xr_fd_write(int fd, const char *path, const void *data, size_t len);
/* fsync, begun again when a signal interrupts it; 0 as well for what cannot be synced, such as a pipe. -1 with errno set. */
int xr_fd_sync(int fd);
xr_status xr_path_sync(const char *path);                   /* fsync of a file or of a directory's names */

xr_status xr_mkdirs(const char *path);                      /* like mkdir -p */
xr_status xr_remove_tree(const char *path);                 /* missing is fine; never follows symbolic links */

/* A file written beside its final name, under `tmp`, by whoever needs a name to write to; renamed into place on commit. */
typedef struct xr_outfile {
    char *path;     /* final */
    char *tmp;
} xr_outfile;
xr_status xr_outfile_begin(xr_outfile *o, const char *path);    /* tmp is there, empty; refuses directories and devices */
xr_status xr_outfile_commit(xr_outfile *o);                 /* fsync, rename, fsync of the folder; frees o's strings in any case */
void xr_outfile_abort(xr_outfile *o);                       /* removes what was written; fine after commit */

/* A directory written beside its final name and renamed into place on commit. */
typedef struct xr_outdir {
    char *path;     /* final */
    char *tmp;      /* where to write until commit */
    int replace;
} xr_outdir;
/* replace = 0 refuses an existing non-empty `path` (XR_ECANTCREAT, names `remedy`, the flag to use). */
xr_status xr_outdir_begin(xr_outdir *o, const char *path, int replace, const char *remedy);
xr_status xr_outdir_commit(xr_outdir *o);                   /* fsync files and directory, rename; frees o's strings */
void xr_outdir_abort(xr_outdir *o);                         /* removes what was written; fine after commit */

/* fsync of everything in the directory `tmp`, a rename to `path` that never replaces anything (XR_ECANTCREAT), fsync of the folder. On failure tmp
 * stays; *renamed = 1 when `path` stands all the same, and only may not survive a power failure. */
xr_status xr_dir_commit(const char *tmp, const char *path, int *renamed);
/* The same in place of the directory `path`; tmp is then what was there. One move where the file system has it, so that at no moment there is none. */
xr_status xr_dir_exchange(const char *tmp, const char *path, int *renamed);
/* readdir whose failure does not look like the end: *status is then below zero. */
struct dirent *xr_dir_next(DIR *d, const char *dir, xr_status *status);
/* Calls visit(path, name, context) for every entry of a directory until it returns other than XR_OK, which is handed on. */
xr_status xr_dir_each(const char *dir, xr_status (*visit)(const char *path, const char *name, void *context), void *context);

/* SHA-256 (FIPS 180-4) of bytes and of a file, as 64 hex digits and NUL. */
void xr_sha256_hex(const void *data, size_t len, char hex[65]);
xr_status xr_file_sha256(const char *path, char hex[65]);

#endif
