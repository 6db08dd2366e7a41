/* Power loss. Every file operation of a program, HDF5's too, is recorded: this file defines the calls, and the linker lets the libraries use its definitions.
 * Then, for a failure after every one of them, what a disk may hold is drawn, written to another folder and looked at.
 *
 * A disk may hold: of a file, what was synced and of later writes none, all, the first ones with the last torn, or any sectors (512 bytes or 4 KiB), the
 * others being old, zero or garbage; of a directory, the synced entries and of later changes none, all, the first ones or any, a rename being two. A disk
 * that honours syncs must hold what was saved last and committed, or something newer. From one that does not, anything may be missing, but what is accepted
 * must be what was saved. A sample in `make test`, all in `make torture` (XLMR_TORTURE=full). */
#ifndef XR_TESTS_DISK_H
#define XR_TESTS_DISK_H

#include "scratch.h"
#include "torture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/xxh.h"

enum { MAX_NODES = 256, MAX_OPS = 4096, MAX_ENTRIES = 64, PATH_LEN = 512, NAME_LEN = 64, MAX_SAVES = 12, SEEN = 1 << 17 };

/* --- what was done ---------------------------------------------------------------------------------------------- */

typedef enum kind { WRITE, RESIZE, ENTER, LEAVE, SYNC } kind;
/* On a file: `n` bytes at `at`, or the size `at`. On a directory: `name` comes to be, or ceases to be, the node `target`. */
typedef struct op { kind kind; int node, target; size_t at, n; char *bytes, name[NAME_LEN]; } op;

static op ops[MAX_OPS];
static int n_ops, n_nodes, recording;
static char where[MAX_NODES][PATH_LEN];     /* path of each node now, "" when it is gone; node 0 is the folder of the test */
static int is_dir[MAX_NODES];

static int node_at(const char *path)
{
    for (int i = 0; i < n_nodes; i++)
        if (strcmp(where[i], path) == 0)
            return i;
    return -1;
}

static op *add_op(kind k, int node)
{
    if (n_ops == MAX_OPS)
        fail_msg("more than %d operations", MAX_OPS);
    ops[n_ops] = (op){ .kind = k, .node = node };
    return &ops[n_ops++];
}

/* An entry of the directory that holds `path`. */
static void add_entry(kind k, const char *path, int target)
{
    const char *slash = strrchr(path, '/');
    char parent[PATH_LEN];
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    op *o = add_op(k, node_at(parent));
    if (o->node < 0)
        fail_msg("%s: its folder is not known", path);
    o->target = target;
    snprintf(o->name, sizeof o->name, "%s", slash + 1);
}

/* The path as seen from the root, or NULL where it is none of ours. */
static const char *absolute(int dir, const char *path)
{
    static char full[PATH_LEN], base[PATH_LEN / 2], link[64];
    if (*path == '/')
        snprintf(full, sizeof full, "%s", path);
    else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, base, sizeof base - 1);
        snprintf(full, sizeof full, "%.*s%s%.200s", (int)(n < 0 ? 0 : n), base, *path ? "/" : "", path);
    }
    return recording && strncmp(full, where[0], strlen(where[0])) == 0 ? full : NULL;
}

static void note_new(const char *path, int dir)
{
    if (!path || node_at(path) >= 0)
        return;
    if (n_nodes == MAX_NODES)
        fail_msg("more than %d files", MAX_NODES);
    snprintf(where[n_nodes], PATH_LEN, "%s", path);
    is_dir[n_nodes] = dir;
    add_entry(ENTER, path, n_nodes++);
}

static void note_gone(const char *path)
{
    int node = path ? node_at(path) : -1;
    if (node < 0)
        return;
    add_entry(LEAVE, path, node);
    *where[node] = 0;
}

static void note_size(const char *path, size_t size)
{
    if (path && node_at(path) >= 0)
        add_op(RESIZE, node_at(path))->at = size;
}

