/* HDF5 files, written so that damage is found and a failure leaves nothing behind (docs/decisions.md, training
 * state). */
#include "util/h5_lib.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/alloc.h"
#include "util/fs.h"

#define CHUNK_BYTES ((size_t)64 << 10)   /* also the least a dataset with rows takes on disk */

/* After a failed close the library's tables cannot be trusted: no further call is made into it. */
static atomic_int poisoned;

/* Why a call into the library failed, of the first since it was last told: any later call wipes the library's own stack. */
static _Thread_local struct { char text[256]; int of_system; } reason;

/* From the innermost entry outwards: what the system said, where it was the system, or else the innermost. */
static herr_t keep_entry(unsigned n, const H5E_error2_t *e, void *context)
{
    static const char said[] = "error message = '";
    const char *system = strstr(e->desc, said);
    (void)context;
    if (system && !reason.of_system) {
        system += sizeof said - 1;
        snprintf(reason.text, sizeof reason.text, "%.*s", (int)strcspn(system, "'"), system);
        reason.of_system = 1;
    } else if (n == 0)
        snprintf(reason.text, sizeof reason.text, "%s", e->desc);
    return 0;
}

static herr_t keep_reason(hid_t stack, void *context)
{
    if (!*reason.text)
        (void)H5Ewalk2(stack, H5E_WALK_UPWARD, keep_entry, context);
    return 0;
}

/* Before the library's first use: without this it crashes at exit after a write that failed (reliability, finding
 * 5). */
static void before_first_use(void)
{
    (void)H5dont_atexit();
    (void)H5open();
    (void)H5PLset_loading_state(0);
}

xr_status xr_h5_start(const char *path)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (atomic_load(&poisoned))
        return xr_fail(XR_EIO, "%s: HDF5 is not used any more after an earlier failed close; start the program again",
                       path);
    pthread_once(&once, before_first_use);
    (void)H5Eset_auto2(H5E_DEFAULT, keep_reason, NULL);     /* per thread in a thread-safe library */
    *reason.text = 0;
    reason.of_system = 0;
    return XR_OK;
}

xr_status xr_h5_fail_else(xr_status status, const char *path, const char *what, const char *otherwise)
{
    const char *why = reason.of_system || !otherwise ? reason.text : otherwise;
    if (reason.of_system && status == XR_EDATA)
        status = XR_EIO;    /* it is not the data */
    status = xr_fail(status, "%s: %s failed: %s", path, what, *why ? why : "HDF5 gives no reason");
    *reason.text = 0;
    reason.of_system = 0;
    return status;
}

xr_status xr_h5_fail(xr_status status, const char *path, const char *what)
{
    return xr_h5_fail_else(status, path, what, NULL);
}

hid_t xr_h5_memory_type(xr_h5_type type)
{
    const hid_t id[] = { H5T_NATIVE_FLOAT, H5T_NATIVE_UINT32, H5T_NATIVE_UINT64, H5T_NATIVE_UINT16, H5T_NATIVE_DOUBLE };
    return id[type];
}

hid_t xr_h5_file_type(xr_h5_type type)
{
    const hid_t id[] = { H5T_IEEE_F32LE, H5T_STD_U32LE, H5T_STD_U64LE, H5T_STD_U16LE, H5T_IEEE_F64LE };
    return id[type];
}

/* Without the library's own locks, which fail where a file system has none: what is written has a name of its own, what is read has a digest. */
hid_t xr_h5_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && H5Pset_file_locking(access, 0, 1) >= 0)
        return access;
    H5Pclose(access);
    return H5I_INVALID_HID;
}

static hid_t create_file(const char *path)
{
    hid_t access = xr_h5_access(), create = H5Pcreate(H5P_FILE_CREATE), id = H5I_INVALID_HID;
    if (access >= 0 && create >= 0 && H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0 &&
        H5Pset_obj_track_times(create, 0) >= 0)
        id = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    if (id < 0)
        xr_h5_fail(XR_ECANTCREAT, path, "creating the HDF5 file");
    H5Pclose(create);
    H5Pclose(access);
    return id;
}

