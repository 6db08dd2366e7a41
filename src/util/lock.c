#include "util/lock.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/file.h>

#include "util/log.h"

/* Some network file systems say ENOLCK, ENOSYS, EOPNOTSUPP or EINVAL. */
static void warn_once(const char *path, const char *why)
{
    static atomic_int told;
    if (atomic_exchange(&told, 1) == 0)
        xr_warn("%s: cannot be locked here: %s; see to it that no second xlmr is started with the same output directory: neither would notice the other", path,
                why);
}

int xr_lock_take(int fd, int kind, const char *path)
{
    int status;
    do
        status = flock(fd, kind | LOCK_NB);
    while (status < 0 && errno == EINTR);
    if (status == 0)
        return 1;
    if (errno == EWOULDBLOCK)
        return 0;
    warn_once(path, strerror(errno));
    return 1;
}