static void note_write(int fd, const void *bytes, size_t n, size_t at)
{
    const char *path = absolute(fd, "");
    int node = path ? node_at(path) : -1;
    if (node < 0)
        return;
    op *o = add_op(WRITE, node);
    o->at = at;
    o->n = n;
    o->bytes = xr_alloc(n, 1);
    memcpy(o->bytes, bytes, n);
}

static void note_sync(int fd)
{
    const char *path = absolute(fd, "");
    if (path && node_at(path) >= 0)
        add_op(SYNC, node_at(path));
}

/* What lies at or below `from` lies there below `to`, from now on. */
static void move_below(const char *from, const char *to)
{
    size_t n = strlen(from);
    for (int i = 0; i < n_nodes; i++)
        if (strncmp(where[i], from, n) == 0 && (where[i][n] == '/' || !where[i][n])) {
            char rest[PATH_LEN];
            snprintf(rest, sizeof rest, "%s", where[i] + n);
            snprintf(where[i], PATH_LEN, "%.250s%.250s", to, rest);
        }
}

/* The new name comes before the old one goes, as file systems without a journal do it. */
static void note_rename(const char *from, const char *to)
{
    int node = node_at(from), old = node_at(to);
    if (node < 0)
        return;
    if (old >= 0)
        *where[old] = 0;
    add_entry(ENTER, to, node);
    add_entry(LEAVE, from, node);
    move_below(from, to);
}

static void note_exchange(const char *from, const char *to)
{
    int node = node_at(from), old = node_at(to);
    add_entry(ENTER, to, node);
    add_entry(ENTER, from, old);
    move_below(from, "(exchanged)");
    move_below(to, from);
    move_below("(exchanged)", to);
}

/* --- the calls themselves --------------------------------------------------------------------------------------- */

#pragma GCC visibility push(default)

static int do_open(int dir, const char *path, int flags, unsigned mode)
{
    const char *full = flags & O_CREAT ? absolute(dir, path) : NULL;
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && full && node_at(full) >= 0 && flags & O_TRUNC)
        note_size(full, 0);
    if (fd >= 0)
        note_new(full, 0);
    return fd;
}

int open(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    unsigned mode = flags & O_CREAT ? va_arg(list, unsigned) : 0;
    va_end(list);
    return do_open(AT_FDCWD, path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    ssize_t done = syscall(SYS_write, fd, bytes, n);
    off_t end = recording ? lseek(fd, 0, SEEK_CUR) : 0;     /* wherever it was, of a log its end */
    if (done > 0 && end >= done)
        note_write(fd, bytes, (size_t)done, (size_t)(end - done));
    return done;
}

ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, n, at);
    if (done > 0)
        note_write(fd, bytes, (size_t)done, (size_t)at);
    return done;
}

int ftruncate(int fd, off_t size)
{
    int status = (int)syscall(SYS_ftruncate, fd, size);
    if (status == 0)
        note_size(absolute(fd, ""), (size_t)size);
    return status;
}

int truncate(const char *path, off_t size)
{
    int status = (int)syscall(SYS_truncate, path, size);
    if (status == 0)
        note_size(absolute(AT_FDCWD, path), (size_t)size);
    return status;
}

int fsync(int fd)
{
    int status = (int)syscall(SYS_fsync, fd);
    if (status == 0)
        note_sync(fd);
    return status;
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    char old[PATH_LEN];
    const char *path = absolute(from_dir, from);
    snprintf(old, sizeof old, "%s", path ? path : "");
    int status = (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
    if (status == 0 && *old)
        (flags & RENAME_EXCHANGE ? note_exchange : note_rename)(old, absolute(to_dir, to));
    return status;
}

int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *path, int flags)
{
    char full[PATH_LEN];
    const char *name = absolute(dir, path);
    snprintf(full, sizeof full, "%s", name ? name : "");
    int status = (int)syscall(SYS_unlinkat, dir, path, flags);
    if (status == 0 && *full)
        note_gone(full);
    return status;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdir(const char *path, mode_t mode)
{
    int status = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (status == 0)
        note_new(absolute(AT_FDCWD, path), 1);
    return status;
}

/* What libraries call that were built for large files on any machine. */
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t at) __attribute__((alias("pwrite")));
int ftruncate64(int fd, off64_t size) __attribute__((alias("ftruncate")));