xr_h5_out *xr_h5_create(const char *path)
{
    if (xr_h5_start(path) < 0)
        return NULL;
    xr_h5_out *h = xr_alloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->id = H5I_INVALID_HID;
    if (xr_outfile_begin(&h->file, path) == XR_OK)
        h->id = create_file(h->file.tmp);
    if (h->id < 0) {
        xr_h5_abort(h);
        return NULL;
    }
    return h;
}

const char *xr_h5_temporary(const xr_h5_out *h) { return h->file.tmp; }

/* Bytes that belong together (the high ones are mostly zero) are brought together before they are compressed; the checksum is that of what is
 * stored. */
static int set_filters(hid_t create, int deflate)
{
    return (deflate == 0 || (H5Pset_shuffle(create) >= 0 && H5Pset_deflate(create, (unsigned)deflate) >= 0)) && H5Pset_fletcher32(create) >= 0;
}

/* A dataset without rows. */
static hid_t create_dataset(xr_h5_out *h, const char *name, hid_t type, size_t cols, xr_h5_layout layout)
{
    hsize_t now[2] = { 0, cols }, max[2] = { H5S_UNLIMITED, cols };
    size_t row = H5Tget_size(type) * (cols ? cols : 1), fit = row < CHUNK_BYTES ? CHUNK_BYTES / row : 1;
    hsize_t chunk[2] = { layout.chunk_rows ? layout.chunk_rows : fit, cols };
    int rank = cols ? 2 : 1;
    hid_t id = H5I_INVALID_HID, space = H5Screate_simple(rank, now, max), create = H5Pcreate(H5P_DATASET_CREATE);
    if (space >= 0 && create >= 0 && H5Pset_chunk(create, rank, chunk) >= 0 && set_filters(create, layout.deflate) &&
        H5Pset_obj_track_times(create, 0) >= 0)
        id = H5Dcreate2(h->id, name, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    if (id < 0)
        xr_h5_fail(XR_EIO, h->file.path, "creating a dataset");
    H5Pclose(create);
    H5Sclose(space);
    return id;
}

int xr_h5_dataset(xr_h5_out *h, const char *name, xr_h5_type type, size_t cols)
{
    return xr_h5_dataset_as(h, name, type, cols, (xr_h5_layout){ 0 });
}

int xr_h5_dataset_as(xr_h5_out *h, const char *name, xr_h5_type type, size_t cols, xr_h5_layout layout)
{
    XR_ASSERT(h->n_sets < XR_H5_DATASET_CAP, "more than %d datasets", XR_H5_DATASET_CAP);
    hid_t id = create_dataset(h, name, xr_h5_file_type(type), cols, layout);
    if (id < 0)
        return xr_error_status();
    h->set[h->n_sets] = (xr_h5_set){ id, type, cols, 0 };
    return h->n_sets++;
}

/* Rows [at, at + n) of a dataset that is made longer for them. */
static xr_status write_rows(xr_h5_out *h, hid_t id, hid_t type, size_t cols, hsize_t at, const void *rows, size_t n)
{
    hsize_t size[2] = { at + n, cols }, first[2] = { at, 0 }, count[2] = { n, cols };
    int rank = cols ? 2 : 1;
    if (H5Dset_extent(id, size) < 0)
        return xr_h5_fail(XR_EIO, h->file.path, "extending a dataset");
    hid_t space = H5Dget_space(id), memory = H5Screate_simple(rank, count, NULL);
    xr_status status = XR_OK;
    if (space < 0 || memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, first, NULL, count, NULL) < 0 ||
        H5Dwrite(id, type, memory, space, H5P_DEFAULT, rows) < 0)
        status = xr_h5_fail(XR_EIO, h->file.path, "writing");
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

xr_status xr_h5_append(xr_h5_out *h, int number, const void *rows, size_t n)
{
    XR_ASSERT(number >= 0 && number < h->n_sets, "dataset %d of %d", number, h->n_sets);
    xr_h5_set *d = &h->set[number];
    if (n == 0)
        return XR_OK;
    XR_TRY(write_rows(h, d->id, xr_h5_memory_type(d->type), d->cols, d->rows, rows, n));
    d->rows += n;
    return XR_OK;
}

/* Fixed-length UTF-8, as long as the longest; HDF5 has no strings of length 0. */
static hid_t string_type(size_t len)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && H5Tset_size(type, len ? len : 1) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        return type;
    H5Tclose(type);
    return H5I_INVALID_HID;
}

