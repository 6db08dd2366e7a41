#include "util/manifest.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "util/alloc.h"
#include "util/fs.h"
#include "util/xxh.h"

#define OWN_DIGEST "manifest_xxh3_128"
#define MANIFEST_CAP ((size_t)1 << 24)

static xr_status out_of_memory(const char *path)
{
    return xr_fail(XR_ESYSTEM, "%s: no memory for the manifest", path);
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* Digest and size of a file as it can be read back. */
static xr_status digest_file(const char *path, char hex[33], json_int_t *bytes)
{
    struct stat st;
    *bytes = 0;
    XR_TRY(xr_xxh_file(path, hex));
    if (stat(path, &st) < 0)
        return xr_fail(XR_EIO, "%s: vanished: %s", path, strerror(errno));
    *bytes = st.st_size;
    return XR_OK;
}

xr_status xr_json_digest(const json_t *j, char hex[33])
{
    char *text = xr_json_dump(j, 0);
    xr_xxh *h = text ? xr_xxh_new() : NULL;
    if (h) {
        xr_xxh_update(h, text, strlen(text));
        xr_xxh_final(h, hex);
    }
    xr_free(text);
    return h ? XR_OK : xr_error_status();
}

xr_status xr_manifest_add(json_t *files, const char *dir, const char *name)
{
    char hex[33];
    json_int_t bytes;
    char *path = xr_path_join(dir, name);
    xr_status status = path ? digest_file(path, hex, &bytes) : xr_error_status();
    if (status == XR_OK && json_object_set_new(files, name, json_pack("{sI ss}", "bytes", bytes, "xxh3_128", hex)) != 0)
        status = out_of_memory(dir);
    xr_free(path);
    return status;
}

xr_status xr_manifest_write(const char *path, json_t *manifest)
{
    char hex[33];
    XR_TRY(xr_json_digest(manifest, hex));
    if (json_object_set_new(manifest, OWN_DIGEST, json_string(hex)) != 0)
        return out_of_memory(path);
    return xr_json_write(path, manifest, 2);
}

/* --- reading ---------------------------------------------------------------------------------------------------- */

static xr_status check_kind(const char *path, const json_t *j, const char *format, int newest)
{
    const char *found = json_string_value(json_object_get(j, "format"));
    json_int_t of = json_integer_value(json_object_get(j, "format_version"));
    if (!found || strcmp(found, format) != 0)
        return xr_fail(XR_EDATA, "%s: is not a manifest of the format %s", path, format);
    if (of < 1 || of > newest)
        return xr_fail(XR_EDATA, "%s: is of format version %lld; this program reads %s %d; use the program that wrote it", path, (long long)of,
                       newest > 1 ? "versions 1 to" : "version", newest);
    return XR_OK;
}

static xr_status check_digest(const char *path, json_t *j)
{
    char hex[33];
    json_t *digest = json_incref(json_object_get(j, OWN_DIGEST));
    json_object_del(j, OWN_DIGEST);
    xr_status status = xr_json_digest(j, hex);
    if (status == XR_OK && (!json_is_string(digest) || strcmp(json_string_value(digest), hex) != 0))
        status = xr_fail(XR_EDATA, "%s: digest mismatch: the manifest was changed", path);
    json_decref(digest);
    return status;
}

/* Files of this very folder: a name cannot lead out of it. */
static xr_status check_names(const char *path, json_t *files)
{
    const char *name;
    json_t *entry;
    if (!json_is_object(files))
        return xr_fail(XR_EDATA, "%s: lists no files", path);
    json_object_foreach(files, name, entry)
        if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            return xr_fail(XR_EDATA, "%s: lists \"%s\", which is no name of a file beside it", path, name);
    return XR_OK;
}

json_t *xr_manifest_read(const char *path, const char *format, int newest)
{
    json_t *j = xr_json_file(path, MANIFEST_CAP);
    xr_status status = j ? check_kind(path, j, format, newest) : xr_error_status();
    if (status == XR_OK)
        status = check_digest(path, j);
    if (status == XR_OK)
        status = check_names(path, json_object_get(j, "files"));
    if (status == XR_OK)
        return j;
    json_decref(j);
    return NULL;
}

xr_status xr_manifest_check(const char *dir, const char *name, const json_t *entry, const char *remedy)
{
    char hex[33];
    json_int_t bytes, want = json_integer_value(json_object_get(entry, "bytes"));
    const char *digest = json_string_value(json_object_get(entry, "xxh3_128"));
    char *path = xr_path_join(dir, name);
    xr_status status = path ? digest_file(path, hex, &bytes) : xr_error_status();
    if (status == XR_OK && bytes != want)
        status = xr_fail(XR_EDATA, "%s: has %lld bytes, the manifest says %lld%s", path, (long long)bytes, (long long)want, remedy);
    if (status == XR_OK && (!digest || strcmp(digest, hex) != 0))
        status = xr_fail(XR_EDATA, "%s: digest mismatch: the contents are not those that were saved%s", path, remedy);
    xr_free(path);
    return status;
}