#pragma GCC visibility pop

/* --- what a disk may hold --------------------------------------------------------------------------------------- */

typedef struct image { char *bytes; size_t n, cap; char name[MAX_ENTRIES][NAME_LEN]; int node[MAX_ENTRIES], entries; } image;

static image synced[MAX_NODES], drawn[MAX_NODES];   /* what is certain; one of the things that may be */
static int drawing, drawn_in[MAX_NODES];            /* the number of this state, and of the last that each node was drawn in */
static int pending[MAX_NODES][MAX_OPS], n_pending[MAX_NODES];
static uint64_t dice = 1;

static uint64_t roll(uint64_t below)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (dice >> 33) % below;
}

typedef enum fate { NONE, ALL, FIRST, ANY, N_FATES } fate;
typedef enum lost { OLD, ZERO, GARBAGE, N_LOST } lost;
typedef struct draw { fate files, dirs; size_t sector; lost lost; } draw;
/* `until`: FIRST keeps what is before it, and tears it. */
typedef struct chance { fate fate; int until; const draw *d; } chance;
static const draw everything = { ALL, ALL, 4096, OLD };

static void resize(image *m, size_t n)
{
    if (n > m->cap && xr_grow(&m->bytes, &m->cap, n, 1) < 0)
        fail_msg("%s", xr_error_message());
    if (n > m->n)
        memset(m->bytes + m->n, 0, n - m->n);
    m->n = n;
}

/* Is this of the `j`th pending operation there? `half`: in the first part of the one that is torn. */
static int survives(const chance *c, int j, int half)
{
    switch (c->fate) {
    case ALL: return 1;
    case FIRST: return j < c->until || (j == c->until && half);
    case ANY: return (int)roll(2);
    default: return 0;
    }
}

static void put_sector(image *m, const op *o, size_t from, size_t n, int there, lost left)
{
    if (!there && left == OLD)
        return;
    if (o->at + from + n > m->n)
        resize(m, o->at + from + n);
    if (there)
        memcpy(m->bytes + o->at + from, o->bytes + from, n);
    else
        memset(m->bytes + o->at + from, left == ZERO ? 0 : 0xa5, n);
}

static void put_write(image *m, const op *o, const chance *c, int j)
{
    size_t torn = roll(o->n + 1);
    for (size_t from = 0, n; from < o->n; from += n) {
        n = c->d->sector - (o->at + from) % c->d->sector;
        n = n < o->n - from ? n : o->n - from;
        put_sector(m, o, from, n, survives(c, j, from + n <= torn), c->d->lost);
    }
}

static void enter(image *m, const op *o)
{
    int i = 0;
    while (i < m->entries && strcmp(m->name[i], o->name) != 0)
        i++;
    if (o->kind == ENTER) {
        assert_true(i < MAX_ENTRIES);
        memcpy(m->name[i], o->name, NAME_LEN);
        m->node[i] = o->target;
        m->entries += i == m->entries;
    } else if (i < m->entries) {
        m->entries--;
        memmove(m->name[i], m->name[m->entries], NAME_LEN);
        m->node[i] = m->node[m->entries];
    }
}

static void apply(image *m, const op *o, const chance *c, int j)
{
    if (o->kind == WRITE)
        put_write(m, o, c, j);
    else if (!survives(c, j, 0))
        return;
    else if (o->kind == RESIZE)
        resize(m, o->at);
    else
        enter(m, o);
}

