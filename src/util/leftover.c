#include "util/leftover.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "util/alloc.h"
#include "util/fs.h"

enum { MAX_PID = 1 << 22 };     /* Linux's highest; a date behind a name is no process */

const char *xr_leftover_tail(const char *name)
{
    const char *tail = strstr(name, ".tmp-");
    if (!tail)
        tail = strstr(name, ".was-");
    return tail && tail[5] && !tail[5 + strspn(tail + 5, "0123456789")] ? tail : NULL;
}

int xr_leftover_is_dead(const char *name)
{
    const char *tail = xr_leftover_tail(name);
    long pid = tail ? strtol(tail + 5, NULL, 10) : 0;
    return pid > 0 && pid <= MAX_PID && kill((pid_t)pid, 0) < 0 && errno == ESRCH;
}

typedef struct wanted { const char *path, *name; size_t n; } wanted;

static xr_status remove_one(const char *path, const char *name, void *context)
{
    const wanted *w = context;
    const char *tail = xr_leftover_tail(name);
    if (!tail || (size_t)(tail - name) != w->n || strncmp(name, w->name, w->n) != 0 || !xr_leftover_is_dead(name))
        return XR_OK;
    struct stat st;
    return tail[1] == 't' || xr_path_look(w->path, &st) == 1 ? xr_remove_tree(path) : xr_error_status();
}

void xr_leftovers_remove(const char *path)
{
    int pending = xr_error_status() < 0;
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    wanted w = { path, path + begin, end - begin };
    char *dir = begin ? xr_strndup(path, begin) : xr_strdup(".");
    if (dir && xr_path_is_dir(dir))
        (void)xr_dir_each(dir, remove_one, &w);
    xr_free(dir);
    if (!pending)
        xr_error_clear();
}