/* In blocks, so that the padded copy stays small. */
static xr_status write_strings(xr_h5_out *h, hid_t id, hid_t type, const char *const *strings, size_t n)
{
    size_t width = H5Tget_size(type), block = width < CHUNK_BYTES ? CHUNK_BYTES / width : 1;
    xr_status status = XR_OK;
    for (size_t at = 0; at < n && status == XR_OK; at += block) {
        size_t rows = n - at < block ? n - at : block;
        char *padded = xr_alloc(rows, width);
        if (!padded)
            return xr_error_status();
        for (size_t i = 0; i < rows; i++)
            memcpy(padded + i * width, strings[at + i], strlen(strings[at + i]));
        status = write_rows(h, id, type, 0, at, padded, rows);
        xr_free(padded);
    }
    return status;
}

xr_status xr_h5_close_dataset(const xr_h5_out *h, hid_t id)
{
    if (H5Dclose(id) >= 0)
        return XR_OK;
    atomic_store(&poisoned, 1);
    return xr_h5_fail(XR_EIO, h->file.path, "closing a dataset");
}

xr_status xr_h5_strings(xr_h5_out *h, const char *name, const char *const *strings, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        if (strlen(strings[i]) > longest)
            longest = strlen(strings[i]);
    hid_t type = string_type(longest);
    if (type < 0)
        return xr_h5_fail(XR_EIO, h->file.path, "making a string type");
    hid_t id = create_dataset(h, name, type, 0, (xr_h5_layout){ 0 });
    xr_status status = id < 0 ? xr_error_status() : write_strings(h, id, type, strings, n);
    H5Tclose(type);
    if (id >= 0 && xr_h5_close_dataset(h, id) < 0)
        status = xr_error_status();
    return status;
}

xr_status xr_h5_attribute(xr_h5_out *h, const char *object, const char *name, const char *value)
{
    hid_t type = string_type(strlen(value)), space = H5Screate(H5S_SCALAR), id = H5I_INVALID_HID;
    if (type >= 0 && space >= 0)
        id = H5Acreate_by_name(h->id, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    xr_status status = XR_OK;
    if (id < 0 || H5Awrite(id, type, value) < 0 || H5Aclose(id) < 0)
        status = xr_h5_fail(XR_EIO, h->file.path, "writing an attribute");
    H5Sclose(space);
    H5Tclose(type);
    return status;
}

/* Chunked data reach the disk here at the latest, so this is where a full disk shows. */
static xr_status close_all(xr_h5_out *h)
{
    xr_status status = XR_OK;
    for (int i = 0; i < h->n_sets && !atomic_load(&poisoned); i++)
        if (xr_h5_close_dataset(h, h->set[i].id) < 0)
            status = xr_error_status();
    h->n_sets = 0;
    if (!atomic_load(&poisoned) && H5Fclose(h->id) < 0) {
        atomic_store(&poisoned, 1);
        status = xr_h5_fail(XR_EIO, h->file.path, "closing the file");
    }
    h->id = H5I_INVALID_HID;
    return status;
}

/* What was asked for and not used goes back; a failure only wastes room. */
static void release(const xr_h5_out *h)
{
    struct stat st;
    if (h->reserved && stat(h->file.tmp, &st) == 0 && truncate(h->file.tmp, st.st_size) < 0)
        return;
}

xr_status xr_h5_commit(xr_h5_out *h)
{
    xr_status status = XR_OK;
    if (H5Fflush(h->id, H5F_SCOPE_GLOBAL) < 0)
        status = xr_h5_fail(XR_EIO, h->file.path, "flushing the file");
    if (close_all(h) < 0)
        status = xr_error_status();
    release(h);
    if (status == XR_OK)
        status = xr_outfile_commit(&h->file);
    xr_outfile_abort(&h->file);
    xr_free(h);
    return status;
}

void xr_h5_abort(xr_h5_out *h)
{
    if (!h)
        return;
    /* Trouble while giving up is no news to the caller, and the first cause stays. */
    int pending = xr_error_status() < 0;
    if (h->id >= 0)
        (void)close_all(h);
    if (!pending)
        xr_error_clear();
    xr_outfile_abort(&h->file);
    xr_free(h);
}