static void draw_node(int node, const draw *d)
{
    if (drawn_in[node] == drawing)
        return;
    drawn_in[node] = drawing;
    image *to = &drawn[node], *from = &synced[node];
    chance mine = { is_dir[node] ? d->dirs : d->files, (int)roll((uint64_t)n_pending[node] + 1), d };
    to->n = 0;
    resize(to, from->n);
    if (from->n)
        memcpy(to->bytes, from->bytes, from->n);
    to->entries = from->entries;
    memcpy(to->name, from->name, sizeof to->name);
    memcpy(to->node, from->node, sizeof to->node);
    for (int j = 0; j < n_pending[node]; j++)
        apply(to, &ops[pending[node][j]], &mine, j);
}

/* The operation happens; `honest`: a sync makes what was pending certain. */
static void advance(int i, int honest)
{
    int node = ops[i].node;
    if (ops[i].kind != SYNC) {
        pending[node][n_pending[node]++] = i;
        return;
    }
    for (int j = 0; honest && j < n_pending[node]; j++)
        apply(&synced[node], &ops[pending[node][j]], &(chance){ ALL, 0, &everything }, j);
    if (honest)
        n_pending[node] = 0;
}

static void forget(void)
{
    for (int i = 0; i < MAX_NODES; i++) {
        n_pending[i] = 0;
        synced[i].n = 0;
        synced[i].entries = 0;
    }
}

/* --- the state on a real file system ---------------------------------------------------------------------------- */

/* Draws what the state holds, and nothing else. */
static uint64_t digest(int node, const draw *d)
{
    draw_node(node, d);
    uint64_t sum = is_dir[node] ? 1 : xr_xxh64(drawn[node].n ? drawn[node].bytes : "", drawn[node].n);
    for (int i = 0; i < drawn[node].entries; i++) {
        uint64_t both[2] = { xr_xxh64(drawn[node].name[i], strlen(drawn[node].name[i])), digest(drawn[node].node[i], d) };
        sum += xr_xxh64(both, sizeof both);     /* in whatever order */
    }
    return sum;
}

static void materialise(int node, const char *path)
{
    char below[PATH_LEN];
    if (!is_dir[node]) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        assert_true(fd >= 0 && write(fd, drawn[node].bytes, drawn[node].n) == (ssize_t)drawn[node].n);
        close(fd);
        return;
    }
    assert_int_equal(mkdir(path, 0777), 0);
    for (int i = 0; i < drawn[node].entries; i++) {
        snprintf(below, sizeof below, "%.400s/%s", path, drawn[node].name[i]);
        materialise(drawn[node].node[i], below);
    }
}

/* --- saves, and what is found of them --------------------------------------------------------------------------- */

static int n_saves;
static int committed_at[MAX_SAVES + 1];     /* operations that were done when the save had returned; later: when it was committed */
static int refusals;                        /* what was looked at and is nothing that was saved */

/* The test's: the number of the save whose contents are in the folder, as whoever goes on would find them; 0 for none. What is found is what was saved. */
static int found(const char *folder, int honest);

/* Of the folder "disk" of the test, which comes to be; save number k is between two calls of end_save. */
static void begin_recording(void)
{
    snprintf(where[0], PATH_LEN, "%s", in_scratch("disk"));
    assert_int_equal(mkdir(where[0], 0777), 0);
    is_dir[0] = n_nodes = 1;
    recording = 1;
}

static void end_save(int k)
{
    committed_at[k] = n_ops;
    n_saves = k;
}

/* A commit is over with the sync of the folder in which the name appeared; what comes after it, as the rotation, may be cut short. */
static void find_commits(const char *(*name)(int k))
{
    for (int k = 1, i = 0; k <= n_saves; k++) {
        int end = committed_at[k], folder = -1;
        for (; i < end; i++) {
            if (ops[i].kind == ENTER && strcmp(ops[i].name, name(k)) == 0)
                folder = ops[i].node;
            if (ops[i].kind == SYNC && ops[i].node == folder && committed_at[k] == end)
                committed_at[k] = i + 1;
        }
    }
}

typedef struct tally { int states, older, refused; } tally;
static uint64_t seen[SEEN];

/* 1 the first time. */
static int is_new(uint64_t x)
{
    size_t i = x % SEEN;
    while (seen[i] && seen[i] != x)
        i = (i + 1) % SEEN;
    int is = seen[i] != x;
    seen[i] = x;
    return is;
}

static int looking_after;       /* so many operations */

static void look(int after, int honest, const draw *d, tally *n)
{
    int committed = 0;
    looking_after = after;
    while (committed < n_saves && committed_at[committed + 1] <= after)
        committed++;
    drawing++;
    if (!is_new(digest(0, d) * 31 + (uint64_t)committed))
        return;
    refusals = 0;
    materialise(0, in_scratch("after"));
    int k = found(in_scratch("after"), honest);
    if (honest && k < committed)
        fail_msg("after operation %d of %d, fates %d and %d: save %d is there, %d was committed", after, n_ops, (int)d->files, (int)d->dirs, k, committed);
    n->states++;
    n->older += k < committed;
    n->refused += refusals > 0;
    assert_int_equal(xr_remove_tree(in_scratch("after")), XR_OK);
}

/* Draws for a failure after each operation. */
static tally lose_power(int honest, int rounds, uint64_t one_in)
{
    tally n = { 0 };
    forget();
    for (int i = 0; i <= n_ops; i++) {
        for (int r = 0; r < rounds; r++)
            for (int f = 0; f < N_FATES * N_FATES * 2 * N_LOST; f++) {
                const draw d = { f % N_FATES, f / N_FATES % N_FATES, f / N_FATES / N_FATES % 2 ? 512 : 4096, f / N_FATES / N_FATES / 2 };
                if (roll(one_in) == 0 || (honest && i == committed_at[n_saves]))    /* what has returned is there */
                    look(i, honest, &d, &n);
            }
        if (i < n_ops)
            advance(i, honest);
    }
    return n;
}

/* All operations applied are the folder as it is, so none was missed. */
static void nothing_was_missed(void)
{
    char command[3 * PATH_LEN];
    forget();
    for (int i = 0; i < n_ops; i++)
        advance(i, 1);
    drawing++;
    (void)digest(0, &everything);
    materialise(0, in_scratch("again"));
    snprintf(command, sizeof command, "diff -r %s %s", in_scratch("disk"), in_scratch("again"));
    assert_int_equal(system(command), 0);
}

/* All failures of what was recorded: one draw in so many, in full and in part, that are at least so many states. */
typedef struct extent { uint64_t one_in_full, one_in_part; int least_in_full, least_in_part; } extent;
static void replay(const char *(*name)(int k), extent e)
{
    int full = in_full();
    uint64_t one_in = full ? e.one_in_full : e.one_in_part;
    recording = 0;
    find_commits(name);
    nothing_was_missed();
    tally honest = lose_power(1, full ? 3 : 1, one_in), lying = lose_power(0, 1, one_in);
    print_message("# %d operations; %d states of a disk that honours syncs, %d with a partial save in them; of one that does not %d, %d, and %d had lost a "
                  "committed one\n", n_ops, honest.states, honest.refused, lying.states, lying.refused, lying.older);
    assert_true(honest.states + lying.states >= (full ? e.least_in_full : e.least_in_part));
    assert_true(lying.older > 0 && lying.refused > 0);      /* the states do differ in what matters */
    for (int i = 0; i < n_ops; i++)
        xr_free(ops[i].bytes);
    for (int i = 0; i < MAX_NODES; i++) {
        xr_free(synced[i].bytes);
        xr_free(drawn[i].bytes);
    }
}

/* In memory where there is such a folder. */
static int make_disk_scratch(void **state)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    return make_scratch(state);
}

#endif
